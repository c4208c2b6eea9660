/* Alignment checks: which accesses, of which sizes, in which ring ("Alignment Check Exception"). */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.inc"

/* One access of ring 3 to memory at %rbx, whose address ends in 0. */
.macro ACCESS code:vararg
    USER
    \code
    ENDUSER "\code"
.endm

    .text
    .globl main
main:
    mov $UDATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov $memory + ALIAS, %ebx
    mov %cr0, %rax
    or $1 << 18, %rax /* AM */
    mov %rax, %cr0
    PRINT "AC clear\n"
    ACCESS mov 1(%rbx), %eax
    movq $0x40002, user_rflags
    PRINT "AC set\n"
    ACCESS mov 1(%rbx), %al
    ACCESS mov 2(%rbx), %ax
    ACCESS mov 1(%rbx), %ax
    ACCESS mov 4(%rbx), %eax
    ACCESS mov 2(%rbx), %eax
    ACCESS mov 8(%rbx), %rax
    ACCESS mov 4(%rbx), %rax
    ACCESS mov %ax, 3(%rbx)
    ACCESS incl 2(%rbx)
    ACCESS lock incl 1(%rbx)
    ACCESS cmpxchg8b 4(%rbx)
    ACCESS pushq 4(%rbx)
    ACCESS fldl 4(%rbx)
    ACCESS flds 4(%rbx)
    ACCESS fldt 8(%rbx)
    ACCESS fldt 4(%rbx)
    ACCESS fildl 2(%rbx)
    ACCESS movsd 4(%rbx), %xmm0
    ACCESS movaps 8(%rbx), %xmm0
    USER
    dec %rsp
    push %rax
    ENDUSER "PUSH"
    USER
    lea 1(%rbx), %rdi
    mov $3, %ecx
    rep stosb
    mov $2, %ecx
    rep stosl
    ENDUSER "STOSB, then STOSD where it has led to"

    /* AC alone, and AM alone, check nothing; ring 0 is never checked. */
    pushfq
    orl $0x40000, (%rsp)
    popfq
    TRY
    mov 1(%rbx), %eax
    END "ring 0"
    pushfq
    andl $~0x40000, (%rsp)
    popfq
    mov %cr0, %rax
    and $~(1 << 18), %rax
    mov %rax, %cr0
    USER
    mov 1(%rbx), %eax
    ENDUSER "AM clear"
    ret

    .bss
    .balign 64
memory:
    .skip 64
