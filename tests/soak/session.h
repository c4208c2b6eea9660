/* A machine of any engine and a debugger, in one process: for long runs. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef SOAK_SESSION_H
#define SOAK_SESSION_H

#include "engine/engine.h"

struct session {
    const struct engine_ops *ops;
    void *engine;
    struct soft *soft;   /* the same, where it is the soft engine */
    struct ringside *rs; /* NULL: nobody has attached yet */
    void *memory;
    bool amd, skip_idle;
    bool deaf;  /* the console takes nothing */
    bool ended; /* the guest asked for it */
    char console[1 << 16];
    size_t console_length;
    char reply[1 << 14]; /* the payload of the latest packet */
};

_Noreturn void session_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A machine without a server; the vendor is the soft engine's choice. */
void session_machine(struct session *s, const struct engine_ops *ops, const struct vm_config *vm,
                     enum soft_vendor vendor);
/* The first time that makes the server; target may be the engine's with some groups left out. */
void session_attach(struct session *s, const struct ringside_target *target, unsigned step_ways);
void session_detach(struct session *s); /* "D" */
void session_free(struct session *s);

/* Send a packet whose reply comes later. */
void session_send(struct session *s, const char *packet);
/* Send a packet and run the guest until its reply is there. */
const char *session_ask(struct session *s, const char *packet);
void session_interrupt(struct session *s); /* Ctrl-C */
void session_expect(struct session *s, const char *packet, const char *start_of_reply);
/* A monitor command; its output goes unread. */
void session_monitor(struct session *s, const char *command);
/* The vCPU of the stop reply that came last. */
unsigned session_stopped(const struct session *s);
/* Let the guest run for a while, in which nothing is asked. */
void session_turn(struct session *s);
/* How long to wait for one thing that is to happen: until it is late, or the guest has ended. */
uint64_t session_limit(const struct session *s);
bool session_late(const struct session *s, uint64_t limit);
/* Without a debugger: run until the guest has printed text. */
void session_run_to(struct session *s, const char *text);

struct ringside_regs session_regs(struct session *s, unsigned vcpu);
/* Flat 32-bit code at rip, without paging. */
struct ringside_regs session_flat(uint64_t rip);
/* 64-bit code at rip.  Writes four page tables at `tables`: the first 2 MiB one to one, in pages of
 * 4 KiB.  The soft engine. */
struct ringside_regs session_long(struct session *s, uint64_t rip, uint64_t tables);

#endif
