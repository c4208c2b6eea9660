/* The bridge between MXCSR and softfloat, for the SSE floating-point families. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CPU_SSE_ENV_H
#define CPU_SSE_ENV_H

#include "cpu/softfloat/softfloat.h"
#include "cpu/sse.h"

/* MXCSR (Intel SDM vol. 1, 10.2.3); the flags are enum sf_flag. */
enum {
    MXCSR_DAZ = 1 << 6,
    MXCSR_MASK_SHIFT = 7,
    MXCSR_RC_SHIFT = 13,
    MXCSR_FTZ = 1 << 15,
};

static inline struct sf_env cpu_sse_env(const struct cpu *cpu)
{
    uint32_t mxcsr = cpu->fpu.mxcsr;

    return (struct sf_env){
        .rounding = mxcsr >> MXCSR_RC_SHIFT & 3,
        .masked = mxcsr >> MXCSR_MASK_SHIFT & 0x3f,
        .daz = mxcsr & MXCSR_DAZ,
        .ftz = mxcsr & MXCSR_FTZ,
    };
}

/*
 * Before the result is written: note the exceptions of all lanes in MXCSR, and fault if one is
 * unmasked.  An unmasked exception that is known before computing keeps the others from being
 * looked at (Intel SDM vol. 1, 11.5.3).
 */
static inline int cpu_sse_finish(struct cpu *cpu, const struct sf_env *env)
{
    unsigned flags = env->flags, unmasked = flags & ~env->masked;

    if (unmasked & SF_BEFORE)
        flags &= SF_BEFORE;
    cpu->fpu.mxcsr |= flags;
    if (CPU_LIKELY(!unmasked))
        return CPU_NEXT;
    return cpu_fault(cpu, cpu->r.cr4 & X86_CR4_OSXMMEXCPT ? X86_EXC_XM : X86_EXC_UD);
}

/* Lanes of 4 or 8 bytes. */
static inline struct sf cpu_sse_unpack(const struct sf_env *env, unsigned size, uint64_t bits)
{
    return size == 4 ? sf_unpack32(env, (uint32_t)bits) : sf_unpack64(env, bits);
}

static inline uint64_t cpu_sse_pack(struct sf_env *env, unsigned size, struct sf value)
{
    return size == 4 ? sf_pack32(env, value) : sf_pack64(env, value);
}

static inline uint64_t cpu_vec_lane(const union cpu_vec *v, unsigned size, unsigned i)
{
    return size == 4 ? v->u32[i] : v->u64[i];
}

static inline void cpu_vec_set_lane(union cpu_vec *v, unsigned size, unsigned i, uint64_t bits)
{
    if (size == 4)
        v->u32[i] = (uint32_t)bits;
    else
        v->u64[i] = bits;
}

#endif
