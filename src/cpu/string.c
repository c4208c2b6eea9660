/* String instructions and their repetition: one iteration counts as one instruction. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/template.h"

/*
 * A repeated instruction may do many iterations in one call where nothing can come between them:
 * within the run loop's limit, and only until something wants the block to end.  When it is called
 * for a single step there is no block (cpu->end is NULL) and it does one.  As long as iterations
 * are left, rip goes back to the instruction.
 */
static uint64_t iterations_allowed(const struct cpu *cpu)
{
    return cpu->end ? cpu->limit - cpu->count : 1;
}

static bool is_repeated(const struct x86_insn *insn)
{
    return insn->prefixes & (X86_PREFIX_REP | X86_PREFIX_REPNE);
}

static unsigned element_size(const struct x86_insn *insn)
{
    return insn->operand[0].size;
}

static uint64_t pointer(const struct cpu *cpu, const struct x86_insn *insn, unsigned reg)
{
    return cpu_gpr(cpu, reg, insn->addrsize);
}

/* Move a pointer over n elements, down if DF is set. */
static void advance(struct cpu *cpu, const struct x86_insn *insn, unsigned reg, uint64_t n)
{
    uint64_t bytes = n * element_size(insn);

    if (cpu->r.rflags & X86_FLAG_DF)
        bytes = 0 - bytes;
    cpu_set_gpr(cpu, reg, insn->addrsize, cpu->r.gpr[reg] + bytes);
}

/* --- One element ----------------------------------------------------------------------------- */

static int movs(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = element_size(insn);
    uint64_t value;

    CPU_TRY(cpu_load(cpu, insn->seg, pointer(cpu, insn, RINGSIDE_RSI), size, &value));
    CPU_TRY(cpu_store(cpu, RINGSIDE_ES, pointer(cpu, insn, RINGSIDE_RDI), size, value));
    advance(cpu, insn, RINGSIDE_RSI, 1);
    advance(cpu, insn, RINGSIDE_RDI, 1);
    return CPU_NEXT;
}

static int stos(struct cpu *cpu, const struct x86_insn *insn)
{
    CPU_TRY(cpu_store(cpu, RINGSIDE_ES, pointer(cpu, insn, RINGSIDE_RDI), element_size(insn),
                      cpu->r.gpr[RINGSIDE_RAX]));
    advance(cpu, insn, RINGSIDE_RDI, 1);
    return CPU_NEXT;
}

static int lods(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = element_size(insn);
    uint64_t value;

    CPU_TRY(cpu_load(cpu, insn->seg, pointer(cpu, insn, RINGSIDE_RSI), size, &value));
    cpu_set_gpr(cpu, RINGSIDE_RAX, size, value);
    advance(cpu, insn, RINGSIDE_RSI, 1);
    return CPU_NEXT;
}

static int scas(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = element_size(insn);
    uint64_t a = cpu_gpr(cpu, RINGSIDE_RAX, size), b;

    CPU_TRY(cpu_load(cpu, RINGSIDE_ES, pointer(cpu, insn, RINGSIDE_RDI), size, &b));
    cpu_flags_sub(cpu, size, a, b, a - b);
    advance(cpu, insn, RINGSIDE_RDI, 1);
    return CPU_NEXT;
}

static int cmps(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = element_size(insn);
    uint64_t a, b;

    CPU_TRY(cpu_load(cpu, insn->seg, pointer(cpu, insn, RINGSIDE_RSI), size, &a));
    CPU_TRY(cpu_load(cpu, RINGSIDE_ES, pointer(cpu, insn, RINGSIDE_RDI), size, &b));
    cpu_flags_sub(cpu, size, a, b, a - b);
    advance(cpu, insn, RINGSIDE_RSI, 1);
    advance(cpu, insn, RINGSIDE_RDI, 1);
    return CPU_NEXT;
}

/* The destination must be known to be writable before the port is read. */
static int ins(struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t offset = pointer(cpu, insn, RINGSIDE_RDI), linear, value;
    unsigned size = element_size(insn);

    CPU_TRY(cpu_linear(cpu, RINGSIDE_ES, offset, size, CPU_WRITE, &linear));
    CPU_TRY(cpu_probe_write(cpu, linear, size, CPU_WRITE));
    CPU_TRY(cpu_port_in(cpu, (uint16_t)cpu->r.gpr[RINGSIDE_RDX], size, &value));
    CPU_TRY(cpu_store(cpu, RINGSIDE_ES, offset, size, value));
    advance(cpu, insn, RINGSIDE_RDI, 1);
    return CPU_SYNC;
}

static int outs(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = element_size(insn);
    uint64_t value;

    CPU_TRY(cpu_load(cpu, insn->seg, pointer(cpu, insn, RINGSIDE_RSI), size, &value));
    CPU_TRY(cpu_port_out(cpu, (uint16_t)cpu->r.gpr[RINGSIDE_RDX], size, value));
    advance(cpu, insn, RINGSIDE_RSI, 1);
    return CPU_SYNC;
}

/* --- Repetition ------------------------------------------------------------------------------ */

/*
 * n iterations were done, at least one; the run loop counts the last of them.  Between iterations
 * RF is set, for the image that an interrupt or a trap pushes there (Intel SDM vol. 3,
 * "Instruction-Breakpoint Exception Condition").
 */
static void account(struct cpu *cpu, const struct x86_insn *insn, uint64_t n, bool again)
{
    cpu->count += n - 1;
    cpu_set_gpr(cpu, RINGSIDE_RCX, insn->addrsize, cpu->r.gpr[RINGSIDE_RCX] - n);
    cpu->r.rflags &= ~(uint64_t)X86_FLAG_RF;
    if (again && cpu_gpr(cpu, RINGSIDE_RCX, insn->addrsize)) {
        cpu->r.rip -= insn->length;
        cpu->r.rflags |= X86_FLAG_RF;
    }
}

/* REPE and REPNE of CMPS and SCAS go on while ZF is so. */
static bool wants_more(const struct cpu *cpu, const struct x86_insn *insn)
{
    if (insn->op != X86_CMPS && insn->op != X86_SCAS)
        return true;
    return cpu_zf(cpu) == !!(insn->prefixes & X86_PREFIX_REP);
}

/* Iterations one by one.  A fault in a later one comes when that one is the first. */
CPU_TEMPLATE int repeat(struct cpu *cpu, const struct x86_insn *insn, cpu_handler *element)
{
    uint64_t left, allowed, n = 0;
    int status;

    if (!is_repeated(insn))
        return element(cpu, insn);
    left = cpu_gpr(cpu, RINGSIDE_RCX, insn->addrsize);
    if (left == 0)
        return CPU_NEXT;
    allowed = iterations_allowed(cpu);
    if (left > allowed)
        left = allowed;
    do {
        status = element(cpu, insn);
        if (status < 0) {
            if (n == 0)
                return status;
            cpu->debug_hits = 0; /* of the iteration that faulted */
            cpu->watch_pending = cpu->catch_pending = false;
            account(cpu, insn, n, true);
            return CPU_BRANCH;
        }
        n++;
    } while (status == CPU_NEXT && n < left && cpu->end && wants_more(cpu, insn));
    account(cpu, insn, n, wants_more(cpu, insn));
    return status == CPU_NEXT ? CPU_BRANCH : status;
}

/* Host memory at seg:offset and how many of at most n elements, upwards, lie in its page. */
static uint8_t *elements(struct cpu *cpu, const struct x86_insn *insn, unsigned seg, unsigned reg,
                         bool write, uint64_t *n)
{
    unsigned size = element_size(insn);
    uint64_t offset = pointer(cpu, insn, reg), linear = offset;
    uint8_t *host = cpu_host(cpu, seg, offset, size, write);
    uint64_t fit;

    if (!host)
        return NULL;
    if (seg >= RINGSIDE_FS && cpu->width == X86_CODE64)
        linear += cpu->r.seg[seg].base;
    fit = (4096 - (linear & 4095)) / size;
    if (insn->addrsize == 2 && fit > (0x10000 - offset) / size)
        fit = (0x10000 - offset) / size;
    if (*n > fit)
        *n = fit;
    return host;
}

/* How many iterations may be done at once on host memory: 0 if it is not worth it. */
static uint64_t bulk(const struct cpu *cpu, const struct x86_insn *insn)
{
    uint64_t n = cpu_gpr(cpu, RINGSIDE_RCX, insn->addrsize), allowed = iterations_allowed(cpu);

    if (!is_repeated(insn) || (cpu->r.rflags & X86_FLAG_DF))
        return 0;
    return n < allowed ? n : allowed;
}

static int rep_movs(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = element_size(insn);
    uint64_t n = bulk(cpu, insn);
    uint8_t *from, *to;

    if (n > 1 && (from = elements(cpu, insn, insn->seg, RINGSIDE_RSI, false, &n)) &&
        (to = elements(cpu, insn, RINGSIDE_ES, RINGSIDE_RDI, true, &n))) {
        uintptr_t ahead = (uintptr_t)to - (uintptr_t)from;

        /* Where the destination runs ahead of the source, what was written is read again. */
        if (ahead < n * size)
            n = ahead / size;
        if (n) {
            memmove(to, from, n * size);
            advance(cpu, insn, RINGSIDE_RSI, n);
            advance(cpu, insn, RINGSIDE_RDI, n);
            account(cpu, insn, n, true);
            return CPU_BRANCH;
        }
    }
    return repeat(cpu, insn, movs);
}

static int rep_stos(struct cpu *cpu, const struct x86_insn *insn)
{
    unsigned size = element_size(insn);
    uint64_t n = bulk(cpu, insn);
    uint8_t *to;

    if (n > 1 && (to = elements(cpu, insn, RINGSIDE_ES, RINGSIDE_RDI, true, &n)) && n) {
        for (uint64_t i = 0; i < n; i++)
            cpu_host_store(to + i * size, size, cpu->r.gpr[RINGSIDE_RAX]);
        advance(cpu, insn, RINGSIDE_RDI, n);
        account(cpu, insn, n, true);
        return CPU_BRANCH;
    }
    return repeat(cpu, insn, stos);
}

#define REPEATED(element)                                                                          \
    static int rep_##element(struct cpu *cpu, const struct x86_insn *insn)                         \
    {                                                                                              \
        return repeat(cpu, insn, element);                                                         \
    }
REPEATED(lods)
REPEATED(scas)
REPEATED(cmps)
REPEATED(ins)
REPEATED(outs)

cpu_handler *cpu_bind_string(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_MOVS: return rep_movs;
    case X86_STOS: return rep_stos;
    case X86_LODS: return rep_lods;
    case X86_SCAS: return rep_scas;
    case X86_CMPS: return rep_cmps;
    case X86_INS: return rep_ins;
    case X86_OUTS: return rep_outs;
    default: return NULL;
    }
}
