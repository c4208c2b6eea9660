/* SSE and MMX moves: whole registers, halves, scalars, sign masks, masked and streaming stores. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/sse.h"

/* --- Whole registers ------------------------------------------------------------------------- */

static int move_whole(struct cpu *cpu, const struct x86_insn *insn, bool aligned)
{
    const struct x86_operand *dest = &insn->operand[0], *source = &insn->operand[1];

    CPU_TRY(cpu_sse_ready(cpu));
    if (dest->kind == X86_XMM && source->kind == X86_XMM) {
        *cpu_xmm(cpu, dest->reg) = *cpu_xmm(cpu, source->reg);
        return CPU_NEXT;
    }
    if (aligned)
        CPU_TRY(cpu_vec_aligned(cpu, insn));
    if (dest->kind == X86_MEM)
        return cpu_vec_store_memory(cpu, insn, 16, cpu_xmm(cpu, source->reg));
    return cpu_vec_load_memory(cpu, insn, 16, cpu_xmm(cpu, dest->reg));
}

static int move_aligned(struct cpu *cpu, const struct x86_insn *insn)
{
    return move_whole(cpu, insn, true);
}

static int move_unaligned(struct cpu *cpu, const struct x86_insn *insn)
{
    return move_whole(cpu, insn, false);
}

/* --- Scalars and halves ---------------------------------------------------------------------- */

/* MOVSS, MOVSD: a load clears the rest, a register move keeps it. */
static int move_scalar(struct cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    const struct x86_operand *dest = &insn->operand[0], *source = &insn->operand[1];

    CPU_TRY(cpu_sse_ready(cpu));
    if (dest->kind == X86_MEM)
        return cpu_vec_store_memory(cpu, insn, size, cpu_xmm(cpu, source->reg));
    if (source->kind == X86_MEM)
        return cpu_vec_load_memory(cpu, insn, size, cpu_xmm(cpu, dest->reg));
    memmove(cpu_xmm(cpu, dest->reg), cpu_xmm(cpu, source->reg), size);
    return CPU_NEXT;
}

static int movss(struct cpu *cpu, const struct x86_insn *insn)
{
    return move_scalar(cpu, insn, 4);
}

static int movsd(struct cpu *cpu, const struct x86_insn *insn)
{
    return move_scalar(cpu, insn, 8);
}

/* Half a register from or to memory, or from another half. */
static int move_half(struct cpu *cpu, const struct x86_insn *insn, unsigned to, unsigned from)
{
    const struct x86_operand *dest = &insn->operand[0], *source = &insn->operand[1];
    union cpu_vec value;

    CPU_TRY(cpu_sse_ready(cpu));
    if (dest->kind == X86_MEM)
        return cpu_vec_store_memory(cpu, insn, 8, &cpu_xmm(cpu, source->reg)->u64[from]);
    if (source->kind == X86_MEM) {
        CPU_TRY(cpu_vec_load_memory(cpu, insn, 8, &value));
        cpu_xmm(cpu, dest->reg)->u64[to] = value.u64[0];
    } else {
        cpu_xmm(cpu, dest->reg)->u64[to] = cpu_xmm(cpu, source->reg)->u64[from];
    }
    return CPU_NEXT;
}

static int move_low(struct cpu *cpu, const struct x86_insn *insn)
{
    return move_half(cpu, insn, 0, 0);
}

static int move_high(struct cpu *cpu, const struct x86_insn *insn)
{
    return move_half(cpu, insn, 1, 1);
}

static int movhlps(struct cpu *cpu, const struct x86_insn *insn)
{
    return move_half(cpu, insn, 0, 1);
}

static int movlhps(struct cpu *cpu, const struct x86_insn *insn)
{
    return move_half(cpu, insn, 1, 0);
}

/* MOVD and MOVQ in all their forms, MOVNTQ too: between MMX or XMM and a register or memory. */
static int move_integer(struct cpu *cpu, const struct x86_insn *insn)
{
    const struct x86_operand *dest = &insn->operand[0], *source = &insn->operand[1];
    bool mmx = dest->kind == X86_MMX || source->kind == X86_MMX;
    unsigned size = 8;
    uint64_t value;

    for (unsigned n = 0; n < 2; n++)
        if (insn->operand[n].kind == X86_GPR || insn->operand[n].kind == X86_MEM)
            size = insn->operand[n].size;
    CPU_TRY(mmx ? cpu_mmx_ready(cpu) : cpu_sse_ready(cpu));
    switch (source->kind) {
    case X86_MMX: value = cpu_mmx(cpu, source->reg); break;
    case X86_XMM: value = cpu_xmm(cpu, source->reg)->u64[0]; break;
    default: CPU_TRY(cpu_operand(cpu, insn, 1, &value));
    }
    if (dest->kind == X86_GPR)
        cpu_set_gpr(cpu, dest->reg, size, value);
    else if (dest->kind == X86_MEM)
        CPU_TRY(cpu_store(cpu, insn->seg, cpu_ea(cpu, insn), size, value));
    if (mmx)
        cpu_mmx_enter(cpu);
    if (dest->kind == X86_MMX)
        cpu_set_mmx(cpu, dest->reg, value);
    else if (dest->kind == X86_XMM)
        *cpu_xmm(cpu, dest->reg) = (union cpu_vec){.u64 = {value, 0}};
    return CPU_NEXT;
}

static int mmx_to_xmm(struct cpu *cpu, const struct x86_insn *insn)
{
    CPU_TRY(cpu_sse_ready(cpu));
    CPU_TRY(x87_pending(cpu));
    cpu_mmx_enter(cpu);
    *cpu_xmm(cpu, insn->operand[0].reg) =
        (union cpu_vec){.u64 = {cpu_mmx(cpu, insn->operand[1].reg), 0}};
    return CPU_NEXT;
}

static int xmm_to_mmx(struct cpu *cpu, const struct x86_insn *insn)
{
    CPU_TRY(cpu_sse_ready(cpu));
    CPU_TRY(x87_pending(cpu));
    cpu_mmx_enter(cpu);
    cpu_set_mmx(cpu, insn->operand[0].reg, cpu_xmm(cpu, insn->operand[1].reg)->u64[0]);
    return CPU_NEXT;
}

/* --- Duplications ---------------------------------------------------------------------------- */

static void movshdup(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    (void)bytes, (void)imm;
    for (unsigned i = 0; i < 4; i++)
        d->u32[i] = s->u32[i | 1];
}

static void movsldup(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    (void)bytes, (void)imm;
    for (unsigned i = 0; i < 4; i++)
        d->u32[i] = s->u32[i & 2];
}

static void movddup(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    (void)bytes, (void)imm;
    d->u64[0] = d->u64[1] = s->u64[0];
}

static int op_movshdup(struct cpu *cpu, const struct x86_insn *insn)
{
    return cpu_packed(cpu, insn, movshdup);
}

static int op_movsldup(struct cpu *cpu, const struct x86_insn *insn)
{
    return cpu_packed(cpu, insn, movsldup);
}

static int op_movddup(struct cpu *cpu, const struct x86_insn *insn)
{
    return cpu_packed_part(cpu, insn, 8, movddup);
}

/* --- Sign masks and masked stores ------------------------------------------------------------ */

static int sign_mask(struct cpu *cpu, const struct x86_insn *insn, unsigned lane)
{
    const struct x86_operand *source = &insn->operand[1];
    union cpu_vec value;
    uint64_t mask = 0;
    unsigned bytes = source->kind == X86_MMX ? 8 : 16;

    CPU_TRY(bytes == 8 ? cpu_mmx_ready(cpu) : cpu_sse_ready(cpu));
    CPU_TRY(cpu_vec_source(cpu, insn, 1, bytes, &value));
    if (bytes == 8)
        cpu_mmx_enter(cpu);
    for (unsigned i = 0; i < bytes / lane; i++)
        mask |= (uint64_t)(value.u8[i * lane + lane - 1] >> 7) << i;
    cpu_set_gpr(cpu, insn->operand[0].reg, 8, mask);
    return CPU_NEXT;
}

static int pmovmskb(struct cpu *cpu, const struct x86_insn *insn)
{
    return sign_mask(cpu, insn, 1);
}

static int movmskps(struct cpu *cpu, const struct x86_insn *insn)
{
    return sign_mask(cpu, insn, 4);
}

static int movmskpd(struct cpu *cpu, const struct x86_insn *insn)
{
    return sign_mask(cpu, insn, 8);
}

/*
 * MASKMOVQ, MASKMOVDQU: the bytes whose mask byte is negative, to seg:[rDI].  The whole operand is
 * checked before the first byte is written; with an empty mask nothing is (implementation
 * dependent: Intel SDM vol. 2, "MASKMOVDQU").
 */
static int masked_store(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned bytes = insn->operand[0].kind == X86_MMX ? 8 : 16;
    unsigned seg = insn->prefixes & X86_PREFIX_SEG ? insn->seg : RINGSIDE_DS;
    uint64_t offset = cpu_gpr(cpu, RINGSIDE_RDI, insn->addrsize);
    union cpu_vec value, mask;
    uint64_t linear;

    CPU_TRY(bytes == 8 ? cpu_mmx_ready(cpu) : cpu_sse_ready(cpu));
    CPU_TRY(cpu_vec_source(cpu, insn, 0, bytes, &value));
    CPU_TRY(cpu_vec_source(cpu, insn, 1, bytes, &mask));
    CPU_TRY(cpu_linear(cpu, seg, offset, bytes, CPU_WRITE, &linear));
    for (unsigned i = 0; i < bytes; i++)
        if (mask.u8[i] & 0x80)
            CPU_TRY(cpu_probe_write(cpu, linear + i, 1, CPU_WRITE));
    for (unsigned i = 0; i < bytes; i++)
        if (mask.u8[i] & 0x80)
            CPU_TRY(cpu_write_linear(cpu, linear + i, &value.u8[i], 1, CPU_WRITE));
    if (bytes == 8)
        cpu_mmx_enter(cpu);
    return CPU_NEXT;
}

static cpu_handler *const handlers[X86_OP_COUNT] = {
    [X86_MOVAPS] = move_aligned,   [X86_MOVAPD] = move_aligned,     [X86_MOVDQA] = move_aligned,
    [X86_MOVNTPS] = move_aligned,  [X86_MOVNTPD] = move_aligned,    [X86_MOVNTDQ] = move_aligned,
    [X86_MOVNTDQA] = move_aligned, [X86_MOVUPS] = move_unaligned,   [X86_MOVUPD] = move_unaligned,
    [X86_MOVDQU] = move_unaligned, [X86_LDDQU] = move_unaligned,    [X86_MOVSS] = movss,
    [X86_MOVSD] = movsd,           [X86_MOVLPS] = move_low,         [X86_MOVLPD] = move_low,
    [X86_MOVHPS] = move_high,      [X86_MOVHPD] = move_high,        [X86_MOVHLPS] = movhlps,
    [X86_MOVLHPS] = movlhps,       [X86_MOVD] = move_integer,       [X86_MOVQ] = move_integer,
    [X86_MOVNTQ] = move_integer,   [X86_MOVQ2DQ] = mmx_to_xmm,      [X86_MOVDQ2Q] = xmm_to_mmx,
    [X86_MOVSHDUP] = op_movshdup,  [X86_MOVSLDUP] = op_movsldup,    [X86_MOVDDUP] = op_movddup,
    [X86_PMOVMSKB] = pmovmskb,     [X86_MOVMSKPS] = movmskps,       [X86_MOVMSKPD] = movmskpd,
    [X86_MASKMOVQ] = masked_store, [X86_MASKMOVDQU] = masked_store,
};

cpu_handler *cpu_bind_sse_move(const struct x86_insn *insn)
{
    return handlers[insn->op];
}
