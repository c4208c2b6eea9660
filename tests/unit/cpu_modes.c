/* The CPU's modes and translation caches, and the CPU on a bus that has no memory of its own. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpu/internal.h"
#include "cpu_machine.h"
#include "x86/paging.h"
#include "x86/regs.h"

static struct machine *m;

static int setup(void **state)
{
    (void)state;
    m = machine_new();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_free(m);
    return 0;
}

#define GPR(name) (m->cpu.r.gpr[RINGSIDE_##name])
#define RUN_HLT() assert_int_equal(cpu_run(&m->cpu, m->cpu.count + 100000), CPU_EXIT_HALT)

static void put64(uint64_t gpa, uint64_t value)
{
    memcpy(m->ram + gpa, &value, 8);
}

static uint64_t word_at(uint64_t gpa)
{
    uint64_t value;

    memcpy(&value, m->ram + gpa, 8);
    return value;
}

/* --- Reset and the way up -------------------------------------------------------------------- */

static void reset_state(void **state)
{
    struct ringside_regs r;

    (void)state;
    cpu_get_regs(&m->cpu, &r);
    assert_int_equal(r.seg[RINGSIDE_CS].selector, 0xf000);
    assert_int_equal(r.seg[RINGSIDE_CS].base, 0xffff0000);
    assert_int_equal(r.rip, 0xfff0);
    assert_int_equal(r.rflags, 2);
    assert_int_equal(r.cr0, 0x60000010);
    assert_int_equal(r.dr6, 0xffff0ff0);
    assert_int_equal(r.dr7, 0x400);
    assert_int_equal(r.activity, RINGSIDE_RUNNING);
    assert_int_not_equal(r.gpr[RINGSIDE_RDX], 0);
}

/* From real mode at 0000:7C00 over protected to long mode and back to compatibility mode. */
CODE(way_up,
     ".code16\n cli\n xor %ax, %ax\n mov %ax, %ds\n mov %ax, %ss\n mov $0x7000, %sp\n"
     "push $0x1234\n pop %bx\n lgdtl 0x6000\n mov %cr0, %eax\n or $1, %al\n mov %eax, %cr0\n"
     "ljmp $0x18, $0x7c00+1f-way_up\n"
     ".code32\n 1: mov $0x10, %eax\n mov %eax, %ds\n mov %eax, %ss\n mov $0x7000, %esp\n"
     "push $0x56789abc\n pop %esi\n mov $0x10000, %eax\n mov %eax, %cr3\n mov $0x20, %eax\n"
     "mov %eax, %cr4\n mov $0xc0000080, %ecx\n mov $0x100, %eax\n xor %edx, %edx\n wrmsr\n"
     "mov %cr0, %eax\n bts $31, %eax\n mov %eax, %cr0\n ljmp $0x08, $0x7c00+2f-way_up\n"
     ".code64\n 2: mov $0x123456789abcdef0, %r15\n push $0x18\n push $0x7c00+3f-way_up\n lretq\n"
     ".code32\n 3: mov $0xffffffff, %edi\n inc %edi\n dec %edi\n hlt\n .code64");

static void from_real_to_long_mode(void **state)
{
    struct ringside_regs r;
    const uint8_t gdtr[6] = {0x1f, 0, 0x00, 0x50, 0, 0};

    (void)state;
    machine_long_mode(m); /* for its tables */
    cpu_reset(&m->cpu);
    put64(GDT_AT + 0x18, 0x00cf9b000000ffff);
    memcpy(m->ram + 0x6000, gdtr, 6);
    memcpy(m->ram + 0x7c00, way_up, (size_t)(way_up_end - way_up));
    cpu_get_regs(&m->cpu, &r);
    r.seg[RINGSIDE_CS].selector = 0;
    r.seg[RINGSIDE_CS].base = 0;
    r.rip = 0x7c00;
    cpu_set_regs(&m->cpu, &r);
    RUN_HLT();
    cpu_get_regs(&m->cpu, &r);
    assert_int_equal(r.gpr[RINGSIDE_RBX] & 0xffff, 0x1234);
    assert_int_equal(r.gpr[RINGSIDE_RSI], 0x56789abc);
    assert_int_equal(r.gpr[RINGSIDE_R15], 0x123456789abcdef0);
    assert_int_equal(r.gpr[RINGSIDE_RDI], 0xffffffff);
    assert_int_equal(r.efer, X86_EFER_LME | X86_EFER_LMA);
    assert_int_equal(m->cpu.width, X86_CODE32);
}

/* --- Segments -------------------------------------------------------------------------------- */

/* 32-bit protected mode without paging, with DS as given. */
static void protected_mode(uint32_t limit, uint16_t access)
{
    struct ringside_regs r;
    struct ringside_segment flat = {0, 0xffffffff, 0x10, 0xc093};

    cpu_get_regs(&m->cpu, &r);
    r.cr0 = 0x11;
    for (unsigned i = 0; i < 6; i++)
        r.seg[i] = flat;
    r.seg[RINGSIDE_CS] = (struct ringside_segment){0, 0xffffffff, 0x18, 0xc09b};
    r.seg[RINGSIDE_DS] = (struct ringside_segment){DATA_AT, limit, 0x10, access};
    r.gpr[RINGSIDE_RSP] = STACK_AT;
    r.rip = CODE_AT;
    cpu_set_regs(&m->cpu, &r);
}

/* The vector that a load (or store) of 4 bytes at DS:offset raises, -1: none. */
static int segment_verdict(uint64_t offset, unsigned access)
{
    uint64_t linear;

    return cpu_linear(&m->cpu, RINGSIDE_DS, offset, 4, access, &linear) == CPU_NEXT
               ? -1
               : m->cpu.fault.vector;
}

static void segment_limits_and_types(void **state)
{
    (void)state;
    protected_mode(0xfff, 0x4093);
    assert_int_equal(segment_verdict(0xffc, CPU_READ), -1);
    assert_int_equal(segment_verdict(0xffd, CPU_READ), X86_EXC_GP);
    assert_int_equal(segment_verdict(0xfffffffe, CPU_READ), X86_EXC_GP);
    protected_mode(0xfff, 0x4091); /* read-only */
    assert_int_equal(segment_verdict(0, CPU_READ), -1);
    assert_int_equal(segment_verdict(0, CPU_WRITE), X86_EXC_GP);
    protected_mode(0xfff, 0x4097); /* expand-down */
    assert_int_equal(segment_verdict(0xfff, CPU_READ), X86_EXC_GP);
    assert_int_equal(segment_verdict(0x1000, CPU_READ), -1);
    assert_int_equal(segment_verdict(0xfffffffd, CPU_READ), X86_EXC_GP);
    protected_mode(0xfff, 0x4099); /* execute-only code */
    assert_int_equal(segment_verdict(0, CPU_READ), X86_EXC_GP);
    protected_mode(0xfff, 0); /* null */
    assert_int_equal(segment_verdict(0, CPU_READ), X86_EXC_GP);
}

CODE(based, ".code32\n mov 4, %eax\n mov %eax, 8\n hlt\n .code64");

static void segments_have_bases(void **state)
{
    (void)state;
    protected_mode(0xffff, 0x4093);
    MACHINE_CODE(m, based);
    put64(DATA_AT + 4, 0x11223344);
    RUN_HLT();
    assert_int_equal(word_at(DATA_AT + 8), 0x11223344);
}

/* --- Translation caches ---------------------------------------------------------------------- */

CODE(read_twice, "mov 0x200000, %eax\n mov 0x201000, %ebx\n hlt");

static void run_at(uint64_t rip)
{
    m->cpu.r.rip = rip;
    m->cpu.r.activity = RINGSIDE_RUNNING;
    RUN_HLT();
}

static void a_large_page_is_flushed_as_one(void **state)
{
    enum { PD_AT = PML4_AT + 0x2000 };

    (void)state;
    machine_long_mode(m);
    MACHINE_CODE(m, read_twice);
    put64(0x300000, 0x33);
    put64(0x301000, 0x34);
    put64(PD_AT + 8, 0x200083);
    run_at(CODE_AT);
    assert_int_equal(GPR(RAX), 0);
    /* Now with small pages, elsewhere; one INVLPG anywhere in it is enough. */
    put64(PD_AT + 8, (PML4_AT + 0x5000) | 7);
    *machine_pte(m, 0x200000) = 0x300007;
    *machine_pte(m, 0x201000) = 0x301007;
    cpu_flush_page(&m->cpu, 0x3ff000);
    run_at(CODE_AT);
    assert_int_equal(GPR(RAX), 0x33);
    assert_int_equal(GPR(RBX), 0x34);
}

static void global_pages_outlive_cr3(void **state)
{
    struct ringside_regs r;

    (void)state;
    machine_long_mode(m);
    cpu_get_regs(&m->cpu, &r);
    r.cr4 |= X86_CR4_PGE;
    cpu_set_regs(&m->cpu, &r);
    MACHINE_CODE(m, read_twice);
    put64(0x300000, 0x33);
    put64(0x301000, 0x34);
    *machine_pte(m, 0x200000) |= X86_PTE_G;
    run_at(CODE_AT);
    *machine_pte(m, 0x200000) = 0x300007;
    *machine_pte(m, 0x201000) = 0x301007;
    cpu_flush_nonglobal(&m->cpu);
    run_at(CODE_AT);
    assert_int_equal(GPR(RAX), 0);
    assert_int_equal(GPR(RBX), 0x34);
    cpu_flush_page(&m->cpu, 0x200123);
    run_at(CODE_AT);
    assert_int_equal(GPR(RAX), 0x33);
}

CODE(says_one, "mov $1, %eax\n hlt");
CODE(says_two, "mov $2, %eax\n hlt");

static void code_follows_its_mapping(void **state)
{
    (void)state;
    machine_long_mode(m);
    memcpy(m->ram + 0x200000, says_one, (size_t)(says_one_end - says_one));
    memcpy(m->ram + 0x201000, says_two, (size_t)(says_two_end - says_two));
    run_at(0x200000);
    assert_int_equal(GPR(RAX), 1);
    *machine_pte(m, 0x200000) = 0x201007;
    cpu_flush_page(&m->cpu, 0x200000);
    run_at(0x200000);
    assert_int_equal(GPR(RAX), 2);
}

static void misaligned_accesses_fault_on_request(void **state)
{
    struct ringside_regs r;

    (void)state;
    machine_long_mode(m);
    cpu_get_regs(&m->cpu, &r);
    r.cr0 |= X86_CR0_AM;
    r.rflags |= X86_FLAG_AC;
    r.seg[RINGSIDE_CS].access = 0xa0fb;
    r.seg[RINGSIDE_SS].access = 0xc0f3;
    cpu_set_regs(&m->cpu, &r);
    assert_int_equal(segment_verdict(DATA_AT + 4, CPU_READ), -1);
    assert_int_equal(segment_verdict(DATA_AT + 2, CPU_READ), X86_EXC_AC);
    /* The fast path must not be faster than the check. */
    memcpy(m->ram + CODE_AT, "\x8b\x06\x8b\x46\x01", 5); /* mov (%rsi), %eax; mov 1(%rsi), %eax */
    GPR(RSI) = DATA_AT;
    cpu_step(&m->cpu, 0);
    assert_int_equal(m->cpu.r.rip, CODE_AT + 2);
    m->cpu.r.idtr.limit = 0;
    assert_int_equal(cpu_step(&m->cpu, 0), CPU_EXIT_SHUTDOWN);
}

/* The pointers of PAE paging are those that were there when CR3 was written. */
CODE(reload_cr3, ".code32\n mov %cr3, %eax\n mov %eax, %cr3\n hlt\n .code64");

static void pae_pointers_are_loaded(void **state)
{
    enum { PDPT_AT = 0x30020, PD_AT = 0x31000, OTHER_PD_AT = 0x32000 };
    struct ringside_regs r;
    uint64_t gpa;

    (void)state;
    protected_mode(0xffffffff, 0xc093);
    MACHINE_CODE(m, reload_cr3);
    put64(PDPT_AT, PD_AT | 1);
    put64(PD_AT, 0x83);
    put64(OTHER_PD_AT, 0x200083);
    cpu_get_regs(&m->cpu, &r);
    r.cr0 |= X86_CR0_PG;
    r.cr3 = PDPT_AT;
    r.cr4 = X86_CR4_PAE;
    cpu_set_regs(&m->cpu, &r);
    put64(PDPT_AT, OTHER_PD_AT | 1);
    cpu_flush_tlb(&m->cpu);
    assert_int_equal(cpu_translate(&m->cpu, 0x1234, CPU_READ, &gpa), CPU_NEXT);
    assert_int_equal(gpa, 0x1234);
    cpu_set_regs(&m->cpu, &r); /* nothing new in there */
    assert_int_equal(cpu_translate(&m->cpu, 0x1234, CPU_READ, &gpa), CPU_NEXT);
    assert_int_equal(gpa, 0x1234);
    memcpy(m->ram + 0x200000 + CODE_AT, reload_cr3, (size_t)(reload_cr3_end - reload_cr3));
    RUN_HLT();
    assert_int_equal(cpu_translate(&m->cpu, 0x1234, CPU_READ, &gpa), CPU_NEXT);
    assert_int_equal(gpa, 0x201234);
    put64(PDPT_AT + 24, 0x1e7); /* reserved bits: #GP when it is loaded, and nothing is */
    put64(PDPT_AT, PD_AT | 1);
    m->cpu.r.idtr.limit = 0;
    m->cpu.r.rip = CODE_AT;
    m->cpu.r.activity = RINGSIDE_RUNNING;
    assert_int_equal(cpu_run(&m->cpu, 100), CPU_EXIT_SHUTDOWN);
    assert_int_equal(m->cpu.r.rip, CODE_AT + 3);
    assert_int_equal(cpu_translate(&m->cpu, 0x1234, CPU_READ, &gpa), CPU_NEXT);
    assert_int_equal(gpa, 0x201234);
}

/* --- On its own ------------------------------------------------------------------------------ */

static uint8_t *no_page(void *ctx, uint64_t gpa, bool *writable)
{
    (void)ctx, (void)gpa, (void)writable;
    return NULL;
}

static int read_ram(void *ctx, struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t *value)
{
    (void)ctx, (void)cpu;
    if (gpa >= RAM_BYTES)
        return CPU_DECLINE;
    *value = 0;
    memcpy(value, m->ram + gpa, size);
    return CPU_NEXT;
}

static int write_ram(void *ctx, struct cpu *cpu, uint64_t gpa, unsigned size, uint64_t value)
{
    (void)ctx, (void)cpu;
    if (gpa >= RAM_BYTES)
        return CPU_DECLINE;
    memcpy(m->ram + gpa, &value, size);
    return CPU_NEXT;
}

static bool is_ram(void *ctx, uint64_t gpa)
{
    (void)ctx;
    return gpa < RAM_BYTES;
}

CODE(alone, "mov $0x200000, %esi\n movl $5, (%rsi)\n addl $6, (%rsi)\n mov $0xe0000000, %edi\n"
            "1: add %eax, (%rdi)\n hlt");

static void without_pages_and_cache(void **state)
{
    static const struct cpu_bus bus = {
        .page = no_page, .allows = is_ram, .read = read_ram, .write = write_ram};
    const struct cpu_model model = {.vendor = CPU_INTEL, .count = 1};
    struct ringside_regs r, after;
    struct cpu *cpu = malloc(sizeof(*cpu));

    (void)state;
    machine_long_mode(m);
    MACHINE_CODE(m, alone);
    cpu_get_regs(&m->cpu, &r);
    cpu_init(cpu, &model, &bus, NULL, NULL);
    cpu_set_regs(cpu, &r);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(cpu_step(cpu, 0), CPU_EXIT_LIMIT);
    assert_int_equal(word_at(DATA_AT), 11);
    cpu_get_regs(cpu, &r);
    assert_int_equal(cpu_step(cpu, 0), CPU_EXIT_DECLINED);
    cpu_get_regs(cpu, &after);
    assert_memory_equal(&r, &after, sizeof(r));
    assert_int_equal(cpu->count, 4);

    /* Memory up to the page end, a device behind it: neither is written. */
    *machine_pte(m, 0x201000) = DEVICE_AT | 7;
    cpu_flush_tlb(cpu);
    assert_int_equal(cpu_copy_to(cpu, 0x200ff0, &r, 32), CPU_DECLINE);
    assert_int_equal(word_at(0x200ff0), 0);
    free(cpu);
}

/* --- Where linear addresses end -------------------------------------------------------------- */

/* The last page below 4 GiB, and at 0 and at 4 GiB other ones. */
static void compatibility_mode(uint16_t access)
{
    enum { PDPT_AT = PML4_AT + 0x1000, PD_AT = PML4_AT + 0x3000, PT_AT = 0x30000 };
    struct ringside_regs r;

    machine_long_mode(m);
    put64(PD_AT + 511 * 8, PT_AT | 7);
    put64(PT_AT + 511 * 8, 0x300007);
    put64(PDPT_AT + 4 * 8, 0x31007);
    put64(0x31000, 0x32007);
    put64(0x32000, 0x302007);
    *machine_pte(m, 0) = 0x301007;
    cpu_get_regs(&m->cpu, &r);
    r.seg[RINGSIDE_CS] = (struct ringside_segment){0, 0xffffffff, 0x18, access};
    r.seg[RINGSIDE_DS] = (struct ringside_segment){0xfffff000, 0xffffff, 0x10, 0xc093};
    cpu_set_regs(&m->cpu, &r);
}

CODE(across, ".code32\n movl $0x44332211, 0xffe\n mov $5, %eax\n hlt\n .code64");

static void compatibility_mode_wraps(void **state)
{
    static const uint64_t begins[] = {CODE_AT, 0xfffffffc};

    for (unsigned i = 0; i < 2; i++) {
        const uint64_t host = begins[i] == CODE_AT ? CODE_AT : 0x300ffc;

        compatibility_mode(0xc09b);
        memcpy(m->ram + host, across, 4);
        memcpy(m->ram + (i ? 0x301000 : host + 4), across + 4, (size_t)(across_end - across - 4));
        m->ram[0x301100] = 0;
        m->cpu.r.seg[RINGSIDE_DS].base = i ? 0x200000 : 0xfffff000;
        cpu_update_mode(&m->cpu);
        run_at(begins[i]);
        assert_int_equal(GPR(RAX), 5);
        if (i)
            assert_int_equal(m->cpu.r.rip, (size_t)(across_end - across) - 4);
        else
            assert_int_equal(word_at(0x301000) & 0xffff, 0x4433);
        assert_int_equal(word_at(0x302000), 0);
    }
    (void)state;
}

/* What the processor pushes in long mode is at a 64-bit address, whatever code it interrupts. */
static void frames_do_not_wrap(void **state)
{
    const struct cpu_event event = {.vector = 0x40};

    (void)state;
    compatibility_mode(0xc09b);
    put64(IDT_AT, 0);
    m->cpu.r.idtr.base = 0x20000;
    memcpy(m->ram + 0x20400, (uint64_t[]){0x8e0000080000 | 0x8c00, 0}, 16);
    GPR(RSP) = 0x100000010;
    m->cpu.r.gdtr.base = 0x20800;
    put64(0x20808, 0x00af9b000000ffff);
    assert_int_equal(cpu_take(&m->cpu, &event), CPU_EXIT_LIMIT);
    assert_int_equal(word_at(0x302000), 0x100000010); /* RSP above SS */
    assert_int_equal(word_at(0x301000), 0);
}

static void null_stack_segment(void **state)
{
    uint64_t linear;

    (void)state;
    compatibility_mode(0xc09b);
    m->cpu.r.seg[RINGSIDE_SS] = (struct ringside_segment){.selector = 0};
    cpu_update_mode(&m->cpu);
    GPR(RSP) = 0;
    assert_int_equal(cpu_linear(&m->cpu, RINGSIDE_SS, 0, 1, CPU_READ, &linear), CPU_FAULT);
    assert_int_equal(m->cpu.fault.vector, X86_EXC_SS);
    assert_int_equal(cpu_push(&m->cpu, 2, 0), CPU_FAULT);
    assert_int_equal(m->cpu.fault.vector, X86_EXC_SS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reset_state),
        TEST(from_real_to_long_mode),
        TEST(segment_limits_and_types),
        TEST(segments_have_bases),
        TEST(a_large_page_is_flushed_as_one),
        TEST(global_pages_outlive_cr3),
        TEST(code_follows_its_mapping),
        TEST(misaligned_accesses_fault_on_request),
        TEST(pae_pointers_are_loaded),
        TEST(without_pages_and_cache),
        TEST(compatibility_mode_wraps),
        TEST(frames_do_not_wrap),
        TEST(null_stack_segment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
