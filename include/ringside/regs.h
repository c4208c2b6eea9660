/* The registers of one x86 vCPU, as the debugger, the engines and the software CPU exchange them.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef RINGSIDE_REGS_H
#define RINGSIDE_REGS_H

#include <stdbool.h>
#include <stdint.h>

/* General registers in the order of their encoding (Intel SDM vol. 2, table 2-2). */
enum ringside_gpr {
    RINGSIDE_RAX,
    RINGSIDE_RCX,
    RINGSIDE_RDX,
    RINGSIDE_RBX,
    RINGSIDE_RSP,
    RINGSIDE_RBP,
    RINGSIDE_RSI,
    RINGSIDE_RDI,
    RINGSIDE_R8,
    RINGSIDE_R9,
    RINGSIDE_R10,
    RINGSIDE_R11,
    RINGSIDE_R12,
    RINGSIDE_R13,
    RINGSIDE_R14,
    RINGSIDE_R15,
};

/* Segment registers in the order of their encoding. */
enum ringside_seg {
    RINGSIDE_ES,
    RINGSIDE_CS,
    RINGSIDE_SS,
    RINGSIDE_DS,
    RINGSIDE_FS,
    RINGSIDE_GS,
};

/*
 * A segment register with its hidden part.  access has the layout of the VMCS access rights
 * (Intel SDM vol. 3, "Format of Access Rights"): 3:0 type, 4 S, 6:5 DPL, 7 P, 12 AVL, 13 L, 14 D/B,
 * 15 G.  A null or unusable segment has P = 0.  limit is in bytes, already scaled by G.
 */
struct ringside_segment {
    uint64_t base;
    uint32_t limit;
    uint16_t selector;
    uint16_t access;
};

struct ringside_table {
    uint64_t base;
    uint16_t limit;
};

/* What a vCPU does between instructions: its activity state ("Guest Non-Register State"). */
enum ringside_activity {
    RINGSIDE_RUNNING,
    RINGSIDE_HALTED,    /* HLT or MWAIT; rip is behind the instruction */
    RINGSIDE_SHUTDOWN,  /* after a triple fault */
    RINGSIDE_WAIT_SIPI, /* an application processor that was not started yet */
};

/* Interrupts held for one instruction (Intel SDM vol. 3, "Format of Interruptibility State"). */
enum ringside_shadow {
    RINGSIDE_SHADOW_NONE,
    RINGSIDE_SHADOW_STI,
    RINGSIDE_SHADOW_MOV_SS,
};

/* An event that was taken, an interrupt acknowledged, and that is not delivered yet. */
enum ringside_under_way {
    RINGSIDE_NOTHING_UNDER_WAY,
    RINGSIDE_INTERRUPT_UNDER_WAY,
    RINGSIDE_NMI_UNDER_WAY,
    RINGSIDE_TRAP_UNDER_WAY, /* a trap whose conditions are in DR6 already: #DB */
};

struct ringside_regs {
    uint64_t gpr[16];
    uint64_t rip;
    uint64_t rflags;
    struct ringside_segment seg[6], ldtr, tr;
    struct ringside_table gdtr, idtr;
    uint64_t cr0, cr2, cr3, cr4, cr8;
    uint64_t xcr0;
    uint64_t dr[4], dr6, dr7;
    /* MSRs that change how instructions run. */
    uint64_t efer, star, lstar, cstar, sfmask, kernel_gs_base;
    uint64_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint64_t pat, tsc_aux, debugctl, apic_base, misc_enable, xss;
    /* State between instructions. */
    uint8_t activity;       /* enum ringside_activity */
    uint8_t shadow;         /* enum ringside_shadow */
    bool nmi_blocked;       /* from an NMI's delivery to the next IRET */
    uint64_t pending_debug; /* DR6 bits of a #DB that is due before the next instruction */
    /* What comes before the next instruction, wherever that is, and whatever IF and the shadow
     * say.  Faults are not: their instruction is executed anew, and faults anew. */
    uint8_t under_way;        /* enum ringside_under_way */
    uint8_t under_way_vector; /* its vector */
};

/* x87, SSE and wider vector state; the low 16 bytes of vector[n] are XMMn, the low 32 YMMn. */
struct ringside_fpu {
    struct {
        uint64_t significand;
        uint16_t sign_exponent;
    } st[8]; /* in stack order: st[0] is ST(0) */
    uint16_t fcw, fsw, fop;
    uint8_t ftw; /* abridged, by physical register, as FXSAVE writes it: 1 = not empty */
    uint64_t fip, fdp;
    uint16_t fcs, fds;
    uint32_t mxcsr;
    uint64_t vector[32][8];
    uint64_t opmask[8];
};

#endif
