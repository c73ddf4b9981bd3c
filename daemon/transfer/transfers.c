/* SPDX-License-Identifier: MIT */
#include "transfer/transfers_core.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/log.h"
#include "net/frame.h"
#include "transfer/file_wire.h"

#define PROGRESS_USEC       (250 * USEC_PER_MSEC)
#define TIMER_ACCURACY_USEC ((usec_t)1) /* what waits for its turn begins at once */
#define TOLD_PER_PATIENCE   3
#define STILL_PER_CONNECT   3 /* a connection that was used is tried for less than a new one */
#define EXPIRY_USEC         USEC_PER_HOUR /* between two looks at what waits to be resumed */

void transfer_free(struct transfer *transfer)
{
    struct transfers *transfers = transfer->transfers;

    list_remove(&transfer->link);
    (*(transfer->is_own ? &transfers->own_count : &transfers->served_count))--;
    if (transfer->is_running)
        (*(transfer->is_own ? &transfers->own_running : &transfers->served_running))--;
    stream_free(transfer->stream);
    file_job_free(transfer->job);
    free(transfer->user);
    free(transfer->lost);
    free(transfer);
}

void transfers_wake(struct transfers *transfers, usec_t delay_usec)
{
    (void)sd_event_source_set_time_relative(transfers->timer, delay_usec);
    (void)sd_event_source_set_enabled(transfers->timer, SD_EVENT_ONESHOT);
}

static void run_hashing(void *data)
{
    struct transfers *transfers = data;
    char name[FILES_NAME_MAX + 1] = "";
    bool has_failed = false;
    int r;

    do {
        r = files_hash_next(transfers->config.files, name, &transfers->is_stopping);
        has_failed = has_failed || r < 0 || r == FILES_UNREADABLE;
    } while (r > 0);
    transfers->has_failed_to_hash = has_failed;
}

static void hash_stored(struct transfers *transfers);

static void hashing_done(void *data)
{
    struct transfers *transfers = data;

    transfers->is_hashing = false;
    hash_stored(transfers);
}

static void begin_hashing(struct transfers *transfers)
{
    if (!transfers->is_hashing)
        transfers->is_hashing = worker_submit(transfers->config.worker, WORKER_FILES, run_hashing,
                                              hashing_done, transfers) >= 0;
}

/* One file after another, on one thread, what was stored to be hashed later. */
static void hash_stored(struct transfers *transfers)
{
    if (files_awaits_hash(transfers->config.files))
        begin_hashing(transfers);
}

bool transfers_are_hashing(const struct transfers *transfers)
{
    return transfers->is_hashing || files_awaits_hash(transfers->config.files);
}

/* The end of a transfer of ours. */
static void finish(struct transfer *transfer)
{
    struct transfers *transfers = transfer->transfers;

    if (!transfer->is_cancelled)
        transfer->handler.on_end(&transfer->job->end, transfer->data);
    transfer_free(transfer);
    transfers_wake(transfers, 0);
}

static void fail(struct transfer *transfer, int r, const char *what)
{
    struct transfer_end *end = &transfer->job->end;

    end->r = r;
    snprintf(end->reason, sizeof(end->reason), "%s: %s", what, strerror(-r));
    finish(transfer);
}

/* The other node is given up. */
static void finish_lost(struct transfer *transfer)
{
    struct transfer_end *end = &transfer->job->end;

    end->r = -EHOSTUNREACH;
    snprintf(end->reason, sizeof(end->reason), "%s", transfer->lost);
    finish(transfer);
}

static void run_own(void *data)
{
    struct transfer *transfer = data;

    file_job_run(transfer->job);
}

static void connect_own(struct transfer *transfer);

static void own_done(void *data)
{
    struct transfer *transfer = data;
    struct transfers *transfers = transfer->transfers;
    struct file_job *job = transfer->job;

    transfer->is_on_thread = false;
    if (transfer->lost && (job->end.r < 0 || job->is_stale)) {
        finish_lost(transfer);
        return;
    }
    if (job->is_stale && !transfer->is_cancelled) {
        job->is_reused = false;
        connect_own(transfer);
        return;
    }
    if (job->is_reusable && job->conn && transfers->links)
        links_keep_own(transfers->links, TAKE_PTR(job->conn));
    hash_stored(transfers);
    finish(transfer);
}

static void run_served(void *data)
{
    struct transfer *transfer = data;

    file_job_serve(transfer->job);
}

static void served_done(void *data)
{
    struct transfer *transfer = data;
    struct transfers *transfers = transfer->transfers;
    struct file_job *job = transfer->job;

    transfer->is_on_thread = false;
    if (job->served.count > 0)
        transfers->config.on_stored(&job->served, transfers->config.data);
    if (*job->changed)
        transfers->config.on_changed(job->changed, transfers->config.data);
    struct conn *conn = job->is_reusable && transfers->links ? TAKE_PTR(job->conn) : NULL;
    transfer_free(transfer);
    hash_stored(transfers);
    if (conn)
        links_keep_served(transfers->links, conn);
    transfers_wake(transfers, 0);
}

static int submit(struct transfer *transfer)
{
    int r = worker_submit(transfer->transfers->config.worker, WORKER_FILES,
                          transfer->is_own ? run_own : run_served,
                          transfer->is_own ? own_done : served_done, transfer);

    transfer->is_on_thread = r >= 0;
    return r;
}

/* --- Towards another node --- */

/* From the loop to a thread. */
static int hand_over(struct transfer *transfer)
{
    int r = stream_take_blocking(transfer->stream, &transfer->job->conn);

    /* The stream stays only where it was not fit to be taken. */
    if (r != -ENOTCONN && r != -EBUSY)
        transfer->stream = NULL;
    return r < 0 ? r : submit(transfer);
}

static void on_ready(struct stream *stream _unused_, void *data)
{
    struct transfer *transfer = data;
    int r = hand_over(transfer);

    if (r < 0)
        fail(transfer, r, "cannot begin the transfer");
}

static void on_closed(struct stream *stream _unused_, int error, void *data)
{
    fail(data, error < 0 ? error : -ECONNRESET, "cannot connect to the other node");
}

/* What was read before the thread has the stream is the first that the thread reads. */
static void on_readable(struct stream *stream _unused_, void *data _unused_)
{
}

static const struct stream_callbacks connecting = {
    .on_ready = on_ready, .on_readable = on_readable, .on_closed = on_closed};

static void on_served_closed(struct stream *stream _unused_, int error _unused_, void *data)
{
    transfer_free(data);
}

/* While it waits for its turn. */
static const struct stream_callbacks accepted = {
    .on_ready = on_readable, .on_readable = on_readable, .on_closed = on_served_closed};

static void connect_own(struct transfer *transfer)
{
    struct transfers *transfers = transfer->transfers;
    struct stream_config config = {.event = transfers->event,
                                   .tls = transfers->config.tls,
                                   .source = transfers->config.source,
                                   .priority = SD_EVENT_PRIORITY_IDLE,
                                   .handshake_timeout_usec =
                                       transfers->config.connect_timeout_usec};
    int r = stream_connect(&config, &transfer->place.address, &transfer->place.id,
                           TLS_PROTOCOL_FILE, &connecting, transfer, &transfer->stream);

    if (r < 0)
        fail(transfer, r, "cannot begin the transfer");
}

static void set_running(struct transfer *transfer, size_t *count)
{
    transfer->is_running = true;
    transfer->moved_usec = conn_now();
    (*count)++;
}

static void begin_own(struct transfer *transfer)
{
    struct transfers *transfers = transfer->transfers;
    struct file_job *job = transfer->job;

    set_running(transfer, &transfers->own_running);
    if (!transfer->place.is_self) {
        job->still_usec = transfers->config.connect_timeout_usec / STILL_PER_CONNECT;
        job->conn = links_take(transfers->links, &transfer->place.id, &transfer->place.address);
        job->is_reused = job->conn != NULL;
    }
    if (!transfer->place.is_self && !job->conn) {
        connect_own(transfer);
        return;
    }
    int r = submit(transfer);
    if (r < 0)
        fail(transfer, r, "cannot begin the transfer");
}

static void begin_served(struct transfer *transfer)
{
    struct transfers *transfers = transfer->transfers;
    int r;

    set_running(transfer, &transfers->served_running);
    r = transfer->stream ? hand_over(transfer) : submit(transfer);
    if (r < 0) {
        log_debug_errno(r, "Cannot serve a file connection: %m");
        transfer_free(transfer);
    }
}

/* Begins what waits, as far as there is room. */
static void begin_waiting(struct transfers *transfers)
{
    transfers_look(transfers);
    list_for_each_safe (link, &transfers->own) {
        struct transfer *transfer = list_entry(link, struct transfer, link);
        if (!transfer->is_running && transfer_has_turn(transfer))
            begin_own(transfer);
    }
    list_for_each_safe (link, &transfers->served) {
        struct transfer *transfer = list_entry(link, struct transfer, link);
        bool is_told = transfer->stream && stream_get_write_queued(transfer->stream) > 0;
        if (!transfer->is_running && !is_told && transfer_has_turn(transfer))
            begin_served(transfer);
    }
}

/* Who waits for his turn hears so, since he would give up on silence. Return: as frame_write. */
static int tell_waiting(struct transfer *transfer)
{
    _cleanup_json_ cJSON *frame = file_wire_new("wait");

    if (transfer->stream)
        return frame_write(transfer->stream, frame, NULL, 0);
    /* Nothing else is being written there: it does not wait. */
    return frame_send(transfer->job->conn, frame, 0, conn_now());
}

static void tell_all_waiting(struct transfers *transfers, usec_t interval)
{
    usec_t now = conn_now();

    list_for_each_safe (link, &transfers->served) {
        struct transfer *transfer = list_entry(link, struct transfer, link);
        if (transfer->is_running || now < usec_add(transfer->told_usec, interval))
            continue;
        transfer->told_usec = now;
        if (tell_waiting(transfer) < 0)
            transfer_free(transfer);
    }
}

/* Of those on threads, who work without a word. */
static void tell_working(struct list *list, usec_t interval)
{
    list_for_each (link, list) {
        struct transfer *transfer = list_entry(link, struct transfer, link);
        if (transfer->is_on_thread)
            file_job_tell(transfer->job, interval);
    }
}

static int on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct transfers *transfers = data;
    usec_t interval = transfers->config.patience_usec / TOLD_PER_PATIENCE;

    begin_waiting(transfers);
    tell_all_waiting(transfers, interval);
    tell_working(&transfers->own, interval);
    tell_working(&transfers->served, interval);
    list_for_each_safe (link, &transfers->own) {
        struct transfer *transfer = list_entry(link, struct transfer, link);
        const struct transfer_progress progress = {
            .done = atomic_load(&transfer->job->done),
            .total = atomic_load(&transfer->job->total),
            .resumed = atomic_load(&transfer->job->resumed),
            .ahead = transfer->is_running ? 0 : transfers->own_running,
            .is_put_off = atomic_load(&transfer->job->is_put_off)};
        if ((transfer->is_on_thread || progress.ahead > 0) && !transfer->is_cancelled &&
            transfer->handler.on_progress)
            transfer->handler.on_progress(&progress, transfer->data);
    }
    if (transfers->own_count > 0 || transfers->served_count > transfers->served_running)
        transfers_wake(transfers, PROGRESS_USEC);
    else if (transfers->served_count > 0)
        transfers_wake(transfers, interval / 2);
    return 0;
}

/* --- Life --- */

static void run_expiry(void *data)
{
    struct transfers *transfers = data;
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    files_expire_parts(transfers->config.files, (uint64_t)now.tv_sec * USEC_PER_SEC);
}

static void expiry_done(void *data _unused_)
{
}

static int on_expiry(sd_event_source *source, uint64_t usec _unused_, void *data)
{
    struct transfers *transfers = data;

    (void)worker_submit(transfers->config.worker, WORKER_FILES, run_expiry, expiry_done, transfers);
    if (transfers->has_failed_to_hash)
        begin_hashing(transfers);
    (void)sd_event_source_set_time_relative(source, EXPIRY_USEC);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

static void on_question(struct conn *conn, void *data);

int transfers_new(sd_event *event, const struct transfers_config *config, struct transfers **ret)
{
    struct transfers *transfers = calloc(1, sizeof(*transfers));
    int r;

    if (!transfers)
        return -ENOMEM;
    *transfers = (struct transfers){.config = *config,
                                    .event = sd_event_ref(event),
                                    .paces = {.in = {.rate = config->rate_limit},
                                              .out = {.rate = config->rate_limit},
                                              .patience_usec = config->patience_usec}};
    list_init(&transfers->own);
    list_init(&transfers->served);
    pthread_mutex_init(&transfers->paces.in.lock, NULL);
    pthread_mutex_init(&transfers->paces.out.lock, NULL);
    r = sd_event_add_time(event, &transfers->timer, CLOCK_MONOTONIC, USEC_INFINITY,
                          TIMER_ACCURACY_USEC, on_timer, transfers);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &transfers->expiry, CLOCK_MONOTONIC, EXPIRY_USEC,
                                       USEC_PER_MIN, on_expiry, transfers);
    if (r >= 0)
        r = links_new(event, config->idle_usec, on_question, transfers, &transfers->links);
    if (r < 0) {
        transfers_free(transfers);
        return r;
    }
    (void)sd_event_source_set_enabled(transfers->timer, SD_EVENT_OFF);
    (void)sd_event_source_set_description(transfers->timer, "transfers");
    hash_stored(transfers);
    *ret = transfers;
    return 0;
}

void transfers_set_limits(struct transfers *transfers, const struct transfers_limits *limits)
{
    transfers->config.connect_timeout_usec = limits->connect_timeout_usec;
    transfers->config.idle_usec = limits->idle_usec;
    transfers->config.transfers_max = limits->transfers_max;
    transfers->config.rate_limit = limits->rate_limit;
    atomic_store(&transfers->paces.in.rate, limits->rate_limit);
    atomic_store(&transfers->paces.out.rate, limits->rate_limit);
    transfers_wake(transfers, 0);
}

void transfers_count(const struct transfers *transfers, size_t *ret_own, size_t *ret_served)
{
    *ret_own = transfers->own_running;
    *ret_served = transfers->served_running;
}

void transfers_lose(struct transfers *transfers, const struct node_id *id, const char *reason)
{
    list_for_each_safe (link, &transfers->own) {
        struct transfer *transfer = list_entry(link, struct transfer, link);
        if (transfer->place.is_self || transfer->is_cancelled || transfer->lost ||
            !node_id_is_equal(&transfer->place.id, id))
            continue;
        transfer->lost = strdup(reason);
        if (!transfer->lost)
            return; /* it ends when patience does */
        if (transfer->is_on_thread)
            file_job_cancel(transfer->job);
        else
            finish_lost(transfer);
    }
}

static void stop(struct list *list)
{
    list_for_each_safe (link, list) {
        struct transfer *transfer = list_entry(link, struct transfer, link);
        transfer->is_cancelled = true;
        /* What is on a thread is freed when it comes back. */
        if (transfer->is_on_thread)
            file_job_cancel(transfer->job);
        else
            transfer_free(transfer);
    }
}

void transfers_stop(struct transfers *transfers)
{
    atomic_store(&transfers->is_stopping, true);
    stop(&transfers->own);
    stop(&transfers->served);
    transfers->links = links_free(transfers->links);
}

struct transfers *transfers_free(struct transfers *transfers)
{
    if (!transfers)
        return NULL;
    transfers_stop(transfers);
    sd_event_source_disable_unref(transfers->timer);
    sd_event_source_disable_unref(transfers->expiry);
    sd_event_unref(transfers->event);
    pthread_mutex_destroy(&transfers->paces.in.lock);
    pthread_mutex_destroy(&transfers->paces.out.lock);
    free(transfers);
    return NULL;
}

/* A connection of another node gets its turn: @stream, or @conn where it had one before. Both are
 * taken over. */
static void serve(struct transfers *transfers, struct stream *stream, struct conn *conn)
{
    bool has_room =
        transfers->served_count < transfers->config.transfers_max + TRANSFERS_WAITING_MAX;
    struct transfer *transfer = has_room ? calloc(1, sizeof(*transfer)) : NULL;
    struct file_job *job = file_job_new(transfers->config.files, &transfers->paces, -EBADF);
    const struct node_id *asker = stream ? stream_get_peer(stream) : conn_get_peer(conn);

    if (!transfer || !job) {
        free(transfer);
        file_job_free(job);
        stream_free(stream);
        (void)conn_free(conn);
        return;
    }
    job->conn = conn;
    *transfer = (struct transfer){
        .transfers = transfers, .job = job, .stream = stream, .place = {.id = *asker}};
    list_append(&transfers->served, &transfer->link);
    transfers->served_count++;
    if (stream)
        stream_set_callbacks(stream, &accepted, transfer);
    transfers_wake(transfers, 0);
}

void transfers_adopt(struct transfers *transfers, struct stream *stream)
{
    serve(transfers, stream, NULL);
}

static void on_question(struct conn *conn, void *data)
{
    serve(data, NULL, conn);
}
