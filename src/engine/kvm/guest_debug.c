/* What the kernel is told of debugging (KVM_SET_GUEST_DEBUG), and what KVM_EXIT_DEBUG means. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm.h"
#include "x86/regs.h"

/* --- What the kernel is told of debugging ----------------------------------------------------- */

static bool set_debug(struct kvm_vcpu *vcpu, bool single_step)
{
    const struct kvm_machine *machine = vcpu->machine;
    struct kvm_guest_debug debug = {.control = 0};

    if (machine->pages.trap_pages) /* INT1 comes as #DB does, by the flag of the registers */
        debug.control |=
            machine->trap_byte == KVM_INT1 ? KVM_GUESTDBG_USE_HW_BP : KVM_GUESTDBG_USE_SW_BP;
    if (kvm_catches_traps(machine))
        debug.control |= KVM_GUESTDBG_USE_SW_BP | KVM_GUESTDBG_USE_HW_BP;
    if (vcpu->single_step && machine->features & KVM_STEPS_STALL) {
        debug.control |= KVM_GUESTDBG_USE_HW_BP; /* a stray #DB comes to us */
        vcpu->stray = vcpu->entries + 1;
    }
    kvm_dr_fill(vcpu, &debug, single_step);
    if (single_step)
        debug.control |= KVM_GUESTDBG_SINGLESTEP;
    if (single_step && vcpu->hold && machine->features & KVM_CAN_BLOCKIRQ)
        debug.control |= KVM_GUESTDBG_BLOCKIRQ;
    if (debug.control)
        debug.control |= KVM_GUESTDBG_ENABLE;
    kvm_state_forget(vcpu); /* RFLAGS.TF */
    if (ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug))
        return false;
    vcpu->debug = debug.control;
    vcpu->single_step = single_step;
    vcpu->watches = machine->watches_changed;
    vcpu->own_changed = false;
    vcpu->stalls = 0;
    return !single_step || !(machine->features & KVM_STEPS_STALL) ||
           !ioctl(vcpu->fd, KVM_GET_REGS, &vcpu->before);
}

/* Has the guest other debug registers than those that are in force for it? */
static bool needs_sharing(const struct kvm_vcpu *vcpu)
{
    return vcpu->own_changed && vcpu->debug & KVM_GUESTDBG_USE_HW_BP;
}

bool kvm_debug_apply(struct kvm_vcpu *vcpu)
{
    struct kvm_machine *machine = vcpu->machine;
    bool done = true;

    if (vcpu->watches == __atomic_load_n(&machine->watches_changed, __ATOMIC_ACQUIRE) &&
        vcpu->single_step == (vcpu->way != 0) && !needs_sharing(vcpu))
        return true;
    pthread_mutex_lock(&machine->server_lock);
    done = set_debug(vcpu, vcpu->way != 0);
    pthread_mutex_unlock(&machine->server_lock);
    return done;
}

/* The kernel hides RFLAGS.TF while it steps, and takes it away when it stops: before the registers
 * are written, not after. */
void kvm_end_single_step(struct kvm_vcpu *vcpu)
{
    if (vcpu->single_step)
        set_debug(vcpu, false);
}

bool kvm_place_of(const struct kvm_vcpu *vcpu, uint64_t linear, uint64_t *gpa)
{
    struct kvm_translation translation = {.linear_address = linear};

    if (ioctl(vcpu->fd, KVM_TRANSLATE, &translation) || !translation.valid)
        return false;
    *gpa = translation.physical_address;
    return true;
}

/* Those that run hear of it at their next entry: let that be now. */
void kvm_debug_changed(struct kvm_machine *machine)
{
    __atomic_add_fetch(&machine->watches_changed, 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < machine->config.vm.cpus; i++)
        kvm_vcpu_kick(&machine->vcpu[i]);
}

/* --- What KVM_EXIT_DEBUG means ---------------------------------------------------------------- */

static bool is_ours(const struct kvm_vcpu *vcpu, uint64_t linear)
{
    uint64_t gpa;

    return kvm_place_of(vcpu, linear, &gpa) && kvm_breakpoint_at(vcpu->machine, gpa);
}

/*
 * Bochs's model of an Intel processor traps once more for each page that EPT does not map yet.  An
 * instruction that changes nothing, such as a jump to itself, does so however often it runs.
 */
static bool has_stalled(struct kvm_vcpu *vcpu, uint64_t conditions)
{
    struct kvm_regs now;

    if (!(conditions & X86_DR6_BS) || !vcpu->single_step ||
        !(vcpu->machine->features & KVM_STEPS_STALL) || vcpu->stalls++ == KVM_STALLS_MAX ||
        ioctl(vcpu->fd, KVM_GET_REGS, &now))
        return false;
    now.rflags = vcpu->before.rflags; /* RF goes */
    return memcmp(&now, &vcpu->before, sizeof now) == 0;
}

/* Such a trap may even come when the step is over, for the page of the next instruction. */
static bool is_stray(const struct kvm_vcpu *vcpu, uint64_t conditions)
{
    struct kvm_regs now;

    return conditions & X86_DR6_BS && !vcpu->single_step && vcpu->stray == vcpu->entries &&
           !ioctl(vcpu->fd, KVM_GET_REGS, &now) && !(now.rflags & X86_FLAG_TF);
}

/* The kernel leaves RF to the processor, of which not every model sets it. */
static void give_to_guest(struct kvm_vcpu *vcpu, uint64_t dr6, bool is_fault)
{
    struct kvm_regs regs;

    if (is_fault && !ioctl(vcpu->fd, KVM_GET_REGS, &regs)) {
        regs.rflags |= X86_FLAG_RF;
        ioctl(vcpu->fd, KVM_SET_REGS, &regs);
    }
    kvm_queue_exception(vcpu, X86_EXC_DB, dr6);
}

static bool int3_exit(struct kvm_vcpu *vcpu, struct ringside_exit *exit)
{
    exit->reason = RINGSIDE_EXIT_BREAKPOINT;
    if (is_ours(vcpu, vcpu->run->debug.arch.pc))
        return true;
    /* If it was ours at the entry it is gone; one that is still there is met again. */
    if (vcpu->removed != __atomic_load_n(&vcpu->machine->removed, __ATOMIC_ACQUIRE))
        return false;
    exit->reason = RINGSIDE_EXIT_DECLINED; /* which the server executes, and catches */
    if (kvm_catches_traps(vcpu->machine))
        return true;
    kvm_queue_exception(vcpu, X86_EXC_BP, 0);
    return false;
}

/* One of our registers was met; the instruction has run, but for a code breakpoint. */
static bool watch_exit(struct kvm_vcpu *vcpu, const struct kvm_dr_met *met, uint64_t own,
                       bool stepping, struct ringside_exit *exit)
{
    exit->reason = RINGSIDE_EXIT_WATCH;
    exit->watch_kind = met->ours->kind;
    exit->watch_address = met->ours->address;
    if (stepping)
        own &= X86_DR6_B; /* the guest's trap flag is the step's business */
    if (own && met->ours->kind != RINGSIDE_WATCH_EXEC)
        give_to_guest(vcpu, own, false);
    return true;
}

static bool db_exit(struct kvm_vcpu *vcpu, uint64_t conditions, struct ringside_exit *exit)
{
    bool stepping = vcpu->single_step;
    const struct kvm_dr_met met = kvm_dr_met(vcpu, conditions);
    uint64_t own = met.theirs | (conditions & (X86_DR6_BS | X86_DR6_BT));

    if (met.detects)
        own |= conditions & X86_DR6_BD;
    kvm_end_single_step(vcpu);
    if (met.ours)
        return watch_exit(vcpu, &met, own, stepping, exit);
    if (stepping && own) {
        exit->reason = RINGSIDE_EXIT_DEBUG_EXCEPTION;
        exit->dr6 = own;
        return true;
    }
    if (own) {
        give_to_guest(vcpu, own, met.is_fault);
        return false;
    }
    if (!conditions && vcpu->machine->trap_byte == KVM_INT1 &&
        is_ours(vcpu, vcpu->run->debug.arch.pc)) {
        exit->reason = RINGSIDE_EXIT_BREAKPOINT;
        return true;
    }
    /* A MOV DR that we intercept, or the guest's INT1, which is not skipped for us. */
    exit->reason = RINGSIDE_EXIT_DECLINED;
    return conditions & X86_DR6_BD || !conditions;
}

bool kvm_debug_exit(struct kvm_vcpu *vcpu, struct ringside_exit *exit)
{
    struct kvm_machine *machine = vcpu->machine;
    const struct kvm_debug_exit_arch *arch = &vcpu->run->debug.arch;
    uint64_t conditions = arch->dr6 & (X86_DR6_B | X86_DR6_BD | X86_DR6_BS | X86_DR6_BT);

    if (arch->exception != X86_EXC_BP &&
        (has_stalled(vcpu, conditions) || is_stray(vcpu, conditions)))
        return false;
    pthread_mutex_lock(&machine->server_lock);
    bool told =
        arch->exception == X86_EXC_BP ? int3_exit(vcpu, exit) : db_exit(vcpu, conditions, exit);
    pthread_mutex_unlock(&machine->server_lock);
    return told;
}
