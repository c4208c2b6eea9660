/* Mnemonics of the operations, for messages and tests. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "x86/insn.h"

/* clang-format off */ /* it takes the macro for a value */
static const char *const names[X86_OP_COUNT] = {
    [X86_INVALID] = "(invalid)",
#define X(name) [X86_##name] = #name,
    X86_OPS(X)
#undef X
};
/* clang-format on */

const char *x86_op_name(enum x86_op op)
{
    return (unsigned)op < X86_OP_COUNT ? names[op] : names[X86_INVALID];
}
