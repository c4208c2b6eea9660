/* Builds small kernels of every format. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "boot_images.h"

#include <assert.h>
#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

void image_free(struct image *image)
{
    free(image->bytes);
    *image = (struct image){0};
}

static struct image image_new(size_t size)
{
    struct image image = {.bytes = calloc(1, size), .size = size};
    assert(image.bytes);
    return image;
}

uint8_t image_body(size_t i)
{
    return i >= 0x1000 && i < 0x2000 ? 0 : (uint8_t)(i * 7 + (i >> 8));
}

static void put_segment(uint8_t *at, bool wide, uint32_t type, uint64_t offset, uint64_t paddr,
                        uint64_t file_size, uint64_t memory_size)
{
    put32(at, type);
    if (wide) {
        put32(at + 4, 7);
        put64(at + 8, offset);
        put64(at + 16, type == BOOT_PT_LOAD ? 0xffffffff80000000 + paddr : 0);
        put64(at + 24, paddr);
        put64(at + 32, file_size);
        put64(at + 40, memory_size);
    } else {
        put32(at + 4, (uint32_t)offset);
        put32(at + 8, type == BOOT_PT_LOAD ? (uint32_t)(0xc0000000 + paddr) : 0);
        put32(at + 12, (uint32_t)paddr);
        put32(at + 16, (uint32_t)file_size);
        put32(at + 20, (uint32_t)memory_size);
        put32(at + 24, 7);
    }
}

struct image image_elf(bool wide, bool pvh_note, bool multiboot)
{
    enum { NOTE = 0x200, MULTIBOOT = 0x300 };
    struct image image = image_new(IMAGE_BODY_OFFSET + IMAGE_BODY);
    uint8_t *p = image.bytes;
    size_t headers = wide ? 64 : 52, header_size = wide ? 56 : 32;

    memcpy(p, "\177ELF", 4);
    p[4] = wide ? 2 : 1;
    p[5] = p[6] = 1;
    put16(p + 16, 2);
    put16(p + 18, wide ? 62 : 3);
    put32(p + 20, 1);
    if (wide) {
        put64(p + 24, IMAGE_ENTRY);
        put64(p + 32, headers);
    } else {
        put32(p + 24, IMAGE_ENTRY);
        put32(p + 28, (uint32_t)headers);
    }
    put16(p + (wide ? 54 : 42), (uint16_t)header_size);
    put16(p + (wide ? 56 : 44), pvh_note ? 2 : 1);
    put_segment(p + headers, wide, BOOT_PT_LOAD, IMAGE_BODY_OFFSET, IMAGE_LOAD, IMAGE_BODY,
                IMAGE_MEMORY);
    if (pvh_note) {
        put_segment(p + headers + header_size, wide, BOOT_PT_NOTE, NOTE, 0, 20 + 20, 0);
        put32(p + NOTE, 4); /* a note of another kind first */
        put32(p + NOTE + 4, 2);
        put32(p + NOTE + 8, 1);
        memcpy(p + NOTE + 12, "GNU", 4);
        put32(p + NOTE + 20, 4);
        put32(p + NOTE + 24, 4);
        put32(p + NOTE + 28, 18);
        memcpy(p + NOTE + 32, "Xen", 4);
        put32(p + NOTE + 36, IMAGE_ENTRY + 0x10);
    }
    if (multiboot) {
        put32(p + MULTIBOOT, 0x1badb002);
        put32(p + MULTIBOOT + 4, 3);
        put32(p + MULTIBOOT + 8, -(0x1badb002u + 3));
    }
    for (size_t i = 0; i < IMAGE_BODY; i++)
        p[IMAGE_BODY_OFFSET + i] = image_body(i);
    return image;
}

struct image image_multiboot(void)
{
    enum { HEADER = 0x40 };
    struct image image = image_new(IMAGE_BODY_OFFSET + IMAGE_BODY);
    uint8_t *p = image.bytes;
    put32(p + HEADER, 0x1badb002);
    put32(p + HEADER + 4, 0x10003);
    put32(p + HEADER + 8, -(0x1badb002u + 0x10003));
    put32(p + HEADER + 12, IMAGE_LOAD - IMAGE_BODY_OFFSET + HEADER);
    put32(p + HEADER + 16, IMAGE_LOAD - IMAGE_BODY_OFFSET);
    put32(p + HEADER + 20, IMAGE_LOAD + IMAGE_BODY);
    put32(p + HEADER + 24, IMAGE_LOAD + IMAGE_MEMORY);
    put32(p + HEADER + 28, IMAGE_ENTRY);
    for (size_t i = 0; i < IMAGE_BODY; i++)
        p[IMAGE_BODY_OFFSET + i] = image_body(i);
    return image;
}

static size_t pack_gzip(uint8_t *out, size_t room, const struct image *in)
{
    z_stream z = {
        .next_in = in->bytes, .avail_in = (uInt)in->size, .next_out = out, .avail_out = (uInt)room};
    deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
    int result = deflate(&z, Z_FINISH);
    assert(result == Z_STREAM_END);
    deflateEnd(&z);
    return z.total_out;
}

static size_t pack_lzma(uint8_t *out, size_t room, const struct image *in, bool alone)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    lzma_options_lzma options;
    lzma_lzma_preset(&options, 6);
    lzma_ret result = alone ? lzma_alone_encoder(&stream, &options)
                            : lzma_easy_encoder(&stream, 6, LZMA_CHECK_CRC32);
    assert(result == LZMA_OK);
    stream.next_in = in->bytes;
    stream.avail_in = in->size;
    stream.next_out = out;
    stream.avail_out = room;
    result = lzma_code(&stream, LZMA_FINISH);
    assert(result == LZMA_STREAM_END);
    lzma_end(&stream);
    return stream.total_out;
}

static size_t pack_lz4(uint8_t *out, size_t room, const struct image *in)
{
    put32(out, 0x184c2102);
    int n = LZ4_compress_default((const char *)in->bytes, (char *)out + 8, (int)in->size,
                                 (int)room - 8);
    put32(out + 4, (uint32_t)n);
    return (size_t)n + 8;
}

struct image image_bzimage(enum packing packing, const struct image *vmlinux)
{
    enum { SETUP = 3 * 512, PAYLOAD_OFFSET = 0x300 };
    size_t payload = SETUP + PAYLOAD_OFFSET, room = vmlinux->size + 0x1000;
    struct image image = image_new(payload + room + 4);
    uint8_t *p = image.bytes, *out = p + payload;
    size_t n = 0;

    switch (packing) {
    case PACK_GZIP: n = pack_gzip(out, room, vmlinux); break;
    case PACK_XZ: n = pack_lzma(out, room, vmlinux, false); break;
    case PACK_LZMA: n = pack_lzma(out, room, vmlinux, true); break;
    case PACK_ZSTD: n = ZSTD_compress(out, room, vmlinux->bytes, vmlinux->size, 3); break;
    case PACK_LZ4: n = pack_lz4(out, room, vmlinux); break;
    default:
        memcpy(out, vmlinux->bytes, n = vmlinux->size);
        if (packing == PACK_UNKNOWN)
            memcpy(out, "\211LZO", 4);
    }
    put32(out + n, (uint32_t)vmlinux->size);
    n += 4;

    p[0x1f1] = 2;
    put32(p + 0x1f4, (uint32_t)((PAYLOAD_OFFSET + n + 15) / 16));
    put16(p + 0x1fe, 0xaa55);
    p[0x201] = 0x6a;
    memcpy(p + 0x202, "HdrS", 4);
    put16(p + 0x206, 0x20f);
    p[0x211] = 1;
    put32(p + 0x22c, 0x7fffffff);
    put32(p + 0x230, 0x200000);
    p[0x234] = 1;
    put16(p + 0x236, 1);
    put32(p + 0x238, 2047);
    put32(p + 0x248, PAYLOAD_OFFSET);
    put32(p + 0x24c, (uint32_t)n);
    put64(p + 0x258, IMAGE_LOAD);
    put32(p + 0x260, 0x20000);
    image.size = payload + n;
    return image;
}

static uint64_t no_time(void *ctx)
{
    (void)ctx;
    return 0;
}

static void nothing(void *ctx)
{
    (void)ctx;
}

static void nothing_of(void *ctx, unsigned cpu)
{
    (void)ctx, (void)cpu;
}

static void no_sipi(void *ctx, unsigned cpu, uint8_t vector)
{
    (void)ctx, (void)cpu, (void)vector;
}

static void no_output(void *ctx, uint8_t byte)
{
    (void)ctx, (void)byte;
}

static void no_request(void *ctx, int what, int status)
{
    (void)ctx, (void)what, (void)status;
}

struct vm *image_machine(uint64_t ram_bytes, unsigned cpus)
{
    static const struct vm_host host = {
        .now = no_time,
        .deadline_changed = nothing,
        .interrupt_changed = nothing_of,
        .cpu_init = nothing_of,
        .cpu_sipi = no_sipi,
        .cpu_nmi = nothing_of,
        .serial_out = no_output,
        .request = no_request,
    };
    struct vm_config config = {.ram_bytes = ram_bytes, .cpus = cpus, .exit_port = -1};
    int error = 0;
    struct vm *vm = vm_new(&config, &host, &error);
    assert(vm);
    return vm;
}
