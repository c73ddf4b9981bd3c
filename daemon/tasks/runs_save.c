/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include "tasks/internal.h"
#include "tasks/runs_core.h"

/*
 * How a list comes to the disk. Nothing of a new one, or of one that is taken up again, happens
 * before that, and where it fails there is nothing: whoever asked is told. What becomes of it later
 * is saved again and again until there is room for it.
 */

struct saving {
    struct tasks *tasks; /* borrowed */
    uint64_t number;
    run_saved_t done; /* NULL: nobody waits for it */
    void *data;
    struct run_past past; /* owned; what it was before, where somebody waits */
};

/* It is as if nobody had asked. A later record of it may have had room. */
static void take_back(struct run *run, struct run_past *past, int r)
{
    run_tell_done(run, r);
    if (past->ended_wall_usec == 0) {
        run_forget(run);
        return;
    }
    run_end_again(run, past);
    run_save(run);
}

static void answer(struct saving *saving, struct run *run, int r)
{
    if (r < 0 && run)
        take_back(run, &saving->past, r);
    saving->done(r, r < 0 ? NULL : run, saving->data);
}

static void on_saved(int r, void *data)
{
    struct saving *saving = data;
    struct tasks *tasks = saving->tasks;
    struct run *run = tasks->is_closed ? NULL : runs_find(tasks, saving->number);

    if (tasks->is_closed)
        r = -ECANCELED; /* what is on the disk goes on with the next start */
    else if (r == -EIO || r == -EUCLEAN)
        tasks->setup.on_fatal(r, tasks->setup.data);
    if (saving->done) {
        answer(saving, run, r);
    } else if (r < 0 && run) {
        run->is_unsaved = true;
        again_arm(tasks);
    }
    free(saving->past.steps);
    free(saving);
    tasks_pump(tasks);
}

/* Takes over @past. */
static void save(struct run *run, struct run_past *past, run_saved_t done, void *data)
{
    struct tasks *tasks = run->tasks;
    _cleanup_free_ char *record = run_record_format(run);
    struct saving *saving = malloc(sizeof(*saving));

    if (!record || !saving) {
        free(saving);
        tasks->setup.on_fatal(-ENOMEM, tasks->setup.data);
        return;
    }
    *saving = (struct saving){
        .tasks = tasks, .number = run->number, .done = done, .data = data, .past = *past};
    run->is_unsaved = false;
    state_put_workflow(tasks->batch,
                       &(struct state_workflow){.number = run->number,
                                                .ended_wall_usec = run->ended_wall_usec,
                                                .record = record});
    state_batch_after(tasks->batch, on_saved, saving);
}

void run_save(struct run *run)
{
    save(run, &(struct run_past){0}, NULL, NULL);
}

void run_save_first(struct run *run, struct run_past *past, run_saved_t done, void *data)
{
    save(run, past, done, data);
    tasks_pump(run->tasks);
}

void runs_again(struct tasks *tasks)
{
    list_for_each_safe (link, &tasks->runs) {
        struct run *run = list_entry(link, struct run, link);
        if (run->is_unsaved)
            run_save(run);
        run_supply_again(run);
    }
}
