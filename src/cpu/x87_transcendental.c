/* x87 transcendental instructions: special operands here, the functions in softfloat/wide.c. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/softfloat/wide.h"
#include "cpu/x87.h"

/* --- F2XM1 ----------------------------------------------------------------------------------- */

/* Outside -1..1 the manual leaves the result undefined: the operand stays. */
static struct sf exp2m1(struct sf_env *env, struct sf x)
{
    struct sf minus_one = sf_from_int(-1);

    x = sf_operand(env, x);
    if (x.kind == SF_K_INFINITY)
        return x.sign ? minus_one : x;
    if (x.kind != SF_K_FINITE)
        return x;
    env->flags |= SF_INEXACT;
    return x.exp > 0 || (x.exp == 0 && (x.sig << 1)) ? x : sf_exp2m1(x);
}

/* --- FYL2X, FYL2XP1 -------------------------------------------------------------------------- */

/* y * log, where log is finite, zero or infinite: infinity times zero is invalid. */
static struct sf times(struct sf_env *env, struct sf y, struct sf log)
{
    if ((y.kind == SF_K_INFINITY && log.kind == SF_K_ZERO) ||
        (y.kind == SF_K_ZERO && log.kind == SF_K_INFINITY))
        return sf_invalid(env);
    if (y.kind == SF_K_INFINITY || log.kind == SF_K_INFINITY)
        return sf_infinity(y.sign != log.sign);
    if (y.kind == SF_K_ZERO || log.kind == SF_K_ZERO)
        return sf_zero(y.sign != log.sign);
    env->flags |= SF_INEXACT;
    return sf_wide_mul(y, log);
}

static struct sf y_log2_x(struct sf_env *env, struct sf y, struct sf x)
{
    struct sf log;

    if (sf_is_nan(x) || sf_is_nan(y))
        return sf_propagate(env, y, x);
    if (x.sign && x.kind != SF_K_ZERO)
        return sf_invalid(env);
    if (x.kind == SF_K_ZERO && y.kind == SF_K_FINITE) {
        env->flags |= SF_DIVZERO;
        return sf_infinity(!y.sign);
    }
    if (x.kind == SF_K_ZERO)
        log = sf_infinity(true);
    else
        log = x.kind == SF_K_INFINITY ? x : sf_log2(x);
    if (!(log.kind == SF_K_ZERO && y.kind == SF_K_INFINITY))
        sf_note_denormals(env, x, y);
    return times(env, y, log);
}

static struct sf y_log2_x_plus_1(struct sf_env *env, struct sf y, struct sf x)
{
    if (sf_is_nan(x) || sf_is_nan(y))
        return sf_propagate(env, y, x);
    if (x.sign && x.kind == SF_K_INFINITY)
        return sf_invalid(env);
    sf_note_denormals(env, x, y);
    if (x.sign && x.kind == SF_K_FINITE && x.exp >= 0) { /* -1 or less: undefined */
        if (y.kind != SF_K_FINITE)
            return times(env, y, x);
        env->flags |= SF_INEXACT;
        return x;
    }
    return times(env, y, x.kind == SF_K_FINITE ? sf_log2p1(x) : x);
}

/* --- FPATAN ---------------------------------------------------------------------------------- */

/* A multiple of pi/4. */
static struct sf quarter_pis(unsigned n, bool sign)
{
    struct sf angle = sf_wide_mul(sf_pi, sf_from_int(n));

    angle.exp -= 2;
    angle.sign = sign;
    angle.sig |= 1;
    return angle;
}

static struct sf arc_tangent(struct sf_env *env, struct sf y, struct sf x)
{
    if (sf_is_nan(x) || sf_is_nan(y))
        return sf_propagate(env, y, x);
    sf_note_denormals(env, x, y);
    if (y.kind == SF_K_INFINITY && x.kind == SF_K_INFINITY)
        return quarter_pis(x.sign ? 3 : 1, y.sign);
    if (y.kind == SF_K_ZERO || x.kind == SF_K_INFINITY)
        return x.sign ? quarter_pis(4, y.sign) : sf_zero(y.sign);
    if (y.kind == SF_K_INFINITY || x.kind == SF_K_ZERO)
        return quarter_pis(2, y.sign);
    return sf_atan2(y, x);
}

/* --- Instructions of one and two operands ---------------------------------------------------- */

static struct sf_extended pack_exp2m1(struct sf_env *env, struct sf a, struct sf b)
{
    (void)b;
    return sf_pack80(env, exp2m1(env, a));
}

static int f2xm1(struct cpu *cpu, const struct x86_insn *insn)
{
    return x87_replace(cpu, insn, x87_env(cpu), 1, false, pack_exp2m1);
}

/* A tiny result is never said to be exact. */
static struct sf_extended pack_tiny(struct sf_env *env, struct sf value)
{
    struct sf_extended result = sf_pack80(env, value);

    if ((env->flags & SF_INEXACT) && !(result.sign_exponent & 0x7fff) && result.significand)
        env->flags |= SF_UNDERFLOW;
    return result;
}

/* ST(1) = fn(ST(1), ST(0)), then pop. */
#define TWO_OPERANDS(name, fn)                                                                     \
    static struct sf_extended pack_##fn(struct sf_env *env, struct sf x, struct sf y)              \
    {                                                                                              \
        return pack_tiny(env, fn(env, y, x));                                                      \
    }                                                                                              \
    static int name(struct cpu *cpu, const struct x86_insn *insn)                                  \
    {                                                                                              \
        return x87_replace(cpu, insn, x87_env(cpu), 2, true, pack_##fn);                           \
    }
TWO_OPERANDS(fyl2x, y_log2_x)
TWO_OPERANDS(fyl2xp1, y_log2_x_plus_1)
TWO_OPERANDS(fpatan, arc_tangent)

/* --- FSIN, FCOS, FSINCOS, FPTAN -------------------------------------------------------------- */

/*
 * From 2^63 on nothing happens but C2.  FSINCOS and FPTAN push a second result: the cosine, and 1.
 */
static int trigonometric(struct cpu *cpu, const struct x86_insn *insn)
{
    struct sf_extended first = x87_indefinite, second = x87_indefinite;
    bool pushes = insn->op == X86_FSINCOS || insn->op == X86_FPTAN;
    struct sf_env env = x87_env(cpu);
    struct sf x = x87_value(cpu, 0);

    CPU_TRY(x87_ready(cpu, true));
    x87_begin(cpu, insn);
    cpu->fpu.fsw &= (uint16_t)~X87_SW_C2;
    if (x87_empty(cpu, 0)) {
        if (!x87_underflow(cpu))
            return CPU_NEXT;
    } else if (pushes && !x87_empty(cpu, 7)) {
        if (!x87_overflow(cpu))
            return CPU_NEXT;
    } else if (x.kind == SF_K_FINITE && x.exp >= 63) {
        cpu->fpu.fsw |= X87_SW_C2;
        return CPU_NEXT;
    } else {
        struct sf sine, cosine;

        x = x.kind == SF_K_INFINITY ? sf_invalid(&env) : sf_operand(&env, x);
        sine = cosine = x;
        if (x.kind == SF_K_ZERO)
            cosine = sf_from_int(1);
        else if (x.kind == SF_K_FINITE)
            sf_sincos(x, &sine, &cosine);
        if (insn->op == X86_FPTAN) {
            if (x.kind == SF_K_FINITE)
                sine = sf_wide_div(sine, cosine), sine.sig |= 1;
            if (!sf_is_nan(x))
                cosine = sf_from_int(1);
        }
        if (pushes)
            second = sf_pack80(&env, cosine);
        first = sf_pack80(&env, insn->op == X86_FCOS ? cosine : sine);
        if (!x87_finish(cpu, &env))
            return CPU_NEXT;
    }
    x87_set_st(cpu, 0, first);
    if (pushes) {
        x87_set_top(cpu, x87_top(cpu) - 1);
        x87_set_st(cpu, 0, second);
    }
    return CPU_NEXT;
}

cpu_handler *cpu_bind_x87_transcendental(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_F2XM1: return f2xm1;
    case X86_FYL2X: return fyl2x;
    case X86_FYL2XP1: return fyl2xp1;
    case X86_FPATAN: return fpatan;
    case X86_FSIN:
    case X86_FCOS:
    case X86_FSINCOS:
    case X86_FPTAN: return trigonometric;
    default: return NULL;
    }
}
