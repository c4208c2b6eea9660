/* Writes DWARF call frame information (.debug_frame) for x86-64. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOL_DWARF_H
#define TOOL_DWARF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Register numbers of the System V ABI for AMD64, figure 3.36; RIP is the return address. */
enum {
    DWARF_RAX,
    DWARF_RDX,
    DWARF_RCX,
    DWARF_RBX,
    DWARF_RSI,
    DWARF_RDI,
    DWARF_RBP,
    DWARF_RSP,
    DWARF_R8,
    DWARF_R9,
    DWARF_R10,
    DWARF_R11,
    DWARF_R12,
    DWARF_R13,
    DWARF_R14,
    DWARF_R15,
    DWARF_RIP,
};

/* The section as it grows; starts as all zeros, bytes is malloc'ed. */
struct dwarf {
    uint8_t *bytes;
    size_t size, room;
    bool failed;        /* out of memory: nothing is written any more */
    size_t entry;       /* the open CIE or FDE */
    uint64_t begin, at; /* of the open FDE: its first address, and where its rows have come to */
};

/*
 * A CIE for frames made by a call, or by an interrupt.  gdb looks up the interrupted address as it
 * is, not as one behind a call.  After a call the registers that a callee must save are undefined:
 * ORC does not say where they are.  Returns what dwarf_begin_fde() wants.
 */
size_t dwarf_begin_cie(struct dwarf *d, bool signal);
void dwarf_end(struct dwarf *d);

void dwarf_begin_fde(struct dwarf *d, size_t cie, uint64_t begin);
void dwarf_end_fde(struct dwarf *d, uint64_t end);

/* What follows holds from this address on. */
void dwarf_advance(struct dwarf *d, uint64_t address);
void dwarf_cfa(struct dwarf *d, unsigned reg, int offset);
/* CFA = *(reg + inner) + outer */
void dwarf_cfa_indirect(struct dwarf *d, unsigned reg, int inner, int outer);
void dwarf_saved(struct dwarf *d, unsigned reg, int cfa_offset);
void dwarf_saved_at(struct dwarf *d, unsigned reg, unsigned base, int offset);
void dwarf_same(struct dwarf *d, unsigned reg);
void dwarf_undefined(struct dwarf *d, unsigned reg);

#endif
