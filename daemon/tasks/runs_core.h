/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of the runs share: runs.c has their life, runs_resume.c how they are taken up,
 * runs_record.c what the database keeps of them, runs_save.c how it gets there. Nobody else
 * includes this.
 */

#include "base/json.h"
#include "tasks/runs.h"

/* A text of JSON_SIZE_MAX may become six times as long in its record. */
#define RUN_RECORD_MAX     (7 * JSON_SIZE_MAX)
#define RUN_LETTER_NOT_RUN '-'

struct run {
    struct list link;    /* in tasks->runs, by number */
    struct list active;  /* in tasks->active_runs while it goes on */
    struct list watches; /* of struct run_watch */
    struct tasks *tasks; /* borrowed */
    uint64_t number;
    struct run_options options; /* its texts are the five below */
    char *file, *text, *user;   /* owned */
    struct task_words vars;     /* owned */
    struct workflow *workflow;  /* owned; NULL once it has ended */
    char *steps; /* owned: how each step did when the list ended last, a letter each; or NULL */
    struct task_words
        reasons; /* owned, "STEP TEXT": why steps failed then that never were a task */
    struct workflow_statistics statistics; /* of that end */
    uint64_t started_wall_usec, ended_wall_usec;
    uint64_t resumed_wall_usec; /* what ended until then is what `steps` says */
    bool is_unsaved;            /* what became of it last is not on the disk */
    int cancel_signal;
    usec_t cancel_grace_usec;
    struct list supplies; /* of struct supply: steps whose files are being collected */
};

/* What a run was that is taken up again; all zero for a new one. */
struct run_past {
    char *steps; /* owned */
    struct workflow_statistics statistics;
    uint64_t ended_wall_usec, resumed_wall_usec;
};

/* A run without a list, not yet in the table. */
struct run *run_new(struct tasks *tasks, uint64_t number);
void run_free(struct run *run);
int run_enlist(struct run *run);
/* @plan: taken over on success. Return: 0, -ENOBUFS, -ENOMEM. */
int run_activate(struct run *run, struct workflow_plan *plan);
void run_deactivate(struct run *run);
/* Nothing of it is left, but for its tasks. */
void run_forget(struct run *run);
/* It is not taken up, and as it was; takes over what @past owns. runs_resume.c */
void run_end_again(struct run *run, struct run_past *past);

/* Its record is put into the batch of this turn; what fails is tried again. runs_save.c */
void run_save(struct run *run);
/* The same where somebody waits; takes over what @past owns. */
void run_save_first(struct run *run, struct run_past *past, run_saved_t done, void *data);

/* Collects the files of a step, then submits it. runs_input.c */
void run_supply(struct run *run, uint32_t step);
/* There may be room now for those there was none for. */
void run_supply_again(struct run *run);
void run_supplies_free(struct run *run);
/* Hands the step to the origin; @files are its from then on. @code: of its function, or NULL.
 * runs.c
 */
void run_submit(struct run *run, uint32_t step, const struct task_files *files, char *code);

/*
 * Reads the code of a function out of the files that came with the list, on a thread. @done has it,
 * borrowed; or @r is -EFBIG, -ENOENT, what reading said. runs_code.c
 */
struct run_code;
typedef void (*run_code_done_t)(int r, char *code, void *data);
int run_code_load(struct run *run, uint32_t index, run_code_done_t done, void *data,
                  struct run_code **ret);
/* @done will not be called. */
void run_code_cancel(struct run_code *code);

/* Copies texts and all into the run. Return: 0, -ENOMEM, -E2BIG (vars). */
int run_set_options(struct run *run, const struct run_options *options);
void run_done(struct run *run);

/* How a step ended, of its letter: enum task_state; -EINVAL for one that was not run. */
int run_letter_parse(char letter);

/* The workflow is done: how its steps did. Return: 0, -ENOMEM. */
int run_keep_steps(struct run *run);

/* The task of a step of a list that has ended was run once more, and ended so. Return: whether that
 * changes how the list did. */
bool run_set_end(struct run *run, uint32_t step, enum task_state state);

/* Who watches it is told, and watches no more. */
void run_tell_done(struct run *run, int r);

/* Owned by the caller; NULL without memory. */
char *run_record_format(const struct run *run);

/* Fills a run that is all zero but for its lists. Return: 0, -EBADMSG, -ENOMEM, -E2BIG. */
int run_record_parse(const char *record, struct run *run);
