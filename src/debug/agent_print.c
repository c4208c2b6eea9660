/* printf of GDB's agent expressions: the format as in C source, integers and strings of the guest.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/agent.h"

enum { NUMBER_MAX = 22, COLUMN_MAX = 200, STRING_MAX = 1000 };

/* One conversion: %[flags][width][.precision][size]letter. */
struct conversion {
    bool left, plus, space, alternative, zero, has_precision;
    unsigned width, precision;
    unsigned bytes; /* of the value */
    char letter;
};

static unsigned read_decimal(const char **at)
{
    unsigned value = 0;

    for (; **at >= '0' && **at <= '9'; (*at)++)
        value = value < COLUMN_MAX ? value * 10 + (unsigned)(**at - '0') : COLUMN_MAX;
    return value < COLUMN_MAX ? value : COLUMN_MAX;
}

static bool *flag_of(struct conversion *c, char letter)
{
    switch (letter) {
    case '-': return &c->left;
    case '+': return &c->plus;
    case ' ': return &c->space;
    case '#': return &c->alternative;
    case '0': return &c->zero;
    default: return NULL;
    }
}

/* The size of the value in bytes, as on x86-64. */
static unsigned read_size(const char **at)
{
    unsigned bytes = 4;

    for (; **at == 'h'; (*at)++)
        bytes /= 2;
    for (; **at == 'l' || **at == 'j' || **at == 'z' || **at == 't'; (*at)++)
        bytes = 8;
    return bytes ? bytes : 1;
}

/* What stands behind a '%'; false: it is not for us (floating point, '*', 'n'). */
static bool read_conversion(const char **at, struct conversion *c)
{
    bool *flag;

    *c = (struct conversion){0};
    for (; (flag = flag_of(c, **at)); (*at)++)
        *flag = true;
    c->width = read_decimal(at);
    if (**at == '.') {
        (*at)++;
        c->has_precision = true;
        c->precision = read_decimal(at);
    }
    c->bytes = read_size(at);
    c->letter = **at;
    switch (c->letter) {
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o': break;
    case 's':
    case 'c':
        if (c->bytes == 8)
            return false; /* wide characters */
        break;
    case 'p': c->bytes = 8; break;
    default: return false;
    }
    (*at)++;
    return true;
}

/* The character behind a backslash. */
static char read_escape(const char **at)
{
    static const char letters[] = "abefnrtv";
    static const char meanings[] = "\a\b\033\f\n\r\t\v";
    unsigned value = 0, digits = 0;

    for (; digits < 3 && **at >= '0' && **at <= '7'; digits++)
        value = value * 8 + (unsigned)(*(*at)++ - '0');
    if (digits)
        return (char)value;
    for (unsigned i = 0; letters[i]; i++)
        if (letters[i] == **at)
            return (*at)++, meanings[i];
    return *(*at)++; /* itself: a quote, a backslash */
}

bool agent_format_is_good(const char *format, unsigned arguments)
{
    struct conversion c;
    unsigned used = 0;

    for (const char *at = format; *at;) {
        char letter = *at++;
        if (letter == '\\' && !*at)
            return false;
        if (letter == '\\')
            read_escape(&at);
        else if (letter == '%' && *at == '%')
            at++;
        else if (letter == '%' && (!read_conversion(&at, &c) || ++used > arguments))
            return false;
    }
    return used == arguments;
}

struct printer {
    const struct agent_ops *ops;
    void *ctx;
};

static void put(const struct printer *p, const char *text, size_t n)
{
    if (n)
        p->ops->print(p->ctx, text, n);
}

static void pad(const struct printer *p, char with, unsigned used, unsigned width)
{
    for (; used < width; used++)
        put(p, &with, 1);
}

/* The digits of value, at the end of text; returns how many. */
static unsigned digits_of(uint64_t value, unsigned base, bool large, char text[NUMBER_MAX])
{
    unsigned n = 0;

    for (; value; value /= base)
        text[NUMBER_MAX - ++n] = (large ? "0123456789ABCDEF" : "0123456789abcdef")[value % base];
    return n;
}

static void put_number(const struct printer *p, const struct conversion *c, uint64_t value)
{
    bool is_signed = c->letter == 'd' || c->letter == 'i', is_octal = c->letter == 'o';
    bool is_hex = c->letter == 'x' || c->letter == 'X' || c->letter == 'p';
    uint64_t mask = ~0ull >> (64 - 8 * c->bytes), sign = mask ^ mask >> 1;
    const char *prefix = "";
    char text[NUMBER_MAX];
    unsigned n, zeroes, length = 0;

    value &= mask;
    if (is_signed && value & sign) {
        value = (0 - value) & mask;
        prefix = "-";
    } else if (is_signed) {
        prefix = c->plus ? "+" : c->space ? " " : "";
    } else if (is_hex && (c->letter == 'p' || (c->alternative && value))) {
        prefix = c->letter == 'X' ? "0X" : "0x";
    }
    n = digits_of(value, is_hex ? 16 : is_octal ? 8 : 10, c->letter == 'X', text);
    while (prefix[length])
        length++;
    zeroes = c->has_precision ? c->precision : 1;
    if (is_octal && c->alternative && zeroes <= n)
        zeroes = n + 1;
    if (c->zero && !c->left && !c->has_precision && c->width > length)
        zeroes = c->width - length;
    if (zeroes < n)
        zeroes = n;
    if (!c->left)
        pad(p, ' ', length + zeroes, c->width);
    put(p, prefix, length);
    pad(p, '0', n, zeroes);
    put(p, text + NUMBER_MAX - n, n);
    if (c->left)
        pad(p, ' ', length + zeroes, c->width);
}

/* A string of the guest, up to its zero. */
static bool put_string(const struct printer *p, const struct conversion *c, uint64_t address)
{
    unsigned n = 0, most = c->has_precision ? c->precision : STRING_MAX;
    char text[STRING_MAX];

    for (; n < most; n++) {
        if (!p->ops->read_memory(p->ctx, address + n, &text[n], 1))
            return false;
        if (!text[n])
            break;
    }
    if (!c->left)
        pad(p, ' ', n, c->width);
    put(p, text, n);
    if (c->left)
        pad(p, ' ', n, c->width);
    return true;
}

static bool convert(const struct printer *p, const struct conversion *c, uint64_t value)
{
    char letter = (char)value;

    switch (c->letter) {
    case 's': return put_string(p, c, value);
    case 'c':
        if (!c->left)
            pad(p, ' ', 1, c->width);
        put(p, &letter, 1);
        if (c->left)
            pad(p, ' ', 1, c->width);
        return true;
    default: put_number(p, c, value); return true;
    }
}

bool agent_print(const struct agent_ops *ops, void *ctx, const char *format,
                 const uint64_t *arguments)
{
    const struct printer p = {ops, ctx};
    struct conversion c;

    for (const char *at = format; *at;) {
        const char *text = at;
        char letter;
        while (*at && *at != '%' && *at != '\\')
            at++;
        put(&p, text, (size_t)(at - text));
        if (!*at)
            break;
        if (*at++ == '\\') {
            letter = read_escape(&at);
            put(&p, &letter, 1);
        } else if (*at == '%') {
            put(&p, at++, 1);
        } else if (!read_conversion(&at, &c) || !convert(&p, &c, *arguments++)) {
            return false;
        }
    }
    return true;
}
