/* Inside the CPU's memory access: translated places, and the notice that code pages need. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CPU_MMU_H
#define CPU_MMU_H

#include "cpu/internal.h"

#define CPU_PAGE_MASK 0xfffull
/* A key that no entry of jump[] and fetch[] can have: bits 63 and 57 of real ones are alike. */
#define CPU_KEY_NONE (1ull << 63)

/* Where a linear address leads. */
struct cpu_place {
    uint64_t gpa;
    uint8_t *host; /* NULL: the access goes to the bus */
};

/* Translate for an access that stays within the page; fills the TLB.  Faults with #PF. */
int cpu_find_place(struct cpu *cpu, uint64_t linear, unsigned access, struct cpu_place *place);

/*
 * The linear address that follows the page of linear.  Those of 16- and 32-bit code wrap at 4 GiB,
 * in compatibility mode too; what the processor itself accesses in long mode does not.
 */
static inline uint64_t cpu_next_page(const struct cpu *cpu, uint64_t linear, unsigned access)
{
    const uint64_t next = (linear | CPU_PAGE_MASK) + 1;

    if (cpu->width == X86_CODE64 || (cpu->long_mode && (access & (CPU_SUPERVISOR | CPU_FLAT))))
        return next;
    return (uint32_t)next;
}

/* Physical memory without translation: page-table entries, instruction bytes. */
int cpu_read_physical(struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t *value);
int cpu_write_physical(struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t value);

/* The page of an instruction fetch. */
int cpu_fetch_page(struct cpu *cpu, uint64_t linear, const struct cpu_fetch_entry **entry);

void cpu_forget_jumps(struct cpu *cpu); /* empties jump[] */

/* Index in jump[]. */
static inline unsigned cpu_jump_index(uint64_t linear)
{
    return (linear >> 12 & 63) << 6 | ((linear ^ linear >> 6) & 63);
}

/* Index in fetch[]. */
static inline unsigned cpu_fetch_index(uint64_t linear)
{
    return linear >> 12 & (CPU_FETCH_SIZE - 1);
}

/* The page at gpa got code or lost its memory: no CPU that shares the code writes to it unseen. */
void cpu_protect_code(struct cpu *cpu, uint64_t gpa);

/* Does anything watch data in the page of linear? (access.c) */
bool cpu_page_watched(const struct cpu *cpu, uint64_t linear);

#endif
