/* State images: FXSAVE, the XSAVE family, and MXCSR. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/sse.h"

/*
 * The FXSAVE image (Intel SDM vol. 1, table 10-2), which is also the legacy region of XSAVE.
 * With REX.W fip and fdp are 64 bits wide, else 32 bits with a selector above.
 */
struct fx_image {
    uint16_t fcw, fsw;
    uint8_t ftw, reserved_5;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    struct {
        uint64_t significand;
        uint16_t sign_exponent, reserved[3];
    } st[8];
    uint64_t xmm[16][2];
    uint8_t available[96];
};
_Static_assert(sizeof(struct fx_image) == 512, "FXSAVE image");
_Static_assert(offsetof(struct fx_image, mxcsr) == 24, "MXCSR");
_Static_assert(offsetof(struct fx_image, st) == 32, "ST(0)");
_Static_assert(offsetof(struct fx_image, xmm) == 160, "XMM0");

/* The XSAVE header (Intel SDM vol. 1, 13.4.2). */
struct xsave_header {
    uint64_t xstate_bv, xcomp_bv, reserved[6];
};
struct xsave_image {
    struct fx_image legacy;
    struct xsave_header header;
};
_Static_assert(sizeof(struct xsave_image) == 576, "XSAVE image without extended components");

enum { STATE_X87 = 1 << 0, STATE_SSE = 1 << 1, STATE_AVX = 1 << 2 };
#define XCOMP_COMPACT (1ull << 63)

enum { MXCSR_INIT = 0x1f80, MXCSR_MASK = 0xffff };

/* --- Components ------------------------------------------------------------------------------ */

static unsigned xmm_count(const struct cpu *cpu)
{
    return cpu->width == X86_CODE64 ? 16 : 8;
}

static void put_x87(const struct cpu *cpu, struct fx_image *image, bool wide)
{
    const struct ringside_fpu *f = &cpu->fpu;

    image->fcw = f->fcw;
    image->fsw = f->fsw;
    image->ftw = f->ftw;
    image->reserved_5 = 0;
    image->fop = f->fop;
    image->fip = wide ? f->fip : (uint32_t)f->fip | (uint64_t)f->fcs << 32;
    image->fdp = wide ? f->fdp : (uint32_t)f->fdp | (uint64_t)f->fds << 32;
    for (unsigned i = 0; i < 8; i++) {
        memset(&image->st[i], 0, sizeof image->st[i]);
        image->st[i].significand = f->st[i].significand;
        image->st[i].sign_exponent = f->st[i].sign_exponent;
    }
}

static void get_x87(struct cpu *cpu, const struct fx_image *image, bool wide)
{
    struct ringside_fpu *f = &cpu->fpu;

    f->fcw = (image->fcw & X87_CW_WRITABLE) | X87_CW_RESERVED;
    f->fsw = image->fsw;
    f->ftw = image->ftw;
    f->fop = image->fop & 0x7ff;
    f->fip = wide ? image->fip : (uint32_t)image->fip;
    f->fdp = wide ? image->fdp : (uint32_t)image->fdp;
    f->fcs = wide ? 0 : (uint16_t)(image->fip >> 32);
    f->fds = wide ? 0 : (uint16_t)(image->fdp >> 32);
    for (unsigned i = 0; i < 8; i++) {
        f->st[i].significand = image->st[i].significand;
        f->st[i].sign_exponent = image->st[i].sign_exponent;
    }
    x87_update_summary(cpu);
}

static void put_xmm(const struct cpu *cpu, struct fx_image *image)
{
    for (unsigned i = 0; i < xmm_count(cpu); i++)
        memcpy(image->xmm[i], cpu->fpu.vector[i], 16);
}

static void get_xmm(struct cpu *cpu, const struct fx_image *image)
{
    for (unsigned i = 0; i < xmm_count(cpu); i++)
        memcpy(cpu->fpu.vector[i], image->xmm[i], 16);
}

/* The components that are not in their initial configuration (Intel SDM vol. 1, 13.6). */
static uint64_t in_use(const struct cpu *cpu)
{
    const struct ringside_fpu *f = &cpu->fpu;
    uint64_t x87 = (uint64_t)(f->fcw ^ X87_CW_INIT) | f->fsw | f->ftw | f->fop | f->fip | f->fdp |
                   f->fcs | f->fds;
    uint64_t sse = 0;

    for (unsigned i = 0; i < 8; i++)
        x87 |= f->st[i].significand | f->st[i].sign_exponent;
    for (unsigned i = 0; i < xmm_count(cpu); i++)
        sse |= f->vector[i][0] | f->vector[i][1];
    return (x87 ? STATE_X87 : 0) | (sse ? STATE_SSE : 0);
}

/* --- The area in memory ---------------------------------------------------------------------- */

static int area(struct cpu *cpu, const struct x86_insn *insn, unsigned size, unsigned access,
                uint64_t *linear)
{
    CPU_TRY(cpu_linear(cpu, insn->seg, cpu_ea(cpu, insn), size, access, linear));
    if (*linear & (size == sizeof(struct fx_image) ? 15 : 63))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    return CPU_NEXT;
}

static bool wide_image(const struct x86_insn *insn)
{
    return insn->prefixes & X86_PREFIX_REX_W;
}

/* --- FXSAVE, FXRSTOR -------------------------------------------------------------------------- */

static int fx_ready(struct cpu *cpu)
{
    return cpu->r.cr0 & (X86_CR0_EM | X86_CR0_TS) ? cpu_fault(cpu, X86_EXC_NM) : CPU_NEXT;
}

/* What is reserved in the image stays as it was in memory, and so do XMM8-15 outside long mode. */
static int fxsave(struct cpu *cpu, const struct x86_insn *insn)
{
    struct fx_image image;
    uint64_t linear;

    CPU_TRY(fx_ready(cpu));
    CPU_TRY(area(cpu, insn, sizeof image, CPU_WRITE, &linear));
    put_x87(cpu, &image, wide_image(insn));
    image.mxcsr = cpu->fpu.mxcsr;
    image.mxcsr_mask = MXCSR_MASK;
    put_xmm(cpu, &image);
    return cpu_write_linear(cpu, linear, &image,
                            (unsigned)offsetof(struct fx_image, xmm) + 16 * xmm_count(cpu),
                            CPU_WRITE);
}

static int fxrstor(struct cpu *cpu, const struct x86_insn *insn)
{
    struct fx_image image;
    uint64_t linear;

    CPU_TRY(fx_ready(cpu));
    CPU_TRY(area(cpu, insn, sizeof image, CPU_READ, &linear));
    CPU_TRY(cpu_read_linear(cpu, linear, &image, sizeof image, CPU_READ));
    if (image.mxcsr & ~(uint32_t)MXCSR_MASK)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    get_x87(cpu, &image, wide_image(insn));
    cpu->fpu.mxcsr = image.mxcsr;
    get_xmm(cpu, &image);
    return CPU_NEXT;
}

/* --- XSAVE ----------------------------------------------------------------------------------- */

static int xsave_ready(struct cpu *cpu, bool supervisor)
{
    if (!(cpu->r.cr4 & X86_CR4_OSXSAVE))
        return cpu_fault(cpu, X86_EXC_UD);
    if (cpu->r.cr0 & X86_CR0_TS)
        return cpu_fault(cpu, X86_EXC_NM);
    if (supervisor && cpu->cpl)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    return CPU_NEXT;
}

/* EDX:EAX, restricted to what is enabled.  No supervisor state exists: IA32_XSS is 0. */
static uint64_t requested(const struct cpu *cpu)
{
    return ((uint32_t)cpu->r.gpr[RINGSIDE_RAX] | cpu->r.gpr[RINGSIDE_RDX] << 32) & cpu->r.xcr0;
}

enum save_way { SAVE_ALL, SAVE_USED, SAVE_COMPACT };

/*
 * The ways differ in what they write (Intel SDM vol. 1, 13.7 to 13.11): XSAVE all that is asked
 * for, the others only what is in use; XSAVEC and XSAVES the compacted form, whose header they
 * write whole.  XSAVEOPT's "modified" optimization is not taken: it is never owed.
 */
static int save(struct cpu *cpu, const struct x86_insn *insn, enum save_way way)
{
    uint64_t mask = requested(cpu), used = in_use(cpu) & mask, written = used;
    struct xsave_image image;
    uint64_t linear;

    CPU_TRY(area(cpu, insn, sizeof image, CPU_WRITE, &linear));
    CPU_TRY(cpu_read_linear(cpu, linear, &image, sizeof image, CPU_READ | CPU_WRITE));
    if (way == SAVE_COMPACT) {
        if ((mask & STATE_SSE) && cpu->fpu.mxcsr != MXCSR_INIT)
            written = used |= STATE_SSE;
        memset(&image.header, 0, sizeof image.header);
        image.header.xstate_bv = used;
        image.header.xcomp_bv = mask | XCOMP_COMPACT;
    } else {
        if (way == SAVE_ALL)
            written = mask;
        image.header.xstate_bv = (image.header.xstate_bv & ~mask) | used;
    }
    if (written & STATE_X87)
        put_x87(cpu, &image.legacy, wide_image(insn));
    if (way == SAVE_COMPACT ? written & STATE_SSE : mask & (STATE_SSE | STATE_AVX)) {
        image.legacy.mxcsr = cpu->fpu.mxcsr;
        image.legacy.mxcsr_mask = MXCSR_MASK;
    }
    if (written & STATE_SSE)
        put_xmm(cpu, &image.legacy);
    return cpu_write_linear(cpu, linear, &image, sizeof image, CPU_WRITE);
}

static int xsave(struct cpu *cpu, const struct x86_insn *insn)
{
    CPU_TRY(xsave_ready(cpu, false));
    return save(cpu, insn, SAVE_ALL);
}

static int xsaveopt(struct cpu *cpu, const struct x86_insn *insn)
{
    CPU_TRY(xsave_ready(cpu, false));
    return save(cpu, insn, SAVE_USED);
}

static int xsavec(struct cpu *cpu, const struct x86_insn *insn)
{
    CPU_TRY(xsave_ready(cpu, false));
    return save(cpu, insn, SAVE_COMPACT);
}

static int xsaves(struct cpu *cpu, const struct x86_insn *insn)
{
    CPU_TRY(xsave_ready(cpu, true));
    return save(cpu, insn, SAVE_COMPACT);
}

/* Is the header one that this CPU can restore from (Intel SDM vol. 1, 13.8 and 13.12)? */
static bool header_valid(const struct cpu *cpu, const struct xsave_header *header,
                         bool only_compact)
{
    uint64_t reserved = 0;

    for (unsigned i = 0; i < 6; i++)
        reserved |= header->reserved[i];
    if (header->xcomp_bv & XCOMP_COMPACT)
        return !reserved && !(header->xcomp_bv & ~XCOMP_COMPACT & ~cpu->r.xcr0) &&
               !(header->xstate_bv & ~header->xcomp_bv);
    return !only_compact && !header->xcomp_bv && !header->reserved[0] &&
           !(header->xstate_bv & ~cpu->r.xcr0);
}

static int restore(struct cpu *cpu, const struct x86_insn *insn, bool only_compact)
{
    uint64_t mask = requested(cpu), present;
    struct xsave_image image;
    bool compact, load_mxcsr;
    uint64_t linear;

    CPU_TRY(area(cpu, insn, sizeof image, CPU_READ, &linear));
    CPU_TRY(cpu_read_linear(cpu, linear, &image, sizeof image, CPU_READ));
    if (!header_valid(cpu, &image.header, only_compact))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    compact = image.header.xcomp_bv & XCOMP_COMPACT;
    present = image.header.xstate_bv & mask;
    load_mxcsr = compact ? present & STATE_SSE : mask & (STATE_SSE | STATE_AVX);
    if (load_mxcsr && (image.legacy.mxcsr & ~(uint32_t)MXCSR_MASK))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);

    if (present & STATE_X87)
        get_x87(cpu, &image.legacy, wide_image(insn));
    else if (mask & STATE_X87)
        x87_init(cpu);
    if (load_mxcsr)
        cpu->fpu.mxcsr = image.legacy.mxcsr;
    else if (mask & STATE_SSE)
        cpu->fpu.mxcsr = MXCSR_INIT;
    if ((mask & STATE_SSE) && !(present & STATE_SSE))
        memset(image.legacy.xmm, 0, sizeof image.legacy.xmm);
    if (mask & STATE_SSE)
        get_xmm(cpu, &image.legacy);
    return CPU_NEXT;
}

static int xrstor(struct cpu *cpu, const struct x86_insn *insn)
{
    CPU_TRY(xsave_ready(cpu, false));
    return restore(cpu, insn, false);
}

static int xrstors(struct cpu *cpu, const struct x86_insn *insn)
{
    CPU_TRY(xsave_ready(cpu, true));
    return restore(cpu, insn, true);
}

/* --- MXCSR ----------------------------------------------------------------------------------- */

static int ldmxcsr(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t value;

    CPU_TRY(cpu_sse_ready(cpu));
    CPU_TRY(cpu_load(cpu, insn->seg, cpu_ea(cpu, insn), 4, &value));
    if (value & ~(uint64_t)MXCSR_MASK)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    cpu->fpu.mxcsr = (uint32_t)value;
    return CPU_NEXT;
}

static int stmxcsr(struct cpu *cpu, const struct x86_insn *insn)
{
    CPU_TRY(cpu_sse_ready(cpu));
    return cpu_store(cpu, insn->seg, cpu_ea(cpu, insn), 4, cpu->fpu.mxcsr);
}

static int emms(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    if (cpu->r.cr0 & X86_CR0_EM)
        return cpu_fault(cpu, X86_EXC_UD);
    CPU_TRY(x87_ready(cpu, true));
    x87_set_top(cpu, 0); /* as after every MMX instruction */
    cpu->fpu.ftw = 0;
    return CPU_NEXT;
}

static cpu_handler *const handlers[X86_OP_COUNT] = {
    [X86_FXSAVE] = fxsave,   [X86_FXRSTOR] = fxrstor,   [X86_XSAVE] = xsave,
    [X86_XSAVEC] = xsavec,   [X86_XSAVEOPT] = xsaveopt, [X86_XSAVES] = xsaves,
    [X86_XRSTOR] = xrstor,   [X86_XRSTORS] = xrstors,   [X86_LDMXCSR] = ldmxcsr,
    [X86_STMXCSR] = stmxcsr, [X86_EMMS] = emms,
};

cpu_handler *cpu_bind_state_image(const struct x86_insn *insn)
{
    return handlers[insn->op];
}
