/* Steps by RFLAGS.TF with #DB intercepted, and all that keeps the guest from seeing it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "step/internal.h"
#include "x86/regs.h"

/*
 * The processor sets no trap flag for us alone: we borrow the guest's (Intel SDM vol. 3,
 * "Single-Step Exception Condition"; AMD APM vol. 2, "Single Stepping").  What would show or lose
 * it, by class of instruction:
 *
 * - PUSHF writes it: the image in memory is mended.
 * - POPF and IRET load another one: that is the guest's own from then on.
 * - SYSCALL copies it to R11: mended.  SFMASK may clear it, and with it the trap: SFMASK lends its
 *   TF bit as well.
 * - SYSRET loads it from R11: R11 lends its bit as well.
 * - INT n, INTO, INT1, INT3 and events write it into a frame and run the handler through: the
 *   server's own CPU executes them, up to the handler's first instruction.  Faults are intercepted
 *   and delivered by it likewise.
 * - MOV SS and POP SS hold the trap for one instruction, and on some hosts STI does; HLT would
 * wake, MOV DR shows or takes DR6, which is not the guest's meanwhile: likewise.
 * - DEBUGCTL.BTF makes it a trap per branch: off meanwhile.
 * - A #DB sets DR6.BS on some processors: put back.
 *
 * Where the engine has the bare trap flag, faults are not intercepted: the emulator tries the
 * instruction before, and delivers the fault that comes of it.  The TF that POPF and IRET load
 * would be lost: it executes them too.
 */

enum { TF = X86_FLAG_TF };

static bool is_delicate(const struct x86_insn *insn, bool bare)
{
    switch (insn->op) {
    case X86_INT:
    case X86_INT1:
    case X86_INT3:
    case X86_INTO:
    case X86_HLT:
    case X86_STI:
    case X86_MOV_DR: return true;
    case X86_POPF:
    case X86_IRET: return bare;
    default: return step_loads_ss(insn);
    }
}

/* The fault that the instruction will end in, if it can be foreseen. */
static bool foresee(struct step *step, struct step_state *state, unsigned vcpu,
                    const struct ringside_regs *regs, const struct x86_insn *insn,
                    struct step_event *fault)
{
    const struct ringside_msr_ops *msr = step->target->msr;
    uint64_t unused;

    switch (step_try(step, vcpu, regs, fault, &state->hits)) {
    case STEP_TRIAL_FAULT: return true;
    case STEP_TRIAL_COMPLETES: state->tried = true; return false;
    case STEP_TRIAL_UNKNOWN: break;
    }
    if (insn->op != X86_RDMSR || !msr ||
        !msr->read(step->ctx, vcpu, (uint32_t)regs->gpr[RINGSIDE_RCX], &unused))
        return false;
    *fault = (struct step_event){.kind = STEP_EXCEPTION, .vector = X86_EXC_GP, .has_error = true};
    return true;
}

/* Where PUSHF will put its image. */
static void find_image(struct step_state *state, const struct ringside_regs *regs,
                       const struct x86_insn *insn)
{
    uint64_t sp = regs->gpr[RINGSIDE_RSP] - insn->opsize;
    const struct ringside_segment *ss = &regs->seg[RINGSIDE_SS];

    state->image_size = insn->opsize;
    if (insn->width == X86_CODE64)
        state->image = sp;
    else if (ss->access & X86_SEG_DB)
        state->image = (uint32_t)(ss->base + (uint32_t)sp);
    else
        state->image = (uint32_t)(ss->base + (uint16_t)sp);
}

static void borrow(struct step_state *state, struct ringside_regs *regs,
                   const struct x86_insn *insn)
{
    state->guest_tf = regs->rflags & TF;
    state->sfmask = regs->sfmask;
    state->debugctl = regs->debugctl;
    state->dr6 = regs->dr6;
    state->r11 = regs->gpr[RINGSIDE_R11];
    state->debugctl_msr = (insn->op == X86_RDMSR || insn->op == X86_WRMSR) &&
                          (uint32_t)regs->gpr[RINGSIDE_RCX] == X86_MSR_DEBUGCTL;
    state->repeats = insn->prefixes & (X86_PREFIX_REP | X86_PREFIX_REPNE);
    if (insn->op == X86_PUSHF)
        find_image(state, regs, insn);
    if (insn->op == X86_SYSCALL)
        regs->sfmask &= ~(uint64_t)TF;
    if (insn->op == X86_SYSRET)
        regs->gpr[RINGSIDE_R11] |= TF;
    state->pending = regs->pending_debug;
    regs->pending_debug = 0;
    regs->rflags |= TF;
    regs->debugctl &= ~(uint64_t)X86_DEBUGCTL_BTF;
}

static enum step_outcome begin(struct step *step, struct step_state *state, unsigned vcpu,
                               const struct step_request *request, struct ringside_regs *regs,
                               const struct x86_insn *insn, struct ringside_exit *exit)
{
    const struct step_request emulated = {.hold_interrupts = true};
    bool sleeps = regs->activity != RINGSIDE_RUNNING, bare = step->target->step->bare_trap_flag;
    enum step_outcome outcome;
    struct step_event fault;

    if ((is_delicate(insn, bare) || regs->pending_debug) &&
        step_emulate(step, vcpu, &emulated, 1, &outcome, exit))
        return outcome;
    if (bare && !sleeps && foresee(step, state, vcpu, regs, insn, &fault))
        return step_emulate(step, vcpu, &emulated, 1, &outcome, exit)
                   ? outcome
                   : step_deliver(step, vcpu, regs, &fault);
    if (!sleeps) {
        borrow(state, regs, insn);
        if (step->target->write_regs(step->ctx, vcpu, regs))
            return STEP_FAILED;
    }
    outcome = step_arm(step, state, vcpu, RINGSIDE_STEP_TRAP_FLAG, request->hold_interrupts);
    if (outcome == STEP_FAILED)
        state->way = 0;
    return outcome;
}

/* Take back what was lent.  completed: the instruction has run. */
static void give_back(const struct step_state *state, struct ringside_regs *regs, bool completed)
{
    uint64_t tf = state->guest_tf ? TF : 0;

    if (completed && (state->op == X86_POPF || state->op == X86_IRET)) {
        tf = regs->rflags & TF;
    } else if (completed && state->op == X86_SYSCALL) {
        regs->gpr[RINGSIDE_R11] = (regs->gpr[RINGSIDE_R11] & ~(uint64_t)TF) | tf;
        tf &= ~state->sfmask;
    } else if (state->op == X86_SYSRET) {
        if (completed)
            tf = state->r11 & TF;
        regs->gpr[RINGSIDE_R11] = state->r11;
    }
    regs->rflags = (regs->rflags & ~(uint64_t)TF) | tf;
    if (completed && state->repeats && regs->rip == state->rip)
        regs->rflags |= X86_FLAG_RF; /* as between iterations: SDM vol. 3, "RF" */
    if (state->op == X86_SYSCALL)
        regs->sfmask = state->sfmask;
    if (completed && state->debugctl_msr && state->op == X86_RDMSR)
        regs->gpr[RINGSIDE_RAX] |= state->debugctl & X86_DEBUGCTL_BTF;
    if (!completed || !state->debugctl_msr || state->op != X86_WRMSR)
        regs->debugctl |= state->debugctl & X86_DEBUGCTL_BTF;
    regs->dr6 = state->dr6;
    regs->pending_debug = (regs->pending_debug & ~(uint64_t)X86_DR6_BS) | state->pending;
    if (completed && state->tried)
        regs->pending_debug |= state->hits;
}

/* Not what went to a device: that is gone. */
static void mend_image(struct step *step, const struct step_state *state, unsigned vcpu,
                       const struct ringside_regs *regs)
{
    uint16_t flags;

    if (state->op != X86_PUSHF || state->guest_tf ||
        !step_read(step, vcpu, regs, state->image, &flags, sizeof flags))
        return;
    flags &= (uint16_t)~TF;
    step_write(step, vcpu, regs, state->image, &flags, sizeof flags);
}

/*
 * Would the guest's own TF trap now?  With BTF, only if a branch was taken (SDM vol. 3,
 * "Single-Stepping on Branches").  The one that SYSRET loads traps at once (SDM vol. 2, SYSRET).
 */
static uint64_t guest_trap(const struct step_state *state, const struct ringside_regs *regs)
{
    bool branched = regs->rip != state->rip + state->length && !state->repeats;
    bool traps = state->guest_tf && (branched || !(regs->debugctl & X86_DEBUGCTL_BTF));

    if (state->op == X86_SYSCALL)
        traps = traps && regs->rflags & TF;
    if (state->op == X86_SYSRET)
        traps = regs->rflags & TF;
    return traps ? X86_DR6_BS : 0;
}

/* The guest's own breakpoints that the instruction has hit.  Processors set the bits of others too,
 * and those of code are of the next instruction. */
static uint64_t data_hits(const struct ringside_regs *regs, uint64_t dr6)
{
    uint64_t hits = 0;

    for (unsigned i = 0; i < 4; i++)
        if (regs->dr7 >> 2 * i & 3 && regs->dr7 >> (16 + 4 * i) & 3)
            hits |= dr6 & 1u << i;
    return hits;
}

static enum step_outcome trapped(struct step *step, struct step_state *state, unsigned vcpu,
                                 const struct ringside_exit *exit, struct ringside_regs *regs)
{
    uint64_t theirs = state->tried ? 0 : data_hits(regs, exit->dr6);

    if (!(exit->dr6 & X86_DR6_BS)) {
        /* A fault of the guest's own: its code breakpoint, or DR7.GD. */
        const struct step_event event = {
            .kind = STEP_EXCEPTION, .vector = X86_EXC_DB, .dr6 = exit->dr6};

        give_back(state, regs, false);
        return step_deliver(step, vcpu, regs, &event);
    }
    give_back(state, regs, true);
    regs->pending_debug |= theirs | guest_trap(state, regs);
    mend_image(step, state, vcpu, regs);
    if (step->target->write_regs(step->ctx, vcpu, regs))
        return STEP_FAILED;
    return STEP_DONE;
}

static enum step_outcome end(struct step *step, struct step_state *state, unsigned vcpu,
                             const struct ringside_exit *exit)
{
    struct step_event event = {
        .kind = STEP_EXCEPTION,
        .vector = exit->vector,
        .has_error = exit->has_error,
        .error = exit->error,
        .cr2 = exit->cr2,
    };
    struct ringside_regs regs;

    switch (exit->reason) {
    case RINGSIDE_EXIT_OTHER: return STEP_ENTER;
    case RINGSIDE_EXIT_DEBUG_EXCEPTION:
    case RINGSIDE_EXIT_EXCEPTION:
    case RINGSIDE_EXIT_EMULATED:
    case RINGSIDE_EXIT_CATCH:
    case RINGSIDE_EXIT_HALT: break;
    case RINGSIDE_EXIT_WATCH:
        if (exit->watch_kind != RINGSIDE_WATCH_EXEC)
            break;
        return STEP_NOT_OURS; /* before the instruction */
    default: return STEP_NOT_OURS;
    }
    if (step->target->read_regs(step->ctx, vcpu, &regs))
        return STEP_FAILED;
    if (exit->reason == RINGSIDE_EXIT_DEBUG_EXCEPTION)
        return trapped(step, state, vcpu, exit, &regs);
    if (exit->reason == RINGSIDE_EXIT_EXCEPTION) {
        give_back(state, &regs, false);
        return step_deliver(step, vcpu, &regs, &event);
    }
    give_back(state, &regs, true);
    regs.pending_debug |= guest_trap(state, &regs);
    mend_image(step, state, vcpu, &regs);
    if (step->target->write_regs(step->ctx, vcpu, &regs))
        return STEP_FAILED;
    step->caught = exit->caught;
    return exit->reason == RINGSIDE_EXIT_CATCH   ? STEP_CATCH
           : exit->reason == RINGSIDE_EXIT_WATCH ? STEP_WATCH
                                                 : STEP_DONE;
}

static void cancel(struct step *step, struct step_state *state, unsigned vcpu)
{
    struct ringside_regs regs;

    if (step->target->read_regs(step->ctx, vcpu, &regs))
        return;
    give_back(state, &regs, false);
    step->target->write_regs(step->ctx, vcpu, &regs);
}

const struct step_method step_trap_flag = {RINGSIDE_STEP_TRAP_FLAG, begin, end, cancel};
