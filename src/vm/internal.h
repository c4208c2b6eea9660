/* What the devices share inside the machine: its layout, their names, and the wires between them.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VM_INTERNAL_H
#define VM_INTERNAL_H

#include <string.h>

#include "vm/vm.h"

enum vm_device_id {
    VM_DEV_SERIAL,
    VM_DEV_PIC,
    VM_DEV_IOAPIC,
    VM_DEV_LAPIC, /* one state for each CPU */
    VM_DEV_PIT,
    VM_DEV_RTC,
    VM_DEV_PM,
    VM_DEV_CONTROL,
    VM_DEV_COUNT,
};

/* Global system interrupts. GSI 2 is the PIT: the MADT overrides ISA interrupt 0 (boot_acpi.c). */
enum { VM_GSI_PIT = 2, VM_GSI_SERIAL = 4, VM_GSI_RTC = 8, VM_GSI_SCI = 9, VM_GSI_COUNT = 24 };

/* A range of ports or of memory that a device answers. Wider accesses than width are split. */
struct vm_region {
    uint64_t begin, length;
    uint8_t device; /* enum vm_device_id */
    uint8_t number; /* what the device calls it */
    uint8_t width;
};

struct vm {
    struct vm_config config;
    struct vm_host host;

    uint8_t *ram;
    uint64_t low_ram; /* bytes of it below VM_LOW_RAM_MAX; the rest is at VM_HIGH_RAM */

    struct vm_region ports[VM_REGIONS_MAX];
    unsigned port_count;
    uint8_t port_index[0x10000]; /* 1 + index into ports; 0: nobody */

    unsigned accessor; /* the CPU whose access is being served */
    bool deadline_known;
    uint64_t deadline; /* of all devices, if known */

    size_t offset[VM_DEV_COUNT]; /* of each device in state */
    size_t state_size;
    uint8_t *state;
};

extern const struct vm_device_ops vm_serial_ops, vm_pic_ops, vm_ioapic_ops, vm_lapic_ops,
    vm_pit_ops, vm_rtc_ops, vm_pm_ops, vm_control_ops;

/* memory.c */
int vm_memory_new(struct vm *vm);
void vm_memory_free(struct vm *vm);

static inline void *vm_device(struct vm *vm, enum vm_device_id id)
{
    return vm->state + vm->offset[id];
}

static inline uint64_t vm_now(struct vm *vm)
{
    return vm->host.now(vm->host.ctx);
}

/* A device changed something its deadline depends on. */
static inline void vm_deadline_changed(struct vm *vm)
{
    vm->deadline_known = false;
    vm->host.deadline_changed(vm->host.ctx);
}

static inline void vm_interrupt_changed(struct vm *vm, unsigned cpu)
{
    vm->host.interrupt_changed(vm->host.ctx, cpu);
}

/* value * numerator / denominator without overflow on the way. */
static inline uint64_t vm_scale(uint64_t value, uint64_t numerator, uint64_t denominator)
{
    return (uint64_t)((unsigned __int128)value * numerator / denominator);
}

static inline uint64_t vm_scale_up(uint64_t value, uint64_t numerator, uint64_t denominator)
{
    return (uint64_t)(((unsigned __int128)value * numerator + denominator - 1) / denominator);
}

/* pic.c: the pair of 8259s. */
void vm_pic_set_line(struct vm *vm, unsigned irq, bool level);
bool vm_pic_output(struct vm *vm); /* the INTR wire, which goes to LINT0 */
int vm_pic_acknowledge(struct vm *vm);

/* ioapic.c */
void vm_ioapic_set_line(struct vm *vm, unsigned pin, bool level);
void vm_ioapic_eoi(struct vm *vm, uint8_t vector);

/* lapic.c: a message on the interrupt bus (Intel SDM vol. 3, "Message Signalled Interrupts"). */
enum vm_delivery {
    VM_DELIVER_FIXED = 0,
    VM_DELIVER_LOWEST = 1,
    VM_DELIVER_SMI = 2,
    VM_DELIVER_NMI = 4,
    VM_DELIVER_INIT = 5,
    VM_DELIVER_SIPI = 6,
    VM_DELIVER_EXTINT = 7,
};
struct vm_message {
    uint32_t destination;
    bool wide;    /* destination has 32 bits (from an x2APIC), else 8 */
    bool logical; /* destination mode */
    bool level;   /* trigger mode */
    uint8_t delivery;
    uint8_t vector;
};
/* true: a vector was taken, and its EOI will follow. */
bool vm_lapic_deliver(struct vm *vm, const struct vm_message *message);
void vm_lapic_intr_changed(struct vm *vm); /* the PIC's output moved */

#endif
