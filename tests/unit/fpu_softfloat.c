/* Softfloat compared with the host's arithmetic: single and double by fenv, on any host; the
 * transcendental functions with libm where long double is the extended format. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fenv.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "cpu/softfloat/wide.h"
#include "unit/fpu_random.h"

/* Only the host's side is compiled with floats; it must not move across fesetround(). */
#ifdef __clang__
#pragma STDC FENV_ACCESS ON
#else
#pragma GCC optimize("rounding-math")
#endif

static const int host_rounding[4] = {FE_TONEAREST, FE_DOWNWARD, FE_UPWARD, FE_TOWARDZERO};

static unsigned host_flags(void)
{
    int raised = fetestexcept(FE_ALL_EXCEPT);

    return (raised & FE_INVALID ? SF_INVALID : 0u) | (raised & FE_DIVBYZERO ? SF_DIVZERO : 0u) |
           (raised & FE_OVERFLOW ? SF_OVERFLOW : 0u) | (raised & FE_UNDERFLOW ? SF_UNDERFLOW : 0u) |
           (raised & FE_INEXACT ? SF_INEXACT : 0u);
}

/* Hosts differ in what NaN comes out, and in whether tininess is detected before rounding. */
static unsigned comparable(unsigned flags)
{
#if defined(__x86_64__)
    return flags & ~(unsigned)SF_DENORMAL;
#else
    return flags & ~(unsigned)(SF_DENORMAL | SF_UNDERFLOW);
#endif
}

enum operation { ADD, SUB, MUL, DIV, SQRT, ROUND, CONVERT, TO_INT, OPERATIONS };

#define HOST(type, bits_type, name, other, root, rint_fn)                                          \
    static uint64_t name(enum operation op, uint64_t abits, uint64_t bbits)                        \
    {                                                                                              \
        bits_type ab = (bits_type)abits, bb = (bits_type)bbits, out = 0;                           \
        volatile type a, b, r = 0;                                                                 \
        memcpy((void *)&a, &ab, sizeof a);                                                         \
        memcpy((void *)&b, &bb, sizeof b);                                                         \
        feclearexcept(FE_ALL_EXCEPT);                                                              \
        switch (op) {                                                                              \
        case ADD: r = a + b; break;                                                                \
        case SUB: r = a - b; break;                                                                \
        case MUL: r = a * b; break;                                                                \
        case DIV: r = a / b; break;                                                                \
        case SQRT: r = root(a); break;                                                             \
        case ROUND: r = rint_fn(a); break;                                                         \
        case CONVERT: {                                                                            \
            volatile other o = (other)a;                                                           \
            uint64_t bits = 0;                                                                     \
            memcpy(&bits, (const void *)&o, sizeof o);                                             \
            return bits;                                                                           \
        }                                                                                          \
        default: return 0;                                                                         \
        }                                                                                          \
        memcpy(&out, (const void *)&r, sizeof out);                                                \
        return out;                                                                                \
    }
HOST(float, uint32_t, host_single, double, sqrtf, rintf)
HOST(double, uint64_t, host_double, float, sqrt, rint)

static uint64_t soft(struct sf_env *env, enum operation op, unsigned size, uint64_t abits,
                     uint64_t bbits)
{
    struct sf a = size == 4 ? sf_unpack32(env, (uint32_t)abits) : sf_unpack64(env, abits);
    struct sf b = size == 4 ? sf_unpack32(env, (uint32_t)bbits) : sf_unpack64(env, bbits);
    struct sf r;

    switch (op) {
    case ADD: r = sf_add(env, a, b); break;
    case SUB: r = sf_sub(env, a, b); break;
    case MUL: r = sf_mul(env, a, b); break;
    case DIV: r = sf_div(env, a, b); break;
    case SQRT: r = sf_sqrt(env, a); break;
    case ROUND: r = sf_round(env, a, (enum sf_rounding)env->rounding); break;
    default:
        r = sf_operand(env, a);
        size = 12 - size;
        break;
    }
    return size == 4 ? sf_pack32(env, r) : sf_pack64(env, r);
}

static bool is_nan(unsigned size, uint64_t bits)
{
    return size == 4 ? (bits & 0x7fffffff) > 0x7f800000 : (bits & ~0ull >> 1) > 0x7ff0000000000000;
}

static void arithmetic_matches_the_host(void **state)
{
    unsigned cases = random_start(100000);

    (void)state;
    for (unsigned i = 0; i < cases; i++) {
        unsigned size = random64() & 1 ? 4 : 8;
        uint64_t a = size == 4 ? random_float(23, 8) : random_float(52, 11);
        uint64_t b = size == 4 ? random_float(23, 8) : random_float(52, 11);
        unsigned rounding = random64() & 3;

        fesetround(host_rounding[rounding]);
        for (enum operation op = ADD; op <= CONVERT; op++) {
            struct sf_env env = {.rounding = (uint8_t)rounding, .masked = 0x3f};
            uint64_t want = (size == 4 ? host_single : host_double)(op, a, b);
            unsigned want_flags = host_flags(), result_size = op == CONVERT ? 12 - size : size;
            uint64_t got = soft(&env, op, size, a, b);

            if ((got != want && !(is_nan(result_size, got) && is_nan(result_size, want))) ||
                comparable(env.flags) != comparable(want_flags)) {
                fesetround(FE_TONEAREST);
                fail_msg("op %d size %u rounding %u: %llx, %llx: %llx flags %x, not %llx flags %x",
                         op, size, rounding, (unsigned long long)a, (unsigned long long)b,
                         (unsigned long long)got, env.flags, (unsigned long long)want, want_flags);
            }
        }
    }
    fesetround(FE_TONEAREST);
}

#if LDBL_MANT_DIG == 64

static struct sf from_host(long double v)
{
    struct sf_extended e = {0, 0};

    memcpy(&e.significand, &v, 8);
    memcpy(&e.sign_exponent, (const char *)&v + 8, 2);
    return sf_unpack80(e);
}

static long double to_host(struct sf v)
{
    struct sf_env env = {.masked = 0x3f, .precision = 64};
    struct sf_extended e = sf_pack80(&env, v);
    long double out = 0;

    memcpy(&out, &e.significand, 8);
    memcpy((char *)&out + 8, &e.sign_exponent, 2);
    return out;
}

/* libm, and here and there its argument, is within a unit in the last place; ours is far better. */
static void close_to(const char *what, long double x, long double got, long double want)
{
    if (fabsl(got - want) > 2 * LDBL_EPSILON * fabsl(want))
        fail_msg("%s(%.21Lg): %.21Lg, not %.21Lg", what, x, got, want);
}

static long double random_between(long double low, long double high)
{
    return low + (high - low) * ((long double)random64() / 18446744073709551616.0L);
}

static void transcendentals_match_libm(void **state)
{
    unsigned cases = random_start(20000);

    (void)state;
    for (unsigned i = 0; i < cases; i++) {
        int small = -(int)(random64() % 70);
        long double x = ldexpl(random_between(-1, 1), small / 2), y = random_between(-100, 100);
        struct sf sine, cosine;

        if (x == 0 || y == 0)
            continue;
        close_to("log2", fabsl(y), to_host(sf_log2(from_host(fabsl(y)))), log2l(fabsl(y)));
        close_to("atan2", x, to_host(sf_atan2(from_host(y), from_host(x))), atan2l(y, x));
        close_to("atan2", y, to_host(sf_atan2(from_host(x), from_host(y))), atan2l(x, y));
        close_to("exp2m1", x, to_host(sf_exp2m1(from_host(x))),
                 fabsl(x) > 0.5L ? exp2l(x) - 1 : expm1l(x * 0.69314718055994530941723212145818L));
        x *= 0.78L; /* within pi/4 the length of pi does not matter */
        sf_sincos(from_host(x), &sine, &cosine);
        close_to("sin", x, to_host(sine), sinl(x));
        close_to("cos", x, to_host(cosine), cosl(x));
    }
}

/* The argument is reduced with 66 bits of pi: sin(pi) in extended precision shows it. */
static void the_reduction_uses_66_bits_of_pi(void **state)
{
    struct sf sine, cosine;

    (void)state;
    sf_sincos(from_host(3.14159265358979323851L), &sine, &cosine);
    /* the sine itself is -5.0165576126683320e-20 */
    assert_true(to_host(sine) == -0x1p-64L);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arithmetic_matches_the_host),
#if LDBL_MANT_DIG == 64
        cmocka_unit_test(transcendentals_match_libm),
        cmocka_unit_test(the_reduction_uses_66_bits_of_pi),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
