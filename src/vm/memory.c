/* Guest RAM: one reserved range of host memory, untouched until the guest or a loader uses it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <sys/mman.h>

#include "vm/internal.h"

enum { PAGE = 4096, VGA_BEGIN = 0xa0000, VGA_END = 0xe0000 };

int vm_memory_new(struct vm *vm)
{
    uint64_t bytes = vm->config.ram_bytes;

    if (bytes < 1 << 20 || bytes % PAGE || bytes > 1ull << 40)
        return -EINVAL;
    void *ram = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ram == MAP_FAILED)
        return -errno;
    /* A huge page for every touched small one would break the promise on resident memory. */
    madvise(ram, bytes, MADV_NOHUGEPAGE);
    vm->ram = ram;
    vm->low_ram = bytes < VM_LOW_RAM_MAX ? bytes : VM_LOW_RAM_MAX;
    return 0;
}

void vm_memory_free(struct vm *vm)
{
    if (vm->ram)
        munmap(vm->ram, vm->config.ram_bytes);
}

uint64_t vm_ram_bytes(const struct vm *vm)
{
    return vm->config.ram_bytes;
}

/* The piece of RAM that holds gpa: [*begin, *end) in guest-physical addresses; NULL: none does. */
static uint8_t *piece_of(struct vm *vm, uint64_t gpa, uint64_t *begin, uint64_t *end)
{
    if (gpa < vm->low_ram) {
        *begin = gpa < VGA_END ? 0 : VGA_END;
        *end = gpa < VGA_BEGIN ? VGA_BEGIN : vm->low_ram;
        return gpa >= VGA_BEGIN && gpa < VGA_END ? NULL : vm->ram + *begin;
    }
    *begin = VM_HIGH_RAM;
    *end = VM_HIGH_RAM + (vm->config.ram_bytes - vm->low_ram);
    return gpa >= *begin && gpa < *end ? vm->ram + vm->low_ram : NULL;
}

uint8_t *vm_ram(struct vm *vm, uint64_t gpa, size_t n)
{
    uint64_t begin, end;
    uint8_t *host = piece_of(vm, gpa, &begin, &end);

    return host && n <= end - gpa ? host + (gpa - begin) : NULL;
}

static bool is_device(uint64_t gpa)
{
    return gpa - VM_IOAPIC_BASE < PAGE || gpa - VM_LAPIC_BASE < PAGE;
}

bool vm_is_mapped(const struct vm *vm, uint64_t gpa)
{
    uint64_t begin, end;

    return piece_of((struct vm *)vm, gpa, &begin, &end) || is_device(gpa);
}

static bool read_piece(struct vm *vm, uint64_t gpa, uint8_t *buffer, size_t n)
{
    uint8_t *ram = vm_ram(vm, gpa, n);

    if (ram)
        memcpy(buffer, ram, n);
    return ram;
}

static bool write_piece(struct vm *vm, uint64_t gpa, const uint8_t *buffer, size_t n)
{
    uint8_t *ram = vm_ram(vm, gpa, n);

    if (ram)
        memcpy(ram, buffer, n);
    return ram;
}

/* How much of an access at gpa stays in one page, and for devices in one naturally aligned word. */
static size_t step_at(uint64_t gpa, size_t n)
{
    size_t step = PAGE - gpa % PAGE;

    if (is_device(gpa))
        step = gpa % 4 == 0 && n >= 4 ? 4 : 1;
    return step < n ? step : n;
}

void vm_read(struct vm *vm, uint64_t gpa, void *buffer, size_t n)
{
    uint8_t *out = buffer;

    for (size_t step; n; gpa += step, out += step, n -= step) {
        step = step_at(gpa, n);
        if (read_piece(vm, gpa, out, step))
            continue;
        if (!is_device(gpa)) {
            memset(out, 0xff, step);
            continue;
        }
        uint64_t value = vm_mmio_read(vm, vm->accessor, gpa, (unsigned)step);
        memcpy(out, &value, step);
    }
}

void vm_write(struct vm *vm, uint64_t gpa, const void *buffer, size_t n)
{
    const uint8_t *in = buffer;

    for (size_t step; n; gpa += step, in += step, n -= step) {
        step = step_at(gpa, n);
        if (write_piece(vm, gpa, in, step) || !is_device(gpa))
            continue;
        uint64_t value = 0;
        memcpy(&value, in, step);
        vm_mmio_write(vm, vm->accessor, gpa, (unsigned)step, value);
    }
}
