/* Hexadecimal and other text of the protocol: a cursor that reads it, a bounded buffer to write it.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef RSP_TEXT_H
#define RSP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

size_t rsp_length(const char *text);

/* Text not read yet.  Readers return false, and leave cursor and output alone, on anything else
 * than what they are for. */
struct rsp_cursor {
    char *at, *end;
};

size_t rsp_left(const struct rsp_cursor *in);
bool rsp_eat(struct rsp_cursor *in, char c);
bool rsp_eat_word(struct rsp_cursor *in, const char *word);
bool rsp_read_hex(struct rsp_cursor *in, uint64_t *value); /* one digit or more, below 2^64 */
/* A number as people write it: decimal, or hexadecimal after 0x. */
bool rsp_read_number(struct rsp_cursor *in, uint64_t *value);
/* Exactly 2 * n digits. */
bool rsp_read_bytes(struct rsp_cursor *in, void *bytes, size_t n);
/* Undo the escapes of all that is left, in place (the manual's "Binary Data"). */
bool rsp_unescape(struct rsp_cursor *in);
/* Undo hexadecimal of all that is left, in place. */
bool rsp_unhex(struct rsp_cursor *in);

/* A buffer that is written to its end and never beyond; what does not fit is dropped and noted. */
struct rsp_out {
    char *bytes;
    size_t length, capacity;
    bool overflow;
};

size_t rsp_room(const struct rsp_out *out);
void rsp_put(struct rsp_out *out, const void *bytes, size_t n);
void rsp_put_char(struct rsp_out *out, char c);
void rsp_put_text(struct rsp_out *out, const char *text);
void rsp_put_hex(struct rsp_out *out, uint64_t value);                /* no leading zeroes */
void rsp_put_digits(struct rsp_out *out, uint64_t value, unsigned n); /* n digits */
void rsp_put_decimal(struct rsp_out *out, uint64_t value);
void rsp_put_bytes(struct rsp_out *out, const void *bytes, size_t n);   /* in hexadecimal */
void rsp_put_escaped(struct rsp_out *out, const void *bytes, size_t n); /* as binary data */
/* A decimal or hexadecimal value right-aligned in a column. */
void rsp_put_column(struct rsp_out *out, uint64_t value, unsigned width);

#endif
