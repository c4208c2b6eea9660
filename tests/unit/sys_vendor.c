/* What the two vendors do differently, MSRs, and that CPUID promises what there is. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu_fixture.h"

static void become(enum cpu_vendor vendor)
{
    machine_long_mode(m);
    m->cpu.model.vendor = vendor;
    m->cpu.r.efer |= X86_EFER_SCE;
    m->cpu.r.star = 0x0023000800000000;
    m->cpu.r.lstar = 0x9000;
    m->cpu.r.cstar = 0xa000;
}

static void compatibility_mode(void)
{
    m->cpu.r.seg[RINGSIDE_CS].access = 0xc09b;
    cpu_update_mode(&m->cpu);
}

CODE(do_syscall, "syscall");
CODE(do_sysret, "sysretq");
CODE(do_sysenter, "sysenter");

#define STEP(program)                                                                              \
    do {                                                                                           \
        MACHINE_CODE(m, program);                                                                  \
        cpu_code_drop_page(m->cpu.code, CODE_AT);                                                  \
        assert_int_equal(cpu_step(&m->cpu, 0), CPU_EXIT_LIMIT);                                    \
    } while (0)

/* --- SYSCALL and its kin --------------------------------------------------------------------- */

static void syscall_in_compatibility_mode(void **state)
{
    (void)state;
    become(CPU_AMD);
    compatibility_mode();
    STEP(do_syscall);
    assert_int_equal(m->cpu.r.rip, 0xa000);
    become(CPU_INTEL);
    compatibility_mode();
    STEP(do_syscall);
    assert_int_equal(m->cpu.r.rip, IDT_HANDLER(X86_EXC_UD));
}

static void sysenter_in_long_mode(void **state)
{
    (void)state;
    become(CPU_AMD);
    m->cpu.r.sysenter_cs = 0x08;
    STEP(do_sysenter);
    assert_int_equal(m->cpu.r.rip, IDT_HANDLER(X86_EXC_UD));
    become(CPU_INTEL);
    m->cpu.r.sysenter_cs = 0x08;
    m->cpu.r.sysenter_eip = 0xb000;
    STEP(do_sysenter);
    assert_int_equal(m->cpu.r.rip, 0xb000);
}

/* A non-canonical RCX: Intel faults in SYSRET, AMD when user mode fetches. */
static void sysret_to_nowhere(void **state)
{
    (void)state;
    become(CPU_INTEL);
    m->cpu.r.gpr[RINGSIDE_RCX] = 1ull << 47;
    STEP(do_sysret);
    assert_int_equal(m->cpu.r.rip, IDT_HANDLER(X86_EXC_GP));
    become(CPU_AMD);
    m->cpu.r.gpr[RINGSIDE_RCX] = 1ull << 47;
    STEP(do_sysret);
    assert_true(m->cpu.r.rip == 1ull << 47);
    assert_int_equal(m->cpu.cpl, 3);
}

/* AMD's SYSRET leaves the hidden part of SS alone. */
static void sysret_stack_segment(void **state)
{
    for (unsigned vendor = CPU_INTEL; vendor <= CPU_AMD; vendor++) {
        become((enum cpu_vendor)vendor);
        m->cpu.r.gpr[RINGSIDE_RCX] = CODE_AT;
        m->cpu.r.gpr[RINGSIDE_R11] = 2;
        m->cpu.r.seg[RINGSIDE_SS] = (struct ringside_segment){.selector = 0};
        cpu_update_mode(&m->cpu);
        STEP(do_sysret);
        assert_int_equal(m->cpu.r.seg[RINGSIDE_SS].selector, 0x2b);
        assert_int_equal(m->cpu.r.seg[RINGSIDE_SS].access,
                         vendor == CPU_INTEL ? 0xc0f3 : X86_SEG_DPL);
        assert_int_equal(m->cpu.cpl, 3);
    }
    (void)state;
}

/* SYSRET that sets TF traps before the first instruction of user mode. */
static void sysret_sets_trap_flag(void **state)
{
    (void)state;
    become(CPU_INTEL);
    m->cpu.r.gpr[RINGSIDE_RCX] = DATA_AT;
    m->cpu.r.gpr[RINGSIDE_R11] = X86_FLAG_TF | 2;
    STEP(do_sysret);
    assert_int_equal(m->cpu.r.rip, DATA_AT);
    assert_int_equal(m->cpu.r.pending_debug, X86_DR6_BS);
}

/* An IRET that faults lets NMIs in again on Intel's processors. */
CODE(do_iret, "iretq");

static void iret_that_faults_and_nmi(void **state)
{
    (void)state;
    for (unsigned vendor = CPU_INTEL; vendor <= CPU_AMD; vendor++) {
        become((enum cpu_vendor)vendor);
        m->cpu.r.nmi_blocked = true;
        m->cpu.r.gpr[RINGSIDE_RSP] = DATA_AT; /* a null CS */
        STEP(do_iret);
        assert_int_equal(m->cpu.r.rip, IDT_HANDLER(X86_EXC_GP));
        assert_int_equal(m->cpu.r.nmi_blocked, vendor == CPU_AMD);
    }
}

/* --- MSRs ------------------------------------------------------------------------------------ */

static void msrs_of_one_vendor(void **state)
{
    static const struct {
        uint32_t number;
        bool intel, amd;
    } cases[] = {
        {X86_MSR_PAT, true, true},
        {X86_MSR_MISC_ENABLE, true, false},
        {X86_MSR_ARCH_CAPABILITIES, true, false},
        {X86_MSR_AMD_HWCR, false, true},
        {X86_MSR_AMD_SYSCFG, false, true},
        {X86_MSR_AMD_DE_CFG, false, true},
        {0xce /* PLATFORM_INFO */, false, false},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t value;

        become(CPU_INTEL);
        assert_int_equal(cpu_read_msr(&m->cpu, cases[i].number, &value) == CPU_NEXT,
                         cases[i].intel);
        become(CPU_AMD);
        assert_int_equal(cpu_read_msr(&m->cpu, cases[i].number, &value) == CPU_NEXT, cases[i].amd);
    }
}

/* What is read can be written back. */
static void msrs_read_and_write_back(void **state)
{
    (void)state;
    for (unsigned vendor = CPU_INTEL; vendor <= CPU_AMD; vendor++) {
        become((enum cpu_vendor)vendor);
        for (uint32_t n = 0; n < 0x6000; n++) {
            const uint32_t bases[] = {0, 0xc0000000, 0xc0010000};
            const uint32_t number = bases[n >> 13] + (n & 0x1fff);
            uint64_t before, after;

            if (cpu_read_msr(&m->cpu, number, &before) != CPU_NEXT)
                continue;
            assert_int_equal(cpu_write_msr(&m->cpu, number, before), CPU_NEXT);
            assert_int_equal(cpu_read_msr(&m->cpu, number, &after), CPU_NEXT);
            assert_true(before == after);
        }
    }
}

static void tsc_and_its_adjustment(void **state)
{
    uint64_t value;

    (void)state;
    assert_int_equal(cpu_write_msr(&m->cpu, X86_MSR_TSC_ADJUST, 1000), CPU_NEXT);
    assert_int_equal(cpu_tsc(&m->cpu), 1000);
    assert_int_equal(cpu_write_msr(&m->cpu, X86_MSR_TSC, 300), CPU_NEXT);
    assert_int_equal(cpu_read_msr(&m->cpu, X86_MSR_TSC_ADJUST, &value), CPU_NEXT);
    assert_int_equal(value, 300);
    m->cpu.count += 5;
    m->cpu.idle += 7;
    assert_int_equal(cpu_tsc(&m->cpu), 312);
}

/* --- CPUID ----------------------------------------------------------------------------------- */

/* One instruction of every feature that is one, in 64-bit mode. */
static void features_have_instructions(void **state)
{
    static const struct {
        uint32_t leaf;
        uint8_t subleaf, reg, bit, bytes[8];
    } cases[] = {
        {1, 0, 2, 0, {0xf2, 0x0f, 0xd0, 0xc1}},           /* SSE3: ADDSUBPS */
        {1, 0, 2, 1, {0x66, 0x0f, 0x3a, 0x44, 0xc1, 0}},  /* PCLMULQDQ */
        {1, 0, 2, 9, {0x66, 0x0f, 0x38, 0x00, 0xc1}},     /* SSSE3: PSHUFB */
        {1, 0, 2, 13, {0x48, 0x0f, 0xc7, 0x0f}},          /* CMPXCHG16B */
        {1, 0, 2, 19, {0x66, 0x0f, 0x38, 0x40, 0xc1}},    /* SSE4.1: PMULLD */
        {1, 0, 2, 20, {0x66, 0x0f, 0x3a, 0x63, 0xc1, 0}}, /* SSE4.2: PCMPISTRI */
        {1, 0, 2, 22, {0x0f, 0x38, 0xf0, 0x07}},          /* MOVBE */
        {1, 0, 2, 23, {0xf3, 0x0f, 0xb8, 0xc1}},          /* POPCNT */
        {1, 0, 2, 25, {0x66, 0x0f, 0x38, 0xdc, 0xc1}},    /* AESENC */
        {1, 0, 2, 26, {0x0f, 0xae, 0x27}},                /* XSAVE */
        {1, 0, 2, 30, {0x0f, 0xc7, 0xf0}},                /* RDRAND */
        {1, 0, 3, 8, {0x0f, 0xc7, 0x0f}},                 /* CMPXCHG8B */
        {1, 0, 3, 11, {0x0f, 0x34}},                      /* SYSENTER */
        {1, 0, 3, 15, {0x0f, 0x44, 0xc1}},                /* CMOV */
        {1, 0, 3, 19, {0x0f, 0xae, 0x3f}},                /* CLFLUSH */
        {1, 0, 3, 23, {0x0f, 0x6f, 0xc1}},                /* MMX */
        {1, 0, 3, 24, {0x0f, 0xae, 0x07}},                /* FXSAVE */
        {1, 0, 3, 25, {0x0f, 0x58, 0xc1}},                /* SSE */
        {1, 0, 3, 26, {0x66, 0x0f, 0x58, 0xc1}},          /* SSE2 */
        {7, 0, 1, 0, {0xf3, 0x48, 0x0f, 0xae, 0xc0}},     /* RDFSBASE */
        {7, 0, 1, 10, {0x66, 0x0f, 0x38, 0x82, 0x07}},    /* INVPCID */
        {7, 0, 1, 18, {0x0f, 0xc7, 0xf8}},                /* RDSEED */
        {7, 0, 1, 19, {0x66, 0x0f, 0x38, 0xf6, 0xc1}},    /* ADCX */
        {7, 0, 1, 20, {0x0f, 0x01, 0xca}},                /* CLAC */
        {7, 0, 1, 23, {0x66, 0x0f, 0xae, 0x3f}},          /* CLFLUSHOPT */
        {7, 0, 1, 24, {0x66, 0x0f, 0xae, 0x37}},          /* CLWB */
        {7, 0, 1, 29, {0x0f, 0x38, 0xcb, 0xc1}},          /* SHA256RNDS2 */
        {7, 0, 2, 22, {0xf3, 0x0f, 0xc7, 0xf8}},          /* RDPID */
        {0xd, 1, 0, 0, {0x0f, 0xae, 0x37}},               /* XSAVEOPT */
        {0xd, 1, 0, 1, {0x0f, 0xc7, 0x27}},               /* XSAVEC */
        {0xd, 1, 0, 3, {0x0f, 0xc7, 0x2f}},               /* XSAVES */
        {0x80000001, 0, 2, 0, {0x9f}},                    /* LAHF */
        {0x80000001, 0, 2, 5, {0xf3, 0x0f, 0xbd, 0xc1}},  /* LZCNT */
        {0x80000001, 0, 2, 8, {0x0f, 0x0d, 0x0f}},        /* PREFETCHW */
        {0x80000001, 0, 3, 11, {0x0f, 0x05}},             /* SYSCALL */
        {0x80000001, 0, 3, 27, {0x0f, 0x01, 0xf9}},       /* RDTSCP */
    };
    const uint8_t nothing[] = {0x0f, 0x01, 0xc1}; /* VMCALL: not there */
    struct x86_insn insn;
    cpu_handler *undefined;

    (void)state;
    assert_int_equal(x86_decode(&insn, nothing, sizeof(nothing), X86_CODE64), 3);
    undefined = cpu_bind(&insn);
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t bytes[X86_INSN_MAX] = {0};
        uint32_t out[4];

        memcpy(bytes, cases[i].bytes, sizeof(cases[i].bytes));
        cpu_cpuid(&m->cpu, cases[i].leaf, cases[i].subleaf, out);
        assert_true(out[cases[i].reg] >> cases[i].bit & 1);
        assert_true(x86_decode(&insn, bytes, sizeof(bytes), X86_CODE64) > 0);
        if (cpu_bind(&insn) == undefined)
            fail_msg("leaf %x, register %u, bit %u", cases[i].leaf, cases[i].reg, cases[i].bit);
    }
}

static void leaves(void **state)
{
    uint32_t out[4], last[4];

    (void)state;
    m->cpu.model.count = 4;
    become(CPU_INTEL);
    cpu_cpuid(&m->cpu, 0, 0, out);
    assert_memory_equal(&out[1], "Genu", 4);
    cpu_cpuid(&m->cpu, out[0], 7, last);
    cpu_cpuid(&m->cpu, 0x7fff, 7, out); /* beyond: the last basic one */
    assert_memory_equal(out, last, sizeof(out));
    cpu_cpuid(&m->cpu, 0xb, 1, out);
    assert_int_equal(out[0], 2); /* bits of the core number */
    assert_int_equal(out[1], 4);
    assert_int_equal(out[2], 2 << 8 | 1);

    become(CPU_AMD);
    cpu_cpuid(&m->cpu, 0, 0, out);
    assert_memory_equal(&out[1], "Auth", 4);
    cpu_cpuid(&m->cpu, 0x7fff, 0, out);
    assert_int_equal(out[0] | out[1] | out[2] | out[3], 0);
    cpu_cpuid(&m->cpu, 0x80000008, 0, out);
    assert_int_equal(out[0], CPU_PHYS_BITS | 57 << 8);
    assert_int_equal(out[2], 2 << 12 | 3);
    cpu_cpuid(&m->cpu, 0x40000000, 0, out);
    assert_int_equal(out[0], 0x40000010);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(syscall_in_compatibility_mode),
        TEST(sysenter_in_long_mode),
        TEST(sysret_to_nowhere),
        TEST(sysret_stack_segment),
        TEST(sysret_sets_trap_flag),
        TEST(iret_that_faults_and_nmi),
        TEST(msrs_of_one_vendor),
        TEST(msrs_read_and_write_back),
        TEST(tsc_and_its_adjustment),
        TEST(features_have_instructions),
        TEST(leaves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
