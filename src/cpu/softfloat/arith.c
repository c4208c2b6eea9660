/* Add, subtract, multiply, divide, square root, on unpacked values. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/softfloat/softfloat.h"

#define TOP   ((sf_u128)1 << 127)
#define QUIET ((sf_u128)1 << 126)

/* --- NaNs ------------------------------------------------------------------------------------ */

struct sf sf_invalid(struct sf_env *env)
{
    env->flags |= SF_INVALID;
    return (struct sf){.kind = SF_K_NAN, .sign = true, .sig = QUIET};
}

static bool signaling(struct sf a)
{
    return a.kind == SF_K_NAN && !(a.sig & QUIET);
}

/*
 * Intel SDM vol. 1, table 4-7.  SSE: the first operand if it is a NaN, else the second.  x87: of a
 * signaling and a quiet NaN the quiet one, else the one with the larger significand, of equal ones
 * the positive.
 */
struct sf sf_propagate(struct sf_env *env, struct sf a, struct sf b)
{
    bool first = a.kind == SF_K_NAN;

    if (a.kind == SF_K_UNSUPPORTED || b.kind == SF_K_UNSUPPORTED)
        return sf_invalid(env);
    if (signaling(a) || signaling(b))
        env->flags |= SF_INVALID;
    if (env->x87 && first && b.kind == SF_K_NAN) {
        if (signaling(a) != signaling(b))
            first = signaling(b);
        else
            first = a.sig != b.sig ? a.sig > b.sig : !a.sign;
    }
    if (!first)
        a = b;
    a.sig |= QUIET;
    return a;
}

struct sf sf_operand(struct sf_env *env, struct sf value)
{
    if (sf_is_nan(value))
        return sf_propagate(env, value, value);
    if (value.denormal)
        env->flags |= SF_DENORMAL;
    return value;
}

/* --- Sums ------------------------------------------------------------------------------------ */

static bool magnitude_less(struct sf a, struct sf b)
{
    return a.exp != b.exp ? a.exp < b.exp : a.sig < b.sig;
}

/*
 * Both significands move down one bit to make room for a carry, and the smaller one down to the
 * larger's exponent: what falls out below 128 bits is sticky, far from any rounding position.
 */
static struct sf add_finite(struct sf_env *env, struct sf a, struct sf b)
{
    sf_u128 big, small;
    struct sf sum;

    if (magnitude_less(a, b)) {
        struct sf swap = a;

        a = b;
        b = swap;
    }
    big = a.sig >> 1;
    small = sf_shift_sticky(b.sig, 1 + (unsigned)(a.exp - b.exp));
    sum = sf_normal(a.sign, a.exp + 1, a.sign == b.sign ? big + small : big - small);
    if (sum.kind == SF_K_ZERO)
        sum.sign = env->rounding == SF_DOWN;
    return sum;
}

struct sf sf_add(struct sf_env *env, struct sf a, struct sf b)
{
    if (sf_is_nan(a) || sf_is_nan(b))
        return sf_propagate(env, a, b);
    if (a.kind == SF_K_INFINITY && b.kind == SF_K_INFINITY && a.sign != b.sign)
        return sf_invalid(env);
    sf_note_denormals(env, a, b);
    a.denormal = b.denormal = false;
    if (a.kind == SF_K_INFINITY || b.kind == SF_K_INFINITY)
        return a.kind == SF_K_INFINITY ? a : b;
    if (a.kind == SF_K_ZERO && b.kind == SF_K_ZERO)
        return sf_zero(a.sign == b.sign ? a.sign : env->rounding == SF_DOWN);
    if (a.kind == SF_K_ZERO || b.kind == SF_K_ZERO)
        return a.kind == SF_K_ZERO ? b : a;
    return add_finite(env, a, b);
}

struct sf sf_sub(struct sf_env *env, struct sf a, struct sf b)
{
    if (!sf_is_nan(b))
        b.sign = !b.sign;
    return sf_add(env, a, b);
}

/* --- Products and quotients ------------------------------------------------------------------ */

struct sf sf_mul(struct sf_env *env, struct sf a, struct sf b)
{
    bool sign = a.sign != b.sign;

    if (sf_is_nan(a) || sf_is_nan(b))
        return sf_propagate(env, a, b);
    if ((a.kind == SF_K_INFINITY && b.kind == SF_K_ZERO) ||
        (a.kind == SF_K_ZERO && b.kind == SF_K_INFINITY))
        return sf_invalid(env);
    sf_note_denormals(env, a, b);
    if (a.kind == SF_K_INFINITY || b.kind == SF_K_INFINITY)
        return sf_infinity(sign);
    if (a.kind == SF_K_ZERO || b.kind == SF_K_ZERO)
        return sf_zero(sign);
    return sf_normal(sign, a.exp + b.exp + 1,
                     (sf_u128)(uint64_t)(a.sig >> 64) * (uint64_t)(b.sig >> 64));
}

/* Schoolbook division with 32-bit digits (Knuth, TAOCP vol. 2, 4.3.1, algorithm D). */
uint64_t sf_divide(uint64_t high, uint64_t divisor, uint64_t *remainder)
{
    uint64_t top = divisor >> 32, quotient = 0;

    for (unsigned digit = 0; digit < 2; digit++) {
        uint64_t q = high / top;
        sf_u128 product, part = (sf_u128)high << 32;

        if (q >> 32)
            q = 0xffffffff;
        product = (sf_u128)q * divisor;
        while (product > part) {
            q--;
            product -= divisor;
        }
        high = (uint64_t)(part - product);
        quotient = quotient << 32 | q;
    }
    *remainder = high;
    return quotient;
}

struct sf sf_div(struct sf_env *env, struct sf a, struct sf b)
{
    bool sign = a.sign != b.sign;
    uint64_t dividend, divisor, high, low, rest;

    if (sf_is_nan(a) || sf_is_nan(b))
        return sf_propagate(env, a, b);
    if (a.kind == b.kind && a.kind != SF_K_FINITE)
        return sf_invalid(env);
    if (b.kind == SF_K_ZERO && a.kind == SF_K_FINITE) {
        env->flags |= SF_DIVZERO;
        return sf_infinity(sign);
    }
    sf_note_denormals(env, a, b);
    if (a.kind == SF_K_INFINITY || b.kind == SF_K_ZERO)
        return sf_infinity(sign);
    if (a.kind == SF_K_ZERO || b.kind == SF_K_INFINITY)
        return sf_zero(sign);

    dividend = (uint64_t)(a.sig >> 64);
    divisor = (uint64_t)(b.sig >> 64);
    if (dividend < divisor) {
        high = sf_divide(dividend, divisor, &rest);
        low = sf_divide(rest, divisor, &rest);
        return sf_normal(sign, a.exp - b.exp - 1, ((sf_u128)high << 64 | low) | (rest != 0));
    }
    high = sf_divide(dividend - divisor, divisor, &rest);
    low = sf_divide(rest, divisor, &rest);
    /* The quotient is 1.high:low. */
    return sf_normal(sign, a.exp - b.exp,
                     TOP | sf_shift_sticky((sf_u128)high << 64 | low, 1) | (rest != 0));
}

/* --- Square root ----------------------------------------------------------------------------- */

/* The integer square root of n >= 2^126, a bit at a time, and what remains. */
static uint64_t root_of(sf_u128 n, sf_u128 *remainder)
{
    uint64_t root = 0;

    for (int bit = 63; bit >= 0; bit--) {
        /* (root + 2^bit)^2 - root^2, taken from what is left if it fits */
        sf_u128 step = ((sf_u128)root << (bit + 1)) + ((sf_u128)1 << (2 * bit));

        if (n >= step) {
            n -= step;
            root |= 1ull << bit;
        }
    }
    *remainder = n;
    return root;
}

struct sf sf_sqrt(struct sf_env *env, struct sf a)
{
    sf_u128 rest;
    uint64_t root;

    if (sf_is_nan(a))
        return sf_propagate(env, a, a);
    if (a.kind == SF_K_ZERO)
        return a;
    if (a.sign)
        return sf_invalid(env);
    sf_note_denormals(env, a, a);
    if (a.kind == SF_K_INFINITY)
        return a;
    /* The exponent halves: an odd one keeps the significand where it is, an even one gives a bit.
     * Between root and root + 1 the remainder tells the half. */
    root = root_of(a.exp & 1 ? a.sig : a.sig >> 1, &rest);
    return sf_normal(false, a.exp >> 1,
                     (sf_u128)root << 64 | (sf_u128)(rest > root) << 63 | (rest != 0));
}
