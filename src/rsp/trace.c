/* Tracepoints: their definitions, start and stop, and what the peer may ask about them. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/trace.h"
#include "rsp/rsp.h"

static void refuse(struct ringside *rs, struct rsp_out *out)
{
    rsp_error(rs, out, RINGSIDE_EINVAL, "not a tracepoint packet, or not one for now");
}

/* Definitions change only while no trace runs.  False: it was answered. */
static bool may_define(struct ringside *rs, struct rsp_out *out)
{
    if (rs->debug.trace->running)
        rsp_error(rs, out, RINGSIDE_ENOTSUP, "the trace runs: stop it first");
    return !rs->debug.trace->running;
}

/* The buffer begins anew: what was found in it is not there. */
static void forget_frames(struct ringside *rs)
{
    rs->session.framed = rs->session.raw.known = false;
}

/* --- Definitions ----------------------------------------------------------------------------- */

void rsp_trace_init(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)request;
    debug_trace_forget(&rs->debug);
    forget_frames(rs);
    rsp_ok(out);
}

/* "len,bytes": an expression, kept as long as the definitions are. */
static bool read_code(struct ringside *rs, struct rsp_cursor *in, const uint8_t **code,
                      uint32_t *length)
{
    uint64_t n;

    if (!rsp_read_hex(in, &n) || !rsp_eat(in, ',') || n > AGENT_LENGTH_MAX || !n)
        return false;
    uint8_t *to = debug_trace_allocate(&rs->debug, (size_t)n);
    if (!to || !rsp_read_bytes(in, to, (size_t)n))
        return false;
    *code = to;
    *length = (uint32_t)n;
    return true;
}

/* n:addr : ena:step:pass [:Xlen,bytes] [-].  Fast and static ones are not offered. */
void rsp_trace_define(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    struct rsp_cursor *in = &request->rest;
    struct debug_tracepoint t = {.number = (uint32_t)request->value[0],
                                 .address = request->value[1]};
    struct debug_tracepoint *defined;

    if (!may_define(rs, out))
        return;
    t.enabled = rsp_eat(in, 'E');
    if ((!t.enabled && !rsp_eat(in, 'D')) || !rsp_eat(in, ':') || !rsp_read_hex(in, &t.steps) ||
        !rsp_eat(in, ':') || !rsp_read_hex(in, &t.pass) ||
        (rsp_eat_word(in, ":X") && !read_code(rs, in, &t.condition, &t.condition_length))) {
        refuse(rs, out);
        return;
    }
    rsp_eat(in, '-'); /* actions follow */
    if (rsp_left(in))
        rsp_error(rs, out, RINGSIDE_ENOTSUP, "fast and static tracepoints are not offered here");
    else
        rsp_result(rs, out, debug_trace_define(&rs->debug, &t, &defined));
}

/* R mask: the digits of a number as long as need be, one bit a register. */
static int read_registers(struct ringside *rs, struct rsp_cursor *in, struct debug_tracepoint *t)
{
    const struct rsp_layout *layout = rsp_layout(rs);
    uint16_t numbers[RSP_REGISTERS_MAX];
    struct trace_action action = {.kind = TRACE_COLLECT_REGISTERS, .numbers = numbers};
    const char *mask = in->at;
    uint64_t digit;

    for (struct rsp_cursor one = *in; rsp_left(in); in->at++) {
        one = (struct rsp_cursor){in->at, in->at + 1};
        if (!rsp_read_hex(&one, &digit))
            break;
    }
    size_t digits = (size_t)(in->at - mask);
    for (unsigned i = 0; i < layout->count && i / 4 < digits; i++) {
        const struct rsp_register *reg = &layout->registers[i];
        struct rsp_cursor one = {in->at - 1 - i / 4, in->at - i / 4};
        rsp_read_hex(&one, &digit);
        if (!(digit >> i % 4 & 1) || (reg->source != RSP_FROM_REGS && !rs->debug.target->fpu))
            continue;
        numbers[action.count++] = (uint16_t)i;
        action.bytes += reg->size;
    }
    if (!digits)
        return RINGSIDE_EINVAL;
    return action.count ? debug_trace_act(&rs->debug, t, &action) : RINGSIDE_OK;
}

/* M basereg,offset,len: a base of -1, in 32 bits or as it is, stands for none. */
static int read_memory(struct ringside *rs, struct rsp_cursor *in, struct debug_tracepoint *t)
{
    struct trace_action action = {.kind = TRACE_COLLECT_MEMORY, .base = TRACE_NO_REGISTER};
    uint64_t base = UINT32_MAX, length;

    if ((!rsp_eat_word(in, "-1") && !rsp_read_hex(in, &base)) || !rsp_eat(in, ',') ||
        !rsp_read_hex(in, &action.offset) || !rsp_eat(in, ',') || !rsp_read_hex(in, &length))
        return RINGSIDE_EINVAL;
    if (length > TRACE_PIECE_MAX)
        return RINGSIDE_ENOTSUP;
    action.bytes = (uint32_t)length;
    if (base != UINT32_MAX)
        action.base = base < rsp_layout(rs)->count ? (int32_t)base : INT32_MAX;
    return debug_trace_act(&rs->debug, t, &action);
}

static int read_action(struct ringside *rs, struct rsp_cursor *in, struct debug_tracepoint *t)
{
    struct trace_action action = {.kind = TRACE_EVALUATE};

    if (rsp_eat(in, 'R'))
        return read_registers(rs, in, t);
    if (rsp_eat(in, 'M'))
        return read_memory(rs, in, t);
    if (!rsp_eat(in, 'X') || !read_code(rs, in, &action.code, &action.bytes))
        return RINGSIDE_EINVAL;
    return debug_trace_act(&rs->debug, t, &action);
}

/* -n:addr : [S] action ... [-]; with S, and in all packets after it, the actions of steps. */
void rsp_trace_action(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    struct debug_tracepoint *t = debug_trace_find(&rs->debug, request->value[0], request->value[1]);
    struct rsp_cursor *in = &request->rest;
    int error = t ? RINGSIDE_OK : RINGSIDE_EINVAL;

    if (!may_define(rs, out))
        return;
    if (rsp_left(in) && in->end[-1] == '-')
        in->end--;
    if (t && rsp_eat(in, 'S'))
        debug_trace_act_in_steps(t);
    const char *text = in->at;
    size_t n = rsp_left(in);
    while (!error && rsp_left(in))
        error = read_action(rs, in, t);
    if (!error)
        error = debug_trace_note(&rs->debug, t, t->has_step_actions ? 'S' : 'A', text, n);
    rsp_result(rs, out, error);
}

/* n:addr : type:start:slen:bytes: kept for the next peer, and not looked at. */
void rsp_trace_source(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    struct debug_tracepoint *t = debug_trace_find(&rs->debug, request->value[0], request->value[1]);
    const struct rsp_cursor *in = &request->rest;

    if (may_define(rs, out))
        rsp_result(rs, out,
                   t ? debug_trace_note(&rs->debug, t, 'Z', in->at, rsp_left(in))
                     : RINGSIDE_EINVAL);
}

static void set_enabled(struct ringside *rs, const struct rsp_request *request, struct rsp_out *out,
                        bool value)
{
    struct debug_tracepoint *t = debug_trace_find(&rs->debug, request->value[0], request->value[1]);

    if (t)
        t->enabled = value;
    rsp_result(rs, out, t ? RINGSIDE_OK : RINGSIDE_EINVAL);
}

void rsp_trace_enable(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    set_enabled(rs, request, out, true);
}

void rsp_trace_disable(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    set_enabled(rs, request, out, false);
}

/* n:value : builtin:name, and there is nothing built in. */
void rsp_trace_set_variable(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    struct rsp_cursor *in = &request->rest;
    struct trace_variable v = {.initial = request->value[1], .value = request->value[1]};
    uint64_t builtin;
    bool fine = rsp_read_hex(in, &builtin) && rsp_eat(in, ':');
    size_t length = rsp_left(in) / 2;

    if (!may_define(rs, out))
        return;
    if (!fine || request->value[0] > UINT16_MAX || length > sizeof v.name ||
        !rsp_read_bytes(in, v.name, length) || rsp_left(in)) {
        refuse(rs, out);
        return;
    }
    v.number = (uint32_t)request->value[0];
    v.name_length = (uint32_t)length;
    rsp_result(rs, out, debug_trace_define_variable(&rs->debug, &v));
}

/* [start,end[:start,end ...]]: each but the first behind a colon. */
void rsp_trace_read_only(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    struct debug_trace *trace = rs->debug.trace;
    struct rsp_cursor *in = &request->rest;
    uint64_t begin, end;

    trace->range_count = 0;
    while (rsp_left(in)) {
        if (!rsp_eat(in, ':') || !rsp_read_hex(in, &begin) || !rsp_eat(in, ',') ||
            !rsp_read_hex(in, &end)) {
            refuse(rs, out);
            return;
        }
        if (trace->range_count == TRACE_RANGES_MAX)
            continue; /* the rest is then simply not there */
        trace->ranges[trace->range_count].begin = begin;
        trace->ranges[trace->range_count++].end = end;
    }
    rsp_ok(out);
}

void rsp_trace_buffer_size(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    struct trace_buffer *buffer = &rs->debug.trace->buffer;
    struct rsp_cursor *in = &request->rest;
    uint64_t size = buffer->capacity;

    if (!may_define(rs, out))
        return;
    if ((!rsp_eat_word(in, "-1") && !rsp_read_hex(in, &size)) || rsp_left(in))
        refuse(rs, out);
    else if (!trace_buffer_resize(buffer, size))
        rsp_error(rs, out, RINGSIDE_EINVAL, "the trace buffer has 4 KiB to 8 MiB");
    else
        rsp_ok(out);
    forget_frames(rs);
}

void rsp_trace_buffer_circular(struct ringside *rs, struct rsp_request *request,
                               struct rsp_out *out)
{
    rs->debug.trace->buffer.circular = request->value[0] != 0;
    rsp_ok(out);
}

/* user:text;notes:text;tstop:text;  Each has hexadecimal digits, of which we keep the first. */
void rsp_trace_notes(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    struct debug_trace *trace = rs->debug.trace;
    struct rsp_cursor *in = &request->rest;
    uint64_t digit;

    while (rsp_left(in)) {
        struct trace_remark *remark = rsp_eat_word(in, "user:")    ? &trace->user
                                      : rsp_eat_word(in, "notes:") ? &trace->notes
                                      : rsp_eat_word(in, "tstop:") ? &trace->stop
                                                                   : NULL;
        if (!remark) {
            refuse(rs, out);
            return;
        }
        remark->length = 0;
        for (; rsp_left(in) && !rsp_eat(in, ';'); in->at++) {
            struct rsp_cursor one = {in->at, in->at + 1};
            if (!rsp_read_hex(&one, &digit)) {
                refuse(rs, out);
                return;
            }
            if (remark->length < sizeof remark->text)
                remark->text[remark->length++] = *in->at;
        }
    }
    rsp_ok(out);
}

/* --- Start and stop -------------------------------------------------------------------------- */

void rsp_trace_start(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)request;
    forget_frames(rs);
    if (!rs->debug.target->breakpoint || !step_chosen(&rs->debug.step))
        rsp_error(rs, out, RINGSIDE_ENOTSUP, "tracepoints need breakpoints and a way to step");
    else
        rsp_result(rs, out, debug_trace_start(&rs->debug, rs->session.current));
}

void rsp_trace_stop(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)request;
    debug_trace_stop(&rs->debug, TRACE_STOPPED);
    rsp_ok(out);
}

/* --- Questions ------------------------------------------------------------------------------- */

static void put_field(struct rsp_out *out, const char *name, uint64_t value)
{
    rsp_put_text(out, name);
    rsp_put_hex(out, value);
}

static void put_remark(struct rsp_out *out, const char *name, const struct trace_remark *remark)
{
    rsp_put_text(out, name);
    rsp_put(out, remark->text, remark->length);
}

void rsp_trace_status(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    static const char *const ends[] = {
        [TRACE_NEVER_RUN] = ";tnotrun:", [TRACE_STOPPED] = ";tstop:",
        [TRACE_FULL] = ";tfull:",        [TRACE_DISCONNECTED] = ";tdisconnected:",
        [TRACE_PASSED] = ";tpasscount:",
    };
    const struct debug_trace *trace = rs->debug.trace;
    const struct trace_buffer *buffer = &trace->buffer;

    (void)request;
    rsp_put_char(out, 'T');
    rsp_put_char(out, trace->running ? '1' : '0');
    if (!trace->running) {
        rsp_put_text(out, ends[trace->end]);
        if (trace->end == TRACE_STOPPED) {
            put_remark(out, "", &trace->stop);
            rsp_put_char(out, ':');
        }
        rsp_put_hex(out, trace->end_number);
    }
    put_field(out, ";tframes:", buffer->count);
    put_field(out, ";tcreated:", buffer->created);
    put_field(out, ";tsize:", buffer->size);
    put_field(out, ";tfree:", trace_buffer_free(buffer));
    put_field(out, ";circular:", buffer->circular);
    put_field(out, ";disconn:", 0);
    put_remark(out, ";username:", &trace->user);
    put_remark(out, ";notes:", &trace->notes);
    rsp_put_char(out, ':'); /* without which GDB does not find the end of the notes */
}

void rsp_trace_point_status(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    const struct debug_tracepoint *t =
        debug_trace_find(&rs->debug, request->value[0], request->value[1]);

    if (!t) {
        refuse(rs, out);
        return;
    }
    put_field(out, "V", t->hits);
    put_field(out, ":", t->usage);
}

void rsp_trace_variable(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    const struct trace_variable *v = debug_trace_variable(&rs->debug, request->value[0]);
    uint64_t value = v ? v->value : 0;
    bool known = rs->session.framed ? rsp_frame_variable(rs, request->value[0], &value) : v != NULL;

    rsp_put_char(out, known ? 'V' : 'U');
    if (known)
        rsp_put_hex(out, value);
}

/* The next of the variables, or l. */
static void put_variable(struct ringside *rs, struct rsp_out *out)
{
    const struct debug_trace *trace = rs->debug.trace;

    if (rs->session.told >= trace->variable_count) {
        rsp_put_char(out, 'l');
        return;
    }
    const struct trace_variable *v = &trace->variables[rs->session.told++];
    rsp_put_hex(out, v->number);
    put_field(out, ":", v->initial);
    rsp_put_text(out, ":0:");
    rsp_put_bytes(out, v->name, v->name_length);
}

void rsp_trace_first_variable(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)request;
    rs->session.told = 0;
    put_variable(rs, out);
}

void rsp_trace_next_variable(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)request;
    put_variable(rs, out);
}

static void put_name(struct rsp_out *out, char kind, const struct debug_tracepoint *t)
{
    rsp_put_char(out, kind);
    rsp_put_hex(out, t->number);
    put_field(out, ":", t->address);
    rsp_put_char(out, ':');
}

static void put_definition(struct rsp_out *out, const struct debug_tracepoint *t)
{
    put_name(out, 'T', t);
    rsp_put_char(out, t->enabled ? 'E' : 'D');
    put_field(out, ":", t->steps);
    put_field(out, ":", t->pass);
    if (t->condition) {
        put_field(out, ":X", t->condition_length);
        rsp_put_char(out, ',');
        rsp_put_bytes(out, t->condition, t->condition_length);
    }
}

/* The next piece of the definitions, or l: each tracepoint with its texts behind it. */
static void put_piece(struct ringside *rs, struct rsp_out *out)
{
    const struct debug_trace *trace = rs->debug.trace;
    unsigned left = rs->session.told++;

    for (unsigned i = 0; i < trace->count; i++) {
        const struct debug_tracepoint *t = &trace->points[i];
        if (left-- == 0) {
            put_definition(out, t);
            return;
        }
        for (const struct trace_text *text = t->texts; text; text = text->next) {
            if (left-- == 0) {
                put_name(out, text->kind, t);
                rsp_put(out, text->text, text->length);
                return;
            }
        }
    }
    rsp_put_char(out, 'l');
}

void rsp_trace_first_piece(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)request;
    rs->session.told = 0;
    put_piece(rs, out);
}

void rsp_trace_next_piece(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)request;
    put_piece(rs, out);
}
