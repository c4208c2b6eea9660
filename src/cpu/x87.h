/* What the x87 files share: the register stack, the checks before an instruction, exceptions. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CPU_X87_H
#define CPU_X87_H

#include "cpu/internal.h"
#include "cpu/softfloat/softfloat.h"

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

/* --- What an arithmetic instruction goes through (x87.c) ------------------------------------- */

static inline struct sf_extended x87_st(const struct cpu *cpu, unsigned i)
{
    return (struct sf_extended){cpu->fpu.st[i].significand, cpu->fpu.st[i].sign_exponent};
}

static inline struct sf x87_value(const struct cpu *cpu, unsigned i)
{
    return sf_unpack80(x87_st(cpu, i));
}

static inline bool x87_empty(const struct cpu *cpu, unsigned i)
{
    return !(cpu->fpu.ftw & x87_tag_bit(cpu, i));
}

/* Write ST(i) and mark it valid. */
void x87_set_st(struct cpu *cpu, unsigned i, struct sf_extended value);
void x87_pop(struct cpu *cpu);
/* The real indefinite (Intel SDM vol. 1, 4.8.3.7). */
extern const struct sf_extended x87_indefinite;

/* Rounding and masks as FCW has them; results of 64 bits whatever FCW.PC says. */
struct sf_env x87_env(const struct cpu *cpu);

/*
 * After everything that can fault: C1 is cleared, and where this instruction and its operand are is
 * kept for the exception handler (Intel SDM vol. 1, 8.1.8).
 */
void x87_begin(struct cpu *cpu, const struct x86_insn *insn);

/*
 * Note what env saw in the status word, with C1 from the rounding.  False if an exception that is
 * known before the result is unmasked: the instruction then changes no register.
 */
bool x87_finish(struct cpu *cpu, const struct sf_env *env);

/*
 * Stack faults: invalid operation with SF; C1 tells overflow.  True if the masked response is due.
 */
bool x87_underflow(struct cpu *cpu);
bool x87_overflow(struct cpu *cpu);

/*
 * ST(0) = fn(ST(0), ST(1)), and with pops ST(1), which is then the top: the steps of an instruction
 * that replaces its operands.  Of one operand the second value means nothing.
 */
typedef struct sf_extended x87_fn(struct sf_env *env, struct sf a, struct sf b);
int x87_replace(struct cpu *cpu, const struct x86_insn *insn, struct sf_env env, unsigned operands,
                bool pops, x87_fn *fn);

/* Push value, or on stack overflow what the masked response is; false if nothing was pushed. */
bool x87_push(struct cpu *cpu, struct sf_extended value);

/* Other parts of cpu_bind_x87, one a file. */
cpu_handler *cpu_bind_x87_control(const struct x86_insn *insn);
cpu_handler *cpu_bind_x87_move(const struct x86_insn *insn);
cpu_handler *cpu_bind_x87_math(const struct x86_insn *insn);
cpu_handler *cpu_bind_x87_transcendental(const struct x86_insn *insn);

#endif
