/* Debug exceptions: TF, breakpoints in DR0..DR3, DR6 and DR7, general detect, ICEBP, RF. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.inc"

/* DR7: enable n globally, with kind (0 execute, 1 write, 2 port, 3 access) and LEN code. */
#define BREAK(n, kind, len) (2 << (2 * (n)) | (kind) << (16 + 4 * (n)) | (len) << (18 + 4 * (n)))

.macro SET_DR n:req, value:req
    mov $\value, %rax
    mov %rax, %dr\n
.endm

.macro NO_BREAKS
    SET_DR 7, 0x400
    SET_DR 6, 0
.endm

/* Set TF behind POPF, so that the first trap comes after the line that follows. */
.macro SET_TF
    pushf
    orl $0x100, (%rsp)
    popf
.endm

    .text
    .globl main
main:
    NO_BREAKS

    /* What is fixed. */
    mov %dr6, %rax
    SHOW "DR6 after 0 was written: " %rax
    SET_DR 6, 0xffffffff
    mov %dr6, %rax
    SHOW "DR6 after ones: " %rax
    SET_DR 6, 0
    SET_DR 7, 0xffffd7ff /* all but GD */
    mov %dr7, %rax
    SHOW "DR7 after ones but GD: " %rax
    SET_DR 7, 0
    mov %dr7, %rax
    SHOW "DR7 after 0: " %rax
    TRY
    mov $1 << 32, %rax
    mov %rax, %dr6
    END "bit 32 of DR6"
    TRY
    mov $1 << 32, %rax
    mov %rax, %dr7
    END "bit 32 of DR7"
    SET_DR 1, 0x1234
    TRY
    mov %dr4, %rax
    END "DR4 without DE"
    mov %cr4, %rax
    or $8, %rax /* DE */
    mov %rax, %cr4
    TRY
    mov %dr4, %rax
    END "DR4 with DE"
    TRY
    mov %rax, %dr5
    END "DR5 with DE"
    mov %cr4, %rax
    and $~8, %rax
    mov %rax, %cr4

    /* Single-stepping */
    NO_BREAKS
    TRY
    SET_TF
    nop
    nop
    END "TF: after one instruction"
    NO_BREAKS
    TRY
    SET_TF
    jmp 1f
    nop
1:  nop
    END "TF: a jump"
    NO_BREAKS
    mov $2, %ecx
    mov $buffer, %edi
    TRY
    SET_TF
    rep stosb
    nop
    END "TF: one iteration of REP STOSB"
    SHOW "  rcx: " trap_rcx
    NO_BREAKS
    TRY
    SET_TF
    int $0x77
    END "TF: INT goes to its handler"
    SHOW "  TF in the image: " trap_rflags
    NO_BREAKS
    TRY
    SET_TF
    ud2
    END "TF: a fault goes to its handler"
    NO_BREAKS
    TRY
    SET_TF
    mov %ss, %eax
    mov %eax, %ss
    nop
    nop
    END "TF: before MOV SS"
    NO_BREAKS
    mov %ss, %ebx
    TRY
    SET_TF
    mov %ebx, %ss
    nop
    nop
    END "TF: MOV SS and the next one"
    NO_BREAKS
    TRY
    SET_TF
    pushf
    pop %rax
    END "TF: PUSHF"
    NO_BREAKS
    TRY
    SET_TF
    pushq $2
    END "TF: push"
    NO_BREAKS
    USER
    SET_TF
    nop
    nop
    ENDUSER "TF in ring 3"
    NO_BREAKS
    TRY
    mov %rsp, %rax
    pushq $0
    pushq %rax
    pushq $0x102
    pushq $CODE64
    pushq $1f
    iretq
1:  nop
    nop
    END "TF: IRET sets it"

    /* Code breakpoints are faults. */
    NO_BREAKS
    SET_DR 0, 1f
    SET_DR 7, BREAK(0, 0, 0)
    TRY
    nop
1:  nop
    END "code breakpoint"
    NO_BREAKS
    SET_DR 3, 1f
    SET_DR 7, BREAK(3, 0, 0)
    TRY
    mov %rsp, %rax
    pushq $0
    pushq %rax
    pushq $0x10002 /* RF */
    pushq $CODE64
    pushq $1f
    iretq
1:  nop
    nop
    END "code breakpoint passed by RF"
    NO_BREAKS
    SET_DR 0, 1f
    SET_DR 7, BREAK(0, 0, 0)
    TRY
1:  ud2
    END "code breakpoint before #UD"
    NO_BREAKS
    SET_DR 0, 1f
    SET_DR 1, 1f
    SET_DR 7, BREAK(0, 0, 0) | BREAK(1, 0, 0)
    TRY
1:  nop
    END "two code breakpoints"

    /* Data breakpoints are traps. */
    NO_BREAKS
    SET_DR 1, buffer
    SET_DR 7, BREAK(1, 1, 0)
    TRY
    movb $1, buffer
    nop
    END "write breakpoint"
    NO_BREAKS
    SET_DR 7, BREAK(1, 1, 0)
    TRY
    mov buffer, %al
    END "write breakpoint, read"
    TRY
    movb $1, buffer + 1
    END "write breakpoint, next byte"
    TRY
    movl $1, buffer - 3
    nop
    END "write breakpoint, last byte of four"
    NO_BREAKS
    SET_DR 7, BREAK(1, 3, 3)
    TRY
    mov buffer + 3, %al
    nop
    END "access breakpoint of 4, read of the last"
    NO_BREAKS
    SET_DR 7, BREAK(1, 3, 3)
    TRY
    mov buffer + 4, %al
    END "access breakpoint of 4, read behind"
    NO_BREAKS
    SET_DR 7, BREAK(1, 3, 2)
    TRY
    mov buffer + 7, %al
    nop
    END "access breakpoint of 8"
    NO_BREAKS
    SET_DR 2, buffer + 8
    SET_DR 7, BREAK(1, 3, 2) | BREAK(2, 3, 2)
    TRY
    movups buffer, %xmm0
    nop
    END "two access breakpoints"
    NO_BREAKS
    SET_DR 1, buffer + 2
    SET_DR 7, BREAK(1, 1, 0)
    mov $buffer, %edi
    mov $8, %ecx
    TRY
    rep stosb
    nop
    END "write breakpoint in REP STOSB"
    SHOW "  rcx: " trap_rcx
    NO_BREAKS
    SET_DR 1, buffer
    SET_DR 7, BREAK(1, 1, 0)
    TRY
    SET_TF
    movb $1, buffer
    nop
    END "write breakpoint and TF"
    NO_BREAKS
    mov %ss, %eax
    mov %eax, buffer
    SET_DR 7, BREAK(1, 3, 3)
    TRY
    mov buffer, %ss
    nop
    nop
    END "access breakpoint at MOV SS: after the next one"

    /* Ports, with CR4.DE. */
    NO_BREAKS
    mov %cr4, %rax
    or $8, %rax
    mov %rax, %cr4
    SET_DR 0, 0x20
    SET_DR 7, BREAK(0, 2, 0)
    TRY
    in $0x21, %al
    END "port breakpoint, other port"
    TRY
    in $0x20, %al
    nop
    END "port breakpoint"
    NO_BREAKS

    /* General detect */
    NO_BREAKS
    SET_DR 7, 0x2400
    TRY
    mov %dr0, %rax
    END "general detect"
    mov %dr7, %rax
    SHOW "  DR7 in the handler: " %rax

    /* DR6 collects; only B0..B3 are of the last one. */
    NO_BREAKS
    SET_DR 6, 0xe00f
    SET_DR 1, buffer
    SET_DR 7, BREAK(1, 1, 0)
    TRY
    movb $1, buffer
    nop
    END "write breakpoint, DR6 full"

    /* ICEBP: no DPL check, DR6 stays. */
    NO_BREAKS
    TRY
    .byte 0xf1
    END "ICEBP"
    USER
    .byte 0xf1
    ENDUSER "ICEBP in ring 3"
    USER
    int $1
    ENDUSER "INT 1 in ring 3"
    ret

    .data
    .balign 16
    .skip 16
buffer:
    .skip 32
