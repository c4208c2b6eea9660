/* SSE and MMX operands and the checks before them. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/sse.h"

int cpu_sse_refuse(struct cpu *cpu)
{
    if ((cpu->r.cr0 & X86_CR0_EM) || !(cpu->r.cr4 & X86_CR4_OSFXSR))
        return cpu_fault(cpu, X86_EXC_UD);
    return cpu_fault(cpu, X86_EXC_NM);
}

int cpu_mmx_ready(struct cpu *cpu)
{
    if (cpu->r.cr0 & X86_CR0_EM)
        return cpu_fault(cpu, X86_EXC_UD);
    if (cpu->r.cr0 & X86_CR0_TS)
        return cpu_fault(cpu, X86_EXC_NM);
    return x87_pending(cpu);
}

void cpu_mmx_enter(struct cpu *cpu)
{
    x87_set_top(cpu, 0);
    cpu->fpu.ftw = 0xff;
}

uint64_t cpu_mmx(const struct cpu *cpu, unsigned reg)
{
    return cpu->fpu.st[(reg - x87_top(cpu)) & 7].significand;
}

void cpu_set_mmx(struct cpu *cpu, unsigned reg, uint64_t value)
{
    cpu->fpu.st[reg].significand = value;
    cpu->fpu.st[reg].sign_exponent = 0xffff;
}

int cpu_vec_source_any(struct cpu *cpu, const struct x86_insn *insn, unsigned n, unsigned size,
                       union cpu_vec *out)
{
    const struct x86_operand *o = &insn->operand[n];

    switch (o->kind) {
    case X86_XMM: *out = *cpu_xmm(cpu, o->reg); return CPU_NEXT;
    case X86_MMX: *out = (union cpu_vec){.u64 = {cpu_mmx(cpu, o->reg), 0}}; return CPU_NEXT;
    case X86_IMM: *out = (union cpu_vec){.u64 = {insn->imm & 0xff, 0}}; return CPU_NEXT;
    default: return cpu_vec_load_memory(cpu, insn, size, out);
    }
}

int cpu_vec_source(struct cpu *cpu, const struct x86_insn *insn, unsigned n, unsigned size,
                   union cpu_vec *out)
{
    if (insn->operand[n].kind == X86_MEM && size == 16)
        CPU_TRY(cpu_vec_aligned(cpu, insn));
    return cpu_vec_source_any(cpu, insn, n, size, out);
}

int cpu_packed_part(struct cpu *cpu, const struct x86_insn *insn, unsigned size, cpu_packed_fn *fn)
{
    const struct x86_operand *dest = &insn->operand[0];
    union cpu_vec source;

    if (dest->kind == X86_MMX) {
        union cpu_vec value;

        CPU_TRY(cpu_mmx_ready(cpu));
        CPU_TRY(cpu_vec_source(cpu, insn, 1, size < 8 ? size : 8, &source));
        cpu_mmx_enter(cpu);
        value = (union cpu_vec){.u64 = {cpu_mmx(cpu, dest->reg), 0}};
        fn(&value, &source, 8, (uint8_t)insn->imm);
        cpu_set_mmx(cpu, dest->reg, value.u64[0]);
    } else {
        CPU_TRY(cpu_sse_ready(cpu));
        CPU_TRY(cpu_vec_source(cpu, insn, 1, size, &source));
        fn(cpu_xmm(cpu, dest->reg), &source, 16, (uint8_t)insn->imm);
    }
    return CPU_NEXT;
}

int cpu_packed(struct cpu *cpu, const struct x86_insn *insn, cpu_packed_fn *fn)
{
    return cpu_packed_part(cpu, insn, 16, fn);
}
