/* The kernel loaders on small valid images: what lies in memory and how the processor starts. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot_images.h"
#include "x86/regs.h"

#define MACHINE (256 * BOOT_MIB)

static const uint8_t initrd[5000] = "an initrd";

struct loaded {
    struct vm *vm;
    struct ringside_regs regs;
    struct boot_error error;
    int result;
};

static struct loaded load_into(uint64_t ram, struct image image, bool with_initrd)
{
    struct loaded l = {.vm = image_machine(ram, 3)};
    struct boot_config config = {
        .kernel = image.bytes,
        .kernel_size = image.size,
        .initrd = with_initrd ? initrd : NULL,
        .initrd_size = with_initrd ? sizeof(initrd) : 0,
        .cmdline = "console=ttyS0",
    };
    l.result = boot_load(l.vm, &config, &l.regs, &l.error);
    if (l.result)
        assert_true(l.error.text[0] && !strchr(l.error.text, '\n'));
    image_free(&image);
    return l;
}

static struct loaded load(struct image image, bool with_initrd)
{
    struct loaded l = load_into(MACHINE, image, with_initrd);
    if (l.result)
        fail_msg("%s", l.error.text);
    return l;
}

static const uint8_t *at(struct loaded *l, uint64_t gpa, size_t n)
{
    const uint8_t *p = vm_ram(l->vm, gpa, n);
    assert_non_null(p);
    return p;
}

static void expect_body(struct loaded *l)
{
    const uint8_t *body = at(l, IMAGE_LOAD, IMAGE_MEMORY);
    for (size_t i = 0; i < IMAGE_MEMORY; i++)
        assert_int_equal(body[i], i < IMAGE_BODY ? image_body(i) : 0);
}

static void expect_text(struct loaded *l, uint64_t gpa, const char *text)
{
    assert_string_equal(at(l, gpa, strlen(text) + 1), text);
}

/* Walks the page tables that the loader built, all of 2 MiB pages. */
static uint64_t translate(struct loaded *l, uint64_t linear)
{
    uint64_t entry = get64(at(l, l->regs.cr3 + (linear >> 39 & 511) * 8, 8));
    assert_int_equal(entry & 3, 3);
    entry = get64(at(l, (entry & ~0xfffull) + (linear >> 30 & 511) * 8, 8));
    assert_int_equal(entry & 3, 3);
    entry = get64(at(l, (entry & ~0xfffull) + (linear >> 21 & 511) * 8, 8));
    assert_int_equal(entry & 0x83, 0x83);
    return (entry & ~0x1fffffull) | (linear & 0x1fffff);
}

static void expect_descriptors(struct loaded *l, bool wide)
{
    uint64_t gdt = l->regs.gdtr.base;
    assert_int_equal(l->regs.gdtr.limit, 31);
    assert_int_equal(get64(at(l, gdt + 0x10, 8)), wide ? 0x00af9b000000ffff : 0x00cf9b000000ffff);
    assert_int_equal(get64(at(l, gdt + 0x18, 8)), 0x00cf93000000ffff);
    assert_int_equal(l->regs.seg[RINGSIDE_CS].selector, 0x10);
    assert_int_equal(l->regs.seg[RINGSIDE_CS].access, wide ? 0xa09b : 0xc09b);
    assert_int_equal(l->regs.seg[RINGSIDE_DS].selector, 0x18);
    assert_int_equal(l->regs.seg[RINGSIDE_SS].access, 0xc093);
    assert_int_equal(l->regs.rflags, 2);
}

static void expect_zero_page(struct loaded *l)
{
    uint64_t gpa = l->regs.gpr[RINGSIDE_RSI];
    const uint8_t *page = at(l, gpa, 4096);
    assert_memory_equal(page + 0x202, "HdrS", 4);
    assert_int_equal(page[0x210], 0xff);
    expect_text(l, get32(page + 0x228), "console=ttyS0");
    assert_int_equal(get32(page + 0x21c), sizeof(initrd));
    uint64_t place = get32(page + 0x218);
    assert_int_equal(place, (MACHINE - sizeof(initrd)) & ~0xfffull);
    assert_memory_equal(at(l, place, sizeof(initrd)), initrd, sizeof(initrd));
    assert_memory_equal(at(l, get64(page + 0x70), 8), "RSD PTR ", 8);

    uint64_t usable = 0, last = 0;
    for (unsigned i = 0; i < page[0x1e8]; i++) {
        const uint8_t *e = page + 0x2d0 + i * 20;
        assert_true(get64(e) >= last);
        last = get64(e) + get64(e + 8);
        if (get32(e + 16) == 1)
            usable += get64(e + 8);
    }
    assert_int_equal(usable, MACHINE - BOOT_MIB + 0x9fc00);
}

static void bzimage(void **state)
{
    (void)state;
    for (enum packing packing = PACK_NONE; packing < PACK_UNKNOWN; packing++) {
        struct image vmlinux = image_elf(true, false, false);
        struct loaded l = load(image_bzimage(packing, &vmlinux), true);
        image_free(&vmlinux);
        expect_body(&l);
        expect_zero_page(&l);
        expect_descriptors(&l, true);
        assert_int_equal(l.regs.rip, IMAGE_ENTRY);
        assert_int_equal(l.regs.cr0, X86_CR0_PG | X86_CR0_PE | X86_CR0_ET);
        assert_int_equal(l.regs.cr4, X86_CR4_PAE);
        assert_int_equal(l.regs.efer, X86_EFER_LME | X86_EFER_LMA);
        for (uint64_t linear = 0x1234; linear < VM_HIGH_RAM; linear += 0x12345678)
            assert_int_equal(translate(&l, linear), linear);
        vm_free(l.vm);
    }
}

static void bzimage_of_32_bits(void **state)
{
    (void)state;
    struct image vmlinux = image_elf(false, false, false);
    struct loaded l = load(image_bzimage(PACK_GZIP, &vmlinux), true);
    image_free(&vmlinux);
    expect_body(&l);
    expect_zero_page(&l);
    expect_descriptors(&l, false);
    assert_int_equal(l.regs.rip, IMAGE_ENTRY);
    assert_int_equal(l.regs.cr0, X86_CR0_PE | X86_CR0_ET);
    vm_free(l.vm);
}

/* What cannot be unpacked here is entered as it is, and unpacks itself. */
static void bzimage_packed(void **state)
{
    (void)state;
    struct image vmlinux = image_elf(true, false, false);
    struct loaded l = load(image_bzimage(PACK_UNKNOWN, &vmlinux), true);
    image_free(&vmlinux);
    expect_zero_page(&l);
    expect_descriptors(&l, true);
    assert_int_equal(l.regs.rip, IMAGE_LOAD + 0x200);
    assert_memory_equal(at(&l, IMAGE_LOAD + 0x300, 4), "\211LZO", 4);
    vm_free(l.vm);
}

static void pvh(void **state)
{
    (void)state;
    struct loaded l = load(image_elf(true, true, true), true);
    expect_body(&l);
    expect_descriptors(&l, false);
    assert_int_equal(l.regs.rip, IMAGE_ENTRY + 0x10);
    assert_int_equal(l.regs.cr0, X86_CR0_PE | X86_CR0_ET);
    assert_int_equal(l.regs.tr.limit, 0x67);
    assert_int_equal(l.regs.tr.access, 0x8b);
    const uint8_t *info = at(&l, l.regs.gpr[RINGSIDE_RBX], 56);
    assert_int_equal(get32(info), 0x336ec578);
    assert_int_equal(get32(info + 4), 1);
    assert_int_equal(get32(info + 12), 1);
    const uint8_t *module = at(&l, get64(info + 16), 32);
    assert_int_equal(get64(module + 8), sizeof(initrd));
    assert_memory_equal(at(&l, get64(module), sizeof(initrd)), initrd, sizeof(initrd));
    expect_text(&l, get64(info + 24), "console=ttyS0");
    assert_memory_equal(at(&l, get64(info + 32), 8), "RSD PTR ", 8);
    const uint8_t *map = at(&l, get64(info + 40), 24);
    assert_int_equal(get64(map + 8), 0x9fc00);
    assert_int_equal(get32(map + 16), 1);
    assert_int_equal(get32(info + 48), 4);
    vm_free(l.vm);
}

static void expect_multiboot(struct loaded l)
{
    expect_body(&l);
    expect_descriptors(&l, false);
    assert_int_equal(l.regs.rip, IMAGE_ENTRY);
    assert_int_equal(l.regs.gpr[RINGSIDE_RAX], 0x2badb002);
    const uint8_t *info = at(&l, l.regs.gpr[RINGSIDE_RBX], 120);
    assert_int_equal(get32(info), 0x24d);
    assert_int_equal(get32(info + 4), 639);
    assert_int_equal(get32(info + 8), (MACHINE - BOOT_MIB) / 1024);
    expect_text(&l, get32(info + 16), "console=ttyS0");
    assert_int_equal(get32(info + 20), 1);
    const uint8_t *module = at(&l, get32(info + 24), 16);
    assert_int_equal(get32(module + 4) - get32(module), sizeof(initrd));
    assert_memory_equal(at(&l, get32(module), sizeof(initrd)), initrd, sizeof(initrd));
    expect_text(&l, get32(module + 8), "");
    expect_text(&l, get32(info + 64), "ringside");
    const uint8_t *map = at(&l, get32(info + 48), get32(info + 44));
    assert_int_equal(get32(map), 20);
    assert_int_equal(get64(map + 12), 0x9fc00);
    vm_free(l.vm);
}

static void multiboot(void **state)
{
    (void)state;
    expect_multiboot(load(image_multiboot(), true));
    expect_multiboot(load(image_elf(false, false, true), true));
    expect_multiboot(load(image_elf(true, false, true), true));
}

static uint8_t sum(const uint8_t *p, size_t n)
{
    unsigned total = 0;
    while (n--)
        total += *p++;
    return (uint8_t)total;
}

static void acpi(void **state)
{
    (void)state;
    struct loaded l = load(image_multiboot(), false);
    const uint8_t *rsdp = at(&l, BOOT_TABLES, 36);
    assert_memory_equal(rsdp, "RSD PTR ", 8);
    assert_int_equal(sum(rsdp, 20), 0);
    assert_int_equal(sum(rsdp, 36), 0);
    const uint8_t *xsdt = at(&l, get64(rsdp + 24), 36);
    assert_int_equal(get32(xsdt + 4), 36 + 16);
    assert_int_equal(sum(xsdt, get32(xsdt + 4)), 0);
    const uint8_t *fadt = at(&l, get64(xsdt + 36), 268), *madt = at(&l, get64(xsdt + 44), 44);
    assert_memory_equal(fadt, "FACP", 4);
    assert_int_equal(sum(fadt, get32(fadt + 4)), 0);
    assert_memory_equal(madt, "APIC", 4);
    assert_int_equal(sum(madt, get32(madt + 4)), 0);
    assert_int_equal(get32(madt + 4), 44 + 3 * 8 + 12 + 2 * 10 + 6);
    const uint8_t *dsdt = at(&l, get64(fadt + 140), 36), *facs = at(&l, get32(fadt + 36), 64);
    assert_memory_equal(dsdt, "DSDT", 4);
    assert_int_equal(sum(dsdt, get32(dsdt + 4)), 0);
    assert_memory_equal(facs, "FACS", 4);
    assert_int_equal(get32(fadt + 36) % 64, 0);
    /* Name (_S5, Package (4) {5, 5, 0, 0}) */
    assert_memory_equal(dsdt + 36, "\010_S5_\022\113\000\004\012\005\012\005\012\000\012\000", 17);
    vm_free(l.vm);
}

static void expect_error(uint64_t ram, struct image image, bool with_initrd, const char *text)
{
    struct loaded l = load_into(ram, image, with_initrd);
    assert_int_equal(l.result, -1);
    if (!strstr(l.error.text, text))
        fail_msg("'%s' instead of '%s'", l.error.text, text);
    vm_free(l.vm);
}

static struct image kernel(enum packing packing)
{
    struct image vmlinux = image_elf(true, false, false);
    struct image image = image_bzimage(packing, &vmlinux);
    image_free(&vmlinux);
    return image;
}

/* With `size` bytes at offset replaced by value. */
static struct image with(struct image image, size_t offset, unsigned size, uint64_t value)
{
    uint8_t bytes[8];
    put64(bytes, value);
    memcpy(image.bytes + offset, bytes, size);
    return image;
}

static void errors(void **state)
{
    (void)state;
    struct image garbage = {.bytes = calloc(1, 100), .size = 100};
    expect_error(MACHINE, garbage, false, "neither a bzImage");
    expect_error(MACHINE, (struct image){0}, false, "empty");
    expect_error(MACHINE, (struct image){(uint8_t *)strdup("\037\213 gzip"), 7}, false,
                 "gzip file: unpack it");
    expect_error(MACHINE, (struct image){(uint8_t *)strdup("070701000"), 9}, false, "with -i");

    expect_error(16 * BOOT_MIB, kernel(PACK_GZIP), true, "use -m 128");
    expect_error(BOOT_MIB, kernel(PACK_GZIP), true, "use -m 128");
    expect_error(MACHINE, with(kernel(PACK_GZIP), 0x206, 2, 0x205), false, "protocol 2.05");
    expect_error(MACHINE, with(kernel(PACK_GZIP), 0x211, 1, 0), false, "zImage");
    expect_error(MACHINE, with(kernel(PACK_GZIP), 0x24c, 4, 0xfffffff0), false, "payload");
    expect_error(MACHINE, with(kernel(PACK_GZIP), 0x248, 4, 0xfffffff0), false, "payload");
    expect_error(MACHINE, with(kernel(PACK_GZIP), 0x238, 4, 5), false, "command line");
    expect_error(MACHINE, with(kernel(PACK_GZIP), 0x22c, 4, 0x100fff), true,
                 "no room for the initrd");
    expect_error(MACHINE, with(kernel(PACK_UNKNOWN), 0x258, 8, ~0ull - 100), false, "3 GiB");
    expect_error(MACHINE, with(kernel(PACK_UNKNOWN), 0x258, 8, 0x80000), false, "hole");

    const size_t damage = 3 * 512 + 0x300 + 100;
    for (enum packing packing = PACK_GZIP; packing < PACK_UNKNOWN; packing++) {
        struct image image = kernel(packing);
        size_t end = image.size - 4;
        uint32_t size = get32(image.bytes + end);
        expect_error(MACHINE, with(image, end, 4, size + 1), false, "does not unpack");
        image = kernel(packing);
        expect_error(MACHINE, with(image, image.size - 4, 4, size - 1), false, "does not unpack");
        image = kernel(packing);
        expect_error(MACHINE, with(image, image.size - 4, 4, 0xffffffff), false,
                     "claims to unpack");
        image = kernel(packing);
        expect_error(MACHINE, with(image, image.size - 4, 4, 300 << 20), false, "use -m");
        if (packing != PACK_LZ4 && packing != PACK_ZSTD) { /* those two without a checksum here */
            image = kernel(packing);
            uint8_t was = image.bytes[damage];
            expect_error(MACHINE, with(image, damage, 1, was ^ 0x55), false, "does not unpack");
        }
    }

    /* ELF64: e_entry at 24, the first program header at 64. */
    expect_error(MACHINE, image_elf(true, false, false), false, "use the bzImage");
    expect_error(MACHINE, with(image_elf(true, true, false), 18, 2, 183), false,
                 "another processor");
    expect_error(MACHINE, with(image_elf(true, true, false), 32, 8, ~0ull), false, "truncated");
    expect_error(MACHINE, with(image_elf(true, true, false), 64 + 8, 8, ~0ull), false, "truncated");
    expect_error(MACHINE, with(image_elf(true, true, false), 64 + 40, 8, 5), false, "damaged");
    expect_error(MACHINE, with(image_elf(true, true, false), 64 + 40, 8, ~0ull), false, "3 GiB");
    expect_error(MACHINE, with(image_elf(true, true, false), 64 + 24, 8, BOOT_TABLES), false,
                 "overlaps the ACPI");
    expect_error(MACHINE, with(image_elf(false, false, true), 24, 4, 0x10), false, "entry point");
    /* Two segments at one address. */
    struct image twice = image_elf(true, true, true);
    memcpy(twice.bytes + 64 + 56, twice.bytes + 64, 56);
    expect_error(MACHINE, twice, false, "overlaps the kernel");
    /* Multiboot: header at 0x40. */
    expect_error(MACHINE, with(image_multiboot(), 0x40 + 16, 4, IMAGE_LOAD + 64), false,
                 "load address");
    expect_error(MACHINE, with(image_multiboot(), 0x40 + 20, 4, IMAGE_LOAD + (1 << 20)), false,
                 "damaged");
    expect_error(MACHINE, with(image_multiboot(), 0x40 + 24, 4, 0xf0000000), false, "3 GiB");
    expect_error(MACHINE, with(image_multiboot(), 0x40 + 28, 4, 0xf0000000), false, "entry point");
}

/* Every image cut off at every size is refused. */
static void truncated(void **state)
{
    (void)state;
    struct image images[] = {kernel(PACK_XZ), kernel(PACK_LZ4), image_elf(true, true, false),
                             image_elf(false, false, true), image_multiboot()};
    for (size_t i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
        struct vm *vm = image_machine(64 * BOOT_MIB, 1);
        for (size_t size = 0; size < images[i].size; size++) {
            uint8_t *exact = malloc(size ? size : 1); /* so that a sanitizer sees an overrun */
            memcpy(exact, images[i].bytes, size);
            struct boot_config config = {.kernel = exact, .kernel_size = size, .cmdline = ""};
            struct ringside_regs regs;
            struct boot_error error = {""};
            assert_int_equal(boot_load(vm, &config, &regs, &error), -1);
            assert_true(error.text[0]);
            free(exact);
        }
        vm_free(vm);
        image_free(&images[i]);
    }
}

static void large_machines(void **state)
{
    (void)state;
    struct loaded l = load_into(5 * 1024 * BOOT_MIB, kernel(PACK_ZSTD), true);
    assert_int_equal(l.result, 0);
    const uint8_t *page = at(&l, l.regs.gpr[RINGSIDE_RSI], 4096);
    assert_int_equal(get32(page + 0x218), (0x80000000 - sizeof(initrd)) & ~0xfffull);
    const uint8_t *last = page + 0x2d0 + (page[0x1e8] - 1) * 20;
    assert_int_equal(get64(last), VM_HIGH_RAM);
    assert_int_equal(get64(last + 8), 2 * 1024 * BOOT_MIB);
    assert_int_equal(get64(last - 20) + get64(last - 12), VM_LOW_RAM_MAX);
    vm_free(l.vm);
}

static void extract(void **state)
{
    (void)state;
    for (enum packing packing = PACK_NONE; packing < PACKINGS; packing++) {
        struct image vmlinux = image_elf(true, false, false);
        struct image image = image_bzimage(packing, &vmlinux);
        uint8_t *elf = NULL;
        size_t size = 0;
        struct boot_error error = {""};
        int result = boot_extract_elf(image.bytes, image.size, &elf, &size, &error);
        if (packing == PACK_UNKNOWN) {
            assert_int_equal(result, -1);
            assert_non_null(strstr(error.text, "extract-vmlinux"));
        } else {
            assert_int_equal(result, 0);
            assert_int_equal(size, vmlinux.size);
            assert_memory_equal(elf, vmlinux.bytes, size);
        }
        free(elf);
        image_free(&image);
        image_free(&vmlinux);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bzimage),        cmocka_unit_test(bzimage_of_32_bits),
        cmocka_unit_test(bzimage_packed), cmocka_unit_test(pvh),
        cmocka_unit_test(multiboot),      cmocka_unit_test(acpi),
        cmocka_unit_test(errors),         cmocka_unit_test(truncated),
        cmocka_unit_test(large_machines), cmocka_unit_test(extract),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
