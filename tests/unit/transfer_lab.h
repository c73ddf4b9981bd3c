/* SPDX-License-Identifier: MIT */
#pragma once

/* Nodes with file stores and transfers between them, on the nodes of peers_lab.h. */

#include "peers_lab.h"
#include <pthread.h>
#include <sys/mman.h>
#include "base/text.h"
#include "store_upload_room.h"
#include "transfer/file_wire.h"
#include "transfer/transfers.h"

#define LAB_TRANSFERS 4

/* What one node has for files. */
struct depot {
    struct room room;
    struct worker *worker;
    sd_event_source *source;
    struct transfers *transfers;
    unsigned stored;      /* by other nodes */
    unsigned changed;     /* since they were stored, and wanted by other nodes */
    unsigned connections; /* of other nodes */
};

/* One transfer as its owner sees it. */
struct moving {
    struct transfer *transfer; /* NULL after its end */
    struct transfer_end end;
    bool is_ended;
    unsigned progress;
    uint64_t done;
    size_t ahead; /* when it last waited for its turn */
    bool was_put_off;
    unsigned stored, kept; /* of a list */
    char failures[256];    /* of a list: "NAME:ERRNO " */
    char reason[256];      /* of its last failure */
};

static struct depot depots[2];
static usec_t depot_patience_usec = TRANSFERS_PATIENCE;

static int depot_on_worker(sd_event_source *source _unused_, int fd _unused_,
                           uint32_t events _unused_, void *data)
{
    struct depot *depot = data;

    worker_dispatch(depot->worker);
    return 0;
}

static void depot_on_stored(const struct transfers_stored *stored, void *data)
{
    struct depot *depot = data;

    depot->stored += (unsigned)stored->count;
}

static void depot_on_changed(const char *name _unused_, void *data)
{
    struct depot *depot = data;

    depot->changed++;
}

static void depot_on_files(struct lab_node *node, struct stream *stream)
{
    struct depot *depot = node->data;

    depot->connections++;
    transfers_adopt(depot->transfers, stream);
}

static _unused_ void depot_start(struct depot *depot, struct lab_node *node, uint64_t rate_limit,
                                 usec_t idle_usec)
{
    *depot = (struct depot){.room = {.directory = directory_new()}};
    room_open(&depot->room);
    size_t threads = 2 * transfers_get_threads(LAB_TRANSFERS) + 2;
    assert_int_equal(worker_new(threads, 1024, &depot->worker), 0);
    assert_true(sd_event_add_io(event, &depot->source, worker_get_fd(depot->worker), EPOLLIN,
                                depot_on_worker, depot) >= 0);
    struct transfers_config config = {.worker = depot->worker,
                                      .tls = node->tls,
                                      .files = depot->room.files,
                                      .connect_timeout_usec = LAB_CONNECT,
                                      .idle_usec = idle_usec,
                                      .patience_usec = depot_patience_usec,
                                      .transfers_max = LAB_TRANSFERS,
                                      .rate_limit = rate_limit,
                                      .on_stored = depot_on_stored,
                                      .on_changed = depot_on_changed,
                                      .data = depot};
    assert_int_equal(transfers_new(event, &config, &depot->transfers), 0);
    node->data = depot;
    node->on_files = depot_on_files;
}

static _unused_ void depot_stop(struct depot *depot)
{
    if (depot->transfers)
        transfers_stop(depot->transfers);
    sd_event_source_disable_unref(depot->source);
    worker_free(depot->worker);
    transfers_free(depot->transfers);
    if (depot->room.files)
        assert_int_equal(usage_of(depot->room.files).under_way, 0);
    files_free(depot->room.files);
    directory_free(depot->room.directory);
    *depot = (struct depot){0};
}

static _unused_ int transfer_start(void **state)
{
    (void)lab_start(state);
    for (size_t i = 0; i < ARRAY_SIZE(depots); i++)
        depot_start(&depots[i], &nodes[i], 0, LAB_IDLE_USEC);
    return 0;
}

static _unused_ int transfer_stop(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(depots); i++)
        depot_stop(&depots[i]);
    return lab_stop(state);
}

/* For what threads do, too: they do not wake the loop. */
#define run_until(condition)                                                                       \
    do {                                                                                           \
        usec_t run_end = conn_now() + LAB_WAIT_USEC;                                               \
        while (!(condition)) {                                                                     \
            assert_true(conn_now() < run_end);                                                     \
            assert_true(sd_event_run(event, 5 * USEC_PER_MSEC) >= 0);                              \
        }                                                                                          \
    } while (0)

static void moving_on_progress(const struct transfer_progress *progress, void *data)
{
    struct moving *moving = data;

    assert_false(moving->is_ended);
    moving->progress++;
    moving->done = progress->done;
    moving->ahead = MAX(moving->ahead, progress->ahead);
    moving->was_put_off = moving->was_put_off || progress->is_put_off;
}

static void moving_on_end(const struct transfer_end *end, void *data)
{
    struct moving *moving = data;

    assert_false(moving->is_ended);
    moving->is_ended = true;
    moving->end = *end;
    moving->transfer = NULL;
    for (size_t i = 0; end->r >= 0 && i < end->count; i++) {
        const struct transfer_item *item = &end->list[i];
        size_t used = strlen(moving->failures);
        moving->stored += item->r == 0;
        moving->kept += item->r == UPLOAD_KEPT;
        if (item->r < 0) {
            snprintf(moving->failures + used, sizeof(moving->failures) - used, "%.20s:%d ",
                     item->name, -item->r);
            assert_true(item->reason && text_is_printable(item->reason));
            snprintf(moving->reason, sizeof(moving->reason), "%s", item->reason);
        }
    }
    if (end->r < 0)
        assert_true(*end->reason && text_is_printable(end->reason));
}

static const struct transfer_handler moving_handler = {.on_progress = moving_on_progress,
                                                       .on_end = moving_on_end};

static struct transfer_place place_of(const struct depot *from, size_t to)
{
    return (struct transfer_place){
        .is_self = from == &depots[to], .id = nodes[to].id, .address = nodes[to].address};
}

static _unused_ int begin_put(struct depot *from, size_t to, int fd,
                              const struct upload_offer *offer, struct moving *moving)
{
    struct transfer_place place = place_of(from, to);

    *moving = (struct moving){0};
    return transfers_put(from->transfers, &place, fd, offer, &moving_handler, moving,
                         &moving->transfer);
}

static _unused_ int begin_get(struct depot *from, size_t to, const char *name, int fd,
                              struct moving *moving)
{
    struct transfer_place place = place_of(from, to);

    *moving = (struct moving){0};
    return transfers_get(from->transfers, &place, name, fd, &moving_handler, moving,
                         &moving->transfer);
}

/* Puts the whole of @fd as @name from depot 0; the end's result. */
static _unused_ int put_fd(size_t to, int fd, const struct upload_offer *offer,
                           struct moving *moving)
{
    assert_int_equal(begin_put(&depots[0], to, fd, offer, moving), 0);
    run_until(moving->is_ended);
    return moving->end.r;
}

static _unused_ int get_fd(size_t from, const char *name, int fd, struct moving *moving)
{
    assert_int_equal(begin_get(&depots[0], from, name, fd, moving), 0);
    run_until(moving->is_ended);
    return moving->end.r;
}

/* A descriptor of @size bytes of @data, at its beginning. */
static _unused_ int new_memory(const void *data, size_t size)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, size, 0), size);
    return fd;
}

/* Bytes that differ from each other. */
static _unused_ const uint8_t *some_bytes(size_t size)
{
    static uint8_t bytes[FILE_MAX + 1];

    assert_true(size <= sizeof(bytes));
    if (bytes[1] == 0)
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)(i * 31 + i / 251);
    return bytes;
}

static _unused_ void assert_empty(const struct depot *depot)
{
    assert_int_equal(usage_of(depot->room.files).count, 0);
    assert_int_equal(count_parts(&depot->room), 0);
}
