/* Software breakpoints: a trap byte in the guest's memory, or pages that the guest cannot execute.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/kvm/kvm.h"

/*
 * A page with trap bytes is read-only: what the guest writes there comes to us, so that it keeps
 * what it wrote and the traps stay.  What it reads are the bytes that are there.
 *
 * Where no trap byte stops the guest (machine->trap_byte is 0) nothing is written, and its page is
 * taken away: the server executes what is there, and looks for breakpoints.
 */

static void flip(struct kvm_page *page, uint64_t gpa)
{
    unsigned offset = gpa % KVM_PAGE_SIZE;

    page->here[offset / 64] ^= 1ull << offset % 64;
}

bool kvm_breakpoint_at(const struct kvm_machine *machine, uint64_t gpa)
{
    const struct kvm_page *page = kvm_page_at(machine, gpa);

    return page && kvm_page_has_trap(page, gpa % KVM_PAGE_SIZE);
}

/* One more or one less in the page, of which it is the first or the last. */
static int count(struct kvm_machine *machine, struct kvm_page *page, int change)
{
    bool had = page->breakpoints;

    page->breakpoints += (unsigned)change;
    int error = kvm_page_changed(machine, page);
    if (error) {
        page->breakpoints -= (unsigned)change;
        return error;
    }
    if (machine->trap_byte)
        machine->pages.trap_pages += (unsigned)((page->breakpoints > 0) - had);
    return RINGSIDE_OK;
}

int kvm_breakpoint_insert(struct kvm_machine *machine, uint64_t gpa)
{
    struct kvm_page *page;
    int error = kvm_page_get(machine, gpa, &page);

    if (!error)
        error = count(machine, page, 1);
    if (error)
        return error;
    flip(page, gpa);
    if (machine->trap_byte)
        kvm_ram_put(machine, gpa, machine->trap_byte);
    return RINGSIDE_OK;
}

int kvm_breakpoint_remove(struct kvm_machine *machine, uint64_t gpa)
{
    struct kvm_page *page = kvm_page_at(machine, gpa);

    if (!kvm_breakpoint_at(machine, gpa))
        return RINGSIDE_EINVAL;
    flip(page, gpa);
    __atomic_add_fetch(&machine->removed, 1, __ATOMIC_RELEASE);
    if (machine->trap_byte)
        kvm_ram_put(machine, gpa, page->clean[gpa % KVM_PAGE_SIZE]);
    return count(machine, page, -1);
}

void kvm_breakpoint_lift(struct kvm_machine *machine, uint64_t gpa, bool up)
{
    const struct kvm_page *page = kvm_page_at(machine, gpa);

    if (machine->trap_byte && kvm_breakpoint_at(machine, gpa)) /* else removed meanwhile */
        kvm_ram_put(machine, gpa, up ? page->clean[gpa % KVM_PAGE_SIZE] : machine->trap_byte);
}
