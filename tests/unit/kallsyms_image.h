/* A small vmlinux that carries kallsyms and ORC tables in any of their layouts. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_UNIT_KALLSYMS_IMAGE_H
#define TESTS_UNIT_KALLSYMS_IMAGE_H

#include "boot_images.h"

enum kallsyms_layout {
    KALLSYMS_PERCPU,   /* Linux 6.1: offsets before the names; positive ones are absolute */
    KALLSYMS_SEQS,     /* Linux 6.2: seqs_of_names between markers and tokens */
    KALLSYMS_ABSOLUTE, /* u64 addresses before the names */
    KALLSYMS_AFTER,    /* Linux 6.5: offsets behind the tokens */
    KALLSYMS_AFTER_4,  /* the same, tables at multiples of 4 */
    KALLSYMS_LAYOUTS,
};

#define KALLSYMS_TEXT 0xffffffff81000000ull
enum {
    KALLSYMS_PERCPU_COUNT = 3,
    KALLSYMS_COUNT = 700, /* all symbols: more than two groups */
    KALLSYMS_SPACING = 16,
};

/* Symbol i as the image has it. */
uint64_t kallsyms_address(enum kallsyms_layout layout, unsigned i);
char kallsyms_type(unsigned i);
void kallsyms_name(unsigned i, char out[512]);

struct image image_kallsyms(enum kallsyms_layout layout, bool wide_orc_types);

#endif
