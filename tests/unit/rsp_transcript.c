/* Runs a transcript of the remote protocol against the server: whole, byte by byte, and split. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rsp_fake.h"

/*
 * One action a line; '#' begins a comment at a line's start.
 *   -> BODY      send a packet        <- BODY    exactly this packet comes
 *   >> BYTES     send bytes           << BYTES   exactly these bytes come
 *                                     <~ BODY    a packet that begins so comes
 *                                     <*N BODY   one of N bytes that begins so
 * In all of these \xNN is a byte and {TEXT*N} is TEXT N times.  '<-' passes over acknowledgements;
 * before anything is sent, and at the end, no other output may be left.
 *   option NAME            see set_option(); before all else
 *   connect | disconnect | finished | attached YESNO | ended STATUS
 *   enter VCPU run|park    what the vCPU is told
 *   exit VCPU REASON [write|read|access|exec ADDRESS]
 *   exit VCPU breakpoint at GPA
 *   exit VCPU catch exception|interrupt|cr|msr|port|hlt|trap NUMBER
 *   set VCPU rip|activity VALUE
 *   get rip|cr8|... VCPU VALUE, see check_state()
 */
struct runner {
    struct fake fake;
    struct ringside *rs;
    void *memory;
    const char *file;
    unsigned line;
    size_t split, position; /* the next input is cut where position reaches split */
    bool bytewise;
    char out[4 << 20];
    size_t out_length;
};

static _Noreturn void fail(const struct runner *r, const char *what, const char *got)
{
    fprintf(stderr, "%s:%u: %s (split at %zu%s)\n", r->file, r->line, what, r->split,
            r->bytewise ? ", byte by byte" : "");
    if (got)
        fprintf(stderr, "  got: %.200s\n", got);
    exit(1);
}

static void drain(struct runner *r)
{
    const void *bytes;
    size_t n;

    while ((n = ringside_output(r->rs, &bytes)) > 0) {
        if (r->bytewise)
            n = 1;
        if (n > sizeof r->out - r->out_length - 1)
            fail(r, "too much output", NULL);
        memcpy(r->out + r->out_length, bytes, n);
        r->out_length += n;
        ringside_sent(r->rs, n);
    }
    r->out[r->out_length] = 0;
}

static void take_output(struct runner *r, size_t n)
{
    r->out_length -= n;
    memmove(r->out, r->out + n, r->out_length + 1);
}

static void skip_acks(struct runner *r)
{
    size_t n = 0;

    while (r->out[n] == '+')
        n++;
    take_output(r, n);
}

static void feed(struct runner *r, const char *bytes, size_t n)
{
    while (n) {
        size_t part = n;
        if (r->bytewise)
            part = 1;
        else if (r->split > r->position && r->split < r->position + n)
            part = r->split - r->position;
        size_t taken = ringside_input(r->rs, bytes, part);
        size_t before = r->out_length;
        drain(r);
        if (taken == 0 && r->out_length == before)
            fail(r, "input is not taken though nothing waits to be sent", NULL);
        bytes += taken;
        n -= taken;
        r->position += taken;
    }
}

/* Expands escapes and repetitions; the result is the caller's to free. */
static char *expand(const struct runner *r, const char *from, size_t *length)
{
    size_t capacity = 1 << 20, n = 0;
    char *to = malloc(capacity);

    while (*from) {
        const char *star, *end;
        if (from[0] == '\\' && from[1] == 'x') {
            char digits[3] = {from[2], from[3], 0};
            to[n++] = (char)strtoul(digits, NULL, 16);
            from += 4;
        } else if (from[0] == '{' && (end = strchr(from, '}')) && (star = strchr(from, '*')) &&
                   star < end) {
            size_t unit = (size_t)(star - from - 1);
            for (unsigned long times = strtoul(star + 1, NULL, 10); times; times--) {
                if (n + unit >= capacity)
                    fail(r, "the transcript is too long", NULL);
                memcpy(to + n, from + 1, unit);
                n += unit;
            }
            from = end + 1;
        } else {
            to[n++] = *from++;
        }
    }
    to[n] = 0;
    *length = n;
    return to;
}

static unsigned sum_of(const char *bytes, size_t n)
{
    unsigned sum = 0;

    while (n--)
        sum += (unsigned char)*bytes++;
    return sum & 0xff;
}

static void nothing_left(struct runner *r)
{
    drain(r);
    skip_acks(r);
    if (r->out_length)
        fail(r, "output that was not expected", r->out);
}

static void send_packet(struct runner *r, const char *text)
{
    size_t n;
    char *body = expand(r, text, &n), *frame = malloc(n + 8);

    nothing_left(r);
    frame[0] = '$';
    memcpy(frame + 1, body, n);
    sprintf(frame + 1 + n, "#%02x", sum_of(body, n));
    feed(r, frame, n + 4);
    free(frame);
    free(body);
}

static void send_bytes(struct runner *r, const char *text)
{
    size_t n;
    char *bytes = expand(r, text, &n);

    feed(r, bytes, n);
    free(bytes);
}

/* length: of the body, or 0 where only the beginning is known */
static void expect_packet(struct runner *r, const char *text, bool whole, size_t length)
{
    size_t n;
    char *body = expand(r, text, &n), *end;

    drain(r);
    skip_acks(r);
    if (r->out[0] != '$' || !(end = memchr(r->out, '#', r->out_length)) ||
        r->out_length < (size_t)(end - r->out) + 3)
        fail(r, "no packet came", r->out);
    size_t got = (size_t)(end - r->out) - 1;
    if ((whole && got != n) || (length && got != length) || got < n ||
        memcmp(r->out + 1, body, n) != 0)
        fail(r, "another packet came", r->out);
    if (strtoul((char[]){end[1], end[2], 0}, NULL, 16) != sum_of(r->out + 1, got))
        fail(r, "its checksum is wrong", r->out);
    take_output(r, got + 4);
    free(body);
}

static void expect_bytes(struct runner *r, const char *text)
{
    size_t n;
    char *bytes = expand(r, text, &n);

    drain(r);
    if (r->out_length < n || memcmp(r->out, bytes, n) != 0)
        fail(r, "other bytes came", r->out);
    take_output(r, n);
    free(bytes);
}

static void do_exit(struct runner *r, unsigned vcpu, const char *reason, const char *kind,
                    uint64_t address)
{
    static const char *const reasons[] = {
        [RINGSIDE_EXIT_OTHER] = "other",           [RINGSIDE_EXIT_MONITOR_TRAP] = "step",
        [RINGSIDE_EXIT_BREAKPOINT] = "breakpoint", [RINGSIDE_EXIT_WATCH] = "watch",
        [RINGSIDE_EXIT_CATCH] = "catch",           [RINGSIDE_EXIT_HALT] = "halt",
        [RINGSIDE_EXIT_SHUTDOWN] = "shutdown",     [RINGSIDE_EXIT_DECLINED] = "declined",
        [RINGSIDE_EXIT_ERROR] = "error",
    };
    static const char *const watches[] = {
        [RINGSIDE_WATCH_EXEC] = "exec",
        [RINGSIDE_WATCH_WRITE] = "write",
        [RINGSIDE_WATCH_READ] = "read",
        [RINGSIDE_WATCH_ACCESS] = "access",
        NULL,
    };
    static const char *const catches[] = {
        [RINGSIDE_CATCH_EXCEPTION] = "exception",
        [RINGSIDE_CATCH_INTERRUPT] = "interrupt",
        [RINGSIDE_CATCH_CR] = "cr",
        [RINGSIDE_CATCH_MSR] = "msr",
        [RINGSIDE_CATCH_PORT] = "port",
        [RINGSIDE_CATCH_HALT] = "hlt",
        [RINGSIDE_CATCH_TRAP] = "trap",
        NULL,
    };
    static const char *const places[] = {"at", NULL};
    struct ringside_exit exit = {.watch_address = address, .gpa = address};
    const char *const *kinds;
    unsigned i, k;

    for (i = 0; strcmp(reasons[i], reason) != 0; i++)
        if (reasons[i] == reasons[RINGSIDE_EXIT_MONITOR_TRAP])
            fail(r, "no such exit", reason);
    exit.reason = (enum ringside_exit_reason)i;
    exit.has_gpa = strcmp(kind, "at") == 0;
    kinds = exit.has_gpa ? places : exit.reason == RINGSIDE_EXIT_CATCH ? catches : watches;
    for (k = 0; *kind && strcmp(kinds[k], kind) != 0; k++)
        if (!kinds[k + 1])
            fail(r, "no such kind", kind);
    exit.watch_kind = (enum ringside_watch_kind)k;
    exit.caught = (struct ringside_caught){
        .kind = (enum ringside_catch_kind)k,
        .number = (uint32_t)address,
        .rip = 0x1234,
        .value = 0x56,
        .has_error = k == RINGSIDE_CATCH_EXCEPTION && address >= 8,
    };
    ringside_vcpu_exit(r->rs, vcpu, &exit);
}

static void set_option(struct runner *r, const char *name)
{
    struct fake *fake = &r->fake;

    if (strcmp(name, "hold") == 0)
        fake->config.hold_at_start = true;
    else if (strcmp(name, "run-on-attach") == 0)
        fake->config.stop_on_attach = false;
    else if (strcmp(name, "stay-on-detach") == 0)
        fake->config.resume_on_detach = false;
    else if (strcmp(name, "no-step") == 0)
        fake->target.step = NULL;
    else if (strcmp(name, "no-breakpoint") == 0)
        fake->target.breakpoint = NULL;
    else if (strcmp(name, "no-watch") == 0)
        fake->target.watch = NULL;
    else if (strcmp(name, "no-catch") == 0)
        fake->target.catches = NULL;
    else if (strcmp(name, "no-fpu") == 0)
        fake->target.fpu = NULL;
    else if (strcmp(name, "no-msr") == 0)
        fake->target.msr = NULL;
    else if (strcmp(name, "no-machine") == 0)
        fake->target.machine = NULL;
    else if (strcmp(name, "paging") == 0) {
        fake_enable_paging(fake, 0);
        fake_enable_paging(fake, 1);
    } else if (strcmp(name, "two-slots") == 0)
        fake->breakpoint_limit = fake->watch_limit = 2;
    else
        fail(r, "no such option", name);
}

static void check(const struct runner *r, uint64_t got, uint64_t wanted, const char *what)
{
    if (got != wanted) {
        fprintf(stderr, "%s is 0x%llx, not 0x%llx\n", what, (unsigned long long)got,
                (unsigned long long)wanted);
        fail(r, "the target's state is wrong", NULL);
    }
}

/* get WHAT AT WANTED: AT is a vCPU, or an address */
static void check_state(struct runner *r, const char *what, uint64_t at, uint64_t wanted)
{
    const struct fake *fake = &r->fake;
    uint64_t value;

    if (strcmp(what, "breakpoint") == 0)
        value = fake_has_breakpoint(fake, at);
    else if (strcmp(what, "exec-watch") == 0)
        value = fake_has_watch(fake, RINGSIDE_WATCH_EXEC, at);
    else if (strcmp(what, "watches") == 0)
        value = fake->watch_count;
    else if (strcmp(what, "catches") == 0)
        value = fake->catch_count;
    else if (strcmp(what, "breakpoints") == 0)
        value = fake->breakpoint_count;
    else if (strcmp(what, "byte") == 0)
        value = fake->memory[at];
    else if (strcmp(what, "mmio") == 0)
        value = fake->mmio_written;
    else if (strcmp(what, "msr") == 0)
        value = fake->msr;
    else if (strcmp(what, "resets") == 0)
        value = fake->resets;
    else if (strcmp(what, "power-offs") == 0)
        value = fake->power_offs;
    else if (at >= FAKE_VCPUS)
        fail(r, "no such vCPU", what);
    else if (strcmp(what, "rip") == 0)
        value = fake->regs[at].rip;
    else if (strcmp(what, "rax") == 0)
        value = fake->regs[at].gpr[RINGSIDE_RAX];
    else if (strcmp(what, "cs") == 0)
        value = fake->regs[at].seg[RINGSIDE_CS].selector;
    else if (strcmp(what, "ftw") == 0)
        value = fake->fpu[at].ftw;
    else if (strcmp(what, "armed") == 0)
        value = fake->step[at].armed;
    else if (strcmp(what, "hold") == 0)
        value = fake->step[at].hold;
    else
        fail(r, "no such state", what);
    check(r, value, wanted, what);
}

static void set_state(struct runner *r, const char *what, uint64_t at, uint64_t value)
{
    struct fake *fake = &r->fake;

    if (strcmp(what, "map") == 0)
        fake_map_page(fake, (unsigned)at, value);
    else if (at >= FAKE_VCPUS)
        fail(r, "no such vCPU", what);
    else if (strcmp(what, "rip") == 0)
        fake->regs[at].rip = value;
    else if (strcmp(what, "activity") == 0)
        fake->regs[at].activity = (uint8_t)value;
    else if (strcmp(what, "paging") == 0)
        fake_enable_paging(fake, (unsigned)at);
    else
        fail(r, "no such state", what);
}

static void do_line(struct runner *r, const char *line)
{
    char word[32] = "", second[32] = "", third[32] = "", fourth[32] = "";
    unsigned long long a = 0, b = 0;
    char *end;

    if (strncmp(line, "-> ", 3) == 0) {
        send_packet(r, line + 3);
    } else if (strncmp(line, ">> ", 3) == 0) {
        send_bytes(r, line + 3);
    } else if (strncmp(line, "<- ", 3) == 0 || strcmp(line, "<-") == 0) {
        expect_packet(r, line[2] ? line + 3 : "", true, 0);
    } else if (strncmp(line, "<~ ", 3) == 0) {
        expect_packet(r, line + 3, false, 0);
    } else if (strncmp(line, "<*", 2) == 0) {
        unsigned long length = strtoul(line + 2, &end, 10);
        expect_packet(r, end + 1, false, length);
    } else if (strncmp(line, "<< ", 3) == 0) {
        expect_bytes(r, line + 3);
    } else {
        sscanf(line, "%31s %31s %31s %31s", word, second, third, fourth);
        if (strcmp(word, "connect") == 0) {
            check(r, ringside_connect(r->rs) == RINGSIDE_OK, strcmp(second, "refused") != 0,
                  "connected");
        } else if (strcmp(word, "disconnect") == 0) {
            ringside_disconnect(r->rs);
        } else if (strcmp(word, "finished") == 0) {
            check(r, ringside_finished(r->rs), strcmp(second, "no") != 0, word);
        } else if (strcmp(word, "attached") == 0) {
            check(r, ringside_attached(r->rs), strcmp(second, "yes") == 0, word);
        } else if (strcmp(word, "ended") == 0) {
            ringside_guest_ended(r->rs, atoi(second));
        } else if (strcmp(word, "enter") == 0) {
            enum ringside_verdict verdict = ringside_vcpu_enter(r->rs, (unsigned)atoi(second));
            check(r, verdict == RINGSIDE_RUN, strcmp(third, "run") == 0, "enter");
        } else if (strcmp(word, "exit") == 0) {
            char kind[32] = "";
            sscanf(line, "%*s %*s %*s %31s %llx", kind, &a);
            do_exit(r, (unsigned)atoi(second), third, kind, a);
        } else if (strcmp(word, "set") == 0 || strcmp(word, "get") == 0) {
            a = strtoull(third, NULL, 16);
            b = strtoull(fourth, NULL, 16);
            (*word == 's' ? set_state : check_state)(r, second, a, b);
        } else {
            fail(r, "not a line of a transcript", line);
        }
    }
}

/* Returns how many bytes went in. */
static size_t run(struct runner *r, const char *text)
{
    char line[4096];
    bool started = false;

    fake_init(&r->fake);
    r->position = r->line = r->out_length = 0;
    r->out[0] = 0;
    while (*text) {
        size_t n = strcspn(text, "\n");
        if (n >= sizeof line)
            fail(r, "the line is too long", NULL);
        memcpy(line, text, n);
        line[n] = 0;
        text += n + (text[n] == '\n');
        r->line++;
        if (!*line || *line == '#')
            continue;
        if (strncmp(line, "option ", 7) == 0) {
            set_option(r, line + 7);
            continue;
        }
        if (!started) {
            r->rs = ringside_init(r->memory, &r->fake.config);
            if (!r->rs)
                fail(r, "the server does not start", NULL);
            started = true;
        }
        do_line(r, line);
    }
    nothing_left(r);
    return r->position;
}

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    char *text = calloc(1, 1 << 20);

    if (!file || fread(text, 1, (1 << 20) - 1, file) == 0) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(1);
    }
    fclose(file);
    return text;
}

int main(int argc, char **argv)
{
    struct runner *r = calloc(1, sizeof *r);
    enum { ALL = 1500 };

    r->memory = aligned_alloc(16, (ringside_size(FAKE_VCPUS) + 15) & ~(size_t)15);
    for (int i = 1; i < argc; i++) {
        char *text = read_file(argv[i]);
        r->file = argv[i];
        r->split = 0;
        r->bytewise = true;
        size_t n = run(r, text);
        r->bytewise = false;
        run(r, text);
        /* At every position; where there are very many, at ever more distant ones. */
        for (r->split = 1; r->split < n; r->split += 1 + (n > ALL ? r->split / 50 : 0))
            run(r, text);
        printf("%s: %zu bytes\n", argv[i], n);
        free(text);
    }
    free(r->memory);
    free(r);
    return 0;
}
