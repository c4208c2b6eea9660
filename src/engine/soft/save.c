/* The state of CPUs, devices and clocks as bytes, and the hash of a run. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "engine/soft/soft.h"

/* Bytes for this build of the program only: a struct is written as it lies in memory. */
struct header {
    char magic[8];
    uint64_t size, ram_bytes, time, instructions, turn, turn_end;
};
static const char magic[8] = "RSsoft2";

/* What a CPU is, without what it derives from that. */
struct cpu_image {
    struct ringside_regs regs;
    struct ringside_fpu fpu;
    uint64_t count;
    int64_t tsc_offset;
    uint64_t pdpte[4];
    uint64_t monitor_gpa, rng, tsc_adjust, spec_ctrl, amd_hwcr;
    uint64_t mtrr_def, mtrr_fixed[11], mtrr_base[8], mtrr_mask[8];
    bool nmi, init_pending, sipi_pending;
    uint8_t sipi_vector;
};

/* Bytes between the end of one member and the next, or the end of the struct. */
#define CLEAR_BETWEEN(object, last, next)                                                          \
    memset((uint8_t *)&(object)->last + sizeof(object)->last, 0,                                   \
           (size_t)((uint8_t *)&(object)->next - (uint8_t *)&(object)->last) -                     \
               sizeof(object)->last)
#define CLEAR_BEHIND(object, last)                                                                 \
    memset((uint8_t *)&(object)->last + sizeof(object)->last, 0,                                   \
           sizeof *(object) - (size_t)((uint8_t *)&(object)->last - (uint8_t *)(object)) -         \
               sizeof(object)->last)

/* Images are hashed as bytes: what lies between the members must not depend on who filled them. */
static void clear_padding(struct cpu_image *image)
{
    struct ringside_regs *regs = &image->regs;
    struct ringside_fpu *fpu = &image->fpu;

    CLEAR_BEHIND(&regs->gdtr, limit);
    CLEAR_BEHIND(&regs->idtr, limit);
    CLEAR_BETWEEN(regs, nmi_blocked, pending_debug);
    for (unsigned i = 0; i < 8; i++)
        CLEAR_BEHIND(&fpu->st[i], sign_exponent);
    CLEAR_BETWEEN(fpu, ftw, fip);
    CLEAR_BETWEEN(fpu, mxcsr, vector);
}

static void save_cpu(const struct soft_vcpu *vcpu, struct cpu_image *image)
{
    const struct cpu *cpu = vcpu->cpu;

    memset(image, 0, sizeof *image);
    cpu_get_regs(cpu, &image->regs);
    memcpy(&image->fpu, &cpu->fpu, sizeof image->fpu);
    image->count = cpu->count;
    image->tsc_offset = cpu->tsc_offset;
    memcpy(image->pdpte, cpu->pdpte, sizeof image->pdpte);
    image->monitor_gpa = cpu->monitor_gpa;
    image->rng = cpu->rng;
    image->tsc_adjust = cpu->tsc_adjust;
    image->spec_ctrl = cpu->spec_ctrl;
    image->amd_hwcr = cpu->amd_hwcr;
    image->mtrr_def = cpu->mtrr_def;
    memcpy(image->mtrr_fixed, cpu->mtrr_fixed, sizeof image->mtrr_fixed);
    memcpy(image->mtrr_base, cpu->mtrr_base, sizeof image->mtrr_base);
    memcpy(image->mtrr_mask, cpu->mtrr_mask, sizeof image->mtrr_mask);
    image->nmi = cpu->nmi;
    image->init_pending = vcpu->init_pending;
    image->sipi_pending = vcpu->sipi_pending;
    image->sipi_vector = vcpu->sipi_vector;
    clear_padding(image);
}

static void restore_cpu(struct soft_vcpu *vcpu, const struct cpu_image *image, uint64_t time)
{
    struct cpu *cpu = vcpu->cpu;

    cpu->fpu = image->fpu;
    cpu->count = image->count;
    cpu->idle = time - image->count;
    cpu->tsc_offset = image->tsc_offset;
    cpu->monitor_gpa = image->monitor_gpa;
    cpu->rng = image->rng;
    cpu->tsc_adjust = image->tsc_adjust;
    cpu->spec_ctrl = image->spec_ctrl;
    cpu->amd_hwcr = image->amd_hwcr;
    cpu->mtrr_def = image->mtrr_def;
    memcpy(cpu->mtrr_fixed, image->mtrr_fixed, sizeof cpu->mtrr_fixed);
    memcpy(cpu->mtrr_base, image->mtrr_base, sizeof cpu->mtrr_base);
    memcpy(cpu->mtrr_mask, image->mtrr_mask, sizeof cpu->mtrr_mask);
    cpu->nmi = image->nmi;
    vcpu->init_pending = image->init_pending;
    vcpu->sipi_pending = image->sipi_pending;
    vcpu->sipi_vector = image->sipi_vector;
    cpu_set_regs(cpu, &image->regs);
    memcpy(cpu->pdpte, image->pdpte, sizeof cpu->pdpte);
    cpu_flush_tlb(cpu);
}

size_t soft_state_size(const struct soft *soft)
{
    return sizeof(struct header) + soft->config.vm.cpus * sizeof(struct cpu_image) +
           vm_state_size(soft->vm);
}

static struct header header_of(const struct soft *soft)
{
    struct header header = {
        .size = soft_state_size(soft),
        .ram_bytes = vm_ram_bytes(soft->vm),
        .time = soft->time,
        .instructions = soft->instructions,
        .turn = soft->turn,
        .turn_end = soft->turn_end,
    };

    memcpy(header.magic, magic, sizeof magic);
    return header;
}

void soft_save(const struct soft *soft, void *out)
{
    struct header header = header_of(soft);
    uint8_t *at = out;

    memcpy(at, &header, sizeof header);
    at += sizeof header;
    for (unsigned i = 0; i < soft->config.vm.cpus; i++, at += sizeof(struct cpu_image)) {
        struct cpu_image image;
        save_cpu(&soft->vcpu[i], &image);
        memcpy(at, &image, sizeof image);
    }
    vm_save(soft->vm, at);
}

int soft_restore(struct soft *soft, const void *in, size_t n)
{
    const uint8_t *at = in;
    struct header header;

    if (n != soft_state_size(soft))
        return -1;
    memcpy(&header, at, sizeof header);
    if (memcmp(header.magic, magic, sizeof magic) != 0 || header.size != n ||
        header.ram_bytes != vm_ram_bytes(soft->vm) || header.turn >= soft->config.vm.cpus)
        return -1;
    soft->time = header.time;
    soft->instructions = header.instructions;
    soft->turn = (unsigned)header.turn;
    soft->turn_end = header.turn_end;
    soft->ended = false;
    cpu_code_drop_all(soft->code);
    at += sizeof header;
    for (unsigned i = 0; i < soft->config.vm.cpus; i++, at += sizeof(struct cpu_image)) {
        struct cpu_image image;
        memcpy(&image, at, sizeof image);
        restore_cpu(&soft->vcpu[i], &image, header.time);
    }
    return vm_restore(soft->vm, at, vm_state_size(soft->vm)) ? -1 : 0;
}

/* --- The hash -------------------------------------------------------------------------------- */

enum { PAGE = 4096, LANES = 4 };

static uint64_t mix(uint64_t hash, uint64_t word)
{
    unsigned __int128 product = (unsigned __int128)(hash ^ word) * 0xd6e8feb86659fd93;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Several lanes: the multiplications of one would wait for each other. n is a multiple of 8. */
static uint64_t hash_words(uint64_t seed, const uint8_t *bytes, size_t n)
{
    uint64_t lane[LANES] = {seed, seed + 1, seed + 2, seed + 3}, word;

    for (size_t i = 0; i < n / 8; i++) {
        memcpy(&word, bytes + 8 * i, 8);
        lane[i % LANES] = mix(lane[i % LANES], word);
    }
    return mix(mix(lane[0], lane[1]), mix(lane[2], lane[3]));
}

static bool is_zero(const uint8_t *page)
{
    static const uint8_t zeros[64];

    return !memcmp(page, zeros, sizeof zeros) && !memcmp(page, page + 64, PAGE - 64);
}

/*
 * Pages of zeros count for nothing, so it does not matter which were touched. Reading an untouched
 * page takes no memory: the kernel shows its one page of zeros there.
 */
static uint64_t hash_ram(struct vm *vm, uint64_t begin, uint64_t end)
{
    uint64_t sum = 0;

    for (uint64_t gpa = begin; gpa < end; gpa += PAGE) {
        const uint8_t *page = vm_ram(vm, gpa, PAGE);
        if (page && !is_zero(page))
            sum += hash_words(gpa, page, PAGE);
    }
    return sum;
}

uint64_t soft_hash(const struct soft *soft)
{
    uint64_t ram = vm_ram_bytes(soft->vm);
    uint64_t low = ram < VM_LOW_RAM_MAX ? ram : VM_LOW_RAM_MAX;
    uint64_t hash = hash_ram(soft->vm, 0, low);
    size_t size = vm_state_size(soft->vm);
    struct header header = header_of(soft);
    struct cpu_image image;

    hash += hash_ram(soft->vm, VM_HIGH_RAM, VM_HIGH_RAM + (ram - low));
    hash = mix(hash, hash_words(1, (const uint8_t *)&header, sizeof header));
    for (unsigned i = 0; i < soft->config.vm.cpus; i++) {
        save_cpu(&soft->vcpu[i], &image);
        hash = mix(hash, hash_words(2, (const uint8_t *)&image, sizeof image));
    }
    return mix(hash, hash_words(3, vm_state(soft->vm), size));
}
