/* Tasks that the processor switches: far transfers, gates, IRET, and where their faults go. */
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

enum { DATA = 0x10, CODE32 = 0x18, TASK_A = 0x20, TASK_B = 0x28, TASK_16 = 0x30, GATE = 0x38 };
enum { TSS_A = 0x6000, TSS_B = 0x6100, TSS_16 = 0x6200, STACK_B = 0x7000 };

static struct machine *m;

static void put(uint64_t gpa, unsigned size, uint64_t value)
{
    cpu_host_store(m->ram + gpa, size, value);
}

static uint64_t get(uint64_t gpa, unsigned size)
{
    return cpu_host_load(m->ram + gpa, size);
}

static bool busy(unsigned selector)
{
    return get(GDT_AT + selector + 5, 1) & 2;
}

/* Task B begins at CODE_AT + 0x100. */
static void fill_tss_b(void)
{
    put(TSS_B + 32, 4, CODE_AT + 0x100);
    put(TSS_B + 36, 4, 2);
    put(TSS_B + 56, 4, STACK_B);
    for (unsigned i = 0; i < 6; i++)
        put(TSS_B + 72 + 4 * i, 2, i == RINGSIDE_CS ? CODE32 : DATA);
}

static void fill_tss_16(void)
{
    put(TSS_16 + 14, 2, 0x7800);
    put(TSS_16 + 16, 2, 2);
    put(TSS_16 + 18, 2, 0x1234);
    for (unsigned i = 0; i < 4; i++)
        put(TSS_16 + 34 + 2 * i, 2, i == RINGSIDE_CS ? CODE32 : DATA);
}

static int setup(void **state)
{
    struct ringside_regs r;

    (void)state;
    m = machine_new();
    put(GDT_AT + DATA, 8, 0x00cf93000000ffff);
    put(GDT_AT + CODE32, 8, 0x00cf9b000000ffff);
    put(GDT_AT + TASK_A, 8, 0x00008b0000000067 | TSS_A << 16);
    put(GDT_AT + TASK_B, 8, 0x0000890000000067 | TSS_B << 16);
    put(GDT_AT + TASK_16, 8, 0x000081000000002b | TSS_16 << 16);
    put(GDT_AT + GATE, 8, 0x0000850000000000 | TASK_B << 16);
    put(IDT_AT + 8 * X86_EXC_GP, 8, 0x0000850000000000 | TASK_B << 16);
    fill_tss_b();
    fill_tss_16();

    cpu_get_regs(&m->cpu, &r);
    r.cr0 = 0x11;
    for (unsigned i = 0; i < 6; i++)
        r.seg[i] = (struct ringside_segment){0, 0xffffffff, DATA, 0xc093};
    r.seg[RINGSIDE_CS] = (struct ringside_segment){0, 0xffffffff, CODE32, 0xc09b};
    r.tr = (struct ringside_segment){TSS_A, 0x67, TASK_A, 0x8b};
    r.gdtr = (struct ringside_table){GDT_AT, 0x3f};
    r.idtr = (struct ringside_table){IDT_AT, 8 * 32 - 1};
    r.gpr[RINGSIDE_RSP] = STACK_AT;
    r.rip = CODE_AT;
    cpu_set_regs(&m->cpu, &r);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_free(m);
    return 0;
}

#define GPR(name) (m->cpu.r.gpr[RINGSIDE_##name])
#define PUT_CODE(offset, name)                                                                     \
    memcpy(m->ram + CODE_AT + (offset), name, (size_t)(name##_end - name))

static enum cpu_exit run(void)
{
    return cpu_run(&m->cpu, m->cpu.count + 1000);
}

CODE(calls, ".code32\n mov $5, %ecx\n stc\n lcall $0x28, $0\n lcall $0x38, $0\n hlt\n .code64");
CODE(counts, ".code32\n 1: inc %ebx\n iret\n jmp 1b\n .code64");

static void calls_nest_and_return(void **state)
{
    (void)state;
    PUT_CODE(0, calls);
    PUT_CODE(0x100, counts);
    m->cpu.r.dr7 = 0x700;
    assert_int_equal(run(), CPU_EXIT_HALT);
    assert_int_equal(m->cpu.r.tr.selector, TASK_A);
    assert_int_equal(m->cpu.r.rip, CODE_AT + (size_t)(calls_end - calls));
    assert_int_equal(GPR(RCX), 5);
    assert_int_equal(GPR(RBX), 0);
    assert_int_equal(GPR(RSP), STACK_AT);
    assert_int_equal(cpu_rflags(&m->cpu), 3);
    assert_true(m->cpu.r.cr0 & X86_CR0_TS);
    assert_int_equal(m->cpu.r.dr7, 0x600);
    assert_int_equal(get(TSS_B, 2), TASK_A);
    assert_int_equal(get(TSS_B + 40 + 4 * RINGSIDE_RBX, 4), 2);
    assert_int_equal(get(TSS_B + 36, 4) & X86_FLAG_NT, 0);
    assert_true(busy(TASK_A));
    assert_false(busy(TASK_B));
}

CODE(jumps, ".code32\n ljmp $0x28, $0\n hlt\n .code64");
CODE(stops, ".code32\n hlt\n .code64");

static void jumps_do_not_nest(void **state)
{
    (void)state;
    PUT_CODE(0, jumps);
    PUT_CODE(0x100, stops);
    put(TSS_B + 100, 1, 1); /* the trap bit */
    put(IDT_AT + 8 * X86_EXC_DB, 8, 0x00008e0000000000 | CODE32 << 16 | 0x7900);
    m->ram[0x7900] = 0xf4;
    assert_int_equal(run(), CPU_EXIT_HALT);
    assert_int_equal(m->cpu.r.tr.selector, TASK_B);
    assert_int_equal(m->cpu.r.rip, 0x7901);
    assert_int_equal(m->cpu.r.dr6 & 0xe00f, X86_DR6_BT);
    assert_int_equal(m->cpu.r.rflags & X86_FLAG_NT, 0);
    assert_false(busy(TASK_A));
    assert_true(busy(TASK_B));
    assert_int_equal(get(TSS_A + 32, 4), CODE_AT + 7);
}

CODE(jumps_16, ".code32\n ljmp $0x30, $0\n .code64");

static void a_16_bit_task(void **state)
{
    (void)state;
    PUT_CODE(0, jumps_16);
    m->ram[0x7800] = 0xf4;
    assert_int_equal(run(), CPU_EXIT_HALT);
    assert_int_equal(m->cpu.r.rip, 0x7801);
    assert_int_equal(GPR(RAX), 0xffff1234);
    assert_int_equal(m->cpu.r.seg[RINGSIDE_FS].selector, 0);
    assert_int_equal(m->cpu.r.tr.access & 15, 3);
}

CODE(faults, ".code32\n mov $0x1000, %eax\n mov %eax, %ds\n hlt\n .code64");

static void faults_push_their_code(void **state)
{
    (void)state;
    PUT_CODE(0, faults);
    PUT_CODE(0x100, stops);
    assert_int_equal(run(), CPU_EXIT_HALT);
    assert_int_equal(m->cpu.r.tr.selector, TASK_B);
    assert_int_equal(GPR(RSP), STACK_B - 4);
    assert_int_equal(get(STACK_B - 4, 4), 0x1000);
    assert_int_equal(get(TSS_A + 32, 4), CODE_AT + 5);
    assert_true(get(TSS_A + 36, 4) & X86_FLAG_RF);
    assert_true(m->cpu.r.rflags & X86_FLAG_NT);
}

/* What is wrong with the TSS is the old task's fault, what is wrong with its segments the new's. */
static void whose_fault(void **state)
{
    (void)state;
    PUT_CODE(0, jumps);
    put(IDT_AT + 8 * X86_EXC_GP, 8, 0);
    for (unsigned vector = X86_EXC_TS; vector <= X86_EXC_NP; vector++) {
        put(IDT_AT + 8 * vector, 8, 0x00008e0000000000 | CODE32 << 16 | 0x7900);
        m->ram[0x7900] = 0xf4;
    }
    put(GDT_AT + TASK_B + 5, 1, 0x09); /* not present */
    assert_int_equal(run(), CPU_EXIT_HALT);
    assert_int_equal(m->cpu.r.tr.selector, TASK_A);
    assert_int_equal(get(GPR(RSP), 4), TASK_B);
    assert_int_equal(get(GPR(RSP) + 4, 4), CODE_AT);

    put(GDT_AT + TASK_B + 5, 1, 0x89);
    put(TSS_B + 72 + 4 * RINGSIDE_DS, 2, TASK_A); /* a TSS in DS */
    m->cpu.r.activity = RINGSIDE_RUNNING;
    m->cpu.r.rip = CODE_AT;
    assert_int_equal(run(), CPU_EXIT_HALT);
    assert_int_equal(m->cpu.r.tr.selector, TASK_B);
    assert_int_equal(get(GPR(RSP), 4), TASK_A);
    assert_int_equal(get(GPR(RSP) + 4, 4), CODE_AT + 0x100);
}

static void no_v8086_task(void **state)
{
    struct ringside_regs before, after;

    (void)state;
    PUT_CODE(0, jumps);
    put(TSS_B + 36, 4, X86_FLAG_VM | 2);
    cpu_get_regs(&m->cpu, &before);
    assert_int_equal(run(), CPU_EXIT_DECLINED);
    cpu_get_regs(&m->cpu, &after);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_false(busy(TASK_B));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(calls_nest_and_return),  TEST(jumps_do_not_nest), TEST(a_16_bit_task),
        TEST(faults_push_their_code), TEST(whose_fault),       TEST(no_v8086_task),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
