/* What the guest's CPUID says: the host's processor, but for what could not be debugged or kept. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <cpuid.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm.h"

enum { ENTRIES = 256 };
enum reg { EAX, EBX, ECX, EDX };

/*
 * Taken away:
 *   VMX, SVM        a nested guest has state that struct ringside_regs does not know
 *   MONITOR         its wait is no activity state of the kernel's
 *   HLE, RTM        a transaction aborts wherever a debugger looks
 *   PMU             counts would show the debugger, and the host
 *   paravirtual     all but the clock: asynchronous page faults, stolen time and the rest let the
 *                   host write into the guest behind the debugger's back
 */
static const struct {
    uint32_t leaf, index;
    enum reg reg;
    uint32_t clear, set;
} changes[] = {
    {0x1, 0, ECX, 1u << 3 | 1u << 5 | 1u << 15, 1u << 21 | 1u << 24 | 1u << 31},
    {0x7, 0, EBX, 1u << 4 | 1u << 11, 0},
    {0xa, 0, EAX, ~0u, 0},
    {0xa, 0, EBX, ~0u, 0},
    {0xa, 0, EDX, ~0u, 0},
    {0x40000001, 0, EAX, ~(1u << 0 | 1u << 1 | 1u << 3 | 1u << 24), 0},
    {0x80000001, 0, ECX, 1u << 2 | 1u << 23 | 1u << 24 | 1u << 28, 0},
    {0x8000000a, 0, EDX, ~0u, 0},
    {0x80000022, 0, EAX, ~0u, 0},
};

bool kvm_host_is_amd(void)
{
    unsigned a, b, c, d;

    __cpuid(0, a, b, c, d);
    return b == signature_AMD_ebx || b == 0x6f677948; /* "Hygo": the same design */
}

static uint32_t *reg_of(struct kvm_cpuid_entry2 *entry, enum reg reg)
{
    uint32_t *const regs[] = {&entry->eax, &entry->ebx, &entry->ecx, &entry->edx};

    return regs[reg];
}

static unsigned bits_for(unsigned count)
{
    unsigned bits = 0;

    while (1u << bits < count)
        bits++;
    return bits;
}

/* One package with a core for each vCPU, whose APIC ID is its index. */
static void set_topology(struct kvm_cpuid_entry2 *entry, unsigned id, unsigned count)
{
    switch (entry->function) {
    case 0x1:
        entry->ebx = (entry->ebx & 0xffff) | count << 16 | id << 24;
        entry->edx = (entry->edx & ~(1u << 28)) | (count > 1 ? 1u << 28 : 0);
        break;
    case 0x4:
        if (entry->eax & 0x1f)
            entry->eax = (entry->eax & 0x3fff) | (count - 1) << 26;
        break;
    case 0xb:
    case 0x1f:
        entry->eax = entry->index == 1 ? bits_for(count) : 0;
        entry->ebx = entry->index == 1 ? count : entry->index == 0;
        entry->ecx = entry->index | (entry->index < 2 ? (entry->index + 1) << 8 : 0);
        entry->edx = id;
        break;
    case 0x80000008: entry->ecx = bits_for(count) << 12 | (count - 1); break;
    case 0x8000001d: entry->eax &= 0x3fff; break;
    case 0x8000001e:
        entry->eax = entry->ebx = id;
        entry->ecx = 0;
        break;
    }
}

int kvm_cpuid_set(struct kvm_vcpu *vcpu)
{
    const struct kvm_machine *machine = vcpu->machine;
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof *cpuid + ENTRIES * sizeof(struct kvm_cpuid_entry2));
    int error = 0;

    if (!cpuid)
        return -ENOMEM;
    cpuid->nent = ENTRIES;
    if (ioctl(machine->fd, KVM_GET_SUPPORTED_CPUID, cpuid)) {
        error = -errno;
        goto done;
    }
    for (unsigned i = 0; i < cpuid->nent; i++) {
        struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
        for (size_t k = 0; k < sizeof changes / sizeof changes[0]; k++) {
            if (changes[k].leaf != entry->function || changes[k].index != entry->index)
                continue;
            uint32_t *reg = reg_of(entry, changes[k].reg);
            *reg = (*reg & ~changes[k].clear) | changes[k].set;
        }
        set_topology(entry, vcpu->index, machine->config.vm.cpus);
    }
    if (ioctl(vcpu->fd, KVM_SET_CPUID2, cpuid))
        error = -errno;
done:
    free(cpuid);
    return error;
}
