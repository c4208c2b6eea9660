/* How fast steps are by emulation, on engines that offer more or less, and what a debugger costs.
 */
/*
 * usage: step_bench [MILLIONS [ROUNDS]]
 * Instructions a second in a range step that is left after so many (20 million), and single steps a
 * second with the protocol but without a connection; then instructions a second of a guest that
 * runs while few or many breakpoints and watchpoints are set elsewhere, and the ratio of the two.
 * All are measured in turn, ROUNDS times (5), as machines drift; printed are the medians, that of
 * the ratio too: a machine that is slow for a while is so for both sides of most rounds.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>

#include "figures.h"
#include "session.h"

enum {
    ROUNDS_MAX = 99,
    RAM = 4 << 20,
    CODE = 0x10000,
    STACK = 0x20000,
    DATA = 0x30000,
    TABLES = 0x40000
};
enum { PER_TURN = 8 };

extern const uint8_t step_registers[], step_registers_end[], step_memory[], step_memory_end[];

static uint64_t address_of(const uint8_t *label)
{
    return CODE + (uint64_t)(label - step_registers);
}

static void start(struct session *s, const uint8_t *loop, uint64_t turns)
{
    const struct vm_config vm = {.ram_bytes = RAM, .cpus = 1, .exit_port = -1};
    struct ringside_regs regs;

    session_machine(s, &soft_engine, &vm, SOFT_INTEL);
    vm_write(soft_vm(s->soft), CODE, step_registers,
             (size_t)(step_memory_end - step_registers) + 1);
    regs = session_long(s, address_of(loop), TABLES);
    regs.gpr[RINGSIDE_RCX] = turns;
    regs.gpr[RINGSIDE_RSI] = DATA;
    regs.gpr[RINGSIDE_RSP] = STACK;
    soft_set_entry(s->soft, &regs);
}

/* --- Steps ----------------------------------------------------------------------------------- */

/* What else the debugger has asked for may cost each instruction something, and so may what the
 * engine does not offer. */
enum offers { ALL, NO_PAGES, REQUIRED_ONLY };
static const struct way {
    const char *what;
    const char *extra; /* NULL, or a packet */
    enum offers offers;
} ways[] = {
    {"the soft engine", NULL, ALL},
    {"a breakpoint elsewhere", "Z0,f000,1", ALL},
    {"a hardware breakpoint elsewhere", "Z1,f000,1", ALL},
    {"a watchpoint elsewhere", "Z2,f000,8", ALL},
    {"a watchpoint in the page written", "Z2,30008,8", ALL},
    {"no pages: is_memory only", NULL, NO_PAGES},
    {"registers and memory only", NULL, REQUIRED_ONLY},
};
enum { WAYS = sizeof ways / sizeof *ways };

static struct ringside_target target_of(enum offers offers)
{
    static struct ringside_direct_ops no_pages;
    struct ringside_target target = *soft_target();

    no_pages.is_memory = soft_target()->direct->is_memory;
    if (offers == NO_PAGES)
        target.direct = &no_pages;
    if (offers == REQUIRED_ONLY)
        target = (struct ringside_target){
            .vcpu_count = target.vcpu_count,
            .read_regs = target.read_regs,
            .write_regs = target.write_regs,
            .read_memory = target.read_memory,
            .write_memory = target.write_memory,
            .kick = target.kick,
        };
    return target;
}

static double measure_range(const struct way *way, const uint8_t *loop, const uint8_t *end,
                            uint64_t instructions)
{
    const struct ringside_target target = target_of(way->offers);
    static struct session s;
    char packet[64];
    double time;

    start(&s, loop, instructions / PER_TURN);
    session_attach(&s, &target, RINGSIDE_STEP_EMULATE);
    if (way->extra)
        session_expect(&s, way->extra, "OK");
    snprintf(packet, sizeof packet, "vCont;r%llx,%llx:1", (unsigned long long)address_of(loop),
             (unsigned long long)address_of(end));
    time = processor_seconds();
    session_expect(&s, packet, "T05");
    time = processor_seconds() - time;
    if (session_regs(&s, 0).rip != address_of(end))
        session_fail("the range was left elsewhere");
    session_detach(&s);
    session_free(&s);
    return (double)instructions / time;
}

static double measure_single(const struct way *way)
{
    enum { STEPS = 50000 };
    const struct ringside_target target = target_of(way->offers);
    static struct session s;
    double time;

    start(&s, step_memory, STEPS);
    session_attach(&s, &target, RINGSIDE_STEP_EMULATE);
    time = processor_seconds();
    for (unsigned i = 0; i < STEPS; i++)
        session_expect(&s, "vCont;s:1", "T05");
    time = processor_seconds() - time;
    session_detach(&s);
    session_free(&s);
    return STEPS / time;
}

static void compare_ways(uint64_t instructions, unsigned rounds)
{
    static double registers[WAYS][ROUNDS_MAX], memory[WAYS][ROUNDS_MAX], single[WAYS][ROUNDS_MAX];

    for (unsigned round = 0; round < rounds; round++)
        for (unsigned i = 0; i < WAYS; i++) {
            registers[i][round] =
                measure_range(&ways[i], step_registers, step_registers_end, instructions);
            memory[i][round] = measure_range(&ways[i], step_memory, step_memory_end, instructions);
            single[i][round] = measure_single(&ways[i]);
        }
    printf("%-32s %10s %10s %12s\n", "", "registers", "memory", "single");
    printf("%-32s %10s %10s %12s\n", "", "M/s", "M/s", "steps/s");
    for (unsigned i = 0; i < WAYS; i++)
        printf("%-32s %10.1f %10.1f %12.0f\n", ways[i].what, median(registers[i], rounds) / 1e6,
               median(memory[i], rounds) / 1e6, median(single[i], rounds));
}

/* --- A guest that runs ----------------------------------------------------------------------- */

/* While the debugger has count of these set in pages that it does not touch. */
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
    time = processor_seconds();
    session_expect(&s, "vCont;c", "T05");
    time = processor_seconds() - time;
    session_detach(&s);
    session_free(&s);
    return (double)instructions / time;
}

static void compare_runs(const char *what, const char *format, unsigned few, unsigned many,
                         uint64_t instructions, unsigned rounds)
{
    double with_few[ROUNDS_MAX], with_many[ROUNDS_MAX], ratio[ROUNDS_MAX];

    for (unsigned i = 0; i < rounds; i++) {
        with_few[i] = measure_run(format, few, instructions);
        with_many[i] = measure_run(format, many, instructions);
        ratio[i] = with_few[i] / with_many[i];
    }
    printf("%-24s %7u: %6.1f M/s %7u: %6.1f M/s  ratio %.2f\n", what, few,
           median(with_few, rounds) / 1e6, many, median(with_many, rounds) / 1e6,
           median(ratio, rounds));
}

int main(int argc, char **argv)
{
    const uint64_t instructions = (argc > 1 ? strtoul(argv[1], NULL, 10) : 20) * 1000000;
    const unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 5;

    if (!instructions || !rounds || rounds > ROUNDS_MAX)
        session_fail("usage: step_bench [MILLIONS [ROUNDS]]");
    compare_ways(instructions, (unsigned)rounds);
    printf("\nA guest that runs, with so many set elsewhere:\n");
    compare_runs("breakpoints", "Z0,%x,1", 10, 100000, instructions, (unsigned)rounds);
    compare_runs("watchpoints", "Z2,%x,8", 0, 10000, instructions, (unsigned)rounds);
    return 0;
}
