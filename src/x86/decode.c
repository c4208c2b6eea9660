/* The decoder: prefixes, the way through the opcode tables, ModRM and the operands. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "ringside/regs.h"
#include "x86/table.h"

static const struct spec_info {
    uint8_t method; /* enum operand_method */
    uint8_t size;   /* bytes or enum operand_size */
    uint8_t extra;  /* of AT_E: size of a register if it differs; of AT_FIXED_*: the register */
} specs[] = {
#define X(name, method, size, extra) {AT_##method, size, extra},
    X86_OPERAND_SPECS(X)
#undef X
};

enum { REX_B = 1, REX_X = 2, REX_R = 4, REX_W = 8 };

struct decoder {
    const uint8_t *bytes;
    size_t available; /* of bytes, at most 15 */
    size_t at;        /* the next byte to read */
    int error;        /* enum x86_decode_error, 0 if all is well */
    uint8_t rex;
    uint8_t mandatory; /* column of BY_PREFIX: 0 none, 1 66, 2 F3, 3 F2 */
    uint8_t opcode;
    bool lock, has_modrm;
    uint8_t mod, reg, rm; /* of ModRM, without REX */
};

/* Little-endian n bytes; 0 and d->error when they are not there. */
static uint64_t take(struct decoder *d, unsigned n)
{
    uint64_t value = 0;

    if (d->available - d->at < n) {
        if (!d->error)
            d->error = d->available == X86_INSN_MAX ? X86_DECODE_LONG : X86_DECODE_SHORT;
        d->at = d->available;
        return 0;
    }
    for (unsigned i = 0; i < n; i++)
        value |= (uint64_t)d->bytes[d->at++] << 8 * i;
    return value;
}

static int64_t sign_extend(uint64_t value, unsigned bytes)
{
    unsigned shift = 64 - 8 * bytes;

    return (int64_t)(value << shift) >> shift;
}

static void invalid(struct decoder *d)
{
    if (!d->error)
        d->error = X86_DECODE_INVALID;
}

/* Reads prefixes and the first opcode byte, which it returns. */
static uint8_t take_prefixes(struct decoder *d, struct x86_insn *insn)
{
    bool code64 = insn->width == X86_CODE64;
    uint8_t repeat = 0;

    for (;;) {
        uint8_t byte = (uint8_t)take(d, 1);

        if (d->error)
            return 0;
        switch (byte) {
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
            if (!code64) { /* without any effect in 64-bit code */
                insn->seg = byte >> 3 & 3;
                insn->prefixes |= X86_PREFIX_SEG;
            }
            break;
        case 0x64:
        case 0x65:
            insn->seg = byte & 7;
            insn->prefixes |= X86_PREFIX_SEG;
            break;
        case 0x66: insn->prefixes |= X86_PREFIX_OPSIZE; break;
        case 0x67: insn->prefixes |= X86_PREFIX_ADDRSIZE; break;
        case 0xf0: d->lock = true; break;
        case 0xf2:
        case 0xf3: repeat = byte; break;
        default:
            if (code64 && (byte & 0xf0) == 0x40) {
                d->rex = byte;
                continue;
            }
            if (d->rex)
                insn->prefixes |= X86_PREFIX_REX;
            if (d->rex & REX_W)
                insn->prefixes |= X86_PREFIX_REX_W;
            if (repeat)
                d->mandatory = repeat == 0xf3 ? 2 : 3;
            else
                d->mandatory = insn->prefixes & X86_PREFIX_OPSIZE ? 1 : 0;
            return byte;
        }
        d->rex = 0; /* REX counts only right before the opcode */
    }
}

static void need_modrm(struct decoder *d, struct x86_insn *insn)
{
    if (d->has_modrm)
        return;
    insn->modrm = (uint8_t)take(d, 1);
    d->has_modrm = true;
    d->mod = insn->modrm >> 6;
    d->reg = insn->modrm >> 3 & 7;
    d->rm = insn->modrm & 7;
}

static const struct x86_row *take_opcode(struct decoder *d, struct x86_insn *insn)
{
    uint8_t byte = take_prefixes(d, insn);
    const struct x86_row *map = x86_map_one_byte;

    if (byte == 0x0f) {
        map = x86_map_0f;
        byte = (uint8_t)take(d, 1);
        if (byte == 0x38 || byte == 0x3a) {
            map = byte == 0x38 ? x86_map_0f38 : x86_map_0f3a;
            byte = (uint8_t)take(d, 1);
        }
    } else if ((byte & 0xf8) == 0xd8) {
        d->opcode = byte;
        return &x86_map_x87[byte & 7];
    }
    d->opcode = byte;
    return &map[byte];
}

/* From a choice to the operation. */
static const struct x86_row *choose(struct decoder *d, struct x86_insn *insn,
                                    const struct x86_row *row)
{
    while (row->next) {
        unsigned n = 0;

        switch ((enum row_choice)row->flags) {
        case BY_CHOICE_PREFIX: n = d->mandatory; break;
        case BY_CHOICE_MOD: need_modrm(d, insn), n = d->mod == 3; break;
        case BY_CHOICE_REG: need_modrm(d, insn), n = d->reg; break;
        case BY_CHOICE_RM: need_modrm(d, insn), n = d->rm; break;
        case BY_CHOICE_REX_W: n = d->rex & REX_W ? 1 : 0; break;
        case BY_CHOICE_REX_B: n = d->rex & REX_B ? 1 : 0; break;
        case BY_CHOICE_MODE: n = insn->width == X86_CODE64; break;
        }
        row = &row->next[n];
    }
    return row;
}

static uint8_t operand_size(const struct decoder *d, const struct x86_insn *insn, unsigned flags)
{
    bool prefix = insn->prefixes & X86_PREFIX_OPSIZE;

    switch (insn->width) {
    case X86_CODE16: return prefix ? 4 : 2;
    case X86_CODE32: return prefix ? 2 : 4;
    default:
        if (d->rex & REX_W || flags & f64)
            return 8;
        if (prefix)
            return 2;
        return flags & d64 ? 8 : 4;
    }
}

static uint8_t address_size(const struct x86_insn *insn)
{
    if (!(insn->prefixes & X86_PREFIX_ADDRSIZE))
        return insn->width;
    return insn->width == X86_CODE32 ? 2 : 4;
}

/* Bytes of an operand of a size of enum operand_size. */
static uint16_t size_in_bytes(const struct decoder *d, const struct x86_insn *insn, unsigned size)
{
    switch (size) {
    case SIZE_V: return insn->opsize;
    case SIZE_Z: return insn->opsize == 2 ? 2 : 4;
    case SIZE_Y: return d->rex & REX_W ? 8 : 4;
    case SIZE_MODE: return insn->width == X86_CODE64 ? 8 : 4;
    case SIZE_P: return insn->opsize + 2;
    case SIZE_S: return insn->width == X86_CODE64 ? 10 : 6;
    case SIZE_A: return 2 * insn->opsize;
    case SIZE_ENV: return insn->opsize == 2 ? 14 : 28;
    case SIZE_SAVE: return insn->opsize == 2 ? 94 : 108;
    case SIZE_FX: return 512;
    default: return (uint16_t)size;
    }
}

/* Intel SDM vol. 2, table 2-1. */
static void decode_address16(struct decoder *d, struct x86_insn *insn)
{
    static const uint8_t base[8] = {RINGSIDE_RBX, RINGSIDE_RBX, RINGSIDE_RBP, RINGSIDE_RBP,
                                    RINGSIDE_RSI, RINGSIDE_RDI, RINGSIDE_RBP, RINGSIDE_RBX};
    static const uint8_t index[8] = {RINGSIDE_RSI, RINGSIDE_RDI, RINGSIDE_RSI, RINGSIDE_RDI,
                                     X86_NO_REG,   X86_NO_REG,   X86_NO_REG,   X86_NO_REG};

    insn->base = base[d->rm];
    insn->index = index[d->rm];
    if (d->mod == 0 && d->rm == 6) {
        insn->base = X86_NO_REG;
        insn->disp = sign_extend(take(d, 2), 2);
    } else if (d->mod != 0) {
        unsigned n = d->mod;

        insn->disp = sign_extend(take(d, n), n);
    }
}

/* Intel SDM vol. 2, tables 2-2, 2-3 and 2-7. */
static void decode_address(struct decoder *d, struct x86_insn *insn)
{
    uint8_t base = d->rm;

    if (base == 4) {
        uint8_t sib = (uint8_t)take(d, 1);
        uint8_t index = (sib >> 3 & 7) | (d->rex & REX_X ? 8 : 0);

        base = sib & 7;
        if (index != 4) {
            insn->index = index;
            insn->scale = (uint8_t)(1 << (sib >> 6));
        }
    } else if (base == 5 && d->mod == 0 && insn->width == X86_CODE64) {
        insn->base = X86_RIP;
    }
    if (d->mod != 0 || base != 5)
        insn->base = base | (d->rex & REX_B ? 8 : 0);
    if (d->mod == 1)
        insn->disp = sign_extend(take(d, 1), 1);
    else if (d->mod == 2 || base == 5)
        insn->disp = sign_extend(take(d, 4), 4);
}

static void decode_memory(struct decoder *d, struct x86_insn *insn)
{
    if (insn->addrsize == 2)
        decode_address16(d, insn);
    else
        decode_address(d, insn);
    if (!(insn->prefixes & X86_PREFIX_SEG) &&
        (insn->base == RINGSIDE_RBP || insn->base == RINGSIDE_RSP))
        insn->seg = RINGSIDE_SS;
}

static void set_gpr(const struct decoder *d, struct x86_operand *operand, uint8_t reg,
                    uint16_t size)
{
    bool high = size == 1 && !d->rex && reg >= 4;

    operand->kind = high ? X86_GPR_HIGH : X86_GPR;
    operand->reg = high ? reg - 4 : reg;
    operand->size = size;
}

static bool control_register_exists(unsigned reg)
{
    return reg == 0 || (reg >= 2 && reg <= 4) || reg == 8;
}

static void decode_operand(struct decoder *d, struct x86_insn *insn, struct x86_operand *operand,
                           const struct spec_info *info)
{
    uint16_t size = size_in_bytes(d, insn, info->size);
    uint8_t reg = d->reg | (d->rex & REX_R ? 8 : 0), rm = d->rm | (d->rex & REX_B ? 8 : 0);
    bool memory = d->mod != 3;

    operand->size = size;
    switch ((enum operand_method)info->method) {
    case AT_NOTHING: break;
    case AT_A:
        operand->kind = X86_FAR;
        insn->imm = take(d, insn->opsize);
        insn->imm2 = (uint16_t)take(d, 2);
        break;
    case AT_C:
        operand->kind = X86_CR;
        operand->reg = reg;
        if (!control_register_exists(reg))
            invalid(d);
        break;
    case AT_D:
        operand->kind = X86_DR;
        operand->reg = reg;
        if (reg > 7)
            invalid(d);
        break;
    case AT_M:
        operand->kind = X86_MEM;
        if (memory)
            decode_memory(d, insn);
        else
            invalid(d);
        break;
    case AT_E:
        if (memory) {
            operand->kind = X86_MEM;
            decode_memory(d, insn);
        } else {
            set_gpr(d, operand, rm, info->extra ? size_in_bytes(d, insn, info->extra) : size);
        }
        break;
    case AT_G: set_gpr(d, operand, reg, size); break;
    case AT_RO:
        if (memory)
            invalid(d);
        set_gpr(d, operand, rm, size);
        break;
    case AT_R: set_gpr(d, operand, rm, size); break;
    case AT_I:
        operand->kind = X86_IMM;
        insn->imm = take(d, size);
        break;
    case AT_IS:
        operand->kind = X86_IMM;
        insn->imm = (uint64_t)sign_extend(take(d, size), size);
        break;
    case AT_I2:
        operand->kind = X86_IMM2;
        insn->imm2 = (uint16_t)take(d, size);
        break;
    case AT_J:
        operand->kind = X86_REL;
        insn->imm = (uint64_t)sign_extend(take(d, size), size);
        break;
    case AT_O:
        operand->kind = X86_MEM;
        insn->disp = (int64_t)take(d, insn->addrsize);
        break;
    case AT_P:
        operand->kind = X86_MMX;
        operand->reg = d->reg;
        break;
    case AT_N:
        if (memory)
            invalid(d);
        operand->kind = X86_MMX;
        operand->reg = d->rm;
        break;
    case AT_Q:
        operand->kind = memory ? X86_MEM : X86_MMX;
        operand->reg = memory ? 0 : d->rm;
        if (memory)
            decode_memory(d, insn);
        break;
    case AT_S:
        operand->kind = X86_SEG;
        operand->reg = d->reg;
        if (d->reg > RINGSIDE_GS || (operand == insn->operand && d->reg == RINGSIDE_CS))
            invalid(d);
        break;
    case AT_U:
        if (memory)
            invalid(d);
        operand->kind = X86_XMM;
        operand->reg = rm;
        break;
    case AT_V:
        operand->kind = X86_XMM;
        operand->reg = reg;
        break;
    case AT_W:
        operand->kind = memory ? X86_MEM : X86_XMM;
        operand->reg = memory ? 0 : rm;
        if (memory)
            decode_memory(d, insn);
        break;
    case AT_X:
        operand->kind = X86_MEM;
        insn->base = RINGSIDE_RSI;
        break;
    case AT_Y:
        operand->kind = X86_MEM;
        insn->base = RINGSIDE_RDI;
        insn->seg = RINGSIDE_ES; /* whatever the prefixes say */
        break;
    case AT_Z: set_gpr(d, operand, (d->opcode & 7) | (d->rex & REX_B ? 8 : 0), size); break;
    case AT_ST:
        operand->kind = X86_ST;
        operand->reg = d->rm;
        break;
    case AT_FIXED_GPR:
        operand->kind = X86_GPR;
        operand->reg = info->extra;
        break;
    case AT_FIXED_SEG:
        operand->kind = X86_SEG;
        operand->reg = info->extra;
        break;
    case AT_FIXED_ST: operand->kind = X86_ST; break;
    case AT_ONE:
        operand->kind = X86_IMM;
        insn->imm = 1;
        break;
    }
}

/* Does an operand of this kind come from ModRM? */
static bool uses_modrm(unsigned method)
{
    static const uint64_t with_modrm = 1ull << AT_C | 1ull << AT_D | 1ull << AT_E | 1ull << AT_G |
                                       1ull << AT_M | 1ull << AT_N | 1ull << AT_P | 1ull << AT_Q |
                                       1ull << AT_R | 1ull << AT_RO | 1ull << AT_S | 1ull << AT_U |
                                       1ull << AT_V | 1ull << AT_W | 1ull << AT_ST;

    return with_modrm >> method & 1;
}

static uint8_t condition(const struct decoder *d, const struct x86_row *row)
{
    static const uint8_t x87[4] = {0x2, 0x4, 0x6,
                                   0xa}; /* below, equal, below or equal, unordered */

    if (row->op == X86_FCMOVCC)
        return x87[d->reg & 3] | (d->opcode & 1);
    return d->opcode & 0xf;
}

static void decode(struct decoder *d, struct x86_insn *insn)
{
    const struct x86_row *row = take_opcode(d, insn);
    bool code64 = insn->width == X86_CODE64;

    if (d->error)
        return;
    row = choose(d, insn, row);
    if (row->op == X86_INVALID || row->flags & (code64 ? i64 : o64)) {
        invalid(d);
        return;
    }
    insn->op = row->op;
    insn->opcode = d->opcode;
    insn->opsize = operand_size(d, insn, row->flags);
    insn->addrsize = address_size(insn);
    if (row->flags & cc)
        insn->cond = condition(d, row);
    if (row->flags & rep && d->mandatory >= 2)
        insn->prefixes |= d->mandatory == 2 ? X86_PREFIX_REP : X86_PREFIX_REPNE;

    for (unsigned i = 0; i < X86_OPERANDS_MAX && row->spec[i] != NONE; i++) {
        const struct spec_info *info = &specs[row->spec[i]];

        if (uses_modrm(info->method))
            need_modrm(d, insn);
        decode_operand(d, insn, &insn->operand[i], info);
        insn->count++;
    }
    if (d->lock) {
        insn->prefixes |= X86_PREFIX_LOCK;
        if (!(row->flags & lk) || insn->operand[0].kind != X86_MEM)
            invalid(d);
    }
}

int x86_decode(struct x86_insn *insn, const uint8_t *bytes, size_t n, enum x86_width width)
{
    struct decoder d = {
        .bytes = bytes,
        .available = n < X86_INSN_MAX ? n : X86_INSN_MAX,
    };
    struct x86_insn result = {
        .width = (uint8_t)width,
        .seg = RINGSIDE_DS,
        .base = X86_NO_REG,
        .index = X86_NO_REG,
        .scale = 1,
    };

    decode(&d, &result);
    if (d.error)
        return d.error;
    result.length = (uint8_t)d.at;
    *insn = result;
    return result.length;
}
