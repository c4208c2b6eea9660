/* The run loop: blocks of decoded instructions, and what comes between two instructions. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/code.h"
#include "cpu/mmu.h"
#include "x86/segment.h"

/*
 * While nothing but instructions is due, run_blocks() executes slot after slot.  Whatever may
 * change that (a device, CLI/STI, a mode switch, a watchpoint, code that was overwritten) ends the
 * block at once: the handler returns CPU_SYNC, or something below it calls cpu_end_block().  Then
 * cpu_run() looks again, and uses step() where each boundary needs a look: single-stepping, code
 * breakpoints, interrupt shadows.  So where blocks begin and end is never visible.  RF set means
 * execute(); run_blocks() only meets it between iterations of a string instruction, which keeps it.
 */

/* Outside 64-bit mode the instruction pointer goes on from 4 GiB at 0. */
static uint64_t linear_rip(struct cpu *cpu)
{
    if (CPU_LIKELY(cpu->width == X86_CODE64))
        return cpu->r.rip;
    cpu->r.rip = (uint32_t)cpu->r.rip;
    return (uint32_t)(cpu->r.seg[RINGSIDE_CS].base + cpu->r.rip);
}

/* --- Events ---------------------------------------------------------------------------------- */

static int deliver(struct cpu *cpu, const struct cpu_event *event)
{
    int status;

    cpu->debug_hits = 0;
    if (CPU_UNLIKELY(cpu->intercepts) && event->vector < 32 &&
        cpu->intercepts >> event->vector & 1 && event->kind >= CPU_EVENT_EXCEPTION) {
        cpu->fault = *event;
        cpu->exit = CPU_EXIT_INTERCEPT;
        return CPU_STOP;
    }
    status = cpu_deliver(cpu, event);
    if (status < 0)
        return status;
    cpu->count++;
    cpu->r.pending_debug |= cpu->debug_hits; /* the frame was written to a watched place */
    cpu->debug_hits = 0;
    return status;
}

/* The fault of an instruction that has changed nothing. */
static int deliver_fault(struct cpu *cpu, int status)
{
    struct cpu_event event = cpu->fault;

    cpu->debug_hits = 0;
    cpu->watch_pending = cpu->catch_pending = false;
    return status == CPU_FAULT ? deliver(cpu, &event) : status;
}

static int deliver_debug(struct cpu *cpu, uint64_t dr6)
{
    const struct cpu_event event = {.vector = X86_EXC_DB, .kind = CPU_EVENT_EXCEPTION, .dr6 = dr6};

    return deliver(cpu, &event);
}

static int deliver_interrupt(struct cpu *cpu, uint8_t vector, enum cpu_event_kind kind)
{
    const struct cpu_event event = {.vector = vector, .kind = (uint8_t)kind};

    return deliver(cpu, &event);
}

/*
 * Deliver what is due between two instructions (Intel SDM vol. 3, "Priority Among Concurrent
 * Events"): traps of the last one, then NMI, then interrupts.  *taken says if there was anything.
 */
static int take_event(struct cpu *cpu, unsigned flags, bool *taken)
{
    bool after_mov_ss = cpu->r.shadow == RINGSIDE_SHADOW_MOV_SS;
    bool hold = flags & CPU_STEP_HOLD_INTERRUPTS;
    uint64_t pending = cpu->r.pending_debug;
    int status, vector;

    *taken = true;
    if (pending && !after_mov_ss) {
        cpu->r.pending_debug = 0;
        status = deliver_debug(cpu, pending);
        if (status < 0)
            cpu->r.pending_debug = pending;
        return status;
    }
    if (cpu->nmi && !cpu->r.nmi_blocked && !after_mov_ss && !hold) {
        status = deliver_interrupt(cpu, X86_EXC_NMI, CPU_EVENT_NMI);
        if (status >= 0)
            cpu->nmi = false;
        return status;
    }
    if (cpu->intr && (cpu->r.rflags & X86_FLAG_IF) && !cpu->r.shadow && !hold) {
        vector = cpu->bus->acknowledge(cpu->ctx, cpu);
        if (vector >= 0)
            return deliver_interrupt(cpu, (uint8_t)vector, CPU_EVENT_EXTERNAL);
    }
    *taken = false;
    return CPU_NEXT;
}

/* Beside cpu_step_flags: a string instruction may do many iterations. */
enum { STEP_MANY = 1 << 8 };

/* --- One instruction, with everything around it ---------------------------------------------- */

static int check_limit(struct cpu *cpu, const struct x86_insn *insn)
{
    if (cpu->code_limit && cpu->r.rip + insn->length - 1 > cpu->r.seg[RINGSIDE_CS].limit)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    return CPU_NEXT;
}

static int fetch(struct cpu *cpu, struct cpu_slot *slot)
{
    uint64_t linear = linear_rip(cpu);
    struct cpu_block *block;

    if (cpu->code_limit && cpu->r.rip > cpu->r.seg[RINGSIDE_CS].limit)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    CPU_TRY(cpu_code_find(cpu, linear, &block));
    if (block)
        *slot = block->slot[0];
    else
        CPU_TRY(cpu_code_fetch(cpu, linear, slot));
    return check_limit(cpu, &slot->insn);
}

/*
 * Does TF as it was before this instruction, completed with status, trap after it?  Instructions
 * that enter a handler trap only if TF is still set then; for SYSRET too it is the new TF that
 * counts.
 */
static bool traps(const struct cpu *cpu, const struct x86_insn *insn, uint64_t rip_before,
                  int status)
{
    switch (insn->op) {
    case X86_INT:
    case X86_INT1:
    case X86_INT3:
    case X86_INTO:
    case X86_SYSCALL:
    case X86_SYSRET:
        if (!(cpu->r.rflags & X86_FLAG_TF))
            return false;
        break;
    default: break;
    }
    if (!(cpu->r.debugctl & X86_DEBUGCTL_BTF))
        return true;
    return status != CPU_NEXT && cpu->r.rip != rip_before + insn->length &&
           !(insn->prefixes & (X86_PREFIX_REP | X86_PREFIX_REPNE));
}

static bool code_breaks_masked(const struct cpu *cpu)
{
    return (cpu->r.rflags & X86_FLAG_RF) ||
           (cpu->r.shadow == RINGSIDE_SHADOW_MOV_SS && cpu->model.vendor == CPU_INTEL);
}

static int execute(struct cpu *cpu, unsigned flags)
{
    uint64_t rip = cpu->r.rip, rflags = cpu->r.rflags;
    uint8_t shadow = cpu->r.shadow;
    struct cpu_slot slot;
    int status;

    if (cpu->code_break && !code_breaks_masked(cpu)) {
        uint64_t hits = cpu_break_hits(cpu, CPU_BREAK_EXEC, linear_rip(cpu), 1);

        if (hits)
            return deliver_debug(cpu, hits);
    }
    status = fetch(cpu, &slot);
    if (status < 0)
        return deliver_fault(cpu, status);

    cpu->r.rip += slot.insn.length;
    cpu->r.rflags &= ~(uint64_t)X86_FLAG_RF;
    cpu->r.shadow = RINGSIDE_SHADOW_NONE;
    /* The end of a block allows a string instruction many iterations. */
    cpu->end = flags & STEP_MANY ? &slot + 1 : NULL;
    status = slot.run(cpu, &slot.insn);
    if (status < 0) {
        cpu->r.rip = rip;
        cpu->r.rflags |= rflags & X86_FLAG_RF;
        cpu->r.shadow = shadow;
        return deliver_fault(cpu, status);
    }
    cpu->count++;
    cpu->r.pending_debug |= cpu->debug_hits;
    cpu->debug_hits = 0;
    if ((rflags & X86_FLAG_TF) && traps(cpu, &slot.insn, rip, status))
        cpu->r.pending_debug |= X86_DR6_BS;
    return status;
}

/* An event if one is due, else an instruction. */
static int step(struct cpu *cpu, unsigned flags)
{
    bool taken = false;
    int status = CPU_NEXT;

    if (cpu->r.activity == RINGSIDE_RUNNING || cpu->r.activity == RINGSIDE_HALTED)
        status = take_event(cpu, flags, &taken);
    if (taken)
        return status;
    if (cpu->r.activity != RINGSIDE_RUNNING) {
        cpu->exit = CPU_EXIT_HALT;
        return CPU_STOP;
    }
    return execute(cpu, flags);
}

/* --- Many instructions ----------------------------------------------------------------------- */

/* Is there anything to look at before the next instruction? */
static bool attention(const struct cpu *cpu)
{
    return cpu->r.activity != RINGSIDE_RUNNING || cpu->code_break || cpu->r.shadow ||
           cpu->r.pending_debug || (cpu->nmi && !cpu->r.nmi_blocked) ||
           (cpu->intr && (cpu->r.rflags & X86_FLAG_IF));
}

/* Slots of the block that lie within the CS limit. */
static unsigned slots_in_limit(const struct cpu *cpu, const struct cpu_block *block)
{
    uint64_t end = cpu->r.rip, room = (uint64_t)cpu->r.seg[RINGSIDE_CS].limit + 1;
    unsigned n = 0;

    while (n < block->count && end + block->slot[n].insn.length <= room)
        end += block->slot[n++].insn.length;
    return n;
}

/* The block at rip and how many of its slots may run: 0 where step() has to do it. */
static int find_block(struct cpu *cpu, uint64_t linear, struct cpu_block **block, unsigned *slots)
{
    *slots = 0;
    if (cpu->code_limit && cpu->r.rip > cpu->r.seg[RINGSIDE_CS].limit)
        return CPU_NEXT;
    CPU_TRY(cpu_code_find(cpu, linear, block));
    if (*block)
        *slots = cpu->code_limit ? slots_in_limit(cpu, *block) : (*block)->count;
    return CPU_NEXT;
}

/* Until the limit is reached or something is to be looked at. */
static int run_blocks(struct cpu *cpu)
{
    do {
        uint64_t linear = linear_rip(cpu), rip = cpu->r.rip, left = cpu->limit - cpu->count;
        const struct cpu_jump_entry *jump = &cpu->jump[cpu_jump_index(linear)];
        struct cpu_block *block = jump->block;
        const struct cpu_slot *slot, *end;
        unsigned slots;
        int status;

        if (CPU_UNLIKELY(jump->key != (linear ^ cpu->code_key) || cpu->code_limit) ||
            CPU_UNLIKELY((slots = block->count) == 0)) {
            status = find_block(cpu, linear, &block, &slots);
            if (status < 0)
                return deliver_fault(cpu, status);
            if (slots == 0)
                return execute(cpu, 0);
        }
        slot = block->slot;
        end = slot + (slots < left ? slots : left);
        cpu->end = end;
        do {
            rip += slot->insn.length;
            cpu->r.rip = rip;
            status = slot->run(cpu, &slot->insn);
            cpu->count++;
            slot++;
        } while (status == CPU_NEXT && slot < cpu->end);

        if (CPU_UNLIKELY(status < 0)) {
            cpu->count--;
            cpu->r.rip = rip - slot[-1].insn.length;
            return deliver_fault(cpu, status);
        }
        if (status > CPU_BRANCH || cpu->end != end) {
            cpu->r.pending_debug |= cpu->debug_hits;
            cpu->debug_hits = 0;
            return status;
        }
    } while (cpu->count < cpu->limit);
    return CPU_NEXT;
}

/* Does what happened end cpu_run()?  What is left of it is told next time, before all else. */
static bool leaves(struct cpu *cpu, int status, enum cpu_exit *exit)
{
    if (cpu->watch_pending) {
        cpu->watch_pending = false;
        *exit = CPU_EXIT_WATCH;
        return true;
    }
    if (cpu->catch_pending) {
        cpu->catch_pending = false;
        *exit = CPU_EXIT_CATCH;
        return true;
    }
    switch (status) {
    case CPU_STOP: *exit = cpu->exit; return true;
    case CPU_DECLINE: *exit = CPU_EXIT_DECLINED; return true;
    case CPU_BREAK: *exit = CPU_EXIT_BREAKPOINT; return true;
    default: break;
    }
    if (cpu->yield) {
        cpu->yield = false;
        *exit = CPU_EXIT_YIELD;
        return true;
    }
    return false;
}

/* One that is to pass a breakpoint does that first. */
static unsigned held(const struct cpu *cpu)
{
    return cpu->pass_at == cpu->count ? CPU_STEP_HOLD_INTERRUPTS : 0;
}

enum cpu_exit cpu_run(struct cpu *cpu, uint64_t limit)
{
    enum cpu_exit exit = CPU_EXIT_LIMIT;

    cpu->limit = limit;
    if (CPU_UNLIKELY(cpu->catch_pending) && leaves(cpu, CPU_NEXT, &exit))
        return exit;
    while (cpu->count < limit) {
        int status;

        if (attention(cpu))
            status = step(cpu, held(cpu));
        else if (cpu->r.rflags & X86_FLAG_RF)
            status = execute(cpu, STEP_MANY); /* the instruction clears it */
        else
            status = run_blocks(cpu);
        if (leaves(cpu, status, &exit))
            break;
    }
    return exit;
}

enum cpu_exit cpu_step(struct cpu *cpu, unsigned flags)
{
    enum cpu_exit exit = CPU_EXIT_LIMIT;

    cpu->limit = cpu->count + 1;
    if (CPU_UNLIKELY(cpu->catch_pending) && leaves(cpu, CPU_NEXT, &exit))
        return exit;
    leaves(cpu, step(cpu, flags), &exit);
    return exit;
}

enum cpu_exit cpu_take(struct cpu *cpu, const struct cpu_event *event)
{
    enum cpu_exit exit = CPU_EXIT_LIMIT;
    int status = deliver(cpu, event);

    if (status < 0)
        return CPU_EXIT_DECLINED;
    leaves(cpu, status, &exit);
    return exit;
}

uint64_t cpu_breakpoint_gpa(const struct cpu *cpu)
{
    uint64_t linear = x86_linear_rip(&cpu->r);

    /* The page that it was fetched from is still there: nothing has run since. */
    return cpu->fetch[cpu_fetch_index(linear)].gpa | (linear & CPU_PAGE_MASK);
}

int cpu_peek(struct cpu *cpu, struct x86_insn *insn)
{
    struct cpu_slot slot;

    CPU_TRY(cpu_code_fetch(cpu, linear_rip(cpu), &slot));
    *insn = slot.insn;
    return CPU_NEXT;
}
