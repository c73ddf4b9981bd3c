/* SPDX-License-Identifier: MIT */
#include "tasks/internal.h"

#include <stdio.h>
#include <string.h>
#include "base/disk.h"
#include "base/log.h"

/*
 * The worker's side of the files of an attempt: before it begins its inputs are here, whole, as one
 * bundle for p2pnode-exec; and there is an empty file for the bundle of its results, which is kept
 * before anybody hears that the attempt has ended. What touches the disk runs on the files lane,
 * one step at a time.
 */

enum step {
    STEP_PREPARE, /* open or make the files */
    STEP_KEEP,    /* make the results durable */
    STEP_RELEASE, /* close and remove, which may take its time for large files */
};

struct supply {
    struct tasks *tasks; /* borrowed */
    struct job *job;     /* borrowed; NULL = the attempt is gone, or needs us no more */
    struct bundles_key inputs_key;
    struct bundles_key results_key;
    bool is_own; /* the inputs are in the own store */
    bool has_results;
    uint64_t inputs_size; /* 0 = none */
    uint64_t reserve;     /* of the disk; a thread does not look at the configuration */
    int inputs_fd;        /* owned */
    struct bundles_part results;
    struct pull *pull;   /* while inputs come; owned by its own list */
    struct task_end end; /* while results are being kept */
    enum step step;
    bool is_on_lane;
    bool has_run;
    int result;
};

static int prepare(struct supply *supply)
{
    struct tasks *tasks = supply->tasks;
    int r = 0;

    if (supply->has_results)
        r = bundles_create(tasks->bundles, &supply->results);
    if (r < 0 || supply->inputs_size == 0)
        return r;
    if (!supply->is_own && bundles_get_space(tasks->bundles, supply->reserve) < supply->inputs_size)
        return -ENOSPC;
    r = supply->is_own ? bundles_open_read(tasks->bundles, &supply->inputs_key)
                       : bundles_create_unnamed(tasks->bundles);
    if (r < 0)
        return r;
    supply->inputs_fd = r;
    return 0;
}

static void run(void *data)
{
    struct supply *supply = data;

    supply->has_run = true;
    switch (supply->step) {
    case STEP_PREPARE:
        supply->result = prepare(supply);
        break;
    case STEP_KEEP:
        supply->result = bundles_keep(&supply->results, &supply->results_key);
        break;
    case STEP_RELEASE:
        supply->inputs_fd = close_fd(supply->inputs_fd);
        bundles_part_done(&supply->results);
        break;
    }
}

static void lane_done(void *data);

static int go(struct supply *supply, enum step step)
{
    supply->step = step;
    supply->has_run = false;
    supply->result = -ECANCELED;
    int r = worker_submit(supply->tasks->setup.worker, WORKER_FILES, run, lane_done, supply);
    supply->is_on_lane = r >= 0;
    return r;
}

static void release(struct supply *supply)
{
    if (go(supply, STEP_RELEASE) >= 0)
        return;
    run(supply);
    free(supply);
}

void supply_drop(struct job *job)
{
    struct supply *supply = TAKE_PTR(job->supply);

    if (!supply)
        return;
    supply->job = NULL;
    if (supply->pull)
        pull_cancel(TAKE_PTR(supply->pull));
    if (!supply->is_on_lane)
        release(supply);
}

/* The attempt cannot begin here. Where only the disk is full, others may take it. */
static void give_up(struct supply *supply, int r)
{
    struct job *job = supply->job;
    struct tasks *tasks = supply->tasks;
    char text[TASK_REASON_MAX + 1];

    supply_drop(job);
    if (r == -ENOSPC && slots_hand_back(tasks->slots, job->attempt->id, SLOTS_HANDBACK_NO_SPACE,
                                        tasks_now(tasks)) == 0)
        return;
    if (r == -ENOENT)
        snprintf(text, sizeof(text), "its input files are gone from %s", job->attempt->origin_name);
    else
        snprintf(text, sizeof(text), "its input files: %s", bundles_explain(tasks->bundles, r));
    worker_end_without_run(job, r, text);
}

static void on_pulled(int r, void *data)
{
    struct supply *supply = data;

    supply->pull = NULL;
    if (r < 0)
        give_up(supply, r);
    else
        worker_hand_over(supply->job);
}

/* What the lane has prepared is here; inputs of other nodes are still there. */
static void prepared(struct supply *supply)
{
    const struct slots_key *key = &supply->job->attempt->key;
    int r = supply->result;

    if (r >= 0 && supply->inputs_size > 0 && !supply->is_own)
        r = pull_new(supply->tasks,
                     &(struct pull_config){.from = key->origin,
                                           .kind = BUNDLES_IN,
                                           .number = key->number,
                                           .attempt = key->attempt,
                                           .size = supply->inputs_size,
                                           .done = on_pulled,
                                           .data = supply},
                     supply->inputs_fd, &supply->pull);
    if (r < 0)
        give_up(supply, r);
    else if (!supply->pull)
        worker_hand_over(supply->job);
}

static void kept(struct supply *supply)
{
    struct job *job = supply->job;
    struct tasks *tasks = supply->tasks;
    struct task_end end = supply->end;

    if (supply->result < 0) {
        end.out = (struct task_files){0};
        supply_tell_loss(tasks, &end, supply->result);
    }
    supply_drop(job);
    slots_exited(tasks->slots, job->attempt->id, &end, tasks_now(tasks));
}

static void lane_done(void *data)
{
    struct supply *supply = data;
    struct tasks *tasks = supply->tasks;

    supply->is_on_lane = false;
    if (supply->step == STEP_RELEASE) {
        if (!supply->has_run) /* the program ends */
            run(supply);
        free(supply);
        return;
    }
    if (!supply->job || tasks->is_closed) {
        if (supply->job)
            supply_drop(supply->job);
        else
            release(supply);
        return;
    }
    if (supply->step == STEP_PREPARE)
        prepared(supply);
    else
        kept(supply);
    tasks_pump(tasks);
}

int supply_begin(struct job *job)
{
    struct tasks *tasks = job->tasks;
    const struct slots_attempt *attempt = job->attempt;
    const struct task_spec *spec = &attempt->spec;
    bool is_own = node_id_is_equal(&attempt->key.origin, &tasks->start->id);
    struct supply *supply;

    if (spec->in.size == 0 && spec->outs.count == 0)
        return 0;
    supply = calloc(1, sizeof(*supply));
    if (!supply)
        return -ENOMEM;
    *supply = (struct supply){
        .tasks = tasks,
        .job = job,
        .inputs_key = {.kind = BUNDLES_IN, .number = spec->in.bundle},
        .results_key = worker_results_key(tasks, &attempt->key),
        .is_own = is_own,
        .has_results = spec->outs.count > 0,
        .inputs_size = spec->in.size,
        .reserve = tasks->config->files.reserve_size,
        .inputs_fd = -EBADF,
        .results = BUNDLES_PART_NONE,
    };
    int r = go(supply, STEP_PREPARE);
    if (r < 0) {
        free(supply);
        return r;
    }
    job->supply = supply;
    return 1;
}

void supply_fill(const struct job *job, struct exec_task *task)
{
    const struct supply *supply = job->supply;

    if (!supply)
        return;
    task->has_inputs = supply->inputs_size > 0;
    task->inputs_fd = supply->inputs_fd;
    task->results_fd = supply->results.fd;
    task->results_max = supply->tasks->config->tasks.result_size_max;
    task->reserve = supply->reserve;
}

bool supply_is_ready(const struct job *job)
{
    return !job->supply || (!job->supply->is_on_lane && !job->supply->pull);
}

void supply_tell_loss(const struct tasks *tasks, struct task_end *end, int r)
{
    char why[TASK_REASON_MAX + 1], size[32];

    if (r == -EFBIG)
        snprintf(why, sizeof(why), "they are larger than %s (tasks.result_max)",
                 text_format_size(tasks->config->tasks.result_size_max, size));
    else if (r == -E2BIG)
        snprintf(why, sizeof(why),
                 "more than %d files match; let it pack them: tar -cf out.tar DIR",
                 BUNDLE_FILES_MAX);
    else if (r == -DISK_FILE_LIMIT)
        snprintf(why, sizeof(why), "%s", DISK_FILE_LIMIT_TEXT);
    else if (r == -ENOSPC)
        snprintf(why, sizeof(why), "the disk of %s is full", tasks->config->node.name);
    else
        snprintf(why, sizeof(why), "%s", strerror(-r));
    if (end->type == TASK_END_EXIT && end->code == 0) {
        end->type = TASK_END_NO_RESULTS;
        end->code = -r;
        snprintf(end->text, sizeof(end->text), "%s", why);
    } else {
        task_format_text(end->text, sizeof(end->text), "its results are lost: %s", why);
    }
}

bool supply_take_results(struct job *job, const struct exec_status *status, struct task_end *end)
{
    struct supply *supply = job->supply;
    const struct exec_results *results = &status->results;

    if (!supply)
        return false;
    if (results->error < 0)
        supply_tell_loss(job->tasks, end, results->error);
    else if (end->type == TASK_END_EXIT && end->code == 0)
        snprintf(end->text, sizeof(end->text), "%s", results->note);
    if (status->error == 0 && results->error == 0 && results->count > 0) {
        end->out = (struct task_files){
            .size = results->size, .bytes = results->bytes, .count = results->count};
        supply->end = *end;
        int r = go(supply, STEP_KEEP);
        if (r >= 0)
            return true;
        end->out = (struct task_files){0};
        supply_tell_loss(job->tasks, end, r);
    }
    supply_drop(job);
    return false;
}

void supplies_close(struct tasks *tasks)
{
    struct slots_attempt *attempt;
    size_t i = 0;

    while ((attempt = slots_next(tasks->slots, &i)))
        if (attempt->userdata)
            supply_drop(attempt->userdata);
}
