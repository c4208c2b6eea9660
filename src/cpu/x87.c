/* x87: which handler an instruction has. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/x87.h"

cpu_handler *cpu_bind_x87(const struct x86_insn *insn)
{
    return cpu_bind_x87_control(insn);
}
