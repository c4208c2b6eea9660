/* The stepping hardware of both vendors, modelled with its leaks: what src/step has to cope with.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdlib.h>
#include <string.h>

#include "engine/soft/soft.h"
#include "x86/regs.h"

/*
 * Intel's processors have the monitor trap.  AMD's have the interrupt shadow of the VMCB with an
 * NMI pending behind the global interrupt flag, and the trap flag with #DB intercepted.  As on a
 * real host, an instruction that the hypervisor completes (port, MSR, CPUID, device memory) ends
 * with an exit of its own, and the trap flag is no secret: PUSHF writes it, SYSCALL copies it, a
 * #DB sets DR6.BS and clears DEBUGCTL.BTF although it is intercepted.
 */

/* --- One instruction ------------------------------------------------------------------------- */

/* Would a hypervisor have to complete this one itself, device or not?  *behind: RIP after it. */
static bool is_intercepted(struct cpu *cpu, uint64_t *behind)
{
    struct x86_insn insn;

    if (cpu_peek(cpu, &insn) != CPU_NEXT)
        return false;
    *behind = cpu->r.rip + insn.length;
    switch (insn.op) {
    case X86_CPUID:
    case X86_RDMSR:
    case X86_WRMSR:
    case X86_XSETBV:
    case X86_INVD: return true;
    default: return false;
    }
}

/* Does an event come before the next instruction, so that not even its bytes are fetched? */
static bool event_due(const struct soft_vcpu *vcpu)
{
    const struct cpu *cpu = vcpu->cpu;

    if (cpu->r.pending_debug && cpu->r.shadow != RINGSIDE_SHADOW_MOV_SS)
        return true;
    return !vcpu->hold_interrupts && (cpu->nmi || (cpu->intr && cpu->r.rflags & X86_FLAG_IF));
}

/* Executes it; *exit is filled where it is not `trap`, the exit of the armed way. */
static enum cpu_exit execute(struct soft *soft, unsigned index, enum ringside_exit_reason trap,
                             struct ringside_exit *exit)
{
    struct soft_vcpu *vcpu = &soft->vcpu[index];
    struct cpu *cpu = vcpu->cpu;
    uint64_t behind = 0;
    bool emulated = !event_due(vcpu) && is_intercepted(cpu, &behind);
    enum cpu_exit why;

    soft->touched = false;
    why = cpu_step(cpu, vcpu->hold_interrupts ? CPU_STEP_HOLD_INTERRUPTS : 0);
    emulated = emulated && cpu->r.rip == behind; /* no event or fault came instead */
    switch (why) {
    case CPU_EXIT_YIELD:
        if (!soft->poked)
            soft->turn_end = 0; /* PAUSE */
        why = CPU_EXIT_LIMIT;
        /* fall through */
    case CPU_EXIT_LIMIT:
        exit->reason = emulated || soft->touched ? RINGSIDE_EXIT_EMULATED : trap;
        break;
    case CPU_EXIT_HALT: exit->reason = RINGSIDE_EXIT_HALT; break;
    case CPU_EXIT_BREAKPOINT: soft_breakpoint_hit(soft, index, exit); break;
    case CPU_EXIT_WATCH: soft_watch_exit(cpu, exit); break;
    case CPU_EXIT_CATCH: soft_catch_exit(cpu, exit); break;
    case CPU_EXIT_SHUTDOWN: exit->reason = RINGSIDE_EXIT_OTHER; break; /* told next time */
    case CPU_EXIT_INTERCEPT: exit->reason = RINGSIDE_EXIT_ERROR; break;
    case CPU_EXIT_DECLINED: soft_declined(soft, index, exit); break;
    }
    return why;
}

/* --- The ways -------------------------------------------------------------------------------- */

/* What the shadow lets through before the NMI: an instruction, and with it what is behind STI or
 * MOV SS, whose shadow is the same bit. */
static bool shadow_again(struct cpu *cpu, bool first)
{
    if (first) {
        if (!cpu->r.shadow)
            cpu->r.shadow = RINGSIDE_SHADOW_STI;
        return true;
    }
    return cpu->r.shadow != RINGSIDE_SHADOW_NONE;
}

static void turn_shadow(struct soft *soft, unsigned index, struct ringside_exit *exit)
{
    struct cpu *cpu = soft->vcpu[index].cpu;

    exit->reason = RINGSIDE_EXIT_INTERRUPT;
    for (bool first = true; shadow_again(cpu, first); first = false)
        if (execute(soft, index, RINGSIDE_EXIT_INTERRUPT, exit) != CPU_EXIT_LIMIT ||
            exit->reason != RINGSIDE_EXIT_INTERRUPT)
            return;
}

static void intercepted(struct cpu *cpu, struct ringside_exit *exit)
{
    const struct cpu_event *event = &cpu->fault;

    exit->reason = RINGSIDE_EXIT_EXCEPTION;
    exit->vector = event->vector;
    exit->has_error = event->has_error;
    exit->error = event->error;
    exit->cr2 = event->cr2;
    if (event->vector == X86_EXC_DB) {
        exit->reason = RINGSIDE_EXIT_DEBUG_EXCEPTION;
        exit->dr6 = event->dr6;
        cpu->r.dr6 |= event->dr6;
        cpu->r.debugctl &= ~(uint64_t)X86_DEBUGCTL_BTF;
    }
}

static void turn_trap_flag(struct soft *soft, unsigned index, uint64_t limit,
                           struct ringside_exit *exit)
{
    struct cpu *cpu = soft->vcpu[index].cpu;

    cpu->intercepts = ~0u;
    do {
        if (execute(soft, index, RINGSIDE_EXIT_OTHER, exit) == CPU_EXIT_INTERCEPT)
            intercepted(cpu, exit);
    } while (exit->reason == RINGSIDE_EXIT_OTHER && cpu->r.activity == RINGSIDE_RUNNING &&
             (cpu->r.pending_debug || cpu->count < limit));
    cpu->intercepts = 0;
}

void soft_step_turn(struct soft *soft, unsigned index, uint64_t limit, struct ringside_exit *exit)
{
    switch (soft->vcpu[index].way) {
    case RINGSIDE_STEP_MONITOR_TRAP: execute(soft, index, RINGSIDE_EXIT_MONITOR_TRAP, exit); break;
    case RINGSIDE_STEP_INTERRUPT_SHADOW: turn_shadow(soft, index, exit); break;
    default: turn_trap_flag(soft, index, limit, exit);
    }
}

/* --- For the server -------------------------------------------------------------------------- */

static unsigned probe(void *ctx, unsigned vcpu)
{
    const struct soft *soft = ctx;

    (void)vcpu;
    return soft->config.vendor == SOFT_AMD
               ? RINGSIDE_STEP_INTERRUPT_SHADOW | RINGSIDE_STEP_TRAP_FLAG
               : RINGSIDE_STEP_MONITOR_TRAP | RINGSIDE_STEP_TRAP_FLAG;
}

static int arm(void *ctx, unsigned index, unsigned way, bool hold_interrupts)
{
    struct soft *soft = ctx;
    struct soft_vcpu *vcpu = &soft->vcpu[index];

    if (!(way & probe(soft, index)))
        return RINGSIDE_ENOTSUP;
    vcpu->way = way;
    vcpu->hold_interrupts = hold_interrupts;
    cpu_pass_breakpoint(vcpu->cpu, true);
    return RINGSIDE_OK;
}

static void disarm(void *ctx, unsigned index)
{
    struct soft_vcpu *vcpu = &((struct soft *)ctx)->vcpu[index];

    vcpu->way = 0;
    cpu_pass_breakpoint(vcpu->cpu, false);
}

static int take_interrupt(void *ctx, unsigned index)
{
    struct soft *soft = ctx;
    struct cpu *cpu = soft->vcpu[index].cpu;
    bool awake = cpu->r.activity == RINGSIDE_RUNNING || cpu->r.activity == RINGSIDE_HALTED;

    if (!awake || cpu->r.pending_debug)
        return -1;
    if (cpu->nmi && !cpu->r.nmi_blocked && cpu->r.shadow != RINGSIDE_SHADOW_MOV_SS) {
        cpu->nmi = false;
        return RINGSIDE_TAKEN_NMI;
    }
    if (cpu->intr && cpu->r.rflags & X86_FLAG_IF && !cpu->r.shadow)
        return soft_bus.acknowledge(soft, cpu);
    return -1;
}

/* --- The scratch vCPU of the probe ----------------------------------------------------------- */

enum { PAGE = 4096, SCRATCH_CODE = 2 * PAGE, SCRATCH_BYTES = 3 * PAGE };

static uint8_t *scratch_page(void *ctx, uint64_t gpa, bool *writable)
{
    *writable = true;
    return gpa < SCRATCH_BYTES ? (uint8_t *)ctx + gpa : NULL;
}

static int scratch_read(void *ctx, struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t *value)
{
    (void)ctx, (void)cpu, (void)gpa, (void)size, (void)value;
    return CPU_DECLINE;
}

static int scratch_write(void *ctx, struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t value)
{
    (void)ctx, (void)cpu, (void)gpa, (void)size, (void)value;
    return CPU_DECLINE;
}

/* 64-bit mode with the first GiB mapped one to one, at the code. */
static void scratch_registers(struct ringside_regs *regs, const uint64_t gpr[16])
{
    enum { CODE = X86_SEG_P | X86_SEG_S | X86_SEG_CODE | X86_SEG_L | X86_SEG_G | 3 };
    enum { DATA = X86_SEG_P | X86_SEG_S | X86_SEG_DB | X86_SEG_G | 3 };

    memcpy(regs->gpr, gpr, sizeof regs->gpr);
    regs->rip = SCRATCH_CODE;
    regs->cr0 = X86_CR0_PG | X86_CR0_PE | X86_CR0_ET;
    regs->cr4 = X86_CR4_PAE;
    regs->cr3 = 0;
    regs->efer = X86_EFER_LME | X86_EFER_LMA;
    regs->seg[RINGSIDE_CS] = (struct ringside_segment){0, 0xffffffff, 8, CODE};
    regs->seg[RINGSIDE_SS] = (struct ringside_segment){0, 0xffffffff, 16, DATA};
    regs->activity = RINGSIDE_RUNNING;
}

static int try_shadow(void *ctx, const uint8_t *code, size_t n, uint64_t gpr[16])
{
    const uint64_t table = PAGE | 3, large_page = 0x83;
    const struct cpu_bus bus = {.page = scratch_page, .read = scratch_read, .write = scratch_write};
    const struct soft *soft = ctx;
    struct cpu_model model = soft->vcpu[0].cpu->model;
    struct cpu *cpu = malloc(sizeof *cpu);
    uint8_t *memory = calloc(1, SCRATCH_BYTES);
    struct ringside_regs regs;
    int error = RINGSIDE_EIO;

    if (!cpu || !memory || n > PAGE)
        goto out;
    memcpy(memory, &table, sizeof table);
    memcpy(memory + PAGE, &large_page, sizeof large_page);
    memcpy(memory + SCRATCH_CODE, code, n);
    cpu_init(cpu, &model, &bus, memory, NULL);
    cpu_get_regs(cpu, &regs);
    scratch_registers(&regs, gpr);
    cpu_set_regs(cpu, &regs);
    if (!soft->config.no_shadow_step)
        for (bool first = true; shadow_again(cpu, first); first = false)
            if (cpu_step(cpu, CPU_STEP_HOLD_INTERRUPTS) != CPU_EXIT_LIMIT)
                goto out;
    cpu_get_regs(cpu, &regs);
    memcpy(gpr, regs.gpr, sizeof regs.gpr);
    error = RINGSIDE_OK;
out:
    free(memory);
    free(cpu);
    return error;
}

const struct ringside_step_ops soft_step_ops = {
    .probe = probe,
    .arm = arm,
    .disarm = disarm,
    .take_interrupt = take_interrupt,
    .try_shadow = try_shadow,
};
