/* Events that stop the guest once they have happened, as far as the kernel tells of them. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "engine/kvm/kvm.h"
#include "x86/regs.h"

/*
 * Ports come to us anyway, but for those of the kernel's own devices.  Writes of MSRs come where a
 * filter refuses them (msr_exit.c), INT3 and INT1 where the kernel is told of breakpoints by them:
 * the server executes these, and its CPU knows what is caught.
 */
static bool is_kernels_port(uint32_t port)
{
    static const struct {
        uint16_t first, last;
    } own[] = {{0x20, 0x21}, {0x40, 0x43}, {0x61, 0x61}, {0xa0, 0xa1}, {0x4d0, 0x4d1}};

    for (unsigned i = 0; i < sizeof own / sizeof own[0]; i++)
        if (port >= own[i].first && port <= own[i].last)
            return true;
    return false;
}

/* Whatever the filter says, the kernel serves the local APIC's own, and may serve its deadline. */
static bool is_kernels_msr(uint32_t msr)
{
    return msr == X86_MSR_TSC_DEADLINE ||
           (msr >= X86_MSR_X2APIC_FIRST && msr <= X86_MSR_X2APIC_LAST);
}

static bool is_trap(const struct ringside_catch *what)
{
    return what->kind == RINGSIDE_CATCH_TRAP ||
           (what->kind == RINGSIDE_CATCH_EXCEPTION && what->number == X86_EXC_BP);
}

static bool can_catch(const struct kvm_machine *machine, const struct ringside_catch *what)
{
    switch (what->kind) {
    case RINGSIDE_CATCH_PORT: return !is_kernels_port(what->number);
    case RINGSIDE_CATCH_MSR:
        return machine->features & KVM_CAN_FILTER && !is_kernels_msr(what->number);
    default: return machine->features & KVM_CAN_INT3 && is_trap(what);
    }
}

bool kvm_catches_traps(const struct kvm_machine *machine)
{
    for (size_t i = 0; i < machine->catch_count; i++)
        if (is_trap(&machine->catches[i]))
            return true;
    return false;
}

static int set(void *ctx, const struct ringside_catch *catches, size_t count)
{
    struct kvm_machine *machine = ctx;
    bool had_traps = kvm_catches_traps(machine);

    for (size_t i = 0; i < count; i++)
        if (!can_catch(machine, &catches[i]))
            return RINGSIDE_ENOTSUP;
    int error = kvm_msr_filter(machine, catches, count);
    if (error)
        return error;
    machine->catches = catches;
    __atomic_store_n(&machine->catch_count, count, __ATOMIC_RELEASE);
    if (had_traps != kvm_catches_traps(machine))
        kvm_debug_changed(machine);
    return RINGSIDE_OK;
}

const struct ringside_catch_ops kvm_catch_ops = {
    .set = set,
    .kinds = "msr N|all, port N|all (but the local APIC's MSRs, and the ports of the interrupt "
             "controllers and the timer); exception 3 and guest-int3 stop, where INT3 exits",
};

static bool is_wanted(const struct kvm_machine *machine, uint16_t port, unsigned size)
{
    for (size_t i = 0; i < machine->catch_count; i++) {
        const struct ringside_catch *what = &machine->catches[i];
        if (what->kind == RINGSIDE_CATCH_PORT &&
            (what->number == RINGSIDE_CATCH_ANY || what->number - port < size))
            return true;
    }
    return false;
}

void kvm_catch_port(struct kvm_vcpu *vcpu)
{
    struct kvm_machine *machine = vcpu->machine;
    const struct kvm_run *run = vcpu->run;
    struct ringside_exit caught = {
        .reason = RINGSIDE_EXIT_CATCH,
        .caught = {.kind = RINGSIDE_CATCH_PORT,
                   .number = run->io.port,
                   .in = run->io.direction == KVM_EXIT_IO_IN},
    };

    if (!__atomic_load_n(&machine->catch_count, __ATOMIC_ACQUIRE))
        return;
    memcpy(&caught.caught.value, (const uint8_t *)run + run->io.data_offset, run->io.size);
    pthread_mutex_lock(&machine->server_lock);
    if (is_wanted(machine, run->io.port, run->io.size)) {
        vcpu->owes = true;
        vcpu->owed = caught;
    }
    pthread_mutex_unlock(&machine->server_lock);
}
