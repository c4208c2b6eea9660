/* The pages of RAM in which the debugger has something, and how they are kept from the guest. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ENGINE_KVM_PAGES_H
#define ENGINE_KVM_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct kvm_machine;

enum { KVM_PAGE_SIZE = 4096 };

/*
 * A page is kept from the guest by mprotect() of the RAM behind it.  The kernel then cannot give
 * the guest what it needs, and KVM_RUN fails with EFAULT before anything has happened, be it a
 * fetch, an access, the page walk or the delivery of an event; the server executes the instruction.
 * Unlike a change of memory slots this is done while vCPUs run, a page at a time, and costs those
 * that do not touch the page nothing.
 *
 * Protected or not, RAM has what the guest shall find there.  It is written through /proc/self/mem,
 * which mprotect() does not bind.
 */
enum kvm_protection { KVM_OPEN, KVM_READ_ONLY, KVM_NO_ACCESS };

/* What a watchpoint watches of one page. */
struct kvm_piece {
    uint64_t gpa, linear;
    uint16_t length;
    const struct kvm_paged_watch *watch;
    struct kvm_piece *next;
};

struct kvm_page {
    uint64_t gpa;
    unsigned breakpoints;
    unsigned writes, reads; /* watchpoints: of writes alone, and those that see reads */
    enum kvm_protection protection;
    bool idle; /* in the list of those that may have nothing in them */
    struct kvm_page *next_idle;
    struct kvm_piece *pieces;
    uint64_t here[KVM_PAGE_SIZE / 64]; /* a bit for each place that has a breakpoint */
    /* The page as the guest wrote it, without trap bytes.  It is exact: what the guest writes to a
     * protected page comes through us. */
    uint8_t clean[KVM_PAGE_SIZE];
};

/* By 2 MiB of guest-physical addresses, then by page. */
enum { KVM_TABLE_PAGES = 512 };
struct kvm_page_table {
    unsigned count;
    struct kvm_page *page[KVM_TABLE_PAGES];
};

/* What is out of the way of the one vCPU that may be in the guest. */
enum kvm_lift {
    KVM_LIFT_NOTHING,
    KVM_LIFT_CODE, /* the pages in lifted[] may be read, and so executed */
    KVM_LIFT_ALL,
};

/* All of it is under server_lock. */
struct kvm_pages {
    int memory_fd; /* /proc/self/mem */
    struct kvm_page_table **table;
    size_t tables;
    size_t count;
    unsigned trap_pages; /* pages with trap bytes */
    /* Debuggers take their breakpoints out at every stop, and set the same ones when they go on:
     * pages without anything in them stay protected until then.  Read without the lock, too. */
    struct kvm_page *idle;
    unsigned changes; /* of protections; likewise */
    enum kvm_lift lift;
    uint64_t lifted[2]; /* guest-physical */
};

int kvm_pages_init(struct kvm_machine *machine); /* 0 or a negative errno value */
void kvm_pages_free(struct kvm_machine *machine);
/* NULL: it is open. */
struct kvm_page *kvm_page_at(const struct kvm_machine *machine, uint64_t gpa);
/* The one at gpa, made if there is none.  An enum ringside_error; RINGSIDE_EFAULT: not RAM. */
int kvm_page_get(struct kvm_machine *machine, uint64_t gpa, struct kvm_page **out);
/* What is in it has changed.  RINGSIDE_ENOSPC: the host has no more room for protected pages; the
 * caller takes its change back and tells again. */
int kvm_page_changed(struct kvm_machine *machine, struct kvm_page *page);
/* Before vCPUs go on: pages that are still without anything are opened. */
void kvm_pages_sweep(struct kvm_machine *machine);
/* Other vCPUs are parked. */
void kvm_pages_lift(struct kvm_machine *machine, enum kvm_lift lift);

/* Memory as the guest wrote it: all of it RAM, which the caller has seen to. */
void kvm_ram_read(const struct kvm_machine *machine, uint64_t gpa, uint8_t *bytes, size_t n);
void kvm_ram_write(struct kvm_machine *machine, uint64_t gpa, const uint8_t *bytes, size_t n);
bool kvm_page_has_trap(const struct kvm_page *page, unsigned offset);
/* What the guest fetches there, be it a trap byte. */
void kvm_ram_put(struct kvm_machine *machine, uint64_t gpa, uint8_t byte);

#endif
