/* Run control, the debugger's side: stops, resumes, and who may be in the guest. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/run.h"

bool debug_must_look(const struct debug *debug, unsigned vcpu)
{
    return __atomic_load_n(&debug->vcpus[vcpu].look, __ATOMIC_ACQUIRE);
}

void debug_vcpu_disarm(struct debug *debug, unsigned vcpu)
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

bool debug_is_alone(const struct debug *debug, unsigned vcpu)
{
    for (unsigned i = 0; i < debug->vcpu_count && debug_is_threaded(debug); i++)
        if (i != vcpu && !debug->vcpus[i].parked)
            return false;
    return true;
}

bool debug_must_wait(const struct debug *debug, unsigned vcpu)
{
    if (debug->vcpus[vcpu].action == DEBUG_STAY)
        return true;
    if (debug->lone == vcpu + 1)
        return !debug_is_alone(debug, vcpu);
    return debug->lone != 0;
}

void debug_lone_end(struct debug *debug)
{
    if (!debug->lone)
        return;
    debug->lone = 0;
    for (unsigned i = 0; i < debug->vcpu_count; i++)
        debug->port->wake(debug->ctx, i);
}

void debug_lone_begin(struct debug *debug, unsigned vcpu)
{
    debug->lone = vcpu + 1;
    for (unsigned i = 0; i < debug->vcpu_count; i++) {
        debug_vcpu_look(&debug->vcpus[i], true);
        if (i != vcpu && !debug->vcpus[i].parked)
            debug->target->kick(debug->ctx, i);
    }
}

void debug_settle(struct debug *debug)
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
    debug_lone_end(debug);
    for (unsigned i = 0; i < debug->vcpu_count; i++) {
        struct debug_vcpu *v = &debug->vcpus[i];
        v->action = DEBUG_STAY;
        debug_vcpu_look(v, true);
        if (!debug_is_threaded(debug)) {
            debug_vcpu_disarm(debug, i);
            v->parked = true;
        } else if (!v->parked) {
            debug->target->kick(debug->ctx, i);
        }
    }
    debug_settle(debug);
}

void debug_stop_for(struct debug *debug, unsigned vcpu, enum debug_reason reason)
{
    debug_stop_all(debug, vcpu, &(struct debug_stop){.reason = reason, .vcpu = vcpu});
}

void debug_interrupt(struct debug *debug)
{
    if (debug->state == DEBUG_RUNNING)
        debug_stop_for(debug, debug->event_vcpu, DEBUG_REASON_INTERRUPT);
}

void debug_plan(struct debug *debug, unsigned vcpu, enum debug_action action, uint64_t begin,
                uint64_t end)
{
    struct debug_vcpu *v = &debug->vcpus[vcpu];

    v->planned = action;
    v->planned_begin = begin;
    v->planned_end = end;
}

bool debug_must_leave(struct debug *debug, unsigned vcpu)
{
    const struct debug_vcpu *v = &debug->vcpus[vcpu];
    const struct ringside_regs *regs;

    if (v->passes || !v->shown)
        return v->passes;
    regs = debug_regs(debug, vcpu);
    /* A halted vCPU comes back to RIP by way of the handler that wakes it: a new arrival. */
    return regs && regs->rip == v->shown_rip && regs->activity == RINGSIDE_RUNNING &&
           debug_breakpoint_at(debug, vcpu);
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
    debug_lone_end(debug);
    for (unsigned i = 0; i < debug->vcpu_count; i++) {
        struct debug_vcpu *v = &debug->vcpus[i];
        v->action = DEBUG_RUN;
        v->leaving = v->passes = v->unsaid = v->declined = false;
        debug_vcpu_look(v, true); /* it may have to be disarmed */
        if (!debug_is_threaded(debug))
            debug_vcpu_disarm(debug, i);
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
        if ((v->planned == DEBUG_STEP || (v->planned == DEBUG_RUN && debug_must_leave(debug, i))) &&
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
    if (going == 1 && debug->vcpus[last].action == DEBUG_STEP && debug_is_threaded(debug) &&
        step_chosen(&debug->step) == RINGSIDE_STEP_EMULATE)
        debug_step_parked(debug, last);
    for (unsigned i = 0; i < debug->vcpu_count && debug_is_threaded(debug); i++)
        if (debug->vcpus[i].action != DEBUG_STAY)
            debug->port->wake(debug->ctx, i);
    return RINGSIDE_OK;
}
