/* The trace buffer: frames in memory of fixed size; full, it takes no more or drops the oldest. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DEBUG_TRACE_BUFFER_H
#define DEBUG_TRACE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Frames follow each other and are never split.  They lie in [first, end); once wrapped, the older
 * ones in [first, wrap) and the younger ones in [0, end).  The frame that is being written stands
 * at end, `open` bytes long, and does not count.
 */
struct trace_buffer {
    uint8_t *bytes;
    uint32_t capacity; /* of the memory */
    uint32_t size;     /* of which so much is used */
    bool circular;     /* the oldest frames make room for new ones */
    bool wrapped;
    uint32_t first, end, wrap, open;
    uint32_t count;   /* frames */
    uint64_t created; /* likewise, with those that were dropped */
};

/* A frame is blocks, each with a head. */
enum trace_block_kind { TRACE_REGISTERS = 'R', TRACE_MEMORY = 'M', TRACE_VARIABLE = 'V' };
struct trace_block {
    uint8_t kind;
    uint16_t count;   /* registers: their numbers, in 16 bits each, stand before their values */
    uint32_t size;    /* bytes behind the head */
    uint64_t address; /* of the memory; the variable's value, whose number is in count */
};

/* A frame as a reader finds it; valid until the next one is written. */
struct trace_frame {
    uint64_t serial;     /* among all that were created */
    uint32_t position;   /* in bytes[] */
    uint32_t tracepoint; /* its number */
    uint64_t address;    /* of the instruction */
    const uint8_t *blocks, *end;
};

void trace_buffer_init(struct trace_buffer *buffer, void *memory, uint32_t capacity);
void trace_buffer_clear(struct trace_buffer *buffer);
/* Drops all frames.  False: smaller than the smallest, or larger than the memory. */
bool trace_buffer_resize(struct trace_buffer *buffer, uint64_t size);
uint32_t trace_buffer_free(const struct trace_buffer *buffer); /* bytes without a frame */

/* Writing; false or NULL: there is no room, and the frame is given up. */
bool trace_buffer_begin(struct trace_buffer *buffer, uint32_t tracepoint, uint64_t address);
/* Room for a block whose head is given; its bytes are to be filled before the next call. */
uint8_t *trace_buffer_add(struct trace_buffer *buffer, const struct trace_block *head);
/* The block just added has only so many bytes (0: there is none at all). */
void trace_buffer_trim(struct trace_buffer *buffer, const struct trace_block *head, uint32_t size);
uint32_t trace_buffer_end(struct trace_buffer *buffer); /* the frame's size, which counts now */

/* Reading, from the oldest on. */
bool trace_buffer_first(const struct trace_buffer *buffer, struct trace_frame *frame);
bool trace_buffer_next(const struct trace_buffer *buffer, struct trace_frame *frame);
bool trace_buffer_has(const struct trace_buffer *buffer, const struct trace_frame *frame);
/* The block at *at, and on to the next; false: there is none. */
bool trace_frame_block(const struct trace_frame *frame, const uint8_t **at,
                       struct trace_block *head, const uint8_t **bytes);

#endif
