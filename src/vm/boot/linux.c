/* bzImage kernels: the setup header, the vmlinux inside, and the zero page. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vm/boot/internal.h"

/* Offsets in the first sectors of the file and in the zero page alike (Linux,
 * Documentation/arch/x86/boot.rst and zero-page.rst). */
enum {
    ACPI_RSDP = 0x070,
    E820_ENTRIES = 0x1e8,
    SETUP_SECTS = 0x1f1,
    SYSSIZE = 0x1f4,
    VID_MODE = 0x1fa,
    BOOT_FLAG = 0x1fe,
    JUMP_LENGTH = 0x201, /* the header ends at 0x202 + this */
    MAGIC = 0x202,
    VERSION = 0x206,
    TYPE_OF_LOADER = 0x210,
    LOADFLAGS = 0x211,
    CODE32_START = 0x214,
    RAMDISK_IMAGE = 0x218,
    RAMDISK_SIZE = 0x21c,
    CMD_LINE_PTR = 0x228,
    INITRD_ADDR_MAX = 0x22c,
    XLOADFLAGS = 0x236,
    CMDLINE_SIZE = 0x238,
    PAYLOAD_OFFSET = 0x248,
    PAYLOAD_LENGTH = 0x24c,
    PREF_ADDRESS = 0x258,
    INIT_SIZE = 0x260,
    HEADER_END = 0x268, /* of the part that is read here */
    E820_TABLE = 0x2d0,
    ZERO_PAGE_SIZE = 0x1000,
};
enum {
    SECTOR = 512,
    LOADED_HIGH = 1 << 0, /* in LOADFLAGS: a bzImage, not a zImage */
    KERNEL_64 = 1 << 0,   /* in XLOADFLAGS: 64-bit entry point at 0x200 */
    ENTRY_64 = 0x200,
    VID_MODE_NORMAL = 0xffff,
    LOADER_UNKNOWN = 0xff,
};
#define VMLINUX_MAX (1024 * BOOT_MIB)

bool boot_bzimage_is(const uint8_t *file, size_t size)
{
    return size >= MAGIC + 4 && !memcmp(file + MAGIC, "HdrS", 4) &&
           get16(file + BOOT_FLAG) == 0xaa55;
}

int boot_bzimage_open(struct boot_bzimage *image, const uint8_t *file, size_t size,
                      struct boot_error *error)
{
    if (size < HEADER_END)
        return boot_fail(error, "the bzImage is truncated: %zu bytes do not hold its setup header",
                         size);
    struct boot_bzimage view = {.file = file, .size = size, .version = get16(file + VERSION)};
    if (view.version < 0x206)
        return boot_fail(error,
                         "the bzImage uses boot protocol %u.%02u: 2.06 (Linux 2.6.22) or "
                         "later is needed",
                         view.version >> 8, view.version & 0xff);
    if (!(file[LOADFLAGS] & LOADED_HIGH))
        return boot_fail(error, "the kernel is a zImage, which loads low: use a bzImage");

    unsigned sectors = file[SETUP_SECTS] ? file[SETUP_SECTS] : 4;
    view.setup_size = (sectors + 1) * SECTOR;
    uint64_t code_size = (uint64_t)get32(file + SYSSIZE) * 16;
    /* The last paragraph need not be complete. */
    if (view.setup_size >= size || size - view.setup_size + 15 < code_size)
        return boot_fail(error, "the bzImage is truncated: it has %zu of %" PRIu64 " bytes", size,
                         view.setup_size + code_size);

    uint64_t length = view.version >= 0x208 ? get32(file + PAYLOAD_LENGTH) : 0;
    if (length) {
        /* The payload ends with the size that it unpacks to. */
        uint64_t offset = view.setup_size + (uint64_t)get32(file + PAYLOAD_OFFSET);
        if (length < 8 || !boot_inside(offset, length, size))
            return boot_fail(error,
                             "the bzImage is truncated or damaged: its payload, %" PRIu64
                             " bytes at %" PRIu64 ", is not inside the file",
                             length, offset);
        view.payload = file + offset;
        view.payload_size = (size_t)length - 4;
        view.vmlinux_size = get32(view.payload + view.payload_size);
        if (view.vmlinux_size > VMLINUX_MAX)
            return boot_fail(error, "the bzImage is damaged: it claims to unpack to %zu MiB",
                             view.vmlinux_size / (size_t)BOOT_MIB);
    }
    *image = view;
    return 0;
}

/* The table that tells the kernel where everything is. */
static int build_zero_page(struct boot *boot, const struct boot_bzimage *image, uint64_t *gpa)
{
    const struct boot_config *config = boot->config;
    uint32_t cmdline_max = get32(image->file + CMDLINE_SIZE);
    if (strlen(config->cmdline) > cmdline_max)
        return boot_fail(boot->error,
                         "the command line is longer than the %u bytes this kernel "
                         "takes",
                         cmdline_max);
    uint64_t cmdline, initrd, initrd_max = get32(image->file + INITRD_ADDR_MAX);
    if (boot_place_cmdline(boot, &cmdline) || boot_place_initrd(boot, initrd_max + 1, &initrd))
        return -1;
    uint8_t *page =
        boot_place(boot, "the zero page", ZERO_PAGE_SIZE, 4096, 0x1000, BOOT_LOW_END, gpa);
    if (!page)
        return -1;

    memset(page, 0, ZERO_PAGE_SIZE);
    size_t header_end = MAGIC + image->file[JUMP_LENGTH];
    if (header_end > image->size)
        header_end = image->size;
    if (header_end > E820_TABLE)
        header_end = E820_TABLE;
    memcpy(page + SETUP_SECTS, image->file + SETUP_SECTS, header_end - SETUP_SECTS);
    put64(page + ACPI_RSDP, boot->rsdp);
    put16(page + VID_MODE, VID_MODE_NORMAL);
    page[TYPE_OF_LOADER] = LOADER_UNKNOWN;
    put32(page + CMD_LINE_PTR, (uint32_t)cmdline);
    put32(page + RAMDISK_IMAGE, (uint32_t)initrd);
    put32(page + RAMDISK_SIZE, initrd ? (uint32_t)config->initrd_size : 0);

    struct boot_e820 map[BOOT_E820_MAX];
    unsigned count = boot_e820(boot, map);
    page[E820_ENTRIES] = (uint8_t)count;
    for (unsigned i = 0; i < count; i++) {
        uint8_t *entry = page + E820_TABLE + i * 20;
        put64(entry, map[i].begin);
        put64(entry + 8, map[i].size);
        put32(entry + 16, map[i].type);
    }
    return 0;
}

/* vmlinux itself: no KASLR, its relocations stay unused as it lies where it was linked. */
static int enter_vmlinux(struct boot *boot, const struct boot_bzimage *image,
                         const uint8_t *vmlinux, struct ringside_regs *entry)
{
    struct boot_elf elf;
    uint64_t zero_page;
    if (boot_elf_open(&elf, vmlinux, image->vmlinux_size, boot->error) ||
        boot_elf_place(boot, &elf) || build_zero_page(boot, image, &zero_page))
        return -1;
    if (elf.wide ? boot_enter_long(boot, elf.entry, entry)
                 : boot_enter_flat(boot, elf.entry, entry))
        return -1;
    entry->gpr[RINGSIDE_RSI] = zero_page;
    return 0;
}

/* The kernel as it is in the file: it unpacks itself in the guest. */
static int enter_packed(struct boot *boot, const struct boot_bzimage *image,
                        struct ringside_regs *entry)
{
    const uint8_t *file = image->file;
    size_t code_size = image->size - image->setup_size;
    uint64_t begin = BOOT_MIB, size = code_size;
    bool wide = image->version >= 0x20c && get16(file + XLOADFLAGS) & KERNEL_64;
    if (image->version >= 0x20a) {
        begin = get64(file + PREF_ADDRESS);
        if (get32(file + INIT_SIZE) > size)
            size = get32(file + INIT_SIZE);
    }
    uint64_t zero_page;
    uint8_t *host = boot_claim(boot, "the kernel", begin, size);
    if (!host || build_zero_page(boot, image, &zero_page))
        return -1;
    memcpy(host, file + image->setup_size, code_size);
    put32(vm_ram(boot->vm, zero_page, ZERO_PAGE_SIZE) + CODE32_START, (uint32_t)begin);
    if (wide ? boot_enter_long(boot, begin + ENTRY_64, entry) : boot_enter_flat(boot, begin, entry))
        return -1;
    entry->gpr[RINGSIDE_RSI] = zero_page;
    return 0;
}

int boot_bzimage_load(struct boot *boot, struct ringside_regs *entry)
{
    struct boot_bzimage image;
    if (boot_bzimage_open(&image, boot->config->kernel, boot->config->kernel_size, boot->error))
        return -1;
    uint64_t ram = vm_ram_bytes(boot->vm);
    if (image.vmlinux_size > ram)
        return boot_fail(boot->error,
                         "the kernel unpacks to %zu MiB, more than the machine's %" PRIu64
                         " MiB: use -m %zu",
                         image.vmlinux_size / (size_t)BOOT_MIB, ram / BOOT_MIB,
                         image.vmlinux_size / (size_t)BOOT_MIB * 2 + 64);
    uint8_t *vmlinux = NULL;
    int unknown = 1;
    if (image.payload)
        unknown = boot_unpack(image.payload, image.payload_size, image.vmlinux_size, &vmlinux,
                              boot->error);
    if (unknown < 0)
        return -1;
    int result =
        unknown ? enter_packed(boot, &image, entry) : enter_vmlinux(boot, &image, vmlinux, entry);
    free(vmlinux);
    return result;
}
