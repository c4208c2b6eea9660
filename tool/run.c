/* "ringside run": builds the machine, then turns between the guest, the debugger and the console.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "engine/engine.h"
#include "load.h"
#include "options.h"
#include "peer.h"
#include "serial.h"
#include "tool.h"

/* Guest instructions between two looks at the sockets: under a millisecond of host time.  A fixed
 * number, so that input that is there from the start reaches the guest at the same instruction. */
enum { SLICE = 50000 };

enum { POLL_SIGNALS, POLL_ENGINE, POLL_SERIAL, POLL_PEER = POLL_SERIAL + SERIAL_POLLS };
enum { POLLS = POLL_PEER + PEER_POLLS };

struct run {
    const struct options *options;
    const struct engine_ops *ops;
    void *engine;
    void *server_memory; /* NULL: no debugger is served */
    struct serial serial;
    struct peer peer;
    int signals; /* -1: not opened */
    enum engine_state state;
    uint64_t idle_ns; /* with ENGINE_IDLE: until the next timer */
    bool over;
    int status; /* what the program exits with */
    int signal; /* that ended the run, 0: none */
};

static void take_signals(struct run *run)
{
    struct signalfd_siginfo info;
    while (read(run->signals, &info, sizeof info) == sizeof info) {
        if (info.ssi_signo == SIGCONT) {
            serial_to_raw(&run->serial);
            continue;
        }
        run->over = true;
        run->signal = (int)info.ssi_signo;
    }
}

/* For how long the console's other end may take nothing; a terminal has Ctrl-C to end the wait. */
static int patience_ms(const struct run *run)
{
    enum { FOREVER = -1, PATIENCE = 5000, HURRY = 200 };

    if (!run->over || run->signal != 0)
        return HURRY;
    return run->serial.terminal ? FOREVER : PATIENCE;
}

/* Sends what the guest has said, unless a signal comes first. */
static void flush_console(struct run *run)
{
    struct pollfd polls[1 + SERIAL_POLLS];

    if (run->over)
        serial_end_input(&run->serial);
    while (run->serial.queued > 0 && run->serial.out >= 0) {
        polls[0] = (struct pollfd){.fd = run->signals, .events = POLLIN};
        serial_poll(&run->serial, 0, polls + 1);
        int ready = poll(polls, 1 + SERIAL_POLLS, patience_ms(run));
        if (polls[0].revents != 0)
            take_signals(run);
        if (ready <= 0 || !serial_send(&run->serial, polls + 1))
            break;
    }
}

static void guest_wrote(void *ctx, uint8_t byte)
{
    struct run *run = ctx;
    serial_put(&run->serial, byte);
}

static size_t console_takes(void *ctx)
{
    const struct run *run = ctx;
    return serial_takes(&run->serial);
}

static void guest_ended(void *ctx, int what, int status)
{
    struct run *run = ctx;
    run->over = true;
    run->status = what == VM_EXIT ? status : TOOL_OK;
    flush_console(run); /* what it said comes first */
    if (what != VM_EXIT && run->signal == 0)
        tool_say(what == VM_RESET ? "the guest reset the machine" : "the guest powered off");
}

static void guest_declined(void *ctx, const char *text)
{
    struct run *run = ctx;
    run->status = TOOL_BAD_INPUT;
    flush_console(run);
    tool_say("%s", text);
}

static bool server_has_news(void *ctx)
{
    struct run *run = ctx;
    return peer_say(&run->peer);
}

static uint64_t host_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Signals come through a descriptor, so that none gets past the clean-up.  What our caller had
 * ignored (nohup, a background job) stays ignored. */
static int open_signals(void)
{
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGCONT};
    struct sigaction action;
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (sigaction(wanted[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
            sigaddset(&set, wanted[i]);
    }
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int load(struct run *run)
{
    const struct options *options = run->options;
    struct file kernel = {0}, initrd = {0};
    struct ringside_regs entry;
    struct boot_error error;
    int status = file_load(&kernel, options->kernel);
    if (status == 0 && options->initrd != NULL)
        status = file_load(&initrd, options->initrd);
    if (status == 0) {
        const struct boot_config boot = {
            .kernel = kernel.bytes,
            .kernel_size = kernel.size,
            .initrd = initrd.bytes,
            .initrd_size = initrd.size,
            .cmdline = options->cmdline,
        };
        status = boot_load(run->ops->vm(run->engine), &boot, &entry, &error);
        if (status != 0)
            tool_say("%s: %s", options->kernel, error.text);
        else
            run->ops->set_entry(run->engine, &entry);
    }
    file_unload(&initrd);
    file_unload(&kernel);
    return status;
}

static int build_machine(struct run *run)
{
    const struct options *options = run->options;
    const struct engine_config config = {
        .vm = {options->ram_bytes, options->cpus, options->exit_port},
        .vendor = options->vendor,
        .no_shadow_step = options->no_shadow_step,
        .trap_int1 = options->trap_int1,
        .ctx = run,
        .serial_out = guest_wrote,
        .serial_takes = console_takes,
        .ended = guest_ended,
        .declined = guest_declined,
        .news = server_has_news,
    };
    int error = 0;
    run->ops = options->engine;
    run->engine = run->ops->create(&config, &error);
    if (run->engine != NULL)
        return load(run);
    tool_say("a machine with %" PRIu64 " MiB cannot be made: %s", options->ram_bytes >> 20,
             strerror(abs(error)));
    return -1;
}

static int serve_debugger(struct run *run)
{
    const struct options *options = run->options;
    if (!options->debug)
        return 0;
    size_t size = (ringside_size(options->cpus) + 15) & ~(size_t)15;
    run->server_memory = aligned_alloc(16, size);
    if (run->server_memory == NULL) {
        tool_say("no memory for the debug server");
        return -1;
    }
    const struct ringside_config config = {
        .target = run->ops->target,
        .port = run->ops->port,
        .ctx = run->engine,
        .hold_at_start = options->hold,
        .stop_on_attach = true,
        .resume_on_detach = true,
        .amd = run->ops->is_amd(run->engine),
        .step_ways = options->step_ways,
        .version = RINGSIDE_VERSION,
    };
    run->peer.server = ringside_init(run->server_memory, &config);
    if (run->peer.server == NULL) {
        tool_say("the debug server cannot serve this machine");
        return -1;
    }
    run->ops->set_server(run->engine, run->peer.server);
    return peer_listen(&run->peer, &options->endpoint);
}

static void announce_engine(const struct run *run)
{
    const struct options *options = run->options;
    if (options->engine_named)
        return;
    if (options->soft_only != NULL)
        tool_say("engine: soft (-e auto: %s is given)", options->soft_only);
    else if (run->ops == &soft_engine)
        tool_say("engine: soft (-e auto: %s)", options->kvm.text);
    else
        tool_say("engine: kvm (-e auto)");
}

static void announce(const struct run *run)
{
    announce_engine(run);
    if (run->options->debug)
        tool_say("%s: target remote %s",
                 run->options->hold ? "held until a debugger continues it"
                                    : "a debugger may attach",
                 run->peer.listener.name);
}

/* How long nothing happens without input: 0 while the guest has something to do. */
static const struct timespec *patience(const struct run *run, struct timespec *time)
{
    uint64_t ns = 0;
    if (serial_choked(&run->serial) || run->state == ENGINE_PARKED)
        return NULL;
    if (run->state == ENGINE_IDLE)
        ns = run->idle_ns;
    if (ns == VM_NEVER)
        return NULL;
    *time = (struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)};
    return time;
}

/* Waits for input as long as the guest does, and tells the guest how much time went by. */
static void wait_for_input(struct run *run, struct pollfd polls[POLLS])
{
    struct timespec time;
    const struct timespec *timeout = patience(run, &time);
    uint64_t begin = run->state == ENGINE_IDLE ? host_ns() : 0;
    if (ppoll(polls, POLLS, timeout, NULL) < 0) {
        for (unsigned i = 0; i < POLLS; i++)
            polls[i].revents = 0;
    }
    if (run->state == ENGINE_IDLE && run->serial.someone_waits) {
        uint64_t passed = host_ns() - begin;
        run->ops->pass_idle(run->engine, passed < run->idle_ns ? passed : run->idle_ns);
    }
}

static void take_input(struct run *run)
{
    struct pollfd polls[POLLS];
    uint8_t bytes[256];
    size_t room = run->ops->serial_room(run->engine);
    room = room < sizeof bytes ? room : sizeof bytes;

    polls[POLL_SIGNALS] = (struct pollfd){.fd = run->signals, .events = POLLIN};
    polls[POLL_ENGINE] = (struct pollfd){.fd = run->ops->event_fd(run->engine), .events = POLLIN};
    serial_poll(&run->serial, room, polls + POLL_SERIAL);
    peer_poll(&run->peer, polls + POLL_PEER);
    wait_for_input(run, polls);

    if (polls[POLL_SIGNALS].revents != 0)
        take_signals(run);
    if (!serial_send(&run->serial, polls + POLL_SERIAL)) {
        run->over = true;
        run->status = TOOL_FAILED;
    }
    int n = serial_receive(&run->serial, polls + POLL_SERIAL, bytes, room);
    if (n < 0)
        run->over = true;
    if (n > 0)
        run->ops->serial_in(run->engine, bytes, (size_t)n);
    peer_receive(&run->peer, polls + POLL_PEER);
}

static void run_guest(struct run *run)
{
    uint64_t done = run->ops->instructions ? run->ops->instructions(run->engine) : 0;
    if (done >= run->options->limit) {
        run->over = true;
        return;
    }
    if (serial_choked(&run->serial) && run->ops->event_fd(run->engine) < 0)
        return;
    uint64_t left = run->options->limit - done;
    run->state = run->ops->run(run->engine, left < SLICE ? left : SLICE, !run->serial.someone_waits,
                               &run->idle_ns);
    if (run->state == ENGINE_ENDED)
        run->over = true;
    peer_pump(&run->peer);
}

static void report(const struct run *run)
{
    char text[256];
    run->ops->report(run->engine, text, sizeof text);
    tool_say("report: %s", text);
}

static int start(struct run *run)
{
    run->signals = open_signals();
    if (build_machine(run) != 0 ||
        serial_open(&run->serial, run->options->serial, run->options->serial_path) != 0 ||
        serve_debugger(run) != 0)
        return TOOL_BAD_INPUT;
    announce(run);
    return TOOL_OK;
}

static void clean_up(struct run *run)
{
    peer_close(&run->peer);
    flush_console(run);
    serial_close(&run->serial);
    if (run->engine != NULL)
        run->ops->destroy(run->engine);
    free(run->server_memory); /* the engine's threads used it */
    if (run->signals >= 0)
        close(run->signals);
}

int run_command(int argc, char **argv)
{
    static struct run run; /* large: it holds the queues */
    struct options options;
    switch (options_parse(argc, argv, &options)) {
    case OPTIONS_HELP: fputs(options_help, stdout); return TOOL_OK;
    case OPTIONS_BAD: return TOOL_BAD_INPUT;
    case OPTIONS_RUN: break;
    }
    run.options = &options;
    peer_init(&run.peer);
    serial_init(&run.serial);
    run.status = start(&run);
    if (run.status == TOOL_OK) {
        while (!run.over) {
            take_input(&run);
            if (!run.over)
                run_guest(&run);
        }
        peer_guest_ended(&run.peer, run.status);
        if (options.report)
            report(&run);
    }
    clean_up(&run);
    if (run.signal != 0) {
        /* Die of it, so that whoever waits for us sees why. */
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, run.signal);
        signal(run.signal, SIG_DFL);
        raise(run.signal); /* stays pending until the next line */
        sigprocmask(SIG_UNBLOCK, &set, NULL);
    }
    return run.status;
}
