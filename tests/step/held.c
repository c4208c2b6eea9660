/* Interrupts stay out of steps unless they are let in, and stay pending meanwhile. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "machine.h"

/*
 * held IMAGE: classes.S with an interrupt waiting.  Its snippets set IF by STI, POPF and IRET; the
 * first of them come within STEPS.
 */
enum { STEPS = 150000, IPI = 0x50, GATE = 16, IDT_LIMIT = 256 * GATE - 1 };

/* Where the gate of the interrupt leads; 0: there is no IDT yet. */
static uint64_t handler(struct machine *m, const struct ringside_regs *regs)
{
    uint16_t low, middle;

    if (regs->idtr.limit != IDT_LIMIT)
        return 0;
    vm_read(soft_vm(m->engine), regs->idtr.base + IPI * GATE, &low, 2);
    vm_read(soft_vm(m->engine), regs->idtr.base + IPI * GATE + 6, &middle, 2);
    return (uint64_t)middle << 16 | low;
}

/* How often did a step of a vCPU that was awake end at the handler? */
static unsigned count(struct machine *m, unsigned steps)
{
    struct ringside_regs regs;
    unsigned n = 0;

    machine_regs(m, &regs);
    while (steps--) {
        bool awake = regs.activity == RINGSIDE_RUNNING;
        if (!machine_ask(m, "vCont;s:1"))
            break;
        machine_regs(m, &regs);
        n += awake && regs.rip == handler(m, &regs);
    }
    return n;
}

static bool check(struct machine_config *config, enum soft_vendor vendor, const char *way)
{
    static struct machine m;
    char text[40] = "step-method ";
    unsigned held, let_in;

    config->vendor = vendor;
    if (!machine_start(&m, config))
        return false;
    strcat(text, way);
    machine_monitor(&m, text);
    held = count(&m, STEPS);
    machine_monitor(&m, "interrupts on");
    let_in = count(&m, STEPS);
    printf("%s: %u interrupts while they were held, %u when they were let in\n", way, held, let_in);
    machine_end(&m);
    return held == 0 && let_in > 0;
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
    for (enum soft_vendor vendor = SOFT_INTEL; vendor <= SOFT_AMD; vendor++) {
        fine &= check(&config, vendor, "emulate");
        fine &= check(&config, vendor, vendor == SOFT_INTEL ? "monitor-trap" : "interrupt-shadow");
        fine &= check(&config, vendor, "trap-flag");
    }
    return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
