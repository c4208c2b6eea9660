/* Included by tests of the CPU: each test has a machine in 64-bit mode, and words for what it did.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_CPU_FIXTURE_H
#define TESTS_CPU_FIXTURE_H

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

static inline int setup(void **state)
{
    (void)state;
    m = machine_new();
    machine_long_mode(m);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    machine_free(m);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* Registers were changed in place: derive what depends on them. */
static inline void reload(void)
{
    struct ringside_regs r;

    cpu_get_regs(&m->cpu, &r);
    cpu_set_regs(&m->cpu, &r);
}

#define GPR(name) (m->cpu.r.gpr[RINGSIDE_##name])
#define RUN(n)    assert_int_equal(cpu_run(&m->cpu, m->cpu.count + (n)), CPU_EXIT_LIMIT)
#define RUN_HLT() assert_int_equal(cpu_run(&m->cpu, m->cpu.count + 100000), CPU_EXIT_HALT)

static inline uint64_t word_at(uint64_t gpa)
{
    uint64_t value;

    memcpy(&value, m->ram + gpa, 8);
    return value;
}

/* The vector whose handler the CPU halted in. */
static inline unsigned halted_in(void)
{
    assert_int_equal(m->cpu.r.activity, RINGSIDE_HALTED);
    return (unsigned)(m->cpu.r.rip - 1 - IDT_HANDLER(0)) / 16;
}

#endif
