#include "tool.h"
int symbols_command(int argc, char **argv)
{
    (void)argc;
    tool_say("%s: not built yet", argv[0]);
    return TOOL_BAD_INPUT;
}
