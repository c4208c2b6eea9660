/* How many instructions a second the software CPU executes, in a few kinds of loops. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cpu_machine.h"

CODE(bench_alu, "1: add $3, %rax\n xor %rax, %rbx\n lea 5(%rbx,%rax,2), %rcx\n sub %rcx, %rdx\n"
                "and $0xff, %edx\n shl $2, %rsi\n inc %edi\n cmp %edi, %edx\n jne 1b\n jmp 1b");
CODE(bench_mixed, "1: mov 0x10(%rsi), %rax\n add $1, %rax\n mov %rax, 0x10(%rsi)\n"
                  "movzbl 3(%rsi,%rcx), %edx\n test %edx, %edx\n je 2f\n add %rdx, %rbx\n"
                  "2: push %rax\n call 3f\n pop %rax\n cmp $0, %rbx\n jne 1b\n jmp 1b\n"
                  "3: mov %rbx, 8(%rsp,%rcx,8)\n lea 1(%rbx), %rbx\n ret");
CODE(bench_copy, "1: mov $0x200000, %esi\n mov $0x280000, %edi\n mov $0x8000, %ecx\n"
                 "rep movsq\n jmp 1b");
CODE(bench_calls, "1: call 2f\n call 2f\n call 2f\n call 2f\n jmp 1b\n2: ret");

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void measure(const char *what, const uint8_t *begin, const uint8_t *end)
{
    struct machine *m = machine_new();
    const uint64_t instructions = 200 * 1000 * 1000;
    double start;

    machine_long_mode(m);
    memcpy(m->ram + CODE_AT, begin, (size_t)(end - begin));
    m->cpu.r.gpr[RINGSIDE_RSI] = DATA_AT;
    start = seconds();
    if (cpu_run(&m->cpu, instructions) != CPU_EXIT_LIMIT)
        printf("%s: stopped early at %#llx\n", what, (unsigned long long)m->cpu.r.rip);
    printf("%-8s %7.1f million instructions/s\n", what,
           (double)instructions / (seconds() - start) / 1e6);
    machine_free(m);
}

int main(void)
{
#define MEASURE(name) measure(#name, bench_##name, bench_##name##_end)
    MEASURE(alu);
    MEASURE(mixed);
    MEASURE(calls);
    MEASURE(copy);
    return 0;
}
