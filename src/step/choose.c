/* Chooses the way to step: the first in order of preference that is offered and allowed. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "step/internal.h"

#include <string.h>

#include "x86/regs.h"

/* Best first: the less of the guest's own state a way borrows, the earlier it stands. */
static const struct {
    unsigned way;
    const char *name;
    const struct step_method *hardware;
} ways[] = {
    {RINGSIDE_STEP_EMULATE, "emulate", NULL},
    {RINGSIDE_STEP_MONITOR_TRAP, "monitor-trap", &step_monitor_trap},
    {RINGSIDE_STEP_INTERRUPT_SHADOW, "interrupt-shadow", &step_interrupt_shadow},
    {RINGSIDE_STEP_TRAP_FLAG, "trap-flag", &step_trap_flag},
};
enum { WAYS = sizeof ways / sizeof ways[0] };

/* Instructions of a range that are emulated before the engine is asked for news again. */
enum { RANGE_BUDGET = 20000 };
/* What takes the emulator about as long as an engine takes to go in, decline, and come out: whether
 * the guest would be better off inside or not, it pays for it no more than twice. */
enum { DECLINED_BUDGET = 5000 };

size_t step_size(void)
{
    return step_emulator_size();
}

void step_init(struct step *step, void *memory, const struct ringside_config *config)
{
    const struct ringside_target *target = config->target;

    memset(step, 0, sizeof *step);
    step->target = target;
    step->ctx = config->ctx;
    step->amd = config->amd;
    step->allowed = config->step_ways ? config->step_ways : ~0u;
    step->offered = target->step ? target->step->probe(step->ctx, 0) : 0;
    if ((step->offered & RINGSIDE_STEP_INTERRUPT_SHADOW) && !step_shadow_works(target, step->ctx))
        step->offered &= ~(unsigned)RINGSIDE_STEP_INTERRUPT_SHADOW;
    step->offered |= RINGSIDE_STEP_EMULATE;
    step_emulator_init(step, memory);
}

unsigned step_chosen(const struct step *step)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (ways[i].way & step->offered & step->allowed)
            return ways[i].way;
    return 0;
}

int step_allow(struct step *step, unsigned allowed)
{
    allowed = allowed ? allowed : ~0u;
    if (!(step->offered & allowed))
        return RINGSIDE_ENOTSUP;
    step->allowed = allowed;
    return RINGSIDE_OK;
}

const char *step_name(unsigned way)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (ways[i].way == way)
            return ways[i].name;
    return NULL;
}

unsigned step_by_name(const char *name, size_t n)
{
    for (unsigned i = 0; i < WAYS; i++) {
        const char *own = ways[i].name;
        size_t length = 0;
        while (own[length])
            length++;
        if (length == n && memcmp(own, name, n) == 0)
            return ways[i].way;
    }
    return 0;
}

/* --- A step ---------------------------------------------------------------------------------- */

static const struct step_method *method_of(unsigned way)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (ways[i].way == way)
            return ways[i].hardware;
    return NULL;
}

/* What hardware does a step that is not emulated?  Where only emulation is allowed, any may do what
 * emulation declines. */
static const struct step_method *hardware(const struct step *step)
{
    unsigned allowed = step->allowed;

    if (!(allowed & step->offered & ~(unsigned)RINGSIDE_STEP_EMULATE))
        allowed = ~0u;
    for (unsigned i = 0; i < WAYS; i++)
        if (ways[i].hardware && (ways[i].way & step->offered & allowed))
            return ways[i].hardware;
    return NULL;
}

enum step_outcome step_arm(struct step *step, struct step_state *state, unsigned vcpu, unsigned way,
                           bool hold_interrupts)
{
    if (step->target->step->arm(step->ctx, vcpu, way, hold_interrupts))
        return STEP_FAILED;
    state->way = way;
    return STEP_ENTER;
}

/* An interrupt that is let in is the step: delivered, up to its handler's first instruction. */
static bool deliver_interrupt(struct step *step, unsigned vcpu, const struct ringside_regs *regs,
                              enum step_outcome *outcome)
{
    int taken = step->target->step->take_interrupt(step->ctx, vcpu);
    struct step_event event = {.kind = STEP_EXTERNAL, .vector = (uint8_t)taken};

    if (taken < 0)
        return false;
    if (taken == RINGSIDE_TAKEN_NMI)
        event = (struct step_event){.kind = STEP_NMI, .vector = X86_EXC_NMI};
    *outcome = step_deliver(step, vcpu, regs, &event);
    return true;
}

static unsigned budget_of(const struct step_request *request)
{
    if (request->begin >= request->end)
        return 1;
    return request->declined ? DECLINED_BUDGET : RANGE_BUDGET;
}

/* What was taken already is the step, whatever would hold interrupts back. */
static enum step_outcome deliver_under_way(struct step *step, unsigned vcpu,
                                           const struct ringside_regs *regs)
{
    struct step_event event = {.kind = STEP_EXTERNAL, .vector = regs->under_way_vector};
    struct ringside_regs taken = *regs;

    if (regs->under_way == RINGSIDE_NMI_UNDER_WAY)
        event = (struct step_event){.kind = STEP_NMI, .vector = X86_EXC_NMI};
    else if (regs->under_way == RINGSIDE_TRAP_UNDER_WAY)
        event = (struct step_event){
            .kind = STEP_EXCEPTION, .vector = regs->under_way_vector, .dr6 = regs->dr6};
    taken.under_way = RINGSIDE_NOTHING_UNDER_WAY;
    taken.under_way_vector = 0;
    return step_deliver(step, vcpu, &taken, &event);
}

enum step_outcome step_begin(struct step *step, struct step_state *state, unsigned vcpu,
                             const struct step_request *request, struct ringside_exit *exit)
{
    bool takes = step->target->step && step->target->step->take_interrupt;
    const struct step_method *method = hardware(step);
    struct step_request emulated = *request, held = *request;
    struct ringside_regs regs;
    struct x86_insn insn = {.op = X86_INVALID};
    enum step_outcome outcome;

    *state = (struct step_state){0};
    if (step->target->read_regs(step->ctx, vcpu, &regs))
        return STEP_FAILED;
    if (regs.under_way)
        return deliver_under_way(step, vcpu, &regs);
    if (!request->hold_interrupts && takes && deliver_interrupt(step, vcpu, &regs, &outcome))
        return outcome;
    if (regs.activity != RINGSIDE_RUNNING && takes)
        return STEP_ENTER; /* it sleeps on, and when something wakes it that is the step */
    emulated.no_locks = method && !request->alone;
    if (regs.activity == RINGSIDE_RUNNING &&
        (request->declined || step_chosen(step) == RINGSIDE_STEP_EMULATE) &&
        step_emulate(step, vcpu, &emulated, budget_of(request), &outcome, exit))
        return outcome;
    if (!method)
        return STEP_FAILED;
    if (request->on_breakpoint)
        return STEP_ALONE;
    if (regs.activity == RINGSIDE_RUNNING && step_peek(step, vcpu, &regs, &insn)) {
        state->op = insn.op;
        state->length = insn.length;
    }
    state->rip = regs.rip;
    held.hold_interrupts |= takes; /* one that comes from here on is the next step */
    return method->begin(step, state, vcpu, &held, &regs, &insn, exit);
}

static void disarm(struct step *step, struct step_state *state, unsigned vcpu)
{
    step->target->step->disarm(step->ctx, vcpu);
    state->way = 0;
}

enum step_outcome step_end(struct step *step, struct step_state *state, unsigned vcpu,
                           const struct ringside_exit *exit)
{
    const struct step_method *method = method_of(state->way);
    enum step_outcome outcome;

    if (!method)
        return STEP_NOT_OURS;
    outcome = method->end(step, state, vcpu, exit);
    if (outcome == STEP_NOT_OURS)
        step_cancel(step, state, vcpu);
    else if (outcome != STEP_ENTER)
        disarm(step, state, vcpu);
    return outcome;
}

void step_cancel(struct step *step, struct step_state *state, unsigned vcpu)
{
    const struct step_method *method = method_of(state->way);

    if (!method)
        return;
    if (method->cancel)
        method->cancel(step, state, vcpu);
    disarm(step, state, vcpu);
}
