/* A machine of the soft engine and a debugger, in one process and on one thread: for long runs. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLICE = 100000, LONGEST = 200000000 /* instructions for one reply */ };

_Noreturn void session_fail(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

/* --- The machine ----------------------------------------------------------------------------- */

static void serial_out(void *ctx, uint8_t byte)
{
    struct session *s = ctx;

    if (s->console_length < sizeof s->console - 1)
        s->console[s->console_length++] = (char)byte;
}

static void ended(void *ctx, int what, int status)
{
    (void)what, (void)status;
    ((struct session *)ctx)->ended = true;
}

void session_machine(struct session *s, const struct vm_config *vm, enum soft_vendor vendor)
{
    const struct soft_config config = {
        .vm = *vm, .vendor = vendor, .ctx = s, .serial_out = serial_out, .ended = ended};
    int error;

    memset(s, 0, sizeof *s);
    s->amd = vendor == SOFT_AMD;
    s->skip_idle = true;
    s->soft = soft_new(&config, &error);
    if (!s->soft)
        session_fail("no machine: %s", strerror(error));
}

void session_free(struct session *s)
{
    soft_free(s->soft);
}

void session_run_to(struct session *s, const char *text)
{
    uint64_t idle;

    while (!strstr(s->console, text))
        if (soft_run(s->soft, SLICE, s->skip_idle, &idle) != SOFT_BUSY)
            session_fail("the guest never printed: %s", text);
}

struct ringside_regs session_regs(struct session *s, unsigned vcpu)
{
    struct ringside_regs regs;

    soft_target()->read_regs(s->soft, vcpu, &regs);
    return regs;
}

struct ringside_regs session_flat(uint64_t rip)
{
    enum { CODE32 = 0xc09b, DATA32 = 0xc093 };
    struct ringside_regs regs = {
        .rip = rip,
        .rflags = 2,
        .cr0 = 0x11,
        .xcr0 = 1,
        .dr6 = 0xffff0ff0,
        .dr7 = 0x400,
        .apic_base = VM_LAPIC_BASE | 0x900,
        .pat = 0x0007040600070406,
    };

    for (unsigned i = 0; i < 6; i++)
        regs.seg[i] = (struct ringside_segment){0, UINT32_MAX, 0x10, DATA32};
    regs.seg[RINGSIDE_CS] = (struct ringside_segment){0, UINT32_MAX, 0x08, CODE32};
    regs.ldtr = (struct ringside_segment){0, 0xffff, 0, 0x82};
    regs.tr = (struct ringside_segment){0, 0xffff, 0, 0x8b};
    return regs;
}

/* --- The debugger ---------------------------------------------------------------------------- */

/* The payload of a whole packet that the server has put out; false: none yet. */
static bool take_reply(struct session *s)
{
    const void *bytes;
    size_t n, length = 0;

    while ((n = ringside_output(s->rs, &bytes)) > 0) {
        if (length + n >= sizeof s->reply)
            session_fail("a reply is too long");
        memcpy(s->reply + length, bytes, n);
        length += n;
        ringside_sent(s->rs, n);
    }
    s->reply[length] = 0;
    char *begin = strchr(s->reply, '$'), *end = strrchr(s->reply, '#');
    if (!begin || !end)
        return false;
    *end = 0;
    memmove(s->reply, begin + 1, (size_t)(end - begin));
    return true;
}

const char *session_ask(struct session *s, const char *packet)
{
    uint64_t limit = soft_instructions(s->soft) + LONGEST, idle;
    char frame[256];
    unsigned sum = 0;
    int n;

    for (const char *c = packet; *c; c++)
        sum += (unsigned char)*c;
    n = snprintf(frame, sizeof frame, "$%s#%02x", packet, sum & 0xff);
    if (n < 0 || ringside_input(s->rs, frame, (size_t)n) != (size_t)n)
        session_fail("%s: not taken", packet);
    while (!take_reply(s)) {
        if (soft_instructions(s->soft) > limit || s->ended)
            session_fail("%s: no reply", packet);
        soft_run(s->soft, SLICE, s->skip_idle, &idle);
    }
    return s->reply;
}

void session_expect(struct session *s, const char *packet, const char *start_of_reply)
{
    const char *reply = session_ask(s, packet);

    if (strncmp(reply, start_of_reply, strlen(start_of_reply)) != 0)
        session_fail("%s: %s", packet, reply);
}

void session_monitor(struct session *s, const char *command)
{
    char packet[256] = "qRcmd,";
    size_t at = strlen(packet);

    for (; *command; command++)
        at += (size_t)snprintf(packet + at, sizeof packet - at, "%02x", (unsigned char)*command);
    session_ask(s, packet);
}

unsigned session_stopped(const struct session *s)
{
    const char *thread = strstr(s->reply, "thread:");

    if (!thread)
        session_fail("not a stop of a vCPU: %s", s->reply);
    thread += strlen("thread:");
    if (*thread == 'p')
        thread = strchr(thread, '.') + 1;
    return (unsigned)strtoul(thread, NULL, 16) - 1;
}

void session_attach(struct session *s, const struct ringside_target *target, unsigned step_ways)
{
    const unsigned vcpus = target->vcpu_count(s->soft);
    const struct ringside_config config = {
        .target = target,
        .ctx = s->soft,
        .stop_on_attach = true,
        .resume_on_detach = true,
        .amd = s->amd,
        .step_ways = step_ways,
        .version = "soak",
    };

    s->memory = aligned_alloc(16, (ringside_size(vcpus) + 15) & ~(size_t)15);
    s->rs = s->memory ? ringside_init(s->memory, &config) : NULL;
    if (!s->rs || ringside_connect(s->rs))
        session_fail("no server");
    soft_set_server(s->soft, s->rs);
    session_expect(s, "QStartNoAckMode", "OK");
    session_expect(s, "qSupported:swbreak+;hwbreak+", "PacketSize");
    session_expect(s, "?", "T");
}

void session_detach(struct session *s)
{
    session_expect(s, "D", "OK");
    ringside_disconnect(s->rs);
    soft_set_server(s->soft, NULL);
    free(s->memory);
    s->rs = NULL;
}
