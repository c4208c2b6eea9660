/* CPUID: what the processor says of itself, for both vendors. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/descriptor.h"

enum { EAX, EBX, ECX, EDX };

enum { ON_INTEL = 1 << CPU_INTEL, ON_AMD = 1 << CPU_AMD, ON_BOTH = ON_INTEL | ON_AMD };

/*
 * Every feature there is.  A name here is a promise that the instruction handlers keep; nothing
 * else is offered.  Control register bits follow from it: see system.c.
 */
static const struct feature {
    uint32_t leaf;
    uint8_t subleaf, reg, bit, vendors;
} features[] = {
    {1, 0, ECX, 0, ON_BOTH},   /* SSE3 */
    {1, 0, ECX, 1, ON_BOTH},   /* PCLMULQDQ */
    {1, 0, ECX, 9, ON_BOTH},   /* SSSE3 */
    {1, 0, ECX, 13, ON_BOTH},  /* CMPXCHG16B */
    {1, 0, ECX, 17, ON_BOTH},  /* PCID */
    {1, 0, ECX, 19, ON_BOTH},  /* SSE4.1 */
    {1, 0, ECX, 20, ON_BOTH},  /* SSE4.2 */
    {1, 0, ECX, 21, ON_BOTH},  /* x2APIC */
    {1, 0, ECX, 22, ON_BOTH},  /* MOVBE */
    {1, 0, ECX, 23, ON_BOTH},  /* POPCNT */
    {1, 0, ECX, 24, ON_BOTH},  /* TSC deadline */
    {1, 0, ECX, 25, ON_BOTH},  /* AES */
    {1, 0, ECX, 26, ON_BOTH},  /* XSAVE */
    {1, 0, ECX, 30, ON_BOTH},  /* RDRAND */
    {1, 0, ECX, 31, ON_BOTH},  /* a hypervisor: leaf 0x40000000 */
    {1, 0, EDX, 0, ON_BOTH},   /* FPU */
    {1, 0, EDX, 2, ON_BOTH},   /* DE */
    {1, 0, EDX, 3, ON_BOTH},   /* PSE */
    {1, 0, EDX, 4, ON_BOTH},   /* TSC */
    {1, 0, EDX, 5, ON_BOTH},   /* MSR */
    {1, 0, EDX, 6, ON_BOTH},   /* PAE */
    {1, 0, EDX, 7, ON_BOTH},   /* MCE */
    {1, 0, EDX, 8, ON_BOTH},   /* CMPXCHG8B */
    {1, 0, EDX, 11, ON_BOTH},  /* SYSENTER */
    {1, 0, EDX, 12, ON_BOTH},  /* MTRR */
    {1, 0, EDX, 13, ON_BOTH},  /* PGE */
    {1, 0, EDX, 14, ON_BOTH},  /* MCA */
    {1, 0, EDX, 15, ON_BOTH},  /* CMOV */
    {1, 0, EDX, 16, ON_BOTH},  /* PAT */
    {1, 0, EDX, 17, ON_BOTH},  /* PSE36 */
    {1, 0, EDX, 19, ON_BOTH},  /* CLFLUSH */
    {1, 0, EDX, 23, ON_BOTH},  /* MMX */
    {1, 0, EDX, 24, ON_BOTH},  /* FXSAVE */
    {1, 0, EDX, 25, ON_BOTH},  /* SSE */
    {1, 0, EDX, 26, ON_BOTH},  /* SSE2 */
    {6, 0, EAX, 2, ON_BOTH},   /* the APIC timer never stops */
    {7, 0, EBX, 0, ON_BOTH},   /* FSGSBASE */
    {7, 0, EBX, 1, ON_BOTH},   /* TSC_ADJUST */
    {7, 0, EBX, 7, ON_BOTH},   /* SMEP */
    {7, 0, EBX, 10, ON_BOTH},  /* INVPCID */
    {7, 0, EBX, 18, ON_BOTH},  /* RDSEED */
    {7, 0, EBX, 19, ON_BOTH},  /* ADX */
    {7, 0, EBX, 20, ON_BOTH},  /* SMAP */
    {7, 0, EBX, 23, ON_BOTH},  /* CLFLUSHOPT */
    {7, 0, EBX, 24, ON_BOTH},  /* CLWB */
    {7, 0, EBX, 29, ON_BOTH},  /* SHA */
    {7, 0, ECX, 2, ON_BOTH},   /* UMIP */
    {7, 0, ECX, 16, ON_BOTH},  /* LA57 */
    {7, 0, ECX, 22, ON_BOTH},  /* RDPID */
    {7, 0, EDX, 26, ON_INTEL}, /* IBRS, IBPB */
    {7, 0, EDX, 27, ON_INTEL}, /* STIBP */
    {7, 0, EDX, 29, ON_INTEL}, /* ARCH_CAPABILITIES */
    {0xd, 1, EAX, 0, ON_BOTH}, /* XSAVEOPT */
    {0xd, 1, EAX, 1, ON_BOTH}, /* XSAVEC */
    {0xd, 1, EAX, 3, ON_BOTH}, /* XSAVES */

    {0x80000001, 0, ECX, 0, ON_BOTH},  /* LAHF in 64-bit mode */
    {0x80000001, 0, ECX, 5, ON_BOTH},  /* LZCNT */
    {0x80000001, 0, ECX, 8, ON_BOTH},  /* PREFETCHW */
    {0x80000001, 0, ECX, 22, ON_AMD},  /* leaves 0x8000001D and 0x8000001E */
    {0x80000001, 0, EDX, 20, ON_BOTH}, /* NX */
    {0x80000001, 0, EDX, 26, ON_BOTH}, /* pages of 1 GiB */
    {0x80000001, 0, EDX, 27, ON_BOTH}, /* RDTSCP */
    {0x80000001, 0, EDX, 29, ON_BOTH}, /* long mode */
    {0x80000007, 0, EDX, 8, ON_BOTH},  /* invariant TSC */
    {0x80000008, 0, EBX, 2, ON_AMD},   /* FXSAVE always saves the error pointers */
    {0x80000008, 0, EBX, 12, ON_AMD},  /* IBPB */
    {0x80000008, 0, EBX, 14, ON_AMD},  /* IBRS */
    {0x80000008, 0, EBX, 15, ON_AMD},  /* STIBP */
    {0x80000008, 0, EBX, 26, ON_AMD},  /* no speculative store bypass */
    {0x80000008, 0, EBX, 29, ON_AMD},  /* no branch type confusion */
    {0x80000021, 0, EAX, 2, ON_AMD},   /* LFENCE serialises */
    {0x80000021, 0, EAX, 6, ON_AMD},   /* a null selector clears the base */
    {0x80000021, 0, EAX, 8, ON_AMD},   /* automatic IBRS */
    {0x80000021, 0, EAX, 29, ON_AMD},  /* no speculative return stack overflow */
    {0x80000021, 0, ECX, 1, ON_AMD},   /* no transient scheduler attacks: store queue */
    {0x80000021, 0, ECX, 2, ON_AMD},   /* and L1 */
};

static void add_features(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    for (unsigned i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
        const struct feature *f = &features[i];

        if (f->leaf == leaf && f->subleaf == subleaf && (f->vendors >> cpu->model.vendor & 1))
            out[f->reg] |= 1u << f->bit;
    }
}

/* --- Who it is ------------------------------------------------------------------------------- */

/*
 * Intel: an Atom of the Saltwell kind, which does not speculate either, and so needs no mitigations
 * from the guest; AMD: a Zen 3 server part.  Leaf 0x40000000 says what it really is.
 */
static const struct {
    char name[13];      /* leaf 0: EBX, EDX, ECX */
    uint32_t signature; /* family, model, stepping as leaf 1 has them */
    uint32_t last, last_extended;
    char brand[49];
} vendors[] = {
    [CPU_INTEL] = {"GenuineIntel", 0x00030661, 0x1f, 0x80000008,
                   "Ringside software CPU, Intel Atom class"},
    [CPU_AMD] = {"AuthenticAMD", 0x00a00f11, 0xd, 0x80000021,
                 "Ringside software CPU, AMD EPYC class"},
};

enum { LEAF_HYPERVISOR = 0x40000000, LEAF_TIMING = 0x40000010 };
/* The local APIC's timer and bus clock, also the crystal of leaf 0x15. */
enum { APIC_TIMER_HZ = 1000000000 };

static uint32_t four(const char *text)
{
    return (uint32_t)cpu_host_load(text, 4);
}

static uint32_t log2_ceil(uint32_t n)
{
    uint32_t bits = 0;

    while (1u << bits < n)
        bits++;
    return bits;
}

/* --- Topology and caches --------------------------------------------------------------------- */

/* One thread a core, all cores in one package (Intel leaves 0xB and 0x1F). */
static void topology(const struct cpu *cpu, uint32_t level, uint32_t out[4])
{
    const uint32_t type = level < 2 ? level + 1 : 0; /* SMT, core, none */

    out[EAX] = level == 1 ? log2_ceil(cpu->model.count) : 0;
    out[EBX] = level == 0 ? 1 : level == 1 ? cpu->model.count : 0;
    out[ECX] = type << 8 | (level & 0xff);
    out[EDX] = cpu->model.apic_id;
}

/* Type 1 data, 2 instructions, 3 unified; lines of 64 bytes.  The last level is shared by all. */
static const struct {
    uint8_t type, level;
    uint16_t ways, sets;
    bool shared;
} caches[] = {
    {1, 1, 8, 64, false},
    {2, 1, 8, 64, false},
    {3, 2, 16, 1024, true},
};

/* Intel leaf 4 and AMD leaf 0x8000001D have the same form but for the core count. */
static void cache(const struct cpu *cpu, uint32_t n, uint32_t out[4])
{
    const bool intel = cpu->model.vendor == CPU_INTEL;
    const uint32_t ids = 1u << log2_ceil(cpu->model.count);

    if (n >= sizeof(caches) / sizeof(caches[0]))
        return;
    out[EAX] = caches[n].type | caches[n].level << 5 | 1 << 8 /* self-initialising */ |
               (caches[n].shared ? ids - 1 : 0) << 14 | (intel ? (ids - 1) << 26 : 0);
    out[EBX] = (64 - 1) | (uint32_t)(caches[n].ways - 1) << 22;
    out[ECX] = caches[n].sets - 1u;
}

/* --- Leaves ---------------------------------------------------------------------------------- */

static void features_leaf(const struct cpu *cpu, uint32_t out[4])
{
    out[EAX] = vendors[cpu->model.vendor].signature;
    out[EBX] = (cpu->model.apic_id & 0xff) << 24 | (cpu->model.count & 0xff) << 16 | 8 << 8;
    if (cpu->r.apic_base & 1 << 11)
        out[EDX] |= 1 << 9;
    if (cpu->model.count > 1)
        out[EDX] |= 1 << 28;
    if (cpu->r.cr4 & X86_CR4_OSXSAVE)
        out[ECX] |= 1 << 27;
}

/* XSAVE: x87 and SSE state only, 576 bytes in either form. */
static void xsave_leaf(uint32_t subleaf, uint32_t out[4])
{
    if (subleaf == 0)
        out[EAX] = 3;
    if (subleaf == 0)
        out[ECX] = 576;
    if (subleaf <= 1)
        out[EBX] = 576;
}

static void extended_features_leaf(const struct cpu *cpu, uint32_t out[4])
{
    /* Bits that AMD repeats from leaf 1: all up to CMOV, PAT, PSE36, MMX and FXSAVE. */
    const uint32_t repeated = 0x0183f3ff;
    uint32_t basic[4] = {0};

    if (cpu->model.vendor == CPU_AMD) {
        features_leaf(cpu, basic);
        add_features(cpu, 1, 0, basic);
        out[EAX] = basic[EAX];
        out[EDX] |= basic[EDX] & repeated;
    }
    /* SYSCALL: Intel shows it to 64-bit code, where alone it works. */
    if (cpu->model.vendor == CPU_AMD || cpu->width == X86_CODE64)
        out[EDX] |= 1 << 11;
}

static void timing_leaf(const struct cpu *cpu, uint32_t out[4])
{
    out[EAX] = (uint32_t)(cpu->model.tsc_hz / 1000);
    out[EBX] = APIC_TIMER_HZ / 1000;
}

static void hypervisor_leaf(const struct cpu *cpu, uint32_t leaf, uint32_t out[4])
{
    static const char name[13] = "RingsideVM  ";

    if (leaf == LEAF_TIMING)
        timing_leaf(cpu, out);
    if (leaf != LEAF_HYPERVISOR)
        return;
    out[EAX] = LEAF_TIMING;
    out[EBX] = four(name);
    out[ECX] = four(name + 4);
    out[EDX] = four(name + 8);
}

static void basic_leaf(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const bool intel = cpu->model.vendor == CPU_INTEL;
    const char *name = vendors[cpu->model.vendor].name;

    switch (leaf) {
    case 0:
        out[EAX] = vendors[cpu->model.vendor].last;
        out[EBX] = four(name);
        out[EDX] = four(name + 4);
        out[ECX] = four(name + 8);
        break;
    case 1: features_leaf(cpu, out); break;
    case 2: /* caches are in leaf 4, TLBs nowhere */
        if (intel)
            out[EAX] = 0x00feff01;
        break;
    case 4:
        if (intel)
            cache(cpu, subleaf, out);
        break;
    case 0xb:
    case 0x1f: topology(cpu, subleaf, out); break;
    case 0xd: xsave_leaf(subleaf, out); break;
    case 0x15: /* TSC = crystal * EBX / EAX */
        out[EAX] = APIC_TIMER_HZ / 1000000;
        out[EBX] = (uint32_t)(cpu->model.tsc_hz / 1000000);
        out[ECX] = APIC_TIMER_HZ;
        break;
    case 0x16: /* base, maximum and bus frequency in MHz */
        out[EAX] = out[EBX] = (uint32_t)(cpu->model.tsc_hz / 1000000);
        out[ECX] = 100;
        break;
    }
}

static void extended_leaf(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const bool amd = cpu->model.vendor == CPU_AMD;
    const char *name = vendors[cpu->model.vendor].name;
    const char *brand = vendors[cpu->model.vendor].brand;

    switch (leaf) {
    case 0x80000000:
        out[EAX] = vendors[cpu->model.vendor].last_extended;
        if (amd) {
            out[EBX] = four(name);
            out[EDX] = four(name + 4);
            out[ECX] = four(name + 8);
        }
        break;
    case 0x80000001: extended_features_leaf(cpu, out); break;
    case 0x80000002:
    case 0x80000003:
    case 0x80000004: memcpy(out, brand + (leaf - 0x80000002) * 16, 16); break;
    case 0x80000005: /* L1: 32 KiB, 8 ways, lines of 64 bytes */
        if (amd)
            out[ECX] = out[EDX] = 32u << 24 | 8 << 16 | 1 << 8 | 64;
        break;
    case 0x80000006: /* L2: 1 MiB, 16 ways (code 8) */ out[ECX] = 1024u << 16 | 8 << 12 | 64; break;
    case 0x80000008:
        out[EAX] = CPU_PHYS_BITS | 57 << 8;
        if (amd)
            out[ECX] = (cpu->model.count - 1) | log2_ceil(cpu->model.count) << 12;
        break;
    case 0x8000001d: cache(cpu, subleaf, out); break;
    case 0x8000001e:
        out[EAX] = cpu->model.apic_id;
        out[EBX] = cpu->model.apic_id & 0xff; /* core, with one thread */
        break;
    }
}

void cpu_cpuid(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
    const uint32_t last = vendors[cpu->model.vendor].last;
    const bool subleaves =
        leaf == 4 || leaf == 7 || leaf == 0xb || leaf == 0xd || leaf == 0x1f || leaf == 0x8000001d;

    memset(out, 0, 4 * sizeof(out[0]));
    if (leaf >> 28 == 4) {
        hypervisor_leaf(cpu, leaf, out);
        return;
    }
    if (leaf >> 31 ? leaf > vendors[cpu->model.vendor].last_extended : leaf > last) {
        if (cpu->model.vendor == CPU_AMD)
            return;
        leaf = last; /* Intel answers with its last basic leaf */
    }
    add_features(cpu, leaf, subleaves ? subleaf : 0, out);
    if (leaf >> 31)
        extended_leaf(cpu, leaf, subleaf, out);
    else
        basic_leaf(cpu, leaf, subleaf, out);
}
