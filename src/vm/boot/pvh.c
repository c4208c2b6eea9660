/* PVH kernels: the start information of Xen's x86/HVM direct boot ABI. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "vm/boot/internal.h"

/* struct hvm_start_info, hvm_modlist_entry and hvm_memmap_table_entry, version 1
 * (xen/include/public/arch-x86/hvm/start_info.h). */
enum {
    MAGIC = 0,
    VERSION = 4,
    MODULE_COUNT = 12,
    MODULES = 16,
    CMDLINE = 24,
    RSDP = 32,
    MAP = 40,
    MAP_COUNT = 48,
    INFO_SIZE = 56,
    MODULE_SIZE = 32, /* address, size, command line, reserved */
    MAP_ENTRY_SIZE = 24,
};
#define START_MAGIC 0x336ec578u

int boot_pvh_load(struct boot *boot, const struct boot_elf *elf, uint64_t start,
                  struct ringside_regs *entry)
{
    uint64_t cmdline, initrd, gpa;
    if (boot_elf_place(boot, elf) || boot_place_cmdline(boot, &cmdline) ||
        boot_place_initrd(boot, VM_LOW_RAM_MAX, &initrd))
        return -1;
    const uint64_t size = INFO_SIZE + MODULE_SIZE + BOOT_E820_MAX * MAP_ENTRY_SIZE;
    uint8_t *info = boot_place(boot, "the PVH start info", size, 16, 0x1000, BOOT_LOW_END, &gpa);
    if (!info)
        return -1;

    memset(info, 0, size);
    put32(info + MAGIC, START_MAGIC);
    put32(info + VERSION, 1);
    put64(info + CMDLINE, cmdline);
    put64(info + RSDP, boot->rsdp);
    if (initrd) {
        put32(info + MODULE_COUNT, 1);
        put64(info + MODULES, gpa + INFO_SIZE);
        put64(info + INFO_SIZE, initrd);
        put64(info + INFO_SIZE + 8, boot->config->initrd_size);
    }
    struct boot_e820 map[BOOT_E820_MAX];
    unsigned count = boot_e820(boot, map);
    put64(info + MAP, gpa + INFO_SIZE + MODULE_SIZE);
    put32(info + MAP_COUNT, count);
    for (unsigned i = 0; i < count; i++) {
        uint8_t *out = info + INFO_SIZE + MODULE_SIZE + i * MAP_ENTRY_SIZE;
        put64(out, map[i].begin);
        put64(out + 8, map[i].size);
        put32(out + 16, map[i].type);
    }

    if (boot_enter_flat(boot, start, entry))
        return -1;
    entry->gpr[RINGSIDE_RBX] = gpa;
    return 0;
}
