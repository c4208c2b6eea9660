/* The x87 opcodes, D8..DF (Intel SDM vol. 2, tables ). */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "x86/table.h"

/* clang-format off */

/* FADD to FDIVR with these operands; FCOM and FCOMP have the source only. */
#define ARITHMETIC(prefix, ...) \
    OP(prefix##ADD, 0, __VA_ARGS__), OP(prefix##MUL, 0, __VA_ARGS__), \
    OP(prefix##COM, 0, __VA_ARGS__), OP(prefix##COMP, 0, __VA_ARGS__), \
    OP(prefix##SUB, 0, __VA_ARGS__), OP(prefix##SUBR, 0, __VA_ARGS__), \
    OP(prefix##DIV, 0, __VA_ARGS__), OP(prefix##DIVR, 0, __VA_ARGS__)

const struct x86_row x86_map_x87[8] = {
    [0] = BY_MOD(
        BY_REG(ARITHMETIC(F, Md)),
        BY_REG(OP(FADD, 0, ST0, STi), OP(FMUL, 0, ST0, STi), OP(FCOM, 0, STi), OP(FCOMP, 0, STi),
               OP(FSUB, 0, ST0, STi), OP(FSUBR, 0, ST0, STi), OP(FDIV, 0, ST0, STi),
               OP(FDIVR, 0, ST0, STi))),
    [1] = BY_MOD(
        BY_REG(OP(FLD, 0, Md), XX, OP(FST, 0, Md), OP(FSTP, 0, Md), OP(FLDENV, 0, Menv),
               OP(FLDCW, 0, Mw), OP(FNSTENV, 0, Menv), OP(FNSTCW, 0, Mw)),
        BY_REG(OP(FLD, 0, STi),
               OP(FXCH, 0, STi),
               BY_RM(OP(FNOP, 0)),
               OP(FSTP, 0, STi), /* an alias of DD D8 */
               BY_RM(OP(FCHS, 0), OP(FABS, 0), XX, XX, OP(FTST, 0), OP(FXAM, 0)),
               BY_RM(OP(FLD1, 0), OP(FLDL2T, 0), OP(FLDL2E, 0), OP(FLDPI, 0), OP(FLDLG2, 0),
                     OP(FLDLN2, 0), OP(FLDZ, 0)),
               BY_RM(OP(F2XM1, 0), OP(FYL2X, 0), OP(FPTAN, 0), OP(FPATAN, 0), OP(FXTRACT, 0),
                     OP(FPREM1, 0), OP(FDECSTP, 0), OP(FINCSTP, 0)),
               BY_RM(OP(FPREM, 0), OP(FYL2XP1, 0), OP(FSQRT, 0), OP(FSINCOS, 0), OP(FRNDINT, 0),
                     OP(FSCALE, 0), OP(FSIN, 0), OP(FCOS, 0)))),
    [2] = BY_MOD(
        BY_REG(ARITHMETIC(FI, Md)),
        BY_REG(OP(FCMOVCC, cc, ST0, STi), OP(FCMOVCC, cc, ST0, STi), OP(FCMOVCC, cc, ST0, STi),
               OP(FCMOVCC, cc, ST0, STi), XX, BY_RM(XX, OP(FUCOMPP, 0)))),
    [3] = BY_MOD(
        BY_REG(OP(FILD, 0, Md), OP(FISTTP, 0, Md), OP(FIST, 0, Md), OP(FISTP, 0, Md), XX,
               OP(FLD, 0, Mt), XX, OP(FSTP, 0, Mt)),
        BY_REG(OP(FCMOVCC, cc, ST0, STi), OP(FCMOVCC, cc, ST0, STi), OP(FCMOVCC, cc, ST0, STi),
               OP(FCMOVCC, cc, ST0, STi),
               BY_RM(OP(FNENI, 0), OP(FNDISI, 0), OP(FNCLEX, 0), OP(FNINIT, 0), OP(FNSETPM, 0)),
               OP(FUCOMI, 0, ST0, STi), OP(FCOMI, 0, ST0, STi))),
    [4] = BY_MOD(
        BY_REG(ARITHMETIC(F, Mq)),
        BY_REG(OP(FADD, 0, STi, ST0), OP(FMUL, 0, STi, ST0),
               OP(FCOM, 0, STi), OP(FCOMP, 0, STi), /* aliases of D8 D0, D8 D8 */
               OP(FSUBR, 0, STi, ST0), OP(FSUB, 0, STi, ST0), OP(FDIVR, 0, STi, ST0),
               OP(FDIV, 0, STi, ST0))),
    [5] = BY_MOD(
        BY_REG(OP(FLD, 0, Mq), OP(FISTTP, 0, Mq), OP(FST, 0, Mq), OP(FSTP, 0, Mq),
               OP(FRSTOR, 0, Msave), XX, OP(FNSAVE, 0, Msave), OP(FNSTSW, 0, Mw)),
        BY_REG(OP(FFREE, 0, STi), OP(FXCH, 0, STi), OP(FST, 0, STi), OP(FSTP, 0, STi),
               OP(FUCOM, 0, STi), OP(FUCOMP, 0, STi))),
    [6] = BY_MOD(
        BY_REG(ARITHMETIC(FI, Mw)),
        BY_REG(OP(FADDP, 0, STi, ST0), OP(FMULP, 0, STi, ST0),
               OP(FCOMP, 0, STi), /* an alias of D8 D8 */
               BY_RM(XX, OP(FCOMPP, 0)),
               OP(FSUBRP, 0, STi, ST0), OP(FSUBP, 0, STi, ST0), OP(FDIVRP, 0, STi, ST0),
               OP(FDIVP, 0, STi, ST0))),
    [7] = BY_MOD(
        BY_REG(OP(FILD, 0, Mw), OP(FISTTP, 0, Mw), OP(FIST, 0, Mw), OP(FISTP, 0, Mw),
               OP(FBLD, 0, Mt), OP(FILD, 0, Mq), OP(FBSTP, 0, Mt), OP(FISTP, 0, Mq)),
        BY_REG(OP(FFREEP, 0, STi),
               OP(FXCH, 0, STi), OP(FSTP, 0, STi), OP(FSTP, 0, STi), /* aliases */
               BY_RM(OP(FNSTSW, 0, AX)),
               OP(FUCOMIP, 0, ST0, STi), OP(FCOMIP, 0, ST0, STi))),
};
/* clang-format on */
