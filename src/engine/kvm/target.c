/* The debugger's side of the KVM engine: what include/ringside/target.h asks for. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm.h"
#include "x86/regs.h"

enum { PAGE = 4096 };

static unsigned vcpu_count(void *ctx)
{
    return ((struct kvm_machine *)ctx)->config.vm.cpus;
}

static struct kvm_vcpu *vcpu_of(void *ctx, unsigned index)
{
    return &((struct kvm_machine *)ctx)->vcpu[index];
}

/* --- What the kernel is told of debugging ------------------------------------------------------
 */

/* DR7's length field (Intel SDM vol. 3, 17.2.4). */
static unsigned dr7_length(uint64_t length)
{
    return length == 8 ? 2 : (unsigned)length - 1;
}

static unsigned dr7_type(enum ringside_watch_kind kind)
{
    return kind == RINGSIDE_WATCH_EXEC ? 0 : kind == RINGSIDE_WATCH_WRITE ? 1 : 3;
}

static bool set_debug(struct kvm_vcpu *vcpu, bool single_step)
{
    const struct kvm_machine *machine = vcpu->machine;
    struct kvm_guest_debug debug = {.arch.debugreg = {[7] = X86_DR7_FIXED}};

    if (machine->page_count)
        debug.control |= KVM_GUESTDBG_USE_SW_BP;
    for (unsigned i = 0; i < KVM_HW_SLOTS; i++) {
        const struct kvm_watch *watch = &machine->watch[i];
        if (!watch->used)
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
    if (ioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &debug))
        return false;
    vcpu->debug = debug.control;
    vcpu->single_step = single_step;
    vcpu->watches = machine->watches_changed;
    return true;
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
static void end_single_step(struct kvm_vcpu *vcpu)
{
    if (vcpu->single_step)
        set_debug(vcpu, false);
}

static bool place_of(const struct kvm_vcpu *vcpu, uint64_t linear, uint64_t *gpa)
{
    struct kvm_translation translation = {.linear_address = linear};

    if (ioctl(vcpu->fd, KVM_TRANSLATE, &translation) || !translation.valid)
        return false;
    *gpa = translation.physical_address;
    return true;
}

/* --- What KVM_EXIT_DEBUG means -----------------------------------------------------------------
 */

static bool is_ours(struct kvm_vcpu *vcpu, uint64_t linear)
{
    struct kvm_machine *machine = vcpu->machine;
    uint64_t gpa;

    pthread_mutex_lock(&machine->server_lock);
    bool ours = place_of(vcpu, linear, &gpa) && kvm_breakpoint_at(machine, gpa);
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
        exit->reason = RINGSIDE_EXIT_WATCH;
        exit->watch_kind = watch->kind;
        exit->watch_address = watch->address;
        found = true;
    }
    pthread_mutex_unlock(&machine->server_lock);
    return found;
}

static void step_is_over(struct kvm_vcpu *vcpu)
{
    struct kvm_machine *machine = vcpu->machine;

    pthread_mutex_lock(&machine->server_lock);
    end_single_step(vcpu);
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
        kvm_queue_exception(vcpu, X86_EXC_BP, 0);
        return false;
    }
    bool stepping = vcpu->single_step;
    step_is_over(vcpu);
    if (hardware_hit(vcpu, conditions, exit))
        return true;
    if (stepping) {
        exit->reason = RINGSIDE_EXIT_DEBUG_EXCEPTION;
        exit->dr6 = conditions;
        if (conditions & X86_DR6_BS)
            exit->dr6 &= ~(uint64_t)X86_DR6_B; /* the bits of registers that are off mean nothing */
        return true;
    }
    kvm_queue_exception(vcpu, X86_EXC_DB, conditions);
    return false;
}

/* --- Registers ---------------------------------------------------------------------------------
 */

static int read_regs(void *ctx, unsigned vcpu, struct ringside_regs *out)
{
    return kvm_regs_read(vcpu_of(ctx, vcpu), out);
}

static int write_regs(void *ctx, unsigned vcpu, const struct ringside_regs *in)
{
    end_single_step(vcpu_of(ctx, vcpu));
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

/* --- Memory ------------------------------------------------------------------------------------
 */

/* How much of [gpa, gpa + n) lies in the first page, if that is RAM: the only other memory is that
 * of interrupt controllers, which the kernel keeps to itself. */
static uint8_t *first_piece(struct kvm_machine *machine, uint64_t gpa, size_t n, size_t *length)
{
    size_t left = PAGE - gpa % PAGE;

    *length = n < left ? n : left;
    return vm_ram(machine->vm, gpa, *length);
}

static bool all_ram(struct kvm_machine *machine, uint64_t gpa, size_t n)
{
    for (size_t done = 0, length = 0; done < n; done += length)
        if (!first_piece(machine, gpa + done, n - done, &length))
            return false;
    return true;
}

static int read_memory(void *ctx, uint64_t gpa, void *buffer, size_t n)
{
    struct kvm_machine *machine = ctx;
    uint8_t *to = buffer;

    if (!all_ram(machine, gpa, n))
        return RINGSIDE_EFAULT;
    for (size_t done = 0, length = 0; done < n; done += length) {
        const uint8_t *from = first_piece(machine, gpa + done, n - done, &length);
        memcpy(to + done, from, length);
    }
    if (machine->page_count)
        kvm_breakpoints_hide(machine, gpa, to, n);
    return RINGSIDE_OK;
}

static int write_memory(void *ctx, uint64_t gpa, const void *buffer, size_t n)
{
    struct kvm_machine *machine = ctx;

    if (!all_ram(machine, gpa, n))
        return RINGSIDE_EFAULT;
    kvm_breakpoints_write(machine, gpa, buffer, n);
    return RINGSIDE_OK;
}

static void kick(void *ctx, unsigned vcpu)
{
    kvm_vcpu_kick(vcpu_of(ctx, vcpu));
}

static bool is_memory(void *ctx, uint64_t gpa)
{
    return vm_ram(((struct kvm_machine *)ctx)->vm, gpa & ~(uint64_t)(PAGE - 1), PAGE);
}

static uint8_t *direct_page(void *ctx, uint64_t gpa, bool *writable)
{
    struct kvm_machine *machine = ctx;
    uint8_t *clean = kvm_clean_page(machine, gpa);

    *writable = !clean;
    return clean ? clean : vm_ram(machine->vm, gpa, PAGE);
}

/* --- Stepping ----------------------------------------------------------------------------------
 */

/*
 * The kernel's single step is the trap flag, set by it as well as by the server.  Of the contract
 * for RINGSIDE_STEP_TRAP_FLAG it has no intercepts of other exceptions, INT n and HLT: what is not
 * emulated and faults runs its handler through.
 */
static unsigned probe(void *ctx, unsigned vcpu)
{
    const struct kvm_machine *machine = ctx;

    (void)vcpu;
    return machine->features & KVM_CAN_SINGLESTEP ? RINGSIDE_STEP_TRAP_FLAG : 0;
}

/* A breakpoint of ours on the first instruction is out of memory meanwhile, or passed by RF. */
static int pass_breakpoint(struct kvm_vcpu *vcpu)
{
    struct kvm_machine *machine = vcpu->machine;
    struct ringside_regs regs;
    uint64_t gpa;
    int error = kvm_regs_read(vcpu, &regs);

    if (error)
        return error;
    bool long_code = regs.efer & X86_EFER_LMA && regs.seg[RINGSIDE_CS].access & X86_SEG_L;
    uint64_t linear = long_code ? regs.rip : (uint32_t)(regs.seg[RINGSIDE_CS].base + regs.rip);
    if (machine->page_count && place_of(vcpu, linear, &gpa) && kvm_breakpoint_at(machine, gpa)) {
        kvm_breakpoint_lift(machine, gpa, true);
        vcpu->lifted = gpa;
    }
    for (unsigned i = 0; i < KVM_HW_SLOTS; i++) {
        const struct kvm_watch *watch = &machine->watch[i];
        if (!watch->used || watch->kind != RINGSIDE_WATCH_EXEC || watch->address != linear)
            continue;
        regs.rflags |= X86_FLAG_RF;
        return kvm_regs_write(vcpu, &regs);
    }
    return RINGSIDE_OK;
}

static int arm(void *ctx, unsigned index, unsigned way, bool hold_interrupts)
{
    struct kvm_vcpu *vcpu = vcpu_of(ctx, index);
    int error = pass_breakpoint(vcpu);

    if (error)
        return error;
    vcpu->way = way;
    vcpu->hold = hold_interrupts;
    return RINGSIDE_OK; /* the kernel hears of it at the entry */
}

static void disarm(void *ctx, unsigned index)
{
    struct kvm_vcpu *vcpu = vcpu_of(ctx, index);

    vcpu->way = 0;
    end_single_step(vcpu);
    if (vcpu->lifted != KVM_NOWHERE)
        kvm_breakpoint_lift(vcpu->machine, vcpu->lifted, false);
    vcpu->lifted = KVM_NOWHERE;
}

/* --- Breakpoints and watchpoints ---------------------------------------------------------------
 */

/* Those that run hear of it at their next entry: let that be now. */
static void changed(struct kvm_machine *machine)
{
    __atomic_add_fetch(&machine->watches_changed, 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < machine->config.vm.cpus; i++)
        kvm_vcpu_kick(&machine->vcpu[i]);
}

static int insert_breakpoint(void *ctx, uint64_t gpa)
{
    struct kvm_machine *machine = ctx;
    bool first = !machine->page_count;

    if (!(machine->features & KVM_CAN_INT3))
        return RINGSIDE_ENOTSUP;
    int error = kvm_breakpoint_insert(machine, gpa);
    if (!error && first)
        changed(machine);
    return error;
}

static int remove_breakpoint(void *ctx, uint64_t gpa)
{
    struct kvm_machine *machine = ctx;
    int error = kvm_breakpoint_remove(machine, gpa);

    if (!error && !machine->page_count)
        changed(machine);
    return error;
}

static struct kvm_watch *find_watch(struct kvm_machine *machine, enum ringside_watch_kind kind,
                                    uint64_t address, uint64_t length)
{
    for (unsigned i = 0; i < KVM_HW_SLOTS; i++) {
        struct kvm_watch *watch = &machine->watch[i];
        if (watch->used && watch->kind == kind && watch->address == address &&
            watch->length == length)
            return watch;
    }
    return NULL;
}

/* The processor has no watchpoint that writes pass, and none that is not a naturally aligned word.
 */
static bool has_hardware(const struct kvm_machine *machine, enum ringside_watch_kind kind,
                         uint64_t address, uint64_t length)
{
    if (kind == RINGSIDE_WATCH_EXEC)
        return machine->features & KVM_CAN_HW_BREAK;
    return machine->features & KVM_CAN_HW_WATCH && kind != RINGSIDE_WATCH_READ &&
           (length == 1 || length == 2 || length == 4 || length == 8) && address % length == 0;
}

static int insert_watch(void *ctx, enum ringside_watch_kind kind, uint64_t linear, uint64_t length)
{
    struct kvm_machine *machine = ctx;

    length = kind == RINGSIDE_WATCH_EXEC ? 1 : length;
    if (!has_hardware(machine, kind, linear, length))
        return RINGSIDE_ENOTSUP;
    if (find_watch(machine, kind, linear, length))
        return RINGSIDE_OK;
    for (unsigned i = 0; i < KVM_HW_SLOTS; i++) {
        if (machine->watch[i].used)
            continue;
        machine->watch[i] = (struct kvm_watch){true, kind, linear, length};
        changed(machine);
        return RINGSIDE_OK;
    }
    return RINGSIDE_ENOSPC;
}

static int remove_watch(void *ctx, enum ringside_watch_kind kind, uint64_t linear, uint64_t length)
{
    struct kvm_machine *machine = ctx;
    struct kvm_watch *watch =
        find_watch(machine, kind, linear, kind == RINGSIDE_WATCH_EXEC ? 1 : length);

    if (!watch)
        return RINGSIDE_EINVAL;
    watch->used = false;
    changed(machine);
    return RINGSIDE_OK;
}

/* --- The machine, and the port ------------------------------------------------------------------
 */

static void reset_machine(void *ctx)
{
    kvm_end(ctx, VM_RESET, 0);
}

static void power_off(void *ctx)
{
    kvm_end(ctx, VM_POWER_OFF, 0);
}

static const struct ringside_step_ops step_ops = {.probe = probe, .arm = arm, .disarm = disarm};
static const struct ringside_direct_ops direct_ops = {.is_memory = is_memory, .page = direct_page};
static const struct ringside_breakpoint_ops breakpoint_ops = {insert_breakpoint, remove_breakpoint};
static const struct ringside_watch_ops watch_ops = {insert_watch, remove_watch};
static const struct ringside_fpu_ops fpu_ops = {read_fpu, write_fpu};
static const struct ringside_msr_ops msr_ops = {read_msr, write_msr};
static const struct ringside_machine_ops machine_ops = {reset_machine, power_off};

const struct ringside_target kvm_target = {
    .vcpu_count = vcpu_count,
    .read_regs = read_regs,
    .write_regs = write_regs,
    .read_memory = read_memory,
    .write_memory = write_memory,
    .kick = kick,
    .step = &step_ops,
    .direct = &direct_ops,
    .breakpoint = &breakpoint_ops,
    .watch = &watch_ops,
    .fpu = &fpu_ops,
    .msr = &msr_ops,
    .machine = &machine_ops,
};

static void lock(void *ctx)
{
    pthread_mutex_lock(&((struct kvm_machine *)ctx)->server_lock);
}

static void unlock(void *ctx)
{
    pthread_mutex_unlock(&((struct kvm_machine *)ctx)->server_lock);
}

static void wait(void *ctx, unsigned vcpu)
{
    pthread_cond_wait(&vcpu_of(ctx, vcpu)->wakes, &((struct kvm_machine *)ctx)->server_lock);
}

static void wake(void *ctx, unsigned vcpu)
{
    vcpu_of(ctx, vcpu)->woken = true;
    pthread_cond_signal(&vcpu_of(ctx, vcpu)->wakes);
}

const struct ringside_port kvm_port = {lock, unlock, wait, wake};
