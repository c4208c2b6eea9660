/* The debugger behind the protocol: session, run control, breakpoints, the guest's memory. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DEBUG_DEBUG_H
#define DEBUG_DEBUG_H

#include "debug/agent.h"
#include "debug/table.h"
#include "ringside/server.h"
#include "step/step.h"
#include "x86/paging.h"

/* Errors are those of enum ringside_error.  All calls come with the server's lock held. */

enum {
    DEBUG_VCPUS_MAX = 256,
    DEBUG_BREAKPOINTS_MAX = 1 << 17,
    DEBUG_WATCHPOINTS_MAX = 1 << 14,
    DEBUG_EXPRESSIONS_MAX = 64, /* conditions and commands of one breakpoint */
    DEBUG_TEXT_MAX = 4096,      /* what the commands of one hit may print; the rest is cut off */
    DEBUG_CATCHES_MAX = 64,
};

/* What the debugger wants of one vCPU. */
enum debug_action {
    DEBUG_STAY,
    DEBUG_RUN,
    DEBUG_STEP, /* one step, and on while begin <= RIP < end */
};

enum debug_reason {
    DEBUG_REASON_NONE,      /* nothing happened; the vCPU was merely stopped */
    DEBUG_REASON_INTERRUPT, /* the debugger asked for the stop */
    DEBUG_REASON_STEP,
    DEBUG_REASON_BREAKPOINT,
    DEBUG_REASON_HARDWARE_BREAKPOINT,
    DEBUG_REASON_WATCHPOINT,
    DEBUG_REASON_CATCH,
    DEBUG_REASON_SHUTDOWN, /* triple fault */
    DEBUG_REASON_ERROR,    /* the engine, or the way to step, failed */
};

struct debug_tracepoint; /* debug/trace.h */

struct debug_stop {
    enum debug_reason reason;
    unsigned vcpu;
    enum ringside_watch_kind watch_kind;
    uint64_t watch_address;
    struct ringside_caught caught;
};

/*
 * One vCPU as run control sees it.  "Parked" means out of its guest until run control lets it in.
 *
 *            set by                                      cleared by
 *  action    debug_resume: what debug_plan noted         a stop of the guest: DEBUG_STAY
 *  planned   debug_plan                                  debug_resume
 *  look      whatever debug_enter must hear of           debug_enter, when nothing is left to do
 *  parked    debug_enter, saying PARK                    debug_enter, saying RUN
 *  fresh     debug_resume                                the first debug_enter after it
 *  step      debug_enter: the next entry is a step       the step's exit, or a stop
 *  leaving   debug_enter, with step: that step only      as step
 *            takes the vCPU off a breakpoint
 *  event     the exit that is worth a stop               debug_take_stop, or debug_resume
 *  shown     debug_take_stop: the debugger has seen      the step's exit; without a step the
 *            this vCPU stand at shown_rip, so that a     debug_enter that says RUN
 *            breakpoint there must not fire once more
 *  passes    an exit at a breakpoint whose condition     the debug_enter after it
 *            is false: as shown, and RIP is known
 *            to have a breakpoint
 *  traced    debug_trace_arrives: the tracepoints at     the step's exit; an entry that passes
 *            traced_rip have collected                   the place; a trace that starts
 *  steps_    debug_trace_hit: a tracepoint that is       each step; one after which it sleeps;
 *  left      followed by steps, those of `stepping`      a trace that starts
 *  unsaid    an exit at a breakpoint that cannot be      debug_enter, when there is room;
 *            judged, as the console is full              debug_resume
 *  declined  an exit that says so: the engine cannot     the step that it asks for; debug_resume
 *            execute what is at RIP
 *  cached    debug_regs                                  debug_enter, saying RUN; a reset
 *
 * With one thread (no port) a vCPU cannot be in its guest while the server is called: a stop parks
 * all vCPUs at once.
 */
struct debug_vcpu {
    enum debug_action action, planned;
    bool look; /* read without the lock */
    bool parked, fresh, leaving, shown, passes, unsaid, traced, declined, cached;
    struct step_state step;
    uint64_t begin, end; /* of DEBUG_STEP's range; equal: none */
    uint64_t planned_begin, planned_end;
    uint64_t shown_rip, traced_rip;
    struct debug_tracepoint *stepping;
    uint64_t steps_left;
    struct debug_stop event;
    struct ringside_regs regs;
};

enum debug_state {
    DEBUG_RUNNING,
    DEBUG_STOPPING, /* vCPUs are on their way out of the guest */
    DEBUG_STOPPED,  /* all are parked */
};

/* What the peer sends along with a breakpoint: the conditions, then the commands. */
struct debug_expression {
    const uint8_t *code; /* for debug/agent.h, not checked yet */
    size_t length;
};
struct debug_program {
    unsigned conditions, commands;
    struct debug_expression list[DEBUG_EXPRESSIONS_MAX];
};
struct debug_code; /* the same, kept */

/* What commands have printed and the peer was not sent yet. */
struct debug_console {
    uint32_t length;
    char text[4 * DEBUG_TEXT_MAX];
};

/* A breakpoint that the debugger set, by linear address. */
enum debug_place {
    DEBUG_PENDING,  /* nowhere: the page is not mapped, to be tried again */
    DEBUG_LINEAR,   /* likewise, but the engine watches the linear address meanwhile */
    DEBUG_PHYSICAL, /* in the engine, at the guest-physical address gpa */
};
struct debug_breakpoint {
    struct debug_item item; /* key: linear address */
    uint64_t gpa;
    enum debug_place place;
    bool asked;                            /* by the debugger; else by tracepoints alone */
    struct debug_code *code;               /* NULL: every hit is a stop */
    struct debug_tracepoint *traces;       /* those at this address */
    struct debug_breakpoint *next, **link; /* of those at the same site, or pending */
};
/* A guest-physical place with a breakpoint in the engine; several linear addresses may share it. */
struct debug_site {
    struct debug_item item; /* key: guest-physical address */
    struct debug_breakpoint *first;
};
/* A hardware breakpoint or watchpoint. */
struct debug_watch {
    struct debug_item item; /* key: a hash of the rest */
    uint64_t address, length;
    enum ringside_watch_kind kind;
    struct debug_code *code; /* of RINGSIDE_WATCH_EXEC */
};

struct debug {
    const struct ringside_target *target;
    const struct ringside_port *port; /* NULL: one thread */
    void *ctx;
    void (*notify)(void *ctx); /* may be NULL */
    bool in_input;             /* the peer's bytes are being read: what that leads to is no news */
    bool stop_on_attach, resume_on_detach;

    struct step step;
    bool step_interrupts; /* a step lets interrupts in */

    bool attached; /* read without the lock */
    enum debug_state state;
    bool stop_ready;        /* stopped, and debug_take_stop was not called since */
    struct debug_stop stop; /* the latest, once stop_ready */
    unsigned event_vcpu;    /* whose event began the stop */

    struct debug_table breakpoints, sites, watches;
    struct debug_breakpoint *pending; /* those that are not DEBUG_PHYSICAL */
    uint32_t code_watches;            /* watches of RINGSIDE_WATCH_EXEC */

    unsigned char *code; /* code.c: blocks, as far as used; those that are free again, by size */
    size_t code_used;
    struct debug_code *free_code[9];
    struct debug_console console;
    /* The registers by the numbers that expressions use.  NULL: there are none. */
    bool (*has_register)(void *ctx, unsigned number);
    bool (*read_register)(void *ctx, unsigned vcpu, unsigned number, uint64_t *value);
    /* The values one behind the other, as many bytes as they have on the wire. */
    void (*collect_registers)(void *ctx, unsigned vcpu, const uint16_t *numbers, unsigned count,
                              uint8_t *bytes);
    void *registers_ctx;
    struct ringside_catch catches[DEBUG_CATCHES_MAX]; /* in the order they were set */
    unsigned catch_count;
    struct debug_trace *trace; /* debug/trace.h */

    unsigned vcpu_count;
    struct debug_vcpu *vcpus;
    /* One more than the vCPU that leaves a breakpoint by hardware, which may have to lift it for
     * all: the others stay out of the guest until its step is over.  0: none. */
    unsigned lone;
};

/* session.c */
size_t debug_size(unsigned vcpus); /* beside struct debug itself */
int debug_init(struct debug *debug, void *memory, const struct ringside_config *config);
bool debug_is_attached(const struct debug *debug); /* the lock is not needed */
int debug_attach(struct debug *debug);             /* RINGSIDE_ENOSPC: somebody is */
/* Removes everything that the debugger put into the guest, and resumes it if so configured. */
void debug_detach(struct debug *debug);
int debug_reset(struct debug *debug); /* the machine; stopped */
int debug_power_off(struct debug *debug);

/* run.c */
void debug_stop_all(struct debug *debug, unsigned vcpu, const struct debug_stop *event);
void debug_interrupt(struct debug *debug); /* as Ctrl-C */
void debug_plan(struct debug *debug, unsigned vcpu, enum debug_action action, uint64_t begin,
                uint64_t end);
/*
 * Let go of the vCPUs that have a plan.  Stopped.  RINGSIDE_ENOTSUP, with nothing done, if there is
 * no way to step and a step is needed.  A stop may be ready at once.
 */
int debug_resume(struct debug *debug);
void debug_resume_all(struct debug *debug); /* without a debugger: nothing is left to step over */
/* False until the guest is stopped and the stop is news; then *stop tells, once. */
bool debug_take_stop(struct debug *debug, struct debug_stop *stop);
bool debug_must_look(const struct debug *debug, unsigned vcpu); /* the lock is not needed */
bool debug_must_wait(const struct debug *debug, unsigned vcpu);

/* entry.c */
enum ringside_verdict debug_enter(struct debug *debug, unsigned vcpu);
void debug_exit(struct debug *debug, unsigned vcpu, const struct ringside_exit *exit);
/* Let steps that no engine sees know of the breakpoints. */
void debug_hook_steps(struct debug *debug);

/* registers.c; stopped */
const struct ringside_regs *debug_read_regs(struct debug *debug, unsigned vcpu);
static inline const struct ringside_regs *debug_regs(struct debug *debug, unsigned vcpu)
{
    const struct debug_vcpu *v = &debug->vcpus[vcpu];

    return v->cached ? &v->regs : debug_read_regs(debug, vcpu); /* NULL: failed */
}
int debug_set_regs(struct debug *debug, unsigned vcpu, const struct ringside_regs *regs);

const char *debug_mode(const struct ringside_regs *regs); /* in words */
unsigned debug_ring(const struct ringside_regs *regs);    /* the current privilege level */

/* memory.c; stopped; linear addresses in the active translation of the vCPU */
int debug_translate(struct debug *debug, unsigned vcpu, uint64_t linear, uint64_t *gpa);
/* The walk itself, for those who want to see it; RINGSIDE_EIO if the vCPU cannot be read. */
int debug_walk(struct debug *debug, unsigned vcpu, uint64_t linear, struct x86_walk *walk);
/* The addresses that the mode does not have: beyond 32 bits, or between the two halves of long
 * mode.  False: the vCPU cannot be read. */
bool debug_noncanonical(struct debug *debug, unsigned vcpu, uint64_t *first, uint64_t *last);
/* Accesses by guest-physical address, through the target, are this vCPU's from here on. */
void debug_access_as(struct debug *debug, unsigned vcpu);
/* How many bytes were transferred, from the first on. */
size_t debug_read(struct debug *debug, unsigned vcpu, uint64_t linear, void *buffer, size_t n);
size_t debug_write(struct debug *debug, unsigned vcpu, uint64_t linear, const void *buffer,
                   size_t n);

/* code.c: conditions and commands */
size_t debug_code_size(void);
/* RINGSIDE_EINVAL and RINGSIDE_ENOTSUP: as agent_check(); *out is NULL for a program that is NULL
 * or empty. */
int debug_code_new(struct debug *debug, const struct debug_program *program,
                   struct debug_code **out);
void debug_code_free(struct debug *debug, struct debug_code *code);
unsigned debug_code_conditions(const struct debug_code *code); /* how many */
unsigned debug_code_commands(const struct debug_code *code);
bool debug_code_can_run(const struct debug *debug); /* there is room for what it prints */
/* A hit: is it a stop?  It is with a condition that is true, or none, unless there are commands:
 * then these are run instead. */
bool debug_code_stops(struct debug *debug, unsigned vcpu, const struct debug_code *code);

/* breakpoint.c; removing what is not set is fine, and setting what is set replaces its program */
int debug_breakpoint_set(struct debug *debug, unsigned vcpu, uint64_t linear,
                         const struct debug_program *program);
int debug_breakpoint_clear(struct debug *debug, uint64_t linear);
void debug_breakpoints_clear_all(struct debug *debug); /* tracepoints are told before */
/* A tracepoint comes to its address, which is a breakpoint from then on, and leaves it. */
int debug_breakpoint_trace(struct debug *debug, unsigned vcpu, struct debug_tracepoint *t);
void debug_breakpoint_untrace(struct debug *debug, struct debug_tracepoint *t);
/* A step is about to begin at RIP: tracepoints there collect, unless they have. */
void debug_breakpoint_pass(struct debug *debug, unsigned vcpu);
void debug_breakpoints_bind(struct debug *debug); /* try again what is not mapped yet */
/* Would the instruction at RIP be stopped by a breakpoint of either kind? */
bool debug_breakpoint_at(struct debug *debug, unsigned vcpu);
/* The vCPU has come to RIP, which is at *gpa (NULL: wherever its page tables say): what do the
 * breakpoints there make of it? */
enum debug_met {
    DEBUG_MET_NONE,   /* there is none */
    DEBUG_MET_STOP,   /* *reason says by which kind */
    DEBUG_MET_PASSES, /* their conditions are false, or they had their commands run */
    DEBUG_MET_UNSAID, /* there is no room for what they may print: ask again */
};
enum debug_met debug_breakpoint_met(struct debug *debug, unsigned vcpu, const uint64_t *gpa,
                                    enum debug_reason *reason);

/* catch.c; only with the target's group; setting what is set and removing what is not are fine */
int debug_catch_set(struct debug *debug, const struct ringside_catch *what);
int debug_catch_clear(struct debug *debug, const struct ringside_catch *what);
void debug_catches_clear_all(struct debug *debug);

/* watch.c */
int debug_watch_set(struct debug *debug, enum ringside_watch_kind kind, uint64_t address,
                    uint64_t length, const struct debug_program *program);
int debug_watch_clear(struct debug *debug, enum ringside_watch_kind kind, uint64_t address,
                      uint64_t length);
void debug_watches_clear_all(struct debug *debug);
const struct debug_watch *debug_watch_find(const struct debug *debug, enum ringside_watch_kind kind,
                                           uint64_t address, uint64_t length);

#endif
