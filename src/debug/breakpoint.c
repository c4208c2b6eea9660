/* Software breakpoints: set by linear address, standing at a guest-physical place. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/debug.h"

/* One more reference to the place; the first puts it into the engine. */
static int site_get(struct debug *debug, uint64_t gpa)
{
    struct debug_site *site = debug_table_find(&debug->sites, gpa);

    if (!site) {
        site = debug_table_add(&debug->sites, gpa);
        if (!site)
            return RINGSIDE_ENOSPC;
        int error = debug->target->breakpoint->insert(debug->ctx, gpa);
        if (error) {
            debug_table_remove(&debug->sites, site);
            return error;
        }
    }
    site->references++;
    return RINGSIDE_OK;
}

static int site_put(struct debug *debug, uint64_t gpa)
{
    struct debug_site *site = debug_table_find(&debug->sites, gpa);
    int error = RINGSIDE_OK;

    if (--site->references == 0) {
        error = debug->target->breakpoint->remove(debug->ctx, gpa);
        debug_table_remove(&debug->sites, site);
    }
    return error;
}

static int watch_linear(struct debug *debug, uint64_t linear)
{
    const struct ringside_watch_ops *ops = debug->target->watch;

    return ops ? ops->insert(debug->ctx, RINGSIDE_WATCH_EXEC, linear, 1) : RINGSIDE_ENOTSUP;
}

static int unwatch_linear(struct debug *debug, uint64_t linear)
{
    return debug->target->watch->remove(debug->ctx, RINGSIDE_WATCH_EXEC, linear, 1);
}

/* Somewhere for a breakpoint to wait whose page is not mapped. */
static void park(struct debug *debug, struct debug_breakpoint *breakpoint)
{
    uint64_t linear = breakpoint->item.key;

    /* The user's own hardware breakpoint there does the same, and is not ours to remove. */
    bool taken = debug_watch_find(debug, RINGSIDE_WATCH_EXEC, linear, 1);
    breakpoint->place = !taken && !watch_linear(debug, linear) ? DEBUG_LINEAR : DEBUG_PENDING;
    debug->pending++;
}

int debug_breakpoint_set(struct debug *debug, unsigned vcpu, uint64_t linear)
{
    struct debug_breakpoint *breakpoint = debug_table_find(&debug->breakpoints, linear);
    uint64_t gpa;

    if (breakpoint)
        return RINGSIDE_OK;
    breakpoint = debug_table_add(&debug->breakpoints, linear);
    if (!breakpoint)
        return RINGSIDE_ENOSPC;
    if (debug_translate(debug, vcpu, linear, &gpa)) {
        park(debug, breakpoint);
        return RINGSIDE_OK;
    }
    int error = site_get(debug, gpa);
    if (error) {
        debug_table_remove(&debug->breakpoints, breakpoint);
        return error;
    }
    breakpoint->place = DEBUG_PHYSICAL;
    breakpoint->gpa = gpa;
    return RINGSIDE_OK;
}

static int clear(struct debug *debug, struct debug_breakpoint *breakpoint)
{
    int error = RINGSIDE_OK;

    switch (breakpoint->place) {
    case DEBUG_PHYSICAL: error = site_put(debug, breakpoint->gpa); break;
    case DEBUG_LINEAR:
        error = unwatch_linear(debug, breakpoint->item.key);
        debug->pending--;
        break;
    case DEBUG_PENDING: debug->pending--; break;
    }
    debug_table_remove(&debug->breakpoints, breakpoint);
    return error;
}

int debug_breakpoint_clear(struct debug *debug, uint64_t linear)
{
    struct debug_breakpoint *breakpoint = debug_table_find(&debug->breakpoints, linear);

    return breakpoint ? clear(debug, breakpoint) : RINGSIDE_OK;
}

void debug_breakpoints_clear_all(struct debug *debug)
{
    struct debug_breakpoint *b = NULL;

    while ((b = debug_table_next(&debug->breakpoints, b)))
        clear(debug, b);
}

static void bind(struct debug *debug, struct debug_breakpoint *breakpoint)
{
    uint64_t linear = breakpoint->item.key, gpa;

    for (unsigned vcpu = 0; vcpu < debug->vcpu_count; vcpu++) {
        if (debug_translate(debug, vcpu, linear, &gpa))
            continue;
        if (site_get(debug, gpa))
            return;
        if (breakpoint->place == DEBUG_LINEAR)
            unwatch_linear(debug, linear);
        breakpoint->place = DEBUG_PHYSICAL;
        breakpoint->gpa = gpa;
        debug->pending--;
        return;
    }
}

void debug_breakpoints_bind(struct debug *debug)
{
    struct debug_breakpoint *b = NULL;

    while (debug->pending && (b = debug_table_next(&debug->breakpoints, b)))
        if (b->place != DEBUG_PHYSICAL)
            bind(debug, b);
}

bool debug_breakpoint_at(struct debug *debug, unsigned vcpu, enum debug_reason *reason)
{
    const struct debug_breakpoint *breakpoint;
    const struct ringside_regs *regs;
    uint64_t linear, gpa;

    if (!debug->breakpoints.count && !debug->watches.count)
        return false;
    regs = debug_regs(debug, vcpu);
    if (!regs)
        return false;
    linear = debug_linear_rip(regs);
    breakpoint = debug_table_find(&debug->breakpoints, linear);
    if ((breakpoint && breakpoint->place == DEBUG_LINEAR) ||
        (debug->sites.count && !debug_translate(debug, vcpu, linear, &gpa) &&
         debug_table_find(&debug->sites, gpa))) {
        *reason = DEBUG_REASON_BREAKPOINT;
        return true;
    }
    if (debug_watch_find(debug, RINGSIDE_WATCH_EXEC, linear, 1)) {
        *reason = DEBUG_REASON_HARDWARE_BREAKPOINT;
        return true;
    }
    return false;
}
