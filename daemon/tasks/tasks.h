/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The tasks of this node at work: the pure cores of sched/ (the origin's side and the worker's
 * side) tied to what does things: the database, p2pnode-exec, kept output, and the connections to
 * other nodes. It decides nothing that sched/ could decide. Control methods ask it, and watch it.
 */

#include <systemd/sd-event.h>
#include "base/bundle.h"
#include "base/list.h"
#include "config/config.h"
#include "exec/client.h"
#include "sched/origin.h"
#include "sched/slots.h"
#include "store/bundles.h"
#include "store/files.h"
#include "store/output.h"
#include "store/state.h"
#include "swim/swim.h"
#include "tasks/tally.h"
#include "transfer/peers.h"

struct tasks;
struct record;

/* All borrowed: they outlive the tasks, but for the path of the socket, which is copied. */
struct tasks_setup {
    const struct config *config;
    const struct state_start *start;
    struct node_id former; /* the id that this process has lost to another node; null = none */
    const char *state_dir;
    const char *exec_socket_path; /* of a p2pnode-exec that systemd keeps, or NULL */
    bool is_exec_unit;            /* it is that one or none */
    bool is_draining;
    const struct swim_member *self; /* as the placement is to know this node from its begin */
    const struct record *record;
    struct state *state;
    struct output_store *outputs;
    struct bundles *bundles;
    struct files *files;
    struct worker *worker;
    struct peers *peers;
    /* Where a member is; none where it is not known. */
    struct address (*find_address)(const struct node_id *id, void *data);
    /* The own load changed: to be gossiped. */
    void (*on_load)(const struct swim_load *load, void *data);
    /* What was refused for good may be taken now: the sandbox is another one. */
    void (*on_rules)(void *data);
    /* The database failed for good (-EIO, -EUCLEAN): the process has to end. */
    void (*on_fatal)(int r, void *data);
    void *data;
};

/* Loads what the database has, and starts p2pnode-exec. Return: 0, or what loading or sd-event
 * said. */
int tasks_new(sd_event *event, const struct tasks_setup *setup, uint64_t wall_usec,
              struct tasks **ret);
/* The configuration says something else now. Return: 0, -ENOMEM. */
int tasks_reload(struct tasks *tasks);

/* Ends what runs here and hands the last changes to the database; from then on nothing is asked or
 * told. Before the cluster, the worker, the state and the outputs are freed. */
void tasks_close(struct tasks *tasks);
/* After all of those. Accepts NULL, returns NULL. */
struct tasks *tasks_free(struct tasks *tasks);
DEFINE_CLEANUP(struct tasks *, tasks_free)

/* --- From the other parts --- */

/* A member appeared or changed; @record is NULL where it said nothing that can be read. */
void tasks_set_member(struct tasks *tasks, const struct swim_member *member,
                      const struct record *record);
void tasks_remove_member(struct tasks *tasks, const struct node_id *id);

/* Frames of the task protocol return true. */
bool tasks_on_frame(struct tasks *tasks, const struct node_id *from, const cJSON *header,
                    const void *body, size_t body_size);
void tasks_on_lost(struct tasks *tasks, const struct node_id *id);
void tasks_on_unreachable(struct tasks *tasks, const struct node_id *id); /* before tasks_on_lost */
void tasks_on_connected(struct tasks *tasks, const struct node_id *id);
void tasks_on_drained(struct tasks *tasks, const struct node_id *id);

/* While draining queued work goes back and no more is taken; what runs here ends by itself. */
void tasks_set_draining(struct tasks *tasks, bool is_draining);
/* While draining: ends what runs here, by TERM and then KILL; its origins place it anew. */
void tasks_evict(struct tasks *tasks);
/* Ends what runs here, by TERM and then KILL. */
void tasks_stop(struct tasks *tasks);
bool tasks_are_stopped(const struct tasks *tasks);
/* Whether the origins of all that ran here have its result. */
bool tasks_are_reported(const struct tasks *tasks);
/* Hands all changes to the database; whether it has all that it can take. */
void tasks_save(struct tasks *tasks);
bool tasks_are_saved(const struct tasks *tasks);

/* An event of this node: there may be a hook for it. */
struct journal_event;
void tasks_hear(struct tasks *tasks, const struct journal_event *event);

/* --- For control --- */

/* @r 0: it is on disk and @task says where it went. Else @reason says why not. Called once, later.
 */
typedef void (*tasks_submitted_t)(int r, const struct task *task, const char *reason, void *data);

/*
 * @spec: copied. Return: 0 (@done will be called; never from within), or as origin_submit with a
 * sentence in @reason. *@ret names the submission for tasks_submit_forget.
 */
struct submission;
int tasks_submit(struct tasks *tasks, const struct task_spec *spec, bool may_wait,
                 tasks_submitted_t done, void *data, char reason[static TASK_REASON_MAX + 1],
                 struct submission **ret);

/* @done will not be called; the task goes on. */
void tasks_submit_forget(struct submission *submission);

/* To be asked only. */
struct origin *tasks_get_origin(struct tasks *tasks);
/* The number of the newest task; 0 = there was none. */
uint64_t tasks_get_last(const struct tasks *tasks);
const struct slots *tasks_get_slots(const struct tasks *tasks);
const struct exec *tasks_get_exec(const struct tasks *tasks);

/* As origin_cancel. */
int tasks_cancel(struct tasks *tasks, uint64_t number, int signal, usec_t grace_usec);

/* As origin_forget; it is done with what else this turn does: tasks_settle_drops()
 * follows. */
int tasks_forget(struct tasks *tasks, uint64_t number);

/*
 * Does what this turn asked for, in one commit. @done hears when all of it is on the disk, or of
 * the error, in which case none of it is; without memory for that, the node ends.
 */
void tasks_settle(struct tasks *tasks, state_done_t done, void *data);
/* The same for what this turn asked to forget; what failed is tried again. */
void tasks_settle_drops(struct tasks *tasks, state_done_t done, void *data);

/* As origin_retry; @done and @ret as of tasks_submit(). */
int tasks_retry(struct tasks *tasks, uint64_t number, const char *node,
                const struct task_words *args, tasks_submitted_t done, void *data,
                struct submission **ret);

/* Whether tasks of this type are run here for @user. */
bool tasks_permit(const struct tasks *tasks, const char *type, const char *user);

/* The handler's words for a type, "built-in demo" where it has none, NULL where this node does not
 * do it. */
const char *tasks_get_handler(const struct tasks *tasks, const char *type);

/* Who watches hears of every change of every task of this origin; its owner embeds it and removes
 * it. */
struct tasks_watch {
    struct list link;
    void (*on_task)(const struct task *task,
                    void *data); /* must not remove any watch but its own */
    void *data;
};
void tasks_watch(struct tasks *tasks, struct tasks_watch *watch);
void tasks_unwatch(struct tasks_watch *watch);

/* What became of the tasks of this origin since start. */
const struct tally *tasks_get_tally(const struct tasks *tasks);

/* Ended tasks of the last 24 hours. */
void tasks_count_ended(const struct tasks *tasks, uint64_t wall_usec, uint64_t *ret_succeeded,
                       uint64_t *ret_failed);

/* --- Files that go with a task --- */

#define STAGE_REASON_MAX 255

/* Where one of them comes from: a descriptor, a stored file, or a result of another task. */
struct stage_source {
    const char *name;   /* in the work directory, as bundle_is_name(); "" = standard input */
    int fd;             /* a regular file, from its position on; taken over. Negative: */
    const char *stored; /* a file of this node's store; NULL: */
    const char *result; /* this result of a task that has ended, as the task called it */
    uint64_t task;      /* that task's number; 0: `result` is in a bundle of inputs, */
    uint64_t bundle;    /* this one */
};

/* @r 0: @files is on the disk, for task_spec.in. Else @reason says why not. Called once, later. */
typedef void (*tasks_staged_t)(int r, const struct task_files *files, const char *reason,
                               void *data);

/*
 * Collects files before their task is submitted: at most TASK_FILES_MAX, and tasks.result_max
 * bytes.
 * @sources is borrowed for the call; descriptors are taken over also on failure. What was staged
 * belongs to the caller until it is in the specification of a submitted task; else
 * tasks_drop_files(). With @is_dry_run nothing is copied: it is only said whether that could begin.
 * Return: 0; -EINVAL for a name that is none or comes twice (*@ret_bad is that
 * source); -EBUSY where too many are at it; -ENOMEM.
 */
struct stage;
int tasks_stage(struct tasks *tasks, struct stage_source *sources, size_t count, bool is_dry_run,
                tasks_staged_t done, void *data, size_t *ret_bad, struct stage **ret);

/* Which file is being copied, borrowed of the stage, and how far that is. */
struct stage_progress {
    const char *name;
    uint64_t done_bytes, total_bytes;
};
void tasks_stage_get_progress(const struct stage *stage, struct stage_progress *ret);

/* @done will not be called, and nothing stays. */
void tasks_stage_cancel(struct stage *stage);

/*
 * Whether the inputs of @task are on their way to another node, and how many bytes of their bundle
 * are there already. Only of those that were sent last.
 */
bool tasks_get_sent(const struct tasks *tasks, const struct task *task, uint64_t *ret);

/* No task has these. */
void tasks_drop_files(struct tasks *tasks, const struct task_files *files);

/* The results of a task: one that was asked for by name, or all of them; borrowed for the call. */
struct task_content {
    const struct bundle_entry *entries;
    size_t count;
    const uint8_t *piece; /* of tasks_read_piece(), else NULL */
    size_t piece_size;
};
/* @r: 0; -ENOENT where there is no such result; what reading or writing said. */
typedef void (*task_read_t)(int r, const struct task_content *content, void *data);

/*
 * Lists the results of task @number, or writes the one called @name into @fd, a regular file that
 * is taken over. Return: 0 (@done will be called; never from within), -EBUSY, -EAGAIN, -ENOMEM.
 */
struct task_read;
int tasks_read_results(struct tasks *tasks, uint64_t number, const char *name, int fd,
                       task_read_t done, void *data, struct task_read **ret);
/*
 * Of the one called @name, the bytes from @offset on: at most TASK_PIECE_MAX, none at its end.
 * Return: as tasks_read_results().
 */
#define TASK_PIECE_MAX ((size_t)1024 * 1024)
int tasks_read_piece(struct tasks *tasks, uint64_t number, const char *name, uint64_t offset,
                     task_read_t done, void *data, struct task_read **ret);
/* @done will not be called. */
void tasks_read_cancel(struct task_read *read);
