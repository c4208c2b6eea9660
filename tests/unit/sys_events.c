/* Event delivery: double and triple faults, EXT, and that a refusal or a fault changes nothing. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/descriptor.h"
#include "cpu_fixture.h"

enum { UNMAPPED = 0x900000, TSS_AT = 0x6000 };

/* --- Ways to make the delivery of a vector fail ---------------------------------------------- */

static void make_absent(unsigned vector) /* #NP, a contributory exception */
{
    m->ram[IDT_AT + 16 * vector + 5] = 0x0e;
}

static void make_stackless(unsigned vector) /* #PF: IST1 leads nowhere */
{
    const uint64_t rsp = UNMAPPED;

    m->ram[IDT_AT + 16 * vector + 4] = 1;
    memcpy(m->ram + TSS_AT + 36, &rsp, 8);
    m->cpu.r.tr = (struct ringside_segment){
        .base = TSS_AT, .limit = 0x67, .selector = 0x28, .access = X86_SEG_P | X86_TYPE_TSS_BUSY};
}

static struct cpu_event exception(uint8_t vector)
{
    return (struct cpu_event){
        .vector = vector, .kind = CPU_EVENT_EXCEPTION, .has_error = vector >= 8, .cr2 = 0x1234};
}

static uint64_t pushed(unsigned n)
{
    uint64_t value;

    memcpy(&value, m->ram + m->cpu.r.gpr[RINGSIDE_RSP] + 8 * n, 8);
    return value;
}

/* --- Tests ----------------------------------------------------------------------------------- */

static void delivered(const struct cpu_event *event, unsigned vector)
{
    assert_int_equal(cpu_deliver(&m->cpu, event), CPU_NEXT);
    assert_int_equal(m->cpu.r.rip, IDT_HANDLER(vector));
}

/* SDM vol. 3, "Conditions for Generating a Double Fault", with #NP as the contributory second. */
static void contributory_second(void **state)
{
    static const struct {
        uint8_t first, kind, then;
    } cases[] = {
        {X86_EXC_DE, CPU_EVENT_EXCEPTION, X86_EXC_DF},
        {X86_EXC_TS, CPU_EVENT_EXCEPTION, X86_EXC_DF},
        {X86_EXC_GP, CPU_EVENT_EXCEPTION, X86_EXC_DF},
        {X86_EXC_PF, CPU_EVENT_EXCEPTION, X86_EXC_DF},
        {X86_EXC_UD, CPU_EVENT_EXCEPTION, X86_EXC_NP},
        {X86_EXC_DB, CPU_EVENT_EXCEPTION, X86_EXC_NP},
        {X86_EXC_AC, CPU_EVENT_EXCEPTION, X86_EXC_NP},
        {X86_EXC_NMI, CPU_EVENT_NMI, X86_EXC_NP},
        {X86_EXC_GP, CPU_EVENT_INT, X86_EXC_NP},
        {0x40, CPU_EVENT_EXTERNAL, X86_EXC_NP},
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cpu_event event = exception(cases[i].first);

        event.kind = cases[i].kind;
        machine_long_mode(m);
        make_absent(cases[i].first);
        delivered(&event, cases[i].then);
    }
    (void)state;
}

static void page_fault_second(void **state)
{
    static const struct {
        uint8_t first, then;
    } cases[] = {
        {X86_EXC_DE, X86_EXC_PF},
        {X86_EXC_GP, X86_EXC_PF},
        {X86_EXC_UD, X86_EXC_PF},
        {X86_EXC_PF, X86_EXC_DF},
    };

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cpu_event event = exception(cases[i].first);

        machine_long_mode(m);
        make_stackless(cases[i].first);
        delivered(&event, cases[i].then);
        assert_int_equal(m->cpu.r.cr2, UNMAPPED - 8); /* the first push */
    }
    (void)state;
}

static void triple_fault(void **state)
{
    const struct cpu_event event = exception(X86_EXC_GP);

    (void)state;
    make_absent(X86_EXC_GP);
    make_absent(X86_EXC_DF);
    assert_int_equal(cpu_deliver(&m->cpu, &event), CPU_STOP);
    assert_int_equal(m->cpu.exit, CPU_EXIT_SHUTDOWN);
    assert_int_equal(m->cpu.r.activity, RINGSIDE_SHUTDOWN);
    assert_int_equal(m->cpu.r.rip, CODE_AT);
}

/* EXT is set unless INT n, INT3 or INTO caused it (Intel SDM vol. 3, "Error Code"). */
static void external_bit(void **state)
{
    static const struct {
        uint8_t kind, ext;
    } cases[] = {
        {CPU_EVENT_EXTERNAL, 1}, {CPU_EVENT_NMI, 1},   {CPU_EVENT_EXCEPTION, 1},
        {CPU_EVENT_INT, 0},      {CPU_EVENT_ICEBP, 1}, {CPU_EVENT_SOFT_EXCEPTION, 0},
    };

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct cpu_event event = {.vector = 3, .kind = cases[i].kind};

        machine_long_mode(m);
        make_absent(3);
        delivered(&event, X86_EXC_NP);
        assert_int_equal(pushed(0), 3 * 8 + 2 + cases[i].ext);
    }
}

static void debug_exception(void **state)
{
    const struct cpu_event event = {
        .vector = X86_EXC_DB, .kind = CPU_EVENT_EXCEPTION, .dr6 = X86_DR6_BS | 2};

    (void)state;
    m->cpu.r.dr6 = X86_DR6_FIXED | X86_DR6_BD | 1;
    m->cpu.r.dr7 = X86_DR7_FIXED | X86_DR7_GD;
    m->cpu.r.debugctl = X86_DEBUGCTL_BTF;
    delivered(&event, X86_EXC_DB);
    assert_int_equal(m->cpu.r.dr6, X86_DR6_FIXED | X86_DR6_BD | X86_DR6_BS | 2);
    assert_int_equal(m->cpu.r.dr7, X86_DR7_FIXED);
    assert_int_equal(m->cpu.r.debugctl, 0);
}

/* INT1 is no debug exception of the debug registers: they stay. */
static void icebp(void **state)
{
    const struct cpu_event event = {.vector = X86_EXC_DB, .kind = CPU_EVENT_ICEBP};

    (void)state;
    m->cpu.r.dr6 = X86_DR6_FIXED | 1;
    m->cpu.r.dr7 = X86_DR7_FIXED | X86_DR7_GD;
    delivered(&event, X86_EXC_DB);
    assert_int_equal(m->cpu.r.dr6, X86_DR6_FIXED | 1);
    assert_int_equal(m->cpu.r.dr7, X86_DR7_FIXED | X86_DR7_GD);
}

static void wakes_and_blocks(void **state)
{
    const struct cpu_event nmi = {.vector = X86_EXC_NMI, .kind = CPU_EVENT_NMI};

    (void)state;
    m->cpu.r.activity = RINGSIDE_HALTED;
    m->cpu.r.shadow = RINGSIDE_SHADOW_STI;
    delivered(&nmi, X86_EXC_NMI);
    assert_int_equal(m->cpu.r.activity, RINGSIDE_RUNNING);
    assert_int_equal(m->cpu.r.shadow, RINGSIDE_SHADOW_NONE);
    assert_true(m->cpu.r.nmi_blocked);
}

/* One attempt that faults leaves the registers alone, whatever is in the way. */
static void a_fault_changes_nothing(void **state)
{
    const struct cpu_event event = exception(X86_EXC_GP);
    struct ringside_regs before;

    (void)state;
    make_absent(X86_EXC_GP);
    cpu_get_regs(&m->cpu, &before);
    assert_int_equal(cpu_deliver_once(&m->cpu, &event), CPU_FAULT);
    assert_memory_equal(&m->cpu.r.gpr, &before.gpr, sizeof(before.gpr));
    assert_int_equal(m->cpu.r.rip, before.rip);

    machine_long_mode(m);
    make_stackless(X86_EXC_GP);
    cpu_get_regs(&m->cpu, &before);
    assert_int_equal(cpu_deliver_once(&m->cpu, &event), CPU_FAULT);
    assert_memory_equal(&m->cpu.r.seg, &before.seg, sizeof(before.seg));
    assert_int_equal(m->cpu.r.rip, before.rip);
}

static void check_declined(const struct cpu_event *event)
{
    struct ringside_regs before, after;

    cpu_get_regs(&m->cpu, &before);
    assert_int_equal(cpu_deliver(&m->cpu, event), CPU_DECLINE);
    cpu_get_regs(&m->cpu, &after);
    assert_memory_equal(&before, &after, sizeof(before));
}

/* V8086 mode is refused, as it is for the task of a gate, and then CR2 and DR6 are as they were
 * too. */
static void a_refusal_changes_nothing(void **state)
{
    const struct cpu_event fault = exception(X86_EXC_PF);
    const struct cpu_event debug = {
        .vector = X86_EXC_DB, .kind = CPU_EVENT_EXCEPTION, .dr6 = X86_DR6_BS};
    const uint64_t task_gate = 0x0000850000280000;
    const uint64_t tss = 0x0000890000000067 | (DATA_AT & 0xff0000ull) << 16, flags = X86_FLAG_VM;
    struct ringside_regs r;

    (void)state;
    memcpy(m->ram + GDT_AT + 0x28, &tss, 8);
    memcpy(m->ram + DATA_AT + 36, &flags, 4);
    cpu_get_regs(&m->cpu, &r);
    r.gdtr.limit = 0x2f;
    r.cr0 = X86_CR0_PE | X86_CR0_ET;
    r.cr4 = r.efer = 0;
    r.seg[RINGSIDE_CS].access = 0xc09b;
    cpu_set_regs(&m->cpu, &r);
    memcpy(m->ram + IDT_AT + 8 * X86_EXC_PF, &task_gate, 8);
    memcpy(m->ram + IDT_AT + 8 * X86_EXC_DB, &task_gate, 8);
    check_declined(&fault);
    check_declined(&debug);

    r.rflags |= X86_FLAG_VM;
    cpu_set_regs(&m->cpu, &r);
    check_declined(&fault);
}

/* Real mode: the vector table, and the end where it is too short. */
static void real_mode(void **state)
{
    const struct cpu_event event = {.vector = 0x21, .kind = CPU_EVENT_INT};
    const uint16_t target[] = {0x1234, 0x0800};

    (void)state;
    cpu_reset(&m->cpu);
    m->cpu.r.idtr = (struct ringside_table){.limit = 0x3ff};
    m->cpu.r.gpr[RINGSIDE_RSP] = 0x7000;
    m->cpu.r.rflags |= X86_FLAG_IF | X86_FLAG_TF;
    memcpy(m->ram + 4 * 0x21, target, 4);
    assert_int_equal(cpu_deliver(&m->cpu, &event), CPU_NEXT);
    assert_int_equal(m->cpu.r.rip, 0x1234);
    assert_int_equal(m->cpu.r.seg[RINGSIDE_CS].base, 0x8000);
    assert_int_equal(m->cpu.r.gpr[RINGSIDE_RSP], 0x7000 - 6);
    assert_int_equal(pushed(0) & 0xffffffff, 0xf000fff0); /* IP and CS of RESET */
    assert_int_equal(m->cpu.r.rflags & (X86_FLAG_IF | X86_FLAG_TF), 0);

    m->cpu.r.idtr.limit = 0x1f; /* neither this vector, nor #GP, but #DF is there... */
    assert_int_equal(cpu_deliver(&m->cpu, &event), CPU_STOP); /* ...not: it ends at 0x23 */
    assert_int_equal(m->cpu.r.activity, RINGSIDE_SHUTDOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(contributory_second), TEST(page_fault_second),       TEST(triple_fault),
        TEST(external_bit),        TEST(debug_exception),         TEST(icebp),
        TEST(wakes_and_blocks),    TEST(a_fault_changes_nothing), TEST(a_refusal_changes_nothing),
        TEST(real_mode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
