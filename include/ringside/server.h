/* The debug server: bytes of the GDB remote protocol in and out, and what vCPU threads tell it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef RINGSIDE_SERVER_H
#define RINGSIDE_SERVER_H

#include "ringside/port.h"
#include "ringside/target.h"

struct ringside;

struct ringside_config {
    const struct ringside_target *target;
    const struct ringside_port *port; /* NULL: one thread */
    void *ctx;                        /* handed to all callbacks of target and port */
    bool hold_at_start;    /* vCPUs park before their first instruction until a debugger says go */
    bool stop_on_attach;   /* default true in the tool */
    bool resume_on_detach; /* likewise */
    bool amd;           /* the guest's processor follows AMD's manual where it and Intel's differ */
    unsigned step_ways; /* allowed ways, enum ringside_step_way; 0: all */
    const char *version; /* for "monitor version"; static */
};

/* Memory the server needs; the caller provides it, aligned to 16, and frees it after the last call.
 * Most of it (a table of breakpoints) is not touched before it is used. */
size_t ringside_size(unsigned vcpus);
/* Starts the server; probes stepping once on vCPU 0.  NULL if config is unusable. */
struct ringside *ringside_init(void *memory, const struct ringside_config *config);

/*
 * The connection.  One debugger at a time: ringside_connect returns RINGSIDE_ENOSPC while there is
 * one (the caller then sends ringside_busy_message() and closes).  One call at a time.
 */
int ringside_connect(struct ringside *rs);
const char *ringside_busy_message(void); /* a packet that says that the seat is taken */
/* The peer closed, or was closed: all breakpoints are removed and the guest goes on (by config).
 * Does nothing while there is no debugger. */
void ringside_disconnect(struct ringside *rs);
/*
 * Bytes from the peer; returns how many were taken.  Fewer than n while replies wait to be drained
 * or vCPUs are still on their way to a stop: keep the rest and offer it again after ringside_sent()
 * or the notification.
 */
size_t ringside_input(struct ringside *rs, const void *bytes, size_t n);
/* The session is over (the peer detached or killed, the guest ended): drain the output, close, and
 * call ringside_disconnect. */
bool ringside_finished(struct ringside *rs);
/* Bytes for the peer: points *bytes at them and returns how many; ringside_sent says how many went.
 */
size_t ringside_output(struct ringside *rs, const void **bytes);
void ringside_sent(struct ringside *rs, size_t n);
/* Something happened outside ringside_input (a stop): called with the lock held, on any thread, so
 * that the output is drained, and the input offered that was not taken.  May be NULL. */
void ringside_set_notify(struct ringside *rs, void (*notify)(void *ctx));

/*
 * What a vCPU thread does next: asked before every guest entry, and again after every kick, by
 * vCPUs that sleep (halted, waiting for SIPI) as well.  A kick that comes between the verdict RUN
 * and the entry must not be lost.
 */
enum ringside_verdict {
    RINGSIDE_RUN,   /* enter the guest */
    RINGSIDE_PARK,  /* stay out: call ringside_vcpu_wait(), or look after another vCPU and ask again
                     */
    RINGSIDE_AGAIN, /* the server executed instructions of this vCPU itself: ask again */
};
enum ringside_verdict ringside_vcpu_enter(struct ringside *rs, unsigned vcpu);
/* Returns when ringside_vcpu_enter may say RUN.  Only with a port that has wait. */
void ringside_vcpu_wait(struct ringside *rs, unsigned vcpu);

/* What a vCPU thread saw when it came out of the guest. */
enum ringside_exit_reason {
    RINGSIDE_EXIT_OTHER,      /* nothing for the debugger: a kick, a time slice, a host interrupt */
    RINGSIDE_EXIT_BREAKPOINT, /* a breakpoint of ours, at RIP; the instruction has not run */
    RINGSIDE_EXIT_WATCH, /* a watchpoint of ours; kind and address below; the instruction has run */
    RINGSIDE_EXIT_CATCH, /* what the debugger wants to be told of has happened; caught below */
    RINGSIDE_EXIT_HALT,  /* the vCPU sleeps: HLT has run, or it waits for SIPI */
    RINGSIDE_EXIT_SHUTDOWN, /* triple fault */
    /* The engine cannot execute the instruction at RIP, and nothing has happened: the server does,
     * or arms a step of it while no other vCPU is in the guest. */
    RINGSIDE_EXIT_DECLINED,
    RINGSIDE_EXIT_ERROR, /* the engine cannot go on with this vCPU */
    /* The rest only while a step is armed (ringside/target.h). */
    RINGSIDE_EXIT_MONITOR_TRAP,    /* the monitor trap: one instruction or event delivery */
    RINGSIDE_EXIT_INTERRUPT,       /* what waited behind the global interrupt flag */
    RINGSIDE_EXIT_DEBUG_EXCEPTION, /* #DB, not delivered; dr6 below */
    RINGSIDE_EXIT_EXCEPTION, /* another exception, not delivered; RIP as its frame would have it */
    RINGSIDE_EXIT_EMULATED,  /* the engine completed an instruction, with a #DB for RFLAGS.TF (if
                                set)  noted in pending_debug */
};
struct ringside_exit {
    enum ringside_exit_reason reason;
    enum ringside_watch_kind
        watch_kind; /* of EXIT_WATCH; RINGSIDE_WATCH_EXEC: a hardware breakpoint */
    uint64_t watch_address;
    /* Of EXIT_BREAKPOINT and a hardware breakpoint's EXIT_WATCH: where the instruction is, in
     * guest-physical memory, if the engine knows; else the server walks the page tables. */
    bool has_gpa;
    uint64_t gpa;
    struct ringside_caught caught; /* of EXIT_CATCH */
    uint64_t dr6;   /* of EXIT_DEBUG_EXCEPTION: the conditions met, in DR6's layout */
    uint8_t vector; /* of EXIT_EXCEPTION, as are the rest */
    bool has_error;
    uint32_t error;
    uint64_t cr2; /* of #PF */
};
void ringside_vcpu_exit(struct ringside *rs, unsigned vcpu, const struct ringside_exit *exit);

/* The guest is gone: tells the debugger (W status) and ends the session after the output is
 * drained.  From the thread of the connection, or before it runs. */
void ringside_guest_ended(struct ringside *rs, int status);

bool ringside_attached(const struct ringside *rs);

#endif
