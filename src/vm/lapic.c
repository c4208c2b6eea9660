/* The local APICs: which interrupt each CPU takes next, and the messages they send each other. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/lapic.h"
#include "vm/internal.h"

static struct lapic *lapic_of(struct vm *vm, unsigned cpu)
{
    return (struct lapic *)vm_device(vm, VM_DEV_LAPIC) + cpu;
}

/* --- Vectors (Intel SDM vol. 3, 10.8) -------------------------------------------------------- */

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

static uint8_t processor_priority(const struct lapic *lapic)
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

    return vector >= 0 && (vector & 0xf0) > (processor_priority(lapic) & 0xf0) ? vector : -1;
}

static bool is_on(const struct lapic *lapic)
{
    return lapic->base & LAPIC_BASE_ENABLE;
}

static bool is_x2(const struct lapic *lapic)
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
    if (!is_on(lapic))
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

static void lapic_error(struct vm *vm, struct lapic *lapic, uint32_t error);

/* false: the APIC is off, and nobody will ever end this interrupt. */
static bool request(struct vm *vm, unsigned cpu, uint8_t vector, bool level)
{
    struct lapic *lapic = lapic_of(vm, cpu);

    if (!is_on(lapic) || !(lapic->svr & LAPIC_SVR_ENABLE))
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

static void end_of_interrupt(struct vm *vm, struct lapic *lapic)
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

static void fire_lvt(struct vm *vm, struct lapic *lapic, unsigned entry)
{
    uint32_t lvt = lapic->lvt[entry];

    if (lvt & LAPIC_LVT_MASKED || !is_on(lapic))
        return;
    switch (lvt >> 8 & 7) {
    case VM_DELIVER_FIXED: request(vm, lapic->cpu, (uint8_t)lvt, false); break;
    case VM_DELIVER_NMI: vm->host.cpu_nmi(vm->host.ctx, lapic->cpu); break;
    }
}

static void lapic_error(struct vm *vm, struct lapic *lapic, uint32_t error)
{
    bool known = lapic->error_noted & error;

    lapic->error_noted |= error;
    /* A handler with an illegal vector must not report itself for ever. */
    if (!known && (uint8_t)lapic->lvt[LAPIC_LVT_ERROR] >= 16)
        fire_lvt(vm, lapic, LAPIC_LVT_ERROR);
}

void vm_lapic_intr_changed(struct vm *vm)
{
    const bool level = vm_pic_output(vm);

    for (unsigned cpu = 0; cpu < vm->config.cpus; cpu++) {
        struct lapic *lapic = lapic_of(vm, cpu);
        bool external = (lapic->lvt[LAPIC_LVT_LINT0] >> 8 & 7) == VM_DELIVER_EXTINT;
        if (is_on(lapic) && !external && level)
            fire_lvt(vm, lapic, LAPIC_LVT_LINT0);
        else
            vm_interrupt_changed(vm, cpu);
    }
}

/* --- The timer (10.5.4) ---------------------------------------------------------------------- */

static unsigned timer_mode(const struct lapic *lapic)
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

static void arm_deadline(struct vm *vm, struct lapic *lapic)
{
    lapic->fire_at = lapic->tsc_deadline ? time_of_tsc(lapic, vm_now(vm)) : VM_NEVER;
    vm_deadline_changed(vm);
}

static void arm_count(struct vm *vm, struct lapic *lapic)
{
    uint64_t period = timer_period(lapic);

    lapic->fire_at = period ? vm_now(vm) + period : VM_NEVER;
    vm_deadline_changed(vm);
}

static uint32_t current_count(struct vm *vm, const struct lapic *lapic)
{
    if (timer_mode(lapic) == LAPIC_TIMER_DEADLINE || lapic->fire_at == VM_NEVER)
        return 0;
    uint64_t left = lapic->fire_at - vm_now(vm);
    if ((int64_t)left < 0)
        return 0;
    return (uint32_t)(vm_scale(left, LAPIC_TIMER_HZ, 1000000000) / timer_divisor(lapic));
}

static void write_divide(struct vm *vm, struct lapic *lapic, uint32_t value)
{
    uint32_t left = current_count(vm, lapic);

    lapic->divide = value & 0xb;
    if (timer_mode(lapic) == LAPIC_TIMER_DEADLINE || lapic->fire_at == VM_NEVER)
        return;
    lapic->fire_at =
        vm_now(vm) + vm_scale_up(left * timer_divisor(lapic), 1000000000, LAPIC_TIMER_HZ);
    vm_deadline_changed(vm);
}

/* A change into or out of deadline mode disarms the timer. */
static void write_timer_lvt(struct vm *vm, struct lapic *lapic, uint32_t value)
{
    bool was_deadline = timer_mode(lapic) == LAPIC_TIMER_DEADLINE;

    lapic->lvt[LAPIC_LVT_TIMER] = value;
    if (was_deadline == (timer_mode(lapic) == LAPIC_TIMER_DEADLINE))
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
    if (timer_mode(lapic) == LAPIC_TIMER_PERIODIC && period)
        lapic->fire_at += ((now - lapic->fire_at) / period + 1) * period;
    else
        lapic->fire_at = VM_NEVER;
    fire_lvt(vm, lapic, LAPIC_LVT_TIMER);
}

static uint64_t lapic_deadline(struct vm *vm, void *state)
{
    const struct lapic *lapic = state;
    uint64_t first = VM_NEVER;

    for (unsigned cpu = 0; cpu < vm->config.cpus; cpu++)
        first = lapic[cpu].fire_at < first ? lapic[cpu].fire_at : first;
    return first;
}

static void lapic_tick(struct vm *vm, void *state, uint64_t now)
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
        arm_deadline(vm, lapic);
}

/* --- Messages (10.6, 10.12.10) --------------------------------------------------------------- */

static bool matches_logical(const struct lapic *lapic, uint32_t destination, bool wide)
{
    if (is_x2(lapic))
        return destination >> 16 == lapic->ldr >> 16 && destination & lapic->ldr & 0xffff;
    if (wide)
        return destination == UINT32_MAX;
    uint32_t mine = lapic->ldr >> 24;
    if (lapic->dfr >> 28 == LAPIC_DFR_FLAT)
        return destination & mine;
    return (destination >> 4 == mine >> 4 || destination >> 4 == 0xf) && destination & mine & 0xf;
}

static bool matches(const struct lapic *lapic, const struct vm_message *message)
{
    if (!is_on(lapic))
        return message->delivery == VM_DELIVER_INIT || message->delivery == VM_DELIVER_SIPI
                   ? message->destination == lapic->cpu && !message->logical
                   : false;
    if (message->destination == (message->wide ? UINT32_MAX : 0xff))
        return true;
    if (message->logical)
        return matches_logical(lapic, message->destination, message->wide);
    return message->destination == lapic->cpu;
}

static void reset_registers(struct lapic *lapic);

static bool accept(struct vm *vm, unsigned cpu, const struct vm_message *message)
{
    switch (message->delivery) {
    case VM_DELIVER_FIXED:
    case VM_DELIVER_LOWEST: return request(vm, cpu, message->vector, message->level);
    case VM_DELIVER_NMI: vm->host.cpu_nmi(vm->host.ctx, cpu); break;
    case VM_DELIVER_INIT:
        reset_registers(lapic_of(vm, cpu));
        vm_deadline_changed(vm);
        vm_interrupt_changed(vm, cpu);
        vm->host.cpu_init(vm->host.ctx, cpu);
        break;
    case VM_DELIVER_SIPI: vm->host.cpu_sipi(vm->host.ctx, cpu, message->vector); break;
    }
    return false;
}

/* Lowest priority: the software-enabled CPU with the least to do, the first of several. */
static int arbitrate(struct vm *vm, const struct vm_message *message)
{
    int best = -1;

    for (unsigned cpu = 0; cpu < vm->config.cpus; cpu++) {
        const struct lapic *lapic = lapic_of(vm, cpu);
        if (!matches(lapic, message) || !(lapic->svr & LAPIC_SVR_ENABLE))
            continue;
        if (best < 0 ||
            processor_priority(lapic) < processor_priority(lapic_of(vm, (unsigned)best)))
            best = (int)cpu;
    }
    return best;
}

bool vm_lapic_deliver(struct vm *vm, const struct vm_message *message)
{
    bool accepted = false;

    if (message->delivery == VM_DELIVER_LOWEST) {
        int cpu = arbitrate(vm, message);
        return cpu >= 0 && accept(vm, (unsigned)cpu, message);
    }
    for (unsigned cpu = 0; cpu < vm->config.cpus; cpu++)
        if (matches(lapic_of(vm, cpu), message))
            accepted |= accept(vm, cpu, message);
    return accepted;
}

static void send(struct vm *vm, struct lapic *lapic, uint64_t icr)
{
    unsigned shorthand = icr >> 18 & 3;
    struct vm_message message = {
        .destination = (uint32_t)(is_x2(lapic) ? icr >> 32 : icr >> 56),
        .wide = is_x2(lapic),
        .logical = icr & LAPIC_ICR_LOGICAL,
        .delivery = icr >> 8 & 7,
        .vector = (uint8_t)icr,
    };

    /* INIT level de-assert only sets arbitration IDs, which nobody sees. */
    if (message.delivery == VM_DELIVER_INIT && icr & LAPIC_ICR_LEVEL && !(icr & LAPIC_ICR_ASSERT))
        return;
    if (message.delivery <= VM_DELIVER_LOWEST && message.vector < 16) {
        lapic_error(vm, lapic, LAPIC_ERROR_SENT_VECTOR);
        return;
    }
    if (shorthand == LAPIC_TO_DESTINATION) {
        vm_lapic_deliver(vm, &message);
        return;
    }
    for (unsigned cpu = 0; cpu < vm->config.cpus; cpu++) {
        bool self = cpu == lapic->cpu;
        bool to_it = self ? shorthand != LAPIC_TO_OTHERS : shorthand != LAPIC_TO_SELF;
        bool reachable = is_on(lapic_of(vm, cpu)) || message.delivery >= VM_DELIVER_INIT;
        if (to_it && reachable)
            accept(vm, cpu, &message);
    }
}

/* --- Registers ------------------------------------------------------------------------------- */

static void reset_registers(struct lapic *lapic)
{
    struct lapic old = *lapic;

    memset(lapic, 0, sizeof *lapic);
    lapic->base = old.base;
    lapic->cpu = old.cpu;
    lapic->ldr = is_x2(&old) ? old.ldr : 0;
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
        write_timer_lvt(vm, lapic, value);
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
    case LAPIC_ID: return is_x2(lapic) ? lapic->cpu : lapic->cpu << 24;
    case LAPIC_VERSION: return LAPIC_VERSION_VALUE;
    case LAPIC_TPR: return lapic->tpr;
    case LAPIC_PPR: return processor_priority(lapic);
    case LAPIC_LDR: return lapic->ldr;
    case LAPIC_DFR: return lapic->dfr;
    case LAPIC_SVR: return lapic->svr;
    case LAPIC_ESR: return lapic->error;
    case LAPIC_ICR: return (uint32_t)lapic->icr;
    case LAPIC_ICR_HIGH: return (uint32_t)(lapic->icr >> 32);
    case LAPIC_INITIAL_COUNT: return lapic->initial_count;
    case LAPIC_CURRENT_COUNT: return current_count(vm, lapic);
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
    case LAPIC_EOI: end_of_interrupt(vm, lapic); break;
    case LAPIC_LDR: lapic->ldr = value & 0xff000000; break;
    case LAPIC_DFR: lapic->dfr = value | 0x0fffffff; break;
    case LAPIC_SVR: write_svr(vm, lapic, value); break;
    case LAPIC_ESR:
        lapic->error = lapic->error_noted;
        lapic->error_noted = 0;
        break;
    case LAPIC_ICR:
        lapic->icr = (lapic->icr & ~(uint64_t)UINT32_MAX) | (value & LAPIC_ICR_BITS);
        send(vm, lapic, lapic->icr);
        break;
    case LAPIC_ICR_HIGH:
        lapic->icr = (uint64_t)(value & 0xff000000) << 32 | (uint32_t)lapic->icr;
        break;
    case LAPIC_INITIAL_COUNT:
        if (timer_mode(lapic) == LAPIC_TIMER_DEADLINE)
            break;
        lapic->initial_count = value;
        arm_count(vm, lapic);
        break;
    case LAPIC_DIVIDE: write_divide(vm, lapic, value); break;
    }
}

static uint64_t lapic_read(struct vm *vm, void *state, unsigned region, uint64_t offset,
                           unsigned size)
{
    const struct lapic *lapic = (const struct lapic *)state + vm->accessor;

    (void)region, (void)size;
    if (!is_on(lapic) || is_x2(lapic))
        return UINT64_MAX;
    if (offset & 0xc)
        return 0;
    return read_register(vm, lapic, (unsigned)(offset >> 4)) >> 8 * (offset & 3);
}

/* Registers are written whole (10.4.1). */
static void lapic_write(struct vm *vm, void *state, unsigned region, uint64_t offset, unsigned size,
                        uint64_t value)
{
    struct lapic *lapic = (struct lapic *)state + vm->accessor;

    (void)region;
    if (is_on(lapic) && !is_x2(lapic) && offset % 16 == 0 && size == 4)
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
        send(vm, lapic, lapic->icr);
    } else if (reg == LAPIC_SELF_IPI) {
        send(vm, lapic, LAPIC_TO_SELF << 18 | (value & 0xff));
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
        reset_registers(lapic);
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
    if (timer_mode(lapic) != LAPIC_TIMER_DEADLINE || !lapic->tsc_hz)
        return true; /* ignored (10.5.4.1) */
    lapic->tsc_deadline = value;
    arm_deadline(vm, lapic);
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
    if (!is_x2(lapic) || !is_readable(reg))
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
    return is_x2(lapic) && write_x2(vm, lapic, msr - MSR_X2APIC, value);
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

/* As firmware leaves it: the boot processor's APIC on, in virtual wire mode. */
static void lapic_reset(struct vm *vm, void *state)
{
    struct lapic *lapic = state;

    for (unsigned cpu = 0; cpu < vm->config.cpus; cpu++) {
        lapic[cpu].cpu = cpu;
        lapic[cpu].base = VM_LAPIC_BASE | LAPIC_BASE_ENABLE | (cpu == 0 ? LAPIC_BASE_BSP : 0);
        reset_registers(&lapic[cpu]);
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
