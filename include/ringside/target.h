/* The contract with a hypervisor: the callbacks through which the debug server reaches a guest. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef RINGSIDE_TARGET_H
#define RINGSIDE_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "ringside/regs.h"

/*
 * Every callback gets the ctx given to ringside_init().  Unless said otherwise it is called with
 * the server's lock held, on a thread that called into the server, while the vCPU it names is
 * parked (not inside its guest).  vCPUs are numbered from 0.  Outputs are untouched on error.
 */
enum ringside_error {
    RINGSIDE_OK = 0,
    RINGSIDE_EFAULT = -1,  /* no such memory, or it refused the access */
    RINGSIDE_EINVAL = -2,  /* the value cannot be put there (a reserved bit, a bad register) */
    RINGSIDE_ENOSPC = -3,  /* no free hardware slot */
    RINGSIDE_ENOTSUP = -4, /* this engine cannot do that */
    RINGSIDE_EIO = -5,     /* the engine failed; the vCPU may be lost */
};

/* Ways to step that an engine's hardware can offer (a bit mask). */
enum ringside_step_way {
    RINGSIDE_STEP_EMULATE = 1 << 0, /* needs nothing of the engine */
    RINGSIDE_STEP_MONITOR_TRAP = 1 << 1,
    RINGSIDE_STEP_INTERRUPT_SHADOW = 1 << 2,
    RINGSIDE_STEP_TRAP_FLAG = 1 << 3,
};

/*
 * Optional: stepping hardware.  probe is called once, for vCPU 0 (the boot processor), when the
 * server starts; its answer serves all vCPUs.  arm makes the next entry of this vCPU exit after
 * exactly one instruction or event delivery with RINGSIDE_EXIT_STEP; it stays armed over exits that
 * are no step, until disarm.  A breakpoint of ours (of either kind) on that one instruction does
 * not fire: an armed step is also how a vCPU leaves a breakpoint.  A halted vCPU's next step is the
 * delivery of the event that wakes it.  hold_interrupts may be ignored where it cannot be done.
 */
struct ringside_step_ops {
    unsigned (*probe)(void *ctx, unsigned vcpu);
    int (*arm)(void *ctx, unsigned vcpu, unsigned way, bool hold_interrupts);
    void (*disarm)(void *ctx, unsigned vcpu);
    /* Optional (may be NULL): as many steps as fit while begin <= RIP < end, at most budget
     * instructions, without leaving the engine; the exit comes when RIP left the range, the budget
     * is used up, or anything else would end a single step.  Both ends are RIP values.  Only the
     * first instruction passes a breakpoint of ours that stands on it. */
    int (*arm_range)(void *ctx, unsigned vcpu, unsigned way, bool hold_interrupts, uint64_t begin,
                     uint64_t end, uint64_t budget);
};

/* Optional: software breakpoints by guest-physical address that the engine keeps out of memory. */
struct ringside_breakpoint_ops {
    int (*insert)(void *ctx, uint64_t gpa);
    int (*remove)(void *ctx, uint64_t gpa);
};

/* Optional: hardware breakpoints and watchpoints by linear address, for all vCPUs at once. */
enum ringside_watch_kind {
    RINGSIDE_WATCH_EXEC, /* length is 1 */
    RINGSIDE_WATCH_WRITE,
    RINGSIDE_WATCH_READ,
    RINGSIDE_WATCH_ACCESS,
};
struct ringside_watch_ops {
    int (*insert)(void *ctx, enum ringside_watch_kind kind, uint64_t linear, uint64_t length);
    int (*remove)(void *ctx, enum ringside_watch_kind kind, uint64_t linear, uint64_t length);
};

/* Optional: x87, SSE and wider registers. */
struct ringside_fpu_ops {
    int (*read)(void *ctx, unsigned vcpu, struct ringside_fpu *out);
    int (*write)(void *ctx, unsigned vcpu, const struct ringside_fpu *in);
};

/* Optional: model-specific registers. */
struct ringside_msr_ops {
    int (*read)(void *ctx, unsigned vcpu, uint32_t msr, uint64_t *out);
    int (*write)(void *ctx, unsigned vcpu, uint32_t msr, uint64_t in);
};

/* Optional: the machine as a whole. */
struct ringside_machine_ops {
    void (*reset)(void *ctx);     /* as by the reset button; any thread */
    void (*power_off)(void *ctx); /* the guest's end: what GDB's "kill" asks for */
};

struct ringside_target {
    /* Required. */
    unsigned (*vcpu_count)(void *ctx); /* 1..256, constant */
    int (*read_regs)(void *ctx, unsigned vcpu, struct ringside_regs *out);
    int (*write_regs)(void *ctx, unsigned vcpu, const struct ringside_regs *in);
    /* Guest-physical memory; MMIO goes through the device.  All n bytes or an error. */
    int (*read_memory)(void *ctx, uint64_t gpa, void *buffer, size_t n);
    int (*write_memory)(void *ctx, uint64_t gpa, const void *buffer, size_t n);
    /* Make a vCPU that runs leave guest mode soon; any thread, any time; must not block. */
    void (*kick)(void *ctx, unsigned vcpu);

    /* Optional groups: NULL is never advertised to the debugger. */
    const struct ringside_step_ops *step;
    const struct ringside_breakpoint_ops *breakpoint;
    const struct ringside_watch_ops *watch;
    const struct ringside_fpu_ops *fpu;
    const struct ringside_msr_ops *msr;
    const struct ringside_machine_ops *machine;
};

#endif
