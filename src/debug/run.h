/* What the two sides of run control share; the life of the fields is told above struct debug_vcpu.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DEBUG_RUN_H
#define DEBUG_RUN_H

#include "debug/debug.h"

static inline bool debug_is_threaded(const struct debug *debug)
{
    return debug->port && debug->port->wait;
}

static inline void debug_vcpu_look(struct debug_vcpu *v, bool value)
{
    __atomic_store_n(&v->look, value, __ATOMIC_RELEASE);
}

/* run.c */
void debug_vcpu_disarm(struct debug *debug, unsigned vcpu);
void debug_stop_for(struct debug *debug, unsigned vcpu, enum debug_reason reason);
void debug_settle(struct debug *debug); /* the stop is complete with its last vCPU */
/* Must its first step be the one that takes it off a breakpoint that was shown already? */
bool debug_must_leave(struct debug *debug, unsigned vcpu);
bool debug_is_alone(const struct debug *debug, unsigned vcpu); /* the others are parked */
/* The vCPU has the guest for itself as soon as the others came out; and: they go on. */
void debug_lone_begin(struct debug *debug, unsigned vcpu);
void debug_lone_end(struct debug *debug);

/* entry.c */
void debug_step_parked(struct debug *debug, unsigned vcpu); /* it alone goes on, by a step */

#endif
