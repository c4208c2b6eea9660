/* Steps by the monitor trap: the hardware leaves the guest after one instruction, unseen by it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "step/internal.h"

/* Instructions an engine may run on in a range before it looks outside again. */
enum { RANGE_BUDGET = 1 << 20 };

static int arm(const struct step *step, unsigned vcpu, const struct step_request *request)
{
    const struct ringside_step_ops *ops = step->target->step;

    if (request->begin < request->end && ops->arm_range)
        return ops->arm_range(step->ctx, vcpu, RINGSIDE_STEP_MONITOR_TRAP, request->hold_interrupts,
                              request->begin, request->end, RANGE_BUDGET);
    return ops->arm(step->ctx, vcpu, RINGSIDE_STEP_MONITOR_TRAP, request->hold_interrupts);
}

static void disarm(const struct step *step, unsigned vcpu)
{
    step->target->step->disarm(step->ctx, vcpu);
}

const struct step_method step_monitor_trap = {RINGSIDE_STEP_MONITOR_TRAP, arm, disarm};
