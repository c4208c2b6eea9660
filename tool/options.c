/* Reads the command line of "ringside run". */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

const char options_help[] =
    "usage: ringside run -k KERNEL [options]    boot a kernel under the debugger\n"
    "       ringside symbols KERNEL -o FILE     write the kernel's own symbols as an ELF file\n"
    "       ringside --help | --version\n"
    "\n"
    "  -k KERNEL        bzImage, PVH ELF64 or Multiboot 1 image\n"
    "  -i INITRD        initial ramdisk (Multiboot: the first module)\n"
    "  -a CMDLINE       the kernel's command line\n"
    "  -m MIB           memory (512)\n"
    "  -c CPUS          number of virtual processors, 1 to 64 (1)\n"
    "  -e ENGINE        auto, soft or kvm (auto: kvm where it can be debugged with)\n"
    "  --cpu VENDOR     intel or amd: the processor that the guest sees (intel); amd-no-shadow:\n"
    "                   amd on a host whose interrupt shadow does not step\n"
    "  --step WAY       how the debugger steps: auto, emulate, monitor-trap (intel),\n"
    "                   interrupt-shadow (amd) or trap-flag (auto)\n"
    "  --trap-byte BYTE int3 or int1: what -e kvm writes into memory for a breakpoint (int3)\n"
    "  -G [w][ADDR:]PORT | -G [w]unix:PATH\n"
    "                   serve a debugger; w holds the guest at its first instruction until one\n"
    "                   attaches and continues it. ADDR is 127.0.0.1 if not given; port 0 takes\n"
    "                   a free one and says which\n"
    "  --serial WHERE   stdio, none, file:PATH or unix:PATH (stdio); on a terminal Ctrl-A x quits\n"
    "  --exit-port [PORT]\n"
    "                   QEMU's isa-debug-exit: a write of V ends the program with (V << 1) | 1\n"
    "                   (0xf4)\n"
    "  --report         at the end print the instructions, the virtual time and the state's hash;\n"
    "                   with -e kvm the entries into the guest, and the kernel's counts of exits\n"
    "  --limit N        end after N instructions (for tests)\n";

enum {
    OPTION_CPU = 256,
    OPTION_STEP,
    OPTION_TRAP_BYTE,
    OPTION_SERIAL,
    OPTION_EXIT_PORT,
    OPTION_REPORT,
    OPTION_LIMIT,
};

static const struct option long_options[] = {
    {"cpu", required_argument, NULL, OPTION_CPU},
    {"step", required_argument, NULL, OPTION_STEP},
    {"trap-byte", required_argument, NULL, OPTION_TRAP_BYTE},
    {"serial", required_argument, NULL, OPTION_SERIAL},
    {"exit-port", optional_argument, NULL, OPTION_EXIT_PORT},
    {"report", no_argument, NULL, OPTION_REPORT},
    {"limit", required_argument, NULL, OPTION_LIMIT},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

enum { MIB_MIN = 4, MIB_MAX = 1 << 20, MIB_DEFAULT = 512, EXIT_PORT_DEFAULT = 0xf4 };

static bool number(const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    if (!isdigit((unsigned char)text[0]))
        return false; /* strtoull would take blanks and a sign */
    char *end;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 0);
    if (errno != 0 || *end != '\0' || value < min || value > max)
        return false;
    *out = value;
    return true;
}

static bool parse_engine(const char *text, struct options *out)
{
    static const struct engine_ops *const engines[] = {&soft_engine, &kvm_engine};

    out->engine = NULL;
    out->engine_named = strcmp(text, "auto") != 0;
    for (size_t i = 0; i < sizeof engines / sizeof engines[0]; i++)
        if (strcmp(text, engines[i]->name) == 0)
            out->engine = engines[i];
    if (out->engine != NULL || !out->engine_named)
        return true;
    tool_say("-e '%s': the engines are auto, soft and kvm", text);
    return false;
}

/* "auto" is KVM where it can be debugged with, and no option is given that KVM has not. */
static bool choose_engine(struct options *out)
{
    if (out->engine == &soft_engine) {
        if (out->trap_int1)
            tool_say("-e soft: its breakpoints are not in memory; --trap-byte is for -e kvm");
        return !out->trap_int1;
    }
    if (out->engine == NULL && out->report)
        out->soft_only = "--report"; /* what it prints is the same from run to run there */
    if (out->engine == &kvm_engine && out->soft_only != NULL) {
        tool_say("-e kvm: %s is for -e soft", out->soft_only);
        return false;
    }
    if (out->soft_only == NULL)
        kvm_try(out->trap_int1, &out->kvm);
    if (out->engine == NULL) {
        out->engine = out->kvm.usable && out->kvm.text[0] == '\0' ? &kvm_engine : &soft_engine;
        return true;
    }
    if (!out->kvm.usable)
        tool_say("-e kvm: %s; use -e soft", out->kvm.text);
    return out->kvm.usable;
}

static bool parse_vendor(const char *text, struct options *out)
{
    static const struct {
        const char *name;
        enum soft_vendor vendor;
        bool no_shadow_step;
    } processors[] = {
        {"intel", SOFT_INTEL, false},
        {"amd", SOFT_AMD, false},
        {"amd-no-shadow", SOFT_AMD, true},
    };
    for (size_t i = 0; i < sizeof processors / sizeof processors[0]; i++) {
        if (strcmp(text, processors[i].name) != 0)
            continue;
        out->soft_only = "--cpu";
        out->vendor = processors[i].vendor;
        out->no_shadow_step = processors[i].no_shadow_step;
        return true;
    }
    tool_say("--cpu '%s': the processors are intel, amd and amd-no-shadow", text);
    return false;
}

static bool parse_step(const char *text, struct options *out)
{
    static const struct {
        const char *name;
        unsigned ways;
    } ways[] = {
        {"auto", 0},
        {"emulate", RINGSIDE_STEP_EMULATE},
        {"monitor-trap", RINGSIDE_STEP_MONITOR_TRAP},
        {"interrupt-shadow", RINGSIDE_STEP_INTERRUPT_SHADOW},
        {"trap-flag", RINGSIDE_STEP_TRAP_FLAG},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (strcmp(text, ways[i].name) != 0)
            continue;
        out->step_ways = ways[i].ways;
        if (ways[i].ways == RINGSIDE_STEP_MONITOR_TRAP)
            out->soft_only = "--step monitor-trap";
        if (ways[i].ways == RINGSIDE_STEP_INTERRUPT_SHADOW)
            out->soft_only = "--step interrupt-shadow";
        return true;
    }
    tool_say(
        "--step '%s': the ways are auto, emulate, monitor-trap, interrupt-shadow and trap-flag",
        text);
    return false;
}

static bool parse_trap_byte(const char *text, struct options *out)
{
    out->trap_int1 = strcmp(text, "int1") == 0;
    if (out->trap_int1 || strcmp(text, "int3") == 0)
        return true;
    tool_say("--trap-byte '%s': it is int3 or int1", text);
    return false;
}

/* Does the processor have the hardware that the way needs? */
static bool check_step(const struct options *options)
{
    if (options->step_ways == RINGSIDE_STEP_MONITOR_TRAP && options->vendor != SOFT_INTEL)
        tool_say("--step monitor-trap needs --cpu intel");
    else if (options->step_ways == RINGSIDE_STEP_INTERRUPT_SHADOW && options->vendor != SOFT_AMD)
        tool_say("--step interrupt-shadow needs --cpu amd");
    else if (options->step_ways == RINGSIDE_STEP_INTERRUPT_SHADOW && options->no_shadow_step)
        tool_say("--step interrupt-shadow: the probe found that it does not step on this host; use "
                 "--step trap-flag");
    else
        return true;
    return false;
}

static bool parse_serial(const char *text, struct options *out)
{
    static const struct {
        const char *name;
        enum serial_kind kind;
    } kinds[] = {
        {"stdio", SERIAL_STDIO},
        {"none", SERIAL_NONE},
        {"file:", SERIAL_FILE},
        {"unix:", SERIAL_UNIX},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t n = strlen(kinds[i].name);
        bool wants_path = kinds[i].name[n - 1] == ':';
        if (strncmp(text, kinds[i].name, n) != 0 || (text[n] != '\0') != wants_path)
            continue;
        out->serial = kinds[i].kind;
        out->serial_path = text + n;
        return true;
    }
    tool_say("--serial '%s': use stdio, none, file:PATH or unix:PATH", text);
    return false;
}

static bool parse_debug(const char *text, struct options *out)
{
    out->debug = true;
    out->hold = text[0] == 'w' && text[1] != '\0';
    return endpoint_parse(text + out->hold, &out->endpoint);
}

static bool parse_number(const char *name, const char *text, uint64_t min, uint64_t max,
                         uint64_t *out)
{
    if (number(text, min, max, out))
        return true;
    if (max == UINT64_MAX)
        tool_say("%s '%s': use a number", name, text);
    else
        tool_say("%s '%s': use a number from %llu to %llu", name, text, (unsigned long long)min,
                 (unsigned long long)max);
    return false;
}

/* getopt takes an optional argument only after '='; a number that follows is meant as one, too. */
static const char *following_number(int argc, char **argv)
{
    if (optarg != NULL || optind >= argc || !isdigit((unsigned char)argv[optind][0]))
        return optarg;
    return argv[optind++];
}

static bool parse_option(int option, int argc, char **argv, struct options *out)
{
    uint64_t value = EXIT_PORT_DEFAULT;
    switch (option) {
    case 'k': out->kernel = optarg; return true;
    case 'i': out->initrd = optarg; return true;
    case 'a': out->cmdline = optarg; return true;
    case 'm':
        if (!parse_number("-m", optarg, MIB_MIN, MIB_MAX, &value))
            return false;
        out->ram_bytes = value << 20;
        return true;
    case 'c':
        if (!parse_number("-c", optarg, 1, VM_CPUS_MAX, &value))
            return false;
        out->cpus = (unsigned)value;
        return true;
    case 'e': return parse_engine(optarg, out);
    case 'G': return parse_debug(optarg, out);
    case OPTION_CPU: return parse_vendor(optarg, out);
    case OPTION_STEP: return parse_step(optarg, out);
    case OPTION_TRAP_BYTE: return parse_trap_byte(optarg, out);
    case OPTION_SERIAL: return parse_serial(optarg, out);
    case OPTION_EXIT_PORT: {
        const char *text = following_number(argc, argv);
        if (text != NULL && !parse_number("--exit-port", text, 0, 0xffff, &value))
            return false;
        out->exit_port = (int)value;
        return true;
    }
    case OPTION_REPORT: out->report = true; return true;
    case OPTION_LIMIT:
        out->soft_only = "--limit";
        return parse_number("--limit", optarg, 1, UINT64_MAX, &out->limit);
    case ':': tool_say("%s: its argument is missing; see --help", argv[optind - 1]); return false;
    default: tool_say("%s: no such option; see --help", argv[optind - 1]); return false;
    }
}

enum options_result options_parse(int argc, char **argv, struct options *out)
{
    *out = (struct options){
        .cmdline = "",
        .ram_bytes = (uint64_t)MIB_DEFAULT << 20,
        .cpus = 1,
        .serial = SERIAL_STDIO,
        .exit_port = -1,
        .limit = UINT64_MAX,
    };
    opterr = 0;
    int option;
    while ((option = getopt_long(argc, argv, "+:k:i:a:m:c:e:G:h", long_options, NULL)) != -1) {
        if (option == 'h')
            return OPTIONS_HELP;
        if (!parse_option(option, argc, argv, out))
            return OPTIONS_BAD;
    }
    if (optind < argc) {
        tool_say("'%s': every argument belongs to an option; see --help", argv[optind]);
        return OPTIONS_BAD;
    }
    if (out->kernel == NULL) {
        tool_say("-k KERNEL is missing: which kernel shall be booted?");
        return OPTIONS_BAD;
    }
    if (!check_step(out) || !choose_engine(out))
        return OPTIONS_BAD;
    return OPTIONS_RUN;
}
