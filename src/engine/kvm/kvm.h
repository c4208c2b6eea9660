/* The KVM engine's own state: a machine on /dev/kvm, a thread per vCPU, and who owns what. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ENGINE_KVM_KVM_H
#define ENGINE_KVM_KVM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>

#include "engine/engine.h"
#include "engine/kvm/pages.h"

/*
 * Local APICs, I/O APIC, PIC pair and PIT are the kernel's; the other devices are src/vm's, which
 * knows one thread at a time: `devices` is the lock around every call into it.  `server_lock` is
 * the server's own (ringside/port.h).  Whoever holds both took server_lock first.
 *
 * A vCPU's ioctls are its thread's while it runs; while the server has it parked they are those of
 * any thread that holds server_lock.
 */

/* What debugging needs, found out once by try.c: the kernel's word is not enough. */
enum kvm_feature {
    KVM_CAN_SINGLESTEP = 1 << 0,
    KVM_CAN_BLOCKIRQ = 1 << 1,    /* interrupts held while stepping */
    KVM_CAN_INT3 = 1 << 2,        /* an INT3 of the guest's kernel exits */
    KVM_CAN_HW_BREAK = 1 << 3,    /* debug registers stop at code */
    KVM_CAN_HW_WATCH = 1 << 4,    /* and at data */
    KVM_CAN_RUN_KERNELS = 1 << 5, /* it runs on the processor, not in an emulator with gaps */
    KVM_STEPS_STALL = 1 << 6,     /* a step may end before anything has happened: again, then */
    KVM_CAN_BAR_WRITES = 1 << 7,  /* writes to protected pages come to us (pages.h) */
    KVM_CAN_BAR_CODE = 1 << 8,    /* and all else that needs such a page */
    KVM_CAN_CALL_OFF = 1 << 9,    /* a pending signal ends KVM_RUN before the guest runs */
    KVM_CAN_INT1 = 1 << 10,       /* an INT1 exits; found out only if asked for */
    KVM_TELLS_FAULTS = 1 << 11,   /* an access to an MSR that faults exits, if asked for */
    KVM_CAN_FILTER = 1 << 12,     /* and a write of one that is chosen */
};

enum {
    KVM_HW_SLOTS = 4,
    KVM_QUEUE = 1 << 16,
    KVM_XSAVE_COMPONENTS = 8,
    KVM_INT3 = 0xcc,
    KVM_INT1 = 0xf1
};
enum { KVM_STALLS_MAX = 32 }; /* more than an instruction has pages to be mapped, tables included */
#define KVM_LOOK (SIGRTMIN + 1) /* pending, it calls an entry off: kvm_take_interrupt() */
#define KVM_KICK SIGRTMIN       /* wakes a thread out of KVM_RUN; nothing is done in its handler */

/* All that the kernel says about a vCPU, but for its x87 and vector registers. */
enum { KVM_MSRS_MAX = 32 };
struct kvm_state {
    struct kvm_mp_state mp;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    struct kvm_debugregs debug;
    struct kvm_xcrs xcrs;
    struct kvm_vcpu_events events;
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entry[KVM_MSRS_MAX];
    } msrs;
};

struct kvm_watch {
    bool used;
    enum ringside_watch_kind kind;
    uint64_t address, length;
};

/* What a debug register of a vCPU is in force for, with KVM_GUESTDBG_USE_HW_BP. */
struct kvm_dr {
    enum { KVM_DR_FREE, KVM_DR_OURS, KVM_DR_GUEST } of;
    struct kvm_watch watch;
    unsigned number; /* the guest's own */
};

struct kvm_vcpu {
    struct kvm_machine *machine;
    unsigned index;
    int fd; /* -1: not made */
    struct kvm_run *run;
    pthread_t thread;
    bool started;
    pthread_cond_t wakes; /* with server_lock */
    bool woken;           /* with server_lock */
    bool inside;          /* in KVM_RUN, or about to be */
    uint64_t entries;     /* how often KVM_RUN was called */

    bool asleep;      /* and the server waits for what wakes it: kvm_take_interrupt() */
    bool unfinished;  /* an access was served; its instruction ends within the next KVM_RUN */
    bool shut_down;   /* by a triple fault: cannot be entered any more; told already */
    unsigned way;     /* enum ringside_step_way, armed; 0: none */
    bool hold;        /* its interrupts are held */
    bool single_step; /* the kernel has KVM_GUESTDBG_SINGLESTEP: then it hides RFLAGS.TF */
    unsigned stalls;  /* of this step, with KVM_STEPS_STALL: */
    struct kvm_regs before;
    uint64_t stray; /* the entry that may have one trap more, behind the last step */
    uint32_t debug; /* KVM_GUESTDBG_* as the kernel has them */
    struct kvm_dr dr[KVM_HW_SLOTS];
    bool own_changed; /* the guest's debug registers, since they went into dr */
    unsigned watches; /* machine->watches_changed as the kernel has them */
    unsigned removed; /* machine->removed at the latest entry */
    bool passing;     /* armed off the place `passed`, whose code breakpoints are left out */
    uint64_t passed;  /* linear */
    uint64_t lifted;  /* gpa of the breakpoint that is out of memory for a step; KVM_NOWHERE */
    unsigned pages;   /* machine->pages.changes as it was at the entry */
    /* Where the kernel could not execute an instruction, and what a step of it needs out of the
     * way; KVM_NOWHERE. */
    uint64_t declined;
    enum kvm_lift needs;
    bool lifts; /* machine->pages.lift is for it */
    /* Or a write of an MSR is caught there: `written`; kvm_lift() lets it through. */
    bool writes;
    bool unfiltered; /* it is let through */
    struct ringside_caught written;
    /* What an access that was served is told as, when its instruction is done. */
    bool owes;
    struct ringside_exit owed;

    /* What was read of it, until kvm_state_forget(). */
    bool state_known, fpu_known;
    struct kvm_state state;
    struct ringside_fpu fpu;
};
#define KVM_NOWHERE UINT64_MAX

/* A watchpoint beyond the debug registers, or that they cannot hold. */
enum { KVM_WATCH_BUCKETS = 1 << 12 };
struct kvm_paged_watch {
    enum ringside_watch_kind kind;
    uint64_t address, length; /* linear */
    struct kvm_paged_watch *next;
    size_t pieces;
    struct kvm_piece piece[]; /* one of each page */
};

struct kvm_machine {
    struct engine_config config;
    struct vm *vm;
    int fd, vm_fd;
    size_t run_size;
    unsigned features; /* enum kvm_feature */
    uint8_t trap_byte; /* what breakpoints are in memory; 0: nothing, their pages are barred */
    bool amd;
    struct kvm_vcpu vcpu[VM_CPUS_MAX];
    struct ringside *server; /* NULL: none */
    bool has_entry;          /* the boot processor's registers are set */
    bool running;            /* the threads are there */

    pthread_mutex_t devices;
    pthread_cond_t clock; /* a deadline moved, or the end */
    pthread_t ticker;
    uint64_t began; /* host nanoseconds */

    /* Under devices: what the tool's thread is to be told.  event is readable then. */
    int event;
    size_t queued;
    uint8_t queue[KVM_QUEUE]; /* console output */
    pthread_cond_t drained;
    bool ended; /* read without a lock too: no vCPU enters the guest any more */
    bool told;
    int ended_what, ended_status;
    char *trouble; /* malloc'ed; NULL: none */
    bool leaving;  /* read without a lock too: the threads end */

    pthread_mutex_t server_lock;
    uint64_t to_wake; /* vCPUs, and the tool's thread, once server_lock is free */
    bool news;
    struct kvm_pages pages; /* under server_lock */
    unsigned removed;       /* software breakpoints, counted */
    struct kvm_watch watch[KVM_HW_SLOTS];
    struct kvm_paged_watch *paged[KVM_WATCH_BUCKETS]; /* under server_lock */
    unsigned watches_changed; /* counts changes of watch[] and of whether there are trap bytes */

    unsigned accessor;     /* whose local APIC the debugger sees */
    uint8_t ioapic_select; /* the debugger's, not the guest's */

    unsigned msr_exits; /* KVM_MSR_EXIT_REASON_* that the kernel was asked for */
    bool filters;       /* writes of MSRs */
    /* The server's array, under server_lock; whether it is empty is read without it, too. */
    const struct ringside_catch *catches;
    size_t catch_count;

    uint32_t msrs[KVM_MSRS_MAX]; /* those of struct ringside_regs that this host has */
    unsigned msr_count;
    size_t xsave_size;
    size_t xsave_offset[KVM_XSAVE_COMPONENTS]; /* 0: not there */
};

/* kvm.c */
void kvm_tell_tool(struct kvm_machine *machine); /* wakes its thread */
bool kvm_leaving(const struct kvm_machine *machine);
int kvm_memory_slots(int vm_fd, struct vm *vm);

/* device.c: the host of src/vm, in real time.  The lock is taken inside but for vm_host's calls. */
extern const struct vm_host kvm_vm_host; /* but for its ctx */
int kvm_irqchip(int vm_fd);              /* the kernel's interrupt controllers; before vCPUs */
void kvm_port_access(struct kvm_vcpu *vcpu);
void kvm_leave_console(struct kvm_machine *machine); /* those who wait for it look around */
void kvm_mmio_access(struct kvm_vcpu *vcpu);
void *kvm_tick_devices(void *machine); /* the ticker thread */
/* enum vm_request, or KVM_FAILED: the tool has been told why.  Any thread. */
void kvm_end(struct kvm_machine *machine, int what, int status);
enum { KVM_FAILED = -1 };

/* vcpu.c */
int kvm_vcpu_make(struct kvm_machine *machine, unsigned index); /* 0 or a negative errno value */
void kvm_vcpu_unmake(struct kvm_vcpu *vcpu);
void *kvm_vcpu_thread(void *vcpu);
void kvm_vcpu_kick(struct kvm_vcpu *vcpu);

/* cpuid.c: what the guest's CPUID says */
int kvm_cpuid_set(struct kvm_vcpu *vcpu);
bool kvm_host_is_amd(void);

/*
 * state.c: read once, and kept until the kernel may have changed it: who enters the guest, or sets
 * a part of a vCPU by an ioctl of its own, says so.
 */
const struct kvm_state *kvm_state_read(struct kvm_vcpu *vcpu); /* NULL: the kernel refused */
/* Writes what differs; 0 or an enum ringside_error. */
int kvm_state_write(struct kvm_vcpu *vcpu, const struct kvm_state *state);
void kvm_state_forget(struct kvm_vcpu *vcpu);

/* regs.c, fpu.c; 0 or an enum ringside_error.  Writing touches only what differs. */
void kvm_find_msrs(struct kvm_machine *machine);
int kvm_regs_read(struct kvm_vcpu *vcpu, struct ringside_regs *out);
int kvm_regs_write(struct kvm_vcpu *vcpu, const struct ringside_regs *in);
int kvm_msr_read(struct kvm_vcpu *vcpu, uint32_t msr, uint64_t *out);
int kvm_msr_write(struct kvm_vcpu *vcpu, uint32_t msr, uint64_t in);
int kvm_queue_exception(struct kvm_vcpu *vcpu, uint8_t vector, uint64_t dr6); /* #BP or #DB */
void kvm_find_xsave(struct kvm_machine *machine);
int kvm_fpu_read(struct kvm_vcpu *vcpu, struct ringside_fpu *out);
int kvm_fpu_write(struct kvm_vcpu *vcpu, const struct ringside_fpu *in);

/* msr_exit.c: accesses to MSRs that come to us; server_lock held but for the exit */
void kvm_msr_tell(struct kvm_machine *machine); /* a step was armed, or is over */
void kvm_msr_exit(struct kvm_vcpu *vcpu);
/* Writes of these shall come; an enum ringside_error, and nothing changed. */
int kvm_msr_filter(struct kvm_machine *machine, const struct ringside_catch *catches, size_t count);
/* It was called off and shall be done by a step of its own. */
void kvm_msr_put_off(struct kvm_vcpu *vcpu);
bool kvm_msr_is_put_off(const struct kvm_vcpu *vcpu, const struct ringside_regs *regs);
void kvm_msr_let_through(struct kvm_vcpu *vcpu, bool through); /* others are parked */

/* catch.c: events that are caught */
extern const struct ringside_catch_ops kvm_catch_ops;
bool kvm_catches_traps(const struct kvm_machine *machine); /* INT3, INT1; server_lock held */
void kvm_catch_port(struct kvm_vcpu *vcpu);                /* of KVM_EXIT_IO that was served */

/* breakpoint.c: trap bytes in memory, and memory as if they were not there; server_lock held */
int kvm_breakpoint_insert(struct kvm_machine *machine, uint64_t gpa);
int kvm_breakpoint_remove(struct kvm_machine *machine, uint64_t gpa);
bool kvm_breakpoint_at(const struct kvm_machine *machine, uint64_t gpa);
void kvm_breakpoint_lift(struct kvm_machine *machine, uint64_t gpa, bool up);

/* memory.c: callbacks of the target; ctx is the machine */
int kvm_memory_read(void *ctx, uint64_t gpa, void *buffer, size_t n);
int kvm_memory_write(void *ctx, uint64_t gpa, const void *buffer, size_t n);
bool kvm_memory_is(void *ctx, uint64_t gpa);
uint8_t *kvm_memory_page(void *ctx, uint64_t gpa, bool *writable);
/* Of KVM_EXIT_MMIO: does what a page kept it from doing.  False: it is a device's. */
bool kvm_protected_access(struct kvm_vcpu *vcpu);

/* irqchip.c: the interrupt controllers' pages, likewise */
bool kvm_irqchip_at(uint64_t gpa, size_t n);
int kvm_irqchip_read(struct kvm_machine *machine, uint64_t gpa, void *buffer, size_t n);
int kvm_irqchip_write(struct kvm_machine *machine, uint64_t gpa, const void *buffer, size_t n);

/* watch.c: likewise */
int kvm_watch_insert(void *ctx, enum ringside_watch_kind kind, uint64_t linear, uint64_t length);
int kvm_watch_remove(void *ctx, enum ringside_watch_kind kind, uint64_t linear, uint64_t length);
/* The kernel's emulator has accessed a protected page; server_lock held. */
void kvm_watch_accessed(struct kvm_vcpu *vcpu, uint64_t gpa, unsigned n, bool is_write);
void kvm_watches_free(struct kvm_machine *machine);

/* target.c */
extern const struct ringside_target kvm_target;
extern const struct ringside_port kvm_port;

/* lift.c: what keeps a vCPU from executing an instruction, out of its way for a step */
/* The kernel could not execute what is at RIP.  False: nothing of ours is the cause. */
bool kvm_lift_declined(struct kvm_vcpu *vcpu);
int kvm_lift(struct kvm_vcpu *vcpu); /* before the step; an enum ringside_error */
void kvm_unlift(struct kvm_vcpu *vcpu);

/* debug_registers.c; server_lock held */
void kvm_dr_fill(struct kvm_vcpu *vcpu, struct kvm_guest_debug *debug, bool single_step);
struct kvm_dr_met {
    const struct kvm_watch *ours; /* the first, or NULL */
    uint64_t theirs;              /* bits of the guest's DR6 */
    bool is_fault;                /* a code breakpoint is among theirs */
    bool detects;                 /* the guest has DR7.GD set */
};
struct kvm_dr_met kvm_dr_met(struct kvm_vcpu *vcpu, uint64_t dr6);

/* guest_debug.c; false: the linear address is not mapped */
bool kvm_place_of(const struct kvm_vcpu *vcpu, uint64_t linear, uint64_t *gpa);
void kvm_debug_changed(struct kvm_machine *machine); /* the vCPUs shall apply it soon */
void kvm_end_single_step(struct kvm_vcpu *vcpu);
/* Brings the kernel's idea of debugging up to date; before an entry.  false: it refused. */
bool kvm_debug_apply(struct kvm_vcpu *vcpu);
/* What KVM_EXIT_DEBUG means; false: it was the guest's own, and the guest has it again. */
bool kvm_debug_exit(struct kvm_vcpu *vcpu, struct ringside_exit *exit);

/* interrupt.c: the vector of the interrupt that the vCPU would take now, RINGSIDE_TAKEN_NMI, or -1
 */
int kvm_take_interrupt(struct kvm_vcpu *vcpu);
/* Call KVM_RUN off at its last moment before the guest. */
bool kvm_run_called_off(int cpu_fd);

/* report.c: why a vCPU cannot go on, for a person; malloc'ed, NULL: no memory */
char *kvm_report(struct kvm_vcpu *vcpu, int error); /* an errno value, or 0: see the exit */

/* count.c: entries, and the kernel's counts of exits where it has them, in one line */
void kvm_count(const struct kvm_machine *machine, char *text, size_t size);

/* try.c: enum kvm_feature of this host; false, with the reason: it cannot run a guest */
bool kvm_find_features(bool trap_int1, unsigned *features, char *why, size_t size);

#endif
