/* Pages of RAM that are kept from the guest: found by address, protected, read and written. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/kvm/kvm.h"

enum { TABLE_SHIFT = 21, PAGE_SHIFT = 12 };

/* --- The table -------------------------------------------------------------------------------- */

/* Where the kernel executes an instruction itself, it reports one that it cannot fetch instead of
 * giving the guest an exception.  Without protected pages that is the guest's own business. */
static void exit_on_failures(struct kvm_machine *machine, bool value)
{
    struct kvm_enable_cap cap = {.cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args = {value}};

    ioctl(machine->vm_fd, KVM_ENABLE_CAP, &cap); /* an older one has its rings to tell it */
}

static size_t place_in_table(uint64_t gpa)
{
    return gpa >> PAGE_SHIFT & (KVM_TABLE_PAGES - 1);
}

static struct kvm_page *find(const struct kvm_machine *machine, uint64_t gpa)
{
    const struct kvm_pages *pages = &machine->pages;
    size_t table = gpa >> TABLE_SHIFT;

    return table < pages->tables && pages->table[table]
               ? pages->table[table]->page[place_in_table(gpa)]
               : NULL;
}

struct kvm_page *kvm_page_at(const struct kvm_machine *machine, uint64_t gpa)
{
    struct kvm_page *page = find(machine, gpa);

    return page && page->protection != KVM_OPEN ? page : NULL;
}

int kvm_page_get(struct kvm_machine *machine, uint64_t gpa, struct kvm_page **out)
{
    struct kvm_pages *pages = &machine->pages;
    struct kvm_page *page = find(machine, gpa);

    if (!page) {
        if (!vm_ram(machine->vm, gpa, 1))
            return RINGSIDE_EFAULT;
        struct kvm_page_table **table = &pages->table[gpa >> TABLE_SHIFT];
        if (!*table && !(*table = calloc(1, sizeof **table)))
            return RINGSIDE_ENOSPC;
        page = calloc(1, sizeof *page);
        if (!page)
            return RINGSIDE_ENOSPC;
        page->gpa = gpa & ~(uint64_t)(KVM_PAGE_SIZE - 1);
        (*table)->page[place_in_table(gpa)] = page;
        (*table)->count++;
        if (!pages->count++)
            exit_on_failures(machine, true);
    }
    *out = page;
    return RINGSIDE_OK;
}

static void release(struct kvm_machine *machine, struct kvm_page *page)
{
    struct kvm_page_table **table = &machine->pages.table[page->gpa >> TABLE_SHIFT];

    (*table)->page[place_in_table(page->gpa)] = NULL;
    if (!--machine->pages.count)
        exit_on_failures(machine, false);
    if (--(*table)->count == 0) {
        free(*table);
        *table = NULL;
    }
    free(page);
}

static void for_all(struct kvm_machine *machine,
                    void (*what)(struct kvm_machine *machine, struct kvm_page *page))
{
    const struct kvm_pages *pages = &machine->pages;

    for (size_t i = 0; i < pages->tables; i++)
        for (unsigned k = 0; pages->table[i] && k < KVM_TABLE_PAGES; k++)
            if (pages->table[i]->page[k])
                what(machine, pages->table[i]->page[k]);
}

/* --- Protection ------------------------------------------------------------------------------- */

static uint8_t *ram_of(const struct kvm_machine *machine, const struct kvm_page *page)
{
    return vm_ram(machine->vm, page->gpa, KVM_PAGE_SIZE);
}

/* Those that run meanwhile must not take what they see of it for their own trouble. */
static bool put_protection(struct kvm_machine *machine, const struct kvm_page *page,
                           enum kvm_protection protection)
{
    static const int prot[] = {
        [KVM_OPEN] = PROT_READ | PROT_WRITE,
        [KVM_READ_ONLY] = PROT_READ,
        [KVM_NO_ACCESS] = PROT_NONE,
    };

    __atomic_add_fetch(&machine->pages.changes, 1, __ATOMIC_SEQ_CST);
    return !mprotect(ram_of(machine, page), KVM_PAGE_SIZE, prot[protection]);
}

/* A trap byte is kept by keeping writes out; a breakpoint without one by keeping all out. */
static enum kvm_protection wanted_protection(const struct kvm_machine *machine,
                                             const struct kvm_page *page)
{
    if (page->reads || (page->breakpoints && !machine->trap_byte))
        return KVM_NO_ACCESS;
    return page->writes || page->breakpoints ? KVM_READ_ONLY : KVM_OPEN;
}

static void see_ram(const struct kvm_machine *machine, struct kvm_page *page)
{
    ssize_t n = pread(machine->pages.memory_fd, page->clean, KVM_PAGE_SIZE,
                      (off_t)(uintptr_t)ram_of(machine, page));

    (void)n; /* the self-test has seen that it works */
}

static void list_idle(struct kvm_machine *machine, struct kvm_page *page)
{
    if (page->idle)
        return;
    page->idle = true;
    page->next_idle = machine->pages.idle;
    __atomic_store_n(&machine->pages.idle, page, __ATOMIC_SEQ_CST);
}

int kvm_page_changed(struct kvm_machine *machine, struct kvm_page *page)
{
    enum kvm_protection wanted = wanted_protection(machine, page), had = page->protection;

    if (wanted == KVM_OPEN)
        list_idle(machine, page);
    if (wanted == KVM_OPEN || wanted == had)
        return RINGSIDE_OK;
    if (!put_protection(machine, page, wanted)) {
        if (had == KVM_OPEN)
            list_idle(machine, page);
        return RINGSIDE_ENOSPC;
    }
    page->protection = wanted;
    if (had == KVM_OPEN)
        see_ram(machine, page);
    return RINGSIDE_OK;
}

void kvm_pages_sweep(struct kvm_machine *machine)
{
    struct kvm_page *page = machine->pages.idle, *next;

    for (; page; page = next) {
        next = page->next_idle;
        page->idle = false;
        if (wanted_protection(machine, page) != KVM_OPEN)
            continue;
        if (page->protection != KVM_OPEN)
            put_protection(machine, page, KVM_OPEN);
        release(machine, page);
    }
    __atomic_store_n(&machine->pages.idle, NULL, __ATOMIC_SEQ_CST);
}

/* --- Out of the way of one step --------------------------------------------------------------- */

static bool is_lifted(const struct kvm_pages *pages, const struct kvm_page *page)
{
    return page->gpa == pages->lifted[0] || page->gpa == pages->lifted[1];
}

static void lift_code(struct kvm_machine *machine, struct kvm_page *page)
{
    if (page->protection == KVM_NO_ACCESS && is_lifted(&machine->pages, page))
        put_protection(machine, page, KVM_READ_ONLY);
}

static void lift(struct kvm_machine *machine, struct kvm_page *page)
{
    put_protection(machine, page, KVM_OPEN);
}

/* The step may have written to it.  A byte that equals the trap counts as not written. */
static void adopt(struct kvm_machine *machine, struct kvm_page *page)
{
    uint8_t clean[KVM_PAGE_SIZE];

    memcpy(clean, page->clean, sizeof clean);
    see_ram(machine, page);
    for (unsigned i = 0; i < KVM_PAGE_SIZE && page->breakpoints; i++) {
        if (!kvm_page_has_trap(page, i) || !machine->trap_byte)
            continue;
        if (page->clean[i] == machine->trap_byte)
            page->clean[i] = clean[i];
        else
            kvm_ram_put(machine, page->gpa + i, machine->trap_byte);
    }
}

static void lower(struct kvm_machine *machine, struct kvm_page *page)
{
    const struct kvm_pages *pages = &machine->pages;

    if (pages->lift == KVM_LIFT_ALL)
        adopt(machine, page);
    else if (!is_lifted(pages, page))
        return;
    put_protection(machine, page, page->protection);
}

void kvm_pages_lift(struct kvm_machine *machine, enum kvm_lift what)
{
    struct kvm_pages *pages = &machine->pages;

    if (pages->lift != KVM_LIFT_NOTHING)
        for_all(machine, lower);
    pages->lift = what;
    if (what != KVM_LIFT_NOTHING)
        for_all(machine, what == KVM_LIFT_ALL ? lift : lift_code);
}

/* --- RAM -------------------------------------------------------------------------------------- */

bool kvm_page_has_trap(const struct kvm_page *page, unsigned offset)
{
    return page->here[offset / 64] >> offset % 64 & 1;
}

/* How much of n bytes at gpa lies in the first page. */
static size_t first_piece(uint64_t gpa, size_t n)
{
    size_t left = KVM_PAGE_SIZE - gpa % KVM_PAGE_SIZE;

    return n < left ? n : left;
}

static void put(struct kvm_machine *machine, uint64_t gpa, const uint8_t *bytes, size_t n)
{
    uint8_t *ram = vm_ram(machine->vm, gpa, n);
    ssize_t written = pwrite(machine->pages.memory_fd, bytes, n, (off_t)(uintptr_t)ram);

    (void)written; /* the self-test has seen that it works */
}

void kvm_ram_put(struct kvm_machine *machine, uint64_t gpa, uint8_t byte)
{
    put(machine, gpa, &byte, 1);
}

void kvm_ram_read(const struct kvm_machine *machine, uint64_t gpa, uint8_t *bytes, size_t n)
{
    for (size_t i = 0, piece; i < n; i += piece) {
        const struct kvm_page *page = kvm_page_at(machine, gpa + i);
        piece = first_piece(gpa + i, n - i);
        memcpy(bytes + i,
               page ? page->clean + (gpa + i) % KVM_PAGE_SIZE : vm_ram(machine->vm, gpa + i, piece),
               piece);
    }
}

static void write_page(struct kvm_machine *machine, struct kvm_page *page, unsigned offset,
                       const uint8_t *bytes, size_t n)
{
    uint8_t shown[KVM_PAGE_SIZE];

    memcpy(page->clean + offset, bytes, n);
    for (size_t i = 0; i < n; i++)
        shown[i] = machine->trap_byte && kvm_page_has_trap(page, offset + (unsigned)i)
                       ? machine->trap_byte
                       : bytes[i];
    put(machine, page->gpa + offset, shown, n);
}

void kvm_ram_write(struct kvm_machine *machine, uint64_t gpa, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0, piece; i < n; i += piece) {
        struct kvm_page *page = kvm_page_at(machine, gpa + i);
        piece = first_piece(gpa + i, n - i);
        if (page)
            write_page(machine, page, (gpa + i) % KVM_PAGE_SIZE, bytes + i, piece);
        else
            memcpy(vm_ram(machine->vm, gpa + i, piece), bytes + i, piece);
    }
}

/* --- Life ------------------------------------------------------------------------------------- */

int kvm_pages_init(struct kvm_machine *machine)
{
    struct kvm_pages *pages = &machine->pages;
    uint64_t bytes = vm_ram_bytes(machine->vm);
    uint64_t end = bytes > VM_LOW_RAM_MAX ? VM_HIGH_RAM + (bytes - VM_LOW_RAM_MAX) : bytes;

    pages->tables = (size_t)(end >> TABLE_SHIFT) + 1;
    pages->table = calloc(pages->tables, sizeof(struct kvm_page_table *));
    pages->memory_fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    return !pages->table ? -ENOMEM : pages->memory_fd < 0 ? -errno : 0;
}

void kvm_pages_free(struct kvm_machine *machine)
{
    struct kvm_pages *pages = &machine->pages;

    for (size_t i = 0; i < pages->tables && pages->table; i++) {
        for (unsigned k = 0; pages->table[i] && k < KVM_TABLE_PAGES; k++)
            free(pages->table[i]->page[k]);
        free(pages->table[i]);
    }
    free(pages->table);
    if (pages->memory_fd >= 0)
        close(pages->memory_fd);
}
