/* Every x87 encoding compared with the host's own processor, from random states, with any masks. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/mman.h>

#include "cpu/x87.h"
#include "unit/fpu_random.h"

#if !defined(__x86_64__)

int main(void)
{
    puts("not an x86-64 host");
    return 77;
}

#else

/* --- State ----------------------------------------------------------------------------------- */

struct image { /* FXSAVE */
    uint16_t fcw, fsw;
    uint8_t ftw, reserved;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mask;
    struct {
        uint64_t significand;
        uint16_t sign_exponent, pad[3];
    } st[8];
    uint8_t rest[352];
} __attribute__((aligned(16)));

enum { MEMORY = 128 };
struct machine {
    struct image fx;
    uint8_t memory[MEMORY];
    uint64_t rax, rflags;
};

static void random_extended(uint64_t *significand, uint16_t *sign_exponent)
{
    *sign_exponent = (uint16_t)((random64() & 1) << 15 | random_exponent(63, 15));
    *significand = random_fraction(63);
    if (*sign_exponent & 0x7fff ? random64() % 64 != 0 : random64() % 32 == 0)
        *significand |= 1ull << 63;
}

static void random_machine(struct machine *m)
{
    memset(m, 0, sizeof *m);
    m->fx.fcw = 0x40 | (uint16_t)(random64() & 0xf00);
    m->fx.fcw |= random64() & 3 ? 0x3f : random64() & 0x3f;
    m->fx.fsw = (uint16_t)(random64() & 0x7f00); /* TOP and the condition codes */
    m->fx.ftw =
        random64() & 7 ? (uint8_t) ~(1u << (((m->fx.fsw >> 11) - 1) & 7)) : (uint8_t)random64();
    if (random64() % 3 == 0)
        m->fx.ftw = 0xff;
    m->fx.mxcsr = 0x1f80;
    for (unsigned i = 0; i < 8; i++)
        random_extended(&m->fx.st[i].significand, &m->fx.st[i].sign_exponent);
    for (unsigned i = 0; i < MEMORY; i++)
        m->memory[i] = (uint8_t)random64();
    m->rax = random64();
    m->rflags = random64() & X86_FLAGS_ARITH;
}

/* The memory operand of the instruction's type. */
static void random_operand(struct machine *m, const struct x86_insn *insn)
{
    bool integer = insn->op == X86_FILD || (insn->op >= X86_FIADD && insn->op <= X86_FIADD) ||
                   insn->op == X86_FBLD;
    uint64_t bits;

    switch (insn->operand[0].size) {
    case 4:
        bits = random_float(23, 8);
        if (!integer)
            memcpy(m->memory, &bits, 4);
        break;
    case 8:
        bits = random_float(52, 11);
        if (!integer)
            memcpy(m->memory, &bits, 8);
        break;
    case 10:
        if (insn->op == X86_FBLD) {
            for (unsigned i = 0; i < 9; i++) /* other digits are undefined */
                m->memory[i] = (uint8_t)(random64() % 10 << 4 | random64() % 10);
        } else {
            uint16_t sign_exponent;

            random_extended(&bits, &sign_exponent);
            memcpy(m->memory, &bits, 8);
            memcpy(m->memory + 8, &sign_exponent, 2);
        }
        break;
    }
}

/* --- Running --------------------------------------------------------------------------------- */

static void run_native(const void *code, struct machine *m)
{
    /* RBX holds m; the stack below the red zone is used. */
    __asm__ volatile(
        "lea -128(%%rsp), %%rsp\n\t"
        "push %%rbx\n\t"
        "mov %[m], %%rbx\n\t"
        "lea %c[memory](%%rbx), %%rdi\n\t"
        "fxrstor64 (%%rbx)\n\t"
        "mov %c[rax](%%rbx), %%rax\n\t"
        "push %c[flags](%%rbx)\n\t"
        "popfq\n\t"
        "call *%[code]\n\t"
        "fxsave64 (%%rbx)\n\t"
        "pushfq\n\t"
        "pop %c[flags](%%rbx)\n\t"
        "mov %%rax, %c[rax](%%rbx)\n\t"
        "fninit\n\t"
        "pop %%rbx\n\t"
        "lea 128(%%rsp), %%rsp"
        :
        : [m] "S"(m), [code] "d"(code), [memory] "i"(offsetof(struct machine, memory)),
          [rax] "i"(offsetof(struct machine, rax)), [flags] "i"(offsetof(struct machine, rflags))
        : "rax", "rdi", "memory", "cc", "st", "st(1)", "st(2)", "st(3)", "st(4)", "st(5)", "st(6)",
          "st(7)");
}

/* Protected mode without paging, all segments flat; the memory operand is at [EDI]. */
static struct cpu cpu;
static uint8_t ram[0x3000] __attribute__((aligned(4096)));
enum { OPERAND_AT = 0x1000 };

static uint8_t *ram_page(void *ctx, uint64_t gpa, bool *writable)
{
    (void)ctx;
    *writable = true;
    return gpa < sizeof ram ? ram + gpa : NULL;
}

static void start_soft(void)
{
    static const struct cpu_bus bus = {.page = ram_page};
    static const struct cpu_model model = {.vendor = CPU_AMD, .count = 1, .tsc_per_insn = 1};
    static uint8_t code[1 << 20] __attribute__((aligned(64)));
    struct ringside_regs r;

    cpu_init(&cpu, &model, &bus, NULL, cpu_code_init(code, sizeof code));
    cpu_get_regs(&cpu, &r);
    r.cr0 |= X86_CR0_PE | X86_CR0_NE;
    r.cr0 &= ~(uint64_t)(X86_CR0_EM | X86_CR0_TS);
    for (unsigned i = 0; i < 6; i++)
        r.seg[i] = (struct ringside_segment){
            .limit = 0xffffffff, .access = i == RINGSIDE_CS ? 0xc09b : 0xc093, .selector = 8};
    cpu_set_regs(&cpu, &r);
}

static int run_soft(const struct x86_insn *insn, struct machine *m)
{
    struct ringside_fpu *f = &cpu.fpu;
    int status;

    f->fcw = m->fx.fcw;
    f->fsw = m->fx.fsw;
    f->ftw = m->fx.ftw;
    for (unsigned i = 0; i < 8; i++) {
        f->st[i].significand = m->fx.st[i].significand;
        f->st[i].sign_exponent = m->fx.st[i].sign_exponent;
    }
    cpu.r.gpr[RINGSIDE_RAX] = m->rax;
    cpu.r.gpr[RINGSIDE_RDI] = OPERAND_AT;
    memcpy(ram + OPERAND_AT, m->memory, MEMORY);
    cpu_set_arith_flags(&cpu, m->rflags);
    status = cpu_bind_x87(insn)(&cpu, insn);
    m->rflags = cpu_rflags(&cpu);
    m->rax = cpu.r.gpr[RINGSIDE_RAX];
    memcpy(m->memory, ram + OPERAND_AT, MEMORY);
    m->fx.fcw = f->fcw;
    m->fx.fsw = f->fsw;
    m->fx.ftw = f->ftw;
    for (unsigned i = 0; i < 8; i++) {
        m->fx.st[i].significand = f->st[i].significand;
        m->fx.st[i].sign_exponent = f->st[i].sign_exponent;
    }
    return status;
}

/* --- The comparison -------------------------------------------------------------------------- */

static bool transcendental(const struct x86_insn *insn)
{
    return insn->op >= X86_F2XM1 && insn->op <= X86_FSINCOS;
}

/* Processors differ among themselves in the last place of transcendental functions. */
static bool same_value(const struct x86_insn *insn, const struct image *a, const struct image *b,
                       unsigned i)
{
    uint64_t x = a->st[i].significand, y = b->st[i].significand;

    if (x == y && a->st[i].sign_exponent == b->st[i].sign_exponent)
        return true;
    if (!transcendental(insn) || (a->st[i].sign_exponent ^ b->st[i].sign_exponent) >> 15)
        return false;
    /* neighbours, also over the edge between two exponents */
    x = (uint64_t)a->st[i].sign_exponent << 63 | (x & ~0ull >> 1);
    y = (uint64_t)b->st[i].sign_exponent << 63 | (y & ~0ull >> 1);
    return x - y + 1 <= 2 && abs(a->st[i].sign_exponent - b->st[i].sign_exponent) <= 1;
}

static bool same(const struct x86_insn *insn, const struct machine *a, const struct machine *b)
{
    unsigned memory = MEMORY, ignored = transcendental(insn) ? X87_SW_C1 : 0;

    for (unsigned i = 0; i < 8; i++)
        if (!same_value(insn, &a->fx, &b->fx, i))
            return false;
    if (insn->op == X86_FNSTENV || insn->op == X86_FNSAVE)
        memory = 12; /* behind it are addresses */
    return a->fx.fcw == b->fx.fcw && !((a->fx.fsw ^ b->fx.fsw) & ~ignored) &&
           a->fx.ftw == b->fx.ftw && a->rax == b->rax &&
           !((a->rflags ^ b->rflags) & X86_FLAGS_ARITH) && !memcmp(a->memory, b->memory, memory);
}

static void show(const char *what, const struct machine *m)
{
    printf("%-7s cw %04x sw %04x tw %02x fl %03x st0 %04x:%016llx st1 %04x:%016llx st7 "
           "%04x:%016llx m ",
           what, m->fx.fcw, m->fx.fsw, m->fx.ftw, (unsigned)(m->rflags & X86_FLAGS_ARITH),
           m->fx.st[0].sign_exponent, (unsigned long long)m->fx.st[0].significand,
           m->fx.st[1].sign_exponent, (unsigned long long)m->fx.st[1].significand,
           m->fx.st[7].sign_exponent, (unsigned long long)m->fx.st[7].significand);
    for (int i = 9; i >= 0; i--)
        printf("%02x", m->memory[i]);
    puts("");
}

static unsigned compare(uint8_t *code, uint8_t opcode, uint8_t modrm, unsigned cases)
{
    const uint8_t bytes[16] = {opcode, modrm};
    unsigned failed = 0;
    struct x86_insn insn;

    if (x86_decode(&insn, bytes, sizeof bytes, X86_CODE32) != 2)
        return 0;
    code[0] = opcode;
    code[1] = modrm;
    code[2] = 0xc3;
    for (unsigned i = 0; i < cases && failed < 2; i++) {
        struct machine in, native, soft;

        random_machine(&in);
        if (insn.count && insn.operand[0].kind == X86_MEM)
            random_operand(&in, &insn);
        native = soft = in;
        if (run_soft(&insn, &soft)) {
            printf("%s %02x %02x: refused\n", x86_op_name(insn.op), opcode, modrm);
            return 1;
        }
        run_native(code, &native);
        if (!same(&insn, &native, &soft)) {
            printf("%s %02x %02x\n", x86_op_name(insn.op), opcode, modrm);
            show("in", &in);
            show("native", &native);
            show("soft", &soft);
            failed++;
        }
    }
    return failed != 0;
}

static void test_against_host(void **state)
{
    unsigned failed = 0, cases = random_start(3000);
    uint8_t *code =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_true(code != MAP_FAILED);
    start_soft();
    for (unsigned opcode = 0xd8; opcode <= 0xdf; opcode++) {
        for (unsigned reg = 0; reg < 8; reg++)
            failed += compare(code, (uint8_t)opcode, (uint8_t)(reg << 3 | 7), cases);
        for (unsigned modrm = 0xc0; modrm <= 0xff; modrm++)
            failed += compare(code, (uint8_t)opcode, (uint8_t)modrm, cases);
    }
    munmap(code, 4096);
    assert_int_equal(failed, 0);
}

int main(void)
{
    const struct CMUnitTest list[] = {cmocka_unit_test(test_against_host)};

    return cmocka_run_group_tests(list, NULL, NULL);
}

#endif
