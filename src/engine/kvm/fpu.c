/* A vCPU's x87, SSE, AVX and AVX-512 registers, in the XSAVE area that the kernel hands out. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm.h"

/* The standard form (Intel SDM vol. 1, 13.4): the FXSAVE image, a header, then each component where
 * CPUID leaf 0xD says. */
enum { FCW = 0, FSW = 2, FTW = 4, FOP = 6, FIP = 8, FDP = 16, MXCSR = 24, ST = 32, XMM = 160 };
enum { HEADER = 512, XSAVE_MIN = 4096 };
enum component { X87, SSE, AVX, OPMASK = 5, ZMM_HIGH, HIGH_ZMM };
_Static_assert((int)HIGH_ZMM < (int)KVM_XSAVE_COMPONENTS,
               "struct kvm_machine has a place for each");
enum { FCW_INIT = 0x37f, MXCSR_INIT = 0x1f80 };

/* Where the bytes of vector registers [first, first + 16) lie, and which of each register. */
static const struct part {
    enum component component;
    unsigned first, from, bytes;
} parts[] = {
    {AVX, 0, 16, 16},
    {ZMM_HIGH, 0, 32, 32},
    {HIGH_ZMM, 16, 0, 64},
};
enum { PARTS = sizeof parts / sizeof parts[0] };

static size_t offset_of(enum component component, size_t bytes, size_t area)
{
    unsigned size, offset, c, d;

    if (!__get_cpuid_count(0xd, component, &size, &offset, &c, &d) || size < bytes ||
        offset < HEADER + 64 || offset + bytes > area)
        return 0;
    return offset;
}

void kvm_find_xsave(struct kvm_machine *machine)
{
    int size = ioctl(machine->vm_fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

    machine->xsave_size = size > XSAVE_MIN ? (size_t)size : XSAVE_MIN;
    for (unsigned p = 0; p < PARTS; p++)
        machine->xsave_offset[parts[p].component] =
            offset_of(parts[p].component, 16 * parts[p].bytes, machine->xsave_size);
    machine->xsave_offset[OPMASK] =
        offset_of(OPMASK, sizeof((struct ringside_fpu *)0)->opmask, machine->xsave_size);
}

static int get(struct kvm_vcpu *vcpu, uint8_t *area)
{
    unsigned long request = vcpu->machine->xsave_size > XSAVE_MIN ? KVM_GET_XSAVE2 : KVM_GET_XSAVE;

    return ioctl(vcpu->fd, request, area) ? RINGSIDE_EIO : RINGSIDE_OK;
}

/* A component that the header does not name is in its initial state. */
static bool is_used(const uint8_t *area, enum component component)
{
    return area[HEADER] >> component & 1;
}

static void use(uint8_t *area, enum component component)
{
    area[HEADER] |= (uint8_t)(1 << component);
}

static void unpack(const uint8_t *area, const size_t *offsets, struct ringside_fpu *out)
{
    memset(out, 0, sizeof *out);
    out->fcw = FCW_INIT;
    out->mxcsr = MXCSR_INIT;
    if (is_used(area, X87)) {
        memcpy(&out->fcw, area + FCW, 2);
        memcpy(&out->fsw, area + FSW, 2);
        out->ftw = area[FTW];
        memcpy(&out->fop, area + FOP, 2);
        memcpy(&out->fip, area + FIP, 8);
        memcpy(&out->fdp, area + FDP, 8);
        for (unsigned i = 0; i < 8; i++) {
            memcpy(&out->st[i].significand, area + ST + 16 * i, 8);
            memcpy(&out->st[i].sign_exponent, area + ST + 16 * i + 8, 2);
        }
    }
    if (is_used(area, SSE) || is_used(area, AVX))
        memcpy(&out->mxcsr, area + MXCSR, 4);
    for (unsigned i = 0; is_used(area, SSE) && i < 16; i++)
        memcpy(out->vector[i], area + XMM + 16 * i, 16);
    for (unsigned p = 0; p < PARTS; p++) {
        const struct part *part = &parts[p];
        size_t offset = offsets[part->component];
        if (!offset || !is_used(area, part->component))
            continue;
        for (unsigned i = 0; i < 16; i++)
            memcpy((char *)out->vector[part->first + i] + part->from,
                   area + offset + part->bytes * i, part->bytes);
    }
    size_t offset = offsets[OPMASK];
    if (offset && is_used(area, OPMASK))
        memcpy(out->opmask, area + offset, sizeof out->opmask);
}

static void pack(const struct ringside_fpu *in, uint8_t *area, const size_t *offsets)
{
    memcpy(area + FCW, &in->fcw, 2);
    memcpy(area + FSW, &in->fsw, 2);
    area[FTW] = in->ftw;
    memcpy(area + FOP, &in->fop, 2);
    memcpy(area + FIP, &in->fip, 8);
    memcpy(area + FDP, &in->fdp, 8);
    memcpy(area + MXCSR, &in->mxcsr, 4);
    for (unsigned i = 0; i < 8; i++) {
        memcpy(area + ST + 16 * i, &in->st[i].significand, 8);
        memcpy(area + ST + 16 * i + 8, &in->st[i].sign_exponent, 2);
    }
    for (unsigned i = 0; i < 16; i++)
        memcpy(area + XMM + 16 * i, in->vector[i], 16);
    use(area, X87);
    use(area, SSE);
    for (unsigned p = 0; p < PARTS; p++) {
        const struct part *part = &parts[p];
        size_t offset = offsets[part->component];
        bool zero = true;
        for (unsigned i = 0; offset && i < 16; i++) {
            const char *from = (const char *)in->vector[part->first + i] + part->from;
            memcpy(area + offset + part->bytes * i, from, part->bytes);
            for (unsigned k = 0; k < part->bytes; k++)
                zero = zero && !from[k];
        }
        if (!zero) /* else it stays as used or unused as it was: that is zero, too */
            use(area, part->component);
    }
    size_t offset = offsets[OPMASK];
    static const uint64_t none[8];
    if (offset) {
        memcpy(area + offset, in->opmask, sizeof in->opmask);
        if (memcmp(in->opmask, none, sizeof none) != 0)
            use(area, OPMASK);
    }
}

int kvm_fpu_read(struct kvm_vcpu *vcpu, struct ringside_fpu *out)
{
    size_t size = vcpu->machine->xsave_size;
    uint8_t *area;
    int error = RINGSIDE_OK;

    if (!vcpu->fpu_known) {
        area = calloc(1, size);
        error = area ? get(vcpu, area) : RINGSIDE_EIO;
        if (!error)
            unpack(area, vcpu->machine->xsave_offset, &vcpu->fpu);
        vcpu->fpu_known = !error;
        free(area);
    }
    if (!error)
        *out = vcpu->fpu;
    return error;
}

int kvm_fpu_write(struct kvm_vcpu *vcpu, const struct ringside_fpu *in)
{
    size_t size = vcpu->machine->xsave_size;
    uint8_t *area = calloc(1, size);
    int error = area ? get(vcpu, area) : RINGSIDE_EIO;

    vcpu->fpu_known = false; /* the processor may normalise what it is given */
    if (!error) {
        pack(in, area, vcpu->machine->xsave_offset);
        if (ioctl(vcpu->fd, KVM_SET_XSAVE, area))
            error = RINGSIDE_EINVAL;
    }
    free(area);
    return error;
}
