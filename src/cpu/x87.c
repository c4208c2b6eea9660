/* x87 arithmetic and comparisons, and the steps that every x87 instruction goes through. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/x87.h"

const struct sf_extended x87_indefinite = {0xc000000000000000, 0xffff};

/* --- Steps ----------------------------------------------------------------------------------- */

void x87_set_st(struct cpu *cpu, unsigned i, struct sf_extended value)
{
    cpu->fpu.st[i].significand = value.significand;
    cpu->fpu.st[i].sign_exponent = value.sign_exponent;
    cpu->fpu.ftw |= x87_tag_bit(cpu, i);
}

void x87_pop(struct cpu *cpu)
{
    cpu->fpu.ftw &= (uint8_t)~x87_tag_bit(cpu, 0);
    x87_set_top(cpu, x87_top(cpu) + 1);
}

struct sf_env x87_env(const struct cpu *cpu)
{
    return (struct sf_env){
        .rounding = cpu->fpu.fcw >> X87_CW_RC_SHIFT & 3,
        .precision = 64,
        .masked = cpu->fpu.fcw & X87_CW_MASKS,
        .x87 = true,
    };
}

/* As x87_env, for the few instructions that precision control applies to (8.1.5.2). */
static struct sf_env arithmetic_env(const struct cpu *cpu)
{
    static const uint8_t precision[4] = {24, 64, 53, 64};
    struct sf_env env = x87_env(cpu);

    env.precision = precision[cpu->fpu.fcw >> X87_CW_PC_SHIFT & 3];
    return env;
}

void x87_begin(struct cpu *cpu, const struct x86_insn *insn)
{
    struct ringside_fpu *f = &cpu->fpu;

    f->fsw &= (uint16_t)~X87_SW_C1;
    f->fip = cpu_zext(cpu->r.rip - insn->length, cpu->width == X86_CODE64 ? 8 : 4);
    f->fcs = cpu->r.seg[RINGSIDE_CS].selector;
    f->fop = (uint16_t)((insn->opcode & 7) << 8 | insn->modrm);
    if (insn->count && insn->operand[insn->count - 1].kind == X86_MEM) {
        f->fdp = cpu_ea(cpu, insn);
        f->fds = cpu->r.seg[insn->seg].selector;
    }
}

static void raise_flags(struct cpu *cpu, unsigned flags)
{
    cpu->fpu.fsw |= (uint16_t)flags;
    x87_update_summary(cpu);
}

bool x87_finish(struct cpu *cpu, const struct sf_env *env)
{
    unsigned flags = env->flags;
    bool refused = flags & ~env->masked & SF_BEFORE;

    if (refused)
        flags &= SF_BEFORE;
    else if ((flags & SF_INEXACT) && env->rounded_up)
        flags |= X87_SW_C1;
    raise_flags(cpu, flags);
    return !refused;
}

bool x87_underflow(struct cpu *cpu)
{
    raise_flags(cpu, SF_INVALID | X87_SW_SF);
    return cpu->fpu.fcw & SF_INVALID;
}

bool x87_overflow(struct cpu *cpu)
{
    raise_flags(cpu, SF_INVALID | X87_SW_SF | X87_SW_C1);
    return cpu->fpu.fcw & SF_INVALID;
}

bool x87_push(struct cpu *cpu, struct sf_extended value)
{
    if (!x87_empty(cpu, 7)) {
        if (!x87_overflow(cpu))
            return false;
        value = x87_indefinite;
    }
    x87_set_top(cpu, x87_top(cpu) - 1);
    x87_set_st(cpu, 0, value);
    return true;
}

int x87_replace(struct cpu *cpu, const struct x86_insn *insn, struct sf_env env, unsigned operands,
                bool pops, x87_fn *fn)
{
    struct sf_extended result = x87_indefinite;

    CPU_TRY(x87_ready(cpu, true));
    x87_begin(cpu, insn);
    if (x87_empty(cpu, 0) || (operands > 1 && x87_empty(cpu, 1))) {
        if (!x87_underflow(cpu))
            return CPU_NEXT;
    } else {
        result = fn(&env, x87_value(cpu, 0), x87_value(cpu, 1));
        if (!x87_finish(cpu, &env))
            return CPU_NEXT;
    }
    x87_set_st(cpu, pops, result);
    if (pops)
        x87_pop(cpu);
    return CPU_NEXT;
}

/* --- Operands that are no registers ---------------------------------------------------------- */

enum source { FLOATING, INTEGER, CONSTANT_ZERO };

/* An operand in memory, or FTST's; false in *given if it is a register. */
static int load_source(struct cpu *cpu, const struct x86_insn *insn, enum source source,
                       struct sf *value, bool *given)
{
    const struct x86_operand *o = &insn->operand[insn->count - 1];
    struct sf_env env = {0};
    uint64_t bits;

    *given = true;
    if (source == CONSTANT_ZERO) {
        *value = sf_from_int(0);
        return CPU_NEXT;
    }
    *given = insn->count && o->kind == X86_MEM;
    if (!*given)
        return CPU_NEXT;
    CPU_TRY(cpu_load(cpu, insn->seg, cpu_ea(cpu, insn), o->size, &bits));
    if (source == INTEGER)
        *value = sf_from_int((int64_t)cpu_sext(bits, o->size));
    else
        *value = o->size == 4 ? sf_unpack32(&env, (uint32_t)bits) : sf_unpack64(&env, bits);
    return CPU_NEXT;
}

/* --- Arithmetic ------------------------------------------------------------------------------ */

typedef struct sf arithmetic_fn(struct sf_env *env, struct sf a, struct sf b);

static struct sf subtract_reversed(struct sf_env *env, struct sf a, struct sf b)
{
    return sf_sub(env, b, a);
}

static struct sf divide_reversed(struct sf_env *env, struct sf a, struct sf b)
{
    return sf_div(env, b, a);
}

/* ST(to) = fn(ST(to), source); the source is memory or the other register, one of them ST(0). */
static int arithmetic(struct cpu *cpu, const struct x86_insn *insn, arithmetic_fn *fn,
                      enum source source, bool pop)
{
    unsigned to = 0, from = 0;
    struct sf_extended result;
    struct sf value;
    struct sf_env env;
    bool given;

    CPU_TRY(x87_ready(cpu, true));
    CPU_TRY(load_source(cpu, insn, source, &value, &given));
    x87_begin(cpu, insn);
    if (!given) {
        to = insn->operand[0].reg;
        from = insn->operand[1].reg;
        value = x87_value(cpu, from);
    }
    if (x87_empty(cpu, to) || (!given && x87_empty(cpu, from))) {
        if (!x87_underflow(cpu))
            return CPU_NEXT;
        result = x87_indefinite;
    } else {
        env = arithmetic_env(cpu);
        result = sf_pack80(&env, fn(&env, x87_value(cpu, to), value));
        if (!x87_finish(cpu, &env))
            return CPU_NEXT;
    }
    x87_set_st(cpu, to, result);
    if (pop)
        x87_pop(cpu);
    return CPU_NEXT;
}

static struct sf_extended square_root(struct sf_env *env, struct sf a, struct sf b)
{
    (void)b;
    return sf_pack80(env, sf_sqrt(env, a));
}

static int fsqrt(struct cpu *cpu, const struct x86_insn *insn)
{
    return x87_replace(cpu, insn, arithmetic_env(cpu), 1, false, square_root);
}

/* --- Comparisons ----------------------------------------------------------------------------- */

enum result_in { IN_STATUS, IN_FLAGS };

static void put_order(struct cpu *cpu, enum sf_order order, enum result_in where)
{
    static const uint16_t status[4] = {
        [SF_LESS] = X87_SW_C0,
        [SF_EQUAL] = X87_SW_C3,
        [SF_GREATER] = 0,
        [SF_UNORDERED] = X87_SW_C3 | X87_SW_C2 | X87_SW_C0,
    };
    static const uint8_t flags[4] = {
        [SF_LESS] = X86_FLAG_CF,
        [SF_EQUAL] = X86_FLAG_ZF,
        [SF_GREATER] = 0,
        [SF_UNORDERED] = X86_FLAG_ZF | X86_FLAG_PF | X86_FLAG_CF,
    };

    if (where == IN_FLAGS)
        cpu_set_arith_flags(cpu, flags[order]);
    else
        cpu->fpu.fsw =
            (uint16_t)((cpu->fpu.fsw & ~(X87_SW_C0 | X87_SW_C2 | X87_SW_C3)) | status[order]);
}

/*
 * With the exception unmasked Intel's processors leave the condition codes alone (SDM vol. 2,
 * "FCOM"), AMD's set them.  Neither pops.
 */
static void put_order_anyway(struct cpu *cpu, enum sf_order order, enum result_in where)
{
    if (cpu->model.vendor == CPU_AMD)
        put_order(cpu, order, where);
}

/* ST(0) with the last operand, or with ST(1) if there is none; then pop so many. */
static int compare(struct cpu *cpu, const struct x86_insn *insn, enum source source, bool signaling,
                   enum result_in where, unsigned pops)
{
    enum sf_order order = SF_UNORDERED;
    unsigned with = insn->count ? insn->operand[insn->count - 1].reg : 1;
    bool keeps_c1 = where == IN_FLAGS && cpu->model.vendor == CPU_AMD;
    uint16_t c1 = keeps_c1 ? cpu->fpu.fsw & X87_SW_C1 : 0;
    struct sf_env env = x87_env(cpu);
    struct sf value;
    bool given;

    CPU_TRY(x87_ready(cpu, true));
    CPU_TRY(load_source(cpu, insn, source, &value, &given));
    x87_begin(cpu, insn);
    if (x87_empty(cpu, 0) || (!given && x87_empty(cpu, with))) {
        if (!x87_underflow(cpu)) {
            put_order_anyway(cpu, order, where);
            return CPU_NEXT;
        }
    } else {
        cpu->fpu.fsw |= c1;
        if (!given)
            value = x87_value(cpu, with);
        order = sf_compare(&env, x87_value(cpu, 0), value, signaling);
        if (!x87_finish(cpu, &env)) {
            put_order_anyway(cpu, order, where);
            return CPU_NEXT;
        }
    }
    put_order(cpu, order, where);
    while (pops--)
        x87_pop(cpu);
    return CPU_NEXT;
}

/* --- Instructions ---------------------------------------------------------------------------- */

/* X(operation, the call that is its body) */
#define ARITHMETIC_OPS(X, OP, fn)                                                                  \
    X(F##OP, arithmetic(cpu, insn, fn, FLOATING, false))                                           \
    X(F##OP##P, arithmetic(cpu, insn, fn, FLOATING, true))                                         \
    X(FI##OP, arithmetic(cpu, insn, fn, INTEGER, false))
#define OPS(X)                                                                                     \
    ARITHMETIC_OPS(X, ADD, sf_add)                                                                 \
    ARITHMETIC_OPS(X, SUB, sf_sub)                                                                 \
    ARITHMETIC_OPS(X, SUBR, subtract_reversed)                                                     \
    ARITHMETIC_OPS(X, MUL, sf_mul)                                                                 \
    ARITHMETIC_OPS(X, DIV, sf_div)                                                                 \
    ARITHMETIC_OPS(X, DIVR, divide_reversed)                                                       \
    X(FCOM, compare(cpu, insn, FLOATING, true, IN_STATUS, 0))                                      \
    X(FCOMP, compare(cpu, insn, FLOATING, true, IN_STATUS, 1))                                     \
    X(FCOMPP, compare(cpu, insn, FLOATING, true, IN_STATUS, 2))                                    \
    X(FTST, compare(cpu, insn, CONSTANT_ZERO, true, IN_STATUS, 0))                                 \
    X(FICOM, compare(cpu, insn, INTEGER, true, IN_STATUS, 0))                                      \
    X(FICOMP, compare(cpu, insn, INTEGER, true, IN_STATUS, 1))                                     \
    X(FUCOM, compare(cpu, insn, FLOATING, false, IN_STATUS, 0))                                    \
    X(FUCOMP, compare(cpu, insn, FLOATING, false, IN_STATUS, 1))                                   \
    X(FUCOMPP, compare(cpu, insn, FLOATING, false, IN_STATUS, 2))                                  \
    X(FCOMI, compare(cpu, insn, FLOATING, true, IN_FLAGS, 0))                                      \
    X(FCOMIP, compare(cpu, insn, FLOATING, true, IN_FLAGS, 1))                                     \
    X(FUCOMI, compare(cpu, insn, FLOATING, false, IN_FLAGS, 0))                                    \
    X(FUCOMIP, compare(cpu, insn, FLOATING, false, IN_FLAGS, 1))

#define HANDLER(op, body)                                                                          \
    static int op_##op(struct cpu *cpu, const struct x86_insn *insn)                               \
    {                                                                                              \
        return body;                                                                               \
    }
OPS(HANDLER)

static cpu_handler *const handlers[X86_OP_COUNT] = {
#define ENTRY(op, body) [X86_##op] = op_##op,
    OPS(ENTRY)[X86_FSQRT] = fsqrt,
};

cpu_handler *cpu_bind_x87(const struct x86_insn *insn)
{
    cpu_handler *handler = handlers[insn->op];

    if (!handler)
        handler = cpu_bind_x87_control(insn);
    if (!handler)
        handler = cpu_bind_x87_move(insn);
    if (!handler)
        handler = cpu_bind_x87_math(insn);
    if (!handler)
        handler = cpu_bind_x87_transcendental(insn);
    return handler;
}
