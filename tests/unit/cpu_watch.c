/* A watchpoint that is hit is told of once, after the instruction, however that one accesses
 * memory. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu_machine.h"
#include "x86/regs.h"

enum { EDGE = DATA_AT + 0x1000, NOT_MAPPED = 0x500000 };

static struct machine *m;
static struct cpu_watch watches[2];

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
    watches[0] = (struct cpu_watch){0x100, 8, CPU_WATCH_ACCESS, 0};
    watches[1] = watch;
    cpu_set_watches(&m->cpu, watches, 2);
}
#define START(name, ...) start(name, name##_end, (struct cpu_watch){__VA_ARGS__, 0})

static void expect(bool steps, uint64_t address, uint64_t rip)
{
    assert_int_equal(run(steps), CPU_EXIT_WATCH);
    assert_int_equal(m->cpu.watch_hit.address, address);
    assert_int_equal(m->cpu.watch_hit.kind, watches[1].kind);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accesses_across_pages),
        cmocka_unit_test(each_iteration_by_itself),
        cmocka_unit_test(an_instruction_that_faults_hits_nothing),
        cmocka_unit_test(deliveries_hit),
        cmocka_unit_test(the_page_walker_hits_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
