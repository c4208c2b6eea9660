/* Packed integers lane by lane, MMX and SSE: arithmetic, comparisons, logic, shifts. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/sse.h"

/* --- Lanes ----------------------------------------------------------------------------------- */

static int saturate(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

#define SB(v)      (int8_t) saturate(v, -0x80, 0x7f)
#define SW(v)      (int16_t) saturate(v, -0x8000, 0x7fff)
#define UB(v)      (uint8_t) saturate(v, 0, 0xff)
#define UW(v)      (uint16_t) saturate(v, 0, 0xffff)
#define MIN(a, b)  ((a) < (b) ? (a) : (b))
#define MAX(a, b)  ((a) > (b) ? (a) : (b))
#define ABS(a)     ((a) < 0 ? 0u - (uint32_t)(a) : (uint32_t)(a))
#define SIGN(a, b) ((b) < 0 ? 0u - (uint32_t)(a) : (b) > 0 ? (uint32_t)(a) : 0u)

/* X(operation, type of lane, its new value from x (destination) and y (source)) */
/* clang-format off */
#define LANE_OPS(X)                                                                                \
    X(PADDB, u8, x + y)                                                                            \
    X(PADDW, u16, x + y)                                                                           \
    X(PADDD, u32, x + y)                                                                           \
    X(PADDQ, u64, x + y)                                                                           \
    X(PADDSB, i8, SB(x + y))                                                                       \
    X(PADDSW, i16, SW(x + y))                                                                      \
    X(PADDUSB, u8, UB(x + y))                                                                      \
    X(PADDUSW, u16, UW(x + y))                                                                     \
    X(PSUBB, u8, x - y)                                                                            \
    X(PSUBW, u16, x - y)                                                                           \
    X(PSUBD, u32, x - y)                                                                           \
    X(PSUBQ, u64, x - y)                                                                           \
    X(PSUBSB, i8, SB(x - y))                                                                       \
    X(PSUBSW, i16, SW(x - y))                                                                      \
    X(PSUBUSB, u8, UB(x - y))                                                                      \
    X(PSUBUSW, u16, UW(x - y))                                                                     \
    X(PMULLW, i16, x * y)                                                                           \
    X(PMULHW, i16, x * y >> 16)                                                                     \
    X(PMULHUW, u16, (uint32_t)x * y >> 16)                                                          \
    X(PMULHRSW, i16, ((x * y >> 14) + 1) >> 1)                                                     \
    X(PMULUDQ, u64, (uint64_t)(uint32_t)x * (uint32_t)y)                                            \
    X(PMULDQ, i64, (int64_t)(int32_t)x * (int32_t)y)                                                \
    X(PMULLD, u32, x * y)                                                                           \
    X(PAVGB, u8, (x + y + 1) >> 1)                                                                 \
    X(PAVGW, u16, (x + y + 1) >> 1)                                                                \
    X(PMINUB, u8, MIN(x, y))                                                                       \
    X(PMINUW, u16, MIN(x, y))                                                                      \
    X(PMINUD, u32, MIN(x, y))                                                                      \
    X(PMINSB, i8, MIN(x, y))                                                                       \
    X(PMINSW, i16, MIN(x, y))                                                                      \
    X(PMINSD, i32, MIN(x, y))                                                                      \
    X(PMAXUB, u8, MAX(x, y))                                                                       \
    X(PMAXUW, u16, MAX(x, y))                                                                      \
    X(PMAXUD, u32, MAX(x, y))                                                                      \
    X(PMAXSB, i8, MAX(x, y))                                                                       \
    X(PMAXSW, i16, MAX(x, y))                                                                      \
    X(PMAXSD, i32, MAX(x, y))                                                                      \
    X(PCMPEQB, i8, -(x == y))                                                                      \
    X(PCMPEQW, i16, -(x == y))                                                                     \
    X(PCMPEQD, i32, -(x == y))                                                                     \
    X(PCMPEQQ, i64, -(x == y))                                                                     \
    X(PCMPGTB, i8, -(x > y))                                                                       \
    X(PCMPGTW, i16, -(x > y))                                                                      \
    X(PCMPGTD, i32, -(x > y))                                                                      \
    X(PCMPGTQ, i64, -(x > y))                                                                      \
    X(PAND, u64, x & y)                                                                             \
    X(PANDN, u64, ~x & y)                                                                           \
    X(POR, u64, x | y)                                                                             \
    X(PXOR, u64, x ^ y)                                                                            \
    X(ANDPS, u64, x & y)                                                                            \
    X(ANDPD, u64, x & y)                                                                            \
    X(ANDNPS, u64, ~x & y)                                                                          \
    X(ANDNPD, u64, ~x & y)                                                                          \
    X(ORPS, u64, x | y)                                                                            \
    X(ORPD, u64, x | y)                                                                            \
    X(XORPS, u64, x ^ y)                                                                           \
    X(XORPD, u64, x ^ y)                                                                           \
    X(PABSB, i8, ABS(y))                                                                           \
    X(PABSW, i16, ABS(y))                                                                          \
    X(PABSD, i32, ABS(y))                                                                          \
    X(PSIGNB, i8, SIGN(x, y))                                                                      \
    X(PSIGNW, i16, SIGN(x, y))                                                                     \
    X(PSIGND, i32, SIGN(x, y))                                                                     \
    X(PSLLW, u16, count > 15 ? 0 : x << count)                                                     \
    X(PSLLD, u32, count > 31 ? 0 : x << count)                                                     \
    X(PSLLQ, u64, count > 63 ? 0 : x << count)                                                     \
    X(PSRLW, u16, count > 15 ? 0 : x >> count)                                                     \
    X(PSRLD, u32, count > 31 ? 0 : x >> count)                                                     \
    X(PSRLQ, u64, count > 63 ? 0 : x >> count)                                                     \
    X(PSRAW, i16, x >> MIN(count, 15))                                                             \
    X(PSRAD, i32, x >> MIN(count, 31))
/* clang-format on */

/* count is what a shift shifts by: the whole low quadword of the source. */
#define LANE_FN(op, lane, value)                                                                   \
    static void op##_lanes(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)  \
    {                                                                                              \
        uint64_t count = s->u64[0];                                                                \
        (void)count, (void)imm;                                                                    \
        for (unsigned i = 0; i < bytes / sizeof d->lane[0]; i++) {                                 \
            __typeof__(d->lane[0]) x = d->lane[i], y = s->lane[i];                                 \
            (void)x, (void)y;                                                                      \
            d->lane[i] = (__typeof__(d->lane[0]))(value);                                          \
        }                                                                                          \
    }                                                                                              \
    static int op_##op(struct cpu *cpu, const struct x86_insn *insn)                               \
    {                                                                                              \
        return cpu_packed(cpu, insn, op##_lanes);                                                  \
    }

LANE_OPS(LANE_FN)

/* --- Neighbours: results from several lanes -------------------------------------------------- */

static unsigned distance(uint8_t a, uint8_t b)
{
    return a > b ? a - b : b - a;
}

/*
 * X(operation, type of result lane, its value at i): a is the destination as it was, s the source;
 * n is the number of result lanes.
 */
#define PAIR(lane, i, combine)                                                                     \
    ((i) < n / 2 ? combine(a.lane[2 * (i)], a.lane[2 * (i) + 1])                                   \
                 : combine(s->lane[2 * (i)-n], s->lane[2 * (i) + 1 - n]))
#define PLUS(x, y)      ((x) + (y))
#define MINUS(x, y)     ((x) - (y))
#define PLUS_SAT(x, y)  SW((x) + (y))
#define MINUS_SAT(x, y) SW((x) - (y))
#define NEIGHBOUR_OPS(X)                                                                           \
    X(PHADDW, u16, PAIR(u16, i, PLUS))                                                             \
    X(PHADDD, u32, PAIR(u32, i, PLUS))                                                             \
    X(PHADDSW, i16, PAIR(i16, i, PLUS_SAT))                                                        \
    X(PHSUBW, u16, PAIR(u16, i, MINUS))                                                            \
    X(PHSUBD, u32, PAIR(u32, i, MINUS))                                                            \
    X(PHSUBSW, i16, PAIR(i16, i, MINUS_SAT))                                                       \
    X(PMADDWD, u32,                                                                                \
      (uint32_t)(a.i16[2 * i] * s->i16[2 * i]) + (uint32_t)(a.i16[2 * i + 1] * s->i16[2 * i + 1])) \
    X(PMADDUBSW, i16, SW(a.u8[2 * i] * s->i8[2 * i] + a.u8[2 * i + 1] * s->i8[2 * i + 1]))         \
    X(PSADBW, u64, sum_of_distances(&a.u8[8 * i], &s->u8[8 * i], 8))                               \
    X(MPSADBW, u16, sum_of_distances(&a.u8[(imm & 4) + i], &s->u8[(imm & 3) * 4], 4))

static unsigned sum_of_distances(const uint8_t *a, const uint8_t *b, unsigned bytes)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < bytes; i++)
        sum += distance(a[i], b[i]);
    return sum;
}

#define NEIGHBOUR_FN(op, lane, value)                                                              \
    static void op##_lanes(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)  \
    {                                                                                              \
        const union cpu_vec a = *d;                                                                \
        const unsigned n = bytes / sizeof d->lane[0];                                              \
        (void)imm;                                                                                 \
        for (unsigned i = 0; i < n; i++)                                                           \
            d->lane[i] = (__typeof__(d->lane[0]))(value);                                          \
    }                                                                                              \
    static int op_##op(struct cpu *cpu, const struct x86_insn *insn)                               \
    {                                                                                              \
        return cpu_packed(cpu, insn, op##_lanes);                                                  \
    }

NEIGHBOUR_OPS(NEIGHBOUR_FN)

static void minimum_position(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    unsigned at = 0;

    (void)bytes, (void)imm;
    for (unsigned i = 1; i < 8; i++)
        if (s->u16[i] < s->u16[at])
            at = i;
    *d = (union cpu_vec){.u16 = {s->u16[at], (uint16_t)at}};
}

static int op_PHMINPOSUW(struct cpu *cpu, const struct x86_insn *insn)
{
    return cpu_packed(cpu, insn, minimum_position);
}

/* --- PTEST ----------------------------------------------------------------------------------- */

static int op_PTEST(struct cpu *cpu, const struct x86_insn *insn)
{
    const union cpu_vec *d = cpu_xmm(cpu, insn->operand[0].reg);
    union cpu_vec s;
    bool zf, cf;

    CPU_TRY(cpu_sse_ready(cpu));
    CPU_TRY(cpu_vec_source(cpu, insn, 1, 16, &s));
    zf = !((d->u64[0] & s.u64[0]) | (d->u64[1] & s.u64[1]));
    cf = !((~d->u64[0] & s.u64[0]) | (~d->u64[1] & s.u64[1]));
    cpu_set_arith_flags(cpu, (zf ? X86_FLAG_ZF : 0) | (cf ? X86_FLAG_CF : 0));
    return CPU_NEXT;
}

/* --- Binding --------------------------------------------------------------------------------- */

static cpu_handler *const handlers[X86_OP_COUNT] = {
#define HANDLER(op, lane, value) [X86_##op] = op_##op,
    LANE_OPS(HANDLER) NEIGHBOUR_OPS(HANDLER)
#undef HANDLER
        [X86_PHMINPOSUW] = op_PHMINPOSUW,
    [X86_PTEST] = op_PTEST,
};

cpu_handler *cpu_bind_sse_int(const struct x86_insn *insn)
{
    cpu_handler *handler = handlers[insn->op];

    if (!handler)
        handler = cpu_bind_sse_shuffle(insn);
    if (!handler)
        handler = cpu_bind_sse_element(insn);
    if (!handler)
        handler = cpu_bind_sse_string(insn);
    return handler;
}
