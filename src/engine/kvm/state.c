/* A vCPU's state in the kernel's structures: read once a stop, written where it differs. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm.h"
#include "x86/regs.h"

/*
 * Reading it all takes seven ioctls, and a step asks for it several times.  Only the vCPU's own
 * entries change it; what others do to it (INIT, SIPI, an NMI) the kernel notes beside it and lets
 * happen at the next entry, or when the activity is read: that is read first.
 */
static bool read_all(struct kvm_vcpu *vcpu, struct kvm_state *state)
{
    const struct kvm_machine *machine = vcpu->machine;
    int fd = vcpu->fd;

    memset(state, 0, sizeof *state);
    state->msrs.head.nmsrs = machine->msr_count;
    for (unsigned i = 0; i < machine->msr_count; i++)
        state->msrs.entry[i].index = machine->msrs[i];
    return !ioctl(fd, KVM_GET_MP_STATE, &state->mp) && !ioctl(fd, KVM_GET_REGS, &state->regs) &&
           !ioctl(fd, KVM_GET_SREGS, &state->sregs) &&
           !ioctl(fd, KVM_GET_DEBUGREGS, &state->debug) && !ioctl(fd, KVM_GET_XCRS, &state->xcrs) &&
           !ioctl(fd, KVM_GET_VCPU_EVENTS, &state->events) &&
           ioctl(fd, KVM_GET_MSRS, &state->msrs) == (int)machine->msr_count;
}

const struct kvm_state *kvm_state_read(struct kvm_vcpu *vcpu)
{
    if (!vcpu->state_known)
        vcpu->state_known = read_all(vcpu, &vcpu->state);
    return vcpu->state_known ? &vcpu->state : NULL;
}

void kvm_state_forget(struct kvm_vcpu *vcpu)
{
    vcpu->state_known = vcpu->fpu_known = false;
}

static bool write_msrs(struct kvm_vcpu *vcpu, const struct kvm_state *old,
                       const struct kvm_state *new)
{
    for (unsigned i = 0; i < new->msrs.head.nmsrs; i++)
        if (old->msrs.entry[i].data != new->msrs.entry[i].data &&
            kvm_msr_write(vcpu, new->msrs.entry[i].index, new->msrs.entry[i].data))
            return false;
    return true;
}

#define DIFFERS(member) (memcmp(&old.member, &new->member, sizeof old.member) != 0)

/* With the general registers the kernel forgets an exception that is on its way: events come after
 * them.  What came meanwhile (an NMI, SIPI) stays: it is not valid in what is written. */
static bool write_events(struct kvm_vcpu *vcpu, const struct kvm_vcpu_events *events)
{
    struct kvm_vcpu_events ours = *events;

    ours.flags &= KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_PAYLOAD;
    return !ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &ours);
}

int kvm_state_write(struct kvm_vcpu *vcpu, const struct kvm_state *new)
{
    int fd = vcpu->fd;
    const struct kvm_state old = vcpu->state;
    bool regs = DIFFERS(regs), exception = old.events.exception.pending;

    vcpu->own_changed |= DIFFERS(debug);
    /* What the kernel takes as it is written is known from here on. */
    vcpu->state.regs = new->regs;
    vcpu->state.regs.rflags |= X86_FLAGS_FIXED;
    if (DIFFERS(sregs) || DIFFERS(xcrs) || DIFFERS(debug) || DIFFERS(msrs) || DIFFERS(events) ||
        DIFFERS(mp) || exception)
        kvm_state_forget(vcpu);
    if ((DIFFERS(sregs) && ioctl(fd, KVM_SET_SREGS, &new->sregs)) ||
        (DIFFERS(xcrs) && ioctl(fd, KVM_SET_XCRS, &new->xcrs)) ||
        (DIFFERS(debug) && ioctl(fd, KVM_SET_DEBUGREGS, &new->debug)) ||
        !write_msrs(vcpu, &old, new) || (regs && ioctl(fd, KVM_SET_REGS, &new->regs)) ||
        ((DIFFERS(events) || (regs && exception)) && !write_events(vcpu, &new->events)) ||
        (DIFFERS(mp) && ioctl(fd, KVM_SET_MP_STATE, &new->mp))) {
        kvm_state_forget(vcpu);
        return RINGSIDE_EINVAL;
    }
    return RINGSIDE_OK;
}
