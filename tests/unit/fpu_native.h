/* The SSE and MMX instructions that are compared with the host's own processor. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef UNIT_FPU_NATIVE_H
#define UNIT_FPU_NATIVE_H

#include <stddef.h>
#include <stdint.h>

/* Operands are always number 1 (reg) and number 2 (r/m); a shape says which kinds they are. */
enum shape { XX, MM, GX, XG, XM, MX, GM, MG, RX, RM, IX, IM };
enum data { INTS, SINGLES, DOUBLES };
enum { IMM = 1, WIDE = 2, TOLERANT = 4 };

struct test {
    const char *name;
    uint16_t op;
    uint8_t prefix, map, opcode; /* map: 0, 0x38, 0x3a */
    uint8_t shape, data, flags, ext;
};

extern const struct test fpu_native_tests[];
extern const size_t fpu_native_count;

#endif
