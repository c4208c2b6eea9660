/* What the core asks of the host it runs on: a lock and a place for a vCPU thread to wait. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef RINGSIDE_PORT_H
#define RINGSIDE_PORT_H

/*
 * Threads and condition variables in a VMM, spinning on bare metal; all NULL where one thread does
 * everything (the soft engine, a fuzzer): that thread then never calls ringside_vcpu_wait().
 */
struct ringside_port {
    void (*lock)(void *ctx);
    void (*unlock)(void *ctx);
    void (*wait)(void *ctx,
                 unsigned vcpu); /* lock held; releases it, waits for wake, takes it again */
    void (*wake)(void *ctx, unsigned vcpu); /* lock held */
};

#endif
