/* The guest's console on the host: a terminal, a file, a Unix socket or nothing. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOL_SERIAL_H
#define TOOL_SERIAL_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "listen.h"

enum serial_kind { SERIAL_STDIO, SERIAL_NONE, SERIAL_FILE, SERIAL_UNIX };

enum { SERIAL_QUEUE = 1 << 16, SERIAL_POLLS = 2 };

/*
 * Nothing here blocks: output waits in the queue until the other side takes it.  When too much
 * waits, serial_choked() asks the caller to let the guest wait, too; only a Unix socket that nobody
 * is connected to loses the oldest bytes instead.
 */
struct serial {
    enum serial_kind kind;
    int in, out;              /* -1: none (yet) */
    bool terminal;            /* in is one, in raw mode, and Ctrl-A starts a command */
    bool escaped;             /* Ctrl-A came, its second character did not yet */
    bool someone_waits;       /* a person or a program is at the other end, in real time */
    struct listener listener; /* of a Unix socket */
    size_t queued;
    uint8_t queue[SERIAL_QUEUE];
};

void serial_init(struct serial *serial);
/* 0, or -1 after saying on stderr what is wrong. */
int serial_open(struct serial *serial, enum serial_kind kind, const char *path);
/* Puts the terminal back as it was; what still waits is lost. */
void serial_close(struct serial *serial);
/* The guest reads no more: Ctrl-C on the terminal is a signal again. */
void serial_end_input(struct serial *serial);
void serial_to_raw(struct serial *serial); /* again, after the program was stopped and continued */

void serial_put(struct serial *serial, uint8_t byte); /* from the guest */
size_t serial_takes(const struct serial *serial);     /* before it is choked */
bool serial_choked(const struct serial *serial);

/* What to poll for; room is how many bytes the guest can take. */
void serial_poll(const struct serial *serial, size_t room, struct pollfd polls[SERIAL_POLLS]);
/* After the poll: sends what can be sent.  False: the other side is gone for good. */
bool serial_send(struct serial *serial, const struct pollfd polls[SERIAL_POLLS]);
/* After the poll: how many bytes, at most room, came for the guest; -1: Ctrl-A x. */
int serial_receive(struct serial *serial, const struct pollfd polls[SERIAL_POLLS], uint8_t *bytes,
                   size_t room);

#endif
