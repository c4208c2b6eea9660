/* x87 operations on exponents, signs and remainders: FABS, FXAM, FSCALE, FPREM, FRNDINT, FXTRACT.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/x87.h"

/* --- Sign and class -------------------------------------------------------------------------- */

static int change_sign(struct cpu *cpu, const struct x86_insn *insn)
{
    struct sf_extended value = x87_st(cpu, 0);

    CPU_TRY(x87_ready(cpu, true));
    x87_begin(cpu, insn);
    if (x87_empty(cpu, 0)) {
        if (!x87_underflow(cpu))
            return CPU_NEXT;
        value = x87_indefinite;
    } else if (insn->op == X86_FCHS) {
        value.sign_exponent ^= 0x8000;
    } else {
        value.sign_exponent &= 0x7fff;
    }
    x87_set_st(cpu, 0, value);
    return CPU_NEXT;
}

/* Intel SDM vol. 2, "FXAM": C1 is the sign, also of an empty register. */
static int fxam(struct cpu *cpu, const struct x86_insn *insn)
{
    static const uint16_t classes[] = {
        [SF_K_ZERO] = X87_SW_C3, [SF_K_FINITE] = X87_SW_C2, [SF_K_INFINITY] = X87_SW_C2 | X87_SW_C0,
        [SF_K_NAN] = X87_SW_C0,  [SF_K_UNSUPPORTED] = 0,
    };
    struct sf value = x87_value(cpu, 0);
    unsigned class = classes[value.kind];

    CPU_TRY(x87_ready(cpu, true));
    x87_begin(cpu, insn);
    if (x87_empty(cpu, 0))
        class = X87_SW_C3 | X87_SW_C0;
    else if (value.denormal)
        class = X87_SW_C3 | X87_SW_C2;
    if (value.sign)
        class |= X87_SW_C1;
    cpu->fpu.fsw = (uint16_t)((cpu->fpu.fsw & ~X87_SW_CC) | class);
    return CPU_NEXT;
}

/* --- Exponents ------------------------------------------------------------------------------- */

/* a times two to the power of b's integral part. */
static struct sf scaled(struct sf_env *env, struct sf a, struct sf b)
{
    struct sf_env quiet = {0};

    if (sf_is_nan(a) || sf_is_nan(b))
        return sf_propagate(env, a, b);
    if (b.kind == SF_K_INFINITY) {
        if (a.kind == (b.sign ? SF_K_INFINITY : SF_K_ZERO))
            return sf_invalid(env);
        sf_note_denormals(env, a, b);
        a.kind = b.sign ? SF_K_ZERO : SF_K_INFINITY;
        return a;
    }
    sf_note_denormals(env, a, b);
    if (a.kind == SF_K_FINITE && b.kind == SF_K_FINITE) {
        /* beyond 2^16 every result over- or underflows, wrapped or not */
        int32_t by = b.exp > 16 ? 1 << 17 : (int32_t)sf_to_int(&quiet, b, 32, SF_ZERO);

        a.exp += b.exp > 16 && b.sign ? -by : by;
    }
    return a;
}

static struct sf_extended scale(struct sf_env *env, struct sf a, struct sf b)
{
    return sf_pack80(env, scaled(env, a, b));
}

static int fscale(struct cpu *cpu, const struct x86_insn *insn)
{
    return x87_replace(cpu, insn, x87_env(cpu), 2, false, scale);
}

static struct sf_extended round_to_int(struct sf_env *env, struct sf a, struct sf b)
{
    struct sf value = sf_round(env, sf_operand(env, a), (enum sf_rounding)env->rounding);
    bool up = env->rounded_up;
    struct sf_extended result = sf_pack80(env, value);

    (void)b;
    env->rounded_up = up; /* C1 is about the rounding to an integer */
    return result;
}

static int frndint(struct cpu *cpu, const struct x86_insn *insn)
{
    return x87_replace(cpu, insn, x87_env(cpu), 1, false, round_to_int);
}

/* ST(0) becomes its exponent, and its significand is pushed. */
static int fxtract(struct cpu *cpu, const struct x86_insn *insn)
{
    struct sf_extended exponent = x87_indefinite, significand = x87_indefinite;
    struct sf_env env = x87_env(cpu);

    CPU_TRY(x87_ready(cpu, true));
    x87_begin(cpu, insn);
    if (x87_empty(cpu, 0)) {
        if (!x87_underflow(cpu))
            return CPU_NEXT;
    } else if (!x87_empty(cpu, 7)) {
        if (!x87_overflow(cpu))
            return CPU_NEXT;
    } else {
        struct sf a = sf_operand(&env, x87_value(cpu, 0)), e = a;

        if (a.kind == SF_K_ZERO) {
            env.flags |= SF_DIVZERO;
            e = sf_infinity(true);
        } else if (a.kind == SF_K_INFINITY) {
            e.sign = false;
        } else if (a.kind == SF_K_FINITE) {
            e = sf_from_int(a.exp);
            a.exp = 0;
        }
        exponent = sf_pack80(&env, e);
        significand = sf_pack80(&env, a);
        if (!x87_finish(cpu, &env))
            return CPU_NEXT;
    }
    x87_set_st(cpu, 0, exponent);
    x87_set_top(cpu, x87_top(cpu) - 1);
    x87_set_st(cpu, 0, significand);
    return CPU_NEXT;
}

/* --- Remainders ------------------------------------------------------------------------------ */

/*
 * a - b * quotient, exact, with a quotient of at most 63 bits a time; *quotient has its low bits
 * once the reduction is complete.  Sticky bits do not arise: both have 64 bits.
 */
static struct sf reduce(struct sf a, struct sf b, bool nearest, uint64_t *quotient, bool *complete)
{
    int32_t distance = a.exp - b.exp;
    sf_u128 rest = a.sig >> 64, divisor = b.sig >> 64;
    int32_t exp = b.exp;
    int32_t steps = distance;
    uint64_t q = 0;

    *complete = distance < 64;
    *quotient = 0;
    if (distance < (nearest ? -1 : 0))
        return a;
    if (!*complete) { /* Intel SDM vol. 2, "FPREM": between 32 and 63 bits at once */
        steps = 32 + distance % 32;
        exp += distance - steps;
    }
    if (distance < 0) { /* nearest only: a < b <= 2 a */
        divisor <<= 1;
        exp = a.exp;
    }
    for (int32_t i = 0; i <= steps; i++) {
        if (i)
            rest <<= 1;
        q <<= 1;
        if (rest >= divisor) {
            rest -= divisor;
            q |= 1;
        }
    }
    if (nearest && *complete && (2 * rest > divisor || (2 * rest == divisor && (q & 1)))) {
        rest = divisor - rest;
        a.sign = !a.sign;
        q++;
    }
    *quotient = q;
    return sf_normal(a.sign, exp, rest << 64);
}

static int remainder_any(struct cpu *cpu, const struct x86_insn *insn, bool nearest)
{
    struct sf a = x87_value(cpu, 0), b = x87_value(cpu, 1), result = a;
    struct sf_env env = x87_env(cpu);
    struct sf_extended packed;
    uint64_t quotient = 0;
    bool complete = true;
    unsigned conditions;

    CPU_TRY(x87_ready(cpu, true));
    x87_begin(cpu, insn);
    cpu->fpu.fsw &= (uint16_t)~X87_SW_C2;
    if (x87_empty(cpu, 0) || x87_empty(cpu, 1)) {
        if (x87_underflow(cpu))
            x87_set_st(cpu, 0, x87_indefinite);
        return CPU_NEXT;
    }
    if (sf_is_nan(a) || sf_is_nan(b))
        result = sf_propagate(&env, a, b);
    else if (a.kind == SF_K_INFINITY || b.kind == SF_K_ZERO)
        result = sf_invalid(&env);
    else {
        sf_note_denormals(&env, a, b);
        if (a.kind == SF_K_FINITE && b.kind == SF_K_FINITE)
            result = reduce(a, b, nearest, &quotient, &complete);
    }
    packed = sf_pack80(&env, result);
    if (!x87_finish(cpu, &env))
        return CPU_NEXT;
    x87_set_st(cpu, 0, packed);
    if (sf_is_nan(result))
        return CPU_NEXT;
    conditions = complete ? (quotient & 4 ? X87_SW_C0 : 0) | (quotient & 2 ? X87_SW_C3 : 0) |
                                (quotient & 1 ? X87_SW_C1 : 0)
                          : X87_SW_C2;
    cpu->fpu.fsw = (uint16_t)((cpu->fpu.fsw & ~X87_SW_CC) | conditions);
    return CPU_NEXT;
}

static int fprem(struct cpu *cpu, const struct x86_insn *insn)
{
    return remainder_any(cpu, insn, false);
}

static int fprem1(struct cpu *cpu, const struct x86_insn *insn)
{
    return remainder_any(cpu, insn, true);
}

cpu_handler *cpu_bind_x87_math(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_FCHS:
    case X86_FABS: return change_sign;
    case X86_FXAM: return fxam;
    case X86_FSCALE: return fscale;
    case X86_FRNDINT: return frndint;
    case X86_FXTRACT: return fxtract;
    case X86_FPREM: return fprem;
    case X86_FPREM1: return fprem1;
    default: return NULL;
    }
}
