/* Messages between the local APICs: who is meant, and what they do to him (10.6, 10.12.10). */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/internal.h"
#include "vm/lapic.h"

static bool matches_logical(const struct lapic *lapic, uint32_t destination, bool wide)
{
    if (lapic_is_x2(lapic))
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
    if (!lapic_is_on(lapic))
        return message->delivery == VM_DELIVER_INIT || message->delivery == VM_DELIVER_SIPI
                   ? message->destination == lapic->cpu && !message->logical
                   : false;
    if (message->destination == (message->wide ? UINT32_MAX : 0xff))
        return true;
    if (message->logical)
        return matches_logical(lapic, message->destination, message->wide);
    return message->destination == lapic->cpu;
}

static bool accept(struct vm *vm, unsigned cpu, const struct vm_message *message)
{
    switch (message->delivery) {
    case VM_DELIVER_FIXED:
    case VM_DELIVER_LOWEST: return lapic_request(vm, cpu, message->vector, message->level);
    case VM_DELIVER_NMI: vm->host.cpu_nmi(vm->host.ctx, cpu); break;
    case VM_DELIVER_INIT:
        lapic_reset_registers(lapic_of(vm, cpu));
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
        if (best < 0 || lapic_processor_priority(lapic) <
                            lapic_processor_priority(lapic_of(vm, (unsigned)best)))
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

void lapic_send(struct vm *vm, struct lapic *lapic, uint64_t icr)
{
    unsigned shorthand = icr >> 18 & 3;
    struct vm_message message = {
        .destination = (uint32_t)(lapic_is_x2(lapic) ? icr >> 32 : icr >> 56),
        .wide = lapic_is_x2(lapic),
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
        bool reachable = lapic_is_on(lapic_of(vm, cpu)) || message.delivery >= VM_DELIVER_INIT;
        if (to_it && reachable)
            accept(vm, cpu, &message);
    }
}
