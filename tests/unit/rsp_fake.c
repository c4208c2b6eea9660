/* The hypervisor that tests of the debug server talk to. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp_fake.h"

#include <string.h>

#include "x86/regs.h"

static unsigned vcpu_count(void *ctx)
{
    (void)ctx;
    return FAKE_VCPUS;
}

static int read_regs(void *ctx, unsigned vcpu, struct ringside_regs *out)
{
    *out = ((struct fake *)ctx)->regs[vcpu];
    return RINGSIDE_OK;
}

static int write_regs(void *ctx, unsigned vcpu, const struct ringside_regs *in)
{
    if (in->cr8 > 15)
        return RINGSIDE_EINVAL;
    ((struct fake *)ctx)->regs[vcpu] = *in;
    return RINGSIDE_OK;
}

static int read_memory(void *ctx, uint64_t gpa, void *buffer, size_t n)
{
    struct fake *fake = ctx;

    if (gpa == FAKE_MMIO && n == 4) {
        fake->mmio_reads++;
        memcpy(buffer, &fake->mmio_reads, 4);
        return RINGSIDE_OK;
    }
    if (gpa >= FAKE_MEMORY || n > FAKE_MEMORY - gpa)
        return RINGSIDE_EFAULT;
    memcpy(buffer, fake->memory + gpa, n);
    return RINGSIDE_OK;
}

static int write_memory(void *ctx, uint64_t gpa, const void *buffer, size_t n)
{
    struct fake *fake = ctx;

    if (gpa == FAKE_MMIO && n == 4) {
        memcpy(&fake->mmio_written, buffer, 4);
        return RINGSIDE_OK;
    }
    if (gpa >= FAKE_MEMORY || n > FAKE_MEMORY - gpa)
        return RINGSIDE_EFAULT;
    memcpy(fake->memory + gpa, buffer, n);
    return RINGSIDE_OK;
}

static void kick(void *ctx, unsigned vcpu)
{
    (void)ctx, (void)vcpu;
}

static unsigned probe(void *ctx, unsigned vcpu)
{
    (void)ctx, (void)vcpu;
    return RINGSIDE_STEP_MONITOR_TRAP;
}

static int arm(void *ctx, unsigned vcpu, unsigned way, bool hold)
{
    struct fake *fake = ctx;

    if (way != RINGSIDE_STEP_MONITOR_TRAP)
        return RINGSIDE_ENOTSUP;
    fake->step[vcpu].armed = true;
    fake->step[vcpu].hold = hold;
    return RINGSIDE_OK;
}

static void disarm(void *ctx, unsigned vcpu)
{
    ((struct fake *)ctx)->step[vcpu].armed = false;
}

static int insert_breakpoint(void *ctx, uint64_t gpa)
{
    struct fake *fake = ctx;

    if (gpa >= FAKE_MEMORY)
        return RINGSIDE_EFAULT;
    if (fake->breakpoint_count == fake->breakpoint_limit)
        return RINGSIDE_ENOSPC;
    fake->breakpoints[fake->breakpoint_count++] = gpa;
    return RINGSIDE_OK;
}

bool fake_has_breakpoint(const struct fake *fake, uint64_t gpa)
{
    for (unsigned i = 0; i < fake->breakpoint_count; i++)
        if (fake->breakpoints[i] == gpa)
            return true;
    return false;
}

static int remove_breakpoint(void *ctx, uint64_t gpa)
{
    struct fake *fake = ctx;

    for (unsigned i = 0; i < fake->breakpoint_count; i++) {
        if (fake->breakpoints[i] == gpa) {
            fake->breakpoints[i] = fake->breakpoints[--fake->breakpoint_count];
            return RINGSIDE_OK;
        }
    }
    return RINGSIDE_EINVAL;
}

static int insert_watch(void *ctx, enum ringside_watch_kind kind, uint64_t linear, uint64_t length)
{
    struct fake *fake = ctx;

    if (fake->watch_count == fake->watch_limit)
        return RINGSIDE_ENOSPC;
    fake->watches[fake->watch_count++] = (struct fake_watch){kind, linear, length};
    return RINGSIDE_OK;
}

bool fake_has_watch(const struct fake *fake, enum ringside_watch_kind kind, uint64_t linear)
{
    for (unsigned i = 0; i < fake->watch_count; i++)
        if (fake->watches[i].kind == kind && fake->watches[i].linear == linear)
            return true;
    return false;
}

static int remove_watch(void *ctx, enum ringside_watch_kind kind, uint64_t linear, uint64_t length)
{
    struct fake *fake = ctx;

    for (unsigned i = 0; i < fake->watch_count; i++) {
        const struct fake_watch *w = &fake->watches[i];
        if (w->kind == kind && w->linear == linear && w->length == length) {
            fake->watches[i] = fake->watches[--fake->watch_count];
            return RINGSIDE_OK;
        }
    }
    return RINGSIDE_EINVAL;
}

/* It cannot catch the port 0xcf9. */
static int set_catches(void *ctx, const struct ringside_catch *catches, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (catches[i].kind == RINGSIDE_CATCH_PORT && catches[i].number == 0xcf9)
            return RINGSIDE_ENOTSUP;
    ((struct fake *)ctx)->catch_count = (unsigned)count;
    return RINGSIDE_OK;
}

static int read_fpu(void *ctx, unsigned vcpu, struct ringside_fpu *out)
{
    *out = ((struct fake *)ctx)->fpu[vcpu];
    return RINGSIDE_OK;
}

static int write_fpu(void *ctx, unsigned vcpu, const struct ringside_fpu *in)
{
    ((struct fake *)ctx)->fpu[vcpu] = *in;
    return RINGSIDE_OK;
}

/* One MSR, of which bit 63 is reserved. */
enum { MSR = 0x277 };

static int read_msr(void *ctx, unsigned vcpu, uint32_t msr, uint64_t *out)
{
    (void)vcpu;
    if (msr != MSR)
        return RINGSIDE_EINVAL;
    *out = ((struct fake *)ctx)->msr;
    return RINGSIDE_OK;
}

static int write_msr(void *ctx, unsigned vcpu, uint32_t msr, uint64_t in)
{
    (void)vcpu;
    if (msr != MSR || in >> 63)
        return RINGSIDE_EINVAL;
    ((struct fake *)ctx)->msr = in;
    return RINGSIDE_OK;
}

static void reset(void *ctx)
{
    ((struct fake *)ctx)->resets++;
}

static void power_off(void *ctx)
{
    ((struct fake *)ctx)->power_offs++;
}

static const struct ringside_step_ops step_ops = {.probe = probe, .arm = arm, .disarm = disarm};
static const struct ringside_breakpoint_ops breakpoint_ops = {insert_breakpoint, remove_breakpoint,
                                                              NULL};
static const struct ringside_watch_ops watch_ops = {insert_watch, remove_watch};
static const struct ringside_catch_ops catch_ops = {set_catches, "all but port 0xcf9"};
static const struct ringside_fpu_ops fpu_ops = {read_fpu, write_fpu};
static const struct ringside_msr_ops msr_ops = {read_msr, write_msr};
static const struct ringside_machine_ops machine_ops = {reset, power_off, NULL};

void fake_init(struct fake *fake)
{
    memset(fake, 0, sizeof *fake);
    fake->target = (struct ringside_target){
        .vcpu_count = vcpu_count,
        .read_regs = read_regs,
        .write_regs = write_regs,
        .read_memory = read_memory,
        .write_memory = write_memory,
        .kick = kick,
        .step = &step_ops,
        .breakpoint = &breakpoint_ops,
        .watch = &watch_ops,
        .catches = &catch_ops,
        .fpu = &fpu_ops,
        .msr = &msr_ops,
        .machine = &machine_ops,
    };
    fake->config = (struct ringside_config){
        .target = &fake->target,
        .ctx = fake,
        .stop_on_attach = true,
        .resume_on_detach = true,
        .step_ways = RINGSIDE_STEP_MONITOR_TRAP, /* its memory holds no code */
        .version = "0.0-test",
    };
    fake->breakpoint_limit = fake->watch_limit = FAKE_SETS;
    for (unsigned vcpu = 0; vcpu < FAKE_VCPUS; vcpu++) {
        struct ringside_regs *regs = &fake->regs[vcpu];
        for (unsigned i = 0; i < 16; i++)
            regs->gpr[i] = 0x1000 * (vcpu + 1) + i;
        regs->rip = 0x1000 * (vcpu + 1);
        regs->rflags = X86_FLAGS_FIXED;
        regs->cr0 = X86_CR0_PE;
        regs->seg[RINGSIDE_CS].access = X86_SEG_DB;
        regs->seg[RINGSIDE_CS].limit = UINT32_MAX;
        fake->fpu[vcpu].fcw = 0x37f;
        fake->fpu[vcpu].mxcsr = 0x1f80;
    }
    for (size_t i = 0; i < FAKE_MEMORY; i++)
        fake->memory[i] = (unsigned char)(i ^ i >> 8 ^ i >> 16);
}

static void put_entry(struct fake *fake, uint64_t table, unsigned index, uint64_t entry)
{
    memcpy(fake->memory + table + index * sizeof entry, &entry, sizeof entry);
}

/* One table a level, one after the other from FAKE_TABLES on. */
static uint64_t table_at(unsigned level)
{
    return FAKE_TABLES + (4 - level) * 0x1000ull;
}

void fake_map_page(struct fake *fake, unsigned page, uint64_t gpa)
{
    put_entry(fake, table_at(1), page, gpa | 3);
}

void fake_enable_paging(struct fake *fake, unsigned vcpu)
{
    struct ringside_regs *regs = &fake->regs[vcpu];

    memset(fake->memory + FAKE_TABLES, 0, 0x4000);
    for (unsigned level = 4; level > 1; level--)
        put_entry(fake, table_at(level), FAKE_LINEAR >> (12 + 9 * (level - 1)) & 511,
                  table_at(level - 1) | 3);
    for (unsigned page = 0; page < 16; page++)
        fake_map_page(fake, page, page * 0x1000ull);
    fake_map_page(fake, 1, 0x2000);
    fake_map_page(fake, 2, 0x1000);
    put_entry(fake, table_at(1), 3, 0);
    regs->cr3 = FAKE_TABLES;
    regs->cr0 = X86_CR0_PE | X86_CR0_PG;
    regs->cr4 = X86_CR4_PAE;
    regs->efer = X86_EFER_LME | X86_EFER_LMA;
    regs->seg[RINGSIDE_CS].access = X86_SEG_L;
}
