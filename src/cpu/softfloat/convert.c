/* Comparison, rounding to integral values, and conversion from and to integers. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/softfloat/softfloat.h"

/* --- Comparison ------------------------------------------------------------------------------ */

static enum sf_order compare_magnitude(struct sf a, struct sf b)
{
    if (a.kind != b.kind) /* ZERO < FINITE < INFINITY */
        return a.kind < b.kind ? SF_LESS : SF_GREATER;
    if (a.kind != SF_K_FINITE)
        return SF_EQUAL;
    if (a.exp != b.exp)
        return a.exp < b.exp ? SF_LESS : SF_GREATER;
    return a.sig == b.sig ? SF_EQUAL : a.sig < b.sig ? SF_LESS : SF_GREATER;
}

enum sf_order sf_compare(struct sf_env *env, struct sf a, struct sf b, bool signaling)
{
    if (sf_is_nan(a) || sf_is_nan(b)) {
        sf_propagate(env, a, b);
        if (signaling)
            env->flags |= SF_INVALID;
        return SF_UNORDERED;
    }
    sf_note_denormals(env, a, b);
    if (a.kind == SF_K_ZERO && b.kind == SF_K_ZERO)
        return SF_EQUAL;
    if (a.sign != b.sign)
        return a.sign ? SF_LESS : SF_GREATER;
    return a.sign ? compare_magnitude(b, a) : compare_magnitude(a, b);
}

/* --- Integers -------------------------------------------------------------------------------- */

/*
 * The magnitude of a finite value with exp < 64, rounded to an integer, which may be 2^64; raises
 * inexact.
 */
static sf_u128 integral(struct sf_env *env, struct sf a, enum sf_rounding rounding)
{
    /* 64 bits of integer over 64 bits of fraction, the lowest one sticky */
    sf_u128 fixed = sf_shift_sticky(a.sig, (unsigned)(63 - a.exp));
    uint64_t rest = (uint64_t)fixed, half = 1ull << 63;
    sf_u128 value = fixed >> 64;
    bool up;

    switch (rounding) {
    case SF_NEAREST: up = rest > half || (rest == half && (value & 1)); break;
    case SF_DOWN: up = rest && a.sign; break;
    case SF_UP: up = rest && !a.sign; break;
    default: up = false;
    }
    if (rest)
        env->flags |= SF_INEXACT;
    env->rounded_up = up;
    return value + up;
}

struct sf sf_round(struct sf_env *env, struct sf a, enum sf_rounding rounding)
{
    if (sf_is_nan(a))
        return sf_propagate(env, a, a);
    if (a.kind != SF_K_FINITE || a.exp >= 63)
        return a;
    return sf_normal(a.sign, 63, integral(env, a, rounding) << 64);
}

int64_t sf_to_int(struct sf_env *env, struct sf a, unsigned bits, enum sf_rounding rounding)
{
    uint64_t limit = 1ull << (bits - 1); /* the magnitude of the most negative */
    uint8_t flags = env->flags;
    sf_u128 value;

    if (a.kind == SF_K_ZERO)
        return 0;
    if (a.kind == SF_K_FINITE && a.exp < 64) {
        value = integral(env, a, rounding);
        if (value < limit || (a.sign && value == limit))
            return (int64_t)(a.sign ? 0 - (uint64_t)value : (uint64_t)value);
    }
    env->flags = flags | SF_INVALID;
    env->rounded_up = false;
    return (int64_t)(0 - limit);
}

struct sf sf_from_int(int64_t value)
{
    uint64_t magnitude = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    return sf_normal(value < 0, 63, (sf_u128)magnitude << 64);
}
