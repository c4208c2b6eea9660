/* Memory as the debugger sees it: linear addresses through the vCPU's own page tables. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "debug/debug.h"
#include "x86/regs.h"

/* The debugger wants to see a page even where the guest's processor would find a bit reserved. */
enum { PHYSICAL_BITS = 52, PAGE = 4096 };

static bool read_entry(void *ctx, uint64_t gpa, unsigned size, uint64_t *entry)
{
    struct debug *debug = ctx;
    uint64_t value = 0;

    if (debug->target->read_memory(debug->ctx, gpa, &value, size))
        return false;
    *entry = value;
    return true;
}

/* A vCPU that was not started has no translation of its own yet; that of the latest stop's vCPU is
 * then what the peer means, above all one (LLDB) that reads by whatever thread it looked at last.
 */
static const struct ringside_regs *translation_of(struct debug *debug, unsigned vcpu)
{
    const struct ringside_regs *regs = debug_regs(debug, vcpu);

    if (regs && regs->activity == RINGSIDE_WAIT_SIPI)
        regs = debug_regs(debug, debug->event_vcpu);
    return regs;
}

void debug_access_as(struct debug *debug, unsigned vcpu)
{
    const struct ringside_machine_ops *machine = debug->target->machine;

    if (machine && machine->access_as)
        machine->access_as(debug->ctx, vcpu);
}

int debug_walk(struct debug *debug, unsigned vcpu, uint64_t linear, struct x86_walk *walk)
{
    const struct ringside_regs *regs = translation_of(debug, vcpu);

    if (!regs)
        return RINGSIDE_EIO;
    /* The processor would wrap such an address; for a symbol of a kernel that is still to come it
     * means "not mapped yet". */
    if (!(regs->efer & X86_EFER_LMA) && linear >> 32) {
        *walk = (struct x86_walk){.status = X86_WALK_NONCANONICAL};
        return RINGSIDE_OK;
    }
    struct x86_paging paging = {
        .cr0 = regs->cr0,
        .cr3 = regs->cr3,
        .cr4 = regs->cr4,
        .efer = regs->efer,
        .phys_bits = PHYSICAL_BITS,
    };
    x86_paging_walk(walk, &paging, linear, read_entry, debug);
    return RINGSIDE_OK;
}

bool debug_noncanonical(struct debug *debug, unsigned vcpu, uint64_t *first, uint64_t *last)
{
    const struct ringside_regs *regs = translation_of(debug, vcpu);

    if (!regs)
        return false;
    *first = 1ull << 32;
    *last = UINT64_MAX;
    if (regs->efer & X86_EFER_LMA) {
        *first = 1ull << (regs->cr4 & X86_CR4_LA57 ? 56 : 47);
        *last = ~*first;
    }
    return true;
}

int debug_translate(struct debug *debug, unsigned vcpu, uint64_t linear, uint64_t *gpa)
{
    struct x86_walk walk;
    int error = debug_walk(debug, vcpu, linear, &walk);

    if (error)
        return error;
    if (walk.status != X86_WALK_OK)
        return RINGSIDE_EFAULT;
    *gpa = walk.gpa;
    return RINGSIDE_OK;
}

/*
 * The piece of [linear, linear + n) that lies in the first 4 KiB: where it is, and how long.  Large
 * pages are cut as well, since one may reach over the end of memory.
 */
static int first_piece(struct debug *debug, unsigned vcpu, uint64_t linear, size_t n, uint64_t *gpa,
                       size_t *length)
{
    size_t left = PAGE - (linear & (PAGE - 1));

    *length = n < left ? n : left;
    return debug_translate(debug, vcpu, linear, gpa);
}

size_t debug_read(struct debug *debug, unsigned vcpu, uint64_t linear, void *buffer, size_t n)
{
    unsigned char *to = buffer;
    size_t done = 0, length;
    uint64_t gpa;

    debug_access_as(debug, vcpu);
    while (done < n && !first_piece(debug, vcpu, linear + done, n - done, &gpa, &length)) {
        if (debug->target->read_memory(debug->ctx, gpa, to + done, length))
            break;
        done += length;
    }
    return done;
}

size_t debug_write(struct debug *debug, unsigned vcpu, uint64_t linear, const void *buffer,
                   size_t n)
{
    const unsigned char *from = buffer;
    size_t done = 0, length;
    uint64_t gpa;

    debug_access_as(debug, vcpu);
    while (done < n && !first_piece(debug, vcpu, linear + done, n - done, &gpa, &length)) {
        if (debug->target->write_memory(debug->ctx, gpa, from + done, length))
            break;
        done += length;
    }
    return done;
}
