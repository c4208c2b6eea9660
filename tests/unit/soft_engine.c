/* The soft engine: runs do not depend on how they are cut, and the debugger's side is exact. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/engine.h"
#include "engine/soft/set.h"

enum { BASE = 0x1000, COUNTS = 0x500, CPUS = 2, RAM = 4 << 20 };
enum { SEG_CODE32 = 0xc09b, SEG_DATA32 = 0xc093 };

extern const uint8_t soft_guest[], soft_guest_end[], soft_guest_round[], soft_guest_store[];

/* --- A debug server that notes what it is told ----------------------------------------------- */

struct ringside {
    bool attached, hold[CPUS];
    enum ringside_exit_reason stop_at; /* hold the vCPU that comes out for this */
    unsigned stops;
    struct ringside_exit last;
    unsigned last_vcpu;
};

enum ringside_verdict ringside_vcpu_enter(struct ringside *rs, unsigned vcpu)
{
    return rs->hold[vcpu] ? RINGSIDE_PARK : RINGSIDE_RUN;
}

void ringside_vcpu_exit(struct ringside *rs, unsigned vcpu, const struct ringside_exit *exit)
{
    if (exit->reason != rs->stop_at)
        return;
    rs->last = *exit;
    rs->last_vcpu = vcpu;
    rs->stops++;
    memset(rs->hold, true, sizeof rs->hold);
}

bool ringside_attached(const struct ringside *rs)
{
    return rs->attached;
}

/* --- The machine ----------------------------------------------------------------------------- */

struct console {
    char text[64];
    size_t count;
    int ended;
    char declined[200];
};

static void serial_out(void *ctx, uint8_t byte)
{
    struct console *console = ctx;

    console->text[console->count++ % sizeof console->text] = (char)byte;
}

static void ended(void *ctx, int what, int status)
{
    (void)status;
    ((struct console *)ctx)->ended = what;
}

static void declined(void *ctx, const char *text)
{
    struct console *console = ctx;

    snprintf(console->declined, sizeof console->declined, "%s", text);
}

static struct ringside_regs entry_regs(void)
{
    struct ringside_regs regs = {
        .rip = BASE, .rflags = 2, .cr0 = 0x11, .xcr0 = 1, .dr6 = 0xffff0ff0};

    regs.apic_base = VM_LAPIC_BASE | 0x900;
    regs.dr7 = 0x400;
    regs.pat = 0x0007040600070406;
    for (unsigned i = 0; i < 6; i++)
        regs.seg[i] = (struct ringside_segment){0, UINT32_MAX, 0x10, SEG_DATA32};
    regs.seg[RINGSIDE_CS] = (struct ringside_segment){0, UINT32_MAX, 0x08, SEG_CODE32};
    regs.ldtr = (struct ringside_segment){0, 0xffff, 0, 0x82};
    regs.tr = (struct ringside_segment){0, 0xffff, 0, 0x8b};
    regs.gdtr = (struct ringside_table){0x900, 0x17};
    return regs;
}

static struct soft *start(struct console *console)
{
    struct soft_config config = {
        .vm = {.ram_bytes = RAM, .cpus = CPUS, .exit_port = -1},
        .vendor = SOFT_INTEL,
        .ctx = console,
        .serial_out = serial_out,
        .ended = ended,
        .declined = declined,
    };
    static const uint64_t gdt[] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
    struct ringside_regs regs = entry_regs();
    int error;

    memset(console, 0, sizeof *console);
    console->ended = -1;
    struct soft *soft = soft_new(&config, &error);
    assert_non_null(soft);
    vm_write(soft_vm(soft), 0x900, gdt, sizeof gdt);
    vm_write(soft_vm(soft), BASE, soft_guest, (size_t)(soft_guest_end - soft_guest));
    soft_set_entry(soft, &regs);
    return soft;
}

static uint32_t count_of(struct soft *soft, unsigned n)
{
    uint32_t value;

    vm_read(soft_vm(soft), COUNTS + 4 * n, &value, sizeof value);
    return value;
}

static void run_to(struct soft *soft, uint64_t instructions, uint64_t slice)
{
    uint64_t idle;

    while (soft_instructions(soft) < instructions) {
        uint64_t left = instructions - soft_instructions(soft);
        assert_int_equal(soft_run(soft, left < slice ? left : slice, true, &idle), SOFT_BUSY);
    }
    assert_int_equal(soft_instructions(soft), instructions);
}

enum { RUN = 400000 };

static uint64_t hash_of_run(uint64_t slice)
{
    struct console console;
    struct soft *soft = start(&console);

    run_to(soft, RUN, slice);
    uint64_t hash = soft_hash(soft);
    soft_free(soft);
    return hash;
}

/* --- Tests ----------------------------------------------------------------------------------- */

static void both_cpus_work(void **state)
{
    struct console console;
    struct soft *soft = start(&console);

    (void)state;
    run_to(soft, RUN, RUN);
    assert_true(count_of(soft, 0) > 1000);
    assert_in_range(count_of(soft, 1), soft_time(soft) / 50000 - 2, soft_time(soft) / 50000);
    assert_true(count_of(soft, 2) > 1000);
    assert_true(count_of(soft, 3) > 10);
    assert_int_equal(console.text[0], 'b');
    assert_int_equal(console.text[1], 'c');
    soft_free(soft);
}

static void cuts_change_nothing(void **state)
{
    uint64_t whole = hash_of_run(RUN);

    (void)state;
    assert_int_equal(hash_of_run(RUN), whole);
    assert_int_equal(hash_of_run(9973), whole);
    assert_int_equal(hash_of_run(7), whole);
    assert_int_equal(hash_of_run(1), whole);
}

static void steps_change_nothing(void **state)
{
    struct console console;
    struct soft *soft = start(&console);
    const struct ringside_step_ops *step = soft_target()->step;

    (void)state;
    for (unsigned i = 0; i < CPUS; i++)
        assert_int_equal(step->arm(soft, i, RINGSIDE_STEP_MONITOR_TRAP, false), RINGSIDE_OK);
    run_to(soft, RUN, RUN);
    assert_int_equal(soft_hash(soft), hash_of_run(RUN));
    soft_free(soft);
}

static void a_saved_run_goes_on(void **state)
{
    struct console console;
    struct soft *soft = start(&console);
    size_t size = soft_state_size(soft);
    uint8_t *saved = test_malloc(size), *ram = test_malloc(RAM);

    (void)state;
    run_to(soft, 123457, RUN);
    soft_save(soft, saved);
    vm_read(soft_vm(soft), 0, ram, 0xa0000);
    uint64_t at_save = soft_hash(soft);
    run_to(soft, RUN, RUN);
    uint64_t at_end = soft_hash(soft);
    assert_int_not_equal(at_save, at_end);

    vm_write(soft_vm(soft), 0, ram, 0xa0000);
    assert_int_equal(soft_restore(soft, saved, size), 0);
    assert_int_equal(soft_hash(soft), at_save);
    run_to(soft, RUN, 1000);
    assert_int_equal(soft_hash(soft), at_end);
    soft_free(soft);

    soft = start(&console); /* another machine takes it over as well */
    vm_write(soft_vm(soft), 0, ram, 0xa0000);
    assert_int_equal(soft_restore(soft, saved, size), 0);
    run_to(soft, RUN, RUN);
    assert_int_equal(soft_hash(soft), at_end);
    assert_int_equal(soft_restore(soft, saved, size - 1), -1);
    saved[0] ^= 1;
    assert_int_equal(soft_restore(soft, saved, size), -1);
    soft_free(soft);
    test_free(saved);
    test_free(ram);
}

static uint64_t rip_of(struct soft *soft, unsigned vcpu)
{
    struct ringside_regs regs;

    assert_int_equal(soft_target()->read_regs(soft, vcpu, &regs), RINGSIDE_OK);
    return regs.rip;
}

static void release(struct ringside *rs)
{
    memset(rs->hold, false, sizeof rs->hold);
}

/* Run until the server holds everybody. */
static void run_to_stop(struct soft *soft, struct ringside *rs)
{
    uint64_t idle;
    unsigned stops = rs->stops;

    release(rs);
    assert_int_equal(soft_run(soft, RUN, true, &idle), SOFT_PARKED);
    assert_int_equal(rs->stops, stops + 1);
}

static void breakpoints_stop_before(void **state)
{
    struct console console;
    struct ringside rs = {.attached = true, .stop_at = RINGSIDE_EXIT_BREAKPOINT};
    struct soft *soft = start(&console);
    const struct ringside_target *target = soft_target();
    uint64_t place = BASE + (uint64_t)(soft_guest_store - soft_guest);
    uint64_t before = soft_hash(soft);

    (void)state;
    soft_set_server(soft, &rs);
    assert_int_equal(target->breakpoint->insert(soft, place), RINGSIDE_OK);
    assert_int_equal(target->breakpoint->insert(soft, 0xb8000), RINGSIDE_EFAULT);
    assert_int_equal(soft_hash(soft), before); /* nothing was written */
    for (unsigned i = 0; i < 100; i++) {
        run_to_stop(soft, &rs);
        assert_int_equal(rs.last_vcpu, 0);
        assert_int_equal(rip_of(soft, 0), place);
        assert_true(rs.last.has_gpa && rs.last.gpa == place);
        assert_int_equal(count_of(soft, 0), i);
        rs.stop_at = RINGSIDE_EXIT_MONITOR_TRAP; /* off it, by a step */
        target->step->arm(soft, 0, RINGSIDE_STEP_MONITOR_TRAP, true);
        run_to_stop(soft, &rs);
        assert_int_equal(count_of(soft, 0), i + 1);
        target->step->disarm(soft, 0);
        rs.stop_at = RINGSIDE_EXIT_BREAKPOINT;
    }
    assert_int_equal(target->breakpoint->remove(soft, place), RINGSIDE_OK);
    assert_int_equal(target->breakpoint->remove(soft, place), RINGSIDE_EINVAL);
    soft_set_server(soft, NULL);
    run_to(soft, RUN, RUN);
    soft_free(soft);
}

static void a_breakpoint_is_passed_once(void **state)
{
    enum { INCL = 6 };
    struct console console;
    struct ringside rs = {.attached = true, .stop_at = RINGSIDE_EXIT_BREAKPOINT};
    struct soft *soft = start(&console);
    const struct ringside_target *target = soft_target();
    uint64_t place = BASE + (uint64_t)(soft_guest_store - soft_guest);
    struct ringside_regs regs;

    (void)state;
    soft_set_server(soft, &rs);
    target->breakpoint->insert(soft, place);
    run_to_stop(soft, &rs);
    for (unsigned i = 0; i < 100; i++) {
        target->breakpoint->pass(soft, 0);
        run_to_stop(soft, &rs);
        assert_int_equal(rip_of(soft, 0), place);
        assert_int_equal(count_of(soft, 0), i + 1);
    }
    target->breakpoint->insert(soft, place + INCL);
    target->breakpoint->pass(soft, 0);
    run_to_stop(soft, &rs);
    assert_int_equal(rip_of(soft, 0), place + INCL);
    target->breakpoint->pass(soft, 0);
    target->read_regs(soft, 0, &regs);
    target->write_regs(soft, 0, &regs);
    run_to_stop(soft, &rs);
    assert_int_equal(rip_of(soft, 0), place + INCL);
    assert_int_equal(count_of(soft, 0), 101);
    soft_set_server(soft, NULL);
    soft_free(soft);
}

static void code_watches_stop_at_their_address_only(void **state)
{
    struct console console;
    struct ringside rs = {.attached = true, .stop_at = RINGSIDE_EXIT_WATCH};
    struct soft *soft = start(&console);
    const struct ringside_target *target = soft_target();
    uint64_t place = BASE + (uint64_t)(soft_guest_store - soft_guest);

    (void)state;
    soft_set_server(soft, &rs);
    /* The same offset of another page must not stop anybody. */
    target->watch->insert(soft, RINGSIDE_WATCH_EXEC,
                          0x100000 + BASE + (uint64_t)(soft_guest_round - soft_guest), 1);
    target->watch->insert(soft, RINGSIDE_WATCH_EXEC, place, 1);
    run_to_stop(soft, &rs);
    assert_int_equal(rs.last.watch_kind, RINGSIDE_WATCH_EXEC);
    assert_int_equal(rs.last.watch_address, place);
    assert_int_equal(rip_of(soft, 0), place);
    assert_int_equal(target->watch->remove(soft, RINGSIDE_WATCH_EXEC, place, 1), RINGSIDE_OK);
    release(&rs);
    run_to(soft, RUN, RUN);
    assert_int_equal(rs.stops, 1);
    assert_int_equal(soft_hash(soft), hash_of_run(RUN));
    soft_free(soft);
}

static void data_watches_tell_the_address(void **state)
{
    struct console console;
    struct ringside rs = {.attached = true, .stop_at = RINGSIDE_EXIT_WATCH};
    struct soft *soft = start(&console);
    const struct ringside_watch_ops *watch = soft_target()->watch;

    (void)state;
    soft_set_server(soft, &rs);
    for (uint64_t i = 0; i < 1000; i++) /* any number, in any order */
        assert_int_equal(
            watch->insert(soft, RINGSIDE_WATCH_WRITE, 0x20000 + 16 * (i * 7 % 1000), 8),
            RINGSIDE_OK);
    assert_int_equal(watch->insert(soft, RINGSIDE_WATCH_WRITE, COUNTS + 1, 2), RINGSIDE_OK);
    run_to_stop(soft, &rs);
    assert_int_equal(rs.last.watch_kind, RINGSIDE_WATCH_WRITE);
    assert_int_equal(rs.last.watch_address, COUNTS + 1);
    assert_int_equal(count_of(soft, 0), 1); /* after the store */
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(watch->remove(soft, RINGSIDE_WATCH_WRITE, 0x20000 + 16 * i, 8),
                         RINGSIDE_OK);
    assert_int_equal(watch->remove(soft, RINGSIDE_WATCH_WRITE, COUNTS + 1, 2), RINGSIDE_OK);
    assert_int_equal(watch->remove(soft, RINGSIDE_WATCH_WRITE, COUNTS + 1, 2), RINGSIDE_EINVAL);
    release(&rs);
    run_to(soft, RUN, RUN);
    assert_int_equal(soft_hash(soft), hash_of_run(RUN));
    soft_free(soft);
}

static void a_triple_fault_resets_or_stops(void **state)
{
    struct console console;
    struct ringside rs = {.attached = true, .stop_at = RINGSIDE_EXIT_SHUTDOWN};
    struct soft *soft = start(&console);
    struct ringside_regs regs = entry_regs();
    uint64_t idle;

    (void)state;
    regs.rip = BASE - 2; /* UD2 without an IDT */
    vm_write(soft_vm(soft), BASE - 2, "\x0f\x0b", 2);
    soft_set_entry(soft, &regs);
    soft_set_server(soft, &rs);
    assert_int_equal(soft_run(soft, 10, true, &idle), SOFT_PARKED);
    assert_int_equal(rs.stops, 1);
    assert_int_equal(console.ended, -1);
    soft_set_server(soft, NULL);
    assert_int_equal(soft_run(soft, 10, true, &idle), SOFT_ENDED);
    assert_int_equal(console.ended, VM_RESET);
    soft_free(soft);
}

static void sleep_takes_its_time(void **state)
{
    struct console console;
    struct soft *soft = start(&console);
    struct ringside_regs regs = entry_regs();
    uint64_t idle;

    (void)state;
    /* outb PIT: mode 0, about 1 ms; then HLT with interrupts off: nothing can wake it. */
    static const uint8_t code[] = {0xb0, 0x30, 0xe6, 0x43, 0xb0, 0xa9, 0xe6, 0x40,
                                   0xb0, 0x04, 0xe6, 0x40, 0xf4, 0xeb, 0xfd};
    vm_write(soft_vm(soft), 0x3000, code, sizeof code);
    regs.rip = 0x3000;
    soft_set_entry(soft, &regs);
    assert_int_equal(soft_run(soft, 1000, false, &idle), SOFT_IDLE);
    assert_in_range(idle, 990000, 1010000);
    uint64_t time = soft_time(soft);
    soft_pass_idle(soft, 400000);
    assert_int_equal(soft_time(soft), time + 400000);
    assert_int_equal(soft_run(soft, 1000, false, &idle), SOFT_IDLE);
    soft_pass_idle(soft, idle);
    assert_int_equal(soft_run(soft, 1000, false, &idle), SOFT_IDLE);
    assert_int_equal(idle, VM_NEVER);
    assert_int_equal(soft_target()->read_regs(soft, 0, &regs), RINGSIDE_OK);
    assert_int_equal(regs.activity, RINGSIDE_HALTED);
    soft_free(soft);
}

static void debugger_memory_has_edges(void **state)
{
    struct console console;
    struct soft *soft = start(&console);
    const struct ringside_target *target = soft_target();
    uint8_t bytes[16];

    (void)state;
    assert_int_equal(target->read_memory(soft, RAM - 16, bytes, 16), RINGSIDE_OK);
    assert_int_equal(target->read_memory(soft, RAM - 15, bytes, 16), RINGSIDE_EFAULT);
    assert_int_equal(target->read_memory(soft, UINT64_MAX - 3, bytes, 16), RINGSIDE_EFAULT);
    assert_int_equal(target->read_memory(soft, UINT64_MAX, bytes, 0), RINGSIDE_OK);
    assert_int_equal(target->write_memory(soft, 0xb8000, bytes, 1), RINGSIDE_EFAULT);
    assert_int_equal(target->read_memory(soft, VM_LAPIC_BASE + 0x30, bytes, 4), RINGSIDE_OK);
    assert_int_equal(bytes[0], 0x14);
    soft_free(soft);
}

static void a_set_holds_what_it_was_given(void **state)
{
    struct soft_set set = {0};

    (void)state;
    assert_false(soft_set_has(&set, 1));
    assert_false(soft_set_remove(&set, 1));
    assert_false(soft_set_add(&set, SOFT_SET_FREE));
    for (uint64_t i = 0; i < 5000; i++)
        assert_true(soft_set_add(&set, i * 4096));
    assert_true(soft_set_add(&set, 0));
    assert_int_equal(set.count, 5000);
    for (uint64_t i = 0; i < 5000; i += 2)
        assert_true(soft_set_remove(&set, i * 4096));
    for (uint64_t i = 0; i < 5000; i++)
        assert_int_equal(soft_set_has(&set, i * 4096), i % 2);
    soft_set_free(&set);
}

/* IRET to V8086 mode, which is not there: the run ends and says where. */
static void what_is_missing_ends_the_run(void **state)
{
    static const uint8_t code[] = {
        0x68, 2, 0,    2, 0, /* push $0x20002 */
        0x6a, 0, 0x6a, 0, 0xcf,
    };
    struct console console;
    struct soft *soft = start(&console);
    struct ringside_regs regs = entry_regs();
    uint64_t idle;

    (void)state;
    regs.gpr[RINGSIDE_RSP] = 0x8000;
    soft_set_entry(soft, &regs);
    vm_write(soft_vm(soft), BASE, code, sizeof code);
    assert_int_equal(soft_run(soft, 1000, true, &idle), SOFT_ENDED);
    assert_int_equal(soft_instructions(soft), 3);
    assert_non_null(strstr(console.declined, "vCPU 0 at RIP 0x"));
    assert_non_null(strstr(console.declined, "(bytes cf): virtual-8086 mode is not supported"));
    assert_int_equal(console.ended, -1);
    soft_free(soft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_cpus_work),
        cmocka_unit_test(what_is_missing_ends_the_run),
        cmocka_unit_test(cuts_change_nothing),
        cmocka_unit_test(steps_change_nothing),
        cmocka_unit_test(a_saved_run_goes_on),
        cmocka_unit_test(breakpoints_stop_before),
        cmocka_unit_test(a_breakpoint_is_passed_once),
        cmocka_unit_test(code_watches_stop_at_their_address_only),
        cmocka_unit_test(data_watches_tell_the_address),
        cmocka_unit_test(a_triple_fault_resets_or_stops),
        cmocka_unit_test(sleep_takes_its_time),
        cmocka_unit_test(debugger_memory_has_edges),
        cmocka_unit_test(a_set_holds_what_it_was_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
