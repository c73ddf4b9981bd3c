/* SPDX-License-Identifier: MIT */
#include "tasks/internal.h"

#include <stdio.h>
#include <string.h>
#include "base/log.h"

/*
 * The origin's side of results: a worker tells that an attempt has ended and that there are files;
 * they are brought here and are on the disk before the end counts, so that who hears of it can have
 * them even when the worker has died since. While the own disk is full the end waits, and the
 * worker keeps what it has.
 */
#define AGAIN_USEC     (5 * USEC_PER_SEC)
#define TIMER_ACCURACY (100 * USEC_PER_MSEC)

enum step {
    STEP_CREATE,
    STEP_KEEP,
    STEP_DROP,
};

struct collect {
    struct list link;
    struct tasks *tasks; /* borrowed */
    struct node_id node;
    uint64_t number;
    uint64_t attempt;
    struct task_end end;
    usec_t told_usec; /* when that was told: until the files are here, time goes by */
    uint64_t reserve; /* of the disk; a thread does not look at the configuration */
    struct bundles_part part;
    struct pull *pull; /* while files come; owned by its own list */
    sd_event_source *timer;
    enum step step;
    bool was_cancelled; /* before the end was told: its results are wanted all the same */
    bool is_on_lane;
    bool is_over; /* nothing more to do but to close */
    int result;
};

static struct bundles_key key_of(const struct collect *collect)
{
    return (struct bundles_key){
        .kind = BUNDLES_OUT, .number = collect->number, .attempt = (uint32_t)collect->attempt};
}

static void collect_free(struct collect *collect)
{
    list_remove(&collect->link);
    sd_event_source_disable_unref(collect->timer);
    free(collect);
}

static int create(struct collect *collect)
{
    struct tasks *tasks = collect->tasks;

    if (bundles_get_space(tasks->bundles, collect->reserve) < collect->end.out.size)
        return -ENOSPC;
    return bundles_create(tasks->bundles, &collect->part);
}

/* What came has to be what it was said to be: others read it. */
static int keep(struct collect *collect)
{
    struct bundles_key key = key_of(collect);
    struct bundle_content content;
    int r = bundle_check(collect->part.fd, &content);

    if (r >= 0 && content.has_stdin)
        r = -EBADMSG;
    if (r < 0)
        return r;
    collect->end.out.count = content.count;
    collect->end.out.bytes = content.size;
    return bundles_keep(&collect->part, &key);
}

static void run(void *data)
{
    struct collect *collect = data;

    if (collect->step == STEP_CREATE)
        collect->result = create(collect);
    else if (collect->step == STEP_KEEP)
        collect->result = keep(collect);
    else
        bundles_part_done(&collect->part);
}

static void lane_done(void *data);

static int go(struct collect *collect, enum step step)
{
    collect->step = step;
    collect->result = -ECANCELED;
    int r = worker_submit(collect->tasks->setup.worker, WORKER_FILES, run, lane_done, collect);
    collect->is_on_lane = r >= 0;
    return r;
}

static void drop(struct collect *collect)
{
    collect->is_over = true;
    (void)sd_event_source_set_enabled(collect->timer, SD_EVENT_OFF);
    if (go(collect, STEP_DROP) >= 0)
        return;
    bundles_part_done(&collect->part);
    collect_free(collect);
}

static void take_end(const struct collect *collect, struct task_end *end)
{
    struct tasks *tasks = collect->tasks;

    end->ago_usec = usec_add(end->ago_usec, usec_sub(tasks_now(tasks), collect->told_usec));
    owner_take_end(tasks, &collect->node, collect->number, collect->attempt, end);
}

/* The files cannot be had: then the end has to do without them. */
static void end_without(struct collect *collect, int r)
{
    struct task_end end = collect->end;

    end.out = (struct task_files){0};
    supply_tell_loss(collect->tasks, &end, r);
    take_end(collect, &end);
    drop(collect);
}

static void wait_a_while(struct collect *collect)
{
    (void)sd_event_source_set_time_relative(collect->timer, AGAIN_USEC);
    (void)sd_event_source_set_enabled(collect->timer, SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *data)
{
    struct collect *collect = data;

    if (!owner_wants(collect->tasks, collect->number, collect->attempt))
        drop(collect);
    else if (go(collect, STEP_CREATE) < 0)
        wait_a_while(collect);
    return 0;
}

/* Short of space or of something else here: later, while the worker keeps the files. */
static void try_again(struct collect *collect, int r)
{
    struct tasks *tasks = collect->tasks;
    char reason[TASK_REASON_MAX + 1];

    snprintf(reason, sizeof(reason), "its results wait for space on %s: %s",
             tasks->config->node.name, bundles_explain(tasks->bundles, r));
    origin_explain(tasks->origin, collect->number, reason, tasks_now(tasks));
    bundles_part_done(&collect->part);
    wait_a_while(collect);
}

/* As it is cancelled, nobody waits for them. */
static void end_cancelled(struct collect *collect)
{
    struct task_end end = {.type = TASK_END_CANCELLED,
                           .run_usec = collect->end.run_usec,
                           .ago_usec = collect->end.ago_usec};

    take_end(collect, &end);
    if (collect->pull)
        pull_cancel(TAKE_PTR(collect->pull));
    if (collect->is_on_lane)
        collect->is_over = true;
    else
        drop(collect);
}

static void on_failed(struct collect *collect, int r)
{
    const struct tasks *tasks = collect->tasks;

    if (!owner_wants(collect->tasks, collect->number, collect->attempt))
        drop(collect);
    else if (r == -ENOSPC && origin_find(tasks->origin, collect->number)->is_cancelled)
        end_cancelled(collect);
    else if (r == -ENOENT || r == -EBADMSG)
        end_without(collect, r);
    else
        try_again(collect, r);
}

static void on_pulled(int r, void *data)
{
    struct collect *collect = data;

    collect->pull = NULL;
    if (r >= 0)
        r = go(collect, STEP_KEEP);
    if (r < 0)
        on_failed(collect, r);
}

static void created(struct collect *collect)
{
    int r = collect->result;

    if (r >= 0)
        r = pull_new(collect->tasks,
                     &(struct pull_config){.from = collect->node,
                                           .kind = BUNDLES_OUT,
                                           .number = collect->number,
                                           .attempt = collect->attempt,
                                           .size = collect->end.out.size,
                                           .done = on_pulled,
                                           .data = collect},
                     collect->part.fd, &collect->pull);
    if (r < 0)
        on_failed(collect, r);
}

static void kept(struct collect *collect)
{
    if (collect->result < 0) {
        on_failed(collect, collect->result);
        return;
    }
    take_end(collect, &collect->end);
    collect_free(collect);
}

static void lane_done(void *data)
{
    struct collect *collect = data;
    struct tasks *tasks = collect->tasks;

    collect->is_on_lane = false;
    if (tasks->is_closed || collect->is_over) {
        bundles_part_done(&collect->part);
        collect_free(collect);
        return;
    }
    if (collect->step == STEP_CREATE)
        created(collect);
    else
        kept(collect);
    tasks_pump(tasks);
}

static struct collect *find(const struct tasks *tasks, uint64_t number, uint64_t attempt)
{
    list_for_each (link, &tasks->collects) {
        struct collect *collect = list_entry(link, struct collect, link);
        if (!collect->is_over && collect->number == number && collect->attempt == attempt)
            return collect;
    }
    return NULL;
}

static int begin(struct tasks *tasks, const struct node_id *from, uint64_t number, uint64_t attempt,
                 const struct task_end *end)
{
    struct collect *collect = calloc(1, sizeof(*collect));
    int r;

    if (!collect)
        return -ENOMEM;
    *collect = (struct collect){.tasks = tasks,
                                .node = *from,
                                .number = number,
                                .attempt = attempt,
                                .end = *end,
                                .told_usec = tasks_now(tasks),
                                .was_cancelled = origin_find(tasks->origin, number)->is_cancelled,
                                .reserve = tasks->config->files.reserve_size,
                                .part = BUNDLES_PART_NONE};
    list_append(&tasks->collects, &collect->link);
    r = sd_event_add_time(tasks->event, &collect->timer, CLOCK_MONOTONIC, USEC_INFINITY,
                          TIMER_ACCURACY, on_timer, collect);
    if (r >= 0) {
        (void)sd_event_source_set_enabled(collect->timer, SD_EVENT_OFF);
        r = go(collect, STEP_CREATE);
    }
    if (r < 0)
        collect_free(collect);
    else /* which a restart of this node may have forgotten */
        origin_started(tasks->origin, number, attempt, from, usec_add(end->ago_usec, end->run_usec),
                       tasks_now(tasks));
    return r;
}

bool collect_cancel(struct tasks *tasks, uint64_t number, uint64_t attempt)
{
    struct collect *collect = find(tasks, number, attempt);

    if (!collect)
        return false;
    /* They are here in a moment, or that fails. */
    const bool is_kept = collect->is_on_lane && collect->step == STEP_KEEP;
    if (!is_kept && !collect->was_cancelled)
        end_cancelled(collect);
    return true;
}

void collect_end(struct tasks *tasks, const struct node_id *from, uint64_t number, uint64_t attempt,
                 const struct task_end *end)
{
    const struct task *task = origin_find(tasks->origin, number);
    /* The bundle's own heads are little beside what is in it. */
    uint64_t size_max = tasks->config->tasks.result_size_max + BUNDLE_MARK_SIZE +
                        (uint64_t)end->out.count * BUNDLE_HEAD_MAX;

    if (end->out.size == 0 || !owner_wants(tasks, number, attempt) ||
        !node_id_is_equal(&task->node, from) || task->is_withdrawn) {
        owner_take_end(tasks, from, number, attempt, end);
        return;
    }
    if (find(tasks, number, attempt))
        return; /* told once more while they come */
    if (end->out.size > size_max || task->spec.outs.count == 0) {
        struct task_end without = *end;
        without.out = (struct task_files){0};
        supply_tell_loss(tasks, &without, -EFBIG);
        owner_take_end(tasks, from, number, attempt, &without);
        return;
    }
    int r = begin(tasks, from, number, attempt, end);
    if (r < 0) /* the worker tells again */
        log_line_errno(LOG_DEBUG | LOG_STAYS, r, "Cannot fetch the results of task %llu: %m",
                       (unsigned long long)number);
}

void collects_close(struct tasks *tasks)
{
    list_for_each (link, &tasks->collects) {
        struct collect *collect = list_entry(link, struct collect, link);
        if (collect->pull)
            pull_cancel(TAKE_PTR(collect->pull));
    }
}

void collects_free(struct tasks *tasks)
{
    list_for_each_safe (link, &tasks->collects) {
        struct collect *collect = list_entry(link, struct collect, link);
        bundles_part_done(&collect->part);
        collect_free(collect);
    }
}
