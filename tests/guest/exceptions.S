/* Every class of exception of 64-bit code, where it points, and double faults. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.inc"

.macro SHOW_RF what:req
    mov trap_rflags, %rax
    shr $16, %rax
    and $1, %eax
    SHOW "RF in the image of \what: " %rax
.endm

    .text
    .globl main
main:
    xor %ecx, %ecx
    TRY
    xor %edx, %edx
    div %ecx
    END "DIV by zero"
    TRY
    mov $0x100, %eax
    mov $1, %cl
    div %cl
    END "DIV overflow"
    TRY
    mov $1 << 31, %eax
    cltd
    mov $-1, %ecx
    idiv %ecx
    END "IDIV overflow"
    TRY
    nop
    int3
    END "INT3"
    TRY
    int $3
    END "INT 3"
    TRY
    int $4
    END "INT 4"
    TRY
    int $0x77
    END "INT 0x77"
    TRY
    ud2
    END "UD2"
    TRY
    .byte 0x06
    END "PUSH ES in 64-bit mode"
    TRY
    .byte 0xf0, 0x90
    END "LOCK NOP"
    TRY
    .byte 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90
    END "16 bytes"

    mov %cr0, %rax
    or $8, %rax /* TS */
    mov %rax, %cr0
    TRY
    fnop
    END "x87 with TS"
    TRY
    fwait
    END "FWAIT with TS and MP"
    TRY
    movaps %xmm0, %xmm1
    END "SSE with TS"
    clts
    mov %cr0, %rax
    or $4, %rax /* EM */
    mov %rax, %cr0
    TRY
    fnop
    END "x87 with EM"
    TRY
    movaps %xmm0, %xmm1
    END "SSE with EM"
    mov %cr0, %rax
    and $~4, %rax
    mov %rax, %cr0

    /* x87 and SSE floating-point exceptions */
    fninit
    movw $0x37b, word /* unmask division by zero */
    fldcw word
    TRY
    fld1
    fldz
    fdivrp
    nop
    fwait
    END "x87 division by zero"
    fninit
    movl $0x1d80, word
    ldmxcsr word
    TRY
    xorps %xmm1, %xmm1
    mov $0x3f800000, %eax
    movd %eax, %xmm0
    divss %xmm1, %xmm0
    END "SSE division by zero"
    movl $0x1f80, word
    ldmxcsr word
    TRY
    movaps word + 4, %xmm0
    END "MOVAPS, not aligned"

    /* Gates */
    movb $0x0e, idt + 0x60 * 16 + 5
    TRY
    int $0x60
    END "INT, gate not present"
    movb $0x86, idt + 0x60 * 16 + 5
    TRY
    int $0x60
    END "INT, 16-bit gate in long mode"
    movb $0x8e, idt + 0x60 * 16 + 5
    movw $0, idt + 0x60 * 16 + 2
    TRY
    int $0x60
    END "INT, null selector in the gate"
    movw $DATA, idt + 0x60 * 16 + 2
    TRY
    int $0x60
    END "INT, data segment in the gate"
    movw $CODE32, idt + 0x60 * 16 + 2
    TRY
    int $0x60
    END "INT, 32-bit code in the gate"
    movw $0x1008, idt + 0x60 * 16 + 2
    TRY
    int $0x60
    END "INT, selector beyond the GDT"
    DESCRIPTOR 0, 0x00af1b000000ffff
    movw $SLOT(0), idt + 0x60 * 16 + 2
    TRY
    int $0x60
    END "INT, code segment not present"
    movw $CODE64, idt + 0x60 * 16 + 2
    USER
    int $0x60
    ENDUSER "INT from ring 3, gate of ring 0"
    USER
    int $0x77
    ENDUSER "INT from ring 3, another one"
    USER
    int3
    ENDUSER "INT3 from ring 3"
    USER
    ud2
    ENDUSER "UD2 from ring 3"

    /* IDT limit */
    lidt short_idt
    TRY
    int $0x60
    END "INT beyond the IDT"
    lidt idt_pointer

    /* Double faults: a contributory exception whose handler cannot be reached. */
    movb $0x0e, idt + 0 * 16 + 5 /* #DE: not present */
    TRY
    xor %ecx, %ecx
    div %ecx
    END "DIV by zero, gate not present"
    movb $0x8e, idt + 0 * 16 + 5
    movb $0x0e, idt + 6 * 16 + 5 /* #UD is benign: #NP follows */
    TRY
    ud2
    END "UD2, gate not present"
    movb $0x8e, idt + 6 * 16 + 5
    movb $0x0e, idt + 14 * 16 + 5
    TRY
    mov 0x80000000, %al
    END "page fault, gate not present"
    SHOW "CR2: " trap_cr2
    movb $0x8e, idt + 14 * 16 + 5
    movb $0x0e, idt + 13 * 16 + 5
    TRY
    mov $0x1000, %eax
    mov %eax, %ds
    END "#GP, gate not present"
    movb $0x8e, idt + 13 * 16 + 5

    /* The stack of the handler is not there. */
    mov %rsp, %rbp
    movb $1, idt + 8 * 16 + 4 /* #DF on IST1 */
    TRY
    mov $0x80001000, %esp
    ud2
    END "UD2, no stack: a page fault follows"
    TRY
    mov $0x80001000, %esp
    mov 0x80000000, %al
    END "page fault, no stack"
    SHOW "CR2: " trap_cr2
    mov %rbp, %rsp
    movb $0, idt + 8 * 16 + 4

    /* RF in the image: set by faults, not by traps and software interrupts. */
    TRY
    ud2
    END "UD2 for RF"
    SHOW_RF "fault"
    TRY
    int3
    END "INT3 for RF"
    SHOW_RF "INT3"
    TRY
    int $0x77
    END "INT for RF"
    SHOW_RF "INT"
    TRY
    mov 0x80000000, %al
    END "page fault for RF"
    SHOW_RF "page fault"
    ret

    .data
    .balign 16
word:
    .skip 32
short_idt:
    .word 0x60 * 16 - 1
    .quad idt
