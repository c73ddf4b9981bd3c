/* SPDX-License-Identifier: MIT */
#include "tasks/internal.h"

#include <string.h>

/*
 * Reading the results of own tasks: which there are, and one of them into a client's file, on a
 * thread of the files lane.
 */
#define STEP_SIZE ((uint64_t)8 * 1024 * 1024) /* copied between two looks at is_cancelled */
#define READS_MAX 64                          /* at once; few of them run */

struct task_read {
    struct tasks *tasks; /* borrowed */
    struct bundles_key key;
    char *name; /* owned; NULL = list them */
    int fd;     /* owned; where to; negative: */
    uint64_t offset;
    uint8_t *piece; /* owned; NULL where it is not a piece that is wanted */
    task_read_t done;
    void *data; /* borrowed */
    atomic_bool is_cancelled;
    struct task_content content;
    struct bundle_entry *entries; /* owned */
    int result;
};

static void read_free(struct task_read *read)
{
    close_fd(read->fd);
    free(read->name);
    free(read->entries);
    free(read->piece);
    free(read);
}

static int list(struct task_read *read, int fd)
{
    struct bundle_content content;
    uint64_t at = 0;
    int r = bundle_check(fd, &content);

    if (r < 0)
        return r;
    read->entries = calloc(content.count + 1, sizeof(*read->entries));
    if (!read->entries)
        return -ENOMEM;
    while (read->content.count <= content.count &&
           (r = bundle_next(fd, at, &read->entries[read->content.count])) > 0) {
        const struct bundle_entry *entry = &read->entries[read->content.count];
        at = entry->offset + entry->size;
        read->content.count += entry->name[0] != '\0';
    }
    return r;
}

static int find(struct task_read *read, int fd)
{
    struct bundle_entry *entry = calloc(1, sizeof(*entry));
    int r = entry ? bundle_find(fd, read->name, entry) : -ENOMEM;

    read->entries = entry;
    if (r > 0)
        read->content.count = 1;
    return r == 0 ? -ENOENT : MIN(r, 0);
}

static int copy_piece(struct task_read *read, int fd)
{
    int r = find(read, fd);
    const struct bundle_entry *entry = read->entries;

    if (r < 0 || read->offset >= entry->size)
        return r;
    size_t size = (size_t)MIN(entry->size - read->offset, (uint64_t)TASK_PIECE_MAX);
    while (read->content.piece_size < size) {
        ssize_t n =
            pread(fd, read->piece + read->content.piece_size, size - read->content.piece_size,
                  (off_t)(entry->offset + read->offset + read->content.piece_size));
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : -EBADMSG;
        read->content.piece_size += (size_t)n;
    }
    return 0;
}

static int copy(struct task_read *read, int fd)
{
    int r = find(read, fd);
    const struct bundle_entry *entry = read->entries;

    if (r < 0)
        return r;
    for (uint64_t done = 0; done < entry->size; done += STEP_SIZE) {
        if (atomic_load(&read->is_cancelled))
            return -ECANCELED;
        r = bundle_copy(fd, entry->offset + done, read->fd, done,
                        MIN(entry->size - done, STEP_SIZE));
        if (r < 0)
            return r;
    }
    return 0;
}

static void run(void *data)
{
    struct task_read *read = data;
    _cleanup_close_ int fd = bundles_open_read(read->tasks->bundles, &read->key);

    if (fd < 0)
        read->result = fd;
    else if (read->piece)
        read->result = copy_piece(read, fd);
    else
        read->result = read->name ? copy(read, fd) : list(read, fd);
}

static void lane_done(void *data)
{
    struct task_read *read = data;

    read->tasks->results_count--;
    read->content.entries = read->entries;
    read->content.piece = read->piece;
    /* A task without results has an empty list of them. */
    bool is_empty = read->result == -ENOENT && !read->name;
    if (!atomic_load(&read->is_cancelled) && !read->tasks->is_closed)
        read->done(is_empty ? 0 : read->result, &read->content, read->data);
    read_free(read);
}

/* Takes over what @draft owns. Return: as tasks_read_results(). */
static int submit(struct tasks *tasks, uint64_t number, const struct task_read *draft,
                  struct task_read **ret)
{
    const struct task *task = origin_find(tasks->origin, number);
    struct task_read *read = malloc(sizeof(*read));
    int r = tasks->results_count < READS_MAX ? 0 : -EBUSY;

    if (!read) {
        close_fd(draft->fd);
        free(draft->name);
        free(draft->piece);
        return -ENOMEM;
    }
    *read = *draft;
    read->tasks = tasks;
    read->result = -ECANCELED;
    read->key = (struct bundles_key){
        .kind = BUNDLES_OUT, .number = number, .attempt = task ? (uint32_t)task->attempt : 0};
    if (r >= 0)
        r = worker_submit(tasks->setup.worker, WORKER_FILES, run, lane_done, read);
    if (r < 0) {
        read_free(read);
        return r;
    }
    tasks->results_count++;
    *ret = read;
    return 0;
}

int tasks_read_results(struct tasks *tasks, uint64_t number, const char *name, int fd,
                       task_read_t done, void *data, struct task_read **ret)
{
    struct task_read draft = {
        .name = name ? strdup(name) : NULL, .fd = fd, .done = done, .data = data};

    if (name && !draft.name) {
        close_fd(fd);
        return -ENOMEM;
    }
    return submit(tasks, number, &draft, ret);
}

int tasks_read_piece(struct tasks *tasks, uint64_t number, const char *name, uint64_t offset,
                     task_read_t done, void *data, struct task_read **ret)
{
    struct task_read draft = {.name = strdup(name),
                              .fd = -EBADF,
                              .offset = offset,
                              .piece = malloc(TASK_PIECE_MAX),
                              .done = done,
                              .data = data};

    if (!draft.name || !draft.piece) {
        free(draft.name);
        free(draft.piece);
        return -ENOMEM;
    }
    return submit(tasks, number, &draft, ret);
}

void tasks_read_cancel(struct task_read *read)
{
    atomic_store(&read->is_cancelled, true);
}
