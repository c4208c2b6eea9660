/* Small valid kernels with thousands of random changes: each loads or is refused with a message. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "boot_images.h"

enum { ROUNDS = 4000 };

/* xorshift64*: the same numbers everywhere for a seed. */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

static uint64_t interesting(uint64_t *random)
{
    static const uint64_t values[] = {
        0,          1,          0x7f,        0xff,    0xffff,        0x7fffffff,
        0xffffffff, 0x100000,   0xe0000,     0x9f000, 0xa0000,       0x1000000,
        0xc0000000, 0xbffffff0, 0x100000000, ~0ull,   ~0ull - 0xfff, 1ull << 63,
    };
    uint64_t value = values[next(random) % (sizeof(values) / sizeof(values[0]))];
    return next(random) % 3 ? value : value + next(random) % 17 - 8;
}

/* Changes one to four places, most of them where the headers are. */
static void mutate(struct image *image, uint64_t *random)
{
    for (unsigned n = 1 + next(random) % 4; n; n--) {
        size_t reach = next(random) % 4 ? 0x400 : image->size;
        size_t at = next(random) % (reach < image->size ? reach : image->size);
        unsigned width = 1u << next(random) % 4;
        if (at + width > image->size)
            continue;
        uint8_t bytes[8];
        put64(bytes, next(random) % 2 ? interesting(random) : next(random));
        memcpy(image->bytes + at, bytes, width);
    }
    if (next(random) % 8 == 0)
        image->size -= next(random) % image->size;
}

static struct image pick(uint64_t *random)
{
    unsigned kind = next(random) % (PACKINGS + 4);
    if (kind < PACKINGS) {
        struct image vmlinux = image_elf(next(random) % 4, false, false);
        if (next(random) % 2)
            mutate(&vmlinux, random);
        struct image image = image_bzimage(kind, &vmlinux);
        image_free(&vmlinux);
        return image;
    }
    return kind == PACKINGS ? image_multiboot()
                            : image_elf(kind != PACKINGS + 1, next(random) % 2, true);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
    uint64_t random = seed * 0x9e3779b97f4a7c15ull | 1;
    unsigned loaded = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct image image = pick(&random);
        if (next(&random) % 8)
            mutate(&image, &random);
        uint8_t *exact = malloc(image.size ? image.size : 1);
        memcpy(exact, image.bytes, image.size);
        struct vm *vm = image_machine(next(&random) % 4 ? 64 * BOOT_MIB : 17 * BOOT_MIB, 2);
        struct boot_config config = {
            .kernel = exact,
            .kernel_size = image.size,
            .initrd = exact,
            .initrd_size = next(&random) % 2 ? image.size : 0,
            .cmdline = "a=b",
        };
        struct ringside_regs regs;
        struct boot_error error = {""};
        int result = boot_load(vm, &config, &regs, &error);
        loaded += result == 0;
        if (result && (!error.text[0] || strchr(error.text, '\n'))) {
            printf("round %u: refused without a message\n", round);
            return 1;
        }
        uint8_t *elf = NULL;
        size_t size;
        if (!boot_extract_elf(exact, image.size, &elf, &size, &error))
            free(elf);
        vm_free(vm);
        free(exact);
        image_free(&image);
    }
    printf("%u of %u loaded\n", loaded, ROUNDS);
    return loaded == 0 || loaded == ROUNDS; /* both must happen, or nothing was tested */
}
