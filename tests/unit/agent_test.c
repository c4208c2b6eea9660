/* GDB's agent expressions: every bytecode, what is refused beforehand, and what fails in the run.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "debug/agent.h"
#include "random.h"
#include "ringside/target.h"

/* Memory of 256 bytes at 0x1000; registers 0..3 with 0x1111... times their number. */
enum { BASE = 0x1000, SIZE = 256 };

struct world {
    uint8_t memory[SIZE];
    uint64_t variable[2];
    char text[4096];
    size_t text_length;
    uint64_t traced[8][2];
    unsigned traces;
    unsigned traced_variable;
};

static bool has_register(void *ctx, unsigned number)
{
    (void)ctx;
    return number < 4;
}

static bool read_register(void *ctx, unsigned number, uint64_t *value)
{
    (void)ctx;
    *value = number * 0x1111111111111111;
    return number != 3;
}

static bool read_memory(void *ctx, uint64_t address, void *buffer, size_t n)
{
    const struct world *w = ctx;

    if (address < BASE || address - BASE > SIZE - n)
        return false;
    memcpy(buffer, w->memory + address - BASE, n);
    return true;
}

static bool trace(void *ctx, uint64_t address, uint64_t n)
{
    struct world *w = ctx;

    w->traced[w->traces % 8][0] = address;
    w->traced[w->traces++ % 8][1] = n;
    return true;
}

static bool trace_variable(void *ctx, unsigned number)
{
    ((struct world *)ctx)->traced_variable = number;
    return true;
}

static bool get_variable(void *ctx, unsigned number, uint64_t *value)
{
    if (number < 2)
        *value = ((struct world *)ctx)->variable[number];
    return number < 2;
}

static bool set_variable(void *ctx, unsigned number, uint64_t value)
{
    if (number < 2)
        ((struct world *)ctx)->variable[number] = value;
    return number < 2;
}

static void print(void *ctx, const char *text, size_t n)
{
    struct world *w = ctx;

    if (n > sizeof w->text - 1 - w->text_length)
        return;
    memcpy(w->text + w->text_length, text, n);
    w->text_length += n;
    w->text[w->text_length] = 0;
}

static const struct agent_ops all = {
    .has_register = has_register,
    .read_register = read_register,
    .read_memory = read_memory,
    .trace = trace,
    .trace_variable = trace_variable,
    .get_variable = get_variable,
    .set_variable = set_variable,
    .print = print,
};

/* Bytes of hexadecimal, spaces and 'quoted text' (with its zero). */
static size_t assemble(const char *text, uint8_t *code)
{
    size_t n = 0;

    while (*text) {
        unsigned byte;
        if (*text == ' ') {
            text++;
        } else if (*text == '\'') {
            for (text++; *text != '\''; text++)
                code[n++] = (uint8_t)*text;
            code[n++] = 0;
            text++;
        } else {
            assert_int_equal(sscanf(text, "%2x", &byte), 1);
            code[n++] = (uint8_t)byte;
            text += 2;
        }
    }
    return n;
}

static int check(const struct agent_ops *ops, const char *text, bool wants_value)
{
    uint8_t code[AGENT_LENGTH_MAX + 8];

    return agent_check(ops, NULL, code, assemble(text, code), wants_value);
}

static bool run(struct world *w, const char *text, uint64_t *value)
{
    uint8_t code[AGENT_LENGTH_MAX];
    size_t n = assemble(text, code);
    int error = agent_check(&all, w, code, n, false);

    if (error)
        fail_msg("%s: refused", text);
    return agent_run(&all, w, code, value);
}

static struct world fresh(void)
{
    struct world w = {.variable = {7, 8}};

    for (unsigned i = 0; i < SIZE; i++)
        w.memory[i] = (uint8_t)(i + 0x80);
    memcpy(w.memory + 0x40, "text", 5);
    return w;
}

static const struct {
    const char *code;
    uint64_t value;
} results[] = {
    /* constants */
    {"22 ff 27", 0xff},
    {"23 1234 27", 0x1234},
    {"24 12345678 27", 0x12345678},
    {"25 123456789abcdef0 27", 0x123456789abcdef0},
    /* arithmetic: add sub mul div_signed div_unsigned rem_signed rem_unsigned */
    {"22 05 22 03 02 27", 8},
    {"22 03 22 05 03 27", (uint64_t)-2},
    {"22 05 22 03 04 27", 15},
    {"22 f9 16 08 22 02 05 27", (uint64_t)-3},
    {"22 f9 16 08 22 02 06 27", 0x7ffffffffffffffc},
    {"22 f9 16 08 22 02 07 27", (uint64_t)-1},
    {"22 f9 16 08 22 02 08 27", 1},
    {"25 8000000000000000 22 ff 16 08 05 27", 0x8000000000000000},
    {"25 8000000000000000 22 ff 16 08 07 27", 0},
    /* lsh rsh_signed rsh_unsigned, and by too much */
    {"22 81 22 04 09 27", 0x810},
    {"22 81 16 08 22 04 0a 27", (uint64_t)-8},
    {"22 81 16 08 22 04 0b 27", 0x0ffffffffffffff8},
    {"22 81 22 40 09 27", 0},
    {"22 81 16 08 22 40 0a 27", (uint64_t)-1},
    {"22 81 16 08 22 40 0b 27", 0},
    {"22 81 22 00 0a 27", 0x81},
    /* log_not bit_and bit_or bit_xor bit_not */
    {"22 05 0e 27", 0},
    {"22 00 0e 27", 1},
    {"22 0c 22 0a 0f 27", 0x08},
    {"22 0c 22 0a 10 27", 0x0e},
    {"22 0c 22 0a 11 27", 0x06},
    {"22 0c 12 27", ~0x0cull},
    /* equal less_signed less_unsigned */
    {"22 0c 22 0c 13 27", 1},
    {"22 0c 22 0d 13 27", 0},
    {"22 ff 16 08 22 01 14 27", 1},
    {"22 01 22 ff 16 08 14 27", 0},
    {"22 ff 16 08 22 01 15 27", 0},
    {"22 01 22 01 15 27", 0},
    /* ext zero_ext */
    {"22 80 16 08 27", 0xffffffffffffff80},
    {"22 7f 16 08 27", 0x7f},
    {"23 f17f 16 08 27", 0x7f},
    {"25 8000000000000001 16 40 27", 0x8000000000000001},
    {"22 01 16 01 27", ~0ull},
    {"23 1280 2a 08 27", 0x80},
    {"22 80 16 08 2a 20 27", 0xffffff80},
    {"22 80 16 08 2a 40 27", 0xffffffffffffff80},
    /* ref8 ref16 ref32 ref64, at odd addresses too */
    {"23 1001 17 27", 0x81},
    {"23 1001 18 27", 0x8281},
    {"23 1001 19 27", 0x84838281},
    {"23 1001 1a 27", 0x8887868584838281},
    {"23 10f8 1a 27", 0x7f7e7d7c7b7a7978},
    /* if_goto goto */
    {"22 01 20 0008 22 0a 27 22 0b 27", 0x0b},
    {"22 00 20 0008 22 0a 27 22 0b 27", 0x0a},
    {"21 0006 22 0a 27 22 0b 27", 0x0b},
    /* a loop: 10 + 9 + ... + 1 */
    {"22 0a 22 00 32 01 02 2b 22 01 03 2b 32 01 20 0004 27", 55},
    /* reg dup pop swap pick rot */
    {"26 0002 27", 0x2222222222222222},
    {"22 05 28 02 27", 10},
    {"22 05 22 06 29 27", 5},
    {"22 05 22 06 2b 03 27", 1},
    {"22 05 22 06 22 07 32 02 27", 5},
    {"22 05 22 06 22 07 32 00 27", 7},
    {"22 05 22 06 22 07 33 27", 6},
    {"22 05 22 06 22 07 33 29 27", 5},
    {"22 05 22 06 22 07 33 29 29 27", 7},
    /* getv setv */
    {"2c 0001 27", 8},
    {"22 2a 2d 0000 29 2c 0000 27", 0x2a},
    {"22 2a 2d 0000 27", 0x2a},
};

static void values(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof results / sizeof results[0]; i++) {
        struct world w = fresh();
        uint64_t value = 0xdead;
        if (!run(&w, results[i].code, &value) || value != results[i].value)
            fail_msg("%s: %#llx", results[i].code, (unsigned long long)value);
    }
}

static void collecting(void **state)
{
    struct world w = fresh();
    uint64_t value = 0;

    (void)state;
    assert_true(run(&w,
                    "23 1004 22 0c 0c  22 20 0d 05  30 0123  23 1040 22 63 2f  23 1040 22 02 2f"
                    " 2e 0001 27",
                    &value));
    assert_int_equal(w.traces, 5);
    static const uint64_t expected[5][2] = {
        {0x1004, 12}, {0x20, 5}, {0x20, 0x123}, {0x1040, 5}, {0x1040, 2}};
    assert_memory_equal(w.traced, expected, sizeof expected);
    assert_int_equal(w.traced_variable, 1);
    assert_int_equal(value, 0x20); /* the quick ones leave the address */
}

static const struct {
    const char *code, *text;
} printed[] = {
    {"22 00 22 00 34 00 0003 'hi' 27", "hi"},
    /* the first argument is on top, below function and channel */
    {"22 02 22 01 22 00 22 00 34 02 0006 '%d,%d' 27", "1,2"},
    {"22 ff 16 08 28 28 22 00 28 34 03 000a '%d %u %lx' 27", "-1 4294967295 ffffffffffffffff"},
    {"22 ff 28 28 28 22 00 28 34 04 0013 '%hhd %hx %#o %#X%%' 27", "-1 ff 0377 0XFF%"},
    {"22 2a 28 28 22 00 28 34 03 0010 '[%5d|%-5d|%05d]' 27", "[   42|42   |00042]"},
    {"22 2a 28 28 22 00 28 34 03 000e '%+d|% d|%6.3i' 27", "+42| 42|   042"},
    {"22 00 28 28 22 00 28 34 03 000b '%.0d|%x|%p' 27", "|0|0x0"},
    {"22 41 23 1040 28 28 22 00 28 34 04 0012 '%s|%.2s|%-6s|%3c.' 27", "text|te|text  |  A."},
    {"22 00 28 34 00 0014 '\\t\\n\\\\\\\"\\101\\e\\a\\0.' 27", "\t\n\\\"A\033\a"},
};

static void printing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < sizeof printed / sizeof printed[0]; i++) {
        struct world w = fresh();
        uint64_t value = 0;
        if (!run(&w, printed[i].code, &value) || strcmp(w.text, printed[i].text) != 0)
            fail_msg("%s: %s", printed[i].code, w.text);
    }
}

/* What the run can only find out itself: the value is left alone. */
static void failing(void **state)
{
    static const char *const codes[] = {
        "22 05 22 00 05 27", "22 05 22 00 06 27", "22 05 22 00 07 27",
        "22 05 22 00 08 27", "22 05 17 27",       "23 10ff 18 27",
        "23 10fd 19 27",     "23 10f9 1a 27",     "25 ffffffffffffffff 17 27",
        "26 0003 27",        "2c 0002 27",        "22 05 2d 0002 27",
        "21 0000",           "22 05 22 63 2f 27", "22 05 22 00 28 34 01 0003 '%s' 27",
    };

    (void)state;
    for (unsigned i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        struct world w = fresh();
        uint64_t value = 0xdead;
        if (run(&w, codes[i], &value) || value != 0xdead)
            fail_msg("%s does not fail", codes[i]);
    }
}

static void refused(void **state)
{
    static const char *const malformed[] = {
        "",      /* nothing */
        "22 01", /* no end */
        "00 27",
        "31 27",
        "35 27",
        "ff 27",
        "2a", /* no such operation; cut off */
        "22",
        "23 01 ",
        "25 01020304050607",
        "27", /* no value */
        "02 27",
        "22 01 02 27",
        "29 27",
        "33 27",
        "22 01 28 33 33 32 03 27",
        "22 01 32 01 27", /* nothing that far down */
        "22 01 16 00 27",
        "22 01 16 41 27",
        "22 01 2a 00 27",              /* bits */
        "22 01 21 0004 27",            /* into an operand */
        "22 01 21 0100 27",            /* out of it */
        "22 01 20 0006 22 01 27",      /* the stack is not alike on both ways */
        "22 01 21 0000",               /* it would grow for ever */
        "21 0005 22 01 22 01 21 0003", /* back to what nothing led to before */
        "26 0004 27",                  /* no such register */
        "22 00 28 34 00 0003 'abc' 22 01 27",
        "22 00 28 34 00 0002 00 00 22 01 27",
        "22 00 28 34 00 0000 22 01 27",
        "22 00 28 34 01 0003 '%d' 22 01 27",
        "22 00 28 34 00 00ff 'a'",
    };
    static const char *const not_here[] = {
        "01 02 27",
        "22 01 1b 27",
        "22 01 1c 27",
        "22 01 1d 27",
        "22 01 1e 27",
        "22 01 1f 27",
        "22 01 28 28 34 01 0003 '%f' 27",
        "22 01 28 28 34 01 0003 '%n' 27",
        "22 01 28 28 34 01 0003 '%*' 27",
        "22 01 28 28 34 01 0004 '%ls' 27",
        "22 01 28 28 34 01 0002 '%' 27",
        "22 01 28 28 34 01 0003 'a\\' 27",
        "22 01 28 28 28 34 01 0002 'a' 27",
        "22 01 28 28 28 34 01 0005 '%d%d' 27",
    };
    static const struct agent_ops few = {
        .has_register = has_register, .read_register = read_register, .read_memory = read_memory};
    static const char *const of_groups[] = {
        "22 01 22 01 0c 22 01 27",
        "22 01 0d 01 27",
        "22 01 30 0001 27",
        "22 01 28 2f 22 01 27",
        "2c 0001 27",
        "22 01 2d 0001 27",
        "22 01 2e 0001 27",
        "22 01 28 28 34 00 0002 'a' 27",
    };

    (void)state;
    for (unsigned i = 0; i < sizeof malformed / sizeof malformed[0]; i++)
        if (check(&all, malformed[i], true) != RINGSIDE_EINVAL)
            fail_msg("%s is let through", malformed[i]);
    for (unsigned i = 0; i < sizeof not_here / sizeof not_here[0]; i++)
        if (check(&all, not_here[i], true) != RINGSIDE_ENOTSUP)
            fail_msg("%s is let through", not_here[i]);
    for (unsigned i = 0; i < sizeof of_groups / sizeof of_groups[0]; i++)
        if (check(&few, of_groups[i], true) != RINGSIDE_ENOTSUP || check(&all, of_groups[i], true))
            fail_msg("%s: with or without its group", of_groups[i]);
    assert_int_equal(check(&all, "27", false), RINGSIDE_OK);
}

static void depth(void **state)
{
    uint8_t code[2 * AGENT_STACK + 4];
    uint64_t value = 0;

    (void)state;
    for (unsigned i = 0; i <= AGENT_STACK; i++) {
        code[2 * i] = 0x22;
        code[2 * i + 1] = (uint8_t)i;
        code[2 * i + 2] = 0x27;
        int error = agent_check(&all, NULL, code, 2 * i + 3, true);
        assert_int_equal(error, i < AGENT_STACK ? RINGSIDE_OK : RINGSIDE_EINVAL);
        if (!error) {
            assert_true(agent_run(&all, NULL, code, &value));
            assert_int_equal(value, i);
        }
    }
}

/* Whatever passes the check can be run: the sanitizers watch. */
static void random_code(void **state)
{
    uint64_t random = 1;
    unsigned passed = 0;

    (void)state;
    for (unsigned round = 0; round < 300000; round++) {
        struct world w = fresh();
        uint8_t code[24];
        uint64_t value;
        size_t n = 1 + random_next(&random) % sizeof code;
        for (size_t i = 0; i < n; i++) {
            uint64_t r = random_next(&random);
            code[i] = (uint8_t)(r & 0x300 ? r % 0x36 : r % 8);
        }
        if (round % 2)
            code[n - 1] = 0x27;
        if (agent_check(&all, &w, code, n, false))
            continue;
        passed++;
        agent_run(&all, &w, code, &value);
    }
    assert_true(passed > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),      cmocka_unit_test(collecting), cmocka_unit_test(printing),
        cmocka_unit_test(failing),     cmocka_unit_test(refused),    cmocka_unit_test(depth),
        cmocka_unit_test(random_code),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
