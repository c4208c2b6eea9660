/* Descriptors and gates: known bytes, and there and back again. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "x86/regs.h"
#include "x86/segment.h"

static void flat_code(void **state)
{
    uint64_t descriptor[2] = {0x00af9b000000ffff, 0};
    struct ringside_segment seg = x86_segment_decode(descriptor, 0x10);

    (void)state;
    assert_int_equal(seg.base, 0);
    assert_int_equal(seg.limit, 0xffffffff);
    assert_int_equal(seg.selector, 0x10);
    assert_int_equal(seg.access, X86_SEG_G | X86_SEG_L | X86_SEG_P | X86_SEG_S | 0xb);
}

static void there_and_back(void **state)
{
    static const uint64_t samples[][2] = {
        {0x00af9b000000ffff, 0},          /* 64-bit code */
        {0x12cf93345678abcd, 0},          /* data with a base */
        {0x00009b000000ffff, 0},          /* real-mode code */
        {0x3400890056782087, 0xffff8000}, /* a 64-bit TSS */
    };

    (void)state;
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        struct ringside_segment seg = x86_segment_decode(samples[i], 8);
        uint64_t again[2];

        x86_segment_encode(again, &seg);
        assert_int_equal(again[0], samples[i][0]);
        assert_int_equal(again[1], samples[i][1]);
    }
}

static void large_limit_in_pages(void **state)
{
    struct ringside_segment seg = {.limit = 0xffffffff, .access = X86_SEG_P | X86_SEG_S | 3};
    uint64_t descriptor[2];

    (void)state;
    x86_segment_encode(descriptor, &seg);
    assert_int_equal(x86_segment_decode(descriptor, 0).limit, 0xffffffff);
}

static void gates(void **state)
{
    uint64_t wide[2] = {0x8180ee0300101234, 0xffffffff};
    uint64_t call16[2] = {0xdead840500185678, 0};
    struct x86_gate g = x86_gate_decode(wide, true);

    (void)state;
    assert_int_equal(g.offset, 0xffffffff81801234);
    assert_int_equal(g.selector, 0x10);
    assert_int_equal(g.type, X86_TYPE_INT_GATE);
    assert_int_equal(g.dpl, 3);
    assert_int_equal(g.ist, 3);
    assert_true(g.present && !g.code_or_data);

    g = x86_gate_decode(call16, false);
    assert_int_equal(g.offset, 0x5678);
    assert_int_equal(g.type, X86_TYPE_CALL_GATE16);
    assert_int_equal(g.count, 5);
    assert_int_equal(g.ist, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flat_code),
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(large_limit_in_pages),
        cmocka_unit_test(gates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
