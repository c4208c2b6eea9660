/* A guest for four vCPUs: all run through one place, each as often as it counts, at its own pace. */
/* SPDX-License-Identifier: BSD-2-Clause */
/* Position-independent 32-bit code; ESI is the vCPU's number, EDI where the counters are. */
    .section .rodata
    .globl smp_guest, smp_guest_count, smp_guest_counted, smp_guest_tested, smp_guest_end
    .code32
smp_guest:
    leal 3(%esi), %ecx
1:  imull $0x1003f, %eax, %eax
    addl %esi, %eax
    decl %ecx
    jnz 1b
smp_guest_count:
    lock incl (%edi,%esi,4)
smp_guest_counted:
    testb $0x70, %al
smp_guest_tested:
    jnz smp_guest
    pause
    jmp smp_guest
smp_guest_end:
    .section .note.GNU-stack, "", @progbits
