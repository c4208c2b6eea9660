/* Random numbers, and random registers and memory for instructions to work on. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef NATIVE_RANDOM_H
#define NATIVE_RANDOM_H

#include "native.h"

/* random is the state of the sequence: not 0. */
uint64_t random_next(uint64_t *random);
unsigned random_pick(uint64_t *random, unsigned n); /* 0..n-1 */
bool random_one_in(uint64_t *random, unsigned n);

/* All of it but RIP and RSP. */
void random_state(uint64_t *random, struct native_state *s);

#endif
