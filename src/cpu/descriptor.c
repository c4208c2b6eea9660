/* Descriptor table reads, the checks on code and stack segments, and frames on stacks to be. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/descriptor.h"

/* Linear addresses have 32 bits outside long mode. */
static uint64_t system_linear(const struct cpu *cpu, uint64_t linear)
{
    return cpu->long_mode ? linear : (uint32_t)linear;
}

/* --- Descriptors ----------------------------------------------------------------------------- */

static bool has_two_words(const struct cpu *cpu, const struct ringside_segment *seg)
{
    if (!cpu->long_mode || !cpu_is_system(seg))
        return false;
    switch (seg->access & X86_SEG_TYPE) {
    case X86_TYPE_LDT:
    case X86_TYPE_TSS:
    case X86_TYPE_TSS_BUSY:
    case X86_TYPE_CALL_GATE: return true;
    default: return false;
    }
}

int cpu_descriptor_read(struct cpu *cpu, uint16_t selector, uint8_t vector, bool ext,
                        struct cpu_descriptor *d)
{
    const bool local = selector & X86_SELECTOR_LDT;
    const uint32_t offset = selector & X86_SELECTOR_INDEX;
    const uint64_t base = local ? cpu->r.ldtr.base : cpu->r.gdtr.base;
    const uint32_t limit = local ? cpu->r.ldtr.limit : cpu->r.gdtr.limit;
    struct cpu_descriptor read = {.linear = system_linear(cpu, base + offset)};

    if ((local && !(cpu->r.ldtr.access & X86_SEG_P)) || offset + 7 > limit)
        return cpu_fault_selector(cpu, vector, selector, ext);
    CPU_TRY(cpu_read_linear(cpu, read.linear, &read.word[0], 8, CPU_SYSTEM_READ));
    read.seg = x86_segment_decode(read.word, selector);
    if (has_two_words(cpu, &read.seg)) {
        if (offset + 15 > limit)
            return cpu_fault_selector(cpu, vector, selector, ext);
        CPU_TRY(cpu_read_linear(cpu, read.linear + 8, &read.word[1], 8, CPU_SYSTEM_READ));
        if (read.word[1] >> 40 & 0x1f) /* where a second descriptor would have its type */
            return cpu_fault_selector(cpu, vector, selector, ext);
        read.seg = x86_segment_decode(read.word, selector);
    }
    *d = read;
    return CPU_NEXT;
}

int cpu_descriptor_access(struct cpu *cpu, struct cpu_descriptor *d)
{
    if (!(d->seg.access & X86_SEG_ACCESSED)) {
        const uint8_t rights = (uint8_t)(d->word[0] >> 40) | X86_SEG_ACCESSED;

        if (cpu->shared)
            return CPU_DECLINE;
        CPU_TRY(cpu_write_linear(cpu, d->linear + 5, &rights, 1, CPU_SYSTEM_WRITE));
        d->seg.access |= X86_SEG_ACCESSED;
    }
    return CPU_NEXT;
}

/* --- Code ------------------------------------------------------------------------------------ */

int cpu_check_rip(struct cpu *cpu, const struct ringside_segment *cs, uint64_t rip, uint32_t error)
{
    if (cpu_is_code64(cpu, cs) ? cpu_is_canonical(cpu, rip) : (uint32_t)rip <= cs->limit)
        return CPU_NEXT;
    return cpu_fault_code(cpu, X86_EXC_GP, error);
}

int cpu_check_code_present(struct cpu *cpu, const struct ringside_segment *cs, bool ext)
{
    if (!(cs->access & X86_SEG_P))
        return cpu_fault_selector(cpu, X86_EXC_NP, cs->selector, ext);
    if (cpu_is_code64(cpu, cs) && (cs->access & X86_SEG_DB))
        return cpu_fault_selector(cpu, X86_EXC_GP, cs->selector, ext);
    return CPU_NEXT;
}

void cpu_enter_code(struct cpu *cpu, const struct ringside_segment *cs, unsigned cpl, uint64_t rip)
{
    struct ringside_segment *reg = &cpu->r.seg[RINGSIDE_CS];

    *reg = *cs;
    reg->selector = (uint16_t)((cs->selector & ~X86_SELECTOR_RPL) | cpl);
    cpu->r.rip = cpu_is_code64(cpu, cs) ? rip : (uint32_t)rip;
}

void cpu_drop_segments(struct cpu *cpu, unsigned cpl)
{
    static const uint8_t segs[] = {RINGSIDE_ES, RINGSIDE_DS, RINGSIDE_FS, RINGSIDE_GS};

    for (unsigned i = 0; i < sizeof(segs); i++) {
        struct ringside_segment *seg = &cpu->r.seg[segs[i]];

        if ((seg->access & X86_SEG_P) && !cpu_is_conforming(seg) && cpu_dpl(seg) < cpl)
            *seg = (struct ringside_segment){.selector = 0};
    }
}

/* --- Data and stack segments ----------------------------------------------------------------- */

struct ringside_segment cpu_null_stack_segment(unsigned cpl)
{
    return (struct ringside_segment){.selector = (uint16_t)cpl,
                                     .access = (uint16_t)(cpl << X86_SEG_DPL_SHIFT)};
}

int cpu_stack_segment(struct cpu *cpu, uint16_t selector, unsigned cpl, uint8_t vector, bool ext,
                      struct ringside_segment *ss)
{
    struct cpu_descriptor d;

    CPU_TRY(cpu_descriptor_read(cpu, selector, vector, ext, &d));
    if ((selector & X86_SELECTOR_RPL) != cpl || cpu_dpl(&d.seg) != cpl ||
        !cpu_is_writable_data(&d.seg))
        return cpu_fault_selector(cpu, vector, selector, ext);
    if (!(d.seg.access & X86_SEG_P))
        return cpu_fault_selector(cpu, X86_EXC_SS, selector, ext);
    CPU_TRY(cpu_descriptor_access(cpu, &d));
    *ss = d.seg;
    return CPU_NEXT;
}

int cpu_data_segment(struct cpu *cpu, uint16_t selector, uint8_t vector, bool ext,
                     struct ringside_segment *out)
{
    const unsigned rpl = selector & X86_SELECTOR_RPL;
    struct cpu_descriptor d;

    CPU_TRY(cpu_descriptor_read(cpu, selector, vector, ext, &d));
    if (cpu_is_system(&d.seg) || (cpu_is_code(&d.seg) && !(d.seg.access & X86_SEG_READABLE)) ||
        (!cpu_is_conforming(&d.seg) && (cpu_dpl(&d.seg) < rpl || cpu_dpl(&d.seg) < cpu->cpl)))
        return cpu_fault_selector(cpu, vector, selector, ext);
    if (!(d.seg.access & X86_SEG_P))
        return cpu_fault_selector(cpu, X86_EXC_NP, selector, ext);
    CPU_TRY(cpu_descriptor_access(cpu, &d));
    *out = d.seg;
    return CPU_NEXT;
}

int cpu_segment_read(struct cpu *cpu, unsigned seg, uint16_t selector, struct ringside_segment *out)
{
    if (cpu_is_real_mode(cpu)) { /* limit and rights stay: "unreal mode" */
        *out = cpu->r.seg[seg];
        out->selector = selector;
        out->base = (uint64_t)selector << 4;
        return CPU_NEXT;
    }
    if (!cpu_selector_null(selector))
        return seg == RINGSIDE_SS
                   ? cpu_stack_segment(cpu, selector, cpu->cpl, X86_EXC_GP, false, out)
                   : cpu_data_segment(cpu, selector, X86_EXC_GP, false, out);
    if (seg != RINGSIDE_SS) {
        *out = (struct ringside_segment){.selector = selector};
        return CPU_NEXT;
    }
    if (cpu->width != X86_CODE64 || cpu->cpl == 3 || selector != cpu->cpl)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    *out = cpu_null_stack_segment(cpu->cpl);
    return CPU_NEXT;
}

void cpu_segment_set(struct cpu *cpu, unsigned seg, const struct ringside_segment *value)
{
    cpu->r.seg[seg] = *value;
    cpu_update_mode(cpu);
}

/* --- Stacks ---------------------------------------------------------------------------------- */

struct cpu_stack cpu_stack_current(const struct cpu *cpu, bool ext)
{
    return (struct cpu_stack){.ss = cpu->r.seg[RINGSIDE_SS],
                              .sp = cpu->r.gpr[RINGSIDE_RSP],
                              .width = cpu->stack_width,
                              .error = ext};
}

static int read_tss(struct cpu *cpu, uint32_t offset, void *buffer, unsigned size, bool ext)
{
    if (offset + size - 1 > cpu->r.tr.limit)
        return cpu_fault_selector(cpu, X86_EXC_TS, cpu->r.tr.selector, ext);
    return cpu_read_linear(cpu, system_linear(cpu, cpu->r.tr.base + offset), buffer, size,
                           CPU_SYSTEM_READ);
}

/* Intel SDM vol. 3, "Task Management in 64-bit Mode": RSP0..2 from byte 4, IST1..7 from byte 36. */
static int stack_from_tss64(struct cpu *cpu, unsigned cpl, unsigned ist, bool ext,
                            struct cpu_stack *stack)
{
    uint64_t rsp;

    CPU_TRY(read_tss(cpu, ist ? 36 + (ist - 1) * 8 : 4 + cpl * 8, &rsp, 8, ext));
    if (!cpu_is_canonical(cpu, rsp))
        return cpu_fault_code(cpu, X86_EXC_SS, ext);
    *stack = (struct cpu_stack){.ss = cpl == cpu->cpl ? cpu->r.seg[RINGSIDE_SS]
                                                      : cpu_null_stack_segment(cpl),
                                .sp = rsp,
                                .width = 8,
                                .inner = cpl != cpu->cpl,
                                .error = ext};
    return CPU_NEXT;
}

int cpu_stack_from_tss(struct cpu *cpu, unsigned cpl, unsigned ist, bool ext,
                       struct cpu_stack *stack)
{
    const unsigned type = cpu->r.tr.access & X86_SEG_TYPE;
    struct ringside_segment ss;
    uint32_t esp = 0;
    uint16_t selector = 0;

    if (cpu->long_mode)
        return stack_from_tss64(cpu, cpl, ist, ext, stack);
    if (type == X86_TYPE_TSS16 || type == X86_TYPE_TSS16_BUSY) {
        CPU_TRY(read_tss(cpu, 2 + cpl * 4, &esp, 2, ext));
        CPU_TRY(read_tss(cpu, 4 + cpl * 4, &selector, 2, ext));
    } else {
        CPU_TRY(read_tss(cpu, 4 + cpl * 8, &esp, 4, ext));
        CPU_TRY(read_tss(cpu, 8 + cpl * 8, &selector, 2, ext));
    }
    if (cpu_selector_null(selector))
        return cpu_fault_code(cpu, X86_EXC_TS, ext);
    CPU_TRY(cpu_stack_segment(cpu, selector, cpl, X86_EXC_TS, ext, &ss));
    *stack = (struct cpu_stack){.ss = ss,
                                .sp = esp,
                                .width = ss.access & X86_SEG_DB ? 4 : 2,
                                .inner = true,
                                .error = (selector & ~(uint32_t)X86_SELECTOR_RPL) | ext};
    return CPU_NEXT;
}

static uint64_t stack_offset(const struct cpu_stack *stack, uint64_t sp)
{
    return cpu_zext(sp, stack->width);
}

static bool within_limit(const struct ringside_segment *ss, uint64_t offset, unsigned size)
{
    const uint64_t last = offset + size - 1;

    if (!(ss->access & X86_SEG_EXPAND_DOWN))
        return last <= ss->limit;
    return offset > ss->limit && last <= (ss->access & X86_SEG_DB ? UINT32_MAX : 0xffffu);
}

/* Where [sp, sp + size) lies; #SS if that is not on the stack. */
static int stack_linear(struct cpu *cpu, const struct cpu_stack *stack, uint64_t sp, unsigned size,
                        uint64_t *linear)
{
    const uint64_t offset = stack_offset(stack, sp);

    if (stack->width == 8) {
        if (!cpu_is_canonical(cpu, offset) || !cpu_is_canonical(cpu, offset + size - 1))
            return cpu_fault_code(cpu, X86_EXC_SS, stack->error);
        *linear = offset;
        return CPU_NEXT;
    }
    if (!(stack->ss.access & X86_SEG_P) || !within_limit(&stack->ss, offset, size))
        return cpu_fault_code(cpu, X86_EXC_SS, stack->error);
    *linear = (uint32_t)(stack->ss.base + offset);
    return CPU_NEXT;
}

/* A page fault names the word that the processor would have met first: it pushes downwards. */
static int push_fault(struct cpu *cpu, uint64_t linear, unsigned count, unsigned size,
                      unsigned access)
{
    while (count-- > 0)
        CPU_TRY(cpu_probe_write(cpu, linear + count * size, size, access));
    return CPU_FAULT;
}

int cpu_stack_push(struct cpu *cpu, struct cpu_stack *stack, const uint64_t *words, unsigned count,
                   unsigned size)
{
    const unsigned access =
        CPU_WRITE | (stack->inner ? CPU_SUPERVISOR : 0) | (stack->width == 8 ? CPU_FLAT : 0);
    const unsigned bytes = count * size;
    const uint64_t sp = stack->sp - bytes;
    uint8_t frame[CPU_FRAME_MAX * 8];
    uint64_t linear[2];
    unsigned low = bytes; /* bytes below the point where a 16-bit SP wraps */
    int status;

    for (unsigned i = 0; i < count; i++)
        cpu_host_store(frame + (count - 1 - i) * size, size, words[i]);
    if (stack->width == 2 && (uint16_t)sp + bytes > 0x10000)
        low = 0x10000 - (uint16_t)sp;

    CPU_TRY(stack_linear(cpu, stack, sp, low, &linear[0]));
    if (low < bytes) {
        CPU_TRY(stack_linear(cpu, stack, 0, bytes - low, &linear[1]));
        CPU_TRY(cpu_probe_write(cpu, linear[0], low, access));
        CPU_TRY(cpu_write_linear(cpu, linear[1], frame + low, bytes - low, access));
    }
    status = cpu_write_linear(cpu, linear[0], frame, low, access);
    if (status == CPU_FAULT)
        return push_fault(cpu, linear[0], low / size, size, access);
    CPU_TRY(status);
    stack->sp =
        stack->width == 2 ? (stack->sp & ~0xffffull) | (uint16_t)sp : stack_offset(stack, sp);
    return CPU_NEXT;
}

void cpu_stack_enter(struct cpu *cpu, const struct cpu_stack *stack)
{
    cpu->r.seg[RINGSIDE_SS] = stack->ss;
    cpu->r.gpr[RINGSIDE_RSP] = stack->sp;
}

/* --- Refusals -------------------------------------------------------------------------------- */

int cpu_enter_v8086(struct cpu *cpu)
{
    cpu->missing = "virtual-8086 mode";
    return CPU_DECLINE;
}
