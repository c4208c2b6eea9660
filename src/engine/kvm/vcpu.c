/* A vCPU and its thread: in and out of the guest, asking the server before each entry. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "engine/kvm/kvm.h"

int kvm_vcpu_make(struct kvm_machine *machine, unsigned index)
{
    struct kvm_vcpu *vcpu = &machine->vcpu[index];

    vcpu->lifted = vcpu->declined = KVM_NOWHERE;
    vcpu->fd = ioctl(machine->vm_fd, KVM_CREATE_VCPU, index);
    if (vcpu->fd < 0)
        return -errno;
    void *run = mmap(NULL, machine->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
    if (run == MAP_FAILED)
        return -errno;
    vcpu->run = run;
    return kvm_cpuid_set(vcpu);
}

void kvm_vcpu_unmake(struct kvm_vcpu *vcpu)
{
    if (vcpu->run)
        munmap(vcpu->run, vcpu->machine->run_size);
    if (vcpu->fd >= 0)
        close(vcpu->fd);
}

/*
 * immediate_exit is set by whoever kicks, and cleared by the thread alone, before it asks the
 * server: a kick after that ends the next KVM_RUN at once, however late it begins; one that comes
 * while the guest runs ends it by the signal.  `inside` is set before KVM_RUN looks at the flag and
 * read after the flag was set: one of the two sees the other.  One that comes while the thread
 * serves an access ends the KVM_RUN that completes it.
 *
 * Nothing that a kick announces is overlooked: who kicks has changed first what the thread looks at
 * after it cleared the flag, and both are in one order for all.
 */
void kvm_vcpu_kick(struct kvm_vcpu *vcpu)
{
    if (!vcpu->run)
        return;
    __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    if (!vcpu->started || pthread_equal(vcpu->thread, pthread_self()))
        return;
    if (__atomic_load_n(&vcpu->inside, __ATOMIC_SEQ_CST))
        pthread_kill(vcpu->thread, KVM_KICK);
    kvm_leave_console(vcpu->machine);
}

/* --- Out of the guest ------------------------------------------------------------------------- */

static void tell(struct kvm_vcpu *vcpu, const struct ringside_exit *exit)
{
    if (vcpu->machine->server)
        ringside_vcpu_exit(vcpu->machine->server, vcpu->index, exit);
}

static bool is_debugged(const struct kvm_vcpu *vcpu)
{
    return vcpu->machine->server && ringside_attached(vcpu->machine->server);
}

/* A triple fault: the debugger is told if there is one, else the machine resets as a PC does. */
static void shut_down(struct kvm_vcpu *vcpu)
{
    vcpu->shut_down = true;
    if (is_debugged(vcpu))
        tell(vcpu, &(struct ringside_exit){.reason = RINGSIDE_EXIT_SHUTDOWN});
    else
        kvm_end(vcpu->machine, VM_RESET, 0);
}

/* The kernel cannot go on with this vCPU.  A debugger may look at it, and try again. */
static void fail(struct kvm_vcpu *vcpu, int error)
{
    struct kvm_machine *machine = vcpu->machine;
    char *text = kvm_report(vcpu, error);

    pthread_mutex_lock(&machine->devices);
    free(machine->trouble);
    machine->trouble = text;
    pthread_mutex_unlock(&machine->devices);
    if (is_debugged(vcpu)) {
        kvm_tell_tool(machine);
        tell(vcpu, &(struct ringside_exit){.reason = RINGSIDE_EXIT_ERROR});
    } else {
        kvm_end(machine, KVM_FAILED, 0);
    }
}

static void debug_exit(struct kvm_vcpu *vcpu)
{
    struct ringside_exit exit = {.reason = RINGSIDE_EXIT_OTHER};

    if (!kvm_debug_exit(vcpu, &exit))
        return;
    if (vcpu->unfiltered && exit.reason == RINGSIDE_EXIT_DEBUG_EXCEPTION) {
        exit.reason = RINGSIDE_EXIT_CATCH;
        exit.caught = vcpu->written;
    }
    tell(vcpu, &exit);
}

/* An instruction that needs a protected page, or one that this kernel never executes. */
static void decline(struct kvm_vcpu *vcpu, int error)
{
    struct kvm_machine *machine = vcpu->machine;
    const struct kvm_pages *pages = &machine->pages;

    /* The debugger may have left meanwhile, which takes the lock: then the pages are open, or will
     * be.  Without the lock it could be gone and its pages still be there. */
    pthread_mutex_lock(&machine->server_lock);
    bool changed = __atomic_load_n(&pages->idle, __ATOMIC_SEQ_CST) ||
                   vcpu->pages != __atomic_load_n(&pages->changes, __ATOMIC_SEQ_CST);
    bool debugged = is_debugged(vcpu);
    pthread_mutex_unlock(&machine->server_lock);
    if (changed)
        return;
    if (debugged && kvm_lift_declined(vcpu))
        tell(vcpu, &(struct ringside_exit){.reason = RINGSIDE_EXIT_DECLINED});
    else
        fail(vcpu, error);
}

static void internal_error(struct kvm_vcpu *vcpu)
{
    if (vcpu->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION)
        decline(vcpu, 0);
    else
        fail(vcpu, 0);
}

/* Of an instruction that is done now. */
static void tell_owed(struct kvm_vcpu *vcpu)
{
    vcpu->owes = false;
    if (vcpu->owed.reason == RINGSIDE_EXIT_DECLINED)
        kvm_msr_put_off(vcpu);
    tell(vcpu, &vcpu->owed);
}

static void no_exit(struct kvm_vcpu *vcpu, int error, bool completed)
{
    if (error == EINTR && vcpu->owes)
        tell_owed(vcpu);
    else if (error == EINTR || error == EAGAIN)
        tell(vcpu, &(struct ringside_exit){.reason = completed ? RINGSIDE_EXIT_EMULATED
                                                               : RINGSIDE_EXIT_OTHER});
    else if (error == EFAULT)
        decline(vcpu, error);
    else
        fail(vcpu, error);
}

/*
 * In a step, an access that was served ends its instruction and none is begun: the kernel itself
 * reports the step after some (IN), and goes on after others (a write to a device).
 */
static void enter_guest(struct kvm_vcpu *vcpu)
{
    bool completes = vcpu->unfinished && vcpu->way;

    kvm_state_forget(vcpu);
    vcpu->removed = __atomic_load_n(&vcpu->machine->removed, __ATOMIC_ACQUIRE);
    __atomic_store_n(&vcpu->entries, vcpu->entries + 1, __ATOMIC_RELAXED);
    vcpu->pages = __atomic_load_n(&vcpu->machine->pages.changes, __ATOMIC_SEQ_CST);
    if (!vcpu->way)
        vcpu->declined = KVM_NOWHERE; /* executed meanwhile; a step there again lifts no pages */
    if (vcpu->owes || completes)      /* nothing but the rest of the instruction that did it */
        __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    __atomic_store_n(&vcpu->inside, true, __ATOMIC_SEQ_CST);
    int result = ioctl(vcpu->fd, KVM_RUN, 0);
    __atomic_store_n(&vcpu->inside, false, __ATOMIC_SEQ_CST);

    vcpu->unfinished = false;
    if (result < 0) {
        no_exit(vcpu, errno, completes);
        return;
    }
    switch (vcpu->run->exit_reason) {
    case KVM_EXIT_IO:
        kvm_port_access(vcpu);
        vcpu->unfinished = true;
        break;
    case KVM_EXIT_MMIO:
        kvm_mmio_access(vcpu);
        vcpu->unfinished = true;
        break;
    case KVM_EXIT_X86_RDMSR:
    case KVM_EXIT_X86_WRMSR:
        kvm_msr_exit(vcpu);
        vcpu->unfinished = true;
        break;
    case KVM_EXIT_DEBUG:
        if (vcpu->owes)
            tell_owed(vcpu);
        else
            debug_exit(vcpu);
        break;
    case KVM_EXIT_SHUTDOWN: shut_down(vcpu); break;
    case KVM_EXIT_INTERNAL_ERROR: internal_error(vcpu); break;
    case KVM_EXIT_INTR:
    case KVM_EXIT_IRQ_WINDOW_OPEN: break;
    default: fail(vcpu, 0); break;
    }
}

/* --- Into the guest --------------------------------------------------------------------------- */

/* Until the server lets it go on, or the machine ends. */
static void park(struct kvm_vcpu *vcpu)
{
    struct kvm_machine *machine = vcpu->machine;

    kvm_port.lock(machine);
    kvm_port.wait(machine, vcpu->index);
    kvm_port.unlock(machine);
}

/* The guest has asked for it: what is behind that instruction is not executed any more. */
static bool has_ended(const struct kvm_machine *machine)
{
    return __atomic_load_n(&machine->ended, __ATOMIC_ACQUIRE);
}

static void sweep(struct kvm_machine *machine)
{
    if (!__atomic_load_n(&machine->pages.idle, __ATOMIC_SEQ_CST))
        return;
    pthread_mutex_lock(&machine->server_lock);
    kvm_pages_sweep(machine);
    pthread_mutex_unlock(&machine->server_lock);
}

/* Of a vCPU that sleeps and shall not run on by itself: then the server is asked again. */
static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000 * 1000}, NULL);
}

static bool may_enter(struct kvm_vcpu *vcpu)
{
    const struct kvm_machine *machine = vcpu->machine;

    __atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    vcpu->asleep = false;
    if (kvm_leaving(machine))
        return false;
    if (machine->server) {
        switch (ringside_vcpu_enter(machine->server, vcpu->index)) {
        case RINGSIDE_RUN: break;
        case RINGSIDE_PARK: park(vcpu); return false;
        case RINGSIDE_AGAIN: return false;
        }
    }
    if (vcpu->shut_down) {
        shut_down(vcpu);
        return false;
    }
    if (vcpu->asleep) {
        nap();
        return false;
    }
    sweep(vcpu->machine);
    if (kvm_debug_apply(vcpu))
        return true;
    fail(vcpu, errno);
    return false;
}

/* An access that was served is completed first: before that, the registers are not those between
 * two instructions. */
void *kvm_vcpu_thread(void *ctx)
{
    struct kvm_vcpu *vcpu = ctx;

    while (!kvm_leaving(vcpu->machine)) {
        if (has_ended(vcpu->machine))
            park(vcpu);
        else if (vcpu->unfinished || may_enter(vcpu))
            enter_guest(vcpu);
    }
    return NULL;
}
