/* What vCPUs do while they are kicked: spin, sleep, use ports, write to a console, halt for good. */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Position-independent 32-bit code; EBX is the vCPU's number, EDI where the counters are, EBP the
 * local APIC. */
    .section .rodata
    .globl kicks_guest, kicks_spin, kicks_sleep, kicks_tick, kicks_port, kicks_write, kicks_halt
    .globl kicks_guest_end
    .code32
kicks_guest:
kicks_spin:
    incl (%edi,%ebx,4)
    jmp kicks_spin

/* The timer's vector 0x20, each 200 microseconds of KVM's APIC clock, which is 1 GHz. */
kicks_sleep:
    movl $0x1ff, 0xf0(%ebp)
    movl $0x0b, 0x3e0(%ebp)
    movl $0x20020, 0x320(%ebp)
    movl $200000, 0x380(%ebp)
1:  sti
    hlt
    incl (%edi,%ebx,4)
    jmp 1b
kicks_tick:             /* returns without IRET, which a KVM in software may not know */
    movl $0, 0xb0(%ebp)
    popl %eax
    movl %eax, 4(%esp)
    addl $4, %esp
    sti
    ret

kicks_port:
    movw $0x3fd, %dx
1:  inb %dx, %al
    incl (%edi,%ebx,4)
    jmp 1b

kicks_write:
    movw $0x3f8, %dx
    movb $'.', %al
1:  outb %al, %dx
    incl (%edi,%ebx,4)
    jmp 1b

kicks_halt:
    cli
    hlt
    jmp kicks_halt
kicks_guest_end:
    .section .note.GNU-stack, "", @progbits
