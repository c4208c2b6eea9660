/* qMemoryRegionInfo, which LLDB asks: what is mapped around an address, and with which rights. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/rsp.h"

/* Pages and holes that are alike are one region, as far as so many walks tell. */
enum { WALKS_MAX = 512 };

struct region {
    uint64_t first, last;
    bool mapped, writable, executable;
};

/* How much one entry of the table in which the walk ended stands for. */
static uint64_t hole_size(const struct x86_walk *walk)
{
    unsigned bits = walk->entry_size == 4 ? 10 : 9;

    return walk->status == X86_WALK_NO_MEMORY ? 4096 : 4096ull << bits * (walk->level - 1u);
}

static bool look(struct ringside *rs, uint64_t linear, struct region *region)
{
    unsigned vcpu = rs->session.current;
    struct x86_walk walk;

    if (debug_walk(&rs->debug, vcpu, linear, &walk))
        return false;
    *region = (struct region){.mapped = walk.status == X86_WALK_OK};
    if (walk.status == X86_WALK_NONCANONICAL)
        return debug_noncanonical(&rs->debug, vcpu, &region->first, &region->last);
    uint64_t size = region->mapped ? walk.page_size : hole_size(&walk);
    region->first = linear & ~(size - 1);
    region->last = region->first + (size - 1);
    region->writable = region->mapped && walk.writable;
    region->executable = region->mapped && walk.executable;
    return true;
}

static bool alike(const struct region *a, const struct region *b)
{
    return a->mapped == b->mapped && a->writable == b->writable && a->executable == b->executable;
}

void rsp_memory_region(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    struct region region, next;

    if (!look(rs, request->value[0], &region)) {
        rsp_error(rs, out, RINGSIDE_EIO, NULL);
        return;
    }
    for (unsigned i = 0; i < WALKS_MAX && region.last != UINT64_MAX; i++) {
        if (!look(rs, region.last + 1, &next) || !alike(&region, &next))
            break;
        region.last = next.last;
    }
    rsp_put_text(out, "start:");
    rsp_put_hex(out, region.first);
    rsp_put_text(out, ";size:");
    rsp_put_hex(out, region.last - region.first + 1);
    rsp_put_char(out, ';');
    if (!region.mapped)
        return;
    rsp_put_text(out, "permissions:r");
    rsp_put_text(out, region.writable ? "w" : "");
    rsp_put_text(out, region.executable ? "x;" : ";");
}
