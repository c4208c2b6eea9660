/* The CPU's core: self-modifying code, page crossing, slices, repetition, rights. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu_fixture.h"

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

/* --- The cache's memory ----------------------------------------------------------------------- */

static void the_cache_stays_in_its_memory(void **state)
{
    enum { LEAST = 32 * 1024, MOST = LEAST + 2048, CANARY = 4096, NOPS = 2000 };
    uint8_t *memory = malloc(MOST + CANARY), canary[CANARY];
    const struct cpu_model model = m->cpu.model;
    const struct cpu_bus *bus = m->cpu.bus;
    struct ringside_regs regs;

    (void)state;
    memset(canary, 0xa5, sizeof canary);
    memset(m->ram + CODE_AT, 0x90, NOPS);
    cpu_get_regs(&m->cpu, &regs);
    regs.rip = CODE_AT;
    for (size_t size = LEAST; size < MOST; size += 8) {
        memcpy(memory + size, canary, sizeof canary);
        cpu_init(&m->cpu, &model, bus, m, cpu_code_init(memory, size));
        cpu_set_regs(&m->cpu, &regs);
        RUN(NOPS);
        assert_memory_equal(memory + size, canary, sizeof canary);
    }
    free(memory);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_to_the_next_instruction_count),
        TEST(code_may_change_each_time_round),
        TEST(writes_through_another_mapping_count),
        TEST(writes_by_another_cpu_count),
        TEST(the_cache_stays_in_its_memory),
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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
