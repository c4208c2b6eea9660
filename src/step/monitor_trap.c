/* Steps by the monitor trap: the hardware leaves the guest after one instruction, unseen by it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "step/internal.h"

/*
 * Nothing of the guest is borrowed (Intel SDM vol. 3, "Monitor Trap Flag"): the trap comes after an
 * instruction, after the delivery of an event, and shadows and pending debug exceptions are kept as
 * they are.  Only an instruction that the engine completes in software, and HLT, end without it.
 */

static enum step_outcome begin(struct step *step, struct step_state *state, unsigned vcpu,
                               const struct step_request *request, struct ringside_regs *regs,
                               const struct x86_insn *insn, struct ringside_exit *exit)
{
    (void)regs, (void)insn, (void)exit;
    return step_arm(step, state, vcpu, RINGSIDE_STEP_MONITOR_TRAP, request->hold_interrupts);
}

static enum step_outcome end(struct step *step, struct step_state *state, unsigned vcpu,
                             const struct ringside_exit *exit)
{
    (void)step, (void)state, (void)vcpu;
    switch (exit->reason) {
    case RINGSIDE_EXIT_MONITOR_TRAP:
    case RINGSIDE_EXIT_EMULATED:
    case RINGSIDE_EXIT_HALT: return STEP_DONE;
    case RINGSIDE_EXIT_OTHER: return STEP_ENTER;
    default: return STEP_NOT_OURS;
    }
}

const struct step_method step_monitor_trap = {RINGSIDE_STEP_MONITOR_TRAP, begin, end, NULL};
