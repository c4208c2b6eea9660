/* qRcmd: the commands behind GDB's "monitor", as a table; help is printed from it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/monitor.h"

#include <string.h>

static rsp_command_handler help;

static bool has_machine(const struct ringside *rs)
{
    return rs->debug.target->machine != NULL;
}

static bool has_msrs(const struct ringside *rs)
{
    return rs->debug.target->msr != NULL;
}

static bool has_catches(const struct ringside *rs)
{
    return rs->debug.target->catches != NULL;
}

static bool has_steps(const struct ringside *rs)
{
    return step_chosen(&rs->debug.step) != 0;
}

static const struct command {
    const char *name, *arguments, *summary;
    rsp_command_handler *handler;
    bool (*exists)(const struct ringside *rs); /* NULL: always */
} commands[] = {
    {"help", "", "this list", help, NULL},
    {"version", "", "the version of the server", rsp_monitor_version, NULL},
    {"info vcpus", "", "state, mode and place of every vCPU", rsp_monitor_vcpus, NULL},
    {"registers", "", "the system registers of the current vCPU", rsp_monitor_registers, NULL},
    {"translate", "ADDR", "the physical address behind a linear one", rsp_monitor_translate, NULL},
    {"pages", "ADDR", "the page walk of a linear address, entry by entry", rsp_monitor_pages, NULL},
    {"phys", "ADDR LEN", "a dump of physical memory", rsp_monitor_phys, NULL},
    {"phys-write", "ADDR HEX", "bytes into physical memory", rsp_monitor_phys_write, NULL},
    {"msr", "NUM [VALUE]", "read or write a model-specific register", rsp_monitor_msr, has_msrs},
    {"breakpoints", "", "what is set, and where it stands", rsp_monitor_breakpoints, NULL},
    {"catch", "[delete] [EVENT]", "stop after: exception, interrupt, cr, msr, port N|all; hlt",
     rsp_monitor_catch, has_catches},
    {"guest-int3", "[stop|pass]", "who gets the guest's own INT3 and INT1", rsp_monitor_guest_int3,
     has_catches},
    {"step-method", "[NAME|auto]", "show or choose the way to step", rsp_monitor_step_method,
     has_steps},
    {"interrupts", "[on|off]", "does a step let interrupts in?", rsp_monitor_interrupts, has_steps},
    {"reset", "", "reset the machine", rsp_monitor_reset, has_machine},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static bool exists(const struct ringside *rs, const struct command *command)
{
    return !command->exists || command->exists(rs);
}

static void skip_spaces(struct rsp_cursor *in)
{
    while (rsp_eat(in, ' '))
        ;
}

bool rsp_monitor_word(struct rsp_cursor *in, const char *word)
{
    struct rsp_cursor after = *in;

    if (!rsp_eat_word(&after, word) || (rsp_left(&after) && *after.at != ' '))
        return false;
    skip_spaces(&after);
    *in = after;
    return true;
}

bool rsp_monitor_number(struct rsp_cursor *in, uint64_t *value)
{
    struct rsp_cursor after = *in;

    if (!rsp_read_number(&after, value) || (rsp_left(&after) && *after.at != ' '))
        return false;
    skip_spaces(&after);
    *in = after;
    return true;
}

static bool help(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out)
{
    if (rsp_left(in))
        return false;
    for (unsigned i = 0; i < COMMANDS; i++) {
        if (!exists(rs, &commands[i]))
            continue;
        size_t start = out->length;
        rsp_put_text(out, commands[i].name);
        rsp_put_char(out, ' ');
        rsp_put_text(out, commands[i].arguments);
        while (out->length - start < 26)
            rsp_put_char(out, ' ');
        rsp_put_text(out, commands[i].summary);
        rsp_put_char(out, '\n');
    }
    return true;
}

static void put_usage(struct rsp_out *out, const struct command *command)
{
    rsp_put_text(out, "usage: monitor ");
    rsp_put_text(out, command->name);
    if (*command->arguments) {
        rsp_put_char(out, ' ');
        rsp_put_text(out, command->arguments);
    }
    rsp_put_char(out, '\n');
}

static void run(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out)
{
    skip_spaces(in);
    while (rsp_left(in) && in->end[-1] == ' ')
        in->end--;
    for (unsigned i = 0; i < COMMANDS; i++) {
        if (!rsp_monitor_word(in, commands[i].name))
            continue;
        if (!exists(rs, &commands[i])) {
            rsp_put_text(out, "the engine that runs this guest cannot do that\n");
        } else if (!commands[i].handler(rs, in, out)) {
            out->length = 0;
            put_usage(out, &commands[i]);
        }
        return;
    }
    rsp_put_text(out, "unknown command; \"monitor help\" lists those that exist\n");
}

void rsp_monitor(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    /* The text is written into the second half of the reply, and put as digits into all of it. */
    size_t half = out->capacity / 2;
    struct rsp_out text = {.bytes = out->bytes + half, .capacity = half};
    struct rsp_cursor in = request->rest;

    if (!rsp_unhex(&in)) {
        rsp_error(rs, out, RINGSIDE_EINVAL, "bad digits");
        return;
    }
    run(rs, &in, &text);
    if (text.length)
        rsp_put_bytes(out, text.bytes, text.length);
    else
        rsp_ok(out);
}
