/* What Zydis makes of an instruction, set against what the decoder does. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit/zydis.h"

#include <ctype.h>
#include <string.h>

#include "ringside/regs.h"

/* --- What is not modelled -------------------------------------------------------------------- */

/* Instructions of these sets are undefined opcodes here. */
static bool foreign_set(ZydisISASet set)
{
    static const char *const names[] = {
        "AMD3DNOW",    "AMD_INVLPGB", "CET",
        "CLZERO",      "ENQCMD",      "GFNI",
        "HRESET",      "KEYLOCKER",   "KEYLOCKER_WIDE",
        "MCOMMIT",     "MONITORX",    "MOVDIR",
        "PADLOCK_ACE", "PADLOCK_PHE", "PADLOCK_PMM",
        "PADLOCK_RNG", "PCONFIG",     "PKU",
        "PT",          "RDPRU",       "RTM",
        "SERIALIZE",   "SGX",         "SGX_ENCLV",
        "SMX",         "SNP",         "TDX",
        "TSX_LDTRK",   "UINTR",       "VMFUNC",
        "WAITPKG",
    };
    const char *name = ZydisISASetGetString(set);

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

bool zydis_foreign(const ZydisDecodedInstruction *z)
{
    if (z->encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY)
        return true;
    switch (z->mnemonic) {
    case ZYDIS_MNEMONIC_FEMMS: return true;
    case ZYDIS_MNEMONIC_VMCALL:
    case ZYDIS_MNEMONIC_VMMCALL:
    case ZYDIS_MNEMONIC_INVLPGA: return false;
    default: break;
    }
    if (z->meta.isa_set == ZYDIS_ISA_SET_VTX || z->meta.isa_set == ZYDIS_ISA_SET_SVM)
        return true;
    return foreign_set(z->meta.isa_set);
}

/* --- Names ----------------------------------------------------------------------------------- */

/* Where our name is not Zydis's: the names it has for this operation, '*' at the end for any rest.
 */
static const struct alias {
    enum x86_op op;
    const char *names;
} aliases[] = {
    {X86_JCC, "j*"},
    {X86_SETCC, "set*"},
    {X86_CMOVCC, "cmov*"},
    {X86_FCMOVCC, "fcmov*"},
    {X86_CBW, "cbw cwde cdqe"},
    {X86_CWD, "cwd cdq cqo"},
    {X86_MOVS, "movsb movsw movsd movsq"},
    {X86_CMPS, "cmpsb cmpsw cmpsd cmpsq"},
    {X86_STOS, "stosb stosw stosd stosq"},
    {X86_LODS, "lodsb lodsw lodsd lodsq"},
    {X86_SCAS, "scasb scasw scasd scasq"},
    {X86_INS, "insb insw insd"},
    {X86_OUTS, "outsb outsw outsd"},
    {X86_JCXZ, "jcxz jecxz jrcxz"},
    {X86_PUSHA, "pusha pushad"},
    {X86_POPA, "popa popad"},
    {X86_PUSHF, "pushf pushfd pushfq"},
    {X86_POPF, "popf popfd popfq"},
    {X86_IRET, "iret iretd iretq"},
    {X86_MOV_SEG, "mov"},
    {X86_MOV_CR, "mov"},
    {X86_MOV_DR, "mov"},
    {X86_PUSH_SEG, "push"},
    {X86_POP_SEG, "pop"},
    {X86_JMP_FAR, "jmp"},
    {X86_CALL_FAR, "call"},
    {X86_RET_FAR, "ret"},
    {X86_FENCE_L, "lfence"},
    {X86_FENCE_M, "mfence"},
    {X86_FENCE_S, "sfence"},
    {X86_ENDBR, "nop"}, /* what it is without CET */
    {X86_PREFETCH, "prefetch*"},
    {X86_FSTP, "fstp fstpnce"},
    {X86_FNENI, "feni8087_nop"},
    {X86_FNDISI, "fdisi8087_nop"},
    {X86_FNSETPM, "fsetpm287_nop"},
    {X86_FXSAVE, "fxsave fxsave64"},
    {X86_FXRSTOR, "fxrstor fxrstor64"},
    {X86_XSAVE, "xsave xsave64"},
    {X86_XSAVEOPT, "xsaveopt xsaveopt64"},
    {X86_XSAVEC, "xsavec xsavec64"},
    {X86_XSAVES, "xsaves xsaves64"},
    {X86_XRSTOR, "xrstor xrstor64"},
    {X86_XRSTORS, "xrstors xrstors64"},
    {X86_SYSRET, "sysret sysret64"},
    {X86_SYSEXIT, "sysexit sysexit64"},
    {X86_PEXTRD, "pextrd pextrq"},
    {X86_PINSRD, "pinsrd pinsrq"},
};

static bool name_in(const char *name, const char *list)
{
    size_t n = strlen(name);

    while (*list) {
        size_t length = strcspn(list, " ");

        if (list[length - 1] == '*' ? strncmp(name, list, length - 1) == 0
                                    : length == n && strncmp(name, list, n) == 0)
            return true;
        list += length + (list[length] == ' ');
    }
    return false;
}

static bool same_name(const struct x86_insn *insn, const ZydisDecodedInstruction *z)
{
    const char *name = ZydisMnemonicGetString(z->mnemonic);
    char ours[32];
    size_t n = 0;

    for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++)
        if (aliases[i].op == insn->op)
            return name_in(name, aliases[i].names);
    for (const char *s = x86_op_name((enum x86_op)insn->op); *s && n < sizeof ours - 1; s++)
        ours[n++] = (char)tolower((unsigned char)*s);
    ours[n] = 0;
    return strcmp(name, ours) == 0;
}

/* --- Operands -------------------------------------------------------------------------------- */

/* A register of Zydis in our terms. */
static struct x86_operand operand_of_register(ZydisRegister reg)
{
    struct x86_operand o = {.size = ZydisRegisterGetWidth(ZYDIS_MACHINE_MODE_LONG_64, reg) / 8};
    uint8_t id = (uint8_t)ZydisRegisterGetId(reg);

    switch (ZydisRegisterGetClass(reg)) {
    case ZYDIS_REGCLASS_GPR8:
        o.kind = X86_GPR;
        o.reg = id;
        if (reg >= ZYDIS_REGISTER_AH && reg <= ZYDIS_REGISTER_BH) {
            o.kind = X86_GPR_HIGH;
            o.reg = (uint8_t)(reg - ZYDIS_REGISTER_AH);
        } else if (reg >= ZYDIS_REGISTER_SPL) {
            o.reg = (uint8_t)(reg - ZYDIS_REGISTER_SPL + 4);
        }
        break;
    case ZYDIS_REGCLASS_GPR16:
    case ZYDIS_REGCLASS_GPR32:
    case ZYDIS_REGCLASS_GPR64: o.kind = X86_GPR, o.reg = id; break;
    case ZYDIS_REGCLASS_SEGMENT: o.kind = X86_SEG, o.reg = id; break;
    case ZYDIS_REGCLASS_CONTROL: o.kind = X86_CR, o.reg = id; break;
    case ZYDIS_REGCLASS_DEBUG: o.kind = X86_DR, o.reg = id; break;
    case ZYDIS_REGCLASS_X87: o.kind = X86_ST, o.reg = id; break;
    case ZYDIS_REGCLASS_MMX: o.kind = X86_MMX, o.reg = id; break;
    case ZYDIS_REGCLASS_XMM: o.kind = X86_XMM, o.reg = id; break;
    default: break;
    }
    return o;
}

static uint8_t memory_register(ZydisRegister reg)
{
    if (reg == ZYDIS_REGISTER_NONE)
        return X86_NO_REG;
    if (reg == ZYDIS_REGISTER_RIP || reg == ZYDIS_REGISTER_EIP)
        return X86_RIP;
    return (uint8_t)ZydisRegisterGetId(reg);
}

static bool same_memory(const struct x86_insn *insn, const ZydisDecodedOperand *z)
{
    uint64_t mask = insn->addrsize == 2 ? 0xffff : insn->addrsize == 4 ? 0xffffffff : ~0ull;
    uint8_t index = memory_register(z->mem.index);

    return insn->base == memory_register(z->mem.base) && insn->index == index &&
           (index == X86_NO_REG || insn->scale == z->mem.scale) &&
           (insn->op == X86_LEA || insn->seg == ZydisRegisterGetId(z->mem.segment)) &&
           ((uint64_t)insn->disp & mask) == ((uint64_t)z->mem.disp.value & mask);
}

static bool same_immediate(const struct x86_insn *insn, const struct x86_operand *o,
                           const ZydisDecodedOperand *z)
{
    uint64_t mask = z->size >= 64 ? ~0ull : (1ull << z->size) - 1;

    if (o->kind == X86_IMM2)
        return insn->imm2 == (uint16_t)z->imm.value.u;
    if (o->kind == X86_REL)
        return z->imm.is_relative && (insn->imm & mask) == (z->imm.value.u & mask);
    return o->kind == X86_IMM && !z->imm.is_relative &&
           (insn->imm & mask) == (z->imm.value.u & mask);
}

static bool same_operand(const struct x86_insn *insn, const struct x86_operand *o,
                         const ZydisDecodedOperand *z)
{
    struct x86_operand reg;

    switch (z->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        reg = operand_of_register(z->reg.value);
        if (reg.kind != o->kind || reg.reg != o->reg)
            return false;
        return o->kind > X86_GPR_HIGH || reg.size == o->size;
    case ZYDIS_OPERAND_TYPE_MEMORY:
        return o->kind == X86_MEM && (o->size == 0 || o->size * 8 == z->size) &&
               same_memory(insn, z);
    case ZYDIS_OPERAND_TYPE_POINTER:
        return o->kind == X86_FAR && insn->imm == z->ptr.offset && insn->imm2 == z->ptr.segment;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE: return same_immediate(insn, o, z);
    default: return false;
    }
}

/* The operand of a string operation is hidden in Zydis, among others. */
static bool same_string_operand(const struct x86_insn *insn, const ZydisDecodedInstruction *zi,
                                const ZydisDecodedOperand *z)
{
    for (unsigned i = 0; i < zi->operand_count; i++)
        if (z[i].type == ZYDIS_OPERAND_TYPE_MEMORY && memory_register(z[i].mem.base) == insn->base)
            return insn->count == 1 && same_operand(insn, &insn->operand[0], &z[i]);
    return false;
}

static bool same_operands(const struct x86_insn *insn, const ZydisDecodedInstruction *zi,
                          const ZydisDecodedOperand *z)
{
    unsigned n = zi->operand_count_visible;

    switch ((enum x86_op)insn->op) {
    case X86_MOVS:
    case X86_CMPS:
    case X86_STOS:
    case X86_LODS:
    case X86_SCAS:
    case X86_INS:
    case X86_OUTS: return same_string_operand(insn, zi, z);
    case X86_NOP: /* has operands at whim */
    case X86_ENDBR:
    case X86_INVLPGA: return true;    /* Zydis names RAX and ECX, the manual does not */
    case X86_FUCOMP: z++, n--; break; /* Zydis names ST0, but not for FCOM, FCOMP and FUCOM */
    default: break;
    }
    if (n != insn->count)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (!same_operand(insn, &insn->operand[i], &z[i]))
            return false;
    return true;
}

/*
 * Where Zydis 4.0 is not what processors do (each was tried on one).
 */
static bool known_difference(const struct x86_insn *insn, const ZydisDecodedInstruction *z)
{
    /* F3 REX.B 90 is XCHG R8, not PAUSE. */
    if (insn->op == X86_XCHG && z->mnemonic == ZYDIS_MNEMONIC_PAUSE)
        return true;
    /* 66 MOVSXD reads 16 bits, as SDM vol. 2 says. */
    if (insn->op == X86_MOVSXD && insn->opsize == 2)
        return true;
    /* LAR and LSL use 16 bits of a register, though the manual names a wider one. */
    if ((insn->op == X86_LAR || insn->op == X86_LSL) && insn->modrm >= 0xc0)
        return true;
    /* REX.B gives no base to a SIB byte that has none, with 32-bit addresses either. */
    return insn->width == X86_CODE64 && insn->addrsize == 4 && (insn->modrm & 0xc7) == 4 &&
           insn->base == X86_NO_REG;
}

/* Operations whose operand size shows in no operand, or in none alone. */
static bool has_implied_size(enum x86_op op)
{
    switch (op) {
    case X86_PUSH:
    case X86_POP:
    case X86_PUSHA:
    case X86_POPA:
    case X86_PUSHF:
    case X86_POPF:
    case X86_PUSH_SEG:
    case X86_POP_SEG:
    case X86_ENTER:
    case X86_LEAVE:
    case X86_CALL:
    case X86_RET:
    case X86_JMP:
    case X86_JCC:
    case X86_LOOP:
    case X86_JCXZ:
    case X86_CALL_FAR:
    case X86_JMP_FAR:
    case X86_RET_FAR:
    case X86_IRET:
    case X86_CBW:
    case X86_CWD:
    case X86_SYSRET:
    case X86_SYSEXIT: return true;
    default: return false;
    }
}

static bool same_prefixes(const struct x86_insn *insn, const ZydisDecodedInstruction *z)
{
    uint64_t a = z->attributes;
    bool rep = a & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE);
    bool segment = a & ZYDIS_ATTRIB_HAS_SEGMENT;

    return rep == !!(insn->prefixes & X86_PREFIX_REP) &&
           !(a & ZYDIS_ATTRIB_HAS_REPNE) == !(insn->prefixes & X86_PREFIX_REPNE) &&
           !(a & ZYDIS_ATTRIB_HAS_LOCK) == !(insn->prefixes & X86_PREFIX_LOCK) &&
           !z->raw.rex.W == !(insn->prefixes & X86_PREFIX_REX_W) &&
           (!segment || insn->prefixes & X86_PREFIX_SEG) &&
           (!has_implied_size((enum x86_op)insn->op) || z->operand_width == insn->opsize * 8);
}

static bool same_condition(const struct x86_insn *insn, const ZydisDecodedInstruction *z)
{
    static const char *const jcc[16] = {"o", "no", "b", "nb", "z", "nz", "be", "nbe",
                                        "s", "ns", "p", "np", "l", "nl", "le", "nle"};
    static const char *const fcmov[16] = {[2] = "b",  [3] = "nb",  [4] = "e",  [5] = "ne",
                                          [6] = "be", [7] = "nbe", [10] = "u", [11] = "nu"};
    const char *name = ZydisMnemonicGetString(z->mnemonic);

    switch ((enum x86_op)insn->op) {
    case X86_JCC: return strcmp(name + 1, jcc[insn->cond]) == 0;
    case X86_SETCC: return strcmp(name + 3, jcc[insn->cond]) == 0;
    case X86_CMOVCC: return strcmp(name + 4, jcc[insn->cond]) == 0;
    case X86_FCMOVCC: return fcmov[insn->cond] && strcmp(name + 5, fcmov[insn->cond]) == 0;
    default: return insn->cond == 0;
    }
}

const char *zydis_difference(const struct x86_insn *insn, const ZydisDecodedInstruction *z,
                             const ZydisDecodedOperand *operands)
{
    if (known_difference(insn, z))
        return NULL;
    if (!same_name(insn, z))
        return "operation";
    if (!same_operands(insn, z, operands))
        return "operands";
    if (insn->addrsize * 8 != z->address_width)
        return "address size";
    if (!same_prefixes(insn, z))
        return "prefixes";
    return same_condition(insn, z) ? NULL : "condition";
}
