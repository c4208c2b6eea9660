/* Segment descriptors and gates: bytes to fields and back. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "x86/segment.h"

#include "x86/regs.h"

/*
 *  63      56 55 54 53  52 51    48 47 46 45 44 43  40 39      32
 * +----------+--+--+--+---+--------+--+-----+--+------+----------+
 * |base 31:24| G|DB| L|AVL|lim19:16| P| DPL | S| type |base 23:16|
 * +----------+--+--+--+---+--------+--+-----+--+------+----------+
 * |          base 15:0             |         limit 15:0          |
 * +--------------------------------+-----------------------------+
 *  31                            16 15                           0
 */
enum { ACCESS_SHIFT = 40, ACCESS_MASK = 0xf0ff };

uint64_t x86_linear_rip(const struct ringside_regs *regs)
{
    const struct ringside_segment *cs = &regs->seg[RINGSIDE_CS];
    bool long_code = regs->efer & X86_EFER_LMA && cs->access & X86_SEG_L;

    return long_code ? regs->rip : (uint32_t)(cs->base + regs->rip);
}

uint16_t x86_segment_access(uint64_t descriptor)
{
    return descriptor >> ACCESS_SHIFT & ACCESS_MASK;
}

struct ringside_segment x86_segment_decode(const uint64_t descriptor[2], uint16_t selector)
{
    uint64_t low = descriptor[0];
    uint32_t limit = (low & 0xffff) | (low >> 32 & 0xf0000);
    uint16_t access = x86_segment_access(low);

    if (access & X86_SEG_G)
        limit = limit << 12 | 0xfff;
    return (struct ringside_segment){
        .base = (low >> 16 & 0xffffff) | (low >> 32 & 0xff000000) | descriptor[1] << 32,
        .limit = limit,
        .selector = selector,
        .access = access,
    };
}

void x86_segment_encode(uint64_t descriptor[2], const struct ringside_segment *seg)
{
    uint64_t limit = seg->limit, access = seg->access & ACCESS_MASK;

    if (limit > 0xfffff)
        access |= X86_SEG_G;
    if (access & X86_SEG_G)
        limit >>= 12;
    descriptor[0] = (limit & 0xffff) | (limit & 0xf0000) << 32 | (seg->base & 0xffffff) << 16 |
                    (seg->base & 0xff000000) << 32 | access << ACCESS_SHIFT;
    descriptor[1] = access & X86_SEG_S ? 0 : seg->base >> 32;
}

struct x86_gate x86_gate_decode(const uint64_t descriptor[2], bool wide)
{
    uint64_t low = descriptor[0];
    uint16_t access = x86_segment_access(low);
    uint8_t type = access & X86_SEG_TYPE;
    bool gate16 = !wide && !(type & 8);
    uint64_t offset = low & 0xffff;

    if (!gate16)
        offset |= low >> 32 & 0xffff0000;
    if (wide)
        offset |= descriptor[1] << 32;
    return (struct x86_gate){
        .offset = offset,
        .selector = (uint16_t)(low >> 16),
        .type = type,
        .dpl = (access & X86_SEG_DPL) >> X86_SEG_DPL_SHIFT,
        .ist = wide ? low >> 32 & 7 : 0,
        .count = wide ? 0 : low >> 32 & 0x1f,
        .present = access & X86_SEG_P,
        .code_or_data = access & X86_SEG_S,
    };
}
