/* From a decoded instruction to the function that executes it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/internal.h"

static int undefined(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    return cpu_fault(cpu, X86_EXC_UD);
}

cpu_handler *cpu_bind(const struct x86_insn *insn)
{
    typedef cpu_handler *family(const struct x86_insn *insn);
    static family *const families[] = {
        cpu_bind_move,      cpu_bind_alu,    cpu_bind_branch,      cpu_bind_stack,
        cpu_bind_shift,     cpu_bind_string, cpu_bind_muldiv,      cpu_bind_system,
        cpu_bind_segment,   cpu_bind_far,    cpu_bind_syscall,     cpu_bind_msr,
        cpu_bind_io,        cpu_bind_debug,  cpu_bind_sse_move,    cpu_bind_sse_int,
        cpu_bind_sse_float, cpu_bind_x87,    cpu_bind_state_image, cpu_bind_crypto,
    };

    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        cpu_handler *handler = families[i](insn);

        if (handler)
            return handler;
    }
    return undefined;
}

static int decline(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)cpu;
    (void)insn;
    return CPU_DECLINE;
}

/* One access that reads and writes: here it is two. */
static bool is_locked(const struct x86_insn *insn)
{
    return (insn->prefixes & X86_PREFIX_LOCK) ||
           (insn->op == X86_XCHG &&
            (insn->operand[0].kind == X86_MEM || insn->operand[1].kind == X86_MEM));
}

/* Another engine's own, and yet it fails here as it does there: for reasons that are the
 * architecture's.  Not kept, what it reads is no matter. */
static bool fails_alike(const struct cpu *cpu, const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_IN:
    case X86_OUT:
    case X86_INS:
    case X86_OUTS:
    case X86_RDTSC:
    case X86_RDTSCP: return true;
    case X86_RDPMC: return cpu->cpl != 0 && !(cpu->r.cr4 & X86_CR4_PCE);
    case X86_WRMSR: return cpu->cpl != 0 || cpu_writes_address(cpu);
    case X86_XSETBV: return cpu->cpl != 0 || !(cpu->r.gpr[RINGSIDE_RAX] & 1 /* x87 */);
    case X86_RDMSR:
    case X86_INVLPG:
    case X86_INVD:
    case X86_WBINVD:
    case X86_LMSW: return cpu->cpl != 0;
    case X86_MOV_CR: /* of CR0 all bits are known */
        return cpu->cpl != 0 || (insn->operand[0].kind == X86_CR && insn->operand[0].reg == 0);
    default: return false;
    }
}

/*
 * Another engine's own: its clock, identity and random numbers; its TLBs and caches; which bits of
 * its control registers exist; and extended state beyond what this CPU has.  Ports and MSRs too.
 */
cpu_handler *cpu_bind_borrowed(const struct cpu *cpu, const struct x86_insn *insn)
{
    if (cpu->shared && is_locked(insn))
        return decline;
    if (cpu->trial && fails_alike(cpu, insn))
        return cpu_bind(insn);
    switch (insn->op) {
    case X86_CPUID:
    case X86_RDTSC:
    case X86_RDTSCP:
    case X86_RDPID:
    case X86_RDPMC:
    case X86_RDRAND:
    case X86_RDSEED:
    case X86_RDMSR:
    case X86_WRMSR:
    case X86_IN:
    case X86_OUT:
    case X86_INS:
    case X86_OUTS:
    case X86_INVLPG:
    case X86_INVPCID:
    case X86_INVLPGA:
    case X86_INVD:
    case X86_WBINVD:
    case X86_MONITOR:
    case X86_MWAIT:
    case X86_VMCALL:
    case X86_VMMCALL:
    case X86_RSM:
    case X86_MOV_CR:
    case X86_LMSW:
    case X86_XSETBV:
    case X86_XSAVE:
    case X86_XSAVEOPT:
    case X86_XSAVEC:
    case X86_XSAVES:
    case X86_XRSTOR:
    case X86_XRSTORS: return decline;
    default: return cpu_bind(insn);
    }
}
