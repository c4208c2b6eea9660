/* Z and z: break- and watchpoints.  A kind that the engine lacks gets the empty reply. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/rsp.h"

/* "X len,expr" as often as it is there; the bytes take the place of their digits. */
static bool read_expressions(struct rsp_cursor *in, struct debug_program *program, unsigned *count)
{
    uint64_t length;

    while (rsp_eat(in, 'X')) {
        if (program->conditions + program->commands == DEBUG_EXPRESSIONS_MAX ||
            !rsp_read_hex(in, &length) || length > AGENT_LENGTH_MAX || !rsp_eat(in, ','))
            return false;
        uint8_t *code = (uint8_t *)in->at;
        if (!rsp_read_bytes(in, code, (size_t)length))
            return false;
        program->list[program->conditions + program->commands] =
            (struct debug_expression){code, (size_t)length};
        ++*count;
    }
    return true;
}

/*
 * [;cond_list][;cmds:persist,cmd_list].  Commands do not persist: a debugger that leaves takes its
 * breakpoints with it, as the manual lets us.
 */
static bool read_program(struct rsp_cursor *in, struct debug_program *program)
{
    uint64_t persist;

    program->conditions = program->commands = 0;
    while (rsp_eat(in, ';')) {
        bool fine = rsp_eat_word(in, "cmds:")
                        ? rsp_read_hex(in, &persist) && rsp_eat(in, ',') &&
                              read_expressions(in, program, &program->commands)
                        : !program->commands && read_expressions(in, program, &program->conditions);
        if (!fine)
            return false;
    }
    return !rsp_left(in);
}

/* False: it was answered. */
static bool take_program(struct ringside *rs, struct rsp_request *request, struct rsp_out *out,
                         struct debug_program *program)
{
    if (!read_program(&request->rest, program)) {
        rsp_error(rs, out, RINGSIDE_EINVAL, "not a list of conditions and commands");
        return false;
    }
    if ((program->conditions || program->commands) && !step_chosen(&rs->debug.step)) {
        rsp_error(rs, out, RINGSIDE_ENOTSUP, "no way to step is offered here");
        return false;
    }
    return true;
}

static void put_set_result(struct ringside *rs, struct rsp_out *out, int error)
{
    if (error == RINGSIDE_ENOTSUP)
        rsp_error(rs, out, error, "this condition or command cannot be evaluated here");
    else if (error == RINGSIDE_ENOSPC)
        rsp_error(rs, out, error, "no free slot for another one");
    else
        rsp_result(rs, out, error);
}

void rsp_breakpoint_set(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    struct debug_program program;

    if (rs->debug.target->breakpoint && take_program(rs, request, out, &program))
        put_set_result(
            rs, out,
            debug_breakpoint_set(&rs->debug, rs->session.current, request->value[0], &program));
}

void rsp_breakpoint_clear(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    if (rs->debug.target->breakpoint)
        rsp_result(rs, out, debug_breakpoint_clear(&rs->debug, request->value[0]));
}

static void set(struct ringside *rs, const struct rsp_request *request, struct rsp_out *out,
                enum ringside_watch_kind kind, uint64_t length, const struct debug_program *program)
{
    uint64_t address = request->value[0];

    if (!rs->debug.target->watch)
        return;
    if (length == 0 || address + (length - 1) < address)
        rsp_error(rs, out, RINGSIDE_EINVAL, "not a range");
    else
        put_set_result(rs, out, debug_watch_set(&rs->debug, kind, address, length, program));
}

static void clear(struct ringside *rs, const struct rsp_request *request, struct rsp_out *out,
                  enum ringside_watch_kind kind, uint64_t length)
{
    if (rs->debug.target->watch)
        rsp_result(rs, out, debug_watch_clear(&rs->debug, kind, request->value[0], length));
}

void rsp_hardware_set(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    struct debug_program program;

    if (rs->debug.target->watch && take_program(rs, request, out, &program))
        set(rs, request, out, RINGSIDE_WATCH_EXEC, 1, &program);
}

void rsp_hardware_clear(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    clear(rs, request, out, RINGSIDE_WATCH_EXEC, 1);
}

void rsp_watch_write_set(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    set(rs, request, out, RINGSIDE_WATCH_WRITE, request->value[1], NULL);
}

void rsp_watch_write_clear(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    clear(rs, request, out, RINGSIDE_WATCH_WRITE, request->value[1]);
}

void rsp_watch_read_set(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    set(rs, request, out, RINGSIDE_WATCH_READ, request->value[1], NULL);
}

void rsp_watch_read_clear(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    clear(rs, request, out, RINGSIDE_WATCH_READ, request->value[1]);
}

void rsp_watch_access_set(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    set(rs, request, out, RINGSIDE_WATCH_ACCESS, request->value[1], NULL);
}

void rsp_watch_access_clear(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    clear(rs, request, out, RINGSIDE_WATCH_ACCESS, request->value[1]);
}
