/* Memory accesses that leave the fast path: segments, page crossings, devices, watchpoints. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/code.h"
#include "cpu/descriptor.h"
#include "cpu/mmu.h"

/* --- Segments -------------------------------------------------------------------------------- */

static int segment_fault(struct cpu *cpu, unsigned seg)
{
    return cpu_fault_code(cpu, seg == RINGSIDE_SS ? X86_EXC_SS : X86_EXC_GP, 0);
}

/* May the segment be used for this, whatever the offset?  Intel SDM vol. 3, "Type Checking". */
static bool type_allows(const struct ringside_segment *s, unsigned access)
{
    if (!(s->access & X86_SEG_P))
        return false;
    if (s->access & X86_SEG_CODE)
        return !(access & CPU_WRITE) && (s->access & X86_SEG_READABLE);
    return !(access & CPU_WRITE) || (s->access & X86_SEG_WRITABLE);
}

static bool limit_allows(const struct ringside_segment *s, uint64_t offset, unsigned size)
{
    uint64_t last = offset + (size ? size - 1 : 0);

    if ((s->access & (X86_SEG_CODE | X86_SEG_EXPAND_DOWN)) == X86_SEG_EXPAND_DOWN)
        return offset > s->limit && last <= (s->access & X86_SEG_DB ? 0xffffffff : 0xffff);
    return last <= s->limit;
}

/* SDM vol. 3, "Alignment Requirements by Data Type": a double extended real like one of 8 bytes. */
static unsigned alignment_mask(unsigned size)
{
    return size == 10 ? 7 : size <= 8 ? size - 1 : 0;
}

int cpu_linear(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size, unsigned access,
               uint64_t *linear)
{
    const struct ringside_segment *s = &cpu->r.seg[seg];
    uint64_t address = offset;

    if (cpu->width == X86_CODE64) {
        if (seg >= RINGSIDE_FS)
            address += s->base;
        if (!cpu_is_canonical(cpu, address) ||
            (size > 1 && !cpu_is_canonical(cpu, address + size - 1)))
            return segment_fault(cpu, seg);
    } else {
        if (!type_allows(s, access) || !limit_allows(s, offset, size))
            return segment_fault(cpu, seg);
        address = (uint32_t)(s->base + offset);
    }
    if (CPU_UNLIKELY(cpu->alignment) && (address & alignment_mask(size)) &&
        !(access & CPU_SUPERVISOR))
        return cpu_fault_code(cpu, X86_EXC_AC, 0);
    *linear = address;
    return CPU_NEXT;
}

/* --- Watchpoints ----------------------------------------------------------------------------- */

/* How many watchpoints begin at or before last. */
static size_t watches_to(const struct cpu *cpu, uint64_t last)
{
    size_t low = 0, high = cpu->watch_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (cpu->watches[middle].address <= last)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static unsigned watch_kind(unsigned access)
{
    return access & CPU_WRITE ? CPU_WATCH_WRITE : CPU_WATCH_READ;
}

bool cpu_page_watched(const struct cpu *cpu, uint64_t linear)
{
    uint64_t page = linear & ~CPU_PAGE_MASK;
    size_t n;

    if (cpu->data_break && cpu_break_hits(cpu, CPU_BREAK_WRITE, page, 4096))
        return true;
    n = watches_to(cpu, page | CPU_PAGE_MASK);
    return n && cpu->watches[n - 1].reach >= page;
}

/* The first watchpoint in their order that an access hits. */
static void note_watch(struct cpu *cpu, uint64_t linear, unsigned size, unsigned access)
{
    const struct cpu_watch *w, *hit = NULL;

    for (size_t n = watches_to(cpu, linear + size - 1); n; n--) {
        w = &cpu->watches[n - 1];
        if (w->reach < linear)
            break;
        if ((w->kind & watch_kind(access)) && w->address + (w->length - 1) >= linear)
            hit = w;
    }
    if (!hit)
        return;
    cpu->watch_hit.address = hit->address > linear ? hit->address : linear;
    cpu->watch_hit.kind = hit->kind;
    cpu->watch_pending = true;
    cpu_end_block(cpu);
}

/* After an access was made to bytes of one page. */
static void note_access(struct cpu *cpu, uint64_t linear, unsigned size, unsigned access)
{
    if (cpu->data_break) {
        cpu->debug_hits |= cpu_break_hits(
            cpu, access & CPU_WRITE ? CPU_BREAK_WRITE : CPU_BREAK_READ, linear, size);
        if (cpu->debug_hits)
            cpu_end_block(cpu);
    }
    if (cpu->watch_count && !cpu->watch_pending)
        note_watch(cpu, linear, size, access);
}

void cpu_set_watches(struct cpu *cpu, struct cpu_watch *watches, size_t count)
{
    uint64_t reach = 0;

    for (size_t i = 0; i < count; i++) {
        uint64_t last = watches[i].address + (watches[i].length - 1);

        if (last > reach)
            reach = last;
        watches[i].reach = reach;
    }
    cpu->watches = watches;
    cpu->watch_count = count;
    cpu_flush_tlb(cpu);
}

/* --- By linear address ----------------------------------------------------------------------- */

/* The largest access of the bus that fits. */
static unsigned bus_size(unsigned size)
{
    return size >= 8 ? 8 : size >= 4 ? 4 : size >= 2 ? 2 : 1;
}

static int read_place(struct cpu *cpu, const struct cpu_place *place, uint8_t *buffer,
                      unsigned size)
{
    if (place->host) {
        memcpy(buffer, place->host, size);
        return CPU_NEXT;
    }
    cpu_end_block(cpu);
    for (unsigned done = 0, part; done < size; done += part) {
        uint64_t value;

        part = bus_size(size - done);
        CPU_TRY(cpu->bus->read(cpu->ctx, cpu, place->gpa + done, part, &value));
        cpu_host_store(buffer + done, part, value);
    }
    return CPU_NEXT;
}

static int write_place(struct cpu *cpu, const struct cpu_place *place, const uint8_t *buffer,
                       unsigned size)
{
    if (place->host) {
        memcpy(place->host, buffer, size);
        if (cpu->code)
            cpu_code_written(cpu->code, place->gpa, size);
        return CPU_NEXT;
    }
    cpu_end_block(cpu);
    for (unsigned done = 0, part; done < size; done += part) {
        part = bus_size(size - done);
        CPU_TRY(cpu->bus->write(cpu->ctx, cpu, place->gpa + done, part,
                                cpu_host_load(buffer + done, part)));
    }
    return CPU_NEXT;
}

/* Bytes of the access that lie in its first page; at most 4 KiB in all are accessed at a time. */
static unsigned first_part(uint64_t linear, unsigned size)
{
    unsigned room = 4096 - (unsigned)(linear & CPU_PAGE_MASK);

    return size < room ? size : room;
}

/* Both pages of an access, so that nothing is done if either may not be touched. */
static int find_places(struct cpu *cpu, uint64_t linear, unsigned size, unsigned access,
                       struct cpu_place place[2])
{
    CPU_TRY(cpu_find_place(cpu, linear, access, &place[0]));
    if (first_part(linear, size) < size)
        CPU_TRY(cpu_find_place(cpu, cpu_next_page(cpu, linear, access), access, &place[1]));
    return CPU_NEXT;
}

static void note_parts(struct cpu *cpu, uint64_t linear, unsigned size, unsigned access)
{
    unsigned first = first_part(linear, size);

    note_access(cpu, linear, first, access);
    if (first < size)
        note_access(cpu, cpu_next_page(cpu, linear, access), size - first, access);
}

int cpu_read_linear(struct cpu *cpu, uint64_t linear, void *buffer, unsigned size, unsigned access)
{
    unsigned first = first_part(linear, size);
    struct cpu_place place[2];

    CPU_TRY(find_places(cpu, linear, size, access, place));
    CPU_TRY(read_place(cpu, &place[0], buffer, first));
    if (first < size)
        CPU_TRY(read_place(cpu, &place[1], (uint8_t *)buffer + first, size - first));
    if (CPU_UNLIKELY(cpu->data_break || cpu->watch_count))
        note_parts(cpu, linear, size, access & ~(unsigned)CPU_WRITE);
    return CPU_NEXT;
}

int cpu_write_linear(struct cpu *cpu, uint64_t linear, const void *buffer, unsigned size,
                     unsigned access)
{
    unsigned first = first_part(linear, size);
    struct cpu_place place[2];

    CPU_TRY(find_places(cpu, linear, size, access | CPU_WRITE, place));
    CPU_TRY(write_place(cpu, &place[0], buffer, first));
    if (first < size)
        CPU_TRY(write_place(cpu, &place[1], (const uint8_t *)buffer + first, size - first));
    if (CPU_UNLIKELY(cpu->data_break || cpu->watch_count))
        note_parts(cpu, linear, size, access | CPU_WRITE);
    return CPU_NEXT;
}

int cpu_probe_write(struct cpu *cpu, uint64_t linear, unsigned size, unsigned access)
{
    struct cpu_place place[2];

    return find_places(cpu, linear, size, access | CPU_WRITE, place);
}

int cpu_copy_from(struct cpu *cpu, uint64_t linear, void *buffer, unsigned n)
{
    return cpu_read_linear(cpu, linear, buffer, n, CPU_READ | CPU_SUPERVISOR);
}

int cpu_copy_to(struct cpu *cpu, uint64_t linear, const void *buffer, unsigned n)
{
    return cpu_write_linear(cpu, linear, buffer, n, CPU_WRITE | CPU_SUPERVISOR);
}

/* --- By segment and offset ------------------------------------------------------------------- */

static int load(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size, unsigned access,
                uint64_t *value)
{
    uint64_t linear;
    uint8_t bytes[8];

    CPU_TRY(cpu_linear(cpu, seg, offset, size, access, &linear));
    CPU_TRY(cpu_read_linear(cpu, linear, bytes, size, access));
    *value = cpu_host_load(bytes, size);
    return CPU_NEXT;
}

int cpu_load_slow(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size, uint64_t *value)
{
    return load(cpu, seg, offset, size, CPU_READ, value);
}

int cpu_load_rmw_slow(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size,
                      uint64_t *value)
{
    return load(cpu, seg, offset, size, CPU_READ | CPU_WRITE, value);
}

int cpu_store_slow(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size, uint64_t value)
{
    uint64_t linear;
    uint8_t bytes[8];

    cpu_host_store(bytes, size, value);
    CPU_TRY(cpu_linear(cpu, seg, offset, size, CPU_WRITE, &linear));
    return cpu_write_linear(cpu, linear, bytes, size, CPU_WRITE);
}

int cpu_load_bytes(struct cpu *cpu, unsigned seg, uint64_t offset, void *buffer, unsigned size)
{
    const void *host = cpu_host(cpu, seg, offset, size, false);
    uint64_t linear;

    if (CPU_LIKELY(host)) {
        memcpy(buffer, host, size);
        return CPU_NEXT;
    }
    CPU_TRY(cpu_linear(cpu, seg, offset, size, CPU_READ, &linear));
    return cpu_read_linear(cpu, linear, buffer, size, CPU_READ);
}

int cpu_store_bytes(struct cpu *cpu, unsigned seg, uint64_t offset, const void *buffer,
                    unsigned size)
{
    void *host = cpu_host(cpu, seg, offset, size, true);
    uint64_t linear;

    if (CPU_LIKELY(host)) {
        memcpy(host, buffer, size);
        return CPU_NEXT;
    }
    CPU_TRY(cpu_linear(cpu, seg, offset, size, CPU_WRITE, &linear));
    return cpu_write_linear(cpu, linear, buffer, size, CPU_WRITE);
}
