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
    *peer = (struct peer){
        .listener = {.fd = -1},
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .fd = -1,
        .turned_away = -1,
    };
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
    peer->blocked = false;
    ringside_disconnect(peer->server);
}

void peer_close(struct peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    if (peer->fd >= 0)
        hang_up(peer);
    pthread_mutex_unlock(&peer->lock);
    close_fd(&peer->turned_away);
    listener_close(&peer->listener);
}

void peer_poll(struct peer *peer, struct pollfd polls[PEER_POLLS])
{
    polls[POLL_LISTENER] = (struct pollfd){.fd = peer->listener.fd, .events = POLLIN};
    polls[POLL_TURNED_AWAY] = (struct pollfd){.fd = peer->turned_away, .events = POLLIN};
    polls[POLL_PEER] = (struct pollfd){.fd = peer->fd};
    if (peer->fd < 0)
        return;
    pthread_mutex_lock(&peer->lock);
    if (peer->end < PEER_INPUT)
        polls[POLL_PEER].events |= POLLIN;
    if (peer->blocked)
        polls[POLL_PEER].events |= POLLOUT;
    pthread_mutex_unlock(&peer->lock);
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

/* False: the socket is gone. */
static bool push(struct peer *peer)
{
    const void *bytes;
    size_t n;
    peer->blocked = false;
    while (!peer->blocked && (n = ringside_output(peer->server, &bytes)) > 0) {
        ssize_t sent = send(peer->fd, bytes, n, MSG_NOSIGNAL);
        if (sent >= 0)
            ringside_sent(peer->server, (size_t)sent);
        else if (errno == EAGAIN || errno == EINTR)
            peer->blocked = true;
        else
            return false;
    }
    return true;
}

static void push_or_hang_up(struct peer *peer)
{
    if (peer->fd >= 0 && !push(peer))
        hang_up(peer);
}

static void pump(struct peer *peer)
{
    size_t taken = 1;
    push_or_hang_up(peer); /* or there may be no room for the replies to what waits */
    while (taken > 0 && peer->begin < peer->end) {
        taken = ringside_input(peer->server, peer->input + peer->begin, peer->end - peer->begin);
        peer->begin += taken;
        push_or_hang_up(peer);
        if (peer->blocked)
            break;
    }
    memmove(peer->input, peer->input + peer->begin, peer->end - peer->begin);
    peer->end -= peer->begin;
    peer->begin = 0;
    if (peer->fd >= 0 && !peer->blocked && ringside_finished(peer->server))
        hang_up(peer);
}

/* One that is attached may have left just before: behind what it said last is the end. */
static void welcome(struct peer *peer)
{
    int fd = listener_accept(&peer->listener);
    if (fd < 0)
        return;
    pump(peer);
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
    pthread_mutex_lock(&peer->lock);
    if (peer->fd >= 0 && polls[POLL_PEER].revents & (POLLIN | POLLHUP | POLLERR) &&
        peer->end < PEER_INPUT)
        receive(peer);
    if (peer->turned_away >= 0 && polls[POLL_TURNED_AWAY].revents != 0 &&
        recv(peer->turned_away, ignored, sizeof ignored, 0) <= 0)
        close_fd(&peer->turned_away);
    if (polls[POLL_LISTENER].fd >= 0 && polls[POLL_LISTENER].revents != 0)
        welcome(peer);
    pump(peer);
    pthread_mutex_unlock(&peer->lock);
}

void peer_pump(struct peer *peer)
{
    pthread_mutex_lock(&peer->lock);
    pump(peer);
    pthread_mutex_unlock(&peer->lock);
}

/* Who has the lock is the tool's thread, in the middle of it: it has to look once more. */
bool peer_say(struct peer *peer)
{
    if (pthread_mutex_trylock(&peer->lock) != 0)
        return false;
    bool said = peer->fd >= 0 && peer->begin == peer->end && push(peer) && !peer->blocked &&
                !ringside_finished(peer->server);
    pthread_mutex_unlock(&peer->lock);
    return said;
}

void peer_guest_ended(struct peer *peer, int status)
{
    enum { PATIENCE_MS = 1000 };
    if (peer->fd < 0)
        return;
    pthread_mutex_lock(&peer->lock);
    ringside_guest_ended(peer->server, status);
    pump(peer);
    while (peer->blocked) {
        struct pollfd writable = {.fd = peer->fd, .events = POLLOUT};
        if (poll(&writable, 1, PATIENCE_MS) <= 0)
            break;
        pump(peer);
    }
    pthread_mutex_unlock(&peer->lock);
}
