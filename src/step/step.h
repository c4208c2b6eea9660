/* Ways to make one vCPU execute exactly one instruction, and the choice among them. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef STEP_STEP_H
#define STEP_STEP_H

#include "ringside/target.h"

/* The engine's answer to the probe at start, cut down to what is built and what the user allows. */
struct step {
    const struct ringside_target *target;
    void *ctx;
    unsigned offered; /* cached: the probe is never repeated */
    unsigned allowed;
};

/* One step or, with a range that is not empty, steps for as long as begin <= RIP < end. */
struct step_request {
    bool hold_interrupts;
    uint64_t begin, end;
};

/* Probes on vCPU 0.  allowed is a mask of enum ringside_step_way; 0 allows all. */
void step_init(struct step *step, const struct ringside_target *target, void *ctx,
               unsigned allowed);
/* All ways that this build can drive. */
unsigned step_built(void);
/* The preferred way that is both offered and allowed, or 0. */
unsigned step_chosen(const struct step *step);
/* RINGSIDE_ENOTSUP, and nothing changed, if no way of the mask is offered; a mask of 0 allows all.
 */
int step_allow(struct step *step, unsigned allowed);

/* As the command line and "monitor step-method" write it; NULL for 0 or more than one way. */
const char *step_name(unsigned way);
unsigned step_by_name(const char *name, size_t n); /* 0 if there is no such way */

/*
 * Arm the next entry of this vCPU with the chosen way.  The engine then reports RINGSIDE_EXIT_STEP;
 * after one for a range the caller looks whether RIP has left it, and arms again if not.  Errors as
 * the engine's, and RINGSIDE_ENOTSUP without any way.
 */
int step_arm(const struct step *step, unsigned vcpu, const struct step_request *request);
void step_disarm(const struct step *step, unsigned vcpu);

#endif
