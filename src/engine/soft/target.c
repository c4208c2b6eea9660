/* What the soft engine does for the debug server: the callbacks of ringside/target.h. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/soft/soft.h"

#include <stdlib.h>
#include <string.h>

#include "x86/regs.h"
#include "x86/segment.h"

enum { PAGE = 4096 };

static unsigned vcpu_count(void *ctx)
{
    return ((const struct soft *)ctx)->config.vm.cpus;
}

/* --- Registers ------------------------------------------------------------------------------- */

static int read_regs(void *ctx, unsigned vcpu, struct ringside_regs *out)
{
    struct soft *soft = ctx;

    cpu_get_regs(soft->vcpu[vcpu].cpu, out);
    vm_apic_rdmsr(soft->vm, vcpu, X86_MSR_APIC_BASE, &out->apic_base);
    return RINGSIDE_OK;
}

static int write_regs(void *ctx, unsigned vcpu, const struct ringside_regs *in)
{
    struct soft *soft = ctx;
    uint64_t apic_base;

    if (in->cr8 > 15)
        return RINGSIDE_EINVAL;
    vm_apic_rdmsr(soft->vm, vcpu, X86_MSR_APIC_BASE, &apic_base);
    if (in->apic_base != apic_base &&
        !vm_apic_wrmsr(soft->vm, vcpu, X86_MSR_APIC_BASE, in->apic_base))
        return RINGSIDE_EINVAL;
    cpu_set_regs(soft->vcpu[vcpu].cpu, in);
    vm_apic_set_cr8(soft->vm, vcpu, in->cr8);
    return RINGSIDE_OK;
}

static int read_fpu(void *ctx, unsigned vcpu, struct ringside_fpu *out)
{
    const struct soft *soft = ctx;

    *out = soft->vcpu[vcpu].cpu->fpu;
    return RINGSIDE_OK;
}

static int write_fpu(void *ctx, unsigned vcpu, const struct ringside_fpu *in)
{
    struct soft *soft = ctx;

    soft->vcpu[vcpu].cpu->fpu = *in;
    return RINGSIDE_OK;
}

/* The clock of a vCPU that waits for its turn stands still: bring it up before the TSC is seen. */
static struct cpu *with_clock(struct soft *soft, unsigned vcpu)
{
    struct cpu *cpu = soft->vcpu[vcpu].cpu;

    cpu->idle = soft_clock(soft) - cpu->count;
    return cpu;
}

static int read_msr(void *ctx, unsigned vcpu, uint32_t msr, uint64_t *out)
{
    uint64_t value;

    if (cpu_read_msr(with_clock(ctx, vcpu), msr, &value) < 0)
        return RINGSIDE_EINVAL;
    *out = value;
    return RINGSIDE_OK;
}

static int write_msr(void *ctx, unsigned vcpu, uint32_t msr, uint64_t in)
{
    return cpu_write_msr(with_clock(ctx, vcpu), msr, in) < 0 ? RINGSIDE_EINVAL : RINGSIDE_OK;
}

/* --- Memory ---------------------------------------------------------------------------------- */

static bool is_mapped(struct soft *soft, uint64_t gpa, size_t n)
{
    if (n && gpa + (n - 1) < gpa)
        return false;
    for (uint64_t page = gpa & ~(uint64_t)(PAGE - 1); n && page <= gpa + (n - 1); page += PAGE) {
        if (!vm_is_mapped(soft->vm, page))
            return false;
        if (page > UINT64_MAX - PAGE)
            break;
    }
    return true;
}

static int read_memory(void *ctx, uint64_t gpa, void *buffer, size_t n)
{
    struct soft *soft = ctx;

    if (!is_mapped(soft, gpa, n))
        return RINGSIDE_EFAULT;
    vm_read(soft->vm, gpa, buffer, n);
    return RINGSIDE_OK;
}

static int write_memory(void *ctx, uint64_t gpa, const void *buffer, size_t n)
{
    struct soft *soft = ctx;

    if (!is_mapped(soft, gpa, n))
        return RINGSIDE_EFAULT;
    vm_write(soft->vm, gpa, buffer, n);
    for (uint64_t page = gpa & ~(uint64_t)(PAGE - 1); page < gpa + n; page += PAGE)
        cpu_code_drop_page(soft->code, page);
    return RINGSIDE_OK;
}

/* All is one thread: whoever kicks is not in the guest, and soft_run asks the server before each of
 * its short turns. */
static void kick(void *ctx, unsigned vcpu)
{
    (void)ctx, (void)vcpu;
}

/* --- Instructions that the server executes itself --------------------------------------------- */

static bool is_memory(void *ctx, uint64_t gpa)
{
    return vm_ram(((struct soft *)ctx)->vm, gpa & ~(uint64_t)(PAGE - 1), PAGE);
}

/* What is decoded has to be told of a write. */
static uint8_t *direct_page(void *ctx, uint64_t gpa, bool *writable)
{
    struct soft *soft = ctx;

    *writable = !cpu_code_has_page(soft->code, gpa);
    return vm_ram(soft->vm, gpa, PAGE);
}

static void executed(void *ctx, unsigned vcpu, uint64_t n)
{
    struct soft *soft = ctx;

    soft->vcpu[vcpu].cpu->count += n;
    soft->instructions += n;
    soft->time += n;
}

/* --- Breakpoints ----------------------------------------------------------------------------- */

static int insert_breakpoint(void *ctx, uint64_t gpa)
{
    struct soft *soft = ctx;

    if (!vm_ram(soft->vm, gpa, 1))
        return RINGSIDE_EFAULT;
    if (!soft_set_add(&soft->breakpoints, gpa))
        return RINGSIDE_ENOSPC;
    cpu_code_drop_page(soft->code, gpa & ~(uint64_t)(PAGE - 1));
    return RINGSIDE_OK;
}

static int remove_breakpoint(void *ctx, uint64_t gpa)
{
    struct soft *soft = ctx;

    if (!soft_set_remove(&soft->breakpoints, gpa))
        return RINGSIDE_EINVAL;
    cpu_code_drop_page(soft->code, gpa & ~(uint64_t)(PAGE - 1));
    return RINGSIDE_OK;
}

static void pass_breakpoint(void *ctx, unsigned vcpu)
{
    cpu_pass_breakpoint(((struct soft *)ctx)->vcpu[vcpu].cpu, true);
}

/* A linear code address has a place in every page until it is met: all pages are decoded anew. */
static int insert_code_watch(struct soft *soft, uint64_t linear)
{
    if (soft_set_has(&soft->code_watches, linear))
        return RINGSIDE_OK;
    if (!soft_set_add(&soft->code_watches, linear))
        return RINGSIDE_ENOSPC;
    if (soft->code_watch_offsets[linear % PAGE]++ == 0)
        cpu_code_drop_all(soft->code);
    return RINGSIDE_OK;
}

static int remove_code_watch(struct soft *soft, uint64_t linear)
{
    if (!soft_set_remove(&soft->code_watches, linear))
        return RINGSIDE_EINVAL;
    if (--soft->code_watch_offsets[linear % PAGE] == 0)
        cpu_code_drop_all(soft->code);
    return RINGSIDE_OK;
}

bool soft_breakpoint_hit(struct soft *soft, unsigned index, struct ringside_exit *exit)
{
    const struct cpu *cpu = soft->vcpu[index].cpu;
    uint64_t linear = x86_linear_rip(&cpu->r);

    exit->reason = RINGSIDE_EXIT_BREAKPOINT;
    exit->has_gpa = true;
    exit->gpa = cpu_breakpoint_gpa(cpu);
    if (!soft->code_watches.count)
        return true;
    if (soft_set_has(&soft->code_watches, linear)) {
        exit->reason = RINGSIDE_EXIT_WATCH;
        exit->watch_kind = RINGSIDE_WATCH_EXEC;
        exit->watch_address = linear;
        return true;
    }
    if (soft_set_has(&soft->breakpoints, exit->gpa))
        return true;
    exit->reason = RINGSIDE_EXIT_OTHER;
    return false;
}

/* --- Watchpoints ----------------------------------------------------------------------------- */

static const struct {
    enum ringside_watch_kind server;
    enum cpu_watch_kind cpu;
} kinds[] = {
    {RINGSIDE_WATCH_WRITE, CPU_WATCH_WRITE},
    {RINGSIDE_WATCH_READ, CPU_WATCH_READ},
    {RINGSIDE_WATCH_ACCESS, CPU_WATCH_ACCESS},
};

static uint8_t cpu_kind(enum ringside_watch_kind kind)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].server == kind)
            return (uint8_t)kinds[i].cpu;
    return 0;
}

void soft_watch_exit(const struct cpu *cpu, struct ringside_exit *exit)
{
    exit->reason = RINGSIDE_EXIT_WATCH;
    exit->watch_address = cpu->watch_hit.address;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].cpu == cpu->watch_hit.kind)
            exit->watch_kind = kinds[i].server;
}

void soft_catch_exit(const struct cpu *cpu, struct ringside_exit *exit)
{
    exit->reason = RINGSIDE_EXIT_CATCH;
    exit->caught = cpu->caught;
}

static void publish_watches(struct soft *soft)
{
    for (unsigned i = 0; i < soft->config.vm.cpus; i++)
        cpu_set_watches(soft->vcpu[i].cpu, soft->watches, soft->watch_count);
}

/* The first entry that does not sort before the watch. */
static size_t position_of(const struct soft *soft, const struct cpu_watch *watch)
{
    size_t low = 0, high = soft->watch_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct cpu_watch *other = &soft->watches[middle];
        bool before = other->address != watch->address ? other->address < watch->address
                      : other->length != watch->length ? other->length < watch->length
                                                       : other->kind < watch->kind;
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct soft *soft, size_t position, const struct cpu_watch *watch)
{
    const struct cpu_watch *other = &soft->watches[position];

    return position < soft->watch_count && other->address == watch->address &&
           other->length == watch->length && other->kind == watch->kind;
}

static bool reserve_watch(struct soft *soft)
{
    size_t capacity = soft->watch_capacity ? 2 * soft->watch_capacity : 16;

    if (soft->watch_count < soft->watch_capacity)
        return true;
    struct cpu_watch *watches = realloc(soft->watches, capacity * sizeof *watches);
    if (!watches)
        return false;
    soft->watches = watches;
    soft->watch_capacity = capacity;
    publish_watches(soft);
    return true;
}

static int insert_watch(void *ctx, enum ringside_watch_kind kind, uint64_t linear, uint64_t length)
{
    struct soft *soft = ctx;
    struct cpu_watch watch = {.address = linear, .length = length, .kind = cpu_kind(kind)};
    size_t position = position_of(soft, &watch);

    if (kind == RINGSIDE_WATCH_EXEC)
        return insert_code_watch(soft, linear);
    if (!length || linear + (length - 1) < linear)
        return RINGSIDE_EINVAL;
    if (is_at(soft, position, &watch))
        return RINGSIDE_OK;
    if (!reserve_watch(soft))
        return RINGSIDE_ENOSPC;
    struct cpu_watch *place = &soft->watches[position];
    memmove(place + 1, place, (soft->watch_count - position) * sizeof *place);
    *place = watch;
    soft->watch_count++;
    publish_watches(soft);
    return RINGSIDE_OK;
}

static int remove_watch(void *ctx, enum ringside_watch_kind kind, uint64_t linear, uint64_t length)
{
    struct soft *soft = ctx;
    struct cpu_watch watch = {.address = linear, .length = length, .kind = cpu_kind(kind)};
    size_t position = position_of(soft, &watch);

    if (kind == RINGSIDE_WATCH_EXEC)
        return remove_code_watch(soft, linear);
    if (!is_at(soft, position, &watch))
        return RINGSIDE_EINVAL;
    soft->watch_count--;
    struct cpu_watch *place = &soft->watches[position];
    memmove(place, place + 1, (soft->watch_count - position) * sizeof *place);
    publish_watches(soft);
    return RINGSIDE_OK;
}

/* --- Events ---------------------------------------------------------------------------------- */

static int set_catches(void *ctx, const struct ringside_catch *catches, size_t count)
{
    struct soft *soft = ctx;

    for (unsigned i = 0; i < soft->config.vm.cpus; i++)
        cpu_set_catches(soft->vcpu[i].cpu, catches, count);
    return RINGSIDE_OK;
}

/* --- The machine ----------------------------------------------------------------------------- */

static void end_machine(struct soft *soft, int what)
{
    if (soft->ended)
        return;
    soft->ended = true;
    soft->config.ended(soft->config.ctx, what, 0);
}

static void reset_machine(void *ctx)
{
    end_machine(ctx, VM_RESET);
}

static void power_off(void *ctx)
{
    end_machine(ctx, VM_POWER_OFF);
}

static void access_as(void *ctx, unsigned vcpu)
{
    vm_access_as(((struct soft *)ctx)->vm, vcpu);
}

static const struct ringside_direct_ops direct_ops = {is_memory, direct_page, executed};
static const struct ringside_breakpoint_ops breakpoint_ops = {insert_breakpoint, remove_breakpoint,
                                                              pass_breakpoint};
static const struct ringside_watch_ops watch_ops = {insert_watch, remove_watch};
static const struct ringside_catch_ops catch_ops = {set_catches, NULL};
static const struct ringside_fpu_ops fpu_ops = {read_fpu, write_fpu};
static const struct ringside_msr_ops msr_ops = {read_msr, write_msr};
static const struct ringside_machine_ops machine_ops = {reset_machine, power_off, access_as};

const struct ringside_target soft_target_ops = {
    .vcpu_count = vcpu_count,
    .read_regs = read_regs,
    .write_regs = write_regs,
    .read_memory = read_memory,
    .write_memory = write_memory,
    .kick = kick,
    .step = &soft_step_ops,
    .direct = &direct_ops,
    .breakpoint = &breakpoint_ops,
    .watch = &watch_ops,
    .catches = &catch_ops,
    .fpu = &fpu_ops,
    .msr = &msr_ops,
    .machine = &machine_ops,
};

const struct ringside_target *soft_target(void)
{
    return &soft_target_ops;
}
