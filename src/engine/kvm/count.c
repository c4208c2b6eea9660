/* What a run amounts to on KVM: entries by us, and exits by the kernel's own statistics. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/kvm/kvm.h"

/* The kernel's name, and ours. */
static const struct {
    const char *name, *word;
} counts[] = {
    {"exits", "exits"},
    {"io_exits", "io"},
    {"mmio_exits", "mmio"},
    {"halt_exits", "halts"},
    {"irq_exits", "irq"},
    {"signal_exits", "signals"},
    {"insn_emulation", "emulated"},
};
enum { COUNTS = sizeof counts / sizeof counts[0] };

static bool read_at(int fd, void *to, size_t n, uint64_t at)
{
    return pread(fd, to, n, (off_t)at) == (ssize_t)n;
}

/* The descriptor of statistics that KVM_GET_STATS_FD gives: a header, descriptions, values. */
static bool add(int fd, uint64_t sum[COUNTS])
{
    struct kvm_stats_header header;
    bool found = false;

    if (!read_at(fd, &header, sizeof header, 0))
        return false;
    size_t size = sizeof(struct kvm_stats_desc) + header.name_size;
    struct kvm_stats_desc *description = calloc(1, size + 1);
    for (unsigned i = 0; description && i < header.num_desc; i++) {
        uint64_t value;
        if (!read_at(fd, description, size, header.desc_offset + i * size) ||
            !read_at(fd, &value, sizeof value, header.data_offset + description->offset))
            break;
        for (unsigned k = 0; k < COUNTS; k++) {
            if (strcmp(description->name, counts[k].name) != 0)
                continue;
            sum[k] += value;
            found = true;
        }
    }
    free(description);
    return found;
}

void kvm_count(const struct kvm_machine *machine, char *text, size_t size)
{
    uint64_t entries = 0, sum[COUNTS] = {0};
    bool known = true;

    for (unsigned i = 0; i < machine->config.vm.cpus; i++) {
        const struct kvm_vcpu *vcpu = &machine->vcpu[i];
        int fd = ioctl(vcpu->fd, KVM_GET_STATS_FD, 0);
        entries += __atomic_load_n(&vcpu->entries, __ATOMIC_RELAXED);
        known = fd >= 0 && add(fd, sum) && known;
        if (fd >= 0)
            close(fd);
    }
    int n = snprintf(text, size, "entries %" PRIu64, entries);
    for (unsigned k = 0; known && k < COUNTS && n >= 0 && (size_t)n < size; k++)
        n += snprintf(text + n, size - (size_t)n, " %s %" PRIu64, counts[k].word, sum[k]);
}
