/* The page walk in every mode: where it ends, with which rights, and what stops it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "x86/paging.h"
#include "x86/regs.h"

enum { PWU = X86_PTE_P | X86_PTE_W | X86_PTE_U };

static const uint64_t long_cr4 = X86_CR4_PAE | X86_CR4_PGE;
static const uint64_t long_efer = X86_EFER_LMA | X86_EFER_LME | X86_EFER_NXE;

/* 64 KiB of guest-physical memory from 0; nothing above. */
struct memory {
    uint8_t bytes[0x10000];
};

static bool read_entry(void *ctx, uint64_t gpa, unsigned size, uint64_t *entry)
{
    struct memory *m = ctx;

    if (gpa > sizeof m->bytes - size)
        return false;
    memcpy(entry, m->bytes + gpa, size);
    return true;
}

static void put64(struct memory *m, uint64_t gpa, uint64_t entry)
{
    memcpy(m->bytes + gpa, &entry, 8);
}

static void put32(struct memory *m, uint64_t gpa, uint32_t entry)
{
    memcpy(m->bytes + gpa, &entry, 4);
}

static struct x86_walk walk(struct memory *m, uint64_t cr4, uint64_t efer, uint64_t linear)
{
    struct x86_paging p = {
        .cr0 = X86_CR0_PG | X86_CR0_PE, .cr3 = 0x1000, .cr4 = cr4, .efer = efer, .phys_bits = 40};
    struct x86_walk w;
    int status = x86_paging_walk(&w, &p, linear, read_entry, m);

    assert_int_equal(status, w.status);
    return w;
}

static void without_paging(void **state)
{
    struct x86_paging p = {.phys_bits = 40};
    struct x86_walk w;

    (void)state;
    assert_int_equal(x86_paging_walk(&w, &p, 0x1234567890, read_entry, NULL), X86_WALK_OK);
    assert_int_equal(w.gpa, 0x34567890);
    assert_int_equal(w.count, 0);
    assert_true(w.writable && w.user && w.executable);
}

static void four_levels(void **state)
{
    static struct memory m;
    struct x86_walk w;

    (void)state;
    /* 0xffff8000_00403123: indexes 256, 0, 2, 3 */
    put64(&m, 0x1000 + 256 * 8, 0x2000 | PWU);
    put64(&m, 0x2000, 0x3000 | PWU);
    put64(&m, 0x3000 + 2 * 8, 0x4000 | X86_PTE_P | X86_PTE_U);
    put64(&m, 0x4000 + 3 * 8, 0xabcde000 | PWU | X86_PTE_G | X86_PTE_PS | X86_PTE_PWT | X86_PTE_NX);
    w = walk(&m, long_cr4, long_efer, 0xffff800000403123);
    assert_int_equal(w.status, X86_WALK_OK);
    assert_int_equal(w.gpa, 0xabcde123);
    assert_int_equal(w.page_size, 4096);
    assert_int_equal(w.count, 4);
    assert_int_equal(w.level, 1);
    assert_int_equal(w.visited[3].gpa, 0x4018);
    assert_int_equal(w.pat, 5);
    assert_true(w.user && w.global);
    assert_false(w.writable || w.executable);

    w = walk(&m, long_cr4, long_efer, 0x0000800000000000);
    assert_int_equal(w.status, X86_WALK_NONCANONICAL);
    assert_int_equal(w.count, 0);
    w = walk(&m, long_cr4, long_efer, 0xffff800000404000);
    assert_int_equal(w.status, X86_WALK_NOT_PRESENT);
    assert_int_equal(w.level, 1);
    w = walk(&m, long_cr4, long_efer & ~(uint64_t)X86_EFER_NXE, 0xffff800000403123);
    assert_int_equal(w.status, X86_WALK_RESERVED);
    put64(&m, 0x3000 + 2 * 8, 0x80000000 | PWU);
    w = walk(&m, long_cr4, long_efer, 0xffff800000403123);
    assert_int_equal(w.status, X86_WALK_NO_MEMORY);
    assert_int_equal(w.count, 3);
}

static void large_pages(void **state)
{
    static struct memory m;
    struct x86_walk w;

    (void)state;
    put64(&m, 0x1000, 0x2000 | PWU);
    put64(&m, 0x2000, 0x40000000 | PWU | X86_PTE_PS | X86_PTE_LARGE_PAT);
    w = walk(&m, long_cr4, long_efer, 0x12345678);
    assert_int_equal(w.gpa, 0x52345678);
    assert_int_equal(w.page_size, 1 << 30);
    assert_int_equal(w.pat, 4);
    put64(&m, 0x2000, 0x40002000 | PWU | X86_PTE_PS);
    assert_int_equal(walk(&m, long_cr4, long_efer, 0).status, X86_WALK_RESERVED);
    put64(&m, 0x2000, 0x3000 | PWU);
    put64(&m, 0x3000 + 8, 0x12600000 | PWU | X86_PTE_PS);
    w = walk(&m, long_cr4, long_efer, 0x2abcde);
    assert_int_equal(w.gpa, 0x126abcde);
    assert_int_equal(w.page_size, 2 << 20);
    put64(&m, 0x3000 + 8, 1ull << 40 | PWU | X86_PTE_PS);
    assert_int_equal(walk(&m, long_cr4, long_efer, 0x200000).status, X86_WALK_RESERVED);
    put64(&m, 0x1000, 0x2000 | PWU | X86_PTE_PS);
    assert_int_equal(walk(&m, long_cr4, long_efer, 0).status, X86_WALK_RESERVED);
}

static void five_levels(void **state)
{
    static struct memory m;
    struct x86_walk w;

    (void)state;
    put64(&m, 0x1000 + 8, 0x2000 | PWU);
    put64(&m, 0x2000, 0x3000 | PWU);
    put64(&m, 0x3000, 0x40000000 | PWU | X86_PTE_PS);
    w = walk(&m, long_cr4 | X86_CR4_LA57, long_efer, 1ull << 48 | 0x55);
    assert_int_equal(w.gpa, 0x40000055);
    assert_int_equal(w.level, 3);
    assert_int_equal(w.count, 3);
    w = walk(&m, long_cr4 | X86_CR4_LA57, long_efer, 1ull << 56);
    assert_int_equal(w.status, X86_WALK_NONCANONICAL);
}

static void pae(void **state)
{
    static struct memory m;
    struct x86_walk w;

    (void)state;
    put64(&m, 0x1000 + 3 * 8, 0x2000 | X86_PTE_P);
    put64(&m, 0x2000 + 511 * 8, 0x3000 | PWU);
    put64(&m, 0x3000 + 511 * 8, 0xff00005000 | PWU);
    w = walk(&m, X86_CR4_PAE, X86_EFER_NXE, 0x1fffffabc);
    assert_int_equal(w.status, X86_WALK_OK);
    assert_int_equal(w.gpa, 0xff00005abc);
    assert_int_equal(w.first_accessed, 1);
    assert_true(w.writable && w.user && w.executable);
    put64(&m, 0x1000 + 3 * 8, 0x2000 | PWU | X86_PTE_A); /* all reserved, which its load checks */
    assert_int_equal(walk(&m, X86_CR4_PAE, 0, 0xfffff000).status, X86_WALK_OK);
}

static void two_levels(void **state)
{
    static struct memory m;
    struct x86_walk w;

    (void)state;
    put32(&m, 0x1000 + 1 * 4, 0x2000 | PWU);
    put32(&m, 0x2000 + 2 * 4, 0x77777000 | X86_PTE_P);
    w = walk(&m, 0, 0, 0x402123);
    assert_int_equal(w.gpa, 0x77777123);
    assert_int_equal(w.entry_size, 4);
    assert_false(w.writable || w.user);
    assert_true(w.executable);

    /* PSE-36: bits 20:13 are address bits 39:32. */
    put32(&m, 0x1000 + 1 * 4, 0x77400000 | 0xab << 13 | PWU | X86_PTE_PS);
    w = walk(&m, X86_CR4_PSE, 0, 0x512345);
    assert_int_equal(w.gpa, 0xab77512345);
    assert_int_equal(w.page_size, 4 << 20);
    put32(&m, 0x1000 + 1 * 4, 0x77600000 | PWU | X86_PTE_PS);
    assert_int_equal(walk(&m, X86_CR4_PSE, 0, 0x512345).status, X86_WALK_RESERVED);
    /* Without CR4.PSE the bit is ignored. */
    put32(&m, 0x1000 + 1 * 4, 0x2000 | PWU | X86_PTE_PS);
    assert_int_equal(walk(&m, 0, 0, 0x402123).gpa, 0x77777123);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_paging),
        cmocka_unit_test(four_levels),
        cmocka_unit_test(large_pages),
        cmocka_unit_test(five_levels),
        cmocka_unit_test(pae),
        cmocka_unit_test(two_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
