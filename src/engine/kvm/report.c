/* Why KVM cannot go on with a vCPU, for a person: what it said, where, and what to try. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "engine/kvm/kvm.h"
#include "x86/segment.h"

static void say_reason(FILE *out, const struct kvm_vcpu *vcpu, int error)
{
    static const char *const internal[] = {
        [KVM_INTERNAL_ERROR_EMULATION] = "it cannot emulate an instruction",
        [KVM_INTERNAL_ERROR_SIMUL_EX] = "exceptions met in a way that it cannot deliver",
        [KVM_INTERNAL_ERROR_DELIVERY_EV] = "an event could not be delivered",
        [KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON] = "an exit that it does not know",
    };
    const struct kvm_run *run = vcpu->run;
    uint32_t why = run->internal.suberror;

    fprintf(out, "KVM cannot go on with vCPU %u: ", vcpu->index);
    if (error)
        fprintf(out, "%s\n", strerror(error));
    else if (run->exit_reason == KVM_EXIT_INTERNAL_ERROR)
        fprintf(out, "internal error %u%s%s\n", why,
                why && why < sizeof internal / sizeof internal[0] ? ", " : "",
                why && why < sizeof internal / sizeof internal[0] ? internal[why] : "");
    else if (run->exit_reason == KVM_EXIT_FAIL_ENTRY)
        fprintf(out, "the processor refuses this state, reason 0x%llx\n",
                (unsigned long long)run->fail_entry.hardware_entry_failure_reason);
    else
        fprintf(out, "an unexpected exit, reason %u\n", run->exit_reason);
}

static void say_code(FILE *out, const struct kvm_vcpu *vcpu, const struct ringside_regs *regs)
{
    uint64_t linear = x86_linear_rip(regs);

    fprintf(out, "  code at 0x%" PRIx64 ":", linear);
    for (unsigned i = 0; i < 15; i++) {
        struct kvm_translation place = {.linear_address = linear + i};
        const uint8_t *byte = NULL;
        if (!ioctl(vcpu->fd, KVM_TRANSLATE, &place) && place.valid)
            byte = vm_ram(vcpu->machine->vm, place.physical_address, 1);
        if (!byte) {
            fputs(" (not mapped)", out);
            break;
        }
        fprintf(out, " %02x", *byte);
    }
    fputc('\n', out);
}

static void say_registers(FILE *out, const struct ringside_regs *regs)
{
    static const char *const names[16] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                          "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};

    for (unsigned i = 0; i < 16; i++)
        fprintf(out, "%s%s %016" PRIx64 "%s", i % 4 ? " " : "  ", names[i], regs->gpr[i],
                i % 4 == 3 ? "\n" : "");
    fprintf(out,
            "  rip %016" PRIx64 " rflags %08" PRIx64 " cs %04x ss %04x\n"
            "  cr0 %08" PRIx64 " cr2 %016" PRIx64 " cr3 %016" PRIx64 " cr4 %08" PRIx64
            " efer %" PRIx64 "\n",
            regs->rip, regs->rflags, regs->seg[RINGSIDE_CS].selector,
            regs->seg[RINGSIDE_SS].selector, regs->cr0, regs->cr2, regs->cr3, regs->cr4,
            regs->efer);
}

static void say_advice(FILE *out, const struct kvm_vcpu *vcpu)
{
    bool emulation = vcpu->run->exit_reason == KVM_EXIT_INTERNAL_ERROR &&
                     vcpu->run->internal.suberror == KVM_INTERNAL_ERROR_EMULATION;

    if (emulation && !(vcpu->machine->features & KVM_CAN_RUN_KERNELS))
        fputs("  this host's KVM emulates the guest's kernel, and does not know every instruction: "
              "try -e soft\n",
              out);
    else
        fputs("  try -e soft, which does not need KVM\n", out);
}

char *kvm_report(struct kvm_vcpu *vcpu, int error)
{
    struct ringside_regs regs;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (!out)
        return NULL;
    say_reason(out, vcpu, error);
    if (!kvm_regs_read(vcpu, &regs)) {
        say_code(out, vcpu, &regs);
        say_registers(out, &regs);
    }
    say_advice(out, vcpu);
    fclose(out);
    return text;
}
