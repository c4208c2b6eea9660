/* The local APIC's timer: one-shot, periodic, and by TSC deadline (SDM vol. 3, "APIC Timer"). */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/internal.h"
#include "vm/lapic.h"

unsigned lapic_timer_mode(const struct lapic *lapic)
{
    return lapic->lvt[LAPIC_LVT_TIMER] >> 17 & 3;
}

static uint64_t timer_divisor(const struct lapic *lapic)
{
    unsigned code = (lapic->divide & 3) | (lapic->divide >> 1 & 4);

    return code == 7 ? 1 : 2u << code;
}

static uint64_t timer_period(const struct lapic *lapic)
{
    return vm_scale_up(lapic->initial_count * timer_divisor(lapic), 1000000000, LAPIC_TIMER_HZ);
}

static uint64_t tsc_at(const struct lapic *lapic, uint64_t now)
{
    return vm_scale(now, lapic->tsc_hz, 1000000000) + (uint64_t)lapic->tsc_offset;
}

/* The first nanosecond at which the TSC has reached the deadline. */
static uint64_t time_of_tsc(const struct lapic *lapic, uint64_t now)
{
    int64_t ahead = (int64_t)(lapic->tsc_deadline - tsc_at(lapic, now));

    if (ahead <= 0)
        return now;
    uint64_t ticks = lapic->tsc_deadline - (uint64_t)lapic->tsc_offset;
    return vm_scale_up(ticks, 1000000000, lapic->tsc_hz);
}

void lapic_arm_deadline(struct vm *vm, struct lapic *lapic)
{
    lapic->fire_at = lapic->tsc_deadline ? time_of_tsc(lapic, vm_now(vm)) : VM_NEVER;
    vm_deadline_changed(vm);
}

void lapic_arm_count(struct vm *vm, struct lapic *lapic)
{
    uint64_t period = timer_period(lapic);

    lapic->fire_at = period ? vm_now(vm) + period : VM_NEVER;
    vm_deadline_changed(vm);
}

uint32_t lapic_current_count(struct vm *vm, const struct lapic *lapic)
{
    if (lapic_timer_mode(lapic) == LAPIC_TIMER_DEADLINE || lapic->fire_at == VM_NEVER)
        return 0;
    uint64_t left = lapic->fire_at - vm_now(vm);
    if ((int64_t)left < 0)
        return 0;
    return (uint32_t)(vm_scale(left, LAPIC_TIMER_HZ, 1000000000) / timer_divisor(lapic));
}

void lapic_write_divide(struct vm *vm, struct lapic *lapic, uint32_t value)
{
    uint32_t left = lapic_current_count(vm, lapic);

    lapic->divide = value & 0xb;
    if (lapic_timer_mode(lapic) == LAPIC_TIMER_DEADLINE || lapic->fire_at == VM_NEVER)
        return;
    lapic->fire_at =
        vm_now(vm) + vm_scale_up(left * timer_divisor(lapic), 1000000000, LAPIC_TIMER_HZ);
    vm_deadline_changed(vm);
}

/* A change into or out of deadline mode disarms the timer. */
void lapic_write_timer_lvt(struct vm *vm, struct lapic *lapic, uint32_t value)
{
    bool was_deadline = lapic_timer_mode(lapic) == LAPIC_TIMER_DEADLINE;

    lapic->lvt[LAPIC_LVT_TIMER] = value;
    if (was_deadline == (lapic_timer_mode(lapic) == LAPIC_TIMER_DEADLINE))
        return;
    lapic->tsc_deadline = 0;
    lapic->initial_count = 0;
    lapic->fire_at = VM_NEVER;
    vm_deadline_changed(vm);
}

static void fire_timer(struct vm *vm, struct lapic *lapic, uint64_t now)
{
    uint64_t period = timer_period(lapic);

    lapic->tsc_deadline = 0;
    if (lapic_timer_mode(lapic) == LAPIC_TIMER_PERIODIC && period)
        lapic->fire_at += ((now - lapic->fire_at) / period + 1) * period;
    else
        lapic->fire_at = VM_NEVER;
    lapic_fire_lvt(vm, lapic, LAPIC_LVT_TIMER);
}

uint64_t lapic_deadline(struct vm *vm, void *state)
{
    const struct lapic *lapic = state;
    uint64_t first = VM_NEVER;

    for (unsigned cpu = 0; cpu < vm->config.cpus; cpu++)
        first = lapic[cpu].fire_at < first ? lapic[cpu].fire_at : first;
    return first;
}

void lapic_tick(struct vm *vm, void *state, uint64_t now)
{
    struct lapic *lapic = state;

    for (unsigned cpu = 0; cpu < vm->config.cpus; cpu++)
        if (lapic[cpu].fire_at <= now)
            fire_timer(vm, &lapic[cpu], now);
}

void vm_apic_set_tsc(struct vm *vm, unsigned cpu, uint64_t hz, int64_t offset)
{
    struct lapic *lapic = lapic_of(vm, cpu);

    if (lapic->tsc_hz == hz && lapic->tsc_offset == offset)
        return;
    lapic->tsc_hz = hz;
    lapic->tsc_offset = offset;
    if (lapic->tsc_deadline)
        lapic_arm_deadline(vm, lapic);
}
