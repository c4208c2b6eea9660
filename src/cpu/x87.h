/* What the x87 files share: the register stack, the checks before an instruction, exceptions. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CPU_X87_H
#define CPU_X87_H

#include "cpu/internal.h"

/* Status word (Intel SDM vol. 1, 8.1.3); the exception flags are enum sf_flag. */
enum {
    X87_SW_EXCEPTIONS = 0x3f,
    X87_SW_SF = 1 << 6,
    X87_SW_ES = 1 << 7,
    X87_SW_C0 = 1 << 8,
    X87_SW_C1 = 1 << 9,
    X87_SW_C2 = 1 << 10,
    X87_SW_TOP = 7 << 11,
    X87_SW_TOP_SHIFT = 11,
    X87_SW_C3 = 1 << 14,
    X87_SW_B = 1 << 15,
    X87_SW_CC = X87_SW_C0 | X87_SW_C1 | X87_SW_C2 | X87_SW_C3,
};

/* Control word (8.1.5). */
enum {
    X87_CW_MASKS = 0x3f,
    X87_CW_PC_SHIFT = 8,
    X87_CW_RC_SHIFT = 10,
    X87_CW_RESERVED = 1 << 6, /* reads as one */
    X87_CW_WRITABLE = 0x1f3f, /* with the infinity control bit, which does nothing */
    X87_CW_INIT = 0x37f,
};

static inline unsigned x87_top(const struct cpu *cpu)
{
    return cpu->fpu.fsw >> X87_SW_TOP_SHIFT & 7;
}

/* Change TOP and turn st[], which is in stack order, with it. */
void x87_set_top(struct cpu *cpu, unsigned top);

/* ftw's bit of ST(i). */
static inline uint8_t x87_tag_bit(const struct cpu *cpu, unsigned i)
{
    return (uint8_t)(1u << ((x87_top(cpu) + i) & 7));
}

/* Set ES and B as the flags and the masks ask. */
void x87_update_summary(struct cpu *cpu);

/* May an x87 instruction run?  #NM; with waits also #MF for a pending unmasked exception. */
int x87_ready(struct cpu *cpu, bool waits);
/* #MF if an unmasked exception is pending and CR0.NE says that it is reported so. */
int x87_pending(struct cpu *cpu);

/* FNINIT, and the x87 part of an XRSTOR of the initial state. */
void x87_init(struct cpu *cpu);

/* The full tag word, two bits a physical register (Intel SDM vol. 1, 8.1.7). */
uint16_t x87_full_tags(const struct cpu *cpu);
uint8_t x87_abridged_tags(uint16_t full);

/* Other parts of cpu_bind_x87, one a file. */
cpu_handler *cpu_bind_x87_control(const struct x86_insn *insn);
cpu_handler *cpu_bind_x87_move(const struct x86_insn *insn);
cpu_handler *cpu_bind_x87_math(const struct x86_insn *insn);

#endif
