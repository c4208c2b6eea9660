/* Run control, the vCPU's side: what an exit means, and what comes before the next entry. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/run.h"
#include "debug/trace.h"

static enum ringside_verdict park(struct debug *debug, unsigned vcpu)
{
    struct debug_vcpu *v = &debug->vcpus[vcpu];

    debug_vcpu_disarm(debug, vcpu);
    if (!v->parked) {
        v->parked = true;
        if (debug->state == DEBUG_STOPPING)
            debug_settle(debug);
    }
    return RINGSIDE_PARK;
}

/* A halted vCPU's next step is the event that wakes it: holding that back would hold it for ever.
 */
static bool hold_interrupts(struct debug *debug, unsigned vcpu)
{
    const struct ringside_regs *regs = debug_regs(debug, vcpu);

    return !debug->step_interrupts && regs && regs->activity == RINGSIDE_RUNNING;
}

/* It is at a breakpoint, and goes on: a step takes it off. */
static void pass(struct debug *debug, unsigned vcpu)
{
    struct debug_vcpu *v = &debug->vcpus[vcpu];

    if (v->action != DEBUG_RUN)
        return; /* the next step begins here anyway */
    if (!step_chosen(&debug->step)) {
        debug_stop_for(debug, vcpu, DEBUG_REASON_BREAKPOINT);
        return;
    }
    v->fresh = v->shown = v->passes = true;
    v->shown_rip = debug_regs(debug, vcpu)->rip;
    debug_vcpu_look(v, true);
}

static void breakpoint_hit(struct debug *debug, unsigned vcpu, const uint64_t *gpa)
{
    enum debug_reason reason;

    switch (debug_breakpoint_met(debug, vcpu, gpa, &reason)) {
    case DEBUG_MET_NONE: break; /* removed meanwhile */
    case DEBUG_MET_STOP: debug_stop_for(debug, vcpu, reason); break;
    case DEBUG_MET_PASSES: pass(debug, vcpu); break;
    case DEBUG_MET_UNSAID:
        debug->vcpus[vcpu].unsaid = true;
        debug_vcpu_look(&debug->vcpus[vcpu], true);
        break;
    }
}

/* An engine has seen it: it may know where that is. */
static void breakpoint_exit(struct debug *debug, unsigned vcpu, const struct ringside_exit *exit)
{
    breakpoint_hit(debug, vcpu, exit->has_gpa ? &exit->gpa : NULL);
}

static void watch_hit(struct debug *debug, unsigned vcpu, const struct ringside_exit *exit)
{
    struct debug_stop event = {
        .reason = DEBUG_REASON_WATCHPOINT,
        .vcpu = vcpu,
        .watch_kind = exit->watch_kind,
        .watch_address = exit->watch_address,
    };

    if (exit->watch_kind == RINGSIDE_WATCH_EXEC)
        breakpoint_exit(debug, vcpu, exit);
    else
        debug_stop_all(debug, vcpu, &event);
}

/* Is it that a breakpoint of ours cannot be executed?  Else the server executes what is there and,
 * as the engine is likely to decline more of what follows, that too. */
static void declined(struct debug *debug, unsigned vcpu)
{
    struct debug_vcpu *v = &debug->vcpus[vcpu];

    if (!debug_must_leave(debug, vcpu))
        breakpoint_hit(debug, vcpu, NULL);
    if (v->action == DEBUG_STAY || v->unsaid)
        return;
    v->declined = debug_regs(debug, vcpu) != NULL;
    debug_vcpu_look(v, true);
}

static void caught(struct debug *debug, unsigned vcpu, const struct ringside_caught *what)
{
    const struct debug_stop event = {.reason = DEBUG_REASON_CATCH, .vcpu = vcpu, .caught = *what};

    debug_stop_all(debug, vcpu, &event);
}

/* A vCPU that is to run is at a breakpoint: does the engine take it off, by running? */
static bool engine_passes(struct debug *debug, unsigned vcpu)
{
    const struct ringside_breakpoint_ops *ops = debug->target->breakpoint;
    struct debug_vcpu *v = &debug->vcpus[vcpu];

    if (v->action != DEBUG_RUN || !ops || !ops->pass ||
        step_chosen(&debug->step) != RINGSIDE_STEP_EMULATE)
        return false;
    if (!v->passes) /* else it was met, just now */
        debug_breakpoint_pass(debug, vcpu);
    if (debug_trace_steps(debug, vcpu))
        return false;
    ops->pass(debug->ctx, vcpu);
    v->traced = false;
    return true;
}

/* One step is done: of a range or for a tracepoint, the last one, or off a breakpoint. */
static void stepped(struct debug *debug, unsigned vcpu)
{
    struct debug_vcpu *v = &debug->vcpus[vcpu];
    const struct ringside_regs *regs;

    if (v->action != DEBUG_STEP && !debug_trace_steps(debug, vcpu))
        return;
    regs = debug_regs(debug, vcpu);
    if (v->action != DEBUG_STEP || (regs && regs->rip >= v->begin && regs->rip < v->end))
        breakpoint_hit(debug, vcpu, NULL); /* the next step would pass over it */
    else
        debug_stop_for(debug, vcpu, DEBUG_REASON_STEP);
}

static void step_over(struct debug *debug, unsigned vcpu, enum step_outcome outcome,
                      const struct ringside_exit *exit)
{
    if (debug->lone == vcpu + 1)
        debug_lone_end(debug);
    debug->vcpus[vcpu].cached = debug->vcpus[vcpu].leaving = false;
    debug->vcpus[vcpu].declined = false;
    if (outcome != STEP_NOT_OURS)
        debug->vcpus[vcpu].shown = debug->vcpus[vcpu].traced = false;
    if (outcome == STEP_DONE || outcome == STEP_WATCH || outcome == STEP_CATCH)
        debug_trace_stepped(debug, vcpu);
    switch (outcome) {
    case STEP_ENTER:
    case STEP_ALONE:
    case STEP_AGAIN:
    case STEP_NOT_OURS: break;
    case STEP_DONE: stepped(debug, vcpu); break;
    case STEP_WATCH: watch_hit(debug, vcpu, exit); break;
    case STEP_CATCH: caught(debug, vcpu, &debug->step.caught); break;
    case STEP_BREAKPOINT: breakpoint_hit(debug, vcpu, NULL); break;
    case STEP_SHUTDOWN: debug_stop_for(debug, vcpu, DEBUG_REASON_SHUTDOWN); break;
    case STEP_FAILED: debug_stop_for(debug, vcpu, DEBUG_REASON_ERROR); break;
    }
}

/* Begins the step that is due; STEP_ENTER if it takes an entry. */
static enum step_outcome begin_step(struct debug *debug, unsigned vcpu, struct ringside_exit *exit)
{
    struct debug_vcpu *v = &debug->vcpus[vcpu];
    struct step_request request = {.hold_interrupts = true, .alone = debug_is_alone(debug, vcpu)};

    debug_breakpoint_pass(debug, vcpu);
    /* Those that are still parked must not come in while hardware has lifted the breakpoint. */
    request.on_breakpoint = debug_is_threaded(debug) &&
                            (v->declined || debug_breakpoint_at(debug, vcpu)) &&
                            !(request.alone && debug->lone == vcpu + 1);
    request.declined = v->declined;
    v->leaving = v->action == DEBUG_RUN;
    if (!v->leaving) {
        request.hold_interrupts = hold_interrupts(debug, vcpu);
        if (!debug_trace_steps(debug, vcpu)) {
            request.begin = v->begin;
            request.end = v->end;
        }
    } else if (v->declined && !debug_trace_steps(debug, vcpu)) {
        request.end = UINT64_MAX;
    }
    debug->step.code_watches = debug->code_watches || debug->pending;
    return step_begin(&debug->step, &v->step, vcpu, &request, exit);
}

/* The breakpoint that it has come to could not be judged: can it now?  True: not yet. */
static bool is_unsaid(struct debug *debug, unsigned vcpu)
{
    struct debug_vcpu *v = &debug->vcpus[vcpu];

    if (!v->unsaid || v->action == DEBUG_STAY)
        return false;
    v->unsaid = false;
    breakpoint_hit(debug, vcpu, NULL);
    return v->unsaid;
}

/* Out of the way of the vCPU that needs the guest for itself. */
static enum ringside_verdict make_way(struct debug *debug, unsigned vcpu)
{
    debug->vcpus[vcpu].parked = true;
    debug->port->wake(debug->ctx, debug->lone - 1);
    return RINGSIDE_PARK;
}

static enum ringside_verdict await_the_others(struct debug *debug, unsigned vcpu)
{
    debug_lone_begin(debug, vcpu);
    debug->vcpus[vcpu].parked = true;
    return debug_is_alone(debug, vcpu) ? RINGSIDE_AGAIN : RINGSIDE_PARK;
}

/* No step is under way, and one is due. */
static bool must_step(struct debug *debug, unsigned vcpu)
{
    const struct debug_vcpu *v = &debug->vcpus[vcpu];

    return !v->step.way &&
           (v->action == DEBUG_STEP || v->declined || (v->fresh && debug_must_leave(debug, vcpu)) ||
            debug_trace_steps(debug, vcpu));
}

/* What it was when it stood is over. */
static void moves(struct debug_vcpu *v)
{
    if (!v->step.way)
        v->shown = false;
    v->parked = v->fresh = v->passes = v->cached = false;
}

static enum ringside_verdict step(struct debug *debug, unsigned vcpu)
{
    struct debug_vcpu *v = &debug->vcpus[vcpu];
    struct ringside_exit exit;
    enum step_outcome outcome = begin_step(debug, vcpu, &exit);

    if (outcome == STEP_ALONE)
        return await_the_others(debug, vcpu);
    moves(v);
    if (outcome == STEP_ENTER)
        return RINGSIDE_RUN;
    step_over(debug, vcpu, outcome, &exit);
    return v->action == DEBUG_STAY ? park(debug, vcpu) : RINGSIDE_AGAIN;
}

/* The only one that goes, by a step that may take no entry: done by the thread that asks for it,
 * since waking the vCPU's own and being woken by that takes longer than the step.  What takes an
 * entry its own thread begins anew: armed, it would not be as parked ones are. */
void debug_step_parked(struct debug *debug, unsigned vcpu)
{
    struct ringside_exit exit;
    enum step_outcome outcome = begin_step(debug, vcpu, &exit);

    if (outcome == STEP_ENTER || outcome == STEP_ALONE) {
        debug_vcpu_disarm(debug, vcpu);
    } else {
        debug->vcpus[vcpu].fresh = false;
        step_over(debug, vcpu, outcome, &exit);
    }
}

enum ringside_verdict debug_enter(struct debug *debug, unsigned vcpu)
{
    struct debug_vcpu *v = &debug->vcpus[vcpu];

    if (is_unsaid(debug, vcpu))
        return RINGSIDE_AGAIN;
    if (v->action == DEBUG_STAY)
        return park(debug, vcpu);
    if (debug->lone && debug->lone != vcpu + 1)
        return make_way(debug, vcpu);
    if (v->step.way && v->action == DEBUG_RUN && !v->leaving)
        debug_vcpu_disarm(debug, vcpu); /* the debugger left in the middle of a step */
    if (must_step(debug, vcpu) && !engine_passes(debug, vcpu))
        return step(debug, vcpu);
    if (!v->step.way)
        debug_vcpu_look(v, false); /* nothing is left to do */
    moves(v);
    return RINGSIDE_RUN;
}

static bool site_at(void *owner, uint64_t gpa)
{
    return debug_table_find(&((struct debug *)owner)->sites, gpa) != NULL;
}

static bool code_watch_at(void *owner, uint64_t linear)
{
    const struct debug *debug = owner;

    return debug_table_find(&debug->breakpoints, linear) ||
           debug_watch_find(debug, RINGSIDE_WATCH_EXEC, linear, 1);
}

void debug_hook_steps(struct debug *debug)
{
    debug->step.owner = debug;
    debug->step.breakpoint = site_at;
    debug->step.code_watch = code_watch_at;
}

void debug_exit(struct debug *debug, unsigned vcpu, const struct ringside_exit *exit)
{
    struct step_state *state = &debug->vcpus[vcpu].step;

    if (state->way) {
        enum step_outcome outcome = step_end(&debug->step, state, vcpu, exit);
        if (outcome == STEP_ENTER)
            return;
        step_over(debug, vcpu, outcome, exit);
        if (outcome != STEP_NOT_OURS)
            return;
    }
    if (!debug->attached)
        return;
    switch (exit->reason) {
    case RINGSIDE_EXIT_BREAKPOINT: breakpoint_exit(debug, vcpu, exit); break;
    case RINGSIDE_EXIT_WATCH: watch_hit(debug, vcpu, exit); break;
    case RINGSIDE_EXIT_CATCH: caught(debug, vcpu, &exit->caught); break;
    case RINGSIDE_EXIT_SHUTDOWN: debug_stop_for(debug, vcpu, DEBUG_REASON_SHUTDOWN); break;
    case RINGSIDE_EXIT_DECLINED: declined(debug, vcpu); break;
    case RINGSIDE_EXIT_ERROR: debug_stop_for(debug, vcpu, DEBUG_REASON_ERROR); break;
    default: break;
    }
    if (debug->vcpus[vcpu].action != DEBUG_STAY && !debug->vcpus[vcpu].passes)
        debug->vcpus[vcpu].cached = false; /* it goes on without another look */
}
