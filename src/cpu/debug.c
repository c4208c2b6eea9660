/* The guest's own debug registers: MOV DR, and which breakpoints an access hits. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/descriptor.h"

/* DR7 (Intel SDM vol. 3, "Debug Registers"): L0 G0 .. L3 G3 in bits 7:0, then R/W, LEN from 16. */
static bool break_enabled(uint64_t dr7, unsigned n)
{
    return dr7 >> (2 * n) & 3;
}

static enum cpu_break_kind break_kind(uint64_t dr7, unsigned n)
{
    return (enum cpu_break_kind)(dr7 >> (16 + 4 * n) & 3);
}

static unsigned break_length(uint64_t dr7, unsigned n)
{
    static const uint8_t lengths[] = {1, 2, 8, 4};

    return lengths[dr7 >> (18 + 4 * n) & 3];
}

/* CPU_BREAK_READ stands for R/W = 3: reads and writes. */
static bool kind_matches(const struct cpu *cpu, enum cpu_break_kind armed, enum cpu_break_kind kind)
{
    if (armed == CPU_BREAK_IO && !(cpu->r.cr4 & X86_CR4_DE))
        return false;
    return armed == kind || (armed == CPU_BREAK_READ && kind == CPU_BREAK_WRITE);
}

uint64_t cpu_break_hits(const struct cpu *cpu, enum cpu_break_kind kind, uint64_t address,
                        unsigned size)
{
    const uint64_t dr7 = cpu->r.dr7;
    uint64_t hits = 0;

    for (unsigned n = 0; n < 4; n++) {
        const unsigned length = break_length(dr7, n);
        const uint64_t begin = cpu->r.dr[n] & ~(uint64_t)(length - 1);

        if (break_enabled(dr7, n) && kind_matches(cpu, break_kind(dr7, n), kind) &&
            address - begin + size - 1 < length + size - 1)
            hits |= 1u << n;
    }
    return hits;
}

/* Bits of DR6 and DR7 that can be written; the others are fixed. */
#define DR6_WRITABLE ((uint64_t)X86_DR6_B | X86_DR6_BD | X86_DR6_BS | X86_DR6_BT)
#define DR7_WRITABLE 0xffff23ffull

static int write_dr(struct cpu *cpu, unsigned n, uint64_t value)
{
    if (n >= 6 && value >> 32)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    switch (n) {
    case 6: cpu->r.dr6 = (value & DR6_WRITABLE) | X86_DR6_FIXED; break;
    case 7: cpu->r.dr7 = (value & DR7_WRITABLE) | X86_DR7_FIXED; break;
    default: cpu->r.dr[n] = value;
    }
    cpu_update_mode(cpu);
    return CPU_SYNC;
}

static uint64_t read_dr(const struct cpu *cpu, unsigned n)
{
    switch (n) {
    case 6: return cpu->r.dr6;
    case 7: return cpu->r.dr7;
    default: return cpu->r.dr[n];
    }
}

static int mov_dr(struct cpu *cpu, const struct x86_insn *insn)
{
    const bool to_dr = insn->operand[0].kind == X86_DR;
    const unsigned reg = insn->operand[to_dr].reg;
    const unsigned size = cpu->width == X86_CODE64 ? 8 : 4;
    unsigned n = insn->operand[!to_dr].reg;

    if (n > 7 || ((n == 4 || n == 5) && (cpu->r.cr4 & X86_CR4_DE)))
        return cpu_fault(cpu, X86_EXC_UD);
    CPU_TRY(cpu_require_cpl0(cpu));
    if (n == 4 || n == 5)
        n += 2;
    if (cpu->r.dr7 & X86_DR7_GD) {
        cpu_fault(cpu, X86_EXC_DB);
        cpu->fault.dr6 = X86_DR6_BD;
        return CPU_FAULT;
    }
    if (to_dr)
        return write_dr(cpu, n, cpu_gpr(cpu, reg, size));
    cpu_set_gpr(cpu, reg, size, read_dr(cpu, n));
    return CPU_NEXT;
}

cpu_handler *cpu_bind_debug(const struct x86_insn *insn)
{
    return insn->op == X86_MOV_DR ? mov_dr : NULL;
}
