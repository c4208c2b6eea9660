/* What Zydis makes of an instruction, set against what the decoder does. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef UNIT_ZYDIS_H
#define UNIT_ZYDIS_H

#include <Zydis/Zydis.h>

#include "x86/insn.h"

/* An instruction that is an undefined opcode here. */
bool zydis_foreign(const ZydisDecodedInstruction *z);

/* What is not the same, but for what Zydis is known to have wrong; NULL: nothing. */
const char *zydis_difference(const struct x86_insn *insn, const ZydisDecodedInstruction *z,
                             const ZydisDecodedOperand *operands);

#endif
