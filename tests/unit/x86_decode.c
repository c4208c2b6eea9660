/* The decoder against Zydis: length, operation, operands and legality of millions of encodings. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "unit/zydis.h"

enum { REPORTS_MAX = 40 };

struct test {
    ZydisDecoder zydis[3]; /* 16, 32, 64 bits */
    uint64_t random;
    uint64_t compared, valid, failed;
};

static const enum x86_width widths[3] = {X86_CODE16, X86_CODE32, X86_CODE64};

static uint64_t next_random(struct test *t)
{
    t->random ^= t->random << 13;
    t->random ^= t->random >> 7;
    t->random ^= t->random << 17;
    return t->random * 0x2545f4914f6cdd1dull;
}

static void report(struct test *t, const char *what, const uint8_t *bytes, enum x86_width width,
                   int length, const struct x86_insn *insn, const ZydisDecodedInstruction *z)
{
    if (t->failed++ >= REPORTS_MAX)
        return;
    printf("%d bits:", width * 8);
    for (int i = 0; i < X86_INSN_MAX; i++)
        printf(" %02x", bytes[i]);
    printf(": %s: here", what);
    if (length > 0)
        printf(" %s, %d bytes, operand size %d;", x86_op_name((enum x86_op)insn->op), length,
               insn->opsize);
    else
        printf(" error %d;", length);
    if (z)
        printf(" Zydis %s (%s), %d bytes, operand size %d\n", ZydisMnemonicGetString(z->mnemonic),
               ZydisISASetGetString(z->meta.isa_set), z->length, z->operand_width / 8);
    else
        printf(" Zydis invalid\n");
    if (length > 0 && z)
        for (int i = 0; i < insn->count; i++)
            printf("    %d: kind %d reg %d size %d\n", i, insn->operand[i].kind,
                   insn->operand[i].reg, insn->operand[i].size);
}

static void compare(struct test *t, const uint8_t bytes[X86_INSN_MAX], unsigned mode)
{
    ZydisDecodedInstruction z;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    struct x86_insn insn;
    const char *difference;
    enum x86_width width = widths[mode];
    int length = x86_decode(&insn, bytes, X86_INSN_MAX, width);
    ZyanStatus status = ZydisDecoderDecodeFull(&t->zydis[mode], bytes, X86_INSN_MAX, &z, operands);
    bool zydis_valid = ZYAN_SUCCESS(status) && !zydis_foreign(&z);

    t->compared++;
    if (!zydis_valid) {
        if (length > 0)
            report(t, "legality", bytes, width, length, &insn, ZYAN_SUCCESS(status) ? &z : NULL);
        return;
    }
    t->valid++;
    if (length <= 0)
        report(t, "legality", bytes, width, length, NULL, &z);
    else if (length != z.length)
        report(t, "length", bytes, width, length, &insn, &z);
    else if ((difference = zydis_difference(&insn, &z, operands)))
        report(t, difference, bytes, width, length, &insn, &z);
    else if (x86_decode(&insn, bytes, (size_t)length - 1, width) != X86_DECODE_SHORT)
        report(t, "truncated", bytes, width, length, &insn, &z);
}

static void fill(struct test *t, uint8_t *bytes, size_t at)
{
    for (; at < X86_INSN_MAX; at++)
        bytes[at] = (uint8_t)(next_random(t) >> 32);
}

static size_t put_opcode(uint8_t *bytes, size_t at, unsigned map, uint8_t opcode)
{
    if (map > 0)
        bytes[at++] = 0x0f;
    if (map > 1)
        bytes[at++] = map == 2 ? 0x38 : 0x3a;
    bytes[at++] = opcode;
    return at;
}

/* Every opcode of every map with every ModRM byte, by mandatory prefix and REX. */
static void compare_all_opcodes(struct test *t)
{
    static const uint8_t prefixes[][2] = {{0}, {0x66}, {0xf3}, {0xf2}, {0x66, 0xf3}, {0xf0}};
    static const uint8_t rexes[] = {0, 0x48, 0x45};

    for (unsigned mode = 0; mode < 3; mode++)
        for (unsigned prefix = 0; prefix < sizeof prefixes / sizeof prefixes[0]; prefix++)
            for (unsigned rex = 0; rex < (mode == 2 ? sizeof rexes : 1); rex++)
                for (unsigned code = 0; code < 4 << 16; code++) {
                    uint8_t bytes[X86_INSN_MAX];
                    size_t at = 0;

                    for (unsigned i = 0; i < 2; i++)
                        if (prefixes[prefix][i])
                            bytes[at++] = prefixes[prefix][i];
                    if (rexes[rex])
                        bytes[at++] = rexes[rex];
                    at = put_opcode(bytes, at, code >> 16, (uint8_t)(code >> 8));
                    bytes[at++] = (uint8_t)code;
                    fill(t, bytes, at);
                    compare(t, bytes, mode);
                }
}

/* Prefixes in any number and order, then an opcode; or nothing but random bytes. */
static void compare_random(struct test *t)
{
    static const uint8_t prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66,
                                       0x67, 0xf0, 0xf2, 0xf3, 0x66, 0x67};
    uint64_t r = next_random(t);
    uint8_t bytes[X86_INSN_MAX];
    unsigned mode = (unsigned)(r % 3);
    size_t at = 0, count = r >> 8 & 3;

    if ((r >> 10 & 7) == 0)
        count += r >> 13 & 15;
    if ((r >> 17 & 7) != 0) {
        for (; at < count && at < 11; at++) {
            uint64_t choice = next_random(t) >> 20;

            bytes[at] = prefixes[choice % sizeof prefixes];
            if (mode == 2 && (choice >> 16 & 7) == 0)
                bytes[at] = 0x40 | (choice >> 20 & 15);
        }
        if (mode == 2 && (r >> 20 & 1))
            bytes[at++] = 0x40 | (r >> 21 & 15);
        at = put_opcode(bytes, at, r >> 25 & 3, (uint8_t)(r >> 27));
    }
    fill(t, bytes, at);
    compare(t, bytes, mode);
}

static bool start(struct test *t)
{
    static const ZydisMachineMode modes[3] = {
        ZYDIS_MACHINE_MODE_LEGACY_16, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_MACHINE_MODE_LONG_64};
    static const ZydisStackWidth stacks[3] = {ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32,
                                              ZYDIS_STACK_WIDTH_64};
    /* Hints and variants that processors without these features take for NOP or WBINVD. */
    static const ZydisDecoderMode off[] = {ZYDIS_DECODER_MODE_MPX, ZYDIS_DECODER_MODE_CET,
                                           ZYDIS_DECODER_MODE_WBNOINVD,
                                           ZYDIS_DECODER_MODE_CLDEMOTE};

    for (unsigned i = 0; i < 3; i++) {
        if (ZYAN_FAILED(ZydisDecoderInit(&t->zydis[i], modes[i], stacks[i])))
            return false;
        for (size_t k = 0; k < sizeof off / sizeof off[0]; k++)
            ZydisDecoderEnableMode(&t->zydis[i], off[k], ZYAN_FALSE);
    }
    return true;
}

/* x86_decode [random encodings [seed]] */
int main(int argc, char **argv)
{
    static struct test t;
    uint64_t count = argc > 1 ? strtoull(argv[1], NULL, 0) : 24000000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);

    t.random = seed * 2 + 1;
    if (!start(&t))
        return 2;
    compare_all_opcodes(&t);
    for (uint64_t i = 0; i < count; i++)
        compare_random(&t);
    printf("seed %" PRIu64 ": %" PRIu64 " encodings compared, %" PRIu64 " valid, %" PRIu64
           " different\n",
           seed, t.compared, t.valid, t.failed);
    return t.failed ? 1 : 0;
}
