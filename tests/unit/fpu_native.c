/* SSE and MMX instructions compared with the host's own processor, register forms. */
/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "cpu/sse.h"
#include "unit/fpu_random.h"

#if !defined(__x86_64__)

int main(void)
{
    puts("not an x86-64 host");
    return 77;
}

#else

/* What goes in and comes out; XMM0 is the mask of variable blends. */
struct regs {
    union cpu_vec xmm[3];
    uint64_t mm[3];
    uint64_t rax, rcx, rdx, rflags;
    uint32_t mxcsr;
};

/* Operands are always number 1 (reg) and number 2 (r/m); a shape says which kinds they are. */
enum shape { XX, MM, GX, XG, XM, MX, GM, MG, RX, RM, IX, IM };
enum data { INTS, SINGLES, DOUBLES };
enum { IMM = 1, WIDE = 2, TOLERANT = 4 };

struct test {
    const char *name;
    uint16_t op;
    uint8_t prefix, map, opcode; /* map: 0, 0x38, 0x3a */
    uint8_t shape, data, flags, ext;
};

#define T(op, prefix, map, opcode, shape, data, flags)                                             \
    {                                                                                              \
#op, X86_##op, prefix, map, opcode, shape, data, flags, 0                                  \
    }
#define PACKED(op, map, opcode, flags)                                                             \
    T(op, 0x66, map, opcode, XX, INTS, flags), T(op, 0, map, opcode, MM, INTS, flags)
#define SSE(op, map, opcode, flags) T(op, 0x66, map, opcode, XX, INTS, flags)
#define FLOAT(op, opcode, flags)                                                                   \
    T(op##PS, 0, 0, opcode, XX, SINGLES, flags), T(op##PD, 0x66, 0, opcode, XX, DOUBLES, flags),   \
        T(op##SS, 0xf3, 0, opcode, XX, SINGLES, flags),                                            \
        T(op##SD, 0xf2, 0, opcode, XX, DOUBLES, flags)
#define PSPD(op, opcode, flags)                                                                    \
    T(op##PS, 0, 0, opcode, XX, SINGLES, flags), T(op##PD, 0x66, 0, opcode, XX, DOUBLES, flags)
#define SHIFT(op, opcode, by_imm, extension)                                                       \
    PACKED(op, 0, opcode, 0), {#op, X86_##op, 0x66, 0, by_imm, IX, INTS, IMM, extension},          \
    {                                                                                              \
#op, X86_##op, 0, 0, by_imm, IM, INTS, IMM, extension                                      \
    }

static const struct test tests[] = {
    FLOAT(ADD, 0x58, 0),
    FLOAT(SUB, 0x5c, 0),
    FLOAT(MUL, 0x59, 0),
    FLOAT(DIV, 0x5e, 0),
    FLOAT(MIN, 0x5d, 0),
    FLOAT(MAX, 0x5f, 0),
    FLOAT(SQRT, 0x51, 0),
    FLOAT(CMP, 0xc2, IMM),
    T(RCPPS, 0, 0, 0x53, XX, SINGLES, TOLERANT),
    T(RCPSS, 0xf3, 0, 0x53, XX, SINGLES, TOLERANT),
    T(RSQRTPS, 0, 0, 0x52, XX, SINGLES, TOLERANT),
    T(RSQRTSS, 0xf3, 0, 0x52, XX, SINGLES, TOLERANT),
    PSPD(AND, 0x54, 0),
    PSPD(ANDN, 0x55, 0),
    PSPD(OR, 0x56, 0),
    PSPD(XOR, 0x57, 0),
    T(COMISS, 0, 0, 0x2f, XX, SINGLES, 0),
    T(COMISD, 0x66, 0, 0x2f, XX, DOUBLES, 0),
    T(UCOMISS, 0, 0, 0x2e, XX, SINGLES, 0),
    T(UCOMISD, 0x66, 0, 0x2e, XX, DOUBLES, 0),
    T(HADDPS, 0xf2, 0, 0x7c, XX, SINGLES, 0),
    T(HADDPD, 0x66, 0, 0x7c, XX, DOUBLES, 0),
    T(HSUBPS, 0xf2, 0, 0x7d, XX, SINGLES, 0),
    T(HSUBPD, 0x66, 0, 0x7d, XX, DOUBLES, 0),
    T(ADDSUBPS, 0xf2, 0, 0xd0, XX, SINGLES, 0),
    T(ADDSUBPD, 0x66, 0, 0xd0, XX, DOUBLES, 0),
    T(DPPS, 0x66, 0x3a, 0x40, XX, SINGLES, IMM),
    T(DPPD, 0x66, 0x3a, 0x41, XX, DOUBLES, IMM),
    T(ROUNDPS, 0x66, 0x3a, 0x08, XX, SINGLES, IMM),
    T(ROUNDPD, 0x66, 0x3a, 0x09, XX, DOUBLES, IMM),
    T(ROUNDSS, 0x66, 0x3a, 0x0a, XX, SINGLES, IMM),
    T(ROUNDSD, 0x66, 0x3a, 0x0b, XX, DOUBLES, IMM),
    T(CVTPS2PD, 0, 0, 0x5a, XX, SINGLES, 0),
    T(CVTPD2PS, 0x66, 0, 0x5a, XX, DOUBLES, 0),
    T(CVTSS2SD, 0xf3, 0, 0x5a, XX, SINGLES, 0),
    T(CVTSD2SS, 0xf2, 0, 0x5a, XX, DOUBLES, 0),
    T(CVTDQ2PS, 0, 0, 0x5b, XX, INTS, 0),
    T(CVTPS2DQ, 0x66, 0, 0x5b, XX, SINGLES, 0),
    T(CVTTPS2DQ, 0xf3, 0, 0x5b, XX, SINGLES, 0),
    T(CVTDQ2PD, 0xf3, 0, 0xe6, XX, INTS, 0),
    T(CVTPD2DQ, 0xf2, 0, 0xe6, XX, DOUBLES, 0),
    T(CVTTPD2DQ, 0x66, 0, 0xe6, XX, DOUBLES, 0),
    T(CVTPI2PS, 0, 0, 0x2a, XM, INTS, 0),
    T(CVTPI2PD, 0x66, 0, 0x2a, XM, INTS, 0),
    T(CVTPS2PI, 0, 0, 0x2d, MX, SINGLES, 0),
    T(CVTPD2PI, 0x66, 0, 0x2d, MX, DOUBLES, 0),
    T(CVTTPS2PI, 0, 0, 0x2c, MX, SINGLES, 0),
    T(CVTTPD2PI, 0x66, 0, 0x2c, MX, DOUBLES, 0),
    T(CVTSI2SS, 0xf3, 0, 0x2a, XG, INTS, 0),
    T(CVTSI2SS, 0xf3, 0, 0x2a, XG, INTS, WIDE),
    T(CVTSI2SD, 0xf2, 0, 0x2a, XG, INTS, 0),
    T(CVTSI2SD, 0xf2, 0, 0x2a, XG, INTS, WIDE),
    T(CVTSS2SI, 0xf3, 0, 0x2d, GX, SINGLES, 0),
    T(CVTSS2SI, 0xf3, 0, 0x2d, GX, SINGLES, WIDE),
    T(CVTSD2SI, 0xf2, 0, 0x2d, GX, DOUBLES, 0),
    T(CVTSD2SI, 0xf2, 0, 0x2d, GX, DOUBLES, WIDE),
    T(CVTTSS2SI, 0xf3, 0, 0x2c, GX, SINGLES, 0),
    T(CVTTSS2SI, 0xf3, 0, 0x2c, GX, SINGLES, WIDE),
    T(CVTTSD2SI, 0xf2, 0, 0x2c, GX, DOUBLES, 0),
    T(CVTTSD2SI, 0xf2, 0, 0x2c, GX, DOUBLES, WIDE),

    PACKED(PADDB, 0, 0xfc, 0),
    PACKED(PADDW, 0, 0xfd, 0),
    PACKED(PADDD, 0, 0xfe, 0),
    PACKED(PADDQ, 0, 0xd4, 0),
    PACKED(PADDSB, 0, 0xec, 0),
    PACKED(PADDSW, 0, 0xed, 0),
    PACKED(PADDUSB, 0, 0xdc, 0),
    PACKED(PADDUSW, 0, 0xdd, 0),
    PACKED(PSUBB, 0, 0xf8, 0),
    PACKED(PSUBW, 0, 0xf9, 0),
    PACKED(PSUBD, 0, 0xfa, 0),
    PACKED(PSUBQ, 0, 0xfb, 0),
    PACKED(PSUBSB, 0, 0xe8, 0),
    PACKED(PSUBSW, 0, 0xe9, 0),
    PACKED(PSUBUSB, 0, 0xd8, 0),
    PACKED(PSUBUSW, 0, 0xd9, 0),
    PACKED(PMULLW, 0, 0xd5, 0),
    PACKED(PMULHW, 0, 0xe5, 0),
    PACKED(PMULHUW, 0, 0xe4, 0),
    PACKED(PMULUDQ, 0, 0xf4, 0),
    PACKED(PMADDWD, 0, 0xf5, 0),
    PACKED(PSADBW, 0, 0xf6, 0),
    PACKED(PAVGB, 0, 0xe0, 0),
    PACKED(PAVGW, 0, 0xe3, 0),
    PACKED(PMINUB, 0, 0xda, 0),
    PACKED(PMINSW, 0, 0xea, 0),
    PACKED(PMAXUB, 0, 0xde, 0),
    PACKED(PMAXSW, 0, 0xee, 0),
    PACKED(PAND, 0, 0xdb, 0),
    PACKED(PANDN, 0, 0xdf, 0),
    PACKED(POR, 0, 0xeb, 0),
    PACKED(PXOR, 0, 0xef, 0),
    PACKED(PCMPEQB, 0, 0x74, 0),
    PACKED(PCMPEQW, 0, 0x75, 0),
    PACKED(PCMPEQD, 0, 0x76, 0),
    PACKED(PCMPGTB, 0, 0x64, 0),
    PACKED(PCMPGTW, 0, 0x65, 0),
    PACKED(PCMPGTD, 0, 0x66, 0),
    SHIFT(PSLLW, 0xf1, 0x71, 6),
    SHIFT(PSLLD, 0xf2, 0x72, 6),
    SHIFT(PSLLQ, 0xf3, 0x73, 6),
    SHIFT(PSRLW, 0xd1, 0x71, 2),
    SHIFT(PSRLD, 0xd2, 0x72, 2),
    SHIFT(PSRLQ, 0xd3, 0x73, 2),
    SHIFT(PSRAW, 0xe1, 0x71, 4),
    SHIFT(PSRAD, 0xe2, 0x72, 4),
    {"PSLLDQ", X86_PSLLDQ, 0x66, 0, 0x73, IX, INTS, IMM, 7},
    {"PSRLDQ", X86_PSRLDQ, 0x66, 0, 0x73, IX, INTS, IMM, 3},
    PACKED(PACKSSWB, 0, 0x63, 0),
    PACKED(PACKSSDW, 0, 0x6b, 0),
    PACKED(PACKUSWB, 0, 0x67, 0),
    PACKED(PUNPCKLBW, 0, 0x60, 0),
    PACKED(PUNPCKLWD, 0, 0x61, 0),
    PACKED(PUNPCKLDQ, 0, 0x62, 0),
    PACKED(PUNPCKHBW, 0, 0x68, 0),
    PACKED(PUNPCKHWD, 0, 0x69, 0),
    PACKED(PUNPCKHDQ, 0, 0x6a, 0),
    SSE(PUNPCKLQDQ, 0, 0x6c, 0),
    SSE(PUNPCKHQDQ, 0, 0x6d, 0),
    PSPD(UNPCKL, 0x14, 0),
    PSPD(UNPCKH, 0x15, 0),
    PSPD(SHUF, 0xc6, IMM),
    T(PSHUFW, 0, 0, 0x70, MM, INTS, IMM),
    SSE(PSHUFD, 0, 0x70, IMM),
    T(PSHUFLW, 0xf2, 0, 0x70, XX, INTS, IMM),
    T(PSHUFHW, 0xf3, 0, 0x70, XX, INTS, IMM),
    PACKED(PSHUFB, 0x38, 0x00, 0),
    PACKED(PHADDW, 0x38, 0x01, 0),
    PACKED(PHADDD, 0x38, 0x02, 0),
    PACKED(PHADDSW, 0x38, 0x03, 0),
    PACKED(PMADDUBSW, 0x38, 0x04, 0),
    PACKED(PHSUBW, 0x38, 0x05, 0),
    PACKED(PHSUBD, 0x38, 0x06, 0),
    PACKED(PHSUBSW, 0x38, 0x07, 0),
    PACKED(PSIGNB, 0x38, 0x08, 0),
    PACKED(PSIGNW, 0x38, 0x09, 0),
    PACKED(PSIGND, 0x38, 0x0a, 0),
    PACKED(PMULHRSW, 0x38, 0x0b, 0),
    PACKED(PABSB, 0x38, 0x1c, 0),
    PACKED(PABSW, 0x38, 0x1d, 0),
    PACKED(PABSD, 0x38, 0x1e, 0),
    PACKED(PALIGNR, 0x3a, 0x0f, IMM),
    SSE(PBLENDVB, 0x38, 0x10, 0),
    SSE(BLENDVPS, 0x38, 0x14, 0),
    SSE(BLENDVPD, 0x38, 0x15, 0),
    SSE(PTEST, 0x38, 0x17, 0),
    SSE(PMOVSXBW, 0x38, 0x20, 0),
    SSE(PMOVSXBD, 0x38, 0x21, 0),
    SSE(PMOVSXBQ, 0x38, 0x22, 0),
    SSE(PMOVSXWD, 0x38, 0x23, 0),
    SSE(PMOVSXWQ, 0x38, 0x24, 0),
    SSE(PMOVSXDQ, 0x38, 0x25, 0),
    SSE(PMULDQ, 0x38, 0x28, 0),
    SSE(PCMPEQQ, 0x38, 0x29, 0),
    SSE(PACKUSDW, 0x38, 0x2b, 0),
    SSE(PMOVZXBW, 0x38, 0x30, 0),
    SSE(PMOVZXBD, 0x38, 0x31, 0),
    SSE(PMOVZXBQ, 0x38, 0x32, 0),
    SSE(PMOVZXWD, 0x38, 0x33, 0),
    SSE(PMOVZXWQ, 0x38, 0x34, 0),
    SSE(PMOVZXDQ, 0x38, 0x35, 0),
    SSE(PCMPGTQ, 0x38, 0x37, 0),
    SSE(PMINSB, 0x38, 0x38, 0),
    SSE(PMINSD, 0x38, 0x39, 0),
    SSE(PMINUW, 0x38, 0x3a, 0),
    SSE(PMINUD, 0x38, 0x3b, 0),
    SSE(PMAXSB, 0x38, 0x3c, 0),
    SSE(PMAXSD, 0x38, 0x3d, 0),
    SSE(PMAXUW, 0x38, 0x3e, 0),
    SSE(PMAXUD, 0x38, 0x3f, 0),
    SSE(PMULLD, 0x38, 0x40, 0),
    SSE(PHMINPOSUW, 0x38, 0x41, 0),
    SSE(BLENDPS, 0x3a, 0x0c, IMM),
    SSE(BLENDPD, 0x3a, 0x0d, IMM),
    SSE(PBLENDW, 0x3a, 0x0e, IMM),
    SSE(INSERTPS, 0x3a, 0x21, IMM),
    SSE(MPSADBW, 0x3a, 0x42, IMM),
    SSE(PCMPESTRM, 0x3a, 0x60, IMM),
    SSE(PCMPESTRI, 0x3a, 0x61, IMM),
    SSE(PCMPISTRM, 0x3a, 0x62, IMM),
    SSE(PCMPISTRI, 0x3a, 0x63, IMM),
    T(PINSRB, 0x66, 0x3a, 0x20, XG, INTS, IMM),
    T(PINSRD, 0x66, 0x3a, 0x22, XG, INTS, IMM),
    T(PINSRD, 0x66, 0x3a, 0x22, XG, INTS, IMM | WIDE),
    T(PINSRW, 0x66, 0, 0xc4, XG, INTS, IMM),
    T(PINSRW, 0, 0, 0xc4, MG, INTS, IMM),
    T(PEXTRW, 0x66, 0, 0xc5, GX, INTS, IMM),
    T(PEXTRW, 0, 0, 0xc5, GM, INTS, IMM),
    T(PEXTRB, 0x66, 0x3a, 0x14, RX, INTS, IMM),
    T(PEXTRW, 0x66, 0x3a, 0x15, RX, INTS, IMM),
    T(PEXTRD, 0x66, 0x3a, 0x16, RX, INTS, IMM),
    T(PEXTRD, 0x66, 0x3a, 0x16, RX, INTS, IMM | WIDE),
    T(EXTRACTPS, 0x66, 0x3a, 0x17, RX, INTS, IMM),
    T(PMOVMSKB, 0x66, 0, 0xd7, GX, INTS, 0),
    T(PMOVMSKB, 0, 0, 0xd7, GM, INTS, 0),
    T(MOVMSKPS, 0, 0, 0x50, GX, INTS, 0),
    T(MOVMSKPD, 0x66, 0, 0x50, GX, INTS, 0),

    T(MOVAPS, 0, 0, 0x28, XX, INTS, 0),
    T(MOVUPD, 0x66, 0, 0x10, XX, INTS, 0),
    T(MOVSS, 0xf3, 0, 0x10, XX, INTS, 0),
    T(MOVSD, 0xf2, 0, 0x10, XX, INTS, 0),
    T(MOVHLPS, 0, 0, 0x12, XX, INTS, 0),
    T(MOVLHPS, 0, 0, 0x16, XX, INTS, 0),
    T(MOVSHDUP, 0xf3, 0, 0x16, XX, INTS, 0),
    T(MOVSLDUP, 0xf3, 0, 0x12, XX, INTS, 0),
    T(MOVDDUP, 0xf2, 0, 0x12, XX, INTS, 0),
    T(MOVQ, 0xf3, 0, 0x7e, XX, INTS, 0),
    T(MOVD, 0x66, 0, 0x6e, XG, INTS, 0),
    T(MOVD, 0x66, 0, 0x6e, XG, INTS, WIDE),
    T(MOVD, 0, 0, 0x6e, MG, INTS, 0),
    T(MOVD, 0x66, 0, 0x7e, RX, INTS, 0),
    T(MOVD, 0x66, 0, 0x7e, RX, INTS, WIDE),
    T(MOVD, 0, 0, 0x7e, RM, INTS, 0),
    T(MOVQ, 0, 0, 0x6f, MM, INTS, 0),
    T(MOVQ2DQ, 0xf3, 0, 0xd6, XM, INTS, 0),
    T(MOVDQ2Q, 0xf2, 0, 0xd6, MX, INTS, 0),

    SSE(AESENC, 0x38, 0xdc, 0),
    SSE(AESENCLAST, 0x38, 0xdd, 0),
    SSE(AESDEC, 0x38, 0xde, 0),
    SSE(AESDECLAST, 0x38, 0xdf, 0),
    SSE(AESIMC, 0x38, 0xdb, 0),
    SSE(AESKEYGENASSIST, 0x3a, 0xdf, IMM),
    SSE(PCLMULQDQ, 0x3a, 0x44, IMM),
    T(SHA1RNDS4, 0, 0x3a, 0xcc, XX, INTS, IMM),
    T(SHA1NEXTE, 0, 0x38, 0xc8, XX, INTS, 0),
    T(SHA1MSG1, 0, 0x38, 0xc9, XX, INTS, 0),
    T(SHA1MSG2, 0, 0x38, 0xca, XX, INTS, 0),
    T(SHA256RNDS2, 0, 0x38, 0xcb, XX, INTS, 0),
    T(SHA256MSG1, 0, 0x38, 0xcc, XX, INTS, 0),
    T(SHA256MSG2, 0, 0x38, 0xcd, XX, INTS, 0),
};

/* --- Data ------------------------------------------------------------------------------------ */

static void random_vec(union cpu_vec *v, enum data data)
{
    static const uint64_t interesting[] = {
        0, ~0ull, 0x8000000080000000u, 0x7fff80007fff8000u, 0x8080808080808080u, 0x100ff0100ff0100u,
        7, 40};

    for (unsigned i = 0; i < 2; i++) {
        uint64_t r = random64();

        if (data == SINGLES)
            v->u64[i] = random_float(23, 8) | random_float(23, 8) << 32;
        else if (data == DOUBLES)
            v->u64[i] = random_float(52, 11);
        else
            v->u64[i] = r & 3 ? random64() : interesting[r >> 2 & 7];
    }
}

/* --- Running natively ------------------------------------------------------------------------ */

static size_t emit(uint8_t *code, const struct test *t, uint8_t imm)
{
    const uint8_t *start = code;

    if (t->prefix)
        *code++ = t->prefix;
    if (t->flags & WIDE)
        *code++ = 0x48;
    *code++ = 0x0f;
    if (t->map)
        *code++ = t->map;
    *code++ = t->opcode;
    *code++ = t->shape == IX || t->shape == IM ? 0xc1 | t->ext << 3 : 0xca;
    if (t->flags & IMM)
        *code++ = imm;
    *code = 0xc3; /* RET */
    return (size_t)(code - start);
}

static void run_native(const void *code, struct regs *r)
{
    static const uint32_t plain = 0x1f80;

    __asm__ volatile("lea -128(%%rsp), %%rsp\n\t" /* over the red zone */
                     "ldmxcsr %c[mxcsr](%[r])\n\t"
                     "movdqu 0(%[r]), %%xmm0\n\t"
                     "movdqu 16(%[r]), %%xmm1\n\t"
                     "movdqu 32(%[r]), %%xmm2\n\t"
                     "movq 56(%[r]), %%mm1\n\t"
                     "movq 64(%[r]), %%mm2\n\t"
                     "mov %c[rax](%[r]), %%rax\n\t"
                     "mov %c[rcx](%[r]), %%rcx\n\t"
                     "mov %c[rdx](%[r]), %%rdx\n\t"
                     "push %%rbx\n\t"
                     "xor %%ebx, %%ebx\n\t"
                     "call *%[code]\n\t"
                     "pushfq\n\t"
                     "pop %%rbx\n\t"
                     "mov %%rbx, %c[flags](%[r])\n\t"
                     "pop %%rbx\n\t"
                     "mov %%rax, %c[rax](%[r])\n\t"
                     "mov %%rcx, %c[rcx](%[r])\n\t"
                     "mov %%rdx, %c[rdx](%[r])\n\t"
                     "stmxcsr %c[mxcsr](%[r])\n\t"
                     "movdqu %%xmm0, 0(%[r])\n\t"
                     "movdqu %%xmm1, 16(%[r])\n\t"
                     "movdqu %%xmm2, 32(%[r])\n\t"
                     "movq %%mm1, 56(%[r])\n\t"
                     "movq %%mm2, 64(%[r])\n\t"
                     "emms\n\t"
                     "lea 128(%%rsp), %%rsp\n\t"
                     "ldmxcsr %[plain]\n\t"
                     :
                     : [r] "S"(r), [code] "D"(code), [mxcsr] "i"(offsetof(struct regs, mxcsr)),
                       [rax] "i"(offsetof(struct regs, rax)), [rcx] "i"(offsetof(struct regs, rcx)),
                       [rdx] "i"(offsetof(struct regs, rdx)),
                       [flags] "i"(offsetof(struct regs, rflags)), [plain] "m"(plain)
                     : "rax", "rcx", "rdx", "xmm0", "xmm1", "xmm2", "mm1", "mm2", "memory", "cc");
}

/* An unmasked exception: noted, and the instruction left out. */
static volatile sig_atomic_t trapped;
static size_t code_length;

static void on_sigfpe(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    trapped = 1;
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += (greg_t)code_length;
}

/* --- Running on the software CPU ------------------------------------------------------------- */

static struct cpu cpu;

static struct x86_insn instruction(const struct test *t, uint8_t imm)
{
    static const uint8_t kinds[][2] = {
        [XX] = {X86_XMM, X86_XMM}, [MM] = {X86_MMX, X86_MMX}, [GX] = {X86_GPR, X86_XMM},
        [XG] = {X86_XMM, X86_GPR}, [XM] = {X86_XMM, X86_MMX}, [MX] = {X86_MMX, X86_XMM},
        [GM] = {X86_GPR, X86_MMX}, [MG] = {X86_MMX, X86_GPR}, [RX] = {X86_GPR, X86_XMM},
        [RM] = {X86_GPR, X86_MMX}, [IX] = {X86_XMM, X86_IMM}, [IM] = {X86_MMX, X86_IMM},
    };
    bool reversed = t->shape == RX || t->shape == RM;
    struct x86_insn insn = {.op = t->op, .imm = imm, .count = 2, .width = X86_CODE64};

    for (unsigned i = 0; i < 2; i++) {
        insn.operand[i].kind = kinds[t->shape][i];
        insn.operand[i].reg = (i == 0) == reversed ? 2 : 1;
        insn.operand[i].size = insn.operand[i].kind == X86_XMM   ? 16
                               : insn.operand[i].kind == X86_MMX ? 8
                               : t->flags & WIDE                 ? 8
                                                                 : 4;
    }
    if (t->flags & WIDE)
        insn.prefixes = X86_PREFIX_REX | X86_PREFIX_REX_W;
    return insn;
}

static int run_soft(const struct x86_insn *insn, struct regs *r)
{
    cpu_handler *handler = cpu_bind_sse_move(insn);
    int status;

    if (!handler)
        handler = cpu_bind_sse_float(insn);
    if (!handler)
        handler = cpu_bind_sse_int(insn);
    if (!handler)
        handler = cpu_bind_crypto(insn);
    if (!handler)
        return CPU_DECLINE;
    cpu.r.cr4 = X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT;
    cpu.width = X86_CODE64;
    cpu.fpu.mxcsr = r->mxcsr;
    cpu.fpu.fsw = 0;
    for (unsigned i = 0; i < 3; i++) {
        memcpy(cpu.fpu.vector[i], &r->xmm[i], 16);
        cpu.fpu.st[i].significand = r->mm[i];
    }
    cpu.r.gpr[RINGSIDE_RAX] = r->rax;
    cpu.r.gpr[RINGSIDE_RCX] = r->rcx;
    cpu.r.gpr[RINGSIDE_RDX] = r->rdx;
    cpu_set_arith_flags(&cpu, X86_FLAG_ZF | X86_FLAG_PF);
    status = handler(&cpu, insn);
    for (unsigned i = 0; i < 3; i++) {
        memcpy(&r->xmm[i], cpu.fpu.vector[i], 16);
        r->mm[i] = cpu.fpu.st[i].significand;
    }
    r->mxcsr = cpu.fpu.mxcsr;
    r->rax = cpu.r.gpr[RINGSIDE_RAX];
    r->rcx = cpu.r.gpr[RINGSIDE_RCX];
    r->rdx = cpu.r.gpr[RINGSIDE_RDX];
    r->rflags = (cpu_cf(&cpu) ? X86_FLAG_CF : 0) | (cpu_pf(&cpu) ? X86_FLAG_PF : 0) |
                (cpu_af(&cpu) ? X86_FLAG_AF : 0) | (cpu_zf(&cpu) ? X86_FLAG_ZF : 0) |
                (cpu_sf(&cpu) ? X86_FLAG_SF : 0) | (cpu_of(&cpu) ? X86_FLAG_OF : 0);
    return status;
}

/* --- The comparison -------------------------------------------------------------------------- */

static bool close_enough(uint32_t a, uint32_t b)
{
    uint32_t difference = a > b ? a - b : b - a;

    if ((a & 0x7fffffff) <= 0x00800000 && (b & 0x7fffffff) <= 0x00800000)
        return true;              /* at the edge of what is flushed to zero */
    return difference <= 3 << 12; /* both within 1.5 * 2^-12 */
}

static bool same(const struct test *t, const struct regs *a, const struct regs *b)
{
    if (t->flags & TOLERANT) {
        for (unsigned i = 0; i < 4; i++)
            if (!close_enough(a->xmm[1].u32[i], b->xmm[1].u32[i]))
                return false;
    } else if (memcmp(&a->xmm[1], &b->xmm[1], 16)) {
        return false;
    }
    return !memcmp(&a->xmm[0], &b->xmm[0], 16) && !memcmp(&a->xmm[2], &b->xmm[2], 16) &&
           a->mm[1] == b->mm[1] && a->mm[2] == b->mm[2] && a->rcx == b->rcx && a->rdx == b->rdx &&
           a->mxcsr == b->mxcsr && (a->rflags & X86_FLAGS_ARITH) == (b->rflags & X86_FLAGS_ARITH);
}

static void show(const char *what, const struct regs *r)
{
    printf("%-7s xmm1 %016llx%016llx xmm2 %016llx%016llx mm1 %016llx mm2 %016llx rcx %llx rdx %llx "
           "mxcsr %x flags %x\n",
           what, (unsigned long long)r->xmm[1].u64[1], (unsigned long long)r->xmm[1].u64[0],
           (unsigned long long)r->xmm[2].u64[1], (unsigned long long)r->xmm[2].u64[0],
           (unsigned long long)r->mm[1], (unsigned long long)r->mm[2], (unsigned long long)r->rcx,
           (unsigned long long)r->rdx, r->mxcsr, (unsigned)(r->rflags & X86_FLAGS_ARITH));
}

static unsigned compare(const struct test *t, uint8_t *code, unsigned cases)
{
    unsigned failed = 0;

    for (unsigned i = 0; i < cases && failed < 3; i++) {
        struct regs in = {.rax = random64() % 40 - 20, .rcx = random64()}, native, soft;
        uint8_t imm = (uint8_t)random64();
        struct x86_insn insn;
        int status;

        for (unsigned n = 0; n < 3; n++) {
            random_vec(&in.xmm[n], (enum data)t->data);
            in.mm[n] = in.xmm[n].u64[1];
        }
        if (t->op >= X86_PCMPESTRI && t->op <= X86_PCMPISTRM && (random64() & 1))
            for (unsigned b = 0; b < 16; b++) {
                in.xmm[1].u8[b] &= 3;
                in.xmm[2].u8[b] &= 3;
            }
        if (t->op == X86_ROUNDPS || t->op == X86_ROUNDPD)
            imm &= 15;
        in.rdx = t->shape == XX ? random64() % 40 - 20 : random64() >> random64() % 64;
        /* mostly all exceptions masked; rounding, DAZ and FTZ vary, and the flags are clear */
        in.mxcsr = (random64() & 7 ? 0x1f80 : (uint32_t)random64() & 0x1f80) |
                   (uint32_t)(random64() & 3) << 13 | (random64() & 7 ? 0 : 0x40) |
                   (random64() & 7 ? 0 : 0x8000);
        native = soft = in;
        code_length = emit(code, t, imm);
        insn = instruction(t, imm);
        status = run_soft(&insn, &soft);
        if (status && (status != CPU_FAULT || cpu.fault.vector != X86_EXC_XM)) {
            printf("%s: refused\n", t->name);
            return 1;
        }
        trapped = 0;
        run_native(code, &native);
        if (!same(t, &native, &soft) || trapped != (status == CPU_FAULT)) {
            printf("%s shape %u imm %02x wide %u\n", t->name, t->shape, imm, t->flags & WIDE);
            show("in", &in);
            show("native", &native);
            show("soft", &soft);
            failed++;
        }
    }
    return failed;
}

static bool host_has(const struct test *t)
{
    switch (t->op) {
    case X86_SHA1RNDS4 ... X86_SHA256MSG2: {
        uint32_t a = 7, b, c = 0, d;

        __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        return b >> 29 & 1;
    }
    case X86_AESENC ... X86_AESKEYGENASSIST: return __builtin_cpu_supports("aes");
    case X86_PCLMULQDQ: return __builtin_cpu_supports("pclmul");
    default: return __builtin_cpu_supports("sse4.2");
    }
}

static void test_against_host(void **state)
{
    unsigned failed = 0, cases = random_start(5000);
    uint8_t *code =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    struct sigaction action = {.sa_sigaction = on_sigfpe, .sa_flags = SA_SIGINFO};

    (void)state;
    assert_true(code != MAP_FAILED);
    sigaction(SIGFPE, &action, NULL);
    for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
        if (host_has(&tests[i]))
            failed += compare(&tests[i], code, cases) != 0;
    munmap(code, 4096);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest list[] = {cmocka_unit_test(test_against_host)};

    return cmocka_run_group_tests(list, NULL, NULL);
}

#endif
