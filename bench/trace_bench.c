/* How many frames a second a tracepoint in a loop writes: three registers, on the soft engine. */
/*
 * usage: trace_bench [SECONDS]
 * Seconds are of processor time.  Prints frames a second, and how often the loop goes round in a
 * second without the tracepoint.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "session.h"

enum { CODE = 0x1000, FUNCTION = 0x100b, SLICE = 20000 };

/* 1: inc %ecx; call f; jmp 1b ... f: lea (%ecx,%ecx),%eax; ret */
static const uint8_t guest[] = {0x41, 0xe8, 0x05, 0,    0,    0,    0xeb, 0xf8,
                                0xcc, 0xcc, 0xcc, 0x8d, 0x04, 0x09, 0xc3};

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Times round the loop in a second. */
static double run(struct session *s, double seconds)
{
    double begin = now(), end;
    uint64_t from = session_regs(s, 0).gpr[RINGSIDE_RCX], idle;

    do
        soft_run(s->soft, SLICE, true, &idle);
    while ((end = now()) - begin < seconds);
    return (double)(session_regs(s, 0).gpr[RINGSIDE_RCX] - from) / (end - begin);
}

static void let_go(struct session *s)
{
    static const char packet[] = "$vCont;c#a8";

    if (ringside_input(s->rs, packet, sizeof packet - 1) != sizeof packet - 1)
        session_fail("the guest does not go on");
}

/* What the server says it has of this. */
static unsigned long long status(struct session *s, const char *field)
{
    const char *at = strstr(session_ask(s, "qTStatus"), field);

    if (!at)
        session_fail("no %s in: %s", field, s->reply);
    return strtoull(at + strlen(field), NULL, 16);
}

int main(int argc, char **argv)
{
    static struct session s;
    const struct vm_config vm = {.ram_bytes = 1 << 20, .cpus = 1, .exit_port = -1};
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
    struct ringside_regs regs = session_flat(CODE);

    session_machine(&s, &soft_engine, &vm, SOFT_INTEL);
    vm_write(soft_vm(s.soft), CODE, guest, sizeof guest);
    regs.gpr[RINGSIDE_RSP] = 0x8000;
    if (soft_target()->write_regs(s.soft, 0, &regs))
        session_fail("the vCPU does not start");
    double free_rate = run(&s, seconds);

    session_attach(&s, soft_target(), 0);
    session_expect(&s, "QTinit", "OK");
    session_expect(&s, "QTDP:1:100b:E:0:0-", "OK");
    session_expect(&s, "QTDP:-1:100b:R010003", "OK"); /* rax, rbx, rip */
    session_expect(&s, "QTBuffer:circular:1", "OK");
    session_expect(&s, "QTStart", "OK");
    let_go(&s);
    uint64_t from = session_regs(&s, 0).gpr[RINGSIDE_RCX];
    double rate = run(&s, seconds);
    uint64_t rounds = session_regs(&s, 0).gpr[RINGSIDE_RCX] - from;
    unsigned long long frames = status(&s, ";tcreated:");
    if (frames + 1 < rounds || frames > rounds + 1)
        session_fail("%llu frames of %llu rounds", frames, (unsigned long long)rounds);
    printf("%.0f %.0f\n", rate, free_rate);
    session_free(&s);
    return 0;
}
