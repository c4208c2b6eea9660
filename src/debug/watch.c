/* Hardware breakpoints and watchpoints, by linear address, through the engine's watch group. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/debug.h"

/* Spreads kind and length over the key; should two watchpoints ever share one, the later is
 * refused. */
static uint64_t key_of(enum ringside_watch_kind kind, uint64_t address, uint64_t length)
{
    return (address ^ (length * 0xff51afd7ed558ccdull)) * 4 + kind;
}

static bool is(const struct debug_watch *watch, enum ringside_watch_kind kind, uint64_t address,
               uint64_t length)
{
    return watch->kind == kind && watch->address == address && watch->length == length;
}

const struct debug_watch *debug_watch_find(const struct debug *debug, enum ringside_watch_kind kind,
                                           uint64_t address, uint64_t length)
{
    const struct debug_watch *watch =
        debug_table_find(&debug->watches, key_of(kind, address, length));

    return watch && is(watch, kind, address, length) ? watch : NULL;
}

static int insert(struct debug *debug, enum ringside_watch_kind kind, uint64_t address,
                  uint64_t length, uint64_t key)
{
    struct debug_watch *watch = debug_table_add(&debug->watches, key);

    if (!watch)
        return RINGSIDE_ENOSPC;
    int error = debug->target->watch->insert(debug->ctx, kind, address, length);
    if (!error && kind != RINGSIDE_WATCH_EXEC) {
        error = step_watch_add(&debug->step, kind, address, length);
        if (error)
            debug->target->watch->remove(debug->ctx, kind, address, length);
    }
    if (error) {
        debug_table_remove(&debug->watches, watch);
        return error;
    }
    watch->kind = kind;
    watch->address = address;
    watch->length = length;
    if (kind == RINGSIDE_WATCH_EXEC)
        debug->code_watches++;
    return RINGSIDE_OK;
}

int debug_watch_set(struct debug *debug, enum ringside_watch_kind kind, uint64_t address,
                    uint64_t length, const struct debug_program *program)
{
    uint64_t key = key_of(kind, address, length);
    struct debug_watch *watch = debug_table_find(&debug->watches, key);
    struct debug_code *code;
    int error = debug_code_new(debug, program, &code);

    if (error)
        return error;
    if (!watch)
        error = insert(debug, kind, address, length, key);
    else if (!is(watch, kind, address, length))
        error = RINGSIDE_ENOSPC;
    if (error) {
        debug_code_free(debug, code);
        return error;
    }
    watch = debug_table_find(&debug->watches, key);
    debug_code_free(debug, watch->code);
    watch->code = code;
    return RINGSIDE_OK;
}

static int clear(struct debug *debug, struct debug_watch *watch)
{
    int error =
        debug->target->watch->remove(debug->ctx, watch->kind, watch->address, watch->length);

    if (watch->kind == RINGSIDE_WATCH_EXEC)
        debug->code_watches--;
    else
        step_watch_remove(&debug->step, watch->kind, watch->address, watch->length);
    debug_code_free(debug, watch->code);
    debug_table_remove(&debug->watches, watch);
    return error;
}

int debug_watch_clear(struct debug *debug, enum ringside_watch_kind kind, uint64_t address,
                      uint64_t length)
{
    struct debug_watch *watch = debug_table_find(&debug->watches, key_of(kind, address, length));

    return watch && is(watch, kind, address, length) ? clear(debug, watch) : RINGSIDE_OK;
}

void debug_watches_clear_all(struct debug *debug)
{
    for (struct debug_watch *watch = NULL; (watch = debug_table_next(&debug->watches, watch));)
        clear(debug, watch);
}
