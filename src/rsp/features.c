/* qXfer:features:read: the target description, written from the table of registers. */
/* SPDX-License-Identifier: BSD-2-Clause */
#include "rsp/rsp.h"

static void write_register(struct rsp_window *w, const struct rsp_register *reg)
{
    rsp_window_text(w, "<reg name=\"");
    rsp_window_text(w, reg->name);
    rsp_window_text(w, "\" bitsize=\"");
    rsp_window_number(w, reg->size * 8u);
    rsp_window_text(w, "\" type=\"");
    rsp_window_text(w, reg->type);
    if (reg->group) {
        rsp_window_text(w, "\" group=\"");
        rsp_window_text(w, reg->group);
    }
    rsp_window_text(w, "\"/>\n");
}

static void write_target(struct rsp_window *w, const struct rsp_layout *layout)
{
    const struct rsp_feature *feature = NULL;

    rsp_window_text(w, "<?xml version=\"1.0\"?>\n<!DOCTYPE target SYSTEM \"gdb-target.dtd\">\n"
                       "<target version=\"1.0\">\n<architecture>");
    rsp_window_text(w, layout->architecture);
    rsp_window_text(w, "</architecture>\n");
    for (unsigned i = 0; i < layout->count; i++) {
        const struct rsp_register *reg = &layout->registers[i];
        const struct rsp_feature *own = &layout->features[reg->feature];
        if (own != feature) {
            rsp_window_text(w, feature ? "</feature>\n<feature name=\"" : "<feature name=\"");
            rsp_window_text(w, own->name);
            rsp_window_text(w, "\">\n");
            rsp_window_text(w, own->types);
            feature = own;
        }
        write_register(w, reg);
    }
    rsp_window_text(w, "</feature>\n</target>\n");
}

void rsp_xfer_features(struct ringside *rs, struct rsp_request *request, struct rsp_out *out)
{
    struct rsp_cursor *in = &request->rest;
    uint64_t offset, length;

    if (!rsp_eat_word(in, "target.xml:") || !rsp_read_hex(in, &offset) || !rsp_eat(in, ',') ||
        !rsp_read_hex(in, &length) || rsp_left(in)) {
        rsp_put_text(out, "E00"); /* the manual's "malformed, or the annex is invalid" */
        return;
    }
    struct rsp_window window = rsp_window_begin(out, offset, length);
    write_target(&window, rsp_layout(rs));
    rsp_window_end(&window);
}
