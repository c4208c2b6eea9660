/* AES, carry-less multiplication and SHA on XMM registers. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/sse.h"

/* --- AES (FIPS 197) -------------------------------------------------------------------------- */

/* Multiplication by x in GF(2^8). */
static uint8_t times_x(uint8_t a)
{
    return (uint8_t)(a << 1 ^ (a >> 7) * 0x1b);
}

static uint8_t gf_mul(uint8_t a, uint8_t b)
{
    uint8_t product = 0;

    for (; b; b >>= 1, a = times_x(a))
        if (b & 1)
            product ^= a;
    return product;
}

/* clang-format off */
static const uint8_t substitution[256] = {
    0x63, 0x7c, 0x77, 0x7b, 0xf2, 0x6b, 0x6f, 0xc5, 0x30, 0x01, 0x67, 0x2b, 0xfe, 0xd7, 0xab, 0x76,
    0xca, 0x82, 0xc9, 0x7d, 0xfa, 0x59, 0x47, 0xf0, 0xad, 0xd4, 0xa2, 0xaf, 0x9c, 0xa4, 0x72, 0xc0,
    0xb7, 0xfd, 0x93, 0x26, 0x36, 0x3f, 0xf7, 0xcc, 0x34, 0xa5, 0xe5, 0xf1, 0x71, 0xd8, 0x31, 0x15,
    0x04, 0xc7, 0x23, 0xc3, 0x18, 0x96, 0x05, 0x9a, 0x07, 0x12, 0x80, 0xe2, 0xeb, 0x27, 0xb2, 0x75,
    0x09, 0x83, 0x2c, 0x1a, 0x1b, 0x6e, 0x5a, 0xa0, 0x52, 0x3b, 0xd6, 0xb3, 0x29, 0xe3, 0x2f, 0x84,
    0x53, 0xd1, 0x00, 0xed, 0x20, 0xfc, 0xb1, 0x5b, 0x6a, 0xcb, 0xbe, 0x39, 0x4a, 0x4c, 0x58, 0xcf,
    0xd0, 0xef, 0xaa, 0xfb, 0x43, 0x4d, 0x33, 0x85, 0x45, 0xf9, 0x02, 0x7f, 0x50, 0x3c, 0x9f, 0xa8,
    0x51, 0xa3, 0x40, 0x8f, 0x92, 0x9d, 0x38, 0xf5, 0xbc, 0xb6, 0xda, 0x21, 0x10, 0xff, 0xf3, 0xd2,
    0xcd, 0x0c, 0x13, 0xec, 0x5f, 0x97, 0x44, 0x17, 0xc4, 0xa7, 0x7e, 0x3d, 0x64, 0x5d, 0x19, 0x73,
    0x60, 0x81, 0x4f, 0xdc, 0x22, 0x2a, 0x90, 0x88, 0x46, 0xee, 0xb8, 0x14, 0xde, 0x5e, 0x0b, 0xdb,
    0xe0, 0x32, 0x3a, 0x0a, 0x49, 0x06, 0x24, 0x5c, 0xc2, 0xd3, 0xac, 0x62, 0x91, 0x95, 0xe4, 0x79,
    0xe7, 0xc8, 0x37, 0x6d, 0x8d, 0xd5, 0x4e, 0xa9, 0x6c, 0x56, 0xf4, 0xea, 0x65, 0x7a, 0xae, 0x08,
    0xba, 0x78, 0x25, 0x2e, 0x1c, 0xa6, 0xb4, 0xc6, 0xe8, 0xdd, 0x74, 0x1f, 0x4b, 0xbd, 0x8b, 0x8a,
    0x70, 0x3e, 0xb5, 0x66, 0x48, 0x03, 0xf6, 0x0e, 0x61, 0x35, 0x57, 0xb9, 0x86, 0xc1, 0x1d, 0x9e,
    0xe1, 0xf8, 0x98, 0x11, 0x69, 0xd9, 0x8e, 0x94, 0x9b, 0x1e, 0x87, 0xe9, 0xce, 0x55, 0x28, 0xdf,
    0x8c, 0xa1, 0x89, 0x0d, 0xbf, 0xe6, 0x42, 0x68, 0x41, 0x99, 0x2d, 0x0f, 0xb0, 0x54, 0xbb, 0x16,
};
static const uint8_t inverse_substitution[256] = {
    0x52, 0x09, 0x6a, 0xd5, 0x30, 0x36, 0xa5, 0x38, 0xbf, 0x40, 0xa3, 0x9e, 0x81, 0xf3, 0xd7, 0xfb,
    0x7c, 0xe3, 0x39, 0x82, 0x9b, 0x2f, 0xff, 0x87, 0x34, 0x8e, 0x43, 0x44, 0xc4, 0xde, 0xe9, 0xcb,
    0x54, 0x7b, 0x94, 0x32, 0xa6, 0xc2, 0x23, 0x3d, 0xee, 0x4c, 0x95, 0x0b, 0x42, 0xfa, 0xc3, 0x4e,
    0x08, 0x2e, 0xa1, 0x66, 0x28, 0xd9, 0x24, 0xb2, 0x76, 0x5b, 0xa2, 0x49, 0x6d, 0x8b, 0xd1, 0x25,
    0x72, 0xf8, 0xf6, 0x64, 0x86, 0x68, 0x98, 0x16, 0xd4, 0xa4, 0x5c, 0xcc, 0x5d, 0x65, 0xb6, 0x92,
    0x6c, 0x70, 0x48, 0x50, 0xfd, 0xed, 0xb9, 0xda, 0x5e, 0x15, 0x46, 0x57, 0xa7, 0x8d, 0x9d, 0x84,
    0x90, 0xd8, 0xab, 0x00, 0x8c, 0xbc, 0xd3, 0x0a, 0xf7, 0xe4, 0x58, 0x05, 0xb8, 0xb3, 0x45, 0x06,
    0xd0, 0x2c, 0x1e, 0x8f, 0xca, 0x3f, 0x0f, 0x02, 0xc1, 0xaf, 0xbd, 0x03, 0x01, 0x13, 0x8a, 0x6b,
    0x3a, 0x91, 0x11, 0x41, 0x4f, 0x67, 0xdc, 0xea, 0x97, 0xf2, 0xcf, 0xce, 0xf0, 0xb4, 0xe6, 0x73,
    0x96, 0xac, 0x74, 0x22, 0xe7, 0xad, 0x35, 0x85, 0xe2, 0xf9, 0x37, 0xe8, 0x1c, 0x75, 0xdf, 0x6e,
    0x47, 0xf1, 0x1a, 0x71, 0x1d, 0x29, 0xc5, 0x89, 0x6f, 0xb7, 0x62, 0x0e, 0xaa, 0x18, 0xbe, 0x1b,
    0xfc, 0x56, 0x3e, 0x4b, 0xc6, 0xd2, 0x79, 0x20, 0x9a, 0xdb, 0xc0, 0xfe, 0x78, 0xcd, 0x5a, 0xf4,
    0x1f, 0xdd, 0xa8, 0x33, 0x88, 0x07, 0xc7, 0x31, 0xb1, 0x12, 0x10, 0x59, 0x27, 0x80, 0xec, 0x5f,
    0x60, 0x51, 0x7f, 0xa9, 0x19, 0xb5, 0x4a, 0x0d, 0x2d, 0xe5, 0x7a, 0x9f, 0x93, 0xc9, 0x9c, 0xef,
    0xa0, 0xe0, 0x3b, 0x4d, 0xae, 0x2a, 0xf5, 0xb0, 0xc8, 0xeb, 0xbb, 0x3c, 0x83, 0x53, 0x99, 0x61,
    0x17, 0x2b, 0x04, 0x7e, 0xba, 0x77, 0xd6, 0x26, 0xe1, 0x69, 0x14, 0x63, 0x55, 0x21, 0x0c, 0x7d,
};
/* clang-format on */

/* Byte i of the state is row i % 4 of column i / 4; row r turns left by r columns, or right. */
static void substitute_and_shift(union cpu_vec *v, bool inverse)
{
    const union cpu_vec a = *v;

    for (unsigned i = 0; i < 16; i++) {
        unsigned from = inverse ? (i - 4 * (i % 4)) & 15 : (i + 4 * (i % 4)) & 15;

        v->u8[i] = inverse ? inverse_substitution[a.u8[from]] : substitution[a.u8[from]];
    }
}

/* Each column times the polynomial with these coefficients, lowest first. */
static void mix_columns(union cpu_vec *v, const uint8_t by[4])
{
    const union cpu_vec a = *v;

    for (unsigned i = 0; i < 16; i++) {
        const uint8_t *column = &a.u8[i & ~3u];

        v->u8[i] = 0;
        for (unsigned j = 0; j < 4; j++)
            v->u8[i] ^= gf_mul(column[(i + j) & 3], by[j]);
    }
}

static const uint8_t forward[4] = {2, 3, 1, 1}, backward[4] = {14, 11, 13, 9};

static void add_key(union cpu_vec *v, const union cpu_vec *key)
{
    v->u64[0] ^= key->u64[0];
    v->u64[1] ^= key->u64[1];
}

static void aes_round(union cpu_vec *d, const union cpu_vec *key, bool inverse, bool last)
{
    substitute_and_shift(d, inverse);
    if (!last)
        mix_columns(d, inverse ? backward : forward);
    add_key(d, key);
}

static void aesenc(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    (void)bytes, (void)imm;
    aes_round(d, s, false, false);
}

static void aesenclast(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    (void)bytes, (void)imm;
    aes_round(d, s, false, true);
}

static void aesdec(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    (void)bytes, (void)imm;
    aes_round(d, s, true, false);
}

static void aesdeclast(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    (void)bytes, (void)imm;
    aes_round(d, s, true, true);
}

static void aesimc(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    (void)bytes, (void)imm;
    *d = *s;
    mix_columns(d, backward);
}

static uint32_t substitute_word(uint32_t word)
{
    uint32_t result = 0;

    for (unsigned i = 0; i < 32; i += 8)
        result |= (uint32_t)substitution[word >> i & 0xff] << i;
    return result;
}

static uint32_t rotate_right(uint32_t word, unsigned n)
{
    return word >> n | word << (32 - n);
}

static void aeskeygenassist(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    uint32_t x1 = substitute_word(s->u32[1]), x3 = substitute_word(s->u32[3]);

    (void)bytes;
    *d = (union cpu_vec){.u32 = {x1, rotate_right(x1, 8) ^ imm, x3, rotate_right(x3, 8) ^ imm}};
}

/* --- Carry-less multiplication --------------------------------------------------------------- */

static void pclmulqdq(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    unsigned __int128 product = 0, a = d->u64[imm & 1];
    uint64_t b = s->u64[imm >> 4 & 1];

    (void)bytes;
    for (; b; b >>= 1, a <<= 1)
        if (b & 1)
            product ^= a;
    *d = (union cpu_vec){.u64 = {(uint64_t)product, (uint64_t)(product >> 64)}};
}

/* --- SHA-1 and SHA-256 (FIPS 180-4): u32[3] holds the first of four words in SHA-1 ------------ */

static uint32_t choose(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) ^ (~x & z);
}

static uint32_t majority(uint32_t x, uint32_t y, uint32_t z)
{
    return (x & y) ^ (x & z) ^ (y & z);
}

static uint32_t parity(uint32_t x, uint32_t y, uint32_t z)
{
    return x ^ y ^ z;
}

static void sha1rnds4(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    static const struct {
        uint32_t (*fn)(uint32_t, uint32_t, uint32_t);
        uint32_t constant;
    } rounds[4] = {
        {choose, 0x5a827999}, {parity, 0x6ed9eba1}, {majority, 0x8f1bbcdc}, {parity, 0xca62c1d6}};
    uint32_t a = d->u32[3], b = d->u32[2], c = d->u32[1], e = 0, f = d->u32[0];

    (void)bytes;
    for (int i = 3; i >= 0; i--) { /* E is already added to the first word: SHA1NEXTE */
        uint32_t next = rounds[imm & 3].fn(b, c, f) + rotate_right(a, 27) + s->u32[i] + e +
                        rounds[imm & 3].constant;

        e = f;
        f = c;
        c = rotate_right(b, 2);
        b = a;
        a = next;
    }
    *d = (union cpu_vec){.u32 = {f, c, b, a}};
}

static void sha1nexte(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    uint32_t e = rotate_right(d->u32[3], 2);

    (void)bytes, (void)imm;
    *d = *s;
    d->u32[3] += e;
}

static void sha1msg1(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    (void)bytes, (void)imm;
    d->u32[3] ^= d->u32[1];
    d->u32[2] ^= d->u32[0];
    d->u32[1] ^= s->u32[3];
    d->u32[0] ^= s->u32[2];
}

static void sha1msg2(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    (void)bytes, (void)imm;
    d->u32[3] = rotate_right(d->u32[3] ^ s->u32[2], 31);
    d->u32[2] = rotate_right(d->u32[2] ^ s->u32[1], 31);
    d->u32[1] = rotate_right(d->u32[1] ^ s->u32[0], 31);
    d->u32[0] = rotate_right(d->u32[0] ^ d->u32[3], 31);
}

/* d is C D G H, s is A B E F, from the top; two rounds with the words and constants in XMM0. */
static int sha256rnds2(struct cpu *cpu, const struct x86_insn *insn)
{
    union cpu_vec *d = cpu_xmm(cpu, insn->operand[0].reg), wk = *cpu_xmm(cpu, 0), s;
    uint32_t v[8];

    CPU_TRY(cpu_sse_ready(cpu));
    CPU_TRY(cpu_vec_source(cpu, insn, 1, 16, &s));
    v[0] = s.u32[3], v[1] = s.u32[2], v[2] = d->u32[3], v[3] = d->u32[2];
    v[4] = s.u32[1], v[5] = s.u32[0], v[6] = d->u32[1], v[7] = d->u32[0];
    for (unsigned i = 0; i < 2; i++) {
        uint32_t a = v[0], e = v[4];
        uint32_t sum1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
        uint32_t sum0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
        uint32_t t = choose(e, v[5], v[6]) + sum1 + wk.u32[i] + v[7];

        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += t;
        v[0] = t + majority(a, v[2], v[3]) + sum0;
    }
    *d = (union cpu_vec){.u32 = {v[5], v[4], v[1], v[0]}};
    return CPU_NEXT;
}

static void sha256msg1(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    uint32_t w[5] = {d->u32[0], d->u32[1], d->u32[2], d->u32[3], s->u32[0]};

    (void)bytes, (void)imm;
    for (unsigned i = 0; i < 4; i++)
        d->u32[i] += rotate_right(w[i + 1], 7) ^ rotate_right(w[i + 1], 18) ^ w[i + 1] >> 3;
}

static void sha256msg2(union cpu_vec *d, const union cpu_vec *s, unsigned bytes, uint8_t imm)
{
    uint32_t w[6] = {s->u32[2], s->u32[3]};

    (void)bytes, (void)imm;
    for (unsigned i = 0; i < 4; i++) {
        w[i + 2] = d->u32[i] + (rotate_right(w[i], 17) ^ rotate_right(w[i], 19) ^ w[i] >> 10);
        d->u32[i] = w[i + 2];
    }
}

/* --- Binding --------------------------------------------------------------------------------- */

/* X(operation, its function) */
#define OPS(X)                                                                                     \
    X(AESENC, aesenc)                                                                              \
    X(AESENCLAST, aesenclast)                                                                      \
    X(AESDEC, aesdec)                                                                              \
    X(AESDECLAST, aesdeclast)                                                                      \
    X(AESIMC, aesimc)                                                                              \
    X(AESKEYGENASSIST, aeskeygenassist)                                                            \
    X(PCLMULQDQ, pclmulqdq)                                                                        \
    X(SHA1RNDS4, sha1rnds4)                                                                        \
    X(SHA1NEXTE, sha1nexte)                                                                        \
    X(SHA1MSG1, sha1msg1)                                                                          \
    X(SHA1MSG2, sha1msg2)                                                                          \
    X(SHA256MSG1, sha256msg1)                                                                      \
    X(SHA256MSG2, sha256msg2)

#define HANDLER(op, fn)                                                                            \
    static int op_##op(struct cpu *cpu, const struct x86_insn *insn)                               \
    {                                                                                              \
        return cpu_packed(cpu, insn, fn);                                                          \
    }
OPS(HANDLER)

cpu_handler *cpu_bind_crypto(const struct x86_insn *insn)
{
    switch (insn->op) {
#define CASE(op, fn)                                                                               \
    case X86_##op: return op_##op;
        OPS(CASE)
    case X86_SHA256RNDS2: return sha256rnds2;
    default: return NULL;
    }
}
