/* What the tool asks of an engine, whichever it is: start it, run it, hand it the debugger. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "ringside/server.h"
#include "vm/boot.h"

/*
 * The soft engine: all vCPUs on the caller's thread, in turn, in virtual time.  A run depends on
 * its inputs only: memory, registers, console bytes and the virtual times at which they came.
 */
struct soft;

enum soft_vendor { SOFT_INTEL, SOFT_AMD };

struct soft_config {
    struct vm_config vm;
    enum soft_vendor vendor;
    bool no_shadow_step; /* AMD: the interrupt shadow lets nothing through, as on some hosts */
    void *ctx;           /* for the two callbacks */
    void (*serial_out)(void *ctx, uint8_t byte);
    void (*ended)(void *ctx, int what,
                  int status); /* enum vm_request: the guest asked for its end */
    /* A vCPU is at what the software CPU does not have: text says where and what.  With a debugger
     * attached it stands there, else the run has ended (SOFT_ENDED). */
    void (*declined)(void *ctx, const char *text);
};

struct soft *soft_new(const struct soft_config *config,
                      int *error); /* NULL: *error is an errno value */
void soft_free(struct soft *soft);
struct vm *soft_vm(struct soft *soft);
void soft_set_entry(struct soft *soft,
                    const struct ringside_regs *entry); /* of the boot processor */

/* The debugger's side (target.c); ctx of all callbacks is the struct soft. */
const struct ringside_target *soft_target(void);
void soft_set_server(struct soft *soft, struct ringside *server); /* NULL: run without a debugger */

enum soft_state {
    SOFT_BUSY,   /* the slice was used up: call again */
    SOFT_IDLE,   /* all vCPUs wait for an interrupt that only input can cause, or real time */
    SOFT_PARKED, /* the debugger holds all vCPUs that could run */
    SOFT_ENDED,  /* reset, power-off or exit was asked for */
};
/*
 * Run for about `instructions`.  skip_idle: when all vCPUs sleep, virtual time jumps to the next
 * timer at once; otherwise the engine returns SOFT_IDLE and *idle_ns says how long until the timer
 * (VM_NEVER: none), and the caller, having waited, passes the time that went by to
 * soft_pass_idle().
 */
enum soft_state soft_run(struct soft *soft, uint64_t instructions, bool skip_idle,
                         uint64_t *idle_ns);
void soft_pass_idle(struct soft *soft, uint64_t ns);

uint64_t soft_instructions(const struct soft *soft); /* of all vCPUs since power-on */
uint64_t soft_time(const struct soft *soft);         /* virtual nanoseconds since power-on */
uint64_t soft_hash(const struct soft *soft);         /* of all CPUs, devices and memory */
/* State of CPUs and devices as bytes (memory apart): save and restore. */
size_t soft_state_size(const struct soft *soft);
void soft_save(const struct soft *soft, void *out);
int soft_restore(struct soft *soft, const void *in, size_t n); /* -1: not a state of this machine */

/* --- Any engine ----------------------------------------------------------------------------- */

struct engine_config {
    struct vm_config vm;
    enum soft_vendor vendor; /* of the soft engine; KVM's is the host's */
    bool no_shadow_step;     /* as in struct soft_config */
    bool trap_int1;          /* KVM: INT1 in memory as a breakpoint, not INT3 */
    /* Called on the thread that calls run, whichever engine it is. */
    void *ctx;
    void (*serial_out)(void *ctx, uint8_t byte);
    /* How many bytes the console takes now: an engine with threads of its own keeps what is more,
     * and lets the guest wait when that is much. */
    size_t (*serial_takes)(void *ctx);
    /* enum vm_request: the guest asked for its end */
    void (*ended)(void *ctx, int what, int status);
    /* A vCPU is at what its engine cannot do: text says where and what.  With a debugger attached
     * it stands there, else the run has ended (ENGINE_ENDED). */
    void (*declined)(void *ctx, const char *text);
    /* The server has something for the debugger: from any thread of the engine, holding no lock.
     * False, or NULL: the tool's thread has to look (event_fd). */
    bool (*news)(void *ctx);
};

enum engine_state {
    ENGINE_BUSY,   /* the slice was used up: call again */
    ENGINE_IDLE,   /* nothing to do before an event, input, or some real time */
    ENGINE_PARKED, /* the debugger holds all vCPUs that could run */
    ENGINE_ENDED,  /* reset, power-off or exit was asked for */
};

/*
 * An engine as the tool sees it.  All calls come from one thread, which does the tool's I/O: a soft
 * machine runs on it, by slices; a KVM machine runs on threads of its own and is only looked after.
 */
struct engine_ops {
    const char *name; /* as "-e" takes it */
    void *(*create)(const struct engine_config *config,
                    int *error); /* NULL: *error is an errno value */
    void (*destroy)(void *engine);
    struct vm *(*vm)(void *engine); /* for the loader: not once it runs */
    void (*set_entry)(void *engine, const struct ringside_regs *entry); /* of the boot processor */
    bool (*is_amd)(void *engine);

    /* The debugger's side: ctx of target and port is the engine. */
    const struct ringside_target *target;
    const struct ringside_port *port;                          /* NULL: one thread */
    void (*set_server)(void *engine, struct ringside *server); /* before it runs */

    /*
     * Run for about `instructions`.  skip_idle: when all vCPUs sleep, virtual time jumps to the
     * next timer at once; otherwise the engine returns ENGINE_IDLE and *idle_ns says how long until
     * the timer (VM_NEVER: none), and the caller, having waited, passes the time that went by to
     * pass_idle().
     */
    enum engine_state (*run)(void *engine, uint64_t instructions, bool skip_idle,
                             uint64_t *idle_ns);
    void (*pass_idle)(void *engine, uint64_t ns);
    int (*event_fd)(
        void *engine); /* readable: call run and look at the server; -1: there is none */
    size_t (*serial_room)(void *engine);
    void (*serial_in)(void *engine, const void *bytes, size_t n);

    /* Of all vCPUs since power-on; NULL: they are not counted. */
    uint64_t (*instructions)(void *engine);
    void (*report)(void *engine, char *text, size_t size); /* what a run amounts to, in one line */
};

extern const struct engine_ops soft_engine, kvm_engine;

/* Can /dev/kvm run a guest here, and is all there that debugging a kernel takes?  With trap_int1 an
 * INT1 has to stop it. */
struct kvm_verdict {
    bool usable;
    char text[256]; /* what it lacks; empty: nothing */
};
void kvm_try(bool trap_int1, struct kvm_verdict *verdict);

#endif
