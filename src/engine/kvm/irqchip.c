/* The registers of the kernel's interrupt controllers, where the debugger looks for them in memory.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm.h"

/*
 * The guest reaches them inside the kernel; there is no access by which the debugger could do the
 * same, only their state as a whole.  So they are read, and not written: setting the state would
 * neither send an interrupt nor end one.  The I/O APIC's window shows what its select register
 * names; the debugger has one of its own, so that the guest's stays as it is.
 */
enum { PAGE = 4096, SELECT = 0x00, WINDOW = 0x10 };
enum { ID = 0, VERSION = 1, ARBITRATION = 2, TABLE = 0x10 };
enum { VERSION_VALUE = 0x11 | (KVM_IOAPIC_NUM_PINS - 1) << 16 };

static bool is_in(uint64_t gpa, size_t n, uint64_t base)
{
    return gpa >= base && gpa - base < PAGE && n <= PAGE - (gpa - base);
}

bool kvm_irqchip_at(uint64_t gpa, size_t n)
{
    return is_in(gpa, n, VM_LAPIC_BASE) || is_in(gpa, n, VM_IOAPIC_BASE);
}

/* Each vCPU's own; the kernel's image is what the page has at its begin (Intel SDM vol. 3, Local
 * APIC Register Address Map). */
static bool fill_lapic(const struct kvm_vcpu *vcpu, uint8_t page[PAGE])
{
    struct kvm_lapic_state state;

    if (ioctl(vcpu->fd, KVM_GET_LAPIC, &state))
        return false;
    memcpy(page, state.regs, sizeof state.regs);
    return true;
}

static uint32_t ioapic_register(const struct kvm_ioapic_state *ioapic, uint8_t select)
{
    unsigned n = select - TABLE;

    switch (select) {
    case ID:
    case ARBITRATION: return ioapic->id << 24;
    case VERSION: return VERSION_VALUE;
    }
    if (n / 2 >= KVM_IOAPIC_NUM_PINS)
        return 0;
    return (uint32_t)(ioapic->redirtbl[n / 2].bits >> (n % 2 ? 32 : 0));
}

static bool fill_ioapic(const struct kvm_machine *machine, uint8_t page[PAGE])
{
    struct kvm_irqchip chip = {.chip_id = KVM_IRQCHIP_IOAPIC};

    if (ioctl(machine->vm_fd, KVM_GET_IRQCHIP, &chip))
        return false;
    uint32_t window = ioapic_register(&chip.chip.ioapic, machine->ioapic_select);
    page[SELECT] = machine->ioapic_select;
    memcpy(page + WINDOW, &window, sizeof window);
    return true;
}

int kvm_irqchip_read(struct kvm_machine *machine, uint64_t gpa, void *buffer, size_t n)
{
    uint8_t page[PAGE] = {0};
    bool lapic = is_in(gpa, n, VM_LAPIC_BASE);

    if (lapic ? !fill_lapic(&machine->vcpu[machine->accessor], page) : !fill_ioapic(machine, page))
        return RINGSIDE_EIO;
    memcpy(buffer, page + gpa % PAGE, n);
    return RINGSIDE_OK;
}

int kvm_irqchip_write(struct kvm_machine *machine, uint64_t gpa, const void *buffer, size_t n)
{
    if (gpa != VM_IOAPIC_BASE + SELECT || (n != 1 && n != 4))
        return RINGSIDE_ENOTSUP;
    memcpy(&machine->ioapic_select, buffer, 1);
    return RINGSIDE_OK;
}
