/* A vCPU's registers: between struct ringside_regs and the kernel's structures. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm.h"
#include "x86/regs.h"

/* --- General and segment registers ----------------------------------------------------------- */

/* In the order of enum ringside_gpr. */
static const size_t gprs[16] = {
    offsetof(struct kvm_regs, rax), offsetof(struct kvm_regs, rcx), offsetof(struct kvm_regs, rdx),
    offsetof(struct kvm_regs, rbx), offsetof(struct kvm_regs, rsp), offsetof(struct kvm_regs, rbp),
    offsetof(struct kvm_regs, rsi), offsetof(struct kvm_regs, rdi), offsetof(struct kvm_regs, r8),
    offsetof(struct kvm_regs, r9),  offsetof(struct kvm_regs, r10), offsetof(struct kvm_regs, r11),
    offsetof(struct kvm_regs, r12), offsetof(struct kvm_regs, r13), offsetof(struct kvm_regs, r14),
    offsetof(struct kvm_regs, r15),
};

/* In the order of enum ringside_seg. */
static const size_t segments[6] = {
    offsetof(struct kvm_sregs, es), offsetof(struct kvm_sregs, cs), offsetof(struct kvm_sregs, ss),
    offsetof(struct kvm_sregs, ds), offsetof(struct kvm_sregs, fs), offsetof(struct kvm_sregs, gs),
};

static struct ringside_segment segment_from(const struct kvm_segment *in)
{
    unsigned access = in->type | (unsigned)in->s << 4 | (unsigned)in->dpl << X86_SEG_DPL_SHIFT |
                      (in->avl ? X86_SEG_AVL : 0) | (in->l ? X86_SEG_L : 0) |
                      (in->db ? X86_SEG_DB : 0) | (in->g ? X86_SEG_G : 0);

    if (in->present && !in->unusable)
        access |= X86_SEG_P;
    return (struct ringside_segment){in->base, in->limit, in->selector, (uint16_t)access};
}

static struct kvm_segment segment_to(const struct ringside_segment *in)
{
    bool present = in->access & X86_SEG_P;

    return (struct kvm_segment){
        .base = in->base,
        .limit = in->limit,
        .selector = in->selector,
        .type = in->access & X86_SEG_TYPE,
        .present = present,
        .dpl = in->access >> X86_SEG_DPL_SHIFT & 3,
        .db = (in->access & X86_SEG_DB) != 0,
        .s = (in->access & X86_SEG_S) != 0,
        .l = (in->access & X86_SEG_L) != 0,
        .g = (in->access & X86_SEG_G) != 0,
        .avl = (in->access & X86_SEG_AVL) != 0,
        .unusable = !present,
    };
}

static struct ringside_table table_from(const struct kvm_dtable *in)
{
    return (struct ringside_table){in->base, in->limit};
}

static void sregs_from(const struct kvm_sregs *in, struct ringside_regs *out)
{
    for (unsigned i = 0; i < 6; i++)
        out->seg[i] = segment_from(
            (const struct kvm_segment *)(const void *)((const char *)in + segments[i]));
    out->ldtr = segment_from(&in->ldt);
    out->tr = segment_from(&in->tr);
    out->gdtr = table_from(&in->gdt);
    out->idtr = table_from(&in->idt);
    out->cr0 = in->cr0;
    out->cr2 = in->cr2;
    out->cr3 = in->cr3;
    out->cr4 = in->cr4;
    out->cr8 = in->cr8;
    out->efer = in->efer;
    out->apic_base = in->apic_base;
}

static void sregs_to(const struct ringside_regs *in, struct kvm_sregs *out)
{
    for (unsigned i = 0; i < 6; i++)
        *(struct kvm_segment *)(void *)((char *)out + segments[i]) = segment_to(&in->seg[i]);
    out->ldt = segment_to(&in->ldtr);
    out->tr = segment_to(&in->tr);
    out->gdt = (struct kvm_dtable){.base = in->gdtr.base, .limit = in->gdtr.limit};
    out->idt = (struct kvm_dtable){.base = in->idtr.base, .limit = in->idtr.limit};
    out->cr0 = in->cr0;
    out->cr2 = in->cr2;
    out->cr3 = in->cr3;
    out->cr4 = in->cr4;
    out->cr8 = in->cr8;
    out->efer = in->efer;
    out->apic_base = in->apic_base;
}

/* --- Model-specific registers ---------------------------------------------------------------- */

static const struct {
    uint32_t msr;
    size_t offset;
} msrs[] = {
    {X86_MSR_STAR, offsetof(struct ringside_regs, star)},
    {X86_MSR_LSTAR, offsetof(struct ringside_regs, lstar)},
    {X86_MSR_CSTAR, offsetof(struct ringside_regs, cstar)},
    {X86_MSR_SFMASK, offsetof(struct ringside_regs, sfmask)},
    {X86_MSR_KERNEL_GS_BASE, offsetof(struct ringside_regs, kernel_gs_base)},
    {X86_MSR_SYSENTER_CS, offsetof(struct ringside_regs, sysenter_cs)},
    {X86_MSR_SYSENTER_ESP, offsetof(struct ringside_regs, sysenter_esp)},
    {X86_MSR_SYSENTER_EIP, offsetof(struct ringside_regs, sysenter_eip)},
    {X86_MSR_PAT, offsetof(struct ringside_regs, pat)},
    {X86_MSR_TSC_AUX, offsetof(struct ringside_regs, tsc_aux)},
    {X86_MSR_DEBUGCTL, offsetof(struct ringside_regs, debugctl)},
    {X86_MSR_MISC_ENABLE, offsetof(struct ringside_regs, misc_enable)},
    {X86_MSR_XSS, offsetof(struct ringside_regs, xss)},
};
enum { MSRS = sizeof msrs / sizeof msrs[0] };
_Static_assert(sizeof msrs / sizeof msrs[0] <= KVM_MSRS_MAX, "they must fit into struct kvm_state");

static uint64_t *msr_place(struct ringside_regs *regs, uint32_t msr)
{
    for (unsigned i = 0; i < MSRS; i++)
        if (msrs[i].msr == msr)
            return (uint64_t *)(void *)((char *)regs + msrs[i].offset);
    return NULL;
}

struct one_msr {
    struct kvm_msrs head;
    struct kvm_msr_entry entry;
};

int kvm_msr_read(struct kvm_vcpu *vcpu, uint32_t msr, uint64_t *out)
{
    struct one_msr one = {.head.nmsrs = 1, .entry.index = msr};

    if (ioctl(vcpu->fd, KVM_GET_MSRS, &one) != 1)
        return RINGSIDE_EINVAL;
    *out = one.entry.data;
    return RINGSIDE_OK;
}

int kvm_msr_write(struct kvm_vcpu *vcpu, uint32_t msr, uint64_t in)
{
    struct one_msr one = {.head.nmsrs = 1, .entry = {.index = msr, .data = in}};

    kvm_state_forget(vcpu);
    return ioctl(vcpu->fd, KVM_SET_MSRS, &one) == 1 ? RINGSIDE_OK : RINGSIDE_EINVAL;
}

void kvm_find_msrs(struct kvm_machine *machine)
{
    uint64_t unused;

    machine->msr_count = 0;
    for (unsigned i = 0; i < MSRS; i++)
        if (!kvm_msr_read(&machine->vcpu[0], msrs[i].msr, &unused))
            machine->msrs[machine->msr_count++] = msrs[i].msr;
}

/* --- The state between instructions ---------------------------------------------------------- */

static enum ringside_activity activity_from(uint32_t mp)
{
    switch (mp) {
    case KVM_MP_STATE_HALTED: return RINGSIDE_HALTED;
    case KVM_MP_STATE_UNINITIALIZED:
    case KVM_MP_STATE_INIT_RECEIVED: return RINGSIDE_WAIT_SIPI;
    default: return RINGSIDE_RUNNING;
    }
}

static uint32_t activity_to(uint8_t activity)
{
    switch (activity) {
    case RINGSIDE_HALTED: return KVM_MP_STATE_HALTED;
    case RINGSIDE_WAIT_SIPI: return KVM_MP_STATE_INIT_RECEIVED;
    default: return KVM_MP_STATE_RUNNABLE;
    }
}

static enum ringside_shadow shadow_from(uint8_t shadow)
{
    return shadow & KVM_X86_SHADOW_INT_STI      ? RINGSIDE_SHADOW_STI
           : shadow & KVM_X86_SHADOW_INT_MOV_SS ? RINGSIDE_SHADOW_MOV_SS
                                                : RINGSIDE_SHADOW_NONE;
}

static uint8_t shadow_to(uint8_t shadow)
{
    return shadow == RINGSIDE_SHADOW_STI      ? KVM_X86_SHADOW_INT_STI
           : shadow == RINGSIDE_SHADOW_MOV_SS ? KVM_X86_SHADOW_INT_MOV_SS
                                              : 0;
}

/* A #DB on its way whose conditions are not in DR6 yet. */
static uint64_t pending_debug(const struct kvm_vcpu_events *events)
{
    bool is_debug = (events->exception.pending || events->exception.injected) &&
                    events->exception.nr == X86_EXC_DB;

    return is_debug && events->exception_has_payload ? events->exception_payload : 0;
}

static void set_exception(struct kvm_vcpu_events *events, uint8_t vector, uint64_t dr6)
{
    events->exception.nr = vector;
    events->exception.has_error_code = 0;
    events->exception.injected = vector != X86_EXC_DB;
    events->exception.pending = vector == X86_EXC_DB;
    events->exception_has_payload = vector == X86_EXC_DB;
    events->exception_payload = dr6;
    events->flags |= KVM_VCPUEVENT_VALID_PAYLOAD;
}

/* What was taken and did not get into the guest: an entry that was called off, or that came back in
 * the middle of it. */
static void under_way_from(const struct kvm_vcpu_events *events, struct ringside_regs *out)
{
    bool exception = events->exception.pending || events->exception.injected;

    if (exception && events->exception.nr == X86_EXC_DB && !out->pending_debug) {
        out->under_way = RINGSIDE_TRAP_UNDER_WAY;
        out->under_way_vector = X86_EXC_DB;
    } else if (events->nmi.injected) {
        out->under_way = RINGSIDE_NMI_UNDER_WAY;
        out->under_way_vector = X86_EXC_NMI;
    } else if (events->interrupt.injected) {
        out->under_way = RINGSIDE_INTERRUPT_UNDER_WAY;
        out->under_way_vector = events->interrupt.nr;
    }
}

/* A fault on its way belongs to the instruction at RIP, whose execution, before or after this,
 * makes another one. */
static void events_to(const struct ringside_regs *in, struct kvm_vcpu_events *events)
{
    if (shadow_from(events->interrupt.shadow) != in->shadow)
        events->interrupt.shadow = shadow_to(in->shadow);
    events->nmi.masked = in->nmi_blocked;
    events->nmi.injected = in->under_way == RINGSIDE_NMI_UNDER_WAY;
    events->interrupt.injected = in->under_way == RINGSIDE_INTERRUPT_UNDER_WAY;
    events->interrupt.soft = 0;
    if (events->interrupt.injected)
        events->interrupt.nr = in->under_way_vector;
    if (in->pending_debug) {
        set_exception(events, X86_EXC_DB, in->pending_debug);
    } else if (in->under_way != RINGSIDE_TRAP_UNDER_WAY) {
        events->exception.pending = events->exception.injected = 0;
        events->exception_has_payload = 0;
    }
    events->flags |= KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_PAYLOAD;
}

/* --- All of it ------------------------------------------------------------------------------- */

static void from_state(const struct kvm_state *state, struct ringside_regs *out)
{
    *out = (struct ringside_regs){
        .rip = state->regs.rip,
        .rflags = state->regs.rflags,
        .xcr0 = state->xcrs.nr_xcrs ? state->xcrs.xcrs[0].value : 1,
        .dr6 = state->debug.dr6,
        .dr7 = state->debug.dr7,
        .activity = (uint8_t)activity_from(state->mp.mp_state),
        .shadow = (uint8_t)shadow_from(state->events.interrupt.shadow),
        .nmi_blocked = state->events.nmi.masked,
        .pending_debug = pending_debug(&state->events),
    };
    under_way_from(&state->events, out);
    for (unsigned i = 0; i < 16; i++)
        memcpy(&out->gpr[i], (const char *)&state->regs + gprs[i], 8);
    for (unsigned i = 0; i < 4; i++)
        out->dr[i] = state->debug.db[i];
    sregs_from(&state->sregs, out);
    for (unsigned i = 0; i < state->msrs.head.nmsrs; i++)
        *msr_place(out, state->msrs.entry[i].index) = state->msrs.entry[i].data;
}

static void to_state(const struct ringside_regs *in, struct kvm_state *state)
{
    struct ringside_regs regs = *in;

    for (unsigned i = 0; i < 16; i++)
        memcpy((char *)&state->regs + gprs[i], &in->gpr[i], 8);
    state->regs.rip = in->rip;
    state->regs.rflags = in->rflags;
    sregs_to(in, &state->sregs);
    for (unsigned i = 0; i < 4; i++)
        state->debug.db[i] = in->dr[i];
    state->debug.dr6 = in->dr6;
    state->debug.dr7 = in->dr7;
    if (state->xcrs.nr_xcrs)
        state->xcrs.xcrs[0].value = in->xcr0;
    events_to(in, &state->events);
    if (activity_from(state->mp.mp_state) != in->activity)
        state->mp.mp_state = activity_to(in->activity);
    for (unsigned i = 0; i < state->msrs.head.nmsrs; i++)
        state->msrs.entry[i].data = *msr_place(&regs, state->msrs.entry[i].index);
}

int kvm_regs_read(struct kvm_vcpu *vcpu, struct ringside_regs *out)
{
    const struct kvm_state *state = kvm_state_read(vcpu);

    if (!state)
        return RINGSIDE_EIO;
    from_state(state, out);
    if (vcpu->shut_down)
        out->activity = RINGSIDE_SHUTDOWN;
    return RINGSIDE_OK;
}

int kvm_regs_write(struct kvm_vcpu *vcpu, const struct ringside_regs *in)
{
    const struct kvm_state *old = kvm_state_read(vcpu);
    struct kvm_state new;

    if (in->cr8 > 15)
        return RINGSIDE_EINVAL;
    if (!old)
        return RINGSIDE_EIO;
    new = *old;
    to_state(in, &new);
    return kvm_state_write(vcpu, &new);
}

int kvm_queue_exception(struct kvm_vcpu *vcpu, uint8_t vector, uint64_t dr6)
{
    struct kvm_vcpu_events events;

    if (ioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events))
        return RINGSIDE_EIO;
    set_exception(&events, vector, dr6);
    /* An NMI that comes between the two stays: it is not valid in what is written. */
    events.flags &= KVM_VCPUEVENT_VALID_SHADOW | KVM_VCPUEVENT_VALID_PAYLOAD;
    kvm_state_forget(vcpu);
    return ioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events) ? RINGSIDE_EIO : RINGSIDE_OK;
}
