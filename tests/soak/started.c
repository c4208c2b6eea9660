/* Breakpoints that are set before the other vCPUs of a KVM machine are started stop each of them,
 * once. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "session.h"

enum { CPUS = 4, RAM = 1 << 20, CODE = 0x1000, COUNT = 0x5000, OTHERS = 0x8000, SKIPPED = 77 };

extern const uint8_t started_guest[], started_guest_others[], started_guest_place[],
    started_guest_end[];

static void start(struct session *s)
{
    const struct vm_config vm = {.ram_bytes = RAM, .cpus = CPUS, .exit_port = -1};
    struct ringside_regs regs = session_flat(CODE);

    session_machine(s, &kvm_engine, &vm, SOFT_INTEL);
    vm_write(s->ops->vm(s->engine), CODE, started_guest,
             (size_t)(started_guest_others - started_guest));
    vm_write(s->ops->vm(s->engine), OTHERS, started_guest_others,
             (size_t)(started_guest_end - started_guest_others));
    regs.apic_base = session_regs(s, 0).apic_base;
    regs.gpr[RINGSIDE_RBP] = VM_LAPIC_BASE;
    s->ops->set_entry(s->engine, &regs);
}

static uint32_t count_of(struct session *s)
{
    uint32_t count;

    vm_read(s->ops->vm(s->engine), COUNT, &count, sizeof count);
    return count;
}

static void meet(struct session *s)
{
    bool met[CPUS] = {false};

    for (unsigned n = 1; n < CPUS; n++) {
        session_expect(s, "vCont;c", "T05");
        unsigned vcpu = session_stopped(s);
        const struct ringside_regs regs = session_regs(s, vcpu);

        if (!vcpu || met[vcpu] || regs.activity != RINGSIDE_RUNNING ||
            regs.seg[RINGSIDE_CS].base + regs.rip !=
                OTHERS + (uint64_t)(started_guest_place - started_guest_others))
            session_fail("another stop: %s", s->reply);
        met[vcpu] = true;
        if (count_of(s) > n - 1)
            session_fail("stop %u: %u have passed", n, count_of(s));
    }
    session_send(s, "vCont;c");
    for (uint64_t limit = session_limit(s); count_of(s) < CPUS - 1 && !session_late(s, limit);)
        session_turn(s);
    session_interrupt(s);
    if (count_of(s) != CPUS - 1)
        session_fail("%u have passed", count_of(s));
}

static void stop_others(bool hardware)
{
    static struct session s;
    char packet[64];

    start(&s);
    session_attach(&s, s.ops->target, 0);
    for (unsigned i = 1; i < CPUS; i++)
        if (session_regs(&s, i).activity != RINGSIDE_WAIT_SIPI)
            session_fail("vCPU %u does not wait", i);
    snprintf(packet, sizeof packet, "Z%u,%x,1", hardware,
             OTHERS + (unsigned)(started_guest_place - started_guest_others));
    bool refused = *session_ask(&s, packet) == 'E';
    if (!refused)
        meet(&s);
    printf("Z%u: %s\n", hardware, refused ? "refused" : "each of the others stopped once");
    session_detach(&s);
    session_free(&s);
}

int main(void)
{
    struct kvm_verdict verdict;

    kvm_try(false, &verdict);
    if (!verdict.usable) {
        printf("%s\n", verdict.text);
        return SKIPPED;
    }
    stop_others(false);
    stop_others(true);
    return 0;
}
