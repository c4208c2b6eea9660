/* The commands of qRcmd. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef RSP_MONITOR_H
#define RSP_MONITOR_H

#include "rsp/rsp.h"

/*
 * A command reads its arguments from in (no space before or after) and writes text to out; false:
 * they are not what it takes, which answers with its usage.
 */
typedef bool rsp_command_handler(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out);

/* Arguments, with the spaces behind them. */
bool rsp_monitor_word(struct rsp_cursor *in, const char *word);
bool rsp_monitor_number(struct rsp_cursor *in, uint64_t *value);

/* monitor_catch.c */
rsp_command_handler rsp_monitor_catch, rsp_monitor_guest_int3;
/* monitor_memory.c */
rsp_command_handler rsp_monitor_translate, rsp_monitor_pages, rsp_monitor_phys,
    rsp_monitor_phys_write;
/* monitor_state.c */
rsp_command_handler rsp_monitor_version, rsp_monitor_vcpus, rsp_monitor_registers, rsp_monitor_msr,
    rsp_monitor_breakpoints, rsp_monitor_step_method, rsp_monitor_interrupts, rsp_monitor_reset;

#endif
