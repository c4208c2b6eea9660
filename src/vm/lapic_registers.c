/* The local APIC's registers, through memory and through MSRs (SDM vol. 3, chapter "APIC"). */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/internal.h"
#include "vm/lapic.h"

/* --- Registers ------------------------------------------------------------------------------- */

void lapic_reset_registers(struct lapic *lapic)
{
    struct lapic old = *lapic;

    memset(lapic, 0, sizeof *lapic);
    lapic->base = old.base;
    lapic->cpu = old.cpu;
    lapic->ldr = lapic_is_x2(&old) ? old.ldr : 0;
    lapic->dfr = UINT32_MAX;
    lapic->svr = 0xff;
    lapic->tsc_hz = old.tsc_hz;
    lapic->tsc_offset = old.tsc_offset;
    lapic->fire_at = VM_NEVER;
    for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
        lapic->lvt[i] = LAPIC_LVT_MASKED;
}

static void write_svr(struct vm *vm, struct lapic *lapic, uint32_t value)
{
    lapic->svr = value & LAPIC_SVR_BITS;
    if (!(value & LAPIC_SVR_ENABLE))
        for (unsigned i = 0; i < LAPIC_LVT_COUNT; i++)
            lapic->lvt[i] |= LAPIC_LVT_MASKED;
    vm_interrupt_changed(vm, lapic->cpu);
}

static void write_lvt(struct vm *vm, struct lapic *lapic, unsigned entry, uint32_t value)
{
    static const uint32_t writable[LAPIC_LVT_COUNT] = {
        [LAPIC_LVT_TIMER] = 0x700ff, [LAPIC_LVT_THERMAL] = 0x107ff, [LAPIC_LVT_PERF] = 0x107ff,
        [LAPIC_LVT_LINT0] = 0x1a7ff, [LAPIC_LVT_LINT1] = 0x1a7ff,   [LAPIC_LVT_ERROR] = 0x100ff,
    };

    value &= writable[entry];
    if (!(lapic->svr & LAPIC_SVR_ENABLE))
        value |= LAPIC_LVT_MASKED;
    if (entry == LAPIC_LVT_TIMER)
        lapic_write_timer_lvt(vm, lapic, value);
    else
        lapic->lvt[entry] = value;
    vm_interrupt_changed(vm, lapic->cpu);
}

static bool is_lvt(unsigned reg, unsigned *entry)
{
    *entry = reg - LAPIC_LVT_FIRST;
    return *entry < LAPIC_LVT_COUNT;
}

/* reg is the xAPIC offset divided by 16, which is the x2APIC MSR number less 0x800. */
static uint32_t read_register(struct vm *vm, const struct lapic *lapic, unsigned reg)
{
    unsigned entry;

    if (is_lvt(reg, &entry))
        return lapic->lvt[entry];
    if (reg >= LAPIC_ISR && reg < LAPIC_ISR + 8)
        return lapic->isr[reg - LAPIC_ISR];
    if (reg >= LAPIC_TMR && reg < LAPIC_TMR + 8)
        return lapic->tmr[reg - LAPIC_TMR];
    if (reg >= LAPIC_IRR && reg < LAPIC_IRR + 8)
        return lapic->irr[reg - LAPIC_IRR];
    switch (reg) {
    case LAPIC_ID: return lapic_is_x2(lapic) ? lapic->cpu : lapic->cpu << 24;
    case LAPIC_VERSION: return LAPIC_VERSION_VALUE;
    case LAPIC_TPR: return lapic->tpr;
    case LAPIC_PPR: return lapic_processor_priority(lapic);
    case LAPIC_LDR: return lapic->ldr;
    case LAPIC_DFR: return lapic->dfr;
    case LAPIC_SVR: return lapic->svr;
    case LAPIC_ESR: return lapic->error;
    case LAPIC_ICR: return (uint32_t)lapic->icr;
    case LAPIC_ICR_HIGH: return (uint32_t)(lapic->icr >> 32);
    case LAPIC_INITIAL_COUNT: return lapic->initial_count;
    case LAPIC_CURRENT_COUNT: return lapic_current_count(vm, lapic);
    case LAPIC_DIVIDE: return lapic->divide;
    }
    return 0;
}

static void write_register(struct vm *vm, struct lapic *lapic, unsigned reg, uint32_t value)
{
    unsigned entry;

    if (is_lvt(reg, &entry)) {
        write_lvt(vm, lapic, entry, value);
        return;
    }
    switch (reg) {
    case LAPIC_TPR:
        lapic->tpr = (uint8_t)value;
        vm_interrupt_changed(vm, lapic->cpu);
        break;
    case LAPIC_EOI: lapic_end_of_interrupt(vm, lapic); break;
    case LAPIC_LDR: lapic->ldr = value & 0xff000000; break;
    case LAPIC_DFR: lapic->dfr = value | 0x0fffffff; break;
    case LAPIC_SVR: write_svr(vm, lapic, value); break;
    case LAPIC_ESR:
        lapic->error = lapic->error_noted;
        lapic->error_noted = 0;
        break;
    case LAPIC_ICR:
        lapic->icr = (lapic->icr & ~(uint64_t)UINT32_MAX) | (value & LAPIC_ICR_BITS);
        lapic_send(vm, lapic, lapic->icr);
        break;
    case LAPIC_ICR_HIGH:
        lapic->icr = (uint64_t)(value & 0xff000000) << 32 | (uint32_t)lapic->icr;
        break;
    case LAPIC_INITIAL_COUNT:
        if (lapic_timer_mode(lapic) == LAPIC_TIMER_DEADLINE)
            break;
        lapic->initial_count = value;
        lapic_arm_count(vm, lapic);
        break;
    case LAPIC_DIVIDE: lapic_write_divide(vm, lapic, value); break;
    }
}

uint64_t lapic_read(struct vm *vm, void *state, unsigned region, uint64_t offset, unsigned size)
{
    const struct lapic *lapic = (const struct lapic *)state + vm->accessor;

    (void)region, (void)size;
    if (!lapic_is_on(lapic) || lapic_is_x2(lapic))
        return UINT64_MAX;
    if (offset & 0xc)
        return 0;
    return read_register(vm, lapic, (unsigned)(offset >> 4)) >> 8 * (offset & 3);
}

/* Registers are written whole (10.4.1). */
void lapic_write(struct vm *vm, void *state, unsigned region, uint64_t offset, unsigned size,
                 uint64_t value)
{
    struct lapic *lapic = (struct lapic *)state + vm->accessor;

    (void)region;
    if (lapic_is_on(lapic) && !lapic_is_x2(lapic) && offset % 16 == 0 && size == 4)
        write_register(vm, lapic, (unsigned)(offset >> 4), (uint32_t)value);
}

/* --- MSRs (10.12) ---------------------------------------------------------------------------- */

enum { MSR_APIC_BASE = 0x1b, MSR_TSC_DEADLINE = 0x6e0, MSR_X2APIC = 0x800 };

/* What a write to a register may contain in x2APIC mode (table 10-6); 0: not to be written. */
static uint64_t writable_bits(unsigned reg)
{
    unsigned entry;

    if (is_lvt(reg, &entry))
        return entry == LAPIC_LVT_TIMER ? 0x710ff : entry == LAPIC_LVT_ERROR ? 0x110ff : 0x1f7ff;
    switch (reg) {
    case LAPIC_TPR: return 0xff;
    case LAPIC_SVR: return LAPIC_SVR_BITS;
    case LAPIC_ICR: return 0xffffffff00000000 | LAPIC_ICR_BITS | LAPIC_ICR_PENDING;
    case LAPIC_INITIAL_COUNT: return UINT32_MAX;
    case LAPIC_DIVIDE: return 0xb;
    case LAPIC_SELF_IPI: return 0xff;
    default: return 0;
    }
}

static bool is_readable(unsigned reg)
{
    unsigned entry;

    if (is_lvt(reg, &entry) || (reg >= LAPIC_ISR && reg < LAPIC_IRR + 8))
        return true;
    switch (reg) {
    case LAPIC_ID:
    case LAPIC_VERSION:
    case LAPIC_TPR:
    case LAPIC_PPR:
    case LAPIC_LDR:
    case LAPIC_SVR:
    case LAPIC_ESR:
    case LAPIC_ICR:
    case LAPIC_INITIAL_COUNT:
    case LAPIC_CURRENT_COUNT:
    case LAPIC_DIVIDE: return true;
    default: return false;
    }
}

static bool write_x2(struct vm *vm, struct lapic *lapic, unsigned reg, uint64_t value)
{
    if (reg == LAPIC_EOI || reg == LAPIC_ESR) {
        if (value)
            return false;
    } else if (!writable_bits(reg) || value & ~writable_bits(reg)) {
        return false;
    }
    if (reg == LAPIC_ICR) {
        lapic->icr = value & ~(uint64_t)LAPIC_ICR_PENDING;
        lapic_send(vm, lapic, lapic->icr);
    } else if (reg == LAPIC_SELF_IPI) {
        lapic_send(vm, lapic, LAPIC_TO_SELF << 18 | (value & 0xff));
    } else {
        write_register(vm, lapic, reg, (uint32_t)value);
    }
    return true;
}

/* The transitions of figure 10-27; moving the registers elsewhere is refused. */
static bool write_base(struct vm *vm, struct lapic *lapic, uint64_t value)
{
    uint64_t mode = value & (LAPIC_BASE_ENABLE | LAPIC_BASE_X2);
    uint64_t before = lapic->base & (LAPIC_BASE_ENABLE | LAPIC_BASE_X2);

    if ((value & ~(uint64_t)(LAPIC_BASE_BSP | LAPIC_BASE_ENABLE | LAPIC_BASE_X2)) != VM_LAPIC_BASE)
        return false;
    if (mode == LAPIC_BASE_X2 || (mode & LAPIC_BASE_X2 && !before) ||
        (mode == LAPIC_BASE_ENABLE && before & LAPIC_BASE_X2))
        return false;
    lapic->base = value;
    if (mode == before)
        return true;
    if (!mode) {
        lapic_reset_registers(lapic);
        lapic->ldr = 0;
    } else if (mode & LAPIC_BASE_X2) {
        lapic->ldr = lapic->cpu >> 4 << 16 | 1u << (lapic->cpu & 0xf);
        lapic->icr = (uint32_t)lapic->icr;
    }
    vm_deadline_changed(vm);
    vm_interrupt_changed(vm, lapic->cpu);
    return true;
}

static bool write_deadline(struct vm *vm, struct lapic *lapic, uint64_t value)
{
    if (lapic_timer_mode(lapic) != LAPIC_TIMER_DEADLINE || !lapic->tsc_hz)
        return true; /* ignored (10.5.4.1) */
    lapic->tsc_deadline = value;
    lapic_arm_deadline(vm, lapic);
    return true;
}

bool vm_apic_rdmsr(struct vm *vm, unsigned cpu, uint32_t msr, uint64_t *value)
{
    struct lapic *lapic = lapic_of(vm, cpu);
    unsigned reg = msr - MSR_X2APIC;

    if (msr == MSR_APIC_BASE) {
        *value = lapic->base;
        return true;
    }
    if (msr == MSR_TSC_DEADLINE) {
        *value = lapic->tsc_deadline;
        return true;
    }
    if (!lapic_is_x2(lapic) || !is_readable(reg))
        return false;
    *value = reg == LAPIC_ICR ? lapic->icr : read_register(vm, lapic, reg);
    return true;
}

bool vm_apic_wrmsr(struct vm *vm, unsigned cpu, uint32_t msr, uint64_t value)
{
    struct lapic *lapic = lapic_of(vm, cpu);

    if (msr == MSR_APIC_BASE)
        return write_base(vm, lapic, value);
    if (msr == MSR_TSC_DEADLINE)
        return write_deadline(vm, lapic, value);
    return lapic_is_x2(lapic) && write_x2(vm, lapic, msr - MSR_X2APIC, value);
}

uint64_t vm_apic_cr8(struct vm *vm, unsigned cpu)
{
    return lapic_of(vm, cpu)->tpr >> 4;
}

void vm_apic_set_cr8(struct vm *vm, unsigned cpu, uint64_t value)
{
    struct lapic *lapic = lapic_of(vm, cpu);

    write_register(vm, lapic, LAPIC_TPR, (uint32_t)(value & 0xf) << 4);
}
