/* The I/O APIC (82093AA, with the EOI register of its successors): lines to interrupt messages. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/internal.h"

enum { SELECT = 0x00, WINDOW = 0x10, EOI = 0x40 };
enum { ID = 0, VERSION = 1, ARBITRATION = 2, TABLE = 0x10 };
enum { VERSION_VALUE = 0x20 | (VM_GSI_COUNT - 1) << 16 };

/* A redirection table entry (82093AA data sheet, 3.2.4). */
enum {
    ENTRY_VECTOR = 0xff,
    ENTRY_DELIVERY_SHIFT = 8,
    ENTRY_LOGICAL = 1 << 11,
    ENTRY_STATUS = 1 << 12,
    ENTRY_REMOTE_IRR = 1 << 14,
    ENTRY_LEVEL = 1 << 15,
    ENTRY_MASKED = 1 << 16,
    ENTRY_LOW_BITS = 0x1ffff,
    ENTRY_READ_ONLY = ENTRY_STATUS | ENTRY_REMOTE_IRR,
    ENTRY_DESTINATION_SHIFT = 56,
};
#define ENTRY_HIGH_BITS 0xff00000000000000ull

struct ioapic {
    uint8_t select, id;
    uint32_t lines;
    uint64_t entry[VM_GSI_COUNT];
};

static bool send(struct vm *vm, uint64_t entry)
{
    return vm_lapic_deliver(vm, &(struct vm_message){
                                    .destination = (uint32_t)(entry >> ENTRY_DESTINATION_SHIFT),
                                    .logical = entry & ENTRY_LOGICAL,
                                    .level = entry & ENTRY_LEVEL,
                                    .delivery = entry >> ENTRY_DELIVERY_SHIFT & 7,
                                    .vector = entry & ENTRY_VECTOR,
                                });
}

/* A level-triggered pin interrupts once; then it waits for the EOI of whoever took it. */
static void serve_level(struct vm *vm, struct ioapic *ioapic, unsigned pin)
{
    uint64_t *entry = &ioapic->entry[pin];

    if (!(*entry & ENTRY_LEVEL) || *entry & (ENTRY_MASKED | ENTRY_REMOTE_IRR) ||
        !(ioapic->lines >> pin & 1))
        return;
    if (send(vm, *entry))
        *entry |= ENTRY_REMOTE_IRR;
}

void vm_ioapic_set_line(struct vm *vm, unsigned pin, bool level)
{
    struct ioapic *ioapic = vm_device(vm, VM_DEV_IOAPIC);
    uint32_t bit = 1u << pin;
    bool rose = level && !(ioapic->lines & bit);
    uint64_t entry = ioapic->entry[pin];

    ioapic->lines = level ? ioapic->lines | bit : ioapic->lines & ~bit;
    if (entry & ENTRY_LEVEL)
        serve_level(vm, ioapic, pin);
    else if (rose && !(entry & ENTRY_MASKED))
        send(vm, entry); /* edges on a masked pin are lost (3.2.4, bit 16) */
}

void vm_ioapic_eoi(struct vm *vm, uint8_t vector)
{
    struct ioapic *ioapic = vm_device(vm, VM_DEV_IOAPIC);

    for (unsigned pin = 0; pin < VM_GSI_COUNT; pin++) {
        uint64_t *entry = &ioapic->entry[pin];
        if ((*entry & ENTRY_VECTOR) != vector || !(*entry & ENTRY_REMOTE_IRR))
            continue;
        *entry &= ~(uint64_t)ENTRY_REMOTE_IRR;
        serve_level(vm, ioapic, pin);
    }
}

static uint32_t read_register(const struct ioapic *ioapic)
{
    unsigned n = ioapic->select - TABLE;

    switch (ioapic->select) {
    case ID:
    case ARBITRATION: return (uint32_t)ioapic->id << 24;
    case VERSION: return VERSION_VALUE;
    }
    if (n / 2 < VM_GSI_COUNT)
        return (uint32_t)(ioapic->entry[n / 2] >> (n % 2 ? 32 : 0));
    return 0;
}

static void write_entry(struct vm *vm, struct ioapic *ioapic, unsigned n, uint32_t value)
{
    uint64_t *entry = &ioapic->entry[n / 2];

    if (n % 2) {
        *entry = (*entry & UINT32_MAX) | ((uint64_t)value << 32 & ENTRY_HIGH_BITS);
        return;
    }
    uint64_t kept = *entry & (ENTRY_HIGH_BITS | ENTRY_READ_ONLY);
    *entry = kept | (value & ENTRY_LOW_BITS & ~(uint32_t)ENTRY_READ_ONLY);
    /* Kernels end a stuck interrupt by making the pin edge-triggered for a moment. */
    if (!(*entry & ENTRY_LEVEL))
        *entry &= ~(uint64_t)ENTRY_REMOTE_IRR;
    serve_level(vm, ioapic, n / 2);
}

static uint64_t ioapic_read(struct vm *vm, void *state, unsigned region, uint64_t offset,
                            unsigned size)
{
    const struct ioapic *ioapic = state;
    uint32_t value = 0;

    (void)vm, (void)region, (void)size;
    if ((offset & ~3ull) == SELECT)
        value = ioapic->select;
    else if ((offset & ~3ull) == WINDOW)
        value = read_register(ioapic);
    return value >> 8 * (offset & 3);
}

static void ioapic_write(struct vm *vm, void *state, unsigned region, uint64_t offset,
                         unsigned size, uint64_t value)
{
    struct ioapic *ioapic = state;
    unsigned n = ioapic->select - TABLE;

    (void)region, (void)size;
    switch (offset) {
    case SELECT: ioapic->select = (uint8_t)value; break;
    case WINDOW:
        if (ioapic->select == ID)
            ioapic->id = value >> 24 & 0xf;
        else if (n / 2 < VM_GSI_COUNT)
            write_entry(vm, ioapic, n, (uint32_t)value);
        break;
    case EOI: vm_ioapic_eoi(vm, (uint8_t)value); break;
    }
}

static void ioapic_reset(struct vm *vm, void *state)
{
    struct ioapic *ioapic = state;

    (void)vm;
    for (unsigned pin = 0; pin < VM_GSI_COUNT; pin++)
        ioapic->entry[pin] = ENTRY_MASKED;
}

const struct vm_device_ops vm_ioapic_ops = {
    .name = "ioapic",
    .state_size = sizeof(struct ioapic),
    .read = ioapic_read,
    .write = ioapic_write,
    .reset = ioapic_reset,
};
