/* What the families of instructions share inside the software CPU: memory, flags, operands, faults.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CPU_INTERNAL_H
#define CPU_INTERNAL_H

#include <string.h>

#include "cpu/cpu.h"
#include "x86/regs.h"

/*
 * One instruction handler.  cpu->r.rip is already the next instruction's.  It makes every access
 * that can fault before it changes any register or flag.
 */
typedef int cpu_handler(struct cpu *cpu, const struct x86_insn *insn);

/* The best handler for a decoded instruction; never NULL: #UD for what this CPU does not have. */
cpu_handler *cpu_bind(const struct x86_insn *insn);
/* The same where cpu_model.borrowed: a handler that declines for what is not ours. */
cpu_handler *cpu_bind_borrowed(const struct cpu *cpu, const struct x86_insn *insn);

/* Each family knows the handlers of its operations: NULL for an operation of another family. */
cpu_handler *cpu_bind_alu(const struct x86_insn *insn);    /* alu.c */
cpu_handler *cpu_bind_shift(const struct x86_insn *insn);  /* shift.c: shifts, rotates, bits */
cpu_handler *cpu_bind_muldiv(const struct x86_insn *insn); /* muldiv.c, with the BCD instructions */
cpu_handler *
cpu_bind_move(const struct x86_insn *insn); /* move.c: MOV..., XCHG, CMOV, SETCC, flag bits */
cpu_handler *
cpu_bind_stack(const struct x86_insn *insn); /* stack.c: PUSH, POP, ENTER, PUSHF, ... */
cpu_handler *cpu_bind_string(const struct x86_insn *insn); /* string.c: with INS and OUTS */
cpu_handler *
cpu_bind_branch(const struct x86_insn *insn);           /* branch.c: near branches, NOP, fences */
cpu_handler *cpu_bind_far(const struct x86_insn *insn); /* far.c: far JMP, CALL, RET; IRET; INT n */
cpu_handler *
cpu_bind_segment(const struct x86_insn *insn); /* segment.c: loads, tables, LAR.., bases */
cpu_handler *cpu_bind_syscall(const struct x86_insn *insn); /* syscall.c */
cpu_handler *cpu_bind_system(const struct x86_insn *insn);  /* system.c: CRs, TLB, HLT, CLI/STI */
cpu_handler *cpu_bind_msr(const struct x86_insn *insn);     /* msr.c, with RDTSC, CPUID, RDRAND */
cpu_handler *cpu_bind_debug(const struct x86_insn *insn);   /* debug.c: MOV DR */
cpu_handler *cpu_bind_io(const struct x86_insn *insn);      /* io.c: IN, OUT */
cpu_handler *cpu_bind_x87(const struct x86_insn *insn);     /* x87.c */
cpu_handler *cpu_bind_state_image(const struct x86_insn *insn); /* xsave.c: FXSAVE, XSAVE, MXCSR */
cpu_handler *cpu_bind_sse_move(const struct x86_insn *insn);    /* sse_move.c */
cpu_handler *cpu_bind_sse_float(const struct x86_insn *insn);   /* sse_float.c */
cpu_handler *
cpu_bind_sse_int(const struct x86_insn *insn); /* sse_int.c: MMX and SSE packed integers */
cpu_handler *cpu_bind_crypto(const struct x86_insn *insn); /* crypto.c: AES, PCLMULQDQ, SHA */

/* --- Faults ---------------------------------------------------------------------------------- */

/* Record an exception for delivery and return CPU_FAULT. */
int cpu_fault(struct cpu *cpu, uint8_t vector);                      /* without an error code */
int cpu_fault_code(struct cpu *cpu, uint8_t vector, uint32_t error); /* with one */
#define CPU_TRY(expr)                                                                              \
    do {                                                                                           \
        int try_status = (expr);                                                                   \
        if (__builtin_expect(try_status < 0, 0))                                                   \
            return try_status;                                                                     \
    } while (0)

/* --- Memory ---------------------------------------------------------------------------------- */

enum { CPU_PHYS_BITS = 46 }; /* MAXPHYADDR, for page tables and CPUID */

enum cpu_access {
    CPU_READ = 1,
    CPU_WRITE = 2, /* with CPU_READ: read-modify-write, checked as a write */
    CPU_EXEC = 4,
    CPU_SUPERVISOR = 8, /* implicit supervisor access (descriptor tables, TSS) at any CPL */
    CPU_USER = 16,      /* as CPL 3 whatever the CPL is */
    CPU_FLAT = 32,      /* in long mode, by a 64-bit address from code of any width */
};

/*
 * Translate and check one linear address with the current paging; sets A and D bits.  On success
 * *gpa is the physical address of that byte.  Faults with #PF.  Walks always; see mmu.c.
 */
int cpu_translate(struct cpu *cpu, uint64_t linear, unsigned access, uint64_t *gpa);

/*
 * The linear address of seg:offset for an access of size bytes, after limit, type and canonical
 * checks.  Faults with #GP(0) or #SS(0).
 */
int cpu_linear(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size, unsigned access,
               uint64_t *linear);

/* Any size and alignment by linear address; the page-crossing, MMIO and watched cases end here. */
int cpu_read_linear(struct cpu *cpu, uint64_t linear, void *buffer, unsigned size, unsigned access);
int cpu_write_linear(struct cpu *cpu, uint64_t linear, const void *buffer, unsigned size,
                     unsigned access);
/* Would a write of size bytes succeed?  Faults as the write would; changes nothing but A and D
 * bits. */
int cpu_probe_write(struct cpu *cpu, uint64_t linear, unsigned size, unsigned access);

/* Offset of the memory operand within its segment, truncated to the address size. */
static inline uint64_t cpu_ea(const struct cpu *cpu, const struct x86_insn *insn);

/* The memory operand, size 1, 2, 4 or 8, zero-extended; fast where the TLB has the page. */
static inline int cpu_load(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size,
                           uint64_t *value);
static inline int cpu_store(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size,
                            uint64_t value);
/* Read that will be followed by cpu_store to the same place: faults as a write. */
static inline int cpu_load_rmw(struct cpu *cpu, unsigned seg, uint64_t offset, unsigned size,
                               uint64_t *value);
/* Whole operands such as XMM registers and state images. */
int cpu_load_bytes(struct cpu *cpu, unsigned seg, uint64_t offset, void *buffer, unsigned size);
int cpu_store_bytes(struct cpu *cpu, unsigned seg, uint64_t offset, const void *buffer,
                    unsigned size);

/* --- Operands -------------------------------------------------------------------------------- */

static inline uint64_t cpu_gpr(const struct cpu *cpu, unsigned reg,
                               unsigned size); /* zero-extended */
/* Sizes 1 and 2 keep the upper bits, size 4 clears them (Intel SDM vol. 1, 3.4.1.1). */
static inline void cpu_set_gpr(struct cpu *cpu, unsigned reg, unsigned size, uint64_t value);

/* Operand n of any kind that fits 64 bits: GPR, memory, immediate. */
int cpu_operand(struct cpu *cpu, const struct x86_insn *insn, unsigned n, uint64_t *value);
int cpu_operand_rmw(struct cpu *cpu, const struct x86_insn *insn, unsigned n, uint64_t *value);
int cpu_set_operand(struct cpu *cpu, const struct x86_insn *insn, unsigned n, uint64_t value);

/* The stack, with the current stack width and SS; the pointer moves only on success. */
int cpu_push(struct cpu *cpu, unsigned size, uint64_t value);
int cpu_pop(struct cpu *cpu, unsigned size, uint64_t *value);

/* --- Flags ----------------------------------------------------------------------------------- */

static inline bool cpu_cf(const struct cpu *cpu);
static inline bool cpu_zf(const struct cpu *cpu);
static inline bool cpu_sf(const struct cpu *cpu);
static inline bool cpu_of(const struct cpu *cpu);
static inline bool cpu_pf(const struct cpu *cpu);
static inline bool cpu_af(const struct cpu *cpu);
static inline bool cpu_condition(const struct cpu *cpu, unsigned cond); /* low nibble of Jcc */
/* Replace the six arithmetic flags by those of value (RFLAGS layout). */
static inline void cpu_set_arith_flags(struct cpu *cpu, uint64_t value);
/* All of RFLAGS; calls cpu_update_mode() if a bit that matters to it changed. */
void cpu_set_rflags(struct cpu *cpu, uint64_t value);

/* --- Control --------------------------------------------------------------------------------- */

/*
 * Re-derive width, cpl, tlb_set, ... after CR0, CR4, EFER, a segment register, RFLAGS.VM/AC/TF or
 * DR0..DR3/DR7 changed.  Flushes the TLBs if a bit that paging depends on changed (a new CR3 is the
 * caller's to flush).  The base of FS or GS alone needs no call in 64-bit mode.
 */
void cpu_update_mode(struct cpu *cpu);
/*
 * PAE paging: the four pointers that CR3 names are read and checked when a control register is
 * written, into cpu->pdpte, and walks use what was read then (Intel SDM vol. 3, "PDPTE Registers";
 * AMD's too, but for guests with nested paging: APM vol. 2, "Legacy PAE Mode").
 */
int cpu_read_pdptes(struct cpu *cpu, uint64_t cr3, uint64_t pdpte[4]);
int cpu_load_pdptes(struct cpu *cpu, uint64_t cr3); /* with the check: #GP(0) */
/* TLB maintenance (Intel SDM vol. 3, "Invalidation of TLBs and Paging-Structure Caches"). */
void cpu_flush_nonglobal(struct cpu *cpu);
void cpu_flush_page(struct cpu *cpu, uint64_t linear);
/* A near jump to an offset: truncates to opsize, checks limit or canonical form, sets rip;
 * CPU_BRANCH. */
int cpu_jump(struct cpu *cpu, uint64_t rip, unsigned opsize);
/* Look at interrupts, traps and watchpoints after this instruction although it returns CPU_NEXT. */
static inline void cpu_end_block(struct cpu *cpu)
{
    cpu->end = NULL;
}
/* Deliver an event now (events.c): 0 done (rip is the handler's), CPU_STOP after a triple fault,
 * CPU_DECLINE.  Faults on the way become double and triple faults inside. */
int cpu_deliver(struct cpu *cpu, const struct cpu_event *event);

/* --- Events that the debugger wants to be told of (catch.c) ----------------------------------- */

/* After it has happened; false: nobody wants to know.  Stops after this instruction. */
bool cpu_caught(struct cpu *cpu, const struct ringside_caught *caught);
/* A register was written: CR by number, or an MSR. */
void cpu_catch_write(struct cpu *cpu, enum ringside_catch_kind kind, uint32_t number,
                     uint64_t value);
void cpu_catch_port(struct cpu *cpu, uint16_t port, unsigned size, uint64_t value, bool in);
/* Its delivery begins; what is wrong with that is told by what it leads to. */
void cpu_catch_event(struct cpu *cpu, const struct cpu_event *event, uint64_t rip);

/* --- Ports and debug registers ---------------------------------------------------------------- */

/* IN and OUT of 1, 2 or 4 bytes with the privilege checks and I/O breakpoints (io.c). */
int cpu_port_in(struct cpu *cpu, uint16_t port, unsigned size, uint64_t *value);
int cpu_port_out(struct cpu *cpu, uint16_t port, unsigned size, uint64_t value);

/* The guest's breakpoints that an access of this kind hits: DR6 bits B0..B3 (debug.c). */
enum cpu_break_kind { CPU_BREAK_EXEC, CPU_BREAK_WRITE, CPU_BREAK_IO, CPU_BREAK_READ };
uint64_t cpu_break_hits(const struct cpu *cpu, enum cpu_break_kind kind, uint64_t address,
                        unsigned size);

/* The time stamp counter now (msr.c). */
uint64_t cpu_tsc(const struct cpu *cpu);
/* Is ECX an MSR that holds a linear address on every processor, and takes no other value? */
bool cpu_writes_address(const struct cpu *cpu);

#include "cpu/inline.h"

#endif
