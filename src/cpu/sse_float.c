/* SSE floating-point arithmetic: PS, PD, SS and SD forms, horizontal forms, dot products. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/sse_env.h"

/* One lane of size bytes: a from the destination, b from the source. */
typedef uint64_t lane_fn(struct sf_env *env, unsigned size, uint64_t a, uint64_t b, uint8_t imm);

/* --- Lane functions -------------------------------------------------------------------------- */

#define BINARY(name)                                                                               \
    static uint64_t lane_##name(struct sf_env *env, unsigned size, uint64_t a, uint64_t b,         \
                                uint8_t imm)                                                       \
    {                                                                                              \
        (void)imm;                                                                                 \
        return cpu_sse_pack(                                                                       \
            env, size,                                                                             \
            sf_##name(env, cpu_sse_unpack(env, size, a), cpu_sse_unpack(env, size, b)));           \
    }
BINARY(add)
BINARY(sub)
BINARY(mul)
BINARY(div)

static uint64_t lane_sqrt(struct sf_env *env, unsigned size, uint64_t a, uint64_t b, uint8_t imm)
{
    (void)a, (void)imm;
    return cpu_sse_pack(env, size, sf_sqrt(env, cpu_sse_unpack(env, size, b)));
}

/* The source wins when either is a NaN, and of two zeros (Intel SDM vol. 1, table 4-7 note). */
static uint64_t choose(struct sf_env *env, unsigned size, uint64_t a, uint64_t b,
                       enum sf_order wanted)
{
    struct sf x = cpu_sse_unpack(env, size, a), y = cpu_sse_unpack(env, size, b);
    bool first = sf_compare(env, x, y, true) == wanted;

    if (sf_is_nan(first ? x : y))
        return first ? a : b; /* as it is, even if signaling */
    return cpu_sse_pack(&(struct sf_env){.masked = SF_BEFORE | SF_UNDERFLOW}, size, first ? x : y);
}

static uint64_t lane_min(struct sf_env *env, unsigned size, uint64_t a, uint64_t b, uint8_t imm)
{
    (void)imm;
    return choose(env, size, a, b, SF_LESS);
}

static uint64_t lane_max(struct sf_env *env, unsigned size, uint64_t a, uint64_t b, uint8_t imm)
{
    (void)imm;
    return choose(env, size, a, b, SF_GREATER);
}

/* Predicates 0..7: EQ, LT, LE, UNORD, and their negations; LT and LE signal for quiet NaNs. */
static uint64_t lane_cmp(struct sf_env *env, unsigned size, uint64_t a, uint64_t b, uint8_t imm)
{
    static const uint8_t truth[4] = {1 << SF_EQUAL, 1 << SF_LESS, 1 << SF_LESS | 1 << SF_EQUAL,
                                     1 << SF_UNORDERED};
    bool signals = (imm & 3) == 1 || (imm & 3) == 2;
    enum sf_order order =
        sf_compare(env, cpu_sse_unpack(env, size, a), cpu_sse_unpack(env, size, b), signals);
    bool holds = (truth[imm & 3] >> order & 1) ^ (imm >> 2 & 1);

    return holds ? ~0ull : 0;
}

/*
 * RCP and RSQRT are the exact value cut off after 14 bits, within the 1.5 * 2^-12 that the manual
 * allows.  They raise nothing, and denormals are zeros on both sides (Intel SDM vol. 2, "RCPPS").
 */
static uint64_t approximate(struct sf (*fn)(struct sf_env *, struct sf), uint64_t b)
{
    struct sf_env env = {.masked = 0x3f, .daz = true, .ftz = true, .rounding = SF_ZERO};
    struct sf result = fn(&env, sf_unpack32(&env, (uint32_t)b));

    if (result.kind == SF_K_FINITE)
        result.sig = result.sig >> 114 << 114;
    return sf_pack32(&env, result);
}

static struct sf reciprocal(struct sf_env *env, struct sf a)
{
    return sf_div(env, sf_from_int(1), a);
}

static struct sf reciprocal_root(struct sf_env *env, struct sf a)
{
    struct sf root = sf_sqrt(env, a);

    return reciprocal(env, root);
}

static uint64_t lane_rcp(struct sf_env *env, unsigned size, uint64_t a, uint64_t b, uint8_t imm)
{
    (void)env, (void)size, (void)a, (void)imm;
    return approximate(reciprocal, b);
}

static uint64_t lane_rsqrt(struct sf_env *env, unsigned size, uint64_t a, uint64_t b, uint8_t imm)
{
    (void)env, (void)size, (void)a, (void)imm;
    return approximate(reciprocal_root, b);
}

/* --- Forms ----------------------------------------------------------------------------------- */

static int each_lane(struct cpu *cpu, const struct x86_insn *insn, unsigned size, unsigned lanes,
                     lane_fn *fn)
{
    struct sf_env env = cpu_sse_env(cpu);
    union cpu_vec *dest = cpu_xmm(cpu, insn->operand[0].reg), result = *dest, source;

    CPU_TRY(cpu_sse_ready(cpu));
    CPU_TRY(cpu_vec_source(cpu, insn, 1, size * lanes, &source));
    for (unsigned i = 0; i < lanes; i++)
        cpu_vec_set_lane(&result, size, i,
                         fn(&env, size, cpu_vec_lane(dest, size, i), cpu_vec_lane(&source, size, i),
                            (uint8_t)insn->imm));
    CPU_TRY(cpu_sse_finish(cpu, &env));
    *dest = result;
    return CPU_NEXT;
}

/* Lanes of the result from neighbours: the lower half from the destination's pairs. */
static int horizontal(struct cpu *cpu, const struct x86_insn *insn, unsigned size, lane_fn *fn)
{
    struct sf_env env = cpu_sse_env(cpu);
    union cpu_vec *dest = cpu_xmm(cpu, insn->operand[0].reg), result, source;
    unsigned half = 8 / size;

    CPU_TRY(cpu_sse_ready(cpu));
    CPU_TRY(cpu_vec_source(cpu, insn, 1, 16, &source));
    for (unsigned i = 0; i < 2 * half; i++) {
        const union cpu_vec *from = i < half ? dest : &source;
        unsigned at = 2 * (i % half);

        cpu_vec_set_lane(
            &result, size, i,
            fn(&env, size, cpu_vec_lane(from, size, at), cpu_vec_lane(from, size, at + 1), 0));
    }
    CPU_TRY(cpu_sse_finish(cpu, &env));
    *dest = result;
    return CPU_NEXT;
}

/* Even lanes subtract, odd ones add. */
static int add_sub(struct cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    struct sf_env env = cpu_sse_env(cpu);
    union cpu_vec *dest = cpu_xmm(cpu, insn->operand[0].reg), result, source;

    CPU_TRY(cpu_sse_ready(cpu));
    CPU_TRY(cpu_vec_source(cpu, insn, 1, 16, &source));
    for (unsigned i = 0; i < 16 / size; i++)
        cpu_vec_set_lane(&result, size, i,
                         (i & 1 ? lane_add : lane_sub)(&env, size, cpu_vec_lane(dest, size, i),
                                                       cpu_vec_lane(&source, size, i), 0));
    CPU_TRY(cpu_sse_finish(cpu, &env));
    *dest = result;
    return CPU_NEXT;
}

/*
 * DPPS, DPPD: products of the lanes that imm's upper half names (others are +0), summed in pairs,
 * into the lanes that its lower half names.  Each step rounds and raises for itself.
 */
static int dot_product(struct cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    struct sf_env env = cpu_sse_env(cpu);
    union cpu_vec *dest = cpu_xmm(cpu, insn->operand[0].reg), result, source;
    uint64_t product[4] = {0}, sum;
    unsigned lanes = 16 / size;

    CPU_TRY(cpu_sse_ready(cpu));
    CPU_TRY(cpu_vec_source(cpu, insn, 1, 16, &source));
    for (unsigned i = 0; i < lanes; i++)
        if (insn->imm >> (4 + i) & 1)
            product[i] = lane_mul(&env, size, cpu_vec_lane(dest, size, i),
                                  cpu_vec_lane(&source, size, i), 0);
    CPU_TRY(cpu_sse_finish(cpu, &env));
    sum = lane_add(&env, size, product[0], product[1], 0);
    if (lanes == 4) {
        uint64_t upper = lane_add(&env, size, product[2], product[3], 0);

        CPU_TRY(cpu_sse_finish(cpu, &env));
        sum = lane_add(&env, size, sum, upper, 0);
    }
    CPU_TRY(cpu_sse_finish(cpu, &env));
    for (unsigned i = 0; i < lanes; i++)
        cpu_vec_set_lane(&result, size, i, insn->imm >> i & 1 ? sum : 0);
    *dest = result;
    return CPU_NEXT;
}

/* --- Instructions ---------------------------------------------------------------------------- */

/* X(operation, bytes of a lane, lanes, its function) */
#define FORMS(X, OP, fn)                                                                           \
    X(OP##PS, 4, 4, fn)                                                                            \
    X(OP##PD, 8, 2, fn)                                                                            \
    X(OP##SS, 4, 1, fn)                                                                            \
    X(OP##SD, 8, 1, fn)
#define LANE_OPS(X)                                                                                \
    FORMS(X, ADD, lane_add)                                                                        \
    FORMS(X, SUB, lane_sub)                                                                        \
    FORMS(X, MUL, lane_mul)                                                                        \
    FORMS(X, DIV, lane_div)                                                                        \
    FORMS(X, MIN, lane_min)                                                                        \
    FORMS(X, MAX, lane_max)                                                                        \
    FORMS(X, SQRT, lane_sqrt)                                                                      \
    FORMS(X, CMP, lane_cmp)                                                                        \
    X(RCPPS, 4, 4, lane_rcp)                                                                       \
    X(RCPSS, 4, 1, lane_rcp)                                                                       \
    X(RSQRTPS, 4, 4, lane_rsqrt)                                                                   \
    X(RSQRTSS, 4, 1, lane_rsqrt)

/* X(operation, the call that is its body) */
#define OTHER_OPS(X)                                                                               \
    X(HADDPS, horizontal(cpu, insn, 4, lane_add))                                                  \
    X(HADDPD, horizontal(cpu, insn, 8, lane_add))                                                  \
    X(HSUBPS, horizontal(cpu, insn, 4, lane_sub))                                                  \
    X(HSUBPD, horizontal(cpu, insn, 8, lane_sub))                                                  \
    X(ADDSUBPS, add_sub(cpu, insn, 4))                                                             \
    X(ADDSUBPD, add_sub(cpu, insn, 8))                                                             \
    X(DPPS, dot_product(cpu, insn, 4))                                                             \
    X(DPPD, dot_product(cpu, insn, 8))

#define HANDLER(op, body)                                                                          \
    static int op_##op(struct cpu *cpu, const struct x86_insn *insn)                               \
    {                                                                                              \
        return body;                                                                               \
    }
#define LANE_HANDLER(op, size, lanes, fn) HANDLER(op, each_lane(cpu, insn, size, lanes, fn))
LANE_OPS(LANE_HANDLER)
OTHER_OPS(HANDLER)

static cpu_handler *const handlers[X86_OP_COUNT] = {
#define LANE_ENTRY(op, size, lanes, fn) [X86_##op] = op_##op,
#define ENTRY(op, body)                 [X86_##op] = op_##op,
    LANE_OPS(LANE_ENTRY) OTHER_OPS(ENTRY)};

cpu_handler *cpu_bind_sse_float(const struct x86_insn *insn)
{
    cpu_handler *handler = handlers[insn->op];

    return handler ? handler : cpu_bind_sse_convert(insn);
}
