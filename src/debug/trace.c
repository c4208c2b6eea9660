/* Tracepoints: definitions, and what happens when a vCPU comes to one. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/trace.h"
#include "debug/evaluate.h"

#include <string.h>

size_t debug_trace_size(void)
{
    return (sizeof(struct debug_trace) + 15) & ~(size_t)15;
}

/* Only the counts: the rest is not touched before it is used. */
void debug_trace_init(struct debug *debug, void *memory)
{
    struct debug_trace *trace = memory;

    debug->trace = trace;
    trace->running = trace->placed = false;
    trace->end = TRACE_NEVER_RUN;
    trace->end_number = 0;
    trace->user.length = trace->notes.length = trace->stop.length = 0;
    trace->count = trace->variable_count = trace->range_count = 0;
    trace->text_used = 0;
    trace_buffer_init(&trace->buffer, trace->frames, sizeof trace->frames);
}

/* --- What expressions can reach -------------------------------------------------------------- */

struct evaluation {
    struct debug_evaluation at;
    bool no_room;
};

/* As much as there is: what is missing is missing from the frame.  False: no room. */
static bool collect_memory(struct evaluation *e, uint64_t address, uint64_t n)
{
    struct trace_buffer *buffer = &e->at.debug->trace->buffer;
    struct trace_block head = {.kind = TRACE_MEMORY, .address = address};
    uint8_t *to;
    size_t got;

    head.size = n < TRACE_PIECE_MAX ? (uint32_t)n : TRACE_PIECE_MAX;
    if (!head.size)
        return true;
    to = trace_buffer_add(buffer, &head);
    if (!to) {
        e->no_room = true;
        return false;
    }
    got = debug_read(e->at.debug, e->at.vcpu, address, to, head.size);
    if (got < head.size)
        trace_buffer_trim(buffer, &head, (uint32_t)got);
    return true;
}

static bool trace(void *ctx, uint64_t address, uint64_t n)
{
    return collect_memory(ctx, address, n);
}

static bool trace_variable(void *ctx, unsigned number)
{
    struct evaluation *e = ctx;
    struct trace_block head = {.kind = TRACE_VARIABLE, .count = (uint16_t)number};

    if (!debug_evaluate_variable(ctx, number, &head.address))
        return false;
    e->no_room = !trace_buffer_add(&e->at.debug->trace->buffer, &head);
    return !e->no_room;
}

static const struct agent_ops condition_ops = {
    .has_register = debug_evaluate_has_register,
    .read_register = debug_evaluate_register,
    .read_memory = debug_evaluate_memory,
    .get_variable = debug_evaluate_variable,
    .set_variable = debug_evaluate_set_variable,
};
static const struct agent_ops action_ops = {
    .has_register = debug_evaluate_has_register,
    .read_register = debug_evaluate_register,
    .read_memory = debug_evaluate_memory,
    .trace = trace,
    .trace_variable = trace_variable,
    .get_variable = debug_evaluate_variable,
    .set_variable = debug_evaluate_set_variable,
};

/* --- Definitions ----------------------------------------------------------------------------- */

void debug_trace_forget(struct debug *debug)
{
    struct debug_trace *trace = debug->trace;

    debug_trace_stop(debug, TRACE_STOPPED);
    trace->end = TRACE_NEVER_RUN;
    trace->count = trace->variable_count = trace->range_count = 0;
    trace->text_used = 0;
    trace_buffer_clear(&trace->buffer);
}

void *debug_trace_allocate(struct debug *debug, size_t n)
{
    struct debug_trace *trace = debug->trace;
    unsigned char *to = (unsigned char *)trace->text + trace->text_used;
    size_t left = sizeof trace->text - trace->text_used; /* a multiple of 8 */

    if (n > left)
        return NULL;
    trace->text_used += (n + 7) & ~(size_t)7;
    return to;
}

static void *keep(struct debug *debug, const void *bytes, size_t n)
{
    void *to = debug_trace_allocate(debug, n);

    if (to)
        memcpy(to, bytes, n);
    return to;
}

struct debug_tracepoint *debug_trace_find(struct debug *debug, uint64_t number, uint64_t address)
{
    struct debug_trace *trace = debug->trace;

    for (unsigned i = 0; i < trace->count; i++)
        if (trace->points[i].number == number && trace->points[i].address == address)
            return &trace->points[i];
    return NULL;
}

int debug_trace_define(struct debug *debug, const struct debug_tracepoint *as,
                       struct debug_tracepoint **out)
{
    struct evaluation e = {.at = {.debug = debug}};
    struct debug_trace *trace = debug->trace;
    struct debug_tracepoint *t = &trace->points[trace->count];
    int error;

    if (debug_trace_find(debug, as->number, as->address))
        return RINGSIDE_EINVAL;
    if (trace->count == TRACE_POINTS_MAX)
        return RINGSIDE_ENOSPC;
    if (as->condition) {
        error = agent_check(&condition_ops, &e, as->condition, as->condition_length, true);
        if (error)
            return error;
    }
    *t = *as;
    t->actions_end = &t->actions;
    t->texts_end = &t->texts;
    if (as->condition && !(t->condition = keep(debug, as->condition, as->condition_length)))
        return RINGSIDE_ENOSPC;
    trace->count++;
    *out = t;
    return RINGSIDE_OK;
}

void debug_trace_act_in_steps(struct debug_tracepoint *t)
{
    if (!t->has_step_actions)
        t->actions_end = &t->step_actions;
    t->has_step_actions = true;
}

int debug_trace_act(struct debug *debug, struct debug_tracepoint *t, const struct trace_action *as)
{
    struct evaluation e = {.at = {.debug = debug}};
    struct trace_action *a;
    int error = RINGSIDE_OK;

    if (as->kind == TRACE_EVALUATE)
        error = agent_check(&action_ops, &e, as->code, as->bytes, false);
    if (as->kind == TRACE_COLLECT_MEMORY && as->base != TRACE_NO_REGISTER &&
        !debug_evaluate_has_register(&e, (unsigned)as->base))
        error = RINGSIDE_EINVAL;
    if (error)
        return error;
    a = keep(debug, as, sizeof *as);
    if (!a)
        return RINGSIDE_ENOSPC;
    a->next = NULL;
    if (as->kind == TRACE_COLLECT_REGISTERS)
        a->numbers = keep(debug, as->numbers, as->count * sizeof *as->numbers);
    if (as->kind == TRACE_EVALUATE)
        a->code = keep(debug, as->code, as->bytes);
    if ((as->numbers && !a->numbers) || (as->code && !a->code))
        return RINGSIDE_ENOSPC;
    *t->actions_end = a;
    t->actions_end = &a->next;
    return RINGSIDE_OK;
}

int debug_trace_note(struct debug *debug, struct debug_tracepoint *t, char kind, const char *text,
                     size_t n)
{
    struct trace_text *note = debug_trace_allocate(debug, sizeof *note + n);

    if (!note)
        return RINGSIDE_ENOSPC;
    *note = (struct trace_text){.kind = kind, .length = (uint32_t)n};
    memcpy(note->text, text, n);
    *t->texts_end = note;
    t->texts_end = &note->next;
    return RINGSIDE_OK;
}

struct trace_variable *debug_trace_variable(struct debug *debug, uint64_t number)
{
    struct debug_trace *trace = debug->trace;

    for (unsigned i = 0; i < trace->variable_count; i++)
        if (trace->variables[i].number == number)
            return &trace->variables[i];
    return NULL;
}

int debug_trace_define_variable(struct debug *debug, const struct trace_variable *as)
{
    struct trace_variable *v = debug_trace_variable(debug, as->number);
    struct debug_trace *trace = debug->trace;

    if (!v && trace->variable_count == TRACE_VARIABLES_MAX)
        return RINGSIDE_ENOSPC;
    if (!v)
        v = &trace->variables[trace->variable_count++];
    *v = *as;
    return RINGSIDE_OK;
}

/* --- Start and end --------------------------------------------------------------------------- */

void debug_trace_tidy(struct debug *debug)
{
    struct debug_trace *trace = debug->trace;

    if (trace->running || !trace->placed)
        return;
    for (unsigned i = 0; i < trace->count; i++)
        if (trace->points[i].placed)
            debug_breakpoint_untrace(debug, &trace->points[i]);
    trace->placed = false;
}

/* The breakpoints may be in use just now: debug_trace_tidy() removes them. */
static void finish(struct debug *debug, enum trace_end why, uint32_t number)
{
    debug->trace->running = false;
    debug->trace->end = why;
    debug->trace->end_number = number;
}

void debug_trace_stop(struct debug *debug, enum trace_end why)
{
    if (debug->trace->running)
        finish(debug, why, 0);
    debug_trace_tidy(debug);
}

int debug_trace_start(struct debug *debug, unsigned vcpu)
{
    struct debug_trace *trace = debug->trace;
    int error = RINGSIDE_OK;

    debug_trace_stop(debug, TRACE_STOPPED);
    trace_buffer_clear(&trace->buffer);
    trace->placed = true;
    for (unsigned i = 0; i < trace->count && !error; i++) {
        trace->points[i].hits = trace->points[i].usage = 0;
        error = debug_breakpoint_trace(debug, vcpu, &trace->points[i]);
    }
    if (error) {
        debug_trace_tidy(debug);
        return error;
    }
    for (unsigned i = 0; i < trace->variable_count; i++)
        trace->variables[i].value = trace->variables[i].initial;
    for (unsigned i = 0; i < debug->vcpu_count; i++) {
        debug->vcpus[i].traced = false;
        debug->vcpus[i].steps_left = 0;
    }
    trace->running = true;
    return RINGSIDE_OK;
}

/* --- A hit ----------------------------------------------------------------------------------- */

static bool collect_registers(struct evaluation *e, const struct trace_action *a)
{
    struct debug *debug = e->at.debug;
    struct trace_block head = {.kind = TRACE_REGISTERS, .count = (uint16_t)a->count};
    uint32_t numbers = a->count * (uint32_t)sizeof *a->numbers;
    uint8_t *to;

    head.size = numbers + a->bytes;
    to = trace_buffer_add(&debug->trace->buffer, &head);
    if (!to)
        return false;
    memcpy(to, a->numbers, numbers);
    debug->collect_registers(debug->registers_ctx, e->at.vcpu, a->numbers, a->count, to + numbers);
    return true;
}

static bool act(struct evaluation *e, const struct trace_action *a)
{
    uint64_t value = 0;

    switch (a->kind) {
    case TRACE_COLLECT_REGISTERS: return collect_registers(e, a);
    case TRACE_COLLECT_MEMORY:
        if (a->base != TRACE_NO_REGISTER && !debug_evaluate_register(e, (unsigned)a->base, &value))
            return true;
        return collect_memory(e, value + a->offset, a->bytes);
    case TRACE_EVALUATE:
        /* One that fails leaves what it collected before. */
        agent_run(&action_ops, e, a->code, &value);
        return !e->no_room;
    }
    return true;
}

static bool collect(struct evaluation *e, struct debug_tracepoint *t, uint64_t address,
                    const struct trace_action *actions)
{
    struct trace_buffer *buffer = &e->at.debug->trace->buffer;

    if (!trace_buffer_begin(buffer, t->number, address))
        return false;
    for (const struct trace_action *a = actions; a; a = a->next)
        if (!act(e, a))
            return false;
    t->usage += trace_buffer_end(buffer);
    return true;
}

/* A condition that cannot be evaluated counts as true: better a frame too many. */
static bool is_met(struct evaluation *e, const struct debug_tracepoint *t)
{
    uint64_t value = 0;

    return !t->condition || !agent_run(&condition_ops, e, t->condition, &value) || value;
}

bool debug_trace_arrives(struct debug *debug, unsigned vcpu)
{
    struct debug_vcpu *v = &debug->vcpus[vcpu];
    const struct ringside_regs *regs;

    if (!debug->trace->running || !(regs = debug_regs(debug, vcpu)) ||
        regs->activity != RINGSIDE_RUNNING || (v->traced && v->traced_rip == regs->rip))
        return false;
    v->traced = true;
    v->traced_rip = regs->rip;
    return true;
}

void debug_trace_hit(struct debug *debug, unsigned vcpu, struct debug_tracepoint *first)
{
    struct evaluation e = {.at = {debug, vcpu}};

    for (struct debug_tracepoint *t = first; t && debug->trace->running; t = t->next) {
        if (!t->enabled || !is_met(&e, t))
            continue;
        if (!collect(&e, t, t->address, t->actions)) {
            finish(debug, TRACE_FULL, 0);
            return;
        }
        t->hits++;
        if (t->steps && !debug_trace_steps(debug, vcpu)) {
            debug->vcpus[vcpu].stepping = t;
            debug->vcpus[vcpu].steps_left = t->steps;
        }
        if (t->pass && t->hits >= t->pass)
            finish(debug, TRACE_PASSED, t->number);
    }
}

bool debug_trace_steps(const struct debug *debug, unsigned vcpu)
{
    return debug->vcpus[vcpu].steps_left && debug->trace->running;
}

void debug_trace_stepped(struct debug *debug, unsigned vcpu)
{
    struct evaluation e = {.at = {debug, vcpu}};
    struct debug_vcpu *v = &debug->vcpus[vcpu];
    const struct ringside_regs *regs = debug_regs(debug, vcpu);

    if (!debug_trace_steps(debug, vcpu))
        return;
    v->steps_left = regs && regs->activity == RINGSIDE_RUNNING ? v->steps_left - 1 : 0;
    if (regs && !collect(&e, v->stepping, regs->rip, v->stepping->step_actions))
        finish(debug, TRACE_FULL, 0);
}
