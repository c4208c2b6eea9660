/* Carries the guest's console to and from a terminal, a file or a Unix socket. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "serial.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "tool.h"

enum { ESCAPE = 'A' & 0x1f };

static const char escape_help[] = "\r\nCtrl-A x  quit\r\nCtrl-A h  this help\r\n"
                                  "Ctrl-A Ctrl-A  send Ctrl-A to the guest\r\n";

/* The terminal as we found it: static, because a fatal signal's handler must reach it. */
static struct termios terminal_saved;
static volatile sig_atomic_t terminal_is_raw;

static void terminal_restore(int when)
{
    if (terminal_is_raw)
        tcsetattr(STDIN_FILENO, when, &terminal_saved);
    terminal_is_raw = 0;
}

static void restore_and_die(int signal)
{
    terminal_restore(TCSADRAIN);
    raise(signal); /* SA_RESETHAND: takes its default course when the handler returns */
}

static void terminal_open(struct serial *serial)
{
    static const int fatal[] = {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV};
    const struct sigaction action = {.sa_handler = restore_and_die, .sa_flags = SA_RESETHAND};
    if (tcgetattr(STDIN_FILENO, &terminal_saved) != 0)
        return;
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        sigaction(fatal[i], &action, NULL);
    serial->terminal = true;
    serial_to_raw(serial);
}

void serial_to_raw(struct serial *serial)
{
    if (!serial->terminal)
        return;
    struct termios raw = terminal_saved;
    cfmakeraw(&raw);
    raw.c_oflag |= OPOST; /* our own messages on the same terminal end with a mere \n */
    terminal_is_raw = 1;
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

void serial_end_input(struct serial *serial)
{
    struct termios now;
    if (!serial->terminal || tcgetattr(STDIN_FILENO, &now) != 0)
        return;
    now.c_lflag |= ISIG;
    tcsetattr(STDIN_FILENO, TCSANOW, &now);
}

/* A terminal that polls as writable may have less room than is written: opened anew, as the flag
 * that keeps it from blocking belongs to all who share the descriptor. */
static int open_stdout(void)
{
    int own = -1;
    if (isatty(STDOUT_FILENO))
        own = open("/proc/self/fd/1", O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    return own >= 0 ? own : STDOUT_FILENO;
}

static void open_stdio(struct serial *serial)
{
    struct stat info;
    serial->out = open_stdout();
    if (fstat(STDIN_FILENO, &info) != 0)
        return;
    if (isatty(STDIN_FILENO)) {
        pid_t foreground = tcgetpgrp(STDIN_FILENO);
        if (foreground >= 0 && foreground != getpgrp())
            return; /* started in the background: the terminal is another's */
        terminal_open(serial);
    }
    serial->in = STDIN_FILENO;
    serial->someone_waits = !S_ISREG(info.st_mode);
}

void serial_init(struct serial *serial)
{
    *serial = (struct serial){.kind = SERIAL_NONE, .in = -1, .out = -1, .listener = {.fd = -1}};
}

int serial_open(struct serial *serial, enum serial_kind kind, const char *path)
{
    serial->kind = kind;
    switch (kind) {
    case SERIAL_STDIO: open_stdio(serial); return 0;
    case SERIAL_NONE: return 0;
    case SERIAL_FILE:
        serial->out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK, 0666);
        if (serial->out >= 0)
            return 0;
        tool_say("--serial file:%s: %s", path, strerror(errno));
        return -1;
    case SERIAL_UNIX: return listener_open(&serial->listener, &(struct endpoint){.path = path});
    }
    return -1;
}

static void hang_up(struct serial *serial)
{
    close(serial->in);
    serial->in = serial->out = -1;
    serial->someone_waits = false;
}

void serial_close(struct serial *serial)
{
    terminal_restore(serial->queued > 0 ? TCSANOW : TCSADRAIN); /* now: it takes nothing */
    if (serial->kind == SERIAL_UNIX && serial->in >= 0)
        hang_up(serial);
    if (serial->kind != SERIAL_UNIX && serial->out > STDERR_FILENO)
        close(serial->out);
    listener_close(&serial->listener);
}

void serial_put(struct serial *serial, uint8_t byte)
{
    if (serial->kind == SERIAL_NONE)
        return;
    if (serial->queued == SERIAL_QUEUE) {
        memmove(serial->queue, serial->queue + SERIAL_QUEUE / 2, SERIAL_QUEUE / 2);
        serial->queued = SERIAL_QUEUE / 2;
    }
    serial->queue[serial->queued++] = byte;
}

size_t serial_takes(const struct serial *serial)
{
    const size_t most = SERIAL_QUEUE / 2;

    if (serial->out < 0)
        return most;
    return serial->queued < most ? most - serial->queued : 0;
}

bool serial_choked(const struct serial *serial)
{
    return serial_takes(serial) == 0;
}

void serial_poll(const struct serial *serial, size_t room, struct pollfd polls[SERIAL_POLLS])
{
    polls[0] = (struct pollfd){.fd = room > 0 ? serial->in : -1, .events = POLLIN};
    if (serial->in < 0 && serial->listener.fd >= 0)
        polls[0].fd = serial->listener.fd;
    polls[1] = (struct pollfd){.fd = serial->queued > 0 ? serial->out : -1, .events = POLLOUT};
}

bool serial_send(struct serial *serial, const struct pollfd polls[SERIAL_POLLS])
{
    if (polls[1].fd < 0 || polls[1].revents == 0 || polls[1].fd != serial->out)
        return true;
    /* As much as a pipe that polls as writable takes without blocking. */
    enum { CHUNK = 4096 };
    size_t n = serial->queued < CHUNK ? serial->queued : CHUNK;
    ssize_t sent = write(serial->out, serial->queue, n);
    if (sent < 0) {
        if (errno == EAGAIN || errno == EINTR)
            return true;
        if (serial->kind != SERIAL_UNIX) {
            tool_say("the console's output cannot be written: %s", strerror(errno));
            serial->out = -1;
            return false;
        }
        hang_up(serial);
        return true;
    }
    serial->queued -= (size_t)sent;
    memmove(serial->queue, serial->queue + sent, serial->queued);
    return true;
}

static void help(struct serial *serial)
{
    for (const char *c = escape_help; *c != '\0'; c++)
        serial_put(serial, (uint8_t)*c);
}

/* Takes the commands that start with Ctrl-A out of n bytes; how many are left, or -1: quit. */
static int filter(struct serial *serial, uint8_t *bytes, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        bool command = serial->escaped;
        serial->escaped = !command && bytes[i] == ESCAPE;
        if (!command && !serial->escaped)
            bytes[kept++] = bytes[i];
        else if (command && bytes[i] == ESCAPE)
            bytes[kept++] = ESCAPE;
        else if (command && bytes[i] == 'x')
            return -1;
        else if (command)
            help(serial);
    }
    return (int)kept;
}

int serial_receive(struct serial *serial, const struct pollfd polls[SERIAL_POLLS], uint8_t *bytes,
                   size_t room)
{
    if (polls[0].fd < 0 || polls[0].revents == 0)
        return 0;
    if (serial->in < 0 && polls[0].fd == serial->listener.fd) {
        serial->in = serial->out = listener_accept(&serial->listener);
        serial->someone_waits = serial->in >= 0;
        return 0;
    }
    if (serial->in < 0)
        return 0;
    ssize_t n = read(serial->in, bytes, room);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0) {
        if (serial->kind == SERIAL_UNIX)
            hang_up(serial);
        serial->in = -1;
        serial->someone_waits = false;
        return 0;
    }
    return serial->terminal ? filter(serial, bytes, (size_t)n) : (int)n;
}
