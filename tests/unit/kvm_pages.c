/* Pages kept from a guest of KVM: what it finds there, what the server finds, and what stays. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/kvm/kvm.h"

enum { RAM = 4 << 20, AT = 0x201000, BYTE = 0x90 };

static struct kvm_machine *machine;
static uint8_t *ram; /* of the page AT */
static int pipes[2];

static int setup(void **state)
{
    const struct vm_config config = {.ram_bytes = RAM, .cpus = 1, .exit_port = -1};
    struct vm_host host = kvm_vm_host;
    int error = 0;

    (void)state;
    machine = calloc(1, sizeof *machine);
    host.ctx = machine;
    machine->vm_fd = -1;
    machine->trap_byte = KVM_INT3;
    machine->vm = vm_new(&config, &host, &error);
    if (!machine->vm || kvm_pages_init(machine) || pipe(pipes))
        return -1;
    ram = vm_ram(machine->vm, AT, KVM_PAGE_SIZE);
    memset(ram, BYTE, KVM_PAGE_SIZE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    kvm_pages_free(machine);
    vm_free(machine->vm);
    free(machine);
    close(pipes[0]);
    close(pipes[1]);
    return 0;
}

/* What the kernel can do with RAM is what it can give a guest. */
static bool can_read(void)
{
    uint8_t byte;

    return write(pipes[1], ram, 1) == 1 && read(pipes[0], &byte, 1) == 1;
}

static bool can_write(void)
{
    uint8_t byte = ram[0];
    bool can = write(pipes[1], &byte, 1) == 1 && read(pipes[0], ram, 1) == 1;

    if (!can)
        can = read(pipes[0], &byte, 1) != 1; /* it is still there */
    return can;
}

static uint8_t seen(unsigned offset)
{
    uint8_t byte;

    kvm_ram_read(machine, AT + offset, &byte, 1);
    return byte;
}

static void a_trap_byte_is_the_guests_alone(void **state)
{
    (void)state;
    assert_int_equal(kvm_breakpoint_insert(machine, AT + 5), RINGSIDE_OK);
    assert_int_equal(ram[5], KVM_INT3);
    assert_int_equal(seen(5), BYTE);
    assert_true(kvm_breakpoint_at(machine, AT + 5));
    assert_false(kvm_breakpoint_at(machine, AT + 4));
    assert_true(can_read());
    assert_false(can_write());
    assert_int_equal(kvm_breakpoint_remove(machine, AT + 5), RINGSIDE_OK);
    assert_int_equal(ram[5], BYTE);
    assert_int_equal(kvm_breakpoint_remove(machine, AT + 5), RINGSIDE_EINVAL);
}

static void writes_are_kept_under_it(void **state)
{
    const uint8_t bytes[] = {1, 2, 3};

    (void)state;
    kvm_breakpoint_insert(machine, AT + 5);
    kvm_ram_write(machine, AT + 4, bytes, sizeof bytes);
    assert_memory_equal(ram + 4, ((uint8_t[]){1, KVM_INT3, 3}), 3);
    assert_int_equal(seen(5), 2);
    kvm_breakpoint_remove(machine, AT + 5);
    assert_memory_equal(ram + 4, bytes, 3);
}

static void without_a_trap_byte_the_page_is_barred(void **state)
{
    uint8_t byte = 7;

    (void)state;
    machine->trap_byte = 0;
    assert_int_equal(kvm_breakpoint_insert(machine, AT + 5), RINGSIDE_OK);
    assert_false(can_read());
    assert_int_equal(seen(5), BYTE);
    kvm_ram_write(machine, AT + 5, &byte, 1);
    assert_int_equal(seen(5), 7);
    kvm_breakpoint_remove(machine, AT + 5);
    kvm_pages_sweep(machine);
    assert_true(can_read());
    assert_int_equal(ram[5], 7);
}

static void pages_stay_until_they_are_swept(void **state)
{
    (void)state;
    kvm_breakpoint_insert(machine, AT + 5);
    kvm_breakpoint_remove(machine, AT + 5);
    assert_false(can_write());
    unsigned changes = machine->pages.changes;
    kvm_breakpoint_insert(machine, AT + 6);
    kvm_pages_sweep(machine);
    assert_int_equal(machine->pages.changes, changes);
    assert_false(can_write());
    kvm_breakpoint_remove(machine, AT + 6);
    kvm_pages_sweep(machine);
    assert_true(can_write());
    assert_int_equal(machine->pages.count, 0);
    assert_int_equal(machine->pages.trap_pages, 0);
}

static void a_lifted_page_may_be_written(void **state)
{
    (void)state;
    kvm_breakpoint_insert(machine, AT + 5);
    kvm_pages_lift(machine, KVM_LIFT_ALL);
    ram[5] = 1;
    ram[6] = 2;
    kvm_pages_lift(machine, KVM_LIFT_NOTHING);
    assert_false(can_write());
    assert_int_equal(ram[5], KVM_INT3);
    assert_int_equal(seen(5), 1);
    assert_int_equal(seen(6), 2);
}

static void code_is_lifted_by_page(void **state)
{
    (void)state;
    machine->trap_byte = 0;
    kvm_breakpoint_insert(machine, AT);
    machine->pages.lifted[0] = machine->pages.lifted[1] = AT + KVM_PAGE_SIZE;
    kvm_pages_lift(machine, KVM_LIFT_CODE);
    assert_false(can_read());
    machine->pages.lifted[1] = AT;
    kvm_pages_lift(machine, KVM_LIFT_CODE);
    assert_true(can_read());
    assert_false(can_write());
    kvm_pages_lift(machine, KVM_LIFT_NOTHING);
    assert_false(can_read());
}

static void what_is_not_ram_is_refused(void **state)
{
    (void)state;
    assert_int_equal(kvm_breakpoint_insert(machine, RAM), RINGSIDE_EFAULT);
    assert_int_equal(kvm_breakpoint_insert(machine, 0xfee00000), RINGSIDE_EFAULT);
    assert_int_equal(machine->pages.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_trap_byte_is_the_guests_alone),
        TEST(writes_are_kept_under_it),
        TEST(without_a_trap_byte_the_page_is_barred),
        TEST(pages_stay_until_they_are_swept),
        TEST(a_lifted_page_may_be_written),
        TEST(code_is_lifted_by_page),
        TEST(what_is_not_ram_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
