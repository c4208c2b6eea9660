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

enum { CPU_TLB_SIZE = 1024, CPU_TLB_NOTED = 16, CPU_JUMP_SIZE = 4096, CPU_FETCH_SIZE = 256 };

/*
 * A data TLB entry maps one linear page.  A tag is the page's linear address when accesses of that
 * kind may go straight to host memory, else CPU_TLB_NONE: pages of devices, pages with decoded code
 * (writes), pages with watchpoints or guest data breakpoints, and everything not walked yet take
 * the slow path.
 */
#define CPU_TLB_NONE 1ull /* no page has this address */
#define CPU_TLB_SLOW 2ull /* or'ed to a tag: translated and allowed, but only for the slow path */
struct cpu_tlb_entry {
    uint64_t read, write;
    uintptr_t host; /* host address = linear address + host */
    uint64_t gpa;   /* of the page, with the bits below */
};
enum cpu_tlb_bits {
    CPU_TLB_GLOBAL = 1 << 0,
    CPU_TLB_MEMORY = 1 << 1, /* host is valid for reading */
    CPU_TLB_ROM = 1 << 2,    /* but not for writing */
    CPU_TLB_LARGE = 1 << 3,  /* part of a larger page */
};

/* One TLB for each kind of rights that an access can have. */
enum cpu_tlb_set {
    CPU_TLB_USER,
    CPU_TLB_KERNEL,    /* supervisor, SMAP in force if CR4.SMAP */
    CPU_TLB_KERNEL_AC, /* supervisor with RFLAGS.AC, or CR4.SMAP clear */
    CPU_TLB_SETS,
};

/* Decoded code by linear address.  The 64 entries of one page lie together, see mmu.c. */
struct cpu_jump_entry {
    uint64_t key; /* linear address ^ cpu->code_key */
    struct cpu_block *block;
};

/* A page that code was fetched from. */
struct cpu_fetch_entry {
    uint64_t key; /* linear address of the page ^ cpu->code_key */
    uint64_t gpa;
    const uint8_t *host; /* NULL: no memory, fetch through the bus */
};

struct cpu {
    /* Hot: general registers and rip are current at every instruction boundary; during an
     * instruction rip is already that of the next one. rflags here is without the arithmetic
     * flags: see flags and cpu_rflags(). */
    struct ringside_regs r;
    struct cpu_flags flags;
    uint64_t count;   /* instructions, event deliveries and REP iterations since reset */
    uint64_t limit;   /* cpu_run leaves when count reaches this */
    uint64_t pass_at; /* the count at which breakpoints are not met: cpu_pass_breakpoint() */
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
    bool code_limit; /* the CS limit has to be checked */
    uint8_t canonical_shift; /* 16 or 7: 64 - linear address bits */
    uint64_t code_key; /* CPL 3 and width, in bits 62:58 where canonical addresses are all alike */
    uint64_t paging_key;   /* bits of CR0, CR4 and EFER that the TLBs were filled under */
    uint64_t break_key[5]; /* DR0..DR3 and DR7 likewise */

    /* One behind the last slot that the running block may execute.  Whatever must be looked at
     * before the next instruction sets it to NULL: see cpu_end_block(). */
    const struct cpu_slot *end;

    /* Set from outside, or by the bus and by handlers that then return CPU_SYNC. */
    bool intr; /* the interrupt controller has a vector for acknowledge() */
    bool nmi;
    bool yield;  /* return CPU_EXIT_YIELD after this instruction */
    bool shared; /* of a borrowed CPU: others run on the same memory meanwhile, so what takes a
                  * locked access is declined */
    bool trial;  /* of a borrowed CPU: nothing of it will be kept, so more may be tried (bind.c) */
    uint32_t intercepts; /* exceptions, by vector, that the owner takes: CPU_EXIT_INTERCEPT */

    struct cpu_event fault; /* filled with CPU_FAULT */
    uint64_t debug_hits; /* DR6 bits the running instruction has earned: data and I/O breakpoints */
    struct cpu_watch_hit watch_hit;
    bool watch_pending;
    bool catch_pending;            /* caught is to be told after this instruction */
    struct ringside_caught caught; /* the first of what one instruction or delivery met */
    enum cpu_exit exit;
    const char *missing; /* with CPU_EXIT_DECLINED: what this CPU does not have, or NULL */

    struct ringside_fpu fpu;
    uint64_t pdpte[4];    /* of PAE paging: see cpu_read_pdptes() */
    uint64_t monitor_gpa; /* armed by MONITOR */
    uint64_t rng;         /* state of RDRAND and RDSEED: deterministic */
    uint64_t tsc_adjust, spec_ctrl, amd_hwcr;
    uint64_t mtrr_def, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];

    struct cpu_model model;
    const struct cpu_bus *bus;
    void *ctx;
    struct cpu_code *code;
    struct cpu *next_sharing; /* ring of CPUs that share the code cache */
    const struct ringside_catch *catches;
    size_t catch_count;
    const struct cpu_watch *watches;
    size_t watch_count;

    struct cpu_tlb_entry tlb[CPU_TLB_SETS][CPU_TLB_SIZE];
    struct cpu_jump_entry jump[CPU_JUMP_SIZE];
    struct cpu_fetch_entry fetch[CPU_FETCH_SIZE];
    /* Entries filled since the last flush of all, and which: counted up to one more than are noted,
     * so that a flush after little work is little work. */
    uint16_t tlb_fills[CPU_TLB_SETS], tlb_filled[CPU_TLB_SETS][CPU_TLB_NOTED];
    bool jump_used; /* likewise */
    bool large[2];  /* a larger page is in the TLBs, by half of the address space */
};

#endif
