/* The page walk: from a linear address to a physical address and rights, in every mode. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef X86_PAGING_H
#define X86_PAGING_H

#include <stdbool.h>
#include <stdint.h>

/* Intel SDM vol. 3, "Paging Modes"; the value is the number of levels. */
enum x86_paging_mode {
    X86_PAGING_NONE = 0,
    X86_PAGING_32BIT = 2,
    X86_PAGING_PAE = 3,
    X86_PAGING_4LEVEL = 4,
    X86_PAGING_5LEVEL = 5,
};

/* All that a walk depends on beside memory. */
struct x86_paging {
    uint64_t cr0, cr3, cr4, efer;
    uint8_t phys_bits; /* MAXPHYADDR, 32..52: higher address bits of an entry are reserved */
};

enum x86_walk_status {
    X86_WALK_OK = 0,
    X86_WALK_NOT_PRESENT = -1,  /* P is clear in the last entry visited */
    X86_WALK_RESERVED = -2,     /* a reserved bit is set in the last entry visited */
    X86_WALK_NONCANONICAL = -3, /* no entry was visited */
    X86_WALK_NO_MEMORY = -4,    /* the reader refused: visited[] ends before that entry */
};

enum { X86_WALK_LEVELS = 5 };

/* Bits of a paging-structure entry that are the same in all modes. */
enum {
    X86_PTE_P = 1 << 0,
    X86_PTE_W = 1 << 1,
    X86_PTE_U = 1 << 2,
    X86_PTE_PWT = 1 << 3,
    X86_PTE_PCD = 1 << 4,
    X86_PTE_A = 1 << 5,
    X86_PTE_D = 1 << 6,
    X86_PTE_PS = 1 << 7, /* PAT where level is 1 */
    X86_PTE_G = 1 << 8,
    X86_PTE_LARGE_PAT = 1 << 12,
};
#define X86_PTE_NX (1ull << 63)

/*
 * Where a walk ended.  Of a walk that stopped early only status, level, visited, count, entry_size
 * and first_accessed mean anything.
 */
struct x86_walk {
    uint64_t gpa;       /* of the byte at the linear address */
    uint64_t page_size; /* 4 KiB, 2 MiB, 4 MiB or 1 GiB; 4 KiB without paging */
    struct {
        uint64_t gpa;           /* where the entry lies */
        uint64_t entry;         /* what it held */
    } visited[X86_WALK_LEVELS]; /* from CR3 downwards */
    int8_t status;              /* enum x86_walk_status */
    uint8_t level;              /* of the last entry visited: 1 is the page table; 0 if none was */
    uint8_t count;              /* entries visited */
    uint8_t entry_size;         /* 4 or 8 bytes */
    uint8_t first_accessed;     /* visited[] before it has no A bit: the PDPTE of PAE */
    uint8_t pat;                /* index into IA32_PAT: PAT, PCD, PWT of the last entry */
    uint8_t pkey;               /* protection key; 0 outside 4- and 5-level paging */
    bool writable;              /* at every level, as are user and executable */
    bool user;
    bool executable;
    bool global; /* CR4.PGE is set as well */
};

/* Reads a paging-structure entry of size 4 or 8 at gpa; false if there is no memory. */
typedef bool x86_walk_reader(void *ctx, uint64_t gpa, unsigned size, uint64_t *entry);

enum x86_paging_mode x86_paging_mode(uint64_t cr0, uint64_t cr4, uint64_t efer);

/*
 * Walk to the page of linear.  Nothing is written and no right is checked: who may do what with the
 * page is the caller's question, and so are the A and D bits.  Outside long mode linear is taken
 * modulo 4 GiB.  Returns walk->status.
 */
int x86_paging_walk(struct x86_walk *walk, const struct x86_paging *paging, uint64_t linear,
                    x86_walk_reader *read, void *ctx);

#endif
