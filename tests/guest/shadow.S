/* When interrupts get in: the shadows of STI and MOV SS, IF, task priority, HLT, NMI blocking. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.inc"

/* Registers of the local APIC */
#define APIC_EOI 0xb0
#define APIC_TPR 0x80
#define APIC_SVR 0xf0
#define APIC_ICR 0x300

/* Send the interrupt to itself and wait until it is pending (rdi: the APIC). */
.macro SELF_IPI command=0x44000 | IPI
    movl $\command, APIC_ICR(%r14)
1:  testl $1 << 12, APIC_ICR(%r14)
    jnz 1b
    nop
.endm

.macro SELF_NMI
    SELF_IPI command=0x44400
.endm

/* Has the handler been left by a jump: end the interrupt. */
.macro EOI
    movl $0, APIC_EOI(%r14)
.endm

    .text
    .globl main
main:
    mov $APIC, %r14d
    movl $0x1ff, APIC_SVR(%r14)

    SELF_IPI
    TRY
    nop
    nop
    END "IF clear: held"
    TRY
    sti
    nop
    nop
    END "STI: after the next instruction"
    EOI
    SELF_IPI
    TRY
    sti
    sti
    nop
    nop
    END "STI STI: one shadow"
    EOI
    SELF_IPI
    TRY
    sti
    cli
    nop
    END "STI CLI: nothing gets in"
    TRY
    sti
    mov %ss, %eax
    nop
    END "STI and a plain instruction"
    EOI
    mov %ss, %ebx
    SELF_IPI
    TRY
    sti
    mov %ebx, %ss
    nop
    nop
    END "STI MOV SS: two shadows"
    EOI
    SELF_IPI
    TRY
    pushq $0x202
    popfq
    nop
    nop
    END "POPF: no shadow"
    EOI
    SELF_IPI
    TRY
    mov %rsp, %rax
    pushq $0
    pushq %rax
    pushq $0x202
    pushq $CODE64
    pushq $1f
    iretq
1:  nop
    END "IRET: no shadow"
    EOI
    TRY
    sti
    nop
    SELF_IPI
    END "IF set: at once"
    cli
    EOI

    /* The task priority holds back its class and the ones below. */
    mov $5, %eax
    mov %rax, %cr8
    movl APIC_TPR(%r14), %eax
    SHOW "TPR with CR8 = 5: " %rax
    SELF_IPI
    TRY
    sti
    nop
    nop
    cli
    END "CR8 = 5: vector 0x50 is held"
    TRY
    sti
    nop
    mov $4, %eax
    mov %rax, %cr8
    nop
    nop
    END "CR8 = 4: it gets in"
    EOI
    xor %eax, %eax
    mov %rax, %cr8
    TRY
    mov $16, %eax
    mov %rax, %cr8
    END "CR8 = 16"

    /* An interrupt wakes from HLT; the image has the next instruction. */
    SELF_IPI
    TRY
    sti
    hlt
    nop
    END "STI HLT: wakes behind HLT"
    EOI

    /* From ring 3 */
    movq $0x202, user_rflags
    SELF_IPI
    USER
    nop
    ENDUSER "IRET to ring 3 with IF"
    EOI
    movq $2, user_rflags

    /* Two pending: the higher one first, then the other on IRET. */
    mov $count_handler, %esi
    mov $0x60, %edi
    mov $0x8e, %edx
    call set_gate
    mov $count_handler, %esi
    mov $0x70, %edi
    mov $0x8e, %edx
    call set_gate
    SELF_IPI command=0x44060
    SELF_IPI command=0x44070
    movq $0, order
    sti
    nop
    nop
    cli
    SHOW "two pending, order: " order

    /* NMI: does not ask IF; MOV SS holds it; a second one waits for IRET. */
    TRY
    SELF_NMI
    END "NMI with IF clear"
    call unblock
    mov $nmi_handler, %esi
    mov $2, %edi
    mov $0x8e, %edx
    call set_gate
    movq $0, order
    SELF_NMI
    SHOW "NMI in the handler of an NMI, order: " order
    ret

/* Leave NMI blocking behind: IRET. */
unblock:
    mov %rsp, %rax
    pushq $0
    pushq %rax
    pushq $2
    pushq $CODE64
    pushq $1f
    iretq
1:  ret

/* Notes which vector came: the in-service bit. */
count_handler:
    push %rax
    mov 0x130(%r14), %eax /* ISR of vectors 0x60..0x7f */
    shlq $8, order
    cmp $0x10000, %eax
    jb 1f
    orq $0x70, order
    jmp 2f
1:  orq $0x60, order
2:  EOI
    pop %rax
    iretq

/* The first one sends another, which must not come before IRET. */
nmi_handler:
    push %rax
    shlq $4, order
    orq $1, order
    cmpq $1, order
    jne 2f
    SELF_NMI
    shlq $4, order
    orq $0xe, order /* end of the first */
2:  pop %rax
    iretq

    .data
    .balign 8
order:
    .quad 0
