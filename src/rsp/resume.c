/* ?, c, s, vCont and their kin: who runs, who steps, and the wait for the stop that follows. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/rsp.h"

/* A signal has no meaning for a machine; it is read and dropped. */

void rsp_q_stop_reason(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    struct debug *debug = &rs->debug;

    (void)request;
    if (debug->state == DEBUG_STOPPED) {
        struct debug_stop stop = debug->stop;
        debug_take_stop(debug, &stop); /* if it is news, it is no longer */
        if (stop.reason == DEBUG_REASON_NONE)
            stop.reason = DEBUG_REASON_STEP; /* peers expect SIGTRAP of one that merely stands */
        rs->session.current = stop.vcpu;
        rsp_put_stop(rs, out, &stop);
        return;
    }
    rs->session.waiting = true;
    debug_interrupt(debug);
}

static void plan_all(struct ringside *rs, enum debug_action action)
{
    for (unsigned i = 0; i < rs->debug.vcpu_count; i++)
        debug_plan(&rs->debug, i, action, 0, 0);
}

static void resume(struct ringside *rs, struct rsp_out *out)
{
    int error = debug_resume(&rs->debug);

    if (error) {
        rsp_error(rs, out, error, "no way to step is offered here");
    } else {
        rs->session.waiting = true;
        rs->session.framed = false;
    }
}

/* "addr" of c and s: where the vCPU goes on. */
static int go_to(struct ringside *rs, unsigned vcpu, struct rsp_cursor *in)
{
    const struct ringside_regs *old = debug_regs(&rs->debug, vcpu);
    struct ringside_regs regs;
    uint64_t rip;

    if (!rsp_left(in))
        return RINGSIDE_OK;
    if (!rsp_read_hex(in, &rip) || rsp_left(in))
        return RINGSIDE_EINVAL;
    if (!old)
        return RINGSIDE_EIO;
    regs = *old;
    regs.rip = rip;
    return debug_set_regs(&rs->debug, vcpu, &regs);
}

/* The packets from before vCont go by Hc: one thread, or all (for a step: the current one). */
static void resume_old(struct ringside *rs, enum debug_action action, struct rsp_cursor *in,
                       struct rsp_out *out)
{
    const struct rsp_thread *resumed = &rs->session.resumed;
    bool one = resumed->which == RSP_ONE || action == DEBUG_STEP;
    unsigned vcpu = resumed->which == RSP_ONE ? resumed->vcpu : rs->session.current;
    int error = go_to(rs, vcpu, in);

    if (error) {
        rsp_error(rs, out, error, NULL);
        return;
    }
    plan_all(rs, one ? DEBUG_STAY : action);
    debug_plan(&rs->debug, vcpu, action, 0, 0);
    resume(rs, out);
}

void rsp_continue(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    resume_old(rs, DEBUG_RUN, &request->rest, out);
}

void rsp_step(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    resume_old(rs, DEBUG_STEP, &request->rest, out);
}

/* "C sig;addr": ';' only with an address behind it. */
static void resume_signal(struct ringside *rs, enum debug_action action, struct rsp_cursor *in,
                          struct rsp_out *out)
{
    if (rsp_left(in) && (!rsp_eat(in, ';') || !rsp_left(in)))
        rsp_error(rs, out, RINGSIDE_EINVAL, NULL);
    else
        resume_old(rs, action, in, out);
}

void rsp_continue_signal(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    resume_signal(rs, DEBUG_RUN, &request->rest, out);
}

void rsp_step_signal(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    resume_signal(rs, DEBUG_STEP, &request->rest, out);
}

void rsp_v_cont_query(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)request;
    rsp_put_text(out, "vCont;c;C");
    if (step_chosen(&rs->debug.step))
        rsp_put_text(out, ";s;S;r");
    rsp_put_text(out, ";t");
}

/* One action of vCont with the threads that it is for. */
struct action {
    enum debug_action action;
    uint64_t begin, end;
    struct rsp_thread thread;
};

static bool read_action(const struct ringside *rs, struct rsp_cursor *in, struct action *action)
{
    uint64_t signal;

    *action = (struct action){.thread = {.which = RSP_ALL}};
    if (rsp_eat(in, 'c')) {
        action->action = DEBUG_RUN;
    } else if (rsp_eat(in, 's')) {
        action->action = DEBUG_STEP;
    } else if (rsp_eat(in, 't')) {
        action->action = DEBUG_STAY;
    } else if (rsp_eat(in, 'r')) {
        action->action = DEBUG_STEP;
        if (!rsp_read_hex(in, &action->begin) || !rsp_eat(in, ',') ||
            !rsp_read_hex(in, &action->end))
            return false;
    } else if (rsp_eat(in, 'C')) {
        action->action = DEBUG_RUN;
        if (!rsp_read_hex(in, &signal))
            return false;
    } else if (rsp_eat(in, 'S')) {
        action->action = DEBUG_STEP;
        if (!rsp_read_hex(in, &signal))
            return false;
    } else {
        return false;
    }
    return !rsp_eat(in, ':') || rsp_read_thread(rs, in, &action->thread);
}

/* Threads that no action named yet take this one: the leftmost match counts. */
static void apply(struct ringside *rs, const struct action *action, bool *named)
{
    for (unsigned i = 0; i < rs->debug.vcpu_count; i++) {
        bool meant =
            action->thread.which == RSP_ALL ||
            (action->thread.which == RSP_ONE ? action->thread.vcpu == i : rs->session.current == i);
        if (meant && !named[i]) {
            named[i] = true;
            debug_plan(&rs->debug, i, action->action, action->begin, action->end);
        }
    }
}

void rsp_v_cont(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    struct rsp_cursor *in = &request->rest;
    bool named[DEBUG_VCPUS_MAX] = {false};
    struct action action;

    plan_all(rs, DEBUG_STAY);
    do {
        if (!rsp_eat(in, ';') || !read_action(rs, in, &action)) {
            rsp_error(rs, out, RINGSIDE_EINVAL, "not an action, or not for a thread of ours");
            return;
        }
        apply(rs, &action, named);
    } while (rsp_left(in));
    resume(rs, out);
}

void rsp_v_ctrl_c(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)request;
    rsp_ok(out);
    debug_interrupt(&rs->debug);
}
