/* Accesses of the guest to MSRs that the kernel hands to us: those that fault in a step. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <sys/ioctl.h>

#include "engine/kvm/kvm.h"
#include "x86/regs.h"

/*
 * A step by hardware intercepts #DB alone: a #GP would run its handler through, with our TF in the
 * frame.  Nobody but the kernel knows which accesses fault, so while a step is armed on any vCPU it
 * is asked to tell, of all of them.  It then waits to hear that they fault indeed, and queues #GP.
 */

static bool steps(const struct kvm_machine *machine)
{
    for (unsigned i = 0; i < machine->config.vm.cpus; i++)
        if (machine->vcpu[i].way)
            return true;
    return false;
}

void kvm_msr_tell_faults(struct kvm_machine *machine)
{
    unsigned reasons = steps(machine) ? KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN : 0;
    struct kvm_enable_cap ask = {.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = {reasons}};

    if (machine->features & KVM_TELLS_FAULTS && reasons != machine->msr_exits &&
        !ioctl(machine->vm_fd, KVM_ENABLE_CAP, &ask))
        machine->msr_exits = reasons;
}

/* With the step's end the server delivers the #GP; the kernel's is dropped with the registers that
 * are written then. */
void kvm_msr_exit(struct kvm_vcpu *vcpu)
{
    vcpu->run->msr.error = 1;
    vcpu->owes = vcpu->way != 0;
    vcpu->owed = (struct ringside_exit){
        .reason = RINGSIDE_EXIT_EXCEPTION, .vector = X86_EXC_GP, .has_error = true};
}
