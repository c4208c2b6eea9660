/* The page walk: one loop over the levels, for every paging mode. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "x86/paging.h"

#include "x86/regs.h"

/* Bits high..low inclusive, none if high < low. */
static uint64_t bits(int high, int low)
{
    return high < low ? 0 : (~0ull >> (63 - high)) & (~0ull << low);
}

enum x86_paging_mode x86_paging_mode(uint64_t cr0, uint64_t cr4, uint64_t efer)
{
    if (!(cr0 & X86_CR0_PG))
        return X86_PAGING_NONE;
    if (!(cr4 & X86_CR4_PAE))
        return X86_PAGING_32BIT;
    if (!(efer & X86_EFER_LMA))
        return X86_PAGING_PAE;
    return cr4 & X86_CR4_LA57 ? X86_PAGING_5LEVEL : X86_PAGING_4LEVEL;
}

static bool canonical(uint64_t linear, int address_bits)
{
    int shift = 64 - address_bits;

    return (uint64_t)((int64_t)(linear << shift) >> shift) == linear;
}

/* Does this entry map a page instead of pointing to the next table? */
static bool is_leaf(const struct x86_paging *paging, enum x86_paging_mode mode, int level,
                    uint64_t entry)
{
    if (level == 1)
        return true;
    if (!(entry & X86_PTE_PS))
        return false;
    switch (mode) {
    case X86_PAGING_32BIT: return paging->cr4 & X86_CR4_PSE;
    case X86_PAGING_PAE: return level == 2;
    default: return level <= 3;
    }
}

/* The bits that must be 0 in a present entry (Intel SDM vol. 3, chapter "Paging": the formats). The
 * pointers of PAE are checked when they are loaded: what lies there since then faults nowhere. */
static uint64_t reserved_bits(const struct x86_paging *paging, enum x86_paging_mode mode, int level,
                              bool leaf, int page_shift)
{
    int phys = paging->phys_bits;
    uint64_t reserved;

    if (mode == X86_PAGING_32BIT) /* PSE-36: bits 20:13 of a large page are address bits 39:32 */
        return leaf && level == 2 ? bits(21, (phys < 40 ? phys : 40) - 19) : 0;
    if (mode == X86_PAGING_PAE && level == 3)
        return 0;

    reserved = bits(mode == X86_PAGING_PAE ? 62 : 51, phys);
    if (!(paging->efer & X86_EFER_NXE))
        reserved |= X86_PTE_NX;
    if (leaf && level > 1)
        reserved |= bits(page_shift - 1, 13);
    if (!leaf && level > 3)
        reserved |= X86_PTE_PS;
    return reserved;
}

static uint64_t page_address(enum x86_paging_mode mode, int level, int page_shift, uint64_t entry)
{
    uint64_t address = entry & bits(mode == X86_PAGING_32BIT ? 31 : 51, page_shift);

    if (mode == X86_PAGING_32BIT && level == 2)
        address |= (entry & bits(20, 13)) << (32 - 13);
    return address;
}

static void walk_unpaged(struct x86_walk *walk, uint64_t linear)
{
    *walk = (struct x86_walk){
        .gpa = (uint32_t)linear,
        .page_size = 4096,
        .writable = true,
        .user = true,
        .executable = true,
    };
}

int x86_paging_walk(struct x86_walk *walk, const struct x86_paging *paging, uint64_t linear,
                    x86_walk_reader *read, void *ctx)
{
    enum x86_paging_mode mode = x86_paging_mode(paging->cr0, paging->cr4, paging->efer);
    int index_bits = mode == X86_PAGING_32BIT ? 10 : 9;
    int entry_size = mode == X86_PAGING_32BIT ? 4 : 8;
    uint64_t rights = X86_PTE_W | X86_PTE_U, forbidden = 0, table;

    if (mode == X86_PAGING_NONE) {
        walk_unpaged(walk, linear);
        return walk->status;
    }
    *walk = (struct x86_walk){
        .entry_size = entry_size,
        .first_accessed = mode == X86_PAGING_PAE,
    };
    if (mode < X86_PAGING_4LEVEL) {
        linear = (uint32_t)linear;
        table = paging->cr3 & bits(31, mode == X86_PAGING_PAE ? 5 : 12);
    } else {
        if (!canonical(linear, mode == X86_PAGING_5LEVEL ? 57 : 48))
            return walk->status = X86_WALK_NONCANONICAL;
        table = paging->cr3 & bits(51, 12);
    }

    for (int level = (int)mode;; level--) {
        int page_shift = 12 + (level - 1) * index_bits;
        uint64_t index = linear >> page_shift & bits(index_bits - 1, 0);
        uint64_t gpa = table + index * (unsigned)entry_size, entry = 0;
        bool leaf;

        if (!read(ctx, gpa, (unsigned)entry_size, &entry))
            return walk->status = X86_WALK_NO_MEMORY;
        walk->visited[walk->count].gpa = gpa;
        walk->visited[walk->count].entry = entry;
        walk->count++;
        walk->level = (uint8_t)level;
        if (!(entry & X86_PTE_P))
            return walk->status = X86_WALK_NOT_PRESENT;
        leaf = is_leaf(paging, mode, level, entry);
        if (entry & reserved_bits(paging, mode, level, leaf, page_shift))
            return walk->status = X86_WALK_RESERVED;
        if (mode != X86_PAGING_PAE || level < 3) { /* a PDPTE of PAE has no rights */
            rights &= entry;
            forbidden |= entry;
        }
        if (!leaf) {
            table = page_address(mode, 1, 12, entry);
            continue;
        }

        uint64_t offset = bits(page_shift - 1, 0);
        uint64_t pat = level == 1 ? X86_PTE_PS : X86_PTE_LARGE_PAT;

        walk->gpa = page_address(mode, level, page_shift, entry) | (linear & offset);
        walk->page_size = offset + 1;
        walk->pat = (uint8_t)((entry & (X86_PTE_PCD | X86_PTE_PWT)) >> 3 | (entry & pat ? 4 : 0));
        walk->pkey = mode >= X86_PAGING_4LEVEL ? entry >> 59 & 0xf : 0;
        walk->writable = rights & X86_PTE_W;
        walk->user = rights & X86_PTE_U;
        walk->executable = mode == X86_PAGING_32BIT || !(forbidden & X86_PTE_NX);
        walk->global = (entry & X86_PTE_G) && (paging->cr4 & X86_CR4_PGE);
        return walk->status = X86_WALK_OK;
    }
}
