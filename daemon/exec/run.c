/* SPDX-License-Identifier: MIT */
#include "exec/run.h"

#include <fcntl.h>
#include <sys/epoll.h>

#define CHUNK_SIZE          ((size_t)64 * 1024)
#define GRACE_USEC          (2 * USEC_PER_SEC)
#define TIMER_ACCURACY_USEC USEC_PER_MSEC
#define DRAIN_READS_MAX     4                               /* of a pipe, which holds a chunk */
#define OUTPUT_PRIORITY     (SD_EVENT_PRIORITY_NORMAL + 10) /* after all that keeps the lab alive */

static void close_stream(struct exec_run_stream *stream)
{
    stream->source = sd_event_source_disable_unref(stream->source);
    stream->fd = close_fd(stream->fd);
}

static bool is_over(const struct exec_run *run)
{
    return run->has_status && run->streams[EXEC_STDOUT].fd < 0 && run->streams[EXEC_STDERR].fd < 0;
}

/* What is in the pipe, up to a chunk. Return: whether there may be more at once. */
static bool read_stream(struct exec_run_stream *stream)
{
    static uint8_t chunk[CHUNK_SIZE];
    struct exec_run *run = stream->run;
    ssize_t size = read(stream->fd, chunk, sizeof(chunk));

    if (size > 0) {
        if (run->has_status && run->grace)
            (void)sd_event_source_set_time_relative(run->grace, GRACE_USEC);
        run->handler->on_output(run, (enum exec_stream)(stream - run->streams), chunk,
                                (size_t)size);
        return true;
    }
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    close_stream(stream);
    return false;
}

static int on_stream(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_,
                     void *data)
{
    struct exec_run_stream *stream = data;
    struct exec_run *run = stream->run;

    (void)read_stream(stream);
    if (stream->fd < 0 && is_over(run))
        run->handler->on_over(run);
    return 0;
}

/* Reads both pipes to their ends, unless somebody goes on to fill them. */
static void drain(struct exec_run *run)
{
    for (size_t i = 0; i < _EXEC_STREAM_MAX; i++)
        for (int reads = 0; reads < DRAIN_READS_MAX && !run->is_paused; reads++)
            if (run->streams[i].fd < 0 || !read_stream(&run->streams[i]))
                break;
}

/* Return: 0 or what sd-event said; then it may be tried again. */
static int watch(struct exec_run *run)
{
    for (size_t i = 0; i < _EXEC_STREAM_MAX; i++) {
        struct exec_run_stream *stream = &run->streams[i];
        if (stream->source || stream->fd < 0)
            continue;
        int r = sd_event_add_io(run->runs->event, &stream->source, stream->fd, EPOLLIN, on_stream,
                                stream);
        if (r < 0)
            return r;
        (void)sd_event_source_set_priority(stream->source, OUTPUT_PRIORITY);
        if (run->is_paused)
            (void)sd_event_source_set_enabled(stream->source, SD_EVENT_OFF);
    }
    return 0;
}

static usec_t now_of(const struct exec_runs *runs)
{
    usec_t now = 0;

    (void)sd_event_now(runs->event, CLOCK_MONOTONIC, &now);
    return now;
}

static int on_young_timer(sd_event_source *source, uint64_t usec _unused_, void *data)
{
    struct exec_runs *runs = data;
    const usec_t now = now_of(runs);
    struct exec_run *run;

    while ((run = list_first(&runs->young, struct exec_run, link)) && run->watch_usec <= now) {
        list_remove(&run->link);
        if (watch(run) < 0) {
            run->watch_usec = usec_add(now, RUN_YOUNG_USEC);
            list_append(&runs->young, &run->link);
        }
    }
    if (run) {
        (void)sd_event_source_set_time(source, run->watch_usec);
        (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    return 0;
}

/* One timer for all: it comes for the first of them, which may be gone by then, and finds the next.
 */
static void add_young(struct exec_runs *runs, struct exec_run *run)
{
    int enabled = SD_EVENT_OFF;

    run->watch_usec = usec_add(now_of(runs), RUN_YOUNG_USEC);
    list_append(&runs->young, &run->link);
    (void)sd_event_source_get_enabled(runs->timer, &enabled);
    if (enabled != SD_EVENT_OFF)
        return;
    (void)sd_event_source_set_time(runs->timer, run->watch_usec);
    (void)sd_event_source_set_enabled(runs->timer, SD_EVENT_ONESHOT);
}

int exec_runs_init(struct exec_runs *runs, sd_event *event)
{
    *runs = (struct exec_runs){.event = event};
    list_init(&runs->young);
    int r = sd_event_add_time(event, &runs->timer, CLOCK_MONOTONIC, USEC_INFINITY,
                              TIMER_ACCURACY_USEC, on_young_timer, runs);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(runs->timer, "exec-young");
    return sd_event_source_set_enabled(runs->timer, SD_EVENT_OFF);
}

void exec_runs_done(struct exec_runs *runs)
{
    runs->timer = sd_event_source_disable_unref(runs->timer);
}

/* Whoever has the pipe still open is none of the task's processes, which are dead: enough waited.
 */
static int on_grace(sd_event_source *source, uint64_t now_usec, void *data)
{
    struct exec_run *run = data;

    (void)now_usec;
    if (run->is_paused && !is_over(run)) {
        (void)sd_event_source_set_time_relative(source, GRACE_USEC);
        (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
    }
    run->handler->on_over(run);
    return 0;
}

int exec_run_new(struct exec_runs *runs, uint64_t id, const struct exec_run_handler *handler,
                 void *owner, struct exec_run **ret, int ret_fds[static _EXEC_STREAM_MAX])
{
    _cleanup_(exec_run_freep) struct exec_run *run = calloc(1, sizeof(*run));
    int ends[_EXEC_STREAM_MAX][2] = {{-EBADF, -EBADF}, {-EBADF, -EBADF}};
    int r = 0;

    if (!run)
        return -ENOMEM;
    *run = (struct exec_run){.runs = runs, .id = id, .owner = owner, .handler = handler};
    list_init(&run->link);
    for (size_t i = 0; i < _EXEC_STREAM_MAX; i++)
        run->streams[i] = (struct exec_run_stream){.run = run, .fd = -EBADF};
    for (size_t i = 0; i < _EXEC_STREAM_MAX && r >= 0; i++) {
        if (pipe2(ends[i], O_CLOEXEC) < 0 || fcntl(ends[i][0], F_SETFL, O_NONBLOCK) < 0)
            r = -errno;
        run->streams[i].fd = ends[i][0];
    }
    for (size_t i = 0; i < _EXEC_STREAM_MAX; i++)
        if (r >= 0)
            ret_fds[i] = ends[i][1];
        else
            close_fd(ends[i][1]);
    if (r < 0)
        return r;
    add_young(runs, run);
    *ret = TAKE_PTR(run);
    return 0;
}

struct exec_run *exec_run_free(struct exec_run *run)
{
    if (!run)
        return NULL;
    list_remove(&run->link);
    for (size_t i = 0; i < _EXEC_STREAM_MAX; i++)
        close_stream(&run->streams[i]);
    sd_event_source_disable_unref(run->grace);
    free(run);
    return NULL;
}

/* Whoever holds a pipe that is still open has GRACE_USEC to say something, and again each time. */
static int wait_for_others(struct exec_run *run)
{
    list_remove(&run->link);
    int r = sd_event_add_time_relative(run->runs->event, &run->grace, CLOCK_MONOTONIC, GRACE_USEC,
                                       TIMER_ACCURACY_USEC, on_grace, run);
    return r < 0 ? r : watch(run);
}

void exec_run_begin(struct exec_run *run, const struct exec_started *started)
{
    if (run->has_started || run->has_status)
        return;
    run->has_started = true;
    run->handler->on_started(run, started);
}

bool exec_run_end(struct exec_run *run, const struct exec_status *status)
{
    if (run->has_status)
        return false;
    /* Of a short one, that it started was not told. */
    if (status->error == 0)
        exec_run_begin(run, &(struct exec_started){status->pid, status->wall_usec});
    run->has_status = true;
    run->status = *status;
    drain(run);
    return is_over(run) || wait_for_others(run) < 0;
}

void exec_run_set_reading(struct exec_run *run, bool reading)
{
    run->is_paused = !reading;
    for (size_t i = 0; i < _EXEC_STREAM_MAX; i++)
        if (run->streams[i].source)
            (void)sd_event_source_set_enabled(run->streams[i].source,
                                              reading ? SD_EVENT_ON : SD_EVENT_OFF);
}
