/* Steps that an event decides: one under way comes first; a bare trap flag never meets a fault. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu_fixture.h"

#include "step/step.h"

/* --- A vCPU in the memory of the fixture's machine, with a trap flag and no more -------------- */

static struct ringside_regs regs;
static bool armed, held;
static int waiting; /* the interrupt that take_interrupt finds */

static unsigned vcpu_count(void *ctx)
{
    (void)ctx;
    return 1;
}

static int read_regs(void *ctx, unsigned vcpu, struct ringside_regs *out)
{
    (void)ctx, (void)vcpu;
    *out = regs;
    return RINGSIDE_OK;
}

static int write_regs(void *ctx, unsigned vcpu, const struct ringside_regs *in)
{
    (void)ctx, (void)vcpu;
    regs = *in;
    return RINGSIDE_OK;
}

static bool is_memory(void *ctx, uint64_t gpa)
{
    (void)ctx;
    return gpa < RAM_BYTES;
}

static uint8_t *page(void *ctx, uint64_t gpa, bool *writable)
{
    (void)ctx;
    *writable = true;
    return m->ram + gpa;
}

static int no_memory(void *ctx, uint64_t gpa, void *buffer, size_t n)
{
    (void)ctx, (void)gpa, (void)buffer, (void)n;
    return RINGSIDE_EFAULT;
}

static int no_device(void *ctx, uint64_t gpa, const void *buffer, size_t n)
{
    (void)ctx, (void)gpa, (void)buffer, (void)n;
    return RINGSIDE_EFAULT;
}

static void kick(void *ctx, unsigned vcpu)
{
    (void)ctx, (void)vcpu;
}

static unsigned probe(void *ctx, unsigned vcpu)
{
    (void)ctx, (void)vcpu;
    return RINGSIDE_STEP_TRAP_FLAG;
}

static int arm(void *ctx, unsigned vcpu, unsigned way, bool hold_interrupts)
{
    (void)ctx, (void)vcpu, (void)way;
    armed = true;
    held = hold_interrupts;
    return RINGSIDE_OK;
}

static void disarm(void *ctx, unsigned vcpu)
{
    (void)ctx, (void)vcpu;
    armed = false;
}

static int take_interrupt(void *ctx, unsigned vcpu)
{
    int taken = waiting;

    (void)ctx, (void)vcpu;
    waiting = -1;
    return taken;
}

static int read_msr(void *ctx, unsigned vcpu, uint32_t msr, uint64_t *out)
{
    (void)ctx, (void)vcpu, (void)msr, (void)out;
    return RINGSIDE_EINVAL;
}

static const struct ringside_step_ops step_ops = {
    .bare_trap_flag = true,
    .probe = probe,
    .arm = arm,
    .disarm = disarm,
    .take_interrupt = take_interrupt,
};
static const struct ringside_direct_ops direct = {.is_memory = is_memory, .page = page};
static const struct ringside_msr_ops msr = {.read = read_msr};
static const struct ringside_target target = {
    .vcpu_count = vcpu_count,
    .read_regs = read_regs,
    .write_regs = write_regs,
    .read_memory = no_memory,
    .write_memory = no_device,
    .kick = kick,
    .step = &step_ops,
    .direct = &direct,
    .msr = &msr,
};

static enum step_outcome step(unsigned ways, bool hold)
{
    const struct ringside_config config = {.target = &target, .step_ways = ways};
    const struct step_request request = {.hold_interrupts = hold, .alone = true};
    struct step_state state;
    struct ringside_exit exit;
    struct step step;
    void *memory = aligned_alloc(16, step_size());
    enum step_outcome outcome;

    armed = false;
    step_init(&step, memory, &config);
    outcome = step_begin(&step, &state, 0, &request, &exit);
    free(memory);
    return outcome;
}

static void at_start(void)
{
    waiting = -1;
    cpu_get_regs(&m->cpu, &regs);
}

/* The frame of the handler that RIP is at. */
static uint64_t saved(unsigned word)
{
    return word_at(regs.gpr[RINGSIDE_RSP] + 8 * word);
}

/* --- Events under way ------------------------------------------------------------------------ */

CODE(plain, "nop\n nop");

static const unsigned ways[] = {RINGSIDE_STEP_EMULATE, RINGSIDE_STEP_TRAP_FLAG};

static void interrupt(void **state)
{
    (void)state;
    MACHINE_CODE(m, plain);
    for (unsigned i = 0; i < 2; i++) {
        at_start();
        regs.under_way = RINGSIDE_INTERRUPT_UNDER_WAY;
        regs.under_way_vector = 0x41;
        assert_int_equal(step(ways[i], true), STEP_DONE); /* though IF is clear, and held */
        assert_int_equal(regs.rip, IDT_HANDLER(0x41));
        assert_int_equal(saved(0), CODE_AT);
        assert_int_equal(regs.under_way, RINGSIDE_NOTHING_UNDER_WAY);
        assert_false(armed);
    }
}

/* Its return address is where the debugger has put RIP. */
static void moved(void **state)
{
    (void)state;
    MACHINE_CODE(m, plain);
    at_start();
    regs.under_way = RINGSIDE_INTERRUPT_UNDER_WAY;
    regs.under_way_vector = 0x41;
    regs.rip++;
    assert_int_equal(step(RINGSIDE_STEP_EMULATE, true), STEP_DONE);
    assert_int_equal(saved(0), CODE_AT + 1);
}

static void nmi(void **state)
{
    (void)state;
    at_start();
    regs.under_way = RINGSIDE_NMI_UNDER_WAY;
    regs.under_way_vector = X86_EXC_NMI;
    assert_int_equal(step(RINGSIDE_STEP_EMULATE, true), STEP_DONE);
    assert_int_equal(regs.rip, IDT_HANDLER(X86_EXC_NMI));
    assert_true(regs.nmi_blocked);
}

static void trap(void **state)
{
    (void)state;
    at_start();
    regs.under_way = RINGSIDE_TRAP_UNDER_WAY;
    regs.under_way_vector = X86_EXC_DB;
    regs.dr6 |= X86_DR6_BS | 2;
    assert_int_equal(step(RINGSIDE_STEP_EMULATE, true), STEP_DONE);
    assert_int_equal(regs.rip, IDT_HANDLER(X86_EXC_DB));
    assert_int_equal(regs.dr6 & (X86_DR6_BS | X86_DR6_B), X86_DR6_BS | 2);
}

/* What is let in is taken before the entry; what comes later waits for the next step. */
static void let_in(void **state)
{
    (void)state;
    MACHINE_CODE(m, plain);
    at_start();
    waiting = 0x42;
    assert_int_equal(step(RINGSIDE_STEP_TRAP_FLAG, false), STEP_DONE);
    assert_int_equal(regs.rip, IDT_HANDLER(0x42));
    at_start();
    assert_int_equal(step(RINGSIDE_STEP_TRAP_FLAG, false), STEP_ENTER);
    assert_true(armed && held);
}

/* --- A bare trap flag ------------------------------------------------------------------------ */

CODE(faults, "ud2\n .org faults + 16\n"
             "mov %al, 0x3f0000\n .org faults + 32\n" /* not present */
             "push %rax\n .org faults + 48\n"         /* likewise */
             "mov $0x12345, %ecx\n rdmsr\n .org faults + 64\n"
             "inb $0x80, %al\n .org faults + 80\n"
             "lock addq $1, 0x3f0000\n .org faults + 96\n"
             "wrmsr\n .org faults + 112\n"
             "mov %rax, %cr0\n .org faults + 128\n"
             "xsetbv");

static void expect_fault(uint64_t rip, unsigned vector)
{
    regs.rip = rip;
    assert_int_equal(step(RINGSIDE_STEP_TRAP_FLAG, true), STEP_DONE);
    assert_false(armed);
    assert_int_equal(regs.rip, IDT_HANDLER(vector));
}

static void foreseen(void **state)
{
    (void)state;
    MACHINE_CODE(m, faults);
    *machine_pte(m, 0x3f0000) = 0;
    at_start();
    expect_fault(CODE_AT, X86_EXC_UD);
    expect_fault(CODE_AT + 16, X86_EXC_PF);
    assert_int_equal(regs.cr2, 0x3f0000);
    expect_fault(CODE_AT + 80, X86_EXC_PF);
    expect_fault(CODE_AT + 53, X86_EXC_GP); /* the engine has no such MSR */
    assert_int_equal(saved(0), 0);
    assert_int_equal(saved(1), CODE_AT + 53);
    regs.gpr[RINGSIDE_RCX] = X86_MSR_LSTAR;
    regs.gpr[RINGSIDE_RDX] = 0x8000; /* not canonical */
    expect_fault(CODE_AT + 96, X86_EXC_GP);
    regs.gpr[RINGSIDE_RAX] = X86_CR0_PG; /* without PE */
    expect_fault(CODE_AT + 112, X86_EXC_GP);
    regs.cr4 |= X86_CR4_OSXSAVE;
    regs.gpr[RINGSIDE_RCX] = 0;
    expect_fault(CODE_AT + 128, X86_EXC_GP);
}

CODE(completes, "mov %al, 0x200000\n .org completes + 16\n"
                "pushf\n .org completes + 32\n"
                "inb $0x80, %al\n .org completes + 48\n"
                "lock addq $1, 0x200000\n .org completes + 64\n"
                "wrmsr");

/* The trial leaves no trace: hardware does them. */
static void left_to_hardware(void **state)
{
    (void)state;
    MACHINE_CODE(m, completes);
    for (unsigned i = 0; i < 5; i++) {
        at_start();
        regs.rip = CODE_AT + 16 * i;
        regs.gpr[RINGSIDE_RAX] = 0x55;
        regs.gpr[RINGSIDE_RCX] = X86_MSR_LSTAR;
        regs.gpr[RINGSIDE_RDX] = 0;
        *machine_pte(m, DATA_AT) = DATA_AT | 7;
        assert_int_equal(step(RINGSIDE_STEP_TRAP_FLAG, true), STEP_ENTER);
        assert_true(armed && regs.rflags & X86_FLAG_TF);
        assert_int_equal(regs.rip, CODE_AT + 16 * i);
        assert_int_equal(word_at(DATA_AT) | word_at(STACK_AT - 8), 0);
        assert_int_equal(*machine_pte(m, DATA_AT), DATA_AT | 7); /* not accessed */
    }
}

CODE(loads, "popf\n .org loads + 16\n iretq\n .org loads + 32\n sti");

/* The TF that they load would be lost; the shadow of STI merges it with the next on some hosts. */
static void executed(void **state)
{
    (void)state;
    MACHINE_CODE(m, loads);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t frame[] = {CODE_AT, 8, 0x102, STACK_AT, 16};

        at_start();
        regs.rip = CODE_AT + 16 * i;
        frame[0] = i ? CODE_AT : 0x102;
        regs.gpr[RINGSIDE_RSP] = STACK_AT - 64;
        memcpy(m->ram + STACK_AT - 64, frame, sizeof frame);
        assert_int_equal(step(RINGSIDE_STEP_TRAP_FLAG, true), STEP_DONE);
        assert_false(armed);
        assert_int_equal(regs.rflags & (X86_FLAG_TF | X86_FLAG_IF),
                         i < 2 ? X86_FLAG_TF : X86_FLAG_IF);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(interrupt), TEST(moved),    TEST(nmi),      TEST(trap),
        TEST(let_in),    TEST(foreseen), TEST(executed), TEST(left_to_hardware),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
