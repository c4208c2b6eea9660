/* vCPUs as threads: selection, lists, names and states. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/rsp.h"

void rsp_select_general(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    if (request->thread.which == RSP_ONE)
        rs->session.current = request->thread.vcpu;
    rsp_ok(out);
}

void rsp_select_resumed(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    rs->session.resumed = request->thread;
    rsp_ok(out);
}

/* vCPUs are there for ever; the schema has refused those that are none. */
void rsp_thread_alive(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    if (request->thread.which == RSP_ONE)
        rsp_ok(out);
    else
        rsp_error(rs, out, RINGSIDE_EINVAL, "not one thread");
}

void rsp_q_current(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)request;
    rsp_put_text(out, "QC");
    rsp_put_thread(rs, out, rs->session.current);
}

/* All of them fit into the first packet. */
void rsp_q_first_threads(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)request;
    for (unsigned i = 0; i < rs->debug.vcpu_count; i++) {
        rsp_put_char(out, i ? ',' : 'm');
        rsp_put_thread(rs, out, i);
    }
}

void rsp_q_next_threads(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    (void)rs;
    (void)request;
    rsp_put_char(out, 'l');
}

void rsp_q_thread_extra(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    char text[64];
    struct rsp_out line = {.bytes = text, .capacity = sizeof text};

    if (request->thread.which != RSP_ONE) {
        rsp_error(rs, out, RINGSIDE_EINVAL, "not one thread");
        return;
    }
    rsp_put_text(&line, "vCPU ");
    rsp_put_decimal(&line, request->thread.vcpu);
    rsp_put_text(&line, ": ");
    rsp_put_text(&line, rsp_vcpu_state(rs, request->thread.vcpu));
    rsp_put_bytes(out, line.bytes, line.length);
}

static void write_thread(struct ringside *rs, struct rsp_window *w, unsigned vcpu)
{
    char text[32];
    struct rsp_out id = {.bytes = text, .capacity = sizeof text - 1};

    rsp_put_thread(rs, &id, vcpu);
    text[id.length] = 0;
    rsp_window_text(w, "<thread id=\"");
    rsp_window_text(w, text);
    rsp_window_text(w, "\" core=\"");
    rsp_window_number(w, vcpu);
    rsp_window_text(w, "\" name=\"vCPU ");
    rsp_window_number(w, vcpu);
    rsp_window_text(w, "\">");
    rsp_window_text(w, rsp_vcpu_state(rs, vcpu));
    rsp_window_text(w, "</thread>\n");
}

void rsp_xfer_threads(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    struct rsp_window window = rsp_window_begin(out, request->value[0], request->value[1]);

    rsp_window_text(&window, "<?xml version=\"1.0\"?>\n<threads>\n");
    for (unsigned i = 0; i < rs->debug.vcpu_count; i++)
        write_thread(rs, &window, i);
    rsp_window_text(&window, "</threads>\n");
    rsp_window_end(&window);
}
