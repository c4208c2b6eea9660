/* SSE4.2 string comparison: PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/sse.h"

/* The immediate (Intel SDM vol. 2, 4.1). */
enum {
    IMM_WORDS = 1 << 0,
    IMM_SIGNED = 1 << 1,
    IMM_NEGATE = 1 << 4,
    IMM_VALID_ONLY = 1 << 5, /* negate valid elements only */
    IMM_LAST = 1 << 6,       /* index: the most significant; mask: whole elements */
};
enum aggregation { EQUAL_ANY, RANGES, EQUAL_EACH, EQUAL_ORDERED };

struct text {
    union cpu_vec v;
    int length; /* valid elements, 0..count */
};

static int element(const struct text *t, uint8_t imm, int i)
{
    if (imm & IMM_WORDS)
        return imm & IMM_SIGNED ? t->v.i16[i] : t->v.u16[i];
    return imm & IMM_SIGNED ? t->v.i8[i] : t->v.u8[i];
}

/* Bit j of the intermediate result for element j of the second text b. */
static bool aggregate(const struct text *a, const struct text *b, uint8_t imm, int count, int j)
{
    bool any = false;

    switch (imm >> 2 & 3) {
    case EQUAL_ANY:
        for (int i = 0; i < a->length && j < b->length; i++)
            any |= element(a, imm, i) == element(b, imm, j);
        return any;
    case RANGES:
        for (int i = 0; i + 1 < a->length && j < b->length; i += 2)
            any |= element(a, imm, i) <= element(b, imm, j) &&
                   element(b, imm, j) <= element(a, imm, i + 1);
        return any;
    case EQUAL_EACH:
        if (j >= a->length || j >= b->length)
            return j >= a->length && j >= b->length;
        return element(a, imm, j) == element(b, imm, j);
    default: /* a, or as much of it as fits before the register's end, stands at j of b */
        for (int i = 0; i < a->length && i + j < count; i++)
            if (i + j >= b->length || element(a, imm, i) != element(b, imm, i + j))
                return false;
        return true;
    }
}

static int implicit_length(const struct text *t, uint8_t imm, int count)
{
    int n = 0;

    while (n < count && element(t, imm, n))
        n++;
    return n;
}

/* EAX or EDX: the absolute value, at most count. */
static int explicit_length(const struct cpu *cpu, const struct x86_insn *insn, unsigned reg,
                           int count)
{
    int64_t n = (int64_t)cpu_sext(cpu->r.gpr[reg], insn->prefixes & X86_PREFIX_REX_W ? 8 : 4);

    return n >= count || n <= -count ? count : (int)(n < 0 ? -n : n);
}

/* The result bits after polarity, with the flags set from them. */
static int compare(struct cpu *cpu, const struct x86_insn *insn, bool lengths, uint8_t imm,
                   int count, unsigned *bits)
{
    struct text a = {.v = *cpu_xmm(cpu, insn->operand[0].reg)}, b;
    unsigned result = 0;

    CPU_TRY(cpu_sse_ready(cpu));
    CPU_TRY(cpu_vec_source_any(cpu, insn, 1, 16, &b.v));
    a.length =
        lengths ? explicit_length(cpu, insn, RINGSIDE_RAX, count) : implicit_length(&a, imm, count);
    b.length =
        lengths ? explicit_length(cpu, insn, RINGSIDE_RDX, count) : implicit_length(&b, imm, count);
    for (int j = 0; j < count; j++) {
        bool bit = aggregate(&a, &b, imm, count, j);

        if ((imm & IMM_NEGATE) && (!(imm & IMM_VALID_ONLY) || j < b.length))
            bit = !bit;
        result |= (unsigned)bit << j;
    }
    cpu_set_arith_flags(cpu, (result ? X86_FLAG_CF : 0) | (b.length < count ? X86_FLAG_ZF : 0) |
                                 (a.length < count ? X86_FLAG_SF : 0) |
                                 (result & 1 ? X86_FLAG_OF : 0));
    *bits = result;
    return CPU_NEXT;
}

static int string_index(struct cpu *cpu, const struct x86_insn *insn, bool lengths)
{
    uint8_t imm = (uint8_t)insn->imm;
    int count = imm & IMM_WORDS ? 8 : 16;
    unsigned bits, index;

    CPU_TRY(compare(cpu, insn, lengths, imm, count, &bits));
    if (!bits)
        index = (unsigned)count;
    else
        index = (unsigned)(imm & IMM_LAST ? 31 - __builtin_clz(bits) : __builtin_ctz(bits));
    cpu_set_gpr(cpu, RINGSIDE_RCX, 8, index);
    return CPU_NEXT;
}

static int string_mask(struct cpu *cpu, const struct x86_insn *insn, bool lengths)
{
    uint8_t imm = (uint8_t)insn->imm;
    int count = imm & IMM_WORDS ? 8 : 16;
    union cpu_vec mask = {.u64 = {0, 0}};
    unsigned bits;

    CPU_TRY(compare(cpu, insn, lengths, imm, count, &bits));
    if (!(imm & IMM_LAST))
        mask.u64[0] = bits;
    else if (imm & IMM_WORDS)
        for (int i = 0; i < 8; i++)
            mask.u16[i] = bits >> i & 1 ? 0xffff : 0;
    else
        for (int i = 0; i < 16; i++)
            mask.u8[i] = bits >> i & 1 ? 0xff : 0;
    *cpu_xmm(cpu, 0) = mask;
    return CPU_NEXT;
}

static int pcmpestri(struct cpu *cpu, const struct x86_insn *insn)
{
    return string_index(cpu, insn, true);
}

static int pcmpistri(struct cpu *cpu, const struct x86_insn *insn)
{
    return string_index(cpu, insn, false);
}

static int pcmpestrm(struct cpu *cpu, const struct x86_insn *insn)
{
    return string_mask(cpu, insn, true);
}

static int pcmpistrm(struct cpu *cpu, const struct x86_insn *insn)
{
    return string_mask(cpu, insn, false);
}

cpu_handler *cpu_bind_sse_string(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_PCMPESTRI: return pcmpestri;
    case X86_PCMPESTRM: return pcmpestrm;
    case X86_PCMPISTRI: return pcmpistri;
    case X86_PCMPISTRM: return pcmpistrm;
    default: return NULL;
    }
}
