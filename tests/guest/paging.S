/* Page faults: every bit of the error code, CR0.WP, SMEP, SMAP, NX, reserved bits, A and D. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.inc"

#define TEST_PAGE (%r15)
#define SMEP (1 << 20)
#define SMAP (1 << 21)

/* Map TEST to the page `frame` with these low bits; then as 64-bit entries for odd ones. */
.macro MAP bits:req
    movq $frame + \bits, pt_test
    invlpg TEST_PAGE
.endm
.macro MAP64 high:req, bits:req
    mov $\high, %rax
    shl $32, %rax
    or $frame + \bits, %rax
    mov %rax, pt_test
    invlpg TEST_PAGE
.endm

.macro SET_CR4 set=0, clear=0
    mov %cr4, %rax
    or $\set, %rax
    and $~\clear, %rax
    mov %rax, %cr4
.endm

    .text
    .globl main
main:
    mov $TEST, %r15d
    mov %cr0, %rax
    or $1 << 16, %rax /* WP */
    mov %rax, %cr0
    movb $0xc3, frame /* RET */

    MAP 0
    TRY
    mov TEST_PAGE, %al
    END "supervisor read, not present"
    TRY
    mov %al, 5(%r15)
    END "supervisor write, not present"
    TRY
    call *%r15
    END "supervisor fetch, not present"
    USER
    mov TEST_PAGE, %al
    ENDUSER "user read, not present"
    USER
    mov %al, TEST_PAGE
    ENDUSER "user write, not present"
    USER
    jmp *%r15
    ENDUSER "user fetch, not present"

    MAP 3
    TRY
    mov %al, 1(%r15)
    END "supervisor write, supervisor page"
    USER
    mov TEST_PAGE, %al
    ENDUSER "user read, supervisor page"
    USER
    mov %al, TEST_PAGE
    ENDUSER "user write, supervisor page"
    USER
    jmp *%r15
    ENDUSER "user fetch, supervisor page"

    MAP 1
    TRY
    mov %al, 1(%r15)
    END "supervisor write, read-only page, WP"
    TRY
    lock incl 4(%r15)
    END "supervisor read-modify-write, read-only page, WP"
    mov %cr0, %rax
    and $~(1 << 16), %rax
    mov %rax, %cr0
    TRY
    mov %al, 1(%r15)
    END "supervisor write, read-only page, no WP"
    mov %cr0, %rax
    or $1 << 16, %rax
    mov %rax, %cr0

    MAP 5
    USER
    mov %al, 1(%r15)
    ENDUSER "user write, read-only page"
    USER
    mov TEST_PAGE, %al
    ENDUSER "user read, read-only page"

    MAP64 0x80000000, 7
    TRY
    call *%r15
    END "supervisor fetch, NX"
    USER
    jmp *%r15
    ENDUSER "user fetch, NX"
    TRY
    mov TEST_PAGE, %al
    END "supervisor read, NX"

    MAP64 0x00080000, 7 /* bit 51: above MAXPHYADDR in all models */
    TRY
    mov TEST_PAGE, %al
    END "supervisor read, reserved bit"
    TRY
    mov %al, TEST_PAGE
    END "supervisor write, reserved bit"
    USER
    mov TEST_PAGE, %al
    ENDUSER "user read, reserved bit"
    USER
    jmp *%r15
    ENDUSER "user fetch, reserved bit"

    MAP 7
    SET_CR4 set=SMEP
    TRY
    call *%r15
    END "supervisor fetch, user page, SMEP"
    SET_CR4 clear=SMEP
    TRY
    call *%r15
    END "supervisor fetch, user page"
    SET_CR4 set=SMAP
    TRY
    mov TEST_PAGE, %al
    END "supervisor read, user page, SMAP"
    TRY
    mov %al, 1(%r15)
    END "supervisor write, user page, SMAP"
    stac
    TRY
    mov TEST_PAGE, %al
    END "supervisor read, user page, SMAP, AC"
    clac
    TRY
    call *%r15
    END "supervisor fetch, user page, SMAP"
    USER
    mov TEST_PAGE, %al
    ENDUSER "user read, user page, SMAP"
    SET_CR4 clear=SMAP

    /* Across a page end: the address is that of the first byte that is missing. */
    MAP 7
    movq $0, pt_test + 8
    TRY
    mov 0xffd(%r15), %rax
    END "read across to a missing page"
    TRY
    mov %rax, 0xffd(%r15)
    END "write across to a missing page"
    SHOW "bytes before it: " 0xff8(%r15)

    /* Non-canonical addresses are #GP, or #SS through the stack. */
    mov $1, %rbx
    shl $63, %rbx
    TRY
    mov (%rbx), %al
    END "non-canonical read"
    mov %rbx, %rbp
    TRY
    mov (%rbp), %al
    END "non-canonical read through SS"
    TRY
    jmp *%rbx
    END "non-canonical jump"

    /* Accessed and dirty. */
    MAP 7
    mov TEST_PAGE, %al
    mov pt_test, %rax
    and $0x60, %eax
    SHOW "A and D after a read: " %rax
    mov %al, 1(%r15)
    mov pt_test, %rax
    and $0x60, %eax
    SHOW "A and D after a write: " %rax
    MAP 7
    TRY
    cmpxchg %eax, 4(%r15)
    END "CMPXCHG that fails writes all the same"
    mov pt_test, %rax
    and $0x60, %eax
    SHOW "A and D after it: " %rax

    /* CR2 is a fault's alone. */
    MAP 0
    TRY
    mov 0x123(%r15), %al
    END "last fault"
    ret

    .bss
    .balign 4096
frame:
    .skip 4096
