/* Interrupts and continues vCPUs of the KVM engine, whatever they do: each stop comes, and all go
 * on. */
/*
 * usage: soak_kicks ROUNDS
 * So many for each set of vCPUs, after random delays from nothing to a millisecond, so that kicks
 * come before, in and after an entry.  A lost one is a stop that never comes.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "session.h"

enum { CODE = 0x1000, GDT = 0x3000, IDT = 0x4000, COUNTS = 0x5000, STACKS = 0x6000, TICK = 0x20 };
enum { CPUS_MAX = 4, RAM = 1 << 20, SKIPPED = 77 };

extern const uint8_t kicks_guest[], kicks_spin[], kicks_sleep[], kicks_tick[], kicks_port[],
    kicks_write[], kicks_halt[], kicks_guest_end[];

enum role { NOBODY, SPINS, SLEEPS, USES_PORTS, WRITES, HALTED, WAITS };
static const struct {
    const char *name;
    const uint8_t *code;  /* NULL: it is not started */
    bool counts;          /* it goes on while the guest runs */
    const char *state[2]; /* as the debugger is told; NULL: no other */
} roles[] = {
    [SPINS] = {"spins", kicks_spin, true, {"running", NULL}},
    [SLEEPS] = {"sleeps", kicks_sleep, true, {"halted", "running"}},
    [USES_PORTS] = {"uses ports", kicks_port, true, {"running", NULL}},
    [WRITES] = {"writes to a full console", kicks_write, false, {"running", NULL}},
    [HALTED] = {"is halted", kicks_halt, false, {"halted", "running"}},
    [WAITS] = {"waits for SIPI", NULL, false, {"waiting for SIPI", NULL}},
};

static const enum role sets[][CPUS_MAX] = {
    {SPINS},
    {SLEEPS},
    {USES_PORTS},
    {WRITES},
    {HALTED},
    {SPINS, SLEEPS},
    {WRITES, WAITS},
    {SPINS, SLEEPS, USES_PORTS, WAITS},
    {WRITES, SPINS, SLEEPS, HALTED},
};

static uint32_t address_of(const uint8_t *label)
{
    return CODE + (uint32_t)(label - kicks_guest);
}

static uint32_t count_of(struct session *s, unsigned vcpu)
{
    uint32_t count;

    vm_read(s->ops->vm(s->engine), COUNTS + 4 * vcpu, &count, sizeof count);
    return count;
}

static unsigned cpus_of(const enum role set[CPUS_MAX])
{
    unsigned cpus = 0;

    while (cpus < CPUS_MAX && set[cpus] != NOBODY)
        cpus++;
    return cpus;
}

/* Flat segments, and a gate for the timer's interrupt. */
static void load(struct session *s)
{
    static const uint64_t gdt[] = {0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
    const uint64_t tick = address_of(kicks_tick);
    const uint64_t gate = (tick & 0xffff) | 8 << 16 | 0x8eull << 40 | tick >> 16 << 48;
    struct vm *vm = s->ops->vm(s->engine);

    vm_write(vm, CODE, kicks_guest, (size_t)(kicks_guest_end - kicks_guest));
    vm_write(vm, GDT, gdt, sizeof gdt);
    vm_write(vm, IDT + 8 * TICK, &gate, sizeof gate);
}

static void start(struct session *s, const enum role set[CPUS_MAX])
{
    const struct vm_config vm = {.ram_bytes = RAM, .cpus = cpus_of(set), .exit_port = -1};

    session_machine(s, &kvm_engine, &vm, SOFT_INTEL);
    load(s);
    for (unsigned i = 0; i < vm.cpus; i++) {
        const uint8_t *code = roles[set[i]].code;
        struct ringside_regs regs = session_flat(code ? address_of(code) : 0);

        s->deaf |= set[i] == WRITES;
        regs.apic_base = session_regs(s, i).apic_base;
        regs.gdtr = (struct ringside_table){GDT, 23};
        regs.idtr = (struct ringside_table){IDT, 8 * TICK + 7};
        regs.gpr[RINGSIDE_RBX] = i;
        regs.gpr[RINGSIDE_RDI] = COUNTS;
        regs.gpr[RINGSIDE_RBP] = VM_LAPIC_BASE;
        regs.gpr[RINGSIDE_RSP] = STACKS + 0x1000 * (i + 1);
        if (i == 0)
            s->ops->set_entry(s->engine, &regs);
        else if (code && s->ops->target->write_regs(s->engine, i, &regs))
            session_fail("vCPU %u does not start", i);
    }
}

/* Short delays mostly: they meet the entry itself. */
static void delay(unsigned round)
{
    static uint64_t seed = 1;
    const uint64_t limit = round % 8 ? 60000 : 1000000;

    seed = seed * 6364136223846793005 + 1442695040888963407;
    nanosleep(&(struct timespec){0, (long)((seed >> 33) % limit)}, NULL);
}

static void check_states(struct session *s, const enum role set[CPUS_MAX])
{
    for (unsigned i = 0; i < cpus_of(set); i++) {
        const char *const *states = roles[set[i]].state;
        char packet[32], text[64] = "";

        snprintf(packet, sizeof packet, "qThreadExtraInfo,%x", i + 1);
        const char *hex = session_ask(s, packet);
        for (size_t k = 0; k < sizeof text - 1 && hex[2 * k] && hex[2 * k + 1]; k++)
            text[k] = (char)strtoul((char[]){hex[2 * k], hex[2 * k + 1], 0}, NULL, 16);
        if (!strstr(text, states[0]) && !(states[1] && strstr(text, states[1])))
            session_fail("vCPU %u, which %s: %s", i, roles[set[i]].name, text);
    }
}

/* Continued; within a second each must have done something, if only the others let it. */
static void check_progress(struct session *s, const enum role set[CPUS_MAX])
{
    enum { TURNS = 1000 };
    const unsigned cpus = cpus_of(set);
    uint32_t before[CPUS_MAX];
    unsigned waiting = 1, last = 0;

    for (unsigned i = 0; i < cpus; i++)
        before[i] = count_of(s, i);
    session_send(s, "vCont;c");
    for (unsigned turn = 0; turn < TURNS && waiting; turn++) {
        waiting = 0;
        session_turn(s);
        for (unsigned i = 0; i < cpus; i++) {
            if (!roles[set[i]].counts || count_of(s, i) != before[i])
                continue;
            waiting++;
            last = i;
        }
    }
    session_interrupt(s);
    if (waiting)
        session_fail("vCPU %u, which %s, does not go on: rip %#llx", last, roles[set[last]].name,
                     (unsigned long long)session_regs(s, last).rip);
}

/* Until the one that writes, vCPU 0, has to wait for the console. */
static void fill_console(struct session *s)
{
    enum { QUIET = 5 };
    uint32_t count = 0;

    session_send(s, "vCont;c");
    for (unsigned turns = 0; turns < QUIET; turns++) {
        session_turn(s);
        if (count_of(s, 0) != count)
            turns = 0;
        count = count_of(s, 0);
    }
    session_interrupt(s);
}

static void kick(const enum role set[CPUS_MAX], unsigned rounds)
{
    enum { CHECKED = 64 };
    static struct session s;

    start(&s, set);
    session_attach(&s, s.ops->target, 0);
    if (s.deaf)
        fill_console(&s);
    for (unsigned round = 0; round < rounds; round++) {
        session_send(&s, "vCont;c");
        delay(round);
        session_interrupt(&s);
        if (round % CHECKED == 0)
            check_states(&s, set);
        if (round % CHECKED == CHECKED - 1)
            check_progress(&s, set);
    }
    session_detach(&s);
    session_free(&s);
    printf("%u rounds:", rounds);
    for (unsigned i = 0; i < cpus_of(set); i++)
        printf("%s one %s", i ? "," : "", roles[set[i]].name);
    putchar('\n');
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const unsigned rounds = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
    struct kvm_verdict verdict;

    if (!rounds)
        session_fail("usage: soak_kicks ROUNDS");
    kvm_try(false, &verdict);
    if (!verdict.usable) {
        printf("%s\n", verdict.text);
        return SKIPPED;
    }
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++)
        kick(sets[i], rounds);
    return 0;
}
