/* The formats: unpacking, rounding and packing of single, double and extended values. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/softfloat/softfloat.h"

#define TOP   ((sf_u128)1 << 127)
#define QUIET ((sf_u128)1 << 126)

/* An IEEE interchange format: sign, exponent, fraction, with a hidden integer bit. */
struct format {
    unsigned fraction; /* bits stored */
    int bias;
    int special; /* the exponent field of infinities and NaNs */
    int wrap;    /* what an unmasked overflow takes from the exponent */
};
static const struct format single = {23, 127, 0xff, 192}, wide = {52, 1023, 0x7ff, 1536};

enum { EXTENDED_BIAS = 16383, EXTENDED_SPECIAL = 0x7fff, EXTENDED_WRAP = 24576 };

/* --- Unpacking ------------------------------------------------------------------------------- */

struct sf sf_normal(bool sign, int32_t exp, sf_u128 sig)
{
    struct sf value = {.kind = SF_K_ZERO, .sign = sign};

    if (sig) {
        unsigned shift = sf_clz128(sig);

        value.kind = SF_K_FINITE;
        value.exp = exp - (int32_t)shift;
        value.sig = sig << shift;
    }
    return value;
}

static struct sf unpack(const struct sf_env *env, const struct format *f, uint64_t bits)
{
    uint64_t fraction = bits & ((1ull << f->fraction) - 1);
    int exponent = (int)(bits >> f->fraction) & f->special;
    bool sign = f == &single ? bits >> 31 & 1 : bits >> 63;
    sf_u128 sig = (sf_u128)fraction << (127 - f->fraction);
    struct sf value;

    if (exponent == f->special)
        return (struct sf){.kind = fraction ? SF_K_NAN : SF_K_INFINITY, .sign = sign, .sig = sig};
    if (exponent)
        return (struct sf){
            .kind = SF_K_FINITE, .sign = sign, .exp = exponent - f->bias, .sig = sig | TOP};
    if (env->daz)
        fraction = 0, sig = 0;
    value = sf_normal(sign, 1 - f->bias, sig);
    value.denormal = fraction != 0;
    return value;
}

struct sf sf_unpack32(const struct sf_env *env, uint32_t bits)
{
    return unpack(env, &single, bits);
}

struct sf sf_unpack64(const struct sf_env *env, uint64_t bits)
{
    return unpack(env, &wide, bits);
}

/* Intel SDM vol. 1, table 8-3: an extended value shows its integer bit, so it can be wrong. */
struct sf sf_unpack80(struct sf_extended bits)
{
    int exponent = bits.sign_exponent & 0x7fff;
    bool sign = bits.sign_exponent >> 15, integer = bits.significand >> 63;
    sf_u128 sig = (sf_u128)bits.significand << 64;
    struct sf value;

    if (exponent && !integer)
        return (struct sf){.kind = SF_K_UNSUPPORTED, .sign = sign, .sig = sig};
    if (exponent == EXTENDED_SPECIAL)
        return (struct sf){
            .kind = sig & ~TOP ? SF_K_NAN : SF_K_INFINITY, .sign = sign, .sig = sig & ~TOP};
    value = sf_normal(sign, (exponent ? exponent : 1) - EXTENDED_BIAS, sig);
    value.denormal = !exponent && sig; /* pseudo-denormals too */
    return value;
}

/* --- Rounding -------------------------------------------------------------------------------- */

/* Keep the upper bits of *sig.  A carry out of the top leaves 2^127 and returns true. */
static bool round_at(const struct sf_env *env, bool sign, unsigned bits, sf_u128 *sig,
                     bool *inexact, bool *up)
{
    sf_u128 unit = (sf_u128)1 << (128 - bits), rest = *sig & (unit - 1), half = unit >> 1;

    *inexact = rest != 0;
    switch (env->rounding) {
    case SF_NEAREST: *up = rest > half || (rest == half && (*sig & unit)); break;
    case SF_DOWN: *up = rest && sign; break;
    case SF_UP: *up = rest && !sign; break;
    default: *up = false;
    }
    *sig -= rest;
    if (*up)
        *sig += unit;
    if (*sig || !*up)
        return false;
    *sig = TOP;
    return true;
}

/* What a rounded value looks like in its format: the exponent field, and sig at the top. */
struct rounded {
    int field;
    sf_u128 sig;
};

/* Overflow goes to infinity or to the largest finite value (Intel SDM vol. 1, table 4-10). */
static struct rounded overflow(struct sf_env *env, bool sign, unsigned bits, int special)
{
    bool infinite = env->rounding == SF_NEAREST || env->rounding == (sign ? SF_DOWN : SF_UP);

    env->flags |= SF_OVERFLOW | SF_INEXACT;
    env->rounded_up = infinite;
    if (infinite)
        return (struct rounded){special, TOP};
    return (struct rounded){special - 1, ~(((sf_u128)1 << (128 - bits)) - 1)};
}

/*
 * The exponent after an unmasked over- or underflow: moved by wrap (Intel SDM vol. 1, 4.9.1.4), or
 * what is beyond even that (FSCALE), infinity or zero.
 */
static struct rounded unmasked_range(struct sf_env *env, int field, sf_u128 sig, bool inexact,
                                     int special, int wrap)
{
    bool over = field >= special;

    env->flags |= over ? SF_OVERFLOW : SF_UNDERFLOW;
    field += over ? -wrap : wrap;
    env->flags |= inexact ? SF_INEXACT : 0;
    if (field > 0 && field < special)
        return (struct rounded){field, sig};
    env->flags |= env->x87 ? SF_INEXACT : 0; /* SSE has no result, and does not look so far */
    env->rounded_up = over;
    return over ? (struct rounded){special, TOP} : (struct rounded){0, 0};
}

/*
 * Round a finite value.  Tininess is detected after rounding, as x86 does (Intel SDM vol. 1,
 * 4.9.1.5).
 */
static struct rounded round_finite(struct sf_env *env, struct sf value, unsigned bits, int bias,
                                   int special, int wrap)
{
    sf_u128 sig = value.sig;
    bool inexact, up;
    int field = value.exp + bias + round_at(env, value.sign, bits, &sig, &inexact, &up);

    env->rounded_up = up;
    if (field >= special) {
        if (env->masked & SF_OVERFLOW)
            return overflow(env, value.sign, bits, special);
        return unmasked_range(env, field, sig, inexact, special, wrap);
    }
    if (field <= 0) {
        if (!(env->masked & SF_UNDERFLOW))
            return unmasked_range(env, field, sig, inexact, special, wrap);
        if (env->ftz) {
            env->flags |= SF_UNDERFLOW | SF_INEXACT;
            env->rounded_up = false;
            return (struct rounded){0, 0};
        }
        sig = sf_shift_sticky(value.sig, (unsigned)(1 - (value.exp + bias)));
        round_at(env, value.sign, bits, &sig, &inexact, &up);
        env->rounded_up = up;
        env->flags |= inexact ? SF_UNDERFLOW | SF_INEXACT : 0;
        return (struct rounded){sig >> 127 ? 1 : 0, sig};
    }
    env->flags |= inexact ? SF_INEXACT : 0;
    return (struct rounded){field, sig};
}

/* --- Packing --------------------------------------------------------------------------------- */

static uint64_t pack(struct sf_env *env, const struct format *f, struct sf value)
{
    struct rounded r = {0, 0};

    switch (value.kind) {
    case SF_K_ZERO: break;
    case SF_K_FINITE:
        r = round_finite(env, value, f->fraction + 1, f->bias, f->special, f->wrap);
        break;
    case SF_K_INFINITY: r.field = f->special; break;
    default: r = (struct rounded){f->special, value.sig | QUIET};
    }
    return (uint64_t)value.sign << (f == &single ? 31 : 63) | (uint64_t)r.field << f->fraction |
           (uint64_t)((r.sig & ~TOP) >> (127 - f->fraction));
}

uint32_t sf_pack32(struct sf_env *env, struct sf value)
{
    return (uint32_t)pack(env, &single, value);
}

uint64_t sf_pack64(struct sf_env *env, struct sf value)
{
    return pack(env, &wide, value);
}

struct sf_extended sf_pack80(struct sf_env *env, struct sf value)
{
    struct rounded r = {0, 0};

    switch (value.kind) {
    case SF_K_ZERO: break;
    case SF_K_FINITE:
        r = round_finite(env, value, env->precision, EXTENDED_BIAS, EXTENDED_SPECIAL,
                         EXTENDED_WRAP);
        break;
    case SF_K_INFINITY: r = (struct rounded){EXTENDED_SPECIAL, TOP}; break;
    default: r = (struct rounded){EXTENDED_SPECIAL, value.sig | QUIET | TOP};
    }
    return (struct sf_extended){(uint64_t)(r.sig >> 64),
                                (uint16_t)((value.sign ? 0x8000 : 0) | r.field)};
}
