/* What the loaders of the kernel formats share: one load in progress, and checked views of files.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VM_BOOT_INTERNAL_H
#define VM_BOOT_INTERNAL_H

#include "vm/boot/bytes.h"
#include "vm/boot/elf.h"

/* Physical memory below 4 GiB as every format describes it to its kernel. */
#define BOOT_LOW_END    UINT64_C(0x9fc00) /* conventional memory; above it the place of an EBDA */
#define BOOT_TABLES     UINT64_C(0xe0000) /* ACPI, where legacy kernels search for it too */
#define BOOT_TABLES_END UINT64_C(0x100000)
#define BOOT_MIB        UINT64_C(0x100000)

/* One load in progress: what of the machine's memory is taken, and by what. */
enum { BOOT_CLAIMS_MAX = 80 };

struct boot_claim {
    uint64_t begin, end;
    const char *what; /* "the kernel", as in "the initrd overlaps the kernel" */
};

struct boot {
    struct vm *vm;
    const struct boot_config *config;
    struct boot_error *error;
    struct boot_claim claim[BOOT_CLAIMS_MAX];
    unsigned claims;
    uint64_t rsdp;
};

/*
 * map.c.  Both return the host address of size (> 0) bytes of RAM that nothing else has claimed,
 * or NULL with the message set.  boot_place() takes the highest free place in floor..below that
 * is aligned to align, a power of two.
 */
uint8_t *boot_claim(struct boot *boot, const char *what, uint64_t gpa, uint64_t size);
uint8_t *boot_place(struct boot *boot, const char *what, uint64_t size, uint64_t align,
                    uint64_t floor, uint64_t below, uint64_t *gpa);
/* The initrd, as high as below allows; gpa and size are 0 if there is none. */
int boot_place_initrd(struct boot *boot, uint64_t below, uint64_t *gpa);
/* The command line with its NUL. */
int boot_place_cmdline(struct boot *boot, uint64_t *gpa);

/* Types of the E820 call of a PC BIOS, which PVH and Multiboot took over. */
enum { BOOT_E820_RAM = 1, BOOT_E820_RESERVED = 2, BOOT_E820_MAX = 8 };
struct boot_e820 {
    uint64_t begin, size;
    uint32_t type;
};
unsigned boot_e820(const struct boot *boot, struct boot_e820 out[BOOT_E820_MAX]);
uint64_t boot_low_ram(const struct vm *vm); /* bytes of RAM from address 0 */

/* elf.c */
/* Places the loadable segments at their physical addresses. */
int boot_elf_place(struct boot *boot, const struct boot_elf *elf);
/* unpack.c: like Linux's own decompressors, out_size is known beforehand.  0, -1 with the message
 * set, or 1 if the compression is not known here.  *out is malloc'ed. */
int boot_unpack(const uint8_t *in, size_t in_size, size_t out_size, uint8_t **out,
                struct boot_error *error);

/* linux.c: the setup header of a bzImage, checked. */
struct boot_bzimage {
    const uint8_t *file;
    size_t size;
    uint16_t version;
    size_t setup_size;                 /* the real-mode part, before the protected-mode kernel */
    const uint8_t *payload;            /* NULL: protocol older than 2.08 */
    size_t payload_size, vmlinux_size; /* packed, without the size at its end; and unpacked */
};
bool boot_bzimage_is(const uint8_t *file, size_t size);
int boot_bzimage_open(struct boot_bzimage *image, const uint8_t *file, size_t size,
                      struct boot_error *error);
int boot_bzimage_load(struct boot *boot, struct ringside_regs *entry);

int boot_pvh_load(struct boot *boot, const struct boot_elf *elf, uint64_t start,
                  struct ringside_regs *entry);

bool boot_multiboot_is(const uint8_t *file, size_t size);
int boot_multiboot_load(struct boot *boot, struct ringside_regs *entry);

/* acpi.c: claims BOOT_TABLES, fills it, and sets boot->rsdp. */
int boot_acpi_build(struct boot *boot);

/* entry.c: the processor as loaders leave it, interrupts off, at rip; and its GDT (and page
 * tables that map the first 4 GiB to themselves) in memory. */
int boot_enter_flat(struct boot *boot, uint64_t rip, struct ringside_regs *entry);
int boot_enter_long(struct boot *boot, uint64_t rip, struct ringside_regs *entry);

#endif
