/* The options of "ringside run". */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOL_OPTIONS_H
#define TOOL_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/engine.h"
#include "listen.h"
#include "serial.h"

struct options {
    const char *kernel;
    const char *initrd; /* NULL: none */
    const char *cmdline;
    uint64_t ram_bytes;
    unsigned cpus;
    enum soft_vendor vendor;
    const struct engine_ops *engine;
    bool engine_named;      /* not left to "auto" */
    const char *soft_only;  /* an option that only the soft engine has; NULL: none was given */
    struct kvm_verdict kvm; /* unless the soft engine was named, or is needed */
    bool no_shadow_step;
    bool trap_int1;     /* -e kvm: INT1 for breakpoints */
    unsigned step_ways; /* enum ringside_step_way; 0: all */
    bool debug;         /* -G was given */
    bool hold;          /* at the first instruction, until a debugger says go */
    struct endpoint endpoint;
    enum serial_kind serial;
    const char *serial_path;
    int exit_port;  /* -1: none */
    bool report;    /* say at the end how far the guest came, and the hash of its state */
    uint64_t limit; /* end after so many instructions; UINT64_MAX: never */
};

extern const char options_help[];

enum options_result {
    OPTIONS_RUN,
    OPTIONS_HELP, /* only help was asked for */
    OPTIONS_BAD,  /* what is wrong was said on stderr */
};
/* The strings in *out point into argv. */
enum options_result options_parse(int argc, char **argv, struct options *out);

#endif
