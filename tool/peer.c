/* Carries the debugger's bytes between its socket and the server; turns a second debugger away. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "peer.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tool.h"

enum { POLL_LISTENER, POLL_PEER, POLL_TURNED_AWAY };

void peer_init(struct peer *peer)
{
    *peer = (struct peer){.listener = {.fd = -1}, .fd = -1, .turned_away = -1};
}

int peer_listen(struct peer *peer, const struct endpoint *endpoint)
{
    return listener_open(&peer->listener, endpoint);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void hang_up(struct peer *peer)
{
    close_fd(&peer->fd);
    peer->begin = peer->end = 0;
    ringside_disconnect(peer->server);
}

void peer_close(struct peer *peer)
{
    if (peer->fd >= 0)
        hang_up(peer);
    close_fd(&peer->turned_away);
    listener_close(&peer->listener);
}

static bool output_waits(const struct peer *peer)
{
    const void *bytes;
    return ringside_output(peer->server, &bytes) > 0;
}

void peer_poll(const struct peer *peer, struct pollfd polls[PEER_POLLS])
{
    polls[POLL_LISTENER] = (struct pollfd){.fd = peer->listener.fd, .events = POLLIN};
    polls[POLL_TURNED_AWAY] = (struct pollfd){.fd = peer->turned_away, .events = POLLIN};
    polls[POLL_PEER] = (struct pollfd){.fd = peer->fd};
    if (peer->fd < 0)
        return;
    if (peer->end < PEER_INPUT)
        polls[POLL_PEER].events |= POLLIN;
    if (output_waits(peer))
        polls[POLL_PEER].events |= POLLOUT;
}

/* Closing at once could lose the message: the second debugger has sent bytes that nobody read. */
static void turn_away(struct peer *peer, int fd)
{
    const char *message = ringside_busy_message();
    close_fd(&peer->turned_away);
    if (send(fd, message, strlen(message), MSG_NOSIGNAL) < 0 || shutdown(fd, SHUT_WR) != 0)
        close(fd);
    else
        peer->turned_away = fd;
}

static void receive(struct peer *peer)
{
    ssize_t n = recv(peer->fd, peer->input + peer->end, PEER_INPUT - peer->end, 0);
    if (n > 0)
        peer->end += (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        hang_up(peer);
}

/* One that is attached may have left just before: behind what it said last is the end. */
static void welcome(struct peer *peer)
{
    int fd = listener_accept(&peer->listener);
    if (fd < 0)
        return;
    peer_pump(peer);
    if (peer->fd >= 0 && peer->end < PEER_INPUT)
        receive(peer);
    if (ringside_connect(peer->server) == RINGSIDE_OK)
        peer->fd = fd;
    else
        turn_away(peer, fd);
}

void peer_receive(struct peer *peer, const struct pollfd polls[PEER_POLLS])
{
    char ignored[256];
    if (peer->fd >= 0 && polls[POLL_PEER].revents & (POLLIN | POLLHUP | POLLERR) &&
        peer->end < PEER_INPUT)
        receive(peer);
    if (peer->turned_away >= 0 && polls[POLL_TURNED_AWAY].revents != 0 &&
        recv(peer->turned_away, ignored, sizeof ignored, 0) <= 0)
        close_fd(&peer->turned_away);
    if (polls[POLL_LISTENER].fd >= 0 && polls[POLL_LISTENER].revents != 0)
        welcome(peer);
    peer_pump(peer);
}

/* False: the socket takes no more now, or is gone. */
static bool push(struct peer *peer)
{
    const void *bytes;
    size_t n;
    while ((n = ringside_output(peer->server, &bytes)) > 0) {
        ssize_t sent = send(peer->fd, bytes, n, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN && errno != EINTR)
                hang_up(peer);
            return false;
        }
        ringside_sent(peer->server, (size_t)sent);
    }
    return true;
}

void peer_pump(struct peer *peer)
{
    size_t taken;
    if (peer->fd >= 0)
        push(peer); /* or there may be no room for the replies to what waits */
    if (peer->fd < 0)
        return;
    do {
        taken = ringside_input(peer->server, peer->input + peer->begin, peer->end - peer->begin);
        peer->begin += taken;
        if (!push(peer))
            break;
    } while (taken > 0 && peer->begin < peer->end);
    if (peer->fd < 0)
        return;
    memmove(peer->input, peer->input + peer->begin, peer->end - peer->begin);
    peer->end -= peer->begin;
    peer->begin = 0;
    if (ringside_finished(peer->server) && !output_waits(peer))
        hang_up(peer);
}

void peer_guest_ended(struct peer *peer, int status)
{
    if (peer->fd < 0)
        return;
    ringside_guest_ended(peer->server, status);
    enum { PATIENCE_MS = 1000 };
    peer_pump(peer);
    while (peer->fd >= 0 && output_waits(peer)) {
        struct pollfd writable = {.fd = peer->fd, .events = POLLOUT};
        if (poll(&writable, 1, PATIENCE_MS) <= 0)
            return;
        peer_pump(peer);
    }
}
