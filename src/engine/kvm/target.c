/* The debugger's side of the KVM engine: what include/ringside/target.h asks for. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/kvm/kvm.h"
#include "x86/regs.h"

static unsigned vcpu_count(void *ctx)
{
    return ((struct kvm_machine *)ctx)->config.vm.cpus;
}

static struct kvm_vcpu *vcpu_of(void *ctx, unsigned index)
{
    return &((struct kvm_machine *)ctx)->vcpu[index];
}

/* --- Registers -------------------------------------------------------------------------------- */

static int read_regs(void *ctx, unsigned vcpu, struct ringside_regs *out)
{
    return kvm_regs_read(vcpu_of(ctx, vcpu), out);
}

static int write_regs(void *ctx, unsigned vcpu, const struct ringside_regs *in)
{
    kvm_end_single_step(vcpu_of(ctx, vcpu));
    return kvm_regs_write(vcpu_of(ctx, vcpu), in);
}

static int read_fpu(void *ctx, unsigned vcpu, struct ringside_fpu *out)
{
    return kvm_fpu_read(vcpu_of(ctx, vcpu), out);
}

static int write_fpu(void *ctx, unsigned vcpu, const struct ringside_fpu *in)
{
    return kvm_fpu_write(vcpu_of(ctx, vcpu), in);
}

static int read_msr(void *ctx, unsigned vcpu, uint32_t msr, uint64_t *out)
{
    return kvm_msr_read(vcpu_of(ctx, vcpu), msr, out);
}

static int write_msr(void *ctx, unsigned vcpu, uint32_t msr, uint64_t in)
{
    return kvm_msr_write(vcpu_of(ctx, vcpu), msr, in);
}

static void kick(void *ctx, unsigned vcpu)
{
    kvm_vcpu_kick(vcpu_of(ctx, vcpu));
}

/* --- Stepping --------------------------------------------------------------------------------- */

/* The kernel's single step is the trap flag, set by it as well as by the server, and no more: of
 * events only #DB is intercepted, and the guest's own flag is lost when the kernel ends it. */
static unsigned probe(void *ctx, unsigned vcpu)
{
    const struct kvm_machine *machine = ctx;

    (void)vcpu;
    return machine->features & KVM_CAN_SINGLESTEP ? RINGSIDE_STEP_TRAP_FLAG : 0;
}

static int arm(void *ctx, unsigned index, unsigned way, bool hold_interrupts)
{
    struct kvm_vcpu *vcpu = vcpu_of(ctx, index);
    int error = kvm_lift(vcpu);

    if (error)
        return error;
    vcpu->way = way;
    vcpu->hold = hold_interrupts;
    kvm_msr_tell(vcpu->machine);
    return RINGSIDE_OK; /* the kernel hears of it at the entry */
}

static void disarm(void *ctx, unsigned index)
{
    struct kvm_vcpu *vcpu = vcpu_of(ctx, index);

    vcpu->way = 0;
    kvm_end_single_step(vcpu);
    kvm_unlift(vcpu);
    kvm_msr_tell(vcpu->machine);
}

static int take_interrupt(void *ctx, unsigned index)
{
    return kvm_take_interrupt(vcpu_of(ctx, index));
}

/* --- Software breakpoints --------------------------------------------------------------------- */

static int insert_breakpoint(void *ctx, uint64_t gpa)
{
    struct kvm_machine *machine = ctx;
    unsigned barrier = machine->trap_byte ? KVM_CAN_BAR_WRITES : KVM_CAN_BAR_CODE;
    unsigned before = machine->pages.trap_pages;

    if (!(machine->features & barrier))
        return RINGSIDE_ENOTSUP;
    int error = kvm_breakpoint_insert(machine, gpa);
    if (machine->pages.trap_pages > 0 && before == 0)
        kvm_debug_changed(machine);
    return error;
}

static int remove_breakpoint(void *ctx, uint64_t gpa)
{
    struct kvm_machine *machine = ctx;
    unsigned before = machine->pages.trap_pages;
    int error = kvm_breakpoint_remove(machine, gpa);

    if (machine->pages.trap_pages == 0 && before > 0)
        kvm_debug_changed(machine);
    return error;
}

/* --- The machine, and the port ---------------------------------------------------------------- */

static void reset_machine(void *ctx)
{
    kvm_end(ctx, VM_RESET, 0);
}

static void power_off(void *ctx)
{
    kvm_end(ctx, VM_POWER_OFF, 0);
}

static void access_as(void *ctx, unsigned vcpu)
{
    ((struct kvm_machine *)ctx)->accessor = vcpu;
}

static const struct ringside_step_ops step_ops = {
    .bare_trap_flag = true,
    .probe = probe,
    .arm = arm,
    .disarm = disarm,
    .take_interrupt = take_interrupt,
};
static const struct ringside_direct_ops direct_ops = {.is_memory = kvm_memory_is,
                                                      .page = kvm_memory_page};
static const struct ringside_breakpoint_ops breakpoint_ops = {insert_breakpoint, remove_breakpoint,
                                                              NULL};
static const struct ringside_watch_ops watch_ops = {kvm_watch_insert, kvm_watch_remove};
static const struct ringside_fpu_ops fpu_ops = {read_fpu, write_fpu};
static const struct ringside_msr_ops msr_ops = {read_msr, write_msr};
static const struct ringside_machine_ops machine_ops = {reset_machine, power_off, access_as};

const struct ringside_target kvm_target = {
    .vcpu_count = vcpu_count,
    .read_regs = read_regs,
    .write_regs = write_regs,
    .read_memory = kvm_memory_read,
    .write_memory = kvm_memory_write,
    .kick = kick,
    .step = &step_ops,
    .direct = &direct_ops,
    .breakpoint = &breakpoint_ops,
    .watch = &watch_ops,
    .catches = &kvm_catch_ops,
    .fpu = &fpu_ops,
    .msr = &msr_ops,
    .machine = &machine_ops,
};

static void lock(void *ctx)
{
    pthread_mutex_lock(&((struct kvm_machine *)ctx)->server_lock);
}

/* Who is woken needs the lock first: so wakes and news go out when it is free. */
static void unlock(void *ctx)
{
    struct kvm_machine *machine = ctx;
    const struct engine_config *config = &machine->config;
    uint64_t vcpus = machine->to_wake;
    bool news = machine->news;

    machine->to_wake = 0;
    machine->news = false;
    pthread_mutex_unlock(&machine->server_lock);
    for (; vcpus; vcpus &= vcpus - 1)
        pthread_cond_signal(&machine->vcpu[__builtin_ctzll(vcpus)].wakes);
    if (news && !(config->news && config->news(config->ctx)))
        kvm_tell_tool(machine);
}

/* Or until the machine ends. */
static void wait(void *ctx, unsigned index)
{
    struct kvm_machine *machine = ctx;
    struct kvm_vcpu *vcpu = &machine->vcpu[index];

    unlock(machine); /* what is due goes out first */
    lock(machine);
    while (!vcpu->woken && !kvm_leaving(machine))
        pthread_cond_wait(&vcpu->wakes, &machine->server_lock);
    vcpu->woken = false;
}

static void wake(void *ctx, unsigned vcpu)
{
    struct kvm_machine *machine = ctx;

    machine->vcpu[vcpu].woken = true;
    machine->to_wake |= (uint64_t)1 << vcpu;
}

const struct ringside_port kvm_port = {lock, unlock, wait, wake};
