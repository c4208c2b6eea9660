/* Packed data rearranged, MMX and SSE: packs, unpacks, shuffles, blends, widenings, byte shifts. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/sse.h"

static int clamp(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

/* Lane i of the source half or the destination half, for packs: n result lanes. */
#define PACKED_LANE(lane) (i < n / 2 ? a.lane[i] : s->lane[i - n / 2])
/* Lane i of an interleave that starts at lane from. */
#define INTERLEAVED(lane, from) (i & 1 ? s->lane[(from) + i / 2] : a.lane[(from) + i / 2])
/* What imm, or the mask in XMM0, selects. */
#define BY_IMM(lane) (imm >> i & 1 ? s->lane[i] : a.lane[i])
#define TWO_BITS(i)  (imm >> 2 * (i)&3)

/* X(operation, type of result lane, its value at i): a is the destination as it was, s the source,
 * n the number of result lanes. */
#define SHUFFLE_OPS(X)                                                                             \
    X(PACKSSWB, i8, clamp(PACKED_LANE(i16), -0x80, 0x7f))                                          \
    X(PACKSSDW, i16, clamp(PACKED_LANE(i32), -0x8000, 0x7fff))                                     \
    X(PACKUSWB, u8, clamp(PACKED_LANE(i16), 0, 0xff))                                              \
    X(PACKUSDW, u16, clamp(PACKED_LANE(i32), 0, 0xffff))                                           \
    X(PUNPCKLBW, u8, INTERLEAVED(u8, 0))                                                           \
    X(PUNPCKLWD, u16, INTERLEAVED(u16, 0))                                                         \
    X(PUNPCKLDQ, u32, INTERLEAVED(u32, 0))                                                         \
    X(PUNPCKLQDQ, u64, INTERLEAVED(u64, 0))                                                        \
    X(PUNPCKHBW, u8, INTERLEAVED(u8, n / 2))                                                       \
    X(PUNPCKHWD, u16, INTERLEAVED(u16, n / 2))                                                     \
    X(PUNPCKHDQ, u32, INTERLEAVED(u32, n / 2))                                                     \
    X(PUNPCKHQDQ, u64, INTERLEAVED(u64, n / 2))                                                    \
    X(UNPCKLPS, u32, INTERLEAVED(u32, 0))                                                          \
    X(UNPCKLPD, u64, INTERLEAVED(u64, 0))                                                          \
    X(UNPCKHPS, u32, INTERLEAVED(u32, n / 2))                                                      \
    X(UNPCKHPD, u64, INTERLEAVED(u64, n / 2))                                                      \
    X(PSHUFW, u16, s->u16[TWO_BITS(i)])                                                            \
    X(PSHUFD, u32, s->u32[TWO_BITS(i)])                                                            \
    X(PSHUFLW, u16, i < 4 ? s->u16[TWO_BITS(i)] : s->u16[i])                                       \
    X(PSHUFHW, u16, i < 4 ? s->u16[i] : s->u16[4 + TWO_BITS(i - 4)])                               \
    X(SHUFPS, u32, i < 2 ? a.u32[TWO_BITS(i)] : s->u32[TWO_BITS(i)])                               \
    X(SHUFPD, u64, i < 1 ? a.u64[imm & 1] : s->u64[imm >> 1 & 1])                                  \
    X(PSHUFB, u8, s->u8[i] & 0x80 ? 0 : a.u8[s->u8[i] & (n - 1)])                                  \
    X(PALIGNR, u8, i + imm < n ? s->u8[i + imm] : i + imm < 2 * n ? a.u8[i + imm - n] : 0)         \
    X(PSLLDQ, u8, i >= s->u8[0] ? a.u8[i - s->u8[0]] : 0)                                          \
    X(PSRLDQ, u8, i + s->u8[0] < n ? a.u8[i + s->u8[0]] : 0)                                       \
    X(PBLENDW, u16, BY_IMM(u16))                                                                   \
    X(BLENDPS, u32, BY_IMM(u32))                                                                   \
    X(BLENDPD, u64, BY_IMM(u64))

/* X(operation, bytes of the source, type of result lane, its value at i) */
#define WIDEN_OPS(X)                                                                               \
    X(PMOVSXBW, 8, i16, s->i8[i])                                                                  \
    X(PMOVSXBD, 4, i32, s->i8[i])                                                                  \
    X(PMOVSXBQ, 2, i64, s->i8[i])                                                                  \
    X(PMOVSXWD, 8, i32, s->i16[i])                                                                 \
    X(PMOVSXWQ, 4, i64, s->i16[i])                                                                 \
    X(PMOVSXDQ, 8, i64, s->i32[i])                                                                 \
    X(PMOVZXBW, 8, u16, s->u8[i])                                                                  \
    X(PMOVZXBD, 4, u32, s->u8[i])                                                                  \
    X(PMOVZXBQ, 2, u64, s->u8[i])                                                                  \
    X(PMOVZXWD, 8, u32, s->u16[i])                                                                 \
    X(PMOVZXWQ, 4, u64, s->u16[i])                                                                 \
    X(PMOVZXDQ, 8, u64, s->u32[i])

#define FN(op, lane, value)                                                                        \
    static void op##_lanes(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)  \
    {                                                                                              \
        const union cpu_vec a = *d;                                                                \
        const unsigned n = bytes / sizeof d->lane[0];                                              \
        (void)imm, (void)a;                                                                        \
        for (unsigned i = 0; i < n; i++)                                                           \
            d->lane[i] = (__typeof__(d->lane[0]))(value);                                          \
    }
#define SHUFFLE_FN(op, lane, value)                                                                \
    FN(op, lane, value)                                                                            \
    static int op_##op(struct cpu *cpu, const struct x86_insn *insn)                               \
    {                                                                                              \
        return cpu_packed(cpu, insn, op##_lanes);                                                  \
    }
#define WIDEN_FN(op, size, lane, value)                                                            \
    FN(op, lane, value)                                                                            \
    static int op_##op(struct cpu *cpu, const struct x86_insn *insn)                               \
    {                                                                                              \
        return cpu_packed_part(cpu, insn, size, op##_lanes);                                       \
    }

SHUFFLE_OPS(SHUFFLE_FN)
WIDEN_OPS(WIDEN_FN)

/*
 * The low halves for MMX are read from 4 bytes of memory only (Intel SDM vol. 2, "PUNPCKLBW");
 * reading 8 would touch a byte too many at a page's end.
 */
#define LOW_HALF_OPS(X) X(PUNPCKLBW) X(PUNPCKLWD) X(PUNPCKLDQ)
#define LOW_HALF_FN(op)                                                                            \
    static int mmx_##op(struct cpu *cpu, const struct x86_insn *insn)                              \
    {                                                                                              \
        return cpu_packed_part(cpu, insn, 4, op##_lanes);                                          \
    }
LOW_HALF_OPS(LOW_HALF_FN)

/* --- Blends by the sign bits of XMM0 --------------------------------------------------------- */

static int blend_variable(struct cpu *cpu, const struct x86_insn *insn, unsigned lane)
{
    union cpu_vec mask = *cpu_xmm(cpu, 0), source, *dest = cpu_xmm(cpu, insn->operand[0].reg);

    CPU_TRY(cpu_sse_ready(cpu));
    CPU_TRY(cpu_vec_source(cpu, insn, 1, 16, &source));
    for (unsigned i = 0; i < 16; i++)
        if (mask.u8[i | (lane - 1)] & 0x80)
            dest->u8[i] = source.u8[i];
    return CPU_NEXT;
}

static int op_PBLENDVB(struct cpu *cpu, const struct x86_insn *insn)
{
    return blend_variable(cpu, insn, 1);
}

static int op_BLENDVPS(struct cpu *cpu, const struct x86_insn *insn)
{
    return blend_variable(cpu, insn, 4);
}

static int op_BLENDVPD(struct cpu *cpu, const struct x86_insn *insn)
{
    return blend_variable(cpu, insn, 8);
}

/* --- Binding --------------------------------------------------------------------------------- */

static cpu_handler *const handlers[X86_OP_COUNT] = {
#define SHUFFLE_HANDLER(op, lane, value)     [X86_##op] = op_##op,
#define WIDEN_HANDLER(op, size, lane, value) [X86_##op] = op_##op,
    SHUFFLE_OPS(SHUFFLE_HANDLER) WIDEN_OPS(WIDEN_HANDLER)[X86_PBLENDVB] = op_PBLENDVB,
    [X86_BLENDVPS] = op_BLENDVPS,
    [X86_BLENDVPD] = op_BLENDVPD,
};

cpu_handler *cpu_bind_sse_shuffle(const struct x86_insn *insn)
{
    if (insn->operand[0].kind == X86_MMX)
        switch (insn->op) {
#define LOW_HALF_CASE(op)                                                                          \
    case X86_##op: return mmx_##op;
            LOW_HALF_OPS(LOW_HALF_CASE)
        }
    return handlers[insn->op];
}
