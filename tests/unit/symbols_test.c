/* Kernel symbols and unwind tables: every layout of kallsyms and ORC on a small vmlinux. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kallsyms.h"
#include "kallsyms_image.h"
#include "orc.h"

static struct boot_elf open_elf(const struct image *image)
{
    struct boot_elf elf;
    struct boot_error error;
    if (boot_elf_open(&elf, image->bytes, image->size, &error))
        fail_msg("%s", error.text);
    return elf;
}

static struct kallsyms read_symbols(const struct boot_elf *elf)
{
    struct kallsyms kallsyms;
    struct boot_error error;
    if (kallsyms_read(&kallsyms, elf, &error))
        fail_msg("%s", error.text);
    return kallsyms;
}

static void layouts(void **state)
{
    (void)state;
    for (enum kallsyms_layout layout = 0; layout < KALLSYMS_LAYOUTS; layout++) {
        struct image image = image_kallsyms(layout, false);
        struct boot_elf elf = open_elf(&image);
        struct kallsyms kallsyms = read_symbols(&elf);
        assert_int_equal(kallsyms.count, KALLSYMS_COUNT);
        for (unsigned i = 0; i < KALLSYMS_COUNT; i++) {
            char name[512];
            kallsyms_name(i, name);
            assert_string_equal(kallsyms.symbols[i].name, name);
            assert_int_equal(kallsyms.symbols[i].type, kallsyms_type(i));
            assert_int_equal(kallsyms.symbols[i].address, kallsyms_address(layout, i));
        }
        kallsyms_free(&kallsyms);
        image_free(&image);
    }
}

static void nothing_there(void **state)
{
    (void)state;
    struct image image = image_elf(true, false, false);
    struct boot_elf elf = open_elf(&image);
    struct kallsyms kallsyms;
    struct boot_error error;
    assert_int_equal(kallsyms_read(&kallsyms, &elf, &error), -1);
    assert_non_null(strstr(error.text, "CONFIG_KALLSYMS"));
    image_free(&image);
    image = image_elf(false, false, false);
    elf = open_elf(&image);
    assert_int_equal(kallsyms_read(&kallsyms, &elf, &error), -1);
    assert_non_null(strstr(error.text, "32-bit"));
    image_free(&image);
}

/* Length, CIE, first address, range, no augmentation data, then instructions padded to 8. */
static const uint8_t *expect_fde(const uint8_t *at, uint32_t cie, unsigned begin, unsigned range,
                                 const char *instructions, size_t n)
{
    assert_int_equal(get32(at + 4), cie);
    assert_int_equal(get64(at + 8), KALLSYMS_TEXT + begin);
    assert_int_equal(get64(at + 16), range);
    assert_int_equal(at[24], 0);
    assert_memory_equal(at + 25, instructions, n);
    size_t size = get32(at) + 4;
    assert_int_equal(size, (25 + n + 7) & ~7ull);
    for (size_t i = 25 + n; i < size; i++)
        assert_int_equal(at[i], 0);
    return at + size;
}
#define FDE(at, cie, begin, range, instructions)                                                   \
    expect_fde(at, cie, begin, range, instructions, sizeof(instructions) - 1)

/*
 * Rows at 0 (a function), 1, 4, 0xf, 0x20 (registers), 0x30 (the end), 0x38 and up to 0x48; and a
 * function begins every 16 bytes.
 */
static void orc(void **state)
{
    (void)state;
    for (int wide_types = 0; wide_types < 2; wide_types++) {
        struct image image = image_kallsyms(KALLSYMS_PERCPU, wide_types);
        struct boot_elf elf = open_elf(&image);
        struct kallsyms kallsyms = read_symbols(&elf);
        uint8_t *frames = NULL;
        size_t size = 0;
        struct boot_error error;
        assert_int_equal(orc_to_debug_frame(&elf, &kallsyms, &frames, &size, &error), 0);

        const uint8_t *at = frames;
        assert_int_equal(get32(at + 4), 0xffffffff);
        assert_string_equal(at + 9, "z");
        at += get32(at) + 4;
        const uint32_t signal = (uint32_t)(at - frames);
        assert_string_equal(at + 9, "zS");
        at += get32(at) + 4;
        at = FDE(at, 0, 0, 0x10,
                 "\x0c\7\x08"             /* CFA = RSP + 8 */
                 "\x41\x0c\7\x10\x86\2"   /* at 1: RSP + 16, RBP at CFA - 16 */
                 "\x43\x0c\6\x10"         /* at 4: CFA = RBP + 16 */
                 "\x4b\x0c\7\x08\x08\6"); /* at 0xf: RSP + 8, RBP as it is */
        at = FDE(at, 0, 0x10, 0x10, "\x0c\7\x08");
        at = FDE(at, signal, 0x20, 0x10,
                 "\x8f\0\x11\x0e\x7f\x11\x0d\x7e\x11\x0c\x7d\x11\6\x7c\x11\3\x7b\x11\x0b\x7a"
                 "\x11\x0a\x79\x11\x09\x78\x11\x08\x77\x11\0\x76\x11\2\x75\x11\1\x74\x11\4\x73"
                 "\x11\5\x72\x11\x10\x70\x11\7\x6d" /* pt_regs: RIP at CFA + 128, RSP at + 152 */
                 "\x0c\7\0");
        at = FDE(at, 0, 0x30, 8, "\7\x10"); /* no caller */
        at = FDE(at, 0, 0x38, 8, "\x0c\7\x08");
        at = FDE(at, 0, 0x40, 8, "\x0c\7\x08");
        assert_int_equal(at - frames, size);

        free(frames);
        kallsyms_free(&kallsyms);
        image_free(&image);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layouts),
        cmocka_unit_test(nothing_there),
        cmocka_unit_test(orc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
