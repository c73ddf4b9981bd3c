/* SPDX-License-Identifier: MIT */
#include "tasks/wire.h"

#include <string.h>

/* The two frames by which files of tasks travel: pull.c asks, serve.c answers. */

static const char *kind_name(enum bundles_kind kind)
{
    return kind == BUNDLES_IN ? "in" : "out";
}

int wire_send_fetch(struct tasks *tasks, const struct pull_config *config, uint64_t offset,
                    uint64_t size)
{
    cJSON *frame = wire_new_frame("fetch", config->number, config->attempt);

    json_add_string(frame, "files", kind_name(config->kind));
    json_add_u64(frame, "offset", offset);
    json_add_u64(frame, "size", size);
    return wire_send(tasks, &config->from, frame, NULL, 0);
}

void wire_send_piece(struct tasks *tasks, const struct serve_request *request, const void *data,
                     size_t size)
{
    cJSON *frame = wire_new_frame("piece", request->number, request->attempt);

    json_add_string(frame, "files", kind_name(request->key.kind));
    json_add_u64(frame, "offset", request->offset);
    if (!data)
        json_add_bool(frame, "gone", true);
    (void)wire_send(tasks, &request->to, frame, data, size);
}

static bool read_kind(const struct incoming *in, enum bundles_kind *ret)
{
    const char *name = "";

    (void)json_get_string(in->header, "files", &name);
    *ret = strcmp(name, "in") == 0 ? BUNDLES_IN : BUNDLES_OUT;
    return strcmp(name, kind_name(*ret)) == 0;
}

/* Where what is asked for is, if who asks may have it: inputs for the worker of the current
 * attempt, results for their origin. */
static bool find_bundle(const struct incoming *in, enum bundles_kind kind, struct bundles_key *ret)
{
    const struct task *task = origin_find(in->tasks->origin, in->number);
    struct slots_key key = {.origin = *in->from, .number = in->number, .attempt = in->attempt};

    if (kind == BUNDLES_OUT) {
        const struct slots_attempt *attempt = slots_find(in->tasks->slots, &key);
        *ret = worker_results_key(in->tasks, &key);
        return attempt && attempt->state == SLOTS_ENDED && attempt->end.out.size > 0;
    }
    if (!owner_wants(in->tasks, in->number, in->attempt) ||
        !node_id_is_equal(&task->node, in->from) || task->spec.is_confidential)
        return false;
    *ret = (struct bundles_key){.kind = BUNDLES_IN, .number = task->spec.in.bundle};
    return task->spec.in.size > 0;
}

bool wire_take_fetch(const struct incoming *in)
{
    struct serve_request request = {.to = *in->from, .number = in->number, .attempt = in->attempt};
    enum bundles_kind kind;
    uint64_t size;

    if (!read_kind(in, &kind) || !wire_read_u64(in, "offset", WIRE_NUMBER_MAX, &request.offset) ||
        !wire_read_u64(in, "size", PULL_PIECE, &size) || size == 0)
        return false;
    request.size = (size_t)size;
    if (find_bundle(in, kind, &request.key)) {
        serve_piece(in->tasks, &request);
    } else {
        request.key.kind = kind;
        wire_send_piece(in->tasks, &request, NULL, 0);
    }
    return true;
}

bool wire_take_piece(const struct incoming *in)
{
    struct pull_piece piece = {.data = in->body, .size = in->body_size};
    enum bundles_kind kind;

    if (!read_kind(in, &kind) || !wire_read_u64(in, "offset", WIRE_NUMBER_MAX, &piece.offset) ||
        json_get_bool(in->header, "gone", &piece.is_gone) < 0)
        return false;
    pull_take_piece(in->tasks, in->from, kind, in->number, in->attempt, &piece);
    return true;
}
