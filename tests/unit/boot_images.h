/* Small kernels of every format, built in memory for the loaders' tests. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_BOOT_IMAGES_H
#define TESTS_UNIT_BOOT_IMAGES_H

#include "vm/boot/internal.h"

/* A file that grows; freed by image_free(). */
struct image {
    uint8_t *bytes;
    size_t size;
};
void image_free(struct image *image);

enum packing {
    PACK_NONE,
    PACK_GZIP,
    PACK_XZ,
    PACK_LZMA,
    PACK_ZSTD,
    PACK_LZ4,
    PACK_UNKNOWN,
    PACKINGS
};

enum {
    IMAGE_LOAD = 0x1000000, /* physical address of the segment */
    IMAGE_ENTRY = IMAGE_LOAD + 0x40,
    IMAGE_BODY = 0x3000,   /* bytes of the segment in the file */
    IMAGE_MEMORY = 0x8000, /* and in memory */
    IMAGE_BODY_OFFSET = 0x1000,
};
uint8_t image_body(size_t i); /* byte i of the segment of every image */

struct image image_elf(bool wide, bool pvh_note, bool multiboot);
struct image image_bzimage(enum packing packing, const struct image *vmlinux);
struct image image_multiboot(void); /* with address fields */

/* A machine without CPUs to hold the guest's memory. */
struct vm *image_machine(uint64_t ram_bytes, unsigned cpus);

#endif
