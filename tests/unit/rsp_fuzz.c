/* Random packets, damage and vCPU events against the server: replies stay well-formed, nothing of
 * the debugger stays in the guest. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "rsp_fake.h"

static uint64_t state, seed;

static uint32_t draw(uint32_t n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % n;
}

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "rsp_fuzz: %s (seed %llu)\n", what, (unsigned long long)seed);
    exit(1);
}

/* Pieces from which packets are made; % is a random number. */
static const char *const pieces[] = {
    "?",
    "g",
    "G%",
    "p%",
    "P%=%",
    "m%,%",
    "M%,%:%",
    "x%,%",
    "X%,%:",
    "Z0,%,1",
    "z0,%,1",
    "Z1,%,1",
    "z1,%,1",
    "Z2,%,%",
    "z2,%,%",
    "Z3,%,%",
    "Z4,%,%",
    "c",
    "s",
    "C05",
    "S05",
    "Hg%",
    "Hc%",
    "Hg-1",
    "T%",
    "vCont?",
    "vCont;c",
    "vCont;s",
    "vCont;s:%;c",
    "vCont;r%,%:%",
    "vCont;t",
    "vCont;c:p1.%",
    "vCtrlC",
    "qSupported:multiprocess+;swbreak+;hwbreak+",
    "qSupported:error-message+",
    "qC",
    "qfThreadInfo",
    "qsThreadInfo",
    "qThreadExtraInfo,%",
    "qAttached",
    "qSymbol::",
    "qXfer:features:read:target.xml:%,%",
    "qXfer:threads:read::%,%",
    "vMustReplyEmpty",
    "qRcmd,%",
    "qRcmd,68656c70",
    "qRcmd,696e666f207663707573",
    "qRcmd,726567697374657273",
    "qRcmd,7061676573203078666666",
    "qRcmd,627265616b706f696e7473",
    "qRcmd,7068797320302031303030",
    "qRcmd,636174636820657863657074696f6e20616c6c", /* catch exception all */
    "qRcmd,636174636820696e746572727570742032",     /* catch interrupt 2 */
    "qRcmd,63617463682063722033",                   /* catch cr 3 */
    "qRcmd,6361746368206d737220307831302%",         /* catch msr 0x10... */
    "qRcmd,636174636820706f7274203%",               /* catch port ... */
    "qRcmd,636174636820686c74",                     /* catch hlt */
    "qRcmd,63617463682064656c657465",               /* catch delete */
    "qRcmd,63617463682064656c65746520637220333",    /* catch delete cr 3, cut off */
    "qRcmd,6361746368",                             /* catch */
    "qRcmd,67756573742d696e74332073746f70",         /* guest-int3 stop */
    "qRcmd,67756573742d696e74332070617373",         /* guest-int3 pass */
    "M0,20000:",
    "Z0,%,1;X3,220027",
    "Z0,%,1;X8,2600002310001327;cmds:0,X15,26000022002200340100096869742025785c6e0027",
    "Z1,%,1;X%,2600002310001327",
    ";X8,2600002310001327",
    ";cmds:1,X14,220022002200340200092564202573002e2e27",
    "QTinit",
    "QTDP:1:1000:E:0:0",
    "QTDP:%:%:E:0:%",
    "QTDP:1:1000:E:3:0-",
    "QTDP:-1:1000:SR1-",
    "qTBuffer:0,1000",
    "qTBuffer:%,%",
    "QTDP:%:1000:E:0:%:X8,2600002310001327-",
    "QTDP:-1:1000:R7fffffffffffffffffffffff",
    "QTDP:-1:1000:R%M%,%,%",
    "QTDP:-1:1000:M-1,%,%",
    "QTDP:-1:1000:X7,23100022200c27",
    "QTDP:-1:1000:Xe,2c00012201022d0001292e000127",
    "QTDPsrc:1:1000:at:0:%:61",
    "QTDV:1:%:0:61",
    "QTDV:%:%:%:%",
    "QTEnable:1:1000",
    "QTDisable:1:1000",
    "QTro:%,%:%,%",
    "QTBuffer:size:1000",
    "QTBuffer:size:%",
    "QTBuffer:circular:1",
    "QTNotes:user:%;notes:%;tstop:%",
    "QTStart",
    "QTStart",
    "QTStop",
    "QTFrame:0",
    "QTFrame:%",
    "QTFrame:pc:%",
    "QTFrame:tdp:1",
    "QTFrame:outside:%:%",
    "qTStatus",
    "qTP:1:1000",
    "qTV:1",
    "qTfV",
    "qTsV",
    "qTfP",
    "qTsP",
    "qXfer:traceframe-info:read::%,%",
    "D",
    "k",
    "%",
    ";%",
    ",",
    ":",
    "p1.",
};
enum { PIECES = sizeof pieces / sizeof pieces[0] };

static uint64_t number(void)
{
    static const uint64_t bases[] = {
        0,           1,           2,         0x1000,        0x2000,
        FAKE_MEMORY, FAKE_LINEAR, FAKE_MMIO, 0xffffffffull, 1ull << 32,
        UINT64_MAX,  0x40000,     0x1ffff,   0x80000000u,   0x7fffffffffffffffull};
    return bases[draw(sizeof bases / sizeof bases[0])] + draw(3) * draw(20) - draw(2);
}

static size_t add_piece(char *to, const char *piece)
{
    size_t n = 0;

    for (; *piece; piece++) {
        if (*piece == '%')
            n += (size_t)sprintf(to + n, "%llx", (unsigned long long)number());
        else
            to[n++] = *piece;
    }
    return n;
}

static size_t make_packet(char *frame)
{
    size_t n = 1;
    unsigned sum = 0;

    frame[0] = '$';
    for (unsigned parts = draw(8) ? 1 : draw(5); parts; parts--)
        n += add_piece(frame + n, pieces[draw(PIECES)]);
    if (draw(200) == 0) /* long, and sometimes too long */
        for (size_t tail = draw(0x60000); tail; tail--)
            frame[n++] = "0123456789abcdef"[draw(16)];
    for (size_t i = 1; i < n; i++)
        sum += (unsigned char)frame[i];
    n += (size_t)sprintf(frame + n, "#%02x", sum & 0xff);
    for (unsigned damage = draw(10) ? 0 : 1 + draw(4); damage; damage--)
        frame[draw((uint32_t)n)] = (char)draw(256);
    return n;
}

/* Every byte that comes out is an acknowledgement or part of a packet with a right checksum. */
static void check_output(const unsigned char *out, size_t n)
{
    static struct {
        int phase;
        unsigned sum, claimed;
    } p;

    if (!out) {
        p.phase = 0;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = out[i];
        char text[2] = {(char)c, 0};
        switch (p.phase) {
        case 0:
            if (c == '$')
                p.phase = 1, p.sum = 0;
            else if (c != '+' && c != '-')
                fail("a byte outside of a packet");
            break;
        case 1:
            if (c == '#')
                p.phase = 2;
            else if (c == '$')
                fail("a packet in a packet");
            else
                p.sum += c;
            break;
        case 2:
            p.claimed = (unsigned)strtoul(text, NULL, 16) << 4;
            p.phase = 3;
            break;
        default:
            if ((p.claimed | strtoul(text, NULL, 16)) != (p.sum & 0xff))
                fail("a wrong checksum");
            p.phase = 0;
        }
    }
}

static void drain(struct ringside *rs)
{
    const void *bytes;
    size_t n;

    while ((n = ringside_output(rs, &bytes)) > 0) {
        size_t part = 1 + draw(1u << draw(20));
        n = part < n ? part : n;
        check_output(bytes, n);
        ringside_sent(rs, n);
    }
}

static void feed(struct ringside *rs, const char *bytes, size_t n)
{
    while (n) {
        size_t part = 1 + draw(1u << draw(20));
        part = ringside_input(rs, bytes, part < n ? part : n);
        if (part == 0 || draw(4) == 0)
            drain(rs);
        bytes += part;
        n -= part;
    }
}

static void vcpu_event(struct fake *fake, struct ringside *rs)
{
    unsigned vcpu = draw(FAKE_VCPUS);
    struct ringside_exit exit = {
        .reason = (enum ringside_exit_reason)draw(RINGSIDE_EXIT_ERROR + 1),
        .watch_kind = (enum ringside_watch_kind)draw(4),
        .watch_address = number(),
        .caught = {.kind = (enum ringside_catch_kind)draw(RINGSIDE_CATCH_TRAP + 1),
                   .number = draw(4) ? draw(40) : (uint32_t)number(),
                   .rip = number(),
                   .value = number(),
                   .has_error = draw(2),
                   .in = draw(2)},
    };

    if (ringside_vcpu_enter(rs, vcpu) != RINGSIDE_RUN)
        return;
    if (draw(2))
        fake->regs[vcpu].rip = number();
    if (draw(8) == 0)
        fake->regs[vcpu].activity = (uint8_t)draw(4);
    if (draw(50) == 0)
        fake_enable_paging(fake, vcpu);
    ringside_vcpu_exit(rs, vcpu, &exit);
}

static void session(struct fake *fake, struct ringside *rs, char *frame)
{
    if (ringside_connect(rs))
        fail("no connection");
    check_output(NULL, 0);
    for (unsigned i = draw(300); i && !ringside_finished(rs); i--) {
        feed(rs, frame, make_packet(frame));
        if (draw(3) == 0)
            feed(rs, draw(2) ? "\3" : draw(4) ? "-" : "$QStartNoAckMode#b0", 1);
        for (unsigned events = draw(4); events; events--)
            vcpu_event(fake, rs);
    }
    drain(rs);
    ringside_disconnect(rs);
    for (unsigned vcpu = 0; vcpu < FAKE_VCPUS; vcpu++) {
        if (ringside_vcpu_enter(rs, vcpu) != RINGSIDE_RUN)
            fail("a vCPU is held though nobody is there");
        if (fake->step[vcpu].armed)
            fail("a step is still armed");
    }
    if (fake->breakpoint_count || fake->watch_count || fake->catch_count)
        fail("breakpoints, watchpoints or catches are left in the guest");
}

int main(int argc, char **argv)
{
    struct fake *fake = calloc(1, sizeof *fake);
    char *frame = malloc(1 << 20);
    void *memory = aligned_alloc(16, (ringside_size(FAKE_VCPUS) + 15) & ~(size_t)15);
    unsigned rounds = argc > 2 ? (unsigned)atoi(argv[2]) : 5000;

    seed = argc > 1 ? strtoull(argv[1], NULL, 0) : (uint64_t)time(NULL);
    state = seed * 0x9e3779b97f4a7c15ull + 1;
    printf("rsp_fuzz: seed %llu\n", (unsigned long long)seed);
    fake_init(fake);
    struct ringside *rs = ringside_init(memory, &fake->config);
    for (unsigned i = 0; i < rounds; i++)
        session(fake, rs, frame);
    free(memory);
    free(frame);
    free(fake);
    return 0;
}
