/* Faults of MSR accesses in steps, and events that are caught, on KVM: all as on the soft engine.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "step/machine.h"
#include "x86/regs.h"

/*
 * events IMAGE [NEEDED...]: events_guest.S, stepped through on either engine, and then run and
 * stepped with one kind of events caught after the other.  NEEDED are the names of what this host
 * must be able to do; what else it cannot is only told.
 */

enum { SEEN_MAX = 400, STACK_WORDS = 4 };

/* What a debugger sees when the guest stands. */
struct seen {
    uint64_t rip, rflags, rax, rsp;
    uint32_t stack[STACK_WORDS];
    char said[512];
};
struct trace {
    struct seen seen[SEEN_MAX];
    unsigned count;
    bool refused;
};

static const struct {
    const char *name, *caught;
} events[] = {
    {"port", "catch port 0x80"},   {"msr", "catch msr 0x174"},  {"msr", "catch msr all"},
    {"int3", "catch exception 3"}, {"int3", "guest-int3 stop"},
};

static const char *needed[8];
static struct machine_config configs[2]; /* the soft engine, KVM */

static bool is_needed(const char *what)
{
    for (unsigned i = 0; needed[i]; i++)
        if (strcmp(needed[i], what) == 0)
            return true;
    return false;
}

static void look(struct machine *m, struct seen *out)
{
    struct ringside_regs regs;

    memset(out, 0, sizeof *out);
    machine_regs(m, &regs);
    out->rip = regs.rip;
    out->rflags = regs.rflags & (X86_FLAG_TF | X86_FLAG_IF | X86_FLAG_RF);
    out->rax = regs.gpr[RINGSIDE_RAX];
    out->rsp = regs.gpr[RINGSIDE_RSP];
    m->ops->target->read_memory(m->engine, out->rsp, out->stack, sizeof out->stack);
    memcpy(out->said, m->said, sizeof m->said);
}

static bool choose(struct machine *m, const char *way)
{
    char text[40] = "step-method ";

    return machine_monitor(m, strcat(text, way)) && m->reply[0] != 'E';
}

/* "this engine cannot ..." */
static bool is_refusal(const char *reply)
{
    return strncmp(reply, "74686973", 8) == 0;
}

/* From the first instruction to the end.  way is NULL: it runs; caught is NULL: steps are what is
 * looked for. */
static void follow(const struct machine_config *config, const char *way, const char *caught,
                   struct trace *trace)
{
    static struct machine m;
    bool fine = machine_start(&m, config) && choose(&m, way ? way : "auto");

    trace->count = 0;
    trace->refused = fine && caught && machine_monitor(&m, caught) && is_refusal(m.reply);
    fine = fine && !trace->refused;
    while (fine && trace->count < SEEN_MAX && machine_ask(&m, way ? "vCont;s:1" : "vCont;c"))
        if (!caught || m.said[0])
            look(&m, &trace->seen[trace->count++]);
    machine_end(&m);
}

static bool is_same(const struct trace *want, const struct trace *got)
{
    unsigned same = 0;

    while (same < want->count && same < got->count &&
           memcmp(&want->seen[same], &got->seen[same], sizeof want->seen[0]) == 0)
        same++;
    if (want->count && same == want->count && same == got->count)
        return true;
    printf("%u stops, and should be %u; the first %u are the same\n", got->count, want->count,
           same);
    for (unsigned i = 0; i < 2 && same < want->count && same < got->count; i++) {
        const struct seen *s = &(i ? got : want)->seen[same];
        printf("  %s: rip %llx rflags %llx rax %llx rsp %llx: %x %x %x %x %s\n", i ? "got" : "want",
               (unsigned long long)s->rip, (unsigned long long)s->rflags,
               (unsigned long long)s->rax, (unsigned long long)s->rsp, s->stack[0], s->stack[1],
               s->stack[2], s->stack[3], s->said);
    }
    return false;
}

/* name: what is needed for it. */
static bool check(const char *name, const char *way, const char *caught)
{
    static struct trace want, got;
    bool fine;

    follow(&configs[0], way, caught, &want);
    follow(&configs[1], way, caught, &got);
    if (got.refused && !is_needed(name)) {
        printf("not here: %s\n", name);
        return true;
    }
    fine = is_same(&want, &got) || (!caught && !is_needed(name));
    printf("%s: %s, %s: %u stops\n", fine ? "ok" : "not ok", way ? way : "run",
           caught ? caught : "every step", got.count);
    return fine;
}

int main(int argc, char **argv)
{
    static uint8_t image[1 << 20];
    FILE *file = argc >= 2 ? fopen(argv[1], "rb") : NULL;
    bool fine = true;

    if (!file)
        return 2;
    for (int i = 2; i < argc && i < 8; i++)
        needed[i - 2] = argv[i];
    configs[1].ops = &kvm_engine;
    configs[1].kernel_size = fread(image, 1, sizeof image, file);
    fclose(file);
    configs[1].kernel = image;
    configs[1].served = true;
    configs[0] = configs[1];
    configs[0].ops = &soft_engine;
    fine &= check("steps", "emulate", NULL);
    fine &= check("steps", "trap-flag", NULL);
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        fine &= check(events[i].name, NULL, events[i].caught);
        fine &= check(events[i].name, "trap-flag", events[i].caught);
    }
    return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
