/* Ways to make one vCPU execute exactly one instruction, and the choice among them. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef STEP_STEP_H
#define STEP_STEP_H

#include "ringside/server.h"

enum { STEP_WATCHES_MAX = 1 << 14 };

struct step_emulator;

/* What a server knows about stepping its machine. */
struct step {
    const struct ringside_target *target;
    void *ctx;
    unsigned offered; /* the engine's answer to the probe, and EMULATE: cached, never asked again */
    unsigned allowed; /* by the user */
    bool amd;
    struct step_emulator *emulator;

    /* The debugger's breakpoints, for instructions that no engine sees.  In an emulated range each
     * instruction is checked as it is decoded, and with code_watches also by linear address. */
    void *owner;
    bool (*breakpoint)(void *owner, uint64_t gpa);
    bool (*code_watch)(void *owner, uint64_t linear);
    bool code_watches;

    struct ringside_caught caught; /* of STEP_CATCH */
};

/* One step or, with a range that is not empty, steps for as long as begin <= RIP < end. */
struct step_request {
    bool hold_interrupts;
    bool alone;         /* no other vCPU can run meanwhile */
    bool on_breakpoint; /* hardware may not do it now: it has to lift a breakpoint */
    bool declined;      /* by the engine: may be emulated whatever the user prefers */
    bool no_locks; /* step_begin's: one can, and hardware is there for what must be one access */
    uint64_t begin, end;
};

/* What is in force on a vCPU from step_begin() to step_end() or step_cancel(). */
struct step_state {
    unsigned way; /* 0: nothing */
    uint16_t op;  /* enum x86_op of the instruction to be stepped; 0: not known */
    uint8_t length;
    uint64_t rip;
    bool guest_tf, repeats, debugctl_msr; /* its TF; REP; it reads or writes DEBUGCTL */
    uint64_t sfmask, debugctl, dr6, r11;  /* what the guest has, while we borrow them */
    uint64_t image;                       /* linear address of the flags that PUSHF writes */
    uint8_t image_size;
    bool tried; /* by the emulator: completes, and hits these of the guest's breakpoints */
    uint64_t hits, pending; /* in DR6's layout; pending: what waited behind the shadow of MOV SS */
};

enum step_outcome {
    STEP_ENTER, /* armed, or asleep: enter the guest, and hear of it by step_end() */
    STEP_ALONE, /* hardware has to do it: begin again when no other vCPU can run */
    STEP_AGAIN, /* some of a range is done: begin again */
    STEP_DONE,
    STEP_WATCH,      /* done, and it hit a watchpoint: exit says which */
    STEP_CATCH,      /* done, and it met step->caught */
    STEP_BREAKPOINT, /* the next instruction of the range has a breakpoint */
    STEP_SHUTDOWN,   /* triple fault */
    STEP_NOT_OURS,   /* the exit means something else; the step is cancelled */
    STEP_FAILED,     /* no way works, or the engine failed */
};

size_t step_size(void); /* memory for step_init(), aligned to 16; a multiple of 16 */
/* Probes on vCPU 0.  The ways allowed are config's. */
void step_init(struct step *step, void *memory, const struct ringside_config *config);
/* The preferred way that is both offered and allowed, or 0. */
unsigned step_chosen(const struct step *step);
/* RINGSIDE_ENOTSUP, and nothing changed, if no way of the mask is offered; a mask of 0 allows all.
 */
int step_allow(struct step *step, unsigned allowed);

/* As the command line and "monitor step-method" write it; NULL for 0 or more than one way. */
const char *step_name(unsigned way);
unsigned step_by_name(const char *name, size_t n); /* 0 if there is no such way */

/*
 * Before an entry of a vCPU that shall step: executes without the guest's hardware if it can, else
 * arms the hardware.  *exit is filled for STEP_WATCH.
 */
enum step_outcome step_begin(struct step *step, struct step_state *state, unsigned vcpu,
                             const struct step_request *request, struct ringside_exit *exit);
/* After an exit of a vCPU with state->way: is it the step?  STEP_ENTER: not yet, still armed. */
enum step_outcome step_end(struct step *step, struct step_state *state, unsigned vcpu,
                           const struct ringside_exit *exit);
/* The step shall not happen: the vCPU is as it was before step_begin(). */
void step_cancel(struct step *step, struct step_state *state, unsigned vcpu);

/* Watchpoints of the debugger, for instructions that no engine sees.  RINGSIDE_ENOSPC: too many. */
int step_watch_add(struct step *step, enum ringside_watch_kind kind, uint64_t linear,
                   uint64_t length);
void step_watch_remove(struct step *step, enum ringside_watch_kind kind, uint64_t linear,
                       uint64_t length);
/* Events to stop after, likewise: the caller's array, until the next call. */
void step_set_catches(struct step *step, const struct ringside_catch *catches, size_t count);

#endif
