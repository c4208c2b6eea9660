/* What many replies share: OK and errors, thread ids, pieces of documents. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/rsp.h"

void rsp_ok(struct rsp_out *out)
{
    rsp_put_text(out, "OK");
}

/* The numbers are those of the manual's File-I/O errno values, the nearest there is to a meaning.
 */
static const struct {
    int error;
    uint8_t number;
    const char *message;
} errors[] = {
    {RINGSIDE_EFAULT, 14, "no such memory"}, {RINGSIDE_EINVAL, 22, "invalid argument"},
    {RINGSIDE_ENOSPC, 28, "no free slot"},   {RINGSIDE_ENOTSUP, 95, "not supported here"},
    {RINGSIDE_EIO, 5, "the engine failed"},
};

void rsp_error(struct ringside *rs, struct rsp_out *out, int error, const char *message)
{
    unsigned i = 0;

    while (i < sizeof errors / sizeof errors[0] - 1 && errors[i].error != error)
        i++;
    out->length = 0;
    out->overflow = false;
    rsp_put_char(out, 'E');
    if (rs->session.error_messages) {
        rsp_put_char(out, '.');
        rsp_put_text(out, message ? message : errors[i].message);
    } else {
        rsp_put_digits(out, errors[i].number, 2);
    }
}

void rsp_result(struct ringside *rs, struct rsp_out *out, int error)
{
    if (error)
        rsp_error(rs, out, error, NULL);
    else
        rsp_ok(out);
}

void rsp_put_thread(const struct ringside *rs, struct rsp_out *out, unsigned vcpu)
{
    if (rs->session.multiprocess) {
        rsp_put_char(out, 'p');
        rsp_put_hex(out, RSP_PID);
        rsp_put_char(out, '.');
    }
    rsp_put_hex(out, vcpu + 1);
}

/* "-1" is all, "0" any, else a number. */
static bool read_id(struct rsp_cursor *in, uint64_t *id, bool *all)
{
    struct rsp_cursor after = *in;

    *all = rsp_eat_word(&after, "-1");
    if (!*all && !rsp_read_hex(&after, id))
        return false;
    *in = after;
    return true;
}

bool rsp_read_thread(const struct ringside *rs, struct rsp_cursor *in, struct rsp_thread *thread)
{
    struct rsp_cursor after = *in;
    uint64_t id = 0;
    bool all;

    if (rsp_eat(&after, 'p')) {
        if (!read_id(&after, &id, &all) || (!all && id > RSP_PID))
            return false;
        if (!rsp_eat(&after, '.')) { /* a process alone is all its threads */
            *in = after;
            thread->which = RSP_ALL;
            return true;
        }
    }
    if (!read_id(&after, &id, &all) || (!all && id > rs->debug.vcpu_count))
        return false;
    *in = after;
    thread->which = all ? RSP_ALL : id ? RSP_ONE : RSP_ANY;
    if (thread->which == RSP_ONE)
        thread->vcpu = (unsigned)id - 1;
    return true;
}

const char *rsp_vcpu_state(struct ringside *rs, unsigned vcpu)
{
    const struct ringside_regs *regs = debug_regs(&rs->debug, vcpu);

    if (!regs)
        return "lost";
    switch (regs->activity) {
    case RINGSIDE_RUNNING: return "running";
    case RINGSIDE_HALTED: return "halted";
    case RINGSIDE_SHUTDOWN: return "shut down";
    case RINGSIDE_WAIT_SIPI: return "waiting for SIPI";
    }
    return "in no known state";
}

struct rsp_window rsp_window_begin(struct rsp_out *out, uint64_t offset, uint64_t length)
{
    /* The first character is known at the end; data may double in size by escapes. */
    uint64_t most = (out->capacity - 1) / 2;

    rsp_put_char(out, 'l');
    return (struct rsp_window){.out = out, .skip = offset, .left = length < most ? length : most};
}

void rsp_window_text(struct rsp_window *window, const char *text)
{
    size_t n = rsp_length(text);

    if (window->skip >= n) {
        window->skip -= n;
        return;
    }
    text += window->skip;
    n -= (size_t)window->skip;
    window->skip = 0;
    if (n > window->left) {
        window->more = true;
        n = (size_t)window->left;
    }
    window->left -= n;
    rsp_put_escaped(window->out, text, n);
}

void rsp_window_number(struct rsp_window *window, uint64_t value)
{
    char text[21];
    struct rsp_out out = {.bytes = text, .capacity = sizeof text - 1};

    rsp_put_decimal(&out, value);
    text[out.length] = 0;
    rsp_window_text(window, text);
}

void rsp_window_end(struct rsp_window *window)
{
    if (window->more)
        window->out->bytes[0] = 'm';
}
