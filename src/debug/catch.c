/* The events that the debugger wants to be told of, through the engine's catch group. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/debug.h"

/* The engine, and the steps that no engine sees, learn of the first `count`. */
static int publish(struct debug *debug, unsigned count)
{
    const struct ringside_catch_ops *ops = debug->target->catches;
    int error = ops->set(debug->ctx, debug->catches, count);

    if (error)
        return error;
    debug->catch_count = count;
    step_set_catches(&debug->step, debug->catches, count);
    return RINGSIDE_OK;
}

static unsigned find(const struct debug *debug, const struct ringside_catch *what)
{
    unsigned i = 0;

    while (i < debug->catch_count &&
           (debug->catches[i].kind != what->kind || debug->catches[i].number != what->number))
        i++;
    return i;
}

int debug_catch_set(struct debug *debug, const struct ringside_catch *what)
{
    if (find(debug, what) < debug->catch_count)
        return RINGSIDE_OK;
    if (debug->catch_count == DEBUG_CATCHES_MAX)
        return RINGSIDE_ENOSPC;
    debug->catches[debug->catch_count] = *what;
    return publish(debug, debug->catch_count + 1);
}

int debug_catch_clear(struct debug *debug, const struct ringside_catch *what)
{
    unsigned i = find(debug, what);

    if (i == debug->catch_count)
        return RINGSIDE_OK;
    for (; i + 1 < debug->catch_count; i++)
        debug->catches[i] = debug->catches[i + 1];
    return publish(debug, debug->catch_count - 1);
}

void debug_catches_clear_all(struct debug *debug)
{
    if (debug->catch_count)
        publish(debug, 0);
}
