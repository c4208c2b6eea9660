/* A set of addresses: constant time whatever its size. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ENGINE_SOFT_SET_H
#define ENGINE_SOFT_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Open addressing with linear probing; a free slot holds SOFT_SET_FREE, which is no address. */
struct soft_set {
    uint64_t *slots; /* NULL while capacity is 0 */
    size_t capacity; /* 0 or a power of two, at least twice the count */
    size_t count;
};
#define SOFT_SET_FREE UINT64_MAX

bool soft_set_has(const struct soft_set *set, uint64_t key);
bool soft_set_add(struct soft_set *set, uint64_t key); /* false: no memory; adding twice is fine */
bool soft_set_remove(struct soft_set *set, uint64_t key); /* false: it was not there */
void soft_set_free(struct soft_set *set);

#endif
