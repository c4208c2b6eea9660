/* A guest runs free and is stepped in every way: it sees the same, instruction by instruction. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

/*
 * transparency MACHINE IMAGE [interrupts]
 *
 * MACHINE is intel, amd or amd-no-shadow.  The trace of the free run is made without a debug server
 * by giving the engine one instruction at a time; then the guest is stepped from its first
 * instruction to its end, once for each way, and after every step all registers have to be those of
 * the trace; at the end memory and console too.  With "interrupts", steps let interrupts in;
 * without, the guest must not depend on them.
 */

static const struct {
    const char *machine;
    enum soft_vendor vendor;
    bool no_shadow_step;
    const char *refused; /* a way that this machine must not offer */
    const char *ways[4];
} machines[] = {
    {"intel", SOFT_INTEL, false, "interrupt-shadow", {"emulate", "monitor-trap", "trap-flag"}},
    {"amd", SOFT_AMD, false, "monitor-trap", {"emulate", "interrupt-shadow", "trap-flag"}},
    {"amd-no-shadow", SOFT_AMD, true, "interrupt-shadow", {"auto"}},
};
enum { MACHINES = sizeof machines / sizeof *machines };

struct trace {
    struct entry {
        uint64_t rip, hash;
        uint8_t shadow;
    } * entries;
    size_t count, capacity;
    uint64_t end; /* hash of the machine */
};

static bool note(struct trace *trace, struct machine *m)
{
    struct ringside_regs regs;

    if (trace->count == trace->capacity) {
        size_t capacity = trace->capacity ? 2 * trace->capacity : 1 << 16;
        struct entry *entries = realloc(trace->entries, capacity * sizeof *entries);
        if (!entries)
            return false;
        trace->entries = entries;
        trace->capacity = capacity;
    }
    machine_regs(m, &regs);
    trace->entries[trace->count++] =
        (struct entry){regs.rip, machine_regs_hash(&regs), regs.shadow};
    return true;
}

static bool run_free(const struct machine_config *config, struct trace *trace)
{
    static struct machine m;
    bool fine = machine_start(&m, config);

    while (fine && machine_slice(&m))
        fine = note(trace, &m);
    if (fine && !m.ended) {
        printf("the free run sleeps for ever\n");
        fine = false;
    }
    if (fine)
        trace->end = machine_hash(&m);
    machine_end(&m);
    return fine;
}

/* The trace is that of a run which nobody cuts into instructions. */
static bool is_true(const struct machine_config *config, const struct trace *trace)
{
    static struct machine m;
    bool same = machine_start(&m, config) && machine_run(&m) && machine_hash(&m) == trace->end;

    if (!same)
        printf("the free run is another one if it is not cut into instructions\n");
    machine_end(&m);
    return same;
}

/* Instruction i of the free run once more, and where it is different. */
static void explain(const struct machine_config *config, const struct trace *trace, size_t i,
                    struct machine *stepped)
{
    struct machine_config again = *config;
    static struct machine m;
    struct ringside_regs want, got;
    uint64_t in_want, in_got;
    const char *name;

    again.served = false;
    machine_regs(stepped, &got);
    printf("  step %zu from %" PRIx64 " to %" PRIx64, i, i ? trace->entries[i - 1].rip : 0,
           got.rip);
    if (i >= trace->count) {
        printf(", where the free run has ended\n");
        return;
    }
    if (machine_start(&m, &again)) {
        for (size_t n = 0; n <= i; n++)
            machine_slice(&m);
        machine_regs(&m, &want);
        name = machine_difference(&want, &got, &in_want, &in_got);
        if (name)
            printf(": %s is %" PRIx64 " and should be %" PRIx64, name, in_got, in_want);
    }
    printf("\n  %s\n", stepped->reply);
    machine_end(&m);
}

static void hex(char *out, const char *text)
{
    for (; *text; text++, out += 2)
        sprintf(out, "%02x", (unsigned)(unsigned char)*text);
}

/* A command of GDB's "monitor": does its answer begin with these words? */
static bool command(struct machine *m, const char *text, const char *answer)
{
    char packet[80] = "qRcmd,", wanted[80];

    hex(packet + strlen(packet), text);
    hex(wanted, answer);
    return machine_ask(m, packet) && strncmp(m->reply, wanted, strlen(wanted)) == 0;
}

static bool choose(struct machine *m, const char *way, const char *answer)
{
    char text[36] = "step-method ";

    return command(m, strcat(text, way), answer);
}

/* Step after step; false: the trace has something else. */
static bool step_all(const struct machine_config *config, const struct trace *trace,
                     struct machine *m)
{
    struct ringside_regs regs;
    size_t i;

    for (i = 0; machine_ask(m, "vCont;s:1"); i++) {
        machine_regs(m, &regs);
        if (i == trace->count || strncmp(m->reply, "T05", 3) != 0 ||
            trace->entries[i].hash != machine_regs_hash(&regs)) {
            explain(config, trace, i, m);
            return false;
        }
    }
    if (!m->ended)
        printf("  step %zu: never done\n", i);
    else if (i != trace->count)
        printf("  %zu steps, the free run has %zu\n", i, trace->count);
    else if (machine_hash(m) != trace->end)
        printf("  the machine is left in another state\n");
    else
        return true;
    return false;
}

static bool run_stepped(const struct machine_config *config, const struct trace *trace,
                        const char *refused, const char *way, bool interrupts)
{
    static struct machine m;
    bool automatic = strcmp(way, "auto") == 0;
    bool same = machine_start(&m, config) && choose(&m, refused, "this way is not offered") &&
                choose(&m, way, automatic ? "emulate" : way) &&
                (!interrupts || command(&m, "interrupts on", "on")) && step_all(config, trace, &m);

    printf("%s: %s\n", way, same ? "the same" : "different");
    machine_end(&m);
    return same;
}

static uint8_t *load(const char *path, size_t *size)
{
    enum { MAX = 1 << 20 };
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(MAX);

    *size = file && bytes ? fread(bytes, 1, MAX, file) : 0;
    if (file)
        fclose(file);
    return bytes;
}

static bool check(unsigned machine, const char *path, bool interrupts)
{
    struct machine_config config = {.vendor = machines[machine].vendor,
                                    .no_shadow_step = machines[machine].no_shadow_step};
    uint8_t *kernel = load(path, &config.kernel_size);
    struct trace trace = {0};
    bool same;

    config.kernel = kernel;
    same = run_free(&config, &trace) && is_true(&config, &trace);
    printf("free run: %zu instructions and events\n", trace.count);
    config.served = true;
    for (unsigned i = 0; trace.count && machines[machine].ways[i]; i++)
        same &= run_stepped(&config, &trace, machines[machine].refused, machines[machine].ways[i],
                            interrupts);
    free(trace.entries);
    free(kernel);
    return same;
}

int main(int argc, char **argv)
{
    for (unsigned i = 0; argc >= 3 && i < MACHINES; i++)
        if (strcmp(argv[1], machines[i].machine) == 0)
            return check(i, argv[2], argc > 3) ? EXIT_SUCCESS : EXIT_FAILURE;
    fprintf(stderr, "usage: transparency MACHINE IMAGE [interrupts]\n");
    return 2;
}
