/* g, G, p and P: registers by the table of src/rsp/layout.c. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/rsp.h"

#include <string.h>

enum { TAG_VALID = 0, TAG_ZERO = 1, TAG_SPECIAL = 2, TAG_EMPTY = 3 };

/* The full tag of one register, as FSTENV would find it (Intel SDM vol. 1, 8.1.7). */
static unsigned tag_of(uint64_t significand, unsigned exponent)
{
    if (exponent == 0)
        return significand ? TAG_SPECIAL : TAG_ZERO;
    return exponent != 0x7fff && significand >> 63 ? TAG_VALID : TAG_SPECIAL;
}

static uint16_t full_tags(const struct ringside_fpu *fpu)
{
    unsigned top = fpu->fsw >> 11 & 7, tags = 0;

    for (unsigned physical = 0; physical < 8; physical++) {
        unsigned i = (physical - top) & 7, tag = TAG_EMPTY;
        if (fpu->ftw >> physical & 1)
            tag = tag_of(fpu->st[i].significand, fpu->st[i].sign_exponent & 0x7fff);
        tags |= tag << (2 * physical);
    }
    return (uint16_t)tags;
}

static uint8_t abridged_tags(uint16_t tags)
{
    unsigned abridged = 0;

    for (unsigned physical = 0; physical < 8; physical++)
        if ((tags >> (2 * physical) & 3) != TAG_EMPTY)
            abridged |= 1u << physical;
    return (uint8_t)abridged;
}

/* Every hit of a tracepoint does this: for so few bytes words are faster than memcpy of n. */
static void copy_value(unsigned char *to, const unsigned char *from, unsigned n)
{
    enum { WORD = sizeof(uint64_t) };

    for (; n >= WORD; n -= WORD, to += WORD, from += WORD)
        memcpy(to, from, WORD);
    while (n--)
        *to++ = *from++;
}

bool rsp_register_get(const struct rsp_register *reg, const struct rsp_values *values,
                      unsigned char *bytes)
{
    const void *from = reg->source == RSP_FROM_REGS ? (const void *)values->regs : values->fpu;
    const unsigned char *value;
    uint16_t tags;

    if (!from)
        return false;
    value = (const unsigned char *)from + reg->offset;
    if (reg->source == RSP_FROM_FPU_TAGS) {
        tags = full_tags(values->fpu);
        value = (const unsigned char *)&tags;
    }
    copy_value(bytes, value, reg->width);
    for (unsigned i = reg->width; i < reg->size; i++)
        bytes[i] = 0;
    return true;
}

/* A value on its way into regs or fpu; false: it does not fit the register. */
static bool put_value(const struct rsp_register *reg, const unsigned char *bytes,
                      struct ringside_regs *regs, struct ringside_fpu *fpu)
{
    void *to = reg->source == RSP_FROM_REGS ? (void *)regs : fpu;
    uint16_t tags;

    if (!to)
        return false;
    for (unsigned i = reg->width; i < reg->size; i++)
        if (bytes[i])
            return false;
    if (reg->source == RSP_FROM_FPU_TAGS) {
        memcpy(&tags, bytes, sizeof tags);
        fpu->ftw = abridged_tags(tags);
    } else {
        memcpy((unsigned char *)to + reg->offset, bytes, reg->width);
    }
    return true;
}

static bool read_fpu(struct ringside *rs, unsigned vcpu, struct ringside_fpu *fpu)
{
    const struct ringside_fpu_ops *ops = rs->debug.target->fpu;

    return ops && !ops->read(rs->debug.ctx, vcpu, fpu);
}

static void put_value_text(struct rsp_out *out, const struct rsp_register *reg,
                           const struct rsp_values *values)
{
    unsigned char bytes[RSP_REGISTER_MAX];

    if (rsp_register_get(reg, values, bytes)) {
        rsp_put_bytes(out, bytes, reg->size);
        return;
    }
    for (unsigned i = 0; i < reg->size; i++)
        rsp_put_text(out, "xx");
}

bool rsp_expression_has_register(void *ctx, unsigned number)
{
    const struct rsp_layout *layout = rsp_layout(ctx);

    return number < layout->count && layout->registers[number].size <= sizeof(uint64_t);
}

bool rsp_expression_register(void *ctx, unsigned vcpu, unsigned number, uint64_t *value)
{
    struct ringside *rs = ctx;
    const struct rsp_register *reg = &rsp_layout(rs)->registers[number];
    struct rsp_values values = {debug_regs(&rs->debug, vcpu), NULL};
    unsigned char bytes[RSP_REGISTER_MAX] = {0};
    struct ringside_fpu fpu;

    if (reg->source != RSP_FROM_REGS && read_fpu(rs, vcpu, &fpu))
        values.fpu = &fpu;
    if (!rsp_register_get(reg, &values, bytes))
        return false;
    memcpy(value, bytes, sizeof *value);
    return true;
}

void rsp_collect_registers(void *ctx, unsigned vcpu, const uint16_t *numbers, unsigned count,
                           uint8_t *bytes)
{
    struct ringside *rs = ctx;
    const struct rsp_register *registers = rsp_layout(rs)->registers;
    struct rsp_values values = {debug_regs(&rs->debug, vcpu), NULL};
    struct ringside_fpu fpu;

    for (unsigned i = 0; i < count; i++) {
        const struct rsp_register *reg = &registers[numbers[i]];
        if (reg->source != RSP_FROM_REGS && !values.fpu && read_fpu(rs, vcpu, &fpu))
            values.fpu = &fpu;
        if (!rsp_register_get(reg, &values, bytes))
            memset(bytes, 0, reg->size);
        bytes += reg->size;
    }
}

void rsp_put_register(struct ringside *rs, struct rsp_out *out, unsigned vcpu, unsigned number)
{
    const struct rsp_register *reg = &rsp_layout(rs)->registers[number];
    struct rsp_values values = {NULL, NULL};
    struct ringside_fpu fpu;

    if (reg->source == RSP_FROM_REGS)
        values.regs = debug_regs(&rs->debug, vcpu);
    else if (read_fpu(rs, vcpu, &fpu))
        values.fpu = &fpu;
    put_value_text(out, reg, &values);
}

void rsp_read_registers(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    const struct rsp_layout *layout = rsp_layout(rs);
    unsigned vcpu = rs->session.current;
    struct ringside_fpu fpu;
    struct rsp_values values = {
        .regs = debug_regs(&rs->debug, vcpu),
        .fpu = read_fpu(rs, vcpu, &fpu) ? &fpu : NULL,
    };

    (void)request;
    if (rs->session.framed) {
        for (unsigned i = 0; i < layout->count; i++)
            rsp_frame_put_register(rs, out, i);
        return;
    }
    if (!values.regs) {
        rsp_error(rs, out, RINGSIDE_EIO, NULL);
        return;
    }
    for (unsigned i = 0; i < layout->count; i++)
        put_value_text(out, &layout->registers[i], &values);
}

void rsp_read_register(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    if (request->value[0] >= rsp_layout(rs)->count)
        rsp_error(rs, out, RINGSIDE_EINVAL, "no such register");
    else if (rs->session.framed)
        rsp_frame_put_register(rs, out, (unsigned)request->value[0]);
    else
        rsp_put_register(rs, out, rs->session.current, (unsigned)request->value[0]);
}

/* One register's digits from the packet; x stands for "leave it as it is". */
static bool take_value(struct rsp_cursor *in, const struct rsp_register *reg,
                       struct ringside_regs *regs, struct ringside_fpu *fpu)
{
    unsigned char bytes[RSP_REGISTER_MAX];
    size_t n = 2 * (size_t)reg->size;

    if (rsp_left(in) >= n && *in->at == 'x') {
        in->at += n;
        return true;
    }
    return rsp_read_bytes(in, bytes, reg->size) && put_value(reg, bytes, regs, fpu);
}

/* Registers first .. first + count - 1 from the packet, which must hold exactly them. */
static void write_registers(struct ringside *rs, struct rsp_cursor in, unsigned first,
                            unsigned count, struct rsp_out *out)
{
    const struct rsp_register *reg = &rsp_layout(rs)->registers[first];
    struct debug *debug = &rs->debug;
    unsigned vcpu = rs->session.current;
    const struct ringside_regs *old = debug_regs(debug, vcpu);
    struct ringside_regs regs;
    struct ringside_fpu fpu, old_fpu;
    bool has_fpu = read_fpu(rs, vcpu, &old_fpu);
    int error = RINGSIDE_OK;

    if (rs->session.framed) {
        rsp_error(rs, out, RINGSIDE_ENOTSUP, "a frame of the trace is not to be written to");
        return;
    }
    if (!old) {
        rsp_error(rs, out, RINGSIDE_EIO, NULL);
        return;
    }
    regs = *old;
    if (has_fpu)
        fpu = old_fpu;
    for (unsigned i = 0; i < count; i++) {
        if (!take_value(&in, &reg[i], &regs, has_fpu ? &fpu : NULL)) {
            rsp_error(rs, out, RINGSIDE_EINVAL, "not a value of this register");
            return;
        }
    }
    if (rsp_left(&in)) {
        rsp_error(rs, out, RINGSIDE_EINVAL, "more digits than registers");
        return;
    }
    if (memcmp(&regs, old, sizeof regs) != 0)
        error = debug_set_regs(debug, vcpu, &regs);
    if (!error && has_fpu && memcmp(&fpu, &old_fpu, sizeof fpu) != 0)
        error = debug->target->fpu->write(debug->ctx, vcpu, &fpu);
    rsp_result(rs, out, error);
}

void rsp_write_registers(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    write_registers(rs, request->rest, 0, rsp_layout(rs)->count, out);
}

void rsp_write_register(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    if (request->value[0] >= rsp_layout(rs)->count)
        rsp_error(rs, out, RINGSIDE_EINVAL, "no such register");
    else
        write_registers(rs, request->rest, (unsigned)request->value[0], 1, out);
}
