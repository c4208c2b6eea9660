/* What the SSE and MMX families share: vector values, readiness checks, operands. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CPU_SSE_H
#define CPU_SSE_H

#include "cpu/internal.h"
#include "cpu/x87.h"

union cpu_vec {
    uint8_t u8[16];
    int8_t i8[16];
    uint16_t u16[8];
    int16_t i16[8];
    uint32_t u32[4];
    int32_t i32[4];
    uint64_t u64[2];
    int64_t i64[2];
};

static inline union cpu_vec *cpu_xmm(struct cpu *cpu, unsigned reg)
{
    return (union cpu_vec *)cpu->fpu.vector[reg];
}

/* May this SSE instruction run?  #UD or #NM (SDM vol. 2, "Exceptions" of each instruction). */
int cpu_sse_refuse(struct cpu *cpu);
static inline int cpu_sse_ready(struct cpu *cpu)
{
    if (CPU_LIKELY((cpu->r.cr4 & X86_CR4_OSFXSR) && !(cpu->r.cr0 & (X86_CR0_EM | X86_CR0_TS))))
        return CPU_NEXT;
    return cpu_sse_refuse(cpu);
}

/* May this MMX instruction run?  #UD, #NM, or #MF for a pending x87 exception. */
int cpu_mmx_ready(struct cpu *cpu);
/* The transition to MMX operation: TOP = 0, all registers valid; MMn is st[n] after it. */
void cpu_mmx_enter(struct cpu *cpu);
/* MMn before or after the transition, and a write of it, after the transition only. */
uint64_t cpu_mmx(const struct cpu *cpu, unsigned reg);
void cpu_set_mmx(struct cpu *cpu, unsigned reg, uint64_t value);

/* The memory operand must be aligned to 16: #GP(0) if not. */
static inline int cpu_vec_aligned(struct cpu *cpu, const struct x86_insn *insn)
{
    bool flat = cpu->width == X86_CODE64 && insn->seg < RINGSIDE_FS;
    uint64_t base = flat ? 0 : cpu->r.seg[insn->seg].base;

    return CPU_LIKELY(((base + cpu_ea(cpu, insn)) & 15) == 0) ? CPU_NEXT
                                                              : cpu_fault_code(cpu, X86_EXC_GP, 0);
}

/* The memory operand, 16 bytes or less, at any alignment; what is beyond size reads as zero. */
static inline int cpu_vec_load_memory(struct cpu *cpu, const struct x86_insn *insn, unsigned size,
                                      union cpu_vec *out)
{
    uint64_t offset = cpu_ea(cpu, insn);
    const void *host = cpu_host(cpu, insn->seg, offset, size, false);
    union cpu_vec value = {.u64 = {0, 0}};

    if (CPU_LIKELY(host))
        memcpy(&value, host, size);
    else
        CPU_TRY(cpu_load_bytes(cpu, insn->seg, offset, &value, size));
    *out = value;
    return CPU_NEXT;
}

static inline int cpu_vec_store_memory(struct cpu *cpu, const struct x86_insn *insn, unsigned size,
                                       const void *value)
{
    uint64_t offset = cpu_ea(cpu, insn);
    void *host = cpu_host(cpu, insn->seg, offset, size, true);

    if (CPU_UNLIKELY(!host))
        return cpu_store_bytes(cpu, insn->seg, offset, value, size);
    memcpy(host, value, size);
    return CPU_NEXT;
}

/*
 * Source operand n: all of an XMM register, an MMX register, an immediate, or size bytes of memory,
 * which must be aligned if they are 16.  With cpu_vec_source_any they need not be.
 */
int cpu_vec_source(struct cpu *cpu, const struct x86_insn *insn, unsigned n, unsigned size,
                   union cpu_vec *out);
int cpu_vec_source_any(struct cpu *cpu, const struct x86_insn *insn, unsigned n, unsigned size,
                       union cpu_vec *out);

/*
 * dest = fn(dest, source), for instructions that exist for MMX and XMM registers: bytes is 8 or
 * 16.  imm is the immediate, if there is one.
 */
typedef void cpu_packed_fn(union cpu_vec *dest, const union cpu_vec *source, unsigned bytes,
                           uint8_t imm);
int cpu_packed(struct cpu *cpu, const struct x86_insn *insn, cpu_packed_fn *fn);
/* The same for a source that is only size bytes long in memory. */
int cpu_packed_part(struct cpu *cpu, const struct x86_insn *insn, unsigned size, cpu_packed_fn *fn);

/* Parts of cpu_bind_sse_float and cpu_bind_sse_int, one a file. */
cpu_handler *cpu_bind_sse_convert(const struct x86_insn *insn);
cpu_handler *cpu_bind_sse_shuffle(const struct x86_insn *insn);
cpu_handler *cpu_bind_sse_element(const struct x86_insn *insn);
cpu_handler *cpu_bind_sse_string(const struct x86_insn *insn);

#endif
