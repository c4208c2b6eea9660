/* Run control: who may be in the guest, for how long, and what a vCPU's exit means. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/trace.h"

/* The life of the fields used here is told above struct debug_vcpu. */

static bool is_threaded(const struct debug *debug)
{
    return debug->port && debug->port->wait;
}

static void look(struct debug_vcpu *v, bool value)
{
    __atomic_store_n(&v->look, value, __ATOMIC_RELEASE);
}

bool debug_must_look(const struct debug *debug, unsigned vcpu)
{
    return __atomic_load_n(&debug->vcpus[vcpu].look, __ATOMIC_ACQUIRE);
}

static void disarm(struct debug *debug, unsigned vcpu)
{
    struct debug_vcpu *v = &debug->vcpus[vcpu];

    step_cancel(&debug->step, &v->step, vcpu);
    v->leaving = false;
}

static void tell(struct debug *debug)
{
    if (debug->notify && !debug->in_input)
        debug->notify(debug->ctx);
}

static bool is_alone(const struct debug *debug, unsigned vcpu)
{
    for (unsigned i = 0; i < debug->vcpu_count && is_threaded(debug); i++)
        if (i != vcpu && !debug->vcpus[i].parked)
            return false;
    return true;
}

bool debug_must_wait(const struct debug *debug, unsigned vcpu)
{
    if (debug->vcpus[vcpu].action == DEBUG_STAY)
        return true;
    if (debug->lone == vcpu + 1)
        return !is_alone(debug, vcpu);
    return debug->lone != 0;
}

/* The others go on. */
static void end_lone(struct debug *debug)
{
    if (!debug->lone)
        return;
    debug->lone = 0;
    for (unsigned i = 0; i < debug->vcpu_count; i++)
        debug->port->wake(debug->ctx, i);
}

/* The vCPU has the guest for itself as soon as the others came out. */
static void begin_lone(struct debug *debug, unsigned vcpu)
{
    debug->lone = vcpu + 1;
    for (unsigned i = 0; i < debug->vcpu_count; i++) {
        look(&debug->vcpus[i], true);
        if (i != vcpu && !debug->vcpus[i].parked)
            debug->target->kick(debug->ctx, i);
    }
}

/* The stop is complete with its last vCPU. */
static void settle(struct debug *debug)
{
    for (unsigned i = 0; i < debug->vcpu_count; i++)
        if (!debug->vcpus[i].parked)
            return;
    debug->state = DEBUG_STOPPED;
    debug->stop_ready = true;
    tell(debug);
}

/* event may be NULL: nothing happened to the vCPU. */
void debug_stop_all(struct debug *debug, unsigned vcpu, const struct debug_stop *event)
{
    struct debug_vcpu *source = &debug->vcpus[vcpu];

    if (event && source->event.reason == DEBUG_REASON_NONE)
        source->event = *event;
    if (debug->state != DEBUG_RUNNING)
        return;
    debug->state = DEBUG_STOPPING;
    debug->event_vcpu = vcpu;
    end_lone(debug);
    for (unsigned i = 0; i < debug->vcpu_count; i++) {
        struct debug_vcpu *v = &debug->vcpus[i];
        v->action = DEBUG_STAY;
        look(v, true);
        if (!is_threaded(debug)) {
            disarm(debug, i);
            v->parked = true;
        } else if (!v->parked) {
            debug->target->kick(debug->ctx, i);
        }
    }
    settle(debug);
}

static void stop(struct debug *debug, unsigned vcpu, enum debug_reason reason)
{
    debug_stop_all(debug, vcpu, &(struct debug_stop){.reason = reason, .vcpu = vcpu});
}

void debug_interrupt(struct debug *debug)
{
    if (debug->state == DEBUG_RUNNING)
        stop(debug, debug->event_vcpu, DEBUG_REASON_INTERRUPT);
}

void debug_plan(struct debug *debug, unsigned vcpu, enum debug_action action, uint64_t begin,
                uint64_t end)
{
    struct debug_vcpu *v = &debug->vcpus[vcpu];

    v->planned = action;
    v->planned_begin = begin;
    v->planned_end = end;
}

/* Must its first step be the one that takes it off a breakpoint that was shown already? */
static bool must_leave(struct debug *debug, unsigned vcpu)
{
    const struct debug_vcpu *v = &debug->vcpus[vcpu];
    const struct ringside_regs *regs;

    if (!v->shown)
        return false;
    regs = debug_regs(debug, vcpu);
    /* A halted vCPU comes back to RIP by way of the handler that wakes it: a new arrival. */
    return regs && regs->rip == v->shown_rip && regs->activity == RINGSIDE_RUNNING &&
           (v->passes || debug_breakpoint_at(debug, vcpu));
}

/* Has this vCPU something to tell that running it would lose? */
static bool owes_a_stop(const struct debug_vcpu *v)
{
    switch (v->event.reason) {
    case DEBUG_REASON_WATCHPOINT:
    case DEBUG_REASON_CATCH:
    case DEBUG_REASON_SHUTDOWN:
    case DEBUG_REASON_ERROR: return v->planned != DEBUG_STAY;
    case DEBUG_REASON_STEP: return v->planned == DEBUG_STEP;
    default: return false; /* a breakpoint is met again */
    }
}

static bool report_owed(struct debug *debug)
{
    for (unsigned i = 0; i < debug->vcpu_count; i++) {
        if (owes_a_stop(&debug->vcpus[i])) {
            debug->event_vcpu = i;
            return true;
        }
    }
    return false;
}

void debug_resume_all(struct debug *debug)
{
    debug->state = DEBUG_RUNNING;
    end_lone(debug);
    for (unsigned i = 0; i < debug->vcpu_count; i++) {
        struct debug_vcpu *v = &debug->vcpus[i];
        v->action = DEBUG_RUN;
        v->leaving = v->passes = v->unsaid = v->declined = false;
        look(v, true); /* it may have to be disarmed */
        if (!is_threaded(debug))
            disarm(debug, i);
        else if (v->parked)
            debug->port->wake(debug->ctx, i);
        else
            debug->target->kick(debug->ctx, i);
    }
}

bool debug_take_stop(struct debug *debug, struct debug_stop *out)
{
    if (!debug->stop_ready)
        return false;
    struct debug_vcpu *v = &debug->vcpus[debug->event_vcpu];
    const struct ringside_regs *regs = debug_regs(debug, debug->event_vcpu);

    debug->stop = v->event;
    debug->stop.vcpu = debug->event_vcpu;
    debug->stop_ready = false;
    v->event.reason = DEBUG_REASON_NONE;
    v->shown = regs != NULL;
    if (regs)
        v->shown_rip = regs->rip;
    *out = debug->stop;
    return true;
}

static enum ringside_verdict park(struct debug *debug, unsigned vcpu)
{
    struct debug_vcpu *v = &debug->vcpus[vcpu];

    disarm(debug, vcpu);
    if (!v->parked) {
        v->parked = true;
        if (debug->state == DEBUG_STOPPING)
            settle(debug);
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
        stop(debug, vcpu, DEBUG_REASON_BREAKPOINT);
        return;
    }
    v->fresh = v->shown = v->passes = true;
    v->shown_rip = debug_regs(debug, vcpu)->rip;
    look(v, true);
}

static void breakpoint_hit(struct debug *debug, unsigned vcpu)
{
    enum debug_reason reason;

    switch (debug_breakpoint_met(debug, vcpu, &reason)) {
    case DEBUG_MET_NONE: break; /* removed meanwhile */
    case DEBUG_MET_STOP: stop(debug, vcpu, reason); break;
    case DEBUG_MET_PASSES: pass(debug, vcpu); break;
    case DEBUG_MET_UNSAID:
        debug->vcpus[vcpu].unsaid = true;
        look(&debug->vcpus[vcpu], true);
        break;
    }
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
        breakpoint_hit(debug, vcpu);
    else
        debug_stop_all(debug, vcpu, &event);
}

/* Is it that a breakpoint of ours cannot be executed?  Else the server executes what is there and,
 * as the engine is likely to decline more of what follows, that too. */
static void declined(struct debug *debug, unsigned vcpu)
{
    struct debug_vcpu *v = &debug->vcpus[vcpu];

    breakpoint_hit(debug, vcpu);
    if (v->action == DEBUG_STAY || v->unsaid)
        return;
    v->declined = debug_regs(debug, vcpu) != NULL;
    look(v, true);
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

    if (debug->vcpus[vcpu].action != DEBUG_RUN || !ops || !ops->pass ||
        step_chosen(&debug->step) != RINGSIDE_STEP_EMULATE)
        return false;
    debug_breakpoint_pass(debug, vcpu);
    if (debug_trace_steps(debug, vcpu))
        return false;
    ops->pass(debug->ctx, vcpu);
    debug->vcpus[vcpu].traced = false;
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
        breakpoint_hit(debug, vcpu); /* the next step would pass over it */
    else
        stop(debug, vcpu, DEBUG_REASON_STEP);
}

static void step_over(struct debug *debug, unsigned vcpu, enum step_outcome outcome,
                      const struct ringside_exit *exit)
{
    if (debug->lone == vcpu + 1)
        end_lone(debug);
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
    case STEP_BREAKPOINT: breakpoint_hit(debug, vcpu); break;
    case STEP_SHUTDOWN: stop(debug, vcpu, DEBUG_REASON_SHUTDOWN); break;
    case STEP_FAILED: stop(debug, vcpu, DEBUG_REASON_ERROR); break;
    }
}

/* Begins the step that is due; STEP_ENTER if it takes an entry. */
static enum step_outcome begin_step(struct debug *debug, unsigned vcpu, struct ringside_exit *exit)
{
    struct debug_vcpu *v = &debug->vcpus[vcpu];
    struct step_request request = {.hold_interrupts = true, .alone = is_alone(debug, vcpu)};

    debug_breakpoint_pass(debug, vcpu);
    /* Those that are still parked must not come in while hardware has lifted the breakpoint. */
    request.on_breakpoint = is_threaded(debug) &&
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
    breakpoint_hit(debug, vcpu);
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
    begin_lone(debug, vcpu);
    debug->vcpus[vcpu].parked = true;
    return is_alone(debug, vcpu) ? RINGSIDE_AGAIN : RINGSIDE_PARK;
}

/* No step is under way, and one is due. */
static bool must_step(struct debug *debug, unsigned vcpu)
{
    const struct debug_vcpu *v = &debug->vcpus[vcpu];

    return !v->step.way &&
           (v->action == DEBUG_STEP || v->declined || (v->fresh && must_leave(debug, vcpu)) ||
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
static void step_parked(struct debug *debug, unsigned vcpu)
{
    struct ringside_exit exit;
    enum step_outcome outcome = begin_step(debug, vcpu, &exit);

    if (outcome == STEP_ENTER || outcome == STEP_ALONE) {
        disarm(debug, vcpu);
    } else {
        debug->vcpus[vcpu].fresh = false;
        step_over(debug, vcpu, outcome, &exit);
    }
}

static void follow_plan(struct debug_vcpu *v)
{
    if (v->planned == DEBUG_STAY)
        return;
    v->action = v->planned;
    v->begin = v->planned_begin;
    v->end = v->planned_end;
    v->event.reason = DEBUG_REASON_NONE;
    v->fresh = true;
    v->passes = v->unsaid = v->declined = false;
}

int debug_resume(struct debug *debug)
{
    unsigned going = 0, last = 0;

    debug_breakpoints_bind(debug);
    for (unsigned i = 0; i < debug->vcpu_count; i++) {
        const struct debug_vcpu *v = &debug->vcpus[i];
        if (v->planned != DEBUG_STAY) {
            going++;
            last = i;
        }
        if ((v->planned == DEBUG_STEP || (v->planned == DEBUG_RUN && must_leave(debug, i))) &&
            !step_chosen(&debug->step))
            return RINGSIDE_ENOTSUP;
    }
    if (!going || report_owed(debug)) {
        debug->stop_ready = true;
        tell(debug);
        return RINGSIDE_OK;
    }
    debug->stop_ready = false;
    debug->state = DEBUG_RUNNING;
    for (unsigned i = 0; i < debug->vcpu_count; i++)
        follow_plan(&debug->vcpus[i]);
    if (going == 1 && debug->vcpus[last].action == DEBUG_STEP && is_threaded(debug) &&
        step_chosen(&debug->step) == RINGSIDE_STEP_EMULATE)
        step_parked(debug, last);
    for (unsigned i = 0; i < debug->vcpu_count && is_threaded(debug); i++)
        if (debug->vcpus[i].action != DEBUG_STAY)
            debug->port->wake(debug->ctx, i);
    return RINGSIDE_OK;
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
        disarm(debug, vcpu); /* the debugger left in the middle of a step */
    if (must_step(debug, vcpu) && !engine_passes(debug, vcpu))
        return step(debug, vcpu);
    if (!v->step.way)
        look(v, false); /* nothing is left to do */
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
    case RINGSIDE_EXIT_BREAKPOINT: breakpoint_hit(debug, vcpu); break;
    case RINGSIDE_EXIT_WATCH: watch_hit(debug, vcpu, exit); break;
    case RINGSIDE_EXIT_CATCH: caught(debug, vcpu, &exit->caught); break;
    case RINGSIDE_EXIT_SHUTDOWN: stop(debug, vcpu, DEBUG_REASON_SHUTDOWN); break;
    case RINGSIDE_EXIT_DECLINED: declined(debug, vcpu); break;
    case RINGSIDE_EXIT_ERROR: stop(debug, vcpu, DEBUG_REASON_ERROR); break;
    default: break;
    }
    if (debug->vcpus[vcpu].action != DEBUG_STAY && !debug->vcpus[vcpu].passes)
        debug->vcpus[vcpu].cached = false; /* it goes on without another look */
}
