/* Recognises a kernel file and hands it to the loader of its format. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vm/boot/internal.h"

/* Files that people give in place of a kernel. */
static const struct {
    const char *magic;
    size_t size;
    const char *is;
} mistaken[] = {
    {"\037\213", 2, "a gzip file: unpack it first"},
    {"\3757zXZ", 6, "an xz file: unpack it first"},
    {"(\265/\375", 4, "a zstd file: unpack it first"},
    {"!<arch>\n", 8, "a package or archive: unpack it and use the vmlinuz inside"},
    {"070701", 6, "a cpio archive: give it with -i"},
    {"MZ", 2, "an EFI program"},
};

static int unrecognised(const uint8_t *file, size_t size, struct boot_error *error)
{
    for (size_t i = 0; i < sizeof(mistaken) / sizeof(mistaken[0]); i++)
        if (size >= mistaken[i].size && !memcmp(file, mistaken[i].magic, mistaken[i].size))
            return boot_fail(error, "the kernel is %s", mistaken[i].is);
    return boot_fail(error, "%s",
                     size ? "the kernel is neither a bzImage nor a PVH ELF or Multiboot 1 image"
                          : "the kernel file is empty");
}

static int load_elf(struct boot *boot, struct ringside_regs *entry)
{
    const uint8_t *file = boot->config->kernel;
    size_t size = boot->config->kernel_size;
    struct boot_elf elf;
    uint64_t start;
    if (boot_elf_open(&elf, file, size, boot->error))
        return -1;
    if (boot_elf_pvh_entry(&elf, &start))
        return boot_pvh_load(boot, &elf, start, entry);
    if (boot_multiboot_is(file, size))
        return boot_multiboot_load(boot, entry);
    return boot_fail(boot->error, "the kernel is an ELF file with neither a PVH entry note nor a "
                                  "Multiboot header: use the bzImage");
}

int boot_load(struct vm *vm, const struct boot_config *config, struct ringside_regs *entry,
              struct boot_error *error)
{
    struct boot boot = {.vm = vm, .config = config, .error = error};
    const uint8_t *file = config->kernel;
    size_t size = config->kernel_size;
    if (vm_ram_bytes(vm) < 2 * BOOT_MIB)
        return boot_fail(error, "%" PRIu64 " KiB of memory are too few for any kernel: use -m 128",
                         vm_ram_bytes(vm) / 1024);
    if (boot_acpi_build(&boot))
        return -1;
    if (boot_bzimage_is(file, size))
        return boot_bzimage_load(&boot, entry);
    if (boot_elf_is(file, size))
        return load_elf(&boot, entry);
    if (boot_multiboot_is(file, size))
        return boot_multiboot_load(&boot, entry);
    return unrecognised(file, size, error);
}

int boot_extract_elf(const uint8_t *file, size_t size, uint8_t **elf, size_t *elf_size,
                     struct boot_error *error)
{
    struct boot_elf view;
    uint8_t *bytes;
    if (boot_bzimage_is(file, size)) {
        struct boot_bzimage image;
        if (boot_bzimage_open(&image, file, size, error))
            return -1;
        int unknown = 1;
        if (image.payload)
            unknown =
                boot_unpack(image.payload, image.payload_size, image.vmlinux_size, &bytes, error);
        if (unknown < 0)
            return -1;
        if (unknown)
            return boot_fail(error, "the bzImage is compressed in a way that is not known here "
                                    "(gzip, xz, lzma, lz4 and zstd are): unpack its vmlinux with "
                                    "the kernel's scripts/extract-vmlinux");
        size = image.vmlinux_size;
    } else if (boot_elf_is(file, size)) {
        bytes = malloc(size);
        if (!bytes)
            return boot_fail(error, "no memory for a copy of the kernel");
        memcpy(bytes, file, size);
    } else {
        return unrecognised(file, size, error);
    }
    if (boot_elf_open(&view, bytes, size, error)) {
        free(bytes);
        return -1;
    }
    *elf = bytes;
    *elf_size = size;
    return 0;
}
