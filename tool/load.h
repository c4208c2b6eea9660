/* Files as bytes in memory. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOL_LOAD_H
#define TOOL_LOAD_H

#include <stddef.h>
#include <stdint.h>

struct file {
    const uint8_t *bytes; /* NULL: not loaded */
    size_t size;
};

/* Read-only, as it is now.  0, or -1 after saying on stderr what is wrong. */
int file_load(struct file *file, const char *path);
void file_unload(struct file *file);

#endif
