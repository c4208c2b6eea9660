/* One decoded x86 instruction: what the decoder says and the software CPU and the step rules read.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef X86_INSN_H
#define X86_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86/ops.h"

/* Width of the code segment: CS.L and CS.D decide (Intel SDM vol. 3, "Segment Descriptors"). */
enum x86_width { X86_CODE16 = 2, X86_CODE32 = 4, X86_CODE64 = 8 };

enum { X86_INSN_MAX = 15, X86_OPERANDS_MAX = 4 };

enum x86_operand_kind {
    X86_NONE,
    X86_GPR,      /* reg 0..15; an 8-bit operand is the low byte */
    X86_GPR_HIGH, /* reg 0..3: AH, CH, DH, BH */
    X86_SEG,
    X86_CR,
    X86_DR,
    X86_ST, /* reg 0..7: ST(reg) */
    X86_MMX,
    X86_XMM,
    X86_MEM,  /* seg:[base + index * scale + disp]; at most one an instruction */
    X86_IMM,  /* imm, already sign- or zero-extended to 64 bits as the instruction does */
    X86_IMM2, /* the second immediate of ENTER, EXTRQ, INSERTQ */
    X86_REL,  /* imm is a displacement from the next instruction */
    X86_FAR,  /* a far pointer in the instruction: imm is the offset, imm2 the selector */
};

/*
 * size is in bytes: of the data used (4 for MOVSS's XMM registers), of an immediate as encoded; 0
 * where none makes sense (LEA, INVLPG, XSAVE; FXSAVE and x87 images have their real size).
 */
struct x86_operand {
    uint8_t kind; /* enum x86_operand_kind */
    uint8_t reg;
    uint16_t size;
};

enum x86_reg_none { X86_NO_REG = 0xff, X86_RIP = 0xfe };

enum x86_prefix {
    X86_PREFIX_LOCK = 1 << 0,
    X86_PREFIX_REP = 1 << 1,   /* F3 that acts as a repeat prefix, REP or REPE */
    X86_PREFIX_REPNE = 1 << 2, /* F2 that acts as a repeat prefix */
    X86_PREFIX_REX = 1 << 3,
    X86_PREFIX_REX_W = 1 << 4,
    X86_PREFIX_OPSIZE = 1 << 5,   /* 66 was there */
    X86_PREFIX_ADDRSIZE = 1 << 6, /* 67 was there */
    X86_PREFIX_SEG = 1 << 7,      /* seg was given by a prefix that has effect in this mode */
};

struct x86_insn {
    uint64_t imm;
    int64_t
        disp; /* sign-extended; for X86_RIP relative to the next instruction; moffs: the address */
    uint16_t op; /* enum x86_op */
    uint16_t imm2;
    uint8_t length;
    uint8_t width;       /* enum x86_width it was decoded for */
    uint8_t opsize;      /* effective operand size in bytes: 2, 4 or 8; 64-bit defaults (PUSH, near
                            branches) applied */
    uint8_t addrsize;    /* 2, 4 or 8 */
    uint8_t prefixes;    /* enum x86_prefix */
    uint8_t cond;        /* of JCC, SETCC, CMOVCC, FCMOVCC: the low nibble of the opcode */
    uint8_t seg;         /* of the memory operand, defaults applied: enum ringside_seg */
    uint8_t base, index; /* GPR number, X86_NO_REG, or (base) X86_RIP */
    uint8_t scale;       /* 1, 2, 4, 8 */
    uint8_t opcode;      /* its last byte; D8..DF of x87 */
    uint8_t modrm;       /* 0 when there is none */
    uint8_t count;       /* operands used */
    struct x86_operand operand[X86_OPERANDS_MAX]; /* explicit ones, in Intel's order */
};

/*
 * A string operation has one operand: memory at seg:rSI for MOVS, CMPS, LODS and OUTS, at ES:rDI
 * for STOS, SCAS and INS; its size is the element's.  XLAT has none; it reads seg:[rBX + AL].
 * Implied registers are operands where Intel's syntax names them (AL, CL, DX, ST), not otherwise.
 */

/*
 * Decode the instruction in bytes[0..n).
 * Returns its length (1..15); X86_DECODE_SHORT if more bytes are needed (n < 15);
 * X86_DECODE_INVALID if this is #UD on every processor we model (an undefined opcode, LOCK where it
 * is not allowed, a register form of a memory-only instruction, ...); X86_DECODE_LONG if it exceeds
 * 15 bytes (#GP).  *insn is written only on success.
 */
enum x86_decode_error { X86_DECODE_SHORT = -1, X86_DECODE_INVALID = -2, X86_DECODE_LONG = -3 };
int x86_decode(struct x86_insn *insn, const uint8_t *bytes, size_t n, enum x86_width width);

/* Mnemonic of an operation, as in X86_OPS, for messages and tests. */
const char *x86_op_name(enum x86_op op);

#endif
