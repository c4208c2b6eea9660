/* ELF kernels: checked program headers, placing segments, and the PVH entry note. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <string.h>

#include "vm/boot/internal.h"

enum {
    ELF_386 = 3,
    ELF_X86_64 = 62,
    SEGMENTS_MAX = 64, /* so that checking all pairs for overlap stays cheap */
    PAGE = 4096,
    XEN_PHYS32_ENTRY = 18, /* XEN_ELFNOTE_PHYS32_ENTRY, xen/include/public/elfnote.h */
};

bool boot_elf_is(const uint8_t *file, size_t size)
{
    return size >= 4 && !memcmp(file, "\177ELF", 4);
}

struct boot_segment boot_elf_segment(const struct boot_elf *elf, unsigned index)
{
    const uint8_t *p = elf->file + elf->headers + (size_t)index * elf->header_size;
    if (elf->wide)
        return (struct boot_segment){
            .type = get32(p),
            .flags = get32(p + 4),
            .offset = get64(p + 8),
            .vaddr = get64(p + 16),
            .paddr = get64(p + 24),
            .file_size = get64(p + 32),
            .memory_size = get64(p + 40),
            .align = get64(p + 48),
        };
    return (struct boot_segment){
        .type = get32(p),
        .offset = get32(p + 4),
        .vaddr = get32(p + 8),
        .paddr = get32(p + 12),
        .file_size = get32(p + 16),
        .memory_size = get32(p + 20),
        .flags = get32(p + 24),
        .align = get32(p + 28),
    };
}

static int check_segments(const struct boot_elf *elf, struct boot_error *error)
{
    unsigned loads = 0;
    for (unsigned i = 0; i < elf->header_count; i++) {
        struct boot_segment s = boot_elf_segment(elf, i);
        if (s.type != BOOT_PT_LOAD && s.type != BOOT_PT_NOTE)
            continue;
        if (!boot_inside(s.offset, s.file_size, elf->size))
            return boot_fail(error, "the kernel is truncated: segment %u ends behind the file", i);
        if (s.type != BOOT_PT_LOAD)
            continue;
        if (s.memory_size < s.file_size)
            return boot_fail(error,
                             "the kernel is damaged: segment %u is larger in the file than "
                             "in memory",
                             i);
        if (++loads > SEGMENTS_MAX)
            return boot_fail(error, "the kernel has more than %d loadable segments", SEGMENTS_MAX);
    }
    if (!loads)
        return boot_fail(error, "the kernel is an ELF file without a loadable segment");
    return 0;
}

int boot_elf_open(struct boot_elf *elf, const uint8_t *file, size_t size, struct boot_error *error)
{
    enum { CLASS = 4, DATA = 5, WIDE_HEADER = 64, NARROW_HEADER = 52 };
    if (!boot_elf_is(file, size))
        return boot_fail(error, "the kernel is not an ELF file");
    bool wide = size > CLASS && file[CLASS] == 2;
    if (size < (wide ? WIDE_HEADER : NARROW_HEADER))
        return boot_fail(error, "the kernel is truncated: its ELF header ends after %zu bytes",
                         size);
    if ((!wide && file[CLASS] != 1) || file[DATA] != 1)
        return boot_fail(error, "the kernel is not a little-endian ELF file");
    unsigned machine = get16(file + 18);
    if (machine != ELF_X86_64 && machine != ELF_386)
        return boot_fail(error, "the kernel is for another processor (ELF machine %u), not x86",
                         machine);
    struct boot_elf view = {
        .file = file,
        .size = size,
        .wide = wide,
        .entry = wide ? get64(file + 24) : get32(file + 24),
        .headers = wide ? get64(file + 32) : get32(file + 28),
        .header_size = get16(file + (wide ? 54 : 42)),
        .header_count = get16(file + (wide ? 56 : 44)),
    };
    if (view.header_size < (wide ? 56 : 32))
        return boot_fail(error, "the kernel is damaged: program headers of %u bytes",
                         view.header_size);
    if (!boot_inside(view.headers, (uint64_t)view.header_count * view.header_size, size))
        return boot_fail(error, "the kernel is truncated: its program headers end behind the file");
    if (check_segments(&view, error))
        return -1;
    *elf = view;
    return 0;
}

/* Copies without touching pages that are zero on both sides: they stay out of resident memory. */
static void copy_sparse(uint8_t *to, const uint8_t *from, size_t n)
{
    static const uint8_t zeros[PAGE];
    while (n) {
        size_t chunk = PAGE - ((uintptr_t)to & (PAGE - 1));
        if (chunk > n)
            chunk = n;
        if (memcmp(from, zeros, chunk) != 0)
            memcpy(to, from, chunk);
        to += chunk;
        from += chunk;
        n -= chunk;
    }
}

int boot_elf_place(struct boot *boot, const struct boot_elf *elf)
{
    for (unsigned i = 0; i < elf->header_count; i++) {
        struct boot_segment s = boot_elf_segment(elf, i);
        if (s.type != BOOT_PT_LOAD || !s.memory_size)
            continue;
        uint8_t *host = boot_claim(boot, "the kernel", s.paddr, s.memory_size);
        if (!host)
            return -1;
        copy_sparse(host, elf->file + s.offset, s.file_size);
    }
    return 0;
}

static uint64_t round4(uint64_t n)
{
    return (n + 3) & ~3ull;
}

/* Looks through one PT_NOTE: name size, description size, type, name, description (padded to 4). */
static bool find_pvh(const uint8_t *note, uint64_t size, uint64_t *entry)
{
    for (uint64_t at = 0; boot_inside(at, 12, size);) {
        uint64_t name_size = get32(note + at), value_size = get32(note + at + 4);
        uint32_t type = get32(note + at + 8);
        uint64_t name = at + 12, value = name + round4(name_size);
        if (!boot_inside(name, name_size, size) || !boot_inside(value, value_size, size))
            return false;
        if (type == XEN_PHYS32_ENTRY && name_size == 4 && !memcmp(note + name, "Xen", 4) &&
            (value_size == 4 || value_size == 8)) {
            *entry = value_size == 8 ? get64(note + value) : get32(note + value);
            return true;
        }
        at = value + round4(value_size);
    }
    return false;
}

bool boot_elf_pvh_entry(const struct boot_elf *elf, uint64_t *entry)
{
    for (unsigned i = 0; i < elf->header_count; i++) {
        struct boot_segment s = boot_elf_segment(elf, i);
        if (s.type == BOOT_PT_NOTE && find_pvh(elf->file + s.offset, s.file_size, entry))
            return true;
    }
    return false;
}
