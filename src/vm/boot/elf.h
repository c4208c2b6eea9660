/* A checked view of an ELF kernel. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VM_BOOT_ELF_H
#define VM_BOOT_ELF_H

#include "vm/boot.h"

/* Sets the message and returns -1. */
__attribute__((format(printf, 2, 3))) int boot_fail(struct boot_error *error, const char *format,
                                                    ...);

/* An ELF file for x86 whose loadable segments all lie inside it. */
struct boot_elf {
    const uint8_t *file;
    size_t size;
    bool wide; /* ELF64 */
    uint64_t entry;
    uint64_t headers; /* offset of the program headers */
    unsigned header_size, header_count;
};
struct boot_segment {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, file_size, memory_size, align;
};
enum { BOOT_PT_LOAD = 1, BOOT_PT_NOTE = 4 };

bool boot_elf_is(const uint8_t *file, size_t size);
int boot_elf_open(struct boot_elf *elf, const uint8_t *file, size_t size, struct boot_error *error);
struct boot_segment boot_elf_segment(const struct boot_elf *elf, unsigned index);
/* The 32-bit entry point of XEN_ELFNOTE_PHYS32_ENTRY, if there is one. */
bool boot_elf_pvh_entry(const struct boot_elf *elf, uint64_t *entry);

#endif
