/* Moves between registers and memory, exchanges, conditional moves and sets, single flags. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/internal.h"

/* --- MOV: a handler for each form and size --------------------------------------------------- */

/* Most addresses of 64-bit code are a register and a displacement. */
static inline bool ea_is_simple(const struct x86_insn *insn)
{
    return insn->addrsize == 8 && insn->base < 16 && insn->index == X86_NO_REG;
}

static inline uint64_t ea_simple(const struct cpu *cpu, const struct x86_insn *insn)
{
    return cpu->r.gpr[insn->base] + (uint64_t)insn->disp;
}

#define MOV_FORMS(size)                                                                            \
    static int mov_rr_##size(struct cpu *cpu, const struct x86_insn *insn)                         \
    {                                                                                              \
        cpu_set_gpr(cpu, insn->operand[0].reg, size, cpu->r.gpr[insn->operand[1].reg]);            \
        return CPU_NEXT;                                                                           \
    }                                                                                              \
    static int mov_ri_##size(struct cpu *cpu, const struct x86_insn *insn)                         \
    {                                                                                              \
        cpu_set_gpr(cpu, insn->operand[0].reg, size, insn->imm);                                   \
        return CPU_NEXT;                                                                           \
    }                                                                                              \
    static int mov_rm_##size(struct cpu *cpu, const struct x86_insn *insn)                         \
    {                                                                                              \
        uint64_t value;                                                                            \
                                                                                                   \
        CPU_TRY(cpu_load(cpu, insn->seg, cpu_ea(cpu, insn), size, &value));                        \
        cpu_set_gpr(cpu, insn->operand[0].reg, size, value);                                       \
        return CPU_NEXT;                                                                           \
    }                                                                                              \
    static int mov_rs_##size(struct cpu *cpu, const struct x86_insn *insn)                         \
    {                                                                                              \
        uint64_t value;                                                                            \
                                                                                                   \
        CPU_TRY(cpu_load(cpu, insn->seg, ea_simple(cpu, insn), size, &value));                     \
        cpu_set_gpr(cpu, insn->operand[0].reg, size, value);                                       \
        return CPU_NEXT;                                                                           \
    }                                                                                              \
    static int mov_mr_##size(struct cpu *cpu, const struct x86_insn *insn)                         \
    {                                                                                              \
        return cpu_store(cpu, insn->seg, cpu_ea(cpu, insn), size,                                  \
                         cpu->r.gpr[insn->operand[1].reg]);                                        \
    }                                                                                              \
    static int mov_sr_##size(struct cpu *cpu, const struct x86_insn *insn)                         \
    {                                                                                              \
        return cpu_store(cpu, insn->seg, ea_simple(cpu, insn), size,                               \
                         cpu->r.gpr[insn->operand[1].reg]);                                        \
    }                                                                                              \
    static int mov_mi_##size(struct cpu *cpu, const struct x86_insn *insn)                         \
    {                                                                                              \
        return cpu_store(cpu, insn->seg, cpu_ea(cpu, insn), size, insn->imm);                      \
    }
MOV_FORMS(1)
MOV_FORMS(2)
MOV_FORMS(4)
MOV_FORMS(8)

/* Anything else: AH, CH, DH and BH. */
static int mov(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    CPU_TRY(cpu_operand(cpu, insn, 1, &value));
    return cpu_set_operand(cpu, insn, 0, value);
}

static cpu_handler *bind_mov(const struct x86_insn *insn)
{
#define SIZES(form)                                                                                \
    {                                                                                              \
        mov_##form##_1, mov_##form##_2, mov_##form##_4, mov_##form##_8                             \
    }
    static cpu_handler *const rr[4] = SIZES(rr);
    static cpu_handler *const ri[4] = SIZES(ri);
    static cpu_handler *const rm[4] = SIZES(rm);
    static cpu_handler *const rs[4] = SIZES(rs);
    static cpu_handler *const mr[4] = SIZES(mr);
    static cpu_handler *const sr[4] = SIZES(sr);
    static cpu_handler *const mi[4] = SIZES(mi);
#undef SIZES
    unsigned to = insn->operand[0].kind, from = insn->operand[1].kind;
    unsigned n = (unsigned)__builtin_ctz(insn->operand[0].size);

    if (to == X86_GPR && from == X86_GPR)
        return rr[n];
    if (to == X86_GPR && from == X86_IMM)
        return ri[n];
    if (to == X86_GPR && from == X86_MEM)
        return ea_is_simple(insn) ? rs[n] : rm[n];
    if (to == X86_MEM && from == X86_GPR)
        return ea_is_simple(insn) ? sr[n] : mr[n];
    if (to == X86_MEM && from == X86_IMM)
        return mi[n];
    return mov;
}

/* --- Extensions ------------------------------------------------------------------------------ */

/* MOVZX of what cpu_operand reads: already zero-extended. */
static int movsx(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    CPU_TRY(cpu_operand(cpu, insn, 1, &value));
    cpu_set_reg_operand(cpu, &insn->operand[0], cpu_sext(value, insn->operand[1].size));
    return CPU_NEXT;
}

#define EXTEND_FROM_MEMORY(bytes)                                                                  \
    static int movzx_m##bytes(struct cpu *cpu, const struct x86_insn *insn)                        \
    {                                                                                              \
        uint64_t value;                                                                            \
                                                                                                   \
        CPU_TRY(cpu_load(cpu, insn->seg, cpu_ea(cpu, insn), bytes, &value));                       \
        cpu_set_gpr(cpu, insn->operand[0].reg, insn->operand[0].size, value);                      \
        return CPU_NEXT;                                                                           \
    }
EXTEND_FROM_MEMORY(1)
EXTEND_FROM_MEMORY(2)

static int movbe(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = insn->operand[0].size;
    uint64_t value;

    CPU_TRY(cpu_operand(cpu, insn, 1, &value));
    return cpu_set_operand(cpu, insn, 0, __builtin_bswap64(value) >> (64 - 8 * size));
}

/* --- Addresses, exchanges, tables ------------------------------------------------------------ */

static int lea(struct cpu *cpu, const struct x86_insn *insn)
{
    cpu_set_gpr(cpu, insn->operand[0].reg, insn->operand[0].size, cpu_ea(cpu, insn));
    return CPU_NEXT;
}

static int xchg(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t a, b;

    CPU_TRY(cpu_operand_rmw(cpu, insn, 1, &b));
    CPU_TRY(cpu_operand_rmw(cpu, insn, 0, &a));
    /* At most one is memory, and it is written first: nothing can fail after it. */
    if (insn->operand[0].kind == X86_MEM) {
        CPU_TRY(cpu_set_operand(cpu, insn, 0, b));
        return cpu_set_operand(cpu, insn, 1, a);
    }
    CPU_TRY(cpu_set_operand(cpu, insn, 1, a));
    return cpu_set_operand(cpu, insn, 0, b);
}

/* AL = seg:[rBX + AL] */
static int xlat(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t ea = cpu->r.gpr[RINGSIDE_RBX] + (uint8_t)cpu->r.gpr[RINGSIDE_RAX], value;

    CPU_TRY(cpu_load(cpu, insn->seg, cpu_zext(ea, insn->addrsize), 1, &value));
    cpu_set_gpr(cpu, RINGSIDE_RAX, 1, value);
    return CPU_NEXT;
}

/* --- Conditions ------------------------------------------------------------------------------ */

/* The source is read, and a 32-bit destination cleared above, whatever the condition. */
static int cmov(struct cpu *cpu, const struct x86_insn *insn)
{
    const struct x86_operand *to = &insn->operand[0];
    uint64_t value;

    CPU_TRY(cpu_operand(cpu, insn, 1, &value));
    if (!cpu_condition(cpu, insn->cond))
        value = cpu_gpr(cpu, to->reg, to->size);
    cpu_set_gpr(cpu, to->reg, to->size, value);
    return CPU_NEXT;
}

static int setcc(struct cpu *cpu, const struct x86_insn *insn)
{
    return cpu_set_operand(cpu, insn, 0, cpu_condition(cpu, insn->cond));
}

/* --- Single flags ---------------------------------------------------------------------------- */

static int lahf(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    cpu_set_gpr_high(cpu, RINGSIDE_RAX, cpu_rflags(cpu));
    return CPU_NEXT;
}

static int sahf(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t of = cpu_of(cpu) ? X86_FLAG_OF : 0;

    (void)insn;
    cpu_set_arith_flags(cpu, cpu_gpr_high(cpu, RINGSIDE_RAX) | of);
    return CPU_NEXT;
}

static int flag(struct cpu *cpu, const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_CLC: cpu_set_cf(cpu, false); break;
    case X86_STC: cpu_set_cf(cpu, true); break;
    case X86_CMC: cpu_set_cf(cpu, !cpu_cf(cpu)); break;
    case X86_CLD: cpu->r.rflags &= ~(uint64_t)X86_FLAG_DF; break;
    default: cpu->r.rflags |= X86_FLAG_DF; /* STD */
    }
    return CPU_NEXT;
}

cpu_handler *cpu_bind_move(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_MOV: return bind_mov(insn);
    case X86_MOVNTI: return mov;
    case X86_MOVZX:
        if (insn->operand[1].kind != X86_MEM)
            return mov;
        return insn->operand[1].size == 1 ? movzx_m1 : movzx_m2;
    case X86_MOVSX:
    case X86_MOVSXD: return movsx;
    case X86_MOVBE: return movbe;
    case X86_LEA: return lea;
    case X86_XCHG: return xchg;
    case X86_XLAT: return xlat;
    case X86_CMOVCC: return cmov;
    case X86_SETCC: return setcc;
    case X86_LAHF: return lahf;
    case X86_SAHF: return sahf;
    case X86_CLC:
    case X86_STC:
    case X86_CMC:
    case X86_CLD:
    case X86_STD: return flag;
    default: return NULL;
    }
}
