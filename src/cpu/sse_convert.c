/* SSE conversions between formats and integers, rounding, and the comparisons that set RFLAGS. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/sse_env.h"

/* --- One value ------------------------------------------------------------------------------- */

/* From one lane type to another; truncate is for the CVTT forms. */
typedef uint64_t convert_fn(struct sf_env *env, uint64_t bits, bool truncate);

static enum sf_rounding rounding_of(const struct sf_env *env, bool truncate)
{
    return truncate ? SF_ZERO : (enum sf_rounding)env->rounding;
}

static uint64_t single_to_double(struct sf_env *env, uint64_t bits, bool truncate)
{
    (void)truncate;
    return sf_pack64(env, sf_operand(env, sf_unpack32(env, (uint32_t)bits)));
}

static uint64_t double_to_single(struct sf_env *env, uint64_t bits, bool truncate)
{
    (void)truncate;
    return sf_pack32(env, sf_operand(env, sf_unpack64(env, bits)));
}

static uint64_t int_to_single(struct sf_env *env, uint64_t bits, bool truncate)
{
    (void)truncate;
    return sf_pack32(env, sf_from_int((int32_t)bits));
}

static uint64_t int_to_double(struct sf_env *env, uint64_t bits, bool truncate)
{
    (void)truncate;
    return sf_pack64(env, sf_from_int((int32_t)bits));
}

static uint64_t single_to_int(struct sf_env *env, uint64_t bits, bool truncate)
{
    return (uint32_t)sf_to_int(env, sf_unpack32(env, (uint32_t)bits), 32,
                               rounding_of(env, truncate));
}

static uint64_t double_to_int(struct sf_env *env, uint64_t bits, bool truncate)
{
    return (uint32_t)sf_to_int(env, sf_unpack64(env, bits), 32, rounding_of(env, truncate));
}

/* --- Packed conversions ---------------------------------------------------------------------- */

/*
 * lanes values of from bytes become as many of to bytes; what is left of an XMM destination is
 * cleared, or kept if only one is converted.
 */
static int packed(struct cpu *cpu, const struct x86_insn *insn, unsigned from, unsigned to,
                  unsigned lanes, convert_fn *fn, bool truncate)
{
    const struct x86_operand *dest = &insn->operand[0];
    struct sf_env env = cpu_sse_env(cpu);
    union cpu_vec source, result = {.u64 = {0, 0}};
    /* CVTPI2PD from memory leaves the x87 state alone (Intel SDM vol. 2). */
    bool mmx =
        dest->kind == X86_MMX || insn->operand[1].kind == X86_MMX || insn->op == X86_CVTPI2PS;

    CPU_TRY(cpu_sse_ready(cpu));
    if (mmx)
        CPU_TRY(x87_pending(cpu));
    CPU_TRY(cpu_vec_source(cpu, insn, 1, from * lanes, &source));
    if (dest->kind == X86_XMM && (lanes == 1 || insn->op == X86_CVTPI2PS))
        result = *cpu_xmm(cpu, dest->reg);
    for (unsigned i = 0; i < lanes; i++)
        cpu_vec_set_lane(&result, to, i, fn(&env, cpu_vec_lane(&source, from, i), truncate));
    CPU_TRY(cpu_sse_finish(cpu, &env));
    if (mmx)
        cpu_mmx_enter(cpu);
    if (dest->kind == X86_MMX)
        cpu_set_mmx(cpu, dest->reg, result.u64[0]);
    else
        *cpu_xmm(cpu, dest->reg) = result;
    return CPU_NEXT;
}

/* --- General registers ----------------------------------------------------------------------- */

static unsigned general_size(const struct x86_insn *insn)
{
    return insn->prefixes & X86_PREFIX_REX_W ? 8 : 4;
}

static int from_general(struct cpu *cpu, const struct x86_insn *insn, unsigned to)
{
    struct sf_env env = cpu_sse_env(cpu);
    unsigned size = general_size(insn);
    uint64_t value;

    CPU_TRY(cpu_sse_ready(cpu));
    if (insn->operand[1].kind == X86_MEM)
        CPU_TRY(cpu_load(cpu, insn->seg, cpu_ea(cpu, insn), size, &value));
    else
        value = cpu->r.gpr[insn->operand[1].reg];
    value = cpu_sse_pack(&env, to, sf_from_int((int64_t)cpu_sext(value, size)));
    CPU_TRY(cpu_sse_finish(cpu, &env));
    cpu_vec_set_lane(cpu_xmm(cpu, insn->operand[0].reg), to, 0, value);
    return CPU_NEXT;
}

static int to_general(struct cpu *cpu, const struct x86_insn *insn, unsigned from, bool truncate)
{
    struct sf_env env = cpu_sse_env(cpu);
    unsigned size = general_size(insn);
    union cpu_vec source;
    int64_t value;

    CPU_TRY(cpu_sse_ready(cpu));
    CPU_TRY(cpu_vec_source(cpu, insn, 1, from, &source));
    value = sf_to_int(&env, cpu_sse_unpack(&env, from, cpu_vec_lane(&source, from, 0)), 8 * size,
                      rounding_of(&env, truncate));
    CPU_TRY(cpu_sse_finish(cpu, &env));
    cpu_set_gpr(cpu, insn->operand[0].reg, size, (uint64_t)value);
    return CPU_NEXT;
}

/* --- ROUNDPS and its like -------------------------------------------------------------------- */

/* imm: 1:0 the rounding mode, 2 take MXCSR's instead, 3 inexact is not raised. */
static int round_lanes(struct cpu *cpu, const struct x86_insn *insn, unsigned size, unsigned lanes)
{
    struct sf_env env = cpu_sse_env(cpu);
    union cpu_vec *dest = cpu_xmm(cpu, insn->operand[0].reg), result = *dest, source;
    unsigned rounding = insn->imm & 4 ? env.rounding : insn->imm & 3;

    CPU_TRY(cpu_sse_ready(cpu));
    CPU_TRY(cpu_vec_source(cpu, insn, 1, size * lanes, &source));
    for (unsigned i = 0; i < lanes; i++) {
        struct sf value = cpu_sse_unpack(&env, size, cpu_vec_lane(&source, size, i));

        value = sf_round(&env, value, (enum sf_rounding)rounding);
        cpu_vec_set_lane(&result, size, i, cpu_sse_pack(&env, size, value));
    }
    if (insn->imm & 8)
        env.flags &= (uint8_t)~SF_INEXACT;
    CPU_TRY(cpu_sse_finish(cpu, &env));
    *dest = result;
    return CPU_NEXT;
}

/* --- COMISS and its like --------------------------------------------------------------------- */

static int compare(struct cpu *cpu, const struct x86_insn *insn, unsigned size, bool signaling)
{
    static const uint8_t flags[4] = {
        [SF_LESS] = X86_FLAG_CF,
        [SF_EQUAL] = X86_FLAG_ZF,
        [SF_GREATER] = 0,
        [SF_UNORDERED] = X86_FLAG_ZF | X86_FLAG_PF | X86_FLAG_CF,
    };
    struct sf_env env = cpu_sse_env(cpu);
    const union cpu_vec *dest = cpu_xmm(cpu, insn->operand[0].reg);
    union cpu_vec source;
    enum sf_order order;

    CPU_TRY(cpu_sse_ready(cpu));
    CPU_TRY(cpu_vec_source(cpu, insn, 1, size, &source));
    order = sf_compare(&env, cpu_sse_unpack(&env, size, cpu_vec_lane(dest, size, 0)),
                       cpu_sse_unpack(&env, size, cpu_vec_lane(&source, size, 0)), signaling);
    CPU_TRY(cpu_sse_finish(cpu, &env));
    cpu_set_arith_flags(cpu, flags[order]);
    return CPU_NEXT;
}

/* --- Instructions ---------------------------------------------------------------------------- */

/* X(operation, the call that is its body) */
#define CONVERT_OPS(X)                                                                             \
    X(CVTPS2PD, packed(cpu, insn, 4, 8, 2, single_to_double, false))                               \
    X(CVTPD2PS, packed(cpu, insn, 8, 4, 2, double_to_single, false))                               \
    X(CVTSS2SD, packed(cpu, insn, 4, 8, 1, single_to_double, false))                               \
    X(CVTSD2SS, packed(cpu, insn, 8, 4, 1, double_to_single, false))                               \
    X(CVTDQ2PS, packed(cpu, insn, 4, 4, 4, int_to_single, false))                                  \
    X(CVTDQ2PD, packed(cpu, insn, 4, 8, 2, int_to_double, false))                                  \
    X(CVTPI2PS, packed(cpu, insn, 4, 4, 2, int_to_single, false))                                  \
    X(CVTPI2PD, packed(cpu, insn, 4, 8, 2, int_to_double, false))                                  \
    X(CVTPS2DQ, packed(cpu, insn, 4, 4, 4, single_to_int, false))                                  \
    X(CVTTPS2DQ, packed(cpu, insn, 4, 4, 4, single_to_int, true))                                  \
    X(CVTPD2DQ, packed(cpu, insn, 8, 4, 2, double_to_int, false))                                  \
    X(CVTTPD2DQ, packed(cpu, insn, 8, 4, 2, double_to_int, true))                                  \
    X(CVTPS2PI, packed(cpu, insn, 4, 4, 2, single_to_int, false))                                  \
    X(CVTTPS2PI, packed(cpu, insn, 4, 4, 2, single_to_int, true))                                  \
    X(CVTPD2PI, packed(cpu, insn, 8, 4, 2, double_to_int, false))                                  \
    X(CVTTPD2PI, packed(cpu, insn, 8, 4, 2, double_to_int, true))                                  \
    X(CVTSI2SS, from_general(cpu, insn, 4))                                                        \
    X(CVTSI2SD, from_general(cpu, insn, 8))                                                        \
    X(CVTSS2SI, to_general(cpu, insn, 4, false))                                                   \
    X(CVTSD2SI, to_general(cpu, insn, 8, false))                                                   \
    X(CVTTSS2SI, to_general(cpu, insn, 4, true))                                                   \
    X(CVTTSD2SI, to_general(cpu, insn, 8, true))                                                   \
    X(ROUNDPS, round_lanes(cpu, insn, 4, 4))                                                       \
    X(ROUNDPD, round_lanes(cpu, insn, 8, 2))                                                       \
    X(ROUNDSS, round_lanes(cpu, insn, 4, 1))                                                       \
    X(ROUNDSD, round_lanes(cpu, insn, 8, 1))                                                       \
    X(COMISS, compare(cpu, insn, 4, true))                                                         \
    X(COMISD, compare(cpu, insn, 8, true))                                                         \
    X(UCOMISS, compare(cpu, insn, 4, false))                                                       \
    X(UCOMISD, compare(cpu, insn, 8, false))

#define HANDLER(op, body)                                                                          \
    static int op_##op(struct cpu *cpu, const struct x86_insn *insn)                               \
    {                                                                                              \
        return body;                                                                               \
    }
CONVERT_OPS(HANDLER)

static cpu_handler *const handlers[X86_OP_COUNT] = {
#define ENTRY(op, body) [X86_##op] = op_##op,
    CONVERT_OPS(ENTRY)};

cpu_handler *cpu_bind_sse_convert(const struct x86_insn *insn)
{
    return handlers[insn->op];
}
