/* What the ways to step share: their interface to the chooser, and the emulator. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef STEP_INTERNAL_H
#define STEP_INTERNAL_H

#include "step/step.h"
#include "x86/insn.h"

/* A way that uses hardware.  begin has the vCPU's registers and, if it could be fetched, its next
 * instruction (op is 0 otherwise). */
struct step_method {
    unsigned way; /* enum ringside_step_way */
    enum step_outcome (*begin)(struct step *step, struct step_state *state, unsigned vcpu,
                               const struct step_request *request, struct ringside_regs *regs,
                               const struct x86_insn *insn, struct ringside_exit *exit);
    enum step_outcome (*end)(struct step *step, struct step_state *state, unsigned vcpu,
                             const struct ringside_exit *exit);
    void (*cancel)(struct step *step, struct step_state *state, unsigned vcpu);
};

extern const struct step_method step_monitor_trap, step_interrupt_shadow, step_trap_flag;

/* Does it put off traps and interrupts by one instruction?  LSS does not by the manuals, but it
 * does on some models of the processor. */
static inline bool step_loads_ss(const struct x86_insn *insn)
{
    return insn->op == X86_LSS ||
           ((insn->op == X86_MOV_SEG || insn->op == X86_POP_SEG) &&
            insn->operand[0].kind == X86_SEG && insn->operand[0].reg == RINGSIDE_SS);
}

/* Arm the engine with this way: STEP_ENTER or STEP_FAILED. */
enum step_outcome step_arm(struct step *step, struct step_state *state, unsigned vcpu, unsigned way,
                           bool hold_interrupts);

/* probe.c: does the shadow step exactly one instruction here? */
bool step_shadow_works(const struct ringside_target *target, void *ctx);

/* --- The emulator (emulate.c): src/cpu on a vCPU's registers and memory ----------------------- */

size_t step_emulator_size(void);
void step_emulator_init(struct step *step, void *memory);

/*
 * One instruction, or up to `budget` within the request's range.  False: declined, and nothing has
 * changed; else *outcome says how it ended.
 */
bool step_emulate(struct step *step, unsigned vcpu, const struct step_request *request,
                  unsigned budget, enum step_outcome *outcome, struct ringside_exit *exit);

/* An event to be delivered at regs->rip: an exception, NMI (vector 2) or an external interrupt. */
struct step_event {
    enum { STEP_EXTERNAL, STEP_NMI, STEP_EXCEPTION } kind;
    uint8_t vector;
    bool has_error;
    uint32_t error;
    uint64_t cr2, dr6;
};
/* Deliver it to the vCPU: its registers are then at the handler's first instruction. */
enum step_outcome step_deliver(struct step *step, unsigned vcpu, const struct ringside_regs *regs,
                               const struct step_event *event);

/* What comes of the instruction at regs->rip, nothing of which is kept.  Those of other engines
 * (ports, MSRs at CPL 0, what this CPU does not know) are not always foreseen. */
enum step_trial {
    STEP_TRIAL_UNKNOWN,
    STEP_TRIAL_FAULT,     /* *fault: its instruction is not executed */
    STEP_TRIAL_COMPLETES, /* *hits: the bits of the guest's own breakpoints, in DR6's layout */
};
enum step_trial step_try(struct step *step, unsigned vcpu, const struct ringside_regs *regs,
                         struct step_event *fault, uint64_t *hits);

/* The instruction at regs->rip; false if it cannot be fetched or decoded. */
bool step_peek(struct step *step, unsigned vcpu, const struct ringside_regs *regs,
               struct x86_insn *insn);
/* Guest memory by linear address, as the vCPU with these registers sees it at CPL 0. */
bool step_read(struct step *step, unsigned vcpu, const struct ringside_regs *regs, uint64_t linear,
               void *buffer, unsigned n);
bool step_write(struct step *step, unsigned vcpu, const struct ringside_regs *regs, uint64_t linear,
                const void *buffer, unsigned n);

#endif
