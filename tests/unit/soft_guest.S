/* A guest for the engine's tests: two CPUs, timer and inter-processor interrupts, sleep, spinning. */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loaded at 0x1000, entered there in flat 32-bit mode without paging.  Counts at 0x500:
 *   0 rounds of the boot processor   4 its timer interrupts   8 rounds of the other CPU
 *   12 its interrupts                16 sum of the TSC readings
 */
#define BASE 0x1000
#define AT(label) (label - soft_guest + BASE)
#define LAPIC 0xfee00000
#define COUNTS 0x500
#define AP_ENTRY 0x8000

    .section .rodata
    .globl soft_guest, soft_guest_end, soft_guest_round, soft_guest_store
    .code32
soft_guest:
    movl $0x7000, %esp
    /* The other CPU's code and its real-mode vector. */
    movl $AT(ap), %esi
    movl $AP_ENTRY, %edi
    movl $(ap_end - ap), %ecx
    cld
    rep movsb
    movl $(AP_ENTRY + ap_interrupt - ap), 0x41 * 4
    lidt AT(idt_pointer)
    /* Serial port: nothing but bytes. Local APIC: on; timer every 50 microseconds. */
    movl $0x1ff, LAPIC + 0xf0
    movl $0x10000, LAPIC + 0x350
    movl $0xb, LAPIC + 0x3e0
    movl $0x20040, LAPIC + 0x320
    movl $50000, LAPIC + 0x380
    /* Start the other CPU. */
    movl $0x01000000, LAPIC + 0x310
    movl $0x4500, LAPIC + 0x300
    movl $(0x4600 + AP_ENTRY / 0x1000), LAPIC + 0x300
1:  pause
    cmpl $0, COUNTS + 8
    je 1b
    sti
soft_guest_round:
    rdtsc
    addl %eax, COUNTS + 16
soft_guest_store:
    incl COUNTS
    movl COUNTS, %eax
    testl $0x3f, %eax
    jnz soft_guest_round
    movl $0x3f8, %edx
    shrl $6, %eax
    andb $0xf, %al
    addb $'a', %al
    outb %al, %dx
    /* Every now and then an interrupt for the other CPU, and a sleep. */
    testl $0x3, %eax
    jnz soft_guest_round
    movl $0x41, LAPIC + 0x300
    hlt
    jmp soft_guest_round

timer:
    pushl %eax
    incl COUNTS + 4
    movl $0, LAPIC + 0xb0
    popl %eax
    iretl

    .code16
ap:
    xorw %ax, %ax
    movw %ax, %ds
    movw %ax, %ss
    movw $0x6000, %sp
    movl $0x1b, %ecx
    rdmsr
    orl $0xc00, %eax
    wrmsr
    movl $0x80f, %ecx
    xorl %edx, %edx
    movl $0x1ff, %eax
    wrmsr
    sti
1:  incl COUNTS + 8
    rdtsc
    xorl %eax, COUNTS + 16
    testw $0xff, COUNTS + 8
    jnz 1b
    hlt
    jmp 1b
ap_interrupt:
    pushal
    incl COUNTS + 12
    movl $0x80b, %ecx
    xorl %eax, %eax
    xorl %edx, %edx
    wrmsr
    popal
    iretw
ap_end:

    .balign 8
idt:
    .fill 0x40, 8, 0
    .short AT(timer), 0x8, 0x8e00, 0
idt_pointer:
    .short idt_pointer - idt - 1
    .long AT(idt)
soft_guest_end:
    .section .note.GNU-stack, "", @progbits
