/* The debugger's connection: between a socket and the server's input and output. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOL_PEER_H
#define TOOL_PEER_H

#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "listen.h"
#include "ringside/server.h"

enum { PEER_POLLS = 3, PEER_INPUT = 1 << 16 };

/* All calls but peer_say() come from the tool's thread. */
struct peer {
    struct ringside *server; /* NULL: no -G, and nothing here does anything */
    pthread_mutex_t lock;    /* around the server's input and output, and what is below */
    struct listener listener;
    int fd;          /* -1: no debugger */
    bool blocked;    /* it has not taken all that the server has to say */
    int turned_away; /* a second one, until it has read why; -1: none */
    size_t begin, end;
    uint8_t input[PEER_INPUT]; /* [begin, end): received, not taken by the server yet */
};

void peer_init(struct peer *peer);
/* 0, or -1 after saying on stderr what is wrong. */
int peer_listen(struct peer *peer, const struct endpoint *endpoint);
void peer_close(struct peer *peer);

void peer_poll(struct peer *peer, struct pollfd polls[PEER_POLLS]);
/* After the poll: takes connections and bytes. */
void peer_receive(struct peer *peer, const struct pollfd polls[PEER_POLLS]);
/* Moves bytes both ways between the server and the socket as far as both take them; whenever the
 * guest ran. */
void peer_pump(struct peer *peer);
/* Sends what the server has to say, from any thread of the engine.  False: that is not all there is
 * to do, and the tool's thread has to pump. */
bool peer_say(struct peer *peer);
/* Tells the debugger that the guest is gone and waits a little until it has read it. */
void peer_guest_ended(struct peer *peer, int status);

#endif
