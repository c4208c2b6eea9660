/* The two-byte opcode map, 0F xx (Intel SDM vol. 2, table A-3), and its groups. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "x86/table.h"

/* clang-format off */

#define NOP_EV OP(NOP, 0, Ev)

/* Shifts by an immediate: MMX registers, and with 66 XMM registers. */
#define SHIFT_N(name) REG(BY_PREFIX(OP(name, 0, Nq, Ib), OP(name, 0, Ux, Ib), XX, XX))
#define SHIFT_U(name) REG(P66(OP(name, 0, Ux, Ib)))

#define GROUP7 \
    BY_REG(BY_MOD(OP(SGDT, f64, Ms), NP(BY_RM(XX, OP(VMCALL, 0)))), \
           BY_MOD(OP(SIDT, f64, Ms), NP(BY_RM(OP(MONITOR, 0), OP(MWAIT, 0), OP(CLAC, 0), \
                                              OP(STAC, 0)))), \
           BY_MOD(OP(LGDT, f64, Ms), NP(BY_RM(OP(XGETBV, 0), OP(XSETBV, 0)))), \
           BY_MOD(OP(LIDT, f64, Ms), BY_RM(XX, OP(VMMCALL, 0), XX, XX, XX, XX, XX, \
                                           OP(INVLPGA, 0))), \
           OP(SMSW, 0, RvMw), \
           XX, \
           OP(LMSW, 0, Ew), \
           BY_MOD(OP(INVLPG, 0, M), BY_RM(OP(SWAPGS, o64), OP(RDTSCP, 0))))

#define GROUP15 \
    BY_REG(BY_MOD(NP(OP(FXSAVE, 0, Mfx)), PF3(OP(RDFSBASE, o64, Ry))), \
           BY_MOD(NP(OP(FXRSTOR, 0, Mfx)), PF3(OP(RDGSBASE, o64, Ry))), \
           BY_MOD(NP(OP(LDMXCSR, 0, Md)), PF3(OP(WRFSBASE, o64, Ry))), \
           BY_MOD(NP(OP(STMXCSR, 0, Md)), PF3(OP(WRGSBASE, o64, Ry))), \
           MEM(NP(OP(XSAVE, 0, M))), \
           BY_MOD(NP(OP(XRSTOR, 0, M)), NP(OP(FENCE_L, 0))), \
           BY_MOD(BY_PREFIX(OP(XSAVEOPT, 0, M), OP(CLWB, 0, M), XX, XX), NP(OP(FENCE_M, 0))), \
           BY_MOD(BY_PREFIX(OP(CLFLUSH, 0, M), OP(CLFLUSHOPT, 0, M), XX, XX), NP(OP(FENCE_S, 0))))

#define GROUP9 \
    BY_REG(XX, \
           MEM(BY_REX_W(OP(CMPXCHG8B, lk, Mq), OP(CMPXCHG16B, lk, Mx))), \
           XX, \
           MEM(NP(OP(XRSTORS, 0, M))), \
           MEM(NP(OP(XSAVEC, 0, M))), \
           MEM(NP(OP(XSAVES, 0, M))), \
           REG(BY_PREFIX(OP(RDRAND, 0, Rv), OP(RDRAND, 0, Rv), XX, XX)), \
           REG(BY_PREFIX(OP(RDSEED, 0, Rv), OP(RDSEED, 0, Rv), OP(RDPID, f64, Rs), XX)))

#define ENDBR_OR_NOP \
    BY_MOD(NOP_EV, BY_PREFIX(NOP_EV, NOP_EV, \
           BY_REG(NOP_EV, NOP_EV, NOP_EV, NOP_EV, NOP_EV, NOP_EV, NOP_EV, \
                  BY_RM(NOP_EV, NOP_EV, OP(ENDBR, 0), OP(ENDBR, 0), NOP_EV, NOP_EV, NOP_EV, \
                        NOP_EV)), \
           NOP_EV))

const struct x86_row x86_map_0f[256] = {
    [0x00] = BY_REG(OP(SLDT, 0, RvMw), OP(STR, 0, RvMw), OP(LLDT, 0, Ew), OP(LTR, 0, Ew),
                    OP(VERR, 0, Ew), OP(VERW, 0, Ew)),
    [0x01] = GROUP7,
    [0x02] = OP(LAR, 0, Gv, Ew),
    [0x03] = OP(LSL, 0, Gv, Ew),
    [0x05] = OP(SYSCALL, 0),
    [0x06] = OP(CLTS, 0),
    [0x07] = OP(SYSRET, 0),
    [0x08] = OP(INVD, 0),
    [0x09] = OP(WBINVD, 0),
    [0x0b] = OP(UD2, 0),
    [0x0d] = BY_MOD(OP(PREFETCH, 0, M), NOP_EV),
    [0x10] = BY_PREFIX(OP(MOVUPS, 0, Vx, Wx), OP(MOVUPD, 0, Vx, Wx), OP(MOVSS, 0, Vd, Wd),
                       OP(MOVSD, 0, Vq, Wq)),
    [0x11] = BY_PREFIX(OP(MOVUPS, 0, Wx, Vx), OP(MOVUPD, 0, Wx, Vx), OP(MOVSS, 0, Wd, Vd),
                       OP(MOVSD, 0, Wq, Vq)),
    [0x12] = BY_PREFIX(BY_MOD(OP(MOVLPS, 0, Vq, Mq), OP(MOVHLPS, 0, Vq, Uq)),
                       OP(MOVLPD, 0, Vq, Mq), OP(MOVSLDUP, 0, Vx, Wx), OP(MOVDDUP, 0, Vx, Wq)),
    [0x13] = BY_PREFIX(OP(MOVLPS, 0, Mq, Vq), OP(MOVLPD, 0, Mq, Vq), XX, XX),
    [0x14] = BY_PREFIX(OP(UNPCKLPS, 0, Vx, Wx), OP(UNPCKLPD, 0, Vx, Wx), XX, XX),
    [0x15] = BY_PREFIX(OP(UNPCKHPS, 0, Vx, Wx), OP(UNPCKHPD, 0, Vx, Wx), XX, XX),
    [0x16] = BY_PREFIX(BY_MOD(OP(MOVHPS, 0, Vq, Mq), OP(MOVLHPS, 0, Vq, Uq)),
                       OP(MOVHPD, 0, Vq, Mq), OP(MOVSHDUP, 0, Vx, Wx), XX),
    [0x17] = BY_PREFIX(OP(MOVHPS, 0, Mq, Vq), OP(MOVHPD, 0, Mq, Vq), XX, XX),
    [0x18] = BY_MOD(BY_REG(OP(PREFETCH, 0, M), OP(PREFETCH, 0, M), OP(PREFETCH, 0, M),
                           OP(PREFETCH, 0, M), NOP_EV, NOP_EV, NOP_EV, NOP_EV), NOP_EV),
    [0x19 ... 0x1d] = NOP_EV, /* hints, among them MPX and CLDEMOTE on processors without them */
    [0x1e] = ENDBR_OR_NOP,
    [0x1f] = NOP_EV,
    [0x20] = OP(MOV_CR, f64, Rm, Cm),
    [0x21] = OP(MOV_DR, f64, Rm, Dm),
    [0x22] = OP(MOV_CR, f64, Cm, Rm),
    [0x23] = OP(MOV_DR, f64, Dm, Rm),
    [0x28] = BY_PREFIX(OP(MOVAPS, 0, Vx, Wx), OP(MOVAPD, 0, Vx, Wx), XX, XX),
    [0x29] = BY_PREFIX(OP(MOVAPS, 0, Wx, Vx), OP(MOVAPD, 0, Wx, Vx), XX, XX),
    [0x2a] = BY_PREFIX(OP(CVTPI2PS, 0, Vq, Qq), OP(CVTPI2PD, 0, Vx, Qq), OP(CVTSI2SS, 0, Vd, Ey),
                       OP(CVTSI2SD, 0, Vq, Ey)),
    [0x2b] = BY_PREFIX(OP(MOVNTPS, 0, Mx, Vx), OP(MOVNTPD, 0, Mx, Vx), OP(MOVNTSS, 0, Md, Vd),
                       OP(MOVNTSD, 0, Mq, Vq)),
    [0x2c] = BY_PREFIX(OP(CVTTPS2PI, 0, Pq, Wq), OP(CVTTPD2PI, 0, Pq, Wx),
                       OP(CVTTSS2SI, 0, Gy, Wd), OP(CVTTSD2SI, 0, Gy, Wq)),
    [0x2d] = BY_PREFIX(OP(CVTPS2PI, 0, Pq, Wq), OP(CVTPD2PI, 0, Pq, Wx), OP(CVTSS2SI, 0, Gy, Wd),
                       OP(CVTSD2SI, 0, Gy, Wq)),
    [0x2e] = BY_PREFIX(OP(UCOMISS, 0, Vd, Wd), OP(UCOMISD, 0, Vq, Wq), XX, XX),
    [0x2f] = BY_PREFIX(OP(COMISS, 0, Vd, Wd), OP(COMISD, 0, Vq, Wq), XX, XX),
    [0x30] = OP(WRMSR, 0),
    [0x31] = OP(RDTSC, 0),
    [0x32] = OP(RDMSR, 0),
    [0x33] = OP(RDPMC, 0),
    [0x34] = OP(SYSENTER, 0),
    [0x35] = OP(SYSEXIT, 0),
    /* 38, 3A: the three-byte maps */
    [0x40 ... 0x4f] = OP(CMOVCC, cc, Gv, Ev),
    [0x50] = BY_PREFIX(OP(MOVMSKPS, 0, Gy, Ux), OP(MOVMSKPD, 0, Gy, Ux), XX, XX),
    [0x51] = PS_PD_SS_SD(SQRT),
    [0x52] = BY_PREFIX(OP(RSQRTPS, 0, Vx, Wx), XX, OP(RSQRTSS, 0, Vd, Wd), XX),
    [0x53] = BY_PREFIX(OP(RCPPS, 0, Vx, Wx), XX, OP(RCPSS, 0, Vd, Wd), XX),
    [0x54] = BY_PREFIX(OP(ANDPS, 0, Vx, Wx), OP(ANDPD, 0, Vx, Wx), XX, XX),
    [0x55] = BY_PREFIX(OP(ANDNPS, 0, Vx, Wx), OP(ANDNPD, 0, Vx, Wx), XX, XX),
    [0x56] = BY_PREFIX(OP(ORPS, 0, Vx, Wx), OP(ORPD, 0, Vx, Wx), XX, XX),
    [0x57] = BY_PREFIX(OP(XORPS, 0, Vx, Wx), OP(XORPD, 0, Vx, Wx), XX, XX),
    [0x58] = PS_PD_SS_SD(ADD),
    [0x59] = PS_PD_SS_SD(MUL),
    [0x5a] = BY_PREFIX(OP(CVTPS2PD, 0, Vx, Wq), OP(CVTPD2PS, 0, Vx, Wx), OP(CVTSS2SD, 0, Vq, Wd),
                       OP(CVTSD2SS, 0, Vd, Wq)),
    [0x5b] = BY_PREFIX(OP(CVTDQ2PS, 0, Vx, Wx), OP(CVTPS2DQ, 0, Vx, Wx), OP(CVTTPS2DQ, 0, Vx, Wx),
                       XX),
    [0x5c] = PS_PD_SS_SD(SUB),
    [0x5d] = PS_PD_SS_SD(MIN),
    [0x5e] = PS_PD_SS_SD(DIV),
    [0x5f] = PS_PD_SS_SD(MAX),
    [0x60] = BY_PREFIX(OP(PUNPCKLBW, 0, Pq, Qd), OP(PUNPCKLBW, 0, Vx, Wx), XX, XX),
    [0x61] = BY_PREFIX(OP(PUNPCKLWD, 0, Pq, Qd), OP(PUNPCKLWD, 0, Vx, Wx), XX, XX),
    [0x62] = BY_PREFIX(OP(PUNPCKLDQ, 0, Pq, Qd), OP(PUNPCKLDQ, 0, Vx, Wx), XX, XX),
    [0x63] = MMX_SSE(PACKSSWB),
    [0x64] = MMX_SSE(PCMPGTB),
    [0x65] = MMX_SSE(PCMPGTW),
    [0x66] = MMX_SSE(PCMPGTD),
    [0x67] = MMX_SSE(PACKUSWB),
    [0x68] = MMX_SSE(PUNPCKHBW),
    [0x69] = MMX_SSE(PUNPCKHWD),
    [0x6a] = MMX_SSE(PUNPCKHDQ),
    [0x6b] = MMX_SSE(PACKSSDW),
    [0x6c] = P66(OP(PUNPCKLQDQ, 0, Vx, Wx)),
    [0x6d] = P66(OP(PUNPCKHQDQ, 0, Vx, Wx)),
    [0x6e] = BY_PREFIX(BY_REX_W(OP(MOVD, 0, Pq, Ed), OP(MOVQ, 0, Pq, Eq)),
                       BY_REX_W(OP(MOVD, 0, Vx, Ed), OP(MOVQ, 0, Vx, Eq)), XX, XX),
    [0x6f] = BY_PREFIX(OP(MOVQ, 0, Pq, Qq), OP(MOVDQA, 0, Vx, Wx), OP(MOVDQU, 0, Vx, Wx), XX),
    [0x70] = BY_PREFIX(OP(PSHUFW, 0, Pq, Qq, Ib), OP(PSHUFD, 0, Vx, Wx, Ib),
                       OP(PSHUFHW, 0, Vx, Wx, Ib), OP(PSHUFLW, 0, Vx, Wx, Ib)),
    [0x71] = BY_REG(XX, XX, SHIFT_N(PSRLW), XX, SHIFT_N(PSRAW), XX, SHIFT_N(PSLLW), XX),
    [0x72] = BY_REG(XX, XX, SHIFT_N(PSRLD), XX, SHIFT_N(PSRAD), XX, SHIFT_N(PSLLD), XX),
    [0x73] = BY_REG(XX, XX, SHIFT_N(PSRLQ), SHIFT_U(PSRLDQ), XX, XX, SHIFT_N(PSLLQ),
                    SHIFT_U(PSLLDQ)),
    [0x74] = MMX_SSE(PCMPEQB),
    [0x75] = MMX_SSE(PCMPEQW),
    [0x76] = MMX_SSE(PCMPEQD),
    [0x77] = NP(OP(EMMS, 0)),
    [0x78] = BY_PREFIX(XX, REG(BY_REG(OP(EXTRQ, 0, Ux, Ib, Ib2))), XX,
                       OP(INSERTQ, 0, Vx, Ux, Ib, Ib2)),
    [0x79] = BY_PREFIX(XX, OP(EXTRQ, 0, Vx, Ux), XX, OP(INSERTQ, 0, Vx, Ux)),
    [0x7c] = BY_PREFIX(XX, OP(HADDPD, 0, Vx, Wx), XX, OP(HADDPS, 0, Vx, Wx)),
    [0x7d] = BY_PREFIX(XX, OP(HSUBPD, 0, Vx, Wx), XX, OP(HSUBPS, 0, Vx, Wx)),
    [0x7e] = BY_PREFIX(BY_REX_W(OP(MOVD, 0, Ed, Pq), OP(MOVQ, 0, Eq, Pq)),
                       BY_REX_W(OP(MOVD, 0, Ed, Vx), OP(MOVQ, 0, Eq, Vx)), OP(MOVQ, 0, Vq, Wq),
                       XX),
    [0x7f] = BY_PREFIX(OP(MOVQ, 0, Qq, Pq), OP(MOVDQA, 0, Wx, Vx), OP(MOVDQU, 0, Wx, Vx), XX),
    [0x80 ... 0x8f] = OP(JCC, f64 | cc, Jz),
    [0x90 ... 0x9f] = OP(SETCC, cc, Eb),
    [0xa0] = OP(PUSH_SEG, d64, segFS),
    [0xa1] = OP(POP_SEG, d64, segFS),
    [0xa2] = OP(CPUID, 0),
    [0xa3] = OP(BT, 0, Ev, Gv),
    [0xa4] = OP(SHLD, 0, Ev, Gv, Ib),
    [0xa5] = OP(SHLD, 0, Ev, Gv, CL),
    [0xa8] = OP(PUSH_SEG, d64, segGS),
    [0xa9] = OP(POP_SEG, d64, segGS),
    [0xaa] = OP(RSM, 0),
    [0xab] = OP(BTS, lk, Ev, Gv),
    [0xac] = OP(SHRD, 0, Ev, Gv, Ib),
    [0xad] = OP(SHRD, 0, Ev, Gv, CL),
    [0xae] = GROUP15,
    [0xaf] = OP(IMUL, 0, Gv, Ev),
    [0xb0] = OP(CMPXCHG, lk, Eb, Gb),
    [0xb1] = OP(CMPXCHG, lk, Ev, Gv),
    [0xb2] = OP(LSS, 0, Gv, Mp),
    [0xb3] = OP(BTR, lk, Ev, Gv),
    [0xb4] = OP(LFS, 0, Gv, Mp),
    [0xb5] = OP(LGS, 0, Gv, Mp),
    [0xb6] = OP(MOVZX, 0, Gv, Eb),
    [0xb7] = OP(MOVZX, 0, Gv, Ew),
    [0xb8] = PF3(OP(POPCNT, 0, Gv, Ev)),
    [0xb9] = OP(UD1, 0, Gd, Ed),
    [0xba] = BY_REG(XX, XX, XX, XX, OP(BT, 0, Ev, Ib), OP(BTS, lk, Ev, Ib), OP(BTR, lk, Ev, Ib),
                    OP(BTC, lk, Ev, Ib)),
    [0xbb] = OP(BTC, lk, Ev, Gv),
    [0xbc] = BY_PREFIX(OP(BSF, 0, Gv, Ev), OP(BSF, 0, Gv, Ev), OP(TZCNT, 0, Gv, Ev),
                       OP(BSF, 0, Gv, Ev)),
    [0xbd] = BY_PREFIX(OP(BSR, 0, Gv, Ev), OP(BSR, 0, Gv, Ev), OP(LZCNT, 0, Gv, Ev),
                       OP(BSR, 0, Gv, Ev)),
    [0xbe] = OP(MOVSX, 0, Gv, Eb),
    [0xbf] = OP(MOVSX, 0, Gv, Ew),
    [0xc0] = OP(XADD, lk, Eb, Gb),
    [0xc1] = OP(XADD, lk, Ev, Gv),
    [0xc2] = BY_PREFIX(OP(CMPPS, 0, Vx, Wx, Ib), OP(CMPPD, 0, Vx, Wx, Ib),
                       OP(CMPSS, 0, Vd, Wd, Ib), OP(CMPSD, 0, Vq, Wq, Ib)),
    [0xc3] = NP(OP(MOVNTI, 0, My, Gy)),
    [0xc4] = BY_PREFIX(OP(PINSRW, 0, Pq, RdMw, Ib), OP(PINSRW, 0, Vx, RdMw, Ib), XX, XX),
    [0xc5] = BY_PREFIX(OP(PEXTRW, 0, Gd, Nq, Ib), OP(PEXTRW, 0, Gd, Ux, Ib), XX, XX),
    [0xc6] = BY_PREFIX(OP(SHUFPS, 0, Vx, Wx, Ib), OP(SHUFPD, 0, Vx, Wx, Ib), XX, XX),
    [0xc7] = GROUP9,
    [0xc8 ... 0xcf] = OP(BSWAP, 0, Zv),
    [0xd0] = BY_PREFIX(XX, OP(ADDSUBPD, 0, Vx, Wx), XX, OP(ADDSUBPS, 0, Vx, Wx)),
    [0xd1] = MMX_SSE(PSRLW),
    [0xd2] = MMX_SSE(PSRLD),
    [0xd3] = MMX_SSE(PSRLQ),
    [0xd4] = MMX_SSE(PADDQ),
    [0xd5] = MMX_SSE(PMULLW),
    [0xd6] = BY_PREFIX(XX, OP(MOVQ, 0, Wq, Vq), OP(MOVQ2DQ, 0, Vq, Nq), OP(MOVDQ2Q, 0, Pq, Uq)),
    [0xd7] = BY_PREFIX(OP(PMOVMSKB, 0, Gd, Nq), OP(PMOVMSKB, 0, Gd, Ux), XX, XX),
    [0xd8] = MMX_SSE(PSUBUSB),
    [0xd9] = MMX_SSE(PSUBUSW),
    [0xda] = MMX_SSE(PMINUB),
    [0xdb] = MMX_SSE(PAND),
    [0xdc] = MMX_SSE(PADDUSB),
    [0xdd] = MMX_SSE(PADDUSW),
    [0xde] = MMX_SSE(PMAXUB),
    [0xdf] = MMX_SSE(PANDN),
    [0xe0] = MMX_SSE(PAVGB),
    [0xe1] = MMX_SSE(PSRAW),
    [0xe2] = MMX_SSE(PSRAD),
    [0xe3] = MMX_SSE(PAVGW),
    [0xe4] = MMX_SSE(PMULHUW),
    [0xe5] = MMX_SSE(PMULHW),
    [0xe6] = BY_PREFIX(XX, OP(CVTTPD2DQ, 0, Vx, Wx), OP(CVTDQ2PD, 0, Vx, Wq),
                       OP(CVTPD2DQ, 0, Vx, Wx)),
    [0xe7] = BY_PREFIX(OP(MOVNTQ, 0, Mq, Pq), OP(MOVNTDQ, 0, Mx, Vx), XX, XX),
    [0xe8] = MMX_SSE(PSUBSB),
    [0xe9] = MMX_SSE(PSUBSW),
    [0xea] = MMX_SSE(PMINSW),
    [0xeb] = MMX_SSE(POR),
    [0xec] = MMX_SSE(PADDSB),
    [0xed] = MMX_SSE(PADDSW),
    [0xee] = MMX_SSE(PMAXSW),
    [0xef] = MMX_SSE(PXOR),
    [0xf0] = PF2(OP(LDDQU, 0, Vx, Mx)),
    [0xf1] = MMX_SSE(PSLLW),
    [0xf2] = MMX_SSE(PSLLD),
    [0xf3] = MMX_SSE(PSLLQ),
    [0xf4] = MMX_SSE(PMULUDQ),
    [0xf5] = MMX_SSE(PMADDWD),
    [0xf6] = MMX_SSE(PSADBW),
    [0xf7] = BY_PREFIX(OP(MASKMOVQ, 0, Pq, Nq), OP(MASKMOVDQU, 0, Vx, Ux), XX, XX),
    [0xf8] = MMX_SSE(PSUBB),
    [0xf9] = MMX_SSE(PSUBW),
    [0xfa] = MMX_SSE(PSUBD),
    [0xfb] = MMX_SSE(PSUBQ),
    [0xfc] = MMX_SSE(PADDB),
    [0xfd] = MMX_SSE(PADDW),
    [0xfe] = MMX_SSE(PADDD),
    [0xff] = OP(UD0, 0, Gd, Ed),
};
/* clang-format on */
