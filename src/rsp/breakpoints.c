/* Z and z: break- and watchpoints.  A kind that the engine lacks gets the empty reply. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/rsp.h"

/* Conditions and commands are not advertised: a peer that sends them would lose them silently. */
static bool refuse_conditions(struct ringside *rs, const struct rsp_request *request,
                              struct rsp_out *out)
{
    if (!rsp_left(&request->rest))
        return false;
    rsp_error(rs, out, RINGSIDE_ENOTSUP, "conditions are not evaluated here");
    return true;
}

static void put_set_result(struct ringside *rs, struct rsp_out *out, int error)
{
    if (error == RINGSIDE_ENOSPC)
        rsp_error(rs, out, error, "no free slot for another one");
    else
        rsp_result(rs, out, error);
}

void rsp_breakpoint_set(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    if (rs->debug.target->breakpoint && !refuse_conditions(rs, request, out))
        put_set_result(rs, out,
                       debug_breakpoint_set(&rs->debug, rs->session.current, request->value[0]));
}

void rsp_breakpoint_clear(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    if (rs->debug.target->breakpoint)
        rsp_result(rs, out, debug_breakpoint_clear(&rs->debug, request->value[0]));
}

static void set(struct ringside *rs, const struct rsp_request *request, struct rsp_out *out,
                enum ringside_watch_kind kind, uint64_t length)
{
    uint64_t address = request->value[0];

    if (!rs->debug.target->watch)
        return;
    if (length == 0 || address + (length - 1) < address)
        rsp_error(rs, out, RINGSIDE_EINVAL, "not a range");
    else
        put_set_result(rs, out, debug_watch_set(&rs->debug, kind, address, length));
}

static void clear(struct ringside *rs, const struct rsp_request *request, struct rsp_out *out,
                  enum ringside_watch_kind kind, uint64_t length)
{
    if (rs->debug.target->watch)
        rsp_result(rs, out, debug_watch_clear(&rs->debug, kind, request->value[0], length));
}

void rsp_hardware_set(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    if (rs->debug.target->watch && !refuse_conditions(rs, request, out))
        set(rs, request, out, RINGSIDE_WATCH_EXEC, 1);
}

void rsp_hardware_clear(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    clear(rs, request, out, RINGSIDE_WATCH_EXEC, 1);
}

void rsp_watch_write_set(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    set(rs, request, out, RINGSIDE_WATCH_WRITE, request->value[1]);
}

void rsp_watch_write_clear(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    clear(rs, request, out, RINGSIDE_WATCH_WRITE, request->value[1]);
}

void rsp_watch_read_set(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    set(rs, request, out, RINGSIDE_WATCH_READ, request->value[1]);
}

void rsp_watch_read_clear(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    clear(rs, request, out, RINGSIDE_WATCH_READ, request->value[1]);
}

void rsp_watch_access_set(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    set(rs, request, out, RINGSIDE_WATCH_ACCESS, request->value[1]);
}

void rsp_watch_access_clear(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    clear(rs, request, out, RINGSIDE_WATCH_ACCESS, request->value[1]);
}
