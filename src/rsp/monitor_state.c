/* Monitor commands about vCPUs, breakpoints and the server itself. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/monitor.h"

#include <string.h>

static void put_address(struct rsp_out *out, const char *before, uint64_t value)
{
    rsp_put_text(out, before);
    rsp_put_text(out, "0x");
    rsp_put_hex(out, value);
}

static void put_named(struct rsp_out *out, const char *name, uint64_t value)
{
    rsp_put_text(out, name);
    put_address(out, "=", value);
}

bool rsp_monitor_version(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out)
{
    if (rsp_left(in))
        return false;
    rsp_put_text(out, "ringside ");
    rsp_put_text(out, rs->version);
    rsp_put_char(out, '\n');
    return true;
}

bool rsp_monitor_vcpus(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out)
{
    if (rsp_left(in))
        return false;
    for (unsigned i = 0; i < rs->debug.vcpu_count; i++) {
        const struct ringside_regs *regs = debug_regs(&rs->debug, i);
        rsp_put_text(out, i == rs->session.current ? "* vCPU " : "  vCPU ");
        rsp_put_decimal(out, i);
        rsp_put_text(out, ": ");
        rsp_put_text(out, rsp_vcpu_state(rs, i));
        if (regs) {
            rsp_put_text(out, ", ");
            rsp_put_text(out, debug_mode(regs));
            rsp_put_text(out, ", ring ");
            rsp_put_decimal(out, debug_ring(regs));
            put_named(out, ", rip", regs->rip);
            put_named(out, ", cr3", regs->cr3);
        }
        rsp_put_char(out, '\n');
    }
    return true;
}

/* The description's own feature for system registers is the list. */
bool rsp_monitor_registers(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out)
{
    const struct rsp_layout *layout = rsp_layout(rs);
    struct rsp_values values = {.regs = debug_regs(&rs->debug, rs->session.current)};
    unsigned char bytes[RSP_REGISTER_MAX];
    unsigned column = 0;

    if (rsp_left(in))
        return false;
    for (unsigned i = 0; i < layout->count; i++) {
        const struct rsp_register *reg = &layout->registers[i];
        uint64_t value = 0;
        if (reg->size > sizeof value || !rsp_register_get(reg, &values, bytes))
            continue;
        memcpy(&value, bytes, reg->size);
        size_t start = out->length;
        put_named(out, reg->name, value);
        column = (column + 1) % 3;
        do
            rsp_put_char(out, column ? ' ' : '\n');
        while (column && out->length - start < 34);
    }
    if (column)
        rsp_put_char(out, '\n');
    return true;
}

bool rsp_monitor_msr(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out)
{
    struct debug *debug = &rs->debug;
    const struct ringside_msr_ops *ops = debug->target->msr;
    unsigned vcpu = rs->session.current;
    uint64_t number, value;
    int error;

    if (!rsp_monitor_number(in, &number) || number > UINT32_MAX)
        return false;
    if (rsp_left(in)) {
        if (!rsp_monitor_number(in, &value) || rsp_left(in))
            return false;
        error = ops->write(debug->ctx, vcpu, (uint32_t)number, value);
        debug->vcpus[vcpu].cached = false;
    } else {
        error = ops->read(debug->ctx, vcpu, (uint32_t)number, &value);
    }
    if (error) {
        rsp_put_text(out, "no such register, or it refuses this value\n");
        return true;
    }
    rsp_put_text(out, "0x");
    rsp_put_hex(out, value);
    rsp_put_char(out, '\n');
    return true;
}

static void put_code(struct rsp_out *out, const struct debug_code *code)
{
    if (debug_code_conditions(code)) {
        rsp_put_text(out, ", conditions: ");
        rsp_put_decimal(out, debug_code_conditions(code));
    }
    if (debug_code_commands(code)) {
        rsp_put_text(out, ", commands: ");
        rsp_put_decimal(out, debug_code_commands(code));
    }
    rsp_put_char(out, '\n');
}

static void put_place(struct rsp_out *out, const struct debug_breakpoint *breakpoint)
{
    switch (breakpoint->place) {
    case DEBUG_PHYSICAL: put_address(out, "at physical ", breakpoint->gpa); break;
    case DEBUG_LINEAR: rsp_put_text(out, "not mapped; watched by linear address"); break;
    case DEBUG_PENDING: rsp_put_text(out, "not mapped; pending"); break;
    }
    put_code(out, breakpoint->code);
}

bool rsp_monitor_breakpoints(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out)
{
    static const char *const kinds[] = {
        [RINGSIDE_WATCH_EXEC] = "hardware breakpoint",
        [RINGSIDE_WATCH_WRITE] = "write watchpoint",
        [RINGSIDE_WATCH_READ] = "read watchpoint",
        [RINGSIDE_WATCH_ACCESS] = "access watchpoint",
    };
    const struct debug_breakpoint *b = NULL;
    const struct debug_watch *w = NULL;

    if (rsp_left(in))
        return false;
    if (!rs->debug.breakpoints.count && !rs->debug.watches.count)
        rsp_put_text(out, "none is set\n");
    while (rsp_room(out) > 120 && (b = debug_table_next(&rs->debug.breakpoints, b))) {
        put_address(out, "breakpoint ", b->item.key);
        rsp_put_char(out, ' ');
        put_place(out, b);
    }
    while (rsp_room(out) > 120 && (w = debug_table_next(&rs->debug.watches, w))) {
        rsp_put_text(out, kinds[w->kind]);
        put_address(out, " ", w->address);
        rsp_put_text(out, ", ");
        rsp_put_decimal(out, w->length);
        rsp_put_text(out, " bytes");
        put_code(out, w->code);
    }
    return true;
}

bool rsp_monitor_step_method(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out)
{
    struct step *step = &rs->debug.step;
    const char *name;
    unsigned way = 0;

    if (rsp_left(in)) {
        if (!rsp_monitor_word(in, "auto")) {
            way = step_by_name(in->at, rsp_left(in));
            if (!way)
                return false;
        }
        if (step_allow(step, way)) {
            rsp_put_text(out, "this way is not offered here\n");
            return true;
        }
    }
    name = step_name(step_chosen(step));
    rsp_put_text(out, name ? name : "none");
    rsp_put_char(out, '\n');
    return true;
}

bool rsp_monitor_interrupts(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out)
{
    bool *on = &rs->debug.step_interrupts;

    if (rsp_monitor_word(in, "on"))
        *on = true;
    else if (rsp_monitor_word(in, "off"))
        *on = false;
    if (rsp_left(in))
        return false;
    rsp_put_text(out, *on ? "on: a step may deliver an interrupt\n"
                          : "off: interrupts wait while a vCPU steps\n");
    return true;
}

bool rsp_monitor_reset(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out)
{
    if (rsp_left(in))
        return false;
    if (debug_reset(&rs->debug))
        rsp_put_text(out, "the machine cannot be reset\n");
    return true;
}
