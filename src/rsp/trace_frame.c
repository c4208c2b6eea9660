/* Frames of a trace: which one is looked at, and its registers, memory and variables. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "debug/trace.h"
#include "rsp/rsp.h"

/* --- Which one ------------------------------------------------------------------------------- */

/* What a frame is searched by: an address in [begin, end] or outside, a tracepoint, a place in the
 * order. */
struct search {
    enum { BY_ORDER, BY_POINT, BY_RANGE, BY_OUTSIDE } by;
    uint64_t begin, end;
};

static bool read_range(struct rsp_cursor *in, struct search *search)
{
    return rsp_read_hex(in, &search->begin) && rsp_eat(in, ':') && rsp_read_hex(in, &search->end);
}

static bool read_search(struct rsp_cursor *in, struct search *search)
{
    bool fine;

    if (rsp_eat_word(in, "pc:")) {
        search->by = BY_RANGE;
        fine = rsp_read_hex(in, &search->begin);
        search->end = search->begin;
    } else if (rsp_eat_word(in, "tdp:")) {
        search->by = BY_POINT;
        fine = rsp_read_hex(in, &search->begin);
    } else if (rsp_eat_word(in, "range:")) {
        search->by = BY_RANGE;
        fine = read_range(in, search);
    } else if (rsp_eat_word(in, "outside:")) {
        search->by = BY_OUTSIDE;
        fine = read_range(in, search);
    } else {
        search->by = BY_ORDER;
        search->begin = UINT32_MAX;
        fine = rsp_eat_word(in, "-1") || rsp_read_hex(in, &search->begin);
    }
    return fine && !rsp_left(in);
}

static bool matches(const struct search *search, const struct trace_frame *frame, uint64_t order)
{
    bool inside = frame->address >= search->begin && frame->address <= search->end;

    switch (search->by) {
    case BY_ORDER: return order == search->begin;
    case BY_POINT: return frame->tracepoint == search->begin;
    case BY_RANGE: return inside;
    case BY_OUTSIDE: return !inside;
    }
    return false;
}

/* From the frame behind the one that is looked at; by order from the first. */
void rsp_trace_frame(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    const struct trace_buffer *buffer = &rs->debug.trace->buffer;
    struct rsp_session *s = &rs->session;
    struct trace_frame frame;
    struct search search;
    uint64_t order;
    bool found;

    if (!read_search(&request->rest, &search)) {
        rsp_error(rs, out, RINGSIDE_EINVAL, "not a frame");
        return;
    }
    if (search.by == BY_ORDER && search.begin == UINT32_MAX) {
        s->framed = false;
        rsp_ok(out);
        return;
    }
    frame = s->frame;
    if (search.by != BY_ORDER && s->framed && trace_buffer_has(buffer, &frame))
        found = trace_buffer_next(buffer, &frame);
    else
        found = trace_buffer_first(buffer, &frame);
    for (; found; found = trace_buffer_next(buffer, &frame)) {
        order = frame.serial - (buffer->created - buffer->count);
        if (!matches(&search, &frame, order))
            continue;
        s->framed = true;
        s->frame = frame;
        rsp_put_char(out, 'F');
        rsp_put_hex(out, order);
        rsp_put_char(out, 'T');
        rsp_put_hex(out, frame.tracepoint);
        return;
    }
    rsp_put_text(out, "F-1");
}

/* NULL: it was dropped meanwhile. */
static const struct trace_frame *frame_of(const struct ringside *rs)
{
    return trace_buffer_has(&rs->debug.trace->buffer, &rs->session.frame) ? &rs->session.frame
                                                                          : NULL;
}

/* --- What it holds --------------------------------------------------------------------------- */

/* The block at *at of this kind, and on. */
static bool next_block(const struct trace_frame *frame, enum trace_block_kind kind,
                       const uint8_t **at, struct trace_block *head, const uint8_t **bytes)
{
    while (trace_frame_block(frame, at, head, bytes))
        if (head->kind == kind)
            return true;
    return false;
}

bool rsp_frame_variable(struct ringside *rs, uint64_t number, uint64_t *value)
{
    const struct trace_frame *frame = frame_of(rs);
    const uint8_t *at = frame ? frame->blocks : NULL, *bytes;
    struct trace_block head;

    while (frame && next_block(frame, TRACE_VARIABLE, &at, &head, &bytes)) {
        if (head.count == number) {
            *value = head.address;
            return true;
        }
    }
    return false;
}

const uint8_t *rsp_frame_register(struct ringside *rs, const struct trace_frame *frame,
                                  unsigned number)
{
    const struct rsp_register *registers = rsp_layout(rs)->registers;
    const uint8_t *at = frame->blocks, *bytes;
    struct trace_block head;

    while (next_block(frame, TRACE_REGISTERS, &at, &head, &bytes)) {
        const uint8_t *value = bytes + head.count * sizeof(uint16_t);
        for (unsigned i = 0; i < head.count; i++) {
            uint16_t here;
            memcpy(&here, bytes + i * sizeof here, sizeof here);
            if (here == number)
                return value;
            value += registers[here].size;
        }
    }
    return NULL;
}

void rsp_frame_put_register(struct ringside *rs, struct rsp_out *out, unsigned number)
{
    const struct rsp_register *reg = &rsp_layout(rs)->registers[number];
    const struct trace_frame *frame = frame_of(rs);
    const uint8_t *value = frame ? rsp_frame_register(rs, frame, number) : NULL;

    if (value)
        rsp_put_bytes(out, value, reg->size);
    else if (frame && number == RSP_REG_RIP) /* the one that is always known */
        rsp_put_bytes(out, &frame->address, sizeof frame->address);
    else
        for (unsigned i = 0; i < reg->size; i++)
            rsp_put_text(out, "xx");
}

static bool find_memory(const struct trace_frame *frame, uint64_t address, const uint8_t **bytes,
                        uint64_t *n)
{
    const uint8_t *at = frame->blocks, *from;
    struct trace_block head;

    while (next_block(frame, TRACE_MEMORY, &at, &head, &from)) {
        if (address - head.address < head.size) {
            *bytes = from + (address - head.address);
            *n = head.size - (address - head.address);
            return true;
        }
    }
    return false;
}

/* Memory that the peer declared to be the same now as then. */
static size_t read_unchanging(struct ringside *rs, uint64_t address, void *buffer, size_t n)
{
    const struct debug_trace *trace = rs->debug.trace;

    for (unsigned i = 0; i < trace->range_count; i++) {
        uint64_t begin = trace->ranges[i].begin, end = trace->ranges[i].end;
        if (address < begin || address >= end)
            continue;
        if (n > end - address)
            n = (size_t)(end - address);
        return debug_read(&rs->debug, rs->session.current, address, buffer, n);
    }
    return 0;
}

size_t rsp_frame_read(struct ringside *rs, uint64_t address, void *buffer, size_t n)
{
    const struct trace_frame *frame = frame_of(rs);
    unsigned char *to = buffer;
    const uint8_t *bytes;
    size_t done = 0, got;
    uint64_t length;

    for (; frame && done < n; done += got) {
        if (find_memory(frame, address + done, &bytes, &length)) {
            got = length < n - done ? (size_t)length : n - done;
            memcpy(to + done, bytes, got);
        } else {
            got = read_unchanging(rs, address + done, to + done, n - done);
        }
        if (!got)
            break;
    }
    return done;
}

static void write_hex(struct rsp_window *w, uint64_t value)
{
    char text[19];
    struct rsp_out out = {.bytes = text, .capacity = sizeof text - 1};

    rsp_put_text(&out, "0x");
    rsp_put_hex(&out, value);
    text[out.length] = 0;
    rsp_window_text(w, text);
}

/* qXfer:traceframe-info: what the frame has beside registers. */
void rsp_xfer_traceframe(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    struct rsp_window w = rsp_window_begin(out, request->value[0], request->value[1]);
    const struct trace_frame *frame = rs->session.framed ? frame_of(rs) : NULL;
    const uint8_t *at = frame ? frame->blocks : NULL, *bytes;
    struct trace_block head;

    rsp_window_text(&w, "<?xml version=\"1.0\"?>\n<!DOCTYPE traceframe-info SYSTEM "
                        "\"traceframe-info.dtd\">\n<traceframe-info>\n");
    while (frame && trace_frame_block(frame, &at, &head, &bytes)) {
        if (head.kind == TRACE_MEMORY) {
            rsp_window_text(&w, "<memory start=\"");
            write_hex(&w, head.address);
            rsp_window_text(&w, "\" length=\"");
            write_hex(&w, head.size);
            rsp_window_text(&w, "\"/>\n");
        } else if (head.kind == TRACE_VARIABLE) {
            rsp_window_text(&w, "<tvar id=\"");
            write_hex(&w, head.count);
            rsp_window_text(&w, "\"/>\n");
        }
    }
    rsp_window_text(&w, "</traceframe-info>\n");
    rsp_window_end(&w);
}
