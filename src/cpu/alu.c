/* Integer arithmetic and logic: ADD .. CMP, TEST, INC, DEC, NEG, NOT, and the locked primitives. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/descriptor.h"
#include "cpu/template.h"

/* --- Two operands ---------------------------------------------------------------------------- */

/* The result, from the operands and CF as it is. */
CPU_TEMPLATE uint64_t alu_result(const struct cpu *cpu, enum x86_op op, uint64_t a, uint64_t b)
{
    switch (op) {
    case X86_ADD: return a + b;
    case X86_ADC: return a + b + cpu_cf(cpu);
    case X86_SBB: return a - b - cpu_cf(cpu);
    case X86_OR: return a | b;
    case X86_AND:
    case X86_TEST: return a & b;
    case X86_XOR: return a ^ b;
    default: return a - b; /* SUB, CMP */
    }
}

CPU_TEMPLATE void alu_flags(struct cpu *cpu, enum x86_op op, unsigned size, uint64_t a, uint64_t b,
                            uint64_t result)
{
    switch (op) {
    case X86_ADD:
    case X86_ADC: cpu_flags_add(cpu, size, a, b, result); break;
    case X86_SUB:
    case X86_SBB:
    case X86_CMP: cpu_flags_sub(cpu, size, a, b, result); break;
    default: cpu_flags_logic(cpu, size, result);
    }
}

CPU_TEMPLATE int alu(struct cpu *cpu, const struct x86_insn *insn, enum x86_op op, unsigned size,
                     enum cpu_form dst, enum cpu_form src)
{
    bool writes = op != X86_CMP && op != X86_TEST;
    uint64_t a, b, result;

    CPU_TRY(cpu_get(cpu, insn, 1, src, size, &b));
    if (writes)
        CPU_TRY(cpu_get_rmw(cpu, insn, 0, dst, size, &a));
    else
        CPU_TRY(cpu_get(cpu, insn, 0, dst, size, &a));
    result = alu_result(cpu, op, a, b);
    if (writes)
        CPU_TRY(cpu_put(cpu, insn, 0, dst, size, result));
    alu_flags(cpu, op, size, a, b, result);
    return CPU_NEXT;
}

#define BINARY(op)                                                                                 \
    CPU_FORM(op, rr, alu(cpu, insn, X86_##op, size, CPU_REG, CPU_REG))                             \
    CPU_FORM(op, rm, alu(cpu, insn, X86_##op, size, CPU_REG, CPU_MEM))                             \
    CPU_FORM(op, ri, alu(cpu, insn, X86_##op, size, CPU_REG, CPU_IMM))                             \
    CPU_FORM(op, mr, alu(cpu, insn, X86_##op, size, CPU_MEM, CPU_REG))                             \
    CPU_FORM(op, mi, alu(cpu, insn, X86_##op, size, CPU_MEM, CPU_IMM))                             \
    CPU_FORM(op, any, alu(cpu, insn, X86_##op, size, CPU_ANY, CPU_ANY))

BINARY(ADD)
BINARY(OR)
BINARY(ADC)
BINARY(SBB)
BINARY(AND)
BINARY(SUB)
BINARY(XOR)
BINARY(CMP)
BINARY(TEST)

/* --- One operand ----------------------------------------------------------------------------- */

CPU_TEMPLATE int unary(struct cpu *cpu, const struct x86_insn *insn, enum x86_op op, unsigned size,
                       enum cpu_form form)
{
    bool cf = cpu_cf(cpu);
    uint64_t a, result;

    CPU_TRY(cpu_get_rmw(cpu, insn, 0, form, size, &a));
    switch (op) {
    case X86_INC: result = a + 1; break;
    case X86_DEC: result = a - 1; break;
    case X86_NEG: result = 0 - a; break;
    default: result = ~a;
    }
    CPU_TRY(cpu_put(cpu, insn, 0, form, size, result));
    switch (op) {
    case X86_INC:
        cpu_flags_add(cpu, size, a, 1, result);
        cpu_set_cf(cpu, cf);
        break;
    case X86_DEC:
        cpu_flags_sub(cpu, size, a, 1, result);
        cpu_set_cf(cpu, cf);
        break;
    case X86_NEG: cpu_flags_sub(cpu, size, 0, a, result); break;
    default: break;
    }
    return CPU_NEXT;
}

#define UNARY(op)                                                                                  \
    CPU_FORM(op, r, unary(cpu, insn, X86_##op, size, CPU_REG))                                     \
    CPU_FORM(op, m, unary(cpu, insn, X86_##op, size, CPU_MEM))                                     \
    CPU_FORM(op, any, unary(cpu, insn, X86_##op, size, CPU_ANY))

UNARY(INC)
UNARY(DEC)
UNARY(NEG)
UNARY(NOT)

/* --- Exchanging ------------------------------------------------------------------------------ */

static int xadd(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->operand[0].size;
    uint64_t a, b;

    CPU_TRY(cpu_operand_rmw(cpu, insn, 0, &a));
    b = cpu_reg_operand(cpu, &insn->operand[1]);
    if (insn->operand[0].kind == X86_MEM)
        CPU_TRY(cpu_set_operand(cpu, insn, 0, a + b));
    cpu_set_reg_operand(cpu, &insn->operand[1], a);
    if (insn->operand[0].kind != X86_MEM)
        cpu_set_reg_operand(cpu, &insn->operand[0], a + b);
    cpu_flags_add(cpu, size, a, b, a + b);
    return CPU_NEXT;
}

/* The destination is written in either case: it must be writable even if it differs. */
static int cmpxchg(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->operand[0].size;
    uint64_t accumulator = cpu_gpr(cpu, RINGSIDE_RAX, size), a;

    CPU_TRY(cpu_operand_rmw(cpu, insn, 0, &a));
    if (a == accumulator) {
        CPU_TRY(cpu_set_operand(cpu, insn, 0, cpu_reg_operand(cpu, &insn->operand[1])));
    } else {
        if (insn->operand[0].kind == X86_MEM)
            CPU_TRY(cpu_set_operand(cpu, insn, 0, a));
        cpu_set_gpr(cpu, RINGSIDE_RAX, size, a);
    }
    cpu_flags_sub(cpu, size, accumulator, a, accumulator - a);
    return CPU_NEXT;
}

/* CMPXCHG8B, CMPXCHG16B: two registers of half the operand's size each. */
static int cmpxchg_pair(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned half = insn->op == X86_CMPXCHG16B ? 8 : 4;
    uint64_t linear, old[2], low, high;
    uint8_t bytes[16];
    bool equal;

    CPU_TRY(cpu_linear(cpu, insn->seg, cpu_ea(cpu, insn), 2 * half, CPU_READ | CPU_WRITE, &linear));
    if (half == 8 && linear & 15)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    CPU_TRY(cpu_read_linear(cpu, linear, bytes, 2 * half, CPU_READ | CPU_WRITE));
    old[0] = cpu_host_load(bytes, half);
    old[1] = cpu_host_load(bytes + half, half);
    equal =
        old[0] == cpu_gpr(cpu, RINGSIDE_RAX, half) && old[1] == cpu_gpr(cpu, RINGSIDE_RDX, half);
    low = equal ? cpu->r.gpr[RINGSIDE_RBX] : old[0];
    high = equal ? cpu->r.gpr[RINGSIDE_RCX] : old[1];
    cpu_host_store(bytes, half, low);
    cpu_host_store(bytes + half, half, high);
    CPU_TRY(cpu_write_linear(cpu, linear, bytes, 2 * half, CPU_WRITE));
    if (!equal) {
        cpu_set_gpr(cpu, RINGSIDE_RAX, half, old[0]);
        cpu_set_gpr(cpu, RINGSIDE_RDX, half, old[1]);
    }
    cpu_set_zf(cpu, equal);
    return CPU_NEXT;
}

/* --- Additions that touch one flag ----------------------------------------------------------- */

static int adcx_adox(struct cpu *cpu, const struct x86_insn *insn)
{
    bool adox = insn->op == X86_ADOX, cf = cpu_cf(cpu), of = cpu_of(cpu), carry;
    unsigned size = insn->operand[0].size;
    uint64_t a, b, sum;

    CPU_TRY(cpu_operand(cpu, insn, 0, &a));
    CPU_TRY(cpu_operand(cpu, insn, 1, &b));
    sum = a + b + (adox ? of : cf);
    carry = size == 8 ? ((a & b) | ((a | b) & ~sum)) >> 63 : sum >> 32;
    cpu_set_reg_operand(cpu, &insn->operand[0], sum);
    cpu_set_cf_of(cpu, adox ? cf : carry, adox ? carry : of);
    return CPU_NEXT;
}

/* --- Binding --------------------------------------------------------------------------------- */

enum { RR, RM, RI, MR, MI, ANY, FORMS };
enum { R, M, UNARY_ANY, UNARY_FORMS };

static unsigned binary_form(const struct x86_insn *insn)
{
    unsigned dst = insn->operand[0].kind, src = insn->operand[1].kind;

    if (dst == X86_GPR)
        return src == X86_GPR ? RR : src == X86_MEM ? RM : src == X86_IMM ? RI : ANY;
    if (dst == X86_MEM)
        return src == X86_GPR ? MR : src == X86_IMM ? MI : ANY;
    return ANY;
}

#define BINARY_ROW(op)                                                                             \
    [X86_##op] = {[RR] = CPU_ROW(op, rr), [RM] = CPU_ROW(op, rm), [RI] = CPU_ROW(op, ri),          \
                  [MR] = CPU_ROW(op, mr), [MI] = CPU_ROW(op, mi), [ANY] = CPU_ROW(op, any)}
#define UNARY_ROW(op)                                                                              \
    [X86_##op] = {[R] = CPU_ROW(op, r), [M] = CPU_ROW(op, m), [UNARY_ANY] = CPU_ROW(op, any)}

cpu_handler *cpu_bind_alu(const struct x86_insn *insn)
{
    static cpu_handler *const binary[][FORMS][4] = {
        BINARY_ROW(ADD), BINARY_ROW(OR),  BINARY_ROW(ADC), BINARY_ROW(SBB),  BINARY_ROW(AND),
        BINARY_ROW(SUB), BINARY_ROW(XOR), BINARY_ROW(CMP), BINARY_ROW(TEST),
    };
    static cpu_handler *const one[][UNARY_FORMS][4] = {UNARY_ROW(INC), UNARY_ROW(DEC),
                                                       UNARY_ROW(NEG), UNARY_ROW(NOT)};
    unsigned kind = insn->operand[0].kind, size = CPU_SIZE_INDEX(insn->operand[0].size);

    switch (insn->op) {
    case X86_ADD:
    case X86_OR:
    case X86_ADC:
    case X86_SBB:
    case X86_AND:
    case X86_SUB:
    case X86_XOR:
    case X86_CMP:
    case X86_TEST: return binary[insn->op][binary_form(insn)][size];
    case X86_INC:
    case X86_DEC:
    case X86_NEG:
    case X86_NOT: return one[insn->op][kind == X86_GPR ? R : kind == X86_MEM ? M : UNARY_ANY][size];
    case X86_XADD: return xadd;
    case X86_CMPXCHG: return cmpxchg;
    case X86_CMPXCHG8B:
    case X86_CMPXCHG16B: return cmpxchg_pair;
    case X86_ADCX:
    case X86_ADOX: return adcx_adox;
    default: return NULL;
    }
}
