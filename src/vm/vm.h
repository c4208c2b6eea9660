/* The machine around the CPUs: memory map, port and MMIO dispatch, interrupt lines, time. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VM_VM_H
#define VM_VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Guest-physical layout (all engines):
 *   0x0000_0000 RAM up to at most 3 GiB, then from 0x1_0000_0000; 0xA0000..0xFFFFF: VGA hole reads
 * as ones, ACPI and boot tables in RAM at 0xE0000; 0xFEC0_0000 I/O APIC; 0xFEE0_0000 local APICs.
 */
enum { VM_CPUS_MAX = 64, VM_DEVICES_MAX = 32, VM_REGIONS_MAX = 64 };
#define VM_LOW_RAM_MAX 0xc0000000ull
#define VM_HIGH_RAM    0x100000000ull
#define VM_IOAPIC_BASE 0xfec00000ull
#define VM_LAPIC_BASE  0xfee00000ull
#define VM_NEVER       UINT64_MAX

/* ACPI fixed hardware, as the tables name it (boot/acpi.c) and the devices implement it: PM1a event
 * (4 ports) and control (2) blocks, the PM timer (4, counts 24 bits), the reset register; the SCI's
 * GSI; and SLP_TYP of S5. */
enum {
    VM_ACPI_EVENT = 0x600,
    VM_ACPI_CONTROL = 0x604,
    VM_ACPI_TIMER = 0x608,
    VM_ACPI_SCI = 9,
    VM_ACPI_S5 = 5,
    VM_RESET_PORT = 0xcf9, /* 0x06: reset */
};

struct vm;

/*
 * A device is a plain block of state (no pointers in it, so that saving is copying) and these
 * callbacks.  offset is relative to the region's begin; size is 1, 2, 4 or 8.  now is virtual time
 * in nanoseconds since power-on.  All calls come with the machine quiet: one thread at a time.
 */
struct vm_device_ops {
    const char *name;
    size_t state_size;
    uint64_t (*read)(struct vm *vm, void *state, unsigned region, uint64_t offset, unsigned size);
    void (*write)(struct vm *vm, void *state, unsigned region, uint64_t offset, unsigned size,
                  uint64_t value);
    /* The next time at which the device wants tick(), or VM_NEVER.  May be NULL. */
    uint64_t (*deadline)(struct vm *vm, void *state);
    void (*tick)(struct vm *vm, void *state, uint64_t now);
    void (*reset)(struct vm *vm, void *state); /* power-on; state is all zeros */
};

/* What the owner (an engine and the tool) gives the machine. */
struct vm_host {
    void *ctx;
    uint64_t (*now)(void *ctx);          /* virtual nanoseconds */
    void (*deadline_changed)(void *ctx); /* a device's deadline may be earlier than before */
    void (*interrupt_changed)(void *ctx,
                              unsigned cpu);   /* look at vm_interrupt_pending(cpu) again */
    void (*cpu_init)(void *ctx, unsigned cpu); /* INIT by the local APIC */
    void (*cpu_sipi)(void *ctx, unsigned cpu, uint8_t vector);
    void (*cpu_nmi)(void *ctx, unsigned cpu);
    /* NULL: to the machine's own PIC pair and I/O APIC, else to those the owner has instead. */
    void (*set_line)(void *ctx, unsigned gsi, bool level);
    void (*serial_out)(void *ctx, uint8_t byte);      /* from the 16550 */
    void (*request)(void *ctx, int what, int status); /* enum vm_request */
};
enum vm_request { VM_RESET, VM_POWER_OFF, VM_EXIT /* isa-debug-exit, status = (value << 1) | 1 */ };

struct vm_config {
    uint64_t ram_bytes;
    unsigned cpus;
    int exit_port; /* -1: none */
};

/* errors: 0, or a negative errno value */
struct vm *vm_new(const struct vm_config *config, const struct vm_host *host, int *error);
void vm_free(struct vm *vm);

/* Memory.  Host address of RAM or ROM at gpa with at least n bytes following, or NULL. */
uint8_t *vm_ram(struct vm *vm, uint64_t gpa, size_t n);
uint64_t vm_ram_bytes(const struct vm *vm);
unsigned vm_cpus(const struct vm *vm); /* as configured: for the boot tables */
/* Any guest-physical access, RAM and devices, crossing regions; holes read as ones. */
void vm_read(struct vm *vm, uint64_t gpa, void *buffer, size_t n);
void vm_write(struct vm *vm, uint64_t gpa, const void *buffer, size_t n);
void vm_access_as(struct vm *vm, unsigned cpu);       /* those two: whose local APIC is met */
bool vm_is_mapped(const struct vm *vm, uint64_t gpa); /* RAM or a device */

uint64_t vm_mmio_read(struct vm *vm, unsigned cpu, uint64_t gpa, unsigned size);
void vm_mmio_write(struct vm *vm, unsigned cpu, uint64_t gpa, unsigned size, uint64_t value);
uint32_t vm_port_read(struct vm *vm, unsigned cpu, uint16_t port, unsigned size);
void vm_port_write(struct vm *vm, unsigned cpu, uint16_t port, unsigned size, uint32_t value);

/* Interrupt lines by global system interrupt number (0..23): to the PIC pair and the I/O APIC. */
void vm_set_line(struct vm *vm, unsigned gsi, bool level);

/* Time: run every device whose deadline has come; the next deadline of all (VM_NEVER: none). */
void vm_tick(struct vm *vm, uint64_t now);
uint64_t vm_deadline(struct vm *vm);

/* Local APICs, with x2APIC (Intel SDM vol. 3, chapter "APIC"), and the 8259 pair through LINT0. */
bool vm_interrupt_pending(struct vm *vm, unsigned cpu); /* a vector that passes the task priority */
int vm_acknowledge(struct vm *vm, unsigned cpu);        /* its vector, or -1 */
bool vm_apic_rdmsr(struct vm *vm, unsigned cpu, uint32_t msr, uint64_t *value); /* false: #GP */
bool vm_apic_wrmsr(struct vm *vm, unsigned cpu, uint32_t msr, uint64_t value);
uint64_t vm_apic_cr8(struct vm *vm, unsigned cpu);
void vm_apic_set_cr8(struct vm *vm, unsigned cpu, uint64_t value);
/* TSC ticks to nanoseconds, for the deadline timer: TSC = offset + now * hz / 1e9. */
void vm_apic_set_tsc(struct vm *vm, unsigned cpu, uint64_t hz, int64_t offset);

/* Console input: bytes wait in the machine until the 16550 has room. */
size_t vm_serial_room(struct vm *vm);
void vm_serial_in(struct vm *vm, const void *bytes, size_t n);

/* State of all devices as bytes (not memory): for saving and for the hash of a run. */
size_t vm_state_size(const struct vm *vm);
const void *vm_state(const struct vm *vm); /* the same bytes where they lie; a multiple of 8 */
void vm_save(const struct vm *vm, void *out);
int vm_restore(struct vm *vm, const void *in, size_t n); /* from vm_save: not from strangers */

#endif
