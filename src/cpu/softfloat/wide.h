/* 128-bit arithmetic for the transcendental functions: fixed point, and sf with all bits used. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CPU_SOFTFLOAT_WIDE_H
#define CPU_SOFTFLOAT_WIDE_H

#include "cpu/softfloat/softfloat.h"

#define SF_ONE ((sf_u128)1 << 127) /* in fixed point with 127 fraction bits */
#define SF_CONSTANT(exponent, high, low)                                                           \
    {                                                                                              \
        .kind = SF_K_FINITE, .exp = (exponent), .sig = (sf_u128)(high) << 64 | (low)               \
    }

extern const struct sf sf_pi, sf_log2_10, sf_log2_e, sf_log10_2, sf_ln_2;

/*
 * Functions of finite values, not zero, with an error below 2^-118 of the result; its lowest bit is
 * sticky where it is not exact.
 */
struct sf sf_exp2m1(struct sf x);             /* 2^x - 1 for |x| <= 1 */
struct sf sf_log2(struct sf x);               /* x > 0; may be zero */
struct sf sf_log2p1(struct sf x);             /* log2(1 + x) for x > -1 */
struct sf sf_atan2(struct sf y, struct sf x); /* -pi..pi */

/*
 * sin and cos of x for |x| < 2^63.  The argument is reduced with the 66-bit pi that x87 processors
 * use (Intel SDM vol. 1, 8.3.8): what they compute is exactly this function, not the sine.
 */
void sf_sincos(struct sf x, struct sf *sine, struct sf *cosine);

/* Product and quotient of finite values with 128-bit significands. */
struct sf sf_wide_mul(struct sf a, struct sf b);
struct sf sf_wide_div(struct sf a, struct sf b);

#endif
