/* Finds Linux's kallsyms tables in an image without symbols, and decodes them. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "kallsyms.h"

#include <stdlib.h>
#include <string.h>

#include "vm/boot/bytes.h"

/*
 * Written by the kernel's scripts/kallsyms.c, each table at a multiple of 4 or 8:
 *
 *   to Linux 6.4:  addresses, num_syms, names, markers, [seqs_of_names from 6.2], tokens
 *   from 6.5:      num_syms, names, markers, tokens, addresses, seqs_of_names
 *
 *   num_syms       u32
 *   names          of every symbol a length (one byte, or two from 0x80 on) and that many token
 *                  numbers; together they spell the type letter and the name
 *   markers        u32: where in names every 256th symbol begins
 *   tokens         256 strings, then u16 offsets of them; a digit is a token of its own
 *   addresses      u32 offsets and a u64 relative_base, or u64 addresses
 *
 * Nothing says where they are.  The tokens give themselves away by the digits, the markers by
 * their steps; all else follows from those and must agree.
 */
enum {
    TOKENS = 256,
    TOKEN_MAX = 128,
    NAME_MAX_LENGTH = 511, /* KSYM_NAME_LEN - 1 of the newest kernels */
    SYMBOLS_MAX = 1 << 20,
    GROUP = 256, /* symbols to a marker */
    GROUP_SIZE_MIN = GROUP * 2,
    GROUP_SIZE_MAX = GROUP * (NAME_MAX_LENGTH + 2),
    PADDING_MAX = 8,
    REACH = 16 << 20, /* how far before the tokens the markers may end */
};

struct tables {
    const uint8_t *file;
    size_t size;
    const char *token[TOKENS];
    size_t tokens, tokens_end; /* offsets in the file, the u16 offsets included */
    size_t markers, marker_count;
    size_t num_syms, names, count; /* count: how many symbols */
};

/* The 256 strings from `begin` on lie where the index says, and end before it. */
static bool check_tokens(struct tables *t, size_t begin, size_t index)
{
    size_t at = begin;
    for (unsigned i = 0; i < TOKENS; i++) {
        if (at >= index || get16(t->file + index + i * 2) != at - begin)
            return false;
        size_t room = index - at < TOKEN_MAX ? index - at : TOKEN_MAX;
        const uint8_t *end = memchr(t->file + at, 0, room);
        if (!end)
            return false;
        t->token[i] = (const char *)t->file + at;
        at = (size_t)(end - t->file) + 1;
    }
    t->tokens = begin;
    t->tokens_end = index + TOKENS * 2;
    return true;
}

/* With the digits' tokens at `zero`: the index follows the last token, and leads to the first. */
static bool tokens_around(struct tables *t, size_t zero)
{
    size_t end = zero;
    for (unsigned i = '0'; i < TOKENS; i++) {
        size_t room = t->size - end < TOKEN_MAX ? t->size - end : TOKEN_MAX;
        const uint8_t *nul = memchr(t->file + end, 0, room);
        if (!nul)
            return false;
        end = (size_t)(nul - t->file) + 1;
    }
    for (size_t index = end; index < end + PADDING_MAX; index++) {
        if (!boot_inside(index, TOKENS * 2, t->size))
            return false;
        size_t before = get16(t->file + index + '0' * 2);
        if (before <= zero && check_tokens(t, zero - before, index))
            return true;
    }
    return false;
}

static bool find_tokens(struct tables *t)
{
    static const char digits[] = "0\0001\0002\0003\0004\0005\0006\0007\0008\0009";
    const uint8_t *at = t->file, *end = t->file + t->size;
    while ((at = memmem(at, (size_t)(end - at), digits, sizeof(digits)))) {
        if (tokens_around(t, (size_t)(at - t->file)))
            return true;
        at++;
    }
    return false;
}

/*
 * A symbol's name at *at: how many tokens it has, moving *at to the first; 0 if it does not lie
 * before end.
 */
static size_t name_length(const struct tables *t, size_t *at, size_t end)
{
    size_t n = *at < end ? t->file[(*at)++] : 0;
    if (n & 0x80) {
        if (*at >= end)
            return 0;
        n = (n & 0x7f) | (size_t)t->file[(*at)++] << 7;
    }
    return n <= end - *at ? n : 0;
}

/* The names from `names` on agree with the markers and end where those begin. */
static bool check_names(const struct tables *t, size_t names, size_t count)
{
    size_t at = names;
    for (size_t i = 0; i < count; i++) {
        if (i % GROUP == 0 && get32(t->file + t->markers + i / GROUP * 4) != at - names)
            return false;
        size_t n = name_length(t, &at, t->markers);
        if (!n)
            return false;
        at += n;
    }
    return t->markers - at < PADDING_MAX;
}

/* num_syms lies 4 or 8 bytes before the names, whose end is near the markers. */
static bool find_names(struct tables *t)
{
    size_t last = get32(t->file + t->markers + (t->marker_count - 1) * 4);
    for (size_t tail = 0; tail < GROUP_SIZE_MAX + PADDING_MAX; tail++) {
        if (last + tail + PADDING_MAX > t->markers)
            return false;
        size_t names = t->markers - last - tail;
        for (size_t back = 4; back <= 8; back += 4) {
            size_t count = get32(t->file + names - back);
            if (count > SYMBOLS_MAX || (count + GROUP - 1) / GROUP != t->marker_count ||
                !check_names(t, names, count))
                continue;
            t->num_syms = names - back;
            t->names = names;
            t->count = count;
            return true;
        }
    }
    return false;
}

/* Walks back over a run of u32 that grow by what a group of names may take, down to a 0. */
static bool find_markers_and_names(struct tables *t)
{
    size_t lowest = t->tokens > REACH ? t->tokens - REACH : 8;
    size_t end = t->tokens & ~(size_t)3;
    while (end > lowest) {
        size_t at = end - 4;
        uint32_t value = get32(t->file + at);
        while (value && at >= 8) {
            uint32_t before = get32(t->file + at - 4);
            if (value - before < GROUP_SIZE_MIN || value - before > GROUP_SIZE_MAX)
                break;
            value = before;
            at -= 4;
        }
        t->markers = at;
        t->marker_count = (end - at) / 4;
        if (!value && t->marker_count > 1 && find_names(t))
            return true;
        end = at;
    }
    return false;
}

/* How addresses are stored. */
struct addresses {
    enum {
        OFFSETS,        /* base + u32 */
        OFFSETS_PERCPU, /* the same where negative (base - 1 - s32), else absolute: per-CPU data */
        ABSOLUTE,       /* u64 */
    } kind;
    size_t at;
    uint64_t base;
};

static uint64_t address_of(const struct tables *t, const struct addresses *a, size_t i)
{
    if (a->kind == ABSOLUTE)
        return get64(t->file + a->at + i * 8);
    uint32_t offset = get32(t->file + a->at + i * 4);
    if (a->kind == OFFSETS)
        return a->base + offset;
    return offset >> 31 ? a->base - 1 - (uint64_t)(int64_t)(int32_t)offset : offset;
}

static bool loaded(const struct boot_elf *vmlinux, uint64_t address)
{
    for (unsigned i = 0; i < vmlinux->header_count; i++) {
        struct boot_segment s = boot_elf_segment(vmlinux, i);
        if (s.type == BOOT_PT_LOAD && address >= s.vaddr && address - s.vaddr <= s.memory_size)
            return true;
    }
    return false;
}

/* Sorted, and most of them inside the kernel. */
static bool check_addresses(const struct tables *t, const struct addresses *a,
                            const struct boot_elf *vmlinux)
{
    enum { SAMPLES = 1000 };
    size_t size = t->count * (a->kind == ABSOLUTE ? 8 : 4);
    if (!boot_inside(a->at, size, t->size))
        return false;
    uint64_t last = 0;
    for (size_t i = 0; i < t->count; i++) {
        uint64_t address = address_of(t, a, i);
        if (address < last)
            return false;
        last = address;
    }
    unsigned inside = 0;
    for (unsigned i = 0; i < SAMPLES; i++)
        inside += loaded(vmlinux, address_of(t, a, i * t->count / SAMPLES));
    return inside >= SAMPLES * 9 / 10 && last > address_of(t, a, 0);
}

static size_t align(size_t at, size_t to)
{
    return (at + to - 1) & ~(to - 1);
}

static bool find_addresses(const struct tables *t, const struct boot_elf *vmlinux,
                           struct addresses *out)
{
    /* Where offsets would be, with their base; and where addresses would be. */
    const size_t before = t->num_syms & ~(size_t)7, after = t->tokens_end;
    const size_t offsets_size = t->count * 4, addresses_size = t->count * 8;
    struct {
        size_t offsets, base, addresses;
    } places[] = {
        {(before - 8 - offsets_size) & ~(size_t)7, before - 8, before - addresses_size},
        {align(after, 4), align(align(after, 4) + offsets_size, 8), align(after, 8)},
        {align(after, 8), align(align(after, 8) + offsets_size, 8), align(after, 8)},
    };
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct addresses a = {.kind = ABSOLUTE, .at = places[i].addresses};
        if (check_addresses(t, &a, vmlinux))
            return *out = a, true;
        if (!boot_inside(places[i].base, 8, t->size))
            continue;
        a.at = places[i].offsets;
        a.base = get64(t->file + places[i].base);
        for (a.kind = OFFSETS; a.kind <= OFFSETS_PERCPU; a.kind++)
            if (check_addresses(t, &a, vmlinux))
                return *out = a, true;
    }
    return false;
}

/* Spells all names into one block; what has no type letter or is too long is damage. */
static bool spell(const struct tables *t, struct kallsyms *out)
{
    size_t at = t->names, used = 0, room = 0;
    for (size_t i = 0; i < t->count; i++) {
        if (room - used < NAME_MAX_LENGTH + 2) {
            room = room * 2 + (1 << 20);
            char *more = realloc(out->names, room);
            if (!more)
                return false;
            out->names = more;
        }
        char *name = out->names + used;
        size_t length = 0;
        for (size_t n = name_length(t, &at, t->markers); n; n--) {
            const char *token = t->token[t->file[at++]];
            size_t size = strlen(token);
            if (size > NAME_MAX_LENGTH + 1 - length)
                return false;
            memcpy(name + length, token, size);
            length += size;
        }
        if (length < 2)
            return false;
        name[length] = 0;
        out->symbols[i].type = name[0];
        used += length + 1;
    }
    const char *name = out->names;
    for (size_t i = 0; i < t->count; i++) { /* the block has its place only now */
        out->symbols[i].name = name + 1;
        name += strlen(name) + 1;
    }
    return true;
}

int kallsyms_read(struct kallsyms *out, const struct boot_elf *vmlinux, struct boot_error *error)
{
    struct tables t = {.file = vmlinux->file, .size = vmlinux->size};
    struct addresses addresses;
    struct kallsyms found = {0};
    if (!vmlinux->wide)
        return boot_fail(error, "the symbols of 32-bit kernels cannot be read yet");
    if (!find_tokens(&t) || !find_markers_and_names(&t))
        return boot_fail(error, "there are no kallsyms tables in this kernel: it was built without "
                                "CONFIG_KALLSYMS, or is not Linux");
    if (!find_addresses(&t, vmlinux, &addresses))
        return boot_fail(error, "the addresses of this kernel's kallsyms are stored in a way that "
                                "is not known here");
    found.symbols = calloc(t.count, sizeof(found.symbols[0]));
    found.count = t.count;
    if (!found.symbols || !spell(&t, &found)) {
        kallsyms_free(&found);
        return boot_fail(error, "the names in this kernel's kallsyms are damaged");
    }
    for (size_t i = 0; i < t.count; i++)
        found.symbols[i].address = address_of(&t, &addresses, i);
    *out = found;
    return 0;
}

void kallsyms_free(struct kallsyms *kallsyms)
{
    free(kallsyms->symbols);
    free(kallsyms->names);
    *kallsyms = (struct kallsyms){0};
}
