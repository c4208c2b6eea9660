/*
 * Writes to control and table registers: which bits and combinations are refused.  Not for QEMU,
 * whose TCG makes few of these checks and dies of it.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.inc"

.macro TRY_CR n:req, set:req, clear:req, name:req
    mov %cr\n, %r12
    TRY
    mov %r12, %rax
    movabs $\set, %rbx
    or %rbx, %rax
    movabs $\clear, %rbx
    not %rbx
    and %rbx, %rax
    mov %rax, %cr\n
    END "\name"
    mov %r12, %cr\n
.endm

    .text
    .globl main
main:
    /* CR0 */
    TRY_CR 0, 0, 1, "CR0: PG without PE"
    TRY_CR 0, 0x20000000, 0x40000000, "CR0: NW without CD"
    TRY_CR 0, 0, 0x80000000, "CR0: leaving paging in 64-bit mode"
    TRY_CR 0, 0x100000000, 0, "CR0: bit 32"
    TRY_CR 0, 0x1000, 0, "CR0: a reserved low bit"
    mov %cr0, %rax
    and $~0x10, %rax
    mov %rax, %cr0
    mov %cr0, %rax
    and $0x10, %eax
    SHOW "CR0.ET cannot be cleared: " %rax
    TRY
    xor %eax, %eax
    lmsw %ax
    END "LMSW clears no PE"
    mov %cr0, %rax
    and $0xf, %eax
    SHOW "  low bits " %rax
    smsw %eax
    SHOW "  SMSW " %rax

    /* CR3, CR4, CR8 */
    mov %cr3, %rbx
    TRY
    mov $1, %eax
    shl $60, %rax
    or %rbx, %rax
    mov %rax, %cr3
    END "CR3: bit 60"
    TRY_CR 4, 0, 0x20, "CR4: clearing PAE in long mode"
    TRY_CR 4, 0x1000, 0, "CR4: LA57 in long mode"
    TRY_CR 4, 0x8000, 0, "CR4: bit 15"
    TRY_CR 4, 0x100000000, 0, "CR4: bit 32"
    TRY
    mov %cr4, %rax
    or $1 << 17, %rax /* PCIDE */
    mov %rax, %cr4
    END "CR4: PCIDE"
    mov $pml4 + 5, %eax
    mov %rax, %cr3
    TRY
    mov %cr3, %rax
    END "CR3 with a PCID"
    TRY
    mov $1, %eax
    shl $63, %rax
    or $pml4 + 5, %rax
    mov %rax, %cr3
    END "CR3, bit 63 with PCIDE"
    mov %cr3, %rax
    sub $pml4, %rax
    SHOW "  reads without it: " %rax
    TRY
    mov %cr0, %rax
    btr $31, %rax
    mov %rax, %cr0
    END "CR0: leaving paging with PCIDE"
    mov $pml4, %eax
    mov %rax, %cr3
    mov %cr4, %rax
    and $~(1 << 17), %rax
    mov %rax, %cr4
    mov $pml4 + 5, %eax
    mov %rax, %cr3
    TRY
    mov %cr4, %rax
    or $1 << 17, %rax
    mov %rax, %cr4
    END "CR4: PCIDE while CR3 has low bits"
    mov %cr4, %rax
    and $~(1 << 17), %rax
    mov %rax, %cr4
    mov $pml4, %eax
    mov %rax, %cr3
    TRY
    .byte 0x0f, 0x20, 0xc8 /* mov %cr1, %rax */
    END "CR1"
    TRY
    .byte 0x0f, 0x20, 0xe8
    END "CR5"

    /* GDTR and IDTR */
    movw $0x7f, table
    mov $1, %eax
    shl $47, %rax
    mov %rax, table + 2
    TRY
    lgdt table
    END "LGDT, base not canonical"
    TRY
    lidt table
    END "LIDT, base not canonical"
    ret

    .data
table:
    .skip 16
