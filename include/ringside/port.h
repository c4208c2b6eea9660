/* What the core asks of the host it runs on: a lock and a place for a vCPU thread to wait. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef RINGSIDE_PORT_H
#define RINGSIDE_PORT_H

/*
 * Threads and condition variables in a VMM, spinning on bare metal.  Where one thread does
 * everything (the soft engine, a fuzzer) there is no port at all: ringside_vcpu_wait() is then
 * never called, and a vCPU counts as parked as soon as it is told to.  The lock need not be
 * recursive.
 */
struct ringside_port {
    void (*lock)(void *ctx);
    void (*unlock)(void *ctx);
    /* Lock held; releases it, sleeps until wake of this vCPU (or without cause), takes it again. */
    void (*wait)(void *ctx, unsigned vcpu);
    void (*wake)(void *ctx, unsigned vcpu); /* lock held */
};

#endif
