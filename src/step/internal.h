/* What one way to step gives the chooser. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef STEP_INTERNAL_H
#define STEP_INTERNAL_H

#include "step/step.h"

struct step_method {
    unsigned way; /* enum ringside_step_way */
    int (*arm)(const struct step *step, unsigned vcpu, const struct step_request *request);
    void (*disarm)(const struct step *step, unsigned vcpu);
};

extern const struct step_method step_monitor_trap;

#endif
