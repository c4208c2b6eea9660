/* Multiboot 1 kernels: finding the header, placing the image, and the information structure. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <string.h>

#include "vm/boot/internal.h"

/* Multiboot Specification 0.6.96, 3.1 and 3.3. */
#define HEADER_MAGIC 0x1badb002u
#define LOADER_MAGIC 0x2badb002u
enum {
    SEARCH = 8192,
    HEADER_FLAGS = 4,
    HEADER_CHECKSUM = 8,
    HEADER_SIZE = 12,
    HEADER_ADDR = 12,
    LOAD_ADDR = 16,
    LOAD_END_ADDR = 20,
    BSS_END_ADDR = 24,
    ENTRY_ADDR = 28,
    HEADER_SIZE_ADDRESSES = 32,
};
enum { /* header flags: the low 16 are demands that a loader must know */
       WANT_KNOWN =
           1 << 0 | 1 << 1 | 1 << 2, /* page alignment, memory sizes; video: may be refused */
       HAS_ADDRESSES = 1 << 16,
};
enum { /* information flags */
       INFO_MEMORY = 1 << 0,
       INFO_CMDLINE = 1 << 2,
       INFO_MODULES = 1 << 3,
       INFO_MAP = 1 << 6,
       INFO_LOADER = 1 << 9,
};
enum {
    FLAGS = 0,
    MEM_LOWER = 4,
    MEM_UPPER = 8,
    CMDLINE = 16,
    MODS_COUNT = 20,
    MODS_ADDR = 24,
    MMAP_LENGTH = 44,
    MMAP_ADDR = 48,
    LOADER_NAME = 64,
    INFO_SIZE = 120,
    MODULE_SIZE = 16,
    MAP_ENTRY_SIZE = 24, /* its size field counts what follows: 20 */
};
static const char loader_name[] = "ringside";

static bool find_header(const uint8_t *file, size_t size, size_t *offset)
{
    size_t end = size < SEARCH ? size : SEARCH;
    for (size_t at = 0; at + HEADER_SIZE <= end; at += 4) {
        const uint8_t *h = file + at;
        if (get32(h) == HEADER_MAGIC &&
            get32(h) + get32(h + HEADER_FLAGS) + get32(h + HEADER_CHECKSUM) == 0) {
            *offset = at;
            return true;
        }
    }
    return false;
}

bool boot_multiboot_is(const uint8_t *file, size_t size)
{
    size_t offset;
    return find_header(file, size, &offset);
}

static int place_by_addresses(struct boot *boot, size_t header, uint64_t *start)
{
    const uint8_t *file = boot->config->kernel;
    size_t size = boot->config->kernel_size;
    if (!boot_inside(header, HEADER_SIZE_ADDRESSES, size))
        return boot_fail(boot->error, "the Multiboot kernel is truncated in its header");
    uint32_t header_addr = get32(file + header + HEADER_ADDR);
    uint32_t load = get32(file + header + LOAD_ADDR);
    uint64_t load_end = get32(file + header + LOAD_END_ADDR);
    uint64_t bss_end = get32(file + header + BSS_END_ADDR);
    if (load > header_addr || header_addr - load > header)
        return boot_fail(boot->error,
                         "the Multiboot kernel is damaged: its load address 0x%" PRIx32
                         " lies before the file",
                         load);
    uint64_t offset = header - (header_addr - load);
    if (!load_end) /* the whole file */
        load_end = load + (size - offset);
    if (!bss_end)
        bss_end = load_end;
    if (load_end <= load || bss_end < load_end)
        return boot_fail(boot->error, "the Multiboot kernel is damaged: it ends before it begins");
    if (!boot_inside(offset, load_end - load, size))
        return boot_fail(boot->error,
                         "the Multiboot kernel is truncated: %" PRIu64
                         " bytes are to be loaded, %zu are there",
                         load_end - load, size - (size_t)offset);
    uint8_t *host = boot_claim(boot, "the kernel", load, bss_end - load);
    if (!host)
        return -1;
    memcpy(host, file + offset, (size_t)(load_end - load));
    *start = get32(file + header + ENTRY_ADDR);
    return 0;
}

/* An ELF entry point may be a virtual address; what runs first is without paging. */
static uint64_t physical_entry(const struct boot_elf *elf)
{
    for (unsigned i = 0; i < elf->header_count; i++) {
        struct boot_segment s = boot_elf_segment(elf, i);
        if (s.type == BOOT_PT_LOAD && elf->entry >= s.vaddr && elf->entry - s.vaddr < s.memory_size)
            return s.paddr + (elf->entry - s.vaddr);
    }
    return elf->entry;
}

static int place_elf(struct boot *boot, uint64_t *start)
{
    struct boot_elf elf;
    if (boot_elf_open(&elf, boot->config->kernel, boot->config->kernel_size, boot->error) ||
        boot_elf_place(boot, &elf))
        return -1;
    *start = physical_entry(&elf);
    return 0;
}

static int build_info(struct boot *boot, uint64_t *gpa)
{
    enum {
        MODULE = INFO_SIZE,
        NAME = MODULE + MODULE_SIZE,
        MAP = (NAME + sizeof(loader_name) + 1 + 7) & ~7, /* + 1: the module's empty string */
        SIZE = MAP + BOOT_E820_MAX * MAP_ENTRY_SIZE,
    };
    uint64_t cmdline, initrd;
    if (boot_place_cmdline(boot, &cmdline) || boot_place_initrd(boot, VM_LOW_RAM_MAX, &initrd))
        return -1;
    uint8_t *info =
        boot_place(boot, "the Multiboot information", SIZE, 16, 0x1000, BOOT_LOW_END, gpa);
    if (!info)
        return -1;
    uint32_t at = (uint32_t)*gpa;

    memset(info, 0, SIZE);
    put32(info + FLAGS, INFO_MEMORY | INFO_CMDLINE | INFO_MODULES | INFO_MAP | INFO_LOADER);
    put32(info + MEM_LOWER, (uint32_t)(BOOT_LOW_END / 1024));
    put32(info + MEM_UPPER, (uint32_t)((boot_low_ram(boot->vm) - BOOT_MIB) / 1024));
    put32(info + CMDLINE, (uint32_t)cmdline);
    put32(info + LOADER_NAME, at + NAME);
    memcpy(info + NAME, loader_name, sizeof(loader_name));
    if (initrd) {
        put32(info + MODS_COUNT, 1);
        put32(info + MODULE, (uint32_t)initrd);
        put32(info + MODULE + 4, (uint32_t)(initrd + boot->config->initrd_size));
        put32(info + MODULE + 8, at + NAME + (uint32_t)sizeof(loader_name));
    }
    put32(info + MODS_ADDR, at + MODULE);

    struct boot_e820 map[BOOT_E820_MAX];
    unsigned count = boot_e820(boot, map);
    put32(info + MMAP_LENGTH, count * MAP_ENTRY_SIZE);
    put32(info + MMAP_ADDR, at + MAP);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *out = info + MAP + i * MAP_ENTRY_SIZE;
        put32(out, MAP_ENTRY_SIZE - 4);
        put64(out + 4, map[i].begin);
        put64(out + 12, map[i].size);
        put32(out + 20, map[i].type);
    }
    return 0;
}

int boot_multiboot_load(struct boot *boot, struct ringside_regs *entry)
{
    const uint8_t *file = boot->config->kernel;
    size_t header;
    if (!find_header(file, boot->config->kernel_size, &header))
        return boot_fail(boot->error, "the kernel has no Multiboot header");
    uint32_t flags = get32(file + header + HEADER_FLAGS);
    if (flags & 0xffff & ~WANT_KNOWN)
        return boot_fail(boot->error, "the Multiboot kernel demands what is not there (flags 0x%x)",
                         flags);
    uint64_t start = 0, info;
    if (flags & HAS_ADDRESSES ? place_by_addresses(boot, header, &start) : place_elf(boot, &start))
        return -1;
    if (build_info(boot, &info) || boot_enter_flat(boot, start, entry))
        return -1;
    entry->gpr[RINGSIDE_RAX] = LOADER_MAGIC;
    entry->gpr[RINGSIDE_RBX] = info;
    return 0;
}
