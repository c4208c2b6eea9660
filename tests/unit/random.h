/* Random numbers that are the same everywhere for a seed. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_RANDOM_H
#define TESTS_UNIT_RANDOM_H

#include <stdint.h>

static inline uint64_t random_start(uint64_t seed)
{
    return seed * 0x9e3779b97f4a7c15ull | 1;
}

/* xorshift64* */
static inline uint64_t random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1dull;
}

/* Any number, but often one at which checks go wrong. */
static inline uint64_t random_interesting(uint64_t *state)
{
    static const uint64_t values[] = {
        0,         1,          0x7f,       0xff,        0xffff, 0x7fffffff,   0xffffffff,
        0x100000,  0xe0000,    0x9f000,    0xa0000,     ~0ull,  ~0ull - 4095, 1ull << 63,
        0x1000000, 0xc0000000, 0xbffffff0, 0x100000000,
    };
    if (random_next(state) % 2)
        return random_next(state);
    uint64_t value = values[random_next(state) % (sizeof(values) / sizeof(values[0]))];
    return random_next(state) % 3 ? value : value + random_next(state) % 17 - 8;
}

#endif
