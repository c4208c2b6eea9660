/* A hypervisor for tests of the debug server: memory, registers, and no guest. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef RSP_FAKE_H
#define RSP_FAKE_H

#include "ringside/server.h"

/*
 * 1 MiB of memory at 0, and a device at 0xfe000000: it answers accesses of 4 bytes at its start
 * with how many there have been, and keeps the last value written.  With paging on, linear
 * 0xffffffff80000000 + x is physical x for the first 64 KiB, except that its page 3 is not mapped
 * and its pages 1 and 2 are exchanged.
 */
enum { FAKE_VCPUS = 2, FAKE_MEMORY = 1 << 20, FAKE_SETS = 4096, FAKE_TABLES = 0x80000 };
#define FAKE_LINEAR 0xffffffff80000000ull
#define FAKE_MMIO   0xfe000000ull

struct fake_watch {
    enum ringside_watch_kind kind;
    uint64_t linear, length;
};

struct fake {
    struct ringside_target target;
    struct ringside_config config;
    struct ringside_regs regs[FAKE_VCPUS];
    struct ringside_fpu fpu[FAKE_VCPUS];
    struct {
        bool armed, hold;
    } step[FAKE_VCPUS];
    uint64_t breakpoints[FAKE_SETS];
    unsigned breakpoint_count, breakpoint_limit;
    struct fake_watch watches[FAKE_SETS];
    unsigned watch_count, watch_limit;
    unsigned catch_count;
    unsigned resets, power_offs, notified;
    uint32_t mmio_reads, mmio_written;
    uint64_t msr;
    unsigned char memory[FAKE_MEMORY];
};

void fake_init(struct fake *fake);
void fake_enable_paging(struct fake *fake, unsigned vcpu);
void fake_map_page(struct fake *fake, unsigned page, uint64_t gpa); /* of the 16 at FAKE_LINEAR */
bool fake_has_breakpoint(const struct fake *fake, uint64_t gpa);
bool fake_has_watch(const struct fake *fake, enum ringside_watch_kind kind, uint64_t linear);

#endif
