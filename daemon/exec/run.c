/* SPDX-License-Identifier: MIT */
#include "exec/run.h"

#include <fcntl.h>
#include <sys/epoll.h>

#define CHUNK_SIZE          ((size_t)64 * 1024)
#define GRACE_USEC          (2 * USEC_PER_SEC)
#define GRACE_ACCURACY_USEC USEC_PER_MSEC
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

static int on_stream(sd_event_source *source, int fd, uint32_t events, void *data)
{
    static uint8_t chunk[CHUNK_SIZE];
    struct exec_run_stream *stream = data;
    struct exec_run *run = stream->run;

    (void)source;
    (void)events;
    ssize_t size = read(fd, chunk, sizeof(chunk));
    if (size > 0) {
        if (run->has_status)
            (void)sd_event_source_set_time_relative(run->grace, GRACE_USEC);
        run->handler->on_output(run, (enum exec_stream)(stream - run->streams), chunk,
                                (size_t)size);
        return 0;
    }
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    close_stream(stream);
    if (is_over(run))
        run->handler->on_over(run);
    return 0;
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

int exec_run_new(sd_event *event, uint64_t id, const struct exec_run_handler *handler, void *owner,
                 struct exec_run **ret, int ret_fds[static _EXEC_STREAM_MAX])
{
    _cleanup_(exec_run_freep) struct exec_run *run = calloc(1, sizeof(*run));
    int ends[_EXEC_STREAM_MAX][2] = {{-EBADF, -EBADF}, {-EBADF, -EBADF}};
    int r = 0;

    if (!run)
        return -ENOMEM;
    *run = (struct exec_run){.id = id, .owner = owner, .handler = handler};
    list_init(&run->link);
    for (size_t i = 0; i < _EXEC_STREAM_MAX; i++)
        run->streams[i] = (struct exec_run_stream){.run = run, .fd = -EBADF};
    for (size_t i = 0; i < _EXEC_STREAM_MAX && r >= 0; i++) {
        struct exec_run_stream *stream = &run->streams[i];
        if (pipe2(ends[i], O_CLOEXEC) < 0 || fcntl(ends[i][0], F_SETFL, O_NONBLOCK) < 0)
            r = -errno;
        stream->fd = ends[i][0];
        if (r >= 0)
            r = sd_event_add_io(event, &stream->source, stream->fd, EPOLLIN, on_stream, stream);
        if (r >= 0)
            r = sd_event_source_set_priority(stream->source, OUTPUT_PRIORITY);
    }
    if (r >= 0)
        r = sd_event_add_time_relative(event, &run->grace, CLOCK_MONOTONIC, GRACE_USEC,
                                       GRACE_ACCURACY_USEC, on_grace, run);
    if (r >= 0)
        r = sd_event_source_set_enabled(run->grace, SD_EVENT_OFF);
    for (size_t i = 0; i < _EXEC_STREAM_MAX; i++)
        if (r >= 0)
            ret_fds[i] = ends[i][1];
        else
            close_fd(ends[i][1]);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(run);
    return 0;
}

struct exec_run *exec_run_free(struct exec_run *run)
{
    if (!run)
        return NULL;
    for (size_t i = 0; i < _EXEC_STREAM_MAX; i++)
        close_stream(&run->streams[i]);
    sd_event_source_disable_unref(run->grace);
    free(run);
    return NULL;
}

bool exec_run_end(struct exec_run *run, const struct exec_status *status)
{
    if (run->has_status)
        return false;
    run->has_status = true;
    run->status = *status;
    (void)sd_event_source_set_time_relative(run->grace, is_over(run) ? 0 : GRACE_USEC);
    (void)sd_event_source_set_enabled(run->grace, SD_EVENT_ONESHOT);
    return is_over(run);
}

void exec_run_set_reading(struct exec_run *run, bool reading)
{
    run->is_paused = !reading;
    for (size_t i = 0; i < _EXEC_STREAM_MAX; i++)
        if (run->streams[i].source)
            (void)sd_event_source_set_enabled(run->streams[i].source,
                                              reading ? SD_EVENT_ON : SD_EVENT_OFF);
}
