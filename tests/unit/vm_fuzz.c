/* Random accesses to every device: nothing crashes, hangs, or stays due. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>

#include "vm_machine.h"

enum { ACCESSES = 300000 };

static const struct {
    uint16_t first, count;
} ports[] = {
    {0x20, 2},  {0xa0, 2}, {0x4d0, 2}, {0x40, 4},  {0x61, 1},   {0x70, 2},
    {0x3f8, 8}, {0x64, 1}, {0x92, 1},  {0xcf8, 4}, {0x600, 12}, {0xf4, 4},
};

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static unsigned below(unsigned n)
{
    return (unsigned)(next_random() >> 33) % n;
}

/* Often few bits, so that modes and counts that make sense turn up. */
static uint64_t value(void)
{
    return next_random() >> below(64);
}

static void touch_port(struct machine *m)
{
    unsigned i = below(sizeof ports / sizeof *ports);
    uint16_t port = (uint16_t)(ports[i].first + below(ports[i].count));
    unsigned size = 1u << below(3);

    if (below(2))
        vm_port_write(m->vm, below(MACHINE_CPUS), port, size, (uint32_t)value());
    else
        vm_port_read(m->vm, below(MACHINE_CPUS), port, size);
}

static void touch_memory(struct machine *m)
{
    uint64_t gpa = below(2) ? VM_LAPIC_BASE + 16 * below(64) : VM_IOAPIC_BASE + 16 * below(5);
    unsigned size = below(8) ? 4 : 1u << below(4);

    if (below(2))
        vm_mmio_write(m->vm, below(MACHINE_CPUS), gpa, size, value());
    else
        vm_mmio_read(m->vm, below(MACHINE_CPUS), gpa, size);
}

static void touch_msr(struct machine *m)
{
    static const uint32_t others[] = {0x1b, 0x6e0};
    uint32_t msr = below(4) ? 0x800 + below(0x40) : others[below(2)];
    uint64_t read;

    if (msr == 0x1b)
        vm_apic_wrmsr(m->vm, below(MACHINE_CPUS), msr,
                      VM_LAPIC_BASE | below(4) << 10 | below(2) << 8);
    else if (below(2))
        vm_apic_wrmsr(m->vm, below(MACHINE_CPUS), msr, value());
    else
        vm_apic_rdmsr(m->vm, below(MACHINE_CPUS), msr, &read);
}

static void happen(struct machine *m)
{
    unsigned cpu = below(MACHINE_CPUS);
    uint8_t bytes[8] = {0};

    switch (below(8)) {
    case 0: vm_set_line(m->vm, below(24), below(2)); break;
    case 1: vm_serial_in(m->vm, bytes, below(sizeof bytes)); break;
    case 2: machine_pass(m, 1u << below(20)); break;
    case 3: vm_apic_set_tsc(m->vm, cpu, 1000000000, (int64_t)below(1000)); break;
    case 4: vm_apic_set_cr8(m->vm, cpu, below(16)); break;
    default:
        /* Pending means that there is a vector. */
        if (vm_interrupt_pending(m->vm, cpu))
            assert_in_range(vm_acknowledge(m->vm, cpu), 0, 255);
        else
            assert_int_equal(vm_acknowledge(m->vm, cpu), -1);
    }
}

static void survives(void **state)
{
    struct machine *m = *state;
    const char *seed = getenv("SEED");

    random_state = seed ? strtoull(seed, NULL, 0) : 0x5eed;
    printf("SEED=%#llx\n", (unsigned long long)random_state);
    for (unsigned i = 0; i < ACCESSES; i++) {
        switch (below(4)) {
        case 0: touch_port(m); break;
        case 1: touch_memory(m); break;
        case 2: touch_msr(m); break;
        default: happen(m); break;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(survives, machine_setup, machine_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
