/* The CPU's core: self-modifying code, page crossing, slices, repetition, rights, traps. */
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
#include "x86/regs.h"

static struct machine *m;

static int setup(void **state)
{
    (void)state;
    m = machine_new();
    machine_long_mode(m);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    machine_free(m);
    return 0;
}

/* Registers were changed in place: derive what depends on them. */
static void reload(void)
{
    struct ringside_regs r;

    cpu_get_regs(&m->cpu, &r);
    cpu_set_regs(&m->cpu, &r);
}

#define GPR(name) (m->cpu.r.gpr[RINGSIDE_##name])
#define RUN(n)    assert_int_equal(cpu_run(&m->cpu, m->cpu.count + (n)), CPU_EXIT_LIMIT)
#define RUN_HLT() assert_int_equal(cpu_run(&m->cpu, 100000), CPU_EXIT_HALT)

static uint64_t word_at(uint64_t gpa)
{
    uint64_t value;

    memcpy(&value, m->ram + gpa, 8);
    return value;
}

/* The vector whose handler the CPU halted in, its error code if it has one. */
static unsigned halted_in(void)
{
    assert_int_equal(m->cpu.r.activity, RINGSIDE_HALTED);
    return (unsigned)(m->cpu.r.rip - 1 - IDT_HANDLER(0)) / 16;
}

static uint64_t error_code(void)
{
    return word_at(GPR(RSP));
}

/* --- Code that changes ----------------------------------------------------------------------- */

CODE(patch_next, "movb $7, 1f+1-patch_next+0x100000\n 1: mov $1, %al\n hlt");

static void writes_to_the_next_instruction_count(void **state)
{
    (void)state;
    MACHINE_CODE(m, patch_next);
    RUN_HLT();
    assert_int_equal(GPR(RAX), 7);
}

CODE(patch_loop, "1: incl 2f+1-patch_loop+0x100000\n 2: mov $0, %eax\n add %eax, %ebx\n"
                 "cmp $100, %eax\n jne 1b\n hlt");

static void code_may_change_each_time_round(void **state)
{
    (void)state;
    MACHINE_CODE(m, patch_loop);
    RUN_HLT();
    assert_int_equal(GPR(RBX), 5050);
}

CODE(patch_alias, "mov $9, %ecx\n 1: mov %ecx, 0x300000+2f+1-patch_alias\n 2: mov $0, %eax\n"
                  "add %eax, %ebx\n loop 1b\n hlt");

static void writes_through_another_mapping_count(void **state)
{
    (void)state;
    *machine_pte(m, 0x300000) = CODE_AT | 7;
    MACHINE_CODE(m, patch_alias);
    RUN_HLT();
    assert_int_equal(GPR(RBX), 45);
}

static void writes_by_another_cpu_count(void **state)
{
    struct machine *other = calloc(1, sizeof(*other));
    struct ringside_regs r;

    (void)state;
    machine_share(other, m);
    cpu_get_regs(&m->cpu, &r);
    r.rip = CODE_AT + 0x1000;
    cpu_set_regs(&other->cpu, &r);
    memcpy(m->ram + CODE_AT, "\xb0\x01\xeb\xfc", 4); /* mov $1, %al; jmp back */
    /* movb $2, 0x100001; hlt: it has written before there is code, to fill its TLB */
    memcpy(m->ram + CODE_AT + 0x1000,
           "\xc6\x04\x25\x01\x00\x10\x00\x01\xc6\x04\x25\x01\x00\x10\x00\x02", 16);
    cpu_run(&other->cpu, 1);
    RUN(10);
    assert_int_equal(GPR(RAX), 1);
    cpu_run(&other->cpu, 2);
    RUN(10);
    assert_int_equal(GPR(RAX), 2);
    free(other);
}

/* --- Instructions on two pages --------------------------------------------------------------- */

static const uint8_t mov_imm[] = {0xb8, 0x11, 0x22, 0x33, 0x44, 0xeb, 0xf9}; /* mov; jmp back */

static void an_instruction_may_cross_pages(void **state)
{
    (void)state;
    memcpy(m->ram + CODE_AT + 0xffe, mov_imm, sizeof(mov_imm));
    m->cpu.r.rip = CODE_AT + 0xffe;
    RUN(5);
    assert_int_equal(GPR(RAX), 0x44332211);
    assert_int_equal(m->cpu.r.rip, CODE_AT + 0xffe + 5);
    /* Changed in its second page. */
    m->ram[CODE_AT + 0x1002] = 0x55;
    cpu_code_drop_page(m->cpu.code, CODE_AT + 0x1000);
    RUN(4);
    assert_int_equal(GPR(RAX), 0x55332211);
}

static void the_second_page_may_be_mapped_elsewhere(void **state)
{
    (void)state;
    memcpy(m->ram + CODE_AT + 0xffe, mov_imm, sizeof(mov_imm));
    memcpy(m->ram + DATA_AT, mov_imm + 2, sizeof(mov_imm) - 2);
    m->ram[DATA_AT + 2] = 0x66;
    m->cpu.r.rip = CODE_AT + 0xffe;
    RUN(4);
    assert_int_equal(GPR(RAX), 0x44332211);
    *machine_pte(m, CODE_AT + 0x1000) = DATA_AT | 7;
    cpu_flush_tlb(&m->cpu);
    RUN(4);
    assert_int_equal(GPR(RAX), 0x66332211);
}

static void a_fetch_fault_names_the_second_page(void **state)
{
    (void)state;
    memcpy(m->ram + CODE_AT + 0xffe, mov_imm, sizeof(mov_imm));
    *machine_pte(m, CODE_AT + 0x1000) = 0;
    m->cpu.r.rip = CODE_AT + 0xffe;
    RUN_HLT();
    assert_int_equal(halted_in(), X86_EXC_PF);
    assert_int_equal(m->cpu.r.cr2, CODE_AT + 0x1000);
    assert_int_equal(word_at(GPR(RSP) + 8), CODE_AT + 0xffe);
}

CODE(cross_store, "mov $0x200ffc, %esi\n mov $-1, %rax\n mov %rax, (%rsi)\n hlt");

static void a_store_over_two_pages_is_all_or_nothing(void **state)
{
    (void)state;
    MACHINE_CODE(m, cross_store);
    *machine_pte(m, 0x201000) &= ~2ull;
    RUN_HLT();
    assert_int_equal(halted_in(), X86_EXC_PF);
    assert_int_equal(m->cpu.r.cr2, 0x201000);
    assert_int_equal(error_code(), X86_PF_P | X86_PF_W);
    assert_int_equal(word_at(0x200ffc), 0);
}

/* --- Slices ---------------------------------------------------------------------------------- */

/* Loops, calls, string instructions over page ends, faults, interrupts from the device. */
CODE(medley, "sti\n 1: mov $0x200f00, %esi\n mov $0x201f20, %edi\n mov $77, %ecx\n rep movsl\n"
             "incl 0x200f08\n mov $0xe0000000, %edx\n incl %ebp\n mov %ebp, (%rdx)\n"
             "add (%rdx), %rbx\n mov $40, %ecx\n mov $0x201f00, %edi\n repne scasb\n"
             "ud2\n nop\n call 2f\n mov $0x31, %eax\n mov $0x200f10, %edi\n mov $600, %ecx\n"
             "rep stosb\n xor %ebp, %r8d\n imul $17, %r8d, %r8d\n jmp 1b\n"
             "2: sti\n push %rbx\n pop 0x200f40\n ret");
/* #UD goes on behind the instruction; the interrupt counts. */
CODE(on_ud, "addq $2, (%rsp)\n iretq");
CODE(on_interrupt, "incl %r9d\n iretq");

static void start_medley(void)
{
    MACHINE_CODE(m, medley);
    memcpy(m->ram + IDT_HANDLER(X86_EXC_UD), on_ud, (size_t)(on_ud_end - on_ud));
    memcpy(m->ram + IDT_HANDLER(0x40), on_interrupt, (size_t)(on_interrupt_end - on_interrupt));
    m->device_kick = 3;
}

static uint64_t hash(void)
{
    struct ringside_regs r;
    uint64_t h = 0xcbf29ce484222325;
    const uint8_t *bytes = (const uint8_t *)&r;

    cpu_get_regs(&m->cpu, &r);
    for (size_t i = 0; i < sizeof(r); i++)
        h = (h ^ bytes[i]) * 0x100000001b3;
    for (size_t i = 0x200000; i < 0x203000; i++)
        h = (h ^ m->ram[i]) * 0x100000001b3;
    return h;
}

/* The state after so many counts, run in slices of that size; 0: step by step. */
static uint64_t medley_state(uint64_t total, uint64_t slice)
{
    teardown(NULL);
    setup(NULL);
    start_medley();
    while (m->cpu.count < total) {
        uint64_t limit = m->cpu.count + slice;

        if (slice == 0)
            assert_int_equal(cpu_step(&m->cpu, 0), CPU_EXIT_LIMIT);
        else
            RUN(limit < total ? slice : total - m->cpu.count);
        assert_true(slice == 0 || m->cpu.count == (limit < total ? limit : total));
    }
    assert_int_equal(m->cpu.r.gpr[RINGSIDE_R9], 1); /* the interrupt came */
    return hash();
}

static void slices_do_not_change_the_run(void **state)
{
    static const unsigned slices[] = {0, 1, 2, 3, 7, 64, 999};

    (void)state;
    for (uint64_t total = 6000; total < 6050; total++) {
        uint64_t whole = medley_state(total, total);

        for (size_t i = 0; i < sizeof(slices) / sizeof(slices[0]); i++)
            assert_int_equal(medley_state(total, slices[i]), whole);
    }
}

/* --- Repetition ------------------------------------------------------------------------------ */

CODE(rep_copy, "rep movsb\n nop\n hlt");

static void an_iteration_is_one_count(void **state)
{
    (void)state;
    MACHINE_CODE(m, rep_copy);
    for (unsigned i = 0; i < 10000; i++)
        m->ram[DATA_AT + i] = (uint8_t)(i * 7 + (i >> 8));
    GPR(RSI) = DATA_AT;
    GPR(RDI) = DATA_AT + 0x10123;
    GPR(RCX) = 10000;
    RUN(5001);
    assert_int_equal(GPR(RCX), 4999);
    assert_int_equal(m->cpu.r.rip, CODE_AT);
    assert_int_equal(cpu_step(&m->cpu, 0), CPU_EXIT_LIMIT);
    assert_int_equal(GPR(RCX), 4998);
    RUN(4998);
    assert_int_equal(m->cpu.r.rip, CODE_AT + 2);
    assert_memory_equal(m->ram + DATA_AT, m->ram + DATA_AT + 0x10123, 10000);
    /* None at all is an instruction too. */
    m->cpu.r.rip = CODE_AT;
    RUN(1);
    assert_int_equal(m->cpu.r.rip, CODE_AT + 2);
}

static void copying_forward_over_itself_repeats(void **state)
{
    (void)state;
    MACHINE_CODE(m, rep_copy);
    memcpy(m->ram + DATA_AT, "abc", 3);
    GPR(RSI) = DATA_AT;
    GPR(RDI) = DATA_AT + 3;
    GPR(RCX) = 9000;
    RUN_HLT();
    for (unsigned i = 0; i < 9003; i++)
        assert_int_equal(m->ram[DATA_AT + i], "abc"[i % 3]);
}

static void a_fault_keeps_the_iterations_before_it(void **state)
{
    (void)state;
    MACHINE_CODE(m, rep_copy);
    *machine_pte(m, DATA_AT + 0x3000) = 0;
    GPR(RSI) = DATA_AT;
    GPR(RDI) = DATA_AT + 0x2f00;
    GPR(RCX) = 0x200;
    RUN_HLT();
    assert_int_equal(halted_in(), X86_EXC_PF);
    assert_int_equal(m->cpu.r.cr2, DATA_AT + 0x3000);
    assert_int_equal(GPR(RCX), 0x100);
    assert_int_equal(word_at(GPR(RSP) + 8), CODE_AT);
    assert_int_equal(m->cpu.count, 0x100 + 1 + 1);
}

/* --- Rights ---------------------------------------------------------------------------------- */

enum who { SUPERVISOR, USER };

static void set_cpl(enum who who)
{
    struct ringside_regs r;

    cpu_get_regs(&m->cpu, &r);
    r.seg[RINGSIDE_CS].selector = who == USER ? 0x1b : 0x08;
    r.seg[RINGSIDE_CS].access = who == USER ? 0xa0fb : 0xa09b;
    r.seg[RINGSIDE_SS].selector = who == USER ? 0x23 : 0x10;
    r.seg[RINGSIDE_SS].access = who == USER ? 0xc0f3 : 0xc093;
    cpu_set_regs(&m->cpu, &r);
}

/* cpu_translate's verdict for the page at DATA_AT: -1, or the error code. */
static int access_error(enum who who, uint64_t pte, uint8_t instruction)
{
    struct ringside_regs r;

    *machine_pte(m, DATA_AT) = DATA_AT | pte;
    cpu_flush_tlb(&m->cpu);
    set_cpl(who);
    cpu_get_regs(&m->cpu, &r);
    r.rip = instruction == 0x90 ? DATA_AT : CODE_AT;
    r.idtr.limit = 0; /* so that delivery shuts down, with CR2 and the fault known */
    r.gpr[RINGSIDE_RSI] = DATA_AT;
    r.activity = RINGSIDE_RUNNING;
    r.cr2 = 0;
    cpu_set_regs(&m->cpu, &r);
    m->ram[DATA_AT] = 0x90;
    m->ram[CODE_AT] = instruction; /* 8a 06: mov (%rsi), %al; 88 06: mov %al, (%rsi) */
    m->ram[CODE_AT + 1] = 0x06;
    cpu_code_drop_all(m->cpu.code);
    if (cpu_step(&m->cpu, 0) == CPU_EXIT_LIMIT)
        return -1;
    assert_int_equal(m->cpu.r.cr2, DATA_AT);
    /* The fault itself was overwritten by those of its delivery: ask once more. */
    {
        uint64_t gpa;
        unsigned kind = instruction == 0x90 ? CPU_EXEC : instruction == 0x8a ? CPU_READ : CPU_WRITE;

        assert_int_equal(cpu_translate(&m->cpu, DATA_AT, kind, &gpa), CPU_FAULT);
        return (int)m->cpu.fault.error;
    }
}

static void set_cr4(uint64_t bits)
{
    struct ringside_regs r;

    cpu_get_regs(&m->cpu, &r);
    r.cr4 |= bits;
    cpu_set_regs(&m->cpu, &r);
}

static void page_rights(void **state)
{
    enum { LOAD = 0x8a, STORE = 0x88, FETCH = 0x90 };
    const uint64_t nx = 1ull << 63;

    (void)state;
    assert_int_equal(access_error(SUPERVISOR, 3, LOAD), -1);
    assert_int_equal(access_error(SUPERVISOR, 0, LOAD), 0);
    assert_int_equal(access_error(SUPERVISOR, 1, STORE), X86_PF_P | X86_PF_W);
    assert_int_equal(access_error(USER, 3, LOAD), X86_PF_P | X86_PF_U);
    assert_int_equal(access_error(USER, 5, LOAD), -1);
    assert_int_equal(access_error(USER, 5, STORE), X86_PF_P | X86_PF_U | X86_PF_W);
    assert_int_equal(access_error(USER, 7, STORE), -1);
    assert_int_equal(access_error(USER, 7, FETCH), -1);
    assert_int_equal(access_error(USER, 7 | nx, FETCH), X86_PF_P | X86_PF_U | X86_PF_I);
    assert_int_equal(access_error(SUPERVISOR, 3 | nx, FETCH), X86_PF_P | X86_PF_I);
    assert_int_equal(access_error(SUPERVISOR, 3 | 1ull << 50, LOAD), X86_PF_P | X86_PF_RSVD);
    assert_int_equal(access_error(SUPERVISOR, 7, FETCH), -1);
    assert_int_equal(access_error(SUPERVISOR, 7, LOAD), -1);

    /* The code is a supervisor's from here on. */
    *machine_pte(m, CODE_AT) = CODE_AT | 3;
    set_cr4(X86_CR4_SMEP | X86_CR4_SMAP);
    assert_int_equal(access_error(SUPERVISOR, 7, FETCH), X86_PF_P | X86_PF_I);
    assert_int_equal(access_error(SUPERVISOR, 7, LOAD), X86_PF_P);
    m->cpu.r.rflags |= X86_FLAG_AC;
    assert_int_equal(access_error(SUPERVISOR, 7, LOAD), -1);
    m->cpu.r.cr0 &= ~(uint64_t)X86_CR0_WP;
    assert_int_equal(access_error(SUPERVISOR, 5, STORE), -1);
}

static void accessed_and_dirty(void **state)
{
    CODE(touch, "mov 0x200000, %al\n mov 0x201000, %al\n mov %al, 0x201000\n hlt");

    (void)state;
    MACHINE_CODE(m, touch);
    RUN_HLT();
    assert_int_equal(*machine_pte(m, 0x200000) & 0x60, 0x20);
    assert_int_equal(*machine_pte(m, 0x201000) & 0x60, 0x60);
    assert_int_equal(*machine_pte(m, 0x202000) & 0x60, 0);
}

/* --- Traps and shadows ----------------------------------------------------------------------- */

CODE(trap_program, "nop\n mov $2, %eax\n rep stosb\n hlt");

static void trap_flag_traps_after_each_instruction(void **state)
{
    (void)state;
    MACHINE_CODE(m, trap_program);
    GPR(RCX) = 2;
    GPR(RDI) = DATA_AT;
    m->cpu.r.rflags |= X86_FLAG_TF;
    reload();
    /* nop; its trap */
    RUN(2);
    assert_int_equal(m->cpu.r.rip, IDT_HANDLER(X86_EXC_DB));
    assert_int_equal(m->cpu.r.dr6 & 0xe00f, X86_DR6_BS);
    assert_int_equal(word_at(GPR(RSP)), CODE_AT + 1);
    assert_true(word_at(GPR(RSP) + 16) & X86_FLAG_TF);
    assert_false(m->cpu.r.rflags & X86_FLAG_TF);
}

static void set_dr(unsigned n, uint64_t address, unsigned rw, unsigned len)
{
    struct ringside_regs r;

    cpu_get_regs(&m->cpu, &r);
    r.dr[n] = address;
    r.dr7 |= 2ull << (2 * n) | (uint64_t)rw << (16 + 4 * n) | (uint64_t)len << (18 + 4 * n);
    cpu_set_regs(&m->cpu, &r);
}

CODE(break_program, "nop\n nop\n mov %rax, 0x200008\n mov 0x200008, %rax\n nop\n hlt");

static void guest_code_breakpoints_fault_before(void **state)
{
    (void)state;
    MACHINE_CODE(m, break_program);
    set_dr(1, CODE_AT + 1, 0, 0);
    RUN_HLT();
    assert_int_equal(halted_in(), X86_EXC_DB);
    assert_int_equal(word_at(GPR(RSP)), CODE_AT + 1);
    assert_int_equal(m->cpu.r.dr6 & 0xe00f, 2);
    assert_int_equal(m->cpu.count, 3);
}

static void resume_flag_passes_a_code_breakpoint(void **state)
{
    (void)state;
    MACHINE_CODE(m, break_program);
    set_dr(1, CODE_AT, 0, 0);
    m->cpu.r.rflags |= X86_FLAG_RF;
    RUN_HLT();
    assert_int_equal(m->cpu.r.rip, CODE_AT + (uint64_t)(break_program_end - break_program));
    assert_false(m->cpu.r.rflags & X86_FLAG_RF);
}

static void guest_data_breakpoints_trap_after(void **state)
{
    (void)state;
    MACHINE_CODE(m, break_program);
    set_dr(0, 0x20000c, 1, 3);
    set_dr(2, 0x200008, 3, 0);
    RUN_HLT();
    assert_int_equal(halted_in(), X86_EXC_DB);
    assert_int_equal(word_at(GPR(RSP)), CODE_AT + 10);
    assert_int_equal(m->cpu.r.dr6 & 0xe00f, 5);
}

CODE(sti_program, "cli\n nop\n sti\n mov $1, %eax\n mov $2, %eax\n hlt");

static void sti_holds_interrupts_for_one_instruction(void **state)
{
    (void)state;
    MACHINE_CODE(m, sti_program);
    m->cpu.intr = true;
    m->pending = 0x40;
    RUN_HLT();
    assert_int_equal(halted_in(), 0x40);
    assert_int_equal(GPR(RAX), 1);
}

CODE(kick_program, "sti\n nop\n mov $3, %eax\n mov $0xe0000000, %edx\n mov %eax, (%rdx)\n"
                   "mov $9, %eax\n hlt");

static void a_device_interrupts_right_after_its_write(void **state)
{
    (void)state;
    MACHINE_CODE(m, kick_program);
    m->device_kick = 3;
    RUN_HLT();
    assert_int_equal(halted_in(), 0x40);
    assert_int_equal(GPR(RAX), 3);
}

CODE(ss_program, "mov %ss, %eax\n mov %eax, %ss\n mov $1, %ebx\n hlt");

static void mov_ss_holds_nmi_and_traps(void **state)
{
    (void)state;
    MACHINE_CODE(m, ss_program);
    RUN(2);
    assert_int_equal(m->cpu.r.shadow, RINGSIDE_SHADOW_MOV_SS);
    m->cpu.nmi = true;
    RUN_HLT();
    assert_int_equal(halted_in(), X86_EXC_NMI);
    assert_int_equal(GPR(RBX), 1);
    assert_true(m->cpu.r.nmi_blocked);
}

/* --- The debugger's break- and watchpoints --------------------------------------------------- */

static void breakpoints_stop_before(void **state)
{
    (void)state;
    MACHINE_CODE(m, break_program);
    m->breakpoint = CODE_AT + 1;
    assert_int_equal(cpu_run(&m->cpu, 100), CPU_EXIT_BREAKPOINT);
    assert_int_equal(m->cpu.r.rip, CODE_AT + 1);
    assert_int_equal(m->cpu.count, 1);
    assert_int_equal(cpu_step(&m->cpu, 0), CPU_EXIT_BREAKPOINT);
    assert_int_equal(cpu_step(&m->cpu, CPU_STEP_OVER_BREAK), CPU_EXIT_LIMIT);
    assert_int_equal(m->cpu.r.rip, CODE_AT + 2);
    m->breakpoint = 0;
    cpu_code_drop_page(m->cpu.code, CODE_AT);
    RUN_HLT();
}

static void watchpoints_stop_after(void **state)
{
    static struct cpu_watch watches[] = {{0x200004, 8, CPU_WATCH_READ, 0},
                                         {0x20000a, 1, CPU_WATCH_WRITE, 0}};

    (void)state;
    MACHINE_CODE(m, break_program);
    cpu_set_watches(&m->cpu, watches, 2);
    assert_int_equal(cpu_run(&m->cpu, 100), CPU_EXIT_WATCH);
    assert_int_equal(m->cpu.r.rip, CODE_AT + 10);
    assert_int_equal(m->cpu.watch_hit.address, 0x20000a);
    assert_int_equal(m->cpu.watch_hit.kind, CPU_WATCH_WRITE);
    assert_int_equal(cpu_run(&m->cpu, 100), CPU_EXIT_WATCH);
    assert_int_equal(m->cpu.r.rip, CODE_AT + 18);
    assert_int_equal(m->cpu.watch_hit.address, 0x200008);
    assert_int_equal(cpu_run(&m->cpu, 100), CPU_EXIT_HALT);
}

/* --- Many watchpoints ------------------------------------------------------------------------ */

static bool touches(const struct cpu_watch *w, uint64_t at, unsigned n, unsigned kind)
{
    return (w->kind & kind) && w->address < at + n && at < w->address + w->length;
}

/* Ranges of all lengths, some within others: the search finds what looking at each one finds. */
static void watchpoints_are_found(void **state)
{
    enum { COUNT = 200, AREA = 8192 };
    static struct cpu_watch watches[COUNT];
    uint64_t random = 1, address = DATA_AT, bytes = 0;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        random = random * 6364136223846793005 + 1442695040888963407;
        address += random >> 60 ? random >> 40 & 63 : 0;
        watches[i] = (struct cpu_watch){address, (random >> 50 & 15) ? 1 + (random >> 54 & 7) : 300,
                                        (uint8_t)(1 + (random >> 33) % 3), 0};
    }
    cpu_set_watches(&m->cpu, watches, COUNT);
    for (uint64_t at = DATA_AT - 8; at < DATA_AT + AREA; at++) {
        unsigned kind = at & 1 ? CPU_WATCH_READ : CPU_WATCH_WRITE, expected = 0;

        while (expected < COUNT && !touches(&watches[expected], at, 4, kind))
            expected++;
        m->cpu.watch_pending = false;
        if (kind == CPU_WATCH_READ)
            cpu_read_linear(&m->cpu, at, &bytes, 4, CPU_READ);
        else
            cpu_write_linear(&m->cpu, at, &bytes, 4, CPU_WRITE);
        assert_int_equal(m->cpu.watch_pending, expected < COUNT);
        if (expected == COUNT)
            continue;
        address = watches[expected].address;
        assert_int_equal(m->cpu.watch_hit.address, address > at ? address : at);
        assert_int_equal(m->cpu.watch_hit.kind, watches[expected].kind);
    }
    m->cpu.watch_pending = false;
}

/* Pages without a watchpoint keep their fast path, between and behind thousands of them. */
static void watchpoints_cost_nothing_elsewhere(void **state)
{
    enum { COUNT = 10000 };
    static struct cpu_watch watches[COUNT];
    uint64_t value;

    (void)state;
    for (unsigned i = 0; i < COUNT; i++)
        watches[i] = (struct cpu_watch){
            DATA_AT + (i < COUNT / 2 ? 0 : 0x2000) + i % (COUNT / 2) / 2, 4, CPU_WATCH_ACCESS, 0};
    for (unsigned page = 0; page < 4; page++) {
        cpu_set_watches(&m->cpu, watches, COUNT);
        cpu_load(&m->cpu, RINGSIDE_DS, DATA_AT + page * 0x1000, 8, &value);
        assert_int_equal(!cpu_host(&m->cpu, RINGSIDE_DS, DATA_AT + page * 0x1000, 8, false),
                         page == 0 || page == 2);
    }
    m->cpu.watch_pending = false;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_to_the_next_instruction_count),
        TEST(code_may_change_each_time_round),
        TEST(writes_through_another_mapping_count),
        TEST(writes_by_another_cpu_count),
        TEST(an_instruction_may_cross_pages),
        TEST(the_second_page_may_be_mapped_elsewhere),
        TEST(a_fetch_fault_names_the_second_page),
        TEST(a_store_over_two_pages_is_all_or_nothing),
        TEST(slices_do_not_change_the_run),
        TEST(an_iteration_is_one_count),
        TEST(copying_forward_over_itself_repeats),
        TEST(a_fault_keeps_the_iterations_before_it),
        TEST(page_rights),
        TEST(accessed_and_dirty),
        TEST(trap_flag_traps_after_each_instruction),
        TEST(guest_code_breakpoints_fault_before),
        TEST(resume_flag_passes_a_code_breakpoint),
        TEST(guest_data_breakpoints_trap_after),
        TEST(sti_holds_interrupts_for_one_instruction),
        TEST(a_device_interrupts_right_after_its_write),
        TEST(mov_ss_holds_nmi_and_traps),
        TEST(breakpoints_stop_before),
        TEST(watchpoints_stop_after),
        TEST(watchpoints_are_found),
        TEST(watchpoints_cost_nothing_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
