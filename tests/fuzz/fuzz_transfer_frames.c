/* SPDX-License-Identifier: MIT */

/*
 * What a member sends that has the key and means ill: its record, and JSON headers of frames for
 * calls, files and tasks, with the rest of the line as the body. Whatever is taken can be said
 * again and is then the same; whatever text is taken can be shown; calls end, however the frames
 * fall.
 */

#include <assert.h>
#include <string.h>
#include "control/remote.h"
#include "base/text.h"
#include "record.h"
#include "sched/task_json.h"
#include "store/batch.h"
#include "transfer/file_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CALLS_MAX 16

/* A node that hears the frames; it has no address of anybody, so that nothing is ever connected. */
struct listener {
    sd_event *event;
    struct peers *peers;
    struct remote *remote;
    struct call *held[CALLS_MAX];
};

static const struct node_id self = {{1}}, other = {{2}};

static void on_frame(const struct node_id *from _unused_, cJSON *header _unused_,
                     const void *body _unused_, size_t body_size _unused_, void *data _unused_)
{
    assert(false);
}

static void on_lost(const struct node_id *id _unused_, int r _unused_, void *data _unused_)
{
}

static void on_connection(const struct node_id *id _unused_, const struct address *at _unused_,
                          const char *what _unused_, int r _unused_, void *data _unused_)
{
}

static void on_gone(struct call *call, void *data)
{
    struct listener *listener = data;

    for (size_t i = 0; i < CALLS_MAX; i++)
        if (listener->held[i] == call)
            listener->held[i] = NULL;
}

/* Every second call waits, as far as there is room; the others are answered at once. */
static void dispatch(struct call *call, void *data)
{
    struct listener *listener = data;

    assert(text_is_printable(call->caller.user) && call->caller.is_remote);
    for (size_t i = 0; strlen(call->method) % 2 == 0 && i < CALLS_MAX; i++)
        if (!listener->held[i]) {
            listener->held[i] = call;
            call_on_gone(call, on_gone, listener);
            return;
        }
    call_reply(call, cJSON_Duplicate(call->parameters, true));
}

static void listener_start(struct listener *listener)
{
    static const struct peers_handler handler = {
        .on_frame = on_frame, .on_lost = on_lost, .on_connection = on_connection};
    int r = sd_event_new(&listener->event);

    assert(r >= 0);
    r = peers_new(
        listener->event,
        &(struct peers_config){.self = self, .idle_usec = USEC_PER_HOUR, .connections_max = 1},
        &handler, listener, &listener->peers);
    assert(r == 0);
    r = remote_new(listener->event, listener->peers, "lab-01", dispatch, NULL, listener,
                   &listener->remote);
    assert(r == 0);
}

static void listener_stop(struct listener *listener)
{
    remote_on_lost(listener->remote, &other, -ENOTCONN);
    for (size_t i = 0; i < CALLS_MAX; i++)
        assert(!listener->held[i]);
    listener->remote = remote_free(listener->remote);
    listener->peers = peers_free(listener->peers);
    listener->event = sd_event_unref(listener->event);
}

static void check_record(const uint8_t *data, size_t size)
{
    uint8_t again[4096];
    struct record record, back;
    size_t used;

    if (record_decode(data, size, &record) < 0)
        return;
    int r = record_encode(&record, again, sizeof(again), &used);
    assert(r == 0);
    r = record_decode(again, used, &back);
    assert(r == 0 && back.types_count == record.types_count &&
           back.tags_count == record.tags_count);
    for (size_t i = 0; i < record.types_count; i++)
        assert(record_has_type(&back, record.types[i]));
}

/* Over the wire. */
static cJSON *travel(cJSON *frame)
{
    _cleanup_free_ char *text = json_format(frame);
    cJSON *parsed = NULL;
    int r = json_parse(text, strlen(text), &parsed);

    assert(r == 0);
    cJSON_Delete(frame);
    return parsed;
}

static void check_files(const cJSON *frame)
{
    struct upload_offer offer, offer_back;
    struct files_info info, info_back;
    uint8_t hash[FILES_HASH_SIZE];
    char reason[FILE_WIRE_REASON_MAX];

    if (file_wire_read_put(frame, &offer) == 0) {
        _cleanup_json_ cJSON *again = travel(file_wire_put(&offer));
        int r = file_wire_read_put(again, &offer_back);
        assert(r == 0 && offer_back.size == offer.size && offer_back.overwrite == offer.overwrite);
    }
    if (file_wire_read_info(frame, &info) == 0) {
        _cleanup_json_ cJSON *again = travel(file_wire_info("file", &info));
        int r = file_wire_read_info(again, &info_back);
        assert(r == 0 && memcmp(&info, &info_back, sizeof(info)) == 0);
        assert(text_is_file_name(info.name) && text_is_printable(info.owner));
    }
    if (file_wire_read_done(frame, hash) > 0) {
        _cleanup_json_ cJSON *again = travel(file_wire_done(hash));
        int r = file_wire_read_done(again, hash);
        assert(r == 1);
    }
    int r = file_wire_read_error(frame, reason);
    assert(r < 0 && text_is_printable(reason));
}

static int take_result(size_t i, int r, const char *reason,
                       const struct upload_refusal *refusal _unused_, void *data)
{
    assert(i < *(const size_t *)data && (!reason || text_is_printable(reason)));
    return r == 0 ? -EIO : 0; /* what is stored is not named */
}

/* Many files in one frame: the table in its body, and the answer to it. */
static void check_packs(const cJSON *frame, const char *body, size_t size)
{
    struct reader reader = reader_from(body, size);
    struct file_wire_pack pack;
    struct file_wire_row row, back;
    uint8_t hash[FILES_HASH_SIZE], bytes[FILES_NAME_MAX + 16];
    size_t count = 7;
    uint64_t offset = 0;

    if (file_wire_read_pack(frame, &pack) == 0) {
        _cleanup_json_ cJSON *again = travel(file_wire_pack(&pack));
        size_t before = pack.count;
        int r = file_wire_read_pack(again, &pack);
        assert(r == 0 && pack.count == before);
    }
    int r = file_wire_read_packed(frame, count, take_result, &count);
    assert(r == 0 || r == -EBADMSG);
    (void)file_wire_read_offset(frame, &offset, hash);
    while (file_wire_read_row(&reader, &row)) {
        struct writer writer = writer_into(bytes, sizeof(bytes));
        file_wire_write_row(&writer, row.name, row.size, row.modified_wall_usec, row.is_executable);
        struct reader again = reader_from(bytes, writer.position);
        bool is_read = file_wire_read_row(&again, &back);
        assert(is_read && reader_done(&again) && strcmp(back.name, row.name) == 0);
        assert(writer.position == FILE_WIRE_ROW_SIZE(row.name));
    }
}

/* Many files asked for in one frame: the answer to it, and the head of each in its body. */
static void check_fetched(const cJSON *frame, const char *body, size_t size)
{
    struct reader reader = reader_from(body, size);
    uint8_t bytes[FILE_WIRE_HEAD_MAX];
    size_t count = 7, named = 0;
    bool is_last;

    if (file_wire_read_fetch(frame, &named) == 0)
        assert(named >= 1 && named <= BATCH_FILES_MAX);
    int r = file_wire_read_fetched(frame, count, &named, &is_last, take_result, &count);
    assert(r == -EBADMSG || r == -EIO || (r == 0 && named >= 1 && named <= count));
    for (;;) {
        struct files_info info = {0}, back = {0};
        struct writer writer = writer_into(bytes, sizeof(bytes));
        if (!file_wire_read_head(&reader, &info))
            break;
        assert(text_is_printable(info.owner));
        file_wire_write_head(&writer, &info);
        struct reader again = reader_from(bytes, writer.position);
        bool is_read = writer_ok(&writer) && file_wire_read_head(&again, &back);
        assert(is_read && reader_done(&again) && memcmp(&info, &back, sizeof(info)) == 0);
    }
}

static void check_tasks(const cJSON *frame)
{
    const cJSON *json = NULL;
    struct task_spec spec = {0};
    struct task_end end;
    char reason[TASK_REASON_MAX + 1], text[TASK_REASON_MAX + 1];

    if (json_get_object(frame, "spec", &json) > 0 && task_spec_from_json(json, &spec) == 0) {
        int r = task_spec_check(&spec, reason);
        assert(r <= 0);
        task_spec_done(&spec);
    }
    if (json_get_object(frame, "end", &json) > 0 && task_end_from_json(json, &end) == 0) {
        (void)task_end_format(&end, text);
        assert(text_is_utf8(text, strlen(text)));
    }
}

/* One header up to a tab, the rest of the line behind it as its body. */
static void hear(struct listener *listener, const char *line, size_t size)
{
    _cleanup_json_ cJSON *frame = NULL;
    const char *body = memchr(line, '\t', size);
    size_t header_size = body ? (size_t)(body - line) : size;

    if (json_parse(line, header_size, &frame) < 0)
        return;
    check_files(frame);
    check_packs(frame, body ? body : line, size - header_size);
    check_fetched(frame, body ? body : line, size - header_size);
    check_tasks(frame);
    (void)remote_on_frame(listener->remote, &other, frame, body ? body : line, size - header_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct listener listener = {0};

    check_record(data, size);
    listener_start(&listener);
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t length = end ? (size_t)(end - data) : size;
        hear(&listener, (const char *)data, length);
        data += MIN(length + 1, size);
        size -= MIN(length + 1, size);
    }
    listener_stop(&listener);
    return 0;
}
