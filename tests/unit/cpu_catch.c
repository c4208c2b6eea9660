/* Events that the debugger wants to be told of: each stops once, when it has happened. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu_fixture.h"

static void catch (enum ringside_catch_kind kind, uint32_t number)
{
    static struct ringside_catch what[2];

    /* Of two conditions the second; the first is never met. */
    what[0] = (struct ringside_catch){RINGSIDE_CATCH_EXCEPTION, 31};
    what[1] = (struct ringside_catch){kind, number};
    cpu_set_catches(&m->cpu, what, 2);
}

/* Runs, or steps, until something else than a step's end. */
static enum cpu_exit run(bool steps)
{
    enum cpu_exit exit;

    if (!steps)
        return cpu_run(&m->cpu, m->cpu.count + 100);
    do
        exit = cpu_step(&m->cpu, 0);
    while (exit == CPU_EXIT_LIMIT);
    return exit;
}

static void expect(bool steps, uint64_t rip, uint32_t number, uint64_t value)
{
    assert_int_equal(run(steps), CPU_EXIT_CATCH);
    assert_int_equal(m->cpu.r.rip, rip);
    assert_int_equal(m->cpu.caught.number, number);
    assert_int_equal(m->cpu.caught.value, value);
}

/* --- Instructions ---------------------------------------------------------------------------- */

CODE(writes, "mov %cr0, %rax\n nop\n mov %rax, %cr0\n"     /* 0, 3, 4 */
             "clts\n"                                      /* 7 */
             "mov %cr3, %rax\n mov %rax, %cr3\n"           /* 9, 12 */
             "mov $0x174, %ecx\n mov $7, %eax\n"           /* 15, 20 */
             "xor %edx, %edx\n wrmsr\n rdmsr\n"            /* 25, 27, 29 */
             "mov $0x3f8, %dx\n out %eax, %dx\n inb %dx\n" /* 31, 35, 36 */
             "hlt");                                       /* 37 */

static const struct {
    enum ringside_catch_kind kind;
    uint32_t number;   /* asked for */
    uint64_t after[3]; /* where it stops, from CODE_AT; 0: no more */
    uint32_t first;    /* the number that is told */
} cases[] = {
    {RINGSIDE_CATCH_CR, 0, {7, 9, 0}, 0},
    {RINGSIDE_CATCH_CR, 3, {15, 0, 0}, 3},
    {RINGSIDE_CATCH_CR, 4, {0, 0, 0}, 4},
    {RINGSIDE_CATCH_CR, RINGSIDE_CATCH_ANY, {7, 9, 15}, 0},
    {RINGSIDE_CATCH_MSR, 0x174, {29, 0, 0}, 0x174},
    {RINGSIDE_CATCH_MSR, 0x175, {0, 0, 0}, 0},
    {RINGSIDE_CATCH_PORT, 0x3f8, {36, 37, 0}, 0x3f8},
    {RINGSIDE_CATCH_PORT, 0x3fb, {36, 0, 0}, 0x3f8}, /* the last that the wide one touches */
    {RINGSIDE_CATCH_PORT, 0x3fc, {0, 0, 0}, 0},
    {RINGSIDE_CATCH_HALT, 0, {38, 0, 0}, 0},
};

static void instructions_stop_after(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        bool steps = i & 1;
        teardown(state);
        setup(state);
        MACHINE_CODE(m, writes);
        catch (cases[i / 2].kind, cases[i / 2].number);
        for (unsigned n = 0; n < 3 && cases[i / 2].after[n]; n++) {
            assert_int_equal(run(steps), CPU_EXIT_CATCH);
            assert_int_equal(m->cpu.r.rip - CODE_AT, cases[i / 2].after[n]);
            if (n == 0)
                assert_int_equal(m->cpu.caught.number, cases[i / 2].first);
        }
        assert_int_equal(run(steps), CPU_EXIT_HALT);
        assert_int_equal(m->cpu.r.rip - CODE_AT, 38);
    }
}

static void values_are_told(void **state)
{
    (void)state;
    MACHINE_CODE(m, writes);
    catch (RINGSIDE_CATCH_MSR, RINGSIDE_CATCH_ANY);
    expect(false, CODE_AT + 29, 0x174, 7);
    catch (RINGSIDE_CATCH_PORT, 0x3f8);
    expect(false, CODE_AT + 36, 0x3f8, 7);
    assert_false(m->cpu.caught.in);
    expect(false, CODE_AT + 37, 0x3f8, 0xf8);
    assert_true(m->cpu.caught.in);
}

/* Each iteration is an access of its own. */
CODE(repeated, "mov $0x3f8, %dx\n mov $3, %ecx\n mov $0x200000, %esi\n rep outsb\n hlt");

static void iterations_stop_one_by_one(void **state)
{
    (void)state;
    MACHINE_CODE(m, repeated);
    memcpy(m->ram + DATA_AT, "abc", 3);
    catch (RINGSIDE_CATCH_PORT, 0x3f8);
    expect(false, CODE_AT + 14, 0x3f8, 'a');
    expect(false, CODE_AT + 14, 0x3f8, 'b');
    expect(false, CODE_AT + 16, 0x3f8, 'c');
    assert_int_equal(run(false), CPU_EXIT_HALT);
}

/* --- Events ---------------------------------------------------------------------------------- */

/* A read that faults, INT3, and INT 14, which is no exception. */
CODE(events, "mov 0x500000, %eax\n int3\n int $14\n hlt"); /* 0, 7, 8, 10 */

static void return_to(uint64_t rip)
{
    struct ringside_regs r;

    cpu_get_regs(&m->cpu, &r);
    r.rip = rip;
    cpu_set_regs(&m->cpu, &r);
}

static void events_stop_at_their_handler(void **state)
{
    for (unsigned steps = 0; steps < 2; steps++) {
        MACHINE_CODE(m, events);
        catch (RINGSIDE_CATCH_EXCEPTION, RINGSIDE_CATCH_ANY);
        expect(steps, IDT_HANDLER(X86_EXC_PF), X86_EXC_PF, 0);
        assert_int_equal(m->cpu.caught.rip, CODE_AT);
        assert_true(m->cpu.caught.has_error);
        assert_int_equal(m->cpu.r.cr2, 0x500000);
        assert_int_equal(run(steps), CPU_EXIT_HALT); /* once */
        return_to(CODE_AT + 7);
        m->cpu.r.activity = RINGSIDE_RUNNING;
        expect(steps, IDT_HANDLER(X86_EXC_BP), X86_EXC_BP, 0);
        assert_int_equal(m->cpu.caught.rip, CODE_AT + 8);
        catch (RINGSIDE_CATCH_INTERRUPT, 14);
        return_to(CODE_AT + 8);
        expect(steps, IDT_HANDLER(14), 14, 0);
        assert_int_equal(m->cpu.caught.rip, CODE_AT + 10);
        teardown(state);
        setup(state);
    }
}

CODE(nops, "nop\n nop\n hlt");

static void interrupts_stop_at_their_handler(void **state)
{
    (void)state;
    for (unsigned steps = 0; steps < 2; steps++) {
        MACHINE_CODE(m, nops);
        m->cpu.r.rflags |= X86_FLAG_IF;
        m->pending = 0x40;
        m->cpu.intr = true;
        catch (RINGSIDE_CATCH_INTERRUPT, 0x40);
        expect(steps, IDT_HANDLER(0x40), 0x40, 0);
        assert_int_equal(m->cpu.caught.rip, CODE_AT);
        m->cpu.nmi = true;
        catch (RINGSIDE_CATCH_INTERRUPT, 2);
        expect(steps, IDT_HANDLER(2), 2, 0);
        teardown(state);
        setup(state);
    }
}

/* A page fault whose handler is gone: it is told of although #DF is what is delivered. */
static void a_double_fault_begins_with_another(void **state)
{
    (void)state;
    MACHINE_CODE(m, events);
    memset(m->ram + IDT_AT + 16 * X86_EXC_PF, 0, 16);
    catch (RINGSIDE_CATCH_EXCEPTION, X86_EXC_PF);
    expect(false, IDT_HANDLER(X86_EXC_DF), X86_EXC_PF, 0);
    return_to(CODE_AT);
    catch (RINGSIDE_CATCH_EXCEPTION, X86_EXC_DF);
    expect(false, IDT_HANDLER(X86_EXC_DF), X86_EXC_DF, 0);
    return_to(CODE_AT);
    memset(m->ram + IDT_AT + 16 * X86_EXC_DF, 0, 16);
    assert_int_equal(run(false), CPU_EXIT_SHUTDOWN); /* and nothing else is told */
    assert_int_equal(m->cpu.r.rip, CODE_AT);
}

/* --- The guest's own INT3 -------------------------------------------------------------------- */

CODE(own_traps, "int3\n .byte 0xf1\n .byte 0xcd, 3\n hlt"); /* 0, 1, 2, 4 */

static void int3_is_kept_from_the_guest(void **state)
{
    (void)state;
    MACHINE_CODE(m, own_traps);
    catch (RINGSIDE_CATCH_TRAP, RINGSIDE_CATCH_ANY);
    expect(false, CODE_AT + 1, X86_EXC_BP, 0);
    expect(true, CODE_AT + 2, X86_EXC_DB, 0);
    assert_int_equal(m->cpu.r.gpr[RINGSIDE_RSP], STACK_AT);
    assert_int_equal(run(false), CPU_EXIT_HALT); /* INT 3 by its number is delivered */
    assert_int_equal(m->cpu.r.rip, IDT_HANDLER(3) + 1);
}

static void a_watchpoint_of_the_same_instruction_comes_first(void **state)
{
    static struct cpu_watch watch = {DATA_AT + 1, 1, CPU_WATCH_READ, 0};

    (void)state;
    MACHINE_CODE(m, repeated);
    catch (RINGSIDE_CATCH_PORT, 0x3f8);
    cpu_set_watches(&m->cpu, &watch, 1);
    assert_int_equal(run(false), CPU_EXIT_CATCH);
    assert_int_equal(run(false), CPU_EXIT_WATCH);
    assert_int_equal(m->cpu.r.gpr[RINGSIDE_RCX], 1);
    assert_int_equal(run(false), CPU_EXIT_CATCH);
    assert_int_equal(m->cpu.r.gpr[RINGSIDE_RCX], 1); /* nothing ran in between */
    assert_int_equal(run(false), CPU_EXIT_CATCH);
    assert_int_equal(m->cpu.r.gpr[RINGSIDE_RCX], 0);
    assert_int_equal(run(false), CPU_EXIT_HALT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(instructions_stop_after),
        TEST(values_are_told),
        TEST(iterations_stop_one_by_one),
        TEST(events_stop_at_their_handler),
        TEST(interrupts_stop_at_their_handler),
        TEST(a_double_fault_begins_with_another),
        TEST(int3_is_kept_from_the_guest),
        TEST(a_watchpoint_of_the_same_instruction_comes_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
