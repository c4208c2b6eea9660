/* Framing: finds packets among the bytes of the peer, and wraps ours. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/rsp.h"

#include <string.h>

static int digit(char c)
{
    char text[1] = {c};
    struct rsp_cursor in = {text, text + 1};
    uint64_t value;

    return rsp_read_hex(&in, &value) ? (int)value : -1;
}

/* Forget the latest packet where its place is wanted: the peer went on to something else. */
static void reclaim(struct rsp_session *s)
{
    if (s->out_from == s->out_to)
        s->out_from = s->out_to = s->frame_from = s->frame_to = 0;
}

bool rsp_has_room(const struct ringside *rs)
{
    const struct rsp_session *s = &rs->session;

    return s->out_from == s->out_to || s->out_to <= RSP_FRAME_MAX;
}

struct rsp_out rsp_begin(struct ringside *rs, size_t capacity)
{
    struct rsp_session *s = &rs->session;

    reclaim(s);
    s->frame_from = s->out_to;
    rs->out[s->out_to++] = '$';
    return (struct rsp_out){.bytes = rs->out + s->out_to, .capacity = capacity};
}

void rsp_end(struct ringside *rs, struct rsp_out *out)
{
    struct rsp_session *s = &rs->session;
    struct rsp_out tail = {.bytes = out->bytes + out->length, .capacity = 3};
    uint8_t sum = 0;

    for (size_t i = 0; i < out->length; i++)
        sum += (uint8_t)out->bytes[i];
    rsp_put_char(&tail, '#');
    rsp_put_digits(&tail, sum, 2);
    s->out_to += out->length + tail.length;
    s->frame_to = s->out_to;
}

static void acknowledge(struct ringside *rs, char c)
{
    struct rsp_session *s = &rs->session;

    if (s->no_ack)
        return;
    if (c == '+' || s->out_to > RSP_FRAME_MAX)
        reclaim(s);
    rs->out[s->out_to++] = c;
}

static void send_again(struct rsp_session *s)
{
    if (s->out_from != s->out_to)
        return; /* not all of it went out yet */
    s->out_from = s->frame_from;
    s->out_to = s->frame_to;
}

static void start(struct rsp_session *s)
{
    s->phase = RSP_BODY;
    s->in_length = 0;
    s->sum = 0;
}

static void between(struct ringside *rs, char c)
{
    struct rsp_session *s = &rs->session;

    switch (c) {
    case '$': start(s); break;
    case '-':
        if (!s->no_ack)
            send_again(s);
        break;
    case 3: /* Ctrl-C is a byte of its own, and only here */
        if (rs->debug.state == DEBUG_RUNNING) {
            s->waiting = true;
            debug_interrupt(&rs->debug);
        }
        break;
    default: break; /* '+', and noise */
    }
}

/* Bytes of a body, as many as come in a row. */
static size_t body(struct ringside *rs, const char *from, size_t n)
{
    struct rsp_session *s = &rs->session;
    size_t i = 0, room = RSP_PACKET_MAX - s->in_length;
    uint8_t sum = s->sum;

    if (n > room + 1)
        n = room + 1;
    for (; i < n && from[i] != '#' && from[i] != '$'; i++)
        sum += (uint8_t)from[i];
    s->sum = sum;
    memcpy(rs->in + s->in_length, from, i < room ? i : room);
    s->in_length += i;
    if (i == n)
        return n;
    if (from[i] == '#')
        s->phase = RSP_CHECKSUM_HIGH;
    else
        start(s); /* the peer broke off and starts again */
    return i + 1;
}

/* The rest of a body that is too long: only its end and its sum matter. */
static size_t excess(struct rsp_session *s, char c)
{
    if (c == '#')
        s->phase = RSP_CHECKSUM_HIGH;
    else if (c == '$')
        start(s);
    else
        s->sum += (uint8_t)c;
    return 1;
}

static void complete(struct ringside *rs, bool intact)
{
    struct rsp_session *s = &rs->session;

    s->phase = RSP_BETWEEN;
    /* Without acknowledgements the line is reliable, and nobody would send it again. */
    if (!intact && !s->no_ack) {
        acknowledge(rs, '-');
        return;
    }
    acknowledge(rs, '+');
    if (s->in_length > RSP_PACKET_MAX) {
        struct rsp_out out = rsp_begin(rs, RSP_PACKET_MAX);
        rsp_error(rs, &out, RINGSIDE_EINVAL, "the packet is longer than PacketSize");
        rsp_end(rs, &out);
        return;
    }
    rsp_handle_packet(rs, (struct rsp_cursor){rs->in, rs->in + s->in_length});
}

static size_t checksum_digit(struct ringside *rs, char c)
{
    struct rsp_session *s = &rs->session;
    int value = digit(c);

    if (value < 0) {
        complete(rs, false);
    } else if (s->phase == RSP_CHECKSUM_HIGH) {
        s->claimed = (uint8_t)(value << 4);
        s->phase = RSP_CHECKSUM_LOW;
    } else {
        complete(rs, (s->claimed | value) == s->sum);
    }
    return 1;
}

size_t rsp_input(struct ringside *rs, const char *bytes, size_t n)
{
    struct rsp_session *s = &rs->session;

    if (s->phase == RSP_BODY)
        return s->in_length > RSP_PACKET_MAX ? excess(s, *bytes) : body(rs, bytes, n);
    if (s->phase != RSP_BETWEEN)
        return checksum_digit(rs, *bytes);
    between(rs, *bytes);
    return 1;
}
