/* Software breakpoints: an INT3 in the guest's memory, and memory as if it were not there. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "engine/kvm/kvm.h"

enum { INT3 = 0xcc, PAGE = 4096 };

/* Pages are found by a hash table, places in a page by their offset. */
static struct kvm_page **link_of(const struct kvm_machine *machine, uint64_t gpa)
{
    uint64_t page = gpa & ~(uint64_t)(PAGE - 1);
    struct kvm_page **link = (struct kvm_page **)&machine->pages[page / PAGE % KVM_PAGE_BUCKETS];

    while (*link && (*link)->gpa != page)
        link = &(*link)->next;
    return link;
}

static uint8_t *byte_at(const struct kvm_machine *machine, uint64_t gpa)
{
    return vm_ram(machine->vm, gpa, 1);
}

bool kvm_breakpoint_at(const struct kvm_machine *machine, uint64_t gpa)
{
    const struct kvm_page *page = *link_of(machine, gpa);

    return page && page->here[gpa % PAGE];
}

int kvm_breakpoint_insert(struct kvm_machine *machine, uint64_t gpa)
{
    struct kvm_page **link = link_of(machine, gpa), *page = *link;
    uint8_t *byte = byte_at(machine, gpa);

    if (!byte)
        return RINGSIDE_EFAULT;
    if (!page) {
        page = calloc(1, sizeof *page);
        if (!page)
            return RINGSIDE_ENOSPC;
        page->gpa = gpa & ~(uint64_t)(PAGE - 1);
        *link = page;
        machine->page_count++;
    }
    page->here[gpa % PAGE] = true;
    page->count++;
    page->original[gpa % PAGE] = *byte;
    __atomic_store_n(byte, INT3, __ATOMIC_SEQ_CST);
    return RINGSIDE_OK;
}

/* A guest that has written there meanwhile keeps what it wrote. */
int kvm_breakpoint_remove(struct kvm_machine *machine, uint64_t gpa)
{
    struct kvm_page **link = link_of(machine, gpa), *page = *link;
    uint8_t *byte = byte_at(machine, gpa);

    if (!page || !page->here[gpa % PAGE])
        return RINGSIDE_EINVAL;
    if (*byte == INT3)
        __atomic_store_n(byte, page->original[gpa % PAGE], __ATOMIC_SEQ_CST);
    page->here[gpa % PAGE] = false;
    __atomic_add_fetch(&machine->removed, 1, __ATOMIC_RELEASE);
    if (--page->count == 0) {
        *link = page->next;
        free(page);
        machine->page_count--;
    }
    return RINGSIDE_OK;
}

void kvm_breakpoint_lift(struct kvm_machine *machine, uint64_t gpa, bool up)
{
    const struct kvm_page *page = *link_of(machine, gpa);
    uint8_t *byte = byte_at(machine, gpa);

    if (!page || !page->here[gpa % PAGE])
        return; /* removed meanwhile */
    if (*byte == (up ? INT3 : page->original[gpa % PAGE]))
        __atomic_store_n(byte, up ? page->original[gpa % PAGE] : INT3, __ATOMIC_SEQ_CST);
}

void kvm_breakpoints_hide(const struct kvm_machine *machine, uint64_t gpa, uint8_t *bytes, size_t n)
{
    for (size_t i = 0, piece; i < n; i += piece) {
        uint64_t at = gpa + i;
        const struct kvm_page *page = *link_of(machine, at);
        piece = PAGE - at % PAGE < n - i ? PAGE - at % PAGE : n - i;
        for (size_t k = 0; page && k < piece; k++)
            if (page->here[(at + k) % PAGE] && bytes[i + k] == INT3)
                bytes[i + k] = page->original[(at + k) % PAGE];
    }
}

void kvm_breakpoints_write(struct kvm_machine *machine, uint64_t gpa, const uint8_t *bytes,
                           size_t n)
{
    for (size_t i = 0, piece; i < n; i += piece) {
        uint64_t at = gpa + i;
        struct kvm_page *page = *link_of(machine, at);
        piece = PAGE - at % PAGE < n - i ? PAGE - at % PAGE : n - i;
        if (!page)
            memcpy(byte_at(machine, at), bytes + i, piece);
        for (size_t k = 0; page && k < piece; k++) {
            size_t offset = (at + k) % PAGE;
            *(page->here[offset] ? &page->original[offset] : byte_at(machine, at + k)) =
                bytes[i + k];
        }
    }
}

uint8_t *kvm_clean_page(struct kvm_machine *machine, uint64_t gpa)
{
    struct kvm_page *page = *link_of(machine, gpa);
    const uint8_t *ram = vm_ram(machine->vm, gpa, PAGE);

    if (!page || !ram)
        return NULL;
    memcpy(page->clean, ram, PAGE);
    kvm_breakpoints_hide(machine, gpa, page->clean, PAGE);
    return page->clean;
}

void kvm_breakpoints_free(struct kvm_machine *machine)
{
    for (unsigned i = 0; i < KVM_PAGE_BUCKETS; i++) {
        for (struct kvm_page *page = machine->pages[i], *next; page; page = next) {
            next = page->next;
            free(page);
        }
    }
}
