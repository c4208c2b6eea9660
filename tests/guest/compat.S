/* Compatibility mode: 32- and 16-bit code under a 64-bit kernel, and the ways in and out of it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.inc"


/* USER with 32-bit code: the lines between are assembled as such. */
.macro USER32
    USER selector=UCODE32
    .code32
.endm
.macro ENDUSER32 name:req
    int $DONE
    .code64
    END "\name"
.endm

    .text
    .globl main
main:
    DESCRIPTOR 2, 0x00009b100000ffff /* 16-bit code at 1 MiB */
    mov $DATA, %eax
    mov %eax, %ss
    mov $UDATA, %eax
    mov %eax, %ds
    mov %eax, %es
    /* Far transfers of ring 0 between 64- and 32-bit code */
    TRY
    lcall *to32
    END "far CALL to 32-bit code and back"
    SHOW "  cs there " cs_there
    SHOW "  32-bit arithmetic: " value
    TRY
    lcall *to16
    END "far CALL to 16-bit code and back"
    SHOW "  16-bit push moved sp by " value

    /* Exceptions of 32-bit code come on 64-bit frames. */
    USER32
    ud2
    ENDUSER32 "#UD"
    SHOW "  cs " trap_cs
    SHOW "  ss " trap_ss
    USER32
    mov $0x7fffffff, %eax
    inc %eax
    into
    ENDUSER32 "INTO"
    USER32
    mov $-1, %eax
    bound %eax, bounds + ALIAS
    ENDUSER32 "BOUND"
    USER32
    mov 0xfffffff0, %al
    ENDUSER32 "page fault"
    USER32
    mov $-4, %ecx
    mov bounds + ALIAS + 4(%ecx), %eax
    ENDUSER32 "addresses wrap at 4 GiB"
    USER32
    .byte 0x40 /* INC eax, a REX prefix in 64-bit mode */
    daa
    push %es
    pop %es
    ENDUSER32 "instructions that 64-bit mode has not"
    USER32
    pushl $0x12345678
    pop %eax
    ENDUSER32 "a push of 4 bytes"
    SHOW "  value " trap_rax
    USER32
    mov %esp, %ecx
    pusha
    popa
    ENDUSER32 "PUSHA and POPA"
    mov trap_rcx, %rax
    sub $user_stack + ALIAS, %rax
    SHOW "  stack pointer moved by " %rax

    /* From 32-bit user code to 64-bit and back */
    USER32
    ljmp $UCODE64, $1f + ALIAS
1:  .code64
    mov $1, %eax
    shl $40, %rax
    push %rax
    pop %rbx
    pushq $UCODE32
    pushq $1f + ALIAS
    lretq
1:  .code32
    nop
    ENDUSER32 "to 64-bit user code and back"
    SHOW "  64-bit arithmetic: " trap_rax

    /* The upper halves of registers survive. */
    mov $DATA, %eax
    mov %eax, %ss /* null since the last trap */
    movabs $0x123456789abcdef0, %r8
    TRY
    lcall *to32
    END "R8 through 32-bit code"
    SHOW "  " %r8

    /* IRETQ to 32-bit code ignores the upper half of RIP. */
    TRY
    movabs $0x7f00000000, %rax
    pushq $UDATA
    pushq $user_stack + ALIAS
    pushq $2
    pushq $UCODE32
    movabs $0x7f00000000 + ALIAS + 1f, %rax
    push %rax
    iretq
    .code32
1:  int $DONE
    .code64
    END "IRETQ to 32-bit code, RIP above 4 GiB"

    /* A 16-bit stack for 32-bit code: only SP moves. */
    DESCRIPTOR 0, 0x0000f3000000ffff
    TRY
    pushq $SLOT(0) + 3
    pushq $0x1234
    pushq $2
    pushq $UCODE32
    pushq $1f + ALIAS
    iretq
    .code32
1:  mov %esp, %eax
    int $DONE
    .code64
    END "IRET to a 16-bit stack"
    mov trap_rax, %rax
    movzwl %ax, %eax
    SHOW "  sp " %rax
    ret

    .code32
code32:
    mov %cs, %eax
    mov %eax, cs_there
    mov $0xffffffff, %eax
    add $2, %eax
    mov %eax, value
    lret

/* In GDT slot 2, whose base is 1 MiB.  A far CALL of 64-bit code pushed 4 bytes each. */
    .code16
code16:
    mov %esp, %eax
    pushw $5
    sub %esp, %eax
    addw $2, %sp
    mov $value, %ebx
    mov %eax, (%ebx)
    lretl

    .data
    .balign 8
to32:
    .long code32
    .word CODE32
    .balign 8
to16:
    .long code16 - 0x100000
    .word SLOT(2)
    .balign 8
bounds:
    .long 0, 10
cs_there:
    .quad 0
value:
    .quad 0
