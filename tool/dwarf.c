/* Encodes DWARF call frame information. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "dwarf.h"

#include <stdlib.h>
#include <string.h>

#include "vm/boot/bytes.h"

/* DWARF 4, 6.4 and 7.23. */
enum {
    ADVANCE_LOC = 0x40, /* the delta, the register in bits 5:0 */
    OFFSET = 0x80,
    NOP = 0x00,
    ADVANCE_LOC1 = 0x02,
    ADVANCE_LOC2 = 0x03,
    ADVANCE_LOC4 = 0x04,
    UNDEFINED = 0x07,
    SAME_VALUE = 0x08,
    DEF_CFA = 0x0c,
    DEF_CFA_EXPRESSION = 0x0f,
    EXPRESSION = 0x10,
    OFFSET_EXTENDED_SF = 0x11,
    OP_DEREF = 0x06,
    OP_CONSTS = 0x11,
    OP_PLUS = 0x22,
    OP_BREG0 = 0x70,
    WORD = 8, /* the data alignment factor is -WORD */
    CIE_VERSION = 1,
};

static void put(struct dwarf *d, const void *bytes, size_t n)
{
    if (d->failed)
        return;
    if (d->room - d->size < n) {
        size_t room = d->room * 2 + 4096 + n;
        uint8_t *more = realloc(d->bytes, room);
        if (!more) {
            d->failed = true;
            return;
        }
        d->bytes = more;
        d->room = room;
    }
    memcpy(d->bytes + d->size, bytes, n);
    d->size += n;
}

static void put_u8(struct dwarf *d, unsigned value)
{
    put(d, &(uint8_t){(uint8_t)value}, 1);
}

static void put_u16(struct dwarf *d, unsigned value)
{
    uint8_t bytes[2];
    put16(bytes, (uint16_t)value);
    put(d, bytes, sizeof(bytes));
}

static void put_u32(struct dwarf *d, uint32_t value)
{
    uint8_t bytes[4];
    put32(bytes, value);
    put(d, bytes, sizeof(bytes));
}

static void put_u64(struct dwarf *d, uint64_t value)
{
    uint8_t bytes[8];
    put64(bytes, value);
    put(d, bytes, sizeof(bytes));
}

static void put_uleb(struct dwarf *d, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        put_u8(d, (value & 0x7f) | 0x80);
    put_u8(d, (unsigned)value);
}

static void put_sleb(struct dwarf *d, int64_t value)
{
    for (; value < -0x40 || value >= 0x40; value >>= 7)
        put_u8(d, (value & 0x7f) | 0x80);
    put_u8(d, value & 0x7f);
}

size_t dwarf_begin_cie(struct dwarf *d, bool signal)
{
    static const unsigned callee_saved[] = {DWARF_RBX, DWARF_R12, DWARF_R13, DWARF_R14, DWARF_R15};
    d->entry = d->size;
    put_u32(d, 0); /* the length, known at the end */
    put_u32(d, UINT32_MAX);
    put_u8(d, CIE_VERSION);
    put(d, signal ? "zS" : "z", signal ? 3 : 2);
    put_uleb(d, 1);
    put_sleb(d, -WORD);
    put_u8(d, DWARF_RIP);
    put_uleb(d, 0); /* no augmentation data */
    dwarf_cfa(d, DWARF_RSP, WORD);
    dwarf_saved(d, DWARF_RIP, -WORD);
    for (size_t i = 0; !signal && i < sizeof(callee_saved) / sizeof(callee_saved[0]); i++)
        dwarf_undefined(d, callee_saved[i]);
    return d->entry;
}

void dwarf_end(struct dwarf *d)
{
    while (d->size % WORD && !d->failed)
        put_u8(d, NOP);
    if (!d->failed)
        put32(d->bytes + d->entry, (uint32_t)(d->size - d->entry - 4));
}

enum { FDE_RANGE = 16 }; /* length, CIE, first address, range */

void dwarf_begin_fde(struct dwarf *d, size_t cie, uint64_t begin)
{
    d->entry = d->size;
    d->begin = d->at = begin;
    put_u32(d, 0);
    put_u32(d, (uint32_t)cie);
    put_u64(d, begin);
    put_u64(d, 0);
    put_uleb(d, 0);
}

void dwarf_end_fde(struct dwarf *d, uint64_t end)
{
    dwarf_end(d);
    if (!d->failed)
        put64(d->bytes + d->entry + FDE_RANGE, end - d->begin);
}

void dwarf_advance(struct dwarf *d, uint64_t address)
{
    uint64_t delta = address - d->at;
    d->at = address;
    if (!delta)
        return;
    if (delta < 0x40) {
        put_u8(d, ADVANCE_LOC | (unsigned)delta);
    } else if (delta <= UINT8_MAX) {
        put_u8(d, ADVANCE_LOC1);
        put_u8(d, (unsigned)delta);
    } else if (delta <= UINT16_MAX) {
        put_u8(d, ADVANCE_LOC2);
        put_u16(d, (unsigned)delta);
    } else {
        put_u8(d, ADVANCE_LOC4);
        put_u32(d, (uint32_t)delta);
    }
}

/* breg with an offset: a register's value plus a constant. */
static size_t breg(uint8_t *out, unsigned reg, int offset)
{
    size_t n = 0;
    out[n++] = (uint8_t)(OP_BREG0 + reg);
    for (; offset < -0x40 || offset >= 0x40; offset >>= 7)
        out[n++] = (uint8_t)((offset & 0x7f) | 0x80);
    out[n++] = (uint8_t)(offset & 0x7f);
    return n;
}

void dwarf_cfa(struct dwarf *d, unsigned reg, int offset)
{
    if (offset < 0) {
        uint8_t expression[8];
        size_t n = breg(expression, reg, offset);
        put_u8(d, DEF_CFA_EXPRESSION);
        put_uleb(d, n);
        put(d, expression, n);
        return;
    }
    put_u8(d, DEF_CFA);
    put_uleb(d, reg);
    put_uleb(d, (unsigned)offset);
}

void dwarf_cfa_indirect(struct dwarf *d, unsigned reg, int inner, int outer)
{
    uint8_t expression[16];
    size_t n = breg(expression, reg, inner);
    expression[n++] = OP_DEREF;
    if (outer) {
        uint8_t constant[8];
        size_t size = breg(constant, 0, outer); /* its operand is what OP_CONSTS wants */
        constant[0] = OP_CONSTS;
        memcpy(expression + n, constant, size);
        n += size;
        expression[n++] = OP_PLUS;
    }
    put_u8(d, DEF_CFA_EXPRESSION);
    put_uleb(d, n);
    put(d, expression, n);
}

void dwarf_saved(struct dwarf *d, unsigned reg, int cfa_offset)
{
    if (cfa_offset % WORD) {
        dwarf_undefined(d, reg);
        return;
    }
    if (cfa_offset <= 0 && reg < 0x40) {
        put_u8(d, OFFSET | reg);
        put_uleb(d, (unsigned)(-cfa_offset / WORD));
        return;
    }
    put_u8(d, OFFSET_EXTENDED_SF);
    put_uleb(d, reg);
    put_sleb(d, -cfa_offset / WORD);
}

void dwarf_saved_at(struct dwarf *d, unsigned reg, unsigned base, int offset)
{
    uint8_t expression[8];
    size_t n = breg(expression, base, offset);
    put_u8(d, EXPRESSION);
    put_uleb(d, reg);
    put_uleb(d, n);
    put(d, expression, n);
}

void dwarf_same(struct dwarf *d, unsigned reg)
{
    put_u8(d, SAME_VALUE);
    put_uleb(d, reg);
}

void dwarf_undefined(struct dwarf *d, unsigned reg)
{
    put_u8(d, UNDEFINED);
    put_uleb(d, reg);
}
