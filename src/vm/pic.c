/* The pair of 8259A interrupt controllers of a PC, used until the kernel turns to the APICs. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "vm/internal.h"

enum region { MASTER, SLAVE, TRIGGER };
enum { CASCADE = 2, SPURIOUS = 7 };

/* Command words (8259A data sheet, figures 7 and 8). */
enum {
    ICW1 = 1 << 4,
    ICW1_NEEDS_ICW4 = 1 << 0,
    ICW1_SINGLE = 1 << 1,
    ICW4_AUTO_EOI = 1 << 1,
    OCW3 = 1 << 3,
    OCW3_READ_ISR = 1 << 0,
    OCW3_READ = 1 << 1,
    OCW3_POLL = 1 << 2,
    OCW3_SPECIAL_MASK = 1 << 5,
    OCW3_SET_SPECIAL_MASK = 1 << 6,
};

struct pic {
    uint8_t lines, irr, isr, imr;
    uint8_t elcr;   /* 1: level-triggered */
    uint8_t base;   /* vector of input 0 */
    uint8_t lowest; /* the input with the lowest priority; 7 unless rotated */
    uint8_t expect; /* the next ICW on the odd port: 2, 3, 4; 0: OCW1 */
    bool needs_icw4, single, auto_eoi, rotate_on_auto_eoi;
    bool read_isr, poll, special_mask;
};

struct pics {
    struct pic chip[2]; /* master, slave */
    bool output;        /* of the master, as last announced */
};

static unsigned by_priority(const struct pic *pic, unsigned rank)
{
    return (pic->lowest + 1 + rank) & 7;
}

/* The highest input set in bits, by rank; 8 if none. */
static unsigned highest_rank(const struct pic *pic, uint8_t bits)
{
    unsigned rank = 0;

    while (rank < 8 && !(bits >> by_priority(pic, rank) & 1))
        rank++;
    return rank;
}

/*
 * The input that may interrupt now, or -1: unmasked, requested, and above all that are in service.
 * In special mask mode a masked level in service holds nobody back.
 */
static int pending(const struct pic *pic)
{
    uint8_t in_service = pic->special_mask ? pic->isr & (uint8_t)~pic->imr : pic->isr;
    unsigned wanted = highest_rank(pic, pic->irr & (uint8_t)~pic->imr);

    return wanted < highest_rank(pic, in_service) ? (int)by_priority(pic, wanted) : -1;
}

static void set_input(struct pic *pic, unsigned input, bool level)
{
    uint8_t bit = (uint8_t)(1 << input);
    bool rose = level && !(pic->lines & bit);

    pic->lines = level ? pic->lines | bit : pic->lines & (uint8_t)~bit;
    if (pic->elcr & bit)
        pic->irr = (pic->irr & (uint8_t)~bit) | (pic->lines & bit);
    else if (rose)
        pic->irr |= bit;
    else if (!level)
        pic->irr &= (uint8_t)~bit; /* a request must stand until it is acknowledged */
}

static void update(struct vm *vm, struct pics *pics)
{
    set_input(&pics->chip[MASTER], CASCADE, pending(&pics->chip[SLAVE]) >= 0);
    bool output = pending(&pics->chip[MASTER]) >= 0;
    if (output == pics->output)
        return;
    pics->output = output;
    vm_lapic_intr_changed(vm);
}

void vm_pic_set_line(struct vm *vm, unsigned irq, bool level)
{
    struct pics *pics = vm_device(vm, VM_DEV_PIC);

    set_input(&pics->chip[irq / 8], irq % 8, level);
    update(vm, pics);
}

bool vm_pic_output(struct vm *vm)
{
    return ((const struct pics *)vm_device(vm, VM_DEV_PIC))->output;
}

/* INTA on one chip: its input, SPURIOUS if the request went away. */
static unsigned acknowledge(struct pic *pic)
{
    int input = pending(pic);

    if (input < 0)
        return SPURIOUS;
    if (!(pic->elcr >> input & 1))
        pic->irr &= (uint8_t) ~(1 << input);
    if (!pic->auto_eoi)
        pic->isr |= (uint8_t)(1 << input);
    else if (pic->rotate_on_auto_eoi)
        pic->lowest = (uint8_t)input;
    return (unsigned)input;
}

int vm_pic_acknowledge(struct vm *vm)
{
    struct pics *pics = vm_device(vm, VM_DEV_PIC);
    struct pic *chip = &pics->chip[MASTER];
    bool spurious = pending(chip) < 0;
    unsigned input = acknowledge(chip);

    if (!spurious && input == CASCADE) {
        chip = &pics->chip[SLAVE];
        input = acknowledge(chip);
        /* The cascade is one wire: it must fall before it can rise for the next request. */
        set_input(&pics->chip[MASTER], CASCADE, false);
    }
    int vector = chip->base + (int)input;
    update(vm, pics);
    return vector;
}

static void initialise(struct pic *pic, uint8_t icw1)
{
    *pic = (struct pic){
        .lines = pic->lines,
        .elcr = pic->elcr,
        .irr = pic->lines & pic->elcr,
        .base = pic->base,
        .lowest = 7,
        .expect = 2,
        .needs_icw4 = icw1 & ICW1_NEEDS_ICW4,
        .single = icw1 & ICW1_SINGLE,
    };
}

/* OCW2: R SL EOI 0 0 L2 L1 L0. */
static void end_of_interrupt(struct pic *pic, uint8_t value)
{
    bool rotate = value & 0x80, specific = value & 0x40, eoi = value & 0x20;
    unsigned input = value & 7;

    if (!eoi && !specific) {
        pic->rotate_on_auto_eoi = rotate;
        return;
    }
    if (eoi && !specific) {
        unsigned rank = highest_rank(pic, pic->isr);
        if (rank == 8)
            return;
        input = by_priority(pic, rank);
    }
    if (eoi)
        pic->isr &= (uint8_t) ~(1 << input);
    if (rotate)
        pic->lowest = (uint8_t)input;
}

static void write_command(struct pic *pic, uint8_t value)
{
    if (value & ICW1) {
        initialise(pic, value);
    } else if (value & OCW3) {
        if (value & OCW3_READ)
            pic->read_isr = value & OCW3_READ_ISR;
        if (value & OCW3_SET_SPECIAL_MASK)
            pic->special_mask = value & OCW3_SPECIAL_MASK;
        pic->poll = value & OCW3_POLL;
    } else {
        end_of_interrupt(pic, value);
    }
}

static void write_data(struct pic *pic, uint8_t value)
{
    switch (pic->expect) {
    case 2:
        pic->base = value & 0xf8;
        pic->expect = pic->single ? (pic->needs_icw4 ? 4 : 0) : 3;
        break;
    case 3: pic->expect = pic->needs_icw4 ? 4 : 0; break;
    case 4:
        pic->auto_eoi = value & ICW4_AUTO_EOI;
        pic->expect = 0;
        break;
    default: pic->imr = value; break;
    }
}

static uint8_t poll(struct pic *pic)
{
    uint8_t found = pending(pic) >= 0 ? 0x80 : 0;

    pic->poll = false;
    return found ? found | (uint8_t)acknowledge(pic) : 0;
}

static uint64_t pic_read(struct vm *vm, void *state, unsigned region, uint64_t offset,
                         unsigned size)
{
    struct pics *pics = state;

    (void)size;
    if (region == TRIGGER)
        return pics->chip[offset].elcr;
    struct pic *pic = &pics->chip[region];
    if (pic->poll) {
        uint8_t value = poll(pic);
        update(vm, pics);
        return value;
    }
    if (offset == 1)
        return pic->imr;
    return pic->read_isr ? pic->isr : pic->irr;
}

static void pic_write(struct vm *vm, void *state, unsigned region, uint64_t offset, unsigned size,
                      uint64_t value)
{
    static const uint8_t edge_only[2] = {0x07, 0x21}; /* IRQ 0, 1, 2, 8 and 13 */
    struct pics *pics = state;

    (void)size;
    if (region == TRIGGER)
        pics->chip[offset].elcr = (uint8_t)value & (uint8_t)~edge_only[offset];
    else if (offset == 0)
        write_command(&pics->chip[region], (uint8_t)value);
    else
        write_data(&pics->chip[region], (uint8_t)value);
    update(vm, pics);
}

static void pic_reset(struct vm *vm, void *state)
{
    struct pics *pics = state;

    (void)vm;
    for (unsigned i = 0; i < 2; i++)
        pics->chip[i] = (struct pic){.imr = 0xff, .lowest = 7, .base = i ? 0x70 : 0x08};
}

const struct vm_device_ops vm_pic_ops = {
    .name = "pic",
    .state_size = sizeof(struct pics),
    .read = pic_read,
    .write = pic_write,
    .reset = pic_reset,
};
