/* Task switches by the processor, through a TSS or a task gate (SDM vol. 3, "Task Management"). */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/descriptor.h"
#include "cpu/mmu.h"
#include "x86/paging.h"

/* Where a TSS has what: bytes from its begin.  Registers lie in the order of their encoding. */
static const struct layout {
    uint8_t width; /* of registers */
    uint8_t size, ip, flags, gpr, seg, seg_count, seg_stride, ldt;
} layouts[] = {
    {2, 44, 14, 16, 18, 34, 4, 2, 42},  /* figure 7-10 */
    {4, 104, 32, 36, 40, 72, 6, 4, 96}, /* figure 7-2 */
};
enum { FLAGS_LOADED = 0x3d7fd5 }; /* all that exist but VM */
enum { TSS_CR3 = 28, TSS_TRAP = 100, TSS_SIZE_MAX = 104, TYPE_BUSY = 2 };

static const struct layout *layout_of(const struct ringside_segment *tss)
{
    return &layouts[(tss->access & X86_SEG_TYPE) >= X86_TYPE_TSS];
}

static uint32_t tss_linear(const struct ringside_segment *tss, unsigned offset)
{
    return (uint32_t)(tss->base + offset);
}

/* --- Before the point of no return: faults leave the old task as it was ---------------------- */

/* The TSS that is switched to: available, or busy for a return to it. */
static int read_descriptor(struct cpu *cpu, const struct cpu_task *task, struct cpu_descriptor *d)
{
    const bool back = task->how == CPU_TASK_IRET;
    const uint8_t vector = back ? X86_EXC_TS : X86_EXC_GP;
    unsigned type;

    if (task->selector & X86_SELECTOR_LDT)
        return cpu_fault_selector(cpu, vector, task->selector, task->ext);
    CPU_TRY(cpu_descriptor_read(cpu, task->selector, vector, task->ext, d));
    type = d->seg.access & (X86_SEG_S | X86_SEG_TYPE);
    if (back ? type != X86_TYPE_TSS16_BUSY && type != X86_TYPE_TSS_BUSY
             : type != X86_TYPE_TSS16 && type != X86_TYPE_TSS)
        return cpu_fault_selector(cpu, vector, task->selector, task->ext);
    if (!(d->seg.access & X86_SEG_P))
        return cpu_fault_selector(cpu, X86_EXC_NP, task->selector, task->ext);
    if (d->seg.limit + 1ull < layout_of(&d->seg)->size)
        return cpu_fault_selector(cpu, X86_EXC_TS, task->selector, task->ext);
    return CPU_NEXT;
}

/* The registers as they are saved, over what is in the TSS between and behind them. */
static void save_registers(const struct cpu *cpu, const struct layout *l, uint64_t rflags,
                           uint8_t *tss)
{
    cpu_host_store(tss + l->ip, l->width, cpu->r.rip);
    cpu_host_store(tss + l->flags, l->width, rflags);
    for (unsigned i = 0; i < 8; i++)
        cpu_host_store(tss + l->gpr + i * l->width, l->width, cpu->r.gpr[i]);
    for (unsigned i = 0; i < l->seg_count; i++)
        cpu_host_store(tss + l->seg + i * l->seg_stride, 2, cpu->r.seg[i].selector);
}

static int set_busy(struct cpu *cpu, uint16_t selector, bool busy)
{
    const uint64_t linear = (uint32_t)(cpu->r.gdtr.base + (selector & X86_SELECTOR_INDEX) + 5);
    uint8_t access;

    CPU_TRY(cpu_read_linear(cpu, linear, &access, 1, CPU_SYSTEM_READ | CPU_WRITE));
    access = (uint8_t)(busy ? access | TYPE_BUSY : access & ~TYPE_BUSY);
    return cpu_write_linear(cpu, linear, &access, 1, CPU_SYSTEM_WRITE);
}

/* Can all that a switch writes be written? */
static int probe(struct cpu *cpu, const struct cpu_task *task, const struct cpu_descriptor *to)
{
    const uint32_t old = (uint32_t)(cpu->r.gdtr.base + (cpu->r.tr.selector & X86_SELECTOR_INDEX));

    if (task->how == CPU_TASK_CALL)
        CPU_TRY(cpu_probe_write(cpu, tss_linear(&to->seg, 0), 2, CPU_SYSTEM_WRITE));
    else
        CPU_TRY(cpu_probe_write(cpu, (uint32_t)(old + 5), 1, CPU_SYSTEM_WRITE));
    if (task->how != CPU_TASK_IRET)
        CPU_TRY(cpu_probe_write(cpu, (uint32_t)(to->linear + 5), 1, CPU_SYSTEM_WRITE));
    return CPU_NEXT;
}

static bool has_pages(const struct cpu *cpu, const struct layout *l)
{
    return l->width == 4 && (cpu->r.cr0 & X86_CR0_PG);
}

/* Save the old task and make the new one the current one, but for its segments. */
static int change(struct cpu *cpu, const struct cpu_task *task, const struct cpu_descriptor *to,
                  const uint8_t *tss)
{
    const struct layout *from_l = layout_of(&cpu->r.tr), *l = layout_of(&to->seg);
    const uint64_t kept = task->rflags & ~(task->how == CPU_TASK_IRET ? (uint64_t)X86_FLAG_NT : 0);
    const unsigned saved = from_l->seg + from_l->seg_count * from_l->seg_stride - from_l->ip;
    const uint16_t link = cpu->r.tr.selector;
    const uint32_t area = tss_linear(&cpu->r.tr, from_l->ip);
    uint64_t rflags = cpu_host_load(tss + l->flags, l->width);
    uint8_t old[TSS_SIZE_MAX];

    if (cpu->r.tr.limit < (uint32_t)from_l->ip + saved - 1)
        return cpu_fault_selector(cpu, X86_EXC_TS, link, task->ext);
    CPU_TRY(probe(cpu, task, to));
    CPU_TRY(cpu_read_linear(cpu, area, old + from_l->ip, saved, CPU_SYSTEM_READ | CPU_WRITE));
    save_registers(cpu, from_l, kept, old);
    CPU_TRY(cpu_write_linear(cpu, area, old + from_l->ip, saved, CPU_SYSTEM_WRITE));
    if (task->how == CPU_TASK_CALL)
        CPU_TRY(cpu_write_linear(cpu, tss_linear(&to->seg, 0), &link, 2, CPU_SYSTEM_WRITE));
    else
        CPU_TRY(set_busy(cpu, link, false));
    if (task->how != CPU_TASK_IRET)
        CPU_TRY(set_busy(cpu, task->selector, true));

    cpu->r.tr = to->seg;
    cpu->r.tr.access |= TYPE_BUSY;
    cpu->r.cr0 |= X86_CR0_TS;
    cpu->r.dr7 &= ~0x155ull; /* L0..L3 and LE */
    if (has_pages(cpu, l)) {
        cpu->r.cr3 = cpu_host_load(tss + TSS_CR3, 4);
        cpu_flush_nonglobal(cpu);
    }
    cpu->r.rip = cpu_host_load(tss + l->ip, l->width);
    for (unsigned i = 0; i < 8; i++) /* the upper halves read as ones after a 16-bit TSS */
        cpu->r.gpr[i] =
            cpu_host_load(tss + l->gpr + i * l->width, l->width) | (l->width == 2 ? 0xffff0000 : 0);
    for (unsigned i = 0; i < 6; i++)
        cpu->r.seg[i] = (struct ringside_segment){
            .selector = i < l->seg_count
                            ? (uint16_t)cpu_host_load(tss + l->seg + i * l->seg_stride, 2)
                            : 0};
    cpu->r.seg[RINGSIDE_SS].access = (cpu->r.seg[RINGSIDE_CS].selector & X86_SELECTOR_RPL)
                                     << X86_SEG_DPL_SHIFT;
    if (task->how == CPU_TASK_CALL)
        rflags |= X86_FLAG_NT;
    cpu_set_rflags(cpu, rflags & FLAGS_LOADED);
    cpu_update_mode(cpu);
    return CPU_NEXT;
}

/* --- Behind it: faults are the new task's ---------------------------------------------------- */

static int load_ldt(struct cpu *cpu, uint16_t selector, bool ext)
{
    struct cpu_descriptor d;

    cpu->r.ldtr = (struct ringside_segment){.selector = selector};
    if (cpu_selector_null(selector))
        return CPU_NEXT;
    if (selector & X86_SELECTOR_LDT)
        return cpu_fault_selector(cpu, X86_EXC_TS, selector, ext);
    CPU_TRY(cpu_descriptor_read(cpu, selector, X86_EXC_TS, ext, &d));
    if ((d.seg.access & (X86_SEG_S | X86_SEG_TYPE)) != X86_TYPE_LDT || !(d.seg.access & X86_SEG_P))
        return cpu_fault_selector(cpu, X86_EXC_TS, selector, ext);
    cpu->r.ldtr = d.seg;
    return CPU_NEXT;
}

static int load_code(struct cpu *cpu, bool ext)
{
    const uint16_t selector = cpu->r.seg[RINGSIDE_CS].selector;
    const unsigned rpl = selector & X86_SELECTOR_RPL;
    struct cpu_descriptor d;

    if (cpu_selector_null(selector))
        return cpu_fault_selector(cpu, X86_EXC_TS, selector, ext);
    CPU_TRY(cpu_descriptor_read(cpu, selector, X86_EXC_TS, ext, &d));
    if (!cpu_is_code(&d.seg) ||
        (cpu_is_conforming(&d.seg) ? cpu_dpl(&d.seg) > rpl : cpu_dpl(&d.seg) != rpl))
        return cpu_fault_selector(cpu, X86_EXC_TS, selector, ext);
    if (!(d.seg.access & X86_SEG_P))
        return cpu_fault_selector(cpu, X86_EXC_NP, selector, ext);
    CPU_TRY(cpu_descriptor_access(cpu, &d));
    cpu_segment_set(cpu, RINGSIDE_CS, &d.seg);
    return CPU_NEXT;
}

static int load_segments(struct cpu *cpu, bool ext)
{
    static const uint8_t data[] = {RINGSIDE_DS, RINGSIDE_ES, RINGSIDE_FS, RINGSIDE_GS};
    struct ringside_segment seg;

    CPU_TRY(load_code(cpu, ext));
    if (cpu_selector_null(cpu->r.seg[RINGSIDE_SS].selector))
        return cpu_fault_selector(cpu, X86_EXC_TS, cpu->r.seg[RINGSIDE_SS].selector, ext);
    CPU_TRY(
        cpu_stack_segment(cpu, cpu->r.seg[RINGSIDE_SS].selector, cpu->cpl, X86_EXC_TS, ext, &seg));
    cpu_segment_set(cpu, RINGSIDE_SS, &seg);
    for (unsigned i = 0; i < 4; i++) {
        const uint16_t selector = cpu->r.seg[data[i]].selector;

        if (cpu_selector_null(selector))
            continue;
        CPU_TRY(cpu_data_segment(cpu, selector, X86_EXC_TS, ext, &seg));
        cpu_segment_set(cpu, data[i], &seg);
    }
    return cpu_check_rip(cpu, &cpu->r.seg[RINGSIDE_CS], cpu->r.rip, ext);
}

static int push_error(struct cpu *cpu, const struct cpu_task *task, const struct layout *l)
{
    struct cpu_stack stack = cpu_stack_current(cpu, task->ext);
    const uint64_t error = task->event->error;

    CPU_TRY(cpu_stack_push(cpu, &stack, &error, 1, l->width));
    cpu_stack_enter(cpu, &stack);
    return CPU_NEXT;
}

static int finish(struct cpu *cpu, const struct cpu_task *task, const struct layout *l,
                  const uint8_t *tss)
{
    if (has_pages(cpu, l) && x86_paging_mode(cpu->r.cr0, cpu->r.cr4, cpu->r.efer) == X86_PAGING_PAE)
        CPU_TRY(cpu_load_pdptes(cpu, cpu->r.cr3));
    CPU_TRY(load_ldt(cpu, (uint16_t)cpu_host_load(tss + l->ldt, 2), task->ext));
    CPU_TRY(load_segments(cpu, task->ext));
    if (task->event && task->event->has_error)
        CPU_TRY(push_error(cpu, task, l));
    if (l->width == 4 && (tss[TSS_TRAP] & 1))
        cpu->r.pending_debug |= X86_DR6_BT;
    return CPU_NEXT;
}

int cpu_task_switch(struct cpu *cpu, const struct cpu_task *task)
{
    struct cpu_descriptor to;
    uint8_t tss[TSS_SIZE_MAX];
    const struct layout *l;
    struct cpu_event fault;
    int status;

    CPU_TRY(read_descriptor(cpu, task, &to));
    l = layout_of(&to.seg);
    CPU_TRY(cpu_read_linear(cpu, tss_linear(&to.seg, 0), tss, l->size, CPU_SYSTEM_READ));
    if (cpu_host_load(tss + l->flags, l->width) & X86_FLAG_VM)
        return cpu_enter_v8086(cpu);
    CPU_TRY(change(cpu, task, &to, tss));
    status = finish(cpu, task, l, tss);
    /* An instruction's fault would be delivered from the old task. */
    if (status != CPU_FAULT || task->ext)
        return status;
    fault = cpu->fault;
    return cpu_deliver(cpu, &fault);
}
