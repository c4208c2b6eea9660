/* The trace buffer: full, circular, wrapped; frames come out as they went in, oldest first. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "debug/trace_buffer.h"
#include "random.h"

enum { CAPACITY = 1 << 16, SMALL = 4096, HEAD = 16 };

static struct trace_buffer *make(bool circular, uint32_t size)
{
    struct trace_buffer *buffer = malloc(sizeof *buffer);

    trace_buffer_init(buffer, malloc(CAPACITY), CAPACITY);
    assert_true(trace_buffer_resize(buffer, size));
    buffer->circular = circular;
    return buffer;
}

static void drop(struct trace_buffer *buffer)
{
    free(buffer->bytes);
    free(buffer);
}

/* A frame of one piece of memory that tells its number. */
static bool put(struct trace_buffer *buffer, uint32_t number, uint32_t n)
{
    struct trace_block head = {.kind = TRACE_MEMORY, .size = n, .address = number};
    uint8_t *to;

    if (!trace_buffer_begin(buffer, number, 1000 + number))
        return false;
    to = trace_buffer_add(buffer, &head);
    if (!to)
        return false;
    memset(to, (int)(number & 0xff), n);
    assert_int_equal(trace_buffer_end(buffer), 2 * HEAD + n);
    return true;
}

/* All frames, in order, whole; returns the number of the first. */
static uint32_t check(const struct trace_buffer *buffer, uint32_t last)
{
    struct trace_frame frame;
    struct trace_block head;
    const uint8_t *at, *bytes;
    uint32_t count = 0, first = last + 1 - buffer->count;

    for (bool more = trace_buffer_first(buffer, &frame); more;
         more = trace_buffer_next(buffer, &frame), count++) {
        assert_int_equal(frame.tracepoint, first + count);
        assert_int_equal(frame.address, 1000 + first + count);
        assert_int_equal(frame.serial, buffer->created - buffer->count + count);
        assert_true(trace_buffer_has(buffer, &frame));
        at = frame.blocks;
        assert_true(trace_frame_block(&frame, &at, &head, &bytes));
        assert_int_equal(head.address, first + count);
        for (uint32_t i = 0; i < head.size; i++)
            assert_int_equal(bytes[i], (first + count) & 0xff);
        assert_false(trace_frame_block(&frame, &at, &head, &bytes));
    }
    assert_int_equal(count, buffer->count);
    return first;
}

static void empty(void **state)
{
    struct trace_buffer *buffer = make(false, SMALL);
    struct trace_frame frame;

    (void)state;
    assert_false(trace_buffer_first(buffer, &frame));
    assert_int_equal(trace_buffer_free(buffer), SMALL);
    assert_false(trace_buffer_resize(buffer, SMALL - 1));
    assert_false(trace_buffer_resize(buffer, CAPACITY + 1));
    assert_true(trace_buffer_resize(buffer, CAPACITY));
    drop(buffer);
}

static void full(void **state)
{
    struct trace_buffer *buffer = make(false, SMALL);
    uint32_t n = 0;

    (void)state;
    while (put(buffer, n, 90))
        n++;
    assert_int_equal(n, SMALL / (2 * HEAD + 90));
    assert_int_equal(trace_buffer_free(buffer), SMALL - n * (2 * HEAD + 90));
    assert_false(put(buffer, n, 90)); /* and what did not fit left nothing */
    assert_int_equal(check(buffer, n - 1), 0);
    assert_true(put(buffer, n, trace_buffer_free(buffer) - 2 * HEAD)); /* to the last byte */
    assert_int_equal(trace_buffer_free(buffer), 0);
    check(buffer, n);
    assert_false(trace_buffer_begin(buffer, 0, 0));
    drop(buffer);
}

static void circular(void **state)
{
    struct trace_buffer *buffer = make(true, SMALL);
    struct trace_frame oldest;

    (void)state;
    assert_true(put(buffer, 0, 100));
    assert_true(trace_buffer_first(buffer, &oldest));
    for (uint32_t n = 1; n < 1000; n++) {
        assert_true(put(buffer, n, 100));
        check(buffer, n);
    }
    assert_int_equal(buffer->created, 1000);
    assert_in_range(buffer->count, SMALL / 132 - 1, SMALL / 132);
    assert_false(trace_buffer_has(buffer, &oldest));
    drop(buffer);
}

/* A frame as large as the buffer replaces all; a larger one is refused. */
static void largest(void **state)
{
    struct trace_buffer *buffer = make(true, SMALL);

    (void)state;
    for (uint32_t n = 0; n < 50; n++)
        assert_true(put(buffer, n, 60));
    assert_true(put(buffer, 50, SMALL - 2 * HEAD));
    assert_int_equal(buffer->count, 1);
    check(buffer, 50);
    assert_false(put(buffer, 51, SMALL - 2 * HEAD + 1));
    assert_true(put(buffer, 51, 1));
    check(buffer, 51);
    drop(buffer);
}

/* A block that turns out shorter, or to be none. */
static void trimmed(void **state)
{
    struct trace_buffer *buffer = make(false, SMALL);
    struct trace_block head = {.kind = TRACE_MEMORY, .size = 100, .address = 5};
    struct trace_frame frame;
    const uint8_t *at, *bytes;

    (void)state;
    assert_true(trace_buffer_begin(buffer, 1, 2));
    assert_non_null(trace_buffer_add(buffer, &head));
    trace_buffer_trim(buffer, &head, 0);
    assert_non_null(trace_buffer_add(buffer, &head));
    trace_buffer_trim(buffer, &head, 3);
    assert_int_equal(trace_buffer_end(buffer), 2 * HEAD + 3);
    assert_true(trace_buffer_first(buffer, &frame));
    at = frame.blocks;
    assert_true(trace_frame_block(&frame, &at, &head, &bytes));
    assert_int_equal(head.size, 3);
    assert_false(trace_frame_block(&frame, &at, &head, &bytes));
    drop(buffer);
}

/* Sizes and interruptions at random: whatever is there is whole. */
static void random_sizes(void **state)
{
    uint64_t seed = 4711;

    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        struct trace_buffer *buffer = make(true, SMALL + round * 777);
        for (uint32_t n = 0; n < 2000; n++) {
            uint32_t limit = random_next(&seed) % 8 ? 200 : SMALL - 2 * HEAD;
            if (random_next(&seed) % 16 == 0) { /* one that is given up */
                struct trace_block head = {.kind = TRACE_MEMORY, .size = limit};
                if (trace_buffer_begin(buffer, 0, 0))
                    trace_buffer_add(buffer, &head);
            }
            assert_true(put(buffer, n, (uint32_t)(random_next(&seed) % limit) + 1));
            check(buffer, n);
        }
        drop(buffer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty),   cmocka_unit_test(full),    cmocka_unit_test(circular),
        cmocka_unit_test(largest), cmocka_unit_test(trimmed), cmocka_unit_test(random_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
