/* Linear to physical: rights, accessed and dirty bits, the TLBs and their maintenance. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/mmu.h"

#include "cpu/code.h"
#include "x86/paging.h"

/* --- Physical memory ------------------------------------------------------------------------- */

int cpu_read_physical(struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t *value)
{
    bool writable;
    const uint8_t *page = cpu->bus->page(cpu->ctx, gpa & ~CPU_PAGE_MASK, &writable);

    if (!page) {
        cpu_end_block(cpu);
        return cpu->bus->read(cpu->ctx, cpu, gpa, size, value);
    }
    *value = cpu_host_load(page + (gpa & CPU_PAGE_MASK), size);
    return CPU_NEXT;
}

int cpu_write_physical(struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t value)
{
    bool writable;
    uint8_t *page = cpu->bus->page(cpu->ctx, gpa & ~CPU_PAGE_MASK, &writable);

    if (!page || !writable) {
        cpu_end_block(cpu);
        return cpu->bus->write(cpu->ctx, cpu, gpa, size, value);
    }
    cpu_host_store(page + (gpa & CPU_PAGE_MASK), size, value);
    if (cpu->code)
        cpu_code_written(cpu->code, gpa, size);
    return CPU_NEXT;
}

int cpu_read_pdptes(struct cpu *cpu, uint64_t cr3, uint64_t pdpte[4])
{
    uint64_t entry[4];

    for (unsigned i = 0; i < 4; i++)
        CPU_TRY(cpu_read_physical(cpu, (cr3 & 0xffffffe0) + 8 * i, 8, &entry[i]));
    memcpy(pdpte, entry, sizeof(entry));
    return CPU_NEXT;
}

struct reader {
    struct cpu *cpu;
    const uint64_t *pdpte; /* the first entry is one of these */
    int status;
};

static bool read_entry(void *ctx, uint64_t gpa, unsigned size, uint64_t *entry)
{
    struct reader *reader = ctx;

    if (reader->pdpte) {
        *entry = reader->pdpte[gpa >> 3 & 3];
        reader->pdpte = NULL;
        return true;
    }
    reader->status = cpu_read_physical(reader->cpu, gpa, size, entry);
    return reader->status == CPU_NEXT;
}

/* --- The walk -------------------------------------------------------------------------------- */

static int page_fault(struct cpu *cpu, uint64_t linear, unsigned access, bool user, unsigned code)
{
    if (access & CPU_WRITE)
        code |= X86_PF_W;
    if (user)
        code |= X86_PF_U;
    if ((access & CPU_EXEC) && ((cpu->r.cr4 & X86_CR4_SMEP) ||
                                ((cpu->r.cr4 & X86_CR4_PAE) && (cpu->r.efer & X86_EFER_NXE))))
        code |= X86_PF_I;
    cpu_fault_code(cpu, X86_EXC_PF, code);
    cpu->fault.cr2 = linear;
    return CPU_FAULT;
}

/* Intel SDM vol. 3, "Determination of Access Rights". */
static bool allowed(const struct cpu *cpu, const struct x86_walk *walk, unsigned access,
                    enum cpu_tlb_set set)
{
    if (!(cpu->r.cr0 & X86_CR0_PG))
        return true;
    if (set == CPU_TLB_USER) {
        if (!walk->user)
            return false;
    } else if (walk->user) {
        if (access & CPU_EXEC)
            return !(cpu->r.cr4 & X86_CR4_SMEP) && walk->executable;
        if (set == CPU_TLB_KERNEL && (cpu->r.cr4 & X86_CR4_SMAP))
            return false;
    }
    if ((access & CPU_EXEC) && !walk->executable)
        return false;
    if ((access & CPU_WRITE) && !walk->writable)
        return set != CPU_TLB_USER && !(cpu->r.cr0 & X86_CR0_WP);
    return true;
}

/* Intel SDM vol. 3, "Accessed and Dirty Flags". */
static int mark_used(struct cpu *cpu, const struct x86_walk *walk, unsigned access)
{
    for (unsigned i = walk->first_accessed; i < walk->count; i++) {
        uint64_t entry = walk->visited[i].entry, used = entry | X86_PTE_A;

        if (i == walk->count - 1u && (access & CPU_WRITE))
            used |= X86_PTE_D;
        if (used != entry && cpu->shared)
            return CPU_DECLINE;
        if (used != entry)
            CPU_TRY(cpu_write_physical(cpu, walk->visited[i].gpa, walk->entry_size, used));
    }
    return CPU_NEXT;
}

static enum cpu_tlb_set access_set(const struct cpu *cpu, unsigned access)
{
    if (access & CPU_SUPERVISOR)
        return CPU_TLB_KERNEL;
    return access & CPU_USER ? CPU_TLB_USER : cpu->tlb_set;
}

static int walk_page(struct cpu *cpu, uint64_t linear, unsigned access, enum cpu_tlb_set set,
                     struct x86_walk *walk)
{
    const struct x86_paging paging = {
        .cr0 = cpu->r.cr0,
        .cr3 = cpu->r.cr3,
        .cr4 = cpu->r.cr4,
        .efer = cpu->r.efer,
        .phys_bits = cpu->model.borrowed ? 52 : CPU_PHYS_BITS,
    };
    struct reader reader = {.cpu = cpu, .status = CPU_DECLINE};
    bool user = set == CPU_TLB_USER;

    if (x86_paging_mode(cpu->r.cr0, cpu->r.cr4, cpu->r.efer) == X86_PAGING_PAE)
        reader.pdpte = cpu->pdpte;
    switch (x86_paging_walk(walk, &paging, linear, read_entry, &reader)) {
    case X86_WALK_OK: break;
    case X86_WALK_NOT_PRESENT: return page_fault(cpu, linear, access, user, 0);
    case X86_WALK_RESERVED: return page_fault(cpu, linear, access, user, X86_PF_P | X86_PF_RSVD);
    case X86_WALK_NONCANONICAL: return cpu_fault_code(cpu, X86_EXC_GP, 0);
    default: return reader.status;
    }
    if (!allowed(cpu, walk, access, set))
        return page_fault(cpu, linear, access, user, X86_PF_P);
    return mark_used(cpu, walk, access);
}

int cpu_translate(struct cpu *cpu, uint64_t linear, unsigned access, uint64_t *gpa)
{
    struct x86_walk walk;

    CPU_TRY(walk_page(cpu, linear, access, access_set(cpu, access), &walk));
    *gpa = walk.gpa;
    return CPU_NEXT;
}

/* --- TLBs ------------------------------------------------------------------------------------ */

static unsigned half(uint64_t linear)
{
    return linear >> 63;
}

/* The entries of a set that may hold something are nth_filled(0) to nth_filled(count_filled() - 1).
 */
static unsigned count_filled(const struct cpu *cpu, unsigned set)
{
    return cpu->tlb_fills[set] > CPU_TLB_NOTED ? CPU_TLB_SIZE : cpu->tlb_fills[set];
}

static struct cpu_tlb_entry *nth_filled(struct cpu *cpu, unsigned set, unsigned n)
{
    return &cpu->tlb[set][cpu->tlb_fills[set] > CPU_TLB_NOTED ? n : cpu->tlb_filled[set][n]];
}

static void note_fill(struct cpu *cpu, enum cpu_tlb_set set, const struct cpu_tlb_entry *entry)
{
    unsigned n = cpu->tlb_fills[set];

    if (n > CPU_TLB_NOTED)
        return;
    if (n < CPU_TLB_NOTED)
        cpu->tlb_filled[set][n] = (uint16_t)(entry - cpu->tlb[set]);
    cpu->tlb_fills[set]++;
}

/* The tag for accesses to a page that has been translated and allowed. */
static uint64_t tag(const struct cpu *cpu, const struct cpu_tlb_entry *entry, uint64_t page,
                    bool write)
{
    bool fast = entry->gpa & CPU_TLB_MEMORY;

    if (write && ((entry->gpa & CPU_TLB_ROM) ||
                  (cpu->code && cpu_code_has_page(cpu->code, entry->gpa & ~CPU_PAGE_MASK))))
        fast = false;
    if (cpu->alignment || cpu_page_watched(cpu, page))
        fast = false;
    return fast ? page : page | CPU_TLB_SLOW;
}

static int fill(struct cpu *cpu, uint64_t linear, unsigned access, enum cpu_tlb_set set)
{
    struct cpu_tlb_entry *entry = cpu_tlb_entry(cpu, set, linear);
    uint64_t page = linear & ~CPU_PAGE_MASK;
    struct x86_walk walk;
    bool writable = false;
    uint8_t *host;

    CPU_TRY(walk_page(cpu, linear, access, set, &walk));
    walk.gpa &= ~CPU_PAGE_MASK;
    /* A page that was only read so far keeps its read side when it is written. */
    if ((entry->read & ~CPU_TLB_SLOW) != page || (entry->gpa & ~CPU_PAGE_MASK) != walk.gpa)
        entry->read = entry->write = CPU_TLB_NONE;

    host = cpu->bus->page(cpu->ctx, walk.gpa, &writable);
    entry->host = (uintptr_t)host - (uintptr_t)page;
    entry->gpa = walk.gpa | (walk.global ? CPU_TLB_GLOBAL : 0) | (host ? CPU_TLB_MEMORY : 0) |
                 (host && !writable ? CPU_TLB_ROM : 0) |
                 (walk.page_size > 4096 ? CPU_TLB_LARGE : 0);
    if (walk.page_size > 4096)
        cpu->large[half(linear)] = true;
    entry->read = tag(cpu, entry, page, false); /* what may be written may be read */
    if (access & CPU_WRITE)
        entry->write = tag(cpu, entry, page, true);
    note_fill(cpu, set, entry);
    return CPU_NEXT;
}

int cpu_find_place(struct cpu *cpu, uint64_t linear, unsigned access, struct cpu_place *place)
{
    enum cpu_tlb_set set = access_set(cpu, access);
    struct cpu_tlb_entry *entry = cpu_tlb_entry(cpu, set, linear);
    uint64_t page = linear & ~CPU_PAGE_MASK;
    bool write = access & CPU_WRITE;

    if (((write ? entry->write : entry->read) & ~CPU_TLB_SLOW) != page)
        CPU_TRY(fill(cpu, linear, access, set));
    else if (write && (entry->write & CPU_TLB_SLOW))
        entry->write = tag(cpu, entry, page, true); /* its code may be gone */

    place->gpa = (entry->gpa & ~CPU_PAGE_MASK) | (linear & CPU_PAGE_MASK);
    place->host = NULL;
    if ((entry->gpa & CPU_TLB_MEMORY) && !(write && (entry->gpa & CPU_TLB_ROM)))
        place->host = (uint8_t *)((uintptr_t)linear + entry->host);
    else if (cpu->bus->allows && !cpu->bus->allows(cpu->ctx, place->gpa))
        return CPU_DECLINE;
    return CPU_NEXT;
}

void cpu_forget_jumps(struct cpu *cpu)
{
    for (unsigned i = 0; cpu->jump_used && i < CPU_JUMP_SIZE; i++)
        cpu->jump[i].key = CPU_KEY_NONE;
    cpu->jump_used = false;
}

/* Forget where the code of a page, and of an instruction that reaches into it, was found. */
static void flush_jumps(struct cpu *cpu, uint64_t linear)
{
    for (unsigned n = 0; n < 2; n++, linear -= 4096) {
        unsigned first = (linear >> 12 & 63) << 6;

        for (unsigned i = first; i < first + 64; i++)
            cpu->jump[i].key = CPU_KEY_NONE;
    }
}

/*
 * An entry of jump[] is only as good as the entry of fetch[] that it was made with: so that when a
 * page is walked again, and its accessed bit set, does not depend on where blocks began.
 */
int cpu_fetch_page(struct cpu *cpu, uint64_t linear, const struct cpu_fetch_entry **found)
{
    struct cpu_fetch_entry *entry = &cpu->fetch[cpu_fetch_index(linear)];
    uint64_t key = (linear & ~CPU_PAGE_MASK) ^ cpu->code_key;
    enum cpu_tlb_set set = cpu->cpl == 3 ? CPU_TLB_USER : CPU_TLB_KERNEL;
    struct x86_walk walk;
    bool writable;

    *found = entry;
    if (entry->key == key)
        return CPU_NEXT;
    CPU_TRY(walk_page(cpu, linear, CPU_EXEC, set, &walk));
    if (walk.page_size > 4096)
        cpu->large[half(linear)] = true;
    if (entry->key != CPU_KEY_NONE)
        flush_jumps(cpu, entry->key);
    entry->key = key;
    entry->gpa = walk.gpa & ~CPU_PAGE_MASK;
    entry->host = cpu->bus->page(cpu->ctx, entry->gpa, &writable);
    if (!entry->host && cpu->bus->code_page)
        entry->host = cpu->bus->code_page(cpu->ctx, entry->gpa);
    return CPU_NEXT;
}

void cpu_protect_code(struct cpu *cpu, uint64_t gpa)
{
    for (unsigned set = 0; set < CPU_TLB_SETS; set++)
        for (unsigned i = 0; i < count_filled(cpu, set); i++) {
            struct cpu_tlb_entry *entry = nth_filled(cpu, set, i);

            if ((entry->gpa & ~CPU_PAGE_MASK) == gpa && entry->write != CPU_TLB_NONE)
                entry->write |= CPU_TLB_SLOW;
        }
}

/* --- Flushes --------------------------------------------------------------------------------- */

static void drop(struct cpu_tlb_entry *entry)
{
    entry->read = entry->write = CPU_TLB_NONE;
}

static void flush_code(struct cpu *cpu)
{
    cpu_forget_jumps(cpu);
    for (unsigned i = 0; i < CPU_FETCH_SIZE; i++)
        cpu->fetch[i].key = CPU_KEY_NONE;
    cpu_end_block(cpu);
}

void cpu_flush_tlb(struct cpu *cpu)
{
    for (unsigned set = 0; set < CPU_TLB_SETS; set++) {
        for (unsigned i = 0; i < count_filled(cpu, set); i++)
            drop(nth_filled(cpu, set, i));
        cpu->tlb_fills[set] = 0;
    }
    cpu->large[0] = cpu->large[1] = false;
    flush_code(cpu);
}

void cpu_flush_nonglobal(struct cpu *cpu)
{
    for (unsigned set = 0; set < CPU_TLB_SETS; set++)
        for (unsigned i = 0; i < count_filled(cpu, set); i++)
            if (!(nth_filled(cpu, set, i)->gpa & CPU_TLB_GLOBAL))
                drop(nth_filled(cpu, set, i));
    flush_code(cpu);
}

/* Entries of larger pages do not know which one they belong to: all of the same GiB go. */
static void flush_large(struct cpu *cpu, uint64_t linear)
{
    for (unsigned set = 0; set < CPU_TLB_SETS; set++)
        for (unsigned i = 0; i < count_filled(cpu, set); i++) {
            struct cpu_tlb_entry *entry = nth_filled(cpu, set, i);

            if ((entry->gpa & CPU_TLB_LARGE) && entry->read >> 30 == linear >> 30)
                drop(entry);
        }
    flush_code(cpu);
}

void cpu_flush_page(struct cpu *cpu, uint64_t linear)
{
    for (unsigned set = 0; set < CPU_TLB_SETS; set++) {
        struct cpu_tlb_entry *entry = cpu_tlb_entry(cpu, set, linear);

        if ((entry->read & ~CPU_TLB_SLOW) == (linear & ~CPU_PAGE_MASK))
            drop(entry);
    }
    if (cpu->large[half(linear)])
        flush_large(cpu, linear);
    cpu->fetch[linear >> 12 & (CPU_FETCH_SIZE - 1)].key = CPU_KEY_NONE;
    flush_jumps(cpu, linear);
    cpu_end_block(cpu);
}
