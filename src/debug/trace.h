/* Tracepoints: what is collected at which instruction, and the trace it goes into. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef DEBUG_TRACE_H
#define DEBUG_TRACE_H

#include "debug/debug.h"
#include "debug/trace_buffer.h"

/* The GDB manual, "Tracepoints" and "Tracepoint Packets".  Numbers are those of the peer. */

enum {
    TRACE_POINTS_MAX = 1024,
    TRACE_VARIABLES_MAX = 128,
    TRACE_RANGES_MAX = 64,
    TRACE_NAME_MAX = 64,
    TRACE_PIECE_MAX = 1 << 16, /* bytes of memory that one action collects */
    TRACE_TEXT_SIZE = 1 << 20, /* all definitions together */
    TRACE_BUFFER_SIZE = 8 << 20,
};

enum trace_action_kind { TRACE_COLLECT_REGISTERS, TRACE_COLLECT_MEMORY, TRACE_EVALUATE };
enum { TRACE_NO_REGISTER = -1 };

struct trace_action {
    struct trace_action *next;
    enum trace_action_kind kind;
    uint32_t count;          /* of registers */
    uint32_t bytes;          /* of their values together; of memory */
    int32_t base;            /* of memory: the register that offset counts from */
    uint64_t offset;         /* or the address */
    const uint16_t *numbers; /* of registers */
    const uint8_t *code;     /* of an expression */
};

/* A piece of a definition as the peer sent it, for the next peer. */
struct trace_text {
    struct trace_text *next;
    char kind; /* 'A': an action; 'S': one of a step; 'Z': source text */
    uint32_t length;
    char text[];
};

struct debug_tracepoint {
    uint32_t number;
    bool enabled;
    bool placed;              /* there is a breakpoint for it */
    uint64_t address;         /* linear; with the number it names the tracepoint */
    uint64_t steps;           /* that a vCPU makes from here, with a frame after each */
    uint64_t pass;            /* the hit that ends the trace; 0: none does */
    uint64_t hits, usage;     /* and the bytes of its frames */
    const uint8_t *condition; /* NULL: none */
    uint32_t condition_length;
    struct trace_action *actions, *step_actions, **actions_end;
    bool has_step_actions; /* those to come are such */
    struct trace_text *texts, **texts_end;
    struct debug_tracepoint *next; /* at the same breakpoint */
};

/* A remark of the peer, in hexadecimal as it came. */
struct trace_remark {
    uint32_t length;
    char text[2 * TRACE_NAME_MAX];
};

struct trace_variable {
    uint32_t number;
    uint64_t initial, value;
    uint32_t name_length;
    char name[TRACE_NAME_MAX];
};

enum trace_end {
    TRACE_NEVER_RUN,
    TRACE_STOPPED, /* by the peer */
    TRACE_FULL,
    TRACE_DISCONNECTED,
    TRACE_PASSED, /* by end_number's pass count */
};

struct debug_trace {
    bool running;
    bool placed; /* tracepoints have breakpoints: outlives running until debug_trace_tidy() */
    enum trace_end end;
    uint32_t end_number;
    struct trace_buffer buffer;
    struct trace_remark user, notes, stop;
    unsigned count, variable_count, range_count;
    size_t text_used;
    struct debug_tracepoint points[TRACE_POINTS_MAX];
    struct trace_variable variables[TRACE_VARIABLES_MAX];
    struct {
        uint64_t begin, end; /* memory that is as good now as it was then */
    } ranges[TRACE_RANGES_MAX];
    uint64_t text[TRACE_TEXT_SIZE / 8];
    uint8_t frames[TRACE_BUFFER_SIZE];
};

size_t debug_trace_size(void); /* a multiple of 16 */
void debug_trace_init(struct debug *debug, void *memory);

/* Definitions; not while the trace runs.  RINGSIDE_ENOSPC: there are too many. */
void debug_trace_forget(struct debug *debug);              /* all of them, and the frames */
void *debug_trace_allocate(struct debug *debug, size_t n); /* until then; NULL: no room */
struct debug_tracepoint *debug_trace_find(struct debug *debug, uint64_t number, uint64_t address);
int debug_trace_define(struct debug *debug, const struct debug_tracepoint *as,
                       struct debug_tracepoint **out); /* RINGSIDE_EINVAL: it is there already */
void debug_trace_act_in_steps(struct debug_tracepoint *t); /* the actions that follow */
/* A copy; for TRACE_EVALUATE the code's length is in bytes.  RINGSIDE_EINVAL and RINGSIDE_ENOTSUP
 * as agent_check(). */
int debug_trace_act(struct debug *debug, struct debug_tracepoint *t, const struct trace_action *as);
int debug_trace_note(struct debug *debug, struct debug_tracepoint *t, char kind, const char *text,
                     size_t n);
struct trace_variable *debug_trace_variable(struct debug *debug, uint64_t number); /* NULL: none */
/* A new one, or another name and initial value for the one with this number. */
int debug_trace_define_variable(struct debug *debug, const struct trace_variable *as);

/* The guest is stopped.  Errors are those of setting a breakpoint; nothing is left of it then. */
int debug_trace_start(struct debug *debug, unsigned vcpu);
void debug_trace_stop(struct debug *debug, enum trace_end why);
void debug_trace_tidy(struct debug *debug); /* removes the breakpoints of a trace that has ended */

/* The vCPU is about to execute the instruction at RIP: is that news to the tracepoints there? */
bool debug_trace_arrives(struct debug *debug, unsigned vcpu);
void debug_trace_hit(struct debug *debug, unsigned vcpu, struct debug_tracepoint *first);
/* Must it go on by steps?  And: it has made one. */
bool debug_trace_steps(const struct debug *debug, unsigned vcpu);
void debug_trace_stepped(struct debug *debug, unsigned vcpu);

#endif
