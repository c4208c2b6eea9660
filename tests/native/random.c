/* Random registers and memory for instructions, often next to the limits of their types. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "random.h"

#include <string.h>

#include "x86/regs.h"

uint64_t random_next(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random * 0x2545f4914f6cdd1dull;
}

unsigned random_pick(uint64_t *random, unsigned n)
{
    return (unsigned)(random_next(random) >> 32) % n;
}

bool random_one_in(uint64_t *random, unsigned n)
{
    return random_pick(random, n) == 0;
}

static uint64_t any_integer(uint64_t *random)
{
    uint64_t r = random_next(random);

    switch (random_pick(random, 8)) {
    case 0: return 0;
    case 1: return r & 0xff;
    case 2: return 0 - (r & 0xff);
    case 3: return 1ull << (r & 63);
    case 4: return (1ull << (r & 63)) - 1;
    case 5: return r & 0xffffffff;
    case 6: return (uint64_t)(int32_t)r;
    default: return r;
    }
}

static uint32_t any_single(uint64_t *random)
{
    static const uint32_t special[] = {0x00000000, 0x3f800000, 0x7f800000, 0x7fc00000, 0x7f800001,
                                       0x00000001, 0x007fffff, 0x00800000, 0x7f7fffff, 0x3f000000,
                                       0x3fc00000, 0x40200000, 0x4f000000, 0x4effffff, 0x5f000000,
                                       0x34000000, 0x3f7fffff, 0x3f800001, 0x7fffffff, 0x46fffe00};
    uint32_t r = (uint32_t)(random_next(random) >> 32);

    switch (random_pick(random, 4)) {
    case 0:
        return special[random_pick(random, sizeof special / sizeof special[0])] | (r & 0x80000000);
    case 1: return r;
    default: return (r & 0x807fffff) | (uint32_t)(117 + random_pick(random, 20)) << 23;
    }
}

static uint64_t any_double(uint64_t *random)
{
    static const uint64_t special[] = {
        0x0000000000000000, 0x3ff0000000000000, 0x7ff0000000000000, 0x7ff8000000000000,
        0x7ff0000000000001, 0x0000000000000001, 0x000fffffffffffff, 0x0010000000000000,
        0x7fefffffffffffff, 0x3fe0000000000000, 0x3ff8000000000000, 0x4004000000000000,
        0x41e0000000000000, 0x41dfffffffc00000, 0x43e0000000000000, 0x3ca0000000000000,
        0x3fefffffffffffff, 0x3ff0000000000001, 0x47efffffe0000000, 0x3810000000000000};
    uint64_t r = random_next(random);

    switch (random_pick(random, 4)) {
    case 0:
        return special[random_pick(random, sizeof special / sizeof special[0])] | (r & 1ull << 63);
    case 1: return r;
    default: return (r & 0x800fffffffffffff) | (uint64_t)(1003 + random_pick(random, 60)) << 52;
    }
}

static void any_extended(uint64_t *random, uint64_t *significand, uint16_t *sign_exponent)
{
    const uint64_t integer = 1ull << 63;
    uint64_t r = random_next(random);
    uint16_t sign = r & 1 ? 0x8000 : 0;
    uint64_t fraction = random_one_in(random, 3) ? 0 : random_next(random);

    switch (random_pick(random, 12)) {
    case 0: *significand = 0, *sign_exponent = sign; break;
    case 1: *significand = integer, *sign_exponent = sign | 0x7fff; break; /* infinity */
    case 2: *significand = integer | fraction | 1, *sign_exponent = sign | 0x7fff; break; /* NaN */
    case 3: *significand = fraction & ~integer, *sign_exponent = sign; break; /* denormal, zero */
    case 4: /* any bits, among them encodings that are not supported */
        *significand = random_next(random);
        *sign_exponent = (uint16_t)random_next(random);
        break;
    case 5: /* a small integer */
        *significand = integer | (uint64_t)random_pick(random, 256) << 55;
        *sign_exponent = sign | (uint16_t)(0x3fff + random_pick(random, 9));
        break;
    case 6: *significand = integer, *sign_exponent = sign | 0x3fff; break; /* 1 */
    default:
        *significand = integer | fraction;
        *sign_exponent = sign | (uint16_t)(0x3fff - 40 + (int)random_pick(random, 80));
        break;
    }
}

/* 16 bytes of one kind of data. */
static void any_vector(uint64_t *random, uint8_t *out)
{
    unsigned kind = random_pick(random, 5);

    for (unsigned at = 0; at < 16; at += 8) {
        uint64_t value = 0;

        switch (kind) {
        case 0: value = any_single(random) | (uint64_t)any_single(random) << 32; break;
        case 1: value = any_double(random); break;
        case 2: value = any_integer(random); break;
        case 3: value = random_next(random); break;
        default: /* small elements next to the limits */
            for (unsigned i = 0; i < 4; i++)
                value |= (uint64_t)(uint16_t)(0x7ffe + random_pick(random, 5) -
                                              (random_one_in(random, 2) ? 0x8000 : 0))
                         << 16 * i;
            break;
        }
        memcpy(out + at, &value, 8);
    }
}

static void any_x87(uint64_t *random, struct native_fx *fx)
{
    unsigned kind = random_pick(random, 8);

    for (int i = 0; i < 8; i++)
        any_extended(random, &fx->st[i].significand, &fx->st[i].sign_exponent);
    fx->ftw = kind == 0 ? 0 : kind == 1 ? (uint8_t)random_next(random) : 0xff;
    fx->fcw = 0x37f;
    if (random_one_in(random, 2))
        fx->fcw = (uint16_t)(0x7f | random_pick(random, 16) << 8);
    if ((fx->fcw & 0x300) == 0x100) /* a reserved precision */
        fx->fcw |= 0x200;
    if (random_one_in(random, 4))
        fx->fcw &= (uint16_t)~random_pick(random, 64);
    fx->fsw = (uint16_t)(random_pick(random, 8) << 11);
    if (random_one_in(random, 4))
        fx->fsw |= (uint16_t)(random_pick(random, 16) * 0x100 & 0x4700); /* condition codes */
    if ((fx->fcw & 0x3f) == 0x3f && random_one_in(random, 4))
        fx->fsw |= (uint16_t)random_pick(random, 64);
}

void random_state(uint64_t *random, struct native_state *s)
{
    memset(s, 0, sizeof(*s));
    for (int i = 0; i < 16; i++)
        s->gpr[i] = any_integer(random);
    s->rflags = random_next(random) & X86_FLAGS_ARITH;
    if (random_one_in(random, 4))
        s->rflags |= X86_FLAG_DF;
    for (unsigned at = 0; at < NATIVE_PAGE; at += 16)
        any_vector(random, s->data + at);
    for (int i = 0; i < 16; i++)
        any_vector(random, (uint8_t *)s->fx.xmm[i]);
    any_x87(random, &s->fx);
    s->fx.mxcsr = 0x1f80;
    if (random_one_in(random, 2))
        s->fx.mxcsr = 0x1f80 | random_pick(random, 4) << 13 | random_pick(random, 64);
    if (random_one_in(random, 8))
        s->fx.mxcsr ^= random_pick(random, 64) << 7;
    if (random_one_in(random, 8))
        s->fx.mxcsr ^= random_one_in(random, 2) ? 1u << 15 : 1u << 6; /* flush to zero, DAZ */
}
