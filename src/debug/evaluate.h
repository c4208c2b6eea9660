/* What GDB's agent expressions reach of the guest: registers, memory, trace state variables. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DEBUG_EVALUATE_H
#define DEBUG_EVALUATE_H

#include "debug/debug.h"

/* The beginning of every context of agent_check() and agent_run() in this room. */
struct debug_evaluation {
    struct debug *debug;
    unsigned vcpu;
};

/* Members of struct agent_ops. */
bool debug_evaluate_has_register(void *ctx, unsigned number);
bool debug_evaluate_register(void *ctx, unsigned number, uint64_t *value);
bool debug_evaluate_memory(void *ctx, uint64_t address, void *buffer, size_t n);
bool debug_evaluate_has_variable(void *ctx, unsigned number);
bool debug_evaluate_variable(void *ctx, unsigned number, uint64_t *value);
bool debug_evaluate_set_variable(void *ctx, unsigned number, uint64_t value);

#endif
