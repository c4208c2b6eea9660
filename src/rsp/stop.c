/* Stop replies: why the guest stands, and where. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/rsp.h"

/* Signals as GDB numbers them (include/gdb/signals.def). */
enum { SIGNAL_NONE = 0, SIGNAL_INT = 2, SIGNAL_TRAP = 5, SIGNAL_ABRT = 6 };

static unsigned signal_of(enum debug_reason reason)
{
    switch (reason) {
    case DEBUG_REASON_NONE: return SIGNAL_NONE;
    case DEBUG_REASON_INTERRUPT: return SIGNAL_INT;
    case DEBUG_REASON_SHUTDOWN:
    case DEBUG_REASON_ERROR: return SIGNAL_ABRT;
    default: return SIGNAL_TRAP;
    }
}

static void put_watch(struct rsp_out *out, const struct debug_stop *stop)
{
    switch (stop->watch_kind) {
    case RINGSIDE_WATCH_WRITE: rsp_put_text(out, "watch:"); break;
    case RINGSIDE_WATCH_READ: rsp_put_text(out, "rwatch:"); break;
    default: rsp_put_text(out, "awatch:"); break;
    }
    rsp_put_hex(out, stop->watch_address);
    rsp_put_char(out, ';');
}

static void put_register(struct ringside *rs, struct rsp_out *out, unsigned vcpu, unsigned number)
{
    rsp_put_digits(out, number, 2);
    rsp_put_char(out, ':');
    rsp_put_register(rs, out, vcpu, number);
    rsp_put_char(out, ';');
}

void rsp_put_stop(struct ringside *rs, struct rsp_out *out, const struct debug_stop *stop)
{
    rsp_put_char(out, 'T');
    rsp_put_digits(out, signal_of(stop->reason), 2);
    switch (stop->reason) {
    case DEBUG_REASON_BREAKPOINT:
        if (rs->session.swbreak)
            rsp_put_text(out, "swbreak:;");
        break;
    case DEBUG_REASON_HARDWARE_BREAKPOINT:
        if (rs->session.hwbreak)
            rsp_put_text(out, "hwbreak:;");
        break;
    case DEBUG_REASON_WATCHPOINT: put_watch(out, stop); break;
    default: break;
    }
    rsp_put_text(out, "thread:");
    rsp_put_thread(rs, out, stop->vcpu);
    rsp_put_char(out, ';');
    /* What every peer asks next. */
    if (debug_regs(&rs->debug, stop->vcpu)) {
        put_register(rs, out, stop->vcpu, RSP_REG_RBP);
        put_register(rs, out, stop->vcpu, RSP_REG_RSP);
        put_register(rs, out, stop->vcpu, RSP_REG_RIP);
    }
}

/* What the stop reply has no words for goes before it as console output. */
static void say(struct ringside *rs, const struct debug_stop *stop)
{
    char text[160];
    struct rsp_out line = {.bytes = text, .capacity = sizeof text};

    rsp_put_text(&line, "vCPU ");
    rsp_put_decimal(&line, stop->vcpu);
    rsp_put_text(&line, ": ");
    switch (stop->reason) {
    case DEBUG_REASON_CATCH: rsp_put_caught(&line, &stop->caught); break;
    case DEBUG_REASON_SHUTDOWN: rsp_put_text(&line, "triple fault"); break;
    default: rsp_put_text(&line, "the engine cannot go on with it"); break;
    }
    rsp_put_char(&line, '\n');
    struct rsp_out out = rsp_begin(rs, RSP_NOTICE_MAX);
    rsp_put_char(&out, 'O');
    rsp_put_bytes(&out, line.bytes, line.length);
    rsp_end(rs, &out);
}

_Static_assert(RSP_CONSOLE_MAX == 2 * sizeof((struct debug_console *)0)->text + 5,
               "see RSP_OUT_SIZE");

/* What commands have printed; before the stop that came after it. */
static void send_console(struct ringside *rs)
{
    struct debug_console *console = &rs->debug.console;

    if (!console->length || !rsp_has_room(rs))
        return;
    struct rsp_out out = rsp_begin(rs, RSP_PACKET_MAX);
    rsp_put_char(&out, 'O');
    rsp_put_bytes(&out, console->text, console->length);
    rsp_end(rs, &out);
    console->length = 0;
}

void rsp_send_stop(struct ringside *rs)
{
    struct rsp_session *s = &rs->session;
    struct debug_stop stop;

    if (s->waiting && !s->finished)
        send_console(rs);
    if (!s->waiting || rs->debug.console.length || s->finished ||
        !debug_take_stop(&rs->debug, &stop))
        return;
    s->waiting = false;
    s->current = stop.vcpu;
    if (stop.reason == DEBUG_REASON_CATCH || stop.reason == DEBUG_REASON_SHUTDOWN ||
        stop.reason == DEBUG_REASON_ERROR)
        say(rs, &stop);
    struct rsp_out out = rsp_begin(rs, RSP_NOTICE_MAX);
    rsp_put_stop(rs, &out, &stop);
    rsp_end(rs, &out);
}
