/* Operands of any kind, for the instructions that have no form of their own; the stack; jumps. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/descriptor.h"

int cpu_operand(struct cpu *cpu, const struct x86_insn *insn, unsigned n, uint64_t *value)
{
    const struct x86_operand *o = &insn->operand[n];

    switch (o->kind) {
    case X86_GPR:
    case X86_GPR_HIGH: *value = cpu_reg_operand(cpu, o); return CPU_NEXT;
    case X86_MEM: return cpu_load(cpu, insn->seg, cpu_ea(cpu, insn), o->size, value);
    case X86_IMM:
    case X86_REL: *value = insn->imm; return CPU_NEXT;
    case X86_IMM2: *value = insn->imm2; return CPU_NEXT;
    default: return cpu_fault(cpu, X86_EXC_UD);
    }
}

int cpu_operand_rmw(struct cpu *cpu, const struct x86_insn *insn, unsigned n, uint64_t *value)
{
    const struct x86_operand *o = &insn->operand[n];

    if (o->kind == X86_MEM)
        return cpu_load_rmw(cpu, insn->seg, cpu_ea(cpu, insn), o->size, value);
    return cpu_operand(cpu, insn, n, value);
}

int cpu_set_operand(struct cpu *cpu, const struct x86_insn *insn, unsigned n, uint64_t value)
{
    const struct x86_operand *o = &insn->operand[n];

    if (o->kind == X86_MEM)
        return cpu_store(cpu, insn->seg, cpu_ea(cpu, insn), o->size, value);
    cpu_set_reg_operand(cpu, o, value);
    return CPU_NEXT;
}

int cpu_push(struct cpu *cpu, unsigned size, uint64_t value)
{
    uint64_t sp = cpu_zext(cpu->r.gpr[RINGSIDE_RSP] - size, cpu->stack_width);

    CPU_TRY(cpu_store(cpu, RINGSIDE_SS, sp, size, value));
    cpu_set_gpr(cpu, RINGSIDE_RSP, cpu->stack_width, sp);
    return CPU_NEXT;
}

int cpu_pop(struct cpu *cpu, unsigned size, uint64_t *value)
{
    uint64_t sp = cpu_gpr(cpu, RINGSIDE_RSP, cpu->stack_width);

    CPU_TRY(cpu_load(cpu, RINGSIDE_SS, sp, size, value));
    cpu_set_gpr(cpu, RINGSIDE_RSP, cpu->stack_width, sp + size);
    return CPU_NEXT;
}

int cpu_jump(struct cpu *cpu, uint64_t rip, unsigned opsize)
{
    rip = cpu_zext(rip, opsize);
    CPU_TRY(cpu_check_rip(cpu, &cpu->r.seg[RINGSIDE_CS], rip, 0));
    cpu->r.rip = rip;
    return CPU_BRANCH;
}
