/* The hash table behind break- and watchpoints: linear probing, no tombstones. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/table.h"

#include <string.h>

static size_t slots_size(uint32_t capacity)
{
    return (size_t)capacity * 2 * sizeof(uint32_t);
}

size_t debug_table_size(uint32_t capacity, size_t item_size)
{
    return (slots_size(capacity) + capacity * item_size + 15) & ~(size_t)15;
}

void debug_table_init(struct debug_table *table, void *memory, uint32_t capacity, size_t item_size)
{
    memset(table, 0, sizeof *table);
    table->slots = memory;
    table->mask = capacity * 2 - 1;
    table->items = (unsigned char *)memory + slots_size(capacity);
    table->item_size = item_size;
    table->capacity = capacity;
    memset(table->slots, 0, slots_size(capacity));
}

static struct debug_item *item_at(const struct debug_table *table, uint32_t number)
{
    return (struct debug_item *)(table->items + (number - 1) * table->item_size);
}

/* Fibonacci hashing: addresses differ in their middle bits, the product mixes them upwards. */
static uint32_t home(const struct debug_table *table, uint64_t key)
{
    return (uint32_t)((key * 0x9e3779b97f4a7c15ull) >> 32) & table->mask;
}

void *debug_table_find(const struct debug_table *table, uint64_t key)
{
    for (uint32_t at = home(table, key); table->slots[at]; at = (at + 1) & table->mask) {
        struct debug_item *item = item_at(table, table->slots[at]);
        if (item->key == key)
            return item;
    }
    return NULL;
}

void *debug_table_add(struct debug_table *table, uint64_t key)
{
    uint32_t number = table->free;
    struct debug_item *item;

    if (number) {
        item = item_at(table, number);
        table->free = item->next_free;
    } else if (table->touched < table->capacity) {
        number = ++table->touched;
        item = item_at(table, number);
    } else {
        return NULL;
    }
    memset(item, 0, table->item_size);
    item->key = key;
    item->used = true;
    table->count++;

    uint32_t at = home(table, key);
    while (table->slots[at])
        at = (at + 1) & table->mask;
    table->slots[at] = number;
    return item;
}

/* Close the gap at `hole`: an item after it moves back unless that would put it before its home. */
static void close_gap(struct debug_table *table, uint32_t hole)
{
    for (uint32_t at = (hole + 1) & table->mask; table->slots[at]; at = (at + 1) & table->mask) {
        uint32_t from = home(table, item_at(table, table->slots[at])->key);
        if (((at - from) & table->mask) >= ((at - hole) & table->mask)) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole] = 0;
}

void debug_table_remove(struct debug_table *table, void *removed)
{
    struct debug_item *item = removed;
    uint32_t at = home(table, item->key);
    uint32_t number = (uint32_t)(((unsigned char *)item - table->items) / table->item_size) + 1;

    while (table->slots[at] != number)
        at = (at + 1) & table->mask;
    close_gap(table, at);
    item->used = false;
    item->next_free = table->free;
    table->free = number;
    table->count--;
}

void *debug_table_next(const struct debug_table *table, const void *item)
{
    uint32_t number = 1;

    if (item)
        number += (uint32_t)(((const unsigned char *)item - table->items) / table->item_size) + 1;
    for (; number <= table->touched; number++)
        if (item_at(table, number)->used)
            return item_at(table, number);
    return NULL;
}
