/* 5-level paging: the way in, 57-bit addresses, and where they end ("5-Level Paging"). */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.inc"

#define LA57 (1 << 12)

/* Switch with paging off, in compatibility mode: CR4 = ebx, CR3 = ecx. */
    .text
    .code32
change_paging:
    mov %cr0, %eax
    btr $31, %eax
    mov %eax, %cr0
    mov %ebx, %cr4
    mov %ecx, %cr3
    bts $31, %eax
    mov %eax, %cr0
    lret
    .code64

    .globl main
main:
    mov $7, %eax
    xor %ecx, %ecx
    cpuid
    shr $16, %ecx
    and $1, %ecx
    SHOW "CPUID has it: " %rcx

    /* The first 256 TiB as they were, once more behind them, and a slot with a reserved bit. */
    movl $pml4 + 7, pml5
    movl $pml4 + 3, pml5 + 8
    movl $pml4 + 0x87, pml5 + 24
    mov %cr4, %rbx
    or $LA57, %ebx
    mov $pml5, %ecx
    TRY
    lcall *to_change
    END "switching LA57 on"
    mov %cr4, %rax
    shr $12, %rax
    and $1, %eax
    SHOW "CR4.LA57: " %rax

    mov $1, %r15d
    shl $48, %r15
    lea value(%r15), %rbx
    TRY
    mov (%rbx), %r13
    END "read behind 48 bits"
    SHOW "  value " %r13
    mov pml5 + 8, %rax
    and $0x60, %eax
    SHOW "  A in the PML5E: " %rax
    lea there(%r15), %r13
    TRY
    call *%r13
    END "call behind 48 bits"
    shr $48, %r13
    SHOW "  RIP there, bits 63:48: " %r13
    USER
    mov 0x123(%r15), %rax
    ENDUSER "user read through a supervisor PML5E"
    lea (%r15, %r15), %rbx
    TRY
    mov 0x123(%rbx), %al
    END "PML5E not present"
    add %r15, %rbx
    TRY
    mov (%rbx), %al
    END "PML5E with a reserved bit"
    mov %r15, %rbx
    shl $8, %rbx
    TRY
    mov (%rbx), %al
    END "2^56"
    TRY
    mov -1(%rbx), %al
    END "2^56 - 1"
    neg %rbx
    TRY
    mov (%rbx), %al
    END "-2^56"
    TRY
    mov -1(%rbx), %al
    END "-2^56 - 1"

    /* What keeps an address keeps one of 57 bits. */
    mov $0xc0000100, %ecx /* FS_BASE */
    mov %r15, %rdx
    shr $32, %rdx
    xor %eax, %eax
    TRY
    wrmsr
    END "FS base of 2^48"
    mov %fs:value, %rax
    SHOW "  value at FS: " %rax
    mov $1 << 24, %edx
    TRY
    wrmsr
    END "FS base of 2^56"
    TRY
    invlpg (%r15)
    END "INVLPG"

    mov %cr4, %rbx
    and $~LA57, %ebx
    mov $pml4, %ecx
    mov $DATA, %eax /* ring 3 has left SS null */
    mov %eax, %ss
    TRY
    lcall *to_change
    END "switching LA57 off"
    lea value(%r15), %rbx
    TRY
    mov (%rbx), %rax
    END "read behind 48 bits"
    ret

there:
    lea 0(%rip), %r13
    ret

    .data
to_change:
    .long change_paging
    .word CODE32
    .balign 8
value:
    .quad 0x1234567890

    .bss
    .balign 4096
pml5:
    .skip 4096
