/* Shifts, rotates, double shifts, bit tests, bit scans and counts, BSWAP and CRC32. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/template.h"

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

static inline bool bit(uint64_t value, unsigned n)
{
    return value >> n & 1;
}

/*
 * What a shift or a rotate makes of a value, by a count that is not 0.  Both set CF to the last bit
 * shifted out and OF to what a shift by one means.  Where a count of more than one leaves OF
 * undefined, and for AF, we give what Intel's processors do: the same formula, and 0.
 */
struct shifted {
    uint64_t result;
    bool cf, of;
};

CPU_TEMPLATE struct shifted shl(uint64_t a, unsigned count, unsigned size)
{
    const unsigned bits = 8 * size;
    const uint64_t result = cpu_zext(a << count, size);
    const bool cf = count <= bits && bit(a, bits - count);

    return (struct shifted){result, cf, bit(result, bits - 1) ^ cf};
}

CPU_TEMPLATE struct shifted shr(uint64_t a, unsigned count, unsigned size)
{
    const unsigned bits = 8 * size;
    const uint64_t result = a >> count;

    return (struct shifted){result, bit(a, count - 1), bit(result ^ result << 1, bits - 1)};
}

CPU_TEMPLATE struct shifted sar(uint64_t a, unsigned count, unsigned size)
{
    const int64_t wide = (int64_t)cpu_sext(a, size);

    return (struct shifted){cpu_zext((uint64_t)(wide >> count), size), wide >> (count - 1) & 1,
                            false};
}

CPU_TEMPLATE struct shifted rol(uint64_t a, unsigned count, unsigned size)
{
    const unsigned bits = 8 * size, turn = count & (bits - 1);
    const uint64_t result = turn ? cpu_zext(a << turn | a >> (bits - turn), size) : a;

    return (struct shifted){result, bit(result, 0), bit(result, bits - 1) ^ bit(result, 0)};
}

CPU_TEMPLATE struct shifted ror(uint64_t a, unsigned count, unsigned size)
{
    const unsigned bits = 8 * size, turn = count & (bits - 1);
    const uint64_t result = turn ? cpu_zext(a >> turn | a << (bits - turn), size) : a;

    return (struct shifted){result, bit(result, bits - 1), bit(result ^ result << 1, bits - 1)};
}

/* Through carry: bits + 1 places turn, and count is at most bits. */
CPU_TEMPLATE struct shifted rcl(uint64_t a, unsigned count, unsigned size, bool carry)
{
    const unsigned bits = 8 * size;
    const bool cf = bit(a, bits - count);
    uint64_t result = (count < bits ? a << count : 0) | (uint64_t)carry << (count - 1);

    if (count > 1)
        result |= a >> (bits + 1 - count);
    result = cpu_zext(result, size);
    return (struct shifted){result, cf, bit(result, bits - 1) ^ cf};
}

CPU_TEMPLATE struct shifted rcr(uint64_t a, unsigned count, unsigned size, bool carry)
{
    const unsigned bits = 8 * size;
    uint64_t result = (count < bits ? a >> count : 0) | (uint64_t)carry << (bits - count);

    if (count > 1)
        result |= a << (bits + 1 - count);
    result = cpu_zext(result, size);
    return (struct shifted){result, bit(a, count - 1), bit(result ^ result << 1, bits - 1)};
}

CPU_TEMPLATE struct shifted shift_result(const struct cpu *cpu, enum x86_op op, uint64_t a,
                                         unsigned count, unsigned size)
{
    switch (op) {
    case X86_ROL: return rol(a, count, size);
    case X86_ROR: return ror(a, count, size);
    case X86_RCL: return rcl(a, count, size, cpu_cf(cpu));
    case X86_RCR: return rcr(a, count, size, cpu_cf(cpu));
    case X86_SHL: return shl(a, count, size);
    case X86_SHR: return shr(a, count, size);
    default: return sar(a, count, size);
    }
}

/* Rotates touch CF and OF only, and CF even when the count is a multiple of the width. */
CPU_TEMPLATE int shift(struct cpu *cpu, const struct x86_insn *insn, enum x86_op op, unsigned size)
{
    const bool through_carry = op == X86_RCL || op == X86_RCR;
    struct shifted s;
    unsigned count;
    uint64_t a;

    CPU_TRY(shift_count(cpu, insn, 1, &count));
    CPU_TRY(destination(cpu, insn, size, &a));
    if (through_carry && size < 4)
        count %= 8 * size + 1;
    if (!count)
        return set_destination(cpu, insn, size, a);
    s = shift_result(cpu, op, a, count, size);
    CPU_TRY(set_destination(cpu, insn, size, s.result));
    if (op == X86_SHL || op == X86_SHR || op == X86_SAR)
        cpu_flags_logic(cpu, size, s.result);
    cpu_set_cf_of(cpu, s.cf, s.of);
    return CPU_NEXT;
}

/*
 * Double shifts.  A 16-bit one by more than 16 is undefined; we shift in the destination's own bits
 * again, as Intel's processors do.
 */
CPU_TEMPLATE int double_shift(struct cpu *cpu, const struct x86_insn *insn, enum x86_op op,
                              unsigned size)
{
    const bool left = op == X86_SHLD;
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

CPU_FORM(rol, any, shift(cpu, insn, X86_ROL, size))
CPU_FORM(ror, any, shift(cpu, insn, X86_ROR, size))
CPU_FORM(rcl, any, shift(cpu, insn, X86_RCL, size))
CPU_FORM(rcr, any, shift(cpu, insn, X86_RCR, size))
CPU_FORM(shl, any, shift(cpu, insn, X86_SHL, size))
CPU_FORM(shr, any, shift(cpu, insn, X86_SHR, size))
CPU_FORM(sar, any, shift(cpu, insn, X86_SAR, size))
CPU_FORM(shld, any, double_shift(cpu, insn, X86_SHLD, size))
CPU_FORM(shrd, any, double_shift(cpu, insn, X86_SHRD, size))

cpu_handler *cpu_bind_shift(const struct x86_insn *insn)
{
    static cpu_handler *const by_size[][4] = {
        [X86_ROL - X86_ROL] = CPU_ROW(rol, any),   [X86_ROR - X86_ROL] = CPU_ROW(ror, any),
        [X86_RCL - X86_ROL] = CPU_ROW(rcl, any),   [X86_RCR - X86_ROL] = CPU_ROW(rcr, any),
        [X86_SHL - X86_ROL] = CPU_ROW(shl, any),   [X86_SHR - X86_ROL] = CPU_ROW(shr, any),
        [X86_SAR - X86_ROL] = CPU_ROW(sar, any),   [X86_SHLD - X86_ROL] = CPU_ROW(shld, any),
        [X86_SHRD - X86_ROL] = CPU_ROW(shrd, any),
    };

    if (insn->op >= X86_ROL && insn->op <= X86_SHRD)
        return by_size[insn->op - X86_ROL][CPU_SIZE_INDEX(insn->operand[0].size)];
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
