/* Runs instructions on the host's processor, in a child process that can do nothing else. */
/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include "native.h"

#include <sys/mman.h>

struct native_case *native_alloc(int n)
{
    void *memory = mmap(NULL, sizeof(struct native_case) * (size_t)n, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

#if defined(__x86_64__) && defined(__linux__)

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

/*
 * The child is driven by its own signals.  An instruction ends in a trap (the INT3 behind it) or a
 * fault; the handler then finds the whole state of the processor in the signal frame, stores it as
 * the result, and puts the inputs of the next case there: returning from the handler runs it.
 * A seccomp filter allows nothing but that return and the end.
 */
static struct {
    struct native_case *cases;
    volatile int *done; /* shared with the parent */
    int count, at;      /* at: the case that runs; -1 before the first */
    greg_t home[NGREG];
    uint8_t *code, *data;
} child;

/* Signal frame indexes of the general registers, in the order of their encoding. */
static const int frame_gpr[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                  REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                  REG_R12, REG_R13, REG_R14, REG_R15};

enum { TRAP_BREAKPOINT = 3, FLAGS_TO_LOAD = 0xcd5 /* the arithmetic flags and DF */ };

static void store_result(struct native_state *out, const ucontext_t *uc)
{
    const greg_t *regs = uc->uc_mcontext.gregs;

    for (int i = 0; i < 16; i++)
        out->gpr[i] = (uint64_t)regs[frame_gpr[i]];
    out->rip = (uint64_t)regs[REG_RIP];
    out->rflags = (uint64_t)regs[REG_EFL];
    memcpy(&out->fx, uc->uc_mcontext.fpregs, sizeof(out->fx));
    memcpy(out->data, child.data, NATIVE_PAGE);
    out->vector = (uint8_t)regs[REG_TRAPNO];
    out->error = (uint32_t)regs[REG_ERR];
    out->cr2 = (uint64_t)regs[REG_CR2];
    if (out->vector == TRAP_BREAKPOINT) {
        out->rip--;
        out->vector = NATIVE_NO_FAULT;
    }
}

static void load_inputs(const struct native_case *c, ucontext_t *uc)
{
    greg_t *regs = uc->uc_mcontext.gregs;
    uint8_t *fpregs = (uint8_t *)uc->uc_mcontext.fpregs;
    const uint32_t extended_magic = 0x46505853; /* FP_XSTATE_MAGIC1: an XSAVE header follows */
    uint64_t components;

    for (int i = 0; i < 16; i++)
        regs[frame_gpr[i]] = (greg_t)c->in.gpr[i];
    regs[REG_RIP] = NATIVE_START;
    regs[REG_EFL] = (regs[REG_EFL] & ~FLAGS_TO_LOAD) | (greg_t)(c->in.rflags & FLAGS_TO_LOAD);
    memcpy(fpregs, &c->in.fx, offsetof(struct native_fx, rest));
    if (memcmp(fpregs + 464, &extended_magic, sizeof(extended_magic)) == 0) {
        memcpy(&components, fpregs + sizeof(struct native_fx), sizeof(components));
        components |= 3;
        memcpy(fpregs + sizeof(struct native_fx), &components, sizeof(components));
    }
    memcpy(child.code + (NATIVE_START - NATIVE_CODE), c->bytes, sizeof(c->bytes));
    memcpy(child.data, c->in.data, NATIVE_PAGE);
}

static void on_signal(int signal, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;

    (void)signal;
    (void)info;
    if (child.at < 0)
        memcpy(child.home, uc->uc_mcontext.gregs, sizeof(child.home));
    else
        store_result(&child.cases[child.at].host, uc);
    *child.done = ++child.at;
    if (child.at < child.count)
        load_inputs(&child.cases[child.at], uc);
    else
        memcpy(uc->uc_mcontext.gregs, child.home, sizeof(child.home));
}

static uint8_t *map_page(uint64_t address, int protection)
{
    void *page = mmap((void *)(uintptr_t)address, NATIVE_PAGE, protection,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    return page == MAP_FAILED ? NULL : page;
}

static bool confine(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigreturn, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    };
    struct sock_fprog program = {.len = sizeof(filter) / sizeof(filter[0]), .filter = filter};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

enum { CHILD_OK, CHILD_NO_MEMORY, CHILD_NO_SECCOMP };

static int child_main(void)
{
    static const int signals[] = {SIGTRAP, SIGSEGV, SIGBUS, SIGILL, SIGFPE};
    static uint8_t stack[128 << 10];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct rlimit no_core = {0};

    alarm(30);
    setrlimit(RLIMIT_CORE, &no_core);
    child.code = map_page(NATIVE_CODE, PROT_READ | PROT_WRITE | PROT_EXEC);
    child.data = map_page(NATIVE_DATA, PROT_READ | PROT_WRITE);
    if (!child.code || !child.data)
        return CHILD_NO_MEMORY;
    memset(child.code, 0xcc, NATIVE_PAGE);
    memset(child.data, 0, NATIVE_PAGE);
    sigaltstack(&alternate, NULL);
    sigfillset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        sigaction(signals[i], &action, NULL);
    if (!confine())
        return CHILD_NO_SECCOMP;
    __asm__ volatile("int3" ::: "memory"); /* all cases run here */
    return CHILD_OK;
}

int native_run(struct native_case *cases, int n, const char **reason)
{
    static volatile int *done;
    int status = 0;
    pid_t pid;

    if (!done)
        done = (volatile int *)native_alloc(1);
    child.cases = cases;
    child.count = n;
    child.at = -1;
    child.done = done;
    *done = 0;
    pid = fork();
    if (pid == 0)
        _exit(child_main());
    if (pid < 0) {
        *reason = "fork failed";
        return -1;
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) != CHILD_OK) {
        *reason = WEXITSTATUS(status) == CHILD_NO_SECCOMP
                      ? "the kernel has no seccomp filters"
                      : "no executable memory at a fixed address";
        return -1;
    }
    return *done;
}

#else

int native_run(struct native_case *cases, int n, const char **reason)
{
    (void)cases;
    (void)n;
    *reason = "the host is not Linux on x86-64";
    return -1;
}

#endif
