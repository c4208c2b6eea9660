/* 32-bit protected mode: gates, rings, segments and their limits, 32-bit and PAE paging. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.inc"

/* Selectors of the GDT below; those up to DATA16 are as in guest.inc. */
#undef TSS
#define SMALL    0x48 /* data, limit 0xf */
#define DOWN     0x50 /* data, expand-down, limit 0xffff */
#define READONLY 0x58
#define EXECONLY 0x60
#define ABSENT   0x68
#define GATE     0x70 /* call gate of ring 3 to ring 0, two parameters */
#define GATE16   0x78
#define LDT      0x80
#define TSS      0x88
#define TASKGATE 0x90
#define CONFORM32 0x98
#define SMALL3   0xa3 /* data of ring 3, limit 0xf */

.macro TRY32
    movl $9f, resume32
    mov %esp, resume_esp
    movl $-1, vector32
8:
.endm
.macro END32 name:req
9:
    .section .rodata
7:  .asciz "\name: "
    .text
    mov $7b, %esi
    mov $8b, %ebp
    call report32
.endm
.macro USER32
    movl $9f, resume32
    mov %esp, resume_esp
    movl $-1, vector32
    mov $UDATA, %eax
    mov %eax, %ds
    mov %eax, %es
    pushl $UDATA
    pushl $user_stack
    pushl $2
    pushl $UCODE32
    pushl $8f
    iretl
8:
.endm
.macro ENDUSER32 name:req
    int $DONE
    END32 "\name"
.endm
.macro PRINT32 text:req
    .section .rodata
7:  .asciz "\text"
    .text
    mov $7b, %esi
    call print32
.endm
.macro SHOW32 text:req, value:req
    pushl \value
    PRINT32 "\text"
    pop %eax
    call hex32
    mov $'\n', %al
    out %al, %dx
.endm
/* ring 3 data in DS while in ring 0 */
.macro DS selector:req
    mov $\selector, %eax
    mov %eax, %ds
.endm

    .text
    .code32
legacy:
    lgdt gdt32_pointer
    ljmp $CODE32, $1f
1:  mov $DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %ecx, %ecx
1:  imul $16, %ecx, %eax
    add $stubs32, %eax
    mov %ax, idt32(,%ecx,8)
    movw $CODE32, idt32 + 2(,%ecx,8)
    movw $0x8e00, idt32 + 4(,%ecx,8)
    shr $16, %eax
    mov %ax, idt32 + 6(,%ecx,8)
    inc %ecx
    cmp $256, %ecx
    jb 1b
    movb $0xee, idt32 + 3 * 8 + 5
    movb $0xee, idt32 + 4 * 8 + 5
    movb $0xee, idt32 + DONE * 8 + 5
    lidt idt32_pointer
    mov $tss32, %eax
    mov %ax, gdt32 + TSS + 2
    shr $16, %eax
    mov %al, gdt32 + TSS + 4
    mov $ldt32, %eax
    mov %ax, gdt32 + LDT + 2
    shr $16, %eax
    mov %al, gdt32 + LDT + 4
    mov $gate_entry, %eax
    mov %ax, gdt32 + GATE
    mov %ax, gdt32 + GATE16
    shr $16, %eax
    mov %ax, gdt32 + GATE + 6
    movl $inner_stack, tss32 + 4
    movl $DATA, tss32 + 8
    mov $0xff, %al
    out %al, $0x21
    out %al, $0xa1

    /* Tables */
    TRY32
    mov $CODE32, %eax
    ltr %ax
    END32 "LTR of a code segment"
    TRY32
    xor %eax, %eax
    ltr %ax
    END32 "LTR of null"
    TRY32
    mov $TSS, %eax
    ltr %ax
    END32 "LTR"
    TRY32
    mov $TSS, %eax
    ltr %ax
    END32 "LTR of a busy TSS"
    TRY32
    mov $DATA, %eax
    lldt %ax
    END32 "LLDT of a data segment"
    TRY32
    mov $LDT, %eax
    lldt %ax
    END32 "LLDT"
    TRY32
    mov $4, %eax
    mov %eax, %es
    mov $0xc, %eax
    mov %eax, %es
    END32 "segments from the LDT"
    TRY32
    mov $0x1c, %eax
    mov %eax, %es
    END32 "a selector beyond the LDT"

    /* Loads of segment registers */
    .irp selector, SMALL, READONLY, EXECONLY, ABSENT, GATE, TSS, CODE32, UDATA, 0x13, 0x1000
    TRY32
    mov $\selector, %eax
    mov %eax, %es
    END32 "ES = \selector"
    .endr
    .irp selector, 0, READONLY, CODE32, ABSENT, UDATA, 0x13
    TRY32
    mov $\selector, %eax
    mov %eax, %ss
    END32 "SS = \selector"
    .endr
    mov $DATA, %eax
    mov %eax, %es
    mov %eax, %ss

    /* Accesses */
    xor %eax, %eax
    mov %eax, %fs
    TRY32
    mov %fs:0, %al
    END32 "read through a null selector"
    mov $SMALL, %eax
    mov %eax, %fs
    TRY32
    mov %fs:0xc, %eax
    END32 "last dword of the segment"
    TRY32
    mov %fs:0xd, %eax
    END32 "dword across the limit"
    TRY32
    mov %fs:0x10, %al
    END32 "byte behind the limit"
    TRY32
    mov %al, %fs:-1
    END32 "write behind the limit"
    mov $READONLY, %eax
    mov %eax, %fs
    TRY32
    mov %al, %fs:buffer
    END32 "write to a read-only segment"
    mov $CODE32, %eax
    mov %eax, %fs
    TRY32
    mov %al, %fs:buffer
    END32 "write to a code segment"
    mov $DOWN, %eax
    mov %eax, %fs
    TRY32
    mov %fs:0xffff, %al
    END32 "expand-down segment, at the limit"
    TRY32
    mov %fs:0x10000, %al
    END32 "expand-down segment, above the limit"
    USER32
    mov $SMALL3, %eax
    mov %eax, %ss
    xor %ebp, %ebp
    mov 0x20(%ebp), %al
    ENDUSER32 "behind the limit of SS"
    TRY32
    ljmp *far_behind
    END32 "far JMP behind the limit of CS"

    /* LAR, LSL, VERR, VERW, ARPL */
    .irp selector, 0, CODE32, UDATA, SMALL, TSS, LDT, GATE, GATE16, TASKGATE, EXECONLY, 0x1000
    xor %edi, %edi
    mov $\selector, %ecx
    lar %ecx, %edi
    call zf
    SHOW32 "LAR of \selector: ZF " %ebx
    SHOW32 "  " %edi
    xor %edi, %edi
    lsl %ecx, %edi
    call zf
    SHOW32 "LSL of \selector: ZF " %ebx
    SHOW32 "  " %edi
    verr %cx
    call zf
    SHOW32 "VERR of \selector: ZF " %ebx
    verw %cx
    call zf
    SHOW32 "VERW of \selector: ZF " %ebx
    .endr
    mov $DATA, %edi
    mov $3, %ecx
    arpl %cx, %di
    call zf
    SHOW32 "ARPL: ZF " %ebx
    SHOW32 "  " %edi

    /* Exceptions that 64-bit mode has not */
    TRY32
    mov $0x7f, %al
    add $1, %al
    into
    END32 "INTO"
    TRY32
    xor %eax, %eax
    into
    END32 "INTO, no overflow"
    TRY32
    mov $5, %eax
    bound %eax, bounds
    END32 "BOUND, inside"
    TRY32
    mov $-1, %eax
    bound %eax, bounds
    END32 "BOUND, outside"

    /* Rings */
    USER32
    nop
    ENDUSER32 "from ring 3 and back"
    SHOW32 "  cs " cs32
    SHOW32 "  frame's bytes: " frame32
    USER32
    cli
    ENDUSER32 "CLI in ring 3"
    USER32
    int $0x70
    ENDUSER32 "INT from ring 3, gate of ring 0"
    USER32
    mov $DATA, %eax
    mov %eax, %es
    ENDUSER32 "ES of ring 0 in ring 3"
    USER32
    pushl $0x1234
    pushl $0x5678
    lcall $GATE + 3, $0
    ENDUSER32 "call gate with two parameters"
    SHOW32 "  cs " gate_frame + 4
    SHOW32 "  first " gate_frame + 8
    SHOW32 "  second " gate_frame + 12
    SHOW32 "  ss " gate_frame + 20
    SHOW32 "  user's stack pointer moved by " gate_moved
    USER32
    ljmp $CONFORM32, $1f
1:  mov %cs, %ecx
    mov %ecx, %eax
    ENDUSER32 "conforming code from ring 3"
    SHOW32 "  cs there " eax32
    /* A 16-bit gate takes 16-bit words. */
    movb $0x86, idt32 + 0x71 * 8 + 5
    movw $gate16_low, idt32 + 0x71 * 8
    movw $CODE16, idt32 + 0x71 * 8 + 2
    movw $0, idt32 + 0x71 * 8 + 6
    movl $1f, return16
    TRY32
    int $0x71
1:
    END32 "16-bit gate"
    SHOW32 "  frame's bytes: " frame16
    SHOW32 "  cs " cs16

    /* IRET */
    TRY32
    pushl $0x4002
    popfl
    pushl $2
    pushl $CODE32
    pushl $1f
    iretl
1:
    END32 "IRET with NT: the TSS links nowhere"
    pushl $2
    popfl
    TRY32
    pushl $2
    pushl $SMALL
    pushl $0
    iretl
    END32 "IRET to a data segment"
    USER32
    pushl $0x3202
    popfl
    pushfl
    pop %eax
    ENDUSER32 "POPF in ring 3"
    SHOW32 "  flags " eax32

    /* 16-bit code and stack */
    TRY32
    lcall $CODE16, $code16_low
    END32 "16-bit code"
    SHOW32 "  far CALL pushed " moved16

    /* SYSENTER and SYSEXIT */
    mov $0x174, %ecx
    xor %edx, %edx
    xor %eax, %eax
    wrmsr
    TRY32
    sysenter
    END32 "SYSENTER, SYSENTER_CS is 0"
    xor %edx, %edx
    mov $CODE32, %eax
    mov $0x174, %ecx
    wrmsr
    mov $inner_stack, %eax
    mov $0x175, %ecx
    wrmsr
    mov $sysenter_entry, %eax
    mov $0x176, %ecx
    wrmsr
    USER32
    mov %esp, %ecx
    sysenter
    ENDUSER32 "SYSENTER and SYSEXIT"
    SHOW32 "  cs " sysenter_cs
    SHOW32 "  ss " sysenter_ss
    SHOW32 "  after it cs " cs32
    USER32
    sysexit
    ENDUSER32 "SYSEXIT in ring 3"

    /* 32-bit paging with 4 MiB pages, then PAE */
    mov %cr4, %eax
    or $0x10, %eax /* PSE */
    mov %eax, %cr4
    movl $0x83, pml4
    movl $0x400083, pml4 + 4
    movl $0, pml4 + 8
    movl $pt_test + 3, pml4 + 12
    movl $0x5000 + 3, pt_test
    movl $pml4, %eax
    mov %eax, %cr3
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    TRY32
    mov 0x800123, %al
    END32 "32-bit paging, no table"
    TRY32
    mov 0xc01000, %al
    END32 "32-bit paging, no page"
    TRY32
    mov 0xc00000, %al
    END32 "32-bit paging, a page"
    USER32
    nop
    ENDUSER32 "32-bit paging, ring 3 without U"
    mov %cr0, %eax
    and $0x7fffffff, %eax
    mov %eax, %cr0
    mov %cr4, %eax
    and $~0x10, %eax
    or $0x20, %eax /* PAE */
    mov %eax, %cr4
    movl $pd_low_pae + 1, pml4
    movl $0, pml4 + 4
    movl $0x1e1, pml4 + 8 /* reserved bits */
    movl $0, pml4 + 12
    movl $0, pml4 + 16
    movl $0, pml4 + 24
    movl $0x83, pd_low_pae
    movl $0x200083, pd_low_pae + 8
    TRY32
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    END32 "PAE, reserved bits in a pointer"
    movl $0, pml4 + 8
    TRY32
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    END32 "PAE"
    TRY32
    mov 0x400123, %al
    END32 "PAE, no page"
    TRY32
    mov 0x40000000, %al
    END32 "PAE, no directory"
    mov %cr0, %eax
    and $0x7fffffff, %eax
    mov %eax, %cr0
    xor %eax, %eax
    mov %eax, %cr4
    xor %eax, %eax
    lldt %ax

    /* As it was, for the rest of the runtime */
    lgdt gdt_pointer
    ljmp $CODE32, $1f
1:  mov $DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov $pml4, %edi
    mov $1024, %ecx
    rep stosl
    movl $0, pt_test
    ret

gate_entry:
    pushl $DATA
    pop %ds
    mov (%esp), %eax
    mov %eax, gate_frame
    mov 4(%esp), %eax
    mov %eax, gate_frame + 4
    mov 8(%esp), %eax
    mov %eax, gate_frame + 8
    mov 12(%esp), %eax
    mov %eax, gate_frame + 12
    mov 16(%esp), %eax
    sub $user_stack - 8, %eax
    mov %eax, gate_moved
    mov 20(%esp), %eax
    mov %eax, gate_frame + 20
    lretl $8

sysenter_entry:
    mov $DATA, %eax
    mov %eax, %ds
    mov %cs, sysenter_cs
    mov %ss, sysenter_ss
    mov $1f, %edx
    sysexit
1:  int $DONE

zf:
    setz %bl
    movzbl %bl, %ebx
    ret

/* 16-bit code, reached through CODE16 whose base is 1 MiB */
    .set code16_low, code16 - 0x100000
    .set gate16_low, gate16 - 0x100000
    .code16
code16:
    mov $resume_esp, %ebx
    mov (%ebx), %eax
    sub %esp, %eax
    mov $moved16, %ebx
    mov %eax, (%ebx)
    lretl

gate16:
    mov $resume_esp, %ebx
    mov (%ebx), %eax
    sub %esp, %eax
    mov $frame16, %ebx
    mov %eax, (%ebx)
    movzwl 2(%esp), %eax
    mov %eax, 4(%ebx) /* cs16 */
    pop %ax /* IRETW would go to IP alone, and this is 32-bit code */
    movzwl %ax, %eax
    mov $return16, %ebx
    mov (%ebx), %ecx
    add $4, %esp
    pushl $CODE32
    pushl %ecx
    lretl
    .code32

/* --- Traps and printing ---------------------------------------------------------------------- */

    .balign 16
stubs32:
    .set vector, 0
    .rept 256
    .balign 16
    .if (vector != 8) && (vector < 10 || vector > 14) && (vector != 17)
    pushl $0
    .endif
    pushl $vector
    jmp trap32
    .set vector, vector + 1
    .endr

trap32:
    push %eax
    mov $DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    pop eax32
    pop vector32
    pop error32
    pop eip32
    pop cs32
    pop eflags32
    mov $inner_stack, %eax
    sub %esp, %eax
    add $12, %eax /* what was popped */
    mov %eax, frame32
    mov $DATA, %eax
    mov %eax, %ss
    mov resume_esp, %esp
    jmp *resume32

report32:
    mov $DATA, %eax
    mov %eax, %ds
    call print32
    mov vector32, %eax
    cmp $-1, %eax
    jne 1f
    PRINT32 "ok\n"
    ret
1:  cmp $DONE, %eax
    jne 1f
    PRINT32 "done\n"
    ret
1:  PRINT32 "vector "
    mov vector32, %eax
    call hex32
    PRINT32 " at +"
    mov eip32, %eax
    sub %ebp, %eax
    call hex32
    PRINT32 " error "
    mov error32, %eax
    call hex32
    PRINT32 "\n"
    ret

print32:
    cmpb $0, silent
    jne 2f
    mov $0x3f8, %edx
1:  mov (%esi), %al
    test %al, %al
    jz 2f
    out %al, %dx
    inc %esi
    jmp 1b
2:  ret

hex32:
    cmpb $0, silent
    jne 3f
    mov $0x3f8, %edx
    push %ebx
    push %ecx
    mov %eax, %ebx
    mov $28, %ecx
1:  mov %ebx, %eax
    shr %cl, %eax
    jnz 2f
    sub $4, %ecx
    jg 1b
    xor %ecx, %ecx
2:  mov %ebx, %eax
    shr %cl, %eax
    and $15, %eax
    mov hex_digits(%eax), %al
    out %al, %dx
    sub $4, %ecx
    jns 2b
    pop %ecx
    pop %ebx
3:  ret

    .code64
    .globl main
main:
    ret

    .section .rodata
hex_digits:
    .ascii "0123456789abcdef"

    .data
    .globl early
early:
    .long legacy
    .balign 16
gdt32:
    .quad 0, 0, 0x00cf93000000ffff, 0x00cf9b000000ffff, 0x00cffb000000ffff, 0x00cff3000000ffff
    .quad 0, 0x00009b100000ffff, 0x000093000000ffff /* CODE16 at 1 MiB, DATA16 */
    .quad 0x004093000000000f /* SMALL */
    .quad 0x004097000000ffff /* DOWN */
    .quad 0x00cf91000000ffff /* READONLY */
    .quad 0x00cf99000000ffff /* EXECONLY */
    .quad 0x00cf13000000ffff /* ABSENT */
    .quad 0x0000ec0200180000 /* GATE to CODE32 */
    .quad 0x0000e40200380000 /* GATE16 to CODE16 */
    .quad 0x0000820000000017 /* LDT */
    .quad 0x0000890000000067 /* TSS */
    .quad 0x0000850000880000 /* TASKGATE */
    .quad 0x00cf9f000000ffff /* CONFORM32 */
    .quad 0x0040f3000000000f /* SMALL3 */
gdt32_end:
gdt32_pointer:
    .word gdt32_end - gdt32 - 1
    .long gdt32
idt32_pointer:
    .word 256 * 8 - 1
    .long idt32
    .balign 8
ldt32:
    .quad 0x00cf93000000ffff, 0x00cf93000000ffff
    .byte 0xff, 0xff, 0, 0, 0, 0x93, 0xcf /* beyond: its last byte is out of the limit */
    .byte 0
far_behind:
    .long 0x20000
    .word CODE16
    .balign 4
bounds:
    .long 0, 10
buffer:
    .long 0

    .bss
    .balign 4096
pd_low_pae:  .skip 4096
idt32:       .skip 2048
tss32:       .skip 104
    .skip 1024
inner_stack:
resume32:    .skip 4
resume_esp:  .skip 4
vector32:    .skip 4
error32:     .skip 4
eip32:       .skip 4
cs32:        .skip 4
eflags32:    .skip 4
eax32:       .skip 4
frame32:     .skip 4
frame16:     .skip 4
cs16:        .skip 4
return16:    .skip 4
moved16:     .skip 4
gate_frame:  .skip 24
gate_moved:  .skip 4
sysenter_cs: .skip 4
sysenter_ss: .skip 4
