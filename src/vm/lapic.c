/* The local APICs: which interrupt each CPU takes next. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/lapic.h"
#include "vm/internal.h"

struct lapic *lapic_of(struct vm *vm, unsigned cpu)
{
    return (struct lapic *)vm_device(vm, VM_DEV_LAPIC) + cpu;
}

/* --- Vectors (Intel SDM vol. 3, "Handling Interrupts") ---------------------------------------- */

static void set_bit(uint32_t *bits, uint8_t vector, bool value)
{
    uint32_t bit = 1u << vector % 32;

    bits[vector / 32] = value ? bits[vector / 32] | bit : bits[vector / 32] & ~bit;
}

static bool get_bit(const uint32_t *bits, uint8_t vector)
{
    return bits[vector / 32] >> vector % 32 & 1;
}

static int highest(const uint32_t *bits)
{
    for (int word = 7; word >= 0; word--)
        if (bits[word])
            return word * 32 + 31 - __builtin_clz(bits[word]);
    return -1;
}

uint8_t lapic_processor_priority(const struct lapic *lapic)
{
    int serving = highest(lapic->isr);

    if (serving < 0 || (lapic->tpr & 0xf0) >= (serving & 0xf0))
        return lapic->tpr;
    return serving & 0xf0;
}

/* The requested vector that may interrupt now, or -1. */
static int deliverable(const struct lapic *lapic)
{
    int vector = highest(lapic->irr);

    return vector >= 0 && (vector & 0xf0) > (lapic_processor_priority(lapic) & 0xf0) ? vector : -1;
}

bool lapic_is_on(const struct lapic *lapic)
{
    return lapic->base & LAPIC_BASE_ENABLE;
}

bool lapic_is_x2(const struct lapic *lapic)
{
    return lapic->base & LAPIC_BASE_X2;
}

/*
 * Does the PIC's wire reach the processor? Through LINT0 programmed as ExtINT (MP specification
 * 3.6.2.2, "virtual wire mode"), or, with the APIC off, as the INTR pin of the boot processor.
 */
static bool external_interrupt(struct vm *vm, unsigned cpu)
{
    const struct lapic *lapic = lapic_of(vm, cpu);
    uint32_t lint0 = lapic->lvt[LAPIC_LVT_LINT0];

    if (!vm_pic_output(vm))
        return false;
    if (!lapic_is_on(lapic))
        return cpu == 0;
    return !(lint0 & LAPIC_LVT_MASKED) && (lint0 >> 8 & 7) == VM_DELIVER_EXTINT;
}

bool vm_interrupt_pending(struct vm *vm, unsigned cpu)
{
    return deliverable(lapic_of(vm, cpu)) >= 0 || external_interrupt(vm, cpu);
}

int vm_acknowledge(struct vm *vm, unsigned cpu)
{
    struct lapic *lapic = lapic_of(vm, cpu);
    int vector = deliverable(lapic);

    if (vector >= 0) {
        set_bit(lapic->irr, (uint8_t)vector, false);
        set_bit(lapic->isr, (uint8_t)vector, true);
    } else if (external_interrupt(vm, cpu)) {
        vector = vm_pic_acknowledge(vm);
    }
    vm_interrupt_changed(vm, cpu);
    return vector;
}

/* false: the APIC is off, and nobody will ever end this interrupt. */
bool lapic_request(struct vm *vm, unsigned cpu, uint8_t vector, bool level)
{
    struct lapic *lapic = lapic_of(vm, cpu);

    if (!lapic_is_on(lapic) || !(lapic->svr & LAPIC_SVR_ENABLE))
        return false;
    if (vector < 16) {
        lapic_error(vm, lapic, LAPIC_ERROR_RECEIVED_VECTOR);
        return false;
    }
    set_bit(lapic->irr, vector, true);
    set_bit(lapic->tmr, vector, level);
    vm_interrupt_changed(vm, cpu);
    return true;
}

void lapic_end_of_interrupt(struct vm *vm, struct lapic *lapic)
{
    int vector = highest(lapic->isr);

    if (vector < 0)
        return;
    set_bit(lapic->isr, (uint8_t)vector, false);
    if (get_bit(lapic->tmr, (uint8_t)vector))
        vm_ioapic_eoi(vm, (uint8_t)vector);
    vm_interrupt_changed(vm, lapic->cpu);
}

/* --- Local sources (10.5) -------------------------------------------------------------------- */

void lapic_fire_lvt(struct vm *vm, struct lapic *lapic, unsigned entry)
{
    uint32_t lvt = lapic->lvt[entry];

    if (lvt & LAPIC_LVT_MASKED || !lapic_is_on(lapic))
        return;
    switch (lvt >> 8 & 7) {
    case VM_DELIVER_FIXED: lapic_request(vm, lapic->cpu, (uint8_t)lvt, false); break;
    case VM_DELIVER_NMI: vm->host.cpu_nmi(vm->host.ctx, lapic->cpu); break;
    }
}

void lapic_error(struct vm *vm, struct lapic *lapic, uint32_t error)
{
    bool known = lapic->error_noted & error;

    lapic->error_noted |= error;
    /* A handler with an illegal vector must not report itself for ever. */
    if (!known && (uint8_t)lapic->lvt[LAPIC_LVT_ERROR] >= 16)
        lapic_fire_lvt(vm, lapic, LAPIC_LVT_ERROR);
}

void vm_lapic_intr_changed(struct vm *vm)
{
    const bool level = vm_pic_output(vm);

    for (unsigned cpu = 0; cpu < vm->config.cpus; cpu++) {
        struct lapic *lapic = lapic_of(vm, cpu);
        bool external = (lapic->lvt[LAPIC_LVT_LINT0] >> 8 & 7) == VM_DELIVER_EXTINT;
        if (lapic_is_on(lapic) && !external && level)
            lapic_fire_lvt(vm, lapic, LAPIC_LVT_LINT0);
        else
            vm_interrupt_changed(vm, cpu);
    }
}

/* --- The device --------------------------------------------------------------------------- */

/* As firmware leaves it: the boot processor's APIC on, in virtual wire mode. */
static void lapic_reset(struct vm *vm, void *state)
{
    struct lapic *lapic = state;

    for (unsigned cpu = 0; cpu < vm->config.cpus; cpu++) {
        lapic[cpu].cpu = cpu;
        lapic[cpu].base = VM_LAPIC_BASE | LAPIC_BASE_ENABLE | (cpu == 0 ? LAPIC_BASE_BSP : 0);
        lapic_reset_registers(&lapic[cpu]);
    }
    lapic->svr |= LAPIC_SVR_ENABLE;
    lapic->lvt[LAPIC_LVT_LINT0] = VM_DELIVER_EXTINT << 8;
    lapic->lvt[LAPIC_LVT_LINT1] = VM_DELIVER_NMI << 8;
}

const struct vm_device_ops vm_lapic_ops = {
    .name = "lapic",
    .state_size = sizeof(struct lapic),
    .read = lapic_read,
    .write = lapic_write,
    .deadline = lapic_deadline,
    .tick = lapic_tick,
    .reset = lapic_reset,
};
