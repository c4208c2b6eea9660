/* Hardware breakpoints and watchpoints: the table that all vCPUs debug registers follow. */
/* SPDX-License-Identifier: BSD-2-Clause */

#include "engine/kvm/kvm.h"

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

int kvm_watch_insert(void *ctx, enum ringside_watch_kind kind, uint64_t linear, uint64_t length)
{
    struct kvm_machine *machine = ctx;

    length = kind == RINGSIDE_WATCH_EXEC ? 1 : length;
    if (!has_hardware(machine, kind, linear, length))
        return RINGSIDE_ENOTSUP;
    if (find_watch(machine, kind, linear, length))
        return RINGSIDE_OK;
    for (unsigned i = 0; i < KVM_HW_SLOTS; i++) {
        if (machine->watch[i].used)
            continue;
        machine->watch[i] = (struct kvm_watch){true, kind, linear, length};
        kvm_debug_changed(machine);
        return RINGSIDE_OK;
    }
    return RINGSIDE_ENOSPC;
}

int kvm_watch_remove(void *ctx, enum ringside_watch_kind kind, uint64_t linear, uint64_t length)
{
    struct kvm_machine *machine = ctx;
    struct kvm_watch *watch =
        find_watch(machine, kind, linear, kind == RINGSIDE_WATCH_EXEC ? 1 : length);

    if (!watch)
        return RINGSIDE_EINVAL;
    watch->used = false;
    kvm_debug_changed(machine);
    return RINGSIDE_OK;
}
