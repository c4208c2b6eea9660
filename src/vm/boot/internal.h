/* What the loaders of the kernel formats share: one load in progress, and checked views of files.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef VM_BOOT_INTERNAL_H
#define VM_BOOT_INTERNAL_H

#include "vm/boot.h"

/* Little-endian fields of files and tables, wherever they lie. */
static inline uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t get32(const uint8_t *p)
{
    return get16(p) | (uint32_t)get16(p + 2) << 16;
}

static inline uint64_t get64(const uint8_t *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static inline void put16(uint8_t *p, uint16_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static inline void put32(uint8_t *p, uint32_t value)
{
    put16(p, (uint16_t)value);
    put16(p + 2, (uint16_t)(value >> 16));
}

static inline void put64(uint8_t *p, uint64_t value)
{
    put32(p, (uint32_t)value);
    put32(p + 4, (uint32_t)(value >> 32));
}

/* n bytes at offset lie inside size bytes. */
static inline bool boot_inside(uint64_t offset, uint64_t n, uint64_t size)
{
    return offset <= size && n <= size - offset;
}

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

/* Sets the message and returns -1. */
__attribute__((format(printf, 2, 3))) int boot_fail(struct boot_error *error, const char *format,
                                                    ...);

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

/* elf.c: an ELF file for x86 whose loadable segments all lie inside it. */
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
/* Places the loadable segments at their physical addresses. */
int boot_elf_place(struct boot *boot, const struct boot_elf *elf);
/* The 32-bit entry point of XEN_ELFNOTE_PHYS32_ENTRY, if there is one. */
bool boot_elf_pvh_entry(const struct boot_elf *elf, uint64_t *entry);

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
