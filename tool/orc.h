/* Linux's own unwind tables as DWARF call frame information, so that gdb's backtraces are exact. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOL_ORC_H
#define TOOL_ORC_H

#include "kallsyms.h"

/*
 * The bytes of a .debug_frame section, malloc'ed; size 0 if the kernel has no ORC tables.
 * 0, or -1 with the message set.
 */
int orc_to_debug_frame(const struct boot_elf *vmlinux, const struct kallsyms *kallsyms,
                       uint8_t **out, size_t *size, struct boot_error *error);

#endif
