/* Four vCPU threads run into one breakpoint while a debugger continues, steps and interrupts them:
 * no hit is lost, none is told twice, and a stop stops all.  Meant for the thread sanitizer, too.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ringside/server.h"

/* The guest, in flat 32-bit mode: a ring on every vCPU, with an instruction that counts in EAX and,
 * before and behind it, two that count for all of them. */
enum { VCPUS = 4, FIRST = 0x1000, LOCKED = 0x1003, PLACE = 0x100a, FREE = 0x100b, LAST = 0x1013 };
enum { HITS = 3000, COUNTER = 0x2000, LOCKED_SIZE = 7 };
static const uint8_t code[] = {
    0x90, 0x90, 0x90,                         /* nop */
    0xf0, 0xff, 0x05, 0x00, 0x20, 0x00, 0x00, /* LOCKED: lock incl COUNTER */
    0x40,                                     /* PLACE: inc %eax */
    0xf0, 0xff, 0x05, 0x00, 0x20, 0x00, 0x00, /* FREE: lock incl COUNTER */
    0x90,                                     /* nop */
    0xeb, 0xeb,                               /* LAST: jmp FIRST */
};

static struct {
    struct ringside_regs regs[VCPUS]; /* their vCPU's while it runs, the server's while parked */
    bool armed[VCPUS], lifts[VCPUS];
    atomic_bool kicked[VCPUS], inside[VCPUS], quit;
    atomic_uint instructions, counter, wakes;
    bool never_arm;    /* all steps are to be emulated */
    atomic_int lifted; /* steps off the breakpoint that are under way: its byte is out of memory */
    uint64_t breakpoint; /* 0: none; changes only while all are parked */
    pthread_mutex_t mutex;
    pthread_cond_t wake[VCPUS], news;
    bool notified;
    struct ringside *rs;
} m;

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "rsp_threads: %s\n", what);
    exit(1);
}

static unsigned vcpu_count(void *ctx)
{
    (void)ctx;
    return VCPUS;
}

static int read_regs(void *ctx, unsigned vcpu, struct ringside_regs *out)
{
    (void)ctx;
    if (atomic_load(&m.inside[vcpu]))
        fail("the registers of a vCPU that runs were read");
    *out = m.regs[vcpu];
    return RINGSIDE_OK;
}

static int write_regs(void *ctx, unsigned vcpu, const struct ringside_regs *in)
{
    (void)ctx;
    m.regs[vcpu] = *in;
    return RINGSIDE_OK;
}

static int read_memory(void *ctx, uint64_t gpa, void *buffer, size_t n)
{
    const uint32_t counter = atomic_load(&m.counter);

    (void)ctx;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t in_code = gpa + i - FIRST, in_counter = gpa + i - COUNTER;
        ((uint8_t *)buffer)[i] = in_code < sizeof code ? code[in_code]
                                 : in_counter < sizeof counter
                                     ? (uint8_t)(counter >> 8 * in_counter)
                                     : 0;
    }
    return RINGSIDE_OK;
}

static int write_memory(void *ctx, uint64_t gpa, const void *buffer, size_t n)
{
    uint32_t value;

    (void)ctx;
    if (gpa != COUNTER || n != sizeof value)
        return RINGSIDE_EFAULT;
    usleep(20); /* whoever does in two accesses what has to be one is found out */
    memcpy(&value, buffer, n);
    atomic_store(&m.counter, value);
    return RINGSIDE_OK;
}

static bool is_memory(void *ctx, uint64_t gpa)
{
    (void)ctx, (void)gpa;
    return true;
}

static void kick(void *ctx, unsigned vcpu)
{
    (void)ctx;
    atomic_store(&m.kicked[vcpu], true);
}

static unsigned probe(void *ctx, unsigned vcpu)
{
    (void)ctx, (void)vcpu;
    return RINGSIDE_STEP_MONITOR_TRAP;
}

static int arm(void *ctx, unsigned vcpu, unsigned way, bool hold)
{
    (void)ctx, (void)way, (void)hold;
    if (m.never_arm)
        fail("a step by emulation took the hardware");
    m.armed[vcpu] = true;
    if (m.regs[vcpu].rip == m.breakpoint)
        atomic_fetch_add(&m.lifted, 1);
    m.lifts[vcpu] = m.regs[vcpu].rip == m.breakpoint;
    return RINGSIDE_OK;
}

static void disarm(void *ctx, unsigned vcpu)
{
    (void)ctx;
    m.armed[vcpu] = false;
    if (m.lifts[vcpu])
        atomic_fetch_sub(&m.lifted, 1);
    m.lifts[vcpu] = false;
}

static int insert(void *ctx, uint64_t gpa)
{
    (void)ctx;
    if (gpa != PLACE && gpa != LOCKED)
        return RINGSIDE_EFAULT;
    m.breakpoint = gpa;
    return RINGSIDE_OK;
}

static int removed(void *ctx, uint64_t gpa)
{
    (void)ctx, (void)gpa;
    m.breakpoint = 0;
    return RINGSIDE_OK;
}

static const struct ringside_step_ops step_ops = {.probe = probe, .arm = arm, .disarm = disarm};
static const struct ringside_breakpoint_ops breakpoint_ops = {insert, removed, NULL};
static const struct ringside_direct_ops direct_ops = {.is_memory = is_memory};
static const struct ringside_target target = {
    .vcpu_count = vcpu_count,
    .read_regs = read_regs,
    .write_regs = write_regs,
    .read_memory = read_memory,
    .write_memory = write_memory,
    .kick = kick,
    .step = &step_ops,
    .direct = &direct_ops,
    .breakpoint = &breakpoint_ops,
};

static void lock(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&m.mutex);
}

static void unlock(void *ctx)
{
    (void)ctx;
    pthread_mutex_unlock(&m.mutex);
}

static void wait_for_wake(void *ctx, unsigned vcpu)
{
    (void)ctx;
    pthread_cond_wait(&m.wake[vcpu], &m.mutex);
}

static void wake(void *ctx, unsigned vcpu)
{
    (void)ctx;
    atomic_fetch_add(&m.wakes, 1);
    pthread_cond_signal(&m.wake[vcpu]);
}

static const struct ringside_port port = {lock, unlock, wait_for_wake, wake};

static void notify(void *ctx)
{
    (void)ctx;
    m.notified = true;
    pthread_cond_signal(&m.news);
}

static void execute(unsigned vcpu)
{
    struct ringside_regs *regs = &m.regs[vcpu];

    if (regs->rip == PLACE)
        regs->gpr[RINGSIDE_RAX]++;
    atomic_fetch_add(&m.instructions, 1);
    if (regs->rip == LOCKED || regs->rip == FREE) {
        atomic_fetch_add(&m.counter, 1);
        regs->rip += LOCKED_SIZE;
    } else {
        regs->rip = regs->rip == LAST ? FIRST : regs->rip + 1;
    }
}

static enum ringside_exit_reason run_guest(unsigned vcpu)
{
    bool armed = m.armed[vcpu];

    for (unsigned slice = 0; slice < 5000; slice++) {
        if (atomic_load(&m.kicked[vcpu]))
            break;
        if (m.breakpoint == m.regs[vcpu].rip && !armed && !atomic_load(&m.lifted))
            return RINGSIDE_EXIT_BREAKPOINT;
        execute(vcpu);
        if (armed)
            return RINGSIDE_EXIT_MONITOR_TRAP;
    }
    return RINGSIDE_EXIT_OTHER;
}

static void *vcpu_thread(void *argument)
{
    unsigned vcpu = (unsigned)(uintptr_t)argument;

    while (!atomic_load(&m.quit)) {
        atomic_store(&m.kicked[vcpu], false);
        enum ringside_verdict verdict = ringside_vcpu_enter(m.rs, vcpu);
        if (verdict == RINGSIDE_PARK)
            ringside_vcpu_wait(m.rs, vcpu);
        if (verdict != RINGSIDE_RUN)
            continue;
        atomic_store(&m.inside[vcpu], true);
        struct ringside_exit exit = {.reason = run_guest(vcpu)};
        atomic_store(&m.inside[vcpu], false);
        ringside_vcpu_exit(m.rs, vcpu, &exit);
    }
    return NULL;
}

/* --- The debugger ------------------------------------------------------------------------------
 */

static char reply[4096];

static void take_output(void)
{
    const void *bytes;
    size_t n, length = 0;

    while ((n = ringside_output(m.rs, &bytes)) > 0) {
        if (length + n >= sizeof reply)
            fail("too much output");
        memcpy(reply + length, bytes, n);
        length += n;
        ringside_sent(m.rs, n);
    }
    reply[length] = 0;
}

static void send_bytes(const char *bytes)
{
    size_t n = strlen(bytes);

    while (n) {
        size_t taken = ringside_input(m.rs, bytes, n);
        bytes += taken;
        n -= taken;
    }
}

static void request(const char *body)
{
    char frame[128];
    unsigned sum = 0;

    for (const char *c = body; *c; c++)
        sum += (unsigned char)*c;
    snprintf(frame, sizeof frame, "$%s#%02x", body, sum & 0xff);
    send_bytes(frame);
}

static void ask(const char *body, const char *wanted)
{
    request(body);
    take_output();
    if (strncmp(reply, wanted, strlen(wanted)) != 0) {
        fprintf(stderr, "%s: %s\n", body, reply);
        fail("another reply was expected");
    }
}

/* The vCPU of the stop reply. */
static unsigned shown_vcpu(void)
{
    const char *thread = strstr(reply, "thread:");

    if (!thread)
        fail("a stop of no thread");
    return (unsigned)strtoul(thread + 7, NULL, 16) - 1;
}

/* Wait for the stop reply; returns the vCPU. */
static unsigned wait_for_stop(const char *wanted)
{
    for (;;) {
        take_output();
        if (*reply)
            break;
        lock(NULL);
        while (!m.notified)
            pthread_cond_wait(&m.news, &m.mutex);
        m.notified = false;
        unlock(NULL);
    }
    if (strncmp(reply, wanted, strlen(wanted)) != 0) {
        fprintf(stderr, "%s\n", reply);
        fail("another stop was expected");
    }
    return shown_vcpu();
}

/* While the guest stands nothing moves. */
static void check_standing(void)
{
    unsigned before = atomic_load(&m.instructions);

    for (unsigned i = 0; i < VCPUS; i++)
        if (atomic_load(&m.inside[i]))
            fail("a vCPU is inside of a guest that is stopped");
    usleep(100);
    if (atomic_load(&m.instructions) != before)
        fail("a guest that is stopped moves");
}

static void count_hits(unsigned *told, uint64_t place)
{
    for (unsigned hit = 0; hit < HITS; hit++) {
        request("vCont;c");
        unsigned vcpu = wait_for_stop("$T05swbreak:;");
        if (m.regs[vcpu].rip != place)
            fail("a hit somewhere else");
        told[vcpu]++;
        /* Told once before each time it runs through, neither more nor less. */
        if (told[vcpu] != m.regs[vcpu].gpr[RINGSIDE_RAX] + 1)
            fail("a hit was lost, or told twice");
        if (hit % 100 == 0)
            check_standing();
    }
}

static void steps_move_one(void)
{
    const unsigned wakes = atomic_load(&m.wakes);

    for (unsigned i = 0; i < 500; i++) {
        uint64_t before[VCPUS];
        char body[32];
        unsigned vcpu = i % VCPUS;
        for (unsigned v = 0; v < VCPUS; v++)
            before[v] = m.regs[v].rip;
        snprintf(body, sizeof body, "vCont;s:%x", vcpu + 1);
        request(body);
        if (wait_for_stop("$T05") != vcpu)
            fail("another vCPU stepped");
        for (unsigned v = 0; v < VCPUS; v++)
            if ((m.regs[v].rip != before[v]) != (v == vcpu))
                fail("a step moved another vCPU, or not its own");
    }
    if (m.never_arm && atomic_load(&m.wakes) != wakes)
        fail("a step by emulation woke a vCPU's thread");
}

static void interrupts_stop_all(void)
{
    for (unsigned i = 0; i < 200; i++) {
        request("vCont;c");
        usleep(i % 3 * 100);
        send_bytes("\3");
        wait_for_stop("$T02");
        if (i % 20 == 0)
            check_standing();
    }
}

static void start_guest(pthread_t threads[VCPUS])
{
    enum { CODE32 = 0xc09b, DATA32 = 0xc093 };

    for (unsigned i = 0; i < VCPUS; i++) {
        struct ringside_regs *regs = &m.regs[i];

        *regs = (struct ringside_regs){.rip = FIRST, .rflags = 2, .cr0 = 1};
        for (unsigned n = 0; n < 6; n++)
            regs->seg[n] = (struct ringside_segment){0, UINT32_MAX, 0x10, DATA32};
        regs->seg[RINGSIDE_CS] = (struct ringside_segment){0, UINT32_MAX, 0x08, CODE32};
        pthread_create(&threads[i], NULL, vcpu_thread, (void *)(uintptr_t)i);
    }
}

/* How often it went through LOCKED. */
static unsigned passes(unsigned vcpu)
{
    return (unsigned)m.regs[vcpu].gpr[RINGSIDE_RAX] + (m.regs[vcpu].rip == PLACE);
}

static void debug_guest(uint64_t place)
{
    unsigned told[VCPUS], sum = 0;
    char packet[32];

    ask("QStartNoAckMode", "+$OK");
    ask("qSupported:swbreak+", "$PacketSize");
    ask("?", "$T05");
    const unsigned shown = shown_vcpu();
    check_standing();
    for (unsigned i = 0; i < VCPUS; i++) /* the breakpoint may be set onto a vCPU's feet */
        told[i] = place == PLACE ? (unsigned)m.regs[i].gpr[RINGSIDE_RAX] : passes(i);
    snprintf(packet, sizeof packet, "Z0,%llx,1", (unsigned long long)place);
    ask(packet, "$OK");
    if (m.regs[shown].rip == place)
        told[shown]++;
    count_hits(told, place);
    packet[0] = 'z';
    ask(packet, "$OK");
    steps_move_one();
    interrupts_stop_all();
    for (unsigned i = 0; i < VCPUS; i++)
        sum += passes(i) + (unsigned)m.regs[i].gpr[RINGSIDE_RAX] - (m.regs[i].rip == FREE);
    if (sum != atomic_load(&m.counter))
        fail("a locked instruction was not one access");
}

/* Steps, those off the breakpoint at place among them, by these ways. */
static void soak(unsigned ways, uint64_t place)
{
    const struct ringside_config config = {
        .step_ways = ways,
        .target = &target,
        .port = &port,
        .stop_on_attach = true,
        .resume_on_detach = true,
    };
    pthread_t threads[VCPUS];
    void *memory = aligned_alloc(16, (ringside_size(VCPUS) + 15) & ~(size_t)15);

    m.never_arm = ways == RINGSIDE_STEP_EMULATE;
    atomic_store(&m.counter, 0);
    atomic_store(&m.quit, false);
    m.rs = ringside_init(memory, &config);
    ringside_set_notify(m.rs, notify);
    start_guest(threads);
    for (unsigned round = 0; round < 2; round++) {
        if (ringside_connect(m.rs))
            fail("no connection");
        debug_guest(place);
        if (round == 0)
            ringside_disconnect(m.rs);
        else
            ask("D", "$OK");
    }
    unsigned before = atomic_load(&m.instructions);
    while (atomic_load(&m.instructions) == before)
        usleep(1000);
    ringside_disconnect(m.rs);
    atomic_store(&m.quit, true);
    for (unsigned i = 0; i < VCPUS; i++)
        pthread_join(threads[i], NULL);
    free(memory);
}

int main(void)
{
    pthread_mutex_init(&m.mutex, NULL);
    pthread_cond_init(&m.news, NULL);
    for (unsigned i = 0; i < VCPUS; i++)
        pthread_cond_init(&m.wake[i], NULL);
    soak(RINGSIDE_STEP_MONITOR_TRAP, PLACE);
    soak(RINGSIDE_STEP_EMULATE, PLACE);
    soak(RINGSIDE_STEP_EMULATE | RINGSIDE_STEP_MONITOR_TRAP, LOCKED);
    printf("rsp_threads: %u hits, %u instructions\n", 6 * HITS, atomic_load(&m.instructions));
    return 0;
}
