/* Where a debugger or a console connects: TCP and Unix listening sockets. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOL_LISTEN_H
#define TOOL_LISTEN_H

#include <stdbool.h>
#include <stdint.h>

struct endpoint {
    const char *path;  /* of a Unix socket; NULL: TCP */
    char address[256]; /* a name or a number; IPv6 without its brackets */
    char port[6];
};

/* "[ADDR:]PORT", "[IPv6]:PORT" or "unix:PATH"; false after saying on stderr what is wrong.
 * endpoint->path points into text. */
bool endpoint_parse(const char *text, struct endpoint *endpoint);

struct listener {
    int fd;           /* -1: none */
    const char *path; /* to be removed at the end; NULL: nothing */
    char name[300];   /* as GDB's "target remote" takes it */
};

/* 0, or -1 after saying on stderr what is wrong. */
int listener_open(struct listener *listener, const struct endpoint *endpoint);
void listener_close(struct listener *listener);
/* A connection that does not block and does not wait to fill segments, or -1: there was none. */
int listener_accept(const struct listener *listener);

#endif
