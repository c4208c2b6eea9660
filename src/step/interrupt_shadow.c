/* Steps by the interrupt shadow on AMD: one instruction runs before the interrupt that waits. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "step/internal.h"

/*
 * VMRUN loads the VMCB's interrupt shadow with an NMI pending behind the global interrupt flag: the
 * shadow holds the NMI for one instruction or one event delivery, then the NMI exits (AMD APM
 * vol. 2, "Interrupt Shadows" and "Global Interrupt Flag, STGI and CLGI Instructions").  Nothing
 * that the guest can see is used.
 *
 * STI and MOV SS make a shadow of their own, by the same bit, so the instruction behind them would
 * run in the same step; and HLT takes the NMI for a reason to wake.  The server's own CPU executes
 * these.  What it declines, a MOV SS from device memory, does merge with the next one.
 */

static bool is_delicate(const struct x86_insn *insn)
{
    return insn->op == X86_STI || insn->op == X86_HLT || step_loads_ss(insn);
}

static enum step_outcome begin(struct step *step, struct step_state *state, unsigned vcpu,
                               const struct step_request *request, struct ringside_regs *regs,
                               const struct x86_insn *insn, struct ringside_exit *exit)
{
    enum step_outcome outcome;

    (void)regs;
    if (is_delicate(insn) &&
        step_emulate(step, vcpu, &(struct step_request){.hold_interrupts = true}, 1, &outcome,
                     exit))
        return outcome;
    return step_arm(step, state, vcpu, RINGSIDE_STEP_INTERRUPT_SHADOW, request->hold_interrupts);
}

static enum step_outcome end(struct step *step, struct step_state *state, unsigned vcpu,
                             const struct ringside_exit *exit)
{
    (void)step, (void)state, (void)vcpu;
    switch (exit->reason) {
    case RINGSIDE_EXIT_INTERRUPT:
    case RINGSIDE_EXIT_EMULATED:
    case RINGSIDE_EXIT_HALT: return STEP_DONE;
    case RINGSIDE_EXIT_OTHER: return STEP_ENTER;
    default: return STEP_NOT_OURS;
    }
}

const struct step_method step_interrupt_shadow = {RINGSIDE_STEP_INTERRUPT_SHADOW, begin, end, NULL};
