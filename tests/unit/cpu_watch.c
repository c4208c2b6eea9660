/* The debugger's break- and watchpoints: told of once, the latter after the instruction, however
 * that one accesses memory. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu_fixture.h"

enum { EDGE = DATA_AT + 0x1000, NOT_MAPPED = 0x500000 };

static struct cpu_watch armed[2];

/* Run, or step, until something else than a step's end. */
static enum cpu_exit run(bool steps)
{
    enum cpu_exit exit;

    if (!steps)
        return cpu_run(&m->cpu, m->cpu.count + 1000);
    do
        exit = cpu_step(&m->cpu, 0);
    while (exit == CPU_EXIT_LIMIT);
    return exit;
}

static void start(const uint8_t *code, const uint8_t *end, struct cpu_watch watch)
{
    m = machine_new();
    machine_long_mode(m);
    memcpy(m->ram + CODE_AT, code, (size_t)(end - code));
    /* Beside it one that is never hit, which no stop must come from. */
    armed[0] = (struct cpu_watch){0x100, 8, CPU_WATCH_ACCESS, 0};
    armed[1] = watch;
    cpu_set_watches(&m->cpu, armed, 2);
}
#define START(name, ...) start(name, name##_end, (struct cpu_watch){__VA_ARGS__, 0})

static void expect(bool steps, uint64_t address, uint64_t rip)
{
    assert_int_equal(run(steps), CPU_EXIT_WATCH);
    assert_int_equal(m->cpu.watch_hit.address, address);
    assert_int_equal(m->cpu.watch_hit.kind, armed[1].kind);
    assert_int_equal(m->cpu.r.rip, rip);
}

static void expect_end(bool steps)
{
    assert_int_equal(run(steps), CPU_EXIT_HALT);
    machine_free(m);
}

/* --- Over the edge of a page ----------------------------------------------------------------- */

/* Stores of 8, 16 and 2 bytes that begin 4, 8 and 1 bytes before it. */
CODE(across, "mov %rax, 0x200ffc\n movups %xmm0, 0x200ff8\n mov %ax, 0x200fff\n" /* 0, 8, 16 */
             "addq $1, 0x200ffc\n hlt");                                         /* 24, 33 */

static void accesses_across_pages(void **state)
{
    (void)state;
    for (unsigned steps = 0; steps < 2; steps++) {
        START(across, EDGE, 1, CPU_WATCH_WRITE); /* its second page */
        m->cpu.r.cr4 |= X86_CR4_OSFXSR;
        for (unsigned i = 1; i <= 3; i++)
            expect(steps, EDGE, CODE_AT + 8 * i);
        expect(steps, EDGE, CODE_AT + 33);
        expect_end(steps);

        START(across, EDGE - 4, 8, CPU_WATCH_ACCESS); /* both */
        m->cpu.r.cr4 |= X86_CR4_OSFXSR;
        expect(steps, EDGE - 4, CODE_AT + 8);
        expect(steps, EDGE - 4, CODE_AT + 16);
        expect(steps, EDGE - 1, CODE_AT + 24);
        expect(steps, EDGE - 4, CODE_AT + 33); /* read and written: once */
        expect_end(steps);
    }
}

/* --- Repetition ------------------------------------------------------------------------------ */

/* 5 elements of 8 bytes, the third of them over the edge. */
CODE(repeated, "mov $0x200fec, %edi\n mov $0x202000, %esi\n mov $5, %ecx\n" /* 0, 5, 10 */
               "rep movsq\n hlt");                                          /* 15, 18 */

static void each_iteration_by_itself(void **state)
{
    (void)state;
    for (unsigned steps = 0; steps < 2; steps++) {
        START(repeated, EDGE, 1, CPU_WATCH_WRITE); /* of the third only */
        expect(steps, EDGE, CODE_AT + 15);
        assert_int_equal(m->cpu.r.gpr[RINGSIDE_RCX], 2);
        expect_end(steps);

        START(repeated, EDGE - 0x100, 0x200, CPU_WATCH_WRITE);
        for (unsigned i = 0; i < 5; i++) {
            expect(steps, EDGE - 20 + 8 * i, CODE_AT + (i < 4 ? 15 : 18));
            assert_int_equal(m->cpu.r.gpr[RINGSIDE_RCX], 4 - i);
        }
        expect_end(steps);

        START(repeated, 0x202020, 4, CPU_WATCH_READ); /* the last one's source */
        expect(steps, 0x202020, CODE_AT + 18);
        expect_end(steps);
    }
}

/* --- What is no access of the instruction's --------------------------------------------------- */

CODE(faulting, "mov $0x200000, %esi\n mov $0x500000, %edi\n movsq\n hlt"); /* 0, 5, 10 */

static void an_instruction_that_faults_hits_nothing(void **state)
{
    (void)state;
    for (unsigned steps = 0; steps < 2; steps++) {
        START(faulting, DATA_AT, 8, CPU_WATCH_READ);
        assert_int_equal(run(steps), CPU_EXIT_HALT); /* in the handler */
        assert_int_equal(m->cpu.r.cr2, NOT_MAPPED);
        machine_free(m);
    }
}

CODE(delivered, "int3\n hlt");

/* The frame of an event is written by its delivery; descriptors are read by it. */
static void deliveries_hit(void **state)
{
    (void)state;
    for (unsigned steps = 0; steps < 2; steps++) {
        START(delivered, STACK_AT - 8, 8, CPU_WATCH_WRITE);
        expect(steps, STACK_AT - 8, IDT_HANDLER(X86_EXC_BP));
        expect_end(steps);
        START(delivered, IDT_AT + 16 * X86_EXC_BP, 16, CPU_WATCH_READ);
        expect(steps, IDT_AT + 16 * X86_EXC_BP, IDT_HANDLER(X86_EXC_BP));
        expect_end(steps);
    }
}

/* The walk reads the tables and sets their accessed and dirty bits, by physical address. */
static void the_page_walker_hits_nothing(void **state)
{
    (void)state;
    for (unsigned steps = 0; steps < 2; steps++) {
        START(repeated, PML4_AT, 0x10000, CPU_WATCH_ACCESS);
        uint64_t *pte = machine_pte(m, EDGE);
        *pte &= ~0x60ull;
        assert_int_equal(run(steps), CPU_EXIT_HALT);
        assert_int_equal(*pte & 0x60, 0x60);
        machine_free(m);
    }
}

/* --- The debugger's break- and watchpoints --------------------------------------------------- */

CODE(break_and_watch, "nop\n nop\n mov %rax, 0x200008\n mov 0x200008, %rax\n nop\n hlt");

static void breakpoints_stop_before(void **state)
{
    (void)state;
    MACHINE_CODE(m, break_and_watch);
    m->breakpoint = CODE_AT + 1;
    assert_int_equal(cpu_run(&m->cpu, 100), CPU_EXIT_BREAKPOINT);
    assert_int_equal(m->cpu.r.rip, CODE_AT + 1);
    assert_int_equal(m->cpu.count, 1);
    assert_int_equal(cpu_step(&m->cpu, 0), CPU_EXIT_BREAKPOINT);
    cpu_pass_breakpoint(&m->cpu, true);
    assert_int_equal(cpu_step(&m->cpu, 0), CPU_EXIT_LIMIT);
    assert_int_equal(m->cpu.r.rip, CODE_AT + 2);
    m->breakpoint = 0;
    cpu_code_drop_page(m->cpu.code, CODE_AT);
    RUN_HLT();
}

static void meets(uint64_t rip, uint64_t count)
{
    assert_int_equal(cpu_run(&m->cpu, m->cpu.count + 100), CPU_EXIT_BREAKPOINT);
    assert_int_equal(m->cpu.r.rip, rip);
    assert_int_equal(m->cpu.count, count);
}

CODE(round_and_round, "1: inc %eax\n jmp 1b");

static void a_breakpoint_is_passed_once(void **state)
{
    (void)state;
    MACHINE_CODE(m, round_and_round);
    m->breakpoint = CODE_AT;
    meets(CODE_AT, 0);
    for (unsigned i = 1; i < 4; i++) {
        cpu_pass_breakpoint(&m->cpu, true);
        meets(CODE_AT, 2 * i);
    }
    cpu_pass_breakpoint(&m->cpu, true);
    cpu_pass_breakpoint(&m->cpu, false);
    meets(CODE_AT, 6);
    cpu_pass_breakpoint(&m->cpu, true);
    reload();
    meets(CODE_AT, 6);
    cpu_pass_breakpoint(&m->cpu, true);
    RUN(1);
    meets(CODE_AT, 8);
}

CODE(fill, "mov $3, %ecx\n lea 0x200000, %rdi\n rep stosb\n hlt");

static void each_iteration_meets_it(void **state)
{
    (void)state;
    MACHINE_CODE(m, fill);
    m->breakpoint = CODE_AT + 13;
    for (unsigned left = 3; left; left--) {
        meets(CODE_AT + 13, 5 - left);
        assert_int_equal(GPR(RCX), left);
        cpu_pass_breakpoint(&m->cpu, true);
    }
    RUN_HLT();
}

CODE(three, "nop\n inc %eax\n hlt");

static void interrupts_wait_until_it_is_passed(void **state)
{
    (void)state;
    MACHINE_CODE(m, three);
    m->breakpoint = CODE_AT + 1;
    meets(CODE_AT + 1, 1);
    m->cpu.r.rflags |= X86_FLAG_IF;
    m->pending = 0x40;
    m->cpu.intr = true;
    cpu_pass_breakpoint(&m->cpu, true);
    RUN_HLT();
    assert_int_equal(halted_in(), 0x40);
    assert_int_equal(GPR(RAX), 1);
    assert_int_equal(word_at(GPR(RSP)), CODE_AT + 3);
}

static void a_breakpoint_is_where_it_was_met(void **state)
{
    (void)state;
    memcpy(m->ram + CODE_AT + 0x1000, three, (size_t)(three_end - three));
    *machine_pte(m, DATA_AT) = (CODE_AT + 0x1000) | 7;
    m->breakpoint = CODE_AT + 0x1001;
    m->cpu.r.rip = DATA_AT;
    meets(DATA_AT + 1, 1);
    *machine_pte(m, DATA_AT) = DATA_AT | 7; /* not flushed */
    assert_int_equal(cpu_breakpoint_gpa(&m->cpu), CODE_AT + 0x1001);
}

static void watchpoints_stop_after(void **state)
{
    static struct cpu_watch watches[] = {{0x200004, 8, CPU_WATCH_READ, 0},
                                         {0x20000a, 1, CPU_WATCH_WRITE, 0}};

    (void)state;
    MACHINE_CODE(m, break_and_watch);
    cpu_set_watches(&m->cpu, watches, 2);
    assert_int_equal(cpu_run(&m->cpu, 100), CPU_EXIT_WATCH);
    assert_int_equal(m->cpu.r.rip, CODE_AT + 10);
    assert_int_equal(m->cpu.watch_hit.address, 0x20000a);
    assert_int_equal(m->cpu.watch_hit.kind, CPU_WATCH_WRITE);
    assert_int_equal(cpu_run(&m->cpu, 100), CPU_EXIT_WATCH);
    assert_int_equal(m->cpu.r.rip, CODE_AT + 18);
    assert_int_equal(m->cpu.watch_hit.address, 0x200008);
    assert_int_equal(cpu_run(&m->cpu, 100), CPU_EXIT_HALT);
}

/* --- Many watchpoints ------------------------------------------------------------------------ */

static bool touches(const struct cpu_watch *w, uint64_t at, unsigned n, unsigned kind)
{
    return (w->kind & kind) && w->address < at + n && at < w->address + w->length;
}

/* Ranges of all lengths, some within others: the search finds what looking at each one finds. */
static void watchpoints_are_found(void **state)
{
    enum { COUNT = 200, AREA = 8192 };
    static struct cpu_watch watches[COUNT];
    uint64_t random = 1, address = DATA_AT, bytes = 0;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        random = random * 6364136223846793005 + 1442695040888963407;
        address += random >> 60 ? random >> 40 & 63 : 0;
        watches[i] = (struct cpu_watch){address, (random >> 50 & 15) ? 1 + (random >> 54 & 7) : 300,
                                        (uint8_t)(1 + (random >> 33) % 3), 0};
    }
    cpu_set_watches(&m->cpu, watches, COUNT);
    for (uint64_t at = DATA_AT - 8; at < DATA_AT + AREA; at++) {
        unsigned kind = at & 1 ? CPU_WATCH_READ : CPU_WATCH_WRITE, expected = 0;

        while (expected < COUNT && !touches(&watches[expected], at, 4, kind))
            expected++;
        m->cpu.watch_pending = false;
        if (kind == CPU_WATCH_READ)
            cpu_read_linear(&m->cpu, at, &bytes, 4, CPU_READ);
        else
            cpu_write_linear(&m->cpu, at, &bytes, 4, CPU_WRITE);
        assert_int_equal(m->cpu.watch_pending, expected < COUNT);
        if (expected == COUNT)
            continue;
        address = watches[expected].address;
        assert_int_equal(m->cpu.watch_hit.address, address > at ? address : at);
        assert_int_equal(m->cpu.watch_hit.kind, watches[expected].kind);
    }
    m->cpu.watch_pending = false;
}

/* Pages without a watchpoint keep their fast path, between and behind thousands of them. */
static void watchpoints_cost_nothing_elsewhere(void **state)
{
    enum { COUNT = 10000 };
    static struct cpu_watch watches[COUNT];
    uint64_t value;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        watches[i] = (struct cpu_watch){
            DATA_AT + (i < COUNT / 2 ? 0 : 0x2000) + i % (COUNT / 2) / 2, 4, CPU_WATCH_ACCESS, 0};
    for (unsigned page = 0; page < 4; page++) {
        cpu_set_watches(&m->cpu, watches, COUNT);
        cpu_load(&m->cpu, RINGSIDE_DS, DATA_AT + page * 0x1000, 8, &value);
        assert_int_equal(!cpu_host(&m->cpu, RINGSIDE_DS, DATA_AT + page * 0x1000, 8, false),
                         page == 0 || page == 2);
    }
    m->cpu.watch_pending = false;
}

/* --- The guest's own debug registers ---------------------------------------------------------- */

CODE(both, "mov %rax, 0x200000\n nop\n hlt"); /* 0, 8, 9 */

static void the_guests_own_watchpoint_is_left_to_it(void **state)
{
    (void)state;
    for (unsigned steps = 0; steps < 2; steps++) {
        struct ringside_regs r;

        START(both, DATA_AT, 1, CPU_WATCH_WRITE);
        cpu_get_regs(&m->cpu, &r);
        r.dr[2] = DATA_AT;
        r.dr7 |= 1u << 5 | 1u << 24 | 3u << 26; /* G2; writes; 4 bytes */
        cpu_set_regs(&m->cpu, &r);
        expect(steps, DATA_AT, CODE_AT + 8);
        assert_int_equal(run(steps), CPU_EXIT_HALT);
        assert_int_equal(halted_in(), X86_EXC_DB);
        assert_int_equal(m->cpu.r.dr6 & 15, 1 << 2);
        assert_int_equal(word_at(GPR(RSP)), CODE_AT + 8);
        machine_free(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accesses_across_pages),
        cmocka_unit_test(each_iteration_by_itself),
        cmocka_unit_test(an_instruction_that_faults_hits_nothing),
        cmocka_unit_test(deliveries_hit),
        cmocka_unit_test(the_page_walker_hits_nothing),
        cmocka_unit_test(the_guests_own_watchpoint_is_left_to_it),
        TEST(breakpoints_stop_before),
        TEST(a_breakpoint_is_passed_once),
        TEST(each_iteration_meets_it),
        TEST(interrupts_wait_until_it_is_passed),
        TEST(a_breakpoint_is_where_it_was_met),
        TEST(watchpoints_stop_after),
        TEST(watchpoints_are_found),
        TEST(watchpoints_cost_nothing_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
