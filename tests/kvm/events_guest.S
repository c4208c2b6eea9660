/* What a step and a catch have to meet: accesses to MSRs that fault and that do not, ports, INT3. */
/* SPDX-License-Identifier: BSD-2-Clause */
#define CODE 8
#define DATA 16
#define PORT 0x80
#define EXIT 0xf4
#define NO_MSR 0x12345
#define SYSENTER_CS 0x174
#define SYSENTER_EIP 0x176
#define LSTAR 0xc0000082

    .section .note.pvh, "a", @note
    .long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long pvh_start

    .text
    .code32
    .globl pvh_start
pvh_start:
    cli
    lgdt gdt_pointer
    ljmp $CODE, $1f
1:  mov $DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $stack, %esp
    mov $breakpoint, %eax
    mov %ax, idt + 8 * 3
    shr $16, %eax
    mov %ax, idt + 8 * 3 + 6
    mov $protection, %eax
    mov %ax, idt + 8 * 13
    shr $16, %eax
    mov %ax, idt + 8 * 13 + 6
    lidt idt_pointer

    cmp %eax, %eax /* flags as every processor has them */
    mov $0, %eax
    mov $0, %edx
    mov $2, %ebx /* the length of what faults */
    mov $NO_MSR, %ecx
    wrmsr
    rdmsr
    mov $0x8000, %edx /* not canonical */
    mov $LSTAR, %ecx
    wrmsr
    mov $3, %ebx
    mov $0x20000011, %eax /* NW without CD */
    mov %eax, %cr0
    mov $0, %edx
    mov $0x10, %eax
    mov $SYSENTER_CS, %ecx
    wrmsr
    rdmsr
    mov $SYSENTER_EIP, %ecx
    wrmsr
    mov $'r', %al
    out %al, $PORT
    in $PORT, %al
    mov $PORT, %edx
    mov $'s', %al
    out %al, %dx
    mov $bytes, %esi
    outsb
    mov $bytes, %edi
    insb
    int3
    mov $0, %eax
    out %al, $EXIT
1:  hlt
    jmp 1b

protection: /* past the instruction */
    lea 4(%esp), %esp
    add %ebx, (%esp)
    iret
breakpoint:
    iret

    .data
bytes:
    .byte 'b', 0
    .balign 8
gdt:
    .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
idt:
    .fill 3, 8, 0
    .word 0, CODE, 0x8e00, 0
    .fill 9, 8, 0
    .word 0, CODE, 0x8e00, 0
idt_end:
gdt_pointer:
    .word idt - gdt - 1
    .long gdt
idt_pointer:
    .word idt_end - idt - 1
    .long idt

    .bss
    .balign 16
    .skip 256
stack:
    .section .note.GNU-stack, "", @progbits
