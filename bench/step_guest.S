/* The loops that bench/step_bench.c steps through: RCX times round, as many instructions as told. */
/* SPDX-License-Identifier: BSD-2-Clause */
    .section .rodata
    .globl step_registers, step_registers_end, step_memory, step_memory_end
    .code64
step_registers: /* 8 instructions */
    add $3, %rax
    xor %rax, %rbx
    lea 5(%rbx,%rax,2), %rdx
    shl $2, %rdi
    cmp %edi, %edx
    sete %r8b
    dec %rcx
    jnz step_registers
step_registers_end:
    hlt
step_memory: /* 8 instructions */
    add (%rsi), %rax
    mov %rax, 16(%rsi)
    push %rax
    pop %rbx
    movzbl 3(%rsi), %edx
    incl 0x1000(%rsi)
    dec %rcx
    jnz step_memory
step_memory_end:
    hlt
    .section .note.GNU-stack, "", @progbits
