/* The machine of the stepping tests: the soft engine and the debug server in one process. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RAM = 64 << 20, HASHED = 15 << 20, EXIT_PORT = 0xf4, ENOUGH = 50 * 1000 * 1000 };

static void serial_out(void *ctx, uint8_t byte)
{
    struct machine *m = ctx;

    if (m->console_length < CONSOLE_MAX)
        m->console[m->console_length++] = (char)byte;
}

static void ended(void *ctx, int what, int status)
{
    struct machine *m = ctx;

    (void)what;
    m->ended = true;
    m->status = status;
}

static bool serve(struct machine *m, const struct machine_config *config)
{
    const struct ringside_config server = {
        .target = soft_target(),
        .ctx = m->soft,
        .hold_at_start = true,
        .stop_on_attach = true,
        .resume_on_detach = true,
        .amd = config->vendor == SOFT_AMD,
    };

    m->server_memory = aligned_alloc(16, (ringside_size(1) + 15) & ~(size_t)15);
    if (!m->server_memory)
        return false;
    m->server = ringside_init(m->server_memory, &server);
    if (!m->server)
        return false;
    soft_set_server(m->soft, m->server);
    return ringside_connect(m->server) == RINGSIDE_OK && machine_ask(m, "QStartNoAckMode");
}

bool machine_start(struct machine *m, const struct machine_config *config)
{
    const struct soft_config soft = {
        .vm = {RAM, 1, EXIT_PORT},
        .vendor = config->vendor,
        .no_shadow_step = config->no_shadow_step,
        .ctx = m,
        .serial_out = serial_out,
        .ended = ended,
    };
    const struct boot_config boot = {
        .kernel = config->kernel, .kernel_size = config->kernel_size, .cmdline = ""};
    struct ringside_regs entry;
    struct boot_error why;
    int error;

    memset(m, 0, sizeof *m);
    m->soft = soft_new(&soft, &error);
    if (!m->soft || boot_load(soft_vm(m->soft), &boot, &entry, &why))
        return false;
    soft_set_entry(m->soft, &entry);
    return !config->served || serve(m, config);
}

void machine_end(struct machine *m)
{
    if (m->server)
        ringside_disconnect(m->server);
    soft_free(m->soft);
    free(m->server_memory);
}

bool machine_slice(struct machine *m)
{
    uint64_t idle, before = soft_instructions(m->soft);

    while (!m->ended && soft_instructions(m->soft) == before)
        if (soft_run(m->soft, 1, true, &idle) == SOFT_IDLE)
            return false;
    return !m->ended;
}

bool machine_run(struct machine *m)
{
    uint64_t idle;

    return soft_run(m->soft, ENOUGH, true, &idle) == SOFT_ENDED;
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

bool machine_ask(struct machine *m, const char *packet)
{
    char framed[128];
    uint8_t sum = 0;
    uint64_t idle;
    size_t n;

    for (const char *c = packet; *c; c++)
        sum += (uint8_t)*c;
    n = (size_t)snprintf(framed, sizeof framed, "$%s#%02x", packet, sum);
    ringside_input(m->server, framed, n);
    m->said[0] = '\0';
    for (;;) {
        if (take_reply(m)) {
            if (m->reply[0] != 'O' || m->reply[1] == 'K')
                return true;
            memcpy(m->said, m->reply + 1, sizeof m->said - 1);
            continue;
        }
        enum soft_state state = soft_run(m->soft, ENOUGH, true, &idle);
        if (state == SOFT_ENDED || state == SOFT_IDLE)
            return false;
    }
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

void machine_regs(struct machine *m, struct ringside_regs *out)
{
    soft_target()->read_regs(m->soft, 0, out);
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

    soft_target()->fpu->read(m->soft, 0, &fpu);
    machine_regs(m, &regs);
    hash = mix(hash ^ machine_regs_hash(&regs), fpu.vector, sizeof fpu.vector);
    hash = mix(hash, vm_ram(soft_vm(m->soft), 0, 0xa0000), 0xa0000);
    return mix(hash, vm_ram(soft_vm(m->soft), 0x100000, HASHED), HASHED);
}
