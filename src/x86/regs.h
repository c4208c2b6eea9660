/* Bits of the control, flag and debug registers, exception vectors and MSR numbers. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef X86_REGS_H
#define X86_REGS_H

/* RFLAGS (Intel SDM vol. 1, 3.4.3). */
enum {
    X86_FLAG_CF = 1 << 0,
    X86_FLAG_PF = 1 << 2,
    X86_FLAG_AF = 1 << 4,
    X86_FLAG_ZF = 1 << 6,
    X86_FLAG_SF = 1 << 7,
    X86_FLAG_TF = 1 << 8,
    X86_FLAG_IF = 1 << 9,
    X86_FLAG_DF = 1 << 10,
    X86_FLAG_OF = 1 << 11,
    X86_FLAG_IOPL = 3 << 12,
    X86_FLAG_NT = 1 << 14,
    X86_FLAG_RF = 1 << 16,
    X86_FLAG_VM = 1 << 17,
    X86_FLAG_AC = 1 << 18,
    X86_FLAG_VIF = 1 << 19,
    X86_FLAG_VIP = 1 << 20,
    X86_FLAG_ID = 1 << 21,
    X86_FLAGS_ARITH =
        X86_FLAG_CF | X86_FLAG_PF | X86_FLAG_AF | X86_FLAG_ZF | X86_FLAG_SF | X86_FLAG_OF,
    X86_FLAGS_FIXED = 1 << 1,
};

/* CR0, CR4, EFER (Intel SDM vol. 3, "Control Registers" and "Extended Feature Enable Register"). */
enum {
    X86_CR0_PE = 1 << 0,
    X86_CR0_MP = 1 << 1,
    X86_CR0_EM = 1 << 2,
    X86_CR0_TS = 1 << 3,
    X86_CR0_ET = 1 << 4,
    X86_CR0_NE = 1 << 5,
    X86_CR0_WP = 1 << 16,
    X86_CR0_AM = 1 << 18,
    X86_CR0_NW = 1 << 29,
    X86_CR0_CD = 1 << 30,
};
#define X86_CR0_PG (1ull << 31)
enum {
    X86_CR4_VME = 1 << 0,
    X86_CR4_PVI = 1 << 1,
    X86_CR4_TSD = 1 << 2,
    X86_CR4_DE = 1 << 3,
    X86_CR4_PSE = 1 << 4,
    X86_CR4_PAE = 1 << 5,
    X86_CR4_MCE = 1 << 6,
    X86_CR4_PGE = 1 << 7,
    X86_CR4_PCE = 1 << 8,
    X86_CR4_OSFXSR = 1 << 9,
    X86_CR4_OSXMMEXCPT = 1 << 10,
    X86_CR4_UMIP = 1 << 11,
    X86_CR4_LA57 = 1 << 12,
    X86_CR4_FSGSBASE = 1 << 16,
    X86_CR4_PCIDE = 1 << 17,
    X86_CR4_OSXSAVE = 1 << 18,
    X86_CR4_SMEP = 1 << 20,
    X86_CR4_SMAP = 1 << 21,
    X86_CR4_PKE = 1 << 22,
    X86_CR4_CET = 1 << 23,
};
enum {
    X86_EFER_SCE = 1 << 0,
    X86_EFER_LME = 1 << 8,
    X86_EFER_LMA = 1 << 10,
    X86_EFER_NXE = 1 << 11,
    X86_EFER_SVME = 1 << 12,
    X86_EFER_FFXSR = 1 << 14,
};

/* DR6 and DR7 (Intel SDM vol. 3, "Debug Registers"). */
enum {
    X86_DR6_B = 0xf,
    X86_DR6_BD = 1 << 13,
    X86_DR6_BS = 1 << 14,
    X86_DR6_BT = 1 << 15,
    X86_DR7_LE = 1 << 8,
    X86_DR7_GE = 1 << 9,
    X86_DR7_GD = 1 << 13,
};
#define X86_DR6_FIXED 0xffff0ff0ull
#define X86_DR7_FIXED 0x400ull
enum { X86_DEBUGCTL_LBR = 1 << 0, X86_DEBUGCTL_BTF = 1 << 1 };

/* Exceptions (Intel SDM vol. 3, "Protected-Mode Exceptions and Interrupts"). */
enum x86_exception {
    X86_EXC_DE = 0,
    X86_EXC_DB = 1,
    X86_EXC_NMI = 2,
    X86_EXC_BP = 3,
    X86_EXC_OF = 4,
    X86_EXC_BR = 5,
    X86_EXC_UD = 6,
    X86_EXC_NM = 7,
    X86_EXC_DF = 8,
    X86_EXC_TS = 10,
    X86_EXC_NP = 11,
    X86_EXC_SS = 12,
    X86_EXC_GP = 13,
    X86_EXC_PF = 14,
    X86_EXC_MF = 16,
    X86_EXC_AC = 17,
    X86_EXC_MC = 18,
    X86_EXC_XM = 19,
    X86_EXC_CP = 21,
};

/* Error code of #PF (Intel SDM vol. 3, "Page-Fault Exceptions"). */
enum {
    X86_PF_P = 1 << 0,
    X86_PF_W = 1 << 1,
    X86_PF_U = 1 << 2,
    X86_PF_RSVD = 1 << 3,
    X86_PF_I = 1 << 4,
    X86_PF_PK = 1 << 5,
};

/* Access rights of struct ringside_segment (Intel SDM vol. 3, "Format of Access Rights"). */
enum {
    X86_SEG_ACCESSED = 1 << 0,
    X86_SEG_WRITABLE = 1 << 1,
    X86_SEG_READABLE = 1 << 1,
    X86_SEG_EXPAND_DOWN = 1 << 2,
    X86_SEG_CONFORMING = 1 << 2,
    X86_SEG_CODE = 1 << 3,
    X86_SEG_TYPE = 0xf,
    X86_SEG_S = 1 << 4,
    X86_SEG_DPL = 3 << 5,
    X86_SEG_DPL_SHIFT = 5,
    X86_SEG_P = 1 << 7,
    X86_SEG_AVL = 1 << 12,
    X86_SEG_L = 1 << 13,
    X86_SEG_DB = 1 << 14,
    X86_SEG_G = 1 << 15,
};

/* Model-specific registers (Intel SDM vol. 4; AMD APM vol. 2, appendix A). */
enum x86_msr {
    X86_MSR_TSC = 0x10,
    X86_MSR_APIC_BASE = 0x1b,
    X86_MSR_FEATURE_CONTROL = 0x3a,
    X86_MSR_TSC_ADJUST = 0x3b,
    X86_MSR_SPEC_CTRL = 0x48,
    X86_MSR_PRED_CMD = 0x49,
    X86_MSR_BIOS_SIGN_ID = 0x8b,
    X86_MSR_MTRR_CAP = 0xfe,
    X86_MSR_ARCH_CAPABILITIES = 0x10a,
    X86_MSR_SYSENTER_CS = 0x174,
    X86_MSR_SYSENTER_ESP = 0x175,
    X86_MSR_SYSENTER_EIP = 0x176,
    X86_MSR_MCG_CAP = 0x179,
    X86_MSR_MCG_STATUS = 0x17a,
    X86_MSR_MISC_ENABLE = 0x1a0,
    X86_MSR_DEBUGCTL = 0x1d9,
    X86_MSR_MTRR_PHYSBASE0 = 0x200,
    X86_MSR_MTRR_FIX64K = 0x250,
    X86_MSR_PAT = 0x277,
    X86_MSR_MTRR_DEF_TYPE = 0x2ff,
    X86_MSR_TSC_DEADLINE = 0x6e0,
    X86_MSR_X2APIC_FIRST = 0x800,
    X86_MSR_X2APIC_LAST = 0x8ff,
    X86_MSR_XSS = 0xda0,
};
#define X86_MSR_EFER           0xc0000080u
#define X86_MSR_STAR           0xc0000081u
#define X86_MSR_LSTAR          0xc0000082u
#define X86_MSR_CSTAR          0xc0000083u
#define X86_MSR_SFMASK         0xc0000084u
#define X86_MSR_FS_BASE        0xc0000100u
#define X86_MSR_GS_BASE        0xc0000101u
#define X86_MSR_KERNEL_GS_BASE 0xc0000102u
#define X86_MSR_TSC_AUX        0xc0000103u
#define X86_MSR_AMD_SYSCFG     0xc0010010u
#define X86_MSR_AMD_HWCR       0xc0010015u
#define X86_MSR_AMD_DE_CFG     0xc0011029u

#endif
