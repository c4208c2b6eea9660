/* Multiplication, division, the sign extensions that go with them, and decimal adjustment. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/template.h"

enum { RAX = RINGSIDE_RAX, RDX = RINGSIDE_RDX };

typedef unsigned __int128 wide;
typedef __int128 signed_wide;

/* AX, DX:AX, EDX:EAX or RDX:RAX as the operand size says (Intel SDM vol. 2, "MUL"). */
static wide accumulator(const struct cpu *cpu, unsigned size)
{
    if (size == 1)
        return cpu_gpr(cpu, RAX, 2);
    return (wide)cpu_gpr(cpu, RDX, size) << (8 * size) | cpu_gpr(cpu, RAX, size);
}

static void set_accumulator(struct cpu *cpu, unsigned size, uint64_t low, uint64_t high)
{
    if (size == 1) {
        cpu_set_gpr(cpu, RAX, 2, (low & 0xff) | (high & 0xff) << 8);
        return;
    }
    cpu_set_gpr(cpu, RAX, size, low);
    cpu_set_gpr(cpu, RDX, size, high);
}

/* CF and OF say that the upper half matters; the other flags are undefined: as after a logical
 * operation on the lower half. */
static void product_flags(struct cpu *cpu, unsigned size, uint64_t low, bool overflow)
{
    cpu_flags_logic(cpu, size, low);
    cpu_set_cf_of(cpu, overflow, overflow);
}

CPU_TEMPLATE int mul(struct cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    uint64_t b;
    wide product;

    CPU_TRY(cpu_operand(cpu, insn, 0, &b));
    product = (wide)cpu_gpr(cpu, RAX, size) * b;
    set_accumulator(cpu, size, (uint64_t)product, (uint64_t)(product >> (8 * size)));
    product_flags(cpu, size, (uint64_t)product, product >> (8 * size) != 0);
    return CPU_NEXT;
}

/* IMUL of the accumulator. */
CPU_TEMPLATE int imul_wide(struct cpu *cpu, const struct x86_insn *insn, unsigned size)
{
    uint64_t a = cpu_gpr(cpu, RAX, size), b;
    signed_wide product;

    CPU_TRY(cpu_operand(cpu, insn, 0, &b));
    product = (signed_wide)(int64_t)cpu_sext(a, size) * (int64_t)cpu_sext(b, size);
    set_accumulator(cpu, size, (uint64_t)product, (uint64_t)(product >> (8 * size)));
    product_flags(cpu, size, (uint64_t)product,
                  product != (int64_t)cpu_sext((uint64_t)product, size));
    return CPU_NEXT;
}

/* Two operands: op0 *= op1; three: op0 = op1 * op2, an immediate. */
CPU_TEMPLATE int imul(struct cpu *cpu, const struct x86_insn *insn, unsigned size,
                      enum cpu_form src, bool three)
{
    uint64_t a, b;
    signed_wide product;

    CPU_TRY(cpu_get(cpu, insn, 1, src, size, &b));
    a = three ? insn->imm : cpu_gpr(cpu, insn->operand[0].reg, size);
    product = (signed_wide)(int64_t)cpu_sext(a, size) * (int64_t)cpu_sext(b, size);
    cpu_set_gpr(cpu, insn->operand[0].reg, size, (uint64_t)product);
    product_flags(cpu, size, (uint64_t)product,
                  product != (int64_t)cpu_sext((uint64_t)product, size));
    return CPU_NEXT;
}

CPU_FORM(mul, any, mul(cpu, insn, size))
CPU_FORM(imul, wide, imul_wide(cpu, insn, size))
CPU_FORM(imul, r, imul(cpu, insn, size, CPU_REG, false))
CPU_FORM(imul, m, imul(cpu, insn, size, CPU_MEM, false))
CPU_FORM(imul, ri, imul(cpu, insn, size, CPU_REG, true))
CPU_FORM(imul, mi, imul(cpu, insn, size, CPU_MEM, true))

static cpu_handler *bind_mul(const struct x86_insn *insn)
{
    static cpu_handler *const unsigned_wide[] = CPU_ROW(mul, any);
    static cpu_handler *const signed_forms[][4] = {CPU_ROW(imul, wide), CPU_ROW(imul, r),
                                                   CPU_ROW(imul, m), CPU_ROW(imul, ri),
                                                   CPU_ROW(imul, mi)};
    unsigned size = CPU_SIZE_INDEX(insn->operand[0].size), form = 0;

    if (insn->op == X86_MUL)
        return unsigned_wide[size];
    if (insn->count > 1)
        form = 1 + (insn->operand[1].kind == X86_MEM) + 2 * (insn->count == 3);
    return signed_forms[form][size];
}

/* a / b for a quotient below 2^64; the core has no 128-bit division of the compiler library's. */
static uint64_t divide_wide(wide a, uint64_t b, uint64_t *remainder)
{
    uint64_t quotient = 0, high = (uint64_t)(a >> 64), low = (uint64_t)a;

    if (high == 0) {
        *remainder = low % b;
        return low / b;
    }
    for (unsigned i = 0; i < 64; i++) {
        bool carry = high >> 63;

        high = high << 1 | low >> 63;
        low <<= 1;
        quotient <<= 1;
        if (carry || high >= b) {
            high -= b;
            quotient |= 1;
        }
    }
    *remainder = high;
    return quotient;
}

/* Flags are undefined after a division: they stay. */
static int div_unsigned(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->operand[0].size;
    wide a = accumulator(cpu, size);
    uint64_t b, quotient, remainder;

    CPU_TRY(cpu_operand(cpu, insn, 0, &b));
    if (b == 0 || (uint64_t)(a >> (8 * size)) >= b)
        return cpu_fault(cpu, X86_EXC_DE);
    quotient = divide_wide(a, b, &remainder);
    set_accumulator(cpu, size, quotient, remainder);
    return CPU_NEXT;
}

static int div_signed(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->operand[0].size, bits = 8 * size;
    wide dividend = accumulator(cpu, size), a;
    uint64_t b, quotient, remainder, limit;
    bool a_negative = dividend >> (2 * bits - 1) & 1, b_negative;

    CPU_TRY(cpu_operand(cpu, insn, 0, &b));
    b = cpu_sext(b, size);
    b_negative = b >> 63;
    if (b_negative)
        b = -b;
    a = a_negative ? -dividend : dividend;
    if (bits < 64)
        a &= ((wide)1 << (2 * bits)) - 1;
    if (b == 0 || (a >> bits) >= b)
        return cpu_fault(cpu, X86_EXC_DE);
    quotient = divide_wide(a, b, &remainder);
    limit = (1ull << (bits - 1)) - (a_negative == b_negative);
    if (quotient > limit)
        return cpu_fault(cpu, X86_EXC_DE);
    set_accumulator(cpu, size, a_negative == b_negative ? quotient : -quotient,
                    a_negative ? -remainder : remainder);
    return CPU_NEXT;
}

/* CBW, CWDE, CDQE. */
static int sign_extend_accumulator(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->opsize;

    cpu_set_gpr(cpu, RAX, size, cpu_sext(cpu->r.gpr[RAX], size / 2));
    return CPU_NEXT;
}

/* CWD, CDQ, CQO. */
static int sign_into_rdx(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->opsize;

    cpu_set_gpr(cpu, RDX, size, cpu_sext(cpu->r.gpr[RAX], size) >> 63 ? UINT64_MAX : 0);
    return CPU_NEXT;
}

/* --- Decimal adjustment: 16- and 32-bit code only --------------------------------------------- */

static void decimal_flags(struct cpu *cpu, uint8_t al, bool cf, bool af)
{
    cpu_flags_logic(cpu, 1, al);
    cpu->flags.carry |= af ? CPU_CARRY_AF : 0;
    cpu_set_cf_of(cpu, cf, false);
}

static int daa_das(struct cpu *cpu, const struct x86_insn *insn)
{
    uint8_t al = (uint8_t)cpu->r.gpr[RAX], old = al;
    bool old_cf = cpu_cf(cpu), af = cpu_af(cpu), cf = false;
    bool add = insn->op == X86_DAA;

    if ((al & 0xf) > 9 || af) {
        cf = old_cf || (add ? al > 0xff - 6 : al < 6);
        al = (uint8_t)(add ? al + 6 : al - 6);
        af = true;
    }
    if (old > 0x99 || old_cf) {
        al = (uint8_t)(add ? al + 0x60 : al - 0x60);
        cf = true;
    } else if (add) {
        cf = false;
    }
    cpu_set_gpr(cpu, RAX, 1, al);
    decimal_flags(cpu, al, cf, af);
    return CPU_NEXT;
}

static int aaa_aas(struct cpu *cpu, const struct x86_insn *insn)
{
    uint16_t ax = (uint16_t)cpu->r.gpr[RAX];
    bool adjust = (ax & 0xf) > 9 || cpu_af(cpu);

    if (adjust)
        ax = (uint16_t)(insn->op == X86_AAA ? ax + 0x106 : ax - 0x106);
    ax &= 0xff0f;
    cpu_set_gpr(cpu, RAX, 2, ax);
    decimal_flags(cpu, (uint8_t)ax, adjust, adjust);
    return CPU_NEXT;
}

static int aam(struct cpu *cpu, const struct x86_insn *insn)
{
    uint8_t al = (uint8_t)cpu->r.gpr[RAX], base = (uint8_t)insn->imm;

    if (base == 0)
        return cpu_fault(cpu, X86_EXC_DE);
    cpu_set_gpr(cpu, RAX, 2, (uint64_t)(al / base) << 8 | al % base);
    decimal_flags(cpu, al % base, false, false);
    return CPU_NEXT;
}

static int aad(struct cpu *cpu, const struct x86_insn *insn)
{
    uint16_t ax = (uint16_t)cpu->r.gpr[RAX];
    uint8_t al = (uint8_t)((ax & 0xff) + (ax >> 8) * (uint8_t)insn->imm);

    cpu_set_gpr(cpu, RAX, 2, al);
    decimal_flags(cpu, al, false, false);
    return CPU_NEXT;
}

cpu_handler *cpu_bind_muldiv(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_MUL:
    case X86_IMUL: return bind_mul(insn);
    case X86_DIV: return div_unsigned;
    case X86_IDIV: return div_signed;
    case X86_CBW: return sign_extend_accumulator;
    case X86_CWD: return sign_into_rdx;
    case X86_DAA:
    case X86_DAS: return daa_das;
    case X86_AAA:
    case X86_AAS: return aaa_aas;
    case X86_AAM: return aam;
    case X86_AAD: return aad;
    default: return NULL;
    }
}
