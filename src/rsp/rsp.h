/* The server's own state and the pieces of src/rsp that share it. */
/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef RSP_RSP_H
#define RSP_RSP_H

#include "debug/debug.h"
#include "debug/trace_buffer.h"
#include "rsp/text.h"

/* Names of packets and fields are those of the GDB manual, appendix "GDB Remote Serial Protocol".
 */

enum {
    RSP_PACKET_MAX = 0x40000,                 /* between '$' and '#', in both directions */
    RSP_FRAME_MAX = RSP_PACKET_MAX + 4,       /* '$', '#' and two digits */
    RSP_NOTICE_MAX = 512,                     /* a stop reply, or what is said before it */
    RSP_CONSOLE_MAX = 8 * DEBUG_TEXT_MAX + 5, /* what commands have printed */
    /* Half of it may be full when a packet comes, whose reply fills the other; see must_wait(). */
    RSP_OUT_SIZE = 2 * RSP_FRAME_MAX + RSP_CONSOLE_MAX + 8 * RSP_NOTICE_MAX,
    RSP_PID = 1, /* the machine is one process; its vCPUs are threads from 1 on */
};

/* What the next byte from the peer is. */
enum rsp_phase { RSP_BETWEEN, RSP_BODY, RSP_CHECKSUM_HIGH, RSP_CHECKSUM_LOW };

struct rsp_thread {
    enum { RSP_ALL, RSP_ANY, RSP_ONE } which;
    unsigned vcpu; /* of RSP_ONE; exists */
};

struct ringside {
    struct debug debug;
    const char *version;

    /* The session: reset when a peer connects. */
    struct rsp_session {
        bool no_ack, multiprocess, error_messages, swbreak, hwbreak; /* as the peer asked for */
        bool waiting;              /* the peer expects a stop reply */
        bool finished;             /* nothing is taken or said any more */
        unsigned current;          /* Hg, or the vCPU of the latest stop */
        struct rsp_thread resumed; /* Hc */

        bool framed; /* looks at a frame of the trace, not at the guest */
        struct trace_frame frame;
        unsigned told; /* of a list that is asked for piece by piece */
        struct rsp_raw {
            bool known;
            uint64_t offset; /* where the frame begins in the trace as a whole */
            struct trace_frame frame;
        } raw;

        enum rsp_phase phase;
        uint8_t sum, claimed;
        size_t in_length; /* counts on beyond RSP_PACKET_MAX, storing nothing */

        size_t out_from, out_to;     /* what is to be sent */
        size_t frame_from, frame_to; /* the latest packet, in case the peer wants it again */
    } session;

    char *in;  /* RSP_PACKET_MAX bytes */
    char *out; /* RSP_OUT_SIZE bytes */
};

/* frame.c: packets in and out */
bool rsp_has_room(const struct ringside *rs); /* for the largest reply */
/* Takes at least one of the n bytes, and at most one packet's; returns how many. */
size_t rsp_input(struct ringside *rs, const char *bytes, size_t n);
/* A body of at most `capacity` bytes, to be closed at once by rsp_end. */
struct rsp_out rsp_begin(struct ringside *rs, size_t capacity);
void rsp_end(struct ringside *rs, struct rsp_out *out);

/* packets.c: the table of packets */
struct rsp_request {
    uint64_t value[3];        /* the numbers of the packet's schema, in order */
    struct rsp_thread thread; /* its thread */
    struct rsp_cursor rest;   /* what the schema left */
};
typedef void rsp_handler(struct ringside *rs, struct rsp_request *request, struct rsp_out *out);
void rsp_handle_packet(struct ringside *rs, struct rsp_cursor packet);

/* reply.c: what many replies share */
void rsp_ok(struct rsp_out *out);
/* An error reply in place of what was written; message is NULL, or one line for those peers that
 * show it. */
void rsp_error(struct ringside *rs, struct rsp_out *out, int error, const char *message);
void rsp_result(struct ringside *rs, struct rsp_out *out, int error); /* OK or the error */
void rsp_put_thread(const struct ringside *rs, struct rsp_out *out, unsigned vcpu);
bool rsp_read_thread(const struct ringside *rs, struct rsp_cursor *in, struct rsp_thread *thread);
const char *rsp_vcpu_state(struct ringside *rs, unsigned vcpu);
/* The piece of a document that qXfer asks for: only bytes from `skip` on, at most `left`. */
struct rsp_window {
    struct rsp_out *out;
    uint64_t skip, left;
    bool more; /* something came after it */
};
struct rsp_window rsp_window_begin(struct rsp_out *out, uint64_t offset, uint64_t length);
void rsp_window_text(struct rsp_window *window, const char *text);
void rsp_window_number(struct rsp_window *window, uint64_t value);
void rsp_window_end(struct rsp_window *window);

/* stop.c: sends the stop reply as soon as there is something to tell */
void rsp_send_stop(struct ringside *rs);
/* In words, without an end of line (monitor_catch.c). */
void rsp_put_caught(struct rsp_out *out, const struct ringside_caught *caught);
void rsp_put_stop(struct ringside *rs, struct rsp_out *out, const struct debug_stop *stop);

/* layout.c: the registers as the peer sees them */
struct rsp_register {
    const char *name, *type;
    uint8_t feature; /* index into rsp_features */
    uint8_t size;    /* bytes on the wire */
    uint8_t source;  /* enum rsp_source */
    uint8_t width;   /* bytes at offset; the rest reads as zero */
    uint16_t offset;
    const char *group; /* NULL: by type */
};
enum rsp_source { RSP_FROM_REGS, RSP_FROM_FPU, RSP_FROM_FPU_TAGS };
struct rsp_feature {
    const char *name;
    const char *types; /* XML of the types that its registers use, in lines: GDB saves them with a
                        * trace, and reads lines of less than 1,000 characters */
};
struct rsp_layout {
    const char *architecture;
    const struct rsp_feature *features;
    const struct rsp_register *registers;
    unsigned count;
};
/* The one place that chooses the layout. */
const struct rsp_layout *rsp_layout(const struct ringside *rs);
enum {
    RSP_REGISTER_MAX = 16,
    RSP_REGISTERS_MAX = 256,
    RSP_REG_RBP = 6,
    RSP_REG_RSP = 7,
    RSP_REG_RIP = 16
};

/* registers.c */
struct rsp_values {
    const struct ringside_regs *regs; /* NULL: unavailable; so is fpu */
    const struct ringside_fpu *fpu;
};
/* The register as it goes over the wire; false: unavailable. */
bool rsp_register_get(const struct rsp_register *reg, const struct rsp_values *values,
                      unsigned char *bytes);
/* For expressions (debug/agent.h); ctx is the server. */
bool rsp_expression_has_register(void *ctx, unsigned number);
bool rsp_expression_register(void *ctx, unsigned vcpu, unsigned number, uint64_t *value);
void rsp_collect_registers(void *ctx, unsigned vcpu, const uint16_t *numbers, unsigned count,
                           uint8_t *bytes);
void rsp_put_register(struct ringside *rs, struct rsp_out *out, unsigned vcpu, unsigned number);

/* trace_frame.c: what the frame that is looked at holds */
/* Where a frame has this register's value; NULL: it was not collected. */
const uint8_t *rsp_frame_register(struct ringside *rs, const struct trace_frame *frame,
                                  unsigned number);
void rsp_frame_put_register(struct ringside *rs, struct rsp_out *out, unsigned number);
size_t rsp_frame_read(struct ringside *rs, uint64_t address, void *buffer, size_t n);
bool rsp_frame_variable(struct ringside *rs, uint64_t number, uint64_t *value);

/* Handlers, by file. */
rsp_handler rsp_q_supported, rsp_q_start_no_ack, rsp_q_attached, rsp_q_symbol, rsp_must_reply_empty;
rsp_handler rsp_detach, rsp_detach_pid, rsp_kill, rsp_kill_pid; /* query.c */
rsp_handler rsp_xfer_features;                                  /* features.c */
rsp_handler rsp_select_general, rsp_select_resumed, rsp_thread_alive, rsp_q_current,
    rsp_q_first_threads, rsp_q_next_threads, rsp_q_thread_extra, rsp_xfer_threads; /* threads.c */
rsp_handler rsp_read_registers, rsp_write_registers, rsp_read_register, rsp_write_register;
rsp_handler rsp_memory_read, rsp_memory_read_binary, rsp_memory_write, rsp_memory_write_binary;
rsp_handler rsp_memory_region; /* region.c */
rsp_handler rsp_q_stop_reason, rsp_continue, rsp_continue_signal, rsp_step, rsp_step_signal,
    rsp_v_cont, rsp_v_cont_query, rsp_v_ctrl_c; /* resume.c */
rsp_handler rsp_breakpoint_set, rsp_breakpoint_clear, rsp_hardware_set, rsp_hardware_clear,
    rsp_watch_write_set, rsp_watch_write_clear, rsp_watch_read_set, rsp_watch_read_clear,
    rsp_watch_access_set, rsp_watch_access_clear; /* breakpoints.c */
rsp_handler rsp_monitor;                          /* monitor.c */
rsp_handler rsp_trace_init, rsp_trace_define, rsp_trace_action, rsp_trace_source, rsp_trace_enable,
    rsp_trace_disable, rsp_trace_set_variable, rsp_trace_read_only, rsp_trace_buffer_size,
    rsp_trace_buffer_circular, rsp_trace_notes, rsp_trace_start, rsp_trace_stop, rsp_trace_status,
    rsp_trace_point_status, rsp_trace_variable, rsp_trace_first_variable, rsp_trace_next_variable,
    rsp_trace_first_piece, rsp_trace_next_piece;  /* trace.c */
rsp_handler rsp_trace_frame, rsp_xfer_traceframe; /* trace_frame.c */
rsp_handler rsp_trace_buffer_read;                /* trace_raw.c */

#endif
