/* A machine with a guest for the tests of stepping: run free, by single instructions, or stepped.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_STEP_MACHINE_H
#define TESTS_STEP_MACHINE_H

#include "engine/engine.h"

enum { CONSOLE_MAX = 1 << 16 };

struct machine {
    const struct engine_ops *ops;
    void *engine; /* a struct soft, where ops is soft_engine */
    void *server_memory;
    struct ringside *server; /* NULL: it runs free */
    char console[CONSOLE_MAX];
    size_t console_length;
    bool ended;
    int status;
    char reply[512]; /* the last packet of the server, without its frame */
    char said[512];  /* the console output (O) that came before it, in hexadecimal */
};

struct machine_config {
    const struct engine_ops *ops; /* NULL: soft_engine */
    enum soft_vendor vendor;
    bool no_shadow_step;
    bool served; /* by a debug server that holds the guest at its first instruction */
    const uint8_t *kernel;
    size_t kernel_size;
};

bool machine_start(struct machine *m, const struct machine_config *config);
void machine_end(struct machine *m);
/* The soft engine's: one instruction, event delivery or iteration without a server; false: the
 * guest has ended. */
bool machine_slice(struct machine *m);
/* Likewise: to the guest's end, not cut into pieces; false: it does not come to it. */
bool machine_run(struct machine *m);
/* Send a packet, let the guest run until it is answered; false: the guest has ended. */
bool machine_ask(struct machine *m, const char *packet);
bool machine_monitor(struct machine *m, const char *command);

void machine_regs(struct machine *m, struct ringside_regs *out);
uint64_t machine_regs_hash(const struct ringside_regs *regs);
/* All that the guest leaves behind: memory, what it printed, registers. */
uint64_t machine_hash(struct machine *m);
/* Which register is different?  NULL: none. */
const char *machine_difference(const struct ringside_regs *a, const struct ringside_regs *b,
                               uint64_t *in_a, uint64_t *in_b);

#endif
