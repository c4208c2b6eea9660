/* Steps by the software CPU: it executes on a vCPU's registers and memory, without guest entry. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "cpu/cpu.h"
#include "step/internal.h"
#include "x86/regs.h"
#include "x86/segment.h"

/*
 * No hardware is used, so there is nothing that could leak, on any engine.  What this CPU does not
 * know, and what belongs to the engine (ports, MSRs, CPUID, the TSC, devices), it declines:
 * cpu_model.borrowed.  All that is cached here is dropped before each use: in between, the guest
 * ran.  Decoded code is worth its cache only for ranges.
 */
enum { CODE_BYTES = 256 * 1024, COPIES = 64, PAGE = 4096 };

struct step_emulator {
    struct cpu cpu;
    const struct step *step;
    unsigned vcpu;
    bool alone;
    bool trial;              /* what is written is dropped */
    struct ringside_fpu fpu; /* as the engine has it */
    struct cpu_watch watches[STEP_WATCHES_MAX];
    unsigned watch_count;
    /* Pages of an engine that has no direct access to give, while no other vCPU can change them. */
    unsigned copy_count;
    uint64_t copy_gpa[COPIES];
    uint8_t copy[COPIES][PAGE];
    struct cpu_code *code; /* at code_memory */
    uint64_t code_memory[CODE_BYTES / 8];
};

/* --- The bus --------------------------------------------------------------------------------- */

static bool is_memory(const struct step *step, uint64_t gpa)
{
    const struct ringside_direct_ops *direct = step->target->direct;

    return !direct || direct->is_memory(step->ctx, gpa);
}

static uint8_t *find_copy(struct step_emulator *e, uint64_t gpa)
{
    for (unsigned i = 0; i < e->copy_count; i++)
        if (e->copy_gpa[i] == gpa)
            return e->copy[i];
    return NULL;
}

static uint8_t *copy_page(struct step_emulator *e, uint64_t gpa)
{
    const struct step *step = e->step;
    uint8_t *found = find_copy(e, gpa);

    if (found || !e->alone || e->copy_count == COPIES)
        return found;
    if (step->target->read_memory(step->ctx, gpa, e->copy[e->copy_count], PAGE))
        return NULL;
    e->copy_gpa[e->copy_count] = gpa;
    return e->copy[e->copy_count++];
}

static uint8_t *page(void *ctx, uint64_t gpa, bool *writable)
{
    struct step_emulator *e = ctx;
    const struct step *step = e->step;
    const struct ringside_direct_ops *direct = step->target->direct;

    if (!direct || !direct->is_memory(step->ctx, gpa))
        return NULL;
    if (direct->page) {
        uint8_t *host = direct->page(step->ctx, gpa, writable);
        *writable = *writable && !e->trial;
        return host;
    }
    *writable = false;
    return copy_page(e, gpa);
}

/* Where nobody says what is memory, what is executed is. */
static const uint8_t *code_page(void *ctx, uint64_t gpa)
{
    struct step_emulator *e = ctx;

    return e->step->target->direct ? NULL : copy_page(e, gpa);
}

static bool allows(void *ctx, uint64_t gpa)
{
    return is_memory(((const struct step_emulator *)ctx)->step, gpa);
}

static int read_memory(void *ctx, struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t *value)
{
    const struct step_emulator *e = ctx;
    const struct step *step = e->step;
    uint64_t bytes = 0;

    (void)cpu;
    if (!is_memory(step, gpa) || step->target->read_memory(step->ctx, gpa, &bytes, size))
        return CPU_DECLINE;
    *value = bytes;
    return CPU_NEXT;
}

static int write_memory(void *ctx, struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t value)
{
    struct step_emulator *e = ctx;
    const struct step *step = e->step;
    uint8_t *copied;

    if (e->trial)
        return is_memory(step, gpa) ? CPU_NEXT : CPU_DECLINE;
    if (!is_memory(step, gpa) || step->target->write_memory(step->ctx, gpa, &value, size))
        return CPU_DECLINE;
    copied = find_copy(e, gpa & ~(uint64_t)(PAGE - 1));
    if (copied)
        memcpy(copied + gpa % PAGE, &value, size);
    if (cpu->code)
        cpu_code_drop_page(cpu->code, gpa);
    return CPU_NEXT;
}

static int in(void *ctx, struct cpu *cpu, uint16_t port, unsigned size, uint32_t *value)
{
    (void)cpu, (void)port, (void)size;
    *value = 0;
    return ((const struct step_emulator *)ctx)->trial ? CPU_NEXT : CPU_DECLINE;
}

static int out(void *ctx, struct cpu *cpu, uint16_t port, unsigned size, uint32_t value)
{
    (void)cpu, (void)port, (void)size, (void)value;
    return ((const struct step_emulator *)ctx)->trial ? CPU_NEXT : CPU_DECLINE;
}

static int read_msr(void *ctx, struct cpu *cpu, uint32_t msr, uint64_t *value)
{
    (void)ctx, (void)cpu, (void)msr, (void)value;
    return CPU_DECLINE;
}

static int write_msr(void *ctx, struct cpu *cpu, uint32_t msr, uint64_t value)
{
    (void)ctx, (void)cpu, (void)msr, (void)value;
    return CPU_DECLINE;
}

static int acknowledge(void *ctx, struct cpu *cpu)
{
    (void)ctx;
    cpu->intr = false;
    return -1;
}

static bool breakpoint(void *ctx, uint64_t gpa)
{
    const struct step *step = ((struct step_emulator *)ctx)->step;

    return step->breakpoint && step->breakpoint(step->owner, gpa);
}

static const struct cpu_bus bus = {
    .page = page,
    .code_page = code_page,
    .allows = allows,
    .read = read_memory,
    .write = write_memory,
    .in = in,
    .out = out,
    .rdmsr = read_msr,
    .wrmsr = write_msr,
    .acknowledge = acknowledge,
    .breakpoint = breakpoint,
};

/* --- Taking a vCPU over, and giving it back -------------------------------------------------- */

size_t step_emulator_size(void)
{
    return (sizeof(struct step_emulator) + 15) & ~(size_t)15;
}

void step_emulator_init(struct step *step, void *memory)
{
    struct step_emulator *e = memory;
    const struct cpu_model model = {
        .vendor = step->amd ? CPU_AMD : CPU_INTEL,
        .count = 1,
        .borrowed = true,
    };

    e->step = step;
    e->copy_count = e->watch_count = 0;
    e->code = cpu_code_init(e->code_memory, sizeof e->code_memory);
    cpu_init(&e->cpu, &model, &bus, e, e->code);
    step->emulator = e;
}

static void take_over(struct step_emulator *e, const struct step *step, unsigned vcpu,
                      const struct ringside_regs *regs, bool alone)
{
    e->step = step;
    e->vcpu = vcpu;
    e->alone = alone;
    e->trial = e->cpu.trial = false;
    e->cpu.intercepts = 0;
    e->copy_count = 0;
    e->cpu.code = NULL;
    e->cpu.shared = false;
    cpu_set_regs(&e->cpu, regs);
    cpu_flush_tlb(&e->cpu);
    e->cpu.intr = e->cpu.nmi = e->cpu.yield = false;
    e->cpu.watch_pending = e->cpu.catch_pending = false;
    if (step->target->fpu && !step->target->fpu->read(step->ctx, vcpu, &e->fpu))
        e->cpu.fpu = e->fpu;
}

static bool give_back(struct step_emulator *e, const struct step *step, uint64_t executed)
{
    const struct ringside_direct_ops *direct = step->target->direct;
    struct ringside_regs regs;

    cpu_get_regs(&e->cpu, &regs);
    if (step->target->write_regs(step->ctx, e->vcpu, &regs))
        return false;
    if (step->target->fpu && memcmp(&e->fpu, &e->cpu.fpu, sizeof e->fpu) != 0 &&
        step->target->fpu->write(step->ctx, e->vcpu, &e->cpu.fpu))
        return false;
    if (direct && direct->executed)
        direct->executed(step->ctx, e->vcpu, executed);
    return true;
}

/* --- Steps ----------------------------------------------------------------------------------- */

static bool in_range(const struct step_emulator *e, const struct step_request *request)
{
    return e->cpu.r.rip >= request->begin && e->cpu.r.rip < request->end;
}

static bool code_watched(const struct step_emulator *e)
{
    return e->step->code_watches && e->step->code_watch(e->step->owner, x86_linear_rip(&e->cpu.r));
}

static void fill_watch(const struct step_emulator *e, struct ringside_exit *exit)
{
    const struct cpu_watch_hit *hit = &e->cpu.watch_hit;

    exit->reason = RINGSIDE_EXIT_WATCH;
    exit->watch_address = hit->address;
    exit->watch_kind = hit->kind == CPU_WATCH_WRITE  ? RINGSIDE_WATCH_WRITE
                       : hit->kind == CPU_WATCH_READ ? RINGSIDE_WATCH_READ
                                                     : RINGSIDE_WATCH_ACCESS;
}

/* Step after step until something ends it; returns what, and counts them. */
static enum step_outcome run(struct step_emulator *e, const struct step_request *request,
                             unsigned budget, unsigned *done, struct ringside_exit *exit)
{
    cpu_pass_breakpoint(&e->cpu, true);
    for (*done = 0; *done < budget;) {
        if (*done && code_watched(e))
            return STEP_BREAKPOINT;
        switch (cpu_step(&e->cpu, CPU_STEP_HOLD_INTERRUPTS)) {
        case CPU_EXIT_LIMIT:
        case CPU_EXIT_YIELD: ++*done; break;
        case CPU_EXIT_HALT: ++*done; return STEP_DONE;
        case CPU_EXIT_WATCH:
            ++*done;
            fill_watch(e, exit);
            return STEP_WATCH;
        case CPU_EXIT_CATCH: ++*done; return STEP_CATCH;
        case CPU_EXIT_SHUTDOWN: ++*done; return STEP_SHUTDOWN;
        case CPU_EXIT_BREAKPOINT: return STEP_BREAKPOINT;
        case CPU_EXIT_DECLINED:
        case CPU_EXIT_INTERCEPT: return STEP_AGAIN;
        }
        if (!in_range(e, request))
            return STEP_DONE;
    }
    return STEP_AGAIN;
}

bool step_emulate(struct step *step, unsigned vcpu, const struct step_request *request,
                  unsigned budget, enum step_outcome *outcome, struct ringside_exit *exit)
{
    struct step_emulator *e = step->emulator;
    struct ringside_regs regs;
    unsigned done;

    if (step->target->read_regs(step->ctx, vcpu, &regs))
        return false;
    take_over(e, step, vcpu, &regs, request->alone);
    e->cpu.shared = request->no_locks;
    if (budget > 1) {
        cpu_code_drop_all(e->code);
        e->cpu.code = e->code;
    }
    *outcome = run(e, request, budget, &done, exit);
    if (done == 0)
        return false;
    if (!give_back(e, step, done))
        *outcome = STEP_FAILED;
    step->caught = e->cpu.caught;
    return true;
}

static struct step_event event_of(const struct cpu_event *fault)
{
    return (struct step_event){
        .kind = STEP_EXCEPTION,
        .vector = fault->vector,
        .has_error = fault->has_error,
        .error = fault->error,
        .cr2 = fault->cr2,
        .dr6 = fault->dr6,
    };
}

enum step_trial step_try(struct step *step, unsigned vcpu, const struct ringside_regs *regs,
                         struct step_event *fault, uint64_t *hits)
{
    struct step_emulator *e = step->emulator;

    take_over(e, step, vcpu, regs, false);
    e->trial = e->cpu.trial = true;
    e->cpu.intercepts = ~0u;
    cpu_pass_breakpoint(&e->cpu, true);
    switch (cpu_step(&e->cpu, CPU_STEP_HOLD_INTERRUPTS)) {
    case CPU_EXIT_DECLINED:
    case CPU_EXIT_BREAKPOINT:
    case CPU_EXIT_SHUTDOWN: return STEP_TRIAL_UNKNOWN;
    case CPU_EXIT_INTERCEPT: *fault = event_of(&e->cpu.fault); return STEP_TRIAL_FAULT;
    default: *hits = e->cpu.r.pending_debug & X86_DR6_B; return STEP_TRIAL_COMPLETES;
    }
}

enum step_outcome step_deliver(struct step *step, unsigned vcpu, const struct ringside_regs *regs,
                               const struct step_event *event)
{
    static const uint8_t kinds[] = {
        [STEP_EXTERNAL] = CPU_EVENT_EXTERNAL,
        [STEP_NMI] = CPU_EVENT_NMI,
        [STEP_EXCEPTION] = CPU_EVENT_EXCEPTION,
    };
    const struct cpu_event out_of = {
        .vector = event->vector,
        .kind = kinds[event->kind],
        .has_error = event->has_error,
        .error = event->error,
        .cr2 = event->cr2,
        .dr6 = event->dr6,
    };
    struct step_emulator *e = step->emulator;
    enum cpu_exit exit;

    take_over(e, step, vcpu, regs, false);
    exit = cpu_take(&e->cpu, &out_of);
    if (exit == CPU_EXIT_DECLINED || !give_back(e, step, 1))
        return STEP_FAILED;
    step->caught = e->cpu.caught;
    return exit == CPU_EXIT_SHUTDOWN ? STEP_SHUTDOWN
           : exit == CPU_EXIT_CATCH  ? STEP_CATCH
                                     : STEP_DONE;
}

/* --- Looking --------------------------------------------------------------------------------- */

bool step_peek(struct step *step, unsigned vcpu, const struct ringside_regs *regs,
               struct x86_insn *insn)
{
    struct step_emulator *e = step->emulator;

    take_over(e, step, vcpu, regs, false);
    return cpu_peek(&e->cpu, insn) == CPU_NEXT;
}

bool step_read(struct step *step, unsigned vcpu, const struct ringside_regs *regs, uint64_t linear,
               void *buffer, unsigned n)
{
    struct step_emulator *e = step->emulator;

    take_over(e, step, vcpu, regs, false);
    return cpu_copy_from(&e->cpu, linear, buffer, n) == CPU_NEXT;
}

bool step_write(struct step *step, unsigned vcpu, const struct ringside_regs *regs, uint64_t linear,
                const void *buffer, unsigned n)
{
    struct step_emulator *e = step->emulator;

    take_over(e, step, vcpu, regs, false);
    return cpu_copy_to(&e->cpu, linear, buffer, n) == CPU_NEXT;
}

/* --- Watchpoints ----------------------------------------------------------------------------- */

static uint8_t watch_kind(enum ringside_watch_kind kind)
{
    return kind == RINGSIDE_WATCH_WRITE  ? CPU_WATCH_WRITE
           : kind == RINGSIDE_WATCH_READ ? CPU_WATCH_READ
                                         : CPU_WATCH_ACCESS;
}

int step_watch_add(struct step *step, enum ringside_watch_kind kind, uint64_t linear,
                   uint64_t length)
{
    struct step_emulator *e = step->emulator;
    unsigned place = e->watch_count;

    if (!length || linear + (length - 1) < linear)
        return RINGSIDE_EINVAL;
    if (place == STEP_WATCHES_MAX)
        return RINGSIDE_ENOSPC;
    for (; place && e->watches[place - 1].address > linear; place--)
        e->watches[place] = e->watches[place - 1];
    e->watches[place] =
        (struct cpu_watch){.address = linear, .length = length, .kind = watch_kind(kind)};
    cpu_set_watches(&e->cpu, e->watches, ++e->watch_count);
    return RINGSIDE_OK;
}

void step_watch_remove(struct step *step, enum ringside_watch_kind kind, uint64_t linear,
                       uint64_t length)
{
    struct step_emulator *e = step->emulator;

    for (unsigned i = 0; i < e->watch_count; i++) {
        const struct cpu_watch *w = &e->watches[i];

        if (w->address != linear || w->length != length || w->kind != watch_kind(kind))
            continue;
        memmove(&e->watches[i], &e->watches[i + 1], (--e->watch_count - i) * sizeof *w);
        cpu_set_watches(&e->cpu, e->watches, e->watch_count);
        return;
    }
}

void step_set_catches(struct step *step, const struct ringside_catch *catches, size_t count)
{
    cpu_set_catches(&step->emulator->cpu, catches, count);
}
