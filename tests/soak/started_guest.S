/* The first vCPU starts the others, which come through one place in real mode, count and halt. */
/* SPDX-License-Identifier: BSD-2-Clause */
/* EBP is the first one's local APIC; the others begin at a page of their own. */
    .section .rodata
    .globl started_guest, started_guest_others, started_guest_place, started_guest_end
    .code32
started_guest:
    movl $0x1ff, 0xf0(%ebp)
    movl $0xc4500, 0x300(%ebp)  /* INIT to all others, then SIPI with the page's number */
    movl $0xc4608, 0x300(%ebp)
1:  pause
    jmp 1b

    .code16
started_guest_others:
    xorw %ax, %ax
    movw %ax, %ds
started_guest_place:
    lock incl 0x5000
1:  cli
    hlt
    jmp 1b
started_guest_end:
    .section .note.GNU-stack, "", @progbits
