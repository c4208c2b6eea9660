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
#include "unit/fpu_native.h"
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
    for (size_t i = 0; i < fpu_native_count; i++)
        if (host_has(&fpu_native_tests[i]))
            failed += compare(&fpu_native_tests[i], code, cases) != 0;
    munmap(code, 4096);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest list[] = {cmocka_unit_test(test_against_host)};

    return cmocka_run_group_tests(list, NULL, NULL);
}

#endif
