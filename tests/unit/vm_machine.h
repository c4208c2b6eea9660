/* A machine without CPUs for the device tests: time is set by hand, signals are counted. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VM_MACHINE_H
#define VM_MACHINE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vm/vm.h"

enum { MACHINE_CPUS = 4, GSI_PIT = 2, GSI_SERIAL = 4, GSI_RTC = 8, GSI_SCI = 9 };

struct machine {
    struct vm *vm;
    uint64_t now;
    unsigned inits[MACHINE_CPUS], nmis[MACHINE_CPUS];
    int sipi[MACHINE_CPUS]; /* vector, -1: none came */
    uint8_t out[256];
    size_t out_count;
    int request, status; /* request -1: none came */
};

int machine_setup(void **state); /* *state is the struct machine */
int machine_teardown(void **state);

/* Ports and registers as CPU 0 uses them. */
void machine_out(struct machine *m, uint16_t port, uint8_t value);
uint8_t machine_in(struct machine *m, uint16_t port);
void machine_lapic_write(struct machine *m, unsigned cpu, unsigned offset, uint32_t value);
uint32_t machine_lapic_read(struct machine *m, unsigned cpu, unsigned offset);
void machine_ioapic_write(struct machine *m, unsigned reg, uint32_t value);
uint32_t machine_ioapic_read(struct machine *m, unsigned reg);
/* Move time, running the devices that are due on the way. */
void machine_pass(struct machine *m, uint64_t ns);
/* Turn on all local APICs; route a pin: entry is the low half of the redirection entry. */
void machine_start_apics(struct machine *m);
void machine_route(struct machine *m, unsigned pin, uint32_t entry, uint8_t destination);

#endif
