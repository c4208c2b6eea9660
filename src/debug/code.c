/* Conditions and commands of breakpoints: kept beside them, run where they are met. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "debug/evaluate.h"

/*
 * Blocks come from one piece of memory, in sizes that double; one that is given back serves the
 * next of its size.
 */
enum { SMALLEST = 64, SIZES = 9, BYTES = DEBUG_BREAKPOINTS_MAX * SMALLEST };

struct debug_code {
    struct debug_code *next_free;
    uint8_t size; /* SMALLEST << size bytes */
    uint8_t conditions, commands;
    uint8_t expressions[]; /* the conditions, then the commands: length in two bytes, and code */
};

size_t debug_code_size(void)
{
    return BYTES;
}

static struct debug_code *allocate(struct debug *debug, unsigned size)
{
    struct debug_code *code = debug->free_code[size];
    size_t bytes = (size_t)SMALLEST << size;

    if (code) {
        debug->free_code[size] = code->next_free;
    } else if (bytes <= BYTES - debug->code_used) {
        code = (struct debug_code *)(void *)(debug->code + debug->code_used);
        debug->code_used += bytes;
    }
    return code;
}

void debug_code_free(struct debug *debug, struct debug_code *code)
{
    if (!code)
        return;
    code->next_free = debug->free_code[code->size];
    debug->free_code[code->size] = code;
}

/* --- What expressions can reach -------------------------------------------------------------- */

struct evaluation {
    struct debug_evaluation at;
    uint32_t text_end; /* how far the console may be filled */
};

static void print(void *ctx, const char *text, size_t n)
{
    const struct evaluation *e = ctx;
    struct debug_console *console = &e->at.debug->console;
    size_t room = e->text_end - console->length;

    if (n > room)
        n = room;
    memcpy(console->text + console->length, text, n);
    console->length += (uint32_t)n;
}

static const struct agent_ops ops = {
    .has_register = debug_evaluate_has_register,
    .read_register = debug_evaluate_register,
    .read_memory = debug_evaluate_memory,
    .has_variable = debug_evaluate_has_variable,
    .get_variable = debug_evaluate_variable,
    .set_variable = debug_evaluate_set_variable,
    .print = print,
};

/* --- Keeping them ---------------------------------------------------------------------------- */

int debug_code_new(struct debug *debug, const struct debug_program *program,
                   struct debug_code **out)
{
    struct evaluation e = {.at = {.debug = debug}};
    unsigned count = program ? program->conditions + program->commands : 0, size = 0;
    size_t bytes = sizeof(struct debug_code);

    if (!count) {
        *out = NULL;
        return RINGSIDE_OK;
    }
    for (unsigned i = 0; i < count; i++) {
        const struct debug_expression *x = &program->list[i];
        int error = agent_check(&ops, &e, x->code, x->length, i < program->conditions);
        if (error)
            return error;
        bytes += 2 + x->length;
    }
    while (size < SIZES && (size_t)SMALLEST << size < bytes)
        size++;
    struct debug_code *code = size < SIZES ? allocate(debug, size) : NULL;
    if (!code)
        return RINGSIDE_ENOSPC;
    code->size = (uint8_t)size;
    code->conditions = (uint8_t)program->conditions;
    code->commands = (uint8_t)program->commands;
    uint8_t *at = code->expressions;
    for (unsigned i = 0; i < count; i++) {
        const struct debug_expression *x = &program->list[i];
        *at++ = (uint8_t)(x->length >> 8);
        *at++ = (uint8_t)x->length;
        memcpy(at, x->code, x->length);
        at += x->length;
    }
    *out = code;
    return RINGSIDE_OK;
}

unsigned debug_code_conditions(const struct debug_code *code)
{
    return code ? code->conditions : 0;
}

unsigned debug_code_commands(const struct debug_code *code)
{
    return code ? code->commands : 0;
}

/* --- Running them ---------------------------------------------------------------------------- */

bool debug_code_can_run(const struct debug *debug)
{
    return sizeof debug->console.text - debug->console.length >= DEBUG_TEXT_MAX;
}

static const uint8_t *next(const uint8_t *at)
{
    return at + 2 + (at[0] << 8 | at[1]);
}

/* A condition that cannot be evaluated counts as true: the user is to see that. */
static bool is_true(struct evaluation *e, const uint8_t *at)
{
    uint64_t value = 0;

    return !agent_run(&ops, e, at + 2, &value) || value;
}

bool debug_code_stops(struct debug *debug, unsigned vcpu, const struct debug_code *code)
{
    struct evaluation e = {{debug, vcpu}, debug->console.length + DEBUG_TEXT_MAX};
    bool met, failed = false;
    const uint8_t *at;
    uint64_t value;

    if (!code)
        return true;
    at = code->expressions;
    met = code->conditions == 0;
    for (unsigned i = 0; i < code->conditions; i++, at = next(at))
        met = met || is_true(&e, at);
    if (!met || !code->commands)
        return met;
    for (unsigned i = 0; i < code->commands; i++, at = next(at))
        failed |= !agent_run(&ops, &e, at + 2, &value);
    return failed;
}
