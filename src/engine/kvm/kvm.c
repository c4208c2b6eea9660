/* The KVM engine: a machine on /dev/kvm from its making to its end, and the tool's side of it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "engine/kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* Where Intel's processors before 2010 keep the TSS and page table of real mode: under 4 GiB, where
 * the machine has nothing. */
enum { IDENTITY_PAGE = 0xfffbc000u, TSS_PAGES = 0xfffbd000u };

/* --- Wires ----------------------------------------------------------------------------------- */

void kvm_tell_tool(struct kvm_machine *machine)
{
    ssize_t written = write(machine->event, &(uint64_t){1}, sizeof(uint64_t));

    (void)written; /* it fails only when it is readable already */
}

bool kvm_leaving(const struct kvm_machine *machine)
{
    return __atomic_load_n(&machine->leaving, __ATOMIC_ACQUIRE);
}

/* --- Memory ---------------------------------------------------------------------------------- */

static int slot(int vm_fd, struct vm *vm, unsigned number, uint64_t begin, uint64_t end)
{
    uint8_t *host = begin < end ? vm_ram(vm, begin, end - begin) : NULL;
    struct kvm_userspace_memory_region region = {
        .slot = number,
        .guest_phys_addr = begin,
        .memory_size = end - begin,
        .userspace_addr = (uintptr_t)host,
    };

    if (!host)
        return 0;
    madvise(host, end - begin, MADV_HUGEPAGE); /* a wish; small pages do as well */
    return ioctl(vm_fd, KVM_SET_USER_MEMORY_REGION, &region) ? -errno : 0;
}

/* The pieces of RAM as vm.h has them; what is in none of them comes back as an access. */
int kvm_memory_slots(int vm_fd, struct vm *vm)
{
    enum { VGA_BEGIN = 0xa0000, VGA_END = 0xe0000 };
    uint64_t bytes = vm_ram_bytes(vm);
    uint64_t low = bytes < VM_LOW_RAM_MAX ? bytes : VM_LOW_RAM_MAX;
    int error = slot(vm_fd, vm, 0, 0, VGA_BEGIN);

    if (!error)
        error = slot(vm_fd, vm, 1, VGA_END, low);
    if (!error)
        error = slot(vm_fd, vm, 2, VM_HIGH_RAM, VM_HIGH_RAM + (bytes - low));
    return error;
}

/* --- Life ------------------------------------------------------------------------------------ */

static int make_kernel_side(struct kvm_machine *machine)
{
    uint64_t identity = IDENTITY_PAGE;
    int error;

    machine->fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    if (machine->fd < 0)
        return -errno;
    machine->vm_fd = ioctl(machine->fd, KVM_CREATE_VM, 0);
    if (machine->vm_fd < 0)
        return -errno;
    machine->run_size = (size_t)ioctl(machine->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
    kvm_find_xsave(machine);
    ioctl(machine->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity);
    ioctl(machine->vm_fd, KVM_SET_TSS_ADDR, TSS_PAGES);
    ioctl(machine->vm_fd, KVM_ENABLE_CAP,
          &(struct kvm_enable_cap){.cap = KVM_CAP_EXCEPTION_PAYLOAD, .args = {1}});
    error = kvm_irqchip(machine->vm_fd);
    return error ? error : kvm_memory_slots(machine->vm_fd, machine->vm);
}

static int make_vcpus(struct kvm_machine *machine)
{
    for (unsigned i = 0; i < machine->config.vm.cpus; i++) {
        int error = kvm_vcpu_make(machine, i);
        if (error)
            return error;
    }
    kvm_find_msrs(machine);
    return 0;
}

static void init_locks(struct kvm_machine *machine)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&machine->devices, NULL);
    pthread_mutex_init(&machine->server_lock, NULL);
    pthread_cond_init(&machine->clock, &monotonic);
    pthread_cond_init(&machine->drained, NULL);
    for (unsigned i = 0; i < VM_CPUS_MAX; i++) {
        machine->vcpu[i] = (struct kvm_vcpu){.machine = machine, .index = i, .fd = -1};
        pthread_cond_init(&machine->vcpu[i].wakes, NULL);
    }
    pthread_condattr_destroy(&monotonic);
}

static uint64_t host_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void destroy(void *engine);

static void *create(const struct engine_config *config, int *error)
{
    struct kvm_machine *machine = calloc(1, sizeof *machine);
    struct vm_host host = kvm_vm_host;
    char why[200];

    *error = ENOMEM;
    if (!machine)
        return NULL;
    init_locks(machine);
    machine->config = *config;
    machine->amd = kvm_host_is_amd();
    machine->fd = machine->vm_fd = machine->pages.memory_fd = -1;
    machine->began = host_ns();
    machine->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    kvm_find_features(config->trap_int1, &machine->features, why, sizeof why);
    machine->trap_byte = machine->features & KVM_CAN_INT1   ? KVM_INT1
                         : machine->features & KVM_CAN_INT3 ? KVM_INT3
                                                            : 0;
    host.ctx = machine;
    *error = machine->event < 0 ? -errno : 0;
    if (!*error)
        machine->vm = vm_new(&config->vm, &host, error);
    if (!*error)
        *error = make_kernel_side(machine);
    if (!*error)
        *error = kvm_pages_init(machine);
    if (!*error)
        *error = make_vcpus(machine);
    if (*error) {
        *error = -*error;
        destroy(machine);
        return NULL;
    }
    return machine;
}

static void nothing(int signal)
{
    (void)signal;
}

static int start_threads(struct kvm_machine *machine)
{
    struct sigaction action = {.sa_handler = nothing}; /* no SA_RESTART: KVM_RUN shall end */

    sigaction(KVM_KICK, &action, NULL);
    int error = pthread_create(&machine->ticker, NULL, kvm_tick_devices, machine);
    if (error)
        return error;
    machine->running = true;
    pthread_mutex_lock(&machine->server_lock); /* nobody kicks what is half there */
    for (unsigned i = 0; i < machine->config.vm.cpus && !error; i++) {
        struct kvm_vcpu *vcpu = &machine->vcpu[i];
        error = pthread_create(&vcpu->thread, NULL, kvm_vcpu_thread, vcpu);
        vcpu->started = !error;
    }
    pthread_mutex_unlock(&machine->server_lock);
    return error;
}

static void stop_threads(struct kvm_machine *machine)
{
    if (!machine->running)
        return;
    pthread_mutex_lock(&machine->server_lock);
    __atomic_store_n(&machine->leaving, true, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < machine->config.vm.cpus; i++) {
        pthread_cond_signal(&machine->vcpu[i].wakes);
        kvm_vcpu_kick(&machine->vcpu[i]);
    }
    pthread_mutex_unlock(&machine->server_lock);
    pthread_mutex_lock(&machine->devices);
    pthread_cond_broadcast(&machine->clock);
    pthread_mutex_unlock(&machine->devices);
    for (unsigned i = 0; i < machine->config.vm.cpus; i++)
        if (machine->vcpu[i].started)
            pthread_join(machine->vcpu[i].thread, NULL);
    pthread_join(machine->ticker, NULL);
    machine->running = false;
}

static void destroy(void *engine)
{
    struct kvm_machine *machine = engine;

    stop_threads(machine);
    for (unsigned i = 0; i < VM_CPUS_MAX; i++)
        kvm_vcpu_unmake(&machine->vcpu[i]);
    if (machine->vm_fd >= 0)
        close(machine->vm_fd);
    if (machine->fd >= 0)
        close(machine->fd);
    if (machine->event >= 0)
        close(machine->event);
    kvm_pages_free(machine);
    kvm_watches_free(machine);
    vm_free(machine->vm);
    free(machine->trouble);
    free(machine);
}

/* --- The tool's side -------------------------------------------------------------------------- */

static struct vm *machine_vm(void *engine)
{
    return ((struct kvm_machine *)engine)->vm;
}

static void set_entry(void *engine, const struct ringside_regs *entry)
{
    struct kvm_machine *machine = engine;

    machine->has_entry = !kvm_regs_write(&machine->vcpu[0], entry);
}

static bool is_amd(void *engine)
{
    return ((struct kvm_machine *)engine)->amd;
}

static void server_has_news(void *ctx)
{
    ((struct kvm_machine *)ctx)->news = true;
}

static void set_server(void *engine, struct ringside *server)
{
    struct kvm_machine *machine = engine;

    machine->server = server;
    if (server)
        ringside_set_notify(server, server_has_news);
}

/* Hands on what waits, the lock not being held while the tool is called. */
static void hand_over(struct kvm_machine *machine)
{
    const struct engine_config *config = &machine->config;
    static uint8_t bytes[KVM_QUEUE]; /* one thread: the tool's */

    pthread_mutex_lock(&machine->devices);
    size_t takes = config->serial_takes(config->ctx);
    size_t n = machine->queued < takes ? machine->queued : takes;
    char *trouble = machine->trouble;
    memcpy(bytes, machine->queue, n);
    machine->queued -= n;
    memmove(machine->queue, machine->queue + n, machine->queued);
    machine->trouble = NULL;
    bool ended = machine->ended && !machine->told && machine->queued == 0;
    machine->told |= ended;
    pthread_cond_broadcast(&machine->drained);
    pthread_mutex_unlock(&machine->devices);

    for (size_t i = 0; i < n; i++)
        config->serial_out(config->ctx, bytes[i]);
    if (trouble)
        config->declined(config->ctx, trouble);
    free(trouble);
    if (ended && machine->ended_what != KVM_FAILED)
        config->ended(config->ctx, machine->ended_what, machine->ended_status);
}

static enum engine_state run(void *engine, uint64_t instructions, bool skip_idle, uint64_t *idle_ns)
{
    struct kvm_machine *machine = engine;
    uint64_t count;
    ssize_t unused = read(machine->event, &count, sizeof count);

    (void)instructions, (void)skip_idle, (void)unused;
    if (!machine->running && !machine->told && (!machine->has_entry || start_threads(machine))) {
        machine->config.declined(machine->config.ctx, "the vCPUs cannot be started");
        kvm_end(machine, KVM_FAILED, 0);
    }
    hand_over(machine);
    *idle_ns = VM_NEVER;
    return machine->told ? ENGINE_ENDED : ENGINE_IDLE;
}

static void pass_idle(void *engine, uint64_t ns)
{
    (void)engine, (void)ns; /* time passes by itself */
}

static int event_fd(void *engine)
{
    return ((struct kvm_machine *)engine)->event;
}

static size_t serial_room(void *engine)
{
    struct kvm_machine *machine = engine;

    pthread_mutex_lock(&machine->devices);
    size_t room = vm_serial_room(machine->vm);
    pthread_mutex_unlock(&machine->devices);
    return room;
}

static void serial_in(void *engine, const void *bytes, size_t n)
{
    struct kvm_machine *machine = engine;

    pthread_mutex_lock(&machine->devices);
    vm_serial_in(machine->vm, bytes, n);
    pthread_mutex_unlock(&machine->devices);
}

static void report(void *engine, char *text, size_t size)
{
    kvm_count(engine, text, size);
}

const struct engine_ops kvm_engine = {
    .name = "kvm",
    .create = create,
    .destroy = destroy,
    .vm = machine_vm,
    .set_entry = set_entry,
    .is_amd = is_amd,
    .target = &kvm_target,
    .port = &kvm_port,
    .set_server = set_server,
    .run = run,
    .pass_idle = pass_idle,
    .event_fd = event_fd,
    .serial_room = serial_room,
    .serial_in = serial_in,
    .report = report,
};
