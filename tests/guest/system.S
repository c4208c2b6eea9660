/* MSRs, XCR0, time stamps, random numbers, table registers: what may be written, what reads. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "guest.inc"

.macro TRY_WRMSR msr:req, high:req, low:req, name:req
    TRY
    mov $\msr, %ecx
    mov $\high, %edx
    mov $\low, %eax
    wrmsr
    END "\name"
.endm

.macro SHOW_MSR msr:req, name:req
    TRY
    mov $\msr, %ecx
    rdmsr
    END "RDMSR of \name"
    mov $\msr, %ecx
    rdmsr
    shl $32, %rdx
    or %rdx, %rax
    SHOW "\name: " %rax
.endm

    .text
    .globl main
main:
    /* EFER */
    SHOW_MSR 0xc0000080, "EFER"
    TRY_WRMSR 0xc0000080, 0, 0x800, "EFER: clearing LME with paging"
    TRY_WRMSR 0xc0000080, 1, 0xd00, "EFER: bit 32"
    TRY_WRMSR 0xc0000080, 0, 0xd02, "EFER: bit 1"
    TRY_WRMSR 0xc0000080, 0, 0x900, "EFER: LMA written as 0 is ignored"
    SHOW_MSR 0xc0000080, "EFER again"

    /* Other MSRs */
    TRY_WRMSR 0xc0000082, 0x8000, 0, "LSTAR, not canonical"
    TRY_WRMSR 0xc0000102, 0x8000, 0, "KERNEL_GS_BASE, not canonical"
    TRY_WRMSR 0xc0000100, 0xffff8000, 0, "FS_BASE, canonical"
    mov %cr4, %rax
    or $1 << 16, %rax /* FSGSBASE */
    mov %rax, %cr4
    rdfsbase %rax
    SHOW "  RDFSBASE " %rax
    TRY
    mov $1, %eax
    shl $47, %rax
    wrgsbase %rax
    END "WRGSBASE, not canonical"
    mov $0x1234, %eax
    wrgsbase %rax
    swapgs
    SHOW_MSR 0xc0000102, "KERNEL_GS_BASE"
    swapgs
    SHOW_MSR 0xc0000101, "GS_BASE"
    mov %cr4, %rax
    and $~(1 << 16), %rax
    mov %rax, %cr4
    TRY
    rdfsbase %rax
    END "RDFSBASE without CR4.FSGSBASE"
    TRY_WRMSR 0x277, 0x00070406, 0x00070402, "PAT: a reserved type"
    TRY_WRMSR 0x277, 0x00070406, 0x00070405, "PAT"
    SHOW_MSR 0x277, "PAT"
    SHOW_MSR 0xfe, "MTRR_CAP"
    TRY_WRMSR 0xfe, 0, 0, "MTRR_CAP: read-only"
    TRY_WRMSR 0x2ff, 0, 0xc06, "MTRR_DEF_TYPE"
    SHOW_MSR 0x2ff, "MTRR_DEF_TYPE"
    TRY_WRMSR 0x200, 0, 0x80000000, "MTRR_PHYSBASE0"
    SHOW_MSR 0x200, "MTRR_PHYSBASE0"
    TRY_WRMSR 0x26f, 0x06060606, 0x06060606, "MTRR_FIX4K_F8000"
    SHOW_MSR 0x26f, "MTRR_FIX4K_F8000"
    TRY
    mov $0x12345, %ecx
    rdmsr
    END "an unknown MSR, read"
    TRY_WRMSR 0x12345, 0, 0, "an unknown MSR, written"
    TRY_WRMSR 0xc0000103, 0, 0x77, "TSC_AUX"
#ifndef REAL_TIME /* the same each time only where time is the guest's */
    rdtscp
    mov %ecx, %ecx
    SHOW "  RDTSCP has it: " %rcx
#endif
    TRY
    rdpid %rax
    cmp $0x77, %rax
    je 1f
    ud2
1:
    END "RDPID has it too"

    /* XCR0 */
    TRY
    xor %ecx, %ecx
    xgetbv
    END "XGETBV without OSXSAVE"
    mov %cr4, %rax
    or $1 << 18, %rax
    mov %rax, %cr4
    mov $1, %eax
    cpuid
    shr $27, %ecx
    and $1, %ecx
    SHOW "CPUID.OSXSAVE: " %rcx
    TRY
    xor %ecx, %ecx
    xor %edx, %edx
    mov $3, %eax
    xsetbv
    END "XSETBV: x87 and SSE"
    TRY
    xor %ecx, %ecx
    xor %edx, %edx
    mov $2, %eax
    xsetbv
    END "XSETBV without x87"
    TRY
    mov $7, %ecx
    xor %edx, %edx
    mov $3, %eax
    xsetbv
    END "XSETBV of XCR7"
    xor %ecx, %ecx
    xgetbv
    SHOW "XCR0: " %rax
    USER
    xor %ecx, %ecx
    xgetbv
    ENDUSER "XGETBV in ring 3"
    USER
    xor %ecx, %ecx
    xsetbv
    ENDUSER "XSETBV in ring 3"

#ifndef REAL_TIME
    /* Time stamps */
    mov %cr4, %rax
    or $4, %rax /* TSD */
    mov %rax, %cr4
    USER
    rdtsc
    ENDUSER "RDTSC in ring 3 with TSD"
    TRY
    rdtsc
    END "RDTSC in ring 0 with TSD"
    mov %cr4, %rax
    and $~4, %rax
    mov %rax, %cr4
    USER
    rdtsc
    ENDUSER "RDTSC in ring 3"
    rdtsc
    shl $32, %rdx
    lea (%rax, %rdx), %rbx
    rdtsc
    shl $32, %rdx
    add %rdx, %rax
    cmp %rbx, %rax
    setae %al
    movzbl %al, %eax
    SHOW "time does not go back: " %rax

    /* Random numbers */
    rdrand %rbx
    setc %al
    rdrand %rcx
    cmp %rbx, %rcx
    setne %ah
    movzwl %ax, %eax
    SHOW "RDRAND: valid, not twice the same: " %rax
    rdseed %eax
    setc %al
    movzbl %al, %eax
    SHOW "RDSEED: valid: " %rax
#endif

    /* SMAP's instructions, INVPCID, INVLPG */
    USER
    stac
    ENDUSER "STAC in ring 3"
    USER
    invlpg main
    ENDUSER "INVLPG in ring 3"
    TRY
    mov $1 << 31, %eax
    shl $31, %rax
    invlpg (%rax)
    END "INVLPG of a non-canonical address"
    movq $0, pair
    TRY
    mov $4, %eax
    invpcid pair, %rax
    END "INVPCID, type 4"
    movq $1, pair
    TRY
    xor %eax, %eax
    invpcid pair, %rax
    END "INVPCID of PCID 1 without PCIDE"
    movq $0x1000, pair
    TRY
    mov $2, %eax
    invpcid pair, %rax
    END "INVPCID, reserved bits"
    movq $0, pair
    TRY
    mov $2, %eax
    invpcid pair, %rax
    END "INVPCID, all"

    /* Table registers */
    sgdt table
    movzwl table, %eax
    SHOW "SGDT: limit " %rax
    mov table + 2, %rax
    sub $gdt, %rax
    SHOW "  base - gdt " %rax
    TRY
    xor %eax, %eax
    lldt %ax
    END "LLDT of null"
    TRY
    mov $TSS, %eax
    ltr %ax
    END "LTR of a busy TSS"
    TRY
    mov $UCODE64, %eax
    mov %eax, %ds
    END "DS of readable code"
    xor %eax, %eax
    mov %eax, %ds
    TRY
    mov $3, %eax
    mov %eax, %ss
    END "SS of null with RPL 3 in ring 0"
    TRY
    .byte 0x8e, 0xc8 /* mov %eax, %cs */
    END "MOV to CS"
    TRY
    .byte 0x8e, 0xf0
    END "MOV to segment register 6"
    mov $DATA, %ecx
    lsl %ecx, %eax
    SHOW "LSL of DATA: " %rax
    mov $TSS, %ecx
    lar %ecx, %eax
    SHOW "LAR of TSS: " %rax
    mov $CODE64, %ecx
    lar %ecx, %eax
    SHOW "LAR of CODE64: " %rax

    /* Not offered, or nothing to do */
    TRY
    vmcall
    END "VMCALL"
    TRY
    rsm
    END "RSM"
    TRY
    wbinvd
    END "WBINVD"
    TRY
    mov $0x40000000, %ecx
    rdpmc
    END "RDPMC"
    ret

    .data
    .balign 16
pair:
    .quad 0, 0
table:
    .skip 16
