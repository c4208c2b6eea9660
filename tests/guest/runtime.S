/* The runtime of the guests: boot to long mode, descriptor tables, traps, printing, the end. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.inc"

    .section .note.pvh, "a", @note
    .long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long pvh_start

/* --- Boot ------------------------------------------------------------------------------------ */

    .text
    .code32
    .globl pvh_start
pvh_start:
    cli
    lgdt gdt_pointer32
    ljmp $CODE32, $1f
1:  mov $DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $stack, %esp
    cmpl $0, early /* a guest's own code before long mode */
    je 1f
    call *early
1:
    /* PDPT: 1 GiB supervisor, its user alias, the test table, the APIC's GiB. */
    movl $pdpt + 7, pml4
    movl $pd_low + 7, pdpt
    movl $pd_alias + 7, pdpt + 8
    movl $pd_test + 7, pdpt + 16
    movl $0xc0000083, pdpt + 24
    movl $pt_test + 7, pd_test
    xor %ecx, %ecx
1:  mov %ecx, %eax
    shl $21, %eax
    or $0x83, %eax
    mov %eax, pd_low(,%ecx,8)
    or $4, %eax
    mov %eax, pd_alias(,%ecx,8)
    inc %ecx
    cmp $512, %ecx
    jb 1b

    mov $pml4, %eax
    mov %eax, %cr3
    mov $0x620, %eax /* PAE, OSFXSR, OSXMMEXCPT */
    mov %eax, %cr4
    mov $0xc0000080, %ecx
    mov $0x900, %eax /* LME, NXE */
    xor %edx, %edx
    wrmsr
    mov $0x80000033, %eax /* PG, NE, ET, MP, PE; WP is a guest's choice */
    mov %eax, %cr0
    ljmp $CODE64, $start64

    .code64
start64:
    xor %eax, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov $stack, %rsp
    mov $0xff, %al /* no PIC interrupts */
    out %al, $0x21
    out %al, $0xa1
    fninit

    xor %ecx, %ecx
1:  mov %ecx, %edi
    mov $stubs, %esi
    imul $16, %ecx, %eax
    add %rax, %rsi
    mov $0x8e, %edx
    call set_gate
    inc %ecx
    cmp $256, %ecx
    jb 1b
    movb $0xee, idt + 3 * 16 + 5
    movb $0xee, idt + 4 * 16 + 5
    movb $0xee, idt + DONE * 16 + 5
    lidt idt_pointer

    mov $tss, %eax
    mov %ax, gdt + TSS + 2
    shr $16, %eax
    mov %al, gdt + TSS + 4
    mov $TSS, %eax
    ltr %ax
    call main
    xor %edi, %edi

/* End with status edi; isa-debug-exit makes it (status << 1) | 1. */
    .globl exit
exit:
    mov %edi, %eax
    out %al, $0xf4
1:  hlt
    jmp 1b

/* Gate edi: handler rsi, access byte edx; no IST. */
    .globl set_gate
set_gate:
    shl $4, %edi
    mov %si, idt(%rdi)
    movw $CODE64, idt + 2(%rdi)
    movb $0, idt + 4(%rdi)
    mov %dl, idt + 5(%rdi)
    shr $16, %rsi
    mov %rsi, idt + 6(%rdi) /* and the reserved bits, 0 */
    ret

/* --- Traps ----------------------------------------------------------------------------------- */

    .balign 16
stubs:
    .set vector, 0
    .rept 256
    .balign 16
    .if (vector != 8) && (vector < 10 || vector > 14) && (vector != 17)
    pushq $0
    .endif
    pushq $vector
    jmp trap
    .set vector, vector + 1
    .endr

trap:
    popq trap_vector
    popq trap_error
    popq trap_rip
    popq trap_cs
    popq trap_rflags
    popq trap_rsp
    popq trap_ss
    mov %rax, trap_rax
    mov %rcx, trap_rcx
    mov %rsp, trap_stack
    mov %cr2, %rax
    mov %rax, trap_cr2
    mov %dr6, %rax
    mov %rax, trap_dr6
    cmpq $0, resume
    je 1f
    mov resume_rsp, %rsp
    jmp *resume
1:  mov resume_rsp, %rsp
    PRINT "unexpected: "
    mov $0, %esi
    call report_trap
    mov $1, %edi
    jmp exit

/* name rdi, first line of the block rsi */
    .globl report
report:
    movq $0, resume
    push %rbx
    mov %rsi, %rbx
    call print
    PRINT ": "
    mov %rbx, %rsi
    call report_trap
    pop %rbx
    ret

report_trap:
    push %rbx
    mov %rsi, %rbx
    mov trap_vector, %rax
    cmp $-1, %rax
    jne 1f
    PRINT "ok\n"
    jmp 9f
1:  cmp $DONE, %rax
    jne 1f
    PRINT "done\n"
    jmp 9f
1:  cmp $32, %rax
    jae 1f
    lea names(,%rax,4), %rdi
    call print
    jmp 2f
1:  PRINT "interrupt "
    mov trap_vector, %rdi
    call print_hex
2:  mov trap_rip, %rdi
    sub %rbx, %rdi
    lea -ALIAS(%rdi), %rax
    cmp $0x1000, %rax
    cmovb %rax, %rdi
    cmp $0x1000, %rdi
    jae 1f
    push %rdi
    PRINT " at +"
    pop %rdi
    jmp 2f
1:  PRINT " at "
    mov trap_rip, %rdi
2:  call print_hex
    mov trap_vector, %rcx
    mov $0x27d00, %eax /* 8, 10..14, 17 */
    bt %ecx, %eax
    jnc 1f
    PRINT " error "
    mov trap_error, %rdi
    call print_hex
1:  cmpl $14, trap_vector
    jne 1f
    PRINT " cr2 "
    mov trap_cr2, %rdi
    call print_hex
1:  cmpl $1, trap_vector
    jne 1f
    PRINT " dr6 "
    mov trap_dr6, %rdi
    call print_hex
1:  PRINT "\n"
9:  pop %rbx
    ret

/* --- Printing -------------------------------------------------------------------------------- */

    .globl print
print:
    cmpb $0, silent
    jne 2f
    mov $0x3f8, %edx
1:  mov (%rdi), %al
    test %al, %al
    jz 2f
    out %al, %dx
    inc %rdi
    jmp 1b
2:  ret

    .globl print_hex
print_hex:
    cmpb $0, silent
    jne 2f
    mov $0x3f8, %edx
    mov $64, %ecx
1:  sub $4, %ecx /* no leading zeros */
    jz 1f
    mov %rdi, %rax
    shr %cl, %rax
    jz 1b
1:  mov %rdi, %rax
    shr %cl, %rax
    and $15, %eax
    mov digits(%rax), %al
    out %al, %dx
    sub $4, %ecx
    jns 1b
2:  ret

    .globl print_hex_line
print_hex_line:
    cmpb $0, silent
    jne 2b
    call print_hex
    mov $'\n', %al
    out %al, %dx
    ret

    .section .rodata
digits:
    .ascii "0123456789abcdef"
names:
    .asciz "#DE", "#DB", "NMI"
    .irp n, BP, OF, BR, UD, NM, DF, 09, TS, NP, SS, GP, PF, 15, MF, AC, MC, XM
    .asciz "#\n"
    .endr
    .irp n, VE, CP, 22, 23, 24, 25, 26, 27, HV, VC, SX, 31
    .asciz "#\n"
    .endr

/* --- Data ------------------------------------------------------------------------------------ */

    .data
    .globl gdt, gdt_pointer, tss, idt, exit, idt_pointer, user_rflags
    .balign 16
gdt:
    .quad 0
    .quad 0x00af9b000000ffff /* CODE64 */
    .quad 0x00cf93000000ffff /* DATA */
    .quad 0x00cf9b000000ffff /* CODE32 */
    .quad 0x00cffb000000ffff /* UCODE32 */
    .quad 0x00cff3000000ffff /* UDATA */
    .quad 0x00affb000000ffff /* UCODE64 */
    .quad 0x00009b000000ffff /* CODE16 */
    .quad 0x000093000000ffff /* DATA16 */
    .quad 0x00af9f000000ffff /* CONFORM */
    .quad 0x0000890000000067 /* TSS; its base is filled in */
    .quad 0
    .fill 20, 8, 0
gdt_end:
gdt_pointer32:
    .word gdt_end - gdt - 1
    .long gdt
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt
idt_pointer:
    .word 256 * 16 - 1
    .quad idt

    .balign 16
tss:
    .long 0
    .quad trap_stack_top, 0, 0, 0 /* RSP0..2 */
    .quad ist1_top, 0, 0, 0, 0, 0, 0, 0
    .word 0, 0x68 /* no I/O bitmap */

user_rflags:
    .quad 2
    .weak early
early:
    .long 0

    .globl resume, resume_rsp, trap_vector, trap_error, trap_rip, trap_cs, trap_rflags, trap_rsp
    .globl trap_ss, trap_rax, trap_rcx, trap_cr2, trap_dr6, trap_stack, user_stack, pt_test, ist1_top
    .globl trap_stack_top, pml4, stack, silent
    .bss
    .balign 4096
pml4:     .skip 4096
pdpt:     .skip 4096
pd_low:   .skip 4096
pd_alias: .skip 4096
pd_test:  .skip 4096
pt_test:  .skip 4096
idt:      .skip 4096
    .skip 4096
stack:
    .skip 4096
trap_stack_top:
    .skip 4096
ist1_top:
    .skip 4096
user_stack:
resume:      .skip 8
resume_rsp:  .skip 8
trap_vector: .skip 8
trap_error:  .skip 8
trap_rip:    .skip 8
trap_cs:     .skip 8
trap_rflags: .skip 8
trap_rsp:    .skip 8
trap_ss:     .skip 8
trap_rax:    .skip 8
trap_rcx:    .skip 8
trap_cr2:    .skip 8
trap_dr6:    .skip 8
trap_stack:  .skip 8 /* where the frame ended */
silent:      .skip 1 /* set by who has no use for what is printed */
