/* The form of the decoder's tables: rows, choices between rows, and operand specifications. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef X86_TABLE_H
#define X86_TABLE_H

/*
 * The tables read like the opcode maps of the Intel SDM vol. 2, appendix A, whose notation they
 * keep: Eb,Gb is a byte register or memory operand and a byte register, i64 is "invalid in 64-bit
 * mode".  A row is an operation or a choice between further rows.
 */
#include "x86/insn.h"

struct x86_row {
    uint16_t op;    /* enum x86_op; X86_INVALID in a choice */
    uint16_t flags; /* enum row_flag; in a choice: enum row_choice */
    uint8_t spec[X86_OPERANDS_MAX];
    const struct x86_row *next; /* of a choice */
};

/* The superscripts of appendix A, table A-1, and what else an encoding can be. */
enum row_flag {
    i64 = 1 << 0, /* invalid in 64-bit mode */
    o64 = 1 << 1, /* only in 64-bit mode */
    d64 = 1 << 2, /* operand size is 64 bits by default in 64-bit mode */
    f64 = 1 << 3, /* and cannot be changed */
    lk = 1 << 4,  /* LOCK is allowed when the first operand is memory */
    rep = 1 << 5, /* F2 and F3 repeat it */
    cc = 1 << 6,  /* the opcode holds a condition */
};

enum row_choice {
    BY_CHOICE_PREFIX, /* none, 66, F3, F2; one of F3 and F2 outweighs 66 */
    BY_CHOICE_MOD,    /* memory, register */
    BY_CHOICE_REG,    /* ModRM.reg */
    BY_CHOICE_RM,     /* ModRM.rm */
    BY_CHOICE_REX_W,  /* operand size not 64 bits, 64 bits */
    BY_CHOICE_REX_B,
    BY_CHOICE_MODE, /* 16- and 32-bit code, 64-bit code */
};

/* How an operand is encoded: the letters of appendix A.2.1, and what the opcode implies. */
enum operand_method {
    AT_NOTHING,
    AT_A,  /* far pointer in the instruction */
    AT_C,  /* control register, by reg */
    AT_D,  /* debug register, by reg */
    AT_E,  /* general register or memory, by rm */
    AT_G,  /* general register, by reg */
    AT_I,  /* immediate, zero-extended */
    AT_IS, /* immediate, sign-extended */
    AT_I2, /* second immediate */
    AT_J,  /* displacement from the next instruction */
    AT_M,  /* memory only */
    AT_N,  /* MMX register, by rm */
    AT_O,  /* offset in the instruction */
    AT_P,  /* MMX register, by reg */
    AT_Q,  /* MMX register or memory */
    AT_R,  /* general register, by rm, whatever mod is */
    AT_RO, /* general register only, by rm */
    AT_S,  /* segment register, by reg */
    AT_U,  /* XMM register only, by rm */
    AT_V,  /* XMM register, by reg */
    AT_W,  /* XMM register or memory */
    AT_X,  /* memory at DS:SI */
    AT_Y,  /* memory at ES:DI */
    AT_Z,  /* general register in the opcode */
    AT_ST, /* x87 register, by rm */
    AT_FIXED_GPR,
    AT_FIXED_SEG,
    AT_FIXED_ST,
    AT_ONE, /* the number 1 */
};

/* Operand sizes: bytes up to 16, or depending on the mode and the prefixes. */
enum operand_size {
    SIZE_V = 32, /* operand size */
    SIZE_Z,      /* operand size, at most 4 */
    SIZE_Y,      /* 8 with REX.W, otherwise 4 */
    SIZE_MODE,   /* 8 in 64-bit code, otherwise 4 */
    SIZE_P,      /* far pointer: 2 + operand size */
    SIZE_S,      /* descriptor table register: 10 in 64-bit code, otherwise 6 */
    SIZE_A,      /* two of the operand size */
    SIZE_ENV,    /* x87 environment */
    SIZE_SAVE,   /* x87 state */
    SIZE_FX,     /* FXSAVE area */
};

/* Name, method, size, and for AT_E the size of a register if it differs, for AT_FIXED_* which. */
/* clang-format off */
#define X86_OPERAND_SPECS(X) \
    X(NONE, NOTHING, 0, 0) \
    /* general registers and memory */ \
    X(Eb, E, 1, 0) X(Ew, E, 2, 0) X(Ed, E, 4, 0) X(Eq, E, 8, 0) \
    X(Ev, E, SIZE_V, 0) X(Ez, E, SIZE_Z, 0) X(Ey, E, SIZE_Y, 0) \
    X(RvMw, E, 2, SIZE_V) X(RdMb, E, 1, 4) X(RdMw, E, 2, 4) \
    X(Gb, G, 1, 0) X(Gw, G, 2, 0) X(Gd, G, 4, 0) \
    X(Gv, G, SIZE_V, 0) X(Gy, G, SIZE_Y, 0) X(Gm, G, SIZE_MODE, 0) \
    X(Rm, R, SIZE_MODE, 0) X(Rv, RO, SIZE_V, 0) X(Ry, RO, SIZE_Y, 0) X(Rs, RO, SIZE_MODE, 0) \
    X(Zb, Z, 1, 0) X(Zv, Z, SIZE_V, 0) \
    X(M, M, 0, 0) X(Mw, M, 2, 0) X(Md, M, 4, 0) X(Mq, M, 8, 0) X(Mt, M, 10, 0) X(Mx, M, 16, 0) \
    X(Mv, M, SIZE_V, 0) X(My, M, SIZE_Y, 0) X(Mp, M, SIZE_P, 0) X(Ms, M, SIZE_S, 0) \
    X(Ma, M, SIZE_A, 0) X(Menv, M, SIZE_ENV, 0) X(Msave, M, SIZE_SAVE, 0) X(Mfx, M, SIZE_FX, 0) \
    X(Ob, O, 1, 0) X(Ov, O, SIZE_V, 0) \
    X(Xb, X, 1, 0) X(Xv, X, SIZE_V, 0) X(Xz, X, SIZE_Z, 0) \
    X(Yb, Y, 1, 0) X(Yv, Y, SIZE_V, 0) X(Yz, Y, SIZE_Z, 0) \
    /* immediates; a leading s: sign-extended */ \
    X(Ib, I, 1, 0) X(Iw, I, 2, 0) X(Iv, I, SIZE_V, 0) X(Ib2, I2, 1, 0) \
    X(sIb, IS, 1, 0) X(sIz, IS, SIZE_Z, 0) \
    X(Jb, J, 1, 0) X(Jz, J, SIZE_Z, 0) X(Ap, A, SIZE_P, 0) \
    /* segment, control and debug registers */ \
    X(Sw, S, 2, 0) X(Cm, C, SIZE_MODE, 0) X(Dm, D, SIZE_MODE, 0) \
    /* MMX and XMM: the size is that of the data used */ \
    X(Pq, P, 8, 0) X(Qd, Q, 4, 0) X(Qq, Q, 8, 0) X(Nq, N, 8, 0) \
    X(Vd, V, 4, 0) X(Vq, V, 8, 0) X(Vx, V, 16, 0) X(Uq, U, 8, 0) X(Ux, U, 16, 0) \
    X(Ww, W, 2, 0) X(Wd, W, 4, 0) X(Wq, W, 8, 0) X(Wx, W, 16, 0) \
    /* implied by the opcode */ \
    X(AL, FIXED_GPR, 1, 0) X(AX, FIXED_GPR, 2, 0) X(CL, FIXED_GPR, 1, 1) X(DX, FIXED_GPR, 2, 2) \
    X(eAX, FIXED_GPR, SIZE_Z, 0) X(rAX, FIXED_GPR, SIZE_V, 0) \
    X(segES, FIXED_SEG, 2, 0) X(segCS, FIXED_SEG, 2, 1) X(segSS, FIXED_SEG, 2, 2) \
    X(segDS, FIXED_SEG, 2, 3) X(segFS, FIXED_SEG, 2, 4) X(segGS, FIXED_SEG, 2, 5) \
    X(ST0, FIXED_ST, 10, 0) X(STi, ST, 10, 0) X(ONE, ONE, 1, 0)
/* clang-format on */

enum operand_spec {
#define X(name, method, size, extra) name,
    X86_OPERAND_SPECS(X)
#undef X
};

#define OP(name, flag_bits, ...)                                                                   \
    {                                                                                              \
        .op = X86_##name, .flags = (flag_bits), .spec = { __VA_ARGS__ }                            \
    }
#define XX                                                                                         \
    {                                                                                              \
        .op = X86_INVALID                                                                          \
    }
#define CHOICE(kind, n, ...)                                                                       \
    {                                                                                              \
        .flags = BY_CHOICE_##kind, .next = (const struct x86_row[n])                               \
        {                                                                                          \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
#define BY_PREFIX(...) CHOICE(PREFIX, 4, __VA_ARGS__)
#define BY_MOD(...)    CHOICE(MOD, 2, __VA_ARGS__)
#define BY_REG(...)    CHOICE(REG, 8, __VA_ARGS__)
#define BY_RM(...)     CHOICE(RM, 8, __VA_ARGS__)
#define BY_REX_W(...)  CHOICE(REX_W, 2, __VA_ARGS__)
#define BY_REX_B(...)  CHOICE(REX_B, 2, __VA_ARGS__)
#define BY_MODE(...)   CHOICE(MODE, 2, __VA_ARGS__)
#define MEM(...)       BY_MOD(__VA_ARGS__, XX)
#define REG(...)       BY_MOD(XX, __VA_ARGS__)
#define NP(...)        BY_PREFIX(__VA_ARGS__, XX, XX, XX)
#define P66(...)       BY_PREFIX(XX, __VA_ARGS__, XX, XX)
#define PF3(...)       BY_PREFIX(XX, XX, __VA_ARGS__, XX)
#define PF2(...)       BY_PREFIX(XX, XX, XX, __VA_ARGS__)
/* Packed integers: the MMX form, and with 66 the XMM form. */
#define MMX_SSE(name) BY_PREFIX(OP(name, 0, Pq, Qq), OP(name, 0, Vx, Wx), XX, XX)
/* Floating point by prefix: none packed single, 66 packed double, F3 and F2 scalar. */
#define PS_PD_SS_SD(name)                                                                          \
    BY_PREFIX(OP(name##PS, 0, Vx, Wx), OP(name##PD, 0, Vx, Wx), OP(name##SS, 0, Vd, Wd),           \
              OP(name##SD, 0, Vq, Wq))

extern const struct x86_row x86_map_one_byte[256];
extern const struct x86_row x86_map_0f[256];
extern const struct x86_row x86_map_0f38[256];
extern const struct x86_row x86_map_0f3a[256];
extern const struct x86_row x86_map_x87[8]; /* D8..DF */

#endif
