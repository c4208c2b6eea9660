/* Ports that end the guest: keyboard controller reset, port 0x92, port 0xcf9, isa-debug-exit. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/internal.h"

enum region { KEYBOARD, SYSTEM_CONTROL, RESET_CONTROL, DEBUG_EXIT };

enum {
    KEYBOARD_PULSE_RESET = 0xfe,
    SYSTEM_FAST_RESET = 1 << 0, /* port 0x92; bit 1 is A20, which is always open here */
    RESET_CPU = 1 << 2,         /* port 0xcf9: a 0 to 1 transition resets */
};

struct control {
    uint8_t system_control;
    uint8_t reset_control;
};

static void request(struct vm *vm, int what, int status)
{
    vm->host.request(vm->host.ctx, what, status);
}

static uint64_t control_read(struct vm *vm, void *state, unsigned region, uint64_t offset,
                             unsigned size)
{
    const struct control *control = state;

    (void)vm, (void)offset, (void)size;
    switch (region) {
    case SYSTEM_CONTROL: return control->system_control;
    case RESET_CONTROL: return control->reset_control;
    case DEBUG_EXIT: return 0;
    default: return UINT64_MAX; /* no keyboard controller answers */
    }
}

static void control_write(struct vm *vm, void *state, unsigned region, uint64_t offset,
                          unsigned size, uint64_t value)
{
    struct control *control = state;

    (void)offset, (void)size;
    switch (region) {
    case KEYBOARD:
        if (value == KEYBOARD_PULSE_RESET)
            request(vm, VM_RESET, 0);
        break;
    case SYSTEM_CONTROL:
        if (value & ~(unsigned)control->system_control & SYSTEM_FAST_RESET)
            request(vm, VM_RESET, 0);
        control->system_control = (uint8_t)value;
        break;
    case RESET_CONTROL:
        if (value & ~(unsigned)control->reset_control & RESET_CPU)
            request(vm, VM_RESET, 0);
        control->reset_control = (uint8_t)value;
        break;
    case DEBUG_EXIT: request(vm, VM_EXIT, (int)((uint32_t)value << 1 | 1)); break;
    }
}

static void control_reset(struct vm *vm, void *state)
{
    (void)vm;
    ((struct control *)state)->system_control = 1 << 1;
}

const struct vm_device_ops vm_control_ops = {
    .name = "control",
    .state_size = sizeof(struct control),
    .read = control_read,
    .write = control_write,
    .reset = control_reset,
};
