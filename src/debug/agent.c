/* GDB's agent expressions: what may run is decided before, so that running checks only its budget.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/agent.h"

#include <string.h>

#include "ringside/target.h"

enum agent_op {
    OP_ADD = 0x02,
    OP_SUB,
    OP_MUL,
    OP_DIV_SIGNED,
    OP_DIV_UNSIGNED,
    OP_REM_SIGNED,
    OP_REM_UNSIGNED,
    OP_LSH,
    OP_RSH_SIGNED,
    OP_RSH_UNSIGNED,
    OP_TRACE,
    OP_TRACE_QUICK,
    OP_LOG_NOT,
    OP_BIT_AND,
    OP_BIT_OR,
    OP_BIT_XOR,
    OP_BIT_NOT,
    OP_EQUAL,
    OP_LESS_SIGNED,
    OP_LESS_UNSIGNED,
    OP_EXT,
    OP_REF8,
    OP_REF16,
    OP_REF32,
    OP_REF64,
    OP_IF_GOTO = 0x20,
    OP_GOTO,
    OP_CONST8,
    OP_CONST16,
    OP_CONST32,
    OP_CONST64,
    OP_REG,
    OP_END,
    OP_DUP,
    OP_POP,
    OP_ZERO_EXT,
    OP_SWAP,
    OP_GETV,
    OP_SETV,
    OP_TRACEV,
    OP_TRACENZ,
    OP_TRACE16,
    OP_PICK = 0x32,
    OP_ROT,
    OP_PRINTF,
    OPS
};

/* What an operation takes from the stack and leaves there, and the bytes behind it. */
static const struct operation {
    uint8_t known, operand, takes, leaves;
} operations[OPS] = {
    [OP_ADD] = {1, 0, 2, 1},          [OP_SUB] = {1, 0, 2, 1},
    [OP_MUL] = {1, 0, 2, 1},          [OP_DIV_SIGNED] = {1, 0, 2, 1},
    [OP_DIV_UNSIGNED] = {1, 0, 2, 1}, [OP_REM_SIGNED] = {1, 0, 2, 1},
    [OP_REM_UNSIGNED] = {1, 0, 2, 1}, [OP_LSH] = {1, 0, 2, 1},
    [OP_RSH_SIGNED] = {1, 0, 2, 1},   [OP_RSH_UNSIGNED] = {1, 0, 2, 1},
    [OP_TRACE] = {1, 0, 2, 0},        [OP_TRACE_QUICK] = {1, 1, 1, 1},
    [OP_LOG_NOT] = {1, 0, 1, 1},      [OP_BIT_AND] = {1, 0, 2, 1},
    [OP_BIT_OR] = {1, 0, 2, 1},       [OP_BIT_XOR] = {1, 0, 2, 1},
    [OP_BIT_NOT] = {1, 0, 1, 1},      [OP_EQUAL] = {1, 0, 2, 1},
    [OP_LESS_SIGNED] = {1, 0, 2, 1},  [OP_LESS_UNSIGNED] = {1, 0, 2, 1},
    [OP_EXT] = {1, 1, 1, 1},          [OP_REF8] = {1, 0, 1, 1},
    [OP_REF16] = {1, 0, 1, 1},        [OP_REF32] = {1, 0, 1, 1},
    [OP_REF64] = {1, 0, 1, 1},        [OP_IF_GOTO] = {1, 2, 1, 0},
    [OP_GOTO] = {1, 2, 0, 0},         [OP_CONST8] = {1, 1, 0, 1},
    [OP_CONST16] = {1, 2, 0, 1},      [OP_CONST32] = {1, 4, 0, 1},
    [OP_CONST64] = {1, 8, 0, 1},      [OP_REG] = {1, 2, 0, 1},
    [OP_END] = {1, 0, 0, 0},          [OP_DUP] = {1, 0, 1, 2},
    [OP_POP] = {1, 0, 1, 0},          [OP_ZERO_EXT] = {1, 1, 1, 1},
    [OP_SWAP] = {1, 0, 2, 2},         [OP_GETV] = {1, 2, 0, 1},
    [OP_SETV] = {1, 2, 1, 1},         [OP_TRACEV] = {1, 2, 0, 0},
    [OP_TRACENZ] = {1, 0, 2, 0},      [OP_TRACE16] = {1, 2, 1, 1},
    [OP_PICK] = {1, 1, 0, 1},         [OP_ROT] = {1, 0, 3, 3},
    [OP_PRINTF] = {1, 3, 2, 0}, /* and its string, and its arguments */
};

/* The manual's floating-point bytecodes, and the prefix for more of them: reserved, not defined. */
enum { OP_FLOAT = 0x01, OP_REF_FLOAT = 0x1b, OP_D_TO_L = 0x1f };

static uint64_t operand_of(const uint8_t *at, unsigned n)
{
    uint64_t value = 0;

    while (n--)
        value = value << 8 | *at++;
    return value;
}

/* --- Checking -------------------------------------------------------------------------------- */

/* How far the stack reaches before each instruction; or there is no way that leads there (yet). */
enum { UNREACHED = 0xff, NO_INSTRUCTION = 0xfe };
_Static_assert((int)AGENT_STACK < (int)NO_INSTRUCTION, "a height must be none of these");

struct checker {
    const struct agent_ops *ops;
    void *ctx;
    const uint8_t *code;
    size_t n;
    bool wants_value;
    uint8_t height[AGENT_LENGTH_MAX];
};

static bool is_floating(uint8_t op)
{
    return op == OP_FLOAT || (op >= OP_REF_FLOAT && op <= OP_D_TO_L);
}

static size_t length_at(const struct checker *c, size_t pc)
{
    size_t length = 1u + operations[c->code[pc]].operand;

    if (c->code[pc] == OP_PRINTF && c->n - pc >= length)
        length += operand_of(c->code + pc + 2, 2);
    return length;
}

/* Splits the bytes into instructions. */
static int split(struct checker *c)
{
    for (size_t pc = 0; pc < c->n; pc += length_at(c, pc)) {
        uint8_t op = c->code[pc];
        if (is_floating(op))
            return RINGSIDE_ENOTSUP;
        if (op >= OPS || !operations[op].known || length_at(c, pc) > c->n - pc)
            return RINGSIDE_EINVAL;
        c->height[pc] = UNREACHED;
    }
    return RINGSIDE_OK;
}

/* Does the string of n bytes end in its only zero? */
static bool is_string(const uint8_t *text, size_t n)
{
    size_t length = 0;

    while (length < n && text[length])
        length++;
    return length + 1 == n;
}

static int check_printf(const struct checker *c, size_t pc, unsigned arguments)
{
    size_t length = operand_of(c->code + pc + 2, 2);
    const uint8_t *format = c->code + pc + 4;

    if (!c->ops->print)
        return RINGSIDE_ENOTSUP;
    if (!is_string(format, length))
        return RINGSIDE_EINVAL;
    return agent_format_is_good((const char *)format, arguments) ? RINGSIDE_OK : RINGSIDE_ENOTSUP;
}

static int check_variable(const struct checker *c, bool offered, unsigned number)
{
    if (!offered || (c->ops->has_variable && !c->ops->has_variable(c->ctx, number)))
        return RINGSIDE_ENOTSUP;
    return RINGSIDE_OK;
}

/* What the bytes behind the operation say. */
static int check_operand(const struct checker *c, size_t pc, unsigned height)
{
    uint8_t op = c->code[pc];
    uint64_t operand = operand_of(c->code + pc + 1, operations[op].operand);

    switch (op) {
    case OP_EXT:
    case OP_ZERO_EXT: return operand >= 1 && operand <= 64 ? RINGSIDE_OK : RINGSIDE_EINVAL;
    case OP_PICK: return operand < height ? RINGSIDE_OK : RINGSIDE_EINVAL;
    case OP_REG: return c->ops->has_register(c->ctx, (unsigned)operand) ? 0 : RINGSIDE_EINVAL;
    case OP_TRACE:
    case OP_TRACE_QUICK:
    case OP_TRACENZ:
    case OP_TRACE16: return c->ops->trace ? RINGSIDE_OK : RINGSIDE_ENOTSUP;
    case OP_TRACEV: return check_variable(c, c->ops->trace_variable, (unsigned)operand);
    case OP_GETV: return check_variable(c, c->ops->get_variable, (unsigned)operand);
    case OP_SETV: return check_variable(c, c->ops->set_variable, (unsigned)operand);
    case OP_PRINTF: return check_printf(c, pc, c->code[pc + 1]);
    default: return RINGSIDE_OK;
    }
}

/*
 * Execution goes from the instruction at pc to the one at `to`.  All ways to an instruction must
 * find the stack alike; a way back must lead to what was reached before it, so that one pass
 * suffices.
 */
static bool lead(struct checker *c, size_t pc, size_t to, unsigned height)
{
    if (to >= c->n || c->height[to] == NO_INSTRUCTION)
        return false;
    if (c->height[to] == UNREACHED && to > pc)
        c->height[to] = (uint8_t)height;
    return c->height[to] == height;
}

static int check_at(struct checker *c, size_t pc)
{
    uint8_t op = c->code[pc];
    unsigned height = c->height[pc], takes = operations[op].takes;
    int error = check_operand(c, pc, height);

    if (error)
        return error;
    if (op == OP_PRINTF)
        takes += c->code[pc + 1];
    if (height < takes || (op == OP_END && c->wants_value && !height))
        return RINGSIDE_EINVAL;
    height = height - takes + operations[op].leaves;
    if (height > AGENT_STACK)
        return RINGSIDE_EINVAL;
    if ((op == OP_GOTO || op == OP_IF_GOTO) &&
        !lead(c, pc, operand_of(c->code + pc + 1, 2), height))
        return RINGSIDE_EINVAL;
    if (op != OP_GOTO && op != OP_END && !lead(c, pc, pc + length_at(c, pc), height))
        return RINGSIDE_EINVAL;
    return RINGSIDE_OK;
}

int agent_check(const struct agent_ops *ops, void *ctx, const uint8_t *code, size_t n,
                bool wants_value)
{
    struct checker c = {ops, ctx, code, n, wants_value, {0}};

    if (n == 0 || n > AGENT_LENGTH_MAX)
        return RINGSIDE_EINVAL;
    memset(c.height, NO_INSTRUCTION, sizeof c.height);
    int error = split(&c);
    c.height[0] = 0;
    for (size_t pc = 0; pc < n && !error; pc += length_at(&c, pc))
        if (c.height[pc] != UNREACHED)
            error = check_at(&c, pc);
    return error;
}

/* --- Running --------------------------------------------------------------------------------- */

static bool divide(uint8_t op, uint64_t a, uint64_t b, uint64_t *result)
{
    int64_t x = (int64_t)a, y = (int64_t)b;

    if (b == 0)
        return false;
    switch (op) {
    case OP_DIV_UNSIGNED: *result = a / b; break;
    case OP_REM_UNSIGNED: *result = a % b; break;
    /* The one quotient that does not fit wraps around. */
    case OP_DIV_SIGNED: *result = y == -1 ? 0 - a : (uint64_t)(x / y); break;
    default: *result = y == -1 ? 0 : (uint64_t)(x % y); break;
    }
    return true;
}

/* A shift by the width or more shifts everything out. */
static uint64_t shift(uint8_t op, uint64_t a, uint64_t by)
{
    uint64_t sign = op == OP_RSH_SIGNED && a >> 63 ? ~0ull : 0;

    if (by == 0)
        return a;
    if (by > 63)
        return sign;
    return op == OP_LSH ? a << by : a >> by | sign << (64 - by);
}

static uint64_t extend(uint64_t value, unsigned bits, bool is_signed)
{
    uint64_t mask = ~0ull >> (64 - bits);

    return is_signed && value >> (bits - 1) & 1 ? value | ~mask : value & mask;
}

static bool fetch(const struct agent_ops *ops, void *ctx, unsigned n, uint64_t *value)
{
    uint8_t bytes[8];
    uint64_t result = 0;

    if (!ops->read_memory(ctx, *value, bytes, n))
        return false;
    while (n--)
        result = result << 8 | bytes[n]; /* x86 is little-endian */
    *value = result;
    return true;
}

/* Up to the first zero byte, which is collected too, or n bytes. */
static bool trace_string(const struct agent_ops *ops, void *ctx, uint64_t address, uint64_t n)
{
    uint64_t length = 0;
    char c = 1;

    for (; length < n && c; length++)
        if (length == AGENT_BUDGET || !ops->read_memory(ctx, address + length, &c, 1))
            return false;
    return ops->trace(ctx, address, length);
}

/* Operations on the top of the stack alone, and on two values: false if there is no result. */
static bool calculate(uint8_t op, uint64_t a, uint64_t b, uint64_t *result)
{
    switch (op) {
    case OP_ADD: *result = a + b; break;
    case OP_SUB: *result = a - b; break;
    case OP_MUL: *result = a * b; break;
    case OP_DIV_SIGNED:
    case OP_DIV_UNSIGNED:
    case OP_REM_SIGNED:
    case OP_REM_UNSIGNED: return divide(op, a, b, result);
    case OP_LSH:
    case OP_RSH_SIGNED:
    case OP_RSH_UNSIGNED: *result = shift(op, a, b); break;
    case OP_BIT_AND: *result = a & b; break;
    case OP_BIT_OR: *result = a | b; break;
    case OP_BIT_XOR: *result = a ^ b; break;
    case OP_EQUAL: *result = a == b; break;
    case OP_LESS_SIGNED: *result = (int64_t)a < (int64_t)b; break;
    case OP_LESS_UNSIGNED: *result = a < b; break;
    }
    return true;
}

static void rotate(uint64_t *top) /* a b c: c a b */
{
    uint64_t c = top[-1];

    top[-1] = top[-2];
    top[-2] = top[-3];
    top[-3] = c;
}

bool agent_run(const struct agent_ops *ops, void *ctx, const uint8_t *code, uint64_t *value)
{
    uint64_t stack[AGENT_STACK], *top = stack; /* the first that is free */
    const uint8_t *at = code;

    for (unsigned left = AGENT_BUDGET; left; left--) {
        uint8_t op = *at++;
        const uint8_t *arguments = at;
        uint64_t operand = operand_of(at, operations[op].operand);
        bool fine = true;

        at += operations[op].operand;
        switch (op) {
        case OP_LOG_NOT: top[-1] = !top[-1]; break;
        case OP_BIT_NOT: top[-1] = ~top[-1]; break;
        case OP_EXT: top[-1] = extend(top[-1], (unsigned)operand, true); break;
        case OP_ZERO_EXT: top[-1] = extend(top[-1], (unsigned)operand, false); break;
        case OP_REF8: fine = fetch(ops, ctx, 1, &top[-1]); break;
        case OP_REF16: fine = fetch(ops, ctx, 2, &top[-1]); break;
        case OP_REF32: fine = fetch(ops, ctx, 4, &top[-1]); break;
        case OP_REF64: fine = fetch(ops, ctx, 8, &top[-1]); break;
        case OP_IF_GOTO:
            if (*--top)
                at = code + operand;
            break;
        case OP_GOTO: at = code + operand; break;
        case OP_CONST8:
        case OP_CONST16:
        case OP_CONST32:
        case OP_CONST64: *top++ = operand; break;
        case OP_REG: fine = ops->read_register(ctx, (unsigned)operand, top++); break;
        case OP_END:
            if (top > stack)
                *value = top[-1];
            return true;
        case OP_DUP: *top = top[-1], top++; break;
        case OP_POP: top--; break;
        case OP_SWAP: operand = top[-1], top[-1] = top[-2], top[-2] = operand; break;
        case OP_PICK: *top = top[-1 - (ptrdiff_t)operand], top++; break;
        case OP_ROT: rotate(top); break;
        case OP_GETV: fine = ops->get_variable(ctx, (unsigned)operand, top++); break;
        case OP_SETV: fine = ops->set_variable(ctx, (unsigned)operand, top[-1]); break;
        case OP_TRACEV: fine = ops->trace_variable(ctx, (unsigned)operand); break;
        case OP_TRACE: top -= 2, fine = ops->trace(ctx, top[0], top[1]); break;
        case OP_TRACENZ: top -= 2, fine = trace_string(ops, ctx, top[0], top[1]); break;
        case OP_TRACE_QUICK:
        case OP_TRACE16: fine = ops->trace(ctx, top[-1], operand); break;
        case OP_PRINTF: {
            /* Function and channel, of which we have none, are on top; then the first argument. */
            uint64_t values[AGENT_STACK];
            top -= 2;
            for (unsigned i = 0; i < arguments[0]; i++)
                values[i] = *--top;
            fine = agent_print(ops, ctx, (const char *)at, values);
            at += operand & 0xffff;
            break;
        }
        default:
            top--;
            fine = calculate(op, top[-1], top[0], &top[-1]);
            break;
        }
        if (!fine)
            return false;
    }
    return false;
}
