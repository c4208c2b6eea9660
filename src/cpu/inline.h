/* The hot parts of cpu/internal.h: operand, flag and memory fast paths. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CPU_INLINE_H
#define CPU_INLINE_H

#define CPU_LIKELY(x)   __builtin_expect(!!(x), 1)
#define CPU_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* --- Values of 1, 2, 4 or 8 bytes ------------------------------------------------------------ */

static inline uint64_t cpu_zext(uint64_t value, unsigned size)
{
    switch (size) {
    case 1: return (uint8_t)value;
    case 2: return (uint16_t)value;
    case 4: return (uint32_t)value;
    default: return value;
    }
}

static inline uint64_t cpu_sext(uint64_t value, unsigned size)
{
    switch (size) {
    case 1: return (uint64_t)(int8_t)value;
    case 2: return (uint64_t)(int16_t)value;
    case 4: return (uint64_t)(int32_t)value;
    default: return value;
    }
}

static inline uint64_t cpu_host_load(const void *p, unsigned size)
{
    uint16_t v2;
    uint32_t v4;
    uint64_t v8;

    switch (size) {
    case 1: return *(const uint8_t *)p;
    case 2: memcpy(&v2, p, 2); return v2;
    case 4: memcpy(&v4, p, 4); return v4;
    default: memcpy(&v8, p, 8); return v8;
    }
}

static inline void cpu_host_store(void *p, unsigned size, uint64_t value)
{
    uint16_t v2 = (uint16_t)value;
    uint32_t v4 = (uint32_t)value;

    switch (size) {
    case 1: *(uint8_t *)p = (uint8_t)value; break;
    case 2: memcpy(p, &v2, 2); break;
    case 4: memcpy(p, &v4, 4); break;
    default: memcpy(p, &value, 8);
    }
}

/* --- General registers ----------------------------------------------------------------------- */

static inline uint64_t cpu_gpr(const struct cpu *cpu, unsigned reg, unsigned size)
{
    return cpu_zext(cpu->r.gpr[reg], size);
}

static inline void cpu_set_gpr(struct cpu *cpu, unsigned reg, unsigned size, uint64_t value)
{
    uint64_t *gpr = &cpu->r.gpr[reg];

    switch (size) {
    case 1: *gpr = (*gpr & ~0xffull) | (uint8_t)value; break;
    case 2: *gpr = (*gpr & ~0xffffull) | (uint16_t)value; break;
    case 4: *gpr = (uint32_t)value; break;
    default: *gpr = value;
    }
}

/* AH, CH, DH, BH are 0..3. */
static inline uint64_t cpu_gpr_high(const struct cpu *cpu, unsigned reg)
{
    return (uint8_t)(cpu->r.gpr[reg] >> 8);
}

static inline void cpu_set_gpr_high(struct cpu *cpu, unsigned reg, uint64_t value)
{
    cpu->r.gpr[reg] = (cpu->r.gpr[reg] & ~0xff00ull) | (uint64_t)(uint8_t)value << 8;
}

/* An operand that is X86_GPR or X86_GPR_HIGH. */
static inline uint64_t cpu_reg_operand(const struct cpu *cpu, const struct x86_operand *o)
{
    return o->kind == X86_GPR_HIGH ? cpu_gpr_high(cpu, o->reg) : cpu_gpr(cpu, o->reg, o->size);
}

static inline void cpu_set_reg_operand(struct cpu *cpu, const struct x86_operand *o, uint64_t value)
{
    if (o->kind == X86_GPR_HIGH)
        cpu_set_gpr_high(cpu, o->reg, value);
    else
        cpu_set_gpr(cpu, o->reg, o->size, value);
}

/* --- Memory ---------------------------------------------------------------------------------- */

static inline uint64_t cpu_ea(const struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t ea = (uint64_t)insn->disp;

    if (CPU_LIKELY(insn->base < 16))
        ea += cpu->r.gpr[insn->base];
    else if (insn->base == X86_RIP)
        ea += cpu->r.rip;
    if (insn->index != X86_NO_REG)
        ea += cpu->r.gpr[insn->index] * insn->scale;
    return cpu_zext(ea, insn->addrsize);
}

/* The general cases, from the segment checks on. */
int cpu_load_slow(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size, uint64_t *value);
int cpu_store_slow(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size, uint64_t value);
int cpu_load_rmw_slow(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size,
                      uint64_t *value);

static inline struct cpu_tlb_entry *cpu_tlb_entry(struct cpu *cpu, unsigned set, uint64_t linear)
{
    return &cpu->tlb[set][linear >> 12 & (CPU_TLB_SIZE - 1)];
}

/*
 * The host address of size bytes at seg:offset, or NULL when the access must go the slow way.  The
 * page of the last byte is compared in the slot of the first: an access across a page end never
 * hits.  A non-canonical or over-limit address is in no entry.
 */
static inline void *cpu_host(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size,
                             bool write)
{
    uint64_t linear = offset;
    const struct cpu_tlb_entry *entry;

    if (CPU_UNLIKELY(!((write ? cpu->flat_write : cpu->flat_read) >> seg & 1))) {
        if (cpu->width != X86_CODE64)
            return NULL;
        linear += cpu->r.seg[seg].base; /* FS or GS */
    }
    entry = cpu_tlb_entry(cpu, cpu->tlb_set, linear);
    if (CPU_UNLIKELY(((linear + size - 1) & ~0xfffull) != (write ? entry->write : entry->read)))
        return NULL;
    return (void *)((uintptr_t)linear + entry->host);
}

static inline int cpu_load(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size,
                           uint64_t *value)
{
    const void *host = cpu_host(cpu, seg, offset, size, false);

    if (CPU_UNLIKELY(!host))
        return cpu_load_slow(cpu, seg, offset, size, value);
    *value = cpu_host_load(host, size);
    return CPU_NEXT;
}

static inline int cpu_store(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size,
                            uint64_t value)
{
    void *host = cpu_host(cpu, seg, offset, size, true);

    if (CPU_UNLIKELY(!host))
        return cpu_store_slow(cpu, seg, offset, size, value);
    cpu_host_store(host, size, value);
    return CPU_NEXT;
}

static inline int cpu_load_rmw(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size,
                               uint64_t *value)
{
    const void *host = cpu_host(cpu, seg, offset, size, true);

    if (CPU_UNLIKELY(!host))
        return cpu_load_rmw_slow(cpu, seg, offset, size, value);
    *value = cpu_host_load(host, size);
    return CPU_NEXT;
}

/* --- Flags (state.h, struct cpu_flags) ------------------------------------------------------- */

#define CPU_CARRY_CF (1ull << 63)
#define CPU_CARRY_OF (1ull << 62) /* CF ^ OF */
#define CPU_CARRY_PF (1ull << 8)
#define CPU_CARRY_SF (1ull << 4)
#define CPU_CARRY_AF (1ull << 3)

static inline bool cpu_cf(const struct cpu *cpu)
{
    return cpu->flags.carry >> 63;
}

static inline bool cpu_zf(const struct cpu *cpu)
{
    return cpu->flags.result == 0;
}

static inline bool cpu_sf(const struct cpu *cpu)
{
    return (cpu->flags.result >> 63 ^ cpu->flags.carry >> 4) & 1;
}

static inline bool cpu_of(const struct cpu *cpu)
{
    return (cpu->flags.carry >> 63 ^ cpu->flags.carry >> 62) & 1;
}

static inline bool cpu_pf(const struct cpu *cpu)
{
    return !__builtin_parity((uint8_t)(cpu->flags.result ^ cpu->flags.carry >> 8));
}

static inline bool cpu_af(const struct cpu *cpu)
{
    return cpu->flags.carry >> 3 & 1;
}

static inline bool cpu_condition(const struct cpu *cpu, unsigned cond)
{
    bool truth;

    switch (cond >> 1 & 7) {
    case 0: truth = cpu_of(cpu); break;
    case 1: truth = cpu_cf(cpu); break;
    case 2: truth = cpu_zf(cpu); break;
    case 3: truth = cpu_cf(cpu) || cpu_zf(cpu); break;
    case 4: truth = cpu_sf(cpu); break;
    case 5: truth = cpu_pf(cpu); break;
    case 6: truth = cpu_sf(cpu) ^ cpu_of(cpu); break;
    default: truth = cpu_zf(cpu) || (cpu_sf(cpu) ^ cpu_of(cpu));
    }
    return truth ^ (cond & 1);
}

static inline void cpu_set_arith_flags(struct cpu *cpu, uint64_t value)
{
    uint64_t carry = 0;

    if (value & X86_FLAG_CF)
        carry |= CPU_CARRY_CF | CPU_CARRY_OF;
    if (value & X86_FLAG_OF)
        carry ^= CPU_CARRY_OF;
    if (!(value & X86_FLAG_PF))
        carry |= CPU_CARRY_PF;
    if (value & X86_FLAG_SF)
        carry |= CPU_CARRY_SF;
    if (value & X86_FLAG_AF)
        carry |= CPU_CARRY_AF;
    cpu->flags.result = value & X86_FLAG_ZF ? 0 : 1 << 16; /* a low byte of 0: even parity */
    cpu->flags.carry = carry;
}

/* CF and OF alone, for shifts, multiplications and the like. */
static inline void cpu_set_cf(struct cpu *cpu, bool cf)
{
    uint64_t of = cpu_of(cpu);

    cpu->flags.carry = (cpu->flags.carry & ~(3ull << 62)) | (uint64_t)cf << 63 | (cf ^ of) << 62;
}

static inline void cpu_set_cf_of(struct cpu *cpu, bool cf, bool of)
{
    cpu->flags.carry =
        (cpu->flags.carry & ~(3ull << 62)) | (uint64_t)cf << 63 | (uint64_t)(cf ^ of) << 62;
}

static inline void cpu_set_zf(struct cpu *cpu, bool zf)
{
    cpu_set_arith_flags(cpu, (cpu_rflags(cpu) & ~(uint64_t)X86_FLAG_ZF) | (zf ? X86_FLAG_ZF : 0));
}

/* Carries out of every bit, as struct cpu_flags wants them. */
static inline uint64_t cpu_carry_word(uint64_t carries, unsigned size)
{
    return (carries << (64 - 8 * size) & 3ull << 62) | (carries & 8);
}

/* After result = a & b and the like. */
static inline void cpu_flags_logic(struct cpu *cpu, unsigned size, uint64_t result)
{
    cpu->flags.result = cpu_sext(result, size);
    cpu->flags.carry = 0;
}

/* After result = a + b (+ carry in). */
static inline void cpu_flags_add(struct cpu *cpu, unsigned size, uint64_t a, uint64_t b,
                                 uint64_t result)
{
    cpu->flags.result = cpu_sext(result, size);
    cpu->flags.carry = cpu_carry_word((a & b) | ((a | b) & ~result), size);
}

/* After result = a - b (- borrow in). */
static inline void cpu_flags_sub(struct cpu *cpu, unsigned size, uint64_t a, uint64_t b,
                                 uint64_t result)
{
    cpu->flags.result = cpu_sext(result, size);
    cpu->flags.carry = cpu_carry_word((~a & b) | ((~a | b) & result), size);
}

#endif
