/* A set of addresses: constant time whatever its size. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/soft/set.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 64 };

static size_t home_of(const struct soft_set *set, uint64_t key)
{
    key *= 0x9e3779b97f4a7c15; /* 2^64 / golden ratio */
    return (size_t)(key >> 20) & (set->capacity - 1);
}

/* The slot that holds key, or the free one where it belongs. */
static size_t find(const struct soft_set *set, uint64_t key)
{
    size_t slot = home_of(set, key);

    while (set->slots[slot] != key && set->slots[slot] != SOFT_SET_FREE)
        slot = (slot + 1) & (set->capacity - 1);
    return slot;
}

bool soft_set_has(const struct soft_set *set, uint64_t key)
{
    return set->count && key != SOFT_SET_FREE && set->slots[find(set, key)] == key;
}

static bool grow(struct soft_set *set)
{
    size_t capacity = set->capacity ? 2 * set->capacity : FIRST_CAPACITY;
    struct soft_set larger = {
        .slots = malloc(capacity * sizeof *larger.slots),
        .capacity = capacity,
        .count = set->count,
    };

    if (!larger.slots)
        return false;
    memset(larger.slots, 0xff, capacity * sizeof *larger.slots);
    for (size_t i = 0; i < set->capacity; i++)
        if (set->slots[i] != SOFT_SET_FREE)
            larger.slots[find(&larger, set->slots[i])] = set->slots[i];
    free(set->slots);
    *set = larger;
    return true;
}

bool soft_set_add(struct soft_set *set, uint64_t key)
{
    if (key == SOFT_SET_FREE)
        return false;
    if (soft_set_has(set, key))
        return true;
    if (2 * (set->count + 1) > set->capacity && !grow(set))
        return false;
    set->slots[find(set, key)] = key;
    set->count++;
    return true;
}

/* The slots behind a freed one move up if it lies between their home and them. */
static void close_gap(struct soft_set *set, size_t gap)
{
    size_t mask = set->capacity - 1;

    for (size_t slot = (gap + 1) & mask; set->slots[slot] != SOFT_SET_FREE;
         slot = (slot + 1) & mask) {
        size_t home = home_of(set, set->slots[slot]);
        if (((slot - home) & mask) < ((slot - gap) & mask))
            continue;
        set->slots[gap] = set->slots[slot];
        gap = slot;
    }
    set->slots[gap] = SOFT_SET_FREE;
}

bool soft_set_remove(struct soft_set *set, uint64_t key)
{
    if (!soft_set_has(set, key))
        return false;
    close_gap(set, find(set, key));
    set->count--;
    return true;
}

void soft_set_free(struct soft_set *set)
{
    free(set->slots);
    *set = (struct soft_set){0};
}
