/* Every way to step stops at the events that are caught, once each, as a guest that runs does. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

/* caught IMAGE: classes.S, run and stepped, with all catches set, up to the first STOPS.
 */
enum { STOPS = 5000, STEPS = 2000000 };

struct stop {
    uint64_t rip;
    char said[512]; /* which event, in hexadecimal */
};

static const char *const events[] = {
    "catch exception all", "catch interrupt all", "catch cr all",
    "catch msr all",       "catch port all",      "catch hlt",
};

/* The first stops that are told as events; way is NULL: it runs. */
static unsigned collect(const struct machine_config *config, const char *way, struct stop *stops)
{
    static struct machine m;
    struct ringside_regs regs;
    char method[40] = "step-method ";
    unsigned n = 0, left = STEPS;

    if (!machine_start(&m, config))
        return 0;
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        machine_monitor(&m, events[i]);
    machine_monitor(&m, strcat(method, way ? way : "auto"));
    while (n < STOPS && left-- && machine_ask(&m, way ? "vCont;s:1" : "vCont;c")) {
        if (!m.said[0])
            continue;
        machine_regs(&m, &regs);
        stops[n].rip = regs.rip;
        memcpy(stops[n++].said, m.said, sizeof m.said);
    }
    machine_end(&m);
    return n;
}

static bool check(const struct machine_config *config, const char *way)
{
    static struct stop run[STOPS], stepped[STOPS];
    unsigned n = collect(config, NULL, run), same = 0;
    unsigned found = collect(config, way, stepped);

    while (same < n && same < found && run[same].rip == stepped[same].rip &&
           strcmp(run[same].said, stepped[same].said) == 0)
        same++;
    printf("%s: %u events caught by running, %u by steps\n", way, n, found);
    if (same < n)
        printf("event %u: at 0x%llx by running (%s), at 0x%llx by steps (%s)\n", same,
               (unsigned long long)run[same].rip, run[same].said,
               (unsigned long long)stepped[same].rip, stepped[same].said);
    return n && same == n && found == n;
}

int main(int argc, char **argv)
{
    static uint8_t image[1 << 20];
    struct machine_config config = {.served = true, .kernel = image};
    FILE *file = argc == 2 ? fopen(argv[1], "rb") : NULL;
    bool fine = true;

    if (!file)
        return 2;
    config.kernel_size = fread(image, 1, sizeof image, file);
    fclose(file);
    for (config.vendor = SOFT_INTEL; config.vendor <= SOFT_AMD; config.vendor++) {
        fine &= check(&config, "emulate");
        fine &= check(&config, config.vendor == SOFT_INTEL ? "monitor-trap" : "interrupt-shadow");
        fine &= check(&config, "trap-flag");
    }
    return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
