/* Near branches, and the instructions that do nothing the guest can see. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/internal.h"

/* A relative target: from the next instruction, which is where rip stands. */
static inline uint64_t relative(const struct cpu *cpu, const struct x86_insn *insn)
{
    return cpu->r.rip + insn->imm;
}

/* cpu_jump, short for 64-bit code whose target is canonical in any paging mode. */
static inline int jump(struct cpu *cpu, uint64_t target, unsigned opsize)
{
    if (CPU_LIKELY(cpu->width == X86_CODE64 && opsize == 8 &&
                   (uint64_t)((int64_t)(target << 16) >> 16) == target)) {
        cpu->r.rip = target;
        return CPU_BRANCH;
    }
    return cpu_jump(cpu, target, opsize);
}

static int jmp_rel(struct cpu *cpu, const struct x86_insn *insn)
{
    return jump(cpu, relative(cpu, insn), insn->opsize);
}

static int jmp(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t target;

    CPU_TRY(cpu_operand(cpu, insn, 0, &target));
    return jump(cpu, target, insn->opsize);
}

/* Both the target and the stack are checked before either is changed. */
static inline int call_to(struct cpu *cpu, const struct x86_insn *insn, uint64_t target)
{
    uint64_t next = cpu->r.rip;
    int status;

    CPU_TRY(jump(cpu, target, insn->opsize));
    status = cpu_push(cpu, insn->opsize, next);
    if (CPU_UNLIKELY(status < 0)) {
        cpu->r.rip = next;
        return status;
    }
    return CPU_BRANCH;
}

static int call_rel(struct cpu *cpu, const struct x86_insn *insn)
{
    return call_to(cpu, insn, relative(cpu, insn));
}

static int call(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t target;

    CPU_TRY(cpu_operand(cpu, insn, 0, &target));
    return call_to(cpu, insn, target);
}

static int ret(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->opsize;
    uint64_t sp = cpu_gpr(cpu, RINGSIDE_RSP, cpu->stack_width), target;
    uint64_t release = insn->count ? insn->imm & 0xffff : 0;

    CPU_TRY(cpu_load(cpu, RINGSIDE_SS, sp, size, &target));
    CPU_TRY(jump(cpu, target, size));
    cpu_set_gpr(cpu, RINGSIDE_RSP, cpu->stack_width, sp + size + release);
    return CPU_BRANCH;
}

/* LOOP, LOOPE, LOOPNE and JCXZ count in CX, ECX or RCX by the address size. */
static int loop(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t count = cpu_zext(cpu->r.gpr[RINGSIDE_RCX] - 1, insn->addrsize);
    bool again = count && (insn->op == X86_LOOP || cpu_zf(cpu) == (insn->op == X86_LOOPE));

    if (again)
        CPU_TRY(jump(cpu, relative(cpu, insn), insn->opsize));
    cpu_set_gpr(cpu, RINGSIDE_RCX, insn->addrsize, count);
    return again ? CPU_BRANCH : CPU_NEXT;
}

static int jcxz(struct cpu *cpu, const struct x86_insn *insn)
{
    if (cpu_gpr(cpu, RINGSIDE_RCX, insn->addrsize))
        return CPU_NEXT;
    return jump(cpu, relative(cpu, insn), insn->opsize);
}

#define CONDITIONS(X)                                                                              \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

#define JCC(cond)                                                                                  \
    static int jcc_##cond(struct cpu *cpu, const struct x86_insn *insn)                            \
    {                                                                                              \
        if (!cpu_condition(cpu, cond))                                                             \
            return CPU_NEXT;                                                                       \
        return jump(cpu, relative(cpu, insn), insn->opsize);                                       \
    }
CONDITIONS(JCC)

/* Outside its bounds: #BR (Intel SDM vol. 2, "BOUND"). */
static int bound(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->opsize;
    uint64_t low, high, ea = cpu_ea(cpu, insn);
    int64_t index = (int64_t)cpu_sext(cpu->r.gpr[insn->operand[0].reg], size);

    CPU_TRY(cpu_load(cpu, insn->seg, ea, size, &low));
    CPU_TRY(cpu_load(cpu, insn->seg, cpu_zext(ea + size, insn->addrsize), size, &high));
    if (index < (int64_t)cpu_sext(low, size) || index > (int64_t)cpu_sext(high, size))
        return cpu_fault(cpu, X86_EXC_BR);
    return CPU_NEXT;
}

static int nop(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)cpu;
    (void)insn;
    return CPU_NEXT;
}

/* A spinning vCPU lets those it waits for run. */
static int spin_hint(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    if (cpu->model.count == 1)
        return CPU_NEXT;
    cpu->yield = true;
    return CPU_SYNC;
}

static int undefined(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    return cpu_fault(cpu, X86_EXC_UD);
}

/* Cache control has no effect here but faults as a load of one byte. */
static int clflush(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t byte;

    return cpu_load(cpu, insn->seg, cpu_ea(cpu, insn), 1, &byte);
}

cpu_handler *cpu_bind_branch(const struct x86_insn *insn)
{
#define ENTRY(cond) jcc_##cond,
    static cpu_handler *const jcc[16] = {CONDITIONS(ENTRY)};
#undef ENTRY
    bool is_relative = insn->operand[0].kind == X86_REL;

    switch (insn->op) {
    case X86_JCC: return jcc[insn->cond & 15];
    case X86_JMP: return is_relative ? jmp_rel : jmp;
    case X86_CALL: return is_relative ? call_rel : call;
    case X86_RET: return ret;
    case X86_LOOP:
    case X86_LOOPE:
    case X86_LOOPNE: return loop;
    case X86_JCXZ: return jcxz;
    case X86_BOUND: return bound;
    case X86_PAUSE: return spin_hint;
    case X86_NOP:
    case X86_PREFETCH:
    case X86_FENCE_L:
    case X86_FENCE_M:
    case X86_FENCE_S:
    case X86_ENDBR: return nop;
    case X86_CLFLUSH:
    case X86_CLFLUSHOPT:
    case X86_CLWB: return clflush;
    case X86_UD0:
    case X86_UD1:
    case X86_UD2: return undefined;
    default: return NULL;
    }
}
