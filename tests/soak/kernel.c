/* Steps a stock kernel in lock-step with a machine that runs free: each step is one instruction or
 * one delivery, and leaves the registers that the free run has after as many. */
/*
 * usage: soak_kernel VMLINUZ INITRD intel|amd STEPS WAY...
 * So many steps by each way: a few from the reset on, the others from the first line of init on,
 * with system calls, page faults and interrupts.  Then the debugger leaves and both machines go on
 * to power-off; they end after the same instructions in the same state.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session.h"
#include "x86/regs.h"

enum { RAM = 256 << 20, FIRST_STEPS = 2000 };

struct file {
    uint8_t *bytes;
    size_t size;
};

static struct file read_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct file file;

    if (!f || fseek(f, 0, SEEK_END)) {
        printf("no stock kernel: %s cannot be read\n", path);
        exit(77);
    }
    file.size = (size_t)ftell(f);
    file.bytes = malloc(file.size);
    rewind(f);
    if (!file.bytes || fread(file.bytes, 1, file.size, f) != file.size)
        session_fail("%s: cannot be read", path);
    fclose(f);
    return file;
}

static void boot(struct session *s, enum soft_vendor vendor, struct file kernel, struct file initrd)
{
    const struct vm_config vm = {.ram_bytes = RAM, .cpus = 1, .exit_port = -1};
    const struct boot_config config = {
        .kernel = kernel.bytes,
        .kernel_size = kernel.size,
        .initrd = initrd.bytes,
        .initrd_size = initrd.size,
        .cmdline = "console=ttyS0 poweroff",
    };
    struct boot_error error;
    struct ringside_regs entry;

    session_machine(s, &soft_engine, &vm, vendor);
    if (boot_load(soft_vm(s->soft), &config, &entry, &error))
        session_fail("%s", error.text);
    soft_set_entry(s->soft, &entry);
}

/* --- Lock-step ------------------------------------------------------------------------------- */

static void run_to(struct session *s, uint64_t instructions)
{
    uint64_t idle;

    while (soft_instructions(s->soft) < instructions)
        if (soft_run(s->soft, instructions - soft_instructions(s->soft), true, &idle) != SOFT_BUSY)
            break;
}

/* What happened on the way: that there was enough of it is part of the test. */
struct seen {
    unsigned steps, system_calls, page_faults, interrupts, returns;
};

static void differ(const char *what, const struct ringside_regs *a, const struct ringside_regs *b)
{
    for (unsigned i = 0; i < 16; i++)
        if (a->gpr[i] != b->gpr[i])
            fprintf(stderr, "gpr[%u]: %#llx, free %#llx\n", i, (unsigned long long)a->gpr[i],
                    (unsigned long long)b->gpr[i]);
    fprintf(stderr, "rflags: %#llx, free %#llx\n", (unsigned long long)a->rflags,
            (unsigned long long)b->rflags);
    session_fail("%s: rip is %#llx, free %#llx", what, (unsigned long long)a->rip,
                 (unsigned long long)b->rip);
}

static void compare(struct session *s, struct session *twin, const char *what)
{
    const struct ringside_regs a = session_regs(s, 0), b = session_regs(twin, 0);

    if (memcmp(a.gpr, b.gpr, sizeof a.gpr) != 0 || a.rip != b.rip || a.rflags != b.rflags ||
        a.cr0 != b.cr0 || a.cr2 != b.cr2 || a.cr3 != b.cr3 || a.cr4 != b.cr4 || a.dr6 != b.dr6 ||
        a.sfmask != b.sfmask || a.debugctl != b.debugctl || a.activity != b.activity ||
        a.shadow != b.shadow || a.pending_debug != b.pending_debug ||
        memcmp(a.seg, b.seg, sizeof a.seg) != 0)
        differ(what, &a, &b);
}

static bool in_user_mode(const struct ringside_regs *regs)
{
    return (regs->seg[RINGSIDE_CS].selector & 3) == 3;
}

static void note(struct seen *seen, const struct ringside_regs *before,
                 const struct ringside_regs *after)
{
    seen->steps++;
    if (in_user_mode(before) && in_user_mode(after))
        return;
    if (in_user_mode(after))
        seen->returns++;
    else if (after->rip == after->lstar)
        seen->system_calls++;
    else if (after->cr2 != before->cr2)
        seen->page_faults++;
    else if (before->rflags & ~after->rflags & X86_FLAG_IF &&
             after->gpr[RINGSIDE_RSP] != before->gpr[RINGSIDE_RSP])
        seen->interrupts++;
}

static void step_on(struct session *s, struct session *twin, unsigned steps, struct seen *seen)
{
    struct ringside_regs before = session_regs(s, 0), after;

    for (unsigned i = 0; i < steps; i++, before = after) {
        uint64_t count = soft_instructions(s->soft);

        session_expect(s, "vCont;s:1", "T05");
        count = soft_instructions(s->soft) - count;
        if (count != 1)
            session_fail("step %u at %#llx: %llu instructions", i, (unsigned long long)before.rip,
                         (unsigned long long)count);
        run_to(twin, soft_instructions(s->soft));
        compare(s, twin, "after a step");
        after = session_regs(s, 0);
        note(seen, &before, &after);
    }
}

static bool same_memory(struct vm *a, struct vm *b)
{
    enum { PAGE = 4096 };

    for (uint64_t gpa = 0; gpa < RAM; gpa += PAGE) {
        const uint8_t *page = vm_ram(a, gpa, PAGE), *other = vm_ram(b, gpa, PAGE);

        if (page && memcmp(page, other, PAGE) != 0)
            return false;
    }
    return true;
}

/* All but whose turn it is. */
static void same_machines(struct session *s, struct session *twin)
{
    struct vm *a = soft_vm(s->soft), *b = soft_vm(twin->soft);

    compare(s, twin, "at rest");
    if (soft_instructions(s->soft) != soft_instructions(twin->soft) ||
        soft_time(s->soft) != soft_time(twin->soft))
        session_fail("the clocks differ: %llu ns, free %llu ns",
                     (unsigned long long)soft_time(s->soft),
                     (unsigned long long)soft_time(twin->soft));
    if (memcmp(vm_state(a), vm_state(b), vm_state_size(a)) != 0)
        session_fail("the devices differ");
    if (!same_memory(a, b))
        session_fail("the memories differ");
}

static void run_to_end(struct session *s)
{
    uint64_t idle;

    while (soft_run(s->soft, 1000000, true, &idle) == SOFT_BUSY)
        ;
    if (!s->ended || !strstr(s->console, "reboot: Power down"))
        session_fail("the kernel did not power off:\n%s", s->console);
}

/* The debugger comes, steps the kernel and goes. */
static void visit(struct session *s, struct session *twin, const char *way, unsigned steps,
                  struct seen *seen)
{
    char command[64];

    snprintf(command, sizeof command, "step-method %s", way);
    session_attach(s, soft_target(), 0);
    session_monitor(s, command);
    session_monitor(s, "interrupts on");
    step_on(s, twin, steps, seen);
    session_detach(s);
    same_machines(s, twin);
}

int main(int argc, char **argv)
{
    static struct session s, twin;
    struct seen seen = {0};

    if (argc < 6)
        session_fail("usage: soak_kernel VMLINUZ INITRD intel|amd STEPS WAY...");
    const struct file kernel = read_file(argv[1]), initrd = read_file(argv[2]);
    const enum soft_vendor vendor = strcmp(argv[3], "amd") == 0 ? SOFT_AMD : SOFT_INTEL;
    const unsigned steps = (unsigned)strtoul(argv[4], NULL, 10);

    boot(&s, vendor, kernel, initrd);
    boot(&twin, vendor, kernel, initrd);
    for (int i = 5; i < argc; i++)
        visit(&s, &twin, argv[i], FIRST_STEPS, &seen);
    session_run_to(&s, "init: user space is up");
    run_to(&twin, soft_instructions(s.soft));
    same_machines(&s, &twin);
    for (int i = 5; i < argc; i++)
        visit(&s, &twin, argv[i], steps, &seen);
    run_to_end(&s);
    run_to_end(&twin);
    same_machines(&s, &twin);
    printf("%u steps; %u system calls, %u page faults, %u interrupts, %u returns to user mode\n",
           seen.steps, seen.system_calls, seen.page_faults, seen.interrupts, seen.returns);
    if (!seen.system_calls || !seen.page_faults || !seen.interrupts)
        session_fail("there was too little to see");
    session_free(&s);
    session_free(&twin);
    free(kernel.bytes);
    free(initrd.bytes);
    return 0;
}
