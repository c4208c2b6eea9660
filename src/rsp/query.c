/* What is offered, and how the session ends. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/rsp.h"

#include <string.h>

/* Features of the peer that change what we say. */
static void note_feature(struct rsp_session *s, const char *name, size_t n)
{
    const struct {
        const char *name;
        bool *flag;
    } known[] = {
        {"multiprocess+", &s->multiprocess},
        {"error-message+", &s->error_messages},
        {"swbreak+", &s->swbreak},
        {"hwbreak+", &s->hwbreak},
    };

    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++)
        if (rsp_length(known[i].name) == n && memcmp(known[i].name, name, n) == 0)
            *known[i].flag = true;
}

static void note_features(struct rsp_session *s, struct rsp_cursor *in)
{
    while (rsp_left(in)) {
        const char *name = in->at;
        while (rsp_left(in) && *in->at != ';')
            in->at++;
        note_feature(s, name, (size_t)(in->at - name));
        rsp_eat(in, ';');
    }
}

void rsp_q_supported(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    struct rsp_session *s = &rs->session;

    if (rsp_eat(&request->rest, ':'))
        note_features(s, &request->rest);
    rsp_put_text(out, "PacketSize=");
    rsp_put_hex(out, RSP_PACKET_MAX);
    rsp_put_text(out, ";QStartNoAckMode+;vContSupported+;qXfer:features:read+;"
                      "qXfer:threads:read+;binary-upload+");
    if (s->multiprocess)
        rsp_put_text(out, ";multiprocess+");
    if (s->swbreak && rs->debug.target->breakpoint)
        rsp_put_text(out, ";swbreak+");
    if (s->hwbreak && rs->debug.target->watch)
        rsp_put_text(out, ";hwbreak+");
    if (step_chosen(&rs->debug.step))
        rsp_put_text(out, ";ConditionalBreakpoints+;BreakpointCommands+");
    if (step_chosen(&rs->debug.step) && rs->debug.target->breakpoint)
        rsp_put_text(out, ";ConditionalTracepoints+;TracepointSource+;EnableDisableTracepoints+;"
                          "tracenz+;QTBuffer:size+;qXfer:traceframe-info:read+");
}

void rsp_q_start_no_ack(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)request;
    rs->session.no_ack = true;
    rsp_ok(out);
}

/* The guest was there before the debugger: it detaches, and does not kill, when it quits. */
void rsp_q_attached(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)rs;
    (void)request;
    rsp_put_char(out, '1');
}

void rsp_q_symbol(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)rs;
    (void)request;
    rsp_ok(out); /* no symbol is wanted */
}

void rsp_must_reply_empty(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)rs;
    (void)request;
    (void)out;
}

static void leave(struct ringside *rs)
{
    debug_detach(&rs->debug);
    rs->session.finished = true;
}

void rsp_detach(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)request;
    leave(rs);
    rsp_ok(out);
}

void rsp_detach_pid(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    if (request->value[0] == RSP_PID)
        rsp_detach(rs, request, out);
    else
        rsp_error(rs, out, RINGSIDE_EINVAL, "no such process");
}

/* Where the machine cannot be switched off, all that is left is to let go of it. */
void rsp_kill(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)request;
    (void)out;
    debug_power_off(&rs->debug);
    leave(rs);
}

void rsp_kill_pid(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    if (request->value[0] == RSP_PID) {
        rsp_kill(rs, request, out);
        rsp_ok(out);
    } else {
        rsp_error(rs, out, RINGSIDE_EINVAL, "no such process");
    }
}
