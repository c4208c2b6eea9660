/* Taking an interrupt for a vCPU that steps: the kernel acknowledges it, and the server delivers
 * it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm.h"
#include "x86/regs.h"

static void nothing(int signal)
{
    (void)signal;
}

/*
 * The kernel's interrupt controllers acknowledge at an entry only, which would run the handler. But
 * an entry is called off at its last moment if a signal is pending by then; what was acknowledged
 * for it is under way from then on.  So a signal is pending before KVM_RUN begins, blocked until it
 * has: immediate_exit would come too early.
 */
bool kvm_run_called_off(int cpu_fd)
{
    struct {
        struct kvm_signal_mask head;
        uint64_t set;
    } inside = {.head.len = sizeof(uint64_t)};
    sigset_t look, before;
    int result, error;

    sigaction(KVM_LOOK, &(struct sigaction){.sa_handler = nothing},
              NULL); /* should it get through */
    sigemptyset(&look);
    sigaddset(&look, KVM_LOOK);
    pthread_sigmask(SIG_BLOCK, &look, &before);
    memcpy(inside.head.sigset, &before, sizeof inside.set); /* in which it is not blocked */
    pthread_kill(pthread_self(), KVM_LOOK);
    if (ioctl(cpu_fd, KVM_SET_SIGNAL_MASK, &inside)) {
        result = 0;
    } else {
        result = ioctl(cpu_fd, KVM_RUN, 0);
        error = errno;
        ioctl(cpu_fd, KVM_SET_SIGNAL_MASK, NULL);
    }
    sigtimedwait(&look, NULL, &(struct timespec){0});
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result < 0 && error == EINTR;
}

static bool sleeps(const struct kvm_vcpu *vcpu)
{
    struct kvm_mp_state mp;

    return !ioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) && mp.mp_state != KVM_MP_STATE_RUNNABLE;
}

static int acknowledged(const struct kvm_vcpu *vcpu)
{
    struct kvm_vcpu_events events;
    int taken = -1;

    if (ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events))
        return -1;
    if (events.nmi.injected)
        taken = RINGSIDE_TAKEN_NMI;
    else if (events.interrupt.injected)
        taken = events.interrupt.nr;
    events.nmi.injected = events.interrupt.injected = 0;
    events.flags &= KVM_VCPUEVENT_VALID_SHADOW;
    if (taken >= 0 && ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events))
        return -1;
    return taken;
}

/* The kernel shall not be asked for what the vCPU cannot take: it would have the processor tell
 * when it can. */
static bool can_take(struct kvm_vcpu *vcpu)
{
    const struct kvm_state *state = kvm_state_read(vcpu);

    return state && (state->mp.mp_state != KVM_MP_STATE_RUNNABLE || state->events.nmi.pending ||
                     (state->regs.rflags & X86_FLAG_IF && !state->events.interrupt.shadow));
}

/* One that sleeps has to be woken before it takes something: once more, as soon as it is.  A kick
 * that is on its way is kept for the entry. */
int kvm_take_interrupt(struct kvm_vcpu *vcpu)
{
    bool slept = sleeps(vcpu), asleep = slept;
    int taken = -1;

    vcpu->asleep = slept;
    if (!(vcpu->machine->features & KVM_CAN_CALL_OFF) || !can_take(vcpu))
        return -1;
    uint8_t kicked = __atomic_exchange_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
    do {
        slept = asleep;
        if (!kvm_run_called_off(vcpu->fd))
            break;
        taken = acknowledged(vcpu);
        asleep = sleeps(vcpu);
    } while (taken < 0 && slept && !asleep);
    if (kicked)
        __atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
    kvm_state_forget(vcpu);
    vcpu->asleep = slept && taken < 0;
    return taken;
}
