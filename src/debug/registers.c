/* The registers of parked vCPUs, fetched from the engine once per stop. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/debug.h"
#include "x86/regs.h"

const struct ringside_regs *debug_read_regs(struct debug *debug, unsigned vcpu)
{
    struct debug_vcpu *v = &debug->vcpus[vcpu];

    v->cached = !debug->target->read_regs(debug->ctx, vcpu, &v->regs);
    return v->cached ? &v->regs : NULL;
}

int debug_set_regs(struct debug *debug, unsigned vcpu, const struct ringside_regs *regs)
{
    int error = debug->target->write_regs(debug->ctx, vcpu, regs);

    debug->vcpus[vcpu].cached = false; /* the engine may have normalised what it was given */
    return error;
}

const char *debug_mode(const struct ringside_regs *regs)
{
    uint16_t cs = regs->seg[RINGSIDE_CS].access;

    if (!(regs->cr0 & X86_CR0_PE))
        return "real mode";
    if (regs->rflags & X86_FLAG_VM)
        return "virtual-8086 mode";
    if (regs->efer & X86_EFER_LMA)
        return cs & X86_SEG_L    ? "64-bit"
               : cs & X86_SEG_DB ? "32-bit compatibility"
                                 : "16-bit compatibility";
    return cs & X86_SEG_DB ? "32-bit" : "16-bit protected";
}

unsigned debug_ring(const struct ringside_regs *regs)
{
    return (regs->seg[RINGSIDE_SS].access & X86_SEG_DPL) >> X86_SEG_DPL_SHIFT;
}
