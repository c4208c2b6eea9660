/* Interrupts from line to vector: the 8259 pair, the I/O APIC, the local APICs. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm_machine.h"

enum { EOI = 0xb0, TPR = 0x80, PPR = 0xa0, ESR = 0x280, ICR = 0x300, ICR_HIGH = 0x310 };
enum { LEVEL = 1 << 15, LOGICAL = 1 << 11, LOWEST = 1 << 8, MASKED = 1 << 16 };
enum { REMOTE_IRR = 1 << 14 };

static void start_pics(struct machine *m)
{
    static const uint8_t words[][2] = {{0x20, 0x11}, {0x21, 0x30}, {0x21, 0x04}, {0x21, 0x01},
                                       {0xa0, 0x11}, {0xa1, 0x38}, {0xa1, 0x02}, {0xa1, 0x01}};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        machine_out(m, words[i][0], words[i][1]);
    machine_out(m, 0x21, 0);
    machine_out(m, 0xa1, 0);
}

static void pic_delivers_by_priority(void **state)
{
    struct machine *m = *state;

    start_pics(m);
    assert_int_equal(machine_in(m, 0x21), 0);
    assert_false(vm_interrupt_pending(m->vm, 0));
    vm_set_line(m->vm, GSI_SERIAL, true);
    vm_set_line(m->vm, GSI_RTC, true);
    assert_true(vm_interrupt_pending(m->vm, 0));
    assert_false(vm_interrupt_pending(m->vm, 1)); /* LINT0 of the others is masked */
    assert_int_equal(vm_acknowledge(m->vm, 0), 0x38);
    /* IRQ 4 is below the cascade, which is in service. */
    assert_false(vm_interrupt_pending(m->vm, 0));
    vm_set_line(m->vm, GSI_PIT, true);
    assert_int_equal(vm_acknowledge(m->vm, 0), 0x30); /* IRQ 0 is above it */
    machine_out(m, 0x20, 0x20);
    machine_out(m, 0xa0, 0x20);
    machine_out(m, 0x20, 0x20);
    assert_int_equal(vm_acknowledge(m->vm, 0), 0x34);
    machine_out(m, 0x20, 0x64); /* specific EOI */
    assert_false(vm_interrupt_pending(m->vm, 0));
    assert_int_equal(vm_acknowledge(m->vm, 0), -1);
}

static void pic_edge_comes_once_level_stays(void **state)
{
    struct machine *m = *state;

    start_pics(m);
    machine_out(m, 0x4d1, 0x02); /* IRQ 9 is level-triggered */
    vm_set_line(m->vm, GSI_SERIAL, true);
    assert_int_equal(vm_acknowledge(m->vm, 0), 0x34);
    machine_out(m, 0x20, 0x20);
    assert_false(vm_interrupt_pending(m->vm, 0));
    vm_set_line(m->vm, GSI_SERIAL, false);
    vm_set_line(m->vm, GSI_SERIAL, true);
    assert_int_equal(vm_acknowledge(m->vm, 0), 0x34);
    machine_out(m, 0x20, 0x20);

    vm_set_line(m->vm, GSI_SCI, true);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(vm_acknowledge(m->vm, 0), 0x39);
        machine_out(m, 0xa0, 0x20);
        machine_out(m, 0x20, 0x20);
    }
    vm_set_line(m->vm, GSI_SCI, false);
    assert_false(vm_interrupt_pending(m->vm, 0));
}

static void pic_masked_edge_waits(void **state)
{
    struct machine *m = *state;

    start_pics(m);
    machine_out(m, 0x21, 0x10);
    vm_set_line(m->vm, GSI_SERIAL, true);
    assert_false(vm_interrupt_pending(m->vm, 0));
    assert_int_equal(machine_in(m, 0x20), 0x10); /* IRR */
    machine_out(m, 0x21, 0);
    assert_int_equal(vm_acknowledge(m->vm, 0), 0x34);
    machine_out(m, 0x20, 0x0b);
    assert_int_equal(machine_in(m, 0x20), 0x10); /* ISR */
}

static void ioapic_level_waits_for_eoi(void **state)
{
    struct machine *m = *state;

    machine_start_apics(m);
    machine_route(m, GSI_SCI, 0x59 | LEVEL, 1);
    vm_set_line(m->vm, GSI_SCI, true);
    assert_false(vm_interrupt_pending(m->vm, 0));
    assert_int_equal(vm_acknowledge(m->vm, 1), 0x59);
    assert_true(machine_ioapic_read(m, 0x10 + 2 * GSI_SCI) & REMOTE_IRR);
    vm_set_line(m->vm, GSI_SCI, false);
    vm_set_line(m->vm, GSI_SCI, true); /* no second message before the EOI */
    assert_false(vm_interrupt_pending(m->vm, 1));
    machine_lapic_write(m, 1, EOI, 0);
    assert_int_equal(vm_acknowledge(m->vm, 1), 0x59); /* the line is still up */
    vm_set_line(m->vm, GSI_SCI, false);
    machine_lapic_write(m, 1, EOI, 0);
    assert_false(vm_interrupt_pending(m->vm, 1));
    assert_false(machine_ioapic_read(m, 0x10 + 2 * GSI_SCI) & REMOTE_IRR);
}

static void ioapic_level_that_nobody_takes(void **state)
{
    struct machine *m = *state;

    machine_start_apics(m);
    machine_route(m, GSI_SCI, 0x59 | LEVEL, 9); /* there is no such CPU */
    vm_set_line(m->vm, GSI_SCI, true);
    assert_false(machine_ioapic_read(m, 0x10 + 2 * GSI_SCI) & REMOTE_IRR);
    machine_route(m, GSI_SCI, 0x59 | LEVEL, 3);
    assert_int_equal(vm_acknowledge(m->vm, 3), 0x59);
}

static void ioapic_edge_and_mask(void **state)
{
    struct machine *m = *state;

    machine_start_apics(m);
    machine_route(m, GSI_SERIAL, 0x44 | MASKED, 0);
    vm_set_line(m->vm, GSI_SERIAL, true);
    machine_route(m, GSI_SERIAL, 0x44, 0);
    assert_false(vm_interrupt_pending(m->vm, 0)); /* an edge on a masked pin is lost */
    vm_set_line(m->vm, GSI_SERIAL, false);
    vm_set_line(m->vm, GSI_SERIAL, true);
    vm_set_line(m->vm, GSI_SERIAL, true);
    assert_int_equal(vm_acknowledge(m->vm, 0), 0x44);
    machine_lapic_write(m, 0, EOI, 0);
    assert_false(vm_interrupt_pending(m->vm, 0));

    machine_route(m, GSI_SCI, 0x59 | LEVEL | MASKED, 0);
    vm_set_line(m->vm, GSI_SCI, true);
    assert_false(vm_interrupt_pending(m->vm, 0));
    machine_route(m, GSI_SCI, 0x59 | LEVEL, 0);
    assert_int_equal(vm_acknowledge(m->vm, 0), 0x59); /* a level is not */
}

static void ioapic_eoi_register_and_trick(void **state)
{
    struct machine *m = *state;

    machine_start_apics(m);
    machine_route(m, GSI_SCI, 0x59 | LEVEL, 0);
    vm_set_line(m->vm, GSI_SCI, true);
    vm_acknowledge(m->vm, 0);
    vm_set_line(m->vm, GSI_SCI, false);
    vm_mmio_write(m->vm, 0, VM_IOAPIC_BASE + 0x40, 4, 0x59);
    assert_false(machine_ioapic_read(m, 0x10 + 2 * GSI_SCI) & REMOTE_IRR);
    vm_set_line(m->vm, GSI_SCI, true);
    vm_set_line(m->vm, GSI_SCI, false);
    machine_route(m, GSI_SCI, 0x59 | MASKED, 0);
    machine_route(m, GSI_SCI, 0x59 | LEVEL, 0);
    assert_false(machine_ioapic_read(m, 0x10 + 2 * GSI_SCI) & REMOTE_IRR);
}

static void ioapic_destinations(void **state)
{
    struct machine *m = *state;

    machine_start_apics(m);
    machine_route(m, GSI_SERIAL, 0x44 | LOGICAL, 0x0a); /* CPUs 1 and 3 */
    vm_set_line(m->vm, GSI_SERIAL, true);
    for (unsigned cpu = 0; cpu < MACHINE_CPUS; cpu++)
        assert_int_equal(vm_acknowledge(m->vm, cpu), cpu % 2 ? 0x44 : -1);
    vm_set_line(m->vm, GSI_SERIAL, false);
    machine_route(m, GSI_SERIAL, 0x55 | LOGICAL | LOWEST, 0x0f);
    machine_lapic_write(m, 0, TPR, 0x20);
    vm_set_line(m->vm, GSI_SERIAL, true);
    assert_int_equal(vm_acknowledge(m->vm, 2), 0x55); /* 1 and 3 serve 0x44, 0 has a priority */
}

static void lapic_priorities(void **state)
{
    struct machine *m = *state;

    machine_start_apics(m);
    machine_lapic_write(m, 0, ICR, 0x40000 | 0x51); /* to itself */
    machine_lapic_write(m, 0, ICR, 0x40000 | 0x52);
    machine_lapic_write(m, 0, ICR, 0x40000 | 0x61);
    assert_int_equal(vm_acknowledge(m->vm, 0), 0x61);
    assert_int_equal(machine_lapic_read(m, 0, PPR), 0x60);
    assert_false(vm_interrupt_pending(m->vm, 0));
    machine_lapic_write(m, 0, EOI, 0);
    assert_int_equal(vm_acknowledge(m->vm, 0), 0x52);
    assert_false(vm_interrupt_pending(m->vm, 0)); /* 0x51 is of the same class */
    machine_lapic_write(m, 0, EOI, 0);
    vm_apic_set_cr8(m->vm, 0, 5);
    assert_false(vm_interrupt_pending(m->vm, 0));
    assert_int_equal(machine_lapic_read(m, 0, TPR), 0x50);
    vm_apic_set_cr8(m->vm, 0, 4);
    assert_int_equal(vm_acknowledge(m->vm, 0), 0x51);
}

static void lapic_messages(void **state)
{
    struct machine *m = *state;

    machine_start_apics(m);
    machine_lapic_write(m, 0, ICR_HIGH, 2u << 24);
    machine_lapic_write(m, 0, ICR, 0x4500); /* INIT */
    assert_int_equal(m->inits[2], 1);
    machine_lapic_write(m, 0, ICR, 0x8500); /* INIT de-assert */
    assert_int_equal(m->inits[2], 1);
    machine_lapic_write(m, 0, ICR, 0x4608);
    assert_int_equal(m->sipi[2], 8);
    machine_lapic_write(m, 0, ICR, 0xc0400); /* NMI to the others */
    assert_int_equal(m->nmis[0], 0);
    assert_int_equal(m->nmis[1] + m->nmis[3], 2);
    machine_lapic_write(m, 0, ICR, 0x80077); /* to all */
    assert_int_equal(vm_acknowledge(m->vm, 0), 0x77);
    assert_int_equal(vm_acknowledge(m->vm, 3), 0x77);
    assert_int_equal(vm_acknowledge(m->vm, 2), -1); /* INIT turned its APIC off */
    machine_lapic_write(m, 0, ICR, 0x40005);        /* an illegal vector */
    machine_lapic_write(m, 0, ESR, 0);
    assert_int_equal(machine_lapic_read(m, 0, ESR), 0x20);
    machine_lapic_write(m, 0, ESR, 0);
    assert_int_equal(machine_lapic_read(m, 0, ESR), 0);
}

static void lapic_modes(void **state)
{
    struct machine *m = *state;
    uint64_t value;

    machine_start_apics(m);
    assert_false(vm_apic_rdmsr(m->vm, 1, 0x802, &value));
    assert_false(vm_apic_wrmsr(m->vm, 1, 0x1b, VM_LAPIC_BASE | 0x400)); /* EXTD without EN */
    assert_true(vm_apic_wrmsr(m->vm, 1, 0x1b, VM_LAPIC_BASE | 0xc00));
    assert_true(vm_apic_rdmsr(m->vm, 1, 0x802, &value));
    assert_int_equal(value, 1);
    assert_true(vm_apic_rdmsr(m->vm, 1, 0x80d, &value));
    assert_int_equal(value, 2);
    assert_int_equal(machine_lapic_read(m, 1, 0x20), UINT32_MAX); /* no memory window any more */
    assert_false(vm_apic_wrmsr(m->vm, 1, 0x1b, VM_LAPIC_BASE | 0x800));
    assert_false(vm_apic_wrmsr(m->vm, 1, 0x80e, 0));
    assert_false(vm_apic_wrmsr(m->vm, 1, 0x80b, 1));
    assert_true(vm_apic_wrmsr(m->vm, 1, 0x83f, 0x33)); /* self IPI */
    assert_int_equal(vm_acknowledge(m->vm, 1), 0x33);
    assert_true(vm_apic_wrmsr(m->vm, 1, 0x80b, 0));
    assert_true(vm_apic_wrmsr(m->vm, 1, 0x830, 0x0000000200004044));
    assert_int_equal(vm_acknowledge(m->vm, 2), 0x44);
    assert_true(vm_apic_wrmsr(m->vm, 1, 0x1b, VM_LAPIC_BASE));
    assert_false(vm_apic_wrmsr(m->vm, 1, 0x1b, VM_LAPIC_BASE | 0xc00));
    assert_true(vm_apic_wrmsr(m->vm, 1, 0x1b, VM_LAPIC_BASE | 0x800));
    assert_false(vm_apic_wrmsr(m->vm, 1, 0x1b, 0x1000800)); /* it does not move */
}

static void state_is_bytes(void **state)
{
    struct machine *m = *state;
    size_t size = vm_state_size(m->vm);
    uint8_t *before = test_malloc(size), *after = test_malloc(size);

    machine_start_apics(m);
    machine_lapic_write(m, 0, ICR, 0x40051);
    vm_save(m->vm, before);
    assert_int_equal(vm_acknowledge(m->vm, 0), 0x51);
    assert_int_equal(vm_restore(m->vm, before, size), 0);
    vm_save(m->vm, after);
    assert_memory_equal(before, after, size);
    assert_int_equal(vm_acknowledge(m->vm, 0), 0x51);
    assert_int_not_equal(vm_restore(m->vm, before, size - 1), 0);
    test_free(before);
    test_free(after);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pic_delivers_by_priority),
        TEST(pic_edge_comes_once_level_stays),
        TEST(pic_masked_edge_waits),
        TEST(ioapic_level_waits_for_eoi),
        TEST(ioapic_level_that_nobody_takes),
        TEST(ioapic_edge_and_mask),
        TEST(ioapic_eoi_register_and_trick),
        TEST(ioapic_destinations),
        TEST(lapic_priorities),
        TEST(lapic_messages),
        TEST(lapic_modes),
        TEST(state_is_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
