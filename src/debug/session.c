/* The session: a debugger comes, and leaves nothing behind when it goes. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/debug.h"
#include "debug/trace.h"

#include <string.h>

static size_t vcpus_size(unsigned vcpus)
{
    return (vcpus * sizeof(struct debug_vcpu) + 15) & ~(size_t)15;
}

size_t debug_size(unsigned vcpus)
{
    return vcpus_size(vcpus) + step_size() +
           debug_table_size(DEBUG_BREAKPOINTS_MAX, sizeof(struct debug_breakpoint)) +
           debug_table_size(DEBUG_BREAKPOINTS_MAX, sizeof(struct debug_site)) +
           debug_table_size(DEBUG_WATCHPOINTS_MAX, sizeof(struct debug_watch)) + debug_code_size() +
           debug_trace_size();
}

int debug_init(struct debug *debug, void *memory, const struct ringside_config *config)
{
    const struct ringside_target *target = config->target;
    unsigned char *at = memory;

    if (!target || !target->vcpu_count || !target->read_regs || !target->write_regs ||
        !target->read_memory || !target->write_memory || !target->kick)
        return RINGSIDE_EINVAL;
    memset(debug, 0, sizeof *debug);
    debug->target = target;
    debug->port = config->port;
    debug->ctx = config->ctx;
    debug->stop_on_attach = config->stop_on_attach;
    debug->resume_on_detach = config->resume_on_detach;
    debug->vcpu_count = target->vcpu_count(config->ctx);
    if (debug->vcpu_count < 1 || debug->vcpu_count > DEBUG_VCPUS_MAX)
        return RINGSIDE_EINVAL;

    debug->vcpus = (struct debug_vcpu *)(void *)at;
    memset(debug->vcpus, 0, vcpus_size(debug->vcpu_count));
    at += vcpus_size(debug->vcpu_count);
    debug_table_init(&debug->breakpoints, at, DEBUG_BREAKPOINTS_MAX,
                     sizeof(struct debug_breakpoint));
    at += debug_table_size(DEBUG_BREAKPOINTS_MAX, sizeof(struct debug_breakpoint));
    debug_table_init(&debug->sites, at, DEBUG_BREAKPOINTS_MAX, sizeof(struct debug_site));
    at += debug_table_size(DEBUG_BREAKPOINTS_MAX, sizeof(struct debug_site));
    debug_table_init(&debug->watches, at, DEBUG_WATCHPOINTS_MAX, sizeof(struct debug_watch));

    at += debug_table_size(DEBUG_WATCHPOINTS_MAX, sizeof(struct debug_watch));
    debug->code = at;
    at += debug_code_size();
    debug_trace_init(debug, at);
    at += debug_trace_size();
    step_init(&debug->step, at, config);
    debug_hook_steps(debug);
    for (unsigned i = 0; i < debug->vcpu_count; i++)
        debug->vcpus[i].action = DEBUG_RUN;
    if (config->hold_at_start) {
        for (unsigned i = 0; i < debug->vcpu_count; i++) {
            struct debug_vcpu *v = &debug->vcpus[i];
            *v = (struct debug_vcpu){.action = DEBUG_STAY, .look = true, .parked = true};
        }
        debug->state = DEBUG_STOPPED;
    }
    return RINGSIDE_OK;
}

bool debug_is_attached(const struct debug *debug)
{
    return __atomic_load_n(&debug->attached, __ATOMIC_ACQUIRE);
}

static void set_attached(struct debug *debug, bool value)
{
    __atomic_store_n(&debug->attached, value, __ATOMIC_RELEASE);
}

int debug_attach(struct debug *debug)
{
    if (debug->attached)
        return RINGSIDE_ENOSPC;
    set_attached(debug, true);
    debug->stop_ready = false;
    debug->stop = (struct debug_stop){.vcpu = debug->event_vcpu};
    if (debug->stop_on_attach && debug->state == DEBUG_RUNNING)
        debug_stop_all(debug, debug->event_vcpu, NULL);
    return RINGSIDE_OK;
}

void debug_detach(struct debug *debug)
{
    if (!debug->attached)
        return;
    set_attached(debug, false);
    debug_trace_stop(debug, TRACE_DISCONNECTED);
    debug_breakpoints_clear_all(debug);
    debug_watches_clear_all(debug);
    debug->console.length = 0;
    debug_catches_clear_all(debug);
    debug->step_interrupts = false;
    debug->stop_ready = false;
    for (unsigned i = 0; i < debug->vcpu_count; i++)
        debug->vcpus[i].event.reason = DEBUG_REASON_NONE;
    if (debug->resume_on_detach || debug->state == DEBUG_RUNNING)
        debug_resume_all(debug);
}

int debug_reset(struct debug *debug)
{
    const struct ringside_machine_ops *machine = debug->target->machine;

    if (!machine)
        return RINGSIDE_ENOTSUP;
    machine->reset(debug->ctx);
    for (unsigned i = 0; i < debug->vcpu_count; i++) {
        struct debug_vcpu *v = &debug->vcpus[i];
        v->cached = v->shown = v->traced = false;
        v->steps_left = 0;
        v->event.reason = DEBUG_REASON_NONE;
    }
    return RINGSIDE_OK;
}

int debug_power_off(struct debug *debug)
{
    const struct ringside_machine_ops *machine = debug->target->machine;

    if (!machine)
        return RINGSIDE_ENOTSUP;
    machine->power_off(debug->ctx);
    return RINGSIDE_OK;
}
