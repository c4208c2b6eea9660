/* Events that the debugger wants to be told of: which they are, and the first that has happened. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/internal.h"

/*
 * Only events that are slow of themselves are looked at: deliveries, and instructions behind which
 * the run loop looks around anyway.  So nothing is paid where nothing is caught, and little else.
 */

void cpu_set_catches(struct cpu *cpu, const struct ringside_catch *catches, size_t count)
{
    cpu->catches = catches;
    cpu->catch_count = count;
    cpu->catch_pending = false;
}

/* Is one of `span` numbers from the event's on wanted? */
static bool wanted(const struct cpu *cpu, const struct ringside_caught *caught, unsigned span)
{
    for (size_t i = 0; i < cpu->catch_count; i++) {
        const struct ringside_catch *c = &cpu->catches[i];

        if (c->kind == caught->kind &&
            (c->number == RINGSIDE_CATCH_ANY || c->number - caught->number < span))
            return true;
    }
    return false;
}

static bool note(struct cpu *cpu, const struct ringside_caught *caught, unsigned span)
{
    if (CPU_LIKELY(!cpu->catch_count) || cpu->catch_pending || !wanted(cpu, caught, span))
        return false;
    cpu->caught = *caught;
    cpu->catch_pending = true;
    cpu_end_block(cpu);
    return true;
}

bool cpu_caught(struct cpu *cpu, const struct ringside_caught *caught)
{
    return note(cpu, caught, 1);
}

void cpu_catch_write(struct cpu *cpu, enum ringside_catch_kind kind, uint32_t number,
                     uint64_t value)
{
    note(cpu, &(struct ringside_caught){.kind = kind, .number = number, .value = value}, 1);
}

void cpu_catch_port(struct cpu *cpu, uint16_t port, unsigned size, uint64_t value, bool in)
{
    const struct ringside_caught caught = {
        .kind = RINGSIDE_CATCH_PORT, .number = port, .value = value, .in = in};

    note(cpu, &caught, size);
}

void cpu_catch_event(struct cpu *cpu, const struct cpu_event *event, uint64_t rip)
{
    bool interrupt = event->kind == CPU_EVENT_EXTERNAL || event->kind == CPU_EVENT_NMI ||
                     event->kind == CPU_EVENT_INT;
    const struct ringside_caught caught = {
        .kind = interrupt ? RINGSIDE_CATCH_INTERRUPT : RINGSIDE_CATCH_EXCEPTION,
        .number = event->vector,
        .rip = rip,
        .value = event->error,
        .has_error = event->has_error,
    };

    note(cpu, &caught, 1);
}
