/* Unpacks the compressed vmlinux inside a bzImage, on the host and within a known size. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <limits.h>
#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "vm/boot/internal.h"

/* Each returns whether exactly out_size bytes came out. */
typedef bool unpacker(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size);

static bool unpack_gzip(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
{
    if (in_size > UINT_MAX || out_size > UINT_MAX)
        return false;
    z_stream stream = {
        .next_in = (Bytef *)(uintptr_t)in,
        .avail_in = (uInt)in_size,
        .next_out = out,
        .avail_out = (uInt)out_size,
    };
    const int gzip_window = 15 + 16;
    if (inflateInit2(&stream, gzip_window) != Z_OK)
        return false;
    int result = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return result == Z_STREAM_END && !stream.avail_out;
}

static bool run_lzma(lzma_stream *stream, const uint8_t *in, size_t in_size, uint8_t *out,
                     size_t out_size)
{
    stream->next_in = in;
    stream->avail_in = in_size;
    stream->next_out = out;
    stream->avail_out = out_size;
    lzma_ret result = lzma_code(stream, LZMA_FINISH);
    bool whole = !stream->avail_out;
    lzma_end(stream);
    return result == LZMA_STREAM_END && whole;
}

static const uint64_t lzma_memory = 256 * BOOT_MIB; /* xz -9 needs 65 MiB */

static bool unpack_xz(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    return lzma_stream_decoder(&stream, lzma_memory, 0) == LZMA_OK &&
           run_lzma(&stream, in, in_size, out, out_size);
}

static bool unpack_lzma(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    return lzma_alone_decoder(&stream, lzma_memory) == LZMA_OK &&
           run_lzma(&stream, in, in_size, out, out_size);
}

static bool unpack_zstd(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
{
    size_t frame = ZSTD_findFrameCompressedSize(in, in_size);
    if (ZSTD_isError(frame))
        return false;
    return ZSTD_decompress(out, out_size, in, frame) == out_size;
}

/* The "legacy" LZ4 frame: a magic number, then blocks of at most 8 MiB, each behind its size. */
static bool unpack_lz4(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
{
    enum { BLOCK = 8 << 20 };
    size_t at = 4, done = 0;
    while (at < in_size && done < out_size) {
        if (!boot_inside(at, 4, in_size))
            return false;
        uint32_t size = get32(in + at);
        at += 4;
        if (size > LZ4_COMPRESSBOUND(BLOCK) || !boot_inside(at, size, in_size))
            return false;
        size_t room = out_size - done < BLOCK ? out_size - done : BLOCK;
        int n =
            LZ4_decompress_safe((const char *)in + at, (char *)out + done, (int)size, (int)room);
        if (n <= 0)
            return false;
        done += (size_t)n;
        at += size;
    }
    return done == out_size;
}

static bool unpack_nothing(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size)
{
    if (in_size < out_size)
        return false;
    memcpy(out, in, out_size);
    return true;
}

static const struct {
    const char *name;
    const char *magic;
    size_t magic_size;
    unpacker *unpack;
} formats[] = {
    {"gzip", "\037\213", 2, unpack_gzip},   {"xz", "\3757zXZ", 6, unpack_xz},
    {"zstd", "(\265/\375", 4, unpack_zstd}, {"lz4", "\002\041\114\030", 4, unpack_lz4},
    {"lzma", "\135\0\0", 3, unpack_lzma},   {"ELF", "\177ELF", 4, unpack_nothing},
};

int boot_unpack(const uint8_t *in, size_t in_size, size_t out_size, uint8_t **out,
                struct boot_error *error)
{
    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (in_size < formats[i].magic_size ||
            memcmp(in, formats[i].magic, formats[i].magic_size) != 0)
            continue;
        uint8_t *bytes = malloc(out_size ? out_size : 1);
        if (!bytes)
            return boot_fail(error, "no memory to unpack a kernel of %zu MiB",
                             out_size / (size_t)BOOT_MIB);
        if (!formats[i].unpack(in, in_size, bytes, out_size)) {
            free(bytes);
            return boot_fail(error,
                             "the kernel is damaged: its %s data does not unpack to %zu "
                             "bytes",
                             formats[i].name, out_size);
        }
        *out = bytes;
        return 0;
    }
    return 1;
}
