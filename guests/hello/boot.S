/* From Multiboot's 32-bit protected mode to C in long mode, and the way into interrupt handlers. */
/* SPDX-License-Identifier: BSD-2-Clause */

#define PHYSICAL(symbol) ((symbol) - 0xffffffff80000000) /* hello.ld: top */

#define CR0_PG   0x80000000
#define CR0_WP   0x00010000
#define CR4_PAE  0x00000020
#define EFER     0xc0000080
#define EFER_LME 0x00000100

#define PRESENT  0x01
#define WRITABLE 0x02
#define LARGE    0x80

/* Multiboot 0.6.96, 3.1; with addresses (bit 16), because the ELF file is a 64-bit one. */
    .section .multiboot, "ax"
    .balign 4
header:
    .long 0x1badb002, 0x00010000, -(0x1badb002 + 0x00010000)
    .long PHYSICAL(header), image_begin, image_data_end, image_end, PHYSICAL(start)

    .text
    .code32
    .globl start
start:
    cli
    cld
    mov $PHYSICAL(stack_end), %esp

    /* 1 GiB in pages of 2 MiB, mapped at 0 for the way and at "top" to stay. */
    movl $(PHYSICAL(pdpt) + PRESENT + WRITABLE), PHYSICAL(pml4)
    movl $(PHYSICAL(pdpt) + PRESENT + WRITABLE), PHYSICAL(pml4) + 511 * 8
    movl $(PHYSICAL(directory) + PRESENT + WRITABLE), PHYSICAL(pdpt)
    movl $(PHYSICAL(directory) + PRESENT + WRITABLE), PHYSICAL(pdpt) + 510 * 8
    mov $(PRESENT + WRITABLE + LARGE), %eax
    xor %ecx, %ecx
1:  mov %eax, PHYSICAL(directory)(, %ecx, 8)
    add $0x200000, %eax
    inc %ecx
    cmp $512, %ecx
    jne 1b

    /* Intel SDM vol. 3, "Initializing IA-32e Mode": PAE, CR3, EFER.LME, then paging. */
    mov %cr4, %eax
    or $CR4_PAE, %eax
    mov %eax, %cr4
    mov $PHYSICAL(pml4), %eax
    mov %eax, %cr3
    mov $EFER, %ecx
    rdmsr
    or $EFER_LME, %eax
    wrmsr
    mov %cr0, %eax
    or $(CR0_PG | CR0_WP), %eax
    mov %eax, %cr0
    lgdt PHYSICAL(gdt_pointer)
    ljmp $8, $PHYSICAL(long_mode)

    .code64
long_mode:
    movabs $upper_half, %rax
    jmp *%rax

    .cfi_sections .debug_frame
    .type upper_half, @function
upper_half:
    .cfi_startproc
    .cfi_undefined rip /* the end of every backtrace */
    mov $16, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    movabs $gdt, %rax
    mov %rax, gdt_pointer + 2
    lgdt gdt_pointer
    mov $stack_end, %rsp
    call kernel_main
    .cfi_endproc
    .size upper_half, . - upper_half

/* Saves what C may change and calls the handler; tells the debugger how to find the way back. */
    .macro gate name, handler
    .globl \name
    .type \name, @function
\name:
    .cfi_startproc simple
    .cfi_signal_frame
    .cfi_def_cfa rsp, 40
    .cfi_offset rip, -40
    .cfi_offset rsp, -16
    .irp reg, rax, rcx, rdx, rsi, rdi, r8, r9, r10, r11, rbp
    push %\reg
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset \reg, 0
    .endr
    mov %rsp, %rbp
    .cfi_def_cfa_register rbp
    and $-16, %rsp
    cld
    call \handler
    mov %rbp, %rsp
    .cfi_def_cfa_register rsp
    .irp reg, rbp, r11, r10, r9, r8, rdi, rsi, rdx, rcx, rax
    pop %\reg
    .cfi_adjust_cfa_offset -8
    .cfi_restore \reg
    .endr
    iretq
    .cfi_endproc
    .size \name, . - \name
    .endm

    gate timer_gate, timer_interrupt
    gate breakpoint_gate, breakpoint_exception

    .data
    .balign 8
gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* code, 64 bits */
    .quad 0x00cf93000000ffff /* data */
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad PHYSICAL(gdt)

    .bss
    .balign 4096
pml4:
    .skip 4096
pdpt:
    .skip 4096
directory:
    .skip 4096
    .skip 16384
stack_end:

    .section .note.GNU-stack, "", @progbits
