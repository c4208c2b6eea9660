/* MOV in its forms, extensions, exchanges, LEA, CMOV, SETCC, and the single-flag instructions. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/template.h"

/* --- MOV ------------------------------------------------------------------------------------- */

CPU_TEMPLATE int mov(struct cpu *cpu, const struct x86_insn *insn, unsigned size, enum cpu_form dst,
                     enum cpu_form src)
{
    uint64_t value;

    CPU_TRY(cpu_get(cpu, insn, 1, src, size, &value));
    return cpu_put(cpu, insn, 0, dst, size, value);
}

CPU_FORM(mov, rr, mov(cpu, insn, size, CPU_REG, CPU_REG))
CPU_FORM(mov, rm, mov(cpu, insn, size, CPU_REG, CPU_MEM))
CPU_FORM(mov, ri, mov(cpu, insn, size, CPU_REG, CPU_IMM))
CPU_FORM(mov, mr, mov(cpu, insn, size, CPU_MEM, CPU_REG))
CPU_FORM(mov, mi, mov(cpu, insn, size, CPU_MEM, CPU_IMM))
CPU_FORM(mov, any, mov(cpu, insn, size, CPU_ANY, CPU_ANY))

/* --- Extensions ------------------------------------------------------------------------------ */

/* A source of from bytes into a register; size is the destination's. */
CPU_TEMPLATE int extend(struct cpu *cpu, const struct x86_insn *insn, unsigned size, unsigned from,
                        bool sign, enum cpu_form src)
{
    uint64_t value;

    CPU_TRY(cpu_get(cpu, insn, 1, src, from, &value));
    return cpu_put(cpu, insn, 0, CPU_REG, size, sign ? cpu_sext(value, from) : value);
}

#define EXTEND(name, from, sign)                                                                   \
    CPU_FORM(name, r, extend(cpu, insn, size, from, sign, CPU_REG))                                \
    CPU_FORM(name, m, extend(cpu, insn, size, from, sign, CPU_MEM))                                \
    CPU_FORM(name, any, extend(cpu, insn, size, from, sign, CPU_ANY))

EXTEND(zext8, 1, false)
EXTEND(zext16, 2, false)
EXTEND(sext8, 1, true)
EXTEND(sext16, 2, true)
EXTEND(sext32, 4, true)

/* --- LEA, CMOV, SETCC ------------------------------------------------------------------------ */

CPU_FORM(lea, r, cpu_put(cpu, insn, 0, CPU_REG, size, cpu_ea(cpu, insn)))

/* The source is read, and a 32-bit destination is zero-extended, whatever the condition says. */
CPU_TEMPLATE int cmov(struct cpu *cpu, const struct x86_insn *insn, unsigned size,
                      enum cpu_form src)
{
    unsigned reg = insn->operand[0].reg;
    uint64_t value;

    CPU_TRY(cpu_get(cpu, insn, 1, src, size, &value));
    if (!cpu_condition(cpu, insn->cond))
        value = cpu_gpr(cpu, reg, size);
    cpu_set_gpr(cpu, reg, size, value);
    return CPU_NEXT;
}

CPU_FORM(cmov, r, cmov(cpu, insn, size, CPU_REG))
CPU_FORM(cmov, m, cmov(cpu, insn, size, CPU_MEM))

static int setcc(struct cpu *cpu, const struct x86_insn *insn)
{
    return cpu_set_operand(cpu, insn, 0, cpu_condition(cpu, insn->cond));
}

/* --- Exchanges and byte order ---------------------------------------------------------------- */

static int xchg(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned memory = insn->operand[1].kind == X86_MEM; /* the operand that may be memory */
    uint64_t a, b;

    CPU_TRY(cpu_operand_rmw(cpu, insn, memory, &a));
    b = cpu_reg_operand(cpu, &insn->operand[!memory]);
    CPU_TRY(cpu_set_operand(cpu, insn, memory, b));
    cpu_set_reg_operand(cpu, &insn->operand[!memory], a);
    return CPU_NEXT;
}

static int movbe(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    CPU_TRY(cpu_operand(cpu, insn, 1, &value));
    value = __builtin_bswap64(value) >> (64 - 8 * insn->operand[0].size);
    return cpu_set_operand(cpu, insn, 0, value);
}

static int xlat(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t offset = cpu->r.gpr[RINGSIDE_RBX] + cpu_gpr(cpu, RINGSIDE_RAX, 1), value;

    CPU_TRY(cpu_load(cpu, insn->seg, cpu_zext(offset, insn->addrsize), 1, &value));
    cpu_set_gpr(cpu, RINGSIDE_RAX, 1, value);
    return CPU_NEXT;
}

/* --- Flags ----------------------------------------------------------------------------------- */

static int lahf(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    cpu_set_gpr_high(cpu, RINGSIDE_RAX, cpu_rflags(cpu));
    return CPU_NEXT;
}

static int sahf(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    cpu_set_arith_flags(cpu, cpu_gpr_high(cpu, RINGSIDE_RAX) |
                                 (cpu_of(cpu) ? (uint64_t)X86_FLAG_OF : 0));
    return CPU_NEXT;
}

static int change_cf(struct cpu *cpu, const struct x86_insn *insn)
{
    cpu_set_cf(cpu, insn->op == X86_STC || (insn->op == X86_CMC && !cpu_cf(cpu)));
    return CPU_NEXT;
}

static int change_df(struct cpu *cpu, const struct x86_insn *insn)
{
    cpu->r.rflags &= ~(uint64_t)X86_FLAG_DF;
    if (insn->op == X86_STD)
        cpu->r.rflags |= X86_FLAG_DF;
    return CPU_NEXT;
}

/* --- Binding --------------------------------------------------------------------------------- */

enum { R, M, ANY, FORMS };

static cpu_handler *bind_mov(const struct x86_insn *insn)
{
    static cpu_handler *const rr[] = CPU_ROW(mov, rr), *const rm[] = CPU_ROW(mov, rm),
                              *const ri[] = CPU_ROW(mov, ri), *const mr[] = CPU_ROW(mov, mr),
                              *const mi[] = CPU_ROW(mov, mi), *const any[] = CPU_ROW(mov, any);
    unsigned dst = insn->operand[0].kind, src = insn->operand[1].kind;
    unsigned size = CPU_SIZE_INDEX(insn->operand[0].size);

    if (dst == X86_GPR && src == X86_GPR)
        return rr[size];
    if (dst == X86_GPR && src == X86_MEM)
        return rm[size];
    if (dst == X86_GPR && src == X86_IMM)
        return ri[size];
    if (dst == X86_MEM && src == X86_GPR)
        return mr[size];
    if (dst == X86_MEM && src == X86_IMM)
        return mi[size];
    return any[size];
}

#define EXTEND_ROW(name)                                                                           \
    {                                                                                              \
        [R] = CPU_ROW(name, r), [M] = CPU_ROW(name, m), [ANY] = CPU_ROW(name, any)                 \
    }

/* By the source's size; the destination's is that of the handler. */
static cpu_handler *bind_extend(const struct x86_insn *insn)
{
    static cpu_handler *const zero[][FORMS][4] = {EXTEND_ROW(zext8), EXTEND_ROW(zext16)};
    static cpu_handler *const sign[][FORMS][4] = {EXTEND_ROW(sext8), EXTEND_ROW(sext16),
                                                  EXTEND_ROW(sext32)};
    unsigned kind = insn->operand[1].kind, form = kind == X86_GPR ? R : kind == X86_MEM ? M : ANY;
    unsigned from = CPU_SIZE_INDEX(insn->operand[1].size);
    unsigned size = CPU_SIZE_INDEX(insn->operand[0].size);

    return insn->op == X86_MOVZX ? zero[from & 1][form][size] : sign[from % 3][form][size];
}

cpu_handler *cpu_bind_move(const struct x86_insn *insn)
{
    static cpu_handler *const lea[] = CPU_ROW(lea, r);
    static cpu_handler *const cmov_r[] = CPU_ROW(cmov, r), *const cmov_m[] = CPU_ROW(cmov, m);
    unsigned size = CPU_SIZE_INDEX(insn->operand[0].size);

    switch (insn->op) {
    case X86_MOV:
    case X86_MOVNTI: return bind_mov(insn);
    case X86_MOVZX:
    case X86_MOVSX:
    case X86_MOVSXD: return bind_extend(insn);
    case X86_LEA: return lea[size];
    case X86_CMOVCC: return insn->operand[1].kind == X86_MEM ? cmov_m[size] : cmov_r[size];
    case X86_SETCC: return setcc;
    case X86_XCHG: return xchg;
    case X86_MOVBE: return movbe;
    case X86_XLAT: return xlat;
    case X86_LAHF: return lahf;
    case X86_SAHF: return sahf;
    case X86_CLC:
    case X86_STC:
    case X86_CMC: return change_cf;
    case X86_CLD:
    case X86_STD: return change_df;
    default: return NULL;
    }
}
