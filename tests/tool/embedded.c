/* The smallest hypervisor with the debug server in it: one vCPU, a page of memory, no guest. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <ringside/server.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct machine {
    struct ringside_regs regs;
    uint8_t memory[4096];
};

static unsigned vcpu_count(void *ctx)
{
    (void)ctx;
    return 1;
}

static int read_regs(void *ctx, unsigned vcpu, struct ringside_regs *out)
{
    (void)vcpu;
    *out = ((struct machine *)ctx)->regs;
    return RINGSIDE_OK;
}

static int write_regs(void *ctx, unsigned vcpu, const struct ringside_regs *in)
{
    (void)vcpu;
    ((struct machine *)ctx)->regs = *in;
    return RINGSIDE_OK;
}

static uint8_t *memory_at(struct machine *machine, uint64_t gpa, size_t n)
{
    return n <= sizeof machine->memory && gpa <= sizeof machine->memory - n ? machine->memory + gpa
                                                                            : NULL;
}

static int read_memory(void *ctx, uint64_t gpa, void *buffer, size_t n)
{
    const uint8_t *from = memory_at(ctx, gpa, n);

    if (!from)
        return RINGSIDE_EFAULT;
    memcpy(buffer, from, n);
    return RINGSIDE_OK;
}

static int write_memory(void *ctx, uint64_t gpa, const void *buffer, size_t n)
{
    uint8_t *to = memory_at(ctx, gpa, n);

    if (!to)
        return RINGSIDE_EFAULT;
    memcpy(to, buffer, n);
    return RINGSIDE_OK;
}

static void kick(void *ctx, unsigned vcpu)
{
    (void)ctx, (void)vcpu; /* it never runs */
}

int main(void)
{
    static const struct ringside_target target = {
        .vcpu_count = vcpu_count,
        .read_regs = read_regs,
        .write_regs = write_regs,
        .read_memory = read_memory,
        .write_memory = write_memory,
        .kick = kick,
    };
    static struct machine machine = {.memory = "\x90\xf4"};
    const struct ringside_config config = {
        .target = &target, .ctx = &machine, .stop_on_attach = true, .version = "embedded"};
    static const char question[] = "$m0,2#fb"; /* two bytes at 0 */
    void *memory = aligned_alloc(16, (ringside_size(1) + 15) & ~(size_t)15);
    struct ringside *server = memory ? ringside_init(memory, &config) : NULL;
    const void *reply;
    size_t n;

    if (!server || ringside_connect(server) != RINGSIDE_OK ||
        ringside_input(server, question, sizeof question - 1) != sizeof question - 1)
        return 1;
    n = ringside_output(server, &reply);
    fwrite(reply, 1, n, stdout);
    ringside_disconnect(server);
    free(memory);
    return 0;
}
