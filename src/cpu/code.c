/* The cache of decoded code: finding, decoding and dropping blocks. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/code.h"

#include "cpu/mmu.h"

/*
 * A physical page that code was decoded from.  Bit n of granules stands for 64 bytes, some of which
 * are part of a decoded instruction.  A page without blocks stays in the table, for its slot to be
 * found again.
 */
struct code_page {
    uint64_t gpa; /* CPU_NO_PAGE: a free slot */
    uint64_t granules;
    struct cpu_block *blocks;
};

struct cpu_code {
    struct cpu *cpus; /* one of the ring, NULL: none */
    struct code_page *pages;
    struct cpu_block **buckets;
    size_t page_mask, bucket_mask; /* sizes - 1, powers of two */
    size_t pages_used;
    uint8_t *arena, *arena_end, *top; /* blocks are taken from top */
};

enum { BLOCK_BYTES_MAX = sizeof(struct cpu_block) + CPU_BLOCK_MAX * sizeof(struct cpu_slot) };

/* --- Memory ---------------------------------------------------------------------------------- */

size_t cpu_code_size(void)
{
    return 256 * 1024;
}

static size_t power_of_two_below(size_t n)
{
    size_t p = 1;

    while (p * 2 <= n)
        p *= 2;
    return p;
}

struct cpu_code *cpu_code_init(void *memory, size_t size)
{
    struct cpu_code *code = memory;
    size_t pages = power_of_two_below(size / 2048), buckets = power_of_two_below(size / 256);

    memset(code, 0, sizeof(*code));
    code->pages = (struct code_page *)(code + 1);
    code->page_mask = pages - 1;
    code->buckets = (struct cpu_block **)(code->pages + pages);
    code->bucket_mask = buckets - 1;
    code->arena = (uint8_t *)(code->buckets + buckets);
    /* Blocks begin at multiples of 64: what lies behind the last one is room for none. */
    code->arena_end = (uint8_t *)(((uintptr_t)memory + size) & ~(uintptr_t)63);
    cpu_code_drop_all(code);
    return code;
}

static struct cpu *next_sharer(const struct cpu_code *code, struct cpu *cpu)
{
    return cpu->next_sharing == code->cpus ? NULL : cpu->next_sharing;
}

void cpu_code_join(struct cpu *cpu)
{
    struct cpu_code *code = cpu->code;

    cpu->next_sharing = cpu;
    if (!code)
        return;
    if (code->cpus) {
        cpu->next_sharing = code->cpus->next_sharing;
        code->cpus->next_sharing = cpu;
    } else {
        code->cpus = cpu;
    }
}

void cpu_code_drop_all(struct cpu_code *code)
{
    for (size_t i = 0; i <= code->page_mask; i++)
        code->pages[i] = (struct code_page){.gpa = CPU_NO_PAGE};
    memset(code->buckets, 0, (code->bucket_mask + 1) * sizeof(*code->buckets));
    code->pages_used = 0;
    code->top = code->arena;
    for (struct cpu *cpu = code->cpus; cpu; cpu = next_sharer(code, cpu)) {
        cpu_forget_jumps(cpu);
        cpu_end_block(cpu);
    }
}

/* --- Pages ----------------------------------------------------------------------------------- */

static struct code_page *page_slot(const struct cpu_code *code, uint64_t gpa)
{
    size_t i = (gpa >> 12) & code->page_mask;

    while (code->pages[i].gpa != gpa && code->pages[i].gpa != CPU_NO_PAGE)
        i = (i + 1) & code->page_mask;
    return &code->pages[i];
}

bool cpu_code_has_page(const struct cpu_code *code, uint64_t gpa)
{
    const struct code_page *page = page_slot(code, gpa);

    return page->gpa == gpa && page->blocks;
}

/* Bits of the 64-byte granules that bytes first..last of a page lie in. */
static uint64_t granules(unsigned first, unsigned last)
{
    return (~0ull << (first >> 6)) & (~0ull >> (63 - (last >> 6)));
}

/* Note that block has bytes first..last of its page n. */
static void add_to_page(struct cpu_code *code, struct cpu_block *block, unsigned n, unsigned first,
                        unsigned last)
{
    struct code_page *page = page_slot(code, block->page[n]);

    if (page->gpa == CPU_NO_PAGE) {
        page->gpa = block->page[n];
        code->pages_used++;
    }
    if (!page->blocks)
        for (struct cpu *cpu = code->cpus; cpu; cpu = next_sharer(code, cpu))
            cpu_protect_code(cpu, page->gpa);
    page->granules |= granules(first, last);
    block->in_page[n] = page->blocks;
    page->blocks = block;
}

static void remove_from_page(struct cpu_code *code, struct cpu_block *block, unsigned n)
{
    struct cpu_block **link = &page_slot(code, block->page[n])->blocks;

    while (*link != block)
        link = &(*link)->in_page[(*link)->page[0] != block->page[n]];
    *link = block->in_page[n];
}

/* --- Blocks ---------------------------------------------------------------------------------- */

static struct cpu_block **bucket(const struct cpu_code *code, uint64_t gpa, unsigned width)
{
    return &code->buckets[(gpa ^ gpa >> 16 ^ width << 8) & code->bucket_mask];
}

static void kill_block(struct cpu_code *code, struct cpu_block *block)
{
    struct cpu_block **link = bucket(code, block->gpa, block->width);

    while (*link != block)
        link = &(*link)->next;
    *link = block->next;
    block->count = 0;
}

void cpu_code_drop_page(struct cpu_code *code, uint64_t gpa)
{
    struct code_page *page = page_slot(code, gpa & ~CPU_PAGE_MASK);

    if (page->gpa == CPU_NO_PAGE)
        return;
    for (struct cpu_block *block = page->blocks; block;) {
        unsigned n = block->page[0] != page->gpa;
        struct cpu_block *next = block->in_page[n];

        kill_block(code, block);
        if (block->page[1] != CPU_NO_PAGE)
            remove_from_page(code, block, !n);
        block = next;
    }
    page->blocks = NULL;
    page->granules = 0;
    for (struct cpu *cpu = code->cpus; cpu; cpu = next_sharer(code, cpu))
        cpu_end_block(cpu);
}

void cpu_code_written(struct cpu_code *code, uint64_t gpa, unsigned size)
{
    const struct code_page *page = page_slot(code, gpa & ~CPU_PAGE_MASK);
    unsigned first = gpa & CPU_PAGE_MASK;

    if (page->gpa != CPU_NO_PAGE && (page->granules & granules(first, first + size - 1)))
        cpu_code_drop_page(code, gpa);
}

/* --- Decoding -------------------------------------------------------------------------------- */

static cpu_handler *handler_of(const struct cpu *cpu, const struct x86_insn *insn)
{
    return cpu->model.borrowed ? cpu_bind_borrowed(cpu, insn) : cpu_bind(insn);
}

void cpu_pass_breakpoint(struct cpu *cpu, bool pass)
{
    cpu->pass_at = pass ? cpu->count : UINT64_MAX;
}

int cpu_breakpoint(struct cpu *cpu, const struct x86_insn *insn)
{
    if (cpu->pass_at != cpu->count)
        return CPU_BREAK;
    if (insn->prefixes & (X86_PREFIX_REP | X86_PREFIX_REPNE))
        cpu_end_block(cpu); /* one iteration: the next meets it again */
    return handler_of(cpu, insn)(cpu, insn);
}

static int decode_fault(struct cpu *cpu, int error)
{
    if (cpu->model.borrowed)
        return CPU_DECLINE;
    return error == X86_DECODE_LONG ? cpu_fault_code(cpu, X86_EXC_GP, 0)
                                    : cpu_fault(cpu, X86_EXC_UD);
}

static void bind(struct cpu *cpu, struct cpu_slot *slot, uint64_t gpa)
{
    if (cpu->bus->breakpoint && cpu->bus->breakpoint(cpu->ctx, gpa))
        slot->run = cpu_breakpoint;
    else
        slot->run = handler_of(cpu, &slot->insn);
}

/* Is it pointless, or wrong, to decode on behind this instruction? */
static bool ends_block(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_JMP:
    case X86_CALL:
    case X86_RET:
    case X86_JMP_FAR:
    case X86_CALL_FAR:
    case X86_RET_FAR:
    case X86_IRET:
    case X86_INT:
    case X86_INT1:
    case X86_INT3:
    case X86_SYSCALL:
    case X86_SYSRET:
    case X86_SYSENTER:
    case X86_SYSEXIT:
    case X86_HLT:
    case X86_UD0:
    case X86_UD1:
    case X86_UD2:
    case X86_MOV_CR: return true;
    default:
        /* It may have counted more than one: the run loop has to look at the limit. */
        return insn->prefixes & (X86_PREFIX_REP | X86_PREFIX_REPNE);
    }
}

/* Byte by byte: how long an instruction is shows only as it is read. */
static int fetch_bytes(struct cpu *cpu, uint64_t linear, struct x86_insn *insn, int *length)
{
    uint8_t bytes[X86_INSN_MAX];

    for (unsigned n = 0; n < X86_INSN_MAX && *length == X86_DECODE_SHORT; n++) {
        const struct cpu_fetch_entry *page;
        uint64_t at = linear + n, byte;

        if (cpu->width != X86_CODE64)
            at = (uint32_t)at;
        CPU_TRY(cpu_fetch_page(cpu, at, &page));
        at &= CPU_PAGE_MASK;
        if (page->host)
            byte = page->host[at];
        else
            CPU_TRY(cpu->bus->read(cpu->ctx, cpu, page->gpa | at, 1, &byte));
        bytes[n] = (uint8_t)byte;
        *length = x86_decode(insn, bytes, n + 1, cpu->width);
    }
    return CPU_NEXT;
}

int cpu_code_fetch(struct cpu *cpu, uint64_t linear, struct cpu_slot *slot)
{
    const struct cpu_fetch_entry *page;
    uint64_t offset = linear & CPU_PAGE_MASK, gpa;
    int length = X86_DECODE_SHORT;

    CPU_TRY(cpu_fetch_page(cpu, linear, &page));
    gpa = page->gpa | offset;
    if (page->host && offset + X86_INSN_MAX <= 4096)
        length = x86_decode(&slot->insn, page->host + offset, X86_INSN_MAX, cpu->width);
    else
        CPU_TRY(fetch_bytes(cpu, linear, &slot->insn, &length));
    if (length < 0)
        return decode_fault(cpu, length);
    bind(cpu, slot, gpa);
    return CPU_NEXT;
}

/* Make room for one block. */
static struct cpu_block *allocate(struct cpu_code *code)
{
    if ((size_t)(code->arena_end - code->top) < BLOCK_BYTES_MAX ||
        code->pages_used > code->page_mask / 4 * 3)
        cpu_code_drop_all(code);
    return (struct cpu_block *)code->top;
}

static void publish(struct cpu_code *code, struct cpu_block *block)
{
    struct cpu_block **head = bucket(code, block->gpa, block->width);
    unsigned first = block->gpa & CPU_PAGE_MASK, last = first + block->bytes - 1;

    code->top += sizeof(*block) + block->count * sizeof(struct cpu_slot);
    code->top = (uint8_t *)(((uintptr_t)code->top + 63) & ~(uintptr_t)63);
    block->next = *head;
    *head = block;
    add_to_page(code, block, 0, first, last < 4096 ? last : 4095);
    if (block->page[1] != CPU_NO_PAGE)
        add_to_page(code, block, 1, 0, last - 4096);
}

/* The one instruction of a block that begins in page and ends in the next one. */
static int decode_crossing(struct cpu *cpu, uint64_t linear, struct cpu_block *block)
{
    const struct cpu_fetch_entry *page;
    int status = cpu_code_fetch(cpu, linear, &block->slot[0]);

    if (status < 0)
        return status;
    CPU_TRY(cpu_fetch_page(cpu, cpu_next_page(cpu, linear, CPU_EXEC), &page));
    if (!page->host)
        return CPU_SYNC;
    block->page[1] = page->gpa;
    block->bytes = block->slot[0].insn.length;
    block->count = 1;
    return CPU_NEXT;
}

/* CPU_SYNC: not to be cached, as part of it lies outside memory. */
static int decode(struct cpu *cpu, uint64_t linear, const struct cpu_fetch_entry *page,
                  struct cpu_block *block)
{
    unsigned offset = linear & CPU_PAGE_MASK;
    unsigned used = 0;

    *block = (struct cpu_block){
        .gpa = page->gpa | offset,
        .page = {page->gpa, CPU_NO_PAGE},
        .width = cpu->width,
    };
    while (block->count < CPU_BLOCK_MAX && offset + used < 4096) {
        struct cpu_slot *slot = &block->slot[block->count];
        unsigned room = 4096 - offset - used;
        int length = x86_decode(&slot->insn, page->host + offset + used,
                                room < X86_INSN_MAX ? room : X86_INSN_MAX, cpu->width);

        if (length < 0) {
            if (block->count)
                break;
            return length == X86_DECODE_SHORT ? decode_crossing(cpu, linear, block)
                                              : decode_fault(cpu, length);
        }
        bind(cpu, slot, block->gpa + used);
        block->count++;
        used += (unsigned)length;
        if (ends_block(&slot->insn))
            break;
    }
    block->bytes = (uint16_t)used;
    return CPU_NEXT;
}

/* A block that crosses pages is only right where the second page still follows the first. */
static int second_page_is(struct cpu *cpu, uint64_t linear, uint64_t gpa, bool *same)
{
    const struct cpu_fetch_entry *page;

    CPU_TRY(cpu_fetch_page(cpu, cpu_next_page(cpu, linear, CPU_EXEC), &page));
    *same = page->gpa == gpa;
    return CPU_NEXT;
}

int cpu_code_find(struct cpu *cpu, uint64_t linear, struct cpu_block **found)
{
    struct cpu_jump_entry *jump = &cpu->jump[cpu_jump_index(linear)];
    const struct cpu_fetch_entry *page;
    struct cpu_block *block;
    uint64_t gpa;

    *found = NULL;
    CPU_TRY(cpu_fetch_page(cpu, linear, &page));
    if (!cpu->code || !page->host)
        return CPU_NEXT;
    gpa = page->gpa | (linear & CPU_PAGE_MASK);
    for (block = *bucket(cpu->code, gpa, cpu->width); block; block = block->next) {
        bool same = true;

        if (block->gpa != gpa || block->width != cpu->width)
            continue;
        if (block->page[1] != CPU_NO_PAGE)
            CPU_TRY(second_page_is(cpu, linear, block->page[1], &same));
        if (same)
            break;
    }
    if (!block) {
        int status;

        block = allocate(cpu->code);
        status = decode(cpu, linear, page, block);
        if (status)
            return status < 0 ? status : CPU_NEXT;
        publish(cpu->code, block);
    }
    jump->key = linear ^ cpu->code_key;
    jump->block = block;
    cpu->jump_used = true;
    *found = block;
    return CPU_NEXT;
}
