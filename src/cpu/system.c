/* Control registers, TLB and cache instructions, HLT, the interrupt flag, XCR0. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/descriptor.h"

/* --- CR0 ------------------------------------------------------------------------------------- */

#define CR0_DEFINED                                                                                \
    (X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP |    \
     X86_CR0_AM | X86_CR0_NW | X86_CR0_CD | X86_CR0_PG)

static bool uses_pae_pointers(const struct cpu *cpu, uint64_t cr0, uint64_t cr4)
{
    return (cr0 & X86_CR0_PG) && (cr4 & X86_CR4_PAE) && !(cpu->r.efer & X86_EFER_LME);
}

int cpu_load_pdptes(struct cpu *cpu, uint64_t cr3)
{
    const uint64_t reserved = ~0ull << CPU_PHYS_BITS | 0x1e6;
    uint64_t pdpte[4];

    CPU_TRY(cpu_read_pdptes(cpu, cr3, pdpte));
    for (unsigned i = 0; i < 4; i++)
        if ((pdpte[i] & 1) && (pdpte[i] & reserved))
            return cpu_fault_code(cpu, X86_EXC_GP, 0);
    memcpy(cpu->pdpte, pdpte, sizeof(pdpte));
    return CPU_NEXT;
}

/* Entering and leaving long mode (Intel SDM vol. 3, "Initializing IA-32e Mode"). */
static int check_paging_switch(struct cpu *cpu, uint64_t cr0)
{
    const bool code_l = cpu->r.seg[RINGSIDE_CS].access & X86_SEG_L;
    const bool on = cr0 & X86_CR0_PG, was_on = cpu->r.cr0 & X86_CR0_PG;
    const unsigned tss = cpu->r.tr.access & X86_SEG_TYPE;

    if (on == was_on)
        return CPU_NEXT;
    if (on && (cpu->r.efer & X86_EFER_LME) &&
        (!(cpu->r.cr4 & X86_CR4_PAE) || code_l ||
         ((cpu->r.tr.access & X86_SEG_P) && tss == X86_TYPE_TSS16_BUSY)))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    if (!on && (cpu->width == X86_CODE64 || (cpu->r.cr4 & X86_CR4_PCIDE)))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    return CPU_NEXT;
}

static int write_cr0(struct cpu *cpu, uint64_t value)
{
    const uint64_t pae_bits = X86_CR0_PG | X86_CR0_CD | X86_CR0_NW;
    const uint64_t cr0 = (value & CR0_DEFINED) | X86_CR0_ET;

    if (value >> 32 || ((cr0 & X86_CR0_PG) && !(cr0 & X86_CR0_PE)) ||
        ((cr0 & X86_CR0_NW) && !(cr0 & X86_CR0_CD)))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    CPU_TRY(check_paging_switch(cpu, cr0));
    if (uses_pae_pointers(cpu, cr0, cpu->r.cr4) && ((cr0 ^ cpu->r.cr0) & pae_bits))
        CPU_TRY(cpu_load_pdptes(cpu, cpu->r.cr3));

    cpu->r.efer &= ~(uint64_t)X86_EFER_LMA;
    if ((cr0 & X86_CR0_PG) && (cpu->r.efer & X86_EFER_LME))
        cpu->r.efer |= X86_EFER_LMA;
    cpu->r.cr0 = cr0;
    cpu_update_mode(cpu);
    cpu_catch_write(cpu, RINGSIDE_CATCH_CR, 0, cr0);
    return CPU_SYNC;
}

/* --- CR3, CR4, CR8 --------------------------------------------------------------------------- */

static int write_cr3(struct cpu *cpu, uint64_t value)
{
    /* Bit 63 asks to keep this PCID's translations; they carry no PCID here and go all the same. */
    if ((cpu->r.cr4 & X86_CR4_PCIDE) && cpu->width == X86_CODE64)
        value &= ~(1ull << 63);
    if (value >> CPU_PHYS_BITS)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    if (uses_pae_pointers(cpu, cpu->r.cr0, cpu->r.cr4))
        CPU_TRY(cpu_load_pdptes(cpu, value));
    cpu->r.cr3 = value;
    cpu_flush_nonglobal(cpu);
    cpu_catch_write(cpu, RINGSIDE_CATCH_CR, 3, value);
    return CPU_SYNC;
}

/* The bits that CPUID offers: cpuid.c has the same list of features for both vendors. */
#define CR4_DEFINED                                                                                \
    (X86_CR4_TSD | X86_CR4_DE | X86_CR4_PSE | X86_CR4_PAE | X86_CR4_MCE | X86_CR4_PGE |            \
     X86_CR4_PCE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_UMIP | X86_CR4_LA57 |             \
     X86_CR4_FSGSBASE | X86_CR4_PCIDE | X86_CR4_OSXSAVE | X86_CR4_SMEP | X86_CR4_SMAP)

static int write_cr4(struct cpu *cpu, uint64_t cr4)
{
    const uint64_t pae_bits = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_PSE | X86_CR4_SMEP;
    const uint64_t changed = cr4 ^ cpu->r.cr4;

    if ((cr4 & ~(uint64_t)CR4_DEFINED) ||
        (cpu->long_mode && (changed & (X86_CR4_PAE | X86_CR4_LA57))) ||
        ((changed & cr4 & X86_CR4_PCIDE) && (!cpu->long_mode || (cpu->r.cr3 & 0xfff))))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    if (uses_pae_pointers(cpu, cpu->r.cr0, cr4) && (changed & pae_bits))
        CPU_TRY(cpu_load_pdptes(cpu, cpu->r.cr3));
    cpu->r.cr4 = cr4;
    if (changed & X86_CR4_PCIDE)
        cpu_flush_tlb(cpu);
    cpu_update_mode(cpu);
    cpu_catch_write(cpu, RINGSIDE_CATCH_CR, 4, cr4);
    return CPU_SYNC;
}

static int write_cr8(struct cpu *cpu, uint64_t value)
{
    if (value >> 4)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    cpu->r.cr8 = value;
    cpu->bus->write_cr8(cpu->ctx, cpu, value);
    return CPU_SYNC;
}

/* --- Moves ----------------------------------------------------------------------------------- */

static int write_cr(struct cpu *cpu, unsigned n, uint64_t value)
{
    switch (n) {
    case 0: return write_cr0(cpu, value);
    case 2: cpu->r.cr2 = value; return CPU_NEXT;
    case 3: return write_cr3(cpu, value);
    case 4: return write_cr4(cpu, value);
    default: return write_cr8(cpu, value);
    }
}

static uint64_t read_cr(struct cpu *cpu, unsigned n)
{
    switch (n) {
    case 0: return cpu->r.cr0;
    case 2: return cpu->r.cr2;
    case 3: return cpu->r.cr3;
    case 4: return cpu->r.cr4;
    default: return cpu->bus->read_cr8(cpu->ctx, cpu);
    }
}

static bool has_cr(const struct cpu *cpu, unsigned n)
{
    return n == 0 || (n >= 2 && n <= 4) || (n == 8 && cpu->width == X86_CODE64);
}

static int mov_cr(struct cpu *cpu, const struct x86_insn *insn)
{
    const bool to_cr = insn->operand[0].kind == X86_CR;
    const unsigned n = insn->operand[!to_cr].reg, reg = insn->operand[to_cr].reg;
    const unsigned size = cpu->width == X86_CODE64 ? 8 : 4;

    if (!has_cr(cpu, n))
        return cpu_fault(cpu, X86_EXC_UD);
    CPU_TRY(cpu_require_cpl0(cpu));
    if (to_cr)
        return write_cr(cpu, n, cpu_gpr(cpu, reg, size));
    cpu_set_gpr(cpu, reg, size, read_cr(cpu, n));
    return CPU_NEXT;
}

static int clts(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    CPU_TRY(cpu_require_cpl0(cpu));
    cpu->r.cr0 &= ~(uint64_t)X86_CR0_TS;
    cpu_update_mode(cpu);
    cpu_catch_write(cpu, RINGSIDE_CATCH_CR, 0, cpu->r.cr0);
    return CPU_SYNC;
}

/* PE, MP, EM and TS; it cannot clear PE. */
static int lmsw(struct cpu *cpu, const struct x86_insn *insn)
{
    const uint64_t bits = X86_CR0_PE | X86_CR0_MP | X86_CR0_EM | X86_CR0_TS;
    uint64_t value;

    CPU_TRY(cpu_require_cpl0(cpu));
    if (insn->operand[0].kind == X86_MEM)
        CPU_TRY(cpu_load(cpu, insn->seg, cpu_ea(cpu, insn), 2, &value));
    else
        value = cpu_gpr(cpu, insn->operand[0].reg, 2);
    return write_cr0(cpu, (cpu->r.cr0 & ~bits) | (value & bits) | (cpu->r.cr0 & X86_CR0_PE));
}

static int smsw(struct cpu *cpu, const struct x86_insn *insn)
{
    CPU_TRY(cpu_require_umip(cpu));
    if (insn->operand[0].kind == X86_MEM)
        return cpu_store(cpu, insn->seg, cpu_ea(cpu, insn), 2, cpu->r.cr0);
    cpu_set_gpr(cpu, insn->operand[0].reg, insn->opsize, cpu->r.cr0);
    return CPU_NEXT;
}

/* --- TLB and caches -------------------------------------------------------------------------- */

static int invlpg(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t linear = cpu_ea(cpu, insn);

    CPU_TRY(cpu_require_cpl0(cpu));
    if (cpu->width != X86_CODE64 || insn->seg >= RINGSIDE_FS)
        linear += cpu->r.seg[insn->seg].base;
    cpu_flush_page(cpu, cpu->width == X86_CODE64 ? linear : (uint32_t)linear);
    return CPU_SYNC;
}

enum { INVPCID_ADDRESS, INVPCID_PCID, INVPCID_ALL, INVPCID_ALL_NONGLOBAL };

/* Translations carry no PCID here, so more may go than is asked for. */
static int invpcid(struct cpu *cpu, const struct x86_insn *insn)
{
    const unsigned size = cpu->width == X86_CODE64 ? 8 : 4;
    const uint64_t type = cpu_gpr(cpu, insn->operand[0].reg, size);
    uint64_t descriptor[2];

    CPU_TRY(cpu_require_cpl0(cpu));
    CPU_TRY(cpu_load_bytes(cpu, insn->seg, cpu_ea(cpu, insn), descriptor, sizeof(descriptor)));
    if (type > INVPCID_ALL_NONGLOBAL || descriptor[0] >> 12 ||
        (type <= INVPCID_PCID && descriptor[0] && !(cpu->r.cr4 & X86_CR4_PCIDE)) ||
        (type == INVPCID_ADDRESS && !cpu_is_canonical(cpu, descriptor[1])))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    switch (type) {
    case INVPCID_ADDRESS: cpu_flush_page(cpu, descriptor[1]); break;
    case INVPCID_ALL: cpu_flush_tlb(cpu); break;
    default: cpu_flush_nonglobal(cpu);
    }
    return CPU_SYNC;
}

/* INVD and WBINVD: memory has no cache in front of it. */
static int invalidate_caches(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    return cpu_require_cpl0(cpu);
}

/* --- Interrupts ------------------------------------------------------------------------------ */

static int hlt(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    CPU_TRY(cpu_require_cpl0(cpu));
    cpu->r.activity = RINGSIDE_HALTED;
    cpu_caught(cpu, &(struct ringside_caught){.kind = RINGSIDE_CATCH_HALT});
    return CPU_SYNC;
}

static int require_iopl(struct cpu *cpu)
{
    if (cpu_is_real_mode(cpu) || cpu->cpl <= (cpu->r.rflags & X86_FLAG_IOPL) >> 12)
        return CPU_NEXT;
    return cpu_fault_code(cpu, X86_EXC_GP, 0);
}

static int cli(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    CPU_TRY(require_iopl(cpu));
    cpu->r.rflags &= ~(uint64_t)X86_FLAG_IF;
    return CPU_NEXT;
}

static int sti(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    CPU_TRY(require_iopl(cpu));
    if (cpu->r.rflags & X86_FLAG_IF)
        return CPU_NEXT;
    cpu->r.rflags |= X86_FLAG_IF;
    cpu->r.shadow = RINGSIDE_SHADOW_STI;
    return CPU_SYNC;
}

/* CLAC and STAC */
static int set_ac(struct cpu *cpu, const struct x86_insn *insn)
{
    if (cpu->cpl)
        return cpu_fault(cpu, X86_EXC_UD);
    if (insn->op == X86_STAC)
        cpu->r.rflags |= X86_FLAG_AC;
    else
        cpu->r.rflags &= ~(uint64_t)X86_FLAG_AC;
    cpu_update_mode(cpu);
    return CPU_NEXT;
}

/* --- XCR0 ------------------------------------------------------------------------------------ */

enum { XCR0_X87 = 1 << 0, XCR0_SSE = 1 << 1 };

static int xgetbv(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    if (!(cpu->r.cr4 & X86_CR4_OSXSAVE))
        return cpu_fault(cpu, X86_EXC_UD);
    if (cpu_gpr(cpu, RINGSIDE_RCX, 4))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    cpu_set_gpr(cpu, RINGSIDE_RAX, 4, cpu->r.xcr0);
    cpu_set_gpr(cpu, RINGSIDE_RDX, 4, cpu->r.xcr0 >> 32);
    return CPU_NEXT;
}

static int xsetbv(struct cpu *cpu, const struct x86_insn *insn)
{
    const uint64_t value = cpu_gpr(cpu, RINGSIDE_RAX, 4) | cpu_gpr(cpu, RINGSIDE_RDX, 4) << 32;

    (void)insn;
    if (!(cpu->r.cr4 & X86_CR4_OSXSAVE))
        return cpu_fault(cpu, X86_EXC_UD);
    CPU_TRY(cpu_require_cpl0(cpu));
    if (cpu_gpr(cpu, RINGSIDE_RCX, 4) || !(value & XCR0_X87) ||
        (value & ~(uint64_t)(XCR0_X87 | XCR0_SSE)))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    cpu->r.xcr0 = value;
    return CPU_SYNC;
}

/* MONITOR and MWAIT are not offered by CPUID and raise #UD. */
cpu_handler *cpu_bind_system(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_MOV_CR: return mov_cr;
    case X86_CLTS: return clts;
    case X86_LMSW: return lmsw;
    case X86_SMSW: return smsw;
    case X86_INVLPG: return invlpg;
    case X86_INVPCID: return invpcid;
    case X86_INVD:
    case X86_WBINVD: return invalidate_caches;
    case X86_HLT: return hlt;
    case X86_CLI: return cli;
    case X86_STI: return sti;
    case X86_CLAC:
    case X86_STAC: return set_ac;
    case X86_XGETBV: return xgetbv;
    case X86_XSETBV: return xsetbv;
    default: return NULL;
    }
}
