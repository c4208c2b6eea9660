/* What keeps a vCPU from executing one instruction, out of its way while hardware steps it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/kvm/kvm.h"
#include "x86/segment.h"

/*
 * The server sees to it that the other vCPUs are parked meanwhile, as for any breakpoint that a
 * step goes off from: there, and where the kernel has declined.
 */
enum { INSN_MAX = 15 };

static bool is_barred(const struct kvm_vcpu *vcpu, uint64_t linear, uint64_t *page_gpa)
{
    const struct kvm_page *page = NULL;

    if (kvm_place_of(vcpu, linear, page_gpa))
        page = kvm_page_at(vcpu->machine, *page_gpa);
    *page_gpa &= ~(uint64_t)(KVM_PAGE_SIZE - 1);
    return page && page->protection == KVM_NO_ACCESS;
}

/* Is the code at linear kept from the guest?  Notes its pages. */
static bool is_code_barred(const struct kvm_vcpu *vcpu, uint64_t linear)
{
    uint64_t *pages = vcpu->machine->pages.lifted;
    bool first = is_barred(vcpu, linear, &pages[0]);

    return is_barred(vcpu, linear + INSN_MAX - 1, &pages[1]) || first;
}

/*
 * The code is tried first, as a page or two are quickly done.  With that out of the way, or where
 * it never was in it, it is an access: of some page, nobody says which.
 */
bool kvm_lift_declined(struct kvm_vcpu *vcpu)
{
    struct kvm_machine *machine = vcpu->machine;
    struct ringside_regs regs;

    pthread_mutex_lock(&machine->server_lock);
    enum kvm_lift had = machine->pages.lift;
    bool known = had != KVM_LIFT_ALL && !kvm_regs_read(vcpu, &regs);
    if (known) {
        vcpu->declined = x86_linear_rip(&regs);
        vcpu->writes = false;
        vcpu->needs = had == KVM_LIFT_NOTHING && is_code_barred(vcpu, vcpu->declined)
                          ? KVM_LIFT_CODE
                          : KVM_LIFT_ALL;
    }
    pthread_mutex_unlock(&machine->server_lock);
    return known;
}

static void lift(struct kvm_vcpu *vcpu, enum kvm_lift what)
{
    vcpu->lifts = true;
    kvm_pages_lift(vcpu->machine, what);
}

static void lift_breakpoint(struct kvm_vcpu *vcpu, uint64_t linear)
{
    struct kvm_machine *machine = vcpu->machine;
    uint64_t gpa;

    if (!kvm_place_of(vcpu, linear, &gpa) || !kvm_breakpoint_at(machine, gpa))
        return;
    kvm_breakpoint_lift(machine, gpa, true);
    vcpu->lifted = gpa;
    if (vcpu->declined != linear && is_code_barred(vcpu, linear))
        lift(vcpu, KVM_LIFT_CODE);
}

int kvm_lift(struct kvm_vcpu *vcpu)
{
    struct ringside_regs regs;
    int error = kvm_regs_read(vcpu, &regs);

    if (error)
        return error;
    uint64_t linear = x86_linear_rip(&regs);
    if (vcpu->declined == linear) {
        if (vcpu->needs == KVM_LIFT_CODE)
            is_code_barred(vcpu, linear);
        if (vcpu->needs != KVM_LIFT_NOTHING)
            lift(vcpu, vcpu->needs);
    }
    lift_breakpoint(vcpu, linear);
    if (vcpu->declined == linear && kvm_msr_is_put_off(vcpu, &regs))
        kvm_msr_let_through(vcpu, true);
    vcpu->passing = true;
    vcpu->passed = linear;
    return RINGSIDE_OK;
}

void kvm_unlift(struct kvm_vcpu *vcpu)
{
    struct kvm_machine *machine = vcpu->machine;

    if (vcpu->lifted != KVM_NOWHERE)
        kvm_breakpoint_lift(machine, vcpu->lifted, false);
    if (vcpu->unfiltered)
        kvm_msr_let_through(vcpu, false);
    vcpu->lifted = KVM_NOWHERE;
    vcpu->passing = false;
    if (!vcpu->lifts)
        return;
    kvm_pages_lift(machine, KVM_LIFT_NOTHING);
    vcpu->lifts = false;
}
