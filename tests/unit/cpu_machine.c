/* A small machine for tests of the CPU. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu_machine.h"

#include <stdlib.h>
#include <string.h>

#include "x86/regs.h"

static uint8_t *page(void *ctx, uint64_t gpa, bool *writable)
{
    struct machine *m = ctx;

    *writable = true;
    return gpa < RAM_BYTES ? m->ram + gpa : NULL;
}

static int read_device(void *ctx, struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t *value)
{
    struct machine *m = ctx;

    (void)cpu;
    *value = ~0ull;
    if (gpa - DEVICE_AT < 8)
        memcpy(value, (uint8_t *)&m->device + (gpa - DEVICE_AT), size);
    return CPU_NEXT;
}

static int write_device(void *ctx, struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t value)
{
    struct machine *m = ctx;

    if (gpa - DEVICE_AT < 8)
        memcpy((uint8_t *)&m->device + (gpa - DEVICE_AT), &value, size);
    if (m->device_kick && value == m->device_kick) {
        m->pending = 0x40;
        cpu->intr = true;
    }
    return CPU_NEXT;
}

static int in(void *ctx, struct cpu *cpu, uint16_t port, unsigned size, uint32_t *value)
{
    (void)ctx, (void)cpu, (void)size;
    *value = port;
    return CPU_NEXT;
}

static int out(void *ctx, struct cpu *cpu, uint16_t port, unsigned size, uint32_t value)
{
    (void)ctx, (void)cpu, (void)port, (void)size, (void)value;
    return CPU_NEXT;
}

static int no_rdmsr(void *ctx, struct cpu *cpu, uint32_t msr, uint64_t *value)
{
    (void)ctx, (void)cpu, (void)msr, (void)value;
    return CPU_DECLINE;
}

static int no_wrmsr(void *ctx, struct cpu *cpu, uint32_t msr, uint64_t value)
{
    (void)ctx, (void)cpu, (void)msr, (void)value;
    return CPU_DECLINE;
}

static uint64_t read_cr8(void *ctx, struct cpu *cpu)
{
    (void)ctx, (void)cpu;
    return 0;
}

static void write_cr8(void *ctx, struct cpu *cpu, uint64_t value)
{
    (void)ctx, (void)cpu, (void)value;
}

static int acknowledge(void *ctx, struct cpu *cpu)
{
    struct machine *m = ctx;
    int vector = m->pending;

    cpu->intr = false;
    m->pending = -1;
    return vector;
}

static bool breakpoint(void *ctx, uint64_t gpa)
{
    struct machine *m = ctx;

    return m->breakpoint && m->breakpoint == gpa;
}

static const struct cpu_bus bus = {
    .page = page,
    .read = read_device,
    .write = write_device,
    .in = in,
    .out = out,
    .rdmsr = no_rdmsr,
    .wrmsr = no_wrmsr,
    .read_cr8 = read_cr8,
    .write_cr8 = write_cr8,
    .acknowledge = acknowledge,
    .breakpoint = breakpoint,
};
static const struct cpu_model model = {.vendor = CPU_INTEL, .count = 1, .tsc_per_insn = 1};

struct machine *machine_new(void)
{
    struct machine *m = calloc(1, sizeof(*m));
    size_t code_bytes = 1 << 20;

    if (!m)
        abort();
    m->ram = aligned_alloc(4096, RAM_BYTES);
    m->code_memory = malloc(code_bytes);
    if (!m->ram || !m->code_memory)
        abort();
    memset(m->ram, 0, RAM_BYTES);
    m->pending = -1;
    cpu_init(&m->cpu, &model, &bus, m, cpu_code_init(m->code_memory, code_bytes));
    return m;
}

void machine_share(struct machine *other, struct machine *first)
{
    struct cpu_model second = model;

    *other = (struct machine){.ram = first->ram, .pending = -1};
    second.apic_id = 1;
    cpu_init(&other->cpu, &second, &bus, other, first->cpu.code);
}

void machine_free(struct machine *m)
{
    free(m->ram);
    free(m->code_memory);
    free(m);
}

static void put64(struct machine *m, uint64_t gpa, uint64_t value)
{
    memcpy(m->ram + gpa, &value, 8);
}

enum { PDPT_AT = PML4_AT + 0x1000, PD_AT = PML4_AT + 0x2000, DEVICE_PD_AT = PML4_AT + 0x3000 };
enum { PT_AT = PML4_AT + 0x4000 };

uint64_t *machine_pte(struct machine *m, uint64_t linear)
{
    return (uint64_t *)(m->ram + PT_AT + (linear >> 12) * 8);
}

void machine_long_mode(struct machine *m)
{
    struct ringside_regs r;
    struct ringside_segment data = {0, 0xffffffff, 0x10, 0xc093};

    put64(m, PML4_AT, PDPT_AT | 7);
    put64(m, PDPT_AT, PD_AT | 7);
    put64(m, PDPT_AT + 3 * 8, DEVICE_PD_AT | 7);
    put64(m, DEVICE_PD_AT + (DEVICE_AT >> 21 & 511) * 8, DEVICE_AT | 0x87);
    for (unsigned i = 0; i < RAM_BYTES >> 21; i++)
        put64(m, PD_AT + i * 8, (PT_AT + i * 4096) | 7);
    for (uint64_t i = 0; i < RAM_BYTES >> 12; i++)
        put64(m, PT_AT + i * 8, i << 12 | 7);

    put64(m, GDT_AT + 0x08, 0x00af9b000000ffff);
    put64(m, GDT_AT + 0x10, 0x00cf93000000ffff);
    for (unsigned v = 0; v < 256; v++) {
        uint64_t handler = IDT_HANDLER(v);

        put64(m, IDT_AT + 16 * v, (handler & 0xffff) | 0x08 << 16 | 0x8e0000000000);
        put64(m, IDT_AT + 16 * v + 8, 0);
        m->ram[handler] = 0xf4;
    }

    cpu_get_regs(&m->cpu, &r);
    r.cr0 = 0x80050033;
    r.cr3 = PML4_AT;
    r.cr4 = X86_CR4_PAE | X86_CR4_OSFXSR;
    r.efer = X86_EFER_LME | X86_EFER_LMA | X86_EFER_NXE;
    r.rflags = 2;
    r.rip = CODE_AT;
    r.gpr[RINGSIDE_RSP] = STACK_AT;
    r.gdtr = (struct ringside_table){GDT_AT, 0x17};
    r.idtr = (struct ringside_table){IDT_AT, 0xfff};
    for (unsigned i = 0; i < 6; i++)
        r.seg[i] = data;
    r.seg[RINGSIDE_CS] = (struct ringside_segment){0, 0xffffffff, 0x08, 0xa09b};
    r.activity = RINGSIDE_RUNNING;
    cpu_set_regs(&m->cpu, &r);
}
