/* The trace buffer: writing frames, making room, and finding them again. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/trace_buffer.h"

#include <string.h>

/* What stands before a frame's blocks. */
struct head {
    uint32_t size, tracepoint;
    uint64_t address;
};
_Static_assert(sizeof(struct head) == 16 && sizeof(struct trace_block) == 16, "heads of 16 bytes");

enum { SMALLEST = 4096 };

void trace_buffer_init(struct trace_buffer *buffer, void *memory, uint32_t capacity)
{
    *buffer = (struct trace_buffer){.bytes = memory, .capacity = capacity, .size = capacity};
}

void trace_buffer_clear(struct trace_buffer *buffer)
{
    buffer->wrapped = false;
    buffer->first = buffer->end = buffer->wrap = buffer->open = buffer->count = 0;
    buffer->created = 0;
}

bool trace_buffer_resize(struct trace_buffer *buffer, uint64_t size)
{
    if (size < SMALLEST || size > buffer->capacity)
        return false;
    buffer->size = (uint32_t)size;
    trace_buffer_clear(buffer);
    return true;
}

uint32_t trace_buffer_free(const struct trace_buffer *buffer)
{
    if (buffer->wrapped)
        return buffer->first - buffer->end;
    return buffer->size - (buffer->end - buffer->first);
}

static void drop_oldest(struct trace_buffer *b)
{
    struct head head;

    memcpy(&head, b->bytes + b->first, sizeof head);
    b->first += head.size;
    b->count--;
    if (b->wrapped && b->first == b->wrap) {
        b->first = 0;
        b->wrapped = false;
    }
}

/* The open frame goes on at the start of the memory, where so many bytes are needed. */
static void go_round(struct trace_buffer *b, uint32_t needed)
{
    uint32_t from = b->end;

    b->wrap = b->end;
    b->wrapped = true;
    while (b->count && b->first < needed)
        drop_oldest(b);
    if (!b->count) {
        b->first = 0;
        b->wrapped = false;
    }
    memmove(b->bytes, b->bytes + from, b->open);
    b->end = 0;
}

/* n more bytes for the open frame. */
static uint8_t *extend(struct trace_buffer *b, uint64_t n)
{
    const uint64_t needed = b->open + n;

    if (needed > b->size)
        return NULL;
    while (b->end + needed > (b->wrapped ? b->first : b->size)) {
        if (!b->circular)
            return NULL;
        if (b->wrapped)
            drop_oldest(b);
        else
            go_round(b, (uint32_t)needed);
    }
    b->open = (uint32_t)needed;
    return b->bytes + b->end + needed - n;
}

bool trace_buffer_begin(struct trace_buffer *buffer, uint32_t tracepoint, uint64_t address)
{
    const struct head head = {.tracepoint = tracepoint, .address = address};

    buffer->open = 0;
    uint8_t *to = extend(buffer, sizeof head);
    if (!to)
        return false;
    memcpy(to, &head, sizeof head);
    return true;
}

uint8_t *trace_buffer_add(struct trace_buffer *buffer, const struct trace_block *head)
{
    uint8_t *to = extend(buffer, sizeof *head + head->size);
    if (!to)
        return NULL;
    memcpy(to, head, sizeof *head);
    return to + sizeof *head;
}

void trace_buffer_trim(struct trace_buffer *buffer, const struct trace_block *head, uint32_t size)
{
    struct trace_block shorter = *head;

    buffer->open -= (uint32_t)sizeof *head + head->size;
    if (!size)
        return;
    shorter.size = size;
    memcpy(buffer->bytes + buffer->end + buffer->open, &shorter, sizeof shorter);
    buffer->open += (uint32_t)sizeof shorter + size;
}

uint32_t trace_buffer_end(struct trace_buffer *buffer)
{
    uint32_t size = buffer->open;

    memcpy(buffer->bytes + buffer->end, &size, sizeof size); /* the first of the head */
    buffer->end += size;
    buffer->open = 0;
    buffer->count++;
    buffer->created++;
    return size;
}

static void view(const struct trace_buffer *b, uint32_t position, struct trace_frame *frame)
{
    struct head head;

    memcpy(&head, b->bytes + position, sizeof head);
    frame->position = position;
    frame->tracepoint = head.tracepoint;
    frame->address = head.address;
    frame->blocks = b->bytes + position + sizeof head;
    frame->end = b->bytes + position + head.size;
}

bool trace_buffer_first(const struct trace_buffer *buffer, struct trace_frame *frame)
{
    if (!buffer->count)
        return false;
    view(buffer, buffer->first, frame);
    frame->serial = buffer->created - buffer->count;
    return true;
}

bool trace_buffer_next(const struct trace_buffer *buffer, struct trace_frame *frame)
{
    uint32_t position = (uint32_t)(frame->end - buffer->bytes);

    if (frame->serial + 1 == buffer->created)
        return false;
    if (buffer->wrapped && position == buffer->wrap)
        position = 0;
    view(buffer, position, frame);
    frame->serial++;
    return true;
}

bool trace_buffer_has(const struct trace_buffer *buffer, const struct trace_frame *frame)
{
    return frame->serial < buffer->created && frame->serial >= buffer->created - buffer->count;
}

bool trace_frame_block(const struct trace_frame *frame, const uint8_t **at,
                       struct trace_block *head, const uint8_t **bytes)
{
    if (*at == frame->end)
        return false;
    memcpy(head, *at, sizeof *head);
    *bytes = *at + sizeof *head;
    *at = *bytes + head->size;
    return true;
}
