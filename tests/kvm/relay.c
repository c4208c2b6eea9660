/* Carries a debugger's bytes between a serial port and the debug server's Unix socket. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

/* The server may not listen yet. */
static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    for (unsigned tries = 0; tries < 1000; tries++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (!connect(fd, (const struct sockaddr *)&address, sizeof address))
            return fd;
        close(fd);
        poll(NULL, 0, 10);
    }
    return -1;
}

static int open_serial(const char *path)
{
    int fd = open(path, O_RDWR | O_NOCTTY);
    struct termios mode;

    if (fd < 0 || tcgetattr(fd, &mode))
        return -1;
    cfmakeraw(&mode);
    cfsetspeed(&mode, B115200);
    return tcsetattr(fd, TCSAFLUSH, &mode) ? -1 : fd;
}

static bool carry(int from, int to)
{
    char bytes[4096];
    ssize_t n = read(from, bytes, sizeof bytes);

    for (ssize_t done = 0, m; done < n; done += m)
        if ((m = write(to, bytes + done, (size_t)(n - done))) <= 0)
            return false;
    return n > 0;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: relay SERIAL-PORT SOCKET\n");
        return 2;
    }
    int serial = open_serial(argv[1]), server = connect_to(argv[2]);
    if (serial < 0 || server < 0) {
        perror("relay");
        return 1;
    }
    puts("relay: ready");
    fflush(stdout);
    struct pollfd ends[] = {{serial, POLLIN, 0}, {server, POLLIN, 0}};
    while (poll(ends, 2, -1) > 0)
        for (unsigned i = 0; i < 2; i++)
            if (ends[i].revents && !carry(ends[i].fd, ends[1 - i].fd))
                return 0;
    return 1;
}
