/* A small machine for tests of the CPU: flat memory, identity-mapped, and code from assembly. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_CPU_MACHINE_H
#define TESTS_CPU_MACHINE_H

#include "cpu/cpu.h"

enum {
    RAM_BYTES = 4 << 20,
    CODE_AT = 0x100000, /* where programs are put, and their page */
    STACK_AT = 0x180000,
    DATA_AT = 0x200000,
    IDT_AT = 0x4000,
    GDT_AT = 0x5000,
    PML4_AT = 0x10000, /* the tables of machine_long_mode: 4 KiB pages */
    DEVICE_AT = 0xe0000000,
};

struct machine {
    struct cpu cpu;
    uint8_t *ram;
    void *code_memory;
    uint64_t device;      /* what the device at DEVICE_AT holds */
    int pending;          /* vector that acknowledge() returns, or -1 */
    unsigned device_kick; /* a write of this value to the device raises interrupt 0x40 */
    uint64_t breakpoint;  /* gpa, 0: none */
};

struct machine *machine_new(void);
/* Another CPU on the memory and code of the first. */
void machine_share(struct machine *other, struct machine *first);
void machine_free(struct machine *m);

/* 64-bit mode at CPL 0, everything below 4 MiB identity-mapped for user and supervisor, and the
 * device; rip at CODE_AT, an IDT whose entries lead to HLTs at IDT_HANDLER(vector). */
void machine_long_mode(struct machine *m);
#define IDT_HANDLER(vector) (0x8000ull + 16 * (vector))
uint64_t *machine_pte(struct machine *m, uint64_t linear);

/* Put the code between two labels of an asm statement at CODE_AT. */
#define MACHINE_CODE(m, name) memcpy((m)->ram + CODE_AT, name, (size_t)((name##_end) - (name)))
#define CODE(name, text)                                                                           \
    __asm__(".pushsection .rodata\n" #name ":\n" text "\n" #name "_end:\n.popsection\n");          \
    extern const uint8_t name[], name##_end[]

#endif
