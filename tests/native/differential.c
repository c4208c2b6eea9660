/* The software CPU against the host's processor, by family of instructions. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "native.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ringside/regs.h"
#include "x86/regs.h"

enum { BATCH = 256, EXAMPLES = 2, SKIPPED = 77, C1 = 1 << 9, CONDITIONS = 0x4500 };

/* A run of operations in x86/ops.h. */
static const struct family {
    const char *name;
    enum x86_op first, last;
} families[] = {
    {"alu", X86_ADD, X86_ADOX},
    {"muldiv", X86_MUL, X86_CWD},
    {"shift", X86_ROL, X86_CRC32},
    {"move", X86_MOV, X86_SALC},
    {"string", X86_MOVS, X86_SCAS},
    {"branch", X86_JMP, X86_ENDBR},
    {"x87", X86_FLD, X86_FWAIT},
    {"sse-move", X86_MOVAPS, X86_MOVNTSD},
    {"sse-float", X86_ADDPS, X86_ROUNDSD},
    {"sse-convert", X86_CVTPI2PS, X86_EXTRACTPS},
    {"packed", X86_PADDB, X86_INSERTQ},
    {"crypto", X86_AESENC, X86_SHA256MSG2},
    {"state", X86_LDMXCSR, X86_EMMS},
};

static const struct exclusion {
    enum x86_op op;
    const char *reason;
} exclusions[] = {
    {X86_POPF, "could set TF"},
    {X86_PUSHF, "the kernel's IF and ID show"},
    {X86_RCPPS, "an approximation of the processor's choice"},
    {X86_RCPSS, "an approximation of the processor's choice"},
    {X86_RSQRTPS, "an approximation of the processor's choice"},
    {X86_RSQRTSS, "an approximation of the processor's choice"},
    {X86_MOVNTSS, "SSE4A is not in the processors we model"},
    {X86_MOVNTSD, "SSE4A is not in the processors we model"},
    {X86_EXTRQ, "SSE4A is not in the processors we model"},
    {X86_INSERTQ, "SSE4A is not in the processors we model"},
    {X86_FNSTENV, "stores the last instruction's address, which AMD keeps only after exceptions"},
    {X86_FNSAVE, "as FNSTENV"},
    {X86_FLDENV, "would need an environment"},
    {X86_FRSTOR, "would need an environment"},
};

static const char *excluded(enum x86_op op)
{
    for (size_t i = 0; i < sizeof exclusions / sizeof exclusions[0]; i++)
        if (exclusions[i].op == op)
            return exclusions[i].reason;
    return NULL;
}

/* --- What the architecture leaves undefined -------------------------------------------------- */

static uint64_t undefined_shift_flags(const struct native_case *c)
{
    const struct x86_insn *insn = &c->insn;
    unsigned bits = insn->operand[0].size * 8;
    unsigned last = insn->count - 1u;
    uint64_t count = insn->operand[last].kind == X86_IMM ? insn->imm : c->in.gpr[RINGSIDE_RCX];
    uint64_t flags = 0;

    count &= bits == 64 ? 63 : 31;
    if (count == 0)
        return 0;
    if (count != 1)
        flags |= X86_FLAG_OF;
    switch ((enum x86_op)insn->op) {
    case X86_SHL:
    case X86_SHR: flags |= count >= bits ? X86_FLAG_CF : 0; /* fall through */
    case X86_SAR: return flags | X86_FLAG_AF;
    case X86_SHLD:
    case X86_SHRD: return count > bits ? X86_FLAGS_ARITH : flags | X86_FLAG_AF;
    default: return flags;
    }
}

/* Arithmetic flags without a defined value afterwards (SDM vol. 1, appendix A). */
static uint64_t undefined_flags(const struct native_case *c)
{
    const uint64_t sf_zf_af_pf = X86_FLAG_SF | X86_FLAG_ZF | X86_FLAG_AF | X86_FLAG_PF;

    switch ((enum x86_op)c->insn.op) {
    case X86_AND:
    case X86_OR:
    case X86_XOR:
    case X86_TEST: return X86_FLAG_AF;
    case X86_MUL:
    case X86_IMUL: return sf_zf_af_pf;
    case X86_DIV:
    case X86_IDIV: return X86_FLAGS_ARITH;
    case X86_BT:
    case X86_BTS:
    case X86_BTR:
    case X86_BTC: return X86_FLAG_OF | X86_FLAG_SF | X86_FLAG_AF | X86_FLAG_PF;
    case X86_BSF:
    case X86_BSR: return X86_FLAGS_ARITH & ~X86_FLAG_ZF;
    case X86_TZCNT:
    case X86_LZCNT: return X86_FLAG_OF | X86_FLAG_SF | X86_FLAG_AF | X86_FLAG_PF;
    case X86_ROL:
    case X86_ROR:
    case X86_RCL:
    case X86_RCR:
    case X86_SHL:
    case X86_SHR:
    case X86_SAR:
    case X86_SHLD:
    case X86_SHRD: return undefined_shift_flags(c);
    default: return 0;
    }
}

/* Results without a defined value: such cases are not compared. */
static bool undefined_result(const struct native_case *c)
{
    const struct x86_insn *insn = &c->insn;
    uint64_t count =
        insn->operand[insn->count - 1].kind == X86_IMM ? insn->imm : c->in.gpr[RINGSIDE_RCX];

    switch ((enum x86_op)insn->op) {
    case X86_SHLD:
    case X86_SHRD: return insn->operand[0].size == 2 && (count & 31) > 16;
    case X86_BSWAP: return insn->opsize == 2;
    default: return false;
    }
}

/* Where processors differ from each other. */
static bool vendors_differ(const struct native_case *c)
{
    const struct x86_insn *insn = &c->insn;
    bool memory = insn->count > 1 && insn->operand[1].kind == X86_MEM;

    /* Intel wants memory operands of SHA aligned, AMD does not. */
    if (insn->op >= X86_SHA1RNDS4 && insn->op <= X86_SHA256MSG2 && memory)
        return c->soft.vector == X86_EXC_GP;
    /* MOVSXD to 16 bits reads 16 bits, or 32 of which it takes 16: the end of a page shows it. */
    if (insn->op == X86_MOVSXD && insn->operand[0].size == 2 && memory)
        return true;
    /* Intel says that this one enters MMX mode even without an MMX register. */
    return insn->op == X86_CVTPI2PS && memory;
}

/* Transcendental x87 instructions are good to one unit in the last place (SDM vol. 1, 8.3.10). */
static bool is_transcendental(enum x86_op op)
{
    switch (op) {
    case X86_F2XM1:
    case X86_FYL2X:
    case X86_FYL2XP1:
    case X86_FPTAN:
    case X86_FPATAN:
    case X86_FSIN:
    case X86_FCOS:
    case X86_FSINCOS: return true;
    default: return false;
    }
}

/* Sign, exponent and fraction as a number in units of the last place, modulo 2^64. */
static uint64_t last_places(const struct native_fx *fx, int i)
{
    return ((uint64_t)fx->st[i].sign_exponent << 63) + (fx->st[i].significand & ~(1ull << 63));
}

static bool same_x87(const struct native_case *c, int i)
{
    const struct native_fx *a = &c->host.fx, *b = &c->soft.fx;
    int exponents = a->st[i].sign_exponent - b->st[i].sign_exponent;

    if (is_transcendental((enum x86_op)c->insn.op) && abs(exponents) <= 1)
        return last_places(a, i) - last_places(b, i) + 1 <= 2;
    return exponents == 0 && a->st[i].significand == b->st[i].significand;
}

/*
 * Does this leave the x87 registers in doubt?  An SSE exception of an instruction with an MMX
 * operand comes before or after the change to MMX mode.
 */
static bool x87_is_open(const struct native_case *c)
{
    return c->host.vector == X86_EXC_XM &&
           (c->insn.operand[0].kind == X86_MMX || c->insn.operand[1].kind == X86_MMX);
}

/* Condition codes of the x87 status word without a defined value. */
static uint16_t undefined_conditions(const struct native_case *c)
{
    switch ((enum x86_op)c->insn.op) {
    case X86_FCOM:
    case X86_FCOMP:
    case X86_FCOMPP:
    case X86_FICOM:
    case X86_FICOMP:
    case X86_FUCOM:
    case X86_FUCOMP:
    case X86_FUCOMPP:
    case X86_FTST:
    case X86_FXAM:
    case X86_FPREM:
    case X86_FPREM1: return 0;
    case X86_FNCLEX:
    case X86_FLDCW:
    case X86_FNSTCW:
    case X86_FNSTSW: return CONDITIONS | C1;
    default: return CONDITIONS | (is_transcendental((enum x86_op)c->insn.op) ? C1 : 0);
    }
}

/* --- Comparing ------------------------------------------------------------------------------- */

struct tally {
    uint64_t cases, failed;
    uint64_t cases_op[X86_OP_COUNT], failed_op[X86_OP_COUNT];
    uint64_t missing_op[X86_OP_COUNT]; /* #UD on the host alone */
};

/* Writes into text what differs, one line each; false if nothing does. */
static bool differ(const struct native_case *c, char *text, size_t size)
{
    const struct native_state *a = &c->host, *b = &c->soft;
    uint64_t flags = (X86_FLAGS_ARITH | X86_FLAG_DF) & ~undefined_flags(c);
    uint16_t fsw = (uint16_t)~undefined_conditions(c);
    size_t n = 0;

#define LINE(...)                                                                                  \
    do {                                                                                           \
        int written = snprintf(text + n, size - n, __VA_ARGS__);                                   \
        n += written < 0 || (size_t)written >= size - n ? 0 : (size_t)written;                     \
    } while (0)

    text[0] = 0;
    if (a->vector != b->vector)
        LINE("    exception: host %d, here %d (255: none)\n", a->vector, b->vector);
    else if (a->error != b->error &&
             (a->vector == X86_EXC_GP || a->vector == X86_EXC_SS ||
              /* a stray address may meet a page of the host's kernel: present, and not for us */
              (a->vector == X86_EXC_PF && (a->error ^ b->error) != X86_PF_P)))
        LINE("    error code: host %x, here %x\n", a->error, b->error);
    if (a->vector == X86_EXC_PF && b->vector == X86_EXC_PF && a->cr2 != b->cr2)
        LINE("    cr2: host %" PRIx64 ", here %" PRIx64 "\n", a->cr2, b->cr2);
    for (int i = 0; i < 16; i++)
        if (a->gpr[i] != b->gpr[i])
            LINE("    gpr %d: in %016" PRIx64 ", host %016" PRIx64 ", here %016" PRIx64 "\n", i,
                 c->in.gpr[i], a->gpr[i], b->gpr[i]);
    if (a->rip != b->rip)
        LINE("    rip: host %" PRIx64 ", here %" PRIx64 "\n", a->rip, b->rip);
    if ((a->rflags ^ b->rflags) & flags)
        LINE("    rflags: in %" PRIx64 ", host %" PRIx64 ", here %" PRIx64 ", different %" PRIx64
             "\n",
             c->in.rflags & flags, a->rflags & flags, b->rflags & flags,
             (a->rflags ^ b->rflags) & flags);
    for (int i = 0; i < 16; i++)
        if (memcmp(a->fx.xmm[i], b->fx.xmm[i], 16) != 0)
            LINE("    xmm %d: in %016" PRIx64 ":%016" PRIx64 ", host %016" PRIx64 ":%016" PRIx64
                 ", here %016" PRIx64 ":%016" PRIx64 "\n",
                 i, c->in.fx.xmm[i][1], c->in.fx.xmm[i][0], a->fx.xmm[i][1], a->fx.xmm[i][0],
                 b->fx.xmm[i][1], b->fx.xmm[i][0]);
    for (int i = 0; i < 8; i++)
        if (!same_x87(c, i) && !x87_is_open(c))
            LINE("    st %d: in %04x:%016" PRIx64 ", host %04x:%016" PRIx64
                 ", here %04x:%016" PRIx64 "\n",
                 i, c->in.fx.st[i].sign_exponent, c->in.fx.st[i].significand,
                 a->fx.st[i].sign_exponent, a->fx.st[i].significand, b->fx.st[i].sign_exponent,
                 b->fx.st[i].significand);
    if (a->fx.mxcsr != b->fx.mxcsr)
        LINE("    mxcsr: in %x, host %x, here %x\n", c->in.fx.mxcsr, a->fx.mxcsr, b->fx.mxcsr);
    if (a->fx.fcw != b->fx.fcw)
        LINE("    fcw: in %x, host %x, here %x\n", c->in.fx.fcw, a->fx.fcw, b->fx.fcw);
    if (((a->fx.fsw ^ b->fx.fsw) & fsw) && !x87_is_open(c))
        LINE("    fsw: in %x, fcw %x, host %x, here %x\n", c->in.fx.fsw, c->in.fx.fcw, a->fx.fsw,
             b->fx.fsw);
    if (a->fx.ftw != b->fx.ftw && !x87_is_open(c))
        LINE("    ftw: in %x, host %x, here %x\n", c->in.fx.ftw, a->fx.ftw, b->fx.ftw);
    for (int i = 0; i < NATIVE_PAGE; i++)
        if (a->data[i] != b->data[i]) {
            LINE("    memory at %x: in %02x, host %02x, here %02x\n", i, c->in.data[i], a->data[i],
                 b->data[i]);
            break;
        }
#undef LINE
    return n > 0;
}

static void show(const struct native_case *c, const char *what)
{
    const struct x86_insn *insn = &c->insn;

    printf("%s:", x86_op_name((enum x86_op)insn->op));
    for (int i = 0; i < insn->length; i++)
        printf(" %02x", c->bytes[i]);
    printf("\n%s", what);
    for (int i = 0; i < insn->count; i++) {
        const struct x86_operand *o = &insn->operand[i];

        if (o->kind == X86_GPR)
            printf("    in: gpr %d %016" PRIx64 "\n", o->reg, c->in.gpr[o->reg]);
        if (o->kind == X86_XMM)
            printf("    in: xmm %d %016" PRIx64 ":%016" PRIx64 "\n", o->reg,
                   c->in.fx.xmm[o->reg][1], c->in.fx.xmm[o->reg][0]);
        if (o->kind == X86_ST || o->kind == X86_MMX)
            printf("    in: st %d %04x:%016" PRIx64 "\n", o->reg, c->in.fx.st[o->reg].sign_exponent,
                   c->in.fx.st[o->reg].significand);
        if (o->kind == X86_MEM && insn->base < 16 && insn->index == X86_NO_REG) {
            uint64_t at = c->in.gpr[insn->base] + (uint64_t)insn->disp - NATIVE_DATA;

            printf("    in: memory at %" PRIx64 ":", at);
            for (int k = 0; k < 16 && at < NATIVE_PAGE - 16; k++)
                printf(" %02x", c->in.data[at + (unsigned)k]);
            printf("\n");
        }
    }
}

static void judge(struct tally *t, const struct native_case *c, const char *problem)
{
    char text[8192];

    if (undefined_result(c) || vendors_differ(c))
        return;
    t->cases++;
    t->cases_op[c->insn.op]++;
    if (problem)
        snprintf(text, sizeof(text), "    here: %s\n", problem);
    else if (c->host.vector == X86_EXC_UD && c->soft.vector != X86_EXC_UD) {
        t->missing_op[c->insn.op]++;
        return;
    } else if (!differ(c, text, sizeof(text)))
        return;
    t->failed++;
    if (t->failed_op[c->insn.op]++ < EXAMPLES)
        show(c, text);
}

/* --- Running --------------------------------------------------------------------------------- */

static bool host_is_amd(void)
{
#ifdef __x86_64__
    uint32_t a = 0, b, c, d;

    __asm__("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return b == 0x68747541; /* "Auth" */
#else
    return false;
#endif
}

static void summarize(const struct family *f, struct tally *t, uint64_t seed)
{
    for (int i = f->first; i <= (int)f->last; i++) {
        const char *name = x86_op_name((enum x86_op)i), *reason = excluded((enum x86_op)i);

        if (reason)
            printf("%s: skipped: %s\n", name, reason);
        if (t->missing_op[i] && t->missing_op[i] == t->cases_op[i]) {
            printf("%s: skipped: the host does not have it\n", name);
        } else if (t->missing_op[i]) {
            printf("%s: undefined opcode on the host in %" PRIu64 " cases\n", name,
                   t->missing_op[i]);
            t->failed += t->missing_op[i];
        }
        if (t->failed_op[i])
            printf("%s: %" PRIu64 " different\n", name, t->failed_op[i]);
    }
    printf("%s: seed %" PRIu64 ": %" PRIu64 " cases, %" PRIu64 " different\n", f->name, seed,
           t->cases, t->failed);
}

static int run_family(const struct family *f, uint64_t count, uint64_t seed)
{
    static struct tally t;
    struct native_case *cases = native_alloc(BATCH);
    struct generator *g = generator_new(seed);
    struct soft *soft = soft_new(host_is_amd());
    enum x86_op op = f->first;
    int status = 0;

    if (!cases || !g || !soft)
        return 2;
    while (t.cases < count && !status) {
        const char *reason;
        int made = 0, ran;

        while (made < BATCH) {
            if (!excluded(op) && generator_make(g, op, &cases[made]))
                made++;
            op = op == f->last ? f->first : (enum x86_op)(op + 1);
        }
        ran = native_run(cases, made, &reason);
        if (ran < 0) {
            printf("%s: skipped: %s\n", f->name, reason);
            status = SKIPPED;
            break;
        }
        if (ran < made) {
            show(&cases[ran], "    the host's process died\n");
            status = 1;
        }
        for (int i = 0; i < ran; i++)
            judge(&t, &cases[i], soft_run(soft, &cases[i]));
    }
    if (status != SKIPPED)
        summarize(f, &t, seed);
    soft_free(soft);
    generator_free(g);
    return status ? status : t.failed ? 1 : 0;
}

/* differential FAMILY [cases [seed]] */
int main(int argc, char **argv)
{
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 0) : 20000;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 0) : (uint64_t)time(NULL);

    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++)
        if (argc > 1 && strcmp(argv[1], families[i].name) == 0)
            return run_family(&families[i], count, seed);
    fprintf(stderr, "usage: %s FAMILY [CASES [SEED]]\n", argv[0]);
    return 2;
}
