/* Delivering interrupts and exceptions through the IVT or IDT. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/descriptor.h"

int cpu_fault(struct cpu *cpu, uint8_t vector)
{
    cpu->fault = (struct cpu_event){.vector = vector, .kind = CPU_EVENT_EXCEPTION};
    return CPU_FAULT;
}

int cpu_fault_code(struct cpu *cpu, uint8_t vector, uint32_t error)
{
    cpu->fault = (struct cpu_event){
        .vector = vector, .kind = CPU_EVENT_EXCEPTION, .has_error = true, .error = error};
    return CPU_FAULT;
}

/* --- What an event is ------------------------------------------------------------------------ */

/* Made by an instruction whose purpose it is: such an event checks the gate's DPL. */
static bool is_software(const struct cpu_event *event)
{
    return event->kind == CPU_EVENT_INT || event->kind == CPU_EVENT_SOFT_EXCEPTION;
}

/* EXT in the error codes of faults that the delivery meets (Intel SDM vol. 3, "Error Code"). */
static bool is_external(const struct cpu_event *event)
{
    return !is_software(event);
}

/*
 * RF in the pushed image (Intel SDM vol. 3, "Instruction-Breakpoint Exception Condition"): set by
 * faults, so that their instruction meets no code breakpoint a second time; not by #DB, save for
 * the fault of DR7.GD.
 */
static uint64_t pushed_rflags(const struct cpu *cpu, const struct cpu_event *event)
{
    const uint64_t rflags = cpu_rflags(cpu);

    switch (event->kind) {
    case CPU_EVENT_EXTERNAL:
    case CPU_EVENT_NMI: return rflags;
    case CPU_EVENT_EXCEPTION:
        if (event->vector == X86_EXC_DB)
            return event->dr6 & X86_DR6_BD ? rflags | X86_FLAG_RF : rflags;
        return rflags | X86_FLAG_RF;
    default: return rflags & ~(uint64_t)X86_FLAG_RF;
    }
}

/* --- Delivery -------------------------------------------------------------------------------- */

/* Real mode: the vector table holds IP:CS (Intel SDM vol. 3, chapter "8086 Emulation"). */
static int deliver_real(struct cpu *cpu, const struct cpu_event *event)
{
    const uint32_t entry = event->vector * 4u;
    const uint64_t cleared = X86_FLAG_IF | X86_FLAG_TF | X86_FLAG_AC | X86_FLAG_RF;
    struct cpu_stack stack = cpu_stack_current(cpu, true);
    struct ringside_segment cs = cpu->r.seg[RINGSIDE_CS];
    const uint64_t rflags = pushed_rflags(cpu, event);
    const uint64_t frame[] = {rflags, cs.selector, cpu->r.rip};
    uint16_t target[2];

    if (entry + 3 > cpu->r.idtr.limit)
        return cpu_fault_code(cpu, X86_EXC_GP, event->vector * 8u + 2);
    CPU_TRY(cpu_read_linear(cpu, (uint32_t)(cpu->r.idtr.base + entry), target, 4, CPU_SYSTEM_READ));
    if (target[0] > cs.limit)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    CPU_TRY(cpu_stack_push(cpu, &stack, frame, 3, 2));

    cpu_stack_enter(cpu, &stack);
    cs.selector = target[1];
    cs.base = (uint64_t)target[1] << 4;
    cpu->r.seg[RINGSIDE_CS] = cs;
    cpu->r.rip = target[0];
    cpu_set_rflags(cpu, rflags & ~cleared);
    return CPU_NEXT;
}

static bool is_interrupt_gate(const struct x86_gate *gate)
{
    return gate->type == X86_TYPE_INT_GATE || gate->type == X86_TYPE_INT_GATE16;
}

static bool gate_type_allowed(const struct cpu *cpu, const struct x86_gate *gate)
{
    if (gate->code_or_data)
        return false;
    switch (gate->type) {
    case X86_TYPE_INT_GATE:
    case X86_TYPE_TRAP_GATE: return true;
    case X86_TYPE_INT_GATE16:
    case X86_TYPE_TRAP_GATE16:
    case X86_TYPE_TASK_GATE: return !cpu->long_mode;
    default: return false;
    }
}

static int read_gate(struct cpu *cpu, const struct cpu_event *event, struct x86_gate *gate)
{
    const unsigned size = cpu->long_mode ? 16 : 8;
    const uint32_t offset = event->vector * size;
    const uint32_t error = event->vector * 8u + 2 + is_external(event);
    const uint64_t linear = cpu->r.idtr.base + offset;
    uint64_t word[2] = {0, 0};

    if (offset + size - 1 > cpu->r.idtr.limit)
        return cpu_fault_code(cpu, X86_EXC_GP, error);
    CPU_TRY(cpu_read_linear(cpu, cpu->long_mode ? linear : (uint32_t)linear, word, size,
                            CPU_SYSTEM_READ));
    *gate = x86_gate_decode(word, cpu->long_mode);
    if (!gate_type_allowed(cpu, gate) || (is_software(event) && gate->dpl < cpu->cpl))
        return cpu_fault_code(cpu, X86_EXC_GP, error);
    if (!gate->present)
        return cpu_fault_code(cpu, X86_EXC_NP, error);
    return CPU_NEXT;
}

static int gate_code(struct cpu *cpu, const struct x86_gate *gate, bool ext,
                     struct cpu_descriptor *code)
{
    if (cpu_selector_null(gate->selector))
        return cpu_fault_code(cpu, X86_EXC_GP, ext);
    CPU_TRY(cpu_descriptor_read(cpu, gate->selector, X86_EXC_GP, ext, code));
    if (!cpu_is_code(&code->seg) || cpu_dpl(&code->seg) > cpu->cpl ||
        (cpu->long_mode && !(code->seg.access & X86_SEG_L)))
        return cpu_fault_selector(cpu, X86_EXC_GP, gate->selector, ext);
    CPU_TRY(cpu_check_code_present(cpu, &code->seg, ext));
    return cpu_descriptor_access(cpu, code);
}

static int gate_stack(struct cpu *cpu, const struct x86_gate *gate, unsigned cpl, bool ext,
                      struct cpu_stack *stack)
{
    const unsigned ist = cpu->long_mode ? gate->ist : 0;

    if (ist || cpl != cpu->cpl)
        CPU_TRY(cpu_stack_from_tss(cpu, cpl, ist, ext, stack));
    else
        *stack = cpu_stack_current(cpu, ext);
    if (cpu->long_mode) { /* Intel SDM vol. 3, "64-Bit Mode Stack Frame" */
        stack->width = 8;
        stack->sp &= ~0xfull;
    }
    return CPU_NEXT;
}

static int deliver_protected(struct cpu *cpu, const struct cpu_event *event)
{
    const bool ext = is_external(event);
    const uint64_t rflags = pushed_rflags(cpu, event);
    uint64_t cleared = X86_FLAG_TF | X86_FLAG_NT | X86_FLAG_RF | X86_FLAG_VM;
    uint64_t frame[6];
    struct cpu_descriptor code;
    struct cpu_stack stack;
    struct x86_gate gate;
    unsigned cpl, size, count = 0;

    CPU_TRY(read_gate(cpu, event, &gate));
    if (gate.type == X86_TYPE_TASK_GATE)
        return cpu_task_switch(cpu, &(struct cpu_task){.selector = gate.selector,
                                                       .how = CPU_TASK_CALL,
                                                       .ext = ext,
                                                       .rflags = rflags,
                                                       .event = event});
    CPU_TRY(gate_code(cpu, &gate, ext, &code));
    cpl = cpu_is_conforming(&code.seg) ? cpu->cpl : cpu_dpl(&code.seg);
    CPU_TRY(gate_stack(cpu, &gate, cpl, ext, &stack));
    CPU_TRY(cpu_check_rip(cpu, &code.seg, gate.offset, ext));

    if (cpu->long_mode || stack.inner) {
        frame[count++] = cpu->r.seg[RINGSIDE_SS].selector;
        frame[count++] = cpu->r.gpr[RINGSIDE_RSP];
    }
    frame[count++] = rflags;
    frame[count++] = cpu->r.seg[RINGSIDE_CS].selector;
    frame[count++] = cpu->r.rip;
    if (event->has_error)
        frame[count++] = event->error;
    size = cpu->long_mode ? 8 : gate.type >= X86_TYPE_INT_GATE ? 4 : 2;
    CPU_TRY(cpu_stack_push(cpu, &stack, frame, count, size));

    if (is_interrupt_gate(&gate))
        cleared |= X86_FLAG_IF;
    cpu_stack_enter(cpu, &stack);
    cpu_enter_code(cpu, &code.seg, cpl, gate.offset);
    cpu_set_rflags(cpu, rflags & ~cleared);
    return CPU_NEXT;
}

/* CR2, DR6 and DR7 change as delivery starts, whether it succeeds or not. */
static void record_cause(struct cpu *cpu, const struct cpu_event *event)
{
    if (event->kind != CPU_EVENT_EXCEPTION)
        return;
    if (event->vector == X86_EXC_PF)
        cpu->r.cr2 = event->cr2;
    if (event->vector == X86_EXC_DB) {
        cpu->r.dr6 = (cpu->r.dr6 & ~(uint64_t)X86_DR6_B) | event->dr6;
        cpu->r.dr7 &= ~(uint64_t)X86_DR7_GD;
        cpu->r.debugctl &= ~(uint64_t)(X86_DEBUGCTL_LBR | X86_DEBUGCTL_BTF);
    }
}

int cpu_deliver_once(struct cpu *cpu, const struct cpu_event *event)
{
    if (cpu->r.rflags & X86_FLAG_VM)
        return cpu_enter_v8086(cpu);
    const int status =
        cpu_is_real_mode(cpu) ? deliver_real(cpu, event) : deliver_protected(cpu, event);

    if (status)
        return status;
    if (event->kind == CPU_EVENT_NMI)
        cpu->r.nmi_blocked = true;
    cpu->r.shadow = RINGSIDE_SHADOW_NONE;
    cpu->r.activity = RINGSIDE_RUNNING;
    cpu_update_mode(cpu);
    return CPU_NEXT;
}

/* --- Double and triple faults ---------------------------------------------------------------- */

enum fault_class { BENIGN, CONTRIBUTORY, PAGE_FAULT, DOUBLE_FAULT };

/* Intel SDM vol. 3, "Interrupt and Exception Classes". */
static enum fault_class classify(const struct cpu_event *event)
{
    if (event->kind != CPU_EVENT_EXCEPTION)
        return BENIGN;
    switch (event->vector) {
    case X86_EXC_DE:
    case X86_EXC_TS:
    case X86_EXC_NP:
    case X86_EXC_SS:
    case X86_EXC_GP:
    case X86_EXC_CP: return CONTRIBUTORY;
    case X86_EXC_PF: return PAGE_FAULT;
    case X86_EXC_DF: return DOUBLE_FAULT;
    default: return BENIGN;
    }
}

/* What follows when second came up while first was delivered: the second, #DF, or the end. */
static const enum {
    SECOND,
    DOUBLE,
    SHUTDOWN
} escalation[4][4] = {
    /* second:         benign  contributory  page fault */
    [BENIGN] = {SECOND, SECOND, SECOND, SECOND},
    [CONTRIBUTORY] = {SECOND, DOUBLE, SECOND, SECOND},
    [PAGE_FAULT] = {SECOND, DOUBLE, DOUBLE, SECOND},
    [DOUBLE_FAULT] = {SECOND, SHUTDOWN, SHUTDOWN, SHUTDOWN},
};

static int shut_down(struct cpu *cpu)
{
    cpu->r.activity = RINGSIDE_SHUTDOWN;
    cpu->exit = CPU_EXIT_SHUTDOWN;
    cpu->catch_pending = false; /* the stop for this tells more */
    return CPU_STOP;
}

int cpu_deliver(struct cpu *cpu, const struct cpu_event *event)
{
    const struct cpu_event double_fault = {
        .vector = X86_EXC_DF, .kind = CPU_EVENT_EXCEPTION, .has_error = true};
    const uint64_t cr2 = cpu->r.cr2, dr6 = cpu->r.dr6, dr7 = cpu->r.dr7;
    const uint64_t debugctl = cpu->r.debugctl, rip = cpu->r.rip;
    struct cpu_event now = *event;
    int status;

    record_cause(cpu, &now);
    cpu_catch_event(cpu, &now, rip);
    while ((status = cpu_deliver_once(cpu, &now)) == CPU_FAULT) {
        switch (escalation[classify(&now)][classify(&cpu->fault)]) {
        case SECOND: now = cpu->fault; break;
        case DOUBLE:
            record_cause(cpu, &cpu->fault);
            now = double_fault;
            break;
        case SHUTDOWN: return shut_down(cpu);
        }
        record_cause(cpu, &now);
        cpu_catch_event(cpu, &now, rip);
    }
    if (status == CPU_DECLINE) {
        cpu->catch_pending = false;
        cpu->r.cr2 = cr2;
        cpu->r.dr6 = dr6;
        cpu->r.dr7 = dr7;
        cpu->r.debugctl = debugctl;
    }
    return status;
}
