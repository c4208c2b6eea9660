/* Builds a small vmlinux with kallsyms and ORC tables. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "kallsyms_image.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Offsets in the file; virtual addresses run along from TEXT. */
enum {
    TEXT = 0x1000,
    ORC_IP = 0x8000,
    ORC = 0x8100,
    KALLSYMS = 0x9001, /* unaligned, so that alignment is tested */
    ROOM = 0x40000,
    ROWS = 8,
    ORC_SYMBOLS = 4,
    FIRST_ORC_SYMBOL = KALLSYMS_COUNT - ORC_SYMBOLS,
    LONG_NAME = 20, /* this symbol's length takes two bytes */
};

uint64_t kallsyms_address(enum kallsyms_layout layout, unsigned i)
{
    static const unsigned orc[ORC_SYMBOLS] = {ORC_IP, ORC_IP + ROWS * 4, ORC, ORC + ROWS * 6};
    if (i < KALLSYMS_PERCPU_COUNT)
        return layout == KALLSYMS_PERCPU ? i * 64 : KALLSYMS_TEXT;
    if (i >= FIRST_ORC_SYMBOL)
        return KALLSYMS_TEXT + orc[i - FIRST_ORC_SYMBOL] - TEXT;
    return KALLSYMS_TEXT + (i - KALLSYMS_PERCPU_COUNT) * KALLSYMS_SPACING;
}

char kallsyms_type(unsigned i)
{
    if (i >= FIRST_ORC_SYMBOL)
        return 'R';
    return i < KALLSYMS_PERCPU_COUNT ? 'A' : i % 7 == 0 ? 't' : i % 11 == 0 ? 'W' : 'T';
}

void kallsyms_name(unsigned i, char out[512])
{
    static const char *const orc[ORC_SYMBOLS] = {"__start_orc_unwind_ip", "__stop_orc_unwind_ip",
                                                 "__start_orc_unwind", "__stop_orc_unwind"};
    if (i >= FIRST_ORC_SYMBOL)
        strcpy(out, orc[i - FIRST_ORC_SYMBOL]);
    else if (i == LONG_NAME)
        memset(out, 'x', 300), out[300] = 0;
    else
        sprintf(out, "symbol_%u.part", i);
}

struct writer {
    uint8_t *p;
    size_t at;
};

static void align(struct writer *w, size_t to)
{
    w->at = (w->at + to - 1) & ~(to - 1);
}

static void put_addresses(struct writer *w, enum kallsyms_layout layout, size_t unit)
{
    align(w, unit);
    for (unsigned i = 0; i < KALLSYMS_COUNT; i++) {
        uint64_t address = kallsyms_address(layout, i);
        if (layout == KALLSYMS_ABSOLUTE) {
            put64(w->p + w->at, address);
            w->at += 8;
            continue;
        }
        uint32_t offset = (uint32_t)(address - KALLSYMS_TEXT);
        if (layout == KALLSYMS_PERCPU)
            offset = i < KALLSYMS_PERCPU_COUNT ? (uint32_t)address : ~offset;
        put32(w->p + w->at, offset);
        w->at += 4;
    }
    if (layout == KALLSYMS_ABSOLUTE)
        return;
    align(w, 8);
    put64(w->p + w->at, KALLSYMS_TEXT);
    w->at += 8;
}

/* One token for each character, and one that stands for "symbol_". */
enum { TOKEN_SYMBOL = 1 };

static size_t pack_name(uint8_t *out, unsigned i)
{
    char name[512];
    size_t n = 0;
    kallsyms_name(i, name);
    out[n++] = (uint8_t)kallsyms_type(i);
    const char *c = name;
    if (!strncmp(c, "symbol_", 7))
        out[n++] = TOKEN_SYMBOL, c += 7;
    while (*c)
        out[n++] = (uint8_t)*c++;
    return n;
}

static void put_names(struct writer *w, size_t unit, uint32_t *markers)
{
    align(w, unit);
    put32(w->p + w->at, KALLSYMS_COUNT);
    w->at += 4;
    align(w, unit);
    size_t begin = w->at;
    for (unsigned i = 0; i < KALLSYMS_COUNT; i++) {
        uint8_t packed[512];
        size_t n = pack_name(packed, i);
        if (i % 256 == 0)
            markers[i / 256] = (uint32_t)(w->at - begin);
        if (n < 0x80) {
            w->p[w->at++] = (uint8_t)n;
        } else {
            w->p[w->at++] = (uint8_t)((n & 0x7f) | 0x80);
            w->p[w->at++] = (uint8_t)(n >> 7);
        }
        memcpy(w->p + w->at, packed, n);
        w->at += n;
    }
}

static void put_tokens(struct writer *w, size_t unit)
{
    uint16_t index[256];
    align(w, unit);
    size_t begin = w->at;
    for (unsigned i = 0; i < 256; i++) {
        index[i] = (uint16_t)(w->at - begin);
        if (i == TOKEN_SYMBOL)
            w->at += (size_t)sprintf((char *)w->p + w->at, "symbol_") + 1;
        else if (i > ' ' && i < 0x7f)
            w->p[w->at] = (uint8_t)i, w->at += 2;
        else
            w->at++;
    }
    align(w, unit);
    for (unsigned i = 0; i < 256; i++, w->at += 2)
        put16(w->p + w->at, index[i]);
}

static void put_kallsyms(struct writer *w, enum kallsyms_layout layout)
{
    const size_t unit = layout == KALLSYMS_AFTER_4 ? 4 : 8;
    const bool after = layout >= KALLSYMS_AFTER;
    uint32_t markers[(KALLSYMS_COUNT + 255) / 256];
    if (!after)
        put_addresses(w, layout, unit);
    put_names(w, unit, markers);
    align(w, unit);
    for (size_t i = 0; i < sizeof(markers) / sizeof(markers[0]); i++, w->at += 4)
        put32(w->p + w->at, markers[i]);
    if (layout == KALLSYMS_SEQS)
        for (unsigned i = 0; i < KALLSYMS_COUNT * 3; i++)
            w->p[w->at++] = (uint8_t)(i * 37);
    put_tokens(w, unit);
    if (after)
        put_addresses(w, layout, unit);
}

static void put_orc(uint8_t *p, bool wide_types)
{
    /* Bases 5: SP, 4: BP, 1: previous SP.  Type 0 call, 1 registers, from 0 or from 2 on. */
    static const struct {
        unsigned ip;
        int sp, bp;
        unsigned bases, type;
        bool end, none;
    } rows[ROWS] = {
        {0x00, 8, 0, 0x05, 0, false, false},    {0x01, 16, -16, 0x15, 0, false, false},
        {0x04, 16, -16, 0x14, 0, false, false}, {0x0f, 8, 0, 0x05, 0, false, false},
        {0x20, 0, 0, 0x05, 1, false, false},    {0x30, 0, 0, 0, 0, true, false},
        {0x38, 8, 0, 0x05, 0, false, false},    {0x48, 0, 0, 0, 0, false, true},
    };
    for (unsigned i = 0; i < ROWS; i++) {
        unsigned type = rows[i].type << 8 | (unsigned)rows[i].end << 10;
        if (wide_types)
            type = rows[i].none ? 0 : rows[i].end ? 1 << 8 : (rows[i].type + 2) << 8;
        put32(p + ORC_IP + i * 4, TEXT + rows[i].ip - (ORC_IP + i * 4));
        put16(p + ORC + i * 6, (uint16_t)rows[i].sp);
        put16(p + ORC + i * 6 + 2, (uint16_t)rows[i].bp);
        put16(p + ORC + i * 6 + 4, (uint16_t)(rows[i].bases | type));
    }
}

struct image image_kallsyms(enum kallsyms_layout layout, bool wide_orc_types)
{
    struct image image = {.bytes = calloc(1, ROOM), .size = ROOM};
    uint8_t *p = image.bytes;
    assert(p);
    memcpy(p, "\177ELF\2\1\1", 7);
    put16(p + 16, 2);
    put16(p + 18, 62);
    put32(p + 20, 1);
    put64(p + 24, IMAGE_LOAD);
    put64(p + 32, 64);
    put16(p + 52, 64);
    put16(p + 54, 56);
    put16(p + 56, 1);
    put16(p + 58, 64);

    put_orc(p, wide_orc_types);
    struct writer w = {.p = p, .at = KALLSYMS};
    put_kallsyms(&w, layout);
    assert(w.at < ROOM);
    image.size = w.at + 100;

    put32(p + 64, BOOT_PT_LOAD);
    put32(p + 68, 5);
    put64(p + 72, TEXT);
    put64(p + 80, KALLSYMS_TEXT);
    put64(p + 88, IMAGE_LOAD);
    put64(p + 96, image.size - TEXT);
    put64(p + 104, image.size - TEXT);
    return image;
}
