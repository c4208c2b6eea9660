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

/* Ways to step (a bit mask).  All but the first are hardware that an engine may offer. */
enum ringside_step_way {
    RINGSIDE_STEP_EMULATE = 1 << 0, /* the server's own CPU executes the instruction */
    RINGSIDE_STEP_MONITOR_TRAP = 1 << 1,
    RINGSIDE_STEP_INTERRUPT_SHADOW = 1 << 2,
    RINGSIDE_STEP_TRAP_FLAG = 1 << 3,
};

/*
 * Optional: stepping hardware.  probe is called once, for vCPU 0 (the boot processor), before it
 * ever entered the guest; its answer serves all vCPUs.
 *
 * arm prepares every entry of this vCPU until disarm:
 *   MONITOR_TRAP      the monitor trap flag is set (Intel SDM vol. 3, "Monitor Trap Flag").  Exit:
 *                     RINGSIDE_EXIT_MONITOR_TRAP.
 *   INTERRUPT_SHADOW  each entry sets bit 0 of the VMCB's interrupt shadow (AMD APM vol. 2,
 *                     "Interrupt Shadows") while an NMI waits behind the cleared global interrupt
 *                     flag.  Exit: RINGSIDE_EXIT_INTERRUPT.  HLT is intercepted.
 *   TRAP_FLAG         exceptions (#DB among them), INT n, ICEBP and HLT are intercepted; the server
 *                     sets RFLAGS.TF by write_regs.  Exit: RINGSIDE_EXIT_DEBUG_EXCEPTION.
 * hold_interrupts keeps external interrupts and NMIs out of the guest; where it cannot be done it
 * is ignored.  A breakpoint of ours on the first instruction after arm does not fire.  An engine
 * that completes an instruction itself (port, MSR, CPUID, MMIO) exits with RINGSIDE_EXIT_EMULATED.
 */
enum { RINGSIDE_TAKEN_NMI = 256 };
struct ringside_step_ops {
    /* TRAP_FLAG is no more than its name: of exceptions only #DB is intercepted, HLT is not, and
     * after a step RFLAGS.TF is clear, whatever the instruction loaded.  The server then tries each
     * instruction on its own CPU before, and gives hardware those only that no event comes of. */
    bool bare_trap_flag;
    unsigned (*probe)(void *ctx, unsigned vcpu);
    int (*arm)(void *ctx, unsigned vcpu, unsigned way, bool hold_interrupts);
    void (*disarm)(void *ctx, unsigned vcpu);
    /* Optional: acknowledge the interrupt that this vCPU would take now, were it to enter: its
     * vector, or -1.  Without it a step with interrupts let in delivers none by itself. */
    int (*take_interrupt)(void *ctx, unsigned vcpu); /* RINGSIDE_TAKEN_NMI: an NMI */
    /* Needed for INTERRUPT_SHADOW: run n bytes of 64-bit code on a scratch vCPU that the guest
     * never sees, with gpr[] as given, by one entry armed with that way; gpr[] comes back as it was
     * at the exit.  Only during the start of the server. */
    int (*try_shadow)(void *ctx, const uint8_t *code, size_t n, uint64_t gpr[16]);
};

/* Optional: what the server needs to know to execute guest instructions itself, and fast. */
struct ringside_direct_ops {
    /* Is the page at gpa memory that may be read and written without side effects?  Pages that are
     * not are never touched by an emulated instruction. */
    bool (*is_memory)(void *ctx, uint64_t gpa);
    /* May be NULL.  The host address of the 4 KiB page at gpa; *writable is false where writes have
     * to go through write_memory.  Valid until the vCPU runs again. */
    uint8_t *(*page)(void *ctx, uint64_t gpa, bool *writable);
    /* May be NULL.  The server has executed n instructions of this vCPU: its time passes. */
    void (*executed)(void *ctx, unsigned vcpu, uint64_t n);
};

/* Optional: software breakpoints by guest-physical address that the engine keeps out of memory. */
struct ringside_breakpoint_ops {
    int (*insert)(void *ctx, uint64_t gpa);
    int (*remove)(void *ctx, uint64_t gpa);
    /* May be NULL.  The vCPU, at its next entry, executes the instruction at its RIP before
     * anything is delivered to it, and stops at no breakpoint there; then it runs on.  write_regs
     * takes that back.  Without it such an instruction is stepped over. */
    void (*pass)(void *ctx, unsigned vcpu);
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

/*
 * Optional: events that stop the guest once they have happened (RINGSIDE_EXIT_CATCH), beside the
 * triple fault, which always does.  Those of exceptions and interrupts have happened when RIP is at
 * the handler's first instruction; those of instructions when the instruction is done.
 */
enum ringside_catch_kind {
    RINGSIDE_CATCH_EXCEPTION, /* by vector, 0..31: faults, traps, and INT3, INTO, INT1 */
    RINGSIDE_CATCH_INTERRUPT, /* by vector, 0..255: from outside, NMI, INT n */
    RINGSIDE_CATCH_CR,        /* a write of CR0, CR3 or CR4, by its number */
    RINGSIDE_CATCH_MSR,       /* WRMSR, by the register's number */
    RINGSIDE_CATCH_PORT,      /* IN, OUT, INS, OUTS that touch the port */
    RINGSIDE_CATCH_HALT,      /* HLT; the number is 0 */
    /* The guest's own INT3 and INT1 (3 and 1): they do not reach it, RIP is behind them. */
    RINGSIDE_CATCH_TRAP,
};
#define RINGSIDE_CATCH_ANY UINT32_MAX
struct ringside_catch {
    enum ringside_catch_kind kind;
    uint32_t number; /* or RINGSIDE_CATCH_ANY */
};
/* One that has happened. */
struct ringside_caught {
    enum ringside_catch_kind kind;
    uint32_t number; /* the vector, register or first port; 0 of HLT */
    uint64_t rip;    /* of events: the one that was saved, where their handler returns to */
    uint64_t value;  /* what was written or, of a port, read; an exception's error code */
    bool has_error;  /* of exceptions */
    bool in;         /* of ports: was read */
};
struct ringside_catch_ops {
    /* What to catch from now on: the server's array, valid until the next call.  On error nothing
     * has changed; RINGSIDE_ENOTSUP: this engine cannot catch one of them. */
    int (*set)(void *ctx, const struct ringside_catch *catches, size_t count);
    const char *kinds; /* what it can catch, for a person; NULL: all of it */
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
    /* May be NULL.  What the debugger reads and writes next is as this vCPU has it: each has a
     * local APIC of its own.  Stopped. */
    void (*access_as)(void *ctx, unsigned vcpu);
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
    const struct ringside_direct_ops *direct;
    const struct ringside_breakpoint_ops *breakpoint;
    const struct ringside_watch_ops *watch;
    const struct ringside_catch_ops *catches;
    const struct ringside_fpu_ops *fpu;
    const struct ringside_msr_ops *msr;
    const struct ringside_machine_ops *machine;
};

#endif
