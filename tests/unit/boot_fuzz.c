/* Small valid kernels with thousands of random changes: each loads or is refused with a message. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "boot_images.h"
#include "random.h"

enum { ROUNDS = 4000 };

/* Changes one to four places, most of them where the headers are. */
static void mutate(struct image *image, uint64_t *random)
{
    for (unsigned n = 1 + random_next(random) % 4; n; n--) {
        size_t reach = random_next(random) % 4 ? 0x400 : image->size;
        size_t at = random_next(random) % (reach < image->size ? reach : image->size);
        unsigned width = 1u << random_next(random) % 4;
        if (at + width > image->size)
            continue;
        uint8_t bytes[8];
        put64(bytes, random_interesting(random));
        memcpy(image->bytes + at, bytes, width);
    }
    if (random_next(random) % 8 == 0)
        image->size -= random_next(random) % image->size;
}

static struct image pick(uint64_t *random)
{
    unsigned kind = random_next(random) % (PACKINGS + 4);
    if (kind < PACKINGS) {
        struct image vmlinux = image_elf(random_next(random) % 4, false, false);
        if (random_next(random) % 2)
            mutate(&vmlinux, random);
        struct image image = image_bzimage(kind, &vmlinux);
        image_free(&vmlinux);
        return image;
    }
    return kind == PACKINGS ? image_multiboot()
                            : image_elf(kind != PACKINGS + 1, random_next(random) % 2, true);
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
    uint64_t random = random_start(seed);
    unsigned loaded = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct image image = pick(&random);
        if (random_next(&random) % 8)
            mutate(&image, &random);
        uint8_t *exact = malloc(image.size ? image.size : 1);
        memcpy(exact, image.bytes, image.size);
        struct vm *vm = image_machine(random_next(&random) % 4 ? 64 * BOOT_MIB : 17 * BOOT_MIB, 2);
        struct boot_config config = {
            .kernel = exact,
            .kernel_size = image.size,
            .initrd = exact,
            .initrd_size = random_next(&random) % 2 ? image.size : 0,
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
