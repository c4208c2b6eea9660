/* Shifts, rotates, double shifts, bit tests, bit scans and counts, BSWAP and CRC32. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/internal.h"

/* The count of a shift: modulo 32, or 64 for 64-bit operands (Intel SDM vol. 2, "SAL/SAR/SHL/SHR").
 */
static inline int shift_count(struct cpu *cpu, const struct x86_insn *insn, unsigned n,
                              unsigned *count)
{
    uint64_t value = insn->imm;

    if (insn->operand[n].kind != X86_IMM)
        CPU_TRY(cpu_operand(cpu, insn, n, &value));
    *count = value & (insn->operand[0].size == 8 ? 63 : 31);
    return CPU_NEXT;
}

/* The operand that is shifted: most often a register. */
static inline int destination(struct cpu *cpu, const struct x86_insn *insn, unsigned size,
                              uint64_t *value)
{
    if (CPU_UNLIKELY(insn->operand[0].kind != X86_GPR))
        return cpu_operand_rmw(cpu, insn, 0, value);
    *value = cpu_gpr(cpu, insn->operand[0].reg, size);
    return CPU_NEXT;
}

static inline int set_destination(struct cpu *cpu, const struct x86_insn *insn, unsigned size,
                                  uint64_t value)
{
    if (CPU_UNLIKELY(insn->operand[0].kind != X86_GPR))
        return cpu_set_operand(cpu, insn, 0, value);
    cpu_set_gpr(cpu, insn->operand[0].reg, size, value);
    return CPU_NEXT;
}

/*
 * Shifts set CF to the last bit shifted out and OF to what a shift by one means.  Where a count of
 * more than one leaves OF undefined, and for AF, we give what Intel's processors do: the same
 * formula, and 0.
 */
static inline int shl(struct cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    unsigned bits = 8 * size, count;
    uint64_t a, result;

    CPU_TRY(shift_count(cpu, insn, 1, &count));
    CPU_TRY(destination(cpu, insn, size, &a));
    result = cpu_zext(a << count, size);
    CPU_TRY(set_destination(cpu, insn, size, result));
    if (count) {
        bool cf = count <= bits && (a >> (bits - count) & 1);

        cpu_flags_logic(cpu, size, result);
        cpu_set_cf_of(cpu, cf, (result >> (bits - 1) & 1) ^ cf);
    }
    return CPU_NEXT;
}

static inline int shr(struct cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    unsigned bits = 8 * size, count;
    uint64_t a, result;

    CPU_TRY(shift_count(cpu, insn, 1, &count));
    CPU_TRY(destination(cpu, insn, size, &a));
    result = a >> count;
    CPU_TRY(set_destination(cpu, insn, size, result));
    if (count) {
        cpu_flags_logic(cpu, size, result);
        cpu_set_cf_of(cpu, a >> (count - 1) & 1, (result >> (bits - 1) ^ result >> (bits - 2)) & 1);
    }
    return CPU_NEXT;
}

static inline int sar(struct cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    unsigned count;
    uint64_t a, result;
    int64_t wide;

    CPU_TRY(shift_count(cpu, insn, 1, &count));
    CPU_TRY(destination(cpu, insn, size, &a));
    wide = (int64_t)cpu_sext(a, size);
    result = cpu_zext((uint64_t)(wide >> count), size);
    CPU_TRY(set_destination(cpu, insn, size, result));
    if (count) {
        cpu_flags_logic(cpu, size, result);
        cpu_set_cf_of(cpu, wide >> (count - 1) & 1, false);
    }
    return CPU_NEXT;
}

/* Rotates touch CF and OF only, and CF even when the count is a multiple of the width. */
static inline int rol(struct cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    unsigned bits = 8 * size, count, turn;
    uint64_t a, result;

    CPU_TRY(shift_count(cpu, insn, 1, &count));
    CPU_TRY(destination(cpu, insn, size, &a));
    turn = count & (bits - 1);
    result = turn ? cpu_zext(a << turn | a >> (bits - turn), size) : a;
    CPU_TRY(set_destination(cpu, insn, size, result));
    if (count) {
        bool cf = result & 1;

        cpu_set_cf_of(cpu, cf, (result >> (bits - 1) & 1) ^ cf);
    }
    return CPU_NEXT;
}

static inline int ror(struct cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    unsigned bits = 8 * size, count, turn;
    uint64_t a, result;

    CPU_TRY(shift_count(cpu, insn, 1, &count));
    CPU_TRY(destination(cpu, insn, size, &a));
    turn = count & (bits - 1);
    result = turn ? cpu_zext(a >> turn | a << (bits - turn), size) : a;
    CPU_TRY(set_destination(cpu, insn, size, result));
    if (count) {
        bool cf = result >> (bits - 1) & 1;

        cpu_set_cf_of(cpu, cf, (result >> (bits - 2) & 1) ^ cf);
    }
    return CPU_NEXT;
}

/* Rotates through carry turn bits + 1 places. */
static inline int rcl(struct cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    unsigned bits = 8 * size, count;
    uint64_t a, result;
    bool cf = cpu_cf(cpu);

    CPU_TRY(shift_count(cpu, insn, 1, &count));
    CPU_TRY(destination(cpu, insn, size, &a));
    if (size < 4)
        count %= bits + 1;
    result = a;
    if (count) {
        result = (count < bits ? a << count : 0) | (uint64_t)cf << (count - 1);
        if (count > 1)
            result |= a >> (bits + 1 - count);
        result = cpu_zext(result, size);
        cf = a >> (bits - count) & 1;
    }
    CPU_TRY(set_destination(cpu, insn, size, result));
    if (count)
        cpu_set_cf_of(cpu, cf, (result >> (bits - 1) & 1) ^ cf);
    return CPU_NEXT;
}

static inline int rcr(struct cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    unsigned bits = 8 * size, count;
    uint64_t a, result;
    bool cf = cpu_cf(cpu);

    CPU_TRY(shift_count(cpu, insn, 1, &count));
    CPU_TRY(destination(cpu, insn, size, &a));
    if (size < 4)
        count %= bits + 1;
    result = a;
    if (count) {
        result = (count < bits ? a >> count : 0) | (uint64_t)cf << (bits - count);
        if (count > 1)
            result |= a << (bits + 1 - count);
        result = cpu_zext(result, size);
        cf = a >> (count - 1) & 1;
    }
    CPU_TRY(set_destination(cpu, insn, size, result));
    if (count)
        cpu_set_cf_of(cpu, cf, (result >> (bits - 1) ^ result >> (bits - 2)) & 1);
    return CPU_NEXT;
}

/*
 * Double shifts.  A 16-bit one by more than 16 is undefined; we shift in the destination's own bits
 * again, as Intel's processors do.
 */
static inline int double_shift(struct cpu *cpu, const struct x86_insn *insn, unsigned size,
                               bool left)
{
    unsigned bits = 8 * size, count;
    uint64_t a, b, result;
    bool cf;

    CPU_TRY(shift_count(cpu, insn, 2, &count));
    CPU_TRY(cpu_operand(cpu, insn, 1, &b));
    CPU_TRY(destination(cpu, insn, size, &a));
    if (!count)
        return set_destination(cpu, insn, size, a);
    if (size == 2) {
        uint64_t wide = a << 32 | b << 16 | a;

        result = (uint16_t)(left ? wide << count >> 32 : wide >> count);
        cf = (left ? wide >> (48 - count) : wide >> (count - 1)) & 1;
    } else if (left) {
        result = cpu_zext(a << count | b >> (bits - count), size);
        cf = a >> (bits - count) & 1;
    } else {
        result = cpu_zext(a >> count | b << (bits - count), size);
        cf = a >> (count - 1) & 1;
    }
    CPU_TRY(set_destination(cpu, insn, size, result));
    cpu_flags_logic(cpu, size, result);
    cpu_set_cf_of(cpu, cf, ((result ^ a) >> (bits - 1)) & 1);
    return CPU_NEXT;
}

static inline int shld(struct cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    return double_shift(cpu, insn, size, true);
}

static inline int shrd(struct cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    return double_shift(cpu, insn, size, false);
}

/*
 * Bit tests.  With a memory operand and a register offset the bit lies anywhere within 2^63 of the
 * operand: whole operands are addressed (Intel SDM vol. 2, "BT" and 3.1.1.9, Bit(BitBase,
 * BitOffset)).
 */
enum bit_change { BIT_KEEP, BIT_SET, BIT_RESET, BIT_FLIP };

static inline int bit_test(struct cpu *cpu, const struct x86_insn *insn, enum bit_change change)
{
    const struct x86_operand *o = &insn->operand[0];
    unsigned size = o->size, bits = 8 * size;
    uint64_t offset, value, mask, ea = 0;

    CPU_TRY(cpu_operand(cpu, insn, 1, &offset));
    if (o->kind == X86_MEM) {
        ea = cpu_ea(cpu, insn);
        if (insn->operand[1].kind == X86_GPR) {
            int64_t places = (int64_t)cpu_sext(offset, size) >> __builtin_ctz(bits);

            ea = cpu_zext(ea + (uint64_t)places * size, insn->addrsize);
        }
        if (change == BIT_KEEP)
            CPU_TRY(cpu_load(cpu, insn->seg, ea, size, &value));
        else
            CPU_TRY(cpu_load_rmw(cpu, insn->seg, ea, size, &value));
    } else {
        value = cpu_reg_operand(cpu, o);
    }
    mask = 1ull << (offset & (bits - 1));
    if (change != BIT_KEEP) {
        uint64_t result = change == BIT_SET     ? value | mask
                          : change == BIT_RESET ? value & ~mask
                                                : value ^ mask;

        if (o->kind == X86_MEM)
            CPU_TRY(cpu_store(cpu, insn->seg, ea, size, result));
        else
            cpu_set_reg_operand(cpu, o, result);
    }
    cpu_set_cf(cpu, value & mask);
    return CPU_NEXT;
}

static int bt(struct cpu *cpu, const struct x86_insn *insn)
{
    return bit_test(cpu, insn, BIT_KEEP);
}

static int bts(struct cpu *cpu, const struct x86_insn *insn)
{
    return bit_test(cpu, insn, BIT_SET);
}

static int btr(struct cpu *cpu, const struct x86_insn *insn)
{
    return bit_test(cpu, insn, BIT_RESET);
}

static int btc(struct cpu *cpu, const struct x86_insn *insn)
{
    return bit_test(cpu, insn, BIT_FLIP);
}

/* A source of zero leaves the destination alone, on AMD by definition and on Intel in fact. */
static int bit_scan(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t a;

    CPU_TRY(cpu_operand(cpu, insn, 1, &a));
    if (a) {
        int place = insn->op == X86_BSF ? __builtin_ctzll(a) : 63 - __builtin_clzll(a);

        cpu_set_reg_operand(cpu, &insn->operand[0], (uint64_t)place);
    }
    cpu_flags_logic(cpu, insn->operand[1].size, a);
    return CPU_NEXT;
}

static int count_zeros(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned bits = 8 * insn->operand[0].size;
    uint64_t a, result = bits;

    CPU_TRY(cpu_operand(cpu, insn, 1, &a));
    if (a)
        result = insn->op == X86_TZCNT ? (uint64_t)__builtin_ctzll(a)
                                       : (uint64_t)__builtin_clzll(a) - (64 - bits);
    cpu_set_reg_operand(cpu, &insn->operand[0], result);
    cpu_flags_logic(cpu, 8, result);
    cpu_set_cf(cpu, a == 0);
    return CPU_NEXT;
}

static int popcnt(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t a;

    CPU_TRY(cpu_operand(cpu, insn, 1, &a));
    cpu_set_arith_flags(cpu, a ? 0 : X86_FLAG_ZF);
    /* Adding in parallel: pairs, nibbles, bytes, all. */
    a -= a >> 1 & 0x5555555555555555;
    a = (a & 0x3333333333333333) + (a >> 2 & 0x3333333333333333);
    a = (a + (a >> 4)) & 0x0f0f0f0f0f0f0f0f;
    cpu_set_reg_operand(cpu, &insn->operand[0], a * 0x0101010101010101 >> 56);
    return CPU_NEXT;
}

/* With a 16-bit operand undefined; processors give zero. */
static int bswap(struct cpu *cpu, const struct x86_insn *insn)
{
    const struct x86_operand *o = &insn->operand[0];
    uint64_t a = cpu_reg_operand(cpu, o);

    cpu_set_reg_operand(cpu, o,
                        o->size == 8   ? __builtin_bswap64(a)
                        : o->size == 4 ? __builtin_bswap32((uint32_t)a)
                                       : 0);
    return CPU_NEXT;
}

/* CRC-32C, reflected, four bits at a time: entry n is n divided by the polynomial 0x11EDC6F41. */
static int crc32(struct cpu *cpu, const struct x86_insn *insn)
{
    static const uint32_t nibble[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    uint32_t crc = (uint32_t)cpu->r.gpr[insn->operand[0].reg];
    uint64_t a;

    CPU_TRY(cpu_operand(cpu, insn, 1, &a));
    for (unsigned i = 0; i < 2u * insn->operand[1].size; i++, a >>= 4)
        crc = crc >> 4 ^ nibble[(crc ^ a) & 15];
    cpu->r.gpr[insn->operand[0].reg] = crc;
    return CPU_NEXT;
}

/* The handlers of one operation by operand size. */
#define SIZES(op)                                                                                  \
    static int op##_8(struct cpu *cpu, const struct x86_insn *insn)                                \
    {                                                                                              \
        return op(cpu, insn, 1);                                                                   \
    }                                                                                              \
    static int op##_16(struct cpu *cpu, const struct x86_insn *insn)                               \
    {                                                                                              \
        return op(cpu, insn, 2);                                                                   \
    }                                                                                              \
    static int op##_32(struct cpu *cpu, const struct x86_insn *insn)                               \
    {                                                                                              \
        return op(cpu, insn, 4);                                                                   \
    }                                                                                              \
    static int op##_64(struct cpu *cpu, const struct x86_insn *insn)                               \
    {                                                                                              \
        return op(cpu, insn, 8);                                                                   \
    }
#define ROW(op)                                                                                    \
    {                                                                                              \
        op##_8, op##_16, op##_32, op##_64                                                          \
    }

SIZES(rol)
SIZES(ror)
SIZES(rcl)
SIZES(rcr)
SIZES(shl)
SIZES(shr)
SIZES(sar)
SIZES(shld)
SIZES(shrd)

cpu_handler *cpu_bind_shift(const struct x86_insn *insn)
{
    static cpu_handler *const by_size[][4] = {
        [X86_ROL - X86_ROL] = ROW(rol),   [X86_ROR - X86_ROL] = ROW(ror),
        [X86_RCL - X86_ROL] = ROW(rcl),   [X86_RCR - X86_ROL] = ROW(rcr),
        [X86_SHL - X86_ROL] = ROW(shl),   [X86_SHR - X86_ROL] = ROW(shr),
        [X86_SAR - X86_ROL] = ROW(sar),   [X86_SHLD - X86_ROL] = ROW(shld),
        [X86_SHRD - X86_ROL] = ROW(shrd),
    };

    if (insn->op >= X86_ROL && insn->op <= X86_SHRD)
        return by_size[insn->op - X86_ROL][__builtin_ctz(insn->operand[0].size)];
    switch (insn->op) {
    case X86_BT: return bt;
    case X86_BTS: return bts;
    case X86_BTR: return btr;
    case X86_BTC: return btc;
    case X86_BSF:
    case X86_BSR: return bit_scan;
    case X86_TZCNT:
    case X86_LZCNT: return count_zeros;
    case X86_POPCNT: return popcnt;
    case X86_BSWAP: return bswap;
    case X86_CRC32: return crc32;
    default: return NULL;
    }
}
