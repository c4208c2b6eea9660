/* Transcendental functions in 128-bit integers: series with their arguments reduced exactly. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/softfloat/wide.h"

const struct sf sf_pi = SF_CONSTANT(1, 0xc90fdaa22168c234, 0xc4c6628b80dc1cd1);
const struct sf sf_log2_10 = SF_CONSTANT(1, 0xd49a784bcd1b8afe, 0x492bf6ff4dafdb4d);
const struct sf sf_log2_e = SF_CONSTANT(0, 0xb8aa3b295c17f0bb, 0xbe87fed0691d3e89);
const struct sf sf_log10_2 = SF_CONSTANT(-2, 0x9a209a84fbcff798, 0x8f8959ac0b7c9178);
const struct sf sf_ln_2 = SF_CONSTANT(-1, 0xb17217f7d1cf79ab, 0xc9e3b39803f2f6af);

static const struct sf one = SF_CONSTANT(0, 1ull << 63, 0);

/* --- 128-bit arithmetic ---------------------------------------------------------------------- */

/* The upper half of the product. */
static sf_u128 mul_high(sf_u128 a, sf_u128 b)
{
    uint64_t a1 = (uint64_t)(a >> 64), a0 = (uint64_t)a;
    uint64_t b1 = (uint64_t)(b >> 64), b0 = (uint64_t)b;
    sf_u128 middle = (sf_u128)a1 * b0 + ((sf_u128)a0 * b0 >> 64);
    sf_u128 other = (sf_u128)a0 * b1 + (uint64_t)middle;

    return (sf_u128)a1 * b1 + (middle >> 64) + (other >> 64);
}

static sf_u128 div_small(sf_u128 a, uint32_t divisor)
{
    sf_u128 quotient = 0;
    uint64_t rest = 0;

    for (int shift = 96; shift >= 0; shift -= 32) {
        rest = rest << 32 | (uint32_t)(a >> shift);
        quotient |= (sf_u128)(rest / divisor) << shift;
        rest %= divisor;
    }
    return quotient;
}

struct sf sf_wide_mul(struct sf a, struct sf b)
{
    return sf_normal(a.sign != b.sign, a.exp + b.exp + 1, mul_high(a.sig, b.sig));
}

struct sf sf_wide_div(struct sf a, struct sf b)
{
    sf_u128 rest = a.sig, quotient = 0;
    bool carry = false;

    for (unsigned i = 0; i < 128; i++) {
        quotient <<= 1;
        if (carry || rest >= b.sig) {
            rest -= b.sig;
            quotient |= 1;
        }
        carry = rest >> 127;
        rest <<= 1;
    }
    return sf_normal(a.sign != b.sign, a.exp - b.exp, quotient | (rest != 0));
}

static struct sf add(struct sf a, struct sf b)
{
    struct sf_env env = {0};

    return sf_add(&env, a, b);
}

static struct sf negate(struct sf a)
{
    a.sign = !a.sign;
    return a;
}

/* |a| < 1 with 128 fraction bits. */
static sf_u128 fraction(struct sf a)
{
    return a.exp < -128 ? 0 : a.sig >> (-1 - a.exp);
}

/* a times a factor with 127 fraction bits. */
static struct sf scale(struct sf a, sf_u128 factor)
{
    return sf_wide_mul(a, sf_normal(false, 0, factor));
}

/* A sum that starts with 1 and goes down is below 1 even where 128 bits cannot show it. */
static sf_u128 below_one(sf_u128 sum)
{
    return sum == SF_ONE ? SF_ONE - 1 : sum;
}

static struct sf inexact(struct sf a)
{
    a.sig |= 1;
    return a;
}

/* --- Exponential ----------------------------------------------------------------------------- */

/* With y = x ln 2: y (1 + y/2! + y^2/3! + ...), nested. */
struct sf sf_exp2m1(struct sf x)
{
    struct sf y = sf_wide_mul(x, sf_ln_2);
    sf_u128 t = fraction(y), sum = SF_ONE;

    if (x.exp >= 0) { /* +-1 */
        return x.sign ? (struct sf){.kind = SF_K_FINITE, .sign = true, .exp = -1, .sig = SF_ONE}
                      : one;
    }
    for (uint32_t k = 34; k >= 2; k--) {
        sf_u128 term = div_small(mul_high(t, sum), k);

        sum = x.sign ? SF_ONE - term : SF_ONE + term;
    }
    return inexact(scale(y, sum));
}

/* --- Logarithms ------------------------------------------------------------------------------ */

/* log2((1 + s) / (1 - s)) = 2 / ln 2 (s + s^3/3 + s^5/5 + ...) for |s| <= 0.172. */
static struct sf log2_ratio(struct sf s)
{
    static const struct sf two_log2_e = SF_CONSTANT(1, 0xb8aa3b295c17f0bb, 0xbe87fed0691d3e89);
    sf_u128 t = fraction(s), square = mul_high(t, t), sum = 0;

    for (int k = 27; k >= 0; k--)
        sum = div_small(SF_ONE, (uint32_t)(2 * k + 1)) + mul_high(square, sum);
    return inexact(scale(sf_wide_mul(s, two_log2_e), sum));
}

struct sf sf_log2(struct sf x)
{
    const sf_u128 root_2 = (sf_u128)0xb504f333f9de6484 << 64;
    int32_t exponent = x.exp;
    struct sf minus, whole;

    x.exp = 0;
    if (x.sig > root_2) {
        x.exp = -1;
        exponent++;
    }
    whole = sf_from_int(exponent);
    minus = add(x, negate(one));
    if (minus.kind == SF_K_ZERO)
        return whole;
    return add(whole, log2_ratio(sf_wide_div(minus, add(x, one))));
}

struct sf sf_log2p1(struct sf x)
{
    /* Up to the square root of 2 and its inverse the logarithm is taken of x itself. */
    struct sf sum = add(x, one), two = SF_CONSTANT(1, 1ull << 63, 0);
    bool near = x.sign ? x.exp < -2 || (x.exp == -2 && x.sig < (sf_u128)0x95f619980c4336f8 << 64)
                       : x.exp < -2 || (x.exp == -2 && x.sig < (sf_u128)0xd413cccfe7799212 << 64);

    return near ? log2_ratio(sf_wide_div(x, add(x, two))) : sf_log2(sum);
}

/* --- Arc tangent ----------------------------------------------------------------------------- */

/* atan(i / 8) */
static const struct sf arctangents[9] = {
    {.kind = SF_K_ZERO},
    SF_CONSTANT(-4, 0xfeadd4d5617b6e32, 0xc897989f3e888ef8),
    SF_CONSTANT(-3, 0xfadbafc96406eb15, 0x6dc79ef5f7a217e6),
    SF_CONSTANT(-2, 0xb7b0ca0f26f78473, 0x8aa32122dcfe4483),
    SF_CONSTANT(-2, 0xed63382b0dda7b45, 0x6fe445ecbc3a8d03),
    SF_CONSTANT(-1, 0x8f005d5ef7f59f9b, 0x5c835e1665c43748),
    SF_CONSTANT(-1, 0xa4bc7d1934f70924, 0x19a87f2a457dac9f),
    SF_CONSTANT(-1, 0xb8053e2bc2319e73, 0xcb2da55210a4443d),
    SF_CONSTANT(-1, 0xc90fdaa22168c234, 0xc4c6628b80dc1cd1),
};

/* t - t^3/3 + t^5/5 - ... for |t| <= 1/16. */
static struct sf atan_series(struct sf t)
{
    sf_u128 f = fraction(t), square = mul_high(f, f), sum = 0;

    for (int k = 17; k >= 0; k--)
        sum = div_small(SF_ONE, (uint32_t)(2 * k + 1)) - mul_high(square, sum);
    return scale(t, below_one(sum));
}

/* For 0 < q <= 1: atan(c) + atan((q - c) / (1 + q c)) with c the nearest multiple of 1/8. */
static struct sf atan_unit(struct sf q)
{
    unsigned i = q.exp < -8 ? 0 : (unsigned)(((q.sig >> (116 - q.exp)) + 128) >> 8);
    struct sf c = sf_normal(false, 124, i), t;

    if (i == 0)
        return atan_series(q);
    t = add(q, negate(c));
    if (t.kind == SF_K_ZERO)
        return arctangents[i];
    return add(arctangents[i], atan_series(sf_wide_div(t, add(one, sf_wide_mul(q, c)))));
}

struct sf sf_atan2(struct sf y, struct sf x)
{
    bool x_sign = x.sign, y_sign = y.sign;
    bool steep = y.exp != x.exp ? y.exp > x.exp : y.sig > x.sig;
    struct sf angle, half_pi = sf_pi;

    half_pi.exp--;
    x.sign = y.sign = false;
    angle = atan_unit(steep ? sf_wide_div(x, y) : sf_wide_div(y, x));
    if (steep)
        angle = add(half_pi, negate(angle));
    if (x_sign)
        angle = add(sf_pi, negate(angle));
    angle.sign = y_sign;
    return inexact(angle);
}

/* --- Sine and cosine ------------------------------------------------------------------------- */

/* r - r^3/3! + r^5/5! - ... and 1 - r^2/2! + r^4/4! - ... for |r| <= pi/4. */
static struct sf sine_of(struct sf r)
{
    sf_u128 t = fraction(r), square = mul_high(t, t), sum = SF_ONE;

    for (uint32_t k = 18; k >= 1; k--)
        sum = SF_ONE - div_small(mul_high(square, sum), 2 * k * (2 * k + 1));
    return inexact(scale(r, below_one(sum)));
}

static struct sf cosine_of(struct sf r)
{
    sf_u128 t = fraction(r), square = mul_high(t, t), sum = SF_ONE;

    for (uint32_t k = 18; k >= 1; k--)
        sum = SF_ONE - div_small(mul_high(square, sum), 2 * k * (2 * k - 1));
    return inexact(sf_normal(false, 0, below_one(sum)));
}

/*
 * |x| modulo pi/2, centred on 0; returns how many quarter turns were taken.  Everything is a
 * multiple of 2^-65, the last place of the 66-bit pi/2 and of any x from 1/2 on.
 */
static unsigned reduce(struct sf *x)
{
    const sf_u128 half_pi = (sf_u128)3 << 64 | 0x243f6a8885a308d3;
    unsigned quarters = 0;
    sf_u128 rest;
    bool sign = false;

    if (x->exp < -1)
        return 0;
    rest = (x->sig >> 64) << (x->exp + 2);
    for (int shift = 62; shift >= 0; shift--) {
        quarters <<= 1;
        if (rest >= half_pi << shift) {
            rest -= half_pi << shift;
            quarters |= 1;
        }
    }
    if (rest > half_pi - rest) {
        rest = half_pi - rest;
        sign = true;
        quarters++;
    }
    *x = sf_normal(sign, 62, rest);
    return quarters;
}

void sf_sincos(struct sf x, struct sf *sine, struct sf *cosine)
{
    bool sign = x.sign;
    unsigned quarters;
    struct sf s, c;

    x.sign = false;
    quarters = reduce(&x);
    s = sine_of(x);
    c = cosine_of(x);
    if (quarters & 1) {
        struct sf swap = s;

        s = c;
        c = negate(swap);
    }
    if (quarters & 2) {
        s = negate(s);
        c = negate(c);
    }
    s.sign ^= sign;
    *sine = s;
    *cosine = c;
}
