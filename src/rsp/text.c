/* Reads and writes the text of the protocol; hexadecimal goes by tables, since memory is sent in
 * it.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/text.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

/* The value of a digit + 1, so that everything that is none is 0. */
static const uint8_t digit_values[256] = {
    ['0'] = 1,  ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9,  ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
    ['A'] = 11, ['B'] = 12, ['C'] = 13, ['D'] = 14, ['E'] = 15, ['F'] = 16,
};

static int digit_value(char c)
{
    return digit_values[(unsigned char)c] - 1;
}

size_t rsp_length(const char *text)
{
    const char *end = text;

    while (*end)
        end++;
    return (size_t)(end - text);
}

size_t rsp_left(const struct rsp_cursor *in)
{
    return (size_t)(in->end - in->at);
}

bool rsp_eat(struct rsp_cursor *in, char c)
{
    if (in->at == in->end || *in->at != c)
        return false;
    in->at++;
    return true;
}

bool rsp_eat_word(struct rsp_cursor *in, const char *word)
{
    size_t n = rsp_length(word);

    if (rsp_left(in) < n || memcmp(in->at, word, n) != 0)
        return false;
    in->at += n;
    return true;
}

static bool read_base(struct rsp_cursor *in, unsigned base, uint64_t *value)
{
    uint64_t sum = 0;
    char *at = in->at;

    for (; at < in->end; at++) {
        int digit = digit_value(*at);
        if (digit < 0 || (unsigned)digit >= base)
            break;
        if (sum > (UINT64_MAX - (unsigned)digit) / base)
            return false;
        sum = sum * base + (unsigned)digit;
    }
    if (at == in->at)
        return false;
    in->at = at;
    *value = sum;
    return true;
}

bool rsp_read_hex(struct rsp_cursor *in, uint64_t *value)
{
    return read_base(in, 16, value);
}

bool rsp_read_number(struct rsp_cursor *in, uint64_t *value)
{
    struct rsp_cursor after = *in;

    if (!rsp_eat_word(&after, "0x"))
        return read_base(in, 10, value);
    if (!read_base(&after, 16, value))
        return false;
    *in = after;
    return true;
}

/* to may be from: a byte is written after the two digits that it comes from were read. */
static bool decode(unsigned char *to, const char *from, size_t n)
{
    int bad = 0;

    for (size_t i = 0; i < n; i++) {
        int high = digit_value(from[2 * i]), low = digit_value(from[2 * i + 1]);
        bad |= high | low;
        to[i] = (unsigned char)((unsigned)high << 4 | ((unsigned)low & 15));
    }
    return bad >= 0;
}

bool rsp_read_bytes(struct rsp_cursor *in, void *bytes, size_t n)
{
    if (rsp_left(in) / 2 < n)
        return false;
    for (size_t i = 0; i < 2 * n; i++)
        if (digit_value(in->at[i]) < 0)
            return false;
    decode(bytes, in->at, n);
    in->at += 2 * n;
    return true;
}

bool rsp_unhex(struct rsp_cursor *in)
{
    size_t n = rsp_left(in) / 2;

    if (rsp_left(in) % 2 || !decode((unsigned char *)in->at, in->at, n))
        return false;
    in->end = in->at + n;
    return true;
}

bool rsp_unescape(struct rsp_cursor *in)
{
    char *to = in->at;

    for (const char *from = in->at; from < in->end; from++) {
        if (*from == '}') {
            if (++from == in->end)
                return false;
            *to++ = (char)(*from ^ 0x20);
        } else {
            *to++ = *from;
        }
    }
    in->end = to;
    return true;
}

size_t rsp_room(const struct rsp_out *out)
{
    return out->capacity - out->length;
}

void rsp_put(struct rsp_out *out, const void *bytes, size_t n)
{
    if (n > rsp_room(out)) {
        out->overflow = true;
        return;
    }
    memcpy(out->bytes + out->length, bytes, n);
    out->length += n;
}

void rsp_put_char(struct rsp_out *out, char c)
{
    rsp_put(out, &c, 1);
}

void rsp_put_text(struct rsp_out *out, const char *text)
{
    rsp_put(out, text, rsp_length(text));
}

void rsp_put_digits(struct rsp_out *out, uint64_t value, unsigned n)
{
    while (n--)
        rsp_put_char(out, digits[value >> (4 * n) & 15]);
}

void rsp_put_hex(struct rsp_out *out, uint64_t value)
{
    unsigned n = 1;

    while (n < 16 && value >> (4 * n))
        n++;
    rsp_put_digits(out, value, n);
}

void rsp_put_column(struct rsp_out *out, uint64_t value, unsigned width)
{
    char text[20];
    unsigned n = 0;

    do
        text[n++] = (char)('0' + value % 10);
    while (value /= 10);
    for (; width > n; width--)
        rsp_put_char(out, ' ');
    while (n)
        rsp_put_char(out, text[--n]);
}

void rsp_put_decimal(struct rsp_out *out, uint64_t value)
{
    rsp_put_column(out, value, 0);
}

void rsp_put_bytes(struct rsp_out *out, const void *bytes, size_t n)
{
    const unsigned char *from = bytes;

    if (n > rsp_room(out) / 2) {
        out->overflow = true;
        return;
    }
    char *to = out->bytes + out->length;
    for (size_t i = 0; i < n; i++) {
        to[2 * i] = digits[from[i] >> 4];
        to[2 * i + 1] = digits[from[i] & 15];
    }
    out->length += 2 * n;
}

/* '*' would read as the start of a run of equal bytes. */
static bool is_special(char c)
{
    return c == '#' || c == '$' || c == '}' || c == '*';
}

void rsp_put_escaped(struct rsp_out *out, const void *bytes, size_t n)
{
    const char *from = bytes;

    for (size_t i = 0; i < n; i++) {
        if (rsp_room(out) < 2) {
            out->overflow = true;
            return;
        }
        if (is_special(from[i])) {
            out->bytes[out->length++] = '}';
            out->bytes[out->length++] = (char)(from[i] ^ 0x20);
        } else {
            out->bytes[out->length++] = from[i];
        }
    }
}
