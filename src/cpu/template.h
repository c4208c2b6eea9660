/* Making one handler for each form and size of an operation, out of one inline function. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CPU_TEMPLATE_H
#define CPU_TEMPLATE_H

#include "cpu/internal.h"

#define CPU_TEMPLATE static inline __attribute__((always_inline))

/* What kind of operand a handler was made for. */
enum cpu_form {
    CPU_REG, /* X86_GPR */
    CPU_MEM,
    CPU_IMM,
    CPU_ANY, /* looks when it runs */
};

CPU_TEMPLATE int cpu_get(struct cpu *cpu, const struct x86_insn *insn, unsigned n,
                         enum cpu_form form, unsigned size, uint64_t *value)
{
    switch (form) {
    case CPU_REG: *value = cpu_gpr(cpu, insn->operand[n].reg, size); return CPU_NEXT;
    case CPU_MEM: return cpu_load(cpu, insn->seg, cpu_ea(cpu, insn), size, value);
    case CPU_IMM: *value = insn->imm; return CPU_NEXT;
    default: return cpu_operand(cpu, insn, n, value);
    }
}

CPU_TEMPLATE int cpu_get_rmw(struct cpu *cpu, const struct x86_insn *insn, unsigned n,
                             enum cpu_form form, unsigned size, uint64_t *value)
{
    switch (form) {
    case CPU_MEM: return cpu_load_rmw(cpu, insn->seg, cpu_ea(cpu, insn), size, value);
    case CPU_ANY: return cpu_operand_rmw(cpu, insn, n, value);
    default: return cpu_get(cpu, insn, n, form, size, value);
    }
}

CPU_TEMPLATE int cpu_put(struct cpu *cpu, const struct x86_insn *insn, unsigned n,
                         enum cpu_form form, unsigned size, uint64_t value)
{
    switch (form) {
    case CPU_REG: cpu_set_gpr(cpu, insn->operand[n].reg, size, value); return CPU_NEXT;
    case CPU_MEM: return cpu_store(cpu, insn->seg, cpu_ea(cpu, insn), size, value);
    default: return cpu_set_operand(cpu, insn, n, value);
    }
}

/* name_suffix_8, _16, _32 and _64: handlers whose body is `call`, with size 1, 2, 4 and 8 in it. */
#define CPU_FORM_SIZE(name, suffix, bits, call)                                                    \
    static int name##_##suffix##_##bits(struct cpu *cpu, const struct x86_insn *insn)              \
    {                                                                                              \
        enum { size = bits / 8 };                                                                  \
        return call;                                                                               \
    }
#define CPU_FORM(name, suffix, call)                                                               \
    CPU_FORM_SIZE(name, suffix, 8, call)                                                           \
    CPU_FORM_SIZE(name, suffix, 16, call)                                                          \
    CPU_FORM_SIZE(name, suffix, 32, call)                                                          \
    CPU_FORM_SIZE(name, suffix, 64, call)
/* The four as a row of a table, which CPU_SIZE_INDEX selects from. */
#define CPU_ROW(name, suffix)                                                                      \
    {                                                                                              \
        name##_##suffix##_8, name##_##suffix##_16, name##_##suffix##_32, name##_##suffix##_64      \
    }
#define CPU_SIZE_INDEX(size) ((unsigned)__builtin_ctz((size) | 8) & 3)

#endif
