/* What the kernel is told of debugging (KVM_SET_GUEST_DEBUG), and what KVM_EXIT_DEBUG means. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm.h"
#include "x86/regs.h"

/* --- What the kernel is told of debugging ----------------------------------------------------- */

/* DR7's length field (Intel SDM vol. 3, "Debug Control Register (DR7)"). */
static unsigned dr7_length(uint64_t length)
{
    return length == 8 ? 2 : (unsigned)length - 1;
}

static unsigned dr7_type(enum ringside_watch_kind kind)
{
    return kind == RINGSIDE_WATCH_EXEC ? 0 : kind == RINGSIDE_WATCH_WRITE ? 1 : 3;
}

/* A code breakpoint that the vCPU steps off. */
static bool is_passed(const struct kvm_vcpu *vcpu, const struct kvm_watch *watch)
{
    return vcpu->passing && watch->kind == RINGSIDE_WATCH_EXEC && watch->address == vcpu->passed;
}

static bool set_debug(struct kvm_vcpu *vcpu, bool single_step)
{
    const struct kvm_machine *machine = vcpu->machine;
    struct kvm_guest_debug debug = {.arch.debugreg = {[7] = X86_DR7_FIXED}};

    if (machine->pages.trap_pages)
        debug.control |= KVM_GUESTDBG_USE_SW_BP;
    for (unsigned i = 0; i < KVM_HW_SLOTS; i++) {
        const struct kvm_watch *watch = &machine->watch[i];
        if (!watch->used || (single_step && is_passed(vcpu, watch)))
            continue;
        unsigned field = dr7_type(watch->kind) | dr7_length(watch->length) << 2;
        debug.control |= KVM_GUESTDBG_USE_HW_BP;
        debug.arch.debugreg[i] = watch->address;
        debug.arch.debugreg[7] |= X86_DR7_GE | 2u << 2 * i | (uint64_t)field << (16 + 4 * i);
    }
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
    vcpu->stalls = 0;
    return !single_step || !(machine->features & KVM_STEPS_STALL) ||
           !ioctl(vcpu->fd, KVM_GET_REGS, &vcpu->before);
}

bool kvm_debug_apply(struct kvm_vcpu *vcpu)
{
    struct kvm_machine *machine = vcpu->machine;
    bool done = true;

    if (vcpu->watches == __atomic_load_n(&machine->watches_changed, __ATOMIC_ACQUIRE) &&
        vcpu->single_step == (vcpu->way != 0))
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

static bool is_ours(struct kvm_vcpu *vcpu, uint64_t linear)
{
    struct kvm_machine *machine = vcpu->machine;
    uint64_t gpa;

    pthread_mutex_lock(&machine->server_lock);
    bool ours = kvm_place_of(vcpu, linear, &gpa) && kvm_breakpoint_at(machine, gpa);
    pthread_mutex_unlock(&machine->server_lock);
    return ours;
}

static bool hardware_hit(struct kvm_vcpu *vcpu, uint64_t dr6, struct ringside_exit *exit)
{
    struct kvm_machine *machine = vcpu->machine;
    bool found = false;

    if (!(vcpu->debug & KVM_GUESTDBG_USE_HW_BP))
        return false;
    pthread_mutex_lock(&machine->server_lock);
    for (unsigned i = 0; i < KVM_HW_SLOTS && !found; i++) {
        const struct kvm_watch *watch = &machine->watch[i];
        if (!(dr6 >> i & 1) || !watch->used)
            continue;
        if (dr6 & X86_DR6_BS && watch->kind == RINGSIDE_WATCH_EXEC)
            continue; /* of the next instruction, which has not begun */
        exit->reason = RINGSIDE_EXIT_WATCH;
        exit->watch_kind = watch->kind;
        exit->watch_address = watch->address;
        found = true;
    }
    pthread_mutex_unlock(&machine->server_lock);
    return found;
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

static void step_is_over(struct kvm_vcpu *vcpu)
{
    struct kvm_machine *machine = vcpu->machine;

    pthread_mutex_lock(&machine->server_lock);
    kvm_end_single_step(vcpu);
    pthread_mutex_unlock(&machine->server_lock);
}

bool kvm_debug_exit(struct kvm_vcpu *vcpu, struct ringside_exit *exit)
{
    const struct kvm_debug_exit_arch *arch = &vcpu->run->debug.arch;
    uint64_t conditions = arch->dr6 & (X86_DR6_B | X86_DR6_BD | X86_DR6_BS | X86_DR6_BT);

    if (arch->exception == X86_EXC_BP) {
        exit->reason = RINGSIDE_EXIT_BREAKPOINT;
        if (is_ours(vcpu, arch->pc))
            return true;
        /* If it was ours at the entry it is gone; one that is still there is met again. */
        if (vcpu->removed == __atomic_load_n(&vcpu->machine->removed, __ATOMIC_ACQUIRE))
            kvm_queue_exception(vcpu, X86_EXC_BP, 0);
        return false;
    }
    if (has_stalled(vcpu, conditions))
        return false;
    bool stepping = vcpu->single_step;
    step_is_over(vcpu);
    if (hardware_hit(vcpu, conditions, exit))
        return true;
    if (stepping) {
        exit->reason = RINGSIDE_EXIT_DEBUG_EXCEPTION;
        exit->dr6 = conditions;
        if (conditions & X86_DR6_BS && vcpu->debug & KVM_GUESTDBG_USE_HW_BP)
            exit->dr6 &= ~(uint64_t)X86_DR6_B; /* of registers of ours */
        return true;
    }
    /* While ours are in force the guest's own registers are not: a hit was of one that is gone. */
    uint64_t own = conditions;
    if (vcpu->debug & KVM_GUESTDBG_USE_HW_BP)
        own &= ~(uint64_t)X86_DR6_B;
    if (own || !conditions)
        kvm_queue_exception(vcpu, X86_EXC_DB, own);
    return false;
}
