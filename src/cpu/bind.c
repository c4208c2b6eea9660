/* From a decoded instruction to the function that executes it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/internal.h"

static int undefined(struct cpu *cpu, const struct x86_insn *insn)
{
    (void)insn;
    return cpu_fault(cpu, X86_EXC_UD);
}

cpu_handler *cpu_bind(const struct x86_insn *insn)
{
    typedef cpu_handler *family(const struct x86_insn *insn);
    static family *const families[] = {
        cpu_bind_move,      cpu_bind_alu,    cpu_bind_branch,      cpu_bind_stack,
        cpu_bind_shift,     cpu_bind_string, cpu_bind_muldiv,      cpu_bind_system,
        cpu_bind_segment,   cpu_bind_far,    cpu_bind_syscall,     cpu_bind_msr,
        cpu_bind_io,        cpu_bind_debug,  cpu_bind_sse_move,    cpu_bind_sse_int,
        cpu_bind_sse_float, cpu_bind_x87,    cpu_bind_state_image, cpu_bind_crypto,
    };

    for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
        cpu_handler *handler = families[i](insn);

        if (handler)
            return handler;
    }
    return undefined;
}
