/* Four vCPUs run through one breakpoint and count themselves how often: every time is told once. */
/*
 * usage: soak_smp HITS [kvm]
 * So many stops for each way to step, kind of breakpoint and place.  Most are left by letting all
 * vCPUs go, some by a step of the one that was stopped.  What the engine refuses is not tried.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"

enum { CPUS = 4, RAM = 1 << 20, CODE = 0x1000, COUNTS = 0x5000, SKIPPED = 77 };

extern const uint8_t smp_guest[], smp_guest_count[], smp_guest_counted[], smp_guest_tested[],
    smp_guest_end[];

/* The instruction that counts is locked, so that a software CPU must not do it beside vCPUs that
 * run; the one behind it is not. */
static const struct place {
    const uint8_t *at, *next;
    bool counted; /* by those who stand there */
} places[] = {
    {smp_guest_count, smp_guest_counted, false},
    {smp_guest_counted, smp_guest_tested, true},
};

struct trial {
    const struct engine_ops *ops;
    enum soft_vendor vendor;
    const char *way;
    bool hardware;
    const struct place *place;
};

static uint64_t address_of(const uint8_t *label)
{
    return CODE + (uint64_t)(label - smp_guest);
}

static uint32_t count_of(struct session *s, unsigned vcpu)
{
    uint32_t count;

    vm_read(s->ops->vm(s->engine), COUNTS + 4 * vcpu, &count, sizeof count);
    return count;
}

static void start(struct session *s, const struct trial *trial)
{
    const struct vm_config vm = {.ram_bytes = RAM, .cpus = CPUS, .exit_port = -1};
    struct ringside_regs regs = session_flat(CODE);

    session_machine(s, trial->ops, &vm, trial->vendor);
    vm_write(s->ops->vm(s->engine), CODE, smp_guest, (size_t)(smp_guest_end - smp_guest));
    for (unsigned i = 0; i < CPUS; i++) {
        regs.apic_base = session_regs(s, i).apic_base;
        regs.gpr[RINGSIDE_RSI] = i;
        regs.gpr[RINGSIDE_RDI] = COUNTS;
        if (i == 0)
            s->ops->set_entry(s->engine, &regs);
        else if (s->ops->target->write_regs(s->engine, i, &regs))
            session_fail("vCPU %u does not start", i);
    }
}

/* The one that stopped takes its step, and nobody else moves. */
static void leave_by_step(struct session *s, const struct place *place, unsigned vcpu)
{
    struct ringside_regs before[CPUS];
    char packet[32];

    for (unsigned i = 0; i < CPUS; i++)
        before[i] = session_regs(s, i);
    snprintf(packet, sizeof packet, "vCont;s:%x", vcpu + 1);
    session_expect(s, packet, "T05");
    if (session_stopped(s) != vcpu || session_regs(s, vcpu).rip != address_of(place->next))
        session_fail("a step of vCPU %u went astray: %s", vcpu, s->reply);
    for (unsigned i = 0; i < CPUS; i++) {
        const struct ringside_regs after = session_regs(s, i);
        if (i != vcpu &&
            (after.rip != before[i].rip || memcmp(after.gpr, before[i].gpr, sizeof after.gpr) != 0))
            session_fail("a step of vCPU %u moved vCPU %u", vcpu, i);
    }
}

/* Told once before each time it runs through, neither more nor less. */
static void compare(struct session *s, const struct place *place, unsigned stopped,
                    const unsigned told[CPUS])
{
    for (unsigned i = 0; i < CPUS; i++) {
        unsigned ahead = place->counted ? count_of(s, i) - told[i] : told[i] - count_of(s, i);
        if (ahead > 1 || (i == stopped && ahead == place->counted))
            session_fail("vCPU %u was told %u times, and counts %u", i, told[i], count_of(s, i));
    }
}

static void count_hits(struct session *s, const struct trial *trial, unsigned hits,
                       unsigned told[CPUS])
{
    const char *reason = trial->hardware ? "hwbreak" : "swbreak";

    for (unsigned n = 0; n < hits; n++) {
        session_expect(s, "vCont;c", "T05");
        unsigned vcpu = session_stopped(s);

        if (!strstr(s->reply, reason) || session_regs(s, vcpu).rip != address_of(trial->place->at))
            session_fail("another stop: %s", s->reply);
        told[vcpu]++;
        compare(s, trial->place, vcpu, told);
        if (n % 5 == 0)
            leave_by_step(s, trial->place, vcpu);
    }
}

static void goes_on(struct session *s)
{
    enum { ROUNDS = 100 };
    const uint64_t limit = session_limit(s);
    unsigned before[CPUS], slow = CPUS;

    for (unsigned i = 0; i < CPUS; i++)
        before[i] = count_of(s, i);
    while (slow && !session_late(s, limit)) {
        session_turn(s);
        slow = 0;
        for (unsigned i = 0; i < CPUS; i++)
            slow += count_of(s, i) - before[i] < ROUNDS;
    }
    if (slow)
        session_fail("%u vCPUs do not go on%s", slow, s->ended ? ": the guest has ended" : "");
}

/* The next debugger finds the machine as it was. */
static void nothing_is_left(struct session *s)
{
    const struct ringside_regs clean = session_flat(CODE);
    const size_t size = (size_t)(smp_guest_end - smp_guest);

    session_attach(s, s->ops->target, 0);
    if (memcmp(vm_ram(s->ops->vm(s->engine), CODE, size), smp_guest, size) != 0)
        session_fail("a byte is left in the guest");
    for (unsigned i = 0; i < CPUS; i++) {
        const struct ringside_regs regs = session_regs(s, i);
        if (regs.dr7 != clean.dr7 || regs.dr6 != clean.dr6 || regs.debugctl || regs.pending_debug ||
            memcmp(regs.dr, clean.dr, sizeof regs.dr) != 0 || regs.rflags & 0x100)
            session_fail("vCPU %u is not as it was", i);
    }
}

/* The debugger is gone in the middle of a range step, of a stop, or of hits that nobody was to be
 * told of: what is under way then is not the guest's. */
static void loses_its_debugger(struct session *s, const char *breakpoint, unsigned times)
{
    char never[80];

    snprintf(never, sizeof never, "%s;X3,220027", breakpoint);
    for (unsigned n = 0; n < times; n++) {
        session_expect(s, never, "OK");
        session_send(s, n % 2 ? "vCont;r1000,1100:1;c" : "vCont;c");
        session_turn(s);
        if (n % 3 == 0)
            ringside_input(s->rs, "\x03", 1);
        ringside_disconnect(s->rs);
        goes_on(s);
        nothing_is_left(s);
    }
}

static void soak(const struct trial *trial, unsigned hits)
{
    const char *vendor = trial->vendor == SOFT_AMD ? "amd" : "intel";
    static struct session s;
    unsigned told[CPUS] = {0};
    char packet[64];

    start(&s, trial);
    session_attach(&s, s.ops->target, 0);
    snprintf(packet, sizeof packet, "step-method %s", trial->way);
    session_monitor(&s, packet);
    snprintf(packet, sizeof packet, "Z%u,%llx,1", trial->hardware,
             (unsigned long long)address_of(trial->place->at));
    bool refused = *session_ask(&s, packet) == 'E';
    if (!refused) {
        count_hits(&s, trial, hits, told);
        session_detach(&s);
        goes_on(&s);
        nothing_is_left(&s);
        loses_its_debugger(&s, packet, hits < 200 ? hits / 10 : 20);
    }
    printf("%s, %s, Z%u %s the count: ", s.soft ? vendor : s.ops->name, trial->way, trial->hardware,
           trial->place->counted ? "after" : "at");
    printf(refused ? "refused\n" : "%u %u %u %u hits\n", told[0], told[1], told[2], told[3]);
    fflush(stdout);
    session_free(&s);
}

static void need_kvm(void)
{
    struct kvm_verdict verdict;

    kvm_try(false, &verdict);
    if (verdict.usable)
        return;
    printf("%s\n", verdict.text);
    exit(SKIPPED);
}

int main(int argc, char **argv)
{
    static const struct {
        const struct engine_ops *ops;
        enum soft_vendor vendor;
        const char *way;
    } ways[] = {
        {&soft_engine, SOFT_INTEL, "emulate"},        {&soft_engine, SOFT_INTEL, "monitor-trap"},
        {&soft_engine, SOFT_INTEL, "trap-flag"},      {&soft_engine, SOFT_AMD, "emulate"},
        {&soft_engine, SOFT_AMD, "interrupt-shadow"}, {&soft_engine, SOFT_AMD, "trap-flag"},
        {&kvm_engine, SOFT_INTEL, "emulate"},         {&kvm_engine, SOFT_INTEL, "trap-flag"},
    };
    const unsigned hits = argc >= 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    const bool on_kvm = argc == 3 && strcmp(argv[2], "kvm") == 0;

    if (!hits || argc > 3 || (argc == 3 && !on_kvm))
        session_fail("usage: soak_smp HITS [kvm]");
    if (on_kvm)
        need_kvm();
    for (size_t i = 0; i < 4 * sizeof ways / sizeof *ways; i++) {
        const struct trial trial = {
            ways[i / 4].ops, ways[i / 4].vendor, ways[i / 4].way, i & 1, &places[i >> 1 & 1],
        };
        if ((trial.ops == &kvm_engine) == on_kvm)
            soak(&trial, hits);
    }
    return 0;
}
