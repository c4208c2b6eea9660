/* Opens listening sockets and takes connections from them. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "listen.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tool.h"

static bool is_port(const char *text)
{
    unsigned value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9' && value <= 0xffff; at++)
        value = value * 10 + (unsigned)(*at - '0');
    return at != text && *at == '\0' && value <= 0xffff && at - text < 6;
}

bool endpoint_parse(const char *text, struct endpoint *endpoint)
{
    *endpoint = (struct endpoint){.address = "127.0.0.1"};
    if (strncmp(text, "unix:", 5) == 0) {
        endpoint->path = text + 5;
        if (endpoint->path[0] != '\0')
            return true;
        tool_say("'%s': a path must follow 'unix:'", text);
        return false;
    }
    const char *colon = strrchr(text, ':');
    const char *port = colon != NULL ? colon + 1 : text;
    if (!is_port(port)) {
        tool_say("-G '%s': use [w][ADDR:]PORT with a port from 0 to 65535, or [w]unix:PATH", text);
        return false;
    }
    memcpy(endpoint->port, port, strlen(port) + 1);
    if (colon == NULL)
        return true;
    const char *begin = text, *end = colon;
    if (*begin == '[' && end > begin + 1 && end[-1] == ']') {
        begin++;
        end--;
    } else if (memchr(begin, ':', (size_t)(end - begin)) != NULL) {
        tool_say("-G '%s': write an IPv6 address in brackets: [ADDR]:PORT", text);
        return false;
    }
    if (begin == end || (size_t)(end - begin) >= sizeof endpoint->address) {
        tool_say("-G '%s': no address before the port; leave the colon out for 127.0.0.1", text);
        return false;
    }
    memcpy(endpoint->address, begin, (size_t)(end - begin));
    endpoint->address[end - begin] = '\0';
    return true;
}

/* What stands in the way at path, for a person; a socket of nobody is not removed behind the
 * back of whoever may just be about to listen on it. */
static const char *why_taken(const struct sockaddr_un *address)
{
    struct stat info;
    if (lstat(address->sun_path, &info) == 0 && !S_ISSOCK(info.st_mode))
        return "there is a file with this name";
    const char *why = "another program listens on it";
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof *address) != 0 &&
        errno == ECONNREFUSED)
        why = "nobody listens on it any more; remove it and try again";
    if (fd >= 0)
        close(fd);
    return why;
}

static int open_unix(struct listener *listener, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) {
        tool_say("%s: too long for a socket's name, %zu characters at most", path,
                 sizeof address.sun_path - 1);
        return -1;
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    mode_t mask = umask(0177); /* who may connect controls the guest: the owner only */
    int status = fd < 0 ? -1 : bind(fd, (const struct sockaddr *)&address, sizeof address);
    int error = errno;
    umask(mask);
    if (status != 0) {
        tool_say("%s: %s", path, error == EADDRINUSE ? why_taken(&address) : strerror(error));
    } else {
        listener->path = path;
        if (listen(fd, 4) == 0) {
            listener->fd = fd;
            snprintf(listener->name, sizeof listener->name, "%s", path);
            return 0;
        }
        tool_say("%s: %s", path, strerror(errno));
        listener_close(listener);
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

/* The address that was really taken: port 0 means any. */
static void name_tcp(struct listener *listener)
{
    struct sockaddr_storage address = {0};
    socklen_t n = sizeof address;
    char host[200], port[8];
    if (getsockname(listener->fd, (struct sockaddr *)&address, &n) != 0 ||
        getnameinfo((struct sockaddr *)&address, n, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return;
    snprintf(listener->name, sizeof listener->name,
             address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

static int open_tcp(struct listener *listener, const struct endpoint *endpoint)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                                   .ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int error = getaddrinfo(endpoint->address, endpoint->port, &hints, &found);
    if (error != 0) {
        tool_say("%s: not an address of this machine (%s)", endpoint->address, gai_strerror(error));
        return -1;
    }
    int one = 1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(fd, found->ai_addr, found->ai_addrlen) != 0 || listen(fd, 4) != 0) {
        if (errno == EADDRINUSE)
            tool_say("port %s of %s is in use: take another, or 0 for any free one", endpoint->port,
                     endpoint->address);
        else
            tool_say("cannot listen on %s port %s: %s", endpoint->address, endpoint->port,
                     strerror(errno));
        if (fd >= 0)
            close(fd);
        freeaddrinfo(found);
        return -1;
    }
    freeaddrinfo(found);
    listener->fd = fd;
    name_tcp(listener);
    return 0;
}

int listener_open(struct listener *listener, const struct endpoint *endpoint)
{
    *listener = (struct listener){.fd = -1};
    return endpoint->path != NULL ? open_unix(listener, endpoint->path)
                                  : open_tcp(listener, endpoint);
}

void listener_close(struct listener *listener)
{
    if (listener->fd >= 0)
        close(listener->fd);
    if (listener->path != NULL)
        unlink(listener->path);
    *listener = (struct listener){.fd = -1};
}

int listener_accept(const struct listener *listener)
{
    int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return -1;
    int one = 1;
    /* Fails on a Unix socket, which has no such delay. */
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}
