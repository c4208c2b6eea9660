/* Armed steps: one instruction or event delivery, or as many as stay within a range. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/soft/soft.h"

/* What ended one step; false: nothing that the debugger must hear of before the next. */
static bool is_over(struct soft *soft, unsigned index, enum cpu_exit why,
                    struct ringside_exit *exit)
{
    struct soft_vcpu *vcpu = &soft->vcpu[index];
    const struct cpu *cpu = vcpu->cpu;

    exit->reason = RINGSIDE_EXIT_STEP;
    switch (why) {
    case CPU_EXIT_LIMIT:
    case CPU_EXIT_YIELD:
        if (vcpu->step != SOFT_STEP_RANGE || vcpu->budget <= 1)
            return true;
        return cpu->r.rip < vcpu->begin || cpu->r.rip >= vcpu->end;
    case CPU_EXIT_HALT: return true;
    case CPU_EXIT_BREAKPOINT: return soft_breakpoint_hit(soft, index, exit);
    case CPU_EXIT_WATCH: soft_watch_exit(cpu, exit); return true;
    case CPU_EXIT_SHUTDOWN: exit->reason = RINGSIDE_EXIT_OTHER; return true; /* told next time */
    case CPU_EXIT_DECLINED: exit->reason = RINGSIDE_EXIT_ERROR; return true;
    }
    return true;
}

bool soft_step_turn(struct soft *soft, unsigned index, uint64_t limit, struct ringside_exit *exit)
{
    struct soft_vcpu *vcpu = &soft->vcpu[index];
    struct cpu *cpu = vcpu->cpu;
    unsigned hold = vcpu->hold_interrupts ? CPU_STEP_HOLD_INTERRUPTS : 0;
    bool passes = !vcpu->step_begun;

    while (cpu->count < limit && !soft->poked) {
        enum cpu_exit why = cpu_step(cpu, hold | (passes ? CPU_STEP_OVER_BREAK : 0));
        if (why == CPU_EXIT_YIELD && !soft->poked)
            soft->turn_end = 0; /* PAUSE: it waits for another */
        if (is_over(soft, index, why, exit))
            return true;
        /* A place that only looked like a breakpoint is passed on the next try. */
        passes = why == CPU_EXIT_BREAKPOINT;
        vcpu->budget -= !passes;
        vcpu->step_begun = true;
        if (soft->turn_end == 0)
            break;
    }
    exit->reason = RINGSIDE_EXIT_OTHER;
    return false;
}
