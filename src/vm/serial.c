/* The 16550A serial port at 0x3f8: its FIFO, its interrupts, and the console bytes behind it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/internal.h"

/*
 * Transmission takes no virtual time, so the transmitter is always empty; its interrupt is raised
 * again after each byte. Received bytes wait in a queue and enter the FIFO as the guest makes room:
 * nothing is ever overrun. Only the character timeout (16550D data sheet, 8.4.2) has a clock.
 */
enum { FIFO_SIZE = 16, QUEUE_SIZE = 4096, INPUT_CLOCK = 1843200 };

enum register_offset {
    DATA, /* RBR, THR; the divisor's low byte with LCR.DLAB */
    IER,  /* the divisor's high byte with LCR.DLAB */
    IIR,  /* FCR when written */
    LCR,
    MCR,
    LSR,
    MSR,
    SCR,
};
enum {
    IER_RECEIVE = 1 << 0,
    IER_TRANSMIT = 1 << 1,
    IER_LINE = 1 << 2,
    IER_MODEM = 1 << 3,
    IER_BITS = 0xf,
    IIR_NONE = 0x1,
    IIR_MODEM = 0x0,
    IIR_TRANSMIT = 0x2,
    IIR_RECEIVE = 0x4,
    IIR_LINE = 0x6,
    IIR_TIMEOUT = 0xc,
    IIR_FIFO = 0xc0,
    FCR_ENABLE = 1 << 0,
    FCR_CLEAR_RECEIVE = 1 << 1,
    FCR_TRIGGER_SHIFT = 6,
    LCR_DLAB = 1 << 7,
    MCR_DTR = 1 << 0,
    MCR_RTS = 1 << 1,
    MCR_OUT1 = 1 << 2,
    MCR_OUT2 = 1 << 3, /* on a PC the gate of the interrupt line */
    MCR_LOOP = 1 << 4,
    MCR_BITS = 0x1f,
    LSR_DATA = 1 << 0,
    LSR_OVERRUN = 1 << 1,
    LSR_EMPTY = 1 << 5 | 1 << 6,
    MSR_CTS = 1 << 4,
    MSR_DSR = 1 << 5,
    MSR_RI = 1 << 6,
    MSR_DCD = 1 << 7,
    MSR_CONNECTED = MSR_CTS | MSR_DSR | MSR_DCD,
};

struct serial {
    uint8_t ier, fcr, lcr, mcr, scr;
    uint8_t modem_delta;   /* MSR 3:0 */
    bool transmit_pending; /* the transmitter became empty and nobody took note yet */
    bool timeout_pending;
    bool overrun;
    uint16_t divisor;
    uint8_t fifo_head, fifo_count;
    uint16_t queue_head, queue_count;
    uint64_t timeout_at; /* of bytes below the trigger level; VM_NEVER: none wait */
    uint8_t fifo[FIFO_SIZE];
    uint8_t queue[QUEUE_SIZE];
};

static unsigned capacity(const struct serial *serial)
{
    return serial->fcr & FCR_ENABLE ? FIFO_SIZE : 1;
}

static unsigned trigger(const struct serial *serial)
{
    static const uint8_t levels[] = {1, 4, 8, 14};

    return serial->fcr & FCR_ENABLE ? levels[serial->fcr >> FCR_TRIGGER_SHIFT] : 1;
}

/* The highest pending interrupt (16550D data sheet, table 4). */
static uint8_t identify(const struct serial *serial)
{
    if (serial->ier & IER_LINE && serial->overrun)
        return IIR_LINE;
    if (serial->ier & IER_RECEIVE && serial->fifo_count >= trigger(serial))
        return IIR_RECEIVE;
    if (serial->ier & IER_RECEIVE && serial->timeout_pending)
        return IIR_TIMEOUT;
    if (serial->ier & IER_TRANSMIT && serial->transmit_pending)
        return IIR_TRANSMIT;
    if (serial->ier & IER_MODEM && serial->modem_delta)
        return IIR_MODEM;
    return IIR_NONE;
}

static void update(struct vm *vm, const struct serial *serial)
{
    vm_set_line(vm, VM_GSI_SERIAL, serial->mcr & MCR_OUT2 && identify(serial) != IIR_NONE);
}

/* Four characters of ten bits without anybody reading raise the timeout. */
static void restart_timeout(struct vm *vm, struct serial *serial)
{
    bool waits = serial->fifo_count && serial->fifo_count < trigger(serial);
    uint64_t bits = 40ull * 16 * (serial->divisor ? serial->divisor : 1);

    serial->timeout_pending = false;
    serial->timeout_at = waits ? vm_now(vm) + vm_scale_up(bits, 1000000000, INPUT_CLOCK) : VM_NEVER;
    vm_deadline_changed(vm);
}

static void receive(struct serial *serial, uint8_t byte)
{
    if (serial->fifo_count >= capacity(serial)) {
        serial->overrun = true;
        return;
    }
    serial->fifo[(serial->fifo_head + serial->fifo_count++) % FIFO_SIZE] = byte;
}

static void refill(struct serial *serial)
{
    while (serial->queue_count && serial->fifo_count < capacity(serial) &&
           !(serial->mcr & MCR_LOOP)) {
        receive(serial, serial->queue[serial->queue_head % QUEUE_SIZE]);
        serial->queue_head = (serial->queue_head + 1) % QUEUE_SIZE;
        serial->queue_count--;
    }
}

static uint8_t modem_lines(const struct serial *serial)
{
    uint8_t mcr = serial->mcr;

    if (!(mcr & MCR_LOOP))
        return MSR_CONNECTED;
    return (mcr & MCR_RTS ? MSR_CTS : 0) | (mcr & MCR_DTR ? MSR_DSR : 0) |
           (mcr & MCR_OUT1 ? MSR_RI : 0) | (mcr & MCR_OUT2 ? MSR_DCD : 0);
}

static uint8_t read_data(struct vm *vm, struct serial *serial)
{
    uint8_t byte = 0;

    if (serial->fifo_count) {
        byte = serial->fifo[serial->fifo_head % FIFO_SIZE];
        serial->fifo_head = (serial->fifo_head + 1) % FIFO_SIZE;
        serial->fifo_count--;
    }
    refill(serial);
    restart_timeout(vm, serial);
    return byte;
}

static uint8_t read_identity(struct serial *serial)
{
    uint8_t identity = identify(serial);

    if (identity == IIR_TRANSMIT)
        serial->transmit_pending = false;
    return identity | (serial->fcr & FCR_ENABLE ? IIR_FIFO : 0);
}

static uint8_t read_line_status(struct serial *serial)
{
    uint8_t status =
        LSR_EMPTY | (serial->fifo_count ? LSR_DATA : 0) | (serial->overrun ? LSR_OVERRUN : 0);

    serial->overrun = false;
    return status;
}

static uint8_t read_modem_status(struct serial *serial)
{
    uint8_t status = modem_lines(serial) | serial->modem_delta;

    serial->modem_delta = 0;
    return status;
}

static uint64_t serial_read(struct vm *vm, void *state, unsigned region, uint64_t offset,
                            unsigned size)
{
    struct serial *serial = state;
    bool divisor = serial->lcr & LCR_DLAB;
    uint8_t value = 0;

    (void)region, (void)size;
    switch (offset) {
    case DATA: value = divisor ? (uint8_t)serial->divisor : read_data(vm, serial); break;
    case IER: value = divisor ? (uint8_t)(serial->divisor >> 8) : serial->ier; break;
    case IIR: value = read_identity(serial); break;
    case LCR: return serial->lcr;
    case MCR: return serial->mcr;
    case LSR: value = read_line_status(serial); break;
    case MSR: value = read_modem_status(serial); break;
    case SCR: return serial->scr;
    }
    update(vm, serial);
    return value;
}

static void write_data(struct vm *vm, struct serial *serial, uint8_t byte)
{
    /* The line falls while the byte is on its way: each byte is an edge of its own. */
    serial->transmit_pending = false;
    update(vm, serial);
    if (serial->mcr & MCR_LOOP) {
        receive(serial, byte);
        restart_timeout(vm, serial);
    } else {
        vm->host.serial_out(vm->host.ctx, byte);
    }
    serial->transmit_pending = true;
}

static void write_fifo_control(struct vm *vm, struct serial *serial, uint8_t value)
{
    bool toggled = (value ^ serial->fcr) & FCR_ENABLE;

    if (toggled || value & FCR_CLEAR_RECEIVE)
        serial->fifo_count = 0;
    serial->fcr = value & FCR_ENABLE ? value & (FCR_ENABLE | 3 << FCR_TRIGGER_SHIFT) : 0;
    refill(serial);
    restart_timeout(vm, serial);
}

static void write_modem_control(struct vm *vm, struct serial *serial, uint8_t value)
{
    uint8_t before = modem_lines(serial);

    serial->mcr = value & MCR_BITS;
    uint8_t changed = before ^ modem_lines(serial);
    /* RI counts when it ends; the others whenever they change. */
    changed &= (uint8_t) ~(modem_lines(serial) & MSR_RI);
    serial->modem_delta |= changed >> 4;
    refill(serial);
    restart_timeout(vm, serial);
}

static void write_interrupt_enable(struct serial *serial, uint8_t value)
{
    if (value & ~(unsigned)serial->ier & IER_TRANSMIT)
        serial->transmit_pending = true; /* the transmitter is empty */
    serial->ier = value & IER_BITS;
}

static void serial_write(struct vm *vm, void *state, unsigned region, uint64_t offset,
                         unsigned size, uint64_t value)
{
    struct serial *serial = state;
    bool divisor = serial->lcr & LCR_DLAB;
    uint8_t byte = (uint8_t)value;

    (void)region, (void)size;
    switch (offset) {
    case DATA:
        if (divisor)
            serial->divisor = (serial->divisor & 0xff00) | byte;
        else
            write_data(vm, serial, byte);
        break;
    case IER:
        if (divisor)
            serial->divisor = (uint16_t)(byte << 8) | (serial->divisor & 0xff);
        else
            write_interrupt_enable(serial, byte);
        break;
    case IIR: write_fifo_control(vm, serial, byte); break;
    case LCR: serial->lcr = byte; break;
    case MCR: write_modem_control(vm, serial, byte); break;
    case SCR: serial->scr = byte; break;
    }
    update(vm, serial);
}

static uint64_t serial_deadline(struct vm *vm, void *state)
{
    (void)vm;
    return ((const struct serial *)state)->timeout_at;
}

static void serial_tick(struct vm *vm, void *state, uint64_t now)
{
    struct serial *serial = state;

    (void)now;
    serial->timeout_at = VM_NEVER;
    serial->timeout_pending = true;
    update(vm, serial);
}

static void serial_reset(struct vm *vm, void *state)
{
    struct serial *serial = state;

    (void)vm;
    serial->divisor = 1;
    serial->timeout_at = VM_NEVER;
}

size_t vm_serial_room(struct vm *vm)
{
    const struct serial *serial = vm_device(vm, VM_DEV_SERIAL);

    return serial->queue_count < QUEUE_SIZE ? QUEUE_SIZE - serial->queue_count : 0;
}

void vm_serial_in(struct vm *vm, const void *bytes, size_t n)
{
    struct serial *serial = vm_device(vm, VM_DEV_SERIAL);
    const uint8_t *in = bytes;
    size_t room = vm_serial_room(vm);

    for (size_t i = 0; i < n && i < room; i++)
        serial->queue[(serial->queue_head + serial->queue_count++) % QUEUE_SIZE] = in[i];
    refill(serial);
    restart_timeout(vm, serial);
    update(vm, serial);
}

const struct vm_device_ops vm_serial_ops = {
    .name = "serial",
    .state_size = sizeof(struct serial),
    .read = serial_read,
    .write = serial_write,
    .deadline = serial_deadline,
    .tick = serial_tick,
    .reset = serial_reset,
};
