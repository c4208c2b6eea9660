/* Single elements of MMX and XMM registers: inserts and extracts. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/sse.h"

/* PINSRB, PINSRW, PINSRD (PINSRQ with REX.W). */
static int insert(struct cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    const struct x86_operand *dest = &insn->operand[0];
    bool mmx = dest->kind == X86_MMX;
    unsigned at = (unsigned)insn->imm & ((mmx ? 8 : 16) / size - 1);
    uint64_t value;

    CPU_TRY(mmx ? cpu_mmx_ready(cpu) : cpu_sse_ready(cpu));
    if (insn->operand[1].kind == X86_MEM)
        CPU_TRY(cpu_load(cpu, insn->seg, cpu_ea(cpu, insn), size, &value));
    else
        value = cpu->r.gpr[insn->operand[1].reg];
    if (mmx) {
        union cpu_vec vector;

        cpu_mmx_enter(cpu);
        vector.u64[0] = cpu_mmx(cpu, dest->reg);
        cpu_host_store(&vector.u8[at * size], size, value);
        cpu_set_mmx(cpu, dest->reg, vector.u64[0]);
    } else {
        cpu_host_store(&cpu_xmm(cpu, dest->reg)->u8[at * size], size, value);
    }
    return CPU_NEXT;
}

/* PEXTRB, PEXTRW, PEXTRD (PEXTRQ with REX.W), EXTRACTPS: a register gets zeros above. */
static int extract(struct cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    const struct x86_operand *dest = &insn->operand[0], *source = &insn->operand[1];
    bool mmx = source->kind == X86_MMX;
    unsigned at = (unsigned)insn->imm & ((mmx ? 8 : 16) / size - 1);
    union cpu_vec vector;
    uint64_t value;

    CPU_TRY(mmx ? cpu_mmx_ready(cpu) : cpu_sse_ready(cpu));
    CPU_TRY(cpu_vec_source(cpu, insn, 1, 16, &vector));
    if (mmx)
        cpu_mmx_enter(cpu);
    value = cpu_host_load(&vector.u8[at * size], size);
    if (dest->kind == X86_MEM)
        return cpu_store(cpu, insn->seg, cpu_ea(cpu, insn), size, value);
    cpu_set_gpr(cpu, dest->reg, 8, value);
    return CPU_NEXT;
}

static unsigned dword_or_qword(const struct x86_insn *insn)
{
    return insn->prefixes & X86_PREFIX_REX_W ? 8 : 4;
}

static int pinsrb(struct cpu *cpu, const struct x86_insn *insn)
{
    return insert(cpu, insn, 1);
}

static int pinsrw(struct cpu *cpu, const struct x86_insn *insn)
{
    return insert(cpu, insn, 2);
}

static int pinsrd(struct cpu *cpu, const struct x86_insn *insn)
{
    return insert(cpu, insn, dword_or_qword(insn));
}

static int pextrb(struct cpu *cpu, const struct x86_insn *insn)
{
    return extract(cpu, insn, 1);
}

static int pextrw(struct cpu *cpu, const struct x86_insn *insn)
{
    return extract(cpu, insn, 2);
}

static int pextrd(struct cpu *cpu, const struct x86_insn *insn)
{
    return extract(cpu, insn, dword_or_qword(insn));
}

static int extractps(struct cpu *cpu, const struct x86_insn *insn)
{
    return extract(cpu, insn, 4);
}

/* imm: 7:6 the source lane of a register, 5:4 the lane to write, 3:0 the lanes to clear. */
static int insertps(struct cpu *cpu, const struct x86_insn *insn)
{
    union cpu_vec *dest = cpu_xmm(cpu, insn->operand[0].reg), source;
    bool memory = insn->operand[1].kind == X86_MEM;

    CPU_TRY(cpu_sse_ready(cpu));
    CPU_TRY(cpu_vec_source(cpu, insn, 1, 4, &source));
    dest->u32[insn->imm >> 4 & 3] = source.u32[memory ? 0 : insn->imm >> 6 & 3];
    for (unsigned i = 0; i < 4; i++)
        if (insn->imm >> i & 1)
            dest->u32[i] = 0;
    return CPU_NEXT;
}

static cpu_handler *const handlers[X86_OP_COUNT] = {
    [X86_PINSRB] = pinsrb,       [X86_PINSRW] = pinsrw,     [X86_PINSRD] = pinsrd,
    [X86_PEXTRB] = pextrb,       [X86_PEXTRW] = pextrw,     [X86_PEXTRD] = pextrd,
    [X86_EXTRACTPS] = extractps, [X86_INSERTPS] = insertps,
};

cpu_handler *cpu_bind_sse_element(const struct x86_insn *insn)
{
    return handlers[insn->op];
}
