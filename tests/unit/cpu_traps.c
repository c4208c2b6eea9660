/* Where single-stepping and the debug registers trap, instruction by instruction. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu_fixture.h"

/* --- Traps and shadows one by one ------------------------------------------------------------ */

CODE(trap_program, "nop\n mov $2, %eax\n rep stosb\n hlt");

static void trap_flag_traps_after_each_instruction(void **state)
{
    (void)state;
    MACHINE_CODE(m, trap_program);
    GPR(RCX) = 2;
    GPR(RDI) = DATA_AT;
    m->cpu.r.rflags |= X86_FLAG_TF;
    reload();
    /* nop; its trap */
    RUN(2);
    assert_int_equal(m->cpu.r.rip, IDT_HANDLER(X86_EXC_DB));
    assert_int_equal(m->cpu.r.dr6 & 0xe00f, X86_DR6_BS);
    assert_int_equal(word_at(GPR(RSP)), CODE_AT + 1);
    assert_true(word_at(GPR(RSP) + 16) & X86_FLAG_TF);
    assert_false(m->cpu.r.rflags & X86_FLAG_TF);
}

static void set_dr(unsigned n, uint64_t address, unsigned rw, unsigned len)
{
    struct ringside_regs r;

    cpu_get_regs(&m->cpu, &r);
    r.dr[n] = address;
    r.dr7 |= 2ull << (2 * n) | (uint64_t)rw << (16 + 4 * n) | (uint64_t)len << (18 + 4 * n);
    cpu_set_regs(&m->cpu, &r);
}

CODE(break_program, "nop\n nop\n mov %rax, 0x200008\n mov 0x200008, %rax\n nop\n hlt");

static void guest_code_breakpoints_fault_before(void **state)
{
    (void)state;
    MACHINE_CODE(m, break_program);
    set_dr(1, CODE_AT + 1, 0, 0);
    RUN_HLT();
    assert_int_equal(halted_in(), X86_EXC_DB);
    assert_int_equal(word_at(GPR(RSP)), CODE_AT + 1);
    assert_int_equal(m->cpu.r.dr6 & 0xe00f, 2);
    assert_int_equal(m->cpu.count, 3);
}

static void resume_flag_passes_a_code_breakpoint(void **state)
{
    (void)state;
    MACHINE_CODE(m, break_program);
    set_dr(1, CODE_AT, 0, 0);
    m->cpu.r.rflags |= X86_FLAG_RF;
    RUN_HLT();
    assert_int_equal(m->cpu.r.rip, CODE_AT + (uint64_t)(break_program_end - break_program));
    assert_false(m->cpu.r.rflags & X86_FLAG_RF);
}

static void guest_data_breakpoints_trap_after(void **state)
{
    (void)state;
    MACHINE_CODE(m, break_program);
    set_dr(0, 0x20000c, 1, 3);
    set_dr(2, 0x200008, 3, 0);
    RUN_HLT();
    assert_int_equal(halted_in(), X86_EXC_DB);
    assert_int_equal(word_at(GPR(RSP)), CODE_AT + 10);
    assert_int_equal(m->cpu.r.dr6 & 0xe00f, 5);
}

CODE(sti_program, "cli\n nop\n sti\n mov $1, %eax\n mov $2, %eax\n hlt");

static void sti_holds_interrupts_for_one_instruction(void **state)
{
    (void)state;
    MACHINE_CODE(m, sti_program);
    m->cpu.intr = true;
    m->pending = 0x40;
    RUN_HLT();
    assert_int_equal(halted_in(), 0x40);
    assert_int_equal(GPR(RAX), 1);
}

CODE(kick_program, "sti\n nop\n mov $3, %eax\n mov $0xe0000000, %edx\n mov %eax, (%rdx)\n"
                   "mov $9, %eax\n hlt");

static void a_device_interrupts_right_after_its_write(void **state)
{
    (void)state;
    MACHINE_CODE(m, kick_program);
    m->device_kick = 3;
    RUN_HLT();
    assert_int_equal(halted_in(), 0x40);
    assert_int_equal(GPR(RAX), 3);
}

CODE(ss_program, "mov %ss, %eax\n mov %eax, %ss\n mov $1, %ebx\n hlt");

static void mov_ss_holds_nmi_and_traps(void **state)
{
    (void)state;
    MACHINE_CODE(m, ss_program);
    RUN(2);
    assert_int_equal(m->cpu.r.shadow, RINGSIDE_SHADOW_MOV_SS);
    m->cpu.nmi = true;
    RUN_HLT();
    assert_int_equal(halted_in(), X86_EXC_NMI);
    assert_int_equal(GPR(RBX), 1);
    assert_true(m->cpu.r.nmi_blocked);
}

/* --- All traps of a program ------------------------------------------------------------------- */

struct trap {
    uint64_t offset; /* of the return address, from the program's begin */
    uint64_t dr6;
};

/* What IRETQ would do at the begin of a handler without an error code. */
static void return_from_handler(void)
{
    struct ringside_regs r;
    uint64_t frame;

    cpu_get_regs(&m->cpu, &r);
    frame = r.gpr[RINGSIDE_RSP];
    r.rip = word_at(frame);
    r.rflags = word_at(frame + 16);
    r.gpr[RINGSIDE_RSP] = word_at(frame + 24);
    r.dr6 = X86_DR6_FIXED;
    cpu_set_regs(&m->cpu, &r);
}

/* Run the program at CODE_AT to its end, with the flags set, and compare its #DBs. */
static void expect_traps(uint64_t rflags, size_t length, const struct trap *expected, size_t n)
{
    struct ringside_regs r;
    size_t seen = 0;

    cpu_get_regs(&m->cpu, &r);
    r.rflags |= rflags;
    cpu_set_regs(&m->cpu, &r);
    while (m->cpu.count < 1000 && (m->cpu.r.rip != CODE_AT + length || m->cpu.r.pending_debug)) {
        enum cpu_exit exit = cpu_run(&m->cpu, m->cpu.count + 1);

        assert_true(exit == CPU_EXIT_LIMIT || exit == CPU_EXIT_HALT);
        if (m->cpu.r.rip != IDT_HANDLER(X86_EXC_DB))
            continue;
        assert_true(seen < n);
        assert_int_equal(word_at(GPR(RSP)) - CODE_AT, expected[seen].offset);
        assert_int_equal(m->cpu.r.dr6 & 0xe00f, expected[seen].dr6);
        seen++;
        return_from_handler();
    }
    assert_int_equal(seen, n);
}

#define EXPECT(name, rflags, ...)                                                                  \
    do {                                                                                           \
        static const struct trap expected[] = {__VA_ARGS__};                                       \
        MACHINE_CODE(m, name);                                                                     \
        expect_traps(rflags, (size_t)(name##_end - name), expected,                                \
                     sizeof(expected) / sizeof(expected[0]));                                      \
    } while (0)

enum { BS = X86_DR6_BS, TF = X86_FLAG_TF };

/* popfq turns TF on (trap after the next instruction) and off (trap after itself). */
CODE(popf_twice, "pushq $0x102\n popfq\n nop\n pushq $2\n popfq\n nop\n nop");

static void popf_changes_tf(void **state)
{
    (void)state;
    EXPECT(popf_twice, 0, {7, BS}, {9, BS}, {10, BS});
}

CODE(string, "mov $3, %ecx\n mov $0x200000, %edi\n pushfq\n orl $0x100, (%rsp)\n popfq\n"
             "rep stosb\n pushq $2\n popfq\n nop");

static void each_iteration_traps(void **state)
{
    (void)state;
    EXPECT(string, 0, {19, BS}, {19, BS}, {21, BS}, {23, BS}, {24, BS});
}

/*
 * Between iterations RF is set: what comes there pushes it (Intel SDM vol. 3,
 * "Instruction-Breakpoint Exception Condition"), and a code breakpoint on the instruction is met
 * once.
 */
CODE(repeated, "mov $300, %ecx\n mov $0x200ff0, %edi\n 1: rep stosb\n nop");

static uint64_t pushed_rf(unsigned vector)
{
    assert_int_equal(m->cpu.r.rip, IDT_HANDLER(vector));
    return word_at(GPR(RSP) + (vector == X86_EXC_PF ? 24 : 16)) & X86_FLAG_RF;
}

static void interrupt_now(void)
{
    m->pending = 0x40;
    m->cpu.intr = true;
    assert_int_equal(cpu_run(&m->cpu, m->cpu.count + 1), CPU_EXIT_LIMIT);
}

static void iterations_push_rf(void **state)
{
    (void)state;
    MACHINE_CODE(m, repeated);
    cpu_set_rflags(&m->cpu, X86_FLAG_IF | 2);
    cpu_run(&m->cpu, m->cpu.count + 2);
    interrupt_now();
    assert_int_equal(pushed_rf(0x40), 0); /* before the first iteration */
    return_from_handler();
    cpu_run(&m->cpu, m->cpu.count + 3);
    assert_int_equal(m->cpu.r.gpr[RINGSIDE_RCX], 297);
    interrupt_now();
    assert_int_not_equal(pushed_rf(0x40), 0);
    assert_int_equal(m->cpu.r.rflags & X86_FLAG_RF, 0);
    return_from_handler();
    *machine_pte(m, 0x201000) = 0;
    cpu_flush_page(&m->cpu, 0x201000);
    cpu_run(&m->cpu, m->cpu.count + 14);
    assert_int_equal(m->cpu.r.gpr[RINGSIDE_RCX], 284);
    assert_int_not_equal(pushed_rf(X86_EXC_PF), 0);
    GPR(RSP) += 8;
    return_from_handler();
    *machine_pte(m, 0x201000) = 0x201007;
    cpu_run(&m->cpu, m->cpu.count + 284);
    assert_int_equal(m->cpu.r.gpr[RINGSIDE_RCX], 0);
    interrupt_now();
    assert_int_equal(pushed_rf(0x40), 0); /* after the last one */
}

static void a_repeated_instruction_breaks_once(void **state)
{
    struct ringside_regs r;

    (void)state;
    MACHINE_CODE(m, repeated);
    cpu_get_regs(&m->cpu, &r);
    r.dr[0] = CODE_AT + 10;
    r.dr7 |= 2;
    cpu_set_regs(&m->cpu, &r);
    cpu_run(&m->cpu, m->cpu.count + 3);
    assert_int_equal(pushed_rf(X86_EXC_DB), 0);
    return_from_handler();
    m->cpu.r.rflags |= X86_FLAG_RF; /* as its handler would */
    cpu_run(&m->cpu, m->cpu.count + 300);
    assert_int_equal(m->cpu.r.rip, CODE_AT + 12);
    assert_int_equal(m->cpu.r.gpr[RINGSIDE_RCX], 0);
}

/* The handler of INT 0x41 is an IRET: no trap before it; afterwards TF is back. */
CODE(interrupts, "int $0x41\n nop\n nop");

static void int_enters_its_handler_untrapped(void **state)
{
    (void)state;
    memcpy(m->ram + IDT_HANDLER(0x41), "\x90\x48\xcf", 3); /* nop; iretq */
    EXPECT(interrupts, TF, {3, BS}, {4, BS});
}

CODE(halts, "hlt\n nop");

static void a_trap_ends_halt(void **state)
{
    (void)state;
    EXPECT(halts, TF, {1, BS}, {2, BS});
}

/* After MOV SS the trap waits for one instruction. */
CODE(stack_switch, "mov %ss, %eax\n mov %eax, %ss\n nop\n nop");

static void mov_ss_delays_the_trap(void **state)
{
    (void)state;
    EXPECT(stack_switch, TF, {2, BS}, {5, BS}, {6, BS});
}

/* A breakpoint on data read by MOV SS waits too, and comes after the next instruction. */
CODE(stack_from_memory, "mov 0x200000, %ss\n nop\n nop");

static void mov_ss_delays_data_breakpoints(void **state)
{
    struct ringside_regs r;

    (void)state;
    m->ram[0x200000] = 0x10;
    cpu_get_regs(&m->cpu, &r);
    r.dr[3] = 0x200000;
    r.dr7 |= 0x80 | 3u << 28;
    cpu_set_regs(&m->cpu, &r);
    EXPECT(stack_from_memory, 0, {8, 8});
}

/* A fault is delivered instead of the trap; RF in its frame passes the code breakpoint. */
CODE(faults, "nop\n ud2\n nop");

static void a_fault_comes_instead_of_the_trap(void **state)
{
    (void)state;
    memcpy(m->ram + IDT_HANDLER(X86_EXC_UD), "\x48\x83\x04\x24\x02\x48\xcf", 7); /* +2; iretq */
    EXPECT(faults, TF, {1, BS}, {4, BS});
}

static void code_and_step_together(void **state)
{
    struct ringside_regs r;

    (void)state;
    cpu_get_regs(&m->cpu, &r);
    r.dr[1] = CODE_AT + 1;
    r.dr7 |= 8;
    cpu_set_regs(&m->cpu, &r);
    memcpy(m->ram + CODE_AT, "\x90\x90\x90", 3);
    {
        /* The step's trap, then the breakpoint's fault; without RF it would come for ever. */
        static const struct trap expected[] = {{1, BS}, {1, 2}};
        struct ringside_regs now;

        cpu_get_regs(&m->cpu, &now);
        now.rflags |= TF;
        cpu_set_regs(&m->cpu, &now);
        for (size_t i = 0; i < 2; i++) {
            while (m->cpu.r.rip != IDT_HANDLER(X86_EXC_DB))
                assert_int_equal(cpu_run(&m->cpu, m->cpu.count + 1), CPU_EXIT_LIMIT);
            assert_int_equal(word_at(GPR(RSP)) - CODE_AT, expected[i].offset);
            assert_int_equal(m->cpu.r.dr6 & 0xe00f, expected[i].dr6);
            return_from_handler();
        }
    }
}

/* With DEBUGCTL.BTF only branches that are taken trap. */
CODE(branches, "nop\n xor %eax, %eax\n jne 1f\n je 1f\n nop\n 1: nop");

static void branch_stepping(void **state)
{
    (void)state;
    m->cpu.r.debugctl = X86_DEBUGCTL_BTF;
    EXPECT(branches, TF, {8, BS}, {9, BS}); /* delivery clears BTF */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(trap_flag_traps_after_each_instruction),
        TEST(guest_code_breakpoints_fault_before),
        TEST(resume_flag_passes_a_code_breakpoint),
        TEST(guest_data_breakpoints_trap_after),
        TEST(sti_holds_interrupts_for_one_instruction),
        TEST(a_device_interrupts_right_after_its_write),
        TEST(mov_ss_holds_nmi_and_traps),
        TEST(popf_changes_tf),
        TEST(each_iteration_traps),
        TEST(iterations_push_rf),
        TEST(a_repeated_instruction_breaks_once),
        TEST(int_enters_its_handler_untrapped),
        TEST(a_trap_ends_halt),
        TEST(mov_ss_delays_the_trap),
        TEST(mov_ss_delays_data_breakpoints),
        TEST(a_fault_comes_instead_of_the_trap),
        TEST(code_and_step_together),
        TEST(branch_stepping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
