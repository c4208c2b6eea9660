/* Runs one instruction on the software CPU: a small long-mode system around it, user mode inside.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "native.h"

#include <stdlib.h>
#include <string.h>

#include "cpu/cpu.h"
#include "x86/paging.h"
#include "x86/regs.h"

/* Guest-physical pages; the first 2 MiB of linear addresses are the same, for the supervisor. */
enum {
    PML4 = 0x1000,
    PDPT = 0x2000,
    PD = 0x3000,
    PT_SYSTEM = 0x4000,
    PT_CODE = 0x5000,
    PT_DATA = 0x6000,
    GDT = 0x7000,
    IDT = 0x8000,
    TSS = 0x9000,
    STACK_TOP = 0xb000,
    HANDLERS = 0xb000, /* never executed: 16 bytes for each vector */
    CODE = 0xc000,
    DATA = 0xd000,
    MEMORY_SIZE = 0x10000,
};
enum { KERNEL_CS = 0x08, USER_SS = 0x2b, USER_CS = 0x33, STEPS_MAX = 10000 };

struct soft {
    struct cpu cpu;
    struct cpu_code *code;
    void *code_memory;
    struct ringside_regs system; /* the registers that are the same in all cases */
    _Alignas(4096) uint8_t memory[MEMORY_SIZE];
};

static uint8_t *bus_page(void *ctx, uint64_t gpa, bool *writable)
{
    struct soft *s = ctx;

    *writable = true;
    return gpa < MEMORY_SIZE ? s->memory + gpa : NULL;
}

static int bus_read(void *ctx, struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t *value)
{
    (void)ctx, (void)cpu, (void)gpa, (void)size, (void)value;
    return CPU_DECLINE;
}

static int bus_write(void *ctx, struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t value)
{
    (void)ctx, (void)cpu, (void)gpa, (void)size, (void)value;
    return CPU_DECLINE;
}

static int bus_in(void *ctx, struct cpu *cpu, uint16_t port, unsigned size, uint32_t *value)
{
    (void)ctx, (void)cpu, (void)port, (void)size, (void)value;
    return CPU_DECLINE;
}

static int bus_out(void *ctx, struct cpu *cpu, uint16_t port, unsigned size, uint32_t value)
{
    (void)ctx, (void)cpu, (void)port, (void)size, (void)value;
    return CPU_DECLINE;
}

static int bus_rdmsr(void *ctx, struct cpu *cpu, uint32_t msr, uint64_t *value)
{
    (void)ctx, (void)cpu, (void)msr, (void)value;
    return CPU_DECLINE;
}

static int bus_wrmsr(void *ctx, struct cpu *cpu, uint32_t msr, uint64_t value)
{
    (void)ctx, (void)cpu, (void)msr, (void)value;
    return CPU_DECLINE;
}

static uint64_t bus_read_cr8(void *ctx, struct cpu *cpu)
{
    (void)ctx, (void)cpu;
    return 0;
}

static void bus_write_cr8(void *ctx, struct cpu *cpu, uint64_t value)
{
    (void)ctx, (void)cpu, (void)value;
}

static int bus_acknowledge(void *ctx, struct cpu *cpu)
{
    (void)ctx, (void)cpu;
    return -1;
}

static const struct cpu_bus bus = {
    .page = bus_page,
    .read = bus_read,
    .write = bus_write,
    .in = bus_in,
    .out = bus_out,
    .rdmsr = bus_rdmsr,
    .wrmsr = bus_wrmsr,
    .read_cr8 = bus_read_cr8,
    .write_cr8 = bus_write_cr8,
    .acknowledge = bus_acknowledge,
};

static void put(struct soft *s, uint64_t gpa, uint64_t value)
{
    memcpy(s->memory + gpa, &value, 8);
}

static uint64_t get(const struct soft *s, uint64_t gpa)
{
    uint64_t value;

    memcpy(&value, s->memory + gpa, 8);
    return value;
}

static void build_tables(struct soft *s)
{
    const uint64_t user = X86_PTE_P | X86_PTE_W | X86_PTE_U | X86_PTE_A | X86_PTE_D;
    const uint64_t supervisor = user & ~(uint64_t)X86_PTE_U;

    put(s, PML4, PDPT | user);
    put(s, PDPT, PD | user);
    put(s, PD, PT_SYSTEM | user);
    put(s, PD + (NATIVE_CODE >> 21) * 8, PT_CODE | user);
    put(s, PD + (NATIVE_DATA >> 21) * 8, PT_DATA | user);
    for (uint64_t gpa = 0x1000; gpa < MEMORY_SIZE; gpa += 0x1000)
        put(s, PT_SYSTEM + gpa / 0x1000 * 8, gpa | supervisor);
    put(s, PT_CODE, CODE | user);
    put(s, PT_DATA, DATA | user);

    put(s, GDT + KERNEL_CS, 0x00af9b000000ffff);
    put(s, TSS + 4, STACK_TOP);
    for (uint64_t vector = 0; vector < 32; vector++) {
        uint64_t handler = HANDLERS + vector * 16;

        put(s, IDT + vector * 16,
            (handler & 0xffff) | (uint64_t)KERNEL_CS << 16 | 0x8eull << 40 | handler >> 16 << 48);
    }
    memset(s->memory + CODE, 0xcc, NATIVE_PAGE);
}

static void build_registers(struct soft *s)
{
    const uint16_t data = X86_SEG_P | X86_SEG_S | X86_SEG_DPL | X86_SEG_WRITABLE |
                          X86_SEG_ACCESSED | X86_SEG_DB | X86_SEG_G;
    const uint16_t code = X86_SEG_P | X86_SEG_S | X86_SEG_DPL | X86_SEG_CODE | X86_SEG_READABLE |
                          X86_SEG_ACCESSED | X86_SEG_L | X86_SEG_G;
    struct ringside_regs *r = &s->system;

    cpu_get_regs(&s->cpu, r);
    for (int i = 0; i < 6; i++)
        r->seg[i] =
            (struct ringside_segment){.limit = 0xffffffff, .selector = USER_SS, .access = data};
    r->seg[RINGSIDE_CS].selector = USER_CS;
    r->seg[RINGSIDE_CS].access = code;
    r->tr = (struct ringside_segment){
        .base = TSS, .limit = 0x67, .selector = 0x40, .access = X86_SEG_P | 0xb};
    r->gdtr = (struct ringside_table){.base = GDT, .limit = 0xff};
    r->idtr = (struct ringside_table){.base = IDT, .limit = 32 * 16 - 1};
    r->cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP | X86_CR0_PG;
    r->cr3 = PML4;
    r->cr4 = X86_CR4_PAE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT | X86_CR4_OSXSAVE;
    r->efer = X86_EFER_SCE | X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
    r->activity = RINGSIDE_RUNNING;
}

struct soft *soft_new(bool amd)
{
    const struct cpu_model model = {
        .vendor = amd ? CPU_AMD : CPU_INTEL, .count = 1, .tsc_hz = 1000000000, .tsc_per_insn = 1};
    struct soft *s = aligned_alloc(4096, (sizeof(*s) + 4095) / 4096 * 4096);
    size_t size = cpu_code_size();

    if (!s)
        return NULL;
    memset(s, 0, sizeof(*s));
    s->code_memory = malloc(size);
    if (!s->code_memory) {
        free(s);
        return NULL;
    }
    s->code = cpu_code_init(s->code_memory, size);
    cpu_init(&s->cpu, &model, &bus, s, s->code);
    build_tables(s);
    build_registers(s);
    return s;
}

void soft_free(struct soft *s)
{
    if (s)
        free(s->code_memory);
    free(s);
}

static void load_fpu(struct ringside_fpu *fpu, const struct native_fx *fx)
{
    for (int i = 0; i < 8; i++) {
        fpu->st[i].significand = fx->st[i].significand;
        fpu->st[i].sign_exponent = fx->st[i].sign_exponent;
    }
    fpu->fcw = fx->fcw;
    fpu->fsw = fx->fsw;
    fpu->ftw = fx->ftw;
    fpu->mxcsr = fx->mxcsr;
    for (int i = 0; i < 16; i++)
        memcpy(fpu->vector[i], fx->xmm[i], 16);
}

static void store_fpu(struct native_fx *fx, const struct ringside_fpu *fpu)
{
    for (int i = 0; i < 8; i++) {
        fx->st[i].significand = fpu->st[i].significand;
        fx->st[i].sign_exponent = fpu->st[i].sign_exponent;
    }
    fx->fcw = fpu->fcw;
    fx->fsw = fpu->fsw;
    fx->ftw = fpu->ftw;
    fx->mxcsr = fpu->mxcsr;
    for (int i = 0; i < 16; i++)
        memcpy(fx->xmm[i], fpu->vector[i], 16);
}

static bool has_error_code(unsigned vector)
{
    return vector == X86_EXC_DF || (vector >= X86_EXC_TS && vector <= X86_EXC_PF) ||
           vector == X86_EXC_AC;
}

/* The exception's stack frame says what the registers were. */
static void store_fault(const struct soft *s, struct native_state *out, struct ringside_regs *r)
{
    uint64_t frame = r->gpr[RINGSIDE_RSP];

    out->vector = (uint8_t)((r->rip - HANDLERS) / 16);
    if (has_error_code(out->vector)) {
        out->error = (uint32_t)get(s, frame);
        frame += 8;
    }
    if (out->vector == X86_EXC_PF)
        out->cr2 = r->cr2;
    r->rip = get(s, frame);
    r->rflags = get(s, frame + 16);
    r->gpr[RINGSIDE_RSP] = get(s, frame + 24);
}

const char *soft_run(struct soft *s, struct native_case *c)
{
    struct ringside_regs r = s->system;
    struct native_state *out = &c->soft;
    const char *problem = NULL;

    memcpy(s->memory + CODE + (NATIVE_START - NATIVE_CODE), c->bytes, sizeof(c->bytes));
    memcpy(s->memory + DATA, c->in.data, NATIVE_PAGE);
    cpu_code_drop_page(s->code, CODE);
    memcpy(r.gpr, c->in.gpr, sizeof(r.gpr));
    r.rip = NATIVE_START;
    r.rflags = c->in.rflags | X86_FLAG_IF | X86_FLAGS_FIXED;
    cpu_set_regs(&s->cpu, &r);
    load_fpu(&s->cpu.fpu, &c->in.fx);

    for (int steps = 0; r.rip == NATIVE_START; steps++) {
        enum cpu_exit exit = cpu_step(&s->cpu, 0);

        cpu_get_regs(&s->cpu, &r);
        if (steps == STEPS_MAX)
            problem = "does not end";
        else if (exit == CPU_EXIT_SHUTDOWN)
            problem = "triple fault";
        else if (exit == CPU_EXIT_DECLINED)
            problem = "declined";
        if (problem)
            break;
    }

    *out = (struct native_state){.vector = NATIVE_NO_FAULT};
    if (r.rip >= HANDLERS && r.rip < HANDLERS + 32 * 16)
        store_fault(s, out, &r);
    memcpy(out->gpr, r.gpr, sizeof(r.gpr));
    out->rip = r.rip;
    out->rflags = r.rflags;
    store_fpu(&out->fx, &s->cpu.fpu);
    memcpy(out->data, s->memory + DATA, NATIVE_PAGE);
    return problem;
}
