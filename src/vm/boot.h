/* Loading a kernel: file formats, decompression, boot tables, and the state of the boot processor.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VM_BOOT_H
#define VM_BOOT_H

#include "ringside/regs.h"
#include "vm/vm.h"

struct boot_config {
    const uint8_t *kernel;
    size_t kernel_size;
    const uint8_t *initrd; /* NULL: none */
    size_t initrd_size;
    const char *cmdline; /* never NULL */
};

/* Message for a person, one line without newline; set on failure. */
struct boot_error {
    char text[256];
};

/*
 * Recognises a bzImage, a PVH ELF64 or a Multiboot 1 image, places it, its initrd and its tables
 * (ACPI: RSDP, XSDT, FADT, MADT, DSDT; e820) into the machine's memory, and says how the boot
 * processor starts.  The files come from strangers: every offset and size is checked.
 * The machine's memory is new: all zeros.
 * 0, or -1 with error->text.
 */
int boot_load(struct vm *vm, const struct boot_config *config, struct ringside_regs *entry,
              struct boot_error *error);

/* The uncompressed ELF (vmlinux) inside a bzImage, or the file itself if it is ELF: malloc'ed. */
int boot_extract_elf(const uint8_t *file, size_t size, uint8_t **elf, size_t *elf_size,
                     struct boot_error *error);

#endif
