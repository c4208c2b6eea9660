/* The one-byte opcode map (Intel SDM vol. 2, table A-2) and its groups. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "x86/table.h"

/* clang-format off */

/* Opcodes base..base+5 of the eight operations that share a layout. */
#define ARITHMETIC(base, name, flag_bits) \
    [(base) + 0] = OP(name, flag_bits, Eb, Gb), \
    [(base) + 1] = OP(name, flag_bits, Ev, Gv), \
    [(base) + 2] = OP(name, 0, Gb, Eb), \
    [(base) + 3] = OP(name, 0, Gv, Ev), \
    [(base) + 4] = OP(name, 0, AL, Ib), \
    [(base) + 5] = OP(name, 0, rAX, sIz)

#define GROUP1(...) \
    BY_REG(OP(ADD, lk, __VA_ARGS__), OP(OR, lk, __VA_ARGS__), OP(ADC, lk, __VA_ARGS__), \
           OP(SBB, lk, __VA_ARGS__), OP(AND, lk, __VA_ARGS__), OP(SUB, lk, __VA_ARGS__), \
           OP(XOR, lk, __VA_ARGS__), OP(CMP, 0, __VA_ARGS__))
#define GROUP2(...) \
    BY_REG(OP(ROL, 0, __VA_ARGS__), OP(ROR, 0, __VA_ARGS__), OP(RCL, 0, __VA_ARGS__), \
           OP(RCR, 0, __VA_ARGS__), OP(SHL, 0, __VA_ARGS__), OP(SHR, 0, __VA_ARGS__), \
           OP(SHL, 0, __VA_ARGS__), OP(SAR, 0, __VA_ARGS__))
#define GROUP3(e, i) \
    BY_REG(OP(TEST, 0, e, i), OP(TEST, 0, e, i), OP(NOT, lk, e), OP(NEG, lk, e), \
           OP(MUL, 0, e), OP(IMUL, 0, e), OP(DIV, 0, e), OP(IDIV, 0, e))

const struct x86_row x86_map_one_byte[256] = {
    ARITHMETIC(0x00, ADD, lk),
    [0x06] = OP(PUSH_SEG, i64, segES),
    [0x07] = OP(POP_SEG, i64, segES),
    ARITHMETIC(0x08, OR, lk),
    [0x0e] = OP(PUSH_SEG, i64, segCS),
    /* 0F: the two-byte map */
    ARITHMETIC(0x10, ADC, lk),
    [0x16] = OP(PUSH_SEG, i64, segSS),
    [0x17] = OP(POP_SEG, i64, segSS),
    ARITHMETIC(0x18, SBB, lk),
    [0x1e] = OP(PUSH_SEG, i64, segDS),
    [0x1f] = OP(POP_SEG, i64, segDS),
    ARITHMETIC(0x20, AND, lk),
    /* 26: ES prefix */
    [0x27] = OP(DAA, i64),
    ARITHMETIC(0x28, SUB, lk),
    /* 2E: CS prefix */
    [0x2f] = OP(DAS, i64),
    ARITHMETIC(0x30, XOR, lk),
    /* 36: SS prefix */
    [0x37] = OP(AAA, i64),
    ARITHMETIC(0x38, CMP, 0),
    /* 3E: DS prefix */
    [0x3f] = OP(AAS, i64),
    [0x40 ... 0x47] = OP(INC, i64, Zv), /* REX in 64-bit mode, as the next row */
    [0x48 ... 0x4f] = OP(DEC, i64, Zv),
    [0x50 ... 0x57] = OP(PUSH, d64, Zv),
    [0x58 ... 0x5f] = OP(POP, d64, Zv),
    [0x60] = OP(PUSHA, i64),
    [0x61] = OP(POPA, i64),
    [0x62] = OP(BOUND, i64, Gv, Ma), /* with a register EVEX, which is not here */
    [0x63] = BY_MODE(OP(ARPL, 0, Ew, Gw), OP(MOVSXD, 0, Gv, Ez)),
    /* 64 to 67: FS, GS, operand size, address size */
    [0x68] = OP(PUSH, d64, sIz),
    [0x69] = OP(IMUL, 0, Gv, Ev, sIz),
    [0x6a] = OP(PUSH, d64, sIb),
    [0x6b] = OP(IMUL, 0, Gv, Ev, sIb),
    [0x6c] = OP(INS, rep, Yb),
    [0x6d] = OP(INS, rep, Yz),
    [0x6e] = OP(OUTS, rep, Xb),
    [0x6f] = OP(OUTS, rep, Xz),
    [0x70 ... 0x7f] = OP(JCC, f64 | cc, Jb),
    [0x80] = GROUP1(Eb, Ib),
    [0x81] = GROUP1(Ev, sIz),
    [0x82] = BY_MODE(GROUP1(Eb, Ib), XX),
    [0x83] = GROUP1(Ev, sIb),
    [0x84] = OP(TEST, 0, Eb, Gb),
    [0x85] = OP(TEST, 0, Ev, Gv),
    [0x86] = OP(XCHG, lk, Eb, Gb),
    [0x87] = OP(XCHG, lk, Ev, Gv),
    [0x88] = OP(MOV, 0, Eb, Gb),
    [0x89] = OP(MOV, 0, Ev, Gv),
    [0x8a] = OP(MOV, 0, Gb, Eb),
    [0x8b] = OP(MOV, 0, Gv, Ev),
    [0x8c] = OP(MOV_SEG, 0, RvMw, Sw),
    [0x8d] = OP(LEA, 0, Gv, M),
    [0x8e] = OP(MOV_SEG, 0, Sw, Ew),
    [0x8f] = BY_REG(OP(POP, d64, Ev)), /* the others are XOP, which is not here */
    [0x90] = BY_REX_B(BY_PREFIX(OP(NOP, 0), OP(NOP, 0), OP(PAUSE, 0), OP(NOP, 0)),
                      OP(XCHG, 0, Zv, rAX)),
    [0x91 ... 0x97] = OP(XCHG, 0, Zv, rAX),
    [0x98] = OP(CBW, 0),
    [0x99] = OP(CWD, 0),
    [0x9a] = OP(CALL_FAR, i64, Ap),
    [0x9b] = OP(FWAIT, 0),
    [0x9c] = OP(PUSHF, d64),
    [0x9d] = OP(POPF, d64),
    [0x9e] = OP(SAHF, 0),
    [0x9f] = OP(LAHF, 0),
    [0xa0] = OP(MOV, 0, AL, Ob),
    [0xa1] = OP(MOV, 0, rAX, Ov),
    [0xa2] = OP(MOV, 0, Ob, AL),
    [0xa3] = OP(MOV, 0, Ov, rAX),
    [0xa4] = OP(MOVS, rep, Xb),
    [0xa5] = OP(MOVS, rep, Xv),
    [0xa6] = OP(CMPS, rep, Xb),
    [0xa7] = OP(CMPS, rep, Xv),
    [0xa8] = OP(TEST, 0, AL, Ib),
    [0xa9] = OP(TEST, 0, rAX, sIz),
    [0xaa] = OP(STOS, rep, Yb),
    [0xab] = OP(STOS, rep, Yv),
    [0xac] = OP(LODS, rep, Xb),
    [0xad] = OP(LODS, rep, Xv),
    [0xae] = OP(SCAS, rep, Yb),
    [0xaf] = OP(SCAS, rep, Yv),
    [0xb0 ... 0xb7] = OP(MOV, 0, Zb, Ib),
    [0xb8 ... 0xbf] = OP(MOV, 0, Zv, Iv),
    [0xc0] = GROUP2(Eb, Ib),
    [0xc1] = GROUP2(Ev, Ib),
    [0xc2] = OP(RET, f64, Iw),
    [0xc3] = OP(RET, f64),
    [0xc4] = OP(LES, i64, Gv, Mp), /* with a register, and in 64-bit mode, VEX, as LDS */
    [0xc5] = OP(LDS, i64, Gv, Mp),
    [0xc6] = BY_REG(OP(MOV, 0, Eb, Ib)),
    [0xc7] = BY_REG(OP(MOV, 0, Ev, sIz)),
    [0xc8] = OP(ENTER, d64, Iw, Ib2),
    [0xc9] = OP(LEAVE, d64),
    [0xca] = OP(RET_FAR, 0, Iw),
    [0xcb] = OP(RET_FAR, 0),
    [0xcc] = OP(INT3, 0),
    [0xcd] = OP(INT, 0, Ib),
    [0xce] = OP(INTO, i64),
    [0xcf] = OP(IRET, 0),
    [0xd0] = GROUP2(Eb, ONE),
    [0xd1] = GROUP2(Ev, ONE),
    [0xd2] = GROUP2(Eb, CL),
    [0xd3] = GROUP2(Ev, CL),
    [0xd4] = OP(AAM, i64, Ib),
    [0xd5] = OP(AAD, i64, Ib),
    [0xd6] = OP(SALC, i64),
    [0xd7] = OP(XLAT, 0),
    /* D8 to DF: x87 */
    [0xe0] = OP(LOOPNE, f64, Jb),
    [0xe1] = OP(LOOPE, f64, Jb),
    [0xe2] = OP(LOOP, f64, Jb),
    [0xe3] = OP(JCXZ, f64, Jb),
    [0xe4] = OP(IN, 0, AL, Ib),
    [0xe5] = OP(IN, 0, eAX, Ib),
    [0xe6] = OP(OUT, 0, Ib, AL),
    [0xe7] = OP(OUT, 0, Ib, eAX),
    [0xe8] = OP(CALL, f64, Jz),
    [0xe9] = OP(JMP, f64, Jz),
    [0xea] = OP(JMP_FAR, i64, Ap),
    [0xeb] = OP(JMP, f64, Jb),
    [0xec] = OP(IN, 0, AL, DX),
    [0xed] = OP(IN, 0, eAX, DX),
    [0xee] = OP(OUT, 0, DX, AL),
    [0xef] = OP(OUT, 0, DX, eAX),
    /* F0: LOCK */
    [0xf1] = OP(INT1, 0),
    /* F2, F3: REPNE, REP */
    [0xf4] = OP(HLT, 0),
    [0xf5] = OP(CMC, 0),
    [0xf6] = GROUP3(Eb, Ib),
    [0xf7] = GROUP3(Ev, sIz),
    [0xf8] = OP(CLC, 0),
    [0xf9] = OP(STC, 0),
    [0xfa] = OP(CLI, 0),
    [0xfb] = OP(STI, 0),
    [0xfc] = OP(CLD, 0),
    [0xfd] = OP(STD, 0),
    [0xfe] = BY_REG(OP(INC, lk, Eb), OP(DEC, lk, Eb)),
    [0xff] = BY_REG(OP(INC, lk, Ev), OP(DEC, lk, Ev), OP(CALL, f64, Ev), OP(CALL_FAR, 0, Mp),
                    OP(JMP, f64, Ev), OP(JMP_FAR, 0, Mp), OP(PUSH, d64, Ev), XX),
};
/* clang-format on */
