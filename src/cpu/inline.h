/* The hot parts of cpu/internal.h: operand, flag and memory fast paths. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef CPU_INLINE_H
#define CPU_INLINE_H

#endif
