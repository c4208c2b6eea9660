/* The four debug registers: the debugger's come first, the guest's own get those that are left. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm.h"
#include "x86/regs.h"

/* DR7's fields for a register (Intel SDM vol. 3, "Debug Control Register (DR7)"). */
static unsigned type_field(enum ringside_watch_kind kind)
{
    return kind == RINGSIDE_WATCH_EXEC ? 0 : kind == RINGSIDE_WATCH_WRITE ? 1 : 3;
}

static unsigned length_field(uint64_t length)
{
    return length == 8 ? 2 : (unsigned)length - 1;
}

static bool is_enabled(uint64_t dr7, unsigned number)
{
    return dr7 >> 2 * number & 3;
}

static unsigned fields_of(uint64_t dr7, unsigned number)
{
    return dr7 >> (16 + 4 * number) & 0xf;
}

static void enable(struct kvm_guest_debug *debug, unsigned number, uint64_t address,
                   unsigned fields)
{
    debug->control |= KVM_GUESTDBG_USE_HW_BP;
    debug->arch.debugreg[number] = address;
    debug->arch.debugreg[7] |=
        X86_DR7_GE | 2u << 2 * number | (uint64_t)fields << (16 + 4 * number);
}

/* A code breakpoint that the vCPU steps off. */
static bool is_passed(const struct kvm_vcpu *vcpu, const struct kvm_watch *watch)
{
    return vcpu->passing && watch->kind == RINGSIDE_WATCH_EXEC && watch->address == vcpu->passed;
}

/* The guest's own, for which the kernel is asked if it has not been. */
static bool read_own(struct kvm_vcpu *vcpu, struct kvm_debugregs *own)
{
    if (!vcpu->state_known)
        return !ioctl(vcpu->fd, KVM_GET_DEBUGREGS, own);
    *own = vcpu->state.debug;
    return true;
}

static void share(struct kvm_vcpu *vcpu, struct kvm_guest_debug *debug)
{
    struct kvm_debugregs own;
    unsigned i = 0;

    if (!read_own(vcpu, &own))
        return;
    for (unsigned number = 0; number < KVM_HW_SLOTS; number++) {
        if (!is_enabled(own.dr7, number))
            continue;
        while (i < KVM_HW_SLOTS && vcpu->dr[i].of != KVM_DR_FREE)
            i++;
        if (i == KVM_HW_SLOTS)
            return;
        vcpu->dr[i] = (struct kvm_dr){.of = KVM_DR_GUEST, .number = number};
        enable(debug, i, own.db[number], fields_of(own.dr7, number));
    }
}

/* With KVM_GUESTDBG_USE_HW_BP the guest keeps what it wrote, and none of it is in force. */
void kvm_dr_fill(struct kvm_vcpu *vcpu, struct kvm_guest_debug *debug, bool single_step)
{
    const struct kvm_machine *machine = vcpu->machine;

    memset(vcpu->dr, 0, sizeof vcpu->dr);
    debug->arch.debugreg[7] = X86_DR7_FIXED;
    for (unsigned i = 0; i < KVM_HW_SLOTS; i++) {
        const struct kvm_watch *watch = &machine->watch[i];
        if (!watch->used || (single_step && is_passed(vcpu, watch)))
            continue;
        vcpu->dr[i] = (struct kvm_dr){.of = KVM_DR_OURS, .watch = *watch};
        enable(debug, i, watch->address,
               type_field(watch->kind) | length_field(watch->length) << 2);
    }
    if (!(debug->control & KVM_GUESTDBG_USE_HW_BP))
        return;
    share(vcpu, debug);
    if (!single_step)
        debug->arch.debugreg[7] |= X86_DR7_GD; /* to hear of it when the guest changes its own */
}

/* A code breakpoint met with the end of a step is of the next instruction, which has not begun. */
static bool is_met(const struct kvm_vcpu *vcpu, unsigned i, uint64_t dr6)
{
    const struct kvm_watch *was = &vcpu->dr[i].watch, *watch = &vcpu->machine->watch[i];

    if (!(dr6 >> i & 1) || vcpu->dr[i].of != KVM_DR_OURS ||
        (dr6 & X86_DR6_BS && was->kind == RINGSIDE_WATCH_EXEC))
        return false;
    return watch->used && watch->kind == was->kind && watch->address == was->address &&
           watch->length == was->length; /* it is still set */
}

/* Bits of registers that are not enabled mean nothing. */
static uint64_t met_by_guest(const struct kvm_vcpu *vcpu, uint64_t dr6, uint64_t dr7)
{
    uint64_t met = 0;

    for (unsigned i = 0; i < KVM_HW_SLOTS; i++) {
        if (!(dr6 >> i & 1))
            continue;
        if (vcpu->debug & KVM_GUESTDBG_USE_HW_BP)
            met |= vcpu->dr[i].of == KVM_DR_GUEST ? 1u << vcpu->dr[i].number : 0;
        else
            met |= is_enabled(dr7, i) ? 1u << i : 0;
    }
    return met;
}

struct kvm_dr_met kvm_dr_met(struct kvm_vcpu *vcpu, uint64_t dr6)
{
    struct kvm_dr_met met = {.ours = NULL};
    struct kvm_debugregs own = {.dr7 = 0};

    if (!vcpu->single_step) /* whose end would make it void; else the server reads it next */
        kvm_state_read(vcpu);
    read_own(vcpu, &own);
    met.detects = own.dr7 & X86_DR7_GD;
    met.theirs = met_by_guest(vcpu, dr6, own.dr7);
    for (unsigned number = 0; number < KVM_HW_SLOTS; number++)
        if (met.theirs >> number & 1 && (fields_of(own.dr7, number) & 3) == 0)
            met.is_fault = true;
    for (unsigned i = 0; i < KVM_HW_SLOTS && !met.ours; i++)
        if (is_met(vcpu, i, dr6))
            met.ours = &vcpu->machine->watch[i];
    return met;
}
