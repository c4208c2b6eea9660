/* What the files of the program share: its messages and its exit statuses. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TOOL_TOOL_H
#define TOOL_TOOL_H

/* Exit statuses; a guest's own comes through --exit-port. */
enum {
    TOOL_OK = 0,
    TOOL_FAILED = 1,    /* the host failed in the middle of a run */
    TOOL_BAD_INPUT = 2, /* an option, a file or an address that cannot be used */
};

/* One line on stderr, "ringside: " before it. */
void tool_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The subcommands: argv[0] is the subcommand's name; each returns the exit status. */
int run_command(int argc, char **argv);
int symbols_command(int argc, char **argv);

#endif
