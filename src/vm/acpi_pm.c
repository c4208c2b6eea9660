/* ACPI fixed hardware: the PM1a event and control registers and the power management timer. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/internal.h"

/*
 * Ports, from 0x600 (ACPI 6.4, 4.8.3):
 *   0 PM1_STS   2 PM1_EN   4 PM1_CNT   8 PM_TMR (32 bits, 3.579545 MHz)
 */
enum { STATUS = 0, ENABLE = 2, CONTROL = 4, TIMER = 8, END = 12 };
enum {
    TIMER_BIT = 1 << 0, /* TMR_STS, TMR_EN: bit 31 of the timer changed */
    ENABLE_BITS = 1 << 0 | 1 << 5 | 1 << 8 | 1 << 10,
    SCI_EN = 1 << 0,
    SLP_TYP_SHIFT = 10,
    SLP_EN = 1 << 13,
    SLEEP_S5 = 5,
};
#define TIMER_HZ 3579545ull

struct pm {
    uint16_t status, enable, control;
    uint64_t half; /* how often bit 31 of the timer had changed when status was last brought up */
};

static uint64_t ticks_at(uint64_t now)
{
    return vm_scale(now, TIMER_HZ, 1000000000);
}

static void update(struct vm *vm, const struct pm *pm)
{
    vm_set_line(vm, VM_GSI_SCI, pm->status & pm->enable);
}

static void catch_up(struct pm *pm, uint64_t now)
{
    uint64_t half = ticks_at(now) >> 31;

    if (half != pm->half)
        pm->status |= TIMER_BIT;
    pm->half = half;
}

static uint8_t read_byte(struct vm *vm, const struct pm *pm, unsigned offset)
{
    uint32_t word = 0;

    switch (offset & ~1u) {
    case STATUS: word = pm->status; break;
    case ENABLE: word = pm->enable; break;
    case CONTROL: word = pm->control | SCI_EN; break;
    case TIMER:
    case TIMER + 2: return (uint8_t)(ticks_at(vm_now(vm)) >> 8 * (offset - TIMER));
    }
    return (uint8_t)(word >> 8 * (offset & 1));
}

static uint64_t pm_read(struct vm *vm, void *state, unsigned region, uint64_t offset, unsigned size)
{
    struct pm *pm = state;
    uint64_t value = 0;

    (void)region;
    catch_up(pm, vm_now(vm));
    for (unsigned i = 0; i < size && offset + i < END; i++)
        value |= (uint64_t)read_byte(vm, pm, (unsigned)offset + i) << 8 * i;
    return value;
}

static void write_byte(struct vm *vm, struct pm *pm, unsigned offset, uint8_t value)
{
    unsigned shift = 8 * (offset & 1);
    uint16_t bits = (uint16_t)(value << shift), others = (uint16_t)(0xff00 >> shift);

    switch (offset & ~1u) {
    case STATUS: pm->status &= (uint16_t)~bits; break;
    case ENABLE: pm->enable = ((pm->enable & others) | bits) & ENABLE_BITS; break;
    case CONTROL:
        pm->control = ((pm->control & others) | bits) & (uint16_t)~SLP_EN;
        if (bits & SLP_EN && (pm->control >> SLP_TYP_SHIFT & 7) == SLEEP_S5)
            vm->host.request(vm->host.ctx, VM_POWER_OFF, 0);
        break;
    }
}

static void pm_write(struct vm *vm, void *state, unsigned region, uint64_t offset, unsigned size,
                     uint64_t value)
{
    struct pm *pm = state;

    (void)region;
    catch_up(pm, vm_now(vm));
    for (unsigned i = 0; i < size && offset + i < END; i++)
        write_byte(vm, pm, (unsigned)offset + i, (uint8_t)(value >> 8 * i));
    update(vm, pm);
    vm_deadline_changed(vm);
}

static uint64_t pm_deadline(struct vm *vm, void *state)
{
    const struct pm *pm = state;

    (void)vm;
    if (!(pm->enable & TIMER_BIT) || pm->status & TIMER_BIT)
        return VM_NEVER;
    return vm_scale_up((pm->half + 1) << 31, 1000000000, TIMER_HZ);
}

static void pm_tick(struct vm *vm, void *state, uint64_t now)
{
    catch_up(state, now);
    update(vm, state);
}

static void pm_reset(struct vm *vm, void *state)
{
    struct pm *pm = state;

    pm->half = ticks_at(vm_now(vm)) >> 31;
}

const struct vm_device_ops vm_pm_ops = {
    .name = "acpi-pm",
    .state_size = sizeof(struct pm),
    .read = pm_read,
    .write = pm_write,
    .deadline = pm_deadline,
    .tick = pm_tick,
    .reset = pm_reset,
};
