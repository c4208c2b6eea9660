/* The soft engine: gives each vCPU its turn, keeps virtual time, and wakes those that sleep. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/soft/soft.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "x86/regs.h"
#include "x86/segment.h"

enum { CODE_BYTES = 24 << 20, CACHE_LINE = 64 };

/* --- The host of the machine ----------------------------------------------------------------- */

uint64_t soft_clock(const struct soft *soft)
{
    return soft->running ? soft->running->count + soft->running->idle : soft->time;
}

static uint64_t clock_of(uint64_t ns)
{
    return ns / SOFT_INSN_NS + (ns % SOFT_INSN_NS != 0);
}

void soft_poke(struct soft *soft)
{
    soft->poked = true;
    if (soft->running)
        soft->running->yield = true;
}

static uint64_t host_now(void *ctx)
{
    return soft_clock(ctx) * SOFT_INSN_NS;
}

static void host_deadline_changed(void *ctx)
{
    struct soft *soft = ctx;

    if (soft->running && clock_of(vm_deadline(soft->vm)) < soft->run_end)
        soft_poke(soft);
}

/* Whoever wakes another vCPU ends its own turn. */
static void host_interrupt_changed(void *ctx, unsigned index)
{
    struct soft *soft = ctx;
    struct cpu *cpu = soft->vcpu[index].cpu;
    bool pending = vm_interrupt_pending(soft->vm, index);

    if (pending && !cpu->intr && soft->running) {
        if (soft->running != cpu)
            soft->turn_end = 0;
        soft_poke(soft);
    }
    cpu->intr = pending;
}

static void host_cpu_init(void *ctx, unsigned index)
{
    struct soft *soft = ctx;

    soft->vcpu[index].init_pending = true;
    soft->vcpu[index].sipi_pending = false;
    soft_poke(soft);
}

static void host_cpu_sipi(void *ctx, unsigned index, uint8_t vector)
{
    struct soft *soft = ctx;

    if (soft->vcpu[index].sipi_pending)
        return; /* the first of several starts it */
    soft->vcpu[index].sipi_pending = true;
    soft->vcpu[index].sipi_vector = vector;
    soft_poke(soft);
}

static void host_cpu_nmi(void *ctx, unsigned index)
{
    struct soft *soft = ctx;

    soft->vcpu[index].cpu->nmi = true;
    soft->turn_end = 0;
    soft_poke(soft);
}

static void host_serial_out(void *ctx, uint8_t byte)
{
    struct soft *soft = ctx;

    soft->config.serial_out(soft->config.ctx, byte);
}

static void host_request(void *ctx, int what, int status)
{
    struct soft *soft = ctx;

    if (soft->ended)
        return;
    soft->ended = true;
    soft_poke(soft);
    soft->config.ended(soft->config.ctx, what, status);
}

/* --- Life ------------------------------------------------------------------------------------ */

static int make_vcpus(struct soft *soft)
{
    size_t size = (sizeof(struct cpu) + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);

    for (unsigned i = 0; i < soft->config.vm.cpus; i++) {
        struct cpu_model model = {
            .vendor = soft->config.vendor == SOFT_AMD ? CPU_AMD : CPU_INTEL,
            .apic_id = i,
            .count = soft->config.vm.cpus,
            .tsc_hz = SOFT_TSC_HZ,
            .tsc_per_insn = SOFT_TSC_PER_INSN,
        };
        struct cpu *cpu = aligned_alloc(CACHE_LINE, size);
        if (!cpu)
            return -ENOMEM;
        memset(cpu, 0, size);
        soft->vcpu[i].cpu = cpu;
        cpu_init(cpu, &model, &soft_bus, soft, soft->code);
        vm_apic_set_tsc(soft->vm, i, SOFT_TSC_HZ, cpu->tsc_offset);
    }
    return 0;
}

static int make_code_cache(struct soft *soft)
{
    /* Mapped, not allocated: what is never used is never touched. */
    void *memory =
        mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return -errno;
    soft->code_memory = memory;
    soft->code = cpu_code_init(memory, CODE_BYTES);
    return 0;
}

struct soft *soft_new(const struct soft_config *config, int *error)
{
    struct soft *soft = calloc(1, sizeof *soft);
    struct vm_host host = {
        .ctx = soft,
        .now = host_now,
        .deadline_changed = host_deadline_changed,
        .interrupt_changed = host_interrupt_changed,
        .cpu_init = host_cpu_init,
        .cpu_sipi = host_cpu_sipi,
        .cpu_nmi = host_cpu_nmi,
        .serial_out = host_serial_out,
        .request = host_request,
    };

    *error = -ENOMEM;
    if (!soft)
        return NULL;
    soft->config = *config;
    soft->vm = vm_new(&config->vm, &host, error);
    if (soft->vm)
        *error = make_code_cache(soft);
    if (!*error)
        *error = make_vcpus(soft);
    if (*error) {
        *error = -*error;
        soft_free(soft);
        return NULL;
    }
    return soft;
}

void soft_free(struct soft *soft)
{
    if (!soft)
        return;
    for (unsigned i = 0; i < VM_CPUS_MAX; i++)
        free(soft->vcpu[i].cpu);
    if (soft->code_memory)
        munmap(soft->code_memory, CODE_BYTES);
    vm_free(soft->vm);
    soft_set_free(&soft->breakpoints);
    soft_set_free(&soft->code_watches);
    free(soft->watches);
    free(soft);
}

struct vm *soft_vm(struct soft *soft)
{
    return soft->vm;
}

void soft_set_entry(struct soft *soft, const struct ringside_regs *entry)
{
    cpu_set_regs(soft->vcpu[0].cpu, entry);
}

void soft_set_server(struct soft *soft, struct ringside *server)
{
    soft->server = server;
}

uint64_t soft_instructions(const struct soft *soft)
{
    return soft->instructions;
}

uint64_t soft_time(const struct soft *soft)
{
    return soft_clock(soft) * SOFT_INSN_NS;
}

/* --- Whose turn it is ------------------------------------------------------------------------ */

static void apply_signals(struct soft *soft)
{
    for (unsigned i = 0; i < soft->config.vm.cpus; i++) {
        struct soft_vcpu *vcpu = &soft->vcpu[i];
        if (vcpu->init_pending)
            cpu_init_signal(vcpu->cpu);
        if (vcpu->sipi_pending)
            cpu_sipi(vcpu->cpu, vcpu->sipi_vector);
        vcpu->init_pending = vcpu->sipi_pending = false;
    }
}

static bool wakes(const struct cpu *cpu)
{
    return (cpu->intr && cpu->r.rflags & X86_FLAG_IF) || (cpu->nmi && !cpu->r.nmi_blocked);
}

/* A vCPU that shut down has its say too: soft_run must tell somebody. */
static bool can_run(const struct cpu *cpu)
{
    switch (cpu->r.activity) {
    case RINGSIDE_RUNNING:
    case RINGSIDE_SHUTDOWN: return true;
    case RINGSIDE_HALTED: return wakes(cpu);
    default: return false;
    }
}

/* May it run, as far as the debugger is concerned?  The server may have run it itself instead. */
static bool may_enter(struct soft *soft, unsigned index)
{
    enum ringside_verdict verdict =
        soft->server ? ringside_vcpu_enter(soft->server, index) : RINGSIDE_RUN;

    if (verdict == RINGSIDE_AGAIN)
        soft->served = true;
    return verdict == RINGSIDE_RUN;
}

static void tell_exit(struct soft *soft, unsigned index, const struct ringside_exit *exit)
{
    if (soft->server)
        ringside_vcpu_exit(soft->server, index, exit);
}

/*
 * Gives the turn to the next vCPU that can run, the present one being last; -1: none can. A vCPU
 * that the debugger parks is passed over.
 */
static int next_turn(struct soft *soft)
{
    unsigned count = soft->config.vm.cpus;
    bool goes_on = soft->time < soft->turn_end;

    for (unsigned i = 0; i <= count; i++) {
        unsigned index = (soft->turn + i) % count;
        if ((i == 0 && !goes_on) || !can_run(soft->vcpu[index].cpu) || !may_enter(soft, index))
            continue;
        if (i) {
            soft->turn = index;
            soft->turn_end = soft->time + SOFT_TURN;
        }
        return (int)index;
    }
    return -1;
}

/* Is there a sleeping vCPU that the debugger does not hold? */
static bool someone_sleeps(struct soft *soft)
{
    bool found = false;

    for (unsigned i = 0; i < soft->config.vm.cpus; i++) {
        if (can_run(soft->vcpu[i].cpu) || !may_enter(soft, i))
            continue;
        tell_exit(soft, i, &(struct ringside_exit){.reason = RINGSIDE_EXIT_HALT});
        found = true;
    }
    return found;
}

/* --- A turn ---------------------------------------------------------------------------------- */

/* The bytes at RIP, as far as they can be read. */
static void describe_code(struct cpu *cpu, char *text, size_t size)
{
    uint64_t linear = x86_linear_rip(&cpu->r);
    struct x86_insn insn;
    uint8_t byte;
    unsigned length = cpu_peek(cpu, &insn) == CPU_NEXT ? insn.length : 1;

    *text = 0;
    for (unsigned i = 0; i < length && cpu_copy_from(cpu, linear + i, &byte, 1) == CPU_NEXT; i++)
        snprintf(text + 3 * i, size - 3 * i, " %02x", byte);
}

/* What the software CPU does not have.  Without a debugger to look at it this is the end. */
void soft_declined(struct soft *soft, unsigned index, struct ringside_exit *exit)
{
    struct cpu *cpu = soft->vcpu[index].cpu;
    char code[3 * X86_INSN_MAX + 1], text[200];

    describe_code(cpu, code, sizeof code);
    snprintf(text, sizeof text, "vCPU %u at RIP 0x%" PRIx64 " (bytes%s): %s is not supported",
             index, cpu->r.rip, code, cpu->missing ? cpu->missing : "this instruction");
    if (soft->config.declined)
        soft->config.declined(soft->config.ctx, text);
    exit->reason = RINGSIDE_EXIT_ERROR;
    if (!soft->server || !ringside_attached(soft->server))
        soft->ended = true;
}

/* The vCPU ran into a breakpoint's place; if it is none of this address it runs over it. */
static void at_breakpoint(struct soft *soft, unsigned index, struct ringside_exit *exit)
{
    if (!soft_breakpoint_hit(soft, index, exit))
        cpu_pass_breakpoint(soft->vcpu[index].cpu, true);
}

static void run_turn(struct soft *soft, unsigned index, uint64_t limit, struct ringside_exit *exit)
{
    struct cpu *cpu = soft->vcpu[index].cpu;

    switch (cpu_run(cpu, limit)) {
    case CPU_EXIT_LIMIT: break;
    case CPU_EXIT_HALT: exit->reason = RINGSIDE_EXIT_HALT; break;
    case CPU_EXIT_YIELD:
        if (!soft->poked)
            soft->turn_end = 0; /* PAUSE: it waits for another */
        break;
    case CPU_EXIT_BREAKPOINT: at_breakpoint(soft, index, exit); break;
    case CPU_EXIT_WATCH: soft_watch_exit(cpu, exit); break;
    case CPU_EXIT_CATCH: soft_catch_exit(cpu, exit); break;
    case CPU_EXIT_SHUTDOWN: break;  /* told when its turn comes again */
    case CPU_EXIT_INTERCEPT: break; /* nobody asked for one */
    case CPU_EXIT_DECLINED: soft_declined(soft, index, exit); break;
    }
}

/* A triple fault: the debugger is told if there is one, else the machine resets as a PC does. */
static void shut_down(struct soft *soft, unsigned index)
{
    if (soft->server && ringside_attached(soft->server))
        tell_exit(soft, index, &(struct ringside_exit){.reason = RINGSIDE_EXIT_SHUTDOWN});
    else
        host_request(soft, VM_RESET, 0);
}

static void take_turn(struct soft *soft, unsigned index, uint64_t until)
{
    struct cpu *cpu = soft->vcpu[index].cpu;
    struct ringside_exit exit = {.reason = RINGSIDE_EXIT_OTHER};
    uint64_t before = cpu->count;

    if (cpu->r.activity == RINGSIDE_SHUTDOWN) {
        shut_down(soft, index);
        return;
    }
    cpu->idle = soft->time - cpu->count;
    soft->poked = false;
    soft->running = cpu;
    soft->run_end = until;
    if (soft->vcpu[index].way)
        soft_step_turn(soft, index, until - cpu->idle, &exit);
    else
        run_turn(soft, index, until - cpu->idle, &exit);
    soft->running = NULL;
    soft->time = cpu->count + cpu->idle;
    soft->instructions += cpu->count - before;
    vm_apic_set_tsc(soft->vm, index, SOFT_TSC_HZ, cpu->tsc_offset);
    tell_exit(soft, index, &exit);
}

/* Everybody sleeps: jump to the next timer, or say how long it takes. */
static bool pass_the_time(struct soft *soft, bool skip_idle, uint64_t *idle_ns)
{
    uint64_t deadline = vm_deadline(soft->vm);

    if (deadline != VM_NEVER && skip_idle) {
        soft->time = clock_of(deadline);
        return true;
    }
    *idle_ns = deadline == VM_NEVER ? VM_NEVER : deadline - soft->time * SOFT_INSN_NS;
    return false;
}

static uint64_t first_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

enum soft_state soft_run(struct soft *soft, uint64_t instructions, bool skip_idle,
                         uint64_t *idle_ns)
{
    *idle_ns = 0;
    while (!soft->ended) {
        apply_signals(soft);
        vm_tick(soft->vm, soft->time * SOFT_INSN_NS);
        if (!instructions)
            return SOFT_BUSY;
        uint64_t before = soft->instructions;
        soft->served = false;
        int index = next_turn(soft);
        if (index < 0) {
            bool sleeping = someone_sleeps(soft);
            if (soft->served) {
                instructions -= first_of(instructions, soft->instructions - before + 1);
                continue;
            }
            if (!sleeping)
                return SOFT_PARKED;
            if (!pass_the_time(soft, skip_idle, idle_ns))
                return SOFT_IDLE;
            instructions--; /* a timer that wakes nobody must not keep the caller waiting */
            continue;
        }
        uint64_t until = first_of(soft->turn_end, clock_of(vm_deadline(soft->vm)));
        until = first_of(until, soft->time + first_of(instructions, SOFT_TURN));
        take_turn(soft, (unsigned)index, until);
        uint64_t done = soft->instructions - before;
        instructions -= first_of(instructions, done ? done : 1);
    }
    return SOFT_ENDED;
}

void soft_pass_idle(struct soft *soft, uint64_t ns)
{
    uint64_t deadline = vm_deadline(soft->vm);
    uint64_t time = soft->time + clock_of(ns);

    soft->time = deadline == VM_NEVER ? time : first_of(time, clock_of(deadline));
}
