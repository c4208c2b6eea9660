/* Timers, clock, serial port, power and memory as a kernel sees them. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>

#include "vm_machine.h"

enum { SECOND = 1000000000, COM = 0x3f8, EOI = 0xb0 };

static bool took(struct machine *m, int vector)
{
    if (!vm_interrupt_pending(m->vm, 0))
        return false;
    assert_int_equal(vm_acknowledge(m->vm, 0), vector);
    machine_lapic_write(m, 0, EOI, 0);
    return true;
}

static void write_count(struct machine *m, unsigned channel, uint8_t control, uint16_t count)
{
    machine_out(m, 0x43, control);
    machine_out(m, (uint16_t)(0x40 + channel), (uint8_t)count);
    machine_out(m, (uint16_t)(0x40 + channel), (uint8_t)(count >> 8));
}

static void pit_interrupts(void **state)
{
    struct machine *m = *state;
    unsigned count = 0;

    machine_start_apics(m);
    machine_route(m, GSI_PIT, 0x30, 0);
    write_count(m, 0, 0x34, 11932); /* rate generator at 100 Hz */
    for (unsigned ms = 0; ms < 1000; ms++) {
        machine_pass(m, 1000000);
        count += took(m, 0x30);
    }
    assert_in_range(count, 99, 100);
    write_count(m, 0, 0x30, 1193); /* once, in a millisecond */
    machine_pass(m, 999000);
    assert_false(took(m, 0x30));
    machine_pass(m, 2000);
    assert_true(took(m, 0x30));
    machine_pass(m, SECOND);
    assert_false(took(m, 0x30));
}

static void pit_calibrates(void **state)
{
    struct machine *m = *state;

    machine_out(m, 0x61, 0x01);
    write_count(m, 2, 0xb0, 0xffff);
    assert_false(machine_in(m, 0x61) & 0x20);
    m->now += 10000000;
    uint8_t low = machine_in(m, 0x42), high = machine_in(m, 0x42);
    assert_in_range(low | high << 8, 0xffff - 11932, 0xffff - 11931);
    machine_out(m, 0x61, 0x00); /* the gate stops it */
    m->now += SECOND;
    machine_out(m, 0x61, 0x01);
    machine_out(m, 0x43, 0x80); /* latch */
    m->now += 5000000;
    low = machine_in(m, 0x42), high = machine_in(m, 0x42);
    assert_in_range(low | high << 8, 0xffff - 11932, 0xffff - 11930);
    m->now += 60000000;
    assert_true(machine_in(m, 0x61) & 0x20);
}

static void lapic_timer(void **state)
{
    struct machine *m = *state;

    machine_start_apics(m);
    machine_lapic_write(m, 0, 0x3e0, 0x3); /* divide by 16 */
    machine_lapic_write(m, 0, 0x320, 0xe0);
    machine_lapic_write(m, 0, 0x380, 1000);
    machine_pass(m, 15999);
    assert_int_equal(machine_lapic_read(m, 0, 0x390), 0);
    assert_false(took(m, 0xe0));
    machine_pass(m, 1);
    assert_true(took(m, 0xe0));
    machine_pass(m, SECOND);
    assert_false(took(m, 0xe0));

    machine_lapic_write(m, 0, 0x320, 0x200e0); /* periodic */
    machine_lapic_write(m, 0, 0x380, 1000);
    for (unsigned i = 0; i < 10; i++) {
        machine_pass(m, 8000);
        assert_int_equal(machine_lapic_read(m, 0, 0x390), 500);
        machine_pass(m, 8000);
        assert_true(took(m, 0xe0));
    }
    machine_lapic_write(m, 0, 0x380, 0);
    assert_int_equal(vm_deadline(m->vm), VM_NEVER);
}

static void tsc_deadline(void **state)
{
    struct machine *m = *state;
    uint64_t value;

    machine_start_apics(m);
    m->now = 5000;
    vm_apic_set_tsc(m->vm, 0, 2000000000, 100);
    vm_apic_wrmsr(m->vm, 0, 0x6e0, 30100);
    assert_int_equal(vm_deadline(m->vm), VM_NEVER); /* not in that mode */
    machine_lapic_write(m, 0, 0x320, 0x400e1);
    vm_apic_wrmsr(m->vm, 0, 0x6e0, 30100);
    assert_int_equal(vm_deadline(m->vm), 15000);
    machine_pass(m, 9999);
    assert_false(took(m, 0xe1));
    machine_pass(m, 1);
    assert_true(took(m, 0xe1));
    assert_true(vm_apic_rdmsr(m->vm, 0, 0x6e0, &value));
    assert_int_equal(value, 0);
    vm_apic_wrmsr(m->vm, 0, 0x6e0, 1); /* the past */
    machine_pass(m, 0);
    assert_true(took(m, 0xe1));
    vm_apic_wrmsr(m->vm, 0, 0x6e0, 60100);
    vm_apic_set_tsc(m->vm, 0, 2000000000, 20100); /* the guest moved its TSC */
    assert_int_equal(vm_deadline(m->vm), 20000);
    vm_apic_wrmsr(m->vm, 0, 0x6e0, 0);
    assert_int_equal(vm_deadline(m->vm), VM_NEVER);
}

static uint8_t cmos(struct machine *m, uint8_t index)
{
    machine_out(m, 0x70, index);
    return machine_in(m, 0x71);
}

static void set_cmos(struct machine *m, uint8_t index, uint8_t value)
{
    machine_out(m, 0x70, index);
    machine_out(m, 0x71, value);
}

static void rtc_counts(void **state)
{
    struct machine *m = *state;

    assert_int_equal(cmos(m, 9), 0x26);
    assert_int_equal(cmos(m, 0x32), 0x20);
    assert_int_equal(cmos(m, 6), 5); /* a Thursday */
    m->now = 59ull * 86400 * SECOND + 3723ull * SECOND;
    assert_int_equal(cmos(m, 8), 3); /* 2026 is no leap year: 1 March */
    assert_int_equal(cmos(m, 7), 1);
    assert_int_equal(cmos(m, 4), 1);
    assert_int_equal(cmos(m, 2), 2);
    assert_int_equal(cmos(m, 0), 3);
    assert_false(cmos(m, 10) & 0x80);
    m->now += SECOND - 1;
    assert_true(cmos(m, 10) & 0x80);
    m->now += 1;
    assert_int_equal(cmos(m, 0), 4);

    set_cmos(m, 11, 0x82); /* SET: the clock stands */
    set_cmos(m, 0, 0x59);
    set_cmos(m, 2, 0x59);
    set_cmos(m, 4, 0x23);
    set_cmos(m, 7, 0x28);
    set_cmos(m, 8, 0x02);
    set_cmos(m, 9, 0x28);
    m->now += 5ull * SECOND;
    assert_int_equal(cmos(m, 0), 0x59);
    set_cmos(m, 11, 0x02);
    m->now += SECOND;
    assert_int_equal(cmos(m, 7), 0x29); /* 2028 is one */
    assert_int_equal(cmos(m, 8), 0x02);
    assert_int_equal(cmos(m, 0), 0x00);
}

static void rtc_interrupts(void **state)
{
    struct machine *m = *state;

    machine_start_apics(m);
    machine_route(m, GSI_RTC, 0x38, 0);
    set_cmos(m, 1, 0x03);
    set_cmos(m, 3, 0xff);
    set_cmos(m, 5, 0xff);
    cmos(m, 12);
    set_cmos(m, 11, 0x22); /* alarm */
    machine_pass(m, 2999999999);
    assert_false(took(m, 0x38));
    machine_pass(m, 1);
    assert_true(took(m, 0x38));
    assert_int_equal(cmos(m, 12) & 0xa0, 0xa0);
    assert_int_equal(cmos(m, 12), 0);
    set_cmos(m, 11, 0x42); /* periodic, 1024 Hz */
    unsigned count = 0;
    for (unsigned i = 0; i < 4096; i++) {
        machine_pass(m, 244140);
        count += took(m, 0x38);
        cmos(m, 12);
    }
    assert_in_range(count, 1022, 1025);
}

static void serial_is_a_16550a(void **state)
{
    struct machine *m = *state;

    assert_int_equal(machine_in(m, COM + 2), 0x01);
    machine_out(m, COM + 2, 0x01);
    assert_int_equal(machine_in(m, COM + 2), 0xc1);
    machine_out(m, COM + 7, 0xa5);
    assert_int_equal(machine_in(m, COM + 7), 0xa5);
    machine_out(m, COM + 1, 0xff);
    assert_int_equal(machine_in(m, COM + 1), 0x0f);
    machine_out(m, COM + 4, 0x1a); /* loop: OUT2 and RTS come back */
    assert_int_equal(machine_in(m, COM + 6) & 0xf0, 0x90);
    machine_out(m, COM, 'x');
    assert_int_equal(machine_in(m, COM + 5) & 1, 1);
    assert_int_equal(machine_in(m, COM), 'x');
    assert_int_equal(m->out_count, 0);
    machine_out(m, COM + 4, 0x0b);
    machine_out(m, COM, 'y');
    assert_int_equal(m->out_count, 1);
    machine_out(m, COM + 3, 0x80);
    machine_out(m, COM, 12);
    assert_int_equal(machine_in(m, COM), 12);
}

static void serial_transmits_by_interrupt(void **state)
{
    struct machine *m = *state;

    machine_start_apics(m);
    machine_route(m, GSI_SERIAL, 0x44, 0);
    machine_out(m, COM + 4, 0x08);
    machine_out(m, COM + 1, 0x02); /* enabling it finds the transmitter empty */
    assert_true(took(m, 0x44));
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(machine_in(m, COM + 2) & 0x0f, 0x02);
        assert_int_equal(machine_in(m, COM + 2) & 0x0f, 0x01);
        machine_out(m, COM, (uint8_t)('0' + i));
        assert_true(took(m, 0x44));
    }
    machine_out(m, COM + 1, 0x00);
    machine_out(m, COM + 1, 0x02);
    assert_true(took(m, 0x44));
    assert_memory_equal(m->out, "0123456789", 10);
}

static void serial_receives(void **state)
{
    struct machine *m = *state;
    char text[40];

    machine_start_apics(m);
    machine_route(m, GSI_SERIAL, 0x44, 0);
    machine_out(m, COM + 2, 0x81); /* FIFO, trigger at 8 */
    machine_out(m, COM + 4, 0x08);
    machine_out(m, COM + 1, 0x01);
    vm_serial_in(m->vm, "abc", 3);
    assert_false(took(m, 0x44));
    machine_pass(m, 350000); /* four characters at 115200 */
    assert_true(took(m, 0x44));
    assert_int_equal(machine_in(m, COM + 2), 0xcc);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(machine_in(m, COM), 'a' + i);
    assert_int_equal(machine_in(m, COM + 2), 0xc1);
    for (unsigned i = 0; i < sizeof text; i++)
        text[i] = (char)(i + 1);
    vm_serial_in(m->vm, text, sizeof text);
    assert_true(took(m, 0x44));
    assert_int_equal(machine_in(m, COM + 2), 0xc4);
    for (unsigned i = 0; i < sizeof text; i++) {
        assert_int_equal(machine_in(m, COM + 5), 0x61);
        assert_int_equal(machine_in(m, COM), i + 1);
    }
    assert_int_equal(machine_in(m, COM + 5), 0x60);
    assert_int_equal(vm_deadline(m->vm), VM_NEVER);
}

static void power(void **state)
{
    struct machine *m = *state;

    m->now = SECOND;
    assert_int_equal(vm_port_read(m->vm, 0, 0x608, 4), 3579545);
    assert_int_equal(vm_port_read(m->vm, 0, 0x604, 2), 1);
    vm_port_write(m->vm, 0, 0xcf8, 4, 0xffffffff); /* no PCI: nobody hears it */
    assert_int_equal(vm_port_read(m->vm, 0, 0xcf8, 4), UINT32_MAX);
    vm_port_write(m->vm, 0, 0x604, 2, 3 << 10 | 1 << 13);
    assert_int_equal(m->request, -1);
    vm_port_write(m->vm, 0, 0x604, 2, 5 << 10 | 1 << 13);
    assert_int_equal(m->request, VM_POWER_OFF);
    m->request = -1;
    machine_out(m, 0xcf9, 0x02);
    assert_int_equal(m->request, -1);
    machine_out(m, 0xcf9, 0x06);
    assert_int_equal(m->request, VM_RESET);
    m->request = -1;
    machine_out(m, 0x64, 0xfe);
    assert_int_equal(m->request, VM_RESET);
    vm_port_write(m->vm, 0, 0xf4, 4, 0x31);
    assert_int_equal(m->request, VM_EXIT);
    assert_int_equal(m->status, 0x63);
}

static void pm_timer_interrupts(void **state)
{
    struct machine *m = *state;

    machine_start_apics(m);
    machine_route(m, GSI_SCI, 0x59 | 1 << 15, 0);
    vm_port_write(m->vm, 0, 0x602, 2, 1);
    machine_pass(m, 599ull * SECOND);
    assert_false(took(m, 0x59));
    machine_pass(m, 1ull * SECOND); /* bit 31 changes every 599.9 seconds */
    assert_true(vm_interrupt_pending(m->vm, 0));
    assert_int_equal(vm_port_read(m->vm, 0, 0x600, 2), 1);
    vm_port_write(m->vm, 0, 0x600, 2, 1);
    assert_true(took(m, 0x59));
    assert_false(took(m, 0x59));
}

static void memory_map(void **state)
{
    struct machine *m = *state;
    uint8_t bytes[8], ones[8];

    memset(ones, 0xff, sizeof ones);
    assert_non_null(vm_ram(m->vm, 0x9f000, 0x1000));
    assert_null(vm_ram(m->vm, 0x9f000, 0x1001));
    assert_null(vm_ram(m->vm, 0xa0000, 1));
    assert_non_null(vm_ram(m->vm, 0xe0000, (16 << 20) - 0xe0000));
    assert_null(vm_ram(m->vm, (16 << 20) - 1, 2));
    assert_null(vm_ram(m->vm, 0xfff, SIZE_MAX));
    assert_true(vm_is_mapped(m->vm, VM_LAPIC_BASE));
    assert_false(vm_is_mapped(m->vm, 0xb8000));
    vm_write(m->vm, 0x9fffc, "12345678", 8);
    vm_read(m->vm, 0x9fffc, bytes, 8);
    assert_memory_equal(bytes, "1234", 4);
    assert_memory_equal(bytes + 4, ones, 4);
    vm_read(m->vm, VM_LAPIC_BASE + 0x30, bytes, 4);
    assert_int_equal(bytes[0], 0x14);
}

static void bad_configurations(void **state)
{
    struct machine *m = *state;
    struct vm_host host = {.ctx = m};
    int error;

    assert_null(vm_new(&(struct vm_config){4096, 1, -1}, &host, &error));
    assert_int_equal(error, -EINVAL);
    assert_null(vm_new(&(struct vm_config){(1 << 20) + 1, 1, -1}, &host, &error));
    assert_null(vm_new(&(struct vm_config){1 << 20, 0, -1}, &host, &error));
    assert_null(vm_new(&(struct vm_config){1 << 20, VM_CPUS_MAX + 1, -1}, &host, &error));
    assert_null(vm_new(&(struct vm_config){1 << 20, 1, 0x3f8}, &host, &error));
    assert_null(vm_new(&(struct vm_config){1 << 20, 1, 0x10000}, &host, &error));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, machine_setup, machine_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pit_interrupts),      TEST(pit_calibrates),
        TEST(lapic_timer),         TEST(tsc_deadline),
        TEST(rtc_counts),          TEST(rtc_interrupts),
        TEST(serial_is_a_16550a),  TEST(serial_transmits_by_interrupt),
        TEST(serial_receives),     TEST(power),
        TEST(pm_timer_interrupts), TEST(memory_map),
        TEST(bad_configurations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
