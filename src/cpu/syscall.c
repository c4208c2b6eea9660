/* SYSCALL, SYSRET, SYSENTER and SYSEXIT, as each vendor does them. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/descriptor.h"

enum {
    FLAT_DATA =
        X86_SEG_P | X86_SEG_S | X86_SEG_WRITABLE | X86_SEG_ACCESSED | X86_SEG_DB | X86_SEG_G,
    FLAT_CODE =
        X86_SEG_P | X86_SEG_S | X86_SEG_CODE | X86_SEG_READABLE | X86_SEG_ACCESSED | X86_SEG_G,
};

/* These instructions read no descriptors: they load flat segments. */
static struct ringside_segment flat(uint16_t selector, unsigned access, unsigned cpl)
{
    return (struct ringside_segment){
        .selector = (uint16_t)((selector & ~X86_SELECTOR_RPL) | cpl),
        .limit = UINT32_MAX,
        .access = (uint16_t)(access | cpl << X86_SEG_DPL_SHIFT),
    };
}

static void enter(struct cpu *cpu, struct ringside_segment cs, struct ringside_segment ss,
                  uint64_t rip)
{
    cpu->r.seg[RINGSIDE_CS] = cs;
    cpu->r.seg[RINGSIDE_SS] = ss;
    cpu->r.rip = cs.access & X86_SEG_L ? rip : (uint32_t)rip;
}

static unsigned code_bits(bool code64)
{
    return code64 ? X86_SEG_L : X86_SEG_DB;
}

/* --- SYSCALL and SYSRET ---------------------------------------------------------------------- */

/* Intel has them in 64-bit mode only; AMD in all of protected mode. */
static int require_syscall(struct cpu *cpu)
{
    if (!(cpu->r.efer & X86_EFER_SCE) || cpu_is_real_mode(cpu) ||
        (cpu->model.vendor == CPU_INTEL && cpu->width != X86_CODE64))
        return cpu_fault(cpu, X86_EXC_UD);
    return CPU_NEXT;
}

static int syscall(struct cpu *cpu, const struct x86_insn *insn)
{
    const uint16_t selector = (uint16_t)(cpu->r.star >> 32) & ~X86_SELECTOR_RPL;
    uint64_t rflags, target;

    (void)insn;
    CPU_TRY(require_syscall(cpu));
    rflags = cpu_rflags(cpu) & ~(uint64_t)X86_FLAG_RF;
    if (cpu->long_mode) {
        target = cpu->width == X86_CODE64 ? cpu->r.lstar : cpu->r.cstar;
        cpu->r.gpr[RINGSIDE_RCX] = cpu->r.rip;
        cpu->r.gpr[RINGSIDE_R11] = rflags;
        rflags &= ~cpu->r.sfmask;
    } else {
        target = (uint32_t)cpu->r.star;
        cpu->r.gpr[RINGSIDE_RCX] = (uint32_t)cpu->r.rip;
        rflags &= ~(uint64_t)(X86_FLAG_IF | X86_FLAG_VM);
    }
    enter(cpu, flat(selector, FLAT_CODE | code_bits(cpu->long_mode), 0),
          flat(selector + 8, FLAT_DATA, 0), target);
    cpu_set_rflags(cpu, rflags | X86_FLAGS_FIXED);
    cpu_update_mode(cpu);
    return CPU_SYNC;
}

/* AMD leaves base, limit and attributes of SS as they are (APM vol. 3, SYSRET). */
static struct ringside_segment sysret_stack(const struct cpu *cpu, uint16_t selector)
{
    struct ringside_segment ss = flat(selector, FLAT_DATA, 3);

    if (cpu->model.vendor == CPU_AMD) {
        ss = cpu->r.seg[RINGSIDE_SS];
        ss.selector = selector | 3;
        ss.access |= X86_SEG_DPL; /* holds the CPL */
    }
    return ss;
}

static int sysret(struct cpu *cpu, const struct x86_insn *insn)
{
    /* CF PF AF ZF SF TF IF DF OF IOPL NT AC VIF VIP ID (Intel SDM vol. 2, SYSRET). */
    const uint64_t loaded = 0x3c7fd7;
    const uint16_t selector = (uint16_t)(cpu->r.star >> 48);
    const bool to64 = insn->opsize == 8;
    const uint64_t rip = cpu->r.gpr[RINGSIDE_RCX];
    uint64_t rflags = cpu_rflags(cpu);

    CPU_TRY(require_syscall(cpu));
    CPU_TRY(cpu_require_cpl0(cpu));
    /* AMD returns first and faults in user mode on the fetch. */
    if (to64 && cpu->model.vendor == CPU_INTEL && !cpu_is_canonical(cpu, rip))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);

    rflags = cpu->long_mode ? cpu->r.gpr[RINGSIDE_R11] & loaded : rflags | X86_FLAG_IF;
    enter(cpu, flat(to64 ? selector + 16 : selector, FLAT_CODE | code_bits(to64), 3),
          sysret_stack(cpu, selector + 8), rip);
    cpu_set_rflags(cpu, rflags | X86_FLAGS_FIXED);
    cpu_update_mode(cpu);
    if (rflags & X86_FLAG_TF) /* unlike after POPF and IRET, TF traps at once */
        cpu->debug_hits |= X86_DR6_BS;
    return CPU_SYNC;
}

/* --- SYSENTER and SYSEXIT -------------------------------------------------------------------- */

/* AMD has them outside long mode only. */
static int require_sysenter(struct cpu *cpu)
{
    if (cpu->model.vendor == CPU_AMD && cpu->long_mode)
        return cpu_fault(cpu, X86_EXC_UD);
    if (cpu_is_real_mode(cpu) || !(cpu->r.sysenter_cs & 0xfffc))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    return CPU_NEXT;
}

static int sysenter(struct cpu *cpu, const struct x86_insn *insn)
{
    const uint16_t selector = (uint16_t)cpu->r.sysenter_cs;
    const uint64_t cleared = X86_FLAG_VM | X86_FLAG_IF | X86_FLAG_RF;
    const uint64_t rflags = cpu_rflags(cpu);
    const uint64_t rsp = cpu->r.sysenter_esp;

    (void)insn;
    CPU_TRY(require_sysenter(cpu));
    enter(cpu, flat(selector, FLAT_CODE | code_bits(cpu->long_mode), 0),
          flat((uint16_t)(selector & ~X86_SELECTOR_RPL) + 8, FLAT_DATA, 0), cpu->r.sysenter_eip);
    cpu->r.gpr[RINGSIDE_RSP] = cpu->long_mode ? rsp : (uint32_t)rsp;
    cpu_set_rflags(cpu, rflags & ~cleared);
    cpu_update_mode(cpu);
    return CPU_SYNC;
}

static int sysexit(struct cpu *cpu, const struct x86_insn *insn)
{
    const bool to64 = insn->opsize == 8;
    const uint16_t selector =
        (uint16_t)((cpu->r.sysenter_cs & ~(uint64_t)X86_SELECTOR_RPL) + (to64 ? 32 : 16));
    const uint64_t rip = cpu->r.gpr[RINGSIDE_RDX], rsp = cpu->r.gpr[RINGSIDE_RCX];

    CPU_TRY(require_sysenter(cpu));
    CPU_TRY(cpu_require_cpl0(cpu));
    if (to64 && (!cpu_is_canonical(cpu, rip) || !cpu_is_canonical(cpu, rsp)))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    enter(cpu, flat(selector, FLAT_CODE | code_bits(to64), 3), flat(selector + 8, FLAT_DATA, 3),
          rip);
    cpu->r.gpr[RINGSIDE_RSP] = to64 ? rsp : (uint32_t)rsp;
    cpu_update_mode(cpu);
    return CPU_SYNC;
}

cpu_handler *cpu_bind_syscall(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_SYSCALL: return syscall;
    case X86_SYSRET: return sysret;
    case X86_SYSENTER: return sysenter;
    case X86_SYSEXIT: return sysexit;
    default: return NULL;
    }
}
