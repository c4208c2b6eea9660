/* GDB's agent expressions: bytecode of the peer, checked once, then run at every hit. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DEBUG_AGENT_H
#define DEBUG_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The GDB manual, appendix "The GDB Agent Expression Mechanism", section "Bytecode Descriptions".
 */

enum {
    AGENT_STACK = 100,    /* values of 64 bits */
    AGENT_BUDGET = 10000, /* instructions of one run */
    AGENT_LENGTH_MAX = 4096,
};

/*
 * What an expression can reach.  Those that return bool say whether it worked: if not, the run
 * fails.  A group that is NULL is not there: expressions that need it are refused.
 */
struct agent_ops {
    bool (*has_register)(void *ctx, unsigned number); /* of at most 64 bits */
    bool (*read_register)(void *ctx, unsigned number, uint64_t *value);
    bool (*read_memory)(void *ctx, uint64_t address, void *buffer, size_t n);
    /* Collecting: n bytes of memory, or the value of a variable. */
    bool (*trace)(void *ctx, uint64_t address, uint64_t n);
    bool (*trace_variable)(void *ctx, unsigned number);
    /* Trace state variables.  Without has_variable expressions may name some that are still to be
     * defined. */
    bool (*has_variable)(void *ctx, unsigned number);
    bool (*get_variable)(void *ctx, unsigned number, uint64_t *value);
    bool (*set_variable)(void *ctx, unsigned number, uint64_t value);
    void (*print)(void *ctx, const char *text, size_t n);
};

/*
 * May these n bytes be run, and do they end with a value on the stack (if that is wanted)?
 * RINGSIDE_EINVAL: they are no expression; RINGSIDE_ENOTSUP: they ask for what is not here
 * (floating point, a group of ops that is NULL).
 */
int agent_check(const struct agent_ops *ops, void *ctx, const uint8_t *code, size_t n,
                bool wants_value);
/* Runs what agent_check() passed.  False: memory that is not there, a division by zero, or the
 * budget is spent; *value is then untouched, as it is by one that leaves no value. */
bool agent_run(const struct agent_ops *ops, void *ctx, const uint8_t *code, uint64_t *value);

/* agent_print.c: printf; the format is as in C source, with its escapes, and ends in a zero. */
bool agent_format_is_good(const char *format, unsigned arguments);
bool agent_print(const struct agent_ops *ops, void *ctx, const char *format,
                 const uint64_t *arguments);

#endif
