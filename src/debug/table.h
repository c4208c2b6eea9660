/* A hash table of fixed capacity in memory that the caller gives: O(1) by a 64-bit key. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DEBUG_TABLE_H
#define DEBUG_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every item starts with one of these; the rest of it is its owner's. */
struct debug_item {
    uint64_t key;
    uint32_t next_free; /* while it is free */
    bool used;
};

/*
 * Items lie in one array and keep their place while they live; slots hold their numbers + 1, by
 * open addressing.  Items from `touched` up were never written to.
 */
struct debug_table {
    uint32_t *slots; /* a power of two, at least twice the capacity */
    uint32_t mask;
    unsigned char *items;
    size_t item_size;
    uint32_t capacity, touched, count;
    uint32_t free; /* number + 1 of the first free item below touched; 0: none */
};

size_t debug_table_size(uint32_t capacity, size_t item_size); /* a multiple of 16 */
/* capacity is a power of two; memory is aligned to 16 and debug_table_size() bytes large. */
void debug_table_init(struct debug_table *table, void *memory, uint32_t capacity, size_t item_size);
void *debug_table_find(const struct debug_table *table, uint64_t key); /* NULL: none */
/* An item for a key that is not there yet, zero but for its head.  NULL: the table is full. */
void *debug_table_add(struct debug_table *table, uint64_t key);
void debug_table_remove(struct debug_table *table, void *item);
/* The used items in no order: NULL gives the first; NULL comes after the last.  Removing the item
 * that was just returned is allowed. */
void *debug_table_next(const struct debug_table *table, const void *item);

#endif
