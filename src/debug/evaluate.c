/* Registers, memory and trace state variables, as expressions read and set them. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/evaluate.h"
#include "debug/trace.h"

bool debug_evaluate_has_register(void *ctx, unsigned number)
{
    const struct debug *debug = ((struct debug_evaluation *)ctx)->debug;

    return debug->has_register && debug->has_register(debug->registers_ctx, number);
}

bool debug_evaluate_register(void *ctx, unsigned number, uint64_t *value)
{
    const struct debug_evaluation *at = ctx;

    return at->debug->read_register(at->debug->registers_ctx, at->vcpu, number, value);
}

bool debug_evaluate_memory(void *ctx, uint64_t address, void *buffer, size_t n)
{
    const struct debug_evaluation *at = ctx;

    return debug_read(at->debug, at->vcpu, address, buffer, n) == n;
}

static struct trace_variable *find(void *ctx, unsigned number)
{
    return debug_trace_variable(((struct debug_evaluation *)ctx)->debug, number);
}

bool debug_evaluate_has_variable(void *ctx, unsigned number)
{
    return find(ctx, number) != NULL;
}

bool debug_evaluate_variable(void *ctx, unsigned number, uint64_t *value)
{
    const struct trace_variable *v = find(ctx, number);

    if (v)
        *value = v->value;
    return v != NULL;
}

bool debug_evaluate_set_variable(void *ctx, unsigned number, uint64_t value)
{
    struct trace_variable *v = find(ctx, number);

    if (v)
        v->value = value;
    return v != NULL;
}
