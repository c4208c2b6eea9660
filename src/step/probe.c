/* The start-up probe of the interrupt shadow: a tiny guest counts the instructions of one step. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "step/internal.h"

/*
 * Some hosts' hardware, or models of it, executes nothing under the shadow, and some run away (the
 * exit never comes, or comes late): only a count of exactly one will do.
 */
bool step_shadow_works(const struct ringside_target *target, void *ctx)
{
    static const uint8_t code[] = {
        0x48, 0xff, 0xc0, /* inc rax */
        0x48, 0xff, 0xc0, /* inc rax */
        0x48, 0xff, 0xc0, /* inc rax */
        0xf4,             /* hlt */
    };
    uint64_t gpr[16] = {0};

    if (!target->step->try_shadow)
        return false;
    return target->step->try_shadow(ctx, code, sizeof code, gpr) == RINGSIDE_OK &&
           gpr[RINGSIDE_RAX] == 1;
}
