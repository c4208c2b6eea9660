/* Starts a virtual machine, waits until its console prints a line, says how long that took and how
 * much memory is resident: "milliseconds cpu-milliseconds guest-KiB other-KiB". */
/* usage: stopwatch TEXT COMMAND [ARGUMENT]... */
/* SPDX-License-Identifier: BSD-2-Clause */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_S = 300 };

static double now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

/* Reads until text comes by; false: the machine ended before. */
static bool wait_for(FILE *console, const char *text)
{
    char line[4096];
    while (fgets(line, sizeof line, console) != NULL) {
        if (strstr(line, text) != NULL)
            return true;
    }
    return false;
}

/* The guest's memory is the largest mapping; everything else is the program's own. */
static void resident(pid_t pid, unsigned long *guest_kib, unsigned long *other_kib)
{
    char path[64], line[512];
    unsigned long size = 0, rss = 0, largest = 0, total = 0, kib;
    *guest_kib = 0;
    snprintf(path, sizeof path, "/proc/%d/smaps", (int)pid);
    FILE *smaps = fopen(path, "r");
    while (smaps != NULL && fgets(line, sizeof line, smaps) != NULL) {
        if (sscanf(line, "Size: %lu", &kib) == 1)
            size = kib;
        if (sscanf(line, "Rss: %lu", &kib) != 1)
            continue;
        rss = kib;
        total += rss;
        if (size > largest) {
            largest = size;
            *guest_kib = rss;
        }
    }
    if (smaps != NULL)
        fclose(smaps);
    *other_kib = total - *guest_kib;
}

/* User and system time of a process that still runs. */
static double cpu_ms(pid_t pid)
{
    char path[64];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *stat = fopen(path, "r");
    if (stat == NULL)
        return 0;
    if (fscanf(stat, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
               &system) != 2)
        user = system = 0;
    fclose(stat);
    return (double)(user + system) * 1e3 / (double)sysconf(_SC_CLK_TCK);
}

int main(int argc, char **argv)
{
    int console[2];
    if (argc < 3 || pipe2(console, O_CLOEXEC) != 0)
        return 2;
    double begin = now_ms();
    pid_t pid = fork();
    if (pid == 0) {
        int nothing = open("/dev/null", O_RDWR);
        dup2(nothing, STDIN_FILENO);
        dup2(console[1], STDOUT_FILENO);
        dup2(nothing, STDERR_FILENO);
        alarm(PATIENCE_S);
        execvp(argv[2], argv + 2);
        _exit(127);
    }
    close(console[1]);
    bool found = pid > 0 && wait_for(fdopen(console[0], "r"), argv[1]);
    double end = now_ms();
    if (found) {
        unsigned long guest_kib, other_kib;
        double cpu = cpu_ms(pid);
        resident(pid, &guest_kib, &other_kib);
        printf("%.0f %.0f %lu %lu\n", end - begin, cpu, guest_kib, other_kib);
    }
    if (pid > 0) {
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
    }
    return found ? 0 : 1;
}
