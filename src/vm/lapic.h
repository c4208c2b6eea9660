/* The local APIC's registers and state. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VM_LAPIC_H
#define VM_LAPIC_H

#include <stdbool.h>
#include <stdint.h>

#include "vm/internal.h"

/* Offset / 16 in memory, MSR - 0x800 in x2APIC mode (SDM vol. 3, "Local APIC Register Address
 * Map"). */
enum {
    LAPIC_ID = 0x02,
    LAPIC_VERSION = 0x03,
    LAPIC_TPR = 0x08,
    LAPIC_PPR = 0x0a,
    LAPIC_EOI = 0x0b,
    LAPIC_LDR = 0x0d,
    LAPIC_DFR = 0x0e,
    LAPIC_SVR = 0x0f,
    LAPIC_ISR = 0x10,
    LAPIC_TMR = 0x18,
    LAPIC_IRR = 0x20,
    LAPIC_ESR = 0x28,
    LAPIC_ICR = 0x30,
    LAPIC_ICR_HIGH = 0x31,
    LAPIC_LVT_FIRST = 0x32,
    LAPIC_INITIAL_COUNT = 0x38,
    LAPIC_CURRENT_COUNT = 0x39,
    LAPIC_DIVIDE = 0x3e,
    LAPIC_SELF_IPI = 0x3f,
};

/* The local vector table in the order of its registers. */
enum {
    LAPIC_LVT_TIMER,
    LAPIC_LVT_THERMAL,
    LAPIC_LVT_PERF,
    LAPIC_LVT_LINT0,
    LAPIC_LVT_LINT1,
    LAPIC_LVT_ERROR,
    LAPIC_LVT_COUNT,
};

enum {
    LAPIC_VERSION_VALUE = 0x14 | (LAPIC_LVT_COUNT - 1) << 16,
    LAPIC_LVT_MASKED = 1 << 16,
    LAPIC_SVR_ENABLE = 1 << 8,
    LAPIC_SVR_BITS = 0x3ff,
    LAPIC_DFR_FLAT = 0xf,
    LAPIC_ICR_LOGICAL = 1 << 11,
    LAPIC_ICR_PENDING = 1 << 12, /* never seen set: messages arrive at once */
    LAPIC_ICR_ASSERT = 1 << 14,
    LAPIC_ICR_LEVEL = 1 << 15,
    LAPIC_ICR_BITS = 0xccfff & ~LAPIC_ICR_PENDING,
    LAPIC_ERROR_SENT_VECTOR = 1 << 5,
    LAPIC_ERROR_RECEIVED_VECTOR = 1 << 6,
    LAPIC_BASE_BSP = 1 << 8,
    LAPIC_BASE_X2 = 1 << 10,
    LAPIC_BASE_ENABLE = 1 << 11,
};

/* Destination shorthands of the ICR and modes of the timer. */
enum { LAPIC_TO_DESTINATION, LAPIC_TO_SELF, LAPIC_TO_ALL, LAPIC_TO_OTHERS };
enum { LAPIC_TIMER_ONE_SHOT, LAPIC_TIMER_PERIODIC, LAPIC_TIMER_DEADLINE };

/* The timer's input clock, which CPUID leaf 0x15 gives as the core crystal clock. */
#define LAPIC_TIMER_HZ 1000000000ull

struct lapic {
    uint64_t base; /* IA32_APIC_BASE */
    uint32_t cpu;  /* index of the CPU, which is its APIC ID */
    uint32_t ldr, dfr, svr;
    uint32_t error, error_noted; /* ESR as latched by the last write, and errors since */
    uint32_t lvt[LAPIC_LVT_COUNT];
    uint32_t irr[8], isr[8], tmr[8];
    uint32_t divide, initial_count;
    uint8_t tpr;
    uint64_t icr;
    uint64_t fire_at;      /* nanoseconds: when the timer ends next, VM_NEVER: it does not run */
    uint64_t tsc_deadline; /* IA32_TSC_DEADLINE, 0: disarmed */
    uint64_t tsc_hz;
    int64_t tsc_offset;
};

/* lapic.c */
struct lapic *lapic_of(struct vm *vm, unsigned cpu);
uint8_t lapic_processor_priority(const struct lapic *lapic);
bool lapic_is_on(const struct lapic *lapic);
bool lapic_is_x2(const struct lapic *lapic);
bool lapic_request(struct vm *vm, unsigned cpu, uint8_t vector, bool level);
void lapic_end_of_interrupt(struct vm *vm, struct lapic *lapic);
void lapic_fire_lvt(struct vm *vm, struct lapic *lapic, unsigned entry);
void lapic_error(struct vm *vm, struct lapic *lapic, uint32_t error);

/* lapic_timer.c */
unsigned lapic_timer_mode(const struct lapic *lapic);
void lapic_arm_deadline(struct vm *vm, struct lapic *lapic);
void lapic_arm_count(struct vm *vm, struct lapic *lapic);
uint32_t lapic_current_count(struct vm *vm, const struct lapic *lapic);
void lapic_write_divide(struct vm *vm, struct lapic *lapic, uint32_t value);
void lapic_write_timer_lvt(struct vm *vm, struct lapic *lapic, uint32_t value);
uint64_t lapic_deadline(struct vm *vm, void *state);
void lapic_tick(struct vm *vm, void *state, uint64_t now);

/* lapic_message.c */
void lapic_send(struct vm *vm, struct lapic *lapic, uint64_t icr);

/* lapic_registers.c */
void lapic_reset_registers(struct lapic *lapic);
uint64_t lapic_read(struct vm *vm, void *state, unsigned region, uint64_t offset, unsigned size);
void lapic_write(struct vm *vm, void *state, unsigned region, uint64_t offset, unsigned size,
                 uint64_t value);

#endif
