/* The layout of struct cpu: public so that its owner can allocate, copy and save it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CPU_STATE_H
#define CPU_STATE_H

/* Included by cpu/cpu.h only. */

/*
 * The arithmetic flags, kept as the last result and its carries.
 *   ZF = result == 0            CF = carry bit 63
 *   SF = result bit 63 ^ carry bit 4    OF = carry bit 63 ^ carry bit 62
 *   AF = carry bit 3            PF = even parity of (result ^ carry >> 8) bits 7:0
 * result is sign-extended from the operand size.  After an addition or a subtraction the carry
 * word is the carry (borrow) out of every bit, moved so that the operand's top bit is at 63, and
 * masked to bits 63, 62 and (from the unmoved carries) 3; after a logical operation it is 0.
 */
struct cpu_flags {
    uint64_t result;
    uint64_t carry;
};

enum { CPU_TLB_SIZE = 1024, CPU_JUMP_SIZE = 4096 };

/*
 * A data TLB entry maps one linear page.  A tag is the page's linear address when accesses of that
 * kind may go straight to host memory, else CPU_TLB_NONE: pages of devices, pages with decoded code
 * (writes), pages with watchpoints or guest data breakpoints, and everything not walked yet take
 * the slow path.
 */
#define CPU_TLB_NONE 1ull /* no page has this address */
struct cpu_tlb_entry {
    uint64_t read, write;
    uintptr_t host; /* host address = linear address + host */
    uint64_t gpa;   /* of the page; bit 0: global */
};

/* One TLB for each kind of rights that an access can have. */
enum cpu_tlb_set {
    CPU_TLB_USER,
    CPU_TLB_KERNEL,    /* supervisor, SMAP in force if CR4.SMAP */
    CPU_TLB_KERNEL_AC, /* supervisor with RFLAGS.AC, or CR4.SMAP clear */
    CPU_TLB_SETS,
};

struct cpu_jump_entry {
    uint64_t rip;
    const struct cpu_block *block;
};

struct cpu {
    /* Hot: general registers and rip are current at every instruction boundary; during an
     * instruction rip is already that of the next one. rflags here is without the arithmetic
     * flags: see flags and cpu_rflags(). */
    struct ringside_regs r;
    struct cpu_flags flags;
    uint64_t count; /* instructions, event deliveries and REP iterations since reset */
    uint64_t limit; /* cpu_run leaves when count reaches this */
    uint64_t idle; /* instruction times that passed while halted; count + idle is the CPU's clock */
    int64_t tsc_offset; /* TSC = (count + idle) * tsc_per_insn + tsc_offset */

    /* Derived from r by cpu_update_mode(). */
    uint8_t width;       /* enum x86_width of the code segment */
    uint8_t stack_width; /* 2, 4 or 8: bytes of SP that count */
    uint8_t cpl;
    uint8_t tlb_set; /* enum cpu_tlb_set of ordinary data accesses */
    bool long_mode;  /* EFER.LMA */
    /* Segments, by bit, through which any offset may be read or written at linear = offset: the
     * flat ones, and ES, CS, SS, DS in 64-bit mode. */
    uint8_t flat_read, flat_write;
    bool code_break; /* a guest code breakpoint in DR7 or TF is on: check each instruction */
    bool data_break; /* a guest data breakpoint in DR7 is on */
    bool alignment;  /* CR0.AM, RFLAGS.AC and CPL 3: misaligned accesses raise #AC */
    uint64_t canonical_shift; /* 16 or 7: 64 - linear address bits */

    /* Set from outside or by the bus, looked at when a block ends. */
    bool intr; /* the interrupt controller has a vector for acknowledge() */
    bool nmi;
    bool yield; /* return CPU_EXIT_YIELD after this instruction */

    struct cpu_event fault; /* filled with CPU_FAULT */
    uint64_t debug_hits; /* DR6 bits the running instruction has earned: data and I/O breakpoints */
    struct cpu_watch_hit watch_hit;
    bool watch_pending;
    enum cpu_exit exit;

    struct ringside_fpu fpu;
    uint64_t monitor_gpa; /* armed by MONITOR */
    uint64_t rng;         /* state of RDRAND and RDSEED: deterministic */
    uint64_t tsc_adjust, spec_ctrl, amd_hwcr;
    uint64_t mtrr_def, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];

    struct cpu_model model;
    const struct cpu_bus *bus;
    void *ctx;
    struct cpu_code *code;
    struct cpu *next_sharing; /* ring of CPUs that share the code cache */
    const struct cpu_watch *watches;
    size_t watch_count;

    struct cpu_tlb_entry tlb[CPU_TLB_SETS][CPU_TLB_SIZE];
    struct cpu_jump_entry jump[CPU_JUMP_SIZE];
    /* The page that code was last fetched from, and its host bytes. */
    uint64_t fetch_page, fetch_gpa;
    const uint8_t *fetch_host;
};

#endif
