/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of tasks/ share. tasks.c has the life cycle and the pump, parts.c what they are
 * made of, commit.c saves what a turn changed. owner.c does what the origin's side asks for,
 * worker.c what the worker's side asks for, keep.c keeps how attempts ended there; wire.c has the
 * frames of both, runs.c workflows (with runs_record.c). Files that go with tasks: stage.c takes
 * them from clients, results.c gives to them, supply.c has them at the worker, collect.c brings
 * results to the origin; between nodes pull.c asks and serve.c answers.
 */

#include "base/bundle.h"
#include "base/list.h"
#include "base/table.h"
#include "sched/task_json.h"
#include "tasks/begun.h"
#include "tasks/hooks.h"
#include "tasks/machine.h"
#include "tasks/tasks.h"

#define RUNS_MAX      1024
#define PULL_PIECE    ((size_t)256 * 1024) /* bytes of files in one frame */
#define INFLOW_WINDOW ((size_t)512 * 1024) /* bytes of output on the way, of one attempt */

#define SENT_MAX 32

/* How far the inputs of a task are on their way to a worker. */
struct sent {
    uint64_t number;
    uint64_t bytes; /* that it has */
    uint64_t end;   /* of the piece that it asked for */
};

struct tasks {
    sd_event *event;
    const struct config *config; /* borrowed, as the four below */
    const struct state_start *start;
    struct state *state;
    struct output_store *outputs;
    struct bundles *bundles;
    struct peers *peers;
    struct tasks_setup setup;
    char *exec_socket_path; /* owned, as a reload may need it; or NULL */
    struct origin *origin;
    struct slots *slots;
    struct exec *exec;         /* NULL where tasks are not enabled */
    enum exec_level available; /* what it had when it was ready last; EXEC_REFUSE before */
    struct state_batch *batch; /* of this turn */
    struct state_batch *drops; /* its deletes, which come after: what no longer is to be there */
    sd_event_source *timer;
    sd_event_source *turn_end;
    sd_event_source
        *again_timer;   /* a commit that was too soon, or that the database could not take */
    usec_t commit_usec; /* when it was tried last */
    usec_t again_usec;  /* when it is tried again; 0 = not armed */
    sd_event_source *room_timer; /* what the disk had no room for; NULL until it happens */
    sd_event_source *machine_timer;
    sd_event_source *keep_timer;
    struct machine machine; /* how busy it is, as read last */
    struct list watches;
    struct list submissions;
    struct list runs; /* all that are known, by number */
    struct list active_runs;
    struct table runs_by_number;
    struct table inflows; /* attempts of ours whose output comes from elsewhere */
    size_t runs_count;
    struct tally tally;
    struct hooks hooks;
    struct begun *begun; /* owned */
    struct list held; /* of struct job: ends that are not on the disk yet, by when they are due */
    usec_t keep_usec; /* when keep_timer comes */
    int keep_error;   /* of the last one that went there; 0 = none */
    struct list stages, pulls, collects, servings;
    size_t stages_count, servings_count, reads_count, results_count;
    struct sent sent[SENT_MAX]; /* the inputs that were asked for last */
    size_t sent_next;
    uint64_t next_task;
    uint64_t next_workflow;
    uint64_t wall_offset_usec;
    struct swim_load load; /* last told */
    bool has_drops_left;   /* the disk had no room for deletes, and takes them with the next ones */
    bool is_watching_drops; /* drops tell on_dropped() */
    bool is_pumping;
    bool is_closed;
};

struct submission {
    struct list link;
    uint64_t number;
    uint32_t results; /* the attempt whose results go when it is accepted; 0 = none do */
    tasks_submitted_t done;
    void *data; /* borrowed */
};

/* The worker's side of one attempt: userdata of struct slots_attempt. */
struct job {
    struct tasks *tasks;           /* borrowed */
    struct slots_attempt *attempt; /* borrowed: it ends with SLOTS_DROPPED, and so does this */
    struct output *output;         /* borrowed from the store; NULL before the start */
    bool is_handed;                /* p2pnode-exec has it */
    bool is_acked;                 /* its origin has its end */
    int begun;                     /* its place in tasks.begun; negative = none */
    bool is_paused;                /* not read from: the disk is behind */
    /* Of attempts of other nodes, which keep.c keeps: */
    uint64_t ended_wall_usec; /* of one from before the start; 0 = not, or not known */
    struct list held;         /* in tasks.held */
    usec_t keep_usec;         /* when it is due there */
    struct keeping *keeping;  /* borrowed: its way to the disk; NULL = it is on none */
    bool is_kept;             /* its end is in the database, or on its way */
    bool is_refused;          /* it did not fit on the disk */
    struct supply *supply;    /* owned: of its files; NULL = there are none any more */
    /* For attempts of other nodes: the output on its way to the origin. */
    struct output_read *read;
    uint64_t cursor;
    uint64_t skip[2]; /* bytes of each stream that the origin has already */
    uint64_t sent[2]; /* bytes of each stream told so far */
    size_t under_way; /* bytes sent that the origin has not told to have got */
    bool is_sending;
    bool needs_resync; /* something could not be sent: the origin has to ask again */
    bool is_all_sent;  /* output is complete at the origin's end of the wire */
};

/* tasks.c */
usec_t tasks_now(const struct tasks *tasks);
uint64_t tasks_wall(const struct tasks *tasks);
/* Does what the cores ask for, until they ask for nothing; commits; arms the timer. */
void tasks_pump(struct tasks *tasks);
/* The same in the next turn, for who is called from amid something. */
void tasks_pump_soon(struct tasks *tasks);
void tasks_tell_watchers(struct tasks *tasks, const struct task *task);

/* commit.c: tasks.batch to the database. Return: 0 or a negative errno. */
int commit_init(struct tasks *tasks);
void commit_done(struct tasks *tasks);
/* At the end of this turn of the loop. */
void commit_soon(struct tasks *tasks);
/* Before the loop is left. */
void commit_now(struct tasks *tasks);
/* Whether there is nothing to commit. */
bool commit_is_done(const struct tasks *tasks);
/* What the database would not take any more: whoever waits for it is still there to be told. */
void commit_abandon(struct tasks *tasks);

/* Tries again what the disk had no room for to delete. */
void commit_drops_again(struct tasks *tasks);

/* again.c: what the disk had no room for is tried again a second later, and so on */
void again_arm(struct tasks *tasks);
void again_done(struct tasks *tasks);

/* owner.c */
void owner_act(struct tasks *tasks, const struct origin_action *action);
/* How an attempt ended; its results are here. */
void owner_take_end(struct tasks *tasks, const struct node_id *from, uint64_t number,
                    uint64_t attempt, const struct task_end *end);
/* Whether the result of this attempt is still wanted. */
bool owner_wants(struct tasks *tasks, uint64_t number, uint64_t attempt);
/* A piece of output of an attempt of ours that runs elsewhere. */
void owner_take_output(struct tasks *tasks, const struct node_id *from, uint64_t number,
                       uint64_t attempt, const struct output_piece *piece, uint64_t offset);
/* The node where it runs kept no more of its output: it is above the limit, or @error. */
void owner_cut_output(struct tasks *tasks, const struct node_id *from, uint64_t number,
                      uint64_t attempt, uint64_t wall_usec, int error);
/* Output of an attempt of ours is dropped here: output_cut_t. */
void owner_on_cut(const struct output_key *key, int error, void *tasks);
/* How many bytes of each stream are here. */
void owner_get_output(struct tasks *tasks, uint64_t number, uint64_t attempt,
                      uint64_t ret_have[static 2]);

/* inflow.c: how fast output of our tasks comes from other nodes */
/* The output of an attempt at @node, made where there is none; NULL where that fails. */
struct output *inflow_open(struct tasks *tasks, uint64_t number, uint64_t attempt,
                           const struct node_id *node);
/* So many bytes came. */
void inflow_add(struct tasks *tasks, uint64_t number, uint64_t attempt, size_t size);
/* The worker was asked to begin again: it counts from 0 too. */
void inflow_restart(struct tasks *tasks, uint64_t number, uint64_t attempt);
/* Its output is finished by @batch. */
void inflow_close(struct tasks *tasks, uint64_t number, uint64_t attempt,
                  struct state_batch *batch);
void inflows_free(struct tasks *tasks);

/* worker.c */
extern const struct exec_handler worker_exec_handler;
void worker_act(struct tasks *tasks, const struct slots_action *action);
/* At start: a result that its origin has not acknowledged. */
int worker_restore(const struct state_result *result, void *tasks);
/* The origin of that attempt has its end on the disk, or does not want it. */
void worker_take_ack(struct tasks *tasks, const struct slots_key *key);
enum origin_refusal worker_get_refusal(enum slots_handback reason);
/* What an origin is told that asks for a place. */
void worker_answer(struct tasks *tasks, const struct slots_key *key, const struct slots_wish *wish,
                   const char *user, struct place_answer *ret);
/* Why it has to wait in the queue here: the reached `max` of its type, or 0. */
uint32_t worker_get_max(const struct tasks *tasks, const struct slots_attempt *attempt);
/* Whether an attempt that is not here yet can run here for good. Return: 0; -EACCES where its type
 * is not for its user; -EOPNOTSUPP without the sandbox that it asks for. */
int worker_check(const struct tasks *tasks, const struct slots_key *key,
                 const struct task_spec *spec);
/* Under which the worker's side keeps the output of an attempt. */
struct output_key worker_output_key(const struct tasks *tasks, const struct slots_key *key);

/* Of whose results. */
struct bundles_key worker_results_key(const struct tasks *tasks, const struct slots_key *key);
/* Gives the attempt to p2pnode-exec; while that is not ready, the attempt waits for it. */
void worker_hand_over(struct job *job);
/* It cannot begin here. */
void worker_end_without_run(struct job *job, int error, const char *text);

/* keep.c: ends of foreign attempts on the worker's disk. Return: 0 or a negative errno. */
int keep_init(struct tasks *tasks);
void keep_done(struct tasks *tasks);
/* It has ended, and will be kept, unless keep_drop() comes first. Nothing where it is or will be.
 */
void keep_end(struct job *job);
/* Nobody wants its end any more. */
void keep_drop(struct job *job);
/* Writes at once what waits. */
void keep_flush(struct tasks *tasks);
/* Whether nothing waits but what the disk has no room for. */
bool keep_is_done(const struct tasks *tasks);

/* outflow.c: output of foreign attempts on its way to their origins */
/* Starts, or begins again behind what the origin has. */
void outflow_start(struct job *job, const uint64_t have[static 2]);
/* Nothing more comes: where all of it was sent, nothing is read any more. Before it is sealed. */
void outflow_end(struct job *job);
/* The origin got so many bytes of what was sent. */
void outflow_take_got(struct job *job, uint64_t size);
/* What was sent to @origin has left: there is room for more. */
void outflow_go_on(struct tasks *tasks, const struct node_id *origin);
/* The connection is gone: what was sent may not have arrived. */
void outflow_stop(struct tasks *tasks, const struct node_id *origin);

/* parts.c: made from the configuration and the database. Return: 0 or a negative errno. */
int parts_make_origin(struct tasks *tasks, uint64_t seed, uint64_t wall_usec);
int parts_make_slots(struct tasks *tasks, uint64_t seed);
int parts_make_exec(struct tasks *tasks); /* or tells it what the configuration says now */
int parts_reload(struct tasks *tasks);
int parts_restore(struct tasks *tasks);

/* wire.c: frames to other nodes */
void wire_send_offer(struct tasks *tasks, const struct origin_action *action);
void wire_send_query(struct tasks *tasks, const struct origin_action *action);
void wire_send_cancel(struct tasks *tasks, const struct origin_action *action);
void wire_send_recall(struct tasks *tasks, const struct origin_action *action);
void wire_send_ask(struct tasks *tasks, const struct origin_action *action);
void wire_send_release(struct tasks *tasks, const struct origin_action *action);
void wire_send_ack(struct tasks *tasks, const struct origin_action *action);
void wire_send_started(struct tasks *tasks, const struct slots_attempt *attempt);
void wire_send_paused(struct tasks *tasks, const struct slots_attempt *attempt, bool is_paused);
void wire_send_renew(struct tasks *tasks, const struct slots_attempt *attempt, usec_t asked_usec);
/* Why an offer is not taken, by the error that says so. */
enum origin_refusal wire_refusal_of(int r);
void wire_send_refused(struct tasks *tasks, const struct slots_key *key,
                       enum origin_refusal refusal);
int wire_send_output(struct job *job, const struct output_piece *piece, uint64_t offset);
/* @error: an errno, or 0 where the output is above the limit. */
int wire_send_cut(struct job *job, uint64_t wall_usec, int error);
void wire_send_ended(struct tasks *tasks, const struct slots_attempt *attempt);
/* Asks the origin to query: it may not know that what was sent got lost. */
void wire_send_resync(struct job *job);

void wire_send_got(struct tasks *tasks, const struct node_id *to, uint64_t number, uint64_t attempt,
                   size_t size);

/* runs.c */
/* One action of every run. Return: whether there was any. */
bool runs_act(struct tasks *tasks);
void runs_on_task(struct tasks *tasks, const struct task *task);
/* What the disk had no room for. */
void runs_again(struct tasks *tasks);
int runs_restore(const struct state_workflow *record, void *tasks);
/* All are restored: a step that was run once more may have ended on the disk, and a kill came
 * before the record of its list, which had ended. */
void runs_catch_up(struct tasks *tasks);
void runs_free(struct tasks *tasks);

/* supply.c: files of the attempts that run here */
/* Return: 1 where worker_hand_over() will be called, or the attempt ended, later; 0 where it has no
 * files; or why not. */
int supply_begin(struct job *job);
bool supply_is_ready(const struct job *job);
void supply_fill(const struct job *job, struct exec_task *task);
/* It has ended. Return: whether its results are being kept, and slots_exited() will be called then;
 * else @end may have got something to say. */
bool supply_take_results(struct job *job, const struct exec_status *status, struct task_end *end);
/* Nothing of it is needed any more. */
void supply_drop(struct job *job);
/* Of all attempts, before the worker is freed. */
void supplies_close(struct tasks *tasks);
/* Says in @end, which is of an attempt that did end, that its results are lost. */
void supply_tell_loss(const struct tasks *tasks, struct task_end *end, int r);

/* python.c: whether a function has ended its process instead of returning */
bool python_has_no_result(const struct job *job);

/* collect.c: a worker says how an attempt ended */
void collect_end(struct tasks *tasks, const struct node_id *from, uint64_t number, uint64_t attempt,
                 const struct task_end *end);
/* Of a task that has ended, whose results are not here: it ends as cancelled, without them. Return:
 * whether it is such a one. */
bool collect_cancel(struct tasks *tasks, uint64_t number, uint64_t attempt);
/* Before the worker is freed. */
void collects_close(struct tasks *tasks);
void collects_free(struct tasks *tasks);

/* stage.c */
void stages_close(struct tasks *tasks);

/* pull.c: bundles that come from other nodes */
typedef void (*pull_done_t)(int r, void *data); /* -ENOENT: the other side has no such files */
struct pull_config {
    struct node_id from;
    enum bundles_kind kind; /* in: @from is the origin; out: it is the worker */
    uint64_t number;
    uint64_t attempt;
    uint64_t size; /* of the bundle, 1.. */
    pull_done_t done;
    void *data; /* borrowed */
};
struct pull;
/* Writes the bundle into @fd, which stays the caller's; asks until it is cancelled. */
int pull_new(struct tasks *tasks, const struct pull_config *config, int fd, struct pull **ret);
/* Done will not be called. */
void pull_cancel(struct pull *pull);
struct pull_piece {
    uint64_t offset;
    const void *data;
    size_t size;
    bool is_gone;
};
void pull_take_piece(struct tasks *tasks, const struct node_id *from, enum bundles_kind kind,
                     uint64_t number, uint64_t attempt, const struct pull_piece *piece);
void pulls_free(struct tasks *tasks);

/* serve.c: pieces of bundles for other nodes */
struct serve_request {
    struct node_id to;
    struct bundles_key key; /* here */
    uint64_t number;
    uint64_t attempt;
    uint64_t offset;
    size_t size; /* 1..PULL_PIECE */
};
void serve_piece(struct tasks *tasks, const struct serve_request *request);
/* What was sent has left. */
void serve_go_on(struct tasks *tasks);
/* The connection is gone: what was asked over it is asked again. */
void serve_stop(struct tasks *tasks, const struct node_id *to);
void servings_free(struct tasks *tasks);

int wire_send_fetch(struct tasks *tasks, const struct pull_config *config, uint64_t offset,
                    uint64_t size);
/* @data NULL: there is no such bundle. */
void wire_send_piece(struct tasks *tasks, const struct serve_request *request, const void *data,
                     size_t size);
