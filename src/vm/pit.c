/* The 8254 interval timer: channel 0 interrupts, channel 2 times loops and drives the speaker. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/internal.h"

/* Counts are binary; a control word that asks for BCD gets binary all the same. */
#define PIT_HZ 1193182ull

enum region { COUNTERS, SYSTEM_PORT };
enum { CONTROL = 3, CHANNELS = 3 };
enum access { ACCESS_LATCH, ACCESS_LOW, ACCESS_HIGH, ACCESS_BOTH };

/* Port 0x61. */
enum {
    SYSTEM_GATE = 1 << 0,
    SYSTEM_SPEAKER = 1 << 1,
    SYSTEM_REFRESH = 1 << 4,
    SYSTEM_OUTPUT = 1 << 5,
};

/* Read-back command (8254 data sheet, figure 13) and status byte (figure 16). */
enum {
    READ_BACK = 3,
    READ_BACK_NO_COUNT = 1 << 5,
    READ_BACK_NO_STATUS = 1 << 4,
    STATUS_OUTPUT = 1 << 7,
    STATUS_NULL_COUNT = 1 << 6,
};

struct channel {
    uint32_t count; /* 1..65536 */
    uint8_t access, mode;
    uint8_t control; /* bits 5:0 of the control word, for the status byte */
    uint8_t low;     /* first half of a count being written */
    bool second_write, second_read;
    bool count_latched, status_latched;
    bool gate;
    bool loaded; /* a count was written since the control word */
    uint8_t status;
    uint16_t latch;
    uint64_t start;   /* the tick at which the count was loaded */
    uint64_t stopped; /* ticks counted when the gate closed, where the mode then stands still */
};

struct pit {
    struct channel channel[CHANNELS];
    bool speaker;
    uint64_t next; /* the tick of the next interrupt of channel 0, or VM_NEVER */
};

static uint64_t ticks_at(uint64_t now)
{
    return vm_scale(now, PIT_HZ, 1000000000);
}

static bool is_periodic(const struct channel *channel)
{
    return channel->mode == 2 || channel->mode == 3;
}

static uint64_t elapsed(const struct channel *channel, uint64_t tick)
{
    return channel->gate ? tick - channel->start : channel->stopped;
}

static uint16_t current_count(const struct channel *channel, uint64_t tick)
{
    uint64_t gone = elapsed(channel, tick);

    if (!channel->loaded)
        return (uint16_t)channel->count;
    if (channel->mode == 2)
        return (uint16_t)(channel->count - gone % channel->count);
    if (channel->mode == 3)
        return (uint16_t)(channel->count - 2 * gone % channel->count);
    return (uint16_t)(channel->count - gone);
}

static bool output(const struct channel *channel, uint64_t tick)
{
    uint64_t gone = elapsed(channel, tick), count = channel->count;

    if (!channel->loaded)
        return channel->mode != 0;
    switch (channel->mode) {
    case 0:
    case 1: return gone >= count;
    case 2: return gone % count != count - 1;
    case 3: return gone % count < (count + 1) / 2;
    default: return gone != count;
    }
}

static void schedule(struct vm *vm, struct pit *pit)
{
    const struct channel *channel = &pit->channel[0];

    pit->next = channel->loaded ? channel->start + channel->count : VM_NEVER;
    /* Mode 0 holds its output low until it ends; modes 1 and 5 wait for a gate that never comes. */
    if (channel->mode == 1 || channel->mode == 5)
        pit->next = VM_NEVER;
    vm_set_line(vm, VM_GSI_PIT, channel->mode != 0);
    vm_deadline_changed(vm);
}

static void load(struct vm *vm, struct pit *pit, unsigned n, uint16_t count)
{
    struct channel *channel = &pit->channel[n];

    channel->count = count ? count : 0x10000;
    channel->start = ticks_at(vm_now(vm));
    channel->stopped = 0;
    channel->loaded = true;
    if (n == 0)
        schedule(vm, pit);
}

static void latch_count(struct channel *channel, uint64_t tick)
{
    if (!channel->count_latched)
        channel->latch = current_count(channel, tick);
    channel->count_latched = true;
}

static void latch_status(struct channel *channel, uint64_t tick)
{
    if (!channel->status_latched)
        channel->status = channel->control | (output(channel, tick) ? STATUS_OUTPUT : 0) |
                          (channel->loaded ? 0 : STATUS_NULL_COUNT);
    channel->status_latched = true;
}

static void read_back(struct pit *pit, uint8_t value, uint64_t tick)
{
    for (unsigned n = 0; n < CHANNELS; n++) {
        if (!(value >> (n + 1) & 1))
            continue;
        if (!(value & READ_BACK_NO_COUNT))
            latch_count(&pit->channel[n], tick);
        if (!(value & READ_BACK_NO_STATUS))
            latch_status(&pit->channel[n], tick);
    }
}

static void write_control(struct vm *vm, struct pit *pit, uint8_t value)
{
    unsigned n = value >> 6;
    uint64_t tick = ticks_at(vm_now(vm));

    if (n == READ_BACK) {
        read_back(pit, value, tick);
        return;
    }
    struct channel *channel = &pit->channel[n];
    if ((value >> 4 & 3) == ACCESS_LATCH) {
        latch_count(channel, tick);
        return;
    }
    uint8_t mode = value >> 1 & 7;
    channel->access = value >> 4 & 3;
    channel->mode = mode > 5 ? mode - 4 : mode;
    channel->control = value & 0x3f;
    channel->second_write = channel->second_read = false;
    channel->count_latched = channel->status_latched = false;
    channel->loaded = false;
    if (n == 0)
        schedule(vm, pit);
}

static void write_count(struct vm *vm, struct pit *pit, unsigned n, uint8_t value)
{
    struct channel *channel = &pit->channel[n];

    if (channel->access == ACCESS_LOW) {
        load(vm, pit, n, value);
    } else if (channel->access == ACCESS_HIGH) {
        load(vm, pit, n, (uint16_t)(value << 8));
    } else if (!channel->second_write) {
        channel->low = value;
        channel->second_write = true;
    } else {
        channel->second_write = false;
        load(vm, pit, n, (uint16_t)(channel->low | value << 8));
    }
}

static uint8_t read_count(struct channel *channel, uint64_t tick)
{
    if (channel->status_latched) {
        channel->status_latched = false;
        return channel->status;
    }
    uint16_t count = channel->count_latched ? channel->latch : current_count(channel, tick);
    bool high =
        channel->access == ACCESS_HIGH || (channel->access == ACCESS_BOTH && channel->second_read);
    if (channel->access == ACCESS_BOTH)
        channel->second_read = !channel->second_read;
    if (channel->access != ACCESS_BOTH || high)
        channel->count_latched = false;
    return (uint8_t)(high ? count >> 8 : count);
}

static uint8_t read_system_port(const struct pit *pit, uint64_t now)
{
    const struct channel *channel = &pit->channel[2];

    return (channel->gate ? SYSTEM_GATE : 0) | (pit->speaker ? SYSTEM_SPEAKER : 0) |
           (now / 15085 & 1 ? SYSTEM_REFRESH : 0) |
           (output(channel, ticks_at(now)) ? SYSTEM_OUTPUT : 0);
}

/* The gate of channel 2: modes 0 and 4 pause without it, the others start anew when it opens. */
static void set_gate(struct channel *channel, bool gate, uint64_t tick)
{
    if (gate == channel->gate)
        return;
    if (!gate)
        channel->stopped = elapsed(channel, tick);
    else if (channel->mode == 0 || channel->mode == 4)
        channel->start = tick - channel->stopped;
    else
        channel->start = tick;
    channel->gate = gate;
}

static uint64_t pit_read(struct vm *vm, void *state, unsigned region, uint64_t offset,
                         unsigned size)
{
    struct pit *pit = state;
    uint64_t now = vm_now(vm);

    (void)size;
    if (region == SYSTEM_PORT)
        return read_system_port(pit, now);
    return offset == CONTROL ? UINT64_MAX : read_count(&pit->channel[offset], ticks_at(now));
}

static void pit_write(struct vm *vm, void *state, unsigned region, uint64_t offset, unsigned size,
                      uint64_t value)
{
    struct pit *pit = state;

    (void)size;
    if (region == SYSTEM_PORT) {
        pit->speaker = value & SYSTEM_SPEAKER;
        set_gate(&pit->channel[2], value & SYSTEM_GATE, ticks_at(vm_now(vm)));
    } else if (offset == CONTROL) {
        write_control(vm, pit, (uint8_t)value);
    } else {
        write_count(vm, pit, (unsigned)offset, (uint8_t)value);
    }
}

static uint64_t pit_deadline(struct vm *vm, void *state)
{
    const struct pit *pit = state;

    (void)vm;
    return pit->next == VM_NEVER ? VM_NEVER : vm_scale_up(pit->next, 1000000000, PIT_HZ);
}

static void pit_tick(struct vm *vm, void *state, uint64_t now)
{
    struct pit *pit = state;
    const struct channel *channel = &pit->channel[0];

    pit->next = VM_NEVER;
    if (is_periodic(channel)) {
        uint64_t periods = (ticks_at(now) - channel->start) / channel->count;
        pit->next = channel->start + (periods + 1) * channel->count;
    }
    vm_set_line(vm, VM_GSI_PIT, false);
    vm_set_line(vm, VM_GSI_PIT, true);
    vm_deadline_changed(vm);
}

static void pit_reset(struct vm *vm, void *state)
{
    struct pit *pit = state;

    (void)vm;
    pit->next = VM_NEVER;
    for (unsigned n = 0; n < CHANNELS; n++) {
        pit->channel[n].count = 0x10000;
        pit->channel[n].access = ACCESS_BOTH;
        pit->channel[n].gate = n != 2;
    }
}

const struct vm_device_ops vm_pit_ops = {
    .name = "pit",
    .state_size = sizeof(struct pit),
    .read = pit_read,
    .write = pit_write,
    .deadline = pit_deadline,
    .tick = pit_tick,
    .reset = pit_reset,
};
