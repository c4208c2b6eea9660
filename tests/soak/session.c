/* A machine of any engine and a debugger, in one process: for long runs. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "session.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "x86/regs.h"

/* For one thing that is waited for: instructions of the soft engine, seconds of one with threads.
 */
enum { SLICE = 100000, LONGEST = 200000000, PATIENCE = 60 };

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

static size_t serial_takes(void *ctx)
{
    return ((struct session *)ctx)->deaf ? 0 : SIZE_MAX;
}

static void declined(void *ctx, const char *text)
{
    (void)ctx;
    session_fail("%s", text);
}

void session_machine(struct session *s, const struct engine_ops *ops, const struct vm_config *vm,
                     enum soft_vendor vendor)
{
    const struct engine_config config = {
        .vm = *vm,
        .vendor = vendor,
        .ctx = s,
        .serial_out = serial_out,
        .serial_takes = serial_takes,
        .ended = ended,
        .declined = declined,
    };
    int error;

    memset(s, 0, sizeof *s);
    s->ops = ops;
    s->skip_idle = true;
    s->engine = ops->create(&config, &error);
    if (!s->engine)
        session_fail("no machine: %s", strerror(error));
    s->soft = ops == &soft_engine ? s->engine : NULL;
    s->amd = ops->is_amd(s->engine);
}

void session_free(struct session *s)
{
    s->ops->destroy(s->engine);
    free(s->memory); /* the engine's threads used it */
}

void session_turn(struct session *s)
{
    enum { A_WHILE_MS = 10 };
    struct pollfd event = {.fd = s->ops->event_fd(s->engine), .events = POLLIN};
    uint64_t idle;

    if (s->ops->run(s->engine, SLICE, s->skip_idle, &idle) == ENGINE_IDLE)
        poll(&event, 1, A_WHILE_MS);
}

static uint64_t progress(const struct session *s)
{
    struct timespec now;

    if (s->soft)
        return soft_instructions(s->soft);
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

uint64_t session_limit(const struct session *s)
{
    return progress(s) + (s->soft ? LONGEST : PATIENCE);
}

bool session_late(const struct session *s, uint64_t limit)
{
    return s->ended || progress(s) > limit;
}

void session_run_to(struct session *s, const char *text)
{
    while (!strstr(s->console, text)) {
        if (s->ended)
            session_fail("the guest never printed: %s", text);
        session_turn(s);
    }
}

struct ringside_regs session_regs(struct session *s, unsigned vcpu)
{
    struct ringside_regs regs;

    s->ops->target->read_regs(s->engine, vcpu, &regs);
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

struct ringside_regs session_long(struct session *s, uint64_t rip, uint64_t tables)
{
    enum { CODE64 = 0xa09b, PAGE = 4096, WRITABLE = 3 };
    struct ringside_regs regs = session_flat(rip);

    for (uint64_t level = 0; level < 3; level++) {
        const uint64_t entry = (tables + (level + 1) * PAGE) | WRITABLE;
        vm_write(soft_vm(s->soft), tables + level * PAGE, &entry, sizeof entry);
    }
    for (uint64_t i = 0; i < 512; i++) {
        const uint64_t entry = i * PAGE | WRITABLE;
        vm_write(soft_vm(s->soft), tables + 3 * PAGE + 8 * i, &entry, sizeof entry);
    }
    regs.cr0 |= X86_CR0_PG;
    regs.cr3 = tables;
    regs.cr4 = X86_CR4_PAE;
    regs.efer = X86_EFER_LME | X86_EFER_LMA;
    regs.seg[RINGSIDE_CS].access = CODE64;
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

/* The server takes a packet when the vCPUs are where it expects them. */
static void put(struct session *s, const char *bytes, size_t n, const char *what)
{
    const uint64_t limit = session_limit(s);
    size_t taken = ringside_input(s->rs, bytes, n);

    while (taken < n) {
        if (session_late(s, limit))
            session_fail("%s: not taken", what);
        session_turn(s);
        taken += ringside_input(s->rs, bytes + taken, n - taken);
    }
}

static void get_reply(struct session *s, const char *what)
{
    const uint64_t limit = session_limit(s);

    while (!take_reply(s)) {
        if (session_late(s, limit))
            session_fail("%s: no reply", what);
        session_turn(s);
    }
}

void session_send(struct session *s, const char *packet)
{
    char frame[256];
    unsigned sum = 0;
    int n;

    for (const char *c = packet; *c; c++)
        sum += (unsigned char)*c;
    n = snprintf(frame, sizeof frame, "$%s#%02x", packet, sum & 0xff);
    if (n < 0 || (size_t)n >= sizeof frame)
        session_fail("%s: too long", packet);
    put(s, frame, (size_t)n, packet);
}

const char *session_ask(struct session *s, const char *packet)
{
    session_send(s, packet);
    get_reply(s, packet);
    return s->reply;
}

void session_interrupt(struct session *s)
{
    put(s, "\x03", 1, "Ctrl-C");
    get_reply(s, "Ctrl-C");
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

static void serve(struct session *s, const struct ringside_target *target, unsigned step_ways)
{
    const unsigned vcpus = target->vcpu_count(s->engine);
    const struct ringside_config config = {
        .target = target,
        .port = s->ops->port,
        .ctx = s->engine,
        .stop_on_attach = true,
        .resume_on_detach = true,
        .amd = s->amd,
        .step_ways = step_ways,
        .version = "soak",
    };

    s->memory = aligned_alloc(16, (ringside_size(vcpus) + 15) & ~(size_t)15);
    s->rs = s->memory ? ringside_init(s->memory, &config) : NULL;
    if (!s->rs)
        session_fail("no server");
    s->ops->set_server(s->engine, s->rs);
}

void session_attach(struct session *s, const struct ringside_target *target, unsigned step_ways)
{
    if (!s->rs)
        serve(s, target, step_ways);
    if (ringside_connect(s->rs))
        session_fail("the server is not free");
    session_expect(s, "QStartNoAckMode", "OK");
    session_expect(s, "qSupported:swbreak+;hwbreak+", "PacketSize");
    session_expect(s, "?", "T");
}

void session_detach(struct session *s)
{
    session_expect(s, "D", "OK");
    ringside_disconnect(s->rs);
}
