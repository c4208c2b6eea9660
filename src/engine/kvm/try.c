/* The self-test: a tiny guest in 64-bit mode finds out what this host's KVM really does. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "engine/kvm/kvm.h"
#include "x86/regs.h"

/*
 * The kernel's word is not enough: some hosts offer a /dev/kvm that runs the guest's kernel in
 * software, knows no INT3 there and drops watchpoints; models of a processor leave out intercepts.
 * So each feature is used once, in a machine of its own, since a failure may cost the machine.
 *
 * Guest-physical: page tables in the first three pages, which map 2 MiB; then code, then data.
 */
enum { PML4 = 0x0000, PDPT = 0x1000, PD = 0x2000, CODE = 0x3000, DATA = 0x4000, SIZE = 0x5000 };
enum { PORT = 0x80, VALUE = 0x5a };
enum { PRESENT_WRITABLE = 3, LARGE = 1 << 7 };

/* mov $VALUE,%al; mov %al,DATA; out %al,$PORT; hlt */
enum { AFTER_MOV = 2, AFTER_STORE = 9 };
static const uint8_t plain[] = {0xb0,      VALUE, 0x88, 0x04, 0x25, 0x00,
                                DATA >> 8, 0x00,  0x00, 0xe6, PORT, 0xf4};
/* int3; out %al,$PORT; hlt */
static const uint8_t with_int3[] = {0xcc, 0xe6, PORT, 0xf4};

/* int1; out %al,$PORT; hlt */
static const uint8_t with_int1[] = {0xf1, 0xe6, PORT, 0xf4};

/* lock cmpxchg16b DATA, which compares with zero and writes zero; mov $VALUE,%al; mov %al,DATA;
 * out %al,$PORT; hlt */
static const uint8_t with_cmpxchg16b[] = {0x31,      0xc0, 0x31, 0xd2,  0x31, 0xdb, 0x31, 0xc9,
                                          0xf0,      0x48, 0x0f, 0xc7,  0x0c, 0x25, 0x00, DATA >> 8,
                                          0x00,      0x00, 0xb0, VALUE, 0x88, 0x04, 0x25, 0x00,
                                          DATA >> 8, 0x00, 0x00, 0xe6,  PORT, 0xf4};

/* mov $NO_MSR,%ecx; wrmsr */
enum { NO_MSR = 0x12345, AT_WRMSR = 5 };
static const uint8_t with_no_msr[] = {0xb9, 0x45, 0x23, 0x01, 0x00, 0x0f, 0x30};
/* mov $X86_MSR_KERNEL_GS_BASE,%ecx; wrmsr */
static const uint8_t with_wrmsr[] = {0xb9, 0x02, 0x01, 0x00, 0xc0, 0x0f, 0x30};

struct guest {
    int kvm, vm, cpu;
    int error; /* of KVM_RUN: an errno value */
    uint8_t *memory;
    struct kvm_run *run;
    size_t run_size;
};

static void put64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof value);
}

static bool fill(struct guest *guest, const uint8_t *code, size_t n)
{
    struct kvm_userspace_memory_region region = {
        .memory_size = SIZE,
        .userspace_addr = (uintptr_t)guest->memory,
    };

    put64(guest->memory + PML4, PDPT | PRESENT_WRITABLE);
    put64(guest->memory + PDPT, PD | PRESENT_WRITABLE);
    put64(guest->memory + PD, PRESENT_WRITABLE | LARGE);
    memcpy(guest->memory + CODE, code, n);
    return !ioctl(guest->vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static bool enter_long_mode(struct guest *guest)
{
    struct kvm_regs regs = {.rip = CODE, .rflags = X86_FLAGS_FIXED, .rsp = SIZE};
    struct kvm_segment code = {
        .selector = 8, .limit = UINT32_MAX, .type = 0xb, .present = 1, .s = 1, .l = 1, .g = 1};
    struct kvm_segment data = {
        .selector = 16, .limit = UINT32_MAX, .type = 0x3, .present = 1, .s = 1, .db = 1, .g = 1};
    struct kvm_sregs sregs;

    if (ioctl(guest->cpu, KVM_GET_SREGS, &sregs))
        return false;
    sregs.cs = code;
    sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
    sregs.cr0 = X86_CR0_PE | X86_CR0_ET | X86_CR0_PG;
    sregs.cr3 = PML4;
    sregs.cr4 = X86_CR4_PAE;
    sregs.efer = X86_EFER_LME | X86_EFER_LMA;
    return !ioctl(guest->cpu, KVM_SET_SREGS, &sregs) && !ioctl(guest->cpu, KVM_SET_REGS, &regs);
}

static void unmake(struct guest *guest)
{
    if (guest->run)
        munmap(guest->run, guest->run_size);
    if (guest->memory)
        munmap(guest->memory, SIZE);
    if (guest->cpu >= 0)
        close(guest->cpu);
    if (guest->vm >= 0)
        close(guest->vm);
}

static bool make(struct guest *guest, int kvm, const uint8_t *code, size_t n)
{
    uint64_t identity = 0xfffbc000;

    *guest = (struct guest){.kvm = kvm, .vm = ioctl(kvm, KVM_CREATE_VM, 0), .cpu = -1};
    if (guest->vm < 0)
        return false;
    ioctl(guest->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    ioctl(guest->vm, KVM_SET_TSS_ADDR, 0xfffbd000);
    void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    guest->memory = memory == MAP_FAILED ? NULL : memory;
    guest->cpu = ioctl(guest->vm, KVM_CREATE_VCPU, 0);
    guest->run_size = (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    if (!guest->memory || guest->cpu < 0)
        return false;
    void *run = mmap(NULL, guest->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, guest->cpu, 0);
    guest->run = run == MAP_FAILED ? NULL : run;
    return guest->run && fill(guest, code, n) && enter_long_mode(guest);
}

/* --- The features ----------------------------------------------------------------------------- */

static bool rip_is(const struct guest *guest, uint64_t rip)
{
    struct kvm_regs regs;

    return !ioctl(guest->cpu, KVM_GET_REGS, &regs) && regs.rip == rip;
}

static bool wrote_port(const struct guest *guest)
{
    const struct kvm_run *run = guest->run;

    return !guest->error && run->exit_reason == KVM_EXIT_IO &&
           run->io.direction == KVM_EXIT_IO_OUT && run->io.port == PORT &&
           *((const uint8_t *)run + run->io.data_offset) == VALUE && guest->memory[DATA] == VALUE;
}

static bool stopped_at(const struct guest *guest, unsigned exception, uint64_t rip)
{
    return !guest->error && guest->run->exit_reason == KVM_EXIT_DEBUG &&
           guest->run->debug.arch.exception == exception && rip_is(guest, rip);
}

static bool stepped(const struct guest *guest)
{
    return stopped_at(guest, X86_EXC_DB, CODE + AFTER_MOV) && guest->memory[DATA] == 0;
}

static bool met_int3(const struct guest *guest)
{
    return stopped_at(guest, X86_EXC_BP, CODE);
}

static bool met_int1(const struct guest *guest)
{
    return stopped_at(guest, X86_EXC_DB, CODE);
}

static bool met_code(const struct guest *guest)
{
    return stopped_at(guest, X86_EXC_DB, CODE + AFTER_MOV);
}

static bool met_data(const struct guest *guest)
{
    return stopped_at(guest, X86_EXC_DB, CODE + AFTER_STORE) && guest->memory[DATA] == VALUE;
}

/* What protects pages is to work for code and for data, and against the guest alone. */
static bool still_writable(const struct guest *guest, unsigned place, uint8_t byte)
{
    int fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    off_t at = (off_t)(uintptr_t)(guest->memory + place);
    uint8_t back = 0;
    bool works = pwrite(fd, &byte, 1, at) == 1 && pread(fd, &back, 1, at) == 1 && back == byte;

    close(fd);
    return works;
}

static bool could_not_write(const struct guest *guest)
{
    const struct kvm_run *run = guest->run;
    bool faults = guest->error == EFAULT && rip_is(guest, CODE + AFTER_MOV);
    bool exits = !guest->error && run->exit_reason == KVM_EXIT_MMIO && run->mmio.is_write &&
                 run->mmio.phys_addr == DATA && run->mmio.data[0] == VALUE;

    return (faults || exits) && guest->memory[DATA] == 0 && still_writable(guest, DATA, VALUE);
}

static bool could_not_fetch(const struct guest *guest)
{
    const struct kvm_run *run = guest->run;
    bool exits = !guest->error && run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
                 run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION;

    return (guest->error == EFAULT || exits) && rip_is(guest, CODE) &&
           still_writable(guest, CODE, VALUE);
}

static bool told_of_msr(const struct guest *guest, unsigned reason, uint32_t msr)
{
    const struct kvm_run *run = guest->run;

    return !guest->error && run->exit_reason == KVM_EXIT_X86_WRMSR && run->msr.reason == reason &&
           run->msr.index == msr && rip_is(guest, CODE + AT_WRMSR);
}

static bool told_of_fault(const struct guest *guest)
{
    return told_of_msr(guest, KVM_MSR_EXIT_REASON_UNKNOWN, NO_MSR);
}

static bool told_of_write(const struct guest *guest)
{
    return told_of_msr(guest, KVM_MSR_EXIT_REASON_FILTER, X86_MSR_KERNEL_GS_BASE);
}

/* DR7: register 0 globally enabled, for the execution of code or for writes of one byte. */
enum { DR7_CODE = X86_DR7_FIXED | 2, DR7_WRITE = X86_DR7_FIXED | 2 | 1 << 16 };

static const struct trial {
    unsigned feature; /* 0: that a guest runs at all */
    const uint8_t *code;
    size_t size;
    struct kvm_guest_debug debug;
    bool (*passed)(const struct guest *guest);
} trials[] = {
    {0, plain, sizeof plain, {0}, wrote_port},
    {KVM_CAN_RUN_KERNELS, with_cmpxchg16b, sizeof with_cmpxchg16b, {0}, wrote_port},
    {KVM_CAN_SINGLESTEP,
     plain,
     sizeof plain,
     {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP},
     stepped},
    {KVM_CAN_INT3,
     with_int3,
     sizeof with_int3,
     {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP},
     met_int3},
    {KVM_CAN_HW_BREAK,
     plain,
     sizeof plain,
     {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
      .arch.debugreg = {[0] = CODE + AFTER_MOV, [7] = DR7_CODE}},
     met_code},
    {KVM_CAN_HW_WATCH,
     plain,
     sizeof plain,
     {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
      .arch.debugreg = {[0] = DATA, [7] = DR7_WRITE}},
     met_data},
    {KVM_CAN_BAR_WRITES, plain, sizeof plain, {0}, could_not_write},
    {KVM_CAN_BAR_CODE, plain, sizeof plain, {0}, could_not_fetch},
    {KVM_TELLS_FAULTS, with_no_msr, sizeof with_no_msr, {0}, told_of_fault},
    {KVM_CAN_FILTER, with_wrmsr, sizeof with_wrmsr, {0}, told_of_write},
};
enum { TRIALS = sizeof trials / sizeof trials[0] };

/* Only if it is asked for: QEMU's model of a processor takes an INT1 for its own user's, and stops
 * the machine that we run on. */
static const struct trial int1_trial = {
    KVM_CAN_INT1,
    with_int1,
    sizeof with_int1,
    {.control = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP,
     .arch.debugreg = {[7] = X86_DR7_FIXED}},
    met_int1,
};

static bool tell_of_msrs(const struct guest *guest)
{
    struct kvm_enable_cap tell = {
        .cap = KVM_CAP_X86_USER_SPACE_MSR,
        .args = {KVM_MSR_EXIT_REASON_UNKNOWN | KVM_MSR_EXIT_REASON_FILTER}};
    uint8_t through = 0;
    struct kvm_msr_filter filter = {
        .flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
        .ranges[0] = {KVM_MSR_FILTER_WRITE, 1, X86_MSR_KERNEL_GS_BASE, &through},
    };

    return !ioctl(guest->vm, KVM_ENABLE_CAP, &tell) &&
           !ioctl(guest->vm, KVM_X86_SET_MSR_FILTER, &filter);
}

/* What the trial of this feature is about is protected, or asked for. */
static bool prepare(const struct guest *guest, unsigned feature)
{
    switch (feature) {
    case KVM_CAN_BAR_WRITES: return !mprotect(guest->memory + DATA, SIZE - DATA, PROT_READ);
    case KVM_CAN_BAR_CODE: return !mprotect(guest->memory + CODE, DATA - CODE, PROT_NONE);
    case KVM_TELLS_FAULTS:
    case KVM_CAN_FILTER: return tell_of_msrs(guest);
    default: return true;
    }
}

/* How many entries it takes: with a model of a processor a step may stall, see KVM_STEPS_STALL.
 * 0: it fails. */
static unsigned passes(int kvm, const struct trial *trial)
{
    struct guest guest;
    bool passed = false;
    unsigned entries = 0;

    if (make(&guest, kvm, trial->code, trial->size) &&
        (!trial->debug.control || !ioctl(guest.cpu, KVM_SET_GUEST_DEBUG, &trial->debug)) &&
        prepare(&guest, trial->feature)) {
        do {
            guest.error = ioctl(guest.cpu, KVM_RUN, 0) ? errno : 0;
            passed = trial->passed(&guest);
        } while (!passed && stopped_at(&guest, X86_EXC_DB, CODE) && entries++ < KVM_STALLS_MAX);
    }
    unmake(&guest);
    return passed ? entries + 1 : 0;
}

static bool calls_off(int kvm)
{
    struct guest guest;
    bool off = make(&guest, kvm, plain, sizeof plain) && kvm_run_called_off(guest.cpu) &&
               rip_is(&guest, CODE);

    unmake(&guest);
    return off;
}

static bool has_capabilities(int kvm, char *why, size_t size)
{
    static const struct {
        int number;
        const char *name;
    } needed[] = {
        {KVM_CAP_USER_MEMORY, "USER_MEMORY"},
        {KVM_CAP_IRQCHIP, "IRQCHIP"},
        {KVM_CAP_PIT2, "PIT2"},
        {KVM_CAP_IRQ_ROUTING, "IRQ_ROUTING"},
        {KVM_CAP_MP_STATE, "MP_STATE"},
        {KVM_CAP_VCPU_EVENTS, "VCPU_EVENTS"},
        {KVM_CAP_DEBUGREGS, "DEBUGREGS"},
        {KVM_CAP_XSAVE, "XSAVE"},
        {KVM_CAP_XCRS, "XCRS"},
        {KVM_CAP_SET_GUEST_DEBUG, "SET_GUEST_DEBUG"},
        {KVM_CAP_EXT_CPUID, "EXT_CPUID"},
        {KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT"},
        {KVM_CAP_EXCEPTION_PAYLOAD, "EXCEPTION_PAYLOAD"},
    };

    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++) {
        if (ioctl(kvm, KVM_CHECK_EXTENSION, needed[i].number) > 0)
            continue;
        snprintf(why, size, "this host's KVM lacks KVM_CAP_%s", needed[i].name);
        return false;
    }
    return true;
}

static bool find(int kvm, bool trap_int1, unsigned *features, char *why, size_t size)
{
    *features = 0;
    if (ioctl(kvm, KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
        snprintf(why, size, "/dev/kvm speaks another version of its interface");
        return false;
    }
    if (!has_capabilities(kvm, why, size))
        return false;
    if (!passes(kvm, &trials[0])) {
        snprintf(why, size, "this host's KVM cannot run the guest of the self-test");
        return false;
    }
    for (unsigned i = 1; i < TRIALS; i++) {
        unsigned entries = passes(kvm, &trials[i]);
        if (entries)
            *features |= trials[i].feature;
        if (entries > 1)
            *features |= KVM_STEPS_STALL;
    }
    if (trap_int1 && passes(kvm, &int1_trial))
        *features |= KVM_CAN_INT1;
    if (calls_off(kvm))
        *features |= KVM_CAN_CALL_OFF;
    if (ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_SET_GUEST_DEBUG2) & KVM_GUESTDBG_BLOCKIRQ)
        *features |= KVM_CAN_BLOCKIRQ;
    return true;
}

bool kvm_find_features(bool trap_int1, unsigned *features, char *why, size_t size)
{
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

    if (kvm < 0) {
        snprintf(why, size, "/dev/kvm: %s%s", strerror(errno),
                 errno == EACCES ? ": you may have to join its group, as a rule kvm" : "");
        return false;
    }
    bool found = find(kvm, trap_int1, features, why, size);
    close(kvm);
    return found;
}

/* Without these a debugger is better off with the soft engine. */
static const char *shortcoming(unsigned features)
{
    if (!(features & KVM_CAN_RUN_KERNELS))
        return "this host's KVM emulates the guest's kernel, with gaps";
    if (!(features & (KVM_CAN_INT3 | KVM_CAN_INT1 | KVM_CAN_HW_BREAK)))
        return "this host's KVM stops at neither INT3 nor debug registers";
    if (!(features & KVM_CAN_SINGLESTEP))
        return "this host's KVM does not single-step";
    return NULL;
}

void kvm_try(bool trap_int1, struct kvm_verdict *verdict)
{
    const char *lacks;
    unsigned features = 0;

    *verdict = (struct kvm_verdict){0};
    verdict->usable = kvm_find_features(trap_int1, &features, verdict->text, sizeof verdict->text);
    if (!verdict->usable)
        return;
    if (trap_int1 && !(features & KVM_CAN_INT1)) {
        verdict->usable = false;
        snprintf(verdict->text, sizeof verdict->text,
                 "this host's KVM does not stop at INT1: leave out --trap-byte int1");
        return;
    }
    lacks = shortcoming(features);
    if (lacks)
        snprintf(verdict->text, sizeof verdict->text, "%s", lacks);
}
