/* IEEE 754 arithmetic in integers, with the details that x86 adds: one unpacked form for all
 * formats. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CPU_SOFTFLOAT_H
#define CPU_SOFTFLOAT_H

#include <stdbool.h>
#include <stdint.h>

typedef unsigned __int128 sf_u128;

/* The encoding of MXCSR.RC and FCW.RC (Intel SDM vol. 1, table 4-8). */
enum sf_rounding { SF_NEAREST, SF_DOWN, SF_UP, SF_ZERO };

/* The exceptions, at the places that MXCSR and the x87 status word give them. */
enum sf_flag {
    SF_INVALID = 1 << 0,
    SF_DENORMAL = 1 << 1,
    SF_DIVZERO = 1 << 2,
    SF_OVERFLOW = 1 << 3,
    SF_UNDERFLOW = 1 << 4,
    SF_INEXACT = 1 << 5,
    SF_BEFORE = SF_INVALID | SF_DENORMAL | SF_DIVZERO, /* known before the result is */
};

/* How to compute, and what happened. */
struct sf_env {
    uint8_t rounding;  /* enum sf_rounding */
    uint8_t precision; /* of results in extended format: 24, 53 or 64 bits */
    uint8_t masked;    /* enum sf_flag: an unmasked underflow is one even if exact, and an unmasked
                          over- or underflow of an extended result wraps its exponent */
    bool daz;          /* denormal operands are zeros */
    bool ftz;          /* denormal results become zeros while underflow is masked */
    bool x87;          /* which NaN wins: the larger significand (x87) or the first (SSE) */
    uint8_t flags;     /* out, sticky: enum sf_flag */
    bool rounded_up;   /* out: the last result's magnitude was rounded up (x87 C1) */
};

enum sf_kind {
    SF_K_ZERO,
    SF_K_FINITE,
    SF_K_INFINITY,
    SF_K_NAN,         /* quiet if bit 126 of sig is set */
    SF_K_UNSUPPORTED, /* an unnormal or pseudo encoding of the extended format */
};

/*
 * The unpacked form.  A finite number is sig / 2^127 * 2^exp, with bit 127 of sig set; the lowest
 * bit of a result also stands for everything below it.  Operands have at most 64 bits.  A NaN's
 * fraction starts at bit 126.
 */
struct sf {
    uint8_t kind; /* enum sf_kind */
    bool sign;
    bool denormal; /* as an operand */
    int32_t exp;
    sf_u128 sig;
};

/* The extended format as the registers hold it. */
struct sf_extended {
    uint64_t significand;
    uint16_t sign_exponent;
};

struct sf sf_unpack32(const struct sf_env *env, uint32_t bits);
struct sf sf_unpack64(const struct sf_env *env, uint64_t bits);
struct sf sf_unpack80(struct sf_extended bits);

/* Round and encode; raises overflow, underflow and inexact.  NaNs come out quiet, silently. */
uint32_t sf_pack32(struct sf_env *env, struct sf value);
uint64_t sf_pack64(struct sf_env *env, struct sf value);
struct sf_extended sf_pack80(struct sf_env *env, struct sf value);

/* Raise what reading a value for a conversion of format raises: invalid for a signaling NaN (which
 * becomes quiet) or an unsupported encoding (which becomes the default NaN), denormal. */
struct sf sf_operand(struct sf_env *env, struct sf value);

/* Results are exact up to the sticky lowest bit; rounding is done by packing. */
struct sf sf_add(struct sf_env *env, struct sf a, struct sf b);
struct sf sf_sub(struct sf_env *env, struct sf a, struct sf b);
struct sf sf_mul(struct sf_env *env, struct sf a, struct sf b);
struct sf sf_div(struct sf_env *env, struct sf a, struct sf b);
struct sf sf_sqrt(struct sf_env *env, struct sf a);

/* The NaN that an operation on a and b, one of them a NaN or unsupported, has as its result. */
struct sf sf_propagate(struct sf_env *env, struct sf a, struct sf b);
/* The default NaN, with invalid raised. */
struct sf sf_invalid(struct sf_env *env);
static inline bool sf_is_nan(struct sf a)
{
    return a.kind >= SF_K_NAN;
}

static inline void sf_note_denormals(struct sf_env *env, struct sf a, struct sf b)
{
    if (a.denormal || b.denormal)
        env->flags |= SF_DENORMAL;
}

static inline struct sf sf_zero(bool sign)
{
    return (struct sf){.kind = SF_K_ZERO, .sign = sign};
}

static inline struct sf sf_infinity(bool sign)
{
    return (struct sf){.kind = SF_K_INFINITY, .sign = sign};
}

enum sf_order { SF_LESS, SF_EQUAL, SF_GREATER, SF_UNORDERED };
/* signaling: invalid for quiet NaNs too.  Raises denormal. */
enum sf_order sf_compare(struct sf_env *env, struct sf a, struct sf b, bool signaling);

/* To an integral value; raises inexact, and invalid for a signaling NaN; never denormal. */
struct sf sf_round(struct sf_env *env, struct sf a, enum sf_rounding rounding);
/* To a signed integer of 16, 32 or 64 bits: the most negative one, with invalid, if it does not
 * fit.  Raises inexact; never denormal. */
int64_t sf_to_int(struct sf_env *env, struct sf a, unsigned bits, enum sf_rounding rounding);
struct sf sf_from_int(int64_t value);

/* --- Wide integers, for what builds on this -------------------------------------------------- */

/* value >> n with what falls out ORed into the lowest bit; any n >= 0. */
static inline sf_u128 sf_shift_sticky(sf_u128 value, unsigned n)
{
    if (n == 0)
        return value;
    if (n > 127)
        return value != 0;
    return value >> n | ((value << (128 - n)) != 0);
}

static inline unsigned sf_clz128(sf_u128 value)
{
    uint64_t high = (uint64_t)(value >> 64);

    return (unsigned)(high ? __builtin_clzll(high) : 64 + __builtin_clzll((uint64_t)value));
}

/* high:0 / divisor for high < divisor, divisor >= 2^63. */
uint64_t sf_divide(uint64_t high, uint64_t divisor, uint64_t *remainder);

/* A finite value from a significand that is not yet normalized: sig / 2^127 * 2^exp, or zero. */
struct sf sf_normal(bool sign, int32_t exp, sf_u128 sig);

#endif
