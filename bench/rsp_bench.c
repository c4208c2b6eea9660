/* A debugger that only measures: the same packets to any server of the GDB remote protocol. */
/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * usage: rsp_bench PORT steps SECONDS                single steps a second
 *        rsp_bench PORT trips SECONDS                round trips a second that ask for nothing
 *        rsp_bench PORT memory BEGIN LENGTH SECONDS  MB a second by 'm' (and 'x' if it is there)
 *        rsp_bench PORT range BEGIN END SECONDS      instructions a second of one range step, in a
 *                                                    loop of three of which $rdi counts the turns
 *        rsp_bench PORT breakpoints BEGIN N AT SECONDS PID [PENDING]
 *                  seconds to set N breakpoints, sent without waiting for each, and one more where
 *                  nothing is mapped; microseconds for a hit of one AT, with all that GDB does to
 *                  continue; and how often the guest comes to AT with that one removed ($rdi
 *                  counts it), for each second that process PID was on a processor
 *        rsp_bench PORT stops 0|1 AT SECONDS         such hits a second, of a software (Z0) or a
 *                                                    hardware breakpoint (Z1)
 *        rsp_bench PORT evaluate AT SECONDS          such hits a second with the registers read: as
 *                                                    if the debugger evaluates a condition
 *        rsp_bench PORT condition AT NEXT TURNS      evaluations a second if the server does it
 *        rsp_bench PORT trace AT SECONDS PID
 *                  frames of a tracepoint AT with three registers, and how often the guest comes
 *                  there without it (its TSC counts instructions), likewise
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define USAGE                                                                                      \
    "usage: rsp_bench PORT steps|trips|memory|range|breakpoints|stops|evaluate|condition|trace "   \
    "..."

enum { BUFFER = 1 << 20, PATIENCE_S = 120 };

static int server;
static bool acks = true;
static char bytes[BUFFER];
static size_t begin, end;
static char reply[BUFFER];
static size_t reply_length;

static void die(const char *what)
{
    fprintf(stderr, "rsp_bench: %s\n", what);
    exit(1);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void write_all(const char *data, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(server, data, n, MSG_NOSIGNAL);
        if (sent <= 0)
            die("the server closed the connection");
        data += sent;
        n -= (size_t)sent;
    }
}

static char next_byte(void)
{
    if (begin == end) {
        ssize_t n = recv(server, bytes, sizeof bytes, 0);
        if (n <= 0)
            die("the server closed the connection");
        begin = 0;
        end = (size_t)n;
    }
    return bytes[begin++];
}

static size_t frame_list(char *to, size_t size, const char *format, va_list args)
{
    char packet[512];
    vsnprintf(packet, sizeof packet, format, args);
    uint8_t sum = 0;
    for (const char *c = packet; *c != '\0'; c++)
        sum = (uint8_t)(sum + (uint8_t)*c);
    return (size_t)snprintf(to, size, "$%s#%02x", packet, sum);
}

static size_t frame(char *to, size_t size, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t n = frame_list(to, size, format, args);
    va_end(args);
    return n;
}

static void send_packet(const char *format, ...)
{
    char framed[520];
    va_list args;
    va_start(args, format);
    write_all(framed, frame_list(framed, sizeof framed, format, args));
    va_end(args);
}

/* The next packet's payload, as it came, into reply. */
static void receive_packet(void)
{
    char c;
    while ((c = next_byte()) != '$')
        ;
    reply_length = 0;
    while ((c = next_byte()) != '#' && reply_length < sizeof reply - 1)
        reply[reply_length++] = c;
    reply[reply_length] = '\0';
    next_byte();
    next_byte();
    if (acks)
        write_all("+", 1);
}

static void ask(const char *packet)
{
    send_packet("%s", packet);
    receive_packet();
}

static void connect_to(const char *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(server, (struct sockaddr *)&address, sizeof address) != 0)
        die("cannot connect");
    setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    alarm(PATIENCE_S);
}

/* How many bytes an 'm' reply may carry. */
static size_t handshake(bool *binary)
{
    ask("qSupported:swbreak+;hwbreak+;vContSupported+");
    const char *size = strstr(reply, "PacketSize=");
    size_t packet = size != NULL ? strtoul(size + 11, NULL, 16) : 400;
    *binary = strstr(reply, "binary-upload+") != NULL;
    ask("QStartNoAckMode");
    acks = strcmp(reply, "OK") != 0;
    ask("vCont?");
    ask("?");
    /* QEMU tells of the stop once more when its machine has come to it. */
    usleep(100000);
    while (recv(server, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    begin = end = 0;
    return packet;
}

static void bench_steps(double seconds)
{
    unsigned steps = 0;
    double start = now();
    while (now() - start < seconds) {
        for (unsigned i = 0; i < 50; i++, steps++) {
            send_packet("vCont;s:1");
            receive_packet();
            if (reply[0] != 'T' && reply[0] != 'S')
                die(reply);
        }
    }
    printf("%.0f\n", steps / (now() - start));
}

/* vMustReplyEmpty: the server has nothing to do but to answer. */
static void bench_trips(double seconds)
{
    unsigned trips = 0;
    double start = now();
    while (now() - start < seconds)
        for (unsigned i = 0; i < 50; i++, trips++)
            ask("vMustReplyEmpty");
    printf("%.0f\n", trips / (now() - start));
}

static double megabytes(char command, uint64_t from, uint64_t length, size_t chunk, double seconds)
{
    uint64_t done = 0, at = 0;
    double start = now();
    while (now() - start < seconds) {
        send_packet("%c%llx,%zx", command, (unsigned long long)(from + at), chunk);
        receive_packet();
        if (reply[0] == 'E' || (command == 'm' && reply_length < 2))
            die(reply);
        done += chunk;
        at = at + 2 * chunk <= length ? at + chunk : 0;
    }
    return (double)done / 1e6 / (now() - start);
}

/* Breakpoints every 16 bytes, sent without waiting for the replies; returns the seconds it took. */
static double set_breakpoints(uint64_t from, unsigned n)
{
    enum { BATCH = 500 };
    double start = now();
    for (unsigned sent = 0, answered = 0; answered < n;) {
        char frames[BATCH * 40];
        size_t length = 0;
        for (unsigned i = 0; i < BATCH && sent < n; i++, sent++)
            length +=
                frame(frames + length, 40, "Z0,%llx,1", (unsigned long long)(from + 16ull * sent));
        write_all(frames, length);
        for (; answered < sent && (sent == n || sent - answered > BATCH); answered++) {
            receive_packet();
            if (strcmp(reply, "OK") != 0)
                die(reply);
        }
    }
    return now() - start;
}

static void expect_ok(const char *format, uint64_t at)
{
    char packet[64];
    snprintf(packet, sizeof packet, format, (unsigned long long)at);
    ask(packet);
    if (strcmp(reply, "OK") != 0)
        die(reply);
}

/* What GDB does with each hit: all out, one step off it, all in again. */
static double stops(bool hardware, uint64_t at, double seconds, bool read_registers)
{
    const char *set = hardware ? "Z1,%llx,1" : "Z0,%llx,1";
    const char *clear = hardware ? "z1,%llx,1" : "z0,%llx,1";
    unsigned n = 0;
    expect_ok(set, at);
    ask("vCont;c");
    double start = now();
    for (; now() - start < seconds; n++) {
        if (reply[0] != 'T' && reply[0] != 'S')
            die(reply);
        if (read_registers)
            ask("g");
        expect_ok(clear, at);
        ask("vCont;s:1");
        expect_ok(set, at);
        ask("vCont;c");
    }
    return n / (now() - start);
}

static void interrupt(void)
{
    write_all("\3", 1);
    receive_packet();
    if (reply[0] != 'T' && reply[0] != 'S')
        die(reply);
}

/* Their places in a reply to g, where each has 16 digits, the low byte first. */
enum gpr { RDI = 5, RIP = 16 };
static uint64_t gpr(enum gpr which)
{
    unsigned char digits[17] = {0};
    size_t place = 16 * (size_t)which;

    ask("g");
    for (unsigned i = 0; i < 8 && reply_length >= place + 16; i++)
        memcpy(digits + 2 * i, reply + place + 14 - 2 * i, 2);
    return strtoull((char *)digits, NULL, 16);
}

/* Left by an interrupt, which finds it still in the loop. */
static void bench_range(uint64_t from, uint64_t to, double seconds)
{
    uint64_t turns;
    double start;
    while (gpr(RIP) < from || gpr(RIP) >= to)
        ask("vCont;s:1"); /* out of an interrupt's handler */
    turns = gpr(RDI);
    start = now();
    send_packet("vCont;r%llx,%llx:1", (unsigned long long)from, (unsigned long long)to);
    usleep((useconds_t)(seconds * 1e6));
    interrupt();
    turns -= gpr(RDI);
    printf("%.0f\n", 3 * (double)turns / (now() - start));
}

/* In seconds. */
static double processor_time(const char *pid)
{
    struct timespec time;
    clockid_t clock;
    if (clock_getcpuclockid(atoi(pid), &clock) != 0 || clock_gettime(clock, &time) != 0)
        die("no such process");
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* How often a second a function is called whose first argument counts the calls. */
static double calls(uint64_t at, double seconds, const char *pid)
{
    uint64_t before = gpr(RDI);
    expect_ok("z0,%llx,1", at);
    double start = processor_time(pid);
    send_packet("vCont;c");
    usleep((useconds_t)(seconds * 1e6));
    interrupt();
    double time = processor_time(pid) - start;
    expect_ok("Z0,%llx,1", at);
    ask("vCont;c");
    return (double)(gpr(RDI) - before) / time;
}

static void bench_breakpoints(char **argv)
{
    uint64_t at = strtoull(argv[5], NULL, 0);
    double seconds = atof(argv[6]), set;

    set = set_breakpoints(strtoull(argv[3], NULL, 0), (unsigned)atoi(argv[4]));
    if (argv[8])
        expect_ok("Z0,%llx,1", strtoull(argv[8], NULL, 0));
    printf("%.3f %.1f ", set, 1e6 / stops(false, at, seconds, false));
    printf("%.0f\n", calls(at, seconds, argv[7]));
}

/* The TSC, which counts time, and so instructions of a guest that is never idle. */
static uint64_t tsc(void)
{
    char text[32] = "";
    unsigned byte;

    ask("qRcmd,6d73722030783130"); /* msr 0x10 */
    for (size_t i = 0; i < sizeof text - 1 && sscanf(reply + 2 * i, "%2x", &byte) == 1; i++)
        text[i] = (char)byte;
    return strtoull(text, NULL, 0);
}

struct run {
    double time, frames; /* of the guest; a second */
};

static struct run run_for(double seconds, const char *pid)
{
    uint64_t before = tsc();
    double start = processor_time(pid);
    send_packet("vCont;c");
    usleep((useconds_t)(seconds * 1e6));
    interrupt();
    double time = processor_time(pid) - start;
    uint64_t after = tsc();
    ask("qTStatus");
    const char *created = strstr(reply, ";tcreated:");
    return (struct run){(double)(after - before) / time,
                        created ? (double)strtoull(created + 10, NULL, 16) / time : 0};
}

static void bench_trace(uint64_t at, double seconds, const char *pid)
{
    struct run free_run = run_for(seconds, pid), traced;

    ask("QTinit");
    expect_ok("QTDP:1:%llx:E:0:0-", at);
    expect_ok("QTDP:-1:%llx:R38", at); /* rdx, rsi, rdi */
    ask("QTBuffer:circular:1");
    ask("QTStart");
    traced = run_for(seconds, pid);
    if (traced.frames == 0)
        die(reply);
    printf("%.0f %.0f\n", traced.frames, free_run.time * traced.frames / traced.time);
}

/* A function of that many turns at `at`, its RET right before `next`; $rdi, which counts them, is
 * never ~0. */
static void bench_condition(uint64_t at, uint64_t next, double turns)
{
    expect_ok("Z1,%llx,1", at);
    ask("vCont;c");
    expect_ok("z1,%llx,1", at);
    expect_ok("Z0,%llx,1;Xe,26000525ffffffffffffffff1327", at);
    expect_ok("Z0,%llx,1", next - 1);
    double start = now();
    ask("vCont;c");
    printf("%.0f\n", turns / (now() - start));
}

int main(int argc, char **argv)
{
    bool binary;
    if (argc < 4)
        die(USAGE);
    connect_to(argv[1]);
    size_t packet = handshake(&binary);
    if (strcmp(argv[2], "steps") == 0) {
        bench_steps(atof(argv[3]));
    } else if (strcmp(argv[2], "trips") == 0) {
        bench_trips(atof(argv[3]));
    } else if (strcmp(argv[2], "memory") == 0 && argc == 6) {
        uint64_t from = strtoull(argv[3], NULL, 0), length = strtoull(argv[4], NULL, 0);
        size_t chunk = packet / 2 - 16 < 65536 ? packet / 2 - 16 : 65536;
        printf("%.2f", megabytes('m', from, length, chunk, atof(argv[5])));
        printf(" %.2f\n", binary ? megabytes('x', from, length, chunk, atof(argv[5])) : 0.0);
    } else if (strcmp(argv[2], "range") == 0 && argc == 6) {
        bench_range(strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0), atof(argv[5]));
    } else if (strcmp(argv[2], "breakpoints") == 0 && (argc == 8 || argc == 9)) {
        bench_breakpoints(argv);
    } else if (strcmp(argv[2], "evaluate") == 0 && argc == 5) {
        printf("%.0f\n", stops(false, strtoull(argv[3], NULL, 0), atof(argv[4]), true));
    } else if (strcmp(argv[2], "stops") == 0 && argc == 6) {
        bool hardware = strcmp(argv[3], "1") == 0;
        printf("%.0f\n", stops(hardware, strtoull(argv[4], NULL, 0), atof(argv[5]), false));
    } else if (strcmp(argv[2], "trace") == 0 && argc == 6) {
        bench_trace(strtoull(argv[3], NULL, 0), atof(argv[4]), argv[5]);
    } else if (strcmp(argv[2], "condition") == 0 && argc == 6) {
        bench_condition(strtoull(argv[3], NULL, 0), strtoull(argv[4], NULL, 0), atof(argv[5]));
    } else {
        die(USAGE);
    }
    return 0;
}
