/* x87 control: readiness, pending exceptions, words, environments, whole-state images. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/x87.h"

/* --- State ----------------------------------------------------------------------------------- */

void x87_set_top(struct cpu *cpu, unsigned top)
{
    struct ringside_fpu *f = &cpu->fpu;
    unsigned turn = (top - x87_top(cpu)) & 7;

    if (turn) {
        __typeof__(f->st) old;

        memcpy(old, f->st, sizeof old);
        for (unsigned i = 0; i < 8; i++)
            f->st[i] = old[(i + turn) & 7];
        f->fsw = (uint16_t)((f->fsw & ~X87_SW_TOP) | (top & 7) << X87_SW_TOP_SHIFT);
    }
}

void x87_update_summary(struct cpu *cpu)
{
    struct ringside_fpu *f = &cpu->fpu;

    f->fsw &= (uint16_t) ~(X87_SW_ES | X87_SW_B);
    if (f->fsw & X87_SW_EXCEPTIONS & ~f->fcw)
        f->fsw |= X87_SW_ES | X87_SW_B;
}

/*
 * With CR0.NE clear a pending exception asserts FERR# and the processor waits for an interrupt
 * unless IGNNE# says otherwise (Intel SDM vol. 3, "Control Registers": NE).  This machine ties
 * IGNNE# active: such an exception stays in the status word and stops nothing.
 */
int x87_pending(struct cpu *cpu)
{
    if (CPU_LIKELY(!(cpu->fpu.fsw & X87_SW_ES) || !(cpu->r.cr0 & X86_CR0_NE)))
        return CPU_NEXT;
    return cpu_fault(cpu, X86_EXC_MF);
}

int x87_ready(struct cpu *cpu, bool waits)
{
    if (CPU_UNLIKELY(cpu->r.cr0 & (X86_CR0_EM | X86_CR0_TS)))
        return cpu_fault(cpu, X86_EXC_NM);
    return waits ? x87_pending(cpu) : CPU_NEXT;
}

void x87_init(struct cpu *cpu)
{
    struct ringside_fpu *f = &cpu->fpu;

    memset(f->st, 0, sizeof f->st);
    f->fcw = X87_CW_INIT;
    f->fsw = f->ftw = f->fop = f->fcs = f->fds = 0;
    f->fip = f->fdp = 0;
}

/* --- Tags ------------------------------------------------------------------------------------ */

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

uint16_t x87_full_tags(const struct cpu *cpu)
{
    unsigned full = 0;

    for (unsigned i = 0; i < 8; i++) {
        unsigned physical = (x87_top(cpu) + i) & 7, tag = TAG_VALID;
        unsigned exponent = cpu->fpu.st[i].sign_exponent & 0x7fff;
        uint64_t significand = cpu->fpu.st[i].significand;

        if (!(cpu->fpu.ftw >> physical & 1))
            tag = TAG_EMPTY;
        else if (exponent == 0 && significand == 0)
            tag = TAG_ZERO;
        else if (exponent == 0 || exponent == 0x7fff || !(significand >> 63))
            tag = TAG_SPECIAL;
        full |= tag << 2 * physical;
    }
    return (uint16_t)full;
}

uint8_t x87_abridged_tags(uint16_t full)
{
    unsigned abridged = 0;

    for (unsigned i = 0; i < 8; i++)
        if ((full >> 2 * i & 3) != TAG_EMPTY)
            abridged |= 1u << i;
    return (uint8_t)abridged;
}

/* --- Control and status words ---------------------------------------------------------------- */

static int fninit(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    CPU_TRY(x87_ready(cpu, false));
    x87_set_top(cpu, 0); /* the registers keep their contents */
    cpu->fpu.fcw = X87_CW_INIT;
    cpu->fpu.fsw = cpu->fpu.ftw = cpu->fpu.fop = cpu->fpu.fcs = cpu->fpu.fds = 0;
    cpu->fpu.fip = cpu->fpu.fdp = 0;
    return CPU_NEXT;
}

static int fnclex(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    CPU_TRY(x87_ready(cpu, false));
    cpu->fpu.fsw &= (uint16_t) ~(X87_SW_EXCEPTIONS | X87_SW_SF | X87_SW_ES | X87_SW_B);
    return CPU_NEXT;
}

static int fnstsw(struct cpu *cpu, const struct x86_insn *insn)
{
    CPU_TRY(x87_ready(cpu, false));
    return cpu_set_operand(cpu, insn, 0, cpu->fpu.fsw);
}

static int fnstcw(struct cpu *cpu, const struct x86_insn *insn)
{
    CPU_TRY(x87_ready(cpu, false));
    return cpu_set_operand(cpu, insn, 0, cpu->fpu.fcw);
}

static void set_control_word(struct cpu *cpu, uint16_t fcw)
{
    cpu->fpu.fcw = (fcw & X87_CW_WRITABLE) | X87_CW_RESERVED;
    x87_update_summary(cpu);
}

static int fldcw(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    CPU_TRY(x87_ready(cpu, true));
    CPU_TRY(cpu_load(cpu, insn->seg, cpu_ea(cpu, insn), 2, &value));
    set_control_word(cpu, (uint16_t)value);
    return CPU_NEXT;
}

static int fwait(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    if ((cpu->r.cr0 & (X86_CR0_MP | X86_CR0_TS)) == (X86_CR0_MP | X86_CR0_TS))
        return cpu_fault(cpu, X86_EXC_NM);
    return x87_pending(cpu);
}

/* FNOP, and what was something on the 8087 and the 287 only: FNENI, FNDISI, FNSETPM. */
static int fnop(struct cpu *cpu, const struct x86_insn *insn)
{
    return x87_ready(cpu, insn->op == X86_FNOP);
}

/* --- Environments ---------------------------------------------------------------------------- */

/*
 * The environment as FNSTENV writes it (Intel SDM vol. 1, figures 8-9 to 8-12): seven fields of
 * 16 or 32 bits.  Real and virtual-8086 mode put linear addresses and the opcode where protected
 * mode puts selectors.
 */
struct environment {
    uint32_t field[7]; /* FCW, FSW, FTW, then four by mode */
};

static bool real_format(const struct cpu *cpu)
{
    return !(cpu->r.cr0 & X86_CR0_PE) || (cpu->r.rflags & X86_FLAG_VM);
}

/* Long mode has no 16-bit form without an operand-size prefix: opsize says it all. */
static unsigned field_size(const struct x86_insn *insn)
{
    return insn->opsize == 2 ? 2 : 4;
}

static void put_environment(const struct cpu *cpu, unsigned size, uint32_t field[7])
{
    const struct ringside_fpu *f = &cpu->fpu;
    uint32_t high = size == 4 ? 0xffff0000u : 0;

    field[0] = f->fcw | high;
    field[1] = f->fsw | high;
    field[2] = x87_full_tags(cpu) | high;
    if (real_format(cpu)) {
        uint32_t ip = (uint32_t)(f->fip + ((uint64_t)f->fcs << 4));
        uint32_t dp = (uint32_t)(f->fdp + ((uint64_t)f->fds << 4));

        field[3] = (ip & 0xffff) | high;
        field[4] = (ip >> 16) << 12 | f->fop;
        field[5] = (dp & 0xffff) | high;
        field[6] = (dp >> 16) << 12;
    } else {
        field[3] = (uint32_t)f->fip;
        field[4] = f->fcs | (size == 4 ? (uint32_t)f->fop << 16 : 0);
        field[5] = (uint32_t)f->fdp;
        field[6] = f->fds | high;
    }
}

static void get_environment(struct cpu *cpu, unsigned size, const uint32_t field[7])
{
    struct ringside_fpu *f = &cpu->fpu;

    f->fsw = (uint16_t)field[1];
    f->ftw = x87_abridged_tags((uint16_t)field[2]);
    f->fcs = f->fds = 0;
    if (real_format(cpu)) {
        f->fop = field[4] & 0x7ff;
        f->fip = (field[3] & 0xffff) | (field[4] >> 12) << 16;
        f->fdp = (field[5] & 0xffff) | (field[6] >> 12) << 16;
    } else {
        f->fip = field[3];
        f->fcs = (uint16_t)field[4];
        f->fdp = field[5];
        f->fds = (uint16_t)field[6];
        if (size == 4)
            f->fop = field[4] >> 16 & 0x7ff;
    }
    set_control_word(cpu, (uint16_t)field[0]);
}

static void pack_fields(uint8_t *image, unsigned size, const uint32_t field[7])
{
    for (unsigned i = 0; i < 7; i++)
        cpu_host_store(image + i * size, size, field[i]);
}

static void unpack_fields(const uint8_t *image, unsigned size, uint32_t field[7])
{
    for (unsigned i = 0; i < 7; i++)
        field[i] = (uint32_t)cpu_host_load(image + i * size, size);
}

enum { IMAGE_MAX = 7 * 4 + 8 * 10 };

static int fnstenv(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = field_size(insn);
    uint8_t image[IMAGE_MAX];
    uint32_t field[7];

    CPU_TRY(x87_ready(cpu, false));
    put_environment(cpu, size, field);
    pack_fields(image, size, field);
    CPU_TRY(cpu_store_bytes(cpu, insn->seg, cpu_ea(cpu, insn), image, 7 * size));
    cpu->fpu.fcw |= X87_CW_MASKS;
    x87_update_summary(cpu);
    return CPU_NEXT;
}

static int fldenv(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = field_size(insn);
    uint8_t image[IMAGE_MAX];
    uint32_t field[7];

    CPU_TRY(x87_ready(cpu, true));
    CPU_TRY(cpu_load_bytes(cpu, insn->seg, cpu_ea(cpu, insn), image, 7 * size));
    unpack_fields(image, size, field);
    x87_set_top(cpu, field[1] >> X87_SW_TOP_SHIFT & 7); /* physical registers keep their contents */
    get_environment(cpu, size, field);
    return CPU_NEXT;
}

static int fnsave(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = field_size(insn);
    uint8_t image[IMAGE_MAX], *st = image + 7 * size;
    uint32_t field[7];

    CPU_TRY(x87_ready(cpu, false));
    put_environment(cpu, size, field);
    pack_fields(image, size, field);
    for (unsigned i = 0; i < 8; i++, st += 10) {
        cpu_host_store(st, 8, cpu->fpu.st[i].significand);
        cpu_host_store(st + 8, 2, cpu->fpu.st[i].sign_exponent);
    }
    CPU_TRY(cpu_store_bytes(cpu, insn->seg, cpu_ea(cpu, insn), image, 7 * size + 80));
    return fninit(cpu, insn);
}

static int frstor(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = field_size(insn);
    uint8_t image[IMAGE_MAX];
    const uint8_t *st = image + 7 * size;
    uint32_t field[7];

    CPU_TRY(x87_ready(cpu, true));
    CPU_TRY(cpu_load_bytes(cpu, insn->seg, cpu_ea(cpu, insn), image, 7 * size + 80));
    unpack_fields(image, size, field);
    get_environment(cpu, size, field);
    for (unsigned i = 0; i < 8; i++, st += 10) {
        cpu->fpu.st[i].significand = cpu_host_load(st, 8);
        cpu->fpu.st[i].sign_exponent = (uint16_t)cpu_host_load(st + 8, 2);
    }
    return CPU_NEXT;
}

static cpu_handler *const handlers[X86_OP_COUNT] = {
    [X86_FNINIT] = fninit, [X86_FNCLEX] = fnclex, [X86_FNSTSW] = fnstsw,   [X86_FNSTCW] = fnstcw,
    [X86_FLDCW] = fldcw,   [X86_FWAIT] = fwait,   [X86_FNOP] = fnop,       [X86_FNENI] = fnop,
    [X86_FNDISI] = fnop,   [X86_FNSETPM] = fnop,  [X86_FNSTENV] = fnstenv, [X86_FLDENV] = fldenv,
    [X86_FNSAVE] = fnsave, [X86_FRSTOR] = frstor,
};

cpu_handler *cpu_bind_x87_control(const struct x86_insn *insn)
{
    return handlers[insn->op];
}
