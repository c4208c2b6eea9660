/* The CPU as a whole: reset, taking over and giving out its state, what the mode implies. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/code.h"
#include "cpu/mmu.h"
#include "x86/paging.h"

/* --- Flags ----------------------------------------------------------------------------------- */

uint64_t cpu_rflags(const struct cpu *cpu)
{
    uint64_t flags = cpu->r.rflags;

    flags |= cpu_cf(cpu) ? X86_FLAG_CF : 0;
    flags |= cpu_pf(cpu) ? X86_FLAG_PF : 0;
    flags |= cpu_af(cpu) ? X86_FLAG_AF : 0;
    flags |= cpu_zf(cpu) ? X86_FLAG_ZF : 0;
    flags |= cpu_sf(cpu) ? X86_FLAG_SF : 0;
    flags |= cpu_of(cpu) ? X86_FLAG_OF : 0;
    return flags;
}

void cpu_set_rflags(struct cpu *cpu, uint64_t value)
{
    uint64_t old = cpu->r.rflags;

    cpu_set_arith_flags(cpu, value);
    cpu->r.rflags = (value & ~(uint64_t)X86_FLAGS_ARITH) | X86_FLAGS_FIXED;
    if ((old ^ value) & (X86_FLAG_TF | X86_FLAG_AC | X86_FLAG_VM))
        cpu_update_mode(cpu);
}

/* --- What follows from the registers --------------------------------------------------------- */

/* Type bits that matter to an access at any offset ("Code- and Data-Segment Descriptor Types"). */
static bool is_flat(const struct ringside_segment *s, bool write)
{
    if (s->base || s->limit != 0xffffffff || !(s->access & X86_SEG_P))
        return false;
    if (s->access & X86_SEG_CODE)
        return !write && (s->access & X86_SEG_READABLE);
    return !(s->access & X86_SEG_EXPAND_DOWN) && (!write || (s->access & X86_SEG_WRITABLE));
}

static void update_segments(struct cpu *cpu)
{
    const struct ringside_segment *cs = &cpu->r.seg[RINGSIDE_CS];
    const struct ringside_segment *ss = &cpu->r.seg[RINGSIDE_SS];

    cpu->long_mode = cpu->r.efer & X86_EFER_LMA;
    if (cpu->long_mode && (cs->access & X86_SEG_L)) {
        cpu->width = X86_CODE64;
        cpu->stack_width = 8;
        cpu->flat_read = cpu->flat_write =
            1 << RINGSIDE_ES | 1 << RINGSIDE_CS | 1 << RINGSIDE_SS | 1 << RINGSIDE_DS;
        cpu->code_limit = false;
    } else {
        cpu->width = cs->access & X86_SEG_DB ? X86_CODE32 : X86_CODE16;
        cpu->stack_width = ss->access & X86_SEG_DB ? 4 : 2;
        cpu->flat_read = cpu->flat_write = 0;
        for (unsigned i = 0; i < 6; i++) {
            cpu->flat_read |= (uint8_t)(is_flat(&cpu->r.seg[i], false) << i);
            cpu->flat_write |= (uint8_t)(is_flat(&cpu->r.seg[i], true) << i);
        }
        cpu->code_limit = cs->limit != 0xffffffff;
    }

    if (!(cpu->r.cr0 & X86_CR0_PE))
        cpu->cpl = 0;
    else if (cpu->r.rflags & X86_FLAG_VM)
        cpu->cpl = 3;
    else
        cpu->cpl = (ss->access & X86_SEG_DPL) >> X86_SEG_DPL_SHIFT;
}

static void update_paging(struct cpu *cpu)
{
    uint64_t key = (cpu->r.cr0 & (X86_CR0_PG | X86_CR0_WP)) |
                   (cpu->r.cr4 & (X86_CR4_PSE | X86_CR4_PAE | X86_CR4_PGE | X86_CR4_LA57 |
                                  X86_CR4_SMEP | X86_CR4_SMAP)) |
                   (cpu->r.efer & (X86_EFER_LMA | X86_EFER_NXE)) << 32;
    bool ac = cpu->r.rflags & X86_FLAG_AC;
    bool alignment = (cpu->r.cr0 & X86_CR0_AM) && ac && cpu->cpl == 3;

    cpu->canonical_shift = cpu->r.cr4 & X86_CR4_LA57 ? 7 : 16;
    if (cpu->cpl == 3)
        cpu->tlb_set = CPU_TLB_USER;
    else
        cpu->tlb_set = ac || !(cpu->r.cr4 & X86_CR4_SMAP) ? CPU_TLB_KERNEL_AC : CPU_TLB_KERNEL;
    if (key != cpu->paging_key || alignment != cpu->alignment) {
        cpu->paging_key = key;
        cpu->alignment = alignment;
        cpu_flush_tlb(cpu);
    }
}

/* Breakpoint conditions by their two bits: 0 execution, 1 write, 2 I/O, 3 access. */
static void update_breaks(struct cpu *cpu)
{
    uint64_t dr7 = cpu->r.dr7;
    const uint64_t key[5] = {cpu->r.dr[0], cpu->r.dr[1], cpu->r.dr[2], cpu->r.dr[3], dr7};

    cpu->code_break = cpu->r.rflags & X86_FLAG_TF;
    cpu->data_break = false;
    for (unsigned n = 0; n < 4; n++) {
        unsigned condition = dr7 >> (16 + 4 * n) & 3;

        if (!(dr7 >> (2 * n) & 3))
            continue;
        cpu->code_break |= condition == 0;
        cpu->data_break |= condition & 1;
    }
    if (memcmp(key, cpu->break_key, sizeof(key)) != 0) {
        memcpy(cpu->break_key, key, sizeof(key));
        cpu_flush_tlb(cpu);
    }
}

void cpu_update_mode(struct cpu *cpu)
{
    unsigned width_code;

    update_segments(cpu);
    update_paging(cpu);
    update_breaks(cpu);
    width_code = cpu->width >> 2; /* 0, 1, 2 */
    cpu->code_key = (uint64_t)((cpu->cpl == 3) | width_code << 1) << 58;
    cpu_end_block(cpu);
}

/* --- State in and out ------------------------------------------------------------------------ */

void cpu_get_regs(const struct cpu *cpu, struct ringside_regs *out)
{
    *out = cpu->r;
    out->rflags = cpu_rflags(cpu);
    if (cpu->bus->read_cr8)
        out->cr8 = cpu->bus->read_cr8(cpu->ctx, (struct cpu *)cpu);
}

void cpu_set_regs(struct cpu *cpu, const struct ringside_regs *in)
{
    const uint64_t paging = cpu->paging_key;
    bool new_space = cpu->r.cr3 != in->cr3;

    cpu->r = *in;
    cpu_pass_breakpoint(cpu, false);
    cpu_set_arith_flags(cpu, in->rflags);
    cpu->r.rflags = (in->rflags & ~(uint64_t)X86_FLAGS_ARITH) | X86_FLAGS_FIXED;
    if (cpu->bus->write_cr8)
        cpu->bus->write_cr8(cpu->ctx, cpu, in->cr8);
    cpu_update_mode(cpu);
    if (new_space)
        cpu_flush_tlb(cpu);
    /* Of another engine's it is not known when it read them: now is as good as then. */
    if ((new_space || paging != cpu->paging_key || cpu->model.borrowed) &&
        x86_paging_mode(in->cr0, in->cr4, in->efer) == X86_PAGING_PAE &&
        cpu_read_pdptes(cpu, in->cr3, cpu->pdpte) < 0)
        memset(cpu->pdpte, 0, sizeof(cpu->pdpte));
}

/* --- Reset ----------------------------------------------------------------------------------- */

enum { SEG_DATA = X86_SEG_P | X86_SEG_S | X86_SEG_WRITABLE | X86_SEG_ACCESSED };
enum { SEG_CODE = SEG_DATA | X86_SEG_CODE };
enum { SEG_LDT = X86_SEG_P | 2, SEG_TSS_BUSY = X86_SEG_P | 11 };

/* What RESET and INIT have in common (Intel SDM vol. 3, "Processor State After Reset"). */
static void reset_common(struct cpu *cpu)
{
    struct ringside_regs *r = &cpu->r;
    uint32_t signature[4];

    memset(r->gpr, 0, sizeof(r->gpr));
    cpu_cpuid(cpu, 1, 0, signature);
    r->gpr[RINGSIDE_RDX] = signature[0];
    r->rip = 0xfff0;
    r->rflags = X86_FLAGS_FIXED;
    cpu_set_arith_flags(cpu, 0);
    for (unsigned i = 0; i < 6; i++)
        r->seg[i] = (struct ringside_segment){.limit = 0xffff, .access = SEG_DATA};
    r->seg[RINGSIDE_CS] = (struct ringside_segment){0xffff0000, 0xffff, 0xf000, SEG_CODE};
    r->ldtr = (struct ringside_segment){.limit = 0xffff, .access = SEG_LDT};
    r->tr = (struct ringside_segment){.limit = 0xffff, .access = SEG_TSS_BUSY};
    r->gdtr = r->idtr = (struct ringside_table){.limit = 0xffff};
    r->cr0 = (r->cr0 & (X86_CR0_CD | X86_CR0_NW)) | X86_CR0_ET;
    r->cr2 = r->cr3 = r->cr4 = r->cr8 = 0;
    memset(r->dr, 0, sizeof(r->dr));
    r->dr6 = X86_DR6_FIXED;
    r->dr7 = X86_DR7_FIXED;
    r->efer = 0;
    r->shadow = RINGSIDE_SHADOW_NONE;
    r->nmi_blocked = false;
    r->pending_debug = 0;
    r->activity = cpu->model.apic_id == 0 ? RINGSIDE_RUNNING : RINGSIDE_WAIT_SIPI;

    cpu->intr = cpu->nmi = cpu->yield = false;
    cpu->debug_hits = 0;
    cpu->watch_pending = cpu->catch_pending = false;
    cpu->monitor_gpa = 0;
    cpu_pass_breakpoint(cpu, false);
    memset(cpu->pdpte, 0, sizeof(cpu->pdpte));
    cpu_update_mode(cpu);
    cpu_flush_tlb(cpu);
}

void cpu_reset(struct cpu *cpu)
{
    const uint64_t apic_base = 0xfee00000 | 1 << 11 | (cpu->model.apic_id == 0 ? 1 << 8 : 0);
    struct ringside_regs *r = &cpu->r;

    memset(r, 0, sizeof(*r));
    r->cr0 = X86_CR0_CD | X86_CR0_NW;
    r->xcr0 = 1;
    r->pat = 0x0007040600070406;
    r->misc_enable = 1; /* fast strings */
    r->apic_base = apic_base;
    memset(&cpu->fpu, 0, sizeof(cpu->fpu));
    cpu->fpu.fcw = 0x40;
    cpu->fpu.ftw = 0xff; /* FINIT would leave the registers empty, RESET leaves zeros */
    cpu->fpu.mxcsr = 0x1f80;
    cpu->tsc_offset = 0;
    cpu->rng = 0x9e3779b97f4a7c15 ^ cpu->model.apic_id;
    cpu->mtrr_def = 0;
    memset(cpu->mtrr_fixed, 0, sizeof(cpu->mtrr_fixed));
    memset(cpu->mtrr_base, 0, sizeof(cpu->mtrr_base));
    memset(cpu->mtrr_mask, 0, sizeof(cpu->mtrr_mask));
    reset_common(cpu);
}

void cpu_init_signal(struct cpu *cpu)
{
    reset_common(cpu);
}

void cpu_sipi(struct cpu *cpu, uint8_t vector)
{
    struct ringside_segment *cs = &cpu->r.seg[RINGSIDE_CS];

    if (cpu->r.activity != RINGSIDE_WAIT_SIPI)
        return;
    cs->selector = (uint16_t)(vector << 8);
    cs->base = (uint64_t)vector << 12;
    cpu->r.rip = 0;
    cpu->r.activity = RINGSIDE_RUNNING;
    cpu_pass_breakpoint(cpu, false);
    cpu_update_mode(cpu);
}

void cpu_init(struct cpu *cpu, const struct cpu_model *model, const struct cpu_bus *bus, void *ctx,
              struct cpu_code *code)
{
    memset(cpu, 0, sizeof(*cpu));
    cpu->model = *model;
    cpu->bus = bus;
    cpu->ctx = ctx;
    cpu->code = code;
    cpu_code_join(cpu);
    for (unsigned set = 0; set < CPU_TLB_SETS; set++)
        cpu->tlb_fills[set] = CPU_TLB_NOTED + 1; /* so that the first flush reaches all entries */
    cpu->jump_used = true;
    cpu_reset(cpu);
}
