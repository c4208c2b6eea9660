/* Makes up instructions of a given operation, with registers and memory that suit them. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "native.h"

#include <stdlib.h>
#include <string.h>

#include "random.h"
#include "ringside/regs.h"
#include "x86/regs.h"

/* An encoding that the decoder accepts: everything else about it is free. */
struct form {
    uint8_t prefix; /* 0, 66, F3 or F2 */
    uint8_t map;    /* 0 one byte, 1 0F, 2 0F38, 3 0F3A */
    uint8_t opcode;
    uint8_t modrm; /* its reg field, and all of it if that is a register form */
    bool memory;
};

struct form_list {
    struct form *forms;
    size_t count, capacity;
};

struct generator {
    uint64_t random;
    struct form_list lists[X86_OP_COUNT];
};

/* Memory operands lie in the first part of the data page, the stack in the rest. */
enum { OPERANDS = 0x100, OPERANDS_SIZE = 0x600, STACK = 0x800, STACK_SIZE = 0x700 };

static unsigned pick(struct generator *g, unsigned n)
{
    return random_pick(&g->random, n);
}

static bool one_in(struct generator *g, unsigned n)
{
    return random_one_in(&g->random, n);
}

/* --- The encodings --------------------------------------------------------------------------- */

static size_t put_opcode(uint8_t *bytes, const struct form *f)
{
    size_t at = 0;

    if (f->map > 0)
        bytes[at++] = 0x0f;
    if (f->map > 1)
        bytes[at++] = f->map == 2 ? 0x38 : 0x3a;
    bytes[at++] = f->opcode;
    return at;
}

/* A prefix, or the way to another map: no opcode. */
static bool is_prefix(const struct form *f)
{
    uint8_t b = f->opcode;

    if (f->map == 1)
        return b == 0x38 || b == 0x3a;
    return f->map == 0 && (b == 0x0f || (b & 0xe7) == 0x26 || (b & 0xf0) == 0x40 ||
                           (b & 0xfc) == 0x64 || b == 0xf0 || b == 0xf2 || b == 0xf3);
}

/* Intel takes 0F 0D with a register for a NOP, AMD for an undefined opcode. */
static bool is_vendors_own(const struct form *f)
{
    return f->map == 1 && f->opcode == 0x0d && !f->memory;
}

static bool remember(struct generator *g, const struct form *f)
{
    uint8_t bytes[X86_INSN_MAX] = {f->prefix};
    size_t at = f->prefix ? 1 : 0;
    struct x86_insn insn;
    struct form_list *list;

    at += put_opcode(bytes + at, f);
    bytes[at] = f->modrm;
    if (is_prefix(f) || is_vendors_own(f) ||
        x86_decode(&insn, bytes, sizeof(bytes), X86_CODE64) < 0)
        return true;
    list = &g->lists[insn.op];
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        struct form *forms = realloc(list->forms, capacity * sizeof(*forms));

        if (!forms)
            return false;
        list->forms = forms;
        list->capacity = capacity;
    }
    list->forms[list->count++] = *f;
    return true;
}

struct generator *generator_new(uint64_t seed)
{
    static const uint8_t prefixes[] = {0, 0x66, 0xf3, 0xf2};
    struct generator *g = calloc(1, sizeof(*g));

    if (!g)
        return NULL;
    g->random = seed * 2 + 1;
    for (unsigned code = 0; code < 4 * 4 * 256 * 72; code++) {
        unsigned modrm = code % 72, opcode = code / 72 % 256;
        struct form f = {
            .prefix = prefixes[code / 72 / 256 % 4],
            .map = (uint8_t)(code / 72 / 256 / 4),
            .opcode = (uint8_t)opcode,
            .modrm = (uint8_t)(modrm < 64 ? 0xc0 | modrm : (modrm & 7) << 3),
            .memory = modrm >= 64,
        };
        if (!remember(g, &f)) {
            generator_free(g);
            return NULL;
        }
    }
    return g;
}

void generator_free(struct generator *g)
{
    if (!g)
        return;
    for (int op = 0; op < X86_OP_COUNT; op++)
        free(g->lists[op].forms);
    free(g);
}

/* --- An instruction -------------------------------------------------------------------------- */

static bool has_relative(const struct x86_insn *insn)
{
    return insn->count == 1 && insn->operand[0].kind == X86_REL;
}

static bool is_string(enum x86_op op)
{
    return op >= X86_MOVS && op <= X86_OUTS;
}

static bool is_near_branch(enum x86_op op)
{
    return op == X86_RET || op == X86_CALL || (op >= X86_JMP && op <= X86_JCXZ);
}

/* 66, F2 or F3 before the opcode; encode() puts no more than four prefixes there. */
static bool has_prefix(const struct native_case *c)
{
    for (int i = 0; i < c->insn.length && i < 5; i++) {
        uint8_t b = c->bytes[i];

        if (b == 0x66 || b == 0xf2 || b == 0xf3)
            return true;
        if (b != 0x67 && b != 0x26)
            return false;
    }
    return false;
}

/* Bytes for this form; 0 if they do not say what was meant.  *disp is where a disp32 lies, or 0. */
static bool encode(struct generator *g, const struct form *f, struct native_case *c, size_t *disp)
{
    uint8_t *b = c->bytes;
    size_t at = 0;
    uint8_t modrm = f->modrm;

    *disp = 0;
    for (size_t i = 0; i < sizeof(c->bytes); i++)
        b[i] = (uint8_t)random_next(&g->random);
    if (f->prefix != 0x66 && one_in(g, 4))
        b[at++] = 0x66;
    if (one_in(g, 16))
        b[at++] = 0x67;
    if (one_in(g, 32))
        b[at++] = 0x26; /* ES: ignored */
    if (one_in(g, 32))
        b[at++] = 0xf0;
    if (f->prefix)
        b[at++] = f->prefix;
    if (one_in(g, 2))
        b[at++] = (uint8_t)(0x40 | pick(g, 16));
    at += put_opcode(b + at, f);
    if (f->memory) {
        modrm |= (uint8_t)(pick(g, 3) << 6 | pick(g, 8));
        if ((modrm & 7) == 4) {
            if (modrm < 0x40 && (b[at + 1] & 7) == 5)
                *disp = at + 2;
        } else if ((modrm & 0xc7) == 5) {
            *disp = at + 1;
        }
    }
    b[at] = modrm;
    if (f->map == 0 && f->opcode >= 0xa0 && f->opcode <= 0xa3)
        *disp = at;
    if (x86_decode(&c->insn, b, X86_INSN_MAX, X86_CODE64) < 0)
        return false;
    /* Intel ignores 66 on near branches, AMD truncates RIP; with F2 or F3 AMD's LOOPE and LOOPNE
     * take the other's condition. */
    if (is_near_branch((enum x86_op)c->insn.op) && has_prefix(c))
        return false;
    memset(b + c->insn.length, 0xcc, sizeof(c->bytes) - c->insn.length);
    return true;
}

static void put_le(uint8_t *at, uint64_t value, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

/* Where the memory operand shall lie: aligned or not, now and then out of the page. */
static uint64_t any_target(struct generator *g)
{
    uint64_t target = NATIVE_DATA + OPERANDS + pick(g, OPERANDS_SIZE / 16) * 16;

    if (one_in(g, 4))
        target += pick(g, 16);
    if (one_in(g, 40))
        target = NATIVE_DATA + (one_in(g, 2) ? NATIVE_PAGE - pick(g, 24) : 0ull - pick(g, 24));
    if (one_in(g, 200))
        target = one_in(g, 2) ? 0x0000900000000000 : 0xffff700000000000; /* not canonical */
    return target;
}

/* Set registers, or the displacement, so that the memory operand is at the target. */
static bool aim(struct generator *g, struct native_case *c, size_t disp)
{
    struct x86_insn *insn = &c->insn;
    uint64_t target = any_target(g), *gpr = c->in.gpr, offset;
    bool has_index = insn->index != X86_NO_REG;

    if (insn->base == X86_RIP || (insn->base == X86_NO_REG && !has_index)) {
        unsigned n = insn->base != X86_RIP && !insn->modrm ? insn->addrsize : 4;

        if (!disp || target >> 31)
            return false;
        put_le(c->bytes + disp,
               insn->base == X86_RIP ? target - NATIVE_START - insn->length : target, n);
        return x86_decode(insn, c->bytes, X86_INSN_MAX, X86_CODE64) > 0;
    }
    offset = target - (uint64_t)insn->disp;
    if (has_index && insn->base == insn->index)
        gpr[insn->base] = offset / (1u + insn->scale);
    else if (insn->base == X86_NO_REG)
        gpr[insn->index] = offset / insn->scale;
    else
        gpr[insn->base] = offset - (has_index ? gpr[insn->index] * insn->scale : 0);
    return true;
}

static void prepare_division(struct generator *g, struct native_case *c)
{
    uint64_t *gpr = c->in.gpr;

    switch (pick(g, 4)) {
    case 0: gpr[RINGSIDE_RDX] = 0; break;
    case 1: gpr[RINGSIDE_RDX] = ~0ull; break;
    case 2: gpr[RINGSIDE_RDX] = pick(g, 256); break;
    default: break;
    }
    if (one_in(g, 2))
        gpr[RINGSIDE_RAX] &= 0xff;
}

/* A place to jump to: INT3 is there. */
static uint64_t any_code(struct generator *g)
{
    return NATIVE_CODE + 0x100 + pick(g, 0x600);
}

/* The same for what it reads from its memory operand, which has a place by now. */
static void prepare_memory(struct generator *g, struct native_case *c)
{
    const struct x86_insn *insn = &c->insn;
    uint64_t ea = (uint64_t)insn->disp, at, value;

    if (insn->base == X86_RIP)
        ea += NATIVE_START + insn->length;
    else if (insn->base != X86_NO_REG)
        ea += c->in.gpr[insn->base];
    if (insn->index != X86_NO_REG)
        ea += c->in.gpr[insn->index] * insn->scale;
    if (insn->addrsize == 4)
        ea = (uint32_t)ea;
    at = ea - NATIVE_DATA;
    if (at > NATIVE_PAGE - (insn->op == X86_LDMXCSR ? 4 : 8))
        return;
    switch ((enum x86_op)insn->op) {
    case X86_JMP:
    case X86_CALL:
        value = any_code(g);
        memcpy(c->in.data + at, &value, 8);
        break;
    case X86_LDMXCSR: /* reserved bits fault; bit 17 is AMD's, not in the processors we model */
        value = random_next(&g->random) & (one_in(g, 4) ? 0xfffdffff : 0xffff);
        memcpy(c->in.data + at, &value, 4);
        break;
    default: break;
    }
}

/* What an operation needs beside its operands to do more than fault. */
static bool prepare(struct generator *g, struct native_case *c)
{
    const struct x86_insn *insn = &c->insn;
    uint64_t *gpr = c->in.gpr, address = NATIVE_DATA + OPERANDS + pick(g, OPERANDS_SIZE);
    uint64_t *stack = (uint64_t *)(void *)&c->in.data[gpr[RINGSIDE_RSP] - NATIVE_DATA];

    switch ((enum x86_op)insn->op) {
    case X86_MOVS:
    case X86_CMPS:
    case X86_STOS:
    case X86_LODS:
    case X86_SCAS:
        gpr[RINGSIDE_RSI] = address;
        gpr[RINGSIDE_RDI] = one_in(g, 4) ? address + pick(g, 9) - 4
                                         : NATIVE_DATA + OPERANDS + pick(g, OPERANDS_SIZE);
        gpr[RINGSIDE_RCX] = pick(g, 20);
        if (one_in(g, 2)) /* runs of equal elements */
            memset(c->in.data + OPERANDS, (int)(gpr[RINGSIDE_RAX] & 0xff), OPERANDS_SIZE / 2);
        return true;
    case X86_MASKMOVQ:
    case X86_MASKMOVDQU: gpr[RINGSIDE_RDI] = address; return true;
    case X86_XLAT: gpr[RINGSIDE_RBX] = address - (gpr[RINGSIDE_RAX] & 0xff); return true;
    case X86_BT:
    case X86_BTS:
    case X86_BTR:
    case X86_BTC:
        if (insn->operand[0].kind != X86_MEM || insn->operand[1].kind != X86_GPR)
            return true;
        if (insn->operand[1].reg == insn->base || insn->operand[1].reg == insn->index)
            return false;
        gpr[insn->operand[1].reg] = (uint64_t)pick(g, 512) - 256;
        return true;
    case X86_DIV:
    case X86_IDIV: prepare_division(g, c); return true;
    case X86_ENTER:
    case X86_LEAVE: gpr[RINGSIDE_RBP] = NATIVE_DATA + STACK + pick(g, STACK_SIZE); return true;
    case X86_RET: *stack = any_code(g); return true;
    case X86_LOOP:
    case X86_LOOPE:
    case X86_LOOPNE:
    case X86_JCXZ:
        gpr[RINGSIDE_RCX] = pick(g, 4) | (one_in(g, 2) ? 0xdeadull << 40 : 0);
        return true;
    case X86_JMP:
    case X86_CALL:
        if (insn->operand[0].kind != X86_GPR)
            return true;
        gpr[insn->operand[0].reg] = any_code(g);
        return insn->operand[0].reg != RINGSIDE_RSP;
    default: return true;
    }
}

/* A near branch must land in the page and not in itself. */
static bool lands_well(struct native_case *c)
{
    uint64_t target = NATIVE_START + c->insn.length + c->insn.imm;

    if (!has_relative(&c->insn))
        return true;
    return target >= NATIVE_CODE && target < NATIVE_CODE + NATIVE_PAGE &&
           (target < NATIVE_START || target >= NATIVE_START + c->insn.length);
}

bool generator_make(struct generator *g, enum x86_op op, struct native_case *c)
{
    const struct form_list *list = &g->lists[op];

    for (int tries = 0; list->count && tries < 1000; tries++) {
        const struct form *f = &list->forms[pick(g, (unsigned)list->count)];
        bool memory = false;
        size_t disp;

        if (!encode(g, f, c, &disp) || c->insn.op != op)
            continue;
        if (has_relative(&c->insn) && c->insn.length >= 5 && c->insn.operand[0].size == 4) {
            put_le(c->bytes + c->insn.length - 4, pick(g, 0x400) - 0x200ull, 4);
            x86_decode(&c->insn, c->bytes, X86_INSN_MAX, X86_CODE64);
        }
        random_state(&g->random, &c->in);
        c->in.rip = NATIVE_START;
        c->in.gpr[RINGSIDE_RSP] = NATIVE_DATA + STACK + 64 + pick(g, (STACK_SIZE - 128) / 8) * 8;
        if (!prepare(g, c) || !lands_well(c))
            continue;
        for (int i = 0; i < c->insn.count; i++)
            memory |= c->insn.operand[i].kind == X86_MEM;
        if (!memory || c->insn.op == X86_LEA || is_string(op)) /* or prepared above */
            return true;
        if (aim(g, c, disp)) {
            prepare_memory(g, c);
            return true;
        }
    }
    return false;
}
