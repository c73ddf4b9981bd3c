/* SPDX-License-Identifier: MIT */
#include "tasks/internal.h"

#include <string.h>
#include "base/log.h"

/*
 * Pieces of bundles for other nodes: inputs of our tasks for the workers that have them, results of
 * their tasks for the origins. The other side is pull.c. Each question stands for itself; few are
 * read at once, and none while much waits to be sent to who asked.
 */
#define SENDING_MAX                                                                                \
    ((size_t)1024 * 1024) /* bytes on their way to one node before reading stops                   \
                           */
#define READS_MAX   8     /* pieces that are being read */
#define WAITING_MAX 1024  /* questions; those beyond are asked again */

struct serving {
    struct list link;
    struct tasks *tasks; /* borrowed */
    struct serve_request request;
    bool is_reading;
    bool is_dropped; /* nobody waits for it */
    int result;      /* bytes that were read, or a negative errno */
    uint8_t *data;   /* owned */
};

static void serving_free(struct serving *serving)
{
    list_remove(&serving->link);
    serving->tasks->servings_count--;
    free(serving->data);
    free(serving);
}

static void run_read(void *data)
{
    struct serving *serving = data;
    const struct serve_request *request = &serving->request;
    _cleanup_close_ int fd = bundles_open_read(serving->tasks->bundles, &request->key);
    size_t done = 0;

    serving->data = malloc(request->size);
    if (fd < 0 || !serving->data) {
        serving->result = fd < 0 ? fd : -ENOMEM;
        return;
    }
    while (done < request->size) {
        ssize_t n =
            pread(fd, serving->data + done, request->size - done, (off_t)(request->offset + done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            serving->result = n < 0 ? -errno : -ENOENT; /* shorter than was said: not that one */
            return;
        }
        done += (size_t)n;
    }
    serving->result = (int)done;
}

static void read_done(void *data)
{
    struct serving *serving = data;
    struct tasks *tasks = serving->tasks;
    const struct serve_request *request = &serving->request;

    tasks->reads_count--;
    if (!serving->is_dropped && !tasks->is_closed && serving->result > 0)
        wire_send_piece(tasks, request, serving->data, (size_t)serving->result);
    else if (!serving->is_dropped && !tasks->is_closed && serving->result == -ENOENT)
        wire_send_piece(tasks, request, NULL, 0);
    else if (serving->result < 0)
        log_debug_errno(serving->result, "Cannot read files of a task for another node: %m");
    serving_free(serving);
    if (!tasks->is_closed)
        serve_go_on(tasks);
}

/* Whether an earlier question for the same bundle is not answered yet: pieces go in the order in
 * which they were asked for, whatever thread is faster. */
static bool is_behind(const struct serving *serving)
{
    const struct serve_request *request = &serving->request;

    list_for_each (link, &serving->tasks->servings) {
        const struct serving *other = list_entry(link, struct serving, link);
        if (other == serving)
            break;
        if (other->request.key.kind == request->key.kind &&
            other->request.number == request->number &&
            other->request.attempt == request->attempt &&
            node_id_is_equal(&other->request.to, &request->to) && !other->is_dropped)
            return true;
    }
    return false;
}

void serve_go_on(struct tasks *tasks)
{
    list_for_each_safe (link, &tasks->servings) {
        struct serving *serving = list_entry(link, struct serving, link);
        if (tasks->reads_count >= READS_MAX)
            return;
        if (serving->is_reading || is_behind(serving) ||
            peers_pending(tasks->peers, &serving->request.to) > SENDING_MAX)
            continue;
        serving->result = -ECANCELED;
        if (worker_submit(tasks->setup.worker, WORKER_FILES, run_read, read_done, serving) < 0) {
            serving_free(serving);
            continue;
        }
        serving->is_reading = true;
        tasks->reads_count++;
    }
}

/* Who asks for a piece has all before it. */
static void note_sent(struct tasks *tasks, const struct serve_request *request)
{
    struct sent *sent = NULL;

    for (size_t i = 0; i < SENT_MAX && !sent; i++)
        if (tasks->sent[i].number == request->number)
            sent = &tasks->sent[i];
    if (!sent)
        sent = &tasks->sent[tasks->sent_next++ % SENT_MAX];
    *sent = (struct sent){.number = request->number,
                          .bytes = request->offset,
                          .end = request->offset + request->size};
}

bool tasks_get_sent(const struct tasks *tasks, const struct task *task, uint64_t *ret)
{
    for (size_t i = 0; i < SENT_MAX; i++)
        if (tasks->sent[i].number == task->number && tasks->sent[i].end < task->spec.in.size) {
            *ret = tasks->sent[i].bytes;
            return true;
        }
    return false;
}

void serve_piece(struct tasks *tasks, const struct serve_request *request)
{
    if (request->key.kind == BUNDLES_IN)
        note_sent(tasks, request);
    struct serving *serving =
        tasks->servings_count < WAITING_MAX ? calloc(1, sizeof(*serving)) : NULL;

    if (!serving)
        return;
    *serving = (struct serving){.tasks = tasks, .request = *request};
    list_append(&tasks->servings, &serving->link);
    tasks->servings_count++;
    serve_go_on(tasks);
}

void serve_stop(struct tasks *tasks, const struct node_id *to)
{
    list_for_each_safe (link, &tasks->servings) {
        struct serving *serving = list_entry(link, struct serving, link);
        if (!node_id_is_equal(&serving->request.to, to))
            continue;
        serving->is_dropped = true;
        if (!serving->is_reading)
            serving_free(serving);
    }
}

void servings_free(struct tasks *tasks)
{
    list_for_each_safe (link, &tasks->servings)
        serving_free(list_entry(link, struct serving, link));
}
