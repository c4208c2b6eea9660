/* Accesses of the guest to MSRs that come to us: those that fault in a step, and writes that are
 * caught. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm.h"
#include "x86/regs.h"
#include "x86/segment.h"

/*
 * A step by hardware intercepts #DB alone: a #GP would run its handler through, with our TF in the
 * frame.  Nobody but the kernel knows which accesses fault, so while a step is armed on any vCPU it
 * is asked to tell, of all of them.  It then waits to hear that they fault indeed, and queues #GP.
 *
 * A write that is caught is one that a filter refuses.  What it does is the kernel's own business:
 * it is called off, and a step executes it while the other vCPUs are parked and the filter is open.
 */

static bool steps(const struct kvm_machine *machine)
{
    for (unsigned i = 0; i < machine->config.vm.cpus; i++)
        if (machine->vcpu[i].way)
            return true;
    return false;
}

void kvm_msr_tell(struct kvm_machine *machine)
{
    bool faults = machine->features & KVM_TELLS_FAULTS && steps(machine);
    unsigned reasons = (faults ? KVM_MSR_EXIT_REASON_INVAL | KVM_MSR_EXIT_REASON_UNKNOWN : 0) |
                       (machine->filters ? KVM_MSR_EXIT_REASON_FILTER : 0);
    struct kvm_enable_cap ask = {.cap = KVM_CAP_X86_USER_SPACE_MSR, .args = {reasons}};

    if (reasons != machine->msr_exits && !ioctl(machine->vm_fd, KVM_ENABLE_CAP, &ask))
        machine->msr_exits = reasons;
}

/* With the step's end the server delivers the #GP; the kernel's is dropped with the registers that
 * are written then. */
void kvm_msr_exit(struct kvm_vcpu *vcpu)
{
    struct kvm_run *run = vcpu->run;

    run->msr.error = 1;
    if (run->msr.reason == KVM_MSR_EXIT_REASON_FILTER) {
        vcpu->written = (struct ringside_caught){
            .kind = RINGSIDE_CATCH_MSR, .number = run->msr.index, .value = run->msr.data};
        vcpu->owed = (struct ringside_exit){.reason = RINGSIDE_EXIT_DECLINED};
        vcpu->owes = true;
    } else {
        vcpu->owed = (struct ringside_exit){
            .reason = RINGSIDE_EXIT_EXCEPTION, .vector = X86_EXC_GP, .has_error = true};
        vcpu->owes = vcpu->way != 0;
    }
}

/* --- Writes that are caught ------------------------------------------------------------------- */

/* A bit for each MSR: is it let through? */
enum { SPAN = 0x2000 };
struct filter {
    struct kvm_msr_filter head;
    uint64_t through[KVM_MSR_FILTER_MAX_RANGES][SPAN / 64];
    unsigned used;
};

/* The range of the MSR, all of it let through if it is new; NULL: there are too many. */
static uint64_t *range_of(struct filter *filter, uint32_t msr)
{
    uint32_t base = msr & ~(uint32_t)(SPAN - 1);
    unsigned i = 0;

    while (i < filter->used && filter->head.ranges[i].base != base)
        i++;
    if (i == KVM_MSR_FILTER_MAX_RANGES)
        return NULL;
    if (i == filter->used) {
        filter->used++;
        memset(filter->through[i], 0xff, sizeof filter->through[i]);
        filter->head.ranges[i] = (struct kvm_msr_filter_range){
            .flags = KVM_MSR_FILTER_WRITE,
            .nmsrs = SPAN,
            .base = base,
            .bitmap = (uint8_t *)filter->through[i],
        };
    }
    return filter->through[i];
}

static bool refuse(struct filter *filter, uint32_t msr)
{
    uint64_t *through = range_of(filter, msr);

    if (through)
        through[msr % SPAN / 64] &= ~(1ull << msr % 64);
    return through != NULL;
}

/* Wherever the kernel has any: Intel's, those of hypervisors, AMD's. */
static bool refuse_all(struct filter *filter)
{
    static const uint32_t bases[] = {0, 0x40000000, 0x4b564000, 0xc0000000, 0xc0010000};

    for (unsigned i = 0; i < sizeof bases / sizeof bases[0]; i++) {
        uint64_t *through = range_of(filter, bases[i]);
        if (!through)
            return false;
        memset(through, 0, SPAN / 8);
    }
    return true;
}

static bool fill(struct filter *filter, const struct ringside_catch *catches, size_t count)
{
    bool fits = true;

    memset(&filter->head, 0, sizeof filter->head);
    filter->head.flags = KVM_MSR_FILTER_DEFAULT_ALLOW;
    filter->used = 0;
    for (size_t i = 0; i < count && fits; i++)
        if (catches[i].kind == RINGSIDE_CATCH_MSR)
            fits = catches[i].number == RINGSIDE_CATCH_ANY ? refuse_all(filter)
                                                           : refuse(filter, catches[i].number);
    return fits;
}

/* The kernel has to tell before anything is refused, and as long as anything is: else the guest
 * would get a #GP. */
int kvm_msr_filter(struct kvm_machine *machine, const struct ringside_catch *catches, size_t count)
{
    struct filter filter;
    bool had = machine->filters;

    if (!fill(&filter, catches, count))
        return RINGSIDE_ENOSPC;
    if (!filter.used && !had)
        return RINGSIDE_OK;
    machine->filters = true;
    kvm_msr_tell(machine);
    bool done = machine->msr_exits & KVM_MSR_EXIT_REASON_FILTER &&
                !ioctl(machine->vm_fd, KVM_X86_SET_MSR_FILTER, &filter.head);
    machine->filters = done ? filter.used : had;
    kvm_msr_tell(machine);
    return done ? RINGSIDE_OK : RINGSIDE_EIO;
}

/* Registers that are written, be they the same, drop the #GP. */
void kvm_msr_put_off(struct kvm_vcpu *vcpu)
{
    struct ringside_regs regs;

    pthread_mutex_lock(&vcpu->machine->server_lock);
    if (!kvm_regs_read(vcpu, &regs) && !kvm_regs_write(vcpu, &regs)) {
        vcpu->declined = x86_linear_rip(&regs);
        vcpu->needs = vcpu->machine->pages.lift;
        vcpu->writes = true;
    }
    pthread_mutex_unlock(&vcpu->machine->server_lock);
}

static bool is_caught(const struct kvm_machine *machine, uint32_t msr)
{
    for (size_t i = 0; i < machine->catch_count; i++) {
        const struct ringside_catch *what = &machine->catches[i];
        if (what->kind == RINGSIDE_CATCH_MSR &&
            (what->number == RINGSIDE_CATCH_ANY || what->number == msr))
            return true;
    }
    return false;
}

/* The debugger may have come in between, and have changed anything. */
bool kvm_msr_is_put_off(const struct kvm_vcpu *vcpu, const struct ringside_regs *regs)
{
    uint64_t value = regs->gpr[RINGSIDE_RDX] << 32 | (uint32_t)regs->gpr[RINGSIDE_RAX];

    return vcpu->writes && (uint32_t)regs->gpr[RINGSIDE_RCX] == vcpu->written.number &&
           value == vcpu->written.value && is_caught(vcpu->machine, vcpu->written.number);
}

/* The others cannot write anything meanwhile. */
void kvm_msr_let_through(struct kvm_vcpu *vcpu, bool through)
{
    struct kvm_machine *machine = vcpu->machine;

    kvm_msr_filter(machine, machine->catches, through ? 0 : machine->catch_count);
    vcpu->unfiltered = through;
}
