/* The server's face (include/ringside/server.h): takes the lock, and keeps the session. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/rsp.h"

#include <string.h>

static void lock(struct ringside *rs)
{
    if (rs->debug.port)
        rs->debug.port->lock(rs->debug.ctx);
}

static void unlock(struct ringside *rs)
{
    if (rs->debug.port)
        rs->debug.port->unlock(rs->debug.ctx);
}

/* The parts of the caller's memory, each a multiple of 16. */
enum { SELF_SIZE = (sizeof(struct ringside) + 15) & ~15u };
_Static_assert(RSP_PACKET_MAX % 16 == 0, "what follows the packet must be aligned");

size_t ringside_size(unsigned vcpus)
{
    return SELF_SIZE + RSP_PACKET_MAX + debug_size(vcpus) + RSP_OUT_SIZE;
}

static void start_session(struct ringside *rs)
{
    rs->session = (struct rsp_session){.resumed = {.which = RSP_ALL}};
    rs->session.current = rs->debug.event_vcpu;
}

struct ringside *ringside_init(void *memory, const struct ringside_config *config)
{
    struct ringside *rs = memory;
    char *at = (char *)memory + SELF_SIZE;

    memset(rs, 0, sizeof *rs);
    rs->in = at;
    at += RSP_PACKET_MAX;
    if (debug_init(&rs->debug, at, config))
        return NULL;
    rs->debug.has_register = rsp_expression_has_register;
    rs->debug.read_register = rsp_expression_register;
    rs->debug.collect_registers = rsp_collect_registers;
    rs->debug.registers_ctx = rs;
    rs->out = at + debug_size(rs->debug.vcpu_count);
    rs->version = config->version ? config->version : "unknown";
    return rs;
}

int ringside_connect(struct ringside *rs)
{
    lock(rs);
    int error = rs->session.finished ? RINGSIDE_ENOSPC : debug_attach(&rs->debug);
    if (!error)
        start_session(rs);
    unlock(rs);
    return error;
}

const char *ringside_busy_message(void)
{
    return "$E.another debugger is attached#23";
}

void ringside_disconnect(struct ringside *rs)
{
    lock(rs);
    debug_detach(&rs->debug);
    start_session(rs);
    unlock(rs);
}

/* A packet waits, unread, until its reply has room and the vCPUs are where it expects them. */
static bool must_wait(const struct ringside *rs)
{
    return rs->session.phase == RSP_BETWEEN &&
           (!rsp_has_room(rs) || rs->debug.state == DEBUG_STOPPING);
}

size_t ringside_input(struct ringside *rs, const void *bytes, size_t n)
{
    const char *from = bytes;
    size_t taken = 0;

    lock(rs);
    rs->debug.in_input = true;
    while (taken < n) {
        if (rs->session.phase == RSP_BETWEEN)
            rsp_send_stop(rs); /* before the replies to what comes now */
        if (rs->session.finished || !rs->debug.attached) {
            taken = n;
            break;
        }
        if (must_wait(rs))
            break;
        taken += rsp_input(rs, from + taken, n - taken);
    }
    rs->debug.in_input = false;
    unlock(rs);
    return taken;
}

bool ringside_finished(struct ringside *rs)
{
    return rs->session.finished;
}

size_t ringside_output(struct ringside *rs, const void **bytes)
{
    lock(rs);
    rsp_send_stop(rs);
    *bytes = rs->out + rs->session.out_from;
    size_t n = rs->session.out_to - rs->session.out_from;
    unlock(rs);
    return n;
}

void ringside_sent(struct ringside *rs, size_t n)
{
    struct rsp_session *s = &rs->session;
    size_t left = s->out_to - s->out_from;

    s->out_from += n < left ? n : left;
}

void ringside_set_notify(struct ringside *rs, void (*notify)(void *ctx))
{
    rs->debug.notify = notify;
}

enum ringside_verdict ringside_vcpu_enter(struct ringside *rs, unsigned vcpu)
{
    if (!debug_must_look(&rs->debug, vcpu))
        return RINGSIDE_RUN;
    lock(rs);
    enum ringside_verdict verdict = debug_enter(&rs->debug, vcpu);
    unlock(rs);
    return verdict;
}

void ringside_vcpu_wait(struct ringside *rs, unsigned vcpu)
{
    lock(rs);
    while (debug_must_wait(&rs->debug, vcpu))
        rs->debug.port->wait(rs->debug.ctx, vcpu);
    unlock(rs);
}

void ringside_vcpu_exit(struct ringside *rs, unsigned vcpu, const struct ringside_exit *exit)
{
    /* Nothing to tell, or nobody to tell it to: not worth the lock. */
    if (!ringside_attached(rs) || exit->reason == RINGSIDE_EXIT_OTHER ||
        (exit->reason == RINGSIDE_EXIT_HALT && !debug_must_look(&rs->debug, vcpu)))
        return;
    lock(rs);
    debug_exit(&rs->debug, vcpu, exit);
    unlock(rs);
}

void ringside_guest_ended(struct ringside *rs, int status)
{
    struct rsp_session *s = &rs->session;

    lock(rs);
    if (rs->debug.attached && !s->finished) {
        struct rsp_out out = rsp_begin(rs, RSP_NOTICE_MAX);
        rsp_put_char(&out, 'W');
        rsp_put_digits(&out, (unsigned)status & 0xff, 2);
        if (s->multiprocess)
            rsp_put_text(&out, ";process:1");
        rsp_end(rs, &out);
        s->finished = true;
    }
    unlock(rs);
}

bool ringside_attached(const struct ringside *rs)
{
    return debug_is_attached(&rs->debug);
}
