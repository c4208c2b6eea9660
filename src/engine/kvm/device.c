/* The devices around the vCPUs, in real time: the kernel's interrupt controllers, and src/vm's
 * rest.
 */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "engine/kvm/kvm.h"

enum { GSI_PIT = 2, GSIS = 24, SECOND = 1000000000 };

/* --- What src/vm asks of its owner; the lock `devices` is held -------------------------------- */

static uint64_t host_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static uint64_t host_now(void *ctx)
{
    return host_ns() - ((struct kvm_machine *)ctx)->began;
}

static void host_deadline_changed(void *ctx)
{
    pthread_cond_signal(&((struct kvm_machine *)ctx)->clock);
}

/* The PIT is the kernel's, and so is its line. */
static void host_set_line(void *ctx, unsigned gsi, bool level)
{
    const struct kvm_machine *machine = ctx;
    struct kvm_irq_level line = {.irq = gsi, .level = level};

    if (gsi != GSI_PIT)
        ioctl(machine->vm_fd, KVM_IRQ_LINE, &line);
}

static void host_serial_out(void *ctx, uint8_t byte)
{
    struct kvm_machine *machine = ctx;

    if (machine->queued == KVM_QUEUE)
        return;
    if (machine->queued == 0)
        kvm_tell_tool(machine);
    machine->queue[machine->queued++] = byte;
}

static void host_request(void *ctx, int what, int status)
{
    struct kvm_machine *machine = ctx;

    if (machine->ended)
        return;
    machine->ended_what = what;
    machine->ended_status = status;
    __atomic_store_n(&machine->ended, true, __ATOMIC_RELEASE);
    kvm_tell_tool(machine);
}

/* The machine's own interrupt controllers are not wired to anything. */
static void host_interrupt_changed(void *ctx, unsigned cpu)
{
    (void)ctx, (void)cpu;
}

static void host_cpu_signal(void *ctx, unsigned cpu)
{
    (void)ctx, (void)cpu;
}

static void host_cpu_sipi(void *ctx, unsigned cpu, uint8_t vector)
{
    (void)ctx, (void)cpu, (void)vector;
}

const struct vm_host kvm_vm_host = {
    .now = host_now,
    .deadline_changed = host_deadline_changed,
    .interrupt_changed = host_interrupt_changed,
    .cpu_init = host_cpu_signal,
    .cpu_sipi = host_cpu_sipi,
    .cpu_nmi = host_cpu_signal,
    .set_line = host_set_line,
    .serial_out = host_serial_out,
    .request = host_request,
};

void kvm_end(struct kvm_machine *machine, int what, int status)
{
    pthread_mutex_lock(&machine->devices);
    host_request(machine, what, status);
    pthread_mutex_unlock(&machine->devices);
}

/* --- Accesses that left the guest ------------------------------------------------------------- */

void kvm_leave_console(struct kvm_machine *machine)
{
    pthread_mutex_lock(&machine->devices);
    pthread_cond_broadcast(&machine->drained);
    pthread_mutex_unlock(&machine->devices);
}

/* Not while the console is full; a kick comes first, as the byte then fits in what is kept back. */
static void wait_for_console(struct kvm_vcpu *vcpu)
{
    struct kvm_machine *machine = vcpu->machine;

    while (machine->queued >= KVM_QUEUE / 2 &&
           !__atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_ACQUIRE))
        pthread_cond_wait(&machine->drained, &machine->devices);
}

void kvm_port_access(struct kvm_vcpu *vcpu)
{
    struct kvm_machine *machine = vcpu->machine;
    struct kvm_run *run = vcpu->run;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;
    uint16_t port = run->io.port;
    unsigned size = run->io.size;

    pthread_mutex_lock(&machine->devices);
    for (uint32_t i = 0; i < run->io.count; i++, data += size) {
        uint32_t value = 0;
        if (run->io.direction == KVM_EXIT_IO_IN) {
            value = vm_port_read(machine->vm, vcpu->index, port, size);
            memcpy(data, &value, size);
        } else {
            wait_for_console(vcpu);
            memcpy(&value, data, size);
            vm_port_write(machine->vm, vcpu->index, port, size, value);
        }
    }
    pthread_mutex_unlock(&machine->devices);
    kvm_catch_port(vcpu);
}

void kvm_mmio_access(struct kvm_vcpu *vcpu)
{
    struct kvm_machine *machine = vcpu->machine;
    struct kvm_run *run = vcpu->run;

    if (kvm_protected_access(vcpu))
        return;
    pthread_mutex_lock(&machine->devices);
    if (run->mmio.is_write)
        vm_write(machine->vm, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
    else
        vm_read(machine->vm, run->mmio.phys_addr, run->mmio.data, run->mmio.len);
    pthread_mutex_unlock(&machine->devices);
}

/* --- Time ------------------------------------------------------------------------------------- */

void *kvm_tick_devices(void *ctx)
{
    struct kvm_machine *machine = ctx;

    pthread_mutex_lock(&machine->devices);
    while (!kvm_leaving(machine)) {
        vm_tick(machine->vm, host_now(machine));
        uint64_t deadline = vm_deadline(machine->vm);
        if (deadline == VM_NEVER) {
            pthread_cond_wait(&machine->clock, &machine->devices);
        } else {
            uint64_t at = machine->began + deadline;
            struct timespec until = {(time_t)(at / SECOND), (long)(at % SECOND)};
            pthread_cond_timedwait(&machine->clock, &machine->devices, &until);
        }
    }
    pthread_mutex_unlock(&machine->devices);
    return NULL;
}

/* --- The kernel's interrupt controllers ------------------------------------------------------- */

static void route(struct kvm_irq_routing *routing, unsigned gsi, unsigned chip, unsigned pin)
{
    routing->entries[routing->nr++] = (struct kvm_irq_routing_entry){
        .gsi = gsi,
        .type = KVM_IRQ_ROUTING_IRQCHIP,
        .u.irqchip = {.irqchip = chip, .pin = pin},
    };
}

/* As the ACPI tables say it: ISA interrupt 0, the PIT's, is GSI 2; the others are as they are.  The
 * kernel calls the PIT's line 0. */
static int set_routes(int vm_fd)
{
    struct {
        struct kvm_irq_routing head;
        struct kvm_irq_routing_entry entry[64];
    } table;

    memset(&table, 0, sizeof table);
    for (unsigned gsi = 0; gsi < 16; gsi++)
        if (gsi != GSI_PIT)
            route(&table.head, gsi, gsi < 8 ? KVM_IRQCHIP_PIC_MASTER : KVM_IRQCHIP_PIC_SLAVE,
                  gsi % 8);
    for (unsigned gsi = 0; gsi < GSIS; gsi++)
        if (gsi != GSI_PIT)
            route(&table.head, gsi, KVM_IRQCHIP_IOAPIC, gsi ? gsi : GSI_PIT);
    return ioctl(vm_fd, KVM_SET_GSI_ROUTING, &table) ? -errno : 0;
}

int kvm_irqchip(int vm_fd)
{
    struct kvm_pit_config pit = {.flags = KVM_PIT_SPEAKER_DUMMY};

    if (ioctl(vm_fd, KVM_CREATE_IRQCHIP, 0) || ioctl(vm_fd, KVM_CREATE_PIT2, &pit))
        return -errno;
    return set_routes(vm_fd);
}
