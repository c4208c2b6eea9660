/* Model-specific registers, and the instructions that read counters, numbers and randomness. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/descriptor.h"

uint64_t cpu_tsc(const struct cpu *cpu)
{
    return (cpu->count + cpu->idle) * cpu->model.tsc_per_insn + (uint64_t)cpu->tsc_offset;
}

/* --- The table ------------------------------------------------------------------------------- */

enum msr_rule {
    MSR_BITS,         /* writing another value into a bit outside writable is #GP */
    MSR_IGNORE,       /* writes are ignored outside writable */
    MSR_CANONICAL,    /* a linear address */
    MSR_MEMORY_TYPES, /* eight memory types: IA32_PAT and the fixed-range MTRRs */
    MSR_WRITE_ONLY,
};

enum { ON_INTEL = 1 << CPU_INTEL, ON_AMD = 1 << CPU_AMD, ON_BOTH = ON_INTEL | ON_AMD };
enum { NO_FIELD = 0 };

struct msr {
    uint32_t number;
    uint8_t vendors, rule;
    uint8_t count, step; /* of several: they are numbered number, number + step, ... */
    uint32_t offset;     /* in struct cpu, of the first; or NO_FIELD */
    uint64_t writable;
    uint64_t value; /* of what is not kept in a field */
};

#define FIELD(name) .offset = offsetof(struct cpu, name)
/* Of the flaws that have a "not affected" bit it has none. */
#define ARCH_CAPABILITIES                                                                          \
    (1ull << 0 /* RDCL_NO */ | 1ull << 1 /* IBRS_ALL */ | 1ull << 3 /* SKIP_L1DFL_VMENTRY */ |     \
     1ull << 4 /* SSB_NO */ | 1ull << 5 /* MDS_NO */ | 1ull << 6 /* IF_PSCHANGE_MC_NO */ |         \
     1ull << 8 /* TAA_NO */ | 1ull << 13 /* SBDR_SSDP_NO */ | 1ull << 14 /* FBSDP_NO */ |          \
     1ull << 15 /* PSDP_NO */ | 1ull << 20 /* BHI_NO */ | 1ull << 24 /* PBRSB_NO */ |              \
     1ull << 26 /* GDS_NO */ | 1ull << 27 /* RFDS_NO */ | 1ull << 62 /* ITS_NO */)
#define ADDRESS_MASK ((1ull << CPU_PHYS_BITS) - 0x1000)

/*
 * Intel SDM vol. 4 and AMD APM vol. 2, appendix A.  This CPU does not speculate: IBRS, STIBP and
 * IBPB are accepted and cost nothing.  MISC_ENABLE: fast strings on, no BTS, no PEBS.
 */
static const struct msr table[] = {
    {0x17 /* PLATFORM_ID */, ON_INTEL, MSR_BITS, .value = 0},
    {X86_MSR_FEATURE_CONTROL, ON_INTEL, MSR_BITS, .value = 1 /* locked, no VMX */},
    {X86_MSR_SPEC_CTRL, ON_BOTH, MSR_BITS, FIELD(spec_ctrl), .writable = 3},
    {X86_MSR_PRED_CMD, ON_BOTH, MSR_WRITE_ONLY, .writable = 1},
    {X86_MSR_BIOS_SIGN_ID, ON_INTEL, MSR_IGNORE, .value = 1ull << 32},
    {X86_MSR_BIOS_SIGN_ID, ON_AMD, MSR_IGNORE, .value = 1},
    {X86_MSR_MTRR_CAP, ON_BOTH, MSR_BITS, .value = 0x508 /* 8 variable, fixed, WC */},
    {X86_MSR_ARCH_CAPABILITIES, ON_INTEL, MSR_BITS, .value = ARCH_CAPABILITIES},
    {X86_MSR_SYSENTER_CS, ON_BOTH, MSR_IGNORE, FIELD(r.sysenter_cs), .writable = UINT32_MAX},
    {X86_MSR_SYSENTER_ESP, ON_BOTH, MSR_CANONICAL, FIELD(r.sysenter_esp)},
    {X86_MSR_SYSENTER_EIP, ON_BOTH, MSR_CANONICAL, FIELD(r.sysenter_eip)},
    {X86_MSR_MCG_CAP, ON_BOTH, MSR_BITS, .value = 0 /* no banks */},
    {X86_MSR_MCG_STATUS, ON_BOTH, MSR_BITS, .value = 0},
    {X86_MSR_MISC_ENABLE, ON_INTEL, MSR_BITS, FIELD(r.misc_enable), .writable = 1,
     .value = 1 << 11 | 1 << 12},
    {X86_MSR_DEBUGCTL, ON_BOTH, MSR_BITS, FIELD(r.debugctl),
     .writable = X86_DEBUGCTL_LBR | X86_DEBUGCTL_BTF},
    {X86_MSR_MTRR_PHYSBASE0, ON_BOTH, MSR_BITS, 8, 2, FIELD(mtrr_base),
     .writable = ADDRESS_MASK | 0xff},
    {X86_MSR_MTRR_PHYSBASE0 + 1, ON_BOTH, MSR_BITS, 8, 2, FIELD(mtrr_mask),
     .writable = ADDRESS_MASK | 0x800},
    {X86_MSR_MTRR_FIX64K, ON_BOTH, MSR_MEMORY_TYPES, FIELD(mtrr_fixed[0])},
    {0x258 /* MTRR_FIX16K */, ON_BOTH, MSR_MEMORY_TYPES, 2, 1, FIELD(mtrr_fixed[1])},
    {0x268 /* MTRR_FIX4K */, ON_BOTH, MSR_MEMORY_TYPES, 8, 1, FIELD(mtrr_fixed[3])},
    {X86_MSR_PAT, ON_BOTH, MSR_MEMORY_TYPES, FIELD(r.pat)},
    {X86_MSR_MTRR_DEF_TYPE, ON_BOTH, MSR_BITS, FIELD(mtrr_def), .writable = 0xcff},
    {X86_MSR_XSS, ON_BOTH, MSR_BITS, FIELD(r.xss)},
    {X86_MSR_STAR, ON_BOTH, MSR_BITS, FIELD(r.star), .writable = UINT64_MAX},
    {X86_MSR_LSTAR, ON_BOTH, MSR_CANONICAL, FIELD(r.lstar)},
    {X86_MSR_CSTAR, ON_BOTH, MSR_CANONICAL, FIELD(r.cstar)},
    {X86_MSR_SFMASK, ON_BOTH, MSR_BITS, FIELD(r.sfmask), .writable = UINT32_MAX},
    {X86_MSR_FS_BASE, ON_BOTH, MSR_CANONICAL, FIELD(r.seg[RINGSIDE_FS].base)},
    {X86_MSR_GS_BASE, ON_BOTH, MSR_CANONICAL, FIELD(r.seg[RINGSIDE_GS].base)},
    {X86_MSR_KERNEL_GS_BASE, ON_BOTH, MSR_CANONICAL, FIELD(r.kernel_gs_base)},
    {X86_MSR_TSC_AUX, ON_BOTH, MSR_BITS, FIELD(r.tsc_aux), .writable = UINT32_MAX},
    {X86_MSR_AMD_SYSCFG, ON_AMD, MSR_BITS, .value = 0},
    {X86_MSR_AMD_HWCR, ON_AMD, MSR_IGNORE, FIELD(amd_hwcr), .writable = 0x7effffff,
     .value = 1 << 24 /* the TSC counts at P0 frequency */},
    {0xc001001f /* NB_CFG */, ON_AMD, MSR_IGNORE, .value = 0},
    {X86_MSR_AMD_DE_CFG, ON_AMD, MSR_IGNORE, .value = 2 /* LFENCE serialises */},
};

static const struct msr *find(const struct cpu *cpu, uint32_t number, unsigned *index)
{
    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        const struct msr *m = &table[i];
        const unsigned step = m->step ? m->step : 1, count = m->count ? m->count : 1;
        const uint32_t distance = number - m->number;

        if ((m->vendors >> cpu->model.vendor & 1) && distance % step == 0 &&
            distance / step < count) {
            *index = distance / step;
            return m;
        }
    }
    return NULL;
}

static uint64_t *field(struct cpu *cpu, const struct msr *m, unsigned index)
{
    return (uint64_t *)(void *)((char *)cpu + m->offset) + index;
}

static uint64_t current(struct cpu *cpu, const struct msr *m, unsigned index)
{
    return m->offset == NO_FIELD ? m->value : m->value | *field(cpu, m, index);
}

/* UC, WC, WT, WP, WB and, in IA32_PAT alone, UC- (SDM vol. 3, "Page Attribute Table (PAT)"). */
static bool memory_types_valid(uint32_t number, uint64_t value)
{
    const unsigned types = number == X86_MSR_PAT ? 0xf3u : 0x73u;

    for (unsigned i = 0; i < 8; i++) {
        const uint8_t type = (uint8_t)(value >> 8 * i);

        if (type > 7 || !(types >> type & 1))
            return false;
    }
    return true;
}

/* --- Those that are more than a field -------------------------------------------------------- */

/* EFER.AIBRSE, AMD's automatic IBRS: see the table. */
#define EFER_AIBRSE (1ull << 21)

static bool write_efer(struct cpu *cpu, uint64_t value)
{
    const uint64_t writable = X86_EFER_SCE | X86_EFER_LME | X86_EFER_NXE |
                              (cpu->model.vendor == CPU_AMD ? EFER_AIBRSE : 0);
    const uint64_t kept = cpu->r.efer & X86_EFER_LMA;

    value &= ~(uint64_t)X86_EFER_LMA;
    if ((value & ~writable) ||
        ((cpu->r.cr0 & X86_CR0_PG) && ((value ^ cpu->r.efer) & X86_EFER_LME)))
        return false;
    cpu->r.efer = value | kept;
    return true;
}

/* A write of the counter shows in TSC_ADJUST, and back ("Time-Stamp Counter Adjustment"). */
static void shift_tsc(struct cpu *cpu, uint64_t by)
{
    cpu->tsc_offset = (int64_t)((uint64_t)cpu->tsc_offset + by);
    cpu->tsc_adjust += by;
}

/* What the machine around the CPU keeps. */
static bool on_bus(uint32_t number)
{
    return number == X86_MSR_APIC_BASE || number == X86_MSR_TSC_DEADLINE ||
           (number >= X86_MSR_X2APIC_FIRST && number <= X86_MSR_X2APIC_LAST);
}

/* --- Access ---------------------------------------------------------------------------------- */

static int refuse(struct cpu *cpu)
{
    return cpu_fault_code(cpu, X86_EXC_GP, 0);
}

int cpu_read_msr(struct cpu *cpu, uint32_t number, uint64_t *value)
{
    const struct msr *m;
    unsigned index;
    int status;

    if (on_bus(number)) {
        status = cpu->bus->rdmsr(cpu->ctx, cpu, number, value);
        return status == CPU_FAULT ? refuse(cpu) : status;
    }
    switch (number) {
    case X86_MSR_TSC: *value = cpu_tsc(cpu); return CPU_NEXT;
    case X86_MSR_TSC_ADJUST: *value = cpu->tsc_adjust; return CPU_NEXT;
    case X86_MSR_EFER: *value = cpu->r.efer; return CPU_NEXT;
    }
    m = find(cpu, number, &index);
    if (!m || m->rule == MSR_WRITE_ONLY)
        return refuse(cpu);
    *value = current(cpu, m, index);
    return CPU_NEXT;
}

static int write_table(struct cpu *cpu, uint32_t number, uint64_t value)
{
    unsigned index;
    const struct msr *m = find(cpu, number, &index);
    uint64_t old;

    if (!m)
        return refuse(cpu);
    old = current(cpu, m, index);
    switch (m->rule) {
    case MSR_CANONICAL:
        if (!cpu_is_canonical(cpu, value))
            return refuse(cpu);
        break;
    case MSR_MEMORY_TYPES:
        if (!memory_types_valid(number, value))
            return refuse(cpu);
        break;
    case MSR_IGNORE: value = (old & ~m->writable) | (value & m->writable); break;
    default:
        if ((value ^ old) & ~m->writable)
            return refuse(cpu);
    }
    if (m->offset != NO_FIELD)
        *field(cpu, m, index) = value;
    return CPU_NEXT;
}

int cpu_write_msr(struct cpu *cpu, uint32_t number, uint64_t value)
{
    int status;

    if (on_bus(number)) {
        status = cpu->bus->wrmsr(cpu->ctx, cpu, number, value);
        return status == CPU_FAULT ? refuse(cpu) : status;
    }
    switch (number) {
    case X86_MSR_TSC: shift_tsc(cpu, value - cpu_tsc(cpu)); return CPU_NEXT;
    case X86_MSR_TSC_ADJUST: shift_tsc(cpu, value - cpu->tsc_adjust); return CPU_NEXT;
    case X86_MSR_EFER:
        if (!write_efer(cpu, value))
            return refuse(cpu);
        break;
    default: CPU_TRY(write_table(cpu, number, value));
    }
    cpu_update_mode(cpu);
    return CPU_NEXT;
}

/* --- Instructions ---------------------------------------------------------------------------- */

static void set_edx_eax(struct cpu *cpu, uint64_t value)
{
    cpu_set_gpr(cpu, RINGSIDE_RAX, 4, value);
    cpu_set_gpr(cpu, RINGSIDE_RDX, 4, value >> 32);
}

static int rdmsr(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    (void)insn;
    CPU_TRY(cpu_require_cpl0(cpu));
    CPU_TRY(cpu_read_msr(cpu, (uint32_t)cpu->r.gpr[RINGSIDE_RCX], &value));
    set_edx_eax(cpu, value);
    return CPU_SYNC;
}

static int wrmsr(struct cpu *cpu, const struct x86_insn *insn)
{
    const uint64_t value = cpu_gpr(cpu, RINGSIDE_RAX, 4) | cpu->r.gpr[RINGSIDE_RDX] << 32;

    (void)insn;
    CPU_TRY(cpu_require_cpl0(cpu));
    CPU_TRY(cpu_write_msr(cpu, (uint32_t)cpu->r.gpr[RINGSIDE_RCX], value));
    cpu_catch_write(cpu, RINGSIDE_CATCH_MSR, (uint32_t)cpu->r.gpr[RINGSIDE_RCX], value);
    return CPU_SYNC;
}

bool cpu_writes_address(const struct cpu *cpu)
{
    switch ((uint32_t)cpu->r.gpr[RINGSIDE_RCX]) {
    case X86_MSR_LSTAR:
    case X86_MSR_CSTAR:
    case X86_MSR_FS_BASE:
    case X86_MSR_GS_BASE:
    case X86_MSR_KERNEL_GS_BASE: return true;
    default: return false;
    }
}

static int require_tsc(struct cpu *cpu)
{
    return cpu->r.cr4 & X86_CR4_TSD ? cpu_require_cpl0(cpu) : CPU_NEXT;
}

static int rdtsc(struct cpu *cpu, const struct x86_insn *insn)
{
    CPU_TRY(require_tsc(cpu));
    set_edx_eax(cpu, cpu_tsc(cpu));
    if (insn->op == X86_RDTSCP)
        cpu_set_gpr(cpu, RINGSIDE_RCX, 4, cpu->r.tsc_aux);
    return CPU_NEXT;
}

static int rdpid(struct cpu *cpu, const struct x86_insn *insn)
{
    cpu_set_gpr(cpu, insn->operand[0].reg, cpu->width == X86_CODE64 ? 8 : 4, cpu->r.tsc_aux);
    return CPU_NEXT;
}

/* No counter exists. */
static int rdpmc(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    return refuse(cpu);
}

static int cpuid(struct cpu *cpu, const struct x86_insn *insn)
{
    uint32_t out[4];

    (void)insn;
    cpu_cpuid(cpu, (uint32_t)cpu->r.gpr[RINGSIDE_RAX], (uint32_t)cpu->r.gpr[RINGSIDE_RCX], out);
    cpu_set_gpr(cpu, RINGSIDE_RAX, 4, out[0]);
    cpu_set_gpr(cpu, RINGSIDE_RBX, 4, out[1]);
    cpu_set_gpr(cpu, RINGSIDE_RCX, 4, out[2]);
    cpu_set_gpr(cpu, RINGSIDE_RDX, 4, out[3]);
    return CPU_SYNC;
}

/* RDRAND and RDSEED: the same run draws the same numbers (a Weyl sequence, mixed). */
static int rdrand(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value = cpu->rng += 0x9e3779b97f4a7c15;

    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    value ^= value >> 31;
    cpu_set_gpr(cpu, insn->operand[0].reg, insn->opsize, value);
    cpu_set_arith_flags(cpu, X86_FLAG_CF);
    return CPU_NEXT;
}

cpu_handler *cpu_bind_msr(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_RDMSR: return rdmsr;
    case X86_WRMSR: return wrmsr;
    case X86_RDTSC:
    case X86_RDTSCP: return rdtsc;
    case X86_RDPID: return rdpid;
    case X86_RDPMC: return rdpmc;
    case X86_CPUID: return cpuid;
    case X86_RDRAND:
    case X86_RDSEED: return rdrand;
    default: return NULL;
    }
}
