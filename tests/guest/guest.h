/* What the guests share: selectors, the memory map, and macros that try something and report it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef GUEST_H
#define GUEST_H

/* The GDT in runtime.S.  User selectors lie as SYSRET wants them. */
#define CODE64    0x08
#define DATA      0x10
#define CODE32    0x18
#define UCODE32   0x23
#define UDATA     0x2b
#define UCODE64   0x33
#define CODE16    0x38
#define DATA16    0x40
#define CONFORM   0x48 /* conforming 64-bit code of ring 0 */
#define TSS       0x50
#define SLOT(n)   (0x60 + 8 * (n)) /* 0..19: free for a guest; 0 at first */

/*
 * Linear memory: the first GiB is mapped one to one for the supervisor, and once more for the user
 * from ALIAS; TEST is one page table of a guest's own; the local APIC is at its place.
 */
#define ALIAS  0x40000000
#define TEST   0x80000000
#define APIC   0xfee00000

#define DONE   0x40 /* a vector that ends user blocks */
#define IPI    0x50

/*
 * TRY ... END "name" runs the lines between in ring 0 and prints what came of them: "ok", or the
 * exception, where (bytes from the first line on) and its error code.  Registers pass unchanged
 * into the block.
 */
.macro TRY
    movq $9f, resume
    mov %rsp, resume_rsp
    movq $-1, trap_vector
8:
.endm

.macro END name:req
9:
    .section .rodata
7:  .asciz "\name"
    .text
    mov $7b, %rdi
    mov $8b, %rsi
    call report
.endm

/* The same in ring 3, with RFLAGS = user_rflags; addresses need ALIAS there. */
.macro USER selector=UCODE64
    movq $9f, resume
    mov %rsp, resume_rsp
    movq $-1, trap_vector
    pushq $UDATA
    pushq $user_stack + ALIAS
    pushq user_rflags
    pushq $\selector
    pushq $8f + ALIAS
    iretq
8:
.endm

.macro ENDUSER name:req
    int $DONE
    END "\name"
.endm

.macro PRINT text:req
    .section .rodata
7:  .asciz "\text"
    .text
    mov $7b, %rdi
    call print
.endm

/* text, a value in hexadecimal, newline; the value is a 64-bit operand other than %rdi */
.macro SHOW text:req, value:req
    push \value
    PRINT "\text"
    pop %rdi
    call print_hex_line
.endm

/* Put an 8-byte descriptor or gate into GDT slot n. */
.macro DESCRIPTOR n:req, value:req
    movabs $\value, %rax
    mov %rax, gdt + SLOT(\n)
.endm

#endif
