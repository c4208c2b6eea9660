/* The cache of decoded code: blocks of instructions by guest-physical address. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CPU_CODE_H
#define CPU_CODE_H

#include "cpu/internal.h"

struct cpu_slot {
    cpu_handler *run;
    struct x86_insn insn;
};

/*
 * Instructions that follow each other in memory, in one page; one that reaches into the next page
 * is a block of its own.  A block that is dead (its bytes changed) has no slots, and is found no
 * more; its memory is reused only when the whole cache is dropped, so the run loop may leave it in
 * its own time.
 */
struct cpu_block {
    uint64_t gpa;                 /* of the first byte */
    uint64_t page[2];             /* page[1]: CPU_NO_PAGE, or the one that the last byte is in */
    struct cpu_block *next;       /* in its hash bucket */
    struct cpu_block *in_page[2]; /* in the list of page[n] */
    uint16_t bytes;
    uint8_t width; /* enum x86_width */
    uint8_t count; /* slots */
    struct cpu_slot slot[];
};
#define CPU_NO_PAGE 1ull

enum { CPU_BLOCK_MAX = 24 };

/* size bytes within one page were written: drops what was decoded from them. */
void cpu_code_written(struct cpu_code *code, uint64_t gpa, unsigned size);

/*
 * The block at the CPU's rip, whose linear address is linear; decoded if need be.  *block is NULL
 * where the code lies in no memory: use cpu_code_fetch.  Faults as the fetch and the decoding do.
 */
int cpu_code_find(struct cpu *cpu, uint64_t linear, struct cpu_block **block);
/* The instruction at linear, decoded past the cache. */
int cpu_code_fetch(struct cpu *cpu, uint64_t linear, struct cpu_slot *slot);

/* Put a CPU into the ring of those that share its code cache. */
void cpu_code_join(struct cpu *cpu);

/* What stands in a slot where the debugger has a breakpoint. */
cpu_handler cpu_breakpoint;

#endif
