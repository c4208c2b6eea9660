/* Guest-physical memory as the server sees it: RAM without our breakpoints, and interrupt
 * controllers. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "engine/kvm/kvm.h"

enum { PAGE = 4096 };

/* How much of [gpa, gpa + n) lies in the first page, if that is RAM. */
static uint8_t *first_piece(struct kvm_machine *machine, uint64_t gpa, size_t n, size_t *length)
{
    size_t left = PAGE - gpa % PAGE;

    *length = n < left ? n : left;
    return vm_ram(machine->vm, gpa, *length);
}

static bool all_ram(struct kvm_machine *machine, uint64_t gpa, size_t n)
{
    for (size_t done = 0, length = 0; done < n; done += length)
        if (!first_piece(machine, gpa + done, n - done, &length))
            return false;
    return true;
}

int kvm_memory_read(void *ctx, uint64_t gpa, void *buffer, size_t n)
{
    struct kvm_machine *machine = ctx;

    if (kvm_irqchip_at(gpa, n))
        return kvm_irqchip_read(machine, gpa, buffer, n);
    if (!all_ram(machine, gpa, n))
        return RINGSIDE_EFAULT;
    kvm_ram_read(machine, gpa, buffer, n);
    return RINGSIDE_OK;
}

int kvm_memory_write(void *ctx, uint64_t gpa, const void *buffer, size_t n)
{
    struct kvm_machine *machine = ctx;

    if (kvm_irqchip_at(gpa, n))
        return kvm_irqchip_write(machine, gpa, buffer, n);
    if (!all_ram(machine, gpa, n))
        return RINGSIDE_EFAULT;
    kvm_ram_write(machine, gpa, buffer, n);
    return RINGSIDE_OK;
}

/* The kernel's emulator, for which what it cannot access is a device's. */
bool kvm_protected_access(struct kvm_vcpu *vcpu)
{
    struct kvm_machine *machine = vcpu->machine;
    struct kvm_run *run = vcpu->run;
    uint64_t gpa = run->mmio.phys_addr;

    if (!vm_ram(machine->vm, gpa, run->mmio.len))
        return false;
    pthread_mutex_lock(&machine->server_lock);
    if (run->mmio.is_write)
        kvm_ram_write(machine, gpa, run->mmio.data, run->mmio.len);
    else
        kvm_ram_read(machine, gpa, run->mmio.data, run->mmio.len);
    kvm_watch_accessed(vcpu, gpa, run->mmio.len, run->mmio.is_write);
    pthread_mutex_unlock(&machine->server_lock);
    return true;
}

bool kvm_memory_is(void *ctx, uint64_t gpa)
{
    return vm_ram(((struct kvm_machine *)ctx)->vm, gpa & ~(uint64_t)(PAGE - 1), PAGE);
}

uint8_t *kvm_memory_page(void *ctx, uint64_t gpa, bool *writable)
{
    struct kvm_machine *machine = ctx;
    struct kvm_page *page = kvm_page_at(machine, gpa);

    *writable = !page;
    return page ? page->clean : vm_ram(machine->vm, gpa, PAGE);
}
