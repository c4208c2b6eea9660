/* One instruction with its inputs, and what the host's processor and the software CPU make of it.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef NATIVE_H
#define NATIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86/insn.h"

/*
 * Both run the instruction in 64-bit user mode with the same two pages: one of code, filled with
 * INT3, with the instruction in its middle, and one of data.  The pages around them are not mapped.
 */
#define NATIVE_CODE  0x10000000ull
#define NATIVE_DATA  0x20000000ull
#define NATIVE_START (NATIVE_CODE + 0x800)

enum { NATIVE_PAGE = 4096, NATIVE_NO_FAULT = 0xff };

/* The image of FXSAVE64 (Intel SDM vol. 1, table 10-2). */
struct native_fx {
    uint16_t fcw, fsw;
    uint8_t ftw, reserved;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    struct {
        uint64_t significand;
        uint16_t sign_exponent, pad[3];
    } st[8];
    uint64_t xmm[16][2];
    uint8_t rest[96];
};
_Static_assert(sizeof(struct native_fx) == 512, "FXSAVE area");
_Static_assert(offsetof(struct native_fx, xmm) == 160, "XMM0 in the FXSAVE area");

struct native_state {
    uint64_t gpr[16];
    uint64_t rip, rflags;
    struct native_fx fx;
    uint8_t data[NATIVE_PAGE];
    uint8_t vector; /* of the exception, or NATIVE_NO_FAULT */
    uint32_t error; /* of #GP, #SS and #PF */
    uint64_t cr2;   /* of #PF */
};

struct native_case {
    uint8_t bytes[X86_INSN_MAX + 1];
    struct x86_insn insn;
    struct native_state in, host, soft;
};

/*
 * Run cases[0..n) on this processor, in a child process that can do nothing else.  The cases lie in
 * memory shared with it.  Returns how many ran: less than n if the child died in the next one; -1
 * with a reason if this host cannot do it.
 */
int native_run(struct native_case *cases, int n, const char **reason);
struct native_case *native_alloc(int n);

struct soft;
struct soft *soft_new(bool amd);
void soft_free(struct soft *soft);
/* Returns NULL, or what went wrong beside exceptions. */
const char *soft_run(struct soft *soft, struct native_case *c);

/* Source of encodings and inputs; its seed decides everything. */
struct generator;
struct generator *generator_new(uint64_t seed);
void generator_free(struct generator *g);
/* Fills bytes, insn and in with a case of this operation; false if it has no encoding to try. */
bool generator_make(struct generator *g, enum x86_op op, struct native_case *c);

#endif
