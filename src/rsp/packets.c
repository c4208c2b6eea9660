/* The packets that are understood, as a table: name, form of the arguments, handler. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/rsp.h"

enum {
    ANYTIME = 1 << 0, /* also while the guest runs */
    SILENT = 1 << 1,  /* the handler sees to the reply, or there is none */
};

/*
 * A schema describes what follows the name: x a hexadecimal number, t a thread id, * whatever is
 * left (without it nothing may be left); all else stands for itself.
 */
struct packet {
    const char *name;
    const char *schema;
    rsp_handler *handler;
    unsigned flags;
};

/* A name that begins with another one stands before it. */
static const struct packet packets[] = {
    {"?", "", rsp_q_stop_reason, ANYTIME | SILENT},
    {"g", "", rsp_read_registers, 0},
    {"G", "*", rsp_write_registers, 0},
    {"p", "x", rsp_read_register, 0},
    {"P", "x=*", rsp_write_register, 0},
    {"m", "x,x", rsp_memory_read, 0},
    {"M", "x,x:*", rsp_memory_write, 0},
    {"x", "x,x", rsp_memory_read_binary, 0},
    {"X", "x,x:*", rsp_memory_write_binary, 0},
    {"Z0,", "x,x*", rsp_breakpoint_set, 0},
    {"z0,", "x,x*", rsp_breakpoint_clear, 0},
    {"Z1,", "x,x*", rsp_hardware_set, 0},
    {"z1,", "x,x*", rsp_hardware_clear, 0},
    {"Z2,", "x,x", rsp_watch_write_set, 0},
    {"z2,", "x,x", rsp_watch_write_clear, 0},
    {"Z3,", "x,x", rsp_watch_read_set, 0},
    {"z3,", "x,x", rsp_watch_read_clear, 0},
    {"Z4,", "x,x", rsp_watch_access_set, 0},
    {"z4,", "x,x", rsp_watch_access_clear, 0},
    {"c", "*", rsp_continue, SILENT},
    {"C", "x*", rsp_continue_signal, SILENT},
    {"s", "*", rsp_step, SILENT},
    {"S", "x*", rsp_step_signal, SILENT},
    {"Hg", "t", rsp_select_general, ANYTIME},
    {"Hc", "t", rsp_select_resumed, ANYTIME},
    {"T", "t", rsp_thread_alive, ANYTIME},
    {"D;", "x", rsp_detach_pid, ANYTIME},
    {"D", "", rsp_detach, ANYTIME},
    {"k", "", rsp_kill, ANYTIME | SILENT},
    {"vCont?", "", rsp_v_cont_query, ANYTIME},
    {"vCont", "*", rsp_v_cont, SILENT},
    {"vCtrlC", "", rsp_v_ctrl_c, ANYTIME},
    {"vKill;", "x", rsp_kill_pid, ANYTIME},
    {"vMustReplyEmpty", "*", rsp_must_reply_empty, ANYTIME},
    {"qSupported", "*", rsp_q_supported, ANYTIME},
    {"QStartNoAckMode", "", rsp_q_start_no_ack, ANYTIME},
    {"qAttached", "*", rsp_q_attached, ANYTIME},
    {"qSymbol:", "*", rsp_q_symbol, ANYTIME},
    {"qC", "", rsp_q_current, ANYTIME},
    {"qfThreadInfo", "", rsp_q_first_threads, ANYTIME},
    {"qsThreadInfo", "", rsp_q_next_threads, ANYTIME},
    {"qThreadExtraInfo,", "t", rsp_q_thread_extra, 0},
    {"qXfer:features:read:", "*", rsp_xfer_features, ANYTIME},
    {"qXfer:threads:read::", "x,x", rsp_xfer_threads, 0},
    {"qMemoryRegionInfo:", "x", rsp_memory_region, 0},
    {"qRcmd,", "*", rsp_monitor, 0},
    {"QTinit", "", rsp_trace_init, 0},
    {"QTDP:-", "x:x:*", rsp_trace_action, 0},
    {"QTDP:", "x:x:*", rsp_trace_define, 0},
    {"QTDPsrc:", "x:x:*", rsp_trace_source, 0},
    {"QTEnable:", "x:x", rsp_trace_enable, 0},
    {"QTDisable:", "x:x", rsp_trace_disable, 0},
    {"QTDV:", "x:x:*", rsp_trace_set_variable, 0},
    {"QTro", "*", rsp_trace_read_only, 0},
    {"QTBuffer:size:", "*", rsp_trace_buffer_size, 0},
    {"QTBuffer:circular:", "x", rsp_trace_buffer_circular, 0},
    {"QTNotes:", "*", rsp_trace_notes, 0},
    {"QTStart", "", rsp_trace_start, 0},
    {"QTStop", "", rsp_trace_stop, 0},
    {"QTFrame:", "*", rsp_trace_frame, 0},
    {"qTBuffer:", "x,x", rsp_trace_buffer_read, 0},
    {"qTStatus", "", rsp_trace_status, ANYTIME},
    {"qTP:", "x:x", rsp_trace_point_status, ANYTIME},
    {"qTV:", "x", rsp_trace_variable, ANYTIME},
    {"qTfV", "", rsp_trace_first_variable, ANYTIME},
    {"qTsV", "", rsp_trace_next_variable, ANYTIME},
    {"qTfP", "", rsp_trace_first_piece, ANYTIME},
    {"qTsP", "", rsp_trace_next_piece, ANYTIME},
    {"qXfer:traceframe-info:read::", "x,x", rsp_xfer_traceframe, 0},
};
enum { PACKETS = sizeof packets / sizeof packets[0] };

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Packets of one letter have their arguments right behind it; longer names are whole words. */
static bool is_whole(const char *name, const struct rsp_cursor *after)
{
    bool is_word = name[0] == 'q' || name[0] == 'Q' || name[0] == 'v';

    return !is_word || !rsp_left(after) || !is_letter(*after->at) ||
           !is_letter(name[rsp_length(name) - 1]);
}

static const struct packet *find(struct rsp_cursor *in)
{
    for (unsigned i = 0; i < PACKETS; i++) {
        struct rsp_cursor after = *in;
        if (rsp_eat_word(&after, packets[i].name) && is_whole(packets[i].name, &after)) {
            *in = after;
            return &packets[i];
        }
    }
    return NULL;
}

static bool parse(struct ringside *rs, const char *schema, struct rsp_request *request)
{
    unsigned values = 0;

    for (; *schema && *schema != '*'; schema++) {
        switch (*schema) {
        case 'x':
            if (!rsp_read_hex(&request->rest, &request->value[values++]))
                return false;
            break;
        case 't':
            if (!rsp_read_thread(rs, &request->rest, &request->thread))
                return false;
            break;
        default:
            if (!rsp_eat(&request->rest, *schema))
                return false;
            break;
        }
    }
    return *schema == '*' || rsp_left(&request->rest) == 0;
}

/* Whether a reply is due. */
static bool handle(struct ringside *rs, struct rsp_cursor in, struct rsp_out *out)
{
    struct rsp_request request = {.rest = in};
    const struct packet *packet = find(&request.rest);

    if (!packet)
        return true; /* the empty reply: not known here */
    if (!(packet->flags & ANYTIME) && rs->debug.state != DEBUG_STOPPED) {
        rsp_error(rs, out, RINGSIDE_ENOTSUP, "the guest is running");
        return true;
    }
    if (!parse(rs, packet->schema, &request)) {
        rsp_error(rs, out, RINGSIDE_EINVAL, "the packet is malformed, or names no thread of ours");
        return true;
    }
    packet->handler(rs, &request, out);
    return !(packet->flags & SILENT) || out->length > 0;
}

void rsp_handle_packet(struct ringside *rs, struct rsp_cursor in)
{
    struct rsp_session *s = &rs->session;
    struct rsp_session before = *s;
    struct rsp_out out = rsp_begin(rs, RSP_PACKET_MAX);

    if (!handle(rs, in, &out)) {
        /* The packet that was begun is none. */
        s->out_from = before.out_from;
        s->out_to = before.out_to;
        s->frame_from = before.frame_from;
        s->frame_to = before.frame_to;
        return;
    }
    if (out.overflow)
        rsp_error(rs, &out, RINGSIDE_ENOSPC, "the reply is longer than PacketSize");
    rsp_end(rs, &out);
}
