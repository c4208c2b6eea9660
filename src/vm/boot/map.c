/* Which guest memory is taken while a kernel is loaded, and the memory map the kernel is told. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "vm/boot/internal.h"

enum { CMDLINE_MAX = 4096 };

int boot_fail(struct boot_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);
    return -1;
}

uint64_t boot_low_ram(const struct vm *vm)
{
    uint64_t ram = vm_ram_bytes(vm);
    return ram < VM_LOW_RAM_MAX ? ram : VM_LOW_RAM_MAX;
}

/* A round number of MiB that holds `end` bytes and leaves a kernel something to work with. */
static uint64_t enough_mib(uint64_t end)
{
    return ((end / BOOT_MIB + 64) | 63) + 1;
}

static int too_small(struct boot *boot, const char *what, uint64_t end)
{
    return boot_fail(boot->error, "%s needs more memory than %" PRIu64 " MiB: use -m %" PRIu64,
                     what, vm_ram_bytes(boot->vm) / BOOT_MIB, enough_mib(end));
}

static const struct boot_claim *taken(const struct boot *boot, uint64_t begin, uint64_t end)
{
    for (unsigned i = 0; i < boot->claims; i++)
        if (begin < boot->claim[i].end && boot->claim[i].begin < end)
            return &boot->claim[i];
    return NULL;
}

static uint8_t *take(struct boot *boot, const char *what, uint64_t begin, uint64_t end)
{
    if (boot->claims == BOOT_CLAIMS_MAX) {
        boot_fail(boot->error, "%s is in too many pieces", what);
        return NULL;
    }
    uint8_t *host = vm_ram(boot->vm, begin, end - begin);
    if (!host) {
        boot_fail(boot->error, "no memory at 0x%" PRIx64 " for %s", begin, what);
        return NULL;
    }
    boot->claim[boot->claims++] = (struct boot_claim){begin, end, what};
    return host;
}

uint8_t *boot_claim(struct boot *boot, const char *what, uint64_t gpa, uint64_t size)
{
    uint64_t end = gpa + size, low = boot_low_ram(boot->vm);
    if (end < gpa || end > VM_LOW_RAM_MAX) {
        boot_fail(boot->error, "%s wants to lie at 0x%" PRIx64 ", which is not below 3 GiB", what,
                  gpa);
        return NULL;
    }
    if (end > low) {
        too_small(boot, what, end);
        return NULL;
    }
    if (gpa < BOOT_TABLES_END && end > BOOT_LOW_END &&
        !(gpa >= BOOT_TABLES && end <= BOOT_TABLES_END)) {
        boot_fail(boot->error,
                  "%s wants to lie at 0x%" PRIx64 ", over the hole from 639 KiB to 1 MiB", what,
                  gpa);
        return NULL;
    }
    const struct boot_claim *other = taken(boot, gpa, end);
    if (other) {
        boot_fail(boot->error, "%s at 0x%" PRIx64 " overlaps %s at 0x%" PRIx64, what, gpa,
                  other->what, other->begin);
        return NULL;
    }
    return take(boot, what, gpa, end);
}

/* The highest free place below, or false; each round goes below one more claim. */
static bool find(const struct boot *boot, uint64_t size, uint64_t align, uint64_t floor,
                 uint64_t below, uint64_t *gpa)
{
    while (below >= floor && below - floor >= size) {
        uint64_t begin = (below - size) & ~(align - 1);
        if (begin < floor)
            return false;
        const struct boot_claim *other = taken(boot, begin, begin + size);
        if (!other) {
            *gpa = begin;
            return true;
        }
        below = other->begin;
    }
    return false;
}

uint8_t *boot_place(struct boot *boot, const char *what, uint64_t size, uint64_t align,
                    uint64_t floor, uint64_t below, uint64_t *gpa)
{
    uint64_t low = boot_low_ram(boot->vm);
    if (find(boot, size, align, floor, below < low ? below : low, gpa))
        return take(boot, what, *gpa, *gpa + size);

    /* More memory helps if the end of RAM was the limit and all of it can be had. */
    uint64_t end = floor;
    for (unsigned i = 0; i < boot->claims; i++)
        if (boot->claim[i].end > end)
            end = boot->claim[i].end;
    uint64_t most = below < VM_LOW_RAM_MAX ? below : VM_LOW_RAM_MAX;
    if (low < most && size <= most && end + align <= most - size)
        too_small(boot, what, end + align + size);
    else
        boot_fail(boot->error, "no room for %s of %" PRIu64 " KiB below 0x%" PRIx64, what,
                  size / 1024, most);
    return NULL;
}

int boot_place_initrd(struct boot *boot, uint64_t below, uint64_t *gpa)
{
    const struct boot_config *config = boot->config;
    *gpa = 0;
    if (!config->initrd || !config->initrd_size)
        return 0;
    uint8_t *host =
        boot_place(boot, "the initrd", config->initrd_size, 4096, BOOT_TABLES_END, below, gpa);
    if (!host)
        return -1;
    memcpy(host, config->initrd, config->initrd_size);
    return 0;
}

int boot_place_cmdline(struct boot *boot, uint64_t *gpa)
{
    size_t size = strlen(boot->config->cmdline) + 1;
    if (size > CMDLINE_MAX)
        return boot_fail(boot->error, "the kernel command line is longer than %d bytes",
                         CMDLINE_MAX - 1);
    uint8_t *host = boot_place(boot, "the command line", size, 16, 0x1000, BOOT_LOW_END, gpa);
    if (!host)
        return -1;
    memcpy(host, boot->config->cmdline, size);
    return 0;
}

unsigned boot_e820(const struct boot *boot, struct boot_e820 out[BOOT_E820_MAX])
{
    uint64_t low = boot_low_ram(boot->vm), all = vm_ram_bytes(boot->vm);
    unsigned n = 0;
    out[n++] = (struct boot_e820){0, BOOT_LOW_END, BOOT_E820_RAM};
    out[n++] = (struct boot_e820){BOOT_LOW_END, 0xa0000 - BOOT_LOW_END, BOOT_E820_RESERVED};
    out[n++] = (struct boot_e820){BOOT_TABLES, BOOT_TABLES_END - BOOT_TABLES, BOOT_E820_RESERVED};
    out[n++] = (struct boot_e820){BOOT_MIB, low - BOOT_MIB, BOOT_E820_RAM};
    if (all > low)
        out[n++] = (struct boot_e820){VM_HIGH_RAM, all - low, BOOT_E820_RAM};
    return n;
}
