/* Turns Linux's ORC unwind tables into a .debug_frame section. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "orc.h"

#include <stdlib.h>
#include <string.h>

#include "dwarf.h"
#include "vm/boot/bytes.h"

/*
 * ORC (Linux, Documentation/arch/x86/orc-unwinder.rst; asm/orc_types.h): .orc_unwind_ip holds a
 * s32 for every row, the row's first address relative to the s32 itself; .orc_unwind the rows:
 *
 *   s16 sp_offset   the frame's end ("previous SP", DWARF's CFA) from the base register
 *   s16 bp_offset   where the caller's RBP is saved
 *   u16             3:0 base of sp_offset, 7:4 base of bp_offset, then
 *                   to Linux 6.3:  9:8 type (call, regs, partial regs), 10 and 11 end, signal
 *                   from 6.4:      10:8 type (none, end, call, regs, partial regs), 11 signal
 */
enum { IP_SIZE = 4, ROW_SIZE = 6 };
enum base {
    BASE_NONE,
    BASE_PREVIOUS_SP,
    BASE_DX,
    BASE_DI,
    BASE_BP,
    BASE_SP,
    BASE_R10,
    BASE_R13,
    BASE_BP_INDIRECT,
    BASE_SP_INDIRECT
};

/* Numbered as the wide types are. */
enum kind {
    KIND_NONE,    /* nothing known */
    KIND_END,     /* the outermost frame */
    KIND_CALL,    /* the return address is the last word of the frame */
    KIND_REGS,    /* a struct pt_regs lies at the CFA */
    KIND_PARTIAL, /* only its end, as an interrupt pushes it, lies there */
};

struct row {
    uint64_t ip;
    enum kind kind;
    bool signal; /* what it interrupted may have been before any of its instructions */
    uint8_t sp_base, bp_base;
    int16_t sp_offset, bp_offset;
};

struct orc {
    struct row *rows;
    size_t count;
};

/* The kernel's bytes at a virtual address. */
static const uint8_t *bytes_at(const struct boot_elf *vmlinux, uint64_t address, uint64_t size)
{
    for (unsigned i = 0; i < vmlinux->header_count; i++) {
        struct boot_segment s = boot_elf_segment(vmlinux, i);
        if (s.type == BOOT_PT_LOAD && address >= s.vaddr &&
            boot_inside(address - s.vaddr, size, s.file_size))
            return vmlinux->file + s.offset + (address - s.vaddr);
    }
    return NULL;
}

static uint64_t symbol(const struct kallsyms *kallsyms, const char *name)
{
    for (size_t i = 0; i < kallsyms->count; i++)
        if (!strcmp(kallsyms->symbols[i].name, name))
            return kallsyms->symbols[i].address;
    return 0;
}

/* By address; of two rows for one address the one that says nothing comes first, and loses. */
static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    if (x->ip != y->ip)
        return x->ip < y->ip ? -1 : 1;
    return (x->kind != KIND_NONE) - (y->kind != KIND_NONE);
}

/* Nearly all rows are of calls, which tells the two encodings of the type apart. */
static bool has_wide_types(const uint8_t *rows, size_t count)
{
    size_t wide = 0;
    for (size_t i = 0; i < count; i++)
        wide += (get16(rows + i * ROW_SIZE + 4) >> 8 & 7) == KIND_CALL;
    return wide > count / 2;
}

static struct row decode(const uint8_t *bytes, uint64_t ip, bool wide_types)
{
    unsigned bits = get16(bytes + 4);
    struct row row = {
        .ip = ip,
        .sp_base = bits & 0xf,
        .bp_base = bits >> 4 & 0xf,
        .sp_offset = (int16_t)get16(bytes),
        .bp_offset = (int16_t)get16(bytes + 2),
    };
    if (wide_types) {
        row.kind = (bits >> 8 & 7) <= KIND_PARTIAL ? (enum kind)(bits >> 8 & 7) : KIND_NONE;
    } else {
        static const enum kind kinds[4] = {KIND_CALL, KIND_REGS, KIND_PARTIAL, KIND_NONE};
        row.kind = kinds[bits >> 8 & 3];
        if (row.sp_base == BASE_NONE)
            row.kind = bits >> 10 & 3 ? KIND_END : KIND_NONE;
    }
    row.signal = row.kind == KIND_REGS || row.kind == KIND_PARTIAL;
    return row;
}

static int read_orc(struct orc *orc, const struct boot_elf *vmlinux,
                    const struct kallsyms *kallsyms, struct boot_error *error)
{
    uint64_t ips = symbol(kallsyms, "__start_orc_unwind_ip");
    uint64_t rows = symbol(kallsyms, "__start_orc_unwind");
    uint64_t size = symbol(kallsyms, "__stop_orc_unwind_ip") - ips;
    *orc = (struct orc){0};
    if (!ips || !rows)
        return 0;
    uint64_t count = size / IP_SIZE;
    const uint8_t *ip_bytes = size < UINT32_MAX ? bytes_at(vmlinux, ips, size) : NULL;
    const uint8_t *row_bytes = ip_bytes ? bytes_at(vmlinux, rows, count * ROW_SIZE) : NULL;
    if (!row_bytes || symbol(kallsyms, "__stop_orc_unwind") - rows < count * ROW_SIZE)
        return boot_fail(error, "the kernel is damaged: its ORC unwind tables are not inside it");
    orc->rows = calloc(count + 1, sizeof(orc->rows[0]));
    if (!orc->rows)
        return boot_fail(error, "no memory for the unwind tables");
    orc->count = count;
    bool wide_types = has_wide_types(row_bytes, count);
    for (size_t i = 0; i < count; i++) {
        int32_t relative = (int32_t)get32(ip_bytes + i * IP_SIZE);
        uint64_t ip = ips + i * IP_SIZE + (uint64_t)(int64_t)relative;
        orc->rows[i] = decode(row_bytes + i * ROW_SIZE, ip, wide_types);
    }
    qsort(orc->rows, count, sizeof(orc->rows[0]), compare_rows);
    return 0;
}

/* pt_regs, in words from its start. */
static const struct {
    unsigned reg, word;
} pt_regs[] = {
    {DWARF_R15, 0},  {DWARF_R14, 1},  {DWARF_R13, 2},  {DWARF_R12, 3},  {DWARF_RBP, 4},
    {DWARF_RBX, 5},  {DWARF_R11, 6},  {DWARF_R10, 7},  {DWARF_R9, 8},   {DWARF_R8, 9},
    {DWARF_RAX, 10}, {DWARF_RCX, 11}, {DWARF_RDX, 12}, {DWARF_RSI, 13}, {DWARF_RDI, 14},
    {DWARF_RIP, 16}, {DWARF_RSP, 19},
};
enum { PT_REGS_IP_WORD = 16 };

static int dwarf_register(unsigned base)
{
    switch (base) {
    case BASE_DX: return DWARF_RDX;
    case BASE_DI: return DWARF_RDI;
    case BASE_BP:
    case BASE_BP_INDIRECT: return DWARF_RBP;
    case BASE_SP:
    case BASE_SP_INDIRECT: return DWARF_RSP;
    case BASE_R10: return DWARF_R10;
    case BASE_R13: return DWARF_R13;
    default: return -1;
    }
}

static void put_cfa(struct dwarf *d, const struct row *row)
{
    unsigned base = (unsigned)dwarf_register(row->sp_base);
    switch (row->sp_base) {
    case BASE_BP_INDIRECT: dwarf_cfa_indirect(d, base, row->sp_offset, 0); break;
    case BASE_SP_INDIRECT: dwarf_cfa_indirect(d, base, 0, row->sp_offset); break;
    case BASE_BP:
    case BASE_SP: dwarf_cfa(d, base, row->sp_offset); break;
    default: dwarf_cfa(d, base, 0); /* the others hold the previous SP itself */
    }
}

static void put_rbp(struct dwarf *d, const struct row *row)
{
    switch (row->bp_base) {
    case BASE_PREVIOUS_SP: dwarf_saved(d, DWARF_RBP, row->bp_offset); break;
    case BASE_BP: dwarf_saved_at(d, DWARF_RBP, DWARF_RBP, row->bp_offset); break;
    default: dwarf_same(d, DWARF_RBP);
    }
}

/* The rules at a frame's first row, beyond those of its CIE. */
static void put_kind(struct dwarf *d, const struct row *row)
{
    if (row->kind == KIND_END)
        dwarf_undefined(d, DWARF_RIP);
    else if (row->kind == KIND_REGS)
        for (size_t i = 0; i < sizeof(pt_regs) / sizeof(pt_regs[0]); i++)
            dwarf_saved(d, pt_regs[i].reg, (int)pt_regs[i].word * 8);
    else if (row->kind == KIND_PARTIAL)
        for (size_t i = 0; i < sizeof(pt_regs) / sizeof(pt_regs[0]); i++)
            if (pt_regs[i].word >= PT_REGS_IP_WORD)
                dwarf_saved(d, pt_regs[i].reg, (int)(pt_regs[i].word - PT_REGS_IP_WORD) * 8);
}

static void put_row(struct dwarf *d, const struct row *row, const struct row *before)
{
    if (row->kind == KIND_END)
        return;
    if (!before || row->sp_base != before->sp_base || row->sp_offset != before->sp_offset)
        put_cfa(d, row);
    if (row->kind != KIND_REGS &&
        (before ? row->bp_base != before->bp_base || row->bp_offset != before->bp_offset
                : row->bp_base == BASE_PREVIOUS_SP || row->bp_base == BASE_BP))
        put_rbp(d, row);
}

/* A task's first frame: what called it is user mode or nothing, and no backtrace goes there. */
static bool is_outermost(const char *function)
{
    return !strncmp(function, "entry_", 6) || !strncmp(function, "ret_from_fork", 13);
}

static void settle(struct row *row, const char *function)
{
    if (row->kind == KIND_REGS && is_outermost(function))
        *row = (struct row){.ip = row->ip, .kind = KIND_END};
    if (row->kind >= KIND_CALL && dwarf_register(row->sp_base) < 0)
        row->kind = KIND_NONE;
}

static void put_frames(struct dwarf *d, const struct orc *orc, const struct kallsyms *kallsyms)
{
    const size_t call = dwarf_begin_cie(d, false);
    dwarf_end(d);
    const size_t signal = dwarf_begin_cie(d, true);
    dwarf_end(d);

    const struct kallsym *next = kallsyms->symbols, *last = next + kallsyms->count;
    const char *function = "";
    struct row before = {.kind = KIND_NONE};
    for (size_t i = 0; i + 1 < orc->count; i++) {
        struct row row = orc->rows[i];
        uint64_t end = orc->rows[i + 1].ip;
        /* A function that begins inside the row begins a frame of its own. */
        while (row.ip < end) {
            bool starts = false;
            for (; next < last && next->address <= row.ip; next++)
                starts = starts || next->address == row.ip, function = next->name;
            uint64_t stop = next < last && next->address < end ? next->address : end;
            struct row now = row;
            settle(&now, function);
            bool joins = !starts && before.kind == now.kind && before.signal == now.signal &&
                         now.kind != KIND_NONE;
            if (!joins && before.kind != KIND_NONE)
                dwarf_end_fde(d, now.ip);
            if (!joins && now.kind != KIND_NONE) {
                dwarf_begin_fde(d, now.signal ? signal : call, now.ip);
                put_kind(d, &now);
            }
            if (now.kind != KIND_NONE) {
                dwarf_advance(d, now.ip);
                put_row(d, &now, joins ? &before : NULL);
            }
            before = now;
            row.ip = stop;
        }
    }
    if (before.kind != KIND_NONE)
        dwarf_end_fde(d, orc->rows[orc->count - 1].ip);
}

int orc_to_debug_frame(const struct boot_elf *vmlinux, const struct kallsyms *kallsyms,
                       uint8_t **out, size_t *size, struct boot_error *error)
{
    struct orc orc;
    struct dwarf dwarf = {0};
    if (read_orc(&orc, vmlinux, kallsyms, error))
        return -1;
    if (orc.count > 1)
        put_frames(&dwarf, &orc, kallsyms);
    free(orc.rows);
    if (dwarf.failed) {
        free(dwarf.bytes);
        return boot_fail(error, "no memory for the unwind tables");
    }
    *out = dwarf.bytes;
    *size = dwarf.size;
    return 0;
}
