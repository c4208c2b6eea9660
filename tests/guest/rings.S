/* Crossing rings: interrupt stacks, IST, IRET, call gates, far RET, SYSCALL, conforming code. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.inc"

#define EFER  0xc0000080
#define STAR  0xc0000081
#define LSTAR 0xc0000082
#define CSTAR 0xc0000083
#define FMASK 0xc0000084

.macro SET_MSR msr:req, high:req, low:req
    mov $\msr, %ecx
    mov $\high, %edx
    mov $\low, %eax
    wrmsr
.endm

/* An IRET frame: ss, rsp, rflags, cs, rip */
.macro FRAME ss:req, rsp:req, flags:req, cs:req, rip:req
    pushq \ss
    pushq \rsp
    pushq \flags
    pushq \cs
    pushq \rip
.endm

/* The frame of the last trap but for RIP; the stack's distance from its top in the low part. */
.macro SHOW_FRAME
    SHOW "  cs " trap_cs
    SHOW "  ss " trap_ss
    mov trap_rflags, %rax
    and $~0x108d5, %rax /* arithmetic flags; RF: exceptions.S */
    SHOW "  rflags " %rax
.endm

    .text
    .globl main
main:
    /* Where the frame goes. */
    USER
    ENDUSER "to ring 0 by an interrupt gate"
    SHOW_FRAME
    mov $trap_stack_top, %rax
    sub trap_stack, %rax
    SHOW "  stack top minus end of frame: " %rax
    mov trap_rsp, %rax
    sub $user_stack + ALIAS, %rax
    SHOW "  user's stack pointer moved by: " %rax

    movb $1, idt + DONE * 16 + 4
    USER
    ENDUSER "to ring 0 on IST1"
    mov $ist1_top, %rax
    sub trap_stack, %rax
    SHOW "  IST top minus end of frame: " %rax
    TRY
    int $DONE
    END "ring 0 to ring 0 on IST1"
    SHOW_FRAME
    mov $ist1_top, %rax
    sub trap_stack, %rax
    SHOW "  IST top minus end of frame: " %rax
    movb $0, idt + DONE * 16 + 4

    mov %rsp, %rbx
    lea -3(%rsp), %rsp /* the frame is aligned to 16 */
    TRY
    int $DONE
    END "from a stack that is not aligned"
    mov trap_stack, %rax
    and $15, %eax
    SHOW "  end of frame modulo 16: " %rax
    mov %rbx, %rsp

    /* Trap gates leave IF. */
    movq $0x202, user_rflags
    USER
    ENDUSER "with IF, by an interrupt gate"
    pushf
    pop %rax
    and $0x200, %eax
    SHOW "  IF in the handler: " %rax
    mov trap_rflags, %rax
    and $0x200, %eax
    SHOW "  IF in the image: " %rax
    movb $0xef, idt + DONE * 16 + 5
    USER
    ENDUSER "with IF, by a trap gate"
    pushf
    cli
    pop %rax
    and $0x200, %eax
    SHOW "  IF in the handler: " %rax
    movb $0xee, idt + DONE * 16 + 5
    movq $2, user_rflags

    /* NT and TF do not reach the handler. */
    movq $0x4002, user_rflags
    USER
    ENDUSER "with NT"
    pushf
    pop %rax
    and $0x4000, %eax
    SHOW "  NT in the handler: " %rax
    SHOW_FRAME
    movq $2, user_rflags

    /* IRET */
    TRY
    mov %rsp, %rax
    FRAME $0, %rax, $0x2, $CODE64, $1f
    iretq
1:
    END "IRET to ring 0 with a null SS"
    TRY
    mov %rsp, %rax
    FRAME $0x18, %rax, $0x2, $CODE64, $1f
    iretq
1:
    END "IRET, code segment as SS"
    TRY
    mov %rsp, %rax
    FRAME $UDATA, %rax, $0x2, $CODE64, $1f
    iretq
1:
    END "IRET, SS of another ring"
    TRY
    mov %rsp, %rax
    FRAME $DATA, %rax, $0x2, $0, $1f
    iretq
1:
    END "IRET, null CS"
    TRY
    mov %rsp, %rax
    FRAME $DATA, %rax, $0x2, $DATA, $1f
    iretq
1:
    END "IRET, data segment as CS"
    TRY
    mov %rsp, %rax
    FRAME $0, %rax, $0x2, $UCODE64, $1f
    iretq
1:
    END "IRET to ring 3 with a null SS"
    DESCRIPTOR 0, 0x00af1b000000ffff
    TRY
    mov %rsp, %rax
    FRAME $DATA, %rax, $0x2, $SLOT(0), $1f
    iretq
1:
    END "IRET, CS not present"
    DESCRIPTOR 0, 0x00cf13000000ffff
    TRY
    mov %rsp, %rax
    FRAME $SLOT(0), %rax, $0x2, $CODE64, $1f
    iretq
1:
    END "IRET, SS not present"
    TRY
    mov %rsp, %rax
    mov $1, %rbx
    shl $47, %rbx
    FRAME $DATA, %rax, $0x2, $CODE64, %rbx
    iretq
    END "IRET, RIP not canonical"
    TRY
    pushq $0x4002
    popfq
    mov %rsp, %rax
    FRAME $DATA, %rax, $0x2, $CODE64, $1f
    iretq
1:
    END "IRET with NT"
    pushq $2
    popfq
    USER
    FRAME $DATA, %rsp, $0x2, $CODE64, $0
    iretq
    ENDUSER "IRET to an inner ring"
    USER
    pushf
    orl $0x3200, (%rsp) /* IOPL, IF */
    popf
    pushf
    pop %rax
    ENDUSER "POPF in ring 3 keeps IOPL and IF"
    SHOW "  flags: " trap_rax
    USER
    mov %rsp, %rax
    FRAME $UDATA, %rax, $0x3202, $UCODE64, $1f+ALIAS
    iretq
1:  pushf
    pop %rax
    ENDUSER "IRET in ring 3 keeps IOPL and IF"
    SHOW "  flags: " trap_rax

    /* Segments of an inner ring do not go out. */
    mov $DATA, %eax
    mov %eax, %ds
    mov $UDATA, %eax
    mov %eax, %es
    USER
    mov %ds, %eax
    shl $16, %eax
    mov %es, %ax
    ENDUSER "IRET drops DS of ring 0, keeps ES of ring 3"
    SHOW "  DS:ES " trap_rax
    xor %eax, %eax
    mov %eax, %ds
    mov %eax, %es

    /* Far RET */
    TRY
    pushq $CODE64
    pushq $1f
    lretq
1:
    END "far RET"
    TRY
    pushq $DATA
    pushq $1f
    lretq
1:
    END "far RET to a data segment"
    TRY
    pushq $UDATA
    pushq $user_stack + ALIAS
    pushq $UCODE64
    pushq $1f + ALIAS
    lretq
1:  int $DONE
    END "far RET to ring 3"
    SHOW_FRAME

    /* Call gates: slot 2 and 3 */
    mov $gate_target, %eax
    mov %ax, gdt + SLOT(2)
    movw $CODE64, gdt + SLOT(2) + 2
    movw $0xec00, gdt + SLOT(2) + 4
    movw $0x0010, gdt + SLOT(2) + 6 /* gate_target lies in the second MiB */
    movq $0, gdt + SLOT(3)
    USER
    lcall *gate_pointer + ALIAS
    ENDUSER "call gate to ring 0"
    SHOW "  its frame: end of block - rip: " gate_rip
    SHOW "  cs " gate_cs
    SHOW "  rsp - user's: " gate_rsp
    SHOW "  ss " gate_ss
    SHOW "  ss in ring 0: " gate_inner_ss
    movb $0x8c, gdt + SLOT(2) + 5
    USER
    lcall *gate_pointer + ALIAS
    ENDUSER "call gate of ring 0"
    movb $0x6c, gdt + SLOT(2) + 5
    USER
    lcall *gate_pointer + ALIAS
    ENDUSER "call gate not present"
    movb $0xec, gdt + SLOT(2) + 5
    USER
    ljmp *gate_pointer + ALIAS
    ENDUSER "JMP through a call gate to an inner ring"
    movw $CODE32, gdt + SLOT(2) + 2
    USER
    lcall *gate_pointer + ALIAS
    ENDUSER "call gate to 32-bit code"
    movw $0, gdt + SLOT(2) + 2
    USER
    lcall *gate_pointer + ALIAS
    ENDUSER "call gate with a null selector"
    movb $0xe5, gdt + SLOT(2) + 5
    USER
    lcall *gate_pointer + ALIAS
    ENDUSER "task gate in long mode"
    movq $0, gdt + SLOT(2)

    /* Conforming code keeps the ring. */
    USER
    lcall *conform_pointer + ALIAS
    ENDUSER "conforming code from ring 3"
    SHOW "  cs there: " trap_rax
    USER
    lcall *inner_pointer + ALIAS
    ENDUSER "code of ring 0 from ring 3"

    /* SYSCALL */
    TRY
    syscall
    END "SYSCALL, not enabled"
    SET_MSR STAR, UCODE32 << 16 | CODE64, 0
    SET_MSR LSTAR, 0, syscall_target
    SET_MSR FMASK, 0, 0x4700 /* NT, DF, IF, TF */
    SET_MSR EFER, 0, 0xd01 /* and SCE */
    movq $0xed7, user_rflags
    USER
    syscall
    ENDUSER "SYSCALL"
    movq $2, user_rflags
    SHOW "  end of block - rcx: " syscall_rcx
    SHOW "  r11: " syscall_r11
    SHOW "SYSCALL, rflags there: " syscall_rflags
    SHOW "  cs: " syscall_cs
    SHOW "  ss: " syscall_ss
    SHOW_FRAME
    TRY
    mov $1f + ALIAS, %ecx
    mov $0xed7, %r11d
    mov $user_stack + ALIAS, %esp
    sysretq
1:  int $DONE
    END "SYSRET to 64-bit code"
    SHOW_FRAME
    TRY
    mov $1f + ALIAS, %ecx
    mov $2, %r11d
    mov $user_stack + ALIAS, %esp
    sysretl
1:  int $DONE
    END "SYSRET to 32-bit code"
    SHOW_FRAME
    USER
    sysretq
    ENDUSER "SYSRET in ring 3"

    /* Privileged instructions */
    .irp insn, hlt, cli, sti, clts, rdmsr, wrmsr, invd, wbinvd, swapgs
    USER
    \insn
    ENDUSER "\insn in ring 3"
    .endr
    USER
    mov %cr0, %rax
    ENDUSER "MOV from CR0 in ring 3"
    USER
    mov %rax, %dr7
    ENDUSER "MOV to DR7 in ring 3"
    USER
    in $0x60, %al
    ENDUSER "IN in ring 3"
    USER
    lgdt gdt_pointer + ALIAS
    ENDUSER "LGDT in ring 3"
    USER
    mov $TSS, %eax
    ltr %ax
    ENDUSER "LTR in ring 3"
    mov %cr4, %rax
    or $1 << 11, %rax /* UMIP */
    mov %rax, %cr4
    USER
    sgdt word + ALIAS
    ENDUSER "SGDT in ring 3, UMIP"
    USER
    smsw %ax
    ENDUSER "SMSW in ring 3, UMIP"
    USER
    str %ax
    ENDUSER "STR in ring 3, UMIP"
    mov %cr4, %rax
    and $~(1 << 11), %rax
    mov %rax, %cr4
    USER
    str %eax
    ENDUSER "STR in ring 3"
    SHOW "  TR: " trap_rax

    /* Ports by the bitmap: 0x60 is allowed, 0x61 is not. */
    movw $0x68 + 32, gdt + TSS
    movb $0xfe, tss + 0x68 + 12
    movb $0xff, tss + 0x68 + 13
    movb $0x89, gdt + TSS + 5
    mov $TSS, %eax
    ltr %ax
    USER
    in $0x60, %al
    ENDUSER "IN in ring 3, bit clear"
    USER
    in $0x61, %al
    ENDUSER "IN in ring 3, bit set"
    USER
    in $0x60, %ax
    ENDUSER "IN of two ports, one bit set"
    USER
    mov $0x400, %edx
    in %dx, %al
    ENDUSER "IN beyond the bitmap"
    movq $0x3002, user_rflags
    USER
    in $0x21, %al
    cli
    ENDUSER "IN and CLI in ring 3 with IOPL 3"
    movq $2, user_rflags
    ret

gate_target:
    mov resume, %rax /* the INT behind the CALL ends there */
    add $ALIAS, %rax
    sub (%rsp), %rax
    mov %rax, gate_rip
    mov 8(%rsp), %rax
    mov %rax, gate_cs
    mov 16(%rsp), %rax
    sub $user_stack + ALIAS, %rax
    mov %rax, gate_rsp
    mov 24(%rsp), %rax
    mov %rax, gate_ss
    mov %ss, %eax
    mov %rax, gate_inner_ss
    lretq

conform_target:
    mov %cs, %eax
    lretl

syscall_target:
    mov %rsp, %rax
    mov $stack - 0x800, %esp
    pushf
    pop syscall_rflags
    mov %r11, syscall_r11
    mov %cs, syscall_cs
    mov %ss, syscall_ss
    mov %rax, %rsp
    mov resume, %rax
    add $ALIAS, %rax
    sub %rcx, %rax
    mov %rax, syscall_rcx
    sysretq

    .data
    .balign 8
gate_pointer:
    .long 0
    .word SLOT(2) + 3
conform_pointer:
    .long conform_target + ALIAS
    .word CONFORM + 3
inner_pointer:
    .long conform_target + ALIAS
    .word CODE64 + 3
    .balign 8
gate_rip:       .quad 0
gate_cs:        .quad 0
gate_rsp:       .quad 0
gate_ss:        .quad 0
gate_inner_ss:  .quad 0
syscall_rcx:    .quad 0
syscall_r11:    .quad 0
syscall_rflags: .quad 0
syscall_cs:     .quad 0
syscall_ss:     .quad 0
word:           .skip 16
