/* Ports: IN and OUT, the I/O permission bitmap and I/O breakpoints. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/descriptor.h"

/* Where a 32- or 64-bit TSS says where its bitmap begins (SDM vol. 1, "I/O Permission Bit Map"). */
enum { TSS_BITMAP_BASE = 102 };

/* The bitmap must have a clear bit for every port touched, and one byte more behind them. */
static int check_bitmap(struct cpu *cpu, uint16_t port, unsigned size)
{
    const struct ringside_segment *tr = &cpu->r.tr;
    uint16_t base, bits;

    if (!(tr->access & X86_SEG_P) || (tr->access & X86_SEG_TYPE) != X86_TYPE_TSS_BUSY ||
        tr->limit < TSS_BITMAP_BASE + 1)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    CPU_TRY(cpu_read_linear(cpu, tr->base + TSS_BITMAP_BASE, &base, 2, CPU_SYSTEM_READ));
    if (base + port / 8u + 1 > tr->limit)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    CPU_TRY(cpu_read_linear(cpu, tr->base + base + port / 8, &bits, 2, CPU_SYSTEM_READ));
    if (bits >> (port & 7) & ((1u << size) - 1))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    return CPU_NEXT;
}

static int check_port(struct cpu *cpu, uint16_t port, unsigned size)
{
    if (cpu_is_real_mode(cpu) || cpu->cpl <= (cpu->r.rflags & X86_FLAG_IOPL) >> 12)
        return CPU_NEXT;
    return check_bitmap(cpu, port, size);
}

int cpu_port_in(struct cpu *cpu, uint16_t port, unsigned size, uint64_t *value)
{
    uint32_t read;

    CPU_TRY(check_port(cpu, port, size));
    CPU_TRY(cpu->bus->in(cpu->ctx, cpu, port, size, &read));
    cpu->debug_hits |= cpu_break_hits(cpu, CPU_BREAK_IO, port, size);
    *value = cpu_zext(read, size);
    cpu_catch_port(cpu, port, size, *value, true);
    return CPU_NEXT;
}

int cpu_port_out(struct cpu *cpu, uint16_t port, unsigned size, uint64_t value)
{
    CPU_TRY(check_port(cpu, port, size));
    CPU_TRY(cpu->bus->out(cpu->ctx, cpu, port, size, (uint32_t)cpu_zext(value, size)));
    cpu->debug_hits |= cpu_break_hits(cpu, CPU_BREAK_IO, port, size);
    cpu_catch_port(cpu, port, size, cpu_zext(value, size), false);
    return CPU_NEXT;
}

static uint16_t port_operand(const struct cpu *cpu, const struct x86_insn *insn, unsigned n)
{
    return insn->operand[n].kind == X86_IMM ? (uint8_t)insn->imm
                                            : (uint16_t)cpu->r.gpr[RINGSIDE_RDX];
}

static int in(struct cpu *cpu, const struct x86_insn *insn)
{
    const unsigned size = insn->operand[0].size;
    uint64_t value;

    CPU_TRY(cpu_port_in(cpu, port_operand(cpu, insn, 1), size, &value));
    cpu_set_gpr(cpu, RINGSIDE_RAX, size, value);
    return CPU_SYNC;
}

static int out(struct cpu *cpu, const struct x86_insn *insn)
{
    const unsigned size = insn->operand[1].size;

    CPU_TRY(cpu_port_out(cpu, port_operand(cpu, insn, 0), size, cpu->r.gpr[RINGSIDE_RAX]));
    return CPU_SYNC;
}

cpu_handler *cpu_bind_io(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_IN: return in;
    case X86_OUT: return out;
    default: return NULL;
    }
}
