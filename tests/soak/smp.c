/* Four vCPUs run through one breakpoint and count themselves how often: every time is told once. */
/*
 * usage: soak_smp HITS
 * So many stops for each way to step and each kind of breakpoint.  Most are left by letting all
 * vCPUs go, some by a step of the one that was stopped.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

enum { CPUS = 4, RAM = 1 << 20, CODE = 0x1000, COUNTS = 0x5000 };

extern const uint8_t smp_guest[], smp_guest_place[], smp_guest_next[], smp_guest_end[];

static uint64_t address_of(const uint8_t *label)
{
    return CODE + (uint64_t)(label - smp_guest);
}

static uint32_t count_of(struct session *s, unsigned vcpu)
{
    uint32_t count;

    vm_read(soft_vm(s->soft), COUNTS + 4 * vcpu, &count, sizeof count);
    return count;
}

static void start(struct session *s, enum soft_vendor vendor)
{
    const struct vm_config vm = {.ram_bytes = RAM, .cpus = CPUS, .exit_port = -1};

    session_machine(s, &vm, vendor);
    vm_write(soft_vm(s->soft), CODE, smp_guest, (size_t)(smp_guest_end - smp_guest));
    for (unsigned i = 0; i < CPUS; i++) {
        struct ringside_regs regs = session_flat(CODE);

        regs.apic_base = session_regs(s, i).apic_base;
        regs.gpr[RINGSIDE_RSI] = i;
        regs.gpr[RINGSIDE_RDI] = COUNTS;
        if (soft_target()->write_regs(s->soft, i, &regs))
            session_fail("vCPU %u does not start", i);
    }
}

/* The one that stopped takes its step, and nobody else moves. */
static void leave_by_step(struct session *s, unsigned vcpu)
{
    struct ringside_regs before[CPUS];
    char packet[32];

    for (unsigned i = 0; i < CPUS; i++)
        before[i] = session_regs(s, i);
    snprintf(packet, sizeof packet, "vCont;s:%x", vcpu + 1);
    session_expect(s, packet, "T05");
    if (session_stopped(s) != vcpu || session_regs(s, vcpu).rip != address_of(smp_guest_next))
        session_fail("a step of vCPU %u went astray: %s", vcpu, s->reply);
    for (unsigned i = 0; i < CPUS; i++) {
        const struct ringside_regs after = session_regs(s, i);
        if (i != vcpu &&
            (after.rip != before[i].rip || memcmp(after.gpr, before[i].gpr, sizeof after.gpr) != 0))
            session_fail("a step of vCPU %u moved vCPU %u", vcpu, i);
    }
}

static void count_hits(struct session *s, const char *reason, unsigned hits, unsigned told[CPUS])
{
    for (unsigned n = 0; n < hits; n++) {
        session_expect(s, "vCont;c", "T05");
        unsigned vcpu = session_stopped(s);

        if (!strstr(s->reply, reason) || session_regs(s, vcpu).rip != address_of(smp_guest_place))
            session_fail("another stop: %s", s->reply);
        told[vcpu]++;
        /* Told once before each time it runs through, neither more nor less. */
        for (unsigned i = 0; i < CPUS; i++) {
            unsigned ahead = told[i] - count_of(s, i);
            if (ahead > 1 || (i == vcpu && !ahead))
                session_fail("hit %u: vCPU %u was told %u times, and counts %u", n, i, told[i],
                             count_of(s, i));
        }
        if (n % 5 == 0)
            leave_by_step(s, vcpu);
    }
}

static void nothing_is_left(struct session *s)
{
    const size_t size = (size_t)(smp_guest_end - smp_guest);
    uint64_t idle;
    uint32_t before[CPUS];

    if (memcmp(vm_ram(soft_vm(s->soft), CODE, size), smp_guest, size) != 0)
        session_fail("a byte is left in the guest");
    for (unsigned i = 0; i < CPUS; i++) {
        const struct ringside_regs regs = session_regs(s, i), clean = session_flat(CODE);
        if (regs.dr7 != clean.dr7 || regs.dr6 != clean.dr6 || regs.debugctl || regs.pending_debug ||
            memcmp(regs.dr, clean.dr, sizeof regs.dr) != 0 || regs.rflags & 0x100)
            session_fail("vCPU %u is not as it was", i);
        before[i] = count_of(s, i);
    }
    if (soft_run(s->soft, 200000, true, &idle) != SOFT_BUSY)
        session_fail("the guest does not go on");
    for (unsigned i = 0; i < CPUS; i++)
        if (count_of(s, i) - before[i] < 100)
            session_fail("vCPU %u does not go on", i);
}

static void soak(enum soft_vendor vendor, const char *way, bool hardware, unsigned hits)
{
    static struct session s;
    unsigned told[CPUS] = {0};
    char packet[64];

    start(&s, vendor);
    session_attach(&s, soft_target(), 0);
    snprintf(packet, sizeof packet, "step-method %s", way);
    session_monitor(&s, packet);
    snprintf(packet, sizeof packet, "Z%u,%llx,1", hardware,
             (unsigned long long)address_of(smp_guest_place));
    session_expect(&s, packet, "OK");
    count_hits(&s, hardware ? "hwbreak" : "swbreak", hits, told);
    session_detach(&s);
    nothing_is_left(&s);
    printf("%s, %s, Z%u: %u %u %u %u hits\n", vendor == SOFT_AMD ? "amd" : "intel", way, hardware,
           told[0], told[1], told[2], told[3]);
    session_free(&s);
}

int main(int argc, char **argv)
{
    static const struct {
        enum soft_vendor vendor;
        const char *way;
    } ways[] = {
        {SOFT_INTEL, "emulate"}, {SOFT_INTEL, "monitor-trap"},   {SOFT_INTEL, "trap-flag"},
        {SOFT_AMD, "emulate"},   {SOFT_AMD, "interrupt-shadow"}, {SOFT_AMD, "trap-flag"},
    };
    const unsigned hits = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;

    if (!hits)
        session_fail("usage: soak_smp HITS");
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        for (unsigned hardware = 0; hardware < 2; hardware++)
            soak(ways[i].vendor, ways[i].way, hardware, hits);
    return 0;
}
