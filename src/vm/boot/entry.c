/* The boot processor's registers as boot protocols want them, and the tables they refer to. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "vm/boot/internal.h"
#include "x86/regs.h"

/* The selectors that Linux's boot protocol demands; other protocols leave them open. */
enum { BOOT_CS = 0x10, BOOT_DS = 0x18, GDT_SIZE = 0x20 };
enum {
    CODE_TYPE = 0xb, /* execute, read, accessed */
    DATA_TYPE = 0x3, /* read, write, accessed */
    TSS32_BUSY = 0xb,
    TSS32_LIMIT = 0x67,
    FLAT = X86_SEG_S | X86_SEG_P | X86_SEG_G,
    CODE32 = FLAT | CODE_TYPE | X86_SEG_DB,
    CODE64 = FLAT | CODE_TYPE | X86_SEG_L,
    DATA32 = FLAT | DATA_TYPE | X86_SEG_DB,
};

/* After a reset (Intel SDM vol. 3, "Programming the PAT" and "Local APIC Status and Location"). */
#define PAT_RESET       0x0007040600070406ull
#define APIC_BASE_RESET (VM_LAPIC_BASE | 1 << 11 | 1 << 8) /* enabled, boot processor */

/* A flat segment as a descriptor (SDM vol. 3, "Segment Descriptors"): its access bits lie at 40. */
static uint64_t descriptor(unsigned access)
{
    return 0xffffull | (uint64_t)access << 40 | 0xfull << 48;
}

static int build_gdt(struct boot *boot, unsigned code, struct ringside_regs *regs)
{
    uint64_t gpa;
    uint8_t *gdt = boot_place(boot, "the GDT", GDT_SIZE, 16, 0x1000, BOOT_LOW_END, &gpa);
    if (!gdt)
        return -1;
    memset(gdt, 0, GDT_SIZE);
    put64(gdt + BOOT_CS, descriptor(code));
    put64(gdt + BOOT_DS, descriptor(DATA32));
    regs->gdtr = (struct ringside_table){.base = gpa, .limit = GDT_SIZE - 1};
    return 0;
}

/* Level by level: one PML4 entry, four PDPT entries, 4 x 512 pages of 2 MiB. */
static int build_page_tables(struct boot *boot, uint64_t *cr3)
{
    enum { TABLE = 4096, TABLES = 6, PRESENT_WRITABLE = 3, LARGE = 1 << 7 };
    uint8_t *tables =
        boot_place(boot, "page tables", TABLES * TABLE, TABLE, 0x1000, BOOT_LOW_END, cr3);
    if (!tables)
        return -1;
    memset(tables, 0, TABLES * TABLE);
    put64(tables, (*cr3 + TABLE) | PRESENT_WRITABLE);
    for (unsigned gib = 0; gib < 4; gib++) {
        put64(tables + TABLE + gib * 8, (*cr3 + (2 + gib) * TABLE) | PRESENT_WRITABLE);
        for (uint64_t page = 0; page < 512; page++)
            put64(tables + (2 + gib) * TABLE + page * 8,
                  ((uint64_t)gib << 30) | page << 21 | LARGE | PRESENT_WRITABLE);
    }
    return 0;
}

static struct ringside_regs protected_mode(unsigned code)
{
    struct ringside_regs regs = {
        .rflags = X86_FLAGS_FIXED,
        .cr0 = X86_CR0_PE | X86_CR0_ET,
        .dr6 = X86_DR6_FIXED,
        .dr7 = X86_DR7_FIXED,
        .xcr0 = 1,
        .pat = PAT_RESET,
        .apic_base = APIC_BASE_RESET,
        .misc_enable = 1, /* fast strings */
        .tr = {.limit = TSS32_LIMIT, .access = X86_SEG_P | TSS32_BUSY},
        .activity = RINGSIDE_RUNNING,
    };
    for (unsigned i = 0; i < 6; i++)
        regs.seg[i] =
            (struct ringside_segment){.limit = UINT32_MAX, .selector = BOOT_DS, .access = DATA32};
    regs.seg[RINGSIDE_CS].selector = BOOT_CS;
    regs.seg[RINGSIDE_CS].access = (uint16_t)code;
    return regs;
}

static int check_entry(struct boot *boot, uint64_t rip)
{
    if (rip < VM_LOW_RAM_MAX && vm_ram(boot->vm, rip, 1))
        for (unsigned i = 0; i < boot->claims; i++)
            if (rip >= boot->claim[i].begin && rip < boot->claim[i].end)
                return 0;
    return boot_fail(boot->error, "the kernel is damaged: its entry point 0x%llx is not inside it",
                     (unsigned long long)rip);
}

int boot_enter_flat(struct boot *boot, uint64_t rip, struct ringside_regs *entry)
{
    struct ringside_regs regs = protected_mode(CODE32);
    if (check_entry(boot, rip) || build_gdt(boot, CODE32, &regs))
        return -1;
    regs.rip = rip;
    *entry = regs;
    return 0;
}

int boot_enter_long(struct boot *boot, uint64_t rip, struct ringside_regs *entry)
{
    struct ringside_regs regs = protected_mode(CODE64);
    if (check_entry(boot, rip) || build_gdt(boot, CODE64, &regs) ||
        build_page_tables(boot, &regs.cr3))
        return -1;
    regs.rip = rip;
    regs.cr0 |= X86_CR0_PG;
    regs.cr4 = X86_CR4_PAE;
    regs.efer = X86_EFER_LME | X86_EFER_LMA;
    *entry = regs;
    return 0;
}
