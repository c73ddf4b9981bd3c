/* SPDX-License-Identifier: MIT */
#include "tasks/internal.h"

#include <fcntl.h>
#include <string.h>
#include "base/log.h"

/*
 * A bundle that comes from another node: inputs from the origin, results from the worker. The side
 * that wants it asks for piece after piece ("fetch"), PULL_WINDOW of them ahead of its disk, and
 * writes each where it belongs. So nobody sends faster than the other side writes, nobody keeps
 * state for the other, and after a broken connection the next question goes on where the last
 * answer was. The other side is serve.c.
 */
#define PULL_WINDOW     ((uint64_t)4 * PULL_PIECE)
#define PULL_AGAIN_USEC USEC_PER_SEC /* without an answer the question is asked again */
#define TIMER_ACCURACY  (10 * USEC_PER_MSEC)

struct pull {
    struct list link;
    struct tasks *tasks; /* borrowed */
    struct pull_config config;
    int fd;            /* owned copy: the lane may still write when the pull is cancelled */
    uint64_t asked;    /* bytes */
    uint64_t received; /* of those; what comes is in order */
    uint64_t written;  /* of those */
    uint64_t seen;     /* received when the timer last fired */
    size_t writes;     /* on the lane */
    int error;
    bool is_over; /* done was called, or nobody waits for it */
    sd_event_source *timer;
};

/* A piece on its way to the disk. */
struct write {
    struct pull *pull;
    uint64_t offset;
    size_t size;
    int result;
    uint8_t data[];
};

static void pull_free(struct pull *pull)
{
    list_remove(&pull->link);
    sd_event_source_disable_unref(pull->timer);
    close_fd(pull->fd);
    free(pull);
}

/* Tells how it ended, once; what is on the lane comes back first. */
static void finish(struct pull *pull)
{
    if (pull->writes > 0)
        return;
    if (pull->is_over) {
        pull_free(pull);
        return;
    }
    pull_done_t done = pull->config.done;
    void *data = pull->config.data;
    int r = pull->error;
    struct tasks *tasks = pull->tasks;
    pull_free(pull);
    done(r, data);
    tasks_pump(tasks);
}

static void fail(struct pull *pull, int r)
{
    if (pull->error == 0)
        pull->error = r;
    finish(pull);
}

static void ask(struct pull *pull)
{
    const struct pull_config *config = &pull->config;

    while (pull->asked < config->size && pull->asked - pull->written < PULL_WINDOW) {
        uint64_t size = MIN(config->size - pull->asked, (uint64_t)PULL_PIECE);
        if (wire_send_fetch(pull->tasks, config, pull->asked, size) < 0)
            return; /* the timer asks again */
        pull->asked += size;
    }
}

static int on_timer(sd_event_source *source, uint64_t usec _unused_, void *data)
{
    struct pull *pull = data;

    if (pull->received == pull->seen && pull->writes == 0) {
        pull->asked = pull->received;
        ask(pull);
    }
    pull->seen = pull->received;
    (void)sd_event_source_set_time_relative(source, PULL_AGAIN_USEC);
    (void)sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

static void run_write(void *data)
{
    struct write *write = data;
    size_t done = 0;

    while (done < write->size) {
        ssize_t n = pwrite(write->pull->fd, write->data + done, write->size - done,
                           (off_t)(write->offset + done));
        if (n < 0 && errno != EINTR) {
            write->result = -errno;
            return;
        }
        done += (size_t)MAX(n, (ssize_t)0);
    }
    write->result = 0;
}

static void write_done(void *data)
{
    struct write *write = data;
    struct pull *pull = write->pull;
    uint64_t size = write->size;
    int r = write->result;

    free(write);
    pull->writes--;
    if (r == 0)
        pull->written += size;
    if (r < 0 || pull->error < 0 || pull->is_over)
        fail(pull, r);
    else if (pull->written == pull->config.size)
        finish(pull);
    else
        ask(pull);
}

static struct pull *find(const struct tasks *tasks, const struct node_id *from,
                         enum bundles_kind kind, uint64_t number, uint64_t attempt)
{
    list_for_each (link, &tasks->pulls) {
        struct pull *pull = list_entry(link, struct pull, link);
        const struct pull_config *config = &pull->config;
        if (!pull->is_over && config->kind == kind && config->number == number &&
            config->attempt == attempt && node_id_is_equal(&config->from, from))
            return pull;
    }
    return NULL;
}

void pull_take_piece(struct tasks *tasks, const struct node_id *from, enum bundles_kind kind,
                     uint64_t number, uint64_t attempt, const struct pull_piece *piece)
{
    struct pull *pull = find(tasks, from, kind, number, attempt);

    if (!pull || pull->error < 0)
        return;
    if (piece->is_gone) {
        fail(pull, -ENOENT);
        return;
    }
    /* What was asked for twice may come twice. */
    if (piece->offset != pull->received || piece->size == 0 ||
        piece->size > pull->asked - MIN(pull->asked, pull->received))
        return;
    struct write *write = malloc(sizeof(*write) + piece->size);
    if (!write) {
        fail(pull, -ENOMEM);
        return;
    }
    *write = (struct write){
        .pull = pull, .offset = piece->offset, .size = piece->size, .result = -ECANCELED};
    memcpy(write->data, piece->data, piece->size);
    /* Where the lane is full, the piece is dropped, and asked for again. */
    if (worker_submit(tasks->setup.worker, WORKER_FILES, run_write, write_done, write) < 0) {
        free(write);
        return;
    }
    pull->received += piece->size;
    pull->writes++;
}

int pull_new(struct tasks *tasks, const struct pull_config *config, int fd, struct pull **ret)
{
    struct pull *pull = calloc(1, sizeof(*pull));
    int r;

    if (!pull)
        return -ENOMEM;
    *pull = (struct pull){.tasks = tasks, .config = *config};
    list_init(&pull->link);
    pull->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    r = pull->fd < 0 ? -errno
                     : sd_event_add_time_relative(tasks->event, &pull->timer, CLOCK_MONOTONIC,
                                                  PULL_AGAIN_USEC, TIMER_ACCURACY, on_timer, pull);
    if (r < 0) {
        pull_free(pull);
        return r;
    }
    list_append(&tasks->pulls, &pull->link);
    *ret = pull;
    ask(pull);
    return 0;
}

void pull_cancel(struct pull *pull)
{
    pull->is_over = true;
    finish(pull);
}

void pulls_free(struct tasks *tasks)
{
    list_for_each_safe (link, &tasks->pulls)
        pull_free(list_entry(link, struct pull, link));
}
