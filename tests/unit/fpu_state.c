/* When floating-point instructions fault, what their state images hold, and MMX's use of x87. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/internal.h"
#include "cpu_machine.h"
#include "x86/regs.h"

static struct machine *m;

static int setup(void **state)
{
    (void)state;
    m = machine_new();
    machine_long_mode(m);
    m->cpu.r.cr4 |= X86_CR4_OSXSAVE | X86_CR4_OSXMMEXCPT;
    m->cpu.r.xcr0 = 3;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_free(m);
    return 0;
}

enum { NO_FAULT = -1 };

/*
 * Run code from CODE_AT to its HLT, RDI at DATA_AT: the vector of the exception it ended in, or
 * NO_FAULT.
 */
static int run(const uint8_t *code, const uint8_t *end)
{
    uint64_t rip;

    memcpy(m->ram + CODE_AT, code, (size_t)(end - code));
    cpu_code_drop_all(m->cpu.code);
    m->cpu.r.activity = RINGSIDE_RUNNING;
    m->cpu.r.rip = CODE_AT;
    m->cpu.r.gpr[RINGSIDE_RDI] = DATA_AT;
    m->cpu.r.gpr[RINGSIDE_RSP] = STACK_AT;
    cpu_update_mode(&m->cpu);
    assert_int_equal(cpu_run(&m->cpu, m->cpu.count + 1000), CPU_EXIT_HALT);
    rip = m->cpu.r.rip - 1;
    return rip < IDT_HANDLER(256) ? (int)((rip - IDT_HANDLER(0)) / 16) : NO_FAULT;
}
#define RUN(name)           run(name, name##_end)
#define PROGRAM(name, text) CODE(name, text "\n hlt")

static uint64_t memory(unsigned offset, unsigned size)
{
    uint64_t value = 0;

    memcpy(&value, m->ram + DATA_AT + offset, size);
    return value;
}

static void set_memory(unsigned offset, unsigned size, uint64_t value)
{
    memcpy(m->ram + DATA_AT + offset, &value, size);
}

/* --- Availability ---------------------------------------------------------------------------- */

PROGRAM(x87_any, "fninit\n fld1");
PROGRAM(x87_control, "fnstcw (%rdi)");
PROGRAM(sse_any, "addps %xmm1, %xmm2");
PROGRAM(sse_move, "movups (%rdi), %xmm2");
PROGRAM(mmx_any, "paddb %mm1, %mm2");
PROGRAM(fxsave_any, "fxsave (%rdi)");
PROGRAM(ldmxcsr_any, "movl $0x1f80, (%rdi)\n ldmxcsr (%rdi)");
PROGRAM(xsave_any, "mov $3, %eax\n xor %edx, %edx\n xsave (%rdi)");
PROGRAM(wait_any, "fwait");

static void control_bits_say_what_is_available(void **state)
{
    static const struct {
        const uint8_t *code, *end;
        int ts, em, no_osfxsr, no_osxsave;
    } cases[] = {
        {x87_any, x87_any_end, X86_EXC_NM, X86_EXC_NM, NO_FAULT, NO_FAULT},
        {x87_control, x87_control_end, X86_EXC_NM, X86_EXC_NM, NO_FAULT, NO_FAULT},
        {sse_any, sse_any_end, X86_EXC_NM, X86_EXC_UD, X86_EXC_UD, NO_FAULT},
        {sse_move, sse_move_end, X86_EXC_NM, X86_EXC_UD, X86_EXC_UD, NO_FAULT},
        {mmx_any, mmx_any_end, X86_EXC_NM, X86_EXC_UD, NO_FAULT, NO_FAULT},
        {fxsave_any, fxsave_any_end, X86_EXC_NM, X86_EXC_NM, NO_FAULT, NO_FAULT},
        {ldmxcsr_any, ldmxcsr_any_end, X86_EXC_NM, X86_EXC_UD, X86_EXC_UD, NO_FAULT},
        {xsave_any, xsave_any_end, X86_EXC_NM, NO_FAULT, NO_FAULT, X86_EXC_UD},
        {wait_any, wait_any_end, X86_EXC_NM, NO_FAULT, NO_FAULT, NO_FAULT},
    };
    uint64_t cr0 = m->cpu.r.cr0, cr4 = m->cpu.r.cr4;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(run(cases[i].code, cases[i].end), NO_FAULT);
        m->cpu.r.cr0 = cr0 | X86_CR0_TS;
        assert_int_equal(run(cases[i].code, cases[i].end), cases[i].ts);
        m->cpu.r.cr0 = cr0 | X86_CR0_EM;
        assert_int_equal(run(cases[i].code, cases[i].end), cases[i].em);
        m->cpu.r.cr0 = cr0;
        m->cpu.r.cr4 = cr4 & ~(uint64_t)X86_CR4_OSFXSR;
        assert_int_equal(run(cases[i].code, cases[i].end), cases[i].no_osfxsr);
        m->cpu.r.cr4 = cr4 & ~(uint64_t)X86_CR4_OSXSAVE;
        assert_int_equal(run(cases[i].code, cases[i].end), cases[i].no_osxsave);
        m->cpu.r.cr4 = cr4;
    }
    m->cpu.r.cr0 = (cr0 & ~(uint64_t)X86_CR0_MP) | X86_CR0_TS;
    assert_int_equal(RUN(wait_any), NO_FAULT);
}

/* --- Numeric exceptions ---------------------------------------------------------------------- */

PROGRAM(divide_x87,
        "fninit\n movl $0x37b, (%rdi)\n fldcw (%rdi)\n fld1\n fldz\n fdivrp\n fnstsw (%rdi)");
PROGRAM(then_wait, "fwait");
PROGRAM(then_mmx, "paddb %mm0, %mm0");
PROGRAM(then_store, "fstpl 8(%rdi)");
PROGRAM(then_nowait, "fnstsw %ax\n fnclex\n fwait");

static void an_x87_exception_waits_for_the_next_instruction(void **state)
{
    (void)state;
    assert_int_equal(RUN(divide_x87), NO_FAULT);
    assert_int_equal(memory(0, 2) & 0xffff, 0xb084); /* ES, B, ZE; nothing popped */
    assert_int_equal(RUN(then_wait), X86_EXC_MF);
    assert_int_equal(RUN(then_mmx), X86_EXC_MF);
    assert_int_equal(RUN(then_store), X86_EXC_MF);
    assert_int_equal(RUN(then_nowait), NO_FAULT);

    /* With CR0.NE clear it is the interrupt controller's business: IGNNE# is active. */
    assert_int_equal(RUN(divide_x87), NO_FAULT);
    m->cpu.r.cr0 &= ~(uint64_t)X86_CR0_NE;
    assert_int_equal(RUN(then_wait), NO_FAULT);
    m->cpu.r.cr0 |= X86_CR0_NE;
}

PROGRAM(divide_sse,
        "movl $0x1d80, (%rdi)\n ldmxcsr (%rdi)\n pcmpeqd %xmm0, %xmm0\n psrld $25, %xmm0\n"
        "pslld $23, %xmm0\n xorps %xmm1, %xmm1\n divps %xmm1, %xmm0");

static void an_sse_exception_faults_at_once(void **state)
{
    (void)state;
    m->cpu.fpu.vector[0][0] = 0;
    assert_int_equal(RUN(divide_sse), X86_EXC_XM);
    assert_int_equal(m->cpu.fpu.vector[0][0], 0x3f8000003f800000); /* as it was */
    assert_int_equal(m->cpu.fpu.mxcsr, 0x1d84);
    m->cpu.r.cr4 &= ~(uint64_t)X86_CR4_OSXMMEXCPT;
    assert_int_equal(RUN(divide_sse), X86_EXC_UD);
}

/* --- Memory ---------------------------------------------------------------------------------- */

PROGRAM(misaligned_movaps, "movaps 8(%rdi), %xmm0");
PROGRAM(misaligned_store, "movdqa %xmm0, 8(%rdi)");
PROGRAM(misaligned_addps, "addps 4(%rdi), %xmm0");
PROGRAM(misaligned_pshufd, "pshufd $0, 1(%rdi), %xmm0");
PROGRAM(misaligned_movups, "movups 3(%rdi), %xmm0");
PROGRAM(misaligned_scalar, "addsd 3(%rdi), %xmm0\n movss 1(%rdi), %xmm1\n movhps 5(%rdi), %xmm1");
PROGRAM(misaligned_string, "pcmpistri $0, 3(%rdi), %xmm0");
PROGRAM(misaligned_widen, "pmovzxbw 3(%rdi), %xmm0");
PROGRAM(misaligned_fxsave, "fxsave 8(%rdi)");
PROGRAM(misaligned_xsave, "mov $3, %eax\n xor %edx, %edx\n xsave 32(%rdi)");

static void sixteen_bytes_must_be_aligned(void **state)
{
    (void)state;
    assert_int_equal(RUN(misaligned_movaps), X86_EXC_GP);
    assert_int_equal(RUN(misaligned_store), X86_EXC_GP);
    assert_int_equal(RUN(misaligned_addps), X86_EXC_GP);
    assert_int_equal(RUN(misaligned_pshufd), X86_EXC_GP);
    assert_int_equal(RUN(misaligned_movups), NO_FAULT);
    assert_int_equal(RUN(misaligned_scalar), NO_FAULT);
    assert_int_equal(RUN(misaligned_string), NO_FAULT);
    assert_int_equal(RUN(misaligned_widen), NO_FAULT);
    assert_int_equal(RUN(misaligned_fxsave), X86_EXC_GP);
    assert_int_equal(RUN(misaligned_xsave), X86_EXC_GP);
}

PROGRAM(across, "movups 0xff9(%rdi), %xmm0\n movups %xmm0, 0x1ffa(%rdi)");

static void an_operand_may_cross_pages(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 16; i++)
        m->ram[DATA_AT + 0xff9 + i] = (uint8_t)(i + 1);
    assert_int_equal(RUN(across), NO_FAULT);
    assert_memory_equal(m->ram + DATA_AT + 0xff9, m->ram + DATA_AT + 0x1ffa, 16);
}

PROGRAM(store_fault, "fninit\n fldpi\n fstpt 0x1ffc(%rdi)");
PROGRAM(integer_fault, "fninit\n fldpi\n fistpll 0x2000(%rdi)");
PROGRAM(mmx_fault, "fninit\n fldpi\n paddb 0x2000(%rdi), %mm0");

static void a_page_fault_changes_nothing(void **state)
{
    (void)state;
    *machine_pte(m, DATA_AT + 0x2000) = 0;
    cpu_flush_tlb(&m->cpu);
    assert_int_equal(RUN(store_fault), X86_EXC_PF);
    assert_int_equal(m->cpu.fpu.ftw, 0x80);
    assert_int_equal(m->cpu.fpu.fsw, 0x3800);
    assert_int_equal(memory(0x1ffc, 4), 0);
    assert_int_equal(RUN(integer_fault), X86_EXC_PF);
    assert_int_equal(m->cpu.fpu.fsw, 0x3800); /* inexact was not raised */
    assert_int_equal(RUN(mmx_fault), X86_EXC_PF);
    assert_int_equal(m->cpu.fpu.ftw, 0x80);
}

/* --- Images ---------------------------------------------------------------------------------- */

PROGRAM(save_all, "fninit\n fldpi\n fld1\n movl $0x3f80, (%rdi)\n ldmxcsr (%rdi)\n"
                  "pcmpeqb %xmm15, %xmm15\n fxsave64 (%rdi)\n fninit\n fldz\n pxor %xmm15, %xmm15\n"
                  "fxrstor64 (%rdi)");
PROGRAM(bad_mxcsr, "fxsave (%rdi)\n movl $0x10000, 24(%rdi)\n fxrstor (%rdi)");
PROGRAM(bad_ldmxcsr, "movl $0x10000, (%rdi)\n ldmxcsr (%rdi)");

static void fxsave_holds_everything(void **state)
{
    (void)state;
    assert_int_equal(RUN(save_all), NO_FAULT);
    assert_int_equal(memory(0, 2), 0x37f);
    assert_int_equal(memory(2, 2), 0x3000);
    assert_int_equal(memory(4, 1), 0xc0);
    assert_int_equal(memory(6, 2), 0x1e8); /* FLD1, D9 E8, and where it is */
    assert_int_equal(memory(8, 8), CODE_AT + 4);
    assert_int_equal(memory(24, 4), 0x3f80);
    assert_int_equal(memory(28, 4), 0xffff);
    assert_int_equal(memory(32, 8), 0x8000000000000000);
    assert_int_equal(memory(40, 8), 0x3fff);
    assert_int_equal(memory(48, 8), 0xc90fdaa22168c235);
    assert_int_equal(memory(160 + 15 * 16, 8), ~0ull);
    assert_int_equal(m->cpu.fpu.ftw, 0xc0);
    assert_int_equal(m->cpu.fpu.st[1].significand, 0xc90fdaa22168c235);
    assert_int_equal(m->cpu.fpu.vector[15][1], ~0ull);
    assert_int_equal(RUN(bad_mxcsr), X86_EXC_GP);
    assert_int_equal(RUN(bad_ldmxcsr), X86_EXC_GP);
}

PROGRAM(compact, "fninit\n movl $0x1f80, (%rdi)\n ldmxcsr (%rdi)\n movl $7, %eax\n xor %edx, %edx\n"
                 "movaps %xmm1, %xmm0\n xsavec (%rdi)");
PROGRAM(restore_init, "movl $7, %eax\n xor %edx, %edx\n xrstor (%rdi)");
PROGRAM(optimized, "fninit\n fld1\n movl $7, %eax\n xor %edx, %edx\n xsaveopt (%rdi)");

static void xsave_leaves_out_initial_state(void **state)
{
    (void)state;
    memset(m->cpu.fpu.vector, 0, sizeof m->cpu.fpu.vector);
    memset(m->cpu.fpu.st, 0, sizeof m->cpu.fpu.st);
    m->cpu.fpu.vector[9][0] = 7;
    assert_int_equal(RUN(compact), NO_FAULT);
    assert_int_equal(memory(512, 8), 2); /* x87 is initial */
    assert_int_equal(memory(520, 8), 1ull << 63 | 3);
    assert_int_equal(memory(160 + 9 * 16, 8), 7);

    set_memory(512, 8, 0); /* nothing present: all becomes initial */
    m->cpu.fpu.mxcsr = 0x7f80;
    m->cpu.fpu.ftw = 0xff;
    assert_int_equal(RUN(restore_init), NO_FAULT);
    assert_int_equal(m->cpu.fpu.vector[9][0], 0);
    assert_int_equal(m->cpu.fpu.mxcsr, 0x1f80);
    assert_int_equal(m->cpu.fpu.ftw, 0);

    set_memory(512, 8, 4); /* not in XCOMP_BV */
    assert_int_equal(RUN(restore_init), X86_EXC_GP);
    memset(m->ram + DATA_AT + 512, 0, 64);
    set_memory(560, 8, 1); /* reserved, but not checked in the standard form */
    assert_int_equal(RUN(restore_init), NO_FAULT);
    set_memory(528, 8, 1);
    assert_int_equal(RUN(restore_init), X86_EXC_GP);

    memset(m->ram + DATA_AT, 0, 576);
    set_memory(512, 8, 0x10); /* another component's bit stays */
    assert_int_equal(RUN(optimized), NO_FAULT);
    assert_int_equal(memory(512, 8), 0x11);
    assert_int_equal(memory(520, 8), 0);
    assert_int_equal(memory(24, 4),
                     0x1f80); /* MXCSR belongs to the request, not to what is in use */
}

PROGRAM(environment,
        "fninit\n fld1\n fldz\n fldl (%rdi)\n fnsave 64(%rdi)\n fldl2e\n frstor 64(%rdi)\n"
        "fnstenv 256(%rdi)");

static void fnsave_and_frstor_agree(void **state)
{
    (void)state;
    set_memory(0, 8, 0x7ff0000000000000);
    assert_int_equal(RUN(environment), NO_FAULT);
    assert_int_equal(memory(64, 4), 0xffff037f);
    assert_int_equal(memory(68, 4), 0xffff2800);
    assert_int_equal(memory(72, 4), 0xffff1bff); /* R7 valid, R6 zero, R5 special */
    assert_memory_equal(m->ram + DATA_AT + 64, m->ram + DATA_AT + 256, 12);
    assert_int_equal(m->cpu.fpu.st[0].sign_exponent, 0x7fff);
    assert_int_equal(m->cpu.fpu.st[2].significand, 0x8000000000000000);
    assert_int_equal(m->cpu.fpu.fcw, 0x37f); /* masked all the same */
}

PROGRAM(mmx_writes, "fninit\n fld1\n fldpi\n pcmpeqb %mm3, %mm3");
PROGRAM(emms_only, "emms");

static void mmx_registers_are_x87_significands(void **state)
{
    (void)state;
    assert_int_equal(RUN(mmx_writes), NO_FAULT);
    assert_int_equal(m->cpu.fpu.fsw, 0);
    assert_int_equal(m->cpu.fpu.ftw, 0xff);
    assert_int_equal(m->cpu.fpu.st[3].significand, ~0ull);
    assert_int_equal(m->cpu.fpu.st[3].sign_exponent, 0xffff);
    assert_int_equal(m->cpu.fpu.st[6].significand, 0xc90fdaa22168c235); /* TOP is 0 now */
    assert_int_equal(m->cpu.fpu.st[7].significand, 0x8000000000000000);
    assert_int_equal(RUN(emms_only), NO_FAULT);
    assert_int_equal(m->cpu.fpu.ftw, 0);
}

PROGRAM(mask_move, "mov $0x80, %eax\n movd %eax, %xmm1\n pslldq $1, %xmm1\n pcmpeqb %xmm0, %xmm0\n"
                   "maskmovdqu %xmm1, %xmm0");

static void a_masked_store_writes_its_bytes_only(void **state)
{
    (void)state;
    assert_int_equal(RUN(mask_move), NO_FAULT);
    assert_int_equal(memory(0, 8), 0xff00);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(control_bits_say_what_is_available, setup, teardown),
        cmocka_unit_test_setup_teardown(an_x87_exception_waits_for_the_next_instruction, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_sse_exception_faults_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(sixteen_bytes_must_be_aligned, setup, teardown),
        cmocka_unit_test_setup_teardown(an_operand_may_cross_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(a_page_fault_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(fxsave_holds_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(xsave_leaves_out_initial_state, setup, teardown),
        cmocka_unit_test_setup_teardown(fnsave_and_frstor_agree, setup, teardown),
        cmocka_unit_test_setup_teardown(mmx_registers_are_x87_significands, setup, teardown),
        cmocka_unit_test_setup_teardown(a_masked_store_writes_its_bytes_only, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
