/* Hardware breakpoints and watchpoints: in debug registers while there are some, else by page. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>

#include "engine/kvm/kvm.h"

/* --- Debug registers: a table that those of all vCPUs follow ---------------------------------- */

static struct kvm_watch *find_watch(struct kvm_machine *machine, enum ringside_watch_kind kind,
                                    uint64_t address, uint64_t length)
{
    for (unsigned i = 0; i < KVM_HW_SLOTS; i++) {
        struct kvm_watch *watch = &machine->watch[i];
        if (watch->used && watch->kind == kind && watch->address == address &&
            watch->length == length)
            return watch;
    }
    return NULL;
}

/* The processor has no watchpoint that writes pass, and none that is not a naturally aligned word.
 */
static bool has_hardware(const struct kvm_machine *machine, enum ringside_watch_kind kind,
                         uint64_t address, uint64_t length)
{
    if (kind == RINGSIDE_WATCH_EXEC)
        return machine->features & KVM_CAN_HW_BREAK;
    return machine->features & KVM_CAN_HW_WATCH && kind != RINGSIDE_WATCH_READ &&
           (length == 1 || length == 2 || length == 4 || length == 8) && address % length == 0;
}

static int insert_hardware(struct kvm_machine *machine, enum ringside_watch_kind kind,
                           uint64_t linear, uint64_t length)
{
    if (!has_hardware(machine, kind, linear, length))
        return RINGSIDE_ENOTSUP;
    for (unsigned i = 0; i < KVM_HW_SLOTS; i++) {
        if (machine->watch[i].used)
            continue;
        machine->watch[i] = (struct kvm_watch){true, kind, linear, length};
        kvm_debug_changed(machine);
        return RINGSIDE_OK;
    }
    return RINGSIDE_ENOSPC;
}

/* --- By page ---------------------------------------------------------------------------------- */

static struct kvm_paged_watch **link_of(struct kvm_machine *machine, enum ringside_watch_kind kind,
                                        uint64_t address, uint64_t length)
{
    struct kvm_paged_watch **link = &machine->paged[address / 8 % KVM_WATCH_BUCKETS];

    while (*link &&
           ((*link)->kind != kind || (*link)->address != address || (*link)->length != length))
        link = &(*link)->next;
    return link;
}

/* Where a linear address lies: as the first vCPU says that has it mapped. */
static bool translate(const struct kvm_machine *machine, uint64_t linear, uint64_t *gpa)
{
    for (unsigned i = 0; i < machine->config.vm.cpus; i++)
        if (kvm_place_of(&machine->vcpu[i], linear, gpa))
            return true;
    return false;
}

static void count(struct kvm_page *page, enum ringside_watch_kind kind, int change)
{
    *(kind == RINGSIDE_WATCH_WRITE ? &page->writes : &page->reads) += (unsigned)change;
}

static int join(struct kvm_machine *machine, struct kvm_piece *piece)
{
    struct kvm_page *page;
    int error = kvm_page_get(machine, piece->gpa, &page);

    if (error)
        return error;
    count(page, piece->watch->kind, 1);
    error = kvm_page_changed(machine, page);
    if (error) {
        count(page, piece->watch->kind, -1);
        return error;
    }
    piece->next = page->pieces;
    page->pieces = piece;
    return RINGSIDE_OK;
}

static void leave(struct kvm_machine *machine, struct kvm_piece *piece)
{
    struct kvm_page *page = kvm_page_at(machine, piece->gpa);
    struct kvm_piece **link = &page->pieces;

    while (*link != piece)
        link = &(*link)->next;
    *link = piece->next;
    count(page, piece->watch->kind, -1);
    kvm_page_changed(machine, page); /* less protection is never refused */
}

/* The part of it that lies at `from`, up to the end of that page. */
static int find_piece(const struct kvm_machine *machine, struct kvm_paged_watch *watch,
                      uint64_t from)
{
    uint64_t left = watch->address + watch->length - from;
    uint64_t room = KVM_PAGE_SIZE - from % KVM_PAGE_SIZE;
    struct kvm_piece *piece = &watch->piece[watch->pieces];

    if (!translate(machine, from, &piece->gpa))
        return RINGSIDE_EFAULT;
    piece->watch = watch;
    piece->linear = from;
    piece->length = (uint16_t)(left < room ? left : room);
    return RINGSIDE_OK;
}

static void leave_all(struct kvm_machine *machine, struct kvm_paged_watch *watch)
{
    while (watch->pieces)
        leave(machine, &watch->piece[--watch->pieces]);
    free(watch);
}

static int insert_paged(struct kvm_machine *machine, enum ringside_watch_kind kind, uint64_t linear,
                        uint64_t length)
{
    struct kvm_paged_watch **link = link_of(machine, kind, linear, length), *watch;
    uint64_t end = linear + length, pages;
    int error = RINGSIDE_OK;

    if (!(machine->features &
          (kind == RINGSIDE_WATCH_WRITE ? KVM_CAN_BAR_WRITES : KVM_CAN_BAR_CODE)))
        return RINGSIDE_ENOTSUP;
    pages = (end - 1) / KVM_PAGE_SIZE - linear / KVM_PAGE_SIZE + 1;
    if (pages > vm_ram_bytes(machine->vm) / KVM_PAGE_SIZE)
        return RINGSIDE_ENOSPC;
    watch = calloc(1, sizeof *watch + pages * sizeof watch->piece[0]);
    if (!watch)
        return RINGSIDE_ENOSPC;
    watch->kind = kind;
    watch->address = linear;
    watch->length = length;
    for (uint64_t at = linear; at != end; at += watch->piece[watch->pieces - 1].length) {
        error = find_piece(machine, watch, at);
        if (!error)
            error = join(machine, &watch->piece[watch->pieces]);
        if (error)
            break;
        watch->pieces++;
    }
    if (error) {
        leave_all(machine, watch);
        return error;
    }
    *link = watch;
    return RINGSIDE_OK;
}

static bool is_seen(const struct kvm_paged_watch *watch, bool is_write)
{
    return watch->kind == RINGSIDE_WATCH_ACCESS ||
           (watch->kind == RINGSIDE_WATCH_WRITE) == is_write;
}

void kvm_watch_accessed(struct kvm_vcpu *vcpu, uint64_t gpa, unsigned n, bool is_write)
{
    const struct kvm_page *page = kvm_page_at(vcpu->machine, gpa);

    for (const struct kvm_piece *piece = page ? page->pieces : NULL; piece; piece = piece->next)
        if (!vcpu->owes && is_seen(piece->watch, is_write) && gpa < piece->gpa + piece->length &&
            piece->gpa < gpa + n) {
            vcpu->owes = true;
            vcpu->owed = (struct ringside_exit){
                .reason = RINGSIDE_EXIT_WATCH,
                .watch_kind = piece->watch->kind,
                .watch_address = piece->linear + (gpa > piece->gpa ? gpa - piece->gpa : 0),
            };
        }
}

void kvm_watches_free(struct kvm_machine *machine)
{
    for (unsigned i = 0; i < KVM_WATCH_BUCKETS; i++) {
        for (struct kvm_paged_watch *watch = machine->paged[i], *next; watch; watch = next) {
            next = watch->next;
            free(watch);
        }
    }
}

/* --- Either ----------------------------------------------------------------------------------- */

int kvm_watch_insert(void *ctx, enum ringside_watch_kind kind, uint64_t linear, uint64_t length)
{
    struct kvm_machine *machine = ctx;

    length = kind == RINGSIDE_WATCH_EXEC ? 1 : length;
    if (find_watch(machine, kind, linear, length) || *link_of(machine, kind, linear, length))
        return RINGSIDE_OK;
    int error = insert_hardware(machine, kind, linear, length);
    return error && kind != RINGSIDE_WATCH_EXEC ? insert_paged(machine, kind, linear, length)
                                                : error;
}

int kvm_watch_remove(void *ctx, enum ringside_watch_kind kind, uint64_t linear, uint64_t length)
{
    struct kvm_machine *machine = ctx;

    length = kind == RINGSIDE_WATCH_EXEC ? 1 : length;
    struct kvm_watch *watch = find_watch(machine, kind, linear, length);
    struct kvm_paged_watch **link = link_of(machine, kind, linear, length), *paged = *link;
    if (watch) {
        watch->used = false;
        kvm_debug_changed(machine);
    } else if (paged) {
        *link = paged->next;
        leave_all(machine, paged);
    }
    return watch || paged ? RINGSIDE_OK : RINGSIDE_EINVAL;
}
