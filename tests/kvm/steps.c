/* A guest is stepped on KVM by emulate and by trap-flag: the same registers after each step. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "step/machine.h"
#include "x86/regs.h"

/*
 * steps IMAGE END SILENT [interrupts] [CODE...]
 *
 * The guest's own code, from its beginning to END (hexadecimal), in any ring and width, is stepped
 * by the way under test, and after each step all registers are noted; the runtime behind it, which
 * records, is left by range steps of the emulator.  It would print for most of the time: the byte
 * at SILENT keeps it from that.  At the end memory is compared too.  With "interrupts", steps let
 * interrupts in.  Each CODE is the hexadecimal beginning of an instruction that this machine's
 * processor does not do as processors do: it is emulated.
 */

enum { ALIAS = 0x40000000, RUNTIME = 0x10000, SHOWN = 20 };
enum { FINE = 1 }; /* the guest's status as its exit port makes it */

struct plan {
    uint64_t end, silent;
    bool interrupts;
    char *const *codes; /* to a NULL */
};

struct trace {
    struct ringside_regs *regs;
    size_t count, capacity;
    uint64_t end; /* hash of the machine */
};

static const char *ways[] = {"emulate", "trap-flag"};
enum { WAYS = sizeof ways / sizeof *ways };

static bool note(struct trace *trace, const struct ringside_regs *regs)
{
    if (trace->count == trace->capacity) {
        size_t capacity = trace->capacity ? 2 * trace->capacity : 1 << 12;
        struct ringside_regs *grown = realloc(trace->regs, capacity * sizeof *grown);
        if (!grown)
            return false;
        trace->regs = grown;
        trace->capacity = capacity;
    }
    trace->regs[trace->count++] = *regs;
    return true;
}

static uint64_t place_of(const struct ringside_regs *regs)
{
    bool long_code = regs->efer & X86_EFER_LMA && regs->seg[RINGSIDE_CS].access & X86_SEG_L;
    uint64_t linear = long_code ? regs->rip : (uint32_t)(regs->seg[RINGSIDE_CS].base + regs->rip);

    return linear & ~(uint64_t)ALIAS;
}

static bool choose(struct machine *m, const char *way)
{
    char text[40] = "step-method ";

    return machine_monitor(m, strcat(text, way)) && m->reply[0] != 'E';
}

static bool is_spared(struct machine *m, const struct plan *plan, uint64_t place)
{
    enum { LENGTH = 4 };
    const uint8_t *bytes = vm_ram(m->ops->vm(m->engine), place, LENGTH);
    char text[2 * LENGTH + 1];

    if (!bytes)
        return false;
    for (unsigned i = 0; i < LENGTH; i++)
        snprintf(text + 2 * i, sizeof text - 2 * i, "%02x", bytes[i]);
    for (unsigned i = 0; plan->codes[i]; i++)
        if (strncmp(text, plan->codes[i], strlen(plan->codes[i])) == 0)
            return true;
    return false;
}

static bool resume(struct machine *m, const char *packet, const char *way)
{
    return choose(m, way) && machine_ask(m, packet) && strncmp(m->reply, "T05", 3) == 0;
}

/* False: the guest has ended, or a step has not. */
static bool step(struct machine *m, const char *way, const struct plan *plan, struct trace *trace)
{
    struct ringside_regs regs;
    uint64_t place;
    char range[64];

    machine_regs(m, &regs);
    place = place_of(&regs);
    if (place >= plan->end && place < plan->end + RUNTIME) {
        snprintf(range, sizeof range, "vCont;r%" PRIx64 ",%" PRIx64 ":1", plan->end,
                 plan->end + RUNTIME);
        return resume(m, range, "emulate");
    }
    if (!resume(m, "vCont;s:1", is_spared(m, plan, place) ? "emulate" : way))
        return false;
    machine_regs(m, &regs);
    return note(trace, &regs);
}

static bool run(struct machine_config *config, const char *way, const struct plan *plan,
                struct trace *trace)
{
    static struct machine m;
    bool fine =
        machine_start(&m, config) && (!plan->interrupts || machine_monitor(&m, "interrupts on"));
    uint8_t *silent = fine ? vm_ram(m.ops->vm(m.engine), plan->silent, 1) : NULL;

    if (silent)
        *silent = 1;
    while (fine && step(&m, way, plan, trace))
        continue;
    if (!m.ended)
        printf("%s: stands after %zu steps: %s\n", way, trace->count, m.reply);
    else if (m.status != FINE)
        printf("%s: the guest ends with %d\n", way, m.status);
    fine = fine && m.ended && m.status == FINE;
    trace->end = fine ? machine_hash(&m) : 0;
    machine_end(&m);
    printf("%s: %zu steps\n", way, trace->count);
    return fine;
}

static void explain(const struct trace *want, const struct trace *got, size_t i)
{
    uint64_t in_want, in_got;
    const char *name = machine_difference(&want->regs[i], &got->regs[i], &in_want, &in_got);

    printf("  step %zu from %" PRIx64 " (cs %x) to %" PRIx64 ": %s is %" PRIx64
           " and should be %" PRIx64 "\n",
           i, i ? want->regs[i - 1].rip : 0, i ? want->regs[i - 1].seg[RINGSIDE_CS].selector : 0,
           got->regs[i].rip, name, in_got, in_want);
}

static bool same(const struct trace *want, const struct trace *got)
{
    unsigned different = 0;

    for (size_t i = 0; i < want->count && i < got->count && different < SHOWN; i++) {
        if (machine_regs_hash(&want->regs[i]) == machine_regs_hash(&got->regs[i]))
            continue;
        explain(want, got, i);
        different++;
        if (want->regs[i].rip != got->regs[i].rip)
            return false;
    }
    if (want->end != got->end)
        printf("  the machine is left in another state\n");
    return !different && want->count == got->count && want->end == got->end;
}

int main(int argc, char **argv)
{
    static uint8_t image[1 << 20];
    struct machine_config config = {.ops = &kvm_engine, .served = true, .kernel = image};
    struct plan plan = {.codes = argv + 4};
    struct trace traces[WAYS] = {0};
    FILE *file = argc >= 4 ? fopen(argv[1], "rb") : NULL;
    bool fine = true;

    if (!file)
        return 2;
    config.kernel_size = fread(image, 1, sizeof image, file);
    fclose(file);
    plan.end = strtoull(argv[2], NULL, 16);
    plan.silent = strtoull(argv[3], NULL, 16);
    plan.interrupts = argc > 4 && strcmp(argv[4], "interrupts") == 0;
    plan.codes += plan.interrupts;
    for (unsigned i = 0; i < WAYS; i++)
        fine &= run(&config, ways[i], &plan, &traces[i]);
    fine = same(&traces[0], &traces[1]) && fine;
    printf("%s\n", fine ? "the same" : "different");
    return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
