/* Segment registers, descriptor table registers, LAR and its kin, FS and GS bases. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/descriptor.h"

/* Instructions on selectors make sense in protected mode only. */
static int require_protected(struct cpu *cpu)
{
    return cpu_is_real_mode(cpu) ? cpu_fault(cpu, X86_EXC_UD) : CPU_NEXT;
}

/* --- Loads and stores of segment registers --------------------------------------------------- */

static int load_segment(struct cpu *cpu, unsigned seg, uint16_t selector)
{
    struct ringside_segment value;

    CPU_TRY(cpu_segment_read(cpu, seg, selector, &value));
    cpu_segment_set(cpu, seg, &value);
    if (seg != RINGSIDE_SS)
        return CPU_NEXT;
    cpu->r.shadow = RINGSIDE_SHADOW_MOV_SS;
    return CPU_SYNC;
}

static int mov_seg(struct cpu *cpu, const struct x86_insn *insn)
{
    const struct x86_operand *to = &insn->operand[0], *from = &insn->operand[1];
    uint64_t value;

    if (to->kind == X86_SEG) {
        if (to->reg == RINGSIDE_CS || to->reg > RINGSIDE_GS)
            return cpu_fault(cpu, X86_EXC_UD);
        if (from->kind == X86_GPR)
            value = cpu_gpr(cpu, from->reg, 2);
        else
            CPU_TRY(cpu_load(cpu, insn->seg, cpu_ea(cpu, insn), 2, &value));
        return load_segment(cpu, to->reg, (uint16_t)value);
    }
    value = cpu->r.seg[from->reg].selector;
    if (to->kind == X86_MEM)
        return cpu_store(cpu, insn->seg, cpu_ea(cpu, insn), 2, value);
    cpu_set_gpr(cpu, to->reg, insn->opsize, value);
    return CPU_NEXT;
}

static int push_seg(struct cpu *cpu, const struct x86_insn *insn)
{
    return cpu_push(cpu, insn->opsize, cpu->r.seg[insn->operand[0].reg].selector);
}

static int pop_seg(struct cpu *cpu, const struct x86_insn *insn)
{
    const unsigned seg = insn->operand[0].reg, width = cpu->stack_width;
    const uint64_t rsp = cpu->r.gpr[RINGSIDE_RSP];
    struct ringside_segment value;
    uint64_t selector;

    CPU_TRY(cpu_load(cpu, RINGSIDE_SS, cpu_zext(rsp, width), insn->opsize, &selector));
    CPU_TRY(cpu_segment_read(cpu, seg, (uint16_t)selector, &value));
    cpu_set_gpr(cpu, RINGSIDE_RSP, width, rsp + insn->opsize);
    cpu_segment_set(cpu, seg, &value);
    if (seg != RINGSIDE_SS)
        return CPU_NEXT;
    cpu->r.shadow = RINGSIDE_SHADOW_MOV_SS;
    return CPU_SYNC;
}

/* LDS, LES, LFS, LGS, LSS: unlike MOV SS, LSS holds no interrupt. */
static int load_far_pointer(struct cpu *cpu, const struct x86_insn *insn)
{
    static const uint8_t segs[] = {
        [X86_LDS - X86_LDS] = RINGSIDE_DS, [X86_LES - X86_LDS] = RINGSIDE_ES,
        [X86_LFS - X86_LDS] = RINGSIDE_FS, [X86_LGS - X86_LDS] = RINGSIDE_GS,
        [X86_LSS - X86_LDS] = RINGSIDE_SS,
    };
    const unsigned seg = segs[insn->op - X86_LDS];
    /* AMD has no m16:64 (APM vol. 3, LDS). */
    const unsigned size = insn->opsize == 8 && cpu->model.vendor == CPU_AMD ? 4 : insn->opsize;
    const uint64_t ea = cpu_ea(cpu, insn);
    struct ringside_segment value;
    uint64_t offset, selector;

    CPU_TRY(cpu_load(cpu, insn->seg, ea, size, &offset));
    CPU_TRY(cpu_load(cpu, insn->seg, cpu_zext(ea + size, insn->addrsize), 2, &selector));
    CPU_TRY(cpu_segment_read(cpu, seg, (uint16_t)selector, &value));
    cpu_set_gpr(cpu, insn->operand[0].reg, size, offset);
    cpu_segment_set(cpu, seg, &value);
    return CPU_SYNC;
}

/* --- GDTR and IDTR --------------------------------------------------------------------------- */

static int store_table(struct cpu *cpu, const struct x86_insn *insn)
{
    const struct ringside_table *table = insn->op == X86_SGDT ? &cpu->r.gdtr : &cpu->r.idtr;
    uint8_t image[10];

    CPU_TRY(cpu_require_umip(cpu));
    cpu_host_store(image, 2, table->limit);
    cpu_host_store(image + 2, 8, table->base);
    return cpu_store_bytes(cpu, insn->seg, cpu_ea(cpu, insn), image,
                           cpu->width == X86_CODE64 ? 10 : 6);
}

static int load_table(struct cpu *cpu, const struct x86_insn *insn)
{
    struct ringside_table *table = insn->op == X86_LGDT ? &cpu->r.gdtr : &cpu->r.idtr;
    const unsigned base_size = cpu->width == X86_CODE64 ? 8 : 4;
    uint8_t image[10];
    uint64_t base;

    CPU_TRY(cpu_require_cpl0(cpu));
    CPU_TRY(cpu_load_bytes(cpu, insn->seg, cpu_ea(cpu, insn), image, 2 + base_size));
    base = cpu_host_load(image + 2, base_size);
    if (base_size == 8 && !cpu_is_canonical(cpu, base))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    if (base_size == 4 && insn->opsize == 2)
        base &= 0xffffff;
    *table = (struct ringside_table){.base = base, .limit = (uint16_t)cpu_host_load(image, 2)};
    return CPU_NEXT;
}

/* --- LDTR and TR ----------------------------------------------------------------------------- */

static int store_selector(struct cpu *cpu, const struct x86_insn *insn)
{
    const struct ringside_segment *seg = insn->op == X86_STR ? &cpu->r.tr : &cpu->r.ldtr;

    CPU_TRY(require_protected(cpu));
    CPU_TRY(cpu_require_umip(cpu));
    if (insn->operand[0].kind == X86_MEM)
        return cpu_store(cpu, insn->seg, cpu_ea(cpu, insn), 2, seg->selector);
    cpu_set_gpr(cpu, insn->operand[0].reg, insn->opsize, seg->selector);
    return CPU_NEXT;
}

/* The 16-bit operand of LLDT, LTR, VERR, VERW, LAR, LSL. */
static int selector_operand(struct cpu *cpu, const struct x86_insn *insn, unsigned n,
                            uint16_t *selector)
{
    uint64_t value;

    if (insn->operand[n].kind == X86_MEM)
        CPU_TRY(cpu_load(cpu, insn->seg, cpu_ea(cpu, insn), 2, &value));
    else
        value = cpu_gpr(cpu, insn->operand[n].reg, 2);
    *selector = (uint16_t)value;
    return CPU_NEXT;
}

static int check_base(struct cpu *cpu, const struct cpu_descriptor *d)
{
    if (!cpu->long_mode || cpu_is_canonical(cpu, d->seg.base))
        return CPU_NEXT;
    return cpu_fault_selector(cpu, X86_EXC_GP, d->seg.selector, false);
}

static int lldt(struct cpu *cpu, const struct x86_insn *insn)
{
    struct cpu_descriptor d;
    uint16_t selector;

    CPU_TRY(require_protected(cpu));
    CPU_TRY(cpu_require_cpl0(cpu));
    CPU_TRY(selector_operand(cpu, insn, 0, &selector));
    if (cpu_selector_null(selector)) {
        cpu->r.ldtr = (struct ringside_segment){.selector = selector};
        return CPU_NEXT;
    }
    if (selector & X86_SELECTOR_LDT)
        return cpu_fault_selector(cpu, X86_EXC_GP, selector, false);
    CPU_TRY(cpu_descriptor_read(cpu, selector, X86_EXC_GP, false, &d));
    if ((d.seg.access & (X86_SEG_S | X86_SEG_TYPE)) != X86_TYPE_LDT)
        return cpu_fault_selector(cpu, X86_EXC_GP, selector, false);
    if (!(d.seg.access & X86_SEG_P))
        return cpu_fault_selector(cpu, X86_EXC_NP, selector, false);
    CPU_TRY(check_base(cpu, &d));
    cpu->r.ldtr = d.seg;
    return CPU_NEXT;
}

static bool is_available_tss(const struct cpu *cpu, const struct ringside_segment *seg)
{
    switch (seg->access & (X86_SEG_S | X86_SEG_TYPE)) {
    case X86_TYPE_TSS: return true;
    case X86_TYPE_TSS16: return !cpu->long_mode;
    default: return false;
    }
}

static int ltr(struct cpu *cpu, const struct x86_insn *insn)
{
    struct cpu_descriptor d;
    uint16_t selector;
    uint8_t rights;

    CPU_TRY(require_protected(cpu));
    CPU_TRY(cpu_require_cpl0(cpu));
    CPU_TRY(selector_operand(cpu, insn, 0, &selector));
    if (cpu_selector_null(selector))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    if (selector & X86_SELECTOR_LDT)
        return cpu_fault_selector(cpu, X86_EXC_GP, selector, false);
    CPU_TRY(cpu_descriptor_read(cpu, selector, X86_EXC_GP, false, &d));
    if (!is_available_tss(cpu, &d.seg))
        return cpu_fault_selector(cpu, X86_EXC_GP, selector, false);
    if (!(d.seg.access & X86_SEG_P))
        return cpu_fault_selector(cpu, X86_EXC_NP, selector, false);
    CPU_TRY(check_base(cpu, &d));
    if (cpu->shared)
        return CPU_DECLINE;
    rights = (uint8_t)(d.word[0] >> 40) | 2; /* busy */
    CPU_TRY(cpu_write_linear(cpu, d.linear + 5, &rights, 1, CPU_SYSTEM_WRITE));
    cpu->r.tr = d.seg;
    cpu->r.tr.access |= 2;
    return CPU_NEXT;
}

/* --- Questions about selectors --------------------------------------------------------------- */

/*
 * Read the descriptor that operand n of LAR, LSL, VERR or VERW selects: *found is false where they
 * clear ZF because there is none or it is out of reach.  Only a page fault is a fault here.
 */
static int look_up(struct cpu *cpu, const struct x86_insn *insn, unsigned n,
                   struct cpu_descriptor *d, bool *found)
{
    uint16_t selector;
    unsigned rpl;

    CPU_TRY(require_protected(cpu));
    CPU_TRY(selector_operand(cpu, insn, n, &selector));
    rpl = selector & X86_SELECTOR_RPL;
    *found = false;
    if (cpu_selector_null(selector))
        return CPU_NEXT;
    if (cpu_descriptor_read(cpu, selector, X86_EXC_GP, false, d) == CPU_FAULT)
        return cpu->fault.vector == X86_EXC_PF ? CPU_FAULT : CPU_NEXT;
    *found =
        cpu_is_conforming(&d->seg) || (cpu_dpl(&d->seg) >= cpu->cpl && cpu_dpl(&d->seg) >= rpl);
    return CPU_NEXT;
}

/* Types of system descriptors by bit (Intel SDM vol. 2, LAR and LSL). */
enum {
    LSL_LEGACY = 1 << X86_TYPE_TSS16 | 1 << X86_TYPE_LDT | 1 << X86_TYPE_TSS16_BUSY |
                 1 << X86_TYPE_TSS | 1 << X86_TYPE_TSS_BUSY,
    LSL_LONG = 1 << X86_TYPE_LDT | 1 << X86_TYPE_TSS | 1 << X86_TYPE_TSS_BUSY,
    LAR_LEGACY =
        LSL_LEGACY | 1 << X86_TYPE_CALL_GATE16 | 1 << X86_TYPE_TASK_GATE | 1 << X86_TYPE_CALL_GATE,
    LAR_LONG = LSL_LONG | 1 << X86_TYPE_CALL_GATE,
};

static bool has_type(const struct cpu *cpu, const struct ringside_segment *seg, unsigned legacy,
                     unsigned in_long_mode)
{
    const unsigned types = cpu->long_mode ? in_long_mode : legacy;

    return !cpu_is_system(seg) || types >> (seg->access & X86_SEG_TYPE) & 1;
}

static int lar(struct cpu *cpu, const struct x86_insn *insn)
{
    struct cpu_descriptor d;
    bool found;

    CPU_TRY(look_up(cpu, insn, 1, &d, &found));
    found = found && has_type(cpu, &d.seg, LAR_LEGACY, LAR_LONG);
    if (found)
        cpu_set_gpr(cpu, insn->operand[0].reg, insn->opsize,
                    d.word[0] >> 32 & (insn->opsize == 2 ? 0xff00 : 0xf0ff00));
    cpu_set_zf(cpu, found);
    return CPU_NEXT;
}

static int lsl(struct cpu *cpu, const struct x86_insn *insn)
{
    struct cpu_descriptor d;
    bool found;

    CPU_TRY(look_up(cpu, insn, 1, &d, &found));
    found = found && has_type(cpu, &d.seg, LSL_LEGACY, LSL_LONG);
    if (found)
        cpu_set_gpr(cpu, insn->operand[0].reg, insn->opsize, d.seg.limit);
    cpu_set_zf(cpu, found);
    return CPU_NEXT;
}

static int verify(struct cpu *cpu, const struct x86_insn *insn)
{
    struct cpu_descriptor d;
    bool found;

    CPU_TRY(look_up(cpu, insn, 0, &d, &found));
    if (found && insn->op == X86_VERW)
        found = cpu_is_writable_data(&d.seg);
    else if (found)
        found =
            !cpu_is_system(&d.seg) && (!cpu_is_code(&d.seg) || (d.seg.access & X86_SEG_READABLE));
    cpu_set_zf(cpu, found);
    return CPU_NEXT;
}

static int arpl(struct cpu *cpu, const struct x86_insn *insn)
{
    const uint16_t rpl = cpu_gpr(cpu, insn->operand[1].reg, 2) & X86_SELECTOR_RPL;
    uint64_t selector;
    bool lower;

    CPU_TRY(require_protected(cpu));
    CPU_TRY(cpu_operand_rmw(cpu, insn, 0, &selector));
    lower = (selector & X86_SELECTOR_RPL) < rpl;
    if (lower)
        CPU_TRY(cpu_set_operand(cpu, insn, 0, (selector & ~3ull) | rpl));
    cpu_set_zf(cpu, lower);
    return CPU_NEXT;
}

/* --- FS and GS bases ------------------------------------------------------------------------- */

static int swapgs(struct cpu *cpu, const struct x86_insn *insn)
{
    const uint64_t base = cpu->r.seg[RINGSIDE_GS].base;

    (void)insn;
    if (cpu->width != X86_CODE64)
        return cpu_fault(cpu, X86_EXC_UD);
    CPU_TRY(cpu_require_cpl0(cpu));
    cpu->r.seg[RINGSIDE_GS].base = cpu->r.kernel_gs_base;
    cpu->r.kernel_gs_base = base;
    return CPU_NEXT;
}

static int fsgsbase(struct cpu *cpu, const struct x86_insn *insn)
{
    const bool fs = insn->op == X86_RDFSBASE || insn->op == X86_WRFSBASE;
    struct ringside_segment *seg = &cpu->r.seg[fs ? RINGSIDE_FS : RINGSIDE_GS];
    const unsigned reg = insn->operand[0].reg;
    uint64_t base;

    if (cpu->width != X86_CODE64 || !(cpu->r.cr4 & X86_CR4_FSGSBASE))
        return cpu_fault(cpu, X86_EXC_UD);
    if (insn->op == X86_RDFSBASE || insn->op == X86_RDGSBASE) {
        cpu_set_gpr(cpu, reg, insn->opsize, seg->base);
        return CPU_NEXT;
    }
    base = cpu_gpr(cpu, reg, insn->opsize);
    if (!cpu_is_canonical(cpu, base))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    seg->base = base;
    return CPU_NEXT;
}

cpu_handler *cpu_bind_segment(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_MOV_SEG: return mov_seg;
    case X86_PUSH_SEG: return push_seg;
    case X86_POP_SEG: return pop_seg;
    case X86_LDS:
    case X86_LES:
    case X86_LFS:
    case X86_LGS:
    case X86_LSS: return load_far_pointer;
    case X86_SGDT:
    case X86_SIDT: return store_table;
    case X86_LGDT:
    case X86_LIDT: return load_table;
    case X86_SLDT:
    case X86_STR: return store_selector;
    case X86_LLDT: return lldt;
    case X86_LTR: return ltr;
    case X86_LAR: return lar;
    case X86_LSL: return lsl;
    case X86_VERR:
    case X86_VERW: return verify;
    case X86_ARPL: return arpl;
    case X86_SWAPGS: return swapgs;
    case X86_RDFSBASE:
    case X86_RDGSBASE:
    case X86_WRFSBASE:
    case X86_WRGSBASE: return fsgsbase;
    default: return NULL;
    }
}
