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
    uint8_t *to = buffer;

    if (kvm_irqchip_at(gpa, n))
        return kvm_irqchip_read(machine, gpa, buffer, n);
    if (!all_ram(machine, gpa, n))
        return RINGSIDE_EFAULT;
    for (size_t done = 0, length = 0; done < n; done += length) {
        const uint8_t *from = first_piece(machine, gpa + done, n - done, &length);
        memcpy(to + done, from, length);
    }
    if (machine->page_count)
        kvm_breakpoints_hide(machine, gpa, to, n);
    return RINGSIDE_OK;
}

int kvm_memory_write(void *ctx, uint64_t gpa, const void *buffer, size_t n)
{
    struct kvm_machine *machine = ctx;

    if (kvm_irqchip_at(gpa, n))
        return kvm_irqchip_write(machine, gpa, buffer, n);
    if (!all_ram(machine, gpa, n))
        return RINGSIDE_EFAULT;
    kvm_breakpoints_write(machine, gpa, buffer, n);
    return RINGSIDE_OK;
}

bool kvm_memory_is(void *ctx, uint64_t gpa)
{
    return vm_ram(((struct kvm_machine *)ctx)->vm, gpa & ~(uint64_t)(PAGE - 1), PAGE);
}

uint8_t *kvm_memory_page(void *ctx, uint64_t gpa, bool *writable)
{
    struct kvm_machine *machine = ctx;
    uint8_t *clean = kvm_clean_page(machine, gpa);

    *writable = !clean;
    return clean ? clean : vm_ram(machine->vm, gpa, PAGE);
}
