/* Kallsyms and ORC tables with thousands of random changes: each is read or refused. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kallsyms.h"
#include "kallsyms_image.h"
#include "orc.h"
#include "random.h"

enum { ROUNDS = 3000, HEADERS = 0x78, TABLES = 0x8000 };

static void mutate(struct image *image, uint64_t *random)
{
    for (unsigned n = 1 + random_next(random) % 4; n; n--) {
        /* Headers, ORC tables, the beginning of kallsyms, or anywhere in the tables. */
        size_t at = random_next(random) % HEADERS;
        switch (random_next(random) % 4) {
        case 0: at = TABLES + random_next(random) % 0x200; break;
        case 1: at = TABLES + 0x1000 + random_next(random) % 0x1000; break;
        case 2: at = TABLES + random_next(random) % (image->size - TABLES); break;
        }
        uint8_t bytes[8];
        put64(bytes, random_interesting(random));
        unsigned width = 1u << random_next(random) % 4;
        if (at + width <= image->size)
            memcpy(image->bytes + at, bytes, width);
    }
    if (random_next(random) % 8 == 0)
        image->size -= random_next(random) % image->size;
}

static bool read_all(const uint8_t *bytes, size_t size)
{
    struct boot_error error;
    struct boot_elf elf;
    struct kallsyms kallsyms;
    uint8_t *frames = NULL;
    if (boot_elf_open(&elf, bytes, size, &error) || kallsyms_read(&kallsyms, &elf, &error))
        return false;
    int result = orc_to_debug_frame(&elf, &kallsyms, &frames, &size, &error);
    if (!result)
        free(frames);
    kallsyms_free(&kallsyms);
    return !result;
}

int main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
    uint64_t random = random_start(seed);
    unsigned good = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct image image =
            image_kallsyms(random_next(&random) % KALLSYMS_LAYOUTS, random_next(&random) % 2);
        mutate(&image, &random);
        uint8_t *exact = malloc(image.size ? image.size : 1);
        memcpy(exact, image.bytes, image.size);
        good += read_all(exact, image.size);
        free(exact);
        image_free(&image);
    }
    printf("%u of %u read\n", good, ROUNDS);
    return good == 0 || good == ROUNDS; /* both must happen, or nothing was tested */
}
