/* m, M, x and X: the guest's memory through the current vCPU's translation. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/rsp.h"

enum { CHUNK = 4096 };

typedef void put_function(struct rsp_out *out, const void *bytes, size_t n);

static size_t read(struct ringside *rs, uint64_t address, void *buffer, size_t n)
{
    return rs->session.framed ? rsp_frame_read(rs, address, buffer, n)
                              : debug_read(&rs->debug, rs->session.current, address, buffer, n);
}

/* How many of the n bytes at address could be read and put. */
static uint64_t read_and_put(struct ringside *rs, uint64_t address, uint64_t n, struct rsp_out *out,
                             put_function *put)
{
    unsigned char chunk[CHUNK];
    uint64_t done = 0;

    while (done < n) {
        /* Up to page ends, so that a chunk is one piece of memory. */
        size_t most = CHUNK - ((address + done) & (CHUNK - 1));
        size_t wanted = n - done < most ? (size_t)(n - done) : most;
        if (2 * wanted > rsp_room(out))
            wanted = rsp_room(out) / 2;
        size_t got = wanted ? read(rs, address + done, chunk, wanted) : 0;
        put(out, chunk, got);
        done += got;
        if (got < wanted || !wanted)
            break;
    }
    return done;
}

void rsp_memory_read(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    if (!read_and_put(rs, request->value[0], request->value[1], out, rsp_put_bytes))
        rsp_error(rs, out, RINGSIDE_EFAULT, NULL);
}

/* The reply is 'b' and the bytes; no bytes are an answer only to a request for none. */
void rsp_memory_read_binary(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    rsp_put_char(out, 'b');
    if (!read_and_put(rs, request->value[0], request->value[1], out, rsp_put_escaped) &&
        request->value[1])
        rsp_error(rs, out, RINGSIDE_EFAULT, NULL);
}

static void write(struct ringside *rs, const struct rsp_request *request, struct rsp_out *out)
{
    const struct rsp_cursor *data = &request->rest;
    size_t n = rsp_left(data);

    if (rs->session.framed)
        rsp_error(rs, out, RINGSIDE_ENOTSUP, "a frame of the trace is not to be written to");
    else if (request->value[1] != n)
        rsp_error(rs, out, RINGSIDE_EINVAL, "the length is not that of the data");
    else if (debug_write(&rs->debug, rs->session.current, request->value[0], data->at, n) != n)
        rsp_error(rs, out, RINGSIDE_EFAULT, NULL);
    else
        rsp_ok(out);
}

void rsp_memory_write(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    if (rsp_unhex(&request->rest))
        write(rs, request, out);
    else
        rsp_error(rs, out, RINGSIDE_EINVAL, "bad digits");
}

void rsp_memory_write_binary(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    if (rsp_unescape(&request->rest))
        write(rs, request, out);
    else
        rsp_error(rs, out, RINGSIDE_EINVAL, "an escape without its byte");
}
