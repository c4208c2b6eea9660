/* How fast steps are by emulation, on engines that offer more or less, and what a debugger costs.
 */
/*
 * usage: step_bench [MILLIONS]
 * Instructions a second in a range step that is left after so many, and single steps a second with
 * the protocol but without a connection; then instructions a second of a guest that runs while
 * breakpoints and watchpoints are set elsewhere.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "session.h"
#include "x86/regs.h"

enum { RAM = 4 << 20, CODE = 0x10000, STACK = 0x20000, DATA = 0x30000, TABLES = 0x40000 };
enum { PER_TURN = 8 };

extern const uint8_t step_registers[], step_registers_end[], step_memory[], step_memory_end[];

/* Of processor time: no other process, and no device, has a part in what is measured. */
static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static uint64_t address_of(const uint8_t *label)
{
    return CODE + (uint64_t)(label - step_registers);
}

/* 64-bit mode, the first 2 MiB mapped one to one in small pages. */
static void start(struct session *s, const uint8_t *loop, uint64_t turns)
{
    enum { CODE64 = 0xa09b, DATA64 = 0xc093, PAGE = 4096, WRITABLE = 3 };
    const struct vm_config vm = {.ram_bytes = RAM, .cpus = 1, .exit_port = -1};
    struct ringside_regs regs = session_flat(address_of(loop));

    session_machine(s, &soft_engine, &vm, SOFT_INTEL);
    vm_write(soft_vm(s->soft), CODE, step_registers,
             (size_t)(step_memory_end - step_registers) + 1);
    for (uint64_t level = 0; level < 3; level++) {
        const uint64_t entry = (TABLES + (level + 1) * PAGE) | WRITABLE;
        vm_write(soft_vm(s->soft), TABLES + level * PAGE, &entry, sizeof entry);
    }
    for (uint64_t i = 0; i < 512; i++) {
        const uint64_t entry = i * PAGE | WRITABLE;
        vm_write(soft_vm(s->soft), TABLES + 3 * PAGE + 8 * i, &entry, sizeof entry);
    }
    regs.cr0 |= X86_CR0_PG;
    regs.cr3 = TABLES;
    regs.cr4 = X86_CR4_PAE;
    regs.efer = X86_EFER_LME | X86_EFER_LMA;
    regs.seg[RINGSIDE_CS].access = CODE64;
    regs.seg[RINGSIDE_SS].access = DATA64;
    regs.gpr[RINGSIDE_RCX] = turns;
    regs.gpr[RINGSIDE_RSI] = DATA;
    regs.gpr[RINGSIDE_RSP] = STACK;
    soft_set_entry(s->soft, &regs);
}

/* What else the debugger has asked for may cost each instruction something. */
static const char *extra; /* NULL, or a packet */

static double measure_range(const struct ringside_target *target, const uint8_t *loop,
                            const uint8_t *end, uint64_t instructions)
{
    static struct session s;
    char packet[64];
    double time;

    start(&s, loop, instructions / PER_TURN);
    session_attach(&s, target, RINGSIDE_STEP_EMULATE);
    if (extra)
        session_expect(&s, extra, "OK");
    snprintf(packet, sizeof packet, "vCont;r%llx,%llx:1", (unsigned long long)address_of(loop),
             (unsigned long long)address_of(end));
    time = seconds();
    session_expect(&s, packet, "T05");
    time = seconds() - time;
    if (session_regs(&s, 0).rip != address_of(end))
        session_fail("the range was left elsewhere");
    session_detach(&s);
    session_free(&s);
    return (double)instructions / time;
}

static double measure_single(const struct ringside_target *target)
{
    enum { STEPS = 50000 };
    static struct session s;
    double time;

    start(&s, step_memory, STEPS);
    session_attach(&s, target, RINGSIDE_STEP_EMULATE);
    time = seconds();
    for (unsigned i = 0; i < STEPS; i++)
        session_expect(&s, "vCont;s:1", "T05");
    time = seconds() - time;
    session_detach(&s);
    session_free(&s);
    return STEPS / time;
}

static void measure(const char *what, const struct ringside_target *target, uint64_t instructions)
{
    printf("%-32s %10.1f %10.1f %12.0f\n", what,
           measure_range(target, step_registers, step_registers_end, instructions) / 1e6,
           measure_range(target, step_memory, step_memory_end, instructions) / 1e6,
           measure_single(target));
}

/* A guest that runs while the debugger has count of these set in pages that it does not touch. */
static double measure_run(const char *format, unsigned count, uint64_t instructions)
{
    enum { ELSEWHERE = 0x100000 };
    static struct session s;
    char packet[64];
    double time;

    start(&s, step_memory, instructions / PER_TURN);
    session_attach(&s, soft_target(), 0);
    for (unsigned i = 0; i < count; i++) {
        snprintf(packet, sizeof packet, format, ELSEWHERE + 8 * i);
        session_expect(&s, packet, "OK");
    }
    snprintf(packet, sizeof packet, "Z0,%llx,1", (unsigned long long)address_of(step_memory_end));
    session_expect(&s, packet, "OK");
    time = seconds();
    session_expect(&s, "vCont;c", "T05");
    time = seconds() - time;
    session_detach(&s);
    session_free(&s);
    return (double)instructions / time;
}

/* Both in turn, several times, as machines drift; the best of each. */
static void compare_runs(const char *what, const char *format, unsigned few, unsigned many,
                         uint64_t instructions)
{
    double best[2] = {0, 0};

    for (unsigned round = 0; round < 5; round++)
        for (unsigned i = 0; i < 2; i++) {
            double speed = measure_run(format, i ? many : few, instructions);
            best[i] = speed > best[i] ? speed : best[i];
        }
    printf("%-24s %7u: %6.1f M/s %7u: %6.1f M/s  ratio %.2f\n", what, few, best[0] / 1e6, many,
           best[1] / 1e6, best[0] / best[1]);
}

int main(int argc, char **argv)
{
    const uint64_t millions = argc == 2 ? strtoul(argv[1], NULL, 10) : 20;
    const struct ringside_direct_ops no_pages = {.is_memory = soft_target()->direct->is_memory};
    struct ringside_target target = *soft_target();

    printf("%-32s %10s %10s %12s\n", "", "registers", "memory", "single");
    printf("%-32s %10s %10s %12s\n", "", "M/s", "M/s", "steps/s");
    measure("the soft engine", &target, millions * 1000000);
    extra = "Z0,f000,1";
    measure("a breakpoint elsewhere", &target, millions * 1000000);
    extra = "Z1,f000,1";
    measure("a hardware breakpoint elsewhere", &target, millions * 1000000);
    extra = "Z2,f000,8";
    measure("a watchpoint elsewhere", &target, millions * 1000000);
    extra = "Z2,30008,8";
    measure("a watchpoint in the page written", &target, millions * 1000000);
    extra = NULL;
    target.direct = &no_pages;
    measure("no pages: is_memory only", &target, millions * 1000000);
    target = (struct ringside_target){
        .vcpu_count = target.vcpu_count,
        .read_regs = target.read_regs,
        .write_regs = target.write_regs,
        .read_memory = target.read_memory,
        .write_memory = target.write_memory,
        .kick = target.kick,
    };
    measure("registers and memory only", &target, millions * 1000000);
    printf("\nA guest that runs, with so many set elsewhere:\n");
    compare_runs("breakpoints", "Z0,%x,1", 10, 100000, millions * 1000000);
    compare_runs("watchpoints", "Z2,%x,8", 0, 10000, millions * 1000000);
    return 0;
}
