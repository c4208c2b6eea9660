/* Segment descriptors and gates as they lie in memory (Intel SDM vol. 3, "Segment Descriptors"). */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef X86_SEGMENT_H
#define X86_SEGMENT_H

#include <stdbool.h>
#include <stdint.h>

#include "ringside/regs.h"

/* Types of system descriptors (S = 0), Intel SDM vol. 3, "System Descriptor Types". */
enum x86_system_type {
    X86_TYPE_TSS16 = 1,
    X86_TYPE_LDT = 2,
    X86_TYPE_TSS16_BUSY = 3,
    X86_TYPE_CALL_GATE16 = 4,
    X86_TYPE_TASK_GATE = 5,
    X86_TYPE_INT_GATE16 = 6,
    X86_TYPE_TRAP_GATE16 = 7,
    X86_TYPE_TSS = 9, /* 32 bits, or 64 in long mode, as are the next ones */
    X86_TYPE_TSS_BUSY = 11,
    X86_TYPE_CALL_GATE = 12,
    X86_TYPE_INT_GATE = 14,
    X86_TYPE_TRAP_GATE = 15,
};

/* Selector (Intel SDM vol. 3, "Segment Selectors"). */
enum { X86_SELECTOR_RPL = 3, X86_SELECTOR_LDT = 1 << 2, X86_SELECTOR_INDEX = 0xfff8 };

/*
 * A descriptor is two 64-bit words; the second one exists only for system descriptors in long mode
 * (16 bytes: it holds bits 63:32 of the base or offset) and is 0 otherwise.  Any bytes decode.
 */
struct ringside_segment x86_segment_decode(const uint64_t descriptor[2], uint16_t selector);
/* The other way; limits that do not fit 20 bits are stored in pages, whatever seg says in G. */
void x86_segment_encode(uint64_t descriptor[2], const struct ringside_segment *seg);
/* Where the instruction at CS:RIP is; outside 64-bit code addresses have 32 bits. */
uint64_t x86_linear_rip(const struct ringside_regs *regs);
/* The access rights alone, layout of ringside_segment.access. */
uint16_t x86_segment_access(uint64_t descriptor);

/* A call, interrupt, trap or task gate. */
struct x86_gate {
    uint64_t offset; /* 16 bits for a 16-bit gate, 64 for a 16-byte one */
    uint16_t selector;
    uint8_t type;  /* enum x86_system_type, or any other value of the four bits */
    uint8_t dpl;   /* 0..3 */
    uint8_t ist;   /* 0..7, of interrupt and trap gates in long mode */
    uint8_t count; /* 0..31 parameters, of call gates outside long mode */
    bool present;
    bool code_or_data; /* S is set: no gate at all */
};
/* wide: the 16-byte form of long mode. */
struct x86_gate x86_gate_decode(const uint64_t descriptor[2], bool wide);

#endif
