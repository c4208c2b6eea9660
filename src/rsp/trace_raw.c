/* qTBuffer: the whole trace, in the form in which GDB's trace files have it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "debug/trace.h"
#include "rsp/rsp.h"

/*
 * The GDB manual, appendix "Trace File Format": frames, each of the tracepoint's number (2 bytes),
 * the size of what follows (4), and blocks: R and all registers as g has them, M with an address
 * (8), a length (2) and the memory, V with the number (4) and value (8) of a variable.
 */
enum { FRAME_HEAD = 6, REGISTERS_HEAD = 1, MEMORY_HEAD = 11, VARIABLE = 13, MEMORY_MAX = 0xffff };

/* The piece that is asked for. */
struct piece {
    struct rsp_out *out;
    uint64_t skip, left;
};

static void put(struct piece *piece, const void *bytes, size_t n)
{
    const uint8_t *from = bytes;
    size_t skipped = n < piece->skip ? n : (size_t)piece->skip;

    piece->skip -= skipped;
    n -= skipped;
    if (n > piece->left)
        n = (size_t)piece->left;
    piece->left -= n;
    rsp_put_bytes(piece->out, from + skipped, n);
}

static void put_number(struct piece *piece, uint64_t value, unsigned size)
{
    uint8_t bytes[8];

    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    put(piece, bytes, size);
}

static size_t registers_size(const struct rsp_layout *layout)
{
    size_t size = 0;

    for (unsigned i = 0; i < layout->count; i++)
        size += layout->registers[i].size;
    return size;
}

/* What was not collected reads as zero; without a block of registers all are unavailable, and GDB
 * takes the tracepoint's address for RIP. */
static bool has_registers(struct ringside *rs, const struct trace_frame *frame)
{
    const uint8_t *at = frame->blocks, *bytes;
    struct trace_block head;

    while (trace_frame_block(frame, &at, &head, &bytes))
        if (head.kind == TRACE_REGISTERS)
            return true;
    return !debug_trace_find(&rs->debug, frame->tracepoint, frame->address);
}

static void put_registers(struct ringside *rs, struct piece *piece, const struct trace_frame *frame)
{
    static const uint8_t zeros[RSP_REGISTER_MAX];
    const struct rsp_layout *layout = rsp_layout(rs);

    put(piece, "R", 1);
    for (unsigned i = 0; i < layout->count; i++) {
        const uint8_t *value = rsp_frame_register(rs, frame, i);
        if (!value && i == RSP_REG_RIP)
            put_number(piece, frame->address, sizeof frame->address);
        else
            put(piece, value ? value : zeros, layout->registers[i].size);
    }
}

static void put_memory(struct piece *piece, uint64_t address, const uint8_t *bytes, uint32_t n)
{
    for (uint32_t part; n; n -= part, bytes += part, address += part) {
        part = n < MEMORY_MAX ? n : MEMORY_MAX;
        put(piece, "M", 1);
        put_number(piece, address, 8);
        put_number(piece, part, 2);
        put(piece, bytes, part);
    }
}

static uint32_t data_size(struct ringside *rs, const struct trace_frame *frame)
{
    const uint8_t *at = frame->blocks, *bytes;
    struct trace_block head;
    size_t size = 0;

    if (has_registers(rs, frame))
        size += REGISTERS_HEAD + registers_size(rsp_layout(rs));
    while (trace_frame_block(frame, &at, &head, &bytes)) {
        if (head.kind == TRACE_MEMORY)
            size += head.size + (head.size + MEMORY_MAX - 1) / MEMORY_MAX * MEMORY_HEAD;
        else if (head.kind == TRACE_VARIABLE)
            size += VARIABLE;
    }
    return (uint32_t)size;
}

static void put_frame(struct ringside *rs, struct piece *piece, const struct trace_frame *frame,
                      uint32_t size)
{
    const uint8_t *at = frame->blocks, *bytes;
    struct trace_block head;

    put_number(piece, frame->tracepoint, 2);
    put_number(piece, size, 4);
    if (has_registers(rs, frame))
        put_registers(rs, piece, frame);
    while (trace_frame_block(frame, &at, &head, &bytes)) {
        if (head.kind == TRACE_MEMORY) {
            put_memory(piece, head.address, bytes, head.size);
        } else if (head.kind == TRACE_VARIABLE) {
            put(piece, "V", 1);
            put_number(piece, head.count, 4);
            put_number(piece, head.address, 8);
        }
    }
}

/* offset,len.  The peer asks for one piece after the other: the next begins in the frame where the
 * last one ended. */
void rsp_trace_buffer_read(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    const struct trace_buffer *buffer = &rs->debug.trace->buffer;
    struct rsp_raw *raw = &rs->session.raw;
    uint64_t offset = request->value[0], most = RSP_PACKET_MAX / 2;
    struct piece piece = {out, 0, request->value[1] < most ? request->value[1] : most};
    bool found = raw->known && offset >= raw->offset && trace_buffer_has(buffer, &raw->frame);

    if (!found) {
        raw->offset = 0;
        found = trace_buffer_first(buffer, &raw->frame);
    }
    for (raw->known = found; found && piece.left; found = trace_buffer_next(buffer, &raw->frame)) {
        uint32_t size = data_size(rs, &raw->frame);
        if (offset < raw->offset + FRAME_HEAD + size) {
            piece.skip = offset > raw->offset ? offset - raw->offset : 0;
            put_frame(rs, &piece, &raw->frame, size);
            if (!piece.left)
                break;
        }
        raw->offset += FRAME_HEAD + size;
    }
    raw->known = found;
    if (!out->length)
        rsp_put_char(out, 'l');
}
