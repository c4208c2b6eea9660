/* What events, far transfers and segment loads share: descriptors, inner stacks, stack frames. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CPU_DESCRIPTOR_H
#define CPU_DESCRIPTOR_H

#include "cpu/internal.h"
#include "x86/segment.h"

enum { CPU_SYSTEM_READ = CPU_READ | CPU_SUPERVISOR, CPU_SYSTEM_WRITE = CPU_WRITE | CPU_SUPERVISOR };

static inline bool cpu_is_canonical(const struct cpu *cpu, uint64_t linear)
{
    const unsigned shift = (unsigned)cpu->canonical_shift;

    return (uint64_t)((int64_t)(linear << shift) >> shift) == linear;
}

/* --- What instructions demand ---------------------------------------------------------------- */

static inline bool cpu_is_real_mode(const struct cpu *cpu)
{
    return !(cpu->r.cr0 & X86_CR0_PE);
}

static inline int cpu_require_cpl0(struct cpu *cpu)
{
    return cpu->cpl == 0 ? CPU_NEXT : cpu_fault_code(cpu, X86_EXC_GP, 0);
}

/* CR4.UMIP keeps from user code what tells it where the kernel is. */
static inline int cpu_require_umip(struct cpu *cpu)
{
    return cpu->r.cr4 & X86_CR4_UMIP ? cpu_require_cpl0(cpu) : CPU_NEXT;
}

/* --- Descriptors ----------------------------------------------------------------------------- */

struct cpu_descriptor {
    uint64_t linear; /* where it lies */
    uint64_t word[2];
    struct ringside_segment seg; /* decoded, with the selector it was read by */
};

static inline bool cpu_selector_null(uint16_t selector)
{
    return !(selector & ~X86_SELECTOR_RPL);
}

static inline unsigned cpu_dpl(const struct ringside_segment *seg)
{
    return (seg->access & X86_SEG_DPL) >> X86_SEG_DPL_SHIFT;
}

static inline bool cpu_is_system(const struct ringside_segment *seg)
{
    return !(seg->access & X86_SEG_S);
}

static inline bool cpu_is_code(const struct ringside_segment *seg)
{
    return (seg->access & (X86_SEG_S | X86_SEG_CODE)) == (X86_SEG_S | X86_SEG_CODE);
}

static inline bool cpu_is_conforming(const struct ringside_segment *seg)
{
    return cpu_is_code(seg) && (seg->access & X86_SEG_CONFORMING);
}

static inline bool cpu_is_writable_data(const struct ringside_segment *seg)
{
    const uint16_t mask = X86_SEG_S | X86_SEG_CODE | X86_SEG_WRITABLE;

    return (seg->access & mask) == (X86_SEG_S | X86_SEG_WRITABLE);
}

/* Does CS make this 64-bit code? */
static inline bool cpu_is_code64(const struct cpu *cpu, const struct ringside_segment *cs)
{
    return cpu->long_mode && (cs->access & X86_SEG_L);
}

/* A fault whose error code names a selector; ext is the EXT bit (SDM vol. 3, "Error Code"). */
static inline int cpu_fault_selector(struct cpu *cpu, uint8_t vector, uint16_t selector, bool ext)
{
    return cpu_fault_code(cpu, vector, (selector & ~(uint32_t)X86_SELECTOR_RPL) | ext);
}

/*
 * Read the descriptor that a selector names; vector(selector) if it lies outside its table.  In
 * long mode TSS, LDT and call gate descriptors have two words.  The caller looks after null ones.
 */
int cpu_descriptor_read(struct cpu *cpu, uint16_t selector, uint8_t vector, bool ext,
                        struct cpu_descriptor *d);
/* Set the accessed bit, in memory too where it is clear. */
int cpu_descriptor_access(struct cpu *cpu, struct cpu_descriptor *d);

/* --- Code ------------------------------------------------------------------------------------ */

/* Is rip, truncated to 32 bits for code that is not 64-bit, one that cs can fetch from?  #GP(error)
 * if not. */
int cpu_check_rip(struct cpu *cpu, const struct ringside_segment *cs, uint64_t rip, uint32_t error);
/* Present, and not L and D at once: the checks at the end of all that load CS. */
int cpu_check_code_present(struct cpu *cpu, const struct ringside_segment *cs, bool ext);
/* Load CS (made to run at cpl) and rip. */
void cpu_enter_code(struct cpu *cpu, const struct ringside_segment *cs, unsigned cpl, uint64_t rip);
/* Make unusable what code at cpl must not keep (SDM vol. 3, "Returning from a Called Procedure").
 */
void cpu_drop_segments(struct cpu *cpu, unsigned cpl);

/* --- Data and stack segments ----------------------------------------------------------------- */

/* Check and read a stack segment for cpl: faults are vector(selector), #SS where it is absent. */
int cpu_stack_segment(struct cpu *cpu, uint16_t selector, unsigned cpl, uint8_t vector, bool ext,
                      struct ringside_segment *ss);
/* What SS is when a null selector is allowed there, or 64-bit code enters an inner ring. */
struct ringside_segment cpu_null_stack_segment(unsigned cpl);
/* Check and read a segment for ES, SS, DS, FS or GS, in any mode; loads nothing. */
int cpu_segment_read(struct cpu *cpu, unsigned seg, uint16_t selector,
                     struct ringside_segment *out);
/* For ES, DS, FS or GS, in protected mode: faults are vector(selector), #NP where it is absent. */
int cpu_data_segment(struct cpu *cpu, uint16_t selector, uint8_t vector, bool ext,
                     struct ringside_segment *out);
/* Load a segment register from a checked segment. */
void cpu_segment_set(struct cpu *cpu, unsigned seg, const struct ringside_segment *value);

/* --- Stacks ---------------------------------------------------------------------------------- */

/* A stack to push a frame on before it becomes the current one. */
struct cpu_stack {
    struct ringside_segment ss;
    uint64_t sp;
    uint8_t width;  /* bytes of sp that count; at 8 segmentation is off */
    bool inner;     /* of an inner ring: accesses are a supervisor's */
    uint32_t error; /* of #SS on it */
};

struct cpu_stack cpu_stack_current(const struct cpu *cpu, bool ext);
/* The stack of ring cpl from the TSS, or of the interrupt stack table if ist is not 0. */
int cpu_stack_from_tss(struct cpu *cpu, unsigned cpl, unsigned ist, bool ext,
                       struct cpu_stack *stack);
/* Push words (words[0] first) of size bytes in one write; sp moves only on success. */
enum { CPU_FRAME_MAX = 36 };
int cpu_stack_push(struct cpu *cpu, struct cpu_stack *stack, const uint64_t *words, unsigned count,
                   unsigned size);
/* Make it the current one. */
void cpu_stack_enter(struct cpu *cpu, const struct cpu_stack *stack);

/* --- Tasks ----------------------------------------------------------------------------------- */

enum cpu_task_how { CPU_TASK_JMP, CPU_TASK_CALL, CPU_TASK_IRET };
struct cpu_task {
    uint16_t selector;             /* of the TSS */
    uint8_t how;                   /* enum cpu_task_how; events are calls */
    bool ext;                      /* an event that no instruction asked for */
    uint64_t rflags;               /* as they are saved */
    const struct cpu_event *event; /* NULL: none */
};

/*
 * Outside long mode.  CPU_FAULT leaves the old task as it was, save with ext, where it may be the
 * new task's fault; without, that one has been delivered already.
 */
int cpu_task_switch(struct cpu *cpu, const struct cpu_task *task);

/* --- Refusals -------------------------------------------------------------------------------- */

/*
 * V8086 mode: refused, always here.  CPU_DECLINE changes nothing and lets the owner say what it
 * stopped at, or do it in hardware.
 */
int cpu_enter_v8086(struct cpu *cpu);

/* --- Events ---------------------------------------------------------------------------------- */

/* One attempt to deliver: CPU_FAULT where the delivery itself faulted; nothing is changed then. */
int cpu_deliver_once(struct cpu *cpu, const struct cpu_event *event);

#endif
