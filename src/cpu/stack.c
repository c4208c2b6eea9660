/* PUSH and POP of registers, flags and memory; ENTER and LEAVE. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/internal.h"

static inline uint64_t stack_pointer(const struct cpu *cpu)
{
    return cpu_gpr(cpu, RINGSIDE_RSP, cpu->stack_width);
}

static inline void set_stack_pointer(struct cpu *cpu, uint64_t sp)
{
    cpu_set_gpr(cpu, RINGSIDE_RSP, cpu->stack_width, sp);
}

static int push(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    CPU_TRY(cpu_operand(cpu, insn, 0, &value));
    return cpu_push(cpu, insn->opsize, value);
}

/* The forms of 64-bit code that make up nearly all. */
static int push_reg64(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t sp = cpu->r.gpr[RINGSIDE_RSP] - 8;

    CPU_TRY(cpu_store(cpu, RINGSIDE_SS, sp, 8, cpu->r.gpr[insn->operand[0].reg]));
    cpu->r.gpr[RINGSIDE_RSP] = sp;
    return CPU_NEXT;
}

static int pop_reg64(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t sp = cpu->r.gpr[RINGSIDE_RSP], value;

    CPU_TRY(cpu_load(cpu, RINGSIDE_SS, sp, 8, &value));
    cpu->r.gpr[RINGSIDE_RSP] = sp + 8;
    cpu->r.gpr[insn->operand[0].reg] = value;
    return CPU_NEXT;
}

/* The address of a memory operand is computed with the stack pointer already moved. */
static int pop(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t sp = cpu->r.gpr[RINGSIDE_RSP], value;
    int status;

    CPU_TRY(cpu_pop(cpu, insn->opsize, &value));
    status = cpu_set_operand(cpu, insn, 0, value);
    if (status < 0)
        cpu->r.gpr[RINGSIDE_RSP] = sp;
    return status;
}

static int pusha(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t sp = cpu->r.gpr[RINGSIDE_RSP];

    for (unsigned reg = RINGSIDE_RAX; reg <= RINGSIDE_RDI; reg++) {
        uint64_t value = reg == RINGSIDE_RSP ? sp : cpu->r.gpr[reg];
        int status = cpu_push(cpu, insn->opsize, value);

        if (status < 0) {
            cpu->r.gpr[RINGSIDE_RSP] = sp;
            return status;
        }
    }
    return CPU_NEXT;
}

static int popa(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value[8], sp = stack_pointer(cpu);
    unsigned size = insn->opsize;

    for (unsigned i = 0; i < 8; i++)
        CPU_TRY(cpu_load(cpu, RINGSIDE_SS, cpu_zext(sp + i * size, cpu->stack_width), size,
                         &value[7 - i]));
    for (unsigned reg = RINGSIDE_RAX; reg <= RINGSIDE_RDI; reg++)
        if (reg != RINGSIDE_RSP)
            cpu_set_gpr(cpu, reg, size, value[reg]);
    set_stack_pointer(cpu, sp + 8 * size);
    return CPU_NEXT;
}

/* VM and RF are never in the image (Intel SDM vol. 2, "PUSHF"). */
static int pushf(struct cpu *cpu, const struct x86_insn *insn)
{
    return cpu_push(cpu, insn->opsize, cpu_rflags(cpu) & ~(uint64_t)(X86_FLAG_VM | X86_FLAG_RF));
}

/* What may change depends on CPL, IOPL and operand size (Intel SDM vol. 2, "POPF"). */
static int popf(struct cpu *cpu, const struct x86_insn *insn)
{
    const uint64_t delicate = X86_FLAG_IF | X86_FLAG_TF | X86_FLAG_AC;
    uint64_t old = cpu_rflags(cpu), mask, value;
    unsigned iopl = (old & X86_FLAG_IOPL) >> 12;

    CPU_TRY(cpu_pop(cpu, insn->opsize, &value));
    mask = X86_FLAGS_ARITH | X86_FLAG_TF | X86_FLAG_DF | X86_FLAG_NT;
    if (insn->opsize > 2) {
        mask |= X86_FLAG_AC | X86_FLAG_ID | X86_FLAG_VIF | X86_FLAG_VIP;
        value &= ~(uint64_t)(X86_FLAG_VIF | X86_FLAG_VIP);
    }
    if (cpu->cpl == 0)
        mask |= X86_FLAG_IOPL;
    if (cpu->cpl <= iopl)
        mask |= X86_FLAG_IF;
    value = ((old & ~mask) | (value & mask)) & ~(uint64_t)X86_FLAG_RF;
    cpu_set_rflags(cpu, value);
    return (old ^ value) & delicate ? CPU_SYNC : CPU_NEXT;
}

/* ENTER pushes the frame pointers of the enclosing levels (Intel SDM vol. 2, "ENTER"). */
static int enter_frames(struct cpu *cpu, unsigned size, unsigned level, uint64_t frame)
{
    uint64_t bp = cpu->r.gpr[RINGSIDE_RBP], value;

    for (unsigned i = 1; i < level; i++) {
        bp = cpu_zext(bp - size, cpu->stack_width);
        CPU_TRY(cpu_load(cpu, RINGSIDE_SS, bp, size, &value));
        CPU_TRY(cpu_push(cpu, size, value));
    }
    return level ? cpu_push(cpu, size, frame) : CPU_NEXT;
}

/* Nothing is written to where the locals end, but it has to be writable. */
static int probe_stack(struct cpu *cpu, uint64_t sp, unsigned size)
{
    uint64_t linear;

    CPU_TRY(cpu_linear(cpu, RINGSIDE_SS, sp, size, CPU_WRITE, &linear));
    return cpu_probe_write(cpu, linear, size, CPU_WRITE);
}

static int enter(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t old = cpu->r.gpr[RINGSIDE_RSP], frame, end = 0;
    int status;

    CPU_TRY(cpu_push(cpu, insn->opsize, cpu->r.gpr[RINGSIDE_RBP]));
    frame = stack_pointer(cpu);
    status = enter_frames(cpu, insn->opsize, insn->imm2 & 31, frame);
    if (status >= 0) {
        end = cpu_zext(stack_pointer(cpu) - (insn->imm & 0xffff), cpu->stack_width);
        status = probe_stack(cpu, end, insn->opsize);
    }
    if (status < 0) {
        cpu->r.gpr[RINGSIDE_RSP] = old;
        return status;
    }
    cpu_set_gpr(cpu, RINGSIDE_RBP, insn->opsize, frame);
    set_stack_pointer(cpu, end);
    return CPU_NEXT;
}

static int leave(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t sp = cpu_gpr(cpu, RINGSIDE_RBP, cpu->stack_width), value;

    CPU_TRY(cpu_load(cpu, RINGSIDE_SS, sp, insn->opsize, &value));
    set_stack_pointer(cpu, sp + insn->opsize);
    cpu_set_gpr(cpu, RINGSIDE_RBP, insn->opsize, value);
    return CPU_NEXT;
}

cpu_handler *cpu_bind_stack(const struct x86_insn *insn)
{
    bool reg64 = insn->width == X86_CODE64 && insn->opsize == 8 && insn->operand[0].kind == X86_GPR;

    switch (insn->op) {
    case X86_PUSH: return reg64 ? push_reg64 : push;
    case X86_POP: return reg64 ? pop_reg64 : pop;
    case X86_PUSHA: return pusha;
    case X86_POPA: return popa;
    case X86_PUSHF: return pushf;
    case X86_POPF: return popf;
    case X86_ENTER: return enter;
    case X86_LEAVE: return leave;
    default: return NULL;
    }
}
