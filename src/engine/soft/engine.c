/* The soft engine as the tool sees it, whichever engine it has. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/soft/soft.h"

#include <inttypes.h>
#include <stdio.h>

static void *create(const struct engine_config *config, int *error)
{
    const struct soft_config soft = {
        .vm = config->vm,
        .vendor = config->vendor,
        .no_shadow_step = config->no_shadow_step,
        .ctx = config->ctx,
        .serial_out = config->serial_out,
        .ended = config->ended,
        .declined = config->declined,
    };

    return soft_new(&soft, error);
}

static void destroy(void *engine)
{
    soft_free(engine);
}

static struct vm *machine(void *engine)
{
    return soft_vm(engine);
}

static void set_entry(void *engine, const struct ringside_regs *entry)
{
    soft_set_entry(engine, entry);
}

static bool is_amd(void *engine)
{
    return ((struct soft *)engine)->config.vendor == SOFT_AMD;
}

static void set_server(void *engine, struct ringside *server)
{
    soft_set_server(engine, server);
}

static enum engine_state run(void *engine, uint64_t instructions, bool skip_idle, uint64_t *idle_ns)
{
    static const enum engine_state states[] = {
        [SOFT_BUSY] = ENGINE_BUSY,
        [SOFT_IDLE] = ENGINE_IDLE,
        [SOFT_PARKED] = ENGINE_PARKED,
        [SOFT_ENDED] = ENGINE_ENDED,
    };

    return states[soft_run(engine, instructions, skip_idle, idle_ns)];
}

static void pass_idle(void *engine, uint64_t ns)
{
    soft_pass_idle(engine, ns);
}

static int event_fd(void *engine)
{
    (void)engine;
    return -1;
}

static size_t serial_room(void *engine)
{
    return vm_serial_room(soft_vm(engine));
}

static void serial_in(void *engine, const void *bytes, size_t n)
{
    vm_serial_in(soft_vm(engine), bytes, n);
}

static uint64_t instructions(void *engine)
{
    return soft_instructions(engine);
}

static void report(void *engine, char *text, size_t size)
{
    snprintf(text, size, "instructions %" PRIu64 " time-ns %" PRIu64 " hash %016" PRIx64,
             soft_instructions(engine), soft_time(engine), soft_hash(engine));
}

const struct engine_ops soft_engine = {
    .name = "soft",
    .create = create,
    .destroy = destroy,
    .vm = machine,
    .set_entry = set_entry,
    .is_amd = is_amd,
    .target = &soft_target_ops,
    .set_server = set_server,
    .run = run,
    .pass_idle = pass_idle,
    .event_fd = event_fd,
    .serial_room = serial_room,
    .serial_in = serial_in,
    .instructions = instructions,
    .report = report,
};
