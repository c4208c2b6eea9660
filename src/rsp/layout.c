/* The registers as the peer sees them: one table drives order, size, description and access. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/rsp.h"

/* Registers are sent as they lie in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the host must be little-endian");

enum { CORE, SSE, SEGMENTS, SYSTEM };

static const struct rsp_feature features[] = {
    [CORE] =
        {"org.gnu.gdb.i386.core",
         "<flags id=\"i386_eflags\" size=\"4\">\n"
         "<field name=\"CF\" start=\"0\" end=\"0\"/><field name=\"\" start=\"1\" end=\"1\"/>\n"
         "<field name=\"PF\" start=\"2\" end=\"2\"/><field name=\"AF\" start=\"4\" end=\"4\"/>\n"
         "<field name=\"ZF\" start=\"6\" end=\"6\"/><field name=\"SF\" start=\"7\" end=\"7\"/>\n"
         "<field name=\"TF\" start=\"8\" end=\"8\"/><field name=\"IF\" start=\"9\" end=\"9\"/>\n"
         "<field name=\"DF\" start=\"10\" end=\"10\"/>\n"
         "<field name=\"OF\" start=\"11\" end=\"11\"/>\n"
         "<field name=\"NT\" start=\"14\" end=\"14\"/>\n"
         "<field name=\"RF\" start=\"16\" end=\"16\"/>\n"
         "<field name=\"VM\" start=\"17\" end=\"17\"/>\n"
         "<field name=\"AC\" start=\"18\" end=\"18\"/>\n"
         "<field name=\"VIF\" start=\"19\" end=\"19\"/>\n"
         "<field name=\"VIP\" start=\"20\" end=\"20\"/>\n"
         "<field name=\"ID\" start=\"21\" end=\"21\"/></flags>\n"},
    [SSE] =
        {"org.gnu.gdb.i386.sse",
         "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>\n"
         "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>\n"
         "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>\n"
         "<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>\n"
         "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>\n"
         "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>\n"
         "<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>\n"
         "<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>\n"
         "<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>\n"
         "<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/>\n"
         "</union>\n"
         "<flags id=\"i386_mxcsr\" size=\"4\">\n"
         "<field name=\"IE\" start=\"0\" end=\"0\"/><field name=\"DE\" start=\"1\" end=\"1\"/>\n"
         "<field name=\"ZE\" start=\"2\" end=\"2\"/><field name=\"OE\" start=\"3\" end=\"3\"/>\n"
         "<field name=\"UE\" start=\"4\" end=\"4\"/><field name=\"PE\" start=\"5\" end=\"5\"/>\n"
         "<field name=\"DAZ\" start=\"6\" end=\"6\"/><field name=\"IM\" start=\"7\" end=\"7\"/>\n"
         "<field name=\"DM\" start=\"8\" end=\"8\"/><field name=\"ZM\" start=\"9\" end=\"9\"/>\n"
         "<field name=\"OM\" start=\"10\" end=\"10\"/>\n"
         "<field name=\"UM\" start=\"11\" end=\"11\"/>\n"
         "<field name=\"PM\" start=\"12\" end=\"12\"/>\n"
         "<field name=\"FZ\" start=\"15\" end=\"15\"/></flags>\n"},
    [SEGMENTS] = {"org.gnu.gdb.i386.segments", ""},
    [SYSTEM] = {"ringside.system", "<flags id=\"cr0_flags\" size=\"8\">\n"
                                   "<field name=\"PE\" start=\"0\" end=\"0\"/>\n"
                                   "<field name=\"MP\" start=\"1\" end=\"1\"/>\n"
                                   "<field name=\"EM\" start=\"2\" end=\"2\"/>\n"
                                   "<field name=\"TS\" start=\"3\" end=\"3\"/>\n"
                                   "<field name=\"ET\" start=\"4\" end=\"4\"/>\n"
                                   "<field name=\"NE\" start=\"5\" end=\"5\"/>\n"
                                   "<field name=\"WP\" start=\"16\" end=\"16\"/>\n"
                                   "<field name=\"AM\" start=\"18\" end=\"18\"/>\n"
                                   "<field name=\"NW\" start=\"29\" end=\"29\"/>\n"
                                   "<field name=\"CD\" start=\"30\" end=\"30\"/>\n"
                                   "<field name=\"PG\" start=\"31\" end=\"31\"/></flags>\n"
                                   "<flags id=\"cr4_flags\" size=\"8\">\n"
                                   "<field name=\"VME\" start=\"0\" end=\"0\"/>\n"
                                   "<field name=\"PVI\" start=\"1\" end=\"1\"/>\n"
                                   "<field name=\"TSD\" start=\"2\" end=\"2\"/>\n"
                                   "<field name=\"DE\" start=\"3\" end=\"3\"/>\n"
                                   "<field name=\"PSE\" start=\"4\" end=\"4\"/>\n"
                                   "<field name=\"PAE\" start=\"5\" end=\"5\"/>\n"
                                   "<field name=\"MCE\" start=\"6\" end=\"6\"/>\n"
                                   "<field name=\"PGE\" start=\"7\" end=\"7\"/>\n"
                                   "<field name=\"PCE\" start=\"8\" end=\"8\"/>\n"
                                   "<field name=\"OSFXSR\" start=\"9\" end=\"9\"/>\n"
                                   "<field name=\"OSXMMEXCPT\" start=\"10\" end=\"10\"/>\n"
                                   "<field name=\"UMIP\" start=\"11\" end=\"11\"/>\n"
                                   "<field name=\"LA57\" start=\"12\" end=\"12\"/>\n"
                                   "<field name=\"VMXE\" start=\"13\" end=\"13\"/>\n"
                                   "<field name=\"SMXE\" start=\"14\" end=\"14\"/>\n"
                                   "<field name=\"FSGSBASE\" start=\"16\" end=\"16\"/>\n"
                                   "<field name=\"PCIDE\" start=\"17\" end=\"17\"/>\n"
                                   "<field name=\"OSXSAVE\" start=\"18\" end=\"18\"/>\n"
                                   "<field name=\"SMEP\" start=\"20\" end=\"20\"/>\n"
                                   "<field name=\"SMAP\" start=\"21\" end=\"21\"/>\n"
                                   "<field name=\"PKE\" start=\"22\" end=\"22\"/>\n"
                                   "<field name=\"CET\" start=\"23\" end=\"23\"/></flags>\n"
                                   "<flags id=\"efer_flags\" size=\"8\">\n"
                                   "<field name=\"SCE\" start=\"0\" end=\"0\"/>\n"
                                   "<field name=\"LME\" start=\"8\" end=\"8\"/>\n"
                                   "<field name=\"LMA\" start=\"10\" end=\"10\"/>\n"
                                   "<field name=\"NXE\" start=\"11\" end=\"11\"/>\n"
                                   "<field name=\"SVME\" start=\"12\" end=\"12\"/>\n"
                                   "<field name=\"FFXSR\" start=\"14\" end=\"14\"/></flags>\n"},
};

/* clang-format off */
#define FIELD(struct_, member) sizeof(((struct struct_ *)0)->member), offsetof(struct struct_, member)
/* name, type, feature, bytes on the wire, member */
#define REG(name, type, feature, size, member) \
    {name, type, feature, size, RSP_FROM_REGS, FIELD(ringside_regs, member), NULL}
#define GPR(name, type, number) REG(name, type, CORE, 8, gpr[RINGSIDE_##number])
#define SEL(name, number) REG(name, "int32", CORE, 4, seg[RINGSIDE_##number].selector)
#define FPU(name, size, member) \
    {name, "int", CORE, size, RSP_FROM_FPU, FIELD(ringside_fpu, member), "float"}
/* 80 bits: the significand and, right after it, sign and exponent */
#define ST(n) {"st" #n, "i387_ext", CORE, 10, RSP_FROM_FPU, \
    10, offsetof(struct ringside_fpu, st[n].significand), NULL}
#define XMM(n) {"xmm" #n, "vec128", SSE, 16, RSP_FROM_FPU, \
    16, offsetof(struct ringside_fpu, vector[n]), NULL}
#define SYS(name, size, member) REG(name, "uint" #size, SYSTEM, size / 8, member)
#define HIDDEN(name, member) \
    SYS(name "_limit", 32, member.limit), SYS(name "_access", 32, member.access)

static const struct rsp_register registers[] = {
    GPR("rax", "int64", RAX), GPR("rbx", "int64", RBX), GPR("rcx", "int64", RCX),
    GPR("rdx", "int64", RDX), GPR("rsi", "int64", RSI), GPR("rdi", "int64", RDI),
    [RSP_REG_RBP] = GPR("rbp", "data_ptr", RBP),
    [RSP_REG_RSP] = GPR("rsp", "data_ptr", RSP),
    GPR("r8", "int64", R8), GPR("r9", "int64", R9), GPR("r10", "int64", R10),
    GPR("r11", "int64", R11), GPR("r12", "int64", R12), GPR("r13", "int64", R13),
    GPR("r14", "int64", R14), GPR("r15", "int64", R15),
    [RSP_REG_RIP] = REG("rip", "code_ptr", CORE, 8, rip),
    {"eflags", "i386_eflags", CORE, 4, RSP_FROM_REGS, 4, offsetof(struct ringside_regs, rflags), NULL},
    SEL("cs", CS), SEL("ss", SS), SEL("ds", DS), SEL("es", ES), SEL("fs", FS), SEL("gs", GS),
    ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),
    FPU("fctrl", 4, fcw), FPU("fstat", 4, fsw),
    {"ftag", "int", CORE, 4, RSP_FROM_FPU_TAGS, 2, 0, "float"},
    FPU("fiseg", 4, fcs),
    {"fioff", "int", CORE, 4, RSP_FROM_FPU, 4, offsetof(struct ringside_fpu, fip), "float"},
    FPU("foseg", 4, fds),
    {"fooff", "int", CORE, 4, RSP_FROM_FPU, 4, offsetof(struct ringside_fpu, fdp), "float"},
    FPU("fop", 4, fop),

    XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7),
    XMM(8), XMM(9), XMM(10), XMM(11), XMM(12), XMM(13), XMM(14), XMM(15),
    {"mxcsr", "i386_mxcsr", SSE, 4, RSP_FROM_FPU, FIELD(ringside_fpu, mxcsr), "vector"},

    REG("fs_base", "int64", SEGMENTS, 8, seg[RINGSIDE_FS].base),
    REG("gs_base", "int64", SEGMENTS, 8, seg[RINGSIDE_GS].base),

    REG("cr0", "cr0_flags", SYSTEM, 8, cr0), SYS("cr2", 64, cr2), SYS("cr3", 64, cr3),
    REG("cr4", "cr4_flags", SYSTEM, 8, cr4), SYS("cr8", 64, cr8),
    REG("efer", "efer_flags", SYSTEM, 8, efer), SYS("xcr0", 64, xcr0),
    SYS("dr0", 64, dr[0]), SYS("dr1", 64, dr[1]), SYS("dr2", 64, dr[2]), SYS("dr3", 64, dr[3]),
    SYS("dr6", 64, dr6), SYS("dr7", 64, dr7),
    SYS("gdtr_base", 64, gdtr.base), SYS("gdtr_limit", 32, gdtr.limit),
    SYS("idtr_base", 64, idtr.base), SYS("idtr_limit", 32, idtr.limit),
    SYS("ldtr", 32, ldtr.selector), SYS("ldtr_base", 64, ldtr.base), HIDDEN("ldtr", ldtr),
    SYS("tr", 32, tr.selector), SYS("tr_base", 64, tr.base), HIDDEN("tr", tr),
    SYS("cs_base", 64, seg[RINGSIDE_CS].base), HIDDEN("cs", seg[RINGSIDE_CS]),
    SYS("ss_base", 64, seg[RINGSIDE_SS].base), HIDDEN("ss", seg[RINGSIDE_SS]),
    SYS("ds_base", 64, seg[RINGSIDE_DS].base), HIDDEN("ds", seg[RINGSIDE_DS]),
    SYS("es_base", 64, seg[RINGSIDE_ES].base), HIDDEN("es", seg[RINGSIDE_ES]),
    HIDDEN("fs", seg[RINGSIDE_FS]), HIDDEN("gs", seg[RINGSIDE_GS]),
    SYS("kernel_gs_base", 64, kernel_gs_base),
    SYS("star", 64, star), SYS("lstar", 64, lstar), SYS("cstar", 64, cstar),
    SYS("sfmask", 64, sfmask),
    SYS("sysenter_cs", 64, sysenter_cs), SYS("sysenter_esp", 64, sysenter_esp),
    SYS("sysenter_eip", 64, sysenter_eip),
    SYS("pat", 64, pat), SYS("tsc_aux", 64, tsc_aux), SYS("debugctl", 64, debugctl),
    SYS("apic_base", 64, apic_base), SYS("misc_enable", 64, misc_enable), SYS("xss", 64, xss),
};
/* clang-format on */

static const struct rsp_layout layout_64 = {
    .architecture = "i386:x86-64",
    .features = features,
    .registers = registers,
    .count = sizeof registers / sizeof registers[0],
};

const struct rsp_layout *rsp_layout(const struct ringside *rs)
{
    (void)rs; /* one layout serves all CPU modes so far */
    return &layout_64;
}
