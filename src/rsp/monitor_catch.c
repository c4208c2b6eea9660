/* Monitor commands about events of the guest that stop it, and the words for one that did. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/monitor.h"

static const struct kind {
    const char *name, *what; /* as it is asked for, and as it is told of */
    uint32_t limit;          /* numbers are below; 0: takes none */
    bool hex;                /* how numbers are shown */
} kinds[] = {
    [RINGSIDE_CATCH_EXCEPTION] = {"exception", "exception ", 32, false},
    [RINGSIDE_CATCH_INTERRUPT] = {"interrupt", "interrupt ", 256, false},
    [RINGSIDE_CATCH_CR] = {"cr", "write of CR", 5, false},
    [RINGSIDE_CATCH_MSR] = {"msr", "write of MSR ", RINGSIDE_CATCH_ANY, true},
    [RINGSIDE_CATCH_PORT] = {"port", "port ", 0x10000, true},
    [RINGSIDE_CATCH_HALT] = {"hlt", "HLT", 0, false},
    [RINGSIDE_CATCH_TRAP] = {NULL, "the guest's own INT", 0, false},
};
enum { KINDS = RINGSIDE_CATCH_TRAP };

/* Intel SDM vol. 3, "Protected-Mode Exceptions and Interrupts". */
static const char *const exceptions[32] = {
    "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", NULL,  "#TS",
    "#NP", "#SS", "#GP", "#PF", NULL,  "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
};

static void put_number(struct rsp_out *out, const struct kind *kind, uint32_t number)
{
    if (number == RINGSIDE_CATCH_ANY) {
        rsp_put_text(out, "all");
    } else if (kind->hex) {
        rsp_put_text(out, "0x");
        rsp_put_hex(out, number);
    } else {
        rsp_put_decimal(out, number);
    }
}

static void put_exception(struct rsp_out *out, uint32_t vector)
{
    if (vector >= 32 || !exceptions[vector])
        return;
    rsp_put_text(out, " (");
    rsp_put_text(out, exceptions[vector]);
    rsp_put_char(out, ')');
}

static void put_value(struct rsp_out *out, const char *before, uint64_t value)
{
    rsp_put_text(out, before);
    rsp_put_text(out, "0x");
    rsp_put_hex(out, value);
}

void rsp_put_caught(struct rsp_out *out, const struct ringside_caught *caught)
{
    const struct kind *kind = &kinds[caught->kind];

    rsp_put_text(out, kind->what);
    if (caught->kind != RINGSIDE_CATCH_HALT)
        put_number(out, kind, caught->number);
    switch (caught->kind) {
    case RINGSIDE_CATCH_EXCEPTION:
        put_exception(out, caught->number);
        if (caught->has_error)
            put_value(out, ", error code ", caught->value);
        put_value(out, ", returns to ", caught->rip);
        break;
    case RINGSIDE_CATCH_INTERRUPT: put_value(out, ", returns to ", caught->rip); break;
    case RINGSIDE_CATCH_PORT:
        put_value(out, caught->in ? ", read " : ", written ", caught->value);
        break;
    case RINGSIDE_CATCH_CR:
    case RINGSIDE_CATCH_MSR: put_value(out, ": ", caught->value); break;
    case RINGSIDE_CATCH_HALT:
    case RINGSIDE_CATCH_TRAP: break;
    }
}

static bool is_number_of(enum ringside_catch_kind kind, uint64_t number)
{
    /* Of the control registers those that a kernel runs by. */
    return number < kinds[kind].limit &&
           (kind != RINGSIDE_CATCH_CR || (number != 1 && number != 2));
}

/* KIND NUMBER|all, or hlt; nothing behind it. */
static bool read_catch(struct rsp_cursor *in, struct ringside_catch *what)
{
    for (unsigned i = 0; i < KINDS; i++) {
        uint64_t number = 0;
        if (!rsp_monitor_word(in, kinds[i].name))
            continue;
        if (kinds[i].limit && rsp_monitor_word(in, "all"))
            number = RINGSIDE_CATCH_ANY;
        else if (kinds[i].limit && (!rsp_monitor_number(in, &number) || !is_number_of(i, number)))
            return false;
        *what = (struct ringside_catch){(enum ringside_catch_kind)i, (uint32_t)number};
        return !rsp_left(in);
    }
    return false;
}

static void list(const struct ringside *rs, struct rsp_out *out)
{
    for (unsigned i = 0; i < rs->debug.catch_count; i++) {
        const struct ringside_catch *c = &rs->debug.catches[i];
        const struct kind *kind = &kinds[c->kind];
        if (c->kind == RINGSIDE_CATCH_TRAP)
            continue;
        rsp_put_text(out, kind->name);
        if (kind->limit) {
            rsp_put_char(out, ' ');
            put_number(out, kind, c->number);
        }
        if (c->kind == RINGSIDE_CATCH_EXCEPTION)
            put_exception(out, c->number);
        rsp_put_char(out, '\n');
    }
    rsp_put_text(out, "triple fault (always)\n");
}

static void put_error(const struct ringside *rs, struct rsp_out *out, int error)
{
    const char *able = rs->debug.target->catches->kinds;

    if (error == RINGSIDE_ENOSPC) {
        rsp_put_text(out, "the table is full\n");
    } else if (error) {
        rsp_put_text(out, "this engine cannot catch that");
        rsp_put_text(out, able ? "; it can: " : "");
        rsp_put_text(out, able ? able : "");
        rsp_put_char(out, '\n');
    }
}

static void delete_all(struct debug *debug)
{
    for (unsigned i = debug->catch_count; i-- > 0;) {
        const struct ringside_catch what = debug->catches[i];
        if (what.kind != RINGSIDE_CATCH_TRAP)
            debug_catch_clear(debug, &what);
    }
}

bool rsp_monitor_catch(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out)
{
    struct ringside_catch what;

    if (!rsp_left(in)) {
        list(rs, out);
    } else if (rsp_monitor_word(in, "delete")) {
        if (!rsp_left(in))
            delete_all(&rs->debug);
        else if (read_catch(in, &what))
            put_error(rs, out, debug_catch_clear(&rs->debug, &what));
        else
            return false;
    } else if (read_catch(in, &what)) {
        put_error(rs, out, debug_catch_set(&rs->debug, &what));
    } else {
        return false;
    }
    return true;
}

bool rsp_monitor_guest_int3(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out)
{
    static const struct ringside_catch trap = {RINGSIDE_CATCH_TRAP, RINGSIDE_CATCH_ANY};
    struct debug *debug = &rs->debug;
    bool stops = false;

    if (rsp_monitor_word(in, "stop"))
        put_error(rs, out, debug_catch_set(debug, &trap));
    else if (rsp_monitor_word(in, "pass"))
        put_error(rs, out, debug_catch_clear(debug, &trap));
    if (rsp_left(in))
        return false;
    for (unsigned i = 0; i < debug->catch_count; i++)
        stops |= debug->catches[i].kind == RINGSIDE_CATCH_TRAP;
    rsp_put_text(out, stops ? "stop: the guest's own INT3 and INT1 stop it instead of reaching it\n"
                            : "pass: the guest's own INT3 and INT1 are the guest's\n");
    return true;
}
