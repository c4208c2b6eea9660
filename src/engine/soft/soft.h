/* The soft engine's own state: vCPUs, their shared clock, and what the debugger asked for. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ENGINE_SOFT_SOFT_H
#define ENGINE_SOFT_SOFT_H

#include "cpu/cpu.h"
#include "engine/engine.h"
#include "engine/soft/set.h"

/*
 * Virtual time. An instruction takes a fixed time, and one vCPU runs at a time: the vCPUs share one
 * clock, `time`, in instruction times since power-on. A vCPU's own clock, cpu->count + cpu->idle,
 * is set to it when its turn comes, so time and the TSCs never go backwards from one vCPU to
 * another.
 */
enum { SOFT_INSN_NS = 10, SOFT_TSC_HZ = 1000000000, SOFT_TSC_PER_INSN = 10 };
/* The longest turn of a vCPU while others could run, in instruction times. */
enum { SOFT_TURN = 10000 };

struct soft_vcpu {
    struct cpu *cpu;

    /* INIT and SIPI from a local APIC, applied between instructions: of the saved state. */
    bool init_pending, sipi_pending;
    uint8_t sipi_vector;

    /* An armed step; see step.c. */
    unsigned way; /* enum ringside_step_way; 0: none */
    bool hold_interrupts;
};

struct soft {
    struct soft_config config;
    struct vm *vm;
    struct ringside *server; /* NULL: none */
    struct soft_vcpu vcpu[VM_CPUS_MAX];
    void *code_memory;
    struct cpu_code *code;

    uint64_t time;         /* see above; of the running vCPU while one runs: soft_clock() */
    uint64_t instructions; /* that all vCPUs have executed */
    unsigned turn;         /* the vCPU whose turn it is */
    uint64_t turn_end;     /* when it ends, if others can run */

    struct cpu *running; /* NULL between turns */
    unsigned running_index;
    uint64_t run_end; /* when the running vCPU comes out at the latest */
    bool touched;     /* the running vCPU used a device, a port or an MSR of one */
    bool poked;       /* cpu->yield was set for the engine's own reasons: no PAUSE */
    bool served;      /* the server executed instructions of a vCPU itself */
    bool ended;

    struct soft_set breakpoints;       /* guest-physical */
    struct soft_set code_watches;      /* linear */
    uint32_t code_watch_offsets[4096]; /* how many of them by offset in a page */
    struct cpu_watch *watches;         /* sorted by address */
    size_t watch_count, watch_capacity;
};

extern const struct cpu_bus soft_bus; /* bus.c; ctx is the struct soft */

/* soft.c: the host side of the machine; ctx is the struct soft. */
uint64_t soft_clock(const struct soft *soft); /* instruction times, exact while a vCPU runs */
void soft_poke(struct soft *soft);            /* the running vCPU comes out after its instruction */

void soft_declined(struct soft *soft, unsigned index, struct ringside_exit *exit);

extern const struct ringside_target soft_target_ops; /* target.c; likewise */
extern const struct ringside_step_ops soft_step_ops; /* step.c; ctx is the struct soft */
/* One turn of a vCPU with an armed step, up to `limit` of its count. */
void soft_step_turn(struct soft *soft, unsigned index, uint64_t limit, struct ringside_exit *exit);

/* target.c: does a breakpoint of ours really stand at the vCPU's RIP? *exit says which kind. */
bool soft_breakpoint_hit(struct soft *soft, unsigned index, struct ringside_exit *exit);
void soft_watch_exit(const struct cpu *cpu, struct ringside_exit *exit);
void soft_catch_exit(const struct cpu *cpu, struct ringside_exit *exit);

#endif
