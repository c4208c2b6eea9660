/* SSE floating point: none yet. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "cpu/sse.h"

cpu_handler *cpu_bind_sse_float(const struct x86_insn *insn)
{
    (void)insn;
    return NULL;
}
