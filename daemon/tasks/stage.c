/* SPDX-License-Identifier: MIT */
#include "tasks/internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

/*
 * The files that a client sends with a task, copied into one bundle before the task is submitted:
 * on a thread of the files lane, step by step, so that a client who goes ends it soon.
 */
#define STAGES_MAX  64                          /* at once; few of them run */
#define STEP_SIZE   ((uint64_t)8 * 1024 * 1024) /* copied between two looks at is_cancelled */
#define BUNDLE_BITS 53                          /* of a bundle's number: what JSON holds exactly */

struct source {
    char *name; /* owned */
    int fd;     /* owned, or: */
    char *stored;
    char *result;
    struct bundles_key key; /* of the bundle where `result` is */
};

struct stage {
    struct list link;
    struct tasks *tasks; /* borrowed */
    tasks_staged_t done;
    void *data;             /* borrowed */
    struct source *sources; /* owned */
    size_t count;
    uint64_t size_max;
    uint64_t reserve;
    bool is_dry_run;
    atomic_bool is_cancelled;
    atomic_size_t at;         /* the source that is being copied, */
    atomic_ullong done_bytes; /* how much of it, */
    atomic_ullong total_bytes;
    struct bundles_part part;
    uint64_t end; /* of the bundle so far */
    uint64_t size;
    struct task_files files;
    int result;
    char reason[STAGE_REASON_MAX + 1];
};

static void stage_free(struct stage *stage)
{
    list_remove(&stage->link);
    stage->tasks->stages_count--;
    for (size_t i = 0; i < stage->count; i++) {
        close_fd(stage->sources[i].fd);
        free(stage->sources[i].name);
        free(stage->sources[i].stored);
        free(stage->sources[i].result);
    }
    free(stage->sources);
    bundles_part_done(&stage->part);
    free(stage);
}

/* --- On a thread --- */

static int _printf_(3, 4) fail(struct stage *stage, int r, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(stage->reason, sizeof(stage->reason), format, arguments);
    va_end(arguments);
    (void)text_mend_end(stage->reason);
    return r;
}

static const char *name_of(const struct source *source)
{
    return source->name[0] ? source->name : "standard input";
}

/* What there is to be copied: a descriptor, from where, and how much. */
struct content {
    int fd;
    uint64_t offset;
    uint64_t size;
    uint16_t mode;
};

static int open_descriptor(struct stage *stage, struct source *source, struct content *ret)
{
    struct stat status;
    off_t offset;

    if (fstat(source->fd, &status) < 0)
        return fail(stage, -errno, "cannot read %s: %s", name_of(source), strerror(errno));
    if (!S_ISREG(status.st_mode))
        return fail(stage, -EINVAL, "%s is no regular file", name_of(source));
    offset = lseek(source->fd, 0, SEEK_CUR);
    *ret =
        (struct content){.offset = (uint64_t)MAX(offset, (off_t)0), .mode = status.st_mode & 0777};
    ret->fd = TAKE_FD(source->fd);
    if ((uint64_t)status.st_size > ret->offset)
        ret->size = (uint64_t)status.st_size - ret->offset;
    return 0;
}

static int open_stored(struct stage *stage, const struct source *source, struct content *ret)
{
    struct files_info info;
    int fd = -EBADF;
    int r = files_open_read(stage->tasks->setup.files, source->stored, &fd, &info);

    if (r == -ENOENT)
        return fail(stage, r, "no file \"%s\" is stored on this node", source->stored);
    if (r == -ESTALE)
        return fail(stage, r, "the stored file \"%s\" is damaged: it was changed since then",
                    source->stored);
    if (r < 0)
        return fail(stage, r, "cannot read the stored file \"%s\": %s", source->stored,
                    strerror(-r));
    *ret = (struct content){
        .fd = fd, .size = info.size, .mode = files_get_permissions(info.mode, info.is_executable)};
    return 0;
}

static int open_result(struct stage *stage, const struct source *source, struct content *ret)
{
    _cleanup_close_ int fd = bundles_open_read(stage->tasks->bundles, &source->key);
    struct bundle_entry entry;
    int r = fd < 0 ? fd : bundle_find(fd, source->result, &entry);

    if (r == 0 || r == -ENOENT)
        return fail(stage, -ENOENT, "task %llu has no result \"%s\"",
                    (unsigned long long)source->key.number, source->result);
    if (r < 0)
        return fail(stage, r, "cannot read the results of task %llu: %s",
                    (unsigned long long)source->key.number, strerror(-r));
    *ret = (struct content){
        .fd = TAKE_FD(fd), .offset = entry.offset, .size = entry.size, .mode = entry.mode};
    return 0;
}

static int check_room(struct stage *stage, const struct source *source, uint64_t size)
{
    char limit[32];

    if (size > stage->size_max || stage->size > stage->size_max - size)
        return fail(stage, -EFBIG, "%s is too large: the files of a task have at most %s together",
                    name_of(source), text_format_size(stage->size_max, limit));
    if (bundles_get_space(stage->tasks->bundles, stage->reserve) <
        size + (stage->is_dry_run ? stage->size : 0))
        return fail(stage, -ENOSPC, "this node has no space for %s", name_of(source));
    return 0;
}

static int copy(struct stage *stage, const struct source *source, const struct content *content)
{
    struct bundle_entry entry = {.mode = content->mode, .size = content->size};
    int r = check_room(stage, source, content->size);

    if (r < 0 || stage->is_dry_run) {
        stage->size += r < 0 ? 0 : content->size;
        return r;
    }
    snprintf(entry.name, sizeof(entry.name), "%s", source->name);
    int64_t offset = bundle_add_head(stage->part.fd, stage->end, &entry);
    r = offset < 0 ? (int)offset : 0;
    atomic_store(&stage->total_bytes, content->size);
    for (uint64_t done = 0; r >= 0 && done < content->size;) {
        uint64_t step = MIN(content->size - done, STEP_SIZE);
        atomic_store(&stage->done_bytes, done);
        if (atomic_load(&stage->is_cancelled))
            return -ECANCELED;
        r = bundle_copy(content->fd, content->offset + done, stage->part.fd,
                        (uint64_t)offset + done, step);
        done += step;
    }
    if (r == -ENODATA)
        return fail(stage, -EIO, "%s became shorter while it was read", name_of(source));
    if (r < 0)
        return fail(stage, r == -EFBIG ? -ENOSPC : r, "cannot keep %s: %s", name_of(source),
                    bundles_explain(stage->tasks->bundles, r));
    stage->end = (uint64_t)offset + content->size;
    stage->size += content->size;
    stage->files.count += source->name[0] != '\0';
    return 0;
}

static int add(struct stage *stage, struct source *source)
{
    struct content content = {.fd = -EBADF};
    int r = source->fd >= 0  ? open_descriptor(stage, source, &content)
            : source->stored ? open_stored(stage, source, &content)
                             : open_result(stage, source, &content);

    if (r >= 0)
        r = copy(stage, source, &content);
    close_fd(content.fd);
    return r;
}

static int add_all(struct stage *stage)
{
    int r = 0;

    for (size_t i = 0; i < stage->count && r >= 0; i++) {
        atomic_store(&stage->done_bytes, 0);
        atomic_store(&stage->at, i);
        r = add(stage, &stage->sources[i]);
    }
    return r;
}

static int collect(struct stage *stage)
{
    struct bundles_key key = {.kind = BUNDLES_IN};
    int r = bundles_create(stage->tasks->bundles, &stage->part);
    int64_t begun = r < 0 ? r : bundle_begin(stage->part.fd);

    if (begun < 0)
        return fail(stage, (int)begun, "cannot keep the files: %s",
                    bundles_explain(stage->tasks->bundles, (int)begun));
    stage->end = (uint64_t)begun;
    r = add_all(stage);
    if (r < 0)
        return r;
    if (getrandom(&key.number, sizeof(key.number), 0) != (ssize_t)sizeof(key.number))
        return -EIO;
    key.number = (key.number >> (64 - BUNDLE_BITS)) | 1;
    r = bundles_keep(&stage->part, &key);
    if (r < 0)
        return fail(stage, r, "cannot keep the files: %s",
                    bundles_explain(stage->tasks->bundles, r));
    stage->files.bundle = key.number;
    stage->files.size = stage->end;
    stage->files.bytes = stage->size;
    return 0;
}

static void run(void *data)
{
    struct stage *stage = data;

    stage->result = stage->is_dry_run ? add_all(stage) : collect(stage);
    if (stage->result < 0)
        bundles_part_done(&stage->part);
}

/* --- In the loop --- */

static void lane_done(void *data)
{
    struct stage *stage = data;
    struct tasks *tasks = stage->tasks;
    bool is_unwanted = atomic_load(&stage->is_cancelled) || tasks->is_closed;

    if (!is_unwanted)
        stage->done(stage->result, &stage->files, stage->reason, stage->data);
    else if (stage->files.bundle > 0 && !tasks->is_closed)
        tasks_drop_files(tasks, &stage->files);
    stage_free(stage);
}

static int take_source(struct tasks *tasks, struct stage_source *given, struct source *ret)
{
    *ret = (struct source){.name = strdup(given->name)};
    ret->fd = TAKE_FD(given->fd);
    if (ret->fd < 0 && given->stored)
        ret->stored = strdup(given->stored);
    if (ret->fd < 0 && !given->stored) {
        const struct task *task = origin_find(tasks->origin, given->task);
        ret->result = strdup(given->result);
        ret->key = (struct bundles_key){.kind = BUNDLES_OUT,
                                        .number = given->task,
                                        .attempt = task ? (uint32_t)task->attempt : 0};
        if (given->task == 0)
            ret->key = (struct bundles_key){.kind = BUNDLES_IN, .number = given->bundle};
    }
    return ret->name && (ret->fd >= 0 || ret->stored || ret->result) ? 0 : -ENOMEM;
}

static int check_names(const struct stage_source *sources, size_t count, size_t *ret_bad)
{
    for (size_t i = 0; i < count; i++) {
        *ret_bad = i;
        if (i >= TASK_FILES_MAX || (sources[i].name[0] && !bundle_is_name(sources[i].name)))
            return -EINVAL;
        for (size_t j = 0; j < i; j++)
            if (bundle_is_clash(sources[i].name, sources[j].name))
                return -EINVAL;
    }
    return 0;
}

int tasks_stage(struct tasks *tasks, struct stage_source *sources, size_t count, bool is_dry_run,
                tasks_staged_t done, void *data, size_t *ret_bad, struct stage **ret)
{
    struct stage *stage = NULL;
    int r = check_names(sources, count, ret_bad);

    if (r >= 0 && tasks->stages_count >= STAGES_MAX)
        r = -EBUSY;
    if (r >= 0) {
        stage = calloc(1, sizeof(*stage));
        r = stage ? 0 : -ENOMEM;
    }
    if (r >= 0) {
        *stage = (struct stage){.tasks = tasks,
                                .done = done,
                                .data = data,
                                .is_dry_run = is_dry_run,
                                .size_max = tasks->config->tasks.result_size_max,
                                .reserve = tasks->config->files.reserve_size,
                                .part = BUNDLES_PART_NONE,
                                .result = -ECANCELED};
        list_append(&tasks->stages, &stage->link);
        tasks->stages_count++;
        stage->sources = calloc(count + 1, sizeof(*stage->sources));
        r = stage->sources ? 0 : -ENOMEM;
    }
    for (size_t i = 0; i < count && r >= 0; i++) {
        r = take_source(tasks, &sources[i], &stage->sources[i]);
        stage->count++;
    }
    if (r >= 0)
        r = worker_submit(tasks->setup.worker, WORKER_FILES, run, lane_done, stage);
    for (size_t i = 0; i < count; i++)
        sources[i].fd = close_fd(sources[i].fd);
    if (r >= 0)
        *ret = stage;
    else if (stage)
        stage_free(stage);
    return r;
}

void tasks_stage_get_progress(const struct stage *stage, struct stage_progress *ret)
{
    *ret = (struct stage_progress){.name = name_of(&stage->sources[atomic_load(&stage->at)]),
                                   .done_bytes = atomic_load(&stage->done_bytes),
                                   .total_bytes = atomic_load(&stage->total_bytes)};
}

void tasks_stage_cancel(struct stage *stage)
{
    atomic_store(&stage->is_cancelled, true);
}

void stages_close(struct tasks *tasks)
{
    list_for_each (link, &tasks->stages)
        tasks_stage_cancel(list_entry(link, struct stage, link));
}

void tasks_drop_files(struct tasks *tasks, const struct task_files *files)
{
    struct bundles_key key = {.kind = BUNDLES_IN, .number = files->bundle};

    if (files->bundle == 0)
        return;
    bundles_remove(tasks->bundles, &key, tasks->drops);
    tasks_pump(tasks);
}
