/* ringside(1): picks the subcommand. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "tool.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "options.h"

void tool_say(const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    fprintf(stderr, "ringside: %s\n", line);
}

static int help(int argc, char **argv)
{
    (void)argc, (void)argv;
    fputs(options_help, stdout);
    return TOOL_OK;
}

static int version(int argc, char **argv)
{
    (void)argc, (void)argv;
    puts("ringside " RINGSIDE_VERSION);
    return TOOL_OK;
}

static const struct {
    const char *name;
    int (*command)(int argc, char **argv);
} commands[] = {
    {"run", run_command}, {"symbols", symbols_command}, {"--help", help},
    {"-h", help},         {"--version", version},
};

int main(int argc, char **argv)
{
    if (argc < 2) {
        tool_say("say what to do: 'ringside run -k KERNEL' boots a kernel, --help lists the rest");
        return TOOL_BAD_INPUT;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].command(argc - 1, argv + 1);
    }
    tool_say("no subcommand '%s': use run or symbols, or see --help", argv[1]);
    return TOOL_BAD_INPUT;
}
