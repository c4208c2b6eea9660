/* A machine without CPUs for the device tests: time is set by hand, signals are counted. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm_machine.h"

#include <stdlib.h>

static uint64_t now(void *ctx)
{
    return ((struct machine *)ctx)->now;
}

static void deadline_changed(void *ctx)
{
    (void)ctx;
}

static void interrupt_changed(void *ctx, unsigned cpu)
{
    (void)ctx;
    assert_true(cpu < MACHINE_CPUS);
}

static void cpu_init(void *ctx, unsigned cpu)
{
    ((struct machine *)ctx)->inits[cpu]++;
}

static void cpu_sipi(void *ctx, unsigned cpu, uint8_t vector)
{
    ((struct machine *)ctx)->sipi[cpu] = vector;
}

static void cpu_nmi(void *ctx, unsigned cpu)
{
    ((struct machine *)ctx)->nmis[cpu]++;
}

static void serial_out(void *ctx, uint8_t byte)
{
    struct machine *m = ctx;

    if (m->out_count < sizeof m->out)
        m->out[m->out_count++] = byte;
}

static void request(void *ctx, int what, int status)
{
    struct machine *m = ctx;

    m->request = what;
    m->status = status;
}

int machine_setup(void **state)
{
    struct machine *m = calloc(1, sizeof *m);
    struct vm_host host = {
        .ctx = m,
        .now = now,
        .deadline_changed = deadline_changed,
        .interrupt_changed = interrupt_changed,
        .cpu_init = cpu_init,
        .cpu_sipi = cpu_sipi,
        .cpu_nmi = cpu_nmi,
        .serial_out = serial_out,
        .request = request,
    };
    struct vm_config config = {.ram_bytes = 16 << 20, .cpus = MACHINE_CPUS, .exit_port = 0xf4};
    int error;

    m->vm = vm_new(&config, &host, &error);
    m->request = -1;
    for (unsigned i = 0; i < MACHINE_CPUS; i++)
        m->sipi[i] = -1;
    *state = m;
    return error;
}

int machine_teardown(void **state)
{
    struct machine *m = *state;

    vm_free(m->vm);
    free(m);
    return 0;
}

void machine_out(struct machine *m, uint16_t port, uint8_t value)
{
    vm_port_write(m->vm, 0, port, 1, value);
}

uint8_t machine_in(struct machine *m, uint16_t port)
{
    return (uint8_t)vm_port_read(m->vm, 0, port, 1);
}

void machine_lapic_write(struct machine *m, unsigned cpu, unsigned offset, uint32_t value)
{
    vm_mmio_write(m->vm, cpu, VM_LAPIC_BASE + offset, 4, value);
}

uint32_t machine_lapic_read(struct machine *m, unsigned cpu, unsigned offset)
{
    return (uint32_t)vm_mmio_read(m->vm, cpu, VM_LAPIC_BASE + offset, 4);
}

void machine_ioapic_write(struct machine *m, unsigned reg, uint32_t value)
{
    vm_mmio_write(m->vm, 0, VM_IOAPIC_BASE, 4, reg);
    vm_mmio_write(m->vm, 0, VM_IOAPIC_BASE + 0x10, 4, value);
}

uint32_t machine_ioapic_read(struct machine *m, unsigned reg)
{
    vm_mmio_write(m->vm, 0, VM_IOAPIC_BASE, 4, reg);
    return (uint32_t)vm_mmio_read(m->vm, 0, VM_IOAPIC_BASE + 0x10, 4);
}

void machine_pass(struct machine *m, uint64_t ns)
{
    uint64_t end = m->now + ns;

    while (vm_deadline(m->vm) <= end) {
        m->now = vm_deadline(m->vm);
        vm_tick(m->vm, m->now);
        assert_true(vm_deadline(m->vm) > m->now);
    }
    m->now = end;
}

void machine_start_apics(struct machine *m)
{
    for (unsigned cpu = 0; cpu < MACHINE_CPUS; cpu++) {
        machine_lapic_write(m, cpu, 0xf0, 0x1ff);
        machine_lapic_write(m, cpu, 0xd0, 0x01000000u << cpu); /* flat logical ID */
    }
    machine_lapic_write(m, 0, 0x350, 0x10000); /* no virtual wire */
}

void machine_route(struct machine *m, unsigned pin, uint32_t entry, uint8_t destination)
{
    machine_ioapic_write(m, 0x11 + 2 * pin, (uint32_t)destination << 24);
    machine_ioapic_write(m, 0x10 + 2 * pin, entry);
}
