/* The symbols that a Linux kernel carries for its own messages. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOL_KALLSYMS_H
#define TOOL_KALLSYMS_H

#include "vm/boot/elf.h"

struct kallsym {
    uint64_t address;
    const char *name;
    char type; /* as nm prints it: 't', 'D', ... */
};

/* Sorted by address. */
struct kallsyms {
    struct kallsym *symbols;
    size_t count;
    char *names;
};

/* Finds and decodes the tables in a 64-bit vmlinux.  0, or -1 with the message set. */
int kallsyms_read(struct kallsyms *out, const struct boot_elf *vmlinux, struct boot_error *error);
void kallsyms_free(struct kallsyms *kallsyms);

#endif
