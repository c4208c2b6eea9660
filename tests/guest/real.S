/* Real mode: vectors, far transfers, 16-bit stacks, limits left over from protected mode. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.inc"

/*
 * The code is copied to LOW and runs there with CS = LOW / 16; results go to RESULTS, four bytes
 * each, and are printed from 64-bit mode.
 */
#define LOW     0x8000
#define RESULTS 0x7000
#define STACK   0x6000

#define AT(label) (label - low_begin)

    .text
    .code32
real:
    mov $low_begin, %esi
    mov $LOW, %edi
    mov $low_end - low_begin, %ecx
    rep movsb
    mov $RESULTS, %edi
    mov $256, %ecx
    xor %eax, %eax
    rep stosb
    mov %esp, saved_esp
    sidt saved_idt
    lgdt low_gdt_pointer
    ljmp $CODE16, $AT(protected16)

back:
    mov $DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov saved_esp, %esp
    lidt saved_idt
    ret

/* One result: the dword in eax; di is where it goes. */
.macro RESULT
    movl %eax, (%di)
    add $4, %di
.endm

    .code16
low_begin:
/* 16-bit protected mode: CS and DS get 64 KiB limits, FS keeps 4 GiB. */
protected16:
    mov $DATA16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $DATA, %ax
    mov %ax, %fs
    mov %cr0, %eax
    and $~1, %al
    mov %eax, %cr0
    ljmpw $LOW / 16, $AT(real16)
real16:
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $STACK, %sp
    mov $RESULTS, %di
    lidtl %cs:AT(ivt_pointer)

    /* 0: CS and SP after the mode switch */
    mov %cs, %ax
    shl $16, %eax
    mov %sp, %ax
    RESULT

    /* 1: FS reaches over 1 MiB ("unreal mode") */
    mov $high_word, %ebx
    mov %fs:(%ebx), %eax
    RESULT

    /* 2: INT and IRET through the vectors at 0: flags there have no IF and TF */
    movw $AT(vector60), 0x60 * 4
    movw $LOW / 16, 0x60 * 4 + 2
    sti
    int $0x60
    pushf
    pop %ax
    cli
    and $0x200, %ax
    movzwl %ax, %eax
    or %edx, %eax
    RESULT

    /* 3: division by zero points at itself */
    movw $AT(vector0), 0
    movw $LOW / 16, 2
    xor %cx, %cx
    xor %ax, %ax
    xor %dx, %dx
divide:
    div %cx
after_divide:
    movzwl %bp, %eax
    sub $AT(divide), %ax
    RESULT

    /* 4: far CALL and RET n */
    push $0x1234
    lcallw $LOW / 16, $AT(far_function)
    movzwl %sp, %eax
    sub $STACK, %ax
    RESULT

    /* 5: PUSHF and POPF keep what they should; IRET with a 16-bit image */
    pushf
    push %cs
    push $AT(after_iret)
    iretw
after_iret:
    movzwl %sp, %eax
    sub $STACK, %ax
    RESULT

    /* 6: a word at offset ffff: the limit is in the way (#GP, vector 13) */
    movw $AT(vector13), 13 * 4
    movw $LOW / 16, 13 * 4 + 2
    xor %eax, %eax
    mov $0xffff, %bx
across:
    mov (%bx), %cx
after_across:
    RESULT

    /* 7: a push across the end of the stack segment (#SS, vector 12) whose own frame wraps */
    movw $AT(vector12), 12 * 4
    movw $LOW / 16, 12 * 4 + 2
    xor %eax, %eax
    mov $2, %sp
    pushl $0x55667788
after_push:
    shl $16, %eax
    mov %sp, %ax
    mov $STACK, %sp
    RESULT

    /* 8: segment arithmetic: the same byte by two segments */
    mov $0x40, %ax
    mov %ax, %es
    movb $0x5a, %es:0x10
    movzbl 0x410, %eax
    xor %cx, %cx
    mov %cx, %es
    RESULT

    /* 9: 32-bit operands and addresses in 16-bit code */
    mov $0x12345678, %eax
    mov $RESULTS - 0x1000, %ebx
    mov %eax, 0x800(%ebx)
    xor %eax, %eax
    mov RESULTS - 0x800, %eax
    RESULT

    /* 10: INT3, INTO, BOUND in real mode */
    movw $AT(count_vector), 3 * 4
    movw $LOW / 16, 3 * 4 + 2
    movw $AT(count_vector), 4 * 4
    movw $LOW / 16, 4 * 4 + 2
    xor %edx, %edx
    int3
    mov $0x7f, %al
    inc %al
    into
    xor %al, %al
    into
    mov %edx, %eax
    RESULT

    /* 11: SMSW, and LMSW to protected mode and the way out */
    smsw %ax
    movzwl %ax, %eax
    and $1, %eax
    RESULT

    /* 12: instructions of protected mode only are #UD */
    movw $AT(vector6), 6 * 4
    movw $LOW / 16, 6 * 4 + 2
    xor %eax, %eax
    str %cx
    lar %cx, %cx
    verr %cx
    lldt %cx
    ltr %cx
    RESULT

    lgdtl %cs:AT(high_gdt_pointer)
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    ljmpl $CODE32, $back

/* Returns the flags of its own in edx above, SP below. */
vector60:
    pushf
    pop %dx
    shl $16, %edx
    mov $STACK, %dx
    sub %sp, %dx
    iretw

vector0:
    mov %sp, %bp
    mov (%bp), %ax
    movw $AT(after_divide), (%bp)
    mov %ax, %bp
    iretw

vector13:
    mov %sp, %bp
    movw $AT(after_across), (%bp)
    mov $13, %eax
    iretw

vector12:
    mov %sp, %bp
    movw $AT(after_push), (%bp)
    mov $12, %eax
    iretw

/* Skips three bytes: all that are tried have them. */
vector6:
    mov %sp, %bp
    addw $3, (%bp)
    inc %eax
    iretw

count_vector:
    inc %edx
    iretw

far_function:
    lretw $2

    .balign 8
ivt_pointer:
    .word 0x3ff
    .long 0
high_gdt_pointer:
    .word 0x9f
    .long gdt
low_end:

    .code64
    .globl main
main:
    mov $RESULTS, %ebx
    xor %r12d, %r12d
1:  PRINT "result "
    mov %r12, %rdi
    call print_hex
    mov (%rbx,%r12,4), %eax
    SHOW ": " %rax
    inc %r12d
    cmp $13, %r12d
    jb 1b
    ret

    .data
    .globl early
early:
    .long real
saved_esp:
    .long 0
saved_idt:
    .skip 6
    .balign 4
high_word:
    .long 0xcafe
    .balign 8
low_gdt:
    .quad 0, 0, 0x00cf93000000ffff, 0x00cf9b000000ffff, 0, 0, 0
    .quad 0x00009b008000ffff, 0x000093000000ffff /* CODE16 at LOW, DATA16 */
low_gdt_end:
low_gdt_pointer:
    .word low_gdt_end - low_gdt - 1
    .long low_gdt
