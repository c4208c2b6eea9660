/* The machine: which device answers which address, whose turn it is, and its state as bytes. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>

#include "vm/internal.h"

static const struct vm_device_ops *const devices[VM_DEV_COUNT] = {
    [VM_DEV_SERIAL] = &vm_serial_ops, [VM_DEV_PIC] = &vm_pic_ops,
    [VM_DEV_IOAPIC] = &vm_ioapic_ops, [VM_DEV_LAPIC] = &vm_lapic_ops,
    [VM_DEV_PIT] = &vm_pit_ops,       [VM_DEV_RTC] = &vm_rtc_ops,
    [VM_DEV_PM] = &vm_pm_ops,         [VM_DEV_CONTROL] = &vm_control_ops,
};

static const struct vm_region standard_ports[] = {
    {0x020, 2, VM_DEV_PIC, 0, 1},     {0x0a0, 2, VM_DEV_PIC, 1, 1},
    {0x4d0, 2, VM_DEV_PIC, 2, 1},     {0x040, 4, VM_DEV_PIT, 0, 1},
    {0x061, 1, VM_DEV_PIT, 1, 1},     {0x070, 2, VM_DEV_RTC, 0, 1},
    {0x3f8, 8, VM_DEV_SERIAL, 0, 1},  {0x600, 12, VM_DEV_PM, 0, 4},
    {0x064, 1, VM_DEV_CONTROL, 0, 1}, {0x092, 1, VM_DEV_CONTROL, 1, 1},
    {0xcf9, 1, VM_DEV_CONTROL, 2, 1},
};

static const struct vm_region memory_regions[] = {
    {VM_IOAPIC_BASE, 0x1000, VM_DEV_IOAPIC, 0, 4},
    {VM_LAPIC_BASE, 0x1000, VM_DEV_LAPIC, 0, 4},
};

static int add_ports(struct vm *vm, const struct vm_region *region)
{
    for (uint64_t i = 0; i < region->length; i++)
        if (vm->port_index[region->begin + i])
            return -EINVAL;
    vm->ports[vm->port_count++] = *region;
    memset(vm->port_index + region->begin, (int)vm->port_count, region->length);
    return 0;
}

static int map_ports(struct vm *vm)
{
    int error = 0;

    for (size_t i = 0; i < sizeof standard_ports / sizeof *standard_ports && !error; i++)
        error = add_ports(vm, &standard_ports[i]);
    if (error || vm->config.exit_port < 0)
        return error;
    if (vm->config.exit_port > 0xffff)
        return -EINVAL;
    uint64_t first = (uint64_t)vm->config.exit_port;
    uint64_t length = first + 4 <= 0x10000 ? 4 : 0x10000 - first;
    return add_ports(vm, &(struct vm_region){first, length, VM_DEV_CONTROL, 3, 4});
}

static int allocate_state(struct vm *vm)
{
    for (unsigned id = 0; id < VM_DEV_COUNT; id++) {
        size_t copies = id == VM_DEV_LAPIC ? vm->config.cpus : 1;
        vm->offset[id] = vm->state_size;
        vm->state_size += (devices[id]->state_size * copies + 15) & ~(size_t)15;
    }
    vm->state = calloc(1, vm->state_size);
    return vm->state ? 0 : -ENOMEM;
}

static void reset_devices(struct vm *vm)
{
    memset(vm->state, 0, vm->state_size);
    for (unsigned id = 0; id < VM_DEV_COUNT; id++)
        devices[id]->reset(vm, vm_device(vm, (enum vm_device_id)id));
    vm->deadline_known = false;
}

/* The owner looks again at everything it may have derived from the devices. */
static void announce(struct vm *vm)
{
    vm_deadline_changed(vm);
    for (unsigned cpu = 0; cpu < vm->config.cpus; cpu++)
        vm_interrupt_changed(vm, cpu);
}

struct vm *vm_new(const struct vm_config *config, const struct vm_host *host, int *error)
{
    struct vm *vm = calloc(1, sizeof *vm);

    *error = -ENOMEM;
    if (!vm)
        return NULL;
    vm->config = *config;
    vm->host = *host;
    *error = config->cpus >= 1 && config->cpus <= VM_CPUS_MAX ? 0 : -EINVAL;
    if (!*error)
        *error = vm_memory_new(vm);
    if (!*error)
        *error = allocate_state(vm);
    if (!*error)
        *error = map_ports(vm);
    if (*error) {
        vm_free(vm);
        return NULL;
    }
    reset_devices(vm);
    return vm;
}

void vm_free(struct vm *vm)
{
    if (!vm)
        return;
    vm_memory_free(vm);
    free(vm->state);
    free(vm);
}

/* --- Accesses -------------------------------------------------------------------------------- */

unsigned vm_cpus(const struct vm *vm)
{
    return vm->config.cpus;
}

static const struct vm_region *memory_region(uint64_t gpa)
{
    for (size_t i = 0; i < sizeof memory_regions / sizeof *memory_regions; i++)
        if (gpa - memory_regions[i].begin < memory_regions[i].length)
            return &memory_regions[i];
    return NULL;
}

static uint64_t read_region(struct vm *vm, const struct vm_region *region, uint64_t address,
                            unsigned size)
{
    const struct vm_device_ops *ops = devices[region->device];
    void *state = vm_device(vm, region->device);
    unsigned step = size < region->width ? size : region->width;
    uint64_t value = 0;

    for (unsigned i = 0; i < size; i += step) {
        uint64_t offset = address - region->begin + i;
        uint64_t part = offset < region->length ? ops->read(vm, state, region->number, offset, step)
                                                : UINT64_MAX;
        part &= UINT64_MAX >> (64 - 8 * step);
        value |= part << 8 * i;
    }
    return value;
}

static void write_region(struct vm *vm, const struct vm_region *region, uint64_t address,
                         unsigned size, uint64_t value)
{
    const struct vm_device_ops *ops = devices[region->device];
    void *state = vm_device(vm, region->device);
    unsigned step = size < region->width ? size : region->width;

    for (unsigned i = 0; i < size; i += step) {
        uint64_t offset = address - region->begin + i;
        uint64_t part = value >> 8 * i & UINT64_MAX >> (64 - 8 * step);
        if (offset < region->length)
            ops->write(vm, state, region->number, offset, step, part);
    }
}

void vm_access_as(struct vm *vm, unsigned cpu)
{
    vm->accessor = cpu;
}

uint64_t vm_mmio_read(struct vm *vm, unsigned cpu, uint64_t gpa, unsigned size)
{
    const struct vm_region *region = memory_region(gpa);

    vm->accessor = cpu;
    return region ? read_region(vm, region, gpa, size) : UINT64_MAX >> (64 - 8 * size);
}

void vm_mmio_write(struct vm *vm, unsigned cpu, uint64_t gpa, unsigned size, uint64_t value)
{
    const struct vm_region *region = memory_region(gpa);

    vm->accessor = cpu;
    if (region)
        write_region(vm, region, gpa, size, value);
}

/*
 * The first port decides who answers: a wide access to port 0xcf8 (PCI configuration, not there)
 * must not reach the reset register at 0xcf9.
 */
uint32_t vm_port_read(struct vm *vm, unsigned cpu, uint16_t port, unsigned size)
{
    unsigned index = vm->port_index[port];

    vm->accessor = cpu;
    if (!index)
        return UINT32_MAX >> (32 - 8 * size);
    return (uint32_t)read_region(vm, &vm->ports[index - 1], port, size);
}

void vm_port_write(struct vm *vm, unsigned cpu, uint16_t port, unsigned size, uint32_t value)
{
    unsigned index = vm->port_index[port];

    vm->accessor = cpu;
    if (index)
        write_region(vm, &vm->ports[index - 1], port, size, value);
}

/* --- Interrupt lines and time ---------------------------------------------------------------- */

void vm_set_line(struct vm *vm, unsigned gsi, bool level)
{
    if (vm->host.set_line) {
        vm->host.set_line(vm->host.ctx, gsi, level);
        return;
    }
    if (gsi == VM_GSI_PIT)
        vm_pic_set_line(vm, 0, level);
    else if (gsi > VM_GSI_PIT && gsi < 16)
        vm_pic_set_line(vm, gsi, level);
    if (gsi < VM_GSI_COUNT)
        vm_ioapic_set_line(vm, gsi, level);
}

uint64_t vm_deadline(struct vm *vm)
{
    if (vm->deadline_known)
        return vm->deadline;
    uint64_t first = VM_NEVER;
    for (unsigned id = 0; id < VM_DEV_COUNT; id++) {
        if (!devices[id]->deadline)
            continue;
        uint64_t deadline = devices[id]->deadline(vm, vm_device(vm, (enum vm_device_id)id));
        first = deadline < first ? deadline : first;
    }
    vm->deadline = first;
    vm->deadline_known = true;
    return first;
}

void vm_tick(struct vm *vm, uint64_t now)
{
    if (vm_deadline(vm) > now)
        return;
    for (unsigned id = 0; id < VM_DEV_COUNT; id++) {
        void *state = vm_device(vm, (enum vm_device_id)id);
        if (devices[id]->deadline && devices[id]->deadline(vm, state) <= now)
            devices[id]->tick(vm, state, now);
    }
    vm->deadline_known = false;
}

/* --- State as bytes -------------------------------------------------------------------------- */

size_t vm_state_size(const struct vm *vm)
{
    return vm->state_size;
}

const void *vm_state(const struct vm *vm)
{
    return vm->state;
}

void vm_save(const struct vm *vm, void *out)
{
    memcpy(out, vm->state, vm->state_size);
}

int vm_restore(struct vm *vm, const void *in, size_t n)
{
    if (n != vm->state_size)
        return -EINVAL;
    memcpy(vm->state, in, n);
    announce(vm);
    return 0;
}
