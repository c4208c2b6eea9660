/* Control transfers that load CS: far JMP, CALL and RET, IRET, and the INT instructions. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/descriptor.h"

/* After a return to an outer ring: a 16-bit stack takes SP only. */
static void set_stack_pointer(struct cpu *cpu, const struct ringside_segment *cs,
                              const struct ringside_segment *ss, uint64_t sp)
{
    const unsigned width = cpu_is_code64(cpu, cs) ? 8 : ss->access & X86_SEG_DB ? 4 : 2;

    cpu_set_gpr(cpu, RINGSIDE_RSP, width, sp);
}

/* Word n of the stack, without moving its pointer. */
static int peek(struct cpu *cpu, unsigned n, unsigned size, uint64_t *value)
{
    const uint64_t sp = cpu->r.gpr[RINGSIDE_RSP] + (uint64_t)n * size;

    return cpu_load(cpu, RINGSIDE_SS, cpu_zext(sp, cpu->stack_width), size, value);
}

/* --- Far JMP and CALL ------------------------------------------------------------------------ */

struct target {
    uint64_t offset;
    uint16_t selector;
};

static int read_target(struct cpu *cpu, const struct x86_insn *insn, struct target *target)
{
    /* AMD has no m16:64 (APM vol. 3, JMP Far). */
    const unsigned size = insn->opsize == 8 && cpu->model.vendor == CPU_AMD ? 4 : insn->opsize;
    const uint64_t ea = cpu_ea(cpu, insn);
    uint64_t selector;

    if (insn->operand[0].kind == X86_FAR) {
        *target = (struct target){.offset = insn->imm, .selector = insn->imm2};
        return CPU_NEXT;
    }
    CPU_TRY(cpu_load(cpu, insn->seg, ea, size, &target->offset));
    CPU_TRY(cpu_load(cpu, insn->seg, cpu_zext(ea + size, insn->addrsize), 2, &selector));
    target->selector = (uint16_t)selector;
    return CPU_NEXT;
}

static int push_return(struct cpu *cpu, struct cpu_stack *stack, unsigned size)
{
    const uint64_t frame[] = {cpu->r.seg[RINGSIDE_CS].selector, cpu->r.rip};

    return cpu_stack_push(cpu, stack, frame, 2, size);
}

static int transfer_real(struct cpu *cpu, const struct target *target, bool call, unsigned size)
{
    struct cpu_stack stack = cpu_stack_current(cpu, false);
    struct ringside_segment *cs = &cpu->r.seg[RINGSIDE_CS];

    if (target->offset > cs->limit)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    if (call)
        CPU_TRY(push_return(cpu, &stack, size));
    cpu_stack_enter(cpu, &stack);
    cs->selector = target->selector;
    cs->base = (uint64_t)target->selector << 4;
    cpu->r.rip = target->offset;
    return CPU_SYNC;
}

static int transfer_code(struct cpu *cpu, struct cpu_descriptor *code, const struct target *target,
                         bool call, unsigned size)
{
    const unsigned rpl = target->selector & X86_SELECTOR_RPL, dpl = cpu_dpl(&code->seg);
    struct cpu_stack stack = cpu_stack_current(cpu, false);

    if (cpu_is_conforming(&code->seg) ? dpl > cpu->cpl : rpl > cpu->cpl || dpl != cpu->cpl)
        return cpu_fault_selector(cpu, X86_EXC_GP, target->selector, false);
    CPU_TRY(cpu_check_code_present(cpu, &code->seg, false));
    CPU_TRY(cpu_check_rip(cpu, &code->seg, target->offset, 0));
    CPU_TRY(cpu_descriptor_access(cpu, code));
    if (call)
        CPU_TRY(push_return(cpu, &stack, size));
    cpu_stack_enter(cpu, &stack);
    cpu_enter_code(cpu, &code->seg, cpu->cpl, target->offset);
    cpu_update_mode(cpu);
    return CPU_SYNC;
}

/* CALL through a gate to an inner ring: its stack gets the old SS:SP, parameters and return. */
static int push_inner_frame(struct cpu *cpu, struct cpu_stack *stack, unsigned parameters,
                            unsigned size)
{
    uint64_t frame[CPU_FRAME_MAX];
    unsigned count = 0;

    frame[count++] = cpu->r.seg[RINGSIDE_SS].selector;
    frame[count++] = cpu->r.gpr[RINGSIDE_RSP];
    for (unsigned n = parameters; n-- > 0;)
        CPU_TRY(peek(cpu, n, size, &frame[count++]));
    frame[count++] = cpu->r.seg[RINGSIDE_CS].selector;
    frame[count++] = cpu->r.rip;
    return cpu_stack_push(cpu, stack, frame, count, size);
}

static int transfer_gate(struct cpu *cpu, const struct cpu_descriptor *d, bool call)
{
    const struct x86_gate gate = x86_gate_decode(d->word, cpu->long_mode);
    const unsigned size = cpu->long_mode ? 8 : gate.type == X86_TYPE_CALL_GATE16 ? 2 : 4;
    struct cpu_descriptor code;
    struct cpu_stack stack;
    unsigned cpl = cpu->cpl;

    if (!gate.present)
        return cpu_fault_selector(cpu, X86_EXC_NP, d->seg.selector, false);
    if (cpu_selector_null(gate.selector))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    CPU_TRY(cpu_descriptor_read(cpu, gate.selector, X86_EXC_GP, false, &code));
    if (!cpu_is_code(&code.seg) || cpu_dpl(&code.seg) > cpl ||
        (cpu->long_mode && !(code.seg.access & X86_SEG_L)) ||
        (!call && !cpu_is_conforming(&code.seg) && cpu_dpl(&code.seg) != cpl))
        return cpu_fault_selector(cpu, X86_EXC_GP, gate.selector, false);
    CPU_TRY(cpu_check_code_present(cpu, &code.seg, false));
    CPU_TRY(cpu_descriptor_access(cpu, &code));
    if (!cpu_is_conforming(&code.seg))
        cpl = cpu_dpl(&code.seg);

    if (cpl != cpu->cpl) {
        CPU_TRY(cpu_stack_from_tss(cpu, cpl, 0, false, &stack));
        CPU_TRY(cpu_check_rip(cpu, &code.seg, gate.offset, 0));
        CPU_TRY(push_inner_frame(cpu, &stack, cpu->long_mode ? 0 : gate.count, size));
    } else {
        stack = cpu_stack_current(cpu, false);
        CPU_TRY(cpu_check_rip(cpu, &code.seg, gate.offset, 0));
        if (call)
            CPU_TRY(push_return(cpu, &stack, size));
    }
    cpu_stack_enter(cpu, &stack);
    cpu_enter_code(cpu, &code.seg, cpl, gate.offset);
    cpu_update_mode(cpu);
    return CPU_SYNC;
}

static int transfer_task(struct cpu *cpu, uint16_t selector, enum cpu_task_how how)
{
    const struct cpu_task task = {
        .selector = selector, .how = (uint8_t)how, .rflags = cpu_rflags(cpu)};
    const int status = cpu_task_switch(cpu, &task);

    return status == CPU_NEXT ? CPU_SYNC : status;
}

static int transfer_system(struct cpu *cpu, const struct cpu_descriptor *d, bool call)
{
    const unsigned dpl = cpu_dpl(&d->seg);
    const uint16_t selector = d->seg.selector;

    switch (d->seg.access & X86_SEG_TYPE) {
    case X86_TYPE_CALL_GATE: break;
    case X86_TYPE_CALL_GATE16:
    case X86_TYPE_TASK_GATE:
    case X86_TYPE_TSS16:
    case X86_TYPE_TSS:
        if (!cpu->long_mode)
            break;
        /* fall through */
    default: return cpu_fault_selector(cpu, X86_EXC_GP, selector, false);
    }
    if (dpl < cpu->cpl || dpl < (selector & X86_SELECTOR_RPL))
        return cpu_fault_selector(cpu, X86_EXC_GP, selector, false);
    switch (d->seg.access & X86_SEG_TYPE) {
    case X86_TYPE_CALL_GATE:
    case X86_TYPE_CALL_GATE16: return transfer_gate(cpu, d, call);
    }
    if (!(d->seg.access & X86_SEG_P))
        return cpu_fault_selector(cpu, X86_EXC_NP, selector, false);
    return transfer_task(cpu,
                         (d->seg.access & X86_SEG_TYPE) == X86_TYPE_TASK_GATE
                             ? x86_gate_decode(d->word, false).selector
                             : selector,
                         call ? CPU_TASK_CALL : CPU_TASK_JMP);
}

static int transfer(struct cpu *cpu, const struct x86_insn *insn, bool call)
{
    struct cpu_descriptor d;
    struct target target;

    CPU_TRY(read_target(cpu, insn, &target));
    if (cpu_is_real_mode(cpu))
        return transfer_real(cpu, &target, call, insn->opsize);
    if (cpu_selector_null(target.selector))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    CPU_TRY(cpu_descriptor_read(cpu, target.selector, X86_EXC_GP, false, &d));
    if (cpu_is_system(&d.seg))
        return transfer_system(cpu, &d, call);
    if (!cpu_is_code(&d.seg))
        return cpu_fault_selector(cpu, X86_EXC_GP, target.selector, false);
    return transfer_code(cpu, &d, &target, call, insn->opsize);
}

static int jmp_far(struct cpu *cpu, const struct x86_insn *insn)
{
    return transfer(cpu, insn, false);
}

static int call_far(struct cpu *cpu, const struct x86_insn *insn)
{
    return transfer(cpu, insn, true);
}

/* --- Returns: what RET and IRET share -------------------------------------------------------- */

/* The CS that a return goes to, in protected mode: the same ring or an outer one. */
static int return_code(struct cpu *cpu, uint16_t selector, struct cpu_descriptor *code)
{
    const unsigned rpl = selector & X86_SELECTOR_RPL;

    if (cpu_selector_null(selector))
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    CPU_TRY(cpu_descriptor_read(cpu, selector, X86_EXC_GP, false, code));
    if (!cpu_is_code(&code->seg) || rpl < cpu->cpl ||
        (cpu_is_conforming(&code->seg) ? cpu_dpl(&code->seg) > rpl : cpu_dpl(&code->seg) != rpl))
        return cpu_fault_selector(cpu, X86_EXC_GP, selector, false);
    CPU_TRY(cpu_check_code_present(cpu, &code->seg, false));
    return cpu_descriptor_access(cpu, code);
}

/* The SS that goes with it. */
static int return_stack(struct cpu *cpu, uint16_t selector, const struct ringside_segment *cs,
                        struct ringside_segment *ss)
{
    const unsigned cpl = cs->selector & X86_SELECTOR_RPL;

    if (!cpu_selector_null(selector))
        return cpu_stack_segment(cpu, selector, cpl, X86_EXC_GP, false, ss);
    if (!cpu_is_code64(cpu, cs) || cpl == 3 || selector != cpl)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    *ss = cpu_null_stack_segment(cpl);
    return CPU_NEXT;
}

/* --- Far RET --------------------------------------------------------------------------------- */

static void release(struct cpu *cpu, uint64_t bytes)
{
    cpu_set_gpr(cpu, RINGSIDE_RSP, cpu->stack_width, cpu->r.gpr[RINGSIDE_RSP] + bytes);
}

static int ret_far_outer(struct cpu *cpu, const struct cpu_descriptor *code, uint64_t rip,
                         unsigned size, uint16_t parameters)
{
    const uint64_t begin = cpu->r.gpr[RINGSIDE_RSP] + 2ull * size + parameters;
    const unsigned rpl = code->seg.selector & X86_SELECTOR_RPL;
    struct ringside_segment ss;
    uint64_t rsp, selector;

    CPU_TRY(cpu_load(cpu, RINGSIDE_SS, cpu_zext(begin, cpu->stack_width), size, &rsp));
    CPU_TRY(cpu_load(cpu, RINGSIDE_SS, cpu_zext(begin + size, cpu->stack_width), size, &selector));
    CPU_TRY(return_stack(cpu, (uint16_t)selector, &code->seg, &ss));
    CPU_TRY(cpu_check_rip(cpu, &code->seg, rip, 0));

    cpu->r.seg[RINGSIDE_SS] = ss;
    set_stack_pointer(cpu, &code->seg, &ss, rsp + parameters);
    cpu_enter_code(cpu, &code->seg, rpl, rip);
    cpu_drop_segments(cpu, rpl);
    cpu_update_mode(cpu);
    return CPU_SYNC;
}

static int ret_far(struct cpu *cpu, const struct x86_insn *insn)
{
    const unsigned size = insn->opsize;
    const uint16_t parameters = insn->count ? (uint16_t)insn->imm : 0;
    struct cpu_descriptor code;
    uint64_t rip, selector;

    CPU_TRY(peek(cpu, 0, size, &rip));
    CPU_TRY(peek(cpu, 1, size, &selector));
    if (cpu_is_real_mode(cpu)) {
        struct ringside_segment *cs = &cpu->r.seg[RINGSIDE_CS];

        if (rip > cs->limit)
            return cpu_fault_code(cpu, X86_EXC_GP, 0);
        release(cpu, 2ull * size + parameters);
        cs->selector = (uint16_t)selector;
        cs->base = (uint64_t)cs->selector << 4;
        cpu->r.rip = rip;
        return CPU_SYNC;
    }
    CPU_TRY(return_code(cpu, (uint16_t)selector, &code));
    if ((selector & X86_SELECTOR_RPL) > cpu->cpl)
        return ret_far_outer(cpu, &code, rip, size, parameters);
    CPU_TRY(cpu_check_rip(cpu, &code.seg, rip, 0));
    release(cpu, 2ull * size + parameters);
    cpu_enter_code(cpu, &code.seg, cpu->cpl, rip);
    cpu_update_mode(cpu);
    return CPU_SYNC;
}

/* --- IRET ------------------------------------------------------------------------------------ */

/* RFLAGS after a return: what the image may change at this privilege (Intel SDM vol. 2, IRET). */
static uint64_t returned_rflags(const struct cpu *cpu, uint64_t image, unsigned size)
{
    const uint64_t old = cpu_rflags(cpu);
    const unsigned iopl = (old & X86_FLAG_IOPL) >> 12;
    uint64_t mask = X86_FLAGS_ARITH | X86_FLAG_TF | X86_FLAG_DF | X86_FLAG_NT;

    if (size > 2)
        mask |= X86_FLAG_RF | X86_FLAG_AC | X86_FLAG_ID;
    if (cpu->cpl == 0)
        mask |= X86_FLAG_IOPL;
    if (cpu->cpl == 0 && size > 2)
        mask |= X86_FLAG_VIF | X86_FLAG_VIP;
    if (cpu->cpl <= iopl)
        mask |= X86_FLAG_IF;
    return (old & ~mask) | (image & mask);
}

static int iret_real(struct cpu *cpu, const uint64_t frame[3], unsigned size)
{
    struct ringside_segment *cs = &cpu->r.seg[RINGSIDE_CS];
    const uint64_t kept = X86_FLAG_VIF | X86_FLAG_VIP; /* Intel SDM vol. 2, IRET: and VM */
    const uint64_t old = cpu_rflags(cpu);

    if (frame[0] > cs->limit)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    release(cpu, 3ull * size);
    cs->selector = (uint16_t)frame[1];
    cs->base = (uint64_t)cs->selector << 4;
    cpu->r.rip = frame[0];
    cpu_set_rflags(cpu, (returned_rflags(cpu, frame[2], size) & ~kept) | (old & kept));
    return CPU_SYNC;
}

static int iret_inner(struct cpu *cpu, const struct cpu_descriptor *code, const uint64_t frame[3],
                      unsigned size)
{
    CPU_TRY(cpu_check_rip(cpu, &code->seg, frame[0], 0));
    release(cpu, 3ull * size);
    cpu_set_rflags(cpu, returned_rflags(cpu, frame[2], size));
    cpu_enter_code(cpu, &code->seg, cpu->cpl, frame[0]);
    return CPU_SYNC;
}

/* To an outer ring; from 64-bit code to any. */
static int iret_outer(struct cpu *cpu, const struct cpu_descriptor *code, const uint64_t frame[3],
                      unsigned size)
{
    const unsigned rpl = code->seg.selector & X86_SELECTOR_RPL;
    struct ringside_segment ss;
    uint64_t rsp, selector, rflags;

    CPU_TRY(peek(cpu, 3, size, &rsp));
    CPU_TRY(peek(cpu, 4, size, &selector));
    CPU_TRY(return_stack(cpu, (uint16_t)selector, &code->seg, &ss));
    CPU_TRY(cpu_check_rip(cpu, &code->seg, frame[0], 0));

    rflags = returned_rflags(cpu, frame[2], size);
    cpu->r.seg[RINGSIDE_SS] = ss;
    set_stack_pointer(cpu, &code->seg, &ss, rsp);
    cpu_enter_code(cpu, &code->seg, rpl, frame[0]);
    cpu_drop_segments(cpu, rpl);
    cpu_set_rflags(cpu, rflags);
    return CPU_SYNC;
}

/* NT: back to the task that the TSS links to. */
static int iret_task(struct cpu *cpu)
{
    uint16_t link;

    if (cpu->long_mode)
        return cpu_fault_code(cpu, X86_EXC_GP, 0);
    CPU_TRY(cpu_read_linear(cpu, cpu->r.tr.base, &link, 2, CPU_SYSTEM_READ));
    return transfer_task(cpu, link, CPU_TASK_IRET);
}

static int return_from_interrupt(struct cpu *cpu, const struct x86_insn *insn)
{
    const unsigned size = insn->opsize;
    struct cpu_descriptor code;
    uint64_t frame[3];

    if (!cpu_is_real_mode(cpu) && (cpu->r.rflags & X86_FLAG_NT))
        return iret_task(cpu);
    for (unsigned n = 0; n < 3; n++)
        CPU_TRY(peek(cpu, n, size, &frame[n]));
    if (cpu_is_real_mode(cpu))
        return iret_real(cpu, frame, size);
    if ((frame[2] & X86_FLAG_VM) && size > 2 && cpu->cpl == 0 && !cpu->long_mode)
        return cpu_enter_v8086(cpu);

    CPU_TRY(return_code(cpu, (uint16_t)frame[1], &code));
    if (cpu->width == X86_CODE64 || (frame[1] & X86_SELECTOR_RPL) != cpu->cpl)
        return iret_outer(cpu, &code, frame, size);
    return iret_inner(cpu, &code, frame, size);
}

/*
 * NMIs are let in again: by an IRET that faults as well on Intel's processors (SDM vol. 3,
 * "Handling Multiple NMIs"), by one that completes on AMD's (APM vol. 2, NMI,
 * vector 2).
 */
static int iret(struct cpu *cpu, const struct x86_insn *insn)
{
    const int status = return_from_interrupt(cpu, insn);

    if (status >= 0 || (status == CPU_FAULT && cpu->model.vendor == CPU_INTEL))
        cpu->r.nmi_blocked = false;
    if (status >= 0)
        cpu_update_mode(cpu);
    return status;
}

/* --- INT ------------------------------------------------------------------------------------- */

/* A fault on the way is an instruction's fault: the run loop delivers it from the old rip. */
static int interrupt(struct cpu *cpu, uint8_t vector, enum cpu_event_kind kind)
{
    const struct cpu_event event = {.vector = vector, .kind = (uint8_t)kind};
    const uint64_t rip = cpu->r.rip;
    const int status = cpu_deliver_once(cpu, &event);

    if (status != CPU_NEXT)
        return status;
    cpu_catch_event(cpu, &event, rip);
    return CPU_SYNC;
}

static int int_n(struct cpu *cpu, const struct x86_insn *insn)
{
    return interrupt(cpu, (uint8_t)insn->imm, CPU_EVENT_INT);
}

/* INT3 and INT1, which a debugger may keep from the guest. */
static int trap(struct cpu *cpu, uint8_t vector, enum cpu_event_kind kind)
{
    const struct ringside_caught caught = {.kind = RINGSIDE_CATCH_TRAP, .number = vector};

    return cpu_caught(cpu, &caught) ? CPU_SYNC : interrupt(cpu, vector, kind);
}

static int int1(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    return trap(cpu, X86_EXC_DB, CPU_EVENT_ICEBP);
}

static int int3(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    return trap(cpu, X86_EXC_BP, CPU_EVENT_SOFT_EXCEPTION);
}

static int into(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    return cpu_of(cpu) ? interrupt(cpu, X86_EXC_OF, CPU_EVENT_SOFT_EXCEPTION) : CPU_NEXT;
}

cpu_handler *cpu_bind_far(const struct x86_insn *insn)
{
    switch (insn->op) {
    case X86_JMP_FAR: return jmp_far;
    case X86_CALL_FAR: return call_far;
    case X86_RET_FAR: return ret_far;
    case X86_IRET: return iret;
    case X86_INT: return int_n;
    case X86_INT1: return int1;
    case X86_INT3: return int3;
    case X86_INTO: return into;
    default: return NULL;
    }
}
