/* Software breakpoints: set by linear address, standing at a guest-physical place. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/debug.h"
#include "debug/trace.h"
#include "x86/segment.h"

/* A breakpoint is in one list: of those at the same place, or of those that have none yet. */
static void list_join(struct debug_breakpoint **first, struct debug_breakpoint *breakpoint)
{
    breakpoint->next = *first;
    breakpoint->link = first;
    if (*first)
        (*first)->link = &breakpoint->next;
    *first = breakpoint;
}

static void list_leave(struct debug_breakpoint *breakpoint)
{
    *breakpoint->link = breakpoint->next;
    if (breakpoint->next)
        breakpoint->next->link = breakpoint->link;
}

/* One more breakpoint at the place; the first puts it into the engine. */
static int site_join(struct debug *debug, struct debug_breakpoint *breakpoint, uint64_t gpa)
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
    if (breakpoint->link)
        list_leave(breakpoint); /* it is not pending any more */
    list_join(&site->first, breakpoint);
    breakpoint->place = DEBUG_PHYSICAL;
    breakpoint->gpa = gpa;
    return RINGSIDE_OK;
}

static int site_leave(struct debug *debug, struct debug_breakpoint *breakpoint)
{
    struct debug_site *site = debug_table_find(&debug->sites, breakpoint->gpa);
    int error = RINGSIDE_OK;

    list_leave(breakpoint);
    if (!site->first) {
        error = debug->target->breakpoint->remove(debug->ctx, breakpoint->gpa);
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
    list_join(&debug->pending, breakpoint);
}

/* Finds a place for a breakpoint that is in the table alone. */
static int place(struct debug *debug, unsigned vcpu, struct debug_breakpoint *breakpoint)
{
    uint64_t gpa;

    if (debug_translate(debug, vcpu, breakpoint->item.key, &gpa)) {
        park(debug, breakpoint);
        return RINGSIDE_OK;
    }
    int error = site_join(debug, breakpoint, gpa);
    if (error != RINGSIDE_ENOTSUP)
        return error;
    park(debug, breakpoint); /* an engine that has no others */
    if (breakpoint->place == DEBUG_LINEAR)
        return RINGSIDE_OK;
    list_leave(breakpoint);
    return error;
}

/* The one at this address, which is made if there is none. */
static int find_or_place(struct debug *debug, unsigned vcpu, uint64_t linear,
                         struct debug_breakpoint **out)
{
    struct debug_breakpoint *breakpoint = debug_table_find(&debug->breakpoints, linear);
    int error = RINGSIDE_OK;

    if (!breakpoint) {
        breakpoint = debug_table_add(&debug->breakpoints, linear);
        error = breakpoint ? place(debug, vcpu, breakpoint) : RINGSIDE_ENOSPC;
    }
    if (!error)
        *out = breakpoint;
    else if (breakpoint)
        debug_table_remove(&debug->breakpoints, breakpoint);
    return error;
}

int debug_breakpoint_set(struct debug *debug, unsigned vcpu, uint64_t linear,
                         const struct debug_program *program)
{
    struct debug_breakpoint *breakpoint;
    struct debug_code *code;
    int error = debug_code_new(debug, program, &code);

    if (error)
        return error;
    error = find_or_place(debug, vcpu, linear, &breakpoint);
    if (error) {
        debug_code_free(debug, code);
        return error;
    }
    breakpoint->asked = true;
    debug_code_free(debug, breakpoint->code);
    breakpoint->code = code;
    return RINGSIDE_OK;
}

/* It goes when neither the debugger nor a tracepoint wants it. */
static int release(struct debug *debug, struct debug_breakpoint *breakpoint)
{
    int error = RINGSIDE_OK;

    if (breakpoint->asked || breakpoint->traces)
        return RINGSIDE_OK;
    switch (breakpoint->place) {
    case DEBUG_PHYSICAL: error = site_leave(debug, breakpoint); break;
    case DEBUG_LINEAR:
        error = unwatch_linear(debug, breakpoint->item.key);
        list_leave(breakpoint);
        break;
    case DEBUG_PENDING: list_leave(breakpoint); break;
    }
    debug_table_remove(&debug->breakpoints, breakpoint);
    return error;
}

static int clear(struct debug *debug, struct debug_breakpoint *breakpoint)
{
    breakpoint->asked = false;
    debug_code_free(debug, breakpoint->code);
    breakpoint->code = NULL;
    return release(debug, breakpoint);
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

int debug_breakpoint_trace(struct debug *debug, unsigned vcpu, struct debug_tracepoint *t)
{
    struct debug_breakpoint *breakpoint;
    int error = find_or_place(debug, vcpu, t->address, &breakpoint);

    if (error)
        return error;
    t->next = breakpoint->traces;
    breakpoint->traces = t;
    t->placed = true;
    return RINGSIDE_OK;
}

void debug_breakpoint_untrace(struct debug *debug, struct debug_tracepoint *t)
{
    struct debug_breakpoint *breakpoint = debug_table_find(&debug->breakpoints, t->address);
    struct debug_tracepoint **link = &breakpoint->traces;

    while (*link != t)
        link = &(*link)->next;
    *link = t->next;
    t->placed = false;
    release(debug, breakpoint);
}

static void bind(struct debug *debug, struct debug_breakpoint *breakpoint)
{
    uint64_t linear = breakpoint->item.key, gpa;

    for (unsigned vcpu = 0; vcpu < debug->vcpu_count; vcpu++) {
        if (debug_translate(debug, vcpu, linear, &gpa))
            continue;
        bool watched = breakpoint->place == DEBUG_LINEAR;
        if (site_join(debug, breakpoint, gpa))
            return;
        if (watched)
            unwatch_linear(debug, linear);
        return;
    }
}

void debug_breakpoints_bind(struct debug *debug)
{
    for (struct debug_breakpoint *b = debug->pending, *next; b; b = next) {
        next = b->next;
        bind(debug, b);
    }
}

/* All that stands at RIP. */
struct place_of_rip {
    const struct debug_breakpoint *pending; /* by linear address */
    const struct debug_site *site;
    const struct debug_watch *watch;
};

/* known: where it is in guest-physical memory, or NULL. */
static bool find(struct debug *debug, unsigned vcpu, const uint64_t *known, struct place_of_rip *at)
{
    const struct ringside_regs *regs;
    uint64_t linear, gpa;

    *at = (struct place_of_rip){0};
    if (!debug->breakpoints.count && !debug->watches.count)
        return false;
    regs = debug_regs(debug, vcpu);
    if (!regs)
        return false;
    linear = x86_linear_rip(regs);
    if (debug->pending) {
        at->pending = debug_table_find(&debug->breakpoints, linear);
        if (at->pending && at->pending->place != DEBUG_LINEAR)
            at->pending = NULL;
    }
    if (debug->sites.count && (known || !debug_translate(debug, vcpu, linear, &gpa)))
        at->site = debug_table_find(&debug->sites, known ? *known : gpa);
    if (debug->code_watches)
        at->watch = debug_watch_find(debug, RINGSIDE_WATCH_EXEC, linear, 1);
    return at->pending || at->site || at->watch;
}

bool debug_breakpoint_at(struct debug *debug, unsigned vcpu)
{
    struct place_of_rip at;

    return find(debug, vcpu, NULL, &at);
}

static void trace(struct debug *debug, unsigned vcpu, const struct place_of_rip *at)
{
    if (at->pending)
        debug_trace_hit(debug, vcpu, at->pending->traces);
    for (const struct debug_breakpoint *b = at->site ? at->site->first : NULL; b; b = b->next)
        debug_trace_hit(debug, vcpu, b->traces);
}

void debug_breakpoint_pass(struct debug *debug, unsigned vcpu)
{
    struct place_of_rip at;

    if (debug_trace_arrives(debug, vcpu) && find(debug, vcpu, NULL, &at))
        trace(debug, vcpu, &at);
    debug_trace_tidy(debug);
}

static bool stops(struct debug *debug, unsigned vcpu, const struct debug_breakpoint *breakpoint)
{
    return breakpoint->asked && debug_code_stops(debug, vcpu, breakpoint->code);
}

enum debug_met debug_breakpoint_met(struct debug *debug, unsigned vcpu, const uint64_t *gpa,
                                    enum debug_reason *reason)
{
    struct place_of_rip at;
    bool software, hardware;

    if (!find(debug, vcpu, gpa, &at))
        return DEBUG_MET_NONE;
    if (!debug_code_can_run(debug))
        return DEBUG_MET_UNSAID;
    uint32_t printed = debug->console.length;
    if (debug_trace_arrives(debug, vcpu))
        trace(debug, vcpu, &at);
    software = at.pending && stops(debug, vcpu, at.pending);
    /* Each has its say, and its commands run. */
    for (const struct debug_breakpoint *b = at.site ? at.site->first : NULL; b; b = b->next)
        software |= stops(debug, vcpu, b);
    hardware = at.watch && debug_code_stops(debug, vcpu, at.watch->code);
    if (debug->console.length != printed && debug->notify)
        debug->notify(debug->ctx);
    debug_trace_tidy(debug);
    if (!software && !hardware)
        return DEBUG_MET_PASSES;
    *reason = software ? DEBUG_REASON_BREAKPOINT : DEBUG_REASON_HARDWARE_BREAKPOINT;
    return DEBUG_MET_STOP;
}
