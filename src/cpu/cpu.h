/* The software CPU: executes x86 instructions and delivers events on memory and devices its owner
 * provides. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ringside/target.h"
#include "x86/insn.h"

struct cpu;
struct cpu_slot;

/*
 * How one instruction, one memory access or one event delivery ended.  Negative: the instruction
 * did not complete and the architectural state is as before it (REP iterations done so far stay
 * done).  Positive: it completed and the run loop has something to do before the next one.
 */
enum cpu_status {
    CPU_NEXT = 0,
    CPU_BRANCH = 1, /* rip is not simply the next instruction */
    CPU_SYNC = 2,   /* mode, privilege, interruptibility, breakpoints or devices may have changed */
    CPU_STOP = 3,   /* cpu->exit says why cpu_run must return */
    CPU_FAULT = -1, /* cpu->fault holds the exception to deliver */
    CPU_DECLINE = -2, /* not known here, or the bus does not let it be touched */
    CPU_BREAK = -3,   /* a debugger's breakpoint stands on this instruction */
};

/* Why cpu_run or cpu_step returned. */
enum cpu_exit {
    CPU_EXIT_LIMIT,      /* the instruction count was reached, or the step is done */
    CPU_EXIT_HALT,       /* activity is not RINGSIDE_RUNNING any more */
    CPU_EXIT_YIELD,      /* cpu->yield was set, or PAUSE: let others run and come back */
    CPU_EXIT_BREAKPOINT, /* before the instruction at rip; nothing of it was done */
    CPU_EXIT_WATCH,      /* after the instruction; cpu->watch_hit says what was touched */
    CPU_EXIT_CATCH,      /* after the instruction or delivery that cpu->caught tells of */
    CPU_EXIT_SHUTDOWN,   /* triple fault; activity is RINGSIDE_SHUTDOWN */
    CPU_EXIT_DECLINED,   /* before an instruction that cannot be executed here */
    CPU_EXIT_INTERCEPT, /* instead of delivering the exception in cpu->fault: see cpu->intercepts */
};

/*
 * The machine as the CPU sees it.  All calls come from inside cpu_run or cpu_step, on its thread.
 * size is 1, 2, 4 or 8 and gpa is aligned to it or lies within one page.
 */
struct cpu_bus {
    /* The host address of the 4 KiB page of RAM or ROM at gpa (page-aligned), NULL where there is
     * none.  *writable is false for ROM.  Stays valid until cpu_flush_tlb of every CPU. */
    uint8_t *(*page)(void *ctx, uint64_t gpa, bool *writable);
    /* May be NULL.  Likewise for instructions that come from a page that has no page(): a copy
     * will do, if the owner keeps it up to date with write(). */
    const uint8_t *(*code_page)(void *ctx, uint64_t gpa);
    /* May the page of gpa, which has no page(), be touched?  What may not is CPU_DECLINE before any
     * part of an access is made.  NULL: all of them. */
    bool (*allows)(void *ctx, uint64_t gpa);
    /* Memory that has no page(): devices and holes.  CPU_NEXT or CPU_DECLINE.  A hole reads as
     * ones. */
    int (*read)(void *ctx, struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t *value);
    int (*write)(void *ctx, struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t value);
    /* Port space; size is 1, 2 or 4.  CPU_NEXT or CPU_DECLINE. */
    int (*in)(void *ctx, struct cpu *cpu, uint16_t port, unsigned size, uint32_t *value);
    int (*out)(void *ctx, struct cpu *cpu, uint16_t port, unsigned size, uint32_t value);
    /* MSRs that belong to the machine (x2APIC 0x800..0x8ff, IA32_TSC_DEADLINE, IA32_APIC_BASE):
     * CPU_NEXT, CPU_FAULT for #GP(0), or CPU_DECLINE. */
    int (*rdmsr)(void *ctx, struct cpu *cpu, uint32_t msr, uint64_t *value);
    int (*wrmsr)(void *ctx, struct cpu *cpu, uint32_t msr, uint64_t value);
    /* MOV CR8 and its reading: the task priority of the local APIC, 0..15. */
    uint64_t (*read_cr8)(void *ctx, struct cpu *cpu);
    void (*write_cr8)(void *ctx, struct cpu *cpu, uint64_t value);
    /* Called when cpu->intr is set and the guest can take an interrupt: acknowledges and returns
     * its vector 0..255, or -1 if there is none after all.  Updates cpu->intr. */
    int (*acknowledge)(void *ctx, struct cpu *cpu);
    /* Does a debugger's breakpoint stand at this guest-physical address?  Asked when code is
     * decoded: after a change call cpu_code_drop_page().  May be NULL. */
    bool (*breakpoint)(void *ctx, uint64_t gpa);
};

/* What the guest sees of the processor. */
enum cpu_vendor { CPU_INTEL, CPU_AMD };

struct cpu_model {
    enum cpu_vendor vendor;
    unsigned apic_id;      /* also the index of the vCPU */
    unsigned count;        /* vCPUs in the machine, for the topology leaves */
    uint64_t tsc_hz;       /* TSC ticks a second of virtual time */
    uint64_t tsc_per_insn; /* TSC ticks an instruction takes */
    /* The state is another engine's: what this CPU does not know, and what depends on that engine's
     * clock, CPUID, TLBs or devices (cpu/bind.c), is declined. */
    bool borrowed;
};

/* An event to be delivered (Intel SDM vol. 3, "VM-Entry Controls for Event Injection"). */
enum cpu_event_kind {
    CPU_EVENT_EXTERNAL = 0,
    CPU_EVENT_NMI = 2,
    CPU_EVENT_EXCEPTION = 3,      /* from an instruction or a trap such as #DB */
    CPU_EVENT_INT = 4,            /* INT n: checks the gate's DPL */
    CPU_EVENT_ICEBP = 5,          /* INT1: #DB without the DPL check */
    CPU_EVENT_SOFT_EXCEPTION = 6, /* INT3 and INTO: #BP and #OF with the DPL check */
};

struct cpu_event {
    uint8_t vector;
    uint8_t kind; /* enum cpu_event_kind */
    bool has_error;
    uint32_t error;
    uint64_t cr2; /* of #PF: becomes CR2 when delivery starts */
    uint64_t dr6; /* of #DB: the bits that become set in DR6 */
};

/* A data watchpoint of the debugger, by linear address, hit by overlap. */
enum cpu_watch_kind { CPU_WATCH_WRITE = 1, CPU_WATCH_READ = 2, CPU_WATCH_ACCESS = 3 };
struct cpu_watch {
    uint64_t address, length;
    uint8_t kind;
    uint64_t reach; /* cpu_set_watches() fills it in: the last byte of this one and all before it */
};

struct cpu_watch_hit {
    uint64_t address; /* of the first byte of the watched range that was touched */
    uint8_t kind;     /* of the watchpoint that was hit */
};

/*
 * Decoded code of one machine, shared by its CPUs.  The owner gives the memory; when it is full
 * everything is dropped and decoded again.  Not thread-safe: CPUs that share it run on one thread.
 */
struct cpu_code;
size_t
cpu_code_size(void); /* smallest memory that makes sense; more is better (16 MiB for Linux) */
struct cpu_code *cpu_code_init(void *memory, size_t size);
/* Forget what was decoded from the page at gpa: its bytes or breakpoints were changed from outside.
 */
void cpu_code_drop_page(struct cpu_code *code, uint64_t gpa);
void cpu_code_drop_all(struct cpu_code *code);
/* Are there decoded instructions in the page at gpa (page-aligned)? */
bool cpu_code_has_page(const struct cpu_code *code, uint64_t gpa);

#include "cpu/state.h"

/*
 * cpu is the caller's memory; so is code, which may be shared.  bus and code must outlive cpu.
 * The CPU is put into the state after RESET (Intel SDM vol. 3, "Processor State After Reset"); APs
 * wait for SIPI.
 */
void cpu_init(struct cpu *cpu, const struct cpu_model *model, const struct cpu_bus *bus, void *ctx,
              struct cpu_code *code);
void cpu_reset(struct cpu *cpu);       /* RESET */
void cpu_init_signal(struct cpu *cpu); /* INIT: as RESET, but caches, FPU and most MSRs stay; then
                                          waits for SIPI (an AP) */
void cpu_sipi(struct cpu *cpu, uint8_t vector); /* start at vector << 12 if it waits for SIPI */

/*
 * Run until cpu->count reaches limit or something else ends it.  Pending events are delivered when
 * the guest can take them; a delivery counts as one instruction.
 */
enum cpu_exit cpu_run(struct cpu *cpu, uint64_t limit);

/*
 * Exactly one instruction or one event delivery.  An instruction that faults delivers its fault:
 * rip is then the handler's first instruction.  The step is done with CPU_EXIT_LIMIT, and with
 * CPU_EXIT_YIELD too: that one was a PAUSE, or the owner set cpu->yield.
 */
enum cpu_step_flags {
    CPU_STEP_HOLD_INTERRUPTS = 1 << 0, /* external interrupts and NMIs stay pending */
};
enum cpu_exit cpu_step(struct cpu *cpu, unsigned flags);

/*
 * The instruction at rip meets no breakpoint of the debugger if it is what comes next, and cpu_run
 * holds interrupts and NMIs back for it.  False, cpu_set_regs(), INIT and SIPI take that back.
 */
void cpu_pass_breakpoint(struct cpu *cpu, bool pass);
/* After CPU_EXIT_BREAKPOINT: the guest-physical address of the instruction. */
uint64_t cpu_breakpoint_gpa(const struct cpu *cpu);

/* Deliver an event as if it were due now: LIMIT, CATCH, SHUTDOWN, or DECLINED (then nothing was
 * done). */
enum cpu_exit cpu_take(struct cpu *cpu, const struct cpu_event *event);

/* Look without executing: CPU_NEXT, or a fault that is not delivered.  Copies are by linear address
 * with supervisor rights, at most 4 KiB. */
int cpu_peek(struct cpu *cpu, struct x86_insn *insn);
int cpu_copy_from(struct cpu *cpu, uint64_t linear, void *buffer, unsigned n);
int cpu_copy_to(struct cpu *cpu, uint64_t linear, const void *buffer, unsigned n);

/* RFLAGS as the guest sees it; the CPU keeps the arithmetic flags in another form while it runs. */
uint64_t cpu_rflags(const struct cpu *cpu);

/* Take over or give out the whole architectural state.  Setting re-derives all that depends on it.
 */
void cpu_get_regs(const struct cpu *cpu, struct ringside_regs *out);
void cpu_set_regs(struct cpu *cpu, const struct ringside_regs *in);
/* One MSR as RDMSR/WRMSR at CPL 0 would: CPU_NEXT or CPU_FAULT. */
int cpu_read_msr(struct cpu *cpu, uint32_t msr, uint64_t *value);
int cpu_write_msr(struct cpu *cpu, uint32_t msr, uint64_t value);
void cpu_cpuid(const struct cpu *cpu, uint32_t leaf, uint32_t subleaf, uint32_t out[4]);

void cpu_flush_tlb(struct cpu *cpu); /* after the machine's memory map changed */
/* Events to stop after: the caller's array, until the next call. */
void cpu_set_catches(struct cpu *cpu, const struct ringside_catch *catches, size_t count);
/* Watchpoints of the debugger: the caller's array, sorted by address, until the next call.  None is
 * empty or wraps. */
void cpu_set_watches(struct cpu *cpu, struct cpu_watch *watches, size_t count);

#endif
