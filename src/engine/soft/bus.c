/* The machine as the software CPUs see it: RAM pages, devices, ports, and the local APIC's MSRs. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/soft/soft.h"
#include "x86/regs.h"

static unsigned index_of(const struct cpu *cpu)
{
    return cpu->model.apic_id;
}

static uint8_t *page(void *ctx, uint64_t gpa, bool *writable)
{
    struct soft *soft = ctx;

    *writable = true;
    return vm_ram(soft->vm, gpa, 4096);
}

static int read_memory(void *ctx, struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t *value)
{
    struct soft *soft = ctx;

    soft->touched = true;
    *value = vm_mmio_read(soft->vm, index_of(cpu), gpa, size);
    return CPU_NEXT;
}

static int write_memory(void *ctx, struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t value)
{
    struct soft *soft = ctx;

    soft->touched = true;
    vm_mmio_write(soft->vm, index_of(cpu), gpa, size, value);
    return CPU_NEXT;
}

static int in(void *ctx, struct cpu *cpu, uint16_t port, unsigned size, uint32_t *value)
{
    struct soft *soft = ctx;

    soft->touched = true;
    *value = vm_port_read(soft->vm, index_of(cpu), port, size);
    return CPU_NEXT;
}

static int out(void *ctx, struct cpu *cpu, uint16_t port, unsigned size, uint32_t value)
{
    struct soft *soft = ctx;

    soft->touched = true;
    vm_port_write(soft->vm, index_of(cpu), port, size, value);
    return CPU_NEXT;
}

static int general_protection(struct cpu *cpu)
{
    cpu->fault =
        (struct cpu_event){.vector = X86_EXC_GP, .kind = CPU_EVENT_EXCEPTION, .has_error = true};
    return CPU_FAULT;
}

static int read_msr(void *ctx, struct cpu *cpu, uint32_t msr, uint64_t *value)
{
    struct soft *soft = ctx;

    soft->touched = true;
    return vm_apic_rdmsr(soft->vm, index_of(cpu), msr, value) ? CPU_NEXT : general_protection(cpu);
}

static int write_msr(void *ctx, struct cpu *cpu, uint32_t msr, uint64_t value)
{
    struct soft *soft = ctx;

    soft->touched = true;
    vm_apic_set_tsc(soft->vm, index_of(cpu), SOFT_TSC_HZ, cpu->tsc_offset);
    return vm_apic_wrmsr(soft->vm, index_of(cpu), msr, value) ? CPU_NEXT : general_protection(cpu);
}

static uint64_t read_cr8(void *ctx, struct cpu *cpu)
{
    struct soft *soft = ctx;

    return vm_apic_cr8(soft->vm, index_of(cpu));
}

static void write_cr8(void *ctx, struct cpu *cpu, uint64_t value)
{
    struct soft *soft = ctx;

    vm_apic_set_cr8(soft->vm, index_of(cpu), value);
}

static int acknowledge(void *ctx, struct cpu *cpu)
{
    struct soft *soft = ctx;

    return vm_acknowledge(soft->vm, index_of(cpu));
}

/* A code watchpoint is by linear address: all pages are stopped at its offset, see target.c. */
static bool breakpoint(void *ctx, uint64_t gpa)
{
    const struct soft *soft = ctx;

    return soft->code_watch_offsets[gpa % 4096] || soft_set_has(&soft->breakpoints, gpa);
}

const struct cpu_bus soft_bus = {
    .page = page,
    .read = read_memory,
    .write = write_memory,
    .in = in,
    .out = out,
    .rdmsr = read_msr,
    .wrmsr = write_msr,
    .read_cr8 = read_cr8,
    .write_cr8 = write_cr8,
    .acknowledge = acknowledge,
    .breakpoint = breakpoint,
};
