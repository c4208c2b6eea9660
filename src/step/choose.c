/* Chooses the way to step: the first in order of preference that is built, offered and allowed. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "step/internal.h"

#include <string.h>

/* Best first: the less of the guest's own state a way borrows, the earlier it stands. */
static const struct {
    unsigned way;
    const char *name;
    const struct step_method *method; /* NULL: not built */
} ways[] = {
    {RINGSIDE_STEP_EMULATE, "emulate", NULL},
    {RINGSIDE_STEP_MONITOR_TRAP, "monitor-trap", &step_monitor_trap},
    {RINGSIDE_STEP_INTERRUPT_SHADOW, "interrupt-shadow", NULL},
    {RINGSIDE_STEP_TRAP_FLAG, "trap-flag", NULL},
};
enum { WAYS = sizeof ways / sizeof ways[0] };

unsigned step_built(void)
{
    unsigned mask = 0;

    for (unsigned i = 0; i < WAYS; i++)
        if (ways[i].method)
            mask |= ways[i].way;
    return mask;
}

void step_init(struct step *step, const struct ringside_target *target, void *ctx, unsigned allowed)
{
    step->target = target;
    step->ctx = ctx;
    step->offered = target->step ? target->step->probe(ctx, 0) & step_built() : 0;
    step->allowed = allowed ? allowed : ~0u;
}

static const struct step_method *chosen(const struct step *step)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (ways[i].way & step->offered & step->allowed)
            return ways[i].method;
    return NULL;
}

unsigned step_chosen(const struct step *step)
{
    const struct step_method *method = chosen(step);

    return method ? method->way : 0;
}

int step_allow(struct step *step, unsigned allowed)
{
    allowed = allowed ? allowed : ~0u;
    if (!(step->offered & allowed))
        return RINGSIDE_ENOTSUP;
    step->allowed = allowed;
    return RINGSIDE_OK;
}

const char *step_name(unsigned way)
{
    for (unsigned i = 0; i < WAYS; i++)
        if (ways[i].way == way)
            return ways[i].name;
    return NULL;
}

unsigned step_by_name(const char *name, size_t n)
{
    for (unsigned i = 0; i < WAYS; i++) {
        const char *own = ways[i].name;
        size_t length = 0;
        while (own[length])
            length++;
        if (length == n && memcmp(own, name, n) == 0)
            return ways[i].way;
    }
    return 0;
}

int step_arm(const struct step *step, unsigned vcpu, const struct step_request *request)
{
    const struct step_method *method = chosen(step);

    return method ? method->arm(step, vcpu, request) : RINGSIDE_ENOTSUP;
}

void step_disarm(const struct step *step, unsigned vcpu)
{
    const struct step_method *method = chosen(step);

    if (method)
        method->disarm(step, vcpu);
}
