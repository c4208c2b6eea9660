/* x87 loads, stores and constants, conversions from and to integers and BCD, register moves. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/softfloat/wide.h"
#include "cpu/x87.h"

/* --- Loads ----------------------------------------------------------------------------------- */

static int load_extended(struct cpu *cpu, const struct x86_insn *insn, struct sf_extended *value)
{
    uint8_t bytes[10];

    CPU_TRY(cpu_load_bytes(cpu, insn->seg, cpu_ea(cpu, insn), bytes, sizeof bytes));
    value->significand = cpu_host_load(bytes, 8);
    value->sign_exponent = (uint16_t)cpu_host_load(bytes + 8, 2);
    return CPU_NEXT;
}

/* FLD: a register or an extended value is copied, a shorter one converted. */
static int fld(struct cpu *cpu, const struct x86_insn *insn)
{
    const struct x86_operand *source = &insn->operand[0];
    struct sf_env env = x87_env(cpu);
    struct sf_extended value = {0, 0};
    uint64_t bits = 0;

    CPU_TRY(x87_ready(cpu, true));
    if (source->kind == X86_MEM) {
        if (source->size == 10)
            CPU_TRY(load_extended(cpu, insn, &value));
        else
            CPU_TRY(cpu_load(cpu, insn->seg, cpu_ea(cpu, insn), source->size, &bits));
    }
    x87_begin(cpu, insn);
    if (source->kind == X86_ST) {
        if (x87_empty(cpu, source->reg)) { /* then a full stack does not matter any more */
            if (x87_underflow(cpu)) {
                x87_set_top(cpu, x87_top(cpu) - 1);
                x87_set_st(cpu, 0, x87_indefinite);
            }
            return CPU_NEXT;
        }
        value = x87_st(cpu, source->reg);
    } else if (source->size != 10 && x87_empty(cpu, 7)) {
        struct sf number =
            source->size == 4 ? sf_unpack32(&env, (uint32_t)bits) : sf_unpack64(&env, bits);

        value = sf_pack80(&env, sf_operand(&env, number));
        if (!x87_finish(cpu, &env) && (env.flags & SF_INVALID))
            return CPU_NEXT; /* a denormal is loaded even if that is unmasked */
    }
    x87_push(cpu, value);
    return CPU_NEXT;
}

static int fild(struct cpu *cpu, const struct x86_insn *insn)
{
    struct sf_env env = x87_env(cpu);
    unsigned size = insn->operand[0].size;
    uint64_t bits;

    CPU_TRY(x87_ready(cpu, true));
    CPU_TRY(cpu_load(cpu, insn->seg, cpu_ea(cpu, insn), size, &bits));
    x87_begin(cpu, insn);
    x87_push(cpu, sf_pack80(&env, sf_from_int((int64_t)cpu_sext(bits, size))));
    return CPU_NEXT;
}

/* 18 decimal digits, two a byte, and a sign (Intel SDM vol. 1, 4.7). */
static int fbld(struct cpu *cpu, const struct x86_insn *insn)
{
    struct sf_env env = x87_env(cpu);
    uint8_t bytes[10];
    uint64_t number = 0;
    struct sf value;

    CPU_TRY(x87_ready(cpu, true));
    CPU_TRY(cpu_load_bytes(cpu, insn->seg, cpu_ea(cpu, insn), bytes, sizeof bytes));
    x87_begin(cpu, insn);
    for (int i = 8; i >= 0; i--)
        number = number * 100 + (bytes[i] >> 4) * 10u + (bytes[i] & 15);
    value = sf_from_int((int64_t)number);
    value.sign = bytes[9] >> 7;
    x87_push(cpu, sf_pack80(&env, value));
    return CPU_NEXT;
}

/* Constants are rounded as FCW.RC says, without a word about it (Intel SDM vol. 1, 8.3.4). */
static int fld_constant(struct cpu *cpu, const struct x86_insn *insn)
{
    struct sf_env env = x87_env(cpu);
    struct sf value;

    CPU_TRY(x87_ready(cpu, true));
    x87_begin(cpu, insn);
    switch (insn->op) {
    case X86_FLD1: value = sf_from_int(1); break;
    case X86_FLDL2T: value = sf_log2_10; break;
    case X86_FLDL2E: value = sf_log2_e; break;
    case X86_FLDPI: value = sf_pi; break;
    case X86_FLDLG2: value = sf_log10_2; break;
    case X86_FLDLN2: value = sf_ln_2; break;
    default: value = sf_from_int(0);
    }
    x87_push(cpu, sf_pack80(&env, value));
    return CPU_NEXT;
}

/* --- Stores ---------------------------------------------------------------------------------- */

/*
 * Store size bytes of ST(0)'s conversion, whose exceptions are in env, then pop.  The write can
 * fault, so it comes before the status word changes.  If an exception of the conversion is
 * unmasked, except for inexact, the write is only tried, and the stack stays as it is.
 */
static int store(struct cpu *cpu, const struct x86_insn *insn, const void *bytes, unsigned size,
                 struct sf_env *env, bool empty, bool pop)
{
    bool refused = env->flags & ~env->masked & ~SF_INEXACT;
    uint64_t offset = cpu_ea(cpu, insn), linear;

    if (refused) {
        CPU_TRY(cpu_linear(cpu, insn->seg, offset, size, CPU_WRITE, &linear));
        CPU_TRY(cpu_probe_write(cpu, linear, size, CPU_WRITE));
        env->flags &= (uint8_t)~SF_INEXACT;
    } else {
        CPU_TRY(cpu_store_bytes(cpu, insn->seg, offset, bytes, size));
    }
    x87_begin(cpu, insn);
    if (empty)
        x87_underflow(cpu);
    else
        x87_finish(cpu, env);
    if (pop && !refused)
        x87_pop(cpu);
    return CPU_NEXT;
}

/*
 * FST, FSTP to a register: a copy.  D9 D8, which no manual names, stores nothing when ST(0) is
 * empty, and says nothing.
 */
static int fst_register(struct cpu *cpu, const struct x86_insn *insn, bool pop)
{
    bool quiet = insn->opcode == 0xd9, empty = x87_empty(cpu, 0);
    struct sf_extended value = x87_st(cpu, 0);

    x87_begin(cpu, insn);
    if (empty && !quiet) {
        if (!x87_underflow(cpu))
            return CPU_NEXT;
        value = x87_indefinite;
    }
    if (!empty || !quiet)
        x87_set_st(cpu, insn->operand[0].reg, value);
    if (pop)
        x87_pop(cpu);
    return CPU_NEXT;
}

static int fst_any(struct cpu *cpu, const struct x86_insn *insn, bool pop)
{
    struct sf_env env = x87_env(cpu);
    bool empty = x87_empty(cpu, 0);
    unsigned size = insn->operand[0].size;
    uint8_t bytes[10];

    CPU_TRY(x87_ready(cpu, true));
    if (insn->operand[0].kind == X86_ST)
        return fst_register(cpu, insn, pop);
    if (size == 10) {
        struct sf_extended value = empty ? x87_indefinite : x87_st(cpu, 0);

        cpu_host_store(bytes, 8, value.significand);
        cpu_host_store(bytes + 8, 2, value.sign_exponent);
    } else {
        struct sf value = empty ? sf_invalid(&env) : sf_operand(&env, x87_value(cpu, 0));

        /* Only the result's denormality counts, not the operand's: it would be tiny anyway. */
        env.flags &= (uint8_t)~SF_DENORMAL;
        if (size == 4)
            cpu_host_store(bytes, 4, sf_pack32(&env, value));
        else
            cpu_host_store(bytes, 8, sf_pack64(&env, value));
    }
    if (empty)
        env.flags |= SF_INVALID;
    return store(cpu, insn, bytes, size, &env, empty, pop);
}

static int fst(struct cpu *cpu, const struct x86_insn *insn)
{
    return fst_any(cpu, insn, false);
}

static int fstp(struct cpu *cpu, const struct x86_insn *insn)
{
    return fst_any(cpu, insn, true);
}

static int fist_any(struct cpu *cpu, const struct x86_insn *insn, bool truncate, bool pop)
{
    struct sf_env env = x87_env(cpu);
    bool empty = x87_empty(cpu, 0);
    unsigned size = insn->operand[0].size;
    struct sf value = empty ? sf_invalid(&env) : x87_value(cpu, 0);
    uint64_t bits;

    CPU_TRY(x87_ready(cpu, true));
    bits = (uint64_t)sf_to_int(&env, value, 8 * size,
                               truncate ? SF_ZERO : (enum sf_rounding)env.rounding);
    return store(cpu, insn, &bits, size, &env, empty, pop);
}

static int fist(struct cpu *cpu, const struct x86_insn *insn)
{
    return fist_any(cpu, insn, false, false);
}

static int fistp(struct cpu *cpu, const struct x86_insn *insn)
{
    return fist_any(cpu, insn, false, true);
}

static int fisttp(struct cpu *cpu, const struct x86_insn *insn)
{
    return fist_any(cpu, insn, true, true);
}

static int fbstp(struct cpu *cpu, const struct x86_insn *insn)
{
    static const uint8_t indefinite[10] = {0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff};
    const int64_t limit = 1000000000000000000;
    struct sf_env env = x87_env(cpu);
    bool empty = x87_empty(cpu, 0);
    struct sf value = empty ? sf_invalid(&env) : x87_value(cpu, 0);
    uint8_t bytes[10];
    int64_t number;

    CPU_TRY(x87_ready(cpu, true));
    number = sf_to_int(&env, value, 64, (enum sf_rounding)env.rounding);
    if (number >= limit || number <= -limit)
        env.flags = SF_INVALID;
    if (env.flags & SF_INVALID) {
        memcpy(bytes, indefinite, sizeof bytes);
    } else {
        uint64_t magnitude = (uint64_t)(number < 0 ? -number : number);

        for (unsigned i = 0; i < 9; i++, magnitude /= 100)
            bytes[i] = (uint8_t)(magnitude / 10 % 10 << 4 | magnitude % 10);
        bytes[9] = value.sign ? 0x80 : 0;
    }
    return store(cpu, insn, bytes, sizeof bytes, &env, empty, true);
}

/* --- Registers ------------------------------------------------------------------------------- */

/* With an empty register: both become indefinite where empty, if invalid is masked. */
static int fxch(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned other = insn->operand[insn->count - 1].reg;
    struct sf_extended a = x87_st(cpu, 0), b = x87_st(cpu, other);

    CPU_TRY(x87_ready(cpu, true));
    x87_begin(cpu, insn);
    if (x87_empty(cpu, 0) || x87_empty(cpu, other)) {
        if (!x87_underflow(cpu))
            return CPU_NEXT;
        if (x87_empty(cpu, 0))
            a = x87_indefinite;
        if (x87_empty(cpu, other))
            b = x87_indefinite;
    }
    x87_set_st(cpu, 0, b);
    x87_set_st(cpu, other, a);
    return CPU_NEXT;
}

static int fcmov(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned from = insn->operand[1].reg;
    struct sf_extended value = x87_st(cpu, from);

    uint16_t c1 = cpu->fpu.fsw & X87_SW_C1;

    CPU_TRY(x87_ready(cpu, true));
    x87_begin(cpu, insn);
    if (x87_empty(cpu, 0) || x87_empty(cpu, from)) {
        if (x87_underflow(cpu))
            x87_set_st(cpu, 0, x87_indefinite);
        return CPU_NEXT;
    }
    cpu->fpu.fsw |= c1; /* which only a stack fault clears */
    if (cpu_condition(cpu, insn->cond))
        x87_set_st(cpu, 0, value);
    return CPU_NEXT;
}

static int ffree(struct cpu *cpu, const struct x86_insn *insn)
{
    CPU_TRY(x87_ready(cpu, true));
    x87_begin(cpu, insn);
    cpu->fpu.ftw &= (uint8_t)~x87_tag_bit(cpu, insn->operand[0].reg);
    if (insn->op == X86_FFREEP)
        x87_pop(cpu);
    return CPU_NEXT;
}

/* FINCSTP, FDECSTP: no tag changes. */
static int move_top(struct cpu *cpu, const struct x86_insn *insn)
{
    CPU_TRY(x87_ready(cpu, true));
    x87_begin(cpu, insn);
    x87_set_top(cpu, x87_top(cpu) + (insn->op == X86_FINCSTP ? 1 : 7));
    return CPU_NEXT;
}

static cpu_handler *const handlers[X86_OP_COUNT] = {
    [X86_FLD] = fld,
    [X86_FILD] = fild,
    [X86_FBLD] = fbld,
    [X86_FLD1] = fld_constant,
    [X86_FLDL2T] = fld_constant,
    [X86_FLDL2E] = fld_constant,
    [X86_FLDPI] = fld_constant,
    [X86_FLDLG2] = fld_constant,
    [X86_FLDLN2] = fld_constant,
    [X86_FLDZ] = fld_constant,
    [X86_FST] = fst,
    [X86_FSTP] = fstp,
    [X86_FIST] = fist,
    [X86_FISTP] = fistp,
    [X86_FISTTP] = fisttp,
    [X86_FBSTP] = fbstp,
    [X86_FXCH] = fxch,
    [X86_FCMOVCC] = fcmov,
    [X86_FFREE] = ffree,
    [X86_FFREEP] = ffree,
    [X86_FINCSTP] = move_top,
    [X86_FDECSTP] = move_top,
};

cpu_handler *cpu_bind_x87_move(const struct x86_insn *insn)
{
    return handlers[insn->op];
}
