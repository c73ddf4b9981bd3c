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
    int fd;     /* owned; where to */
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

static int copy(struct task_read *read, int fd)
{
    struct bundle_entry *entry = calloc(1, sizeof(*entry));
    int r = entry ? bundle_find(fd, read->name, entry) : -ENOMEM;

    read->entries = entry;
    if (r <= 0)
        return r == 0 ? -ENOENT : r;
    read->content.count = 1;
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
    else
        read->result = read->name ? copy(read, fd) : list(read, fd);
}

static void lane_done(void *data)
{
    struct task_read *read = data;

    read->tasks->results_count--;
    read->content.entries = read->entries;
    /* A task without results has an empty list of them. */
    bool is_empty = read->result == -ENOENT && !read->name;
    if (!atomic_load(&read->is_cancelled) && !read->tasks->is_closed)
        read->done(is_empty ? 0 : read->result, &read->content, read->data);
    read_free(read);
}

int tasks_read_results(struct tasks *tasks, uint64_t number, const char *name, int fd,
                       task_read_t done, void *data, struct task_read **ret)
{
    const struct task *task = origin_find(tasks->origin, number);
    struct task_read *read = tasks->results_count < READS_MAX ? calloc(1, sizeof(*read)) : NULL;
    int r = tasks->results_count < READS_MAX ? 0 : -EBUSY;

    if (!read) {
        close_fd(fd);
        return r < 0 ? r : -ENOMEM;
    }
    *read = (struct task_read){.tasks = tasks,
                               .key = {.kind = BUNDLES_OUT,
                                       .number = number,
                                       .attempt = task ? (uint32_t)task->attempt : 0},
                               .name = name ? strdup(name) : NULL,
                               .fd = fd,
                               .done = done,
                               .data = data,
                               .result = -ECANCELED};
    r = name && !read->name
            ? -ENOMEM
            : worker_submit(tasks->setup.worker, WORKER_FILES, run, lane_done, read);
    if (r < 0) {
        read_free(read);
        return r;
    }
    tasks->results_count++;
    *ret = read;
    return 0;
}

void tasks_read_cancel(struct task_read *read)
{
    atomic_store(&read->is_cancelled, true);
}
