/* Reproducible operands for the floating-point tests: ordinary, special and nearly special ones. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_FPU_RANDOM_H
#define TESTS_FPU_RANDOM_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t random_seed;

/* SEED and CASES in the environment override the defaults; the seed is printed. */
static inline unsigned random_start(unsigned cases)
{
    const char *seed = getenv("SEED"), *count = getenv("CASES");

    random_seed = seed ? strtoull(seed, NULL, 0) : 20261120;
    if (count)
        cases = (unsigned)strtoul(count, NULL, 0);
    printf("SEED=%llu CASES=%u\n", (unsigned long long)random_seed, cases);
    return cases;
}

/* SplitMix64 */
static inline uint64_t random64(void)
{
    uint64_t z = random_seed += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

/* An exponent field: mostly near 1, often at an edge of the format. */
static inline uint64_t random_exponent(unsigned fraction, unsigned bits)
{
    uint64_t r = random64(), special = (1ull << bits) - 1, bias = special >> 1;

    switch (r & 15) {
    case 0: return 0;
    case 1: return special;
    case 2: return 1 + (r >> 8 & 3);
    case 3: return special - 1 - (r >> 8 & 3);
    case 4: return bias + fraction / 2;
    case 5: return bias / 2 + (r >> 8) % 60;
    case 6: return random64() & special;
    case 7: return bias + 25 + (r >> 8) % 42;
    case 8: return bias + 10 + (r >> 8) % 8;
    default: return bias - 4 + (r >> 8 & 7);
    }
}

static inline uint64_t random_fraction(unsigned bits)
{
    uint64_t all = ~0ull >> (64 - bits), value = random64() & all;

    switch (random64() & 7) {
    case 0: return 0;
    case 1: return all;
    case 2: return value & value >> 7 & value << 9;
    case 3: return random64() & 3;
    case 4: return value & ~0ull << bits / 2;
    default: return value;
    }
}

/* A single (23, 8) or double (52, 11). */
static inline uint64_t random_float(unsigned fraction, unsigned exponent_bits)
{
    return (random64() & 1) << (fraction + exponent_bits) |
           random_exponent(fraction, exponent_bits) << fraction | random_fraction(fraction);
}

#endif
