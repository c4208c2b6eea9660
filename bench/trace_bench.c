/* How fast tracepoints and conditions are on the soft engine, in a loop that meets one each round.
 */
/*
 * usage: trace_bench [ROUNDS [CASE]]
 * Prints, for each case, how many million rounds of four instructions a second of processor time
 * has; with CASE, from 0, only for that one, without anything measured: for a profiler.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "figures.h"
#include "session.h"

enum { CODE = 0x1000, STACK = 0x8000, TABLES = 0x10000 };

/* 1: inc %ecx; call f; jmp 1b ... f: lea (%rcx,%rcx),%eax; ret */
static const uint8_t guest[] = {0xff, 0xc1, 0xe8, 0x05, 0,    0,    0,    0xeb,
                                0xf7, 0xcc, 0xcc, 0xcc, 0x8d, 0x04, 0x09, 0xc3};

/* $rcx == ~0, which it never is, and its contrary. */
#define NEVER   "Xe,26000225ffffffffffffffff1327"
#define ALWAYS  "Xf,26000225ffffffffffffffff130e27"
#define COLLECT "QTDP:-1:100c:R010003" /* rax, rbx, rip */

static const struct {
    const char *what;
    const char *packet; /* NULL: none */
    bool traces;
    unsigned elsewhere; /* breakpoints in pages that the guest does not touch */
} cases[] = {
    {"nothing set", NULL, false, 0},
    {"a tracepoint with three registers", "QTDP:1:100c:E:0:0-", true, 0},
    {"  and 10,000 breakpoints elsewhere", "QTDP:1:100c:E:0:0-", true, 10000},
    {"  and a condition that is true", "QTDP:1:100c:E:0:0:" ALWAYS "-", true, 0},
    {"a breakpoint whose condition is false", "Z0,100c,1;" NEVER, false, 0},
    {"  and 10,000 breakpoints elsewhere", "Z0,100c,1;" NEVER, false, 10000},
};
enum { CASES = sizeof cases / sizeof *cases };

static void start(struct session *s)
{
    const struct vm_config vm = {.ram_bytes = 4 << 20, .cpus = 1, .exit_port = -1};
    struct ringside_regs regs;

    session_machine(s, &soft_engine, &vm, SOFT_INTEL);
    vm_write(soft_vm(s->soft), CODE, guest, sizeof guest);
    regs = session_long(s, CODE, TABLES);
    regs.gpr[RINGSIDE_RSP] = STACK;
    soft_set_entry(s->soft, &regs);
    session_attach(s, soft_target(), 0);
}

static void set_up(struct session *s, unsigned number)
{
    enum { ELSEWHERE = 0x100000 };
    char packet[64];

    for (unsigned i = 0; i < cases[number].elsewhere; i++) {
        snprintf(packet, sizeof packet, "Z0,%x,1", ELSEWHERE + 8 * i);
        session_expect(s, packet, "OK");
    }
    if (cases[number].packet)
        session_expect(s, cases[number].packet, "OK");
    if (!cases[number].traces)
        return;
    session_expect(s, COLLECT, "OK");
    session_expect(s, "QTBuffer:circular:1", "OK");
    session_expect(s, "QTStart", "OK");
}

/* What the server has counted. */
static unsigned long long frames(struct session *s)
{
    const char *at = strstr(session_ask(s, "qTStatus"), ";tcreated:");

    if (!at)
        session_fail("no frames in: %s", s->reply);
    return strtoull(at + strlen(";tcreated:"), NULL, 16);
}

/* Rounds a second. */
static double measure(unsigned number, uint64_t rounds)
{
    static struct session s;
    uint64_t idle, done = 0;
    double time;

    start(&s);
    set_up(&s, number);
    session_send(&s, "vCont;c");
    time = processor_seconds();
    for (; done < rounds; done = session_regs(&s, 0).gpr[RINGSIDE_RCX])
        if (soft_run(s.soft, 20000, true, &idle) != SOFT_BUSY)
            session_fail("%s: the guest has stopped", cases[number].what);
    time = processor_seconds() - time;
    if (cases[number].traces && frames(&s) + 1 < done)
        session_fail("%llu frames of %llu rounds", frames(&s), (unsigned long long)done);
    session_free(&s);
    return (double)done / time;
}

int main(int argc, char **argv)
{
    enum { TIMES = 5 };
    const uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    double speed[CASES][TIMES];

    if (argc > 2) {
        measure((unsigned)strtoul(argv[2], NULL, 10) % CASES, rounds);
        return 0;
    }
    for (unsigned time = 0; time < TIMES; time++)
        for (unsigned i = 0; i < CASES; i++)
            speed[i][time] = measure(i, rounds);
    for (unsigned i = 0; i < CASES; i++)
        printf("%-46s %12.2f\n", cases[i].what, median(speed[i], TIMES) / 1e6);
    return 0;
}
