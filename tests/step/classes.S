/* Every class of instructions that stepping has to treat, in all rings, widths and states of debugging. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.inc"

/*
 * A snippet runs once for each variant: ring 0 or 3, TF and debug registers on or off.  What it can
 * see goes to the log: at each interrupt or exception all registers, the frame, DR6, DR7,
 * CR2, DEBUGCTL, the stack's top and the data.  #DB, INT3, INTO, INT SOFT and interrupts go on
 * behind; DONE and faults end the snippet.  IF is set; with PENDING it is
 * clear, and an interrupt waits.
 */
#define LOG     0x200000
#define LOG_END 0x1000000
#define ENTRY   320
#define SOFT    0x70
#define BTF     1
#define GENERAL_DETECT 2
#define RING3 4 /* ring 0 would sleep for ever */
#define NO_TF 8 /* likewise: the trap lets the interrupt in too early */
#if defined REAL_TIME && defined PENDING /* these take a while */
#define VARIANTS 1
#elif defined REAL_TIME
#define VARIANTS 4 /* any two of the three together */
#else
#define VARIANTS 8
#endif

/* The snippets' own descriptors.  SYSENTER wants six together. */
#define SYSENTER_CS SLOT(0)
#define CODE16X     SLOT(6)
#define UCODE16X    (SLOT(7) + 3)
#define UDATA16X    (SLOT(8) + 3)
#define DATA16X     SLOT(9)

#define BREAK(n, kind, len) (2 << (2 * (n)) | (kind) << (16 + 4 * (n)) | (len) << (18 + 4 * (n)))
#define BREAKS (0x400 | BREAK(0, 0, 0) | BREAK(1, 3, 0) | BREAK(2, 2, 0))

    .data 1
table:
    .text

.macro SNIP sfmask=0 entry=system_call
    .data 1
    .quad 8f
    .long \entry, \sfmask
    .byte WIDTH
    .text
8:
.endm
.macro LAST flags=0
    int $DONE
    .data 1
    .byte \flags, 0, 0, 0, 0, 0, 0
    .text
.endm

    .text
/* --- 64-bit code ----------------------------------------------------------------------------- */

    .set WIDTH, 8
#define AX %rax
#define CX %rcx
#define SP %rsp
#define SI %rsi
#define DI %rdi
#define AXW %rax
#define DXW %rdx
#define DATAP %rbx
#define TOP %rsp
#define FAR_RETURN lretq
#define STACK_TOP
#define SYSENTER_RETURN lea 1f(%rip), %rdx; mov %rsp, %rcx
#include "classes.inc"

    SNIP
    mov %rsp, %rax
    mov %ss, %ecx
    mov %cs, %edx
    push %rcx
    push %rax
    pushf
    push %rdx
    lea 1f(%rip), %rax
    push %rax
    iretq
1:  nop
    LAST
    SNIP /* IRET sets TF */
    mov %rsp, %rax
    mov %ss, %ecx
    mov %cs, %edx
    push %rcx
    push %rax
    pushf
    orb $1, 1(%rsp)
    push %rdx
    lea 1f(%rip), %rax
    push %rax
    iretq
1:  nop
    nop
    LAST
    SNIP /* and clears it */
    mov %rsp, %rax
    mov %ss, %ecx
    mov %cs, %edx
    push %rcx
    push %rax
    pushf
    andb $0xfe, 1(%rsp)
    push %rdx
    lea 1f(%rip), %rax
    push %rax
    iretq
1:  nop
    nop
    LAST
    SNIP /* an interrupt of its own wakes it */
    cli
    mov $APIC, %ecx
    movl $0x44000 | IPI, 0x300(%rcx)
    sti
    hlt
    nop
    LAST flags=NO_TF
#ifndef REAL_TIME /* or comes before it sleeps */
    SNIP /* its timer wakes it */
    cli
    mov $APIC, %ecx
    movl $IPI, 0x320(%rcx)
    movl $3, 0x3e0(%rcx)
    movl $1000, 0x380(%rcx)
    sti
    hlt
    nop
    LAST flags=NO_TF
#endif
    SNIP /* SS from device memory: the task priority is a selector */
    mov $APIC, %ecx
    movl $DATA, 0x80(%rcx)
    mov 0x80(%rcx), %ss
    nop
    nop
    LAST
    SNIP /* device memory */
    mov $APIC, %ecx
    mov 0x30(%rcx), %eax
    pushq 0x30(%rcx)
    orl $0, 0x30(%rcx)
    nop
    LAST
    SNIP
    mov %cr3, %rax
    mov %rax, %cr3
    mov %cr4, %rax
    mov %rax, %cr4
    mov %cr0, %rax
    mov %rax, %cr0
    mov %cr2, %rax
    mov %cr8, %rax
    mov %rax, %cr8
    invlpg (%rbx)
    nop
    LAST
    SNIP
    swapgs
    swapgs
    nop
    LAST
    SNIP
    lea 8(%rbx), %rax
    lock cmpxchg8b (%rbx)
    xchg %eax, (%rax)
    nop
    LAST

#undef AX
#undef CX
#undef SP
#undef SI
#undef DI
#undef AXW
#undef DXW
#undef DATAP
#undef TOP
#undef FAR_RETURN
#undef SYSENTER_RETURN

/* --- 32-bit code ----------------------------------------------------------------------------- */

    .code32
    .set WIDTH, 4
#define AX %eax
#define CX %ecx
#define SP %esp
#define SI %esi
#define DI %edi
#define AXW %eax
#define DXW %edx
#define DATAP %ebx
#define TOP %esp
#define FAR_RETURN lretl
#define SYSENTER_RETURN call 9f; 9: pop %edx; add $1f - 9b, %edx; mov %esp, %ecx
#include "classes.inc"


#undef AX
#undef CX
#undef SP
#undef SI
#undef DI
#undef DATAP
#undef TOP
#undef FAR_RETURN
#undef STACK_TOP
#undef SYSENTER_RETURN

/* --- 16-bit code ----------------------------------------------------------------------------- */

    .code16
    .balign 4096
base16:
    .set WIDTH, 2
#define AX %ax
#define CX %cx
#define SP %sp
#define SI %si
#define DI %di
#define DATAP %bx
#define TOP %bp
#define FAR_RETURN lretw
#define STACK_TOP mov %sp, %bp
#define SYSENTER_RETURN mov $1f - base16, %edx; mov %esp, %ecx
#include "classes.inc"

    .data 1
table_end:
    .text
    .code64

/* --- System calls ---------------------------------------------------------------------------- */

/* rsp is still the caller's. */
system_call:
    mov %r11, data + 16
    pushfq
    popq data + 24
    sysretq
system_call_set:
    nop
    or $0x100, %r11d
    sysretq
system_call_clear:
    nop
    and $~0x100, %r11d
    sysretq
system_call_short:
    mov %r11, data + 16
    sysretl

/* rcx and rdx are what SYSEXIT wants. */
system_enter:
    pushfq
    popq data + 24
    nop
    sysexitq

/* --- Traps ----------------------------------------------------------------------------------- */

    .balign 16
recorders:
    .set vector, 0
    .rept 256
    .balign 16
    .if (vector != 8) && (vector < 10 || vector > 14) && (vector != 17)
    pushq $0
    .endif
    pushq $vector
    jmp record
    .set vector, vector + 1
    .endr

/* On the stack: vector, error code, and the frame. */
record:
    push %rdi
    mov log_at, %rdi
    addq $ENTRY, log_at /* MOV DR may be refused, which is an entry of its own */
    mov %rax, (%rdi)
    mov %rcx, 8(%rdi)
    mov %rdx, 16(%rdi)
    mov %rbx, 24(%rdi)
    popq 32(%rdi)
    mov %rsi, 40(%rdi)
    mov %rbp, 48(%rdi)
    .irp n, 8, 9, 10, 11, 12, 13, 14, 15
    mov %r\n, 8 * \n - 8(%rdi)
    .endr
    .irp n, 0, 16, 32, 40 /* the last two overlap */
    movups \n(%rsp), %xmm0
    movups %xmm0, 120 + \n(%rdi)
    .endr
    mov %dr6, %rax
    mov %rax, 176(%rdi)
    mov %dr7, %rax
    mov %rax, 184(%rdi)
    mov $0x400, %eax /* no hits of our own */
    mov %rax, %dr7
    mov %cr2, %rax
    mov %rax, 192(%rdi)
    xor %eax, %eax
    testb $BTF, flags
    jz 1f
    mov $0x1d9, %ecx
    rdmsr
1:  mov %rax, 200(%rdi)
    .irp n, 0, 16, 32, 48, 56
    movups area + 0xfc0 + \n, %xmm0
    movups %xmm0, 208 + \n(%rdi)
    .endr
    .irp n, 0, 16
    movups data + \n, %xmm0
    movups %xmm0, 280 + \n(%rdi)
    .endr
    mov %cs, 312(%rdi)
    mov variant, %eax
    mov %eax, 316(%rdi)
    cmpq $LOG_END - ENTRY, log_at
    ja full
    incl events
    cmpl $40, events
    ja next
    cmpl $1, (%rsp)
    je debug_trap
    cmpl $IPI, (%rsp)
    je interrupt
    cmpl $3, (%rsp)
    je go_on
    cmpl $4, (%rsp)
    je go_on
    cmpl $SOFT, (%rsp)
    je go_on
    jmp next

debug_trap:
    testb $0xf, 176(%rdi)
    jz 1f
    orl $0x10000, 32(%rsp) /* RF: past the code breakpoint */
1:  xor %eax, %eax
    mov %rax, %dr6
    testb $BTF, flags
    jz go_on
    mov $0x1d9, %ecx
    mov $2, %eax
    xor %edx, %edx
    wrmsr
    jmp go_on
interrupt:
    mov $APIC, %eax
    movl $0, 0xb0(%rax)
go_on:
    mov 184(%rdi), %rax
    mov %rax, %dr7
    mov (%rdi), %rax
    mov 8(%rdi), %rcx
    mov 16(%rdi), %rdx
    mov 32(%rdi), %rdi
    add $16, %rsp
    iretq

full:
    mov $2, %edi
    jmp exit

/* --- The runner ------------------------------------------------------------------------------ */

.macro SET_MSR msr:req, high:req, low:req
    mov $\msr, %ecx
    mov $\high, %edx
    mov $\low, %eax
    wrmsr
.endm

/* The base of a descriptor */
.macro BASE slot:req, base:req
    mov $\base, %eax
    mov %ax, gdt + \slot + 2
    shr $16, %eax
    mov %al, gdt + \slot + 4
    mov %ah, gdt + \slot + 7
.endm

    .globl main
main:
    mov $APIC, %ecx
    movl $0x1ff, 0xf0(%rcx)
    mov %cr4, %rax
    or $8, %eax /* DE */
    mov %rax, %cr4
    SET_MSR 0xc0000080, 0, 0x901 /* SCE */
    SET_MSR 0xc0000081, 0x230008, 0
    SET_MSR 0x174, 0, SYSENTER_CS
    SET_MSR 0x175, 0, stack
    SET_MSR 0x176, 0, system_enter
    DESCRIPTOR 0, 0x00af9b000000ffff
    DESCRIPTOR 1, 0x00cf93000000ffff
    DESCRIPTOR 2, 0x00cffb000000ffff
    DESCRIPTOR 3, 0x00cff3000000ffff
    DESCRIPTOR 4, 0x00affb000000ffff
    DESCRIPTOR 5, 0x00cff3000000ffff
    DESCRIPTOR 6, 0x00009b000000ffff
    DESCRIPTOR 7, 0x0000fb000000ffff
    DESCRIPTOR 8, 0x0000f3000000ffff
    DESCRIPTOR 9, 0x000093000000ffff
    BASE CODE16X, base16
    BASE SLOT(7), (base16+ALIAS)
    BASE SLOT(8), (area+ALIAS)
    BASE DATA16X, area

    xor %r8d, %r8d
1:  mov %r8d, %edi
    imul $16, %r8d, %esi
    add $recorders, %rsi
    mov $0x8e, %edx
    call set_gate
    mov %r8d, %edi
    shl $4, %edi
    movb $1, idt + 4(%rdi) /* IST1: some snippets have no stack */
    inc %r8d
    cmp $256, %r8d
    jb 1b
    .irp n, 3, 4, DONE, SOFT
    movb $0xee, idt + \n * 16 + 5
    .endr
    movb $2, idt + 1 * 16 + 4 /* #DB may come at the first instruction of another handler */
    movq $debug_stack_top, tss + 36 + 8
    movq $table, entry
    movl $-1, variant

next:
    mov $stack, %rsp
    incl variant
    cmpl $VARIANTS, variant
    jb 1f
    movl $0, variant
    addq $24, entry
1:  mov entry, %rbp
    cmp $table_end, %rbp
    jae finish
    movzbl 17(%rbp), %eax
    mov %eax, flags
    mov variant, %r12d /* 1 ring 3, 2 TF, 4 debug registers */
#ifdef REAL_TIME
    test $3, %r12b
    jpe 1f
    or $4, %r12d
1:
#endif
    test $NO_TF, %al
    jz 1f
    test $2, %r12b
    jnz next
1:  test $RING3, %al
    jz 1f
    test $1, %r12b
    jz next
1:
    xorps %xmm0, %xmm0
    .irp n, 0, 16, 32, 48, 56
    movups %xmm0, area + 0xfc0 + \n
    .endr
    movups %xmm0, data
    movups %xmm0, data + 16
    movl $0, events

    xor %r13d, %r13d
    test $1, %r12b
    jz 1f
    mov $ALIAS, %r13d
1:  mov 8(%rbp), %rax /* system calls */
    cmp %rax, calls
    je 1f
    mov %rax, calls
    xor %edx, %edx
    mov $0xc0000082, %ecx
    wrmsr
    inc %ecx
    wrmsr
    inc %ecx
    mov 12(%rbp), %eax
    wrmsr
1:  xor %eax, %eax
    mov %rax, %dr6
    mov %rax, %dr7
    test $4, %r12b
    jz 1f
    mov (%rbp), %rax
    add %r13, %rax
    mov %rax, %dr0
    lea data + 8(%r13), %rax
    mov %rax, %dr1
    mov $0x80, %eax
    mov %rax, %dr2
    mov $BREAKS, %eax
1:  testb $GENERAL_DETECT, flags
    jz 1f
    or $0x2000, %eax
1:  mov %rax, %r14
    mov flags, %eax
    and $BTF, %eax
    add %eax, %eax
    mov btf, %ecx
    mov %eax, btf
    or %eax, %ecx
    jz 1f
    xor %edx, %edx
    mov $0x1d9, %ecx
    wrmsr
1:
#ifdef PENDING
    mov $APIC, %ecx
    movl $0x44000 | IPI, 0x300(%rcx)
#endif

    /* The frame: by ring and width */
    mov (%rbp), %rax /* rip */
    lea area + 0x1000(%r13), %rsi
    lea data(%r13), %rbx
    movzbl 16(%rbp), %ecx
    cmp $2, %ecx
    jne 1f
    sub $base16, %rax
    mov $0x1000, %esi
    mov $data - area, %ebx
    jmp 2f
1:  add %r13, %rax
2:  lea -2(,%rcx,2), %ecx /* WIDTH 2, 4, 8: 2, 6, 14 */
    test $1, %r12b
    jz 1f
    inc %ecx
1:  movzwl selectors(,%rcx,4), %edx
    movzwl selectors + 2(,%rcx,4), %ecx
    push %rcx
    push %rsi
    mov %r12d, %esi
    and $2, %esi
    shl $7, %esi /* TF */
#ifdef PENDING
    or $2, %esi
#else
    or $0x202, %esi
#endif
    push %rsi
    push %rdx
    push %rax
    or $3, %ecx
    cmp $DATA + 3, %ecx
    jne 1f
    mov $UDATA, %ecx
1:  cmp $DATA16X + 3, %ecx
    jne 1f
    mov $UDATA16X, %ecx
1:  mov %ecx, %ds
    mov %ecx, %es
    mov %r14, %dr7
    xor %eax, %eax
    xor %ecx, %ecx
    xor %edx, %edx
    xor %esi, %esi
    xor %edi, %edi
    xor %ebp, %ebp
    iretq

finish:
    mov log_at, %rax
    sub $LOG, %rax
    SHOW "bytes of log: " %rax
    xor %edi, %edi
    jmp exit

    .data
    .balign 8
log_at:  .quad LOG
entry:   .quad 0
variant: .long 0
flags:   .long 0
events:  .long 0
calls:   .quad 0 /* what the MSRs hold */
btf:     .long 0
selectors: /* cs and ss of rings 0 and 3, by 2 * (WIDTH - 2) */
    .word 0, 0, 0, 0
    .word CODE16X, DATA16X, UCODE16X, UDATA16X
    .word 0, 0, 0, 0
    .word CODE32, DATA, UCODE32, UDATA
    .fill 12, 2, 0
    .word CODE64, DATA, UCODE64, UDATA

    .bss
    .balign 4096
area:
    .skip 0x2000
data:
    .skip 0x1000
    .skip 0x400
debug_stack_top:
