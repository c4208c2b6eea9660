/* Monitor commands about memory: translation, page walks, the physical address space. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/monitor.h"

enum { LINE = 16, DUMP_MAX = 16384 };

static void put_address(struct rsp_out *out, uint64_t address)
{
    rsp_put_text(out, "0x");
    rsp_put_hex(out, address);
}

static const char *walk_failure(int status)
{
    switch (status) {
    case X86_WALK_NOT_PRESENT: return "not present";
    case X86_WALK_RESERVED: return "a reserved bit is set";
    case X86_WALK_NONCANONICAL: return "beyond the address space of this mode";
    default: return "the entry is outside of memory";
    }
}

static void put_size(struct rsp_out *out, uint64_t size)
{
    static const char *const units[] = {" KiB", " MiB", " GiB"};
    unsigned unit = 0;

    for (size >>= 10; size >= 1024; size >>= 10)
        unit++;
    rsp_put_decimal(out, size);
    rsp_put_text(out, units[unit]);
}

static void put_result(struct rsp_out *out, const struct x86_walk *walk)
{
    if (walk->status != X86_WALK_OK) {
        rsp_put_text(out, walk_failure(walk->status));
        rsp_put_char(out, '\n');
        return;
    }
    put_address(out, walk->gpa);
    rsp_put_text(out, " (");
    put_size(out, walk->page_size);
    rsp_put_text(out, walk->writable ? " page, rw" : " page, r-");
    rsp_put_char(out, walk->executable ? 'x' : '-');
    rsp_put_text(out, walk->user ? ", user" : ", supervisor");
    rsp_put_text(out, walk->global ? ", global)\n" : ")\n");
}

static bool walk_argument(struct ringside *rs, struct rsp_cursor *in, struct x86_walk *walk)
{
    uint64_t linear;

    if (!rsp_monitor_number(in, &linear) || rsp_left(in))
        return false;
    if (debug_walk(&rs->debug, rs->session.current, linear, walk))
        *walk = (struct x86_walk){.status = X86_WALK_NO_MEMORY};
    return true;
}

bool rsp_monitor_translate(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out)
{
    struct x86_walk walk;

    if (!walk_argument(rs, in, &walk))
        return false;
    put_result(out, &walk);
    return true;
}

bool rsp_monitor_pages(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out)
{
    struct x86_walk walk;

    if (!walk_argument(rs, in, &walk))
        return false;
    /* Levels are counted downwards to the last one visited. */
    for (unsigned i = 0; i < walk.count; i++) {
        rsp_put_text(out, "level ");
        rsp_put_decimal(out, (unsigned)(walk.level + walk.count - 1) - i);
        rsp_put_text(out, " at ");
        put_address(out, walk.visited[i].gpa);
        rsp_put_text(out, ": ");
        put_address(out, walk.visited[i].entry);
        rsp_put_char(out, '\n');
    }
    rsp_put_text(out, "=> ");
    put_result(out, &walk);
    return true;
}

static void put_line(struct rsp_out *out, uint64_t gpa, const unsigned char *bytes, size_t n)
{
    rsp_put_digits(out, gpa, 12);
    rsp_put_char(out, ':');
    for (size_t i = 0; i < LINE; i++) {
        rsp_put_char(out, ' ');
        if (i < n)
            rsp_put_digits(out, bytes[i], 2);
        else
            rsp_put_text(out, "  ");
    }
    rsp_put_text(out, "  ");
    for (size_t i = 0; i < n; i++)
        rsp_put_char(out, bytes[i] >= ' ' && bytes[i] < 0x7f ? (char)bytes[i] : '.');
    rsp_put_char(out, '\n');
}

bool rsp_monitor_phys(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out)
{
    unsigned char bytes[LINE];
    uint64_t gpa, length;

    if (!rsp_monitor_number(in, &gpa) || !rsp_monitor_number(in, &length) || rsp_left(in))
        return false;
    if (length > DUMP_MAX) {
        rsp_put_text(out, "at most 16384 bytes at once\n");
        return true;
    }
    debug_access_as(&rs->debug, rs->session.current);
    for (; length; gpa += LINE) {
        size_t n = length < LINE ? (size_t)length : LINE;
        if (rs->debug.target->read_memory(rs->debug.ctx, gpa, bytes, n)) {
            put_address(out, gpa);
            rsp_put_text(out, ": no such memory\n");
            break;
        }
        put_line(out, gpa, bytes, n);
        length -= n;
    }
    return true;
}

bool rsp_monitor_phys_write(struct ringside *rs, struct rsp_cursor *in, struct rsp_out *out)
{
    uint64_t gpa;
    int error;

    if (!rsp_monitor_number(in, &gpa) || !rsp_left(in) || !rsp_unhex(in))
        return false;
    debug_access_as(&rs->debug, rs->session.current);
    error = rs->debug.target->write_memory(rs->debug.ctx, gpa, in->at, rsp_left(in));
    if (error)
        rsp_put_text(out, error == RINGSIDE_ENOTSUP ? "this engine only shows what is there\n"
                                                    : "no such memory\n");
    return true;
}
