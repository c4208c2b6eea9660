/* The machine of the stepping tests: an engine and the debug server in one process. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "x86/regs.h"

enum { RAM = 64 << 20, HASHED = 15 << 20, EXIT_PORT = 0xf4, ENOUGH = 50 * 1000 * 1000 };
enum { PATIENCE_MS = 20000 }; /* for an engine with threads */

static void serial_out(void *ctx, uint8_t byte)
{
    struct machine *m = ctx;

    if (m->console_length < CONSOLE_MAX)
        m->console[m->console_length++] = (char)byte;
}

static size_t serial_takes(void *ctx)
{
    (void)ctx;
    return SIZE_MAX;
}

static void ended(void *ctx, int what, int status)
{
    struct machine *m = ctx;

    (void)what;
    m->ended = true;
    m->status = status;
}

static void declined(void *ctx, const char *text)
{
    (void)ctx;
    printf("declined: %s\n", text);
}

static bool serve(struct machine *m)
{
    const struct ringside_config server = {
        .target = m->ops->target,
        .port = m->ops->port,
        .ctx = m->engine,
        .hold_at_start = true,
        .stop_on_attach = true,
        .resume_on_detach = true,
        .amd = m->ops->is_amd(m->engine),
    };

    m->server_memory = aligned_alloc(16, (ringside_size(1) + 15) & ~(size_t)15);
    if (!m->server_memory)
        return false;
    m->server = ringside_init(m->server_memory, &server);
    if (!m->server)
        return false;
    m->ops->set_server(m->engine, m->server);
    return ringside_connect(m->server) == RINGSIDE_OK && machine_ask(m, "QStartNoAckMode") &&
           machine_ask(m, "?");
}

bool machine_start(struct machine *m, const struct machine_config *config)
{
    const struct engine_config engine = {
        .vm = {RAM, 1, EXIT_PORT},
        .vendor = config->vendor,
        .no_shadow_step = config->no_shadow_step,
        .ctx = m,
        .serial_out = serial_out,
        .serial_takes = serial_takes,
        .ended = ended,
        .declined = declined,
    };
    const struct boot_config boot = {
        .kernel = config->kernel, .kernel_size = config->kernel_size, .cmdline = ""};
    struct ringside_regs entry;
    struct boot_error why;
    int error;

    memset(m, 0, sizeof *m);
    m->ops = config->ops ? config->ops : &soft_engine;
    m->engine = m->ops->create(&engine, &error);
    if (!m->engine || boot_load(m->ops->vm(m->engine), &boot, &entry, &why))
        return false;
    m->ops->set_entry(m->engine, &entry);
    return !config->served || serve(m);
}

void machine_end(struct machine *m)
{
    if (m->server)
        ringside_disconnect(m->server);
    m->ops->destroy(m->engine);
    free(m->server_memory);
}

bool machine_slice(struct machine *m)
{
    uint64_t idle, before = soft_instructions(m->engine);

    while (!m->ended && soft_instructions(m->engine) == before)
        if (soft_run(m->engine, 1, true, &idle) == SOFT_IDLE)
            return false;
    return !m->ended;
}

bool machine_run(struct machine *m)
{
    uint64_t idle;

    return soft_run(m->engine, ENOUGH, true, &idle) == SOFT_ENDED;
}

/* --- The debugger's side --------------------------------------------------------------------- */

/* Takes the packet out of what waits, if it is complete. */
static bool take_reply(struct machine *m)
{
    const void *bytes;
    size_t n = ringside_output(m->server, &bytes), length;
    const char *text = bytes, *end;

    while (n && *text == '+')
        ringside_sent(m->server, 1), text++, n--;
    end = n ? memchr(text, '#', n) : NULL;
    if (!end || *text != '$')
        return false;
    length = (size_t)(end - text) - 1;
    if (length >= sizeof m->reply)
        length = sizeof m->reply - 1;
    memcpy(m->reply, text + 1, length);
    m->reply[length] = '\0';
    ringside_sent(m->server, (size_t)(end - text) + 3);
    return true;
}

/* Likewise, past what the server says to its console: that is kept beside. */
static bool take_answer(struct machine *m)
{
    while (take_reply(m)) {
        if (m->reply[0] != 'O' || m->reply[1] == 'K')
            return true;
        memcpy(m->said, m->reply + 1, sizeof m->said - 1);
    }
    return false;
}

/*
 * Sends n bytes, which may have to wait for a stop, and awaits the reply; false: none will come, or
 * the guest has ended.  That may come with a reply, so the engine is asked once more.
 */
static bool exchange(struct machine *m, const char *bytes, size_t n)
{
    struct pollfd news = {.fd = m->ops->event_fd(m->engine), .events = POLLIN};
    uint64_t idle;

    for (;;) {
        size_t taken = ringside_input(m->server, bytes, n);
        bytes += taken, n -= taken;
        enum engine_state state = m->ops->run(m->engine, ENOUGH, true, &idle);
        if (take_answer(m)) {
            m->ops->run(m->engine, ENOUGH, true, &idle);
            return !m->ended;
        }
        if (state == ENGINE_ENDED ||
            (state == ENGINE_IDLE && (news.fd < 0 || poll(&news, 1, PATIENCE_MS) <= 0)))
            return false;
    }
}

bool machine_ask(struct machine *m, const char *packet)
{
    char framed[128];
    uint8_t sum = 0;
    size_t n;

    for (const char *c = packet; *c; c++)
        sum += (uint8_t)*c;
    n = (size_t)snprintf(framed, sizeof framed, "$%s#%02x", packet, sum);
    m->said[0] = '\0';
    return exchange(m, framed, n);
}

bool machine_monitor(struct machine *m, const char *command)
{
    char packet[120] = "qRcmd,";
    size_t n = strlen(packet);

    for (; *command && n < sizeof packet - 2; command++)
        n += (size_t)sprintf(packet + n, "%02x", (unsigned)(unsigned char)*command);
    return machine_ask(m, packet);
}

/* --- What there is to see -------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash, const void *bytes, size_t n)
{
    const uint8_t *at = bytes;

    for (; n >= 8; at += 8, n -= 8) {
        uint64_t word;
        memcpy(&word, at, 8);
        hash = (hash ^ word) * 0x9e3779b97f4a7c15;
        hash ^= hash >> 29;
    }
    while (n--)
        hash = (hash ^ *at++) * 0x100000001b3;
    return hash;
}

/* What lies behind a null selector, and the rights of segments in real mode, nobody can see, and
 * processors differ. */
static void forget_what_is_hidden(struct ringside_regs *regs)
{
    bool is_real = !(regs->cr0 & X86_CR0_PE);

    for (struct ringside_segment *seg = regs->seg; seg < regs->seg + 6; seg++) {
        if (is_real)
            seg->access = 0;
        else if (!(regs->rflags & X86_FLAG_VM) && seg->selector <= 3)
            seg->limit = seg->access = 0;
    }
    if (regs->ldtr.selector <= 3)
        regs->ldtr.limit = regs->ldtr.access = 0;
}

void machine_regs(struct machine *m, struct ringside_regs *out)
{
    m->ops->target->read_regs(m->engine, 0, out);
    if (m->ops != &soft_engine)
        forget_what_is_hidden(out);
}

/* Every member of struct ringside_regs, without the padding between them. */
#define PART(member)                                                                               \
    {                                                                                              \
#member, offsetof(struct ringside_regs, member),                                           \
            sizeof(((struct ringside_regs *)0)->member)                                            \
    }
#define SEGMENT(member)                                                                            \
    PART(member.base), PART(member.limit), PART(member.selector), PART(member.access)
#define TABLE(member) PART(member.base), PART(member.limit)
static const struct {
    const char *name;
    size_t offset, size;
} parts[] = {
    PART(gpr[0]),
    PART(gpr[1]),
    PART(gpr[2]),
    PART(gpr[3]),
    PART(gpr[4]),
    PART(gpr[5]),
    PART(gpr[6]),
    PART(gpr[7]),
    PART(gpr[8]),
    PART(gpr[9]),
    PART(gpr[10]),
    PART(gpr[11]),
    PART(gpr[12]),
    PART(gpr[13]),
    PART(gpr[14]),
    PART(gpr[15]),
    PART(rip),
    PART(rflags),
    SEGMENT(seg[RINGSIDE_ES]),
    SEGMENT(seg[RINGSIDE_CS]),
    SEGMENT(seg[RINGSIDE_SS]),
    SEGMENT(seg[RINGSIDE_DS]),
    SEGMENT(seg[RINGSIDE_FS]),
    SEGMENT(seg[RINGSIDE_GS]),
    SEGMENT(ldtr),
    SEGMENT(tr),
    TABLE(gdtr),
    TABLE(idtr),
    PART(cr0),
    PART(cr2),
    PART(cr3),
    PART(cr4),
    PART(cr8),
    PART(xcr0),
    PART(dr[0]),
    PART(dr[1]),
    PART(dr[2]),
    PART(dr[3]),
    PART(dr6),
    PART(dr7),
    PART(efer),
    PART(star),
    PART(lstar),
    PART(cstar),
    PART(sfmask),
    PART(kernel_gs_base),
    PART(sysenter_cs),
    PART(sysenter_esp),
    PART(sysenter_eip),
    PART(pat),
    PART(tsc_aux),
    PART(debugctl),
    PART(apic_base),
    PART(misc_enable),
    PART(xss),
    PART(activity),
    PART(shadow),
    PART(nmi_blocked),
    PART(pending_debug),
    PART(under_way),
    PART(under_way_vector),
};
enum { PARTS = sizeof parts / sizeof *parts };

uint64_t machine_regs_hash(const struct ringside_regs *regs)
{
    uint64_t hash = 1;

    for (unsigned i = 0; i < PARTS; i++)
        hash = mix(hash, (const char *)regs + parts[i].offset, parts[i].size);
    return hash;
}

const char *machine_difference(const struct ringside_regs *a, const struct ringside_regs *b,
                               uint64_t *in_a, uint64_t *in_b)
{
    for (unsigned i = 0; i < PARTS; i++) {
        const char *from_a = (const char *)a + parts[i].offset;
        const char *from_b = (const char *)b + parts[i].offset;
        if (memcmp(from_a, from_b, parts[i].size) == 0)
            continue;
        *in_a = *in_b = 0;
        memcpy(in_a, from_a, parts[i].size);
        memcpy(in_b, from_b, parts[i].size);
        return parts[i].name;
    }
    return NULL;
}

uint64_t machine_hash(struct machine *m)
{
    struct ringside_regs regs;
    struct ringside_fpu fpu;
    uint64_t hash = mix(1, m->console, m->console_length);

    m->ops->target->fpu->read(m->engine, 0, &fpu);
    machine_regs(m, &regs);
    hash = mix(hash ^ machine_regs_hash(&regs), fpu.vector, sizeof fpu.vector);
    hash = mix(hash, vm_ram(m->ops->vm(m->engine), 0, 0xa0000), 0xa0000);
    return mix(hash, vm_ram(m->ops->vm(m->engine), 0x100000, HASHED), HASHED);
}
