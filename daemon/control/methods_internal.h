/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of methods share: the functions that the table names, and the little that every
 * noun needs to read parameters. Each function takes its call: it answers it, now or later.
 */

#include "control/methods.h"
#include "node.h"

/* cluster/cluster.c */
void method_status(struct node *node, struct call *call);
void method_members(struct node *node, struct call *call);
void method_peers(struct node *node, struct call *call);
void method_show_node(struct node *node, struct call *call);
void method_types(struct node *node, struct call *call);
/* cluster/membership.c */
void method_ping(struct node *node, struct call *call);
void method_join(struct node *node, struct call *call);
void method_leave(struct node *node, struct call *call);
/* cluster/forget.c */
void method_forget(struct node *node, struct call *call);
/* cluster/drain.c */
void method_drain(struct node *node, struct call *call);
void method_undrain(struct node *node, struct call *call);
/* service/reload.c */
void method_reload(struct node *node, struct call *call);
/* service/doctor.c */
void method_doctor(struct node *node, struct call *call);
/* service/graph.c */
void method_graph(struct node *node, struct call *call);
/* service/metrics.c */
void method_metrics(struct node *node, struct call *call);
/* cluster/keys.c */
void method_list_keys(struct node *node, struct call *call);
void method_install_key(struct node *node, struct call *call);
void method_use_key(struct node *node, struct call *call);
void method_remove_key(struct node *node, struct call *call);
/* cluster/rotate.c */
void method_rotate_keys(struct node *node, struct call *call);
/* cluster/message.c */
void method_send_message(struct node *node, struct call *call);
void method_inbox(struct node *node, struct call *call);
void method_events(struct node *node, struct call *call);
void method_monitor(struct node *node, struct call *call);
/* task/list.c */
void method_list_tasks(struct node *node, struct call *call);
/* task/task.c */
void method_show_task(struct node *node, struct call *call);
void method_cancel_task(struct node *node, struct call *call);
/* task/task_again.c */
void method_retry_task(struct node *node, struct call *call);
void method_clean_tasks(struct node *node, struct call *call);
/* task/task_files.c */
void method_get_task_files(struct node *node, struct call *call);
/*
 * A result of a task of @member into @fd, which is taken over; the call names task and file.
 * Answers the call. task/task_fetch.c
 */
void task_fetch(struct node *node, struct call *call, const struct swim_member *member, int fd);
/* task/submit.c */
void method_submit(struct node *node, struct call *call);
/* task/follow.c */
void method_task_logs(struct node *node, struct call *call);
void method_wait_task(struct node *node, struct call *call);
/* task/run.c */
void method_run(struct node *node, struct call *call);
/* task/workflow.c */
void method_list_workflows(struct node *node, struct call *call);
void method_show_workflow(struct node *node, struct call *call);
void method_resume_workflow(struct node *node, struct call *call);
void method_cancel_workflow(struct node *node, struct call *call);
/* data/file.c */
void method_put_file(struct node *node, struct call *call);
void method_get_file(struct node *node, struct call *call);
void method_list_files(struct node *node, struct call *call);
void method_remove_file(struct node *node, struct call *call);
/* data/memory.c */
void method_set_memory(struct node *node, struct call *call);
void method_get_memory(struct node *node, struct call *call);
void method_list_memory(struct node *node, struct call *call);
void method_remove_memory(struct node *node, struct call *call);
/* methods.c */
void method_show_config(struct node *node, struct call *call);

/*
 * Readers of parameters: true where it is absent (then *@ret stays) or fits; otherwise the call has
 * been answered with what is wrong, and is gone.
 */
bool read_string(struct call *call, const char *key, const char **ret);
bool read_bool(struct call *call, const char *key, bool *ret);
bool read_u64(struct call *call, const char *key, uint64_t max, uint64_t *ret);
bool read_usec(struct call *call, const char *key, usec_t *ret);
bool read_array(struct call *call, const char *key, const cJSON **ret); /* of strings */

/* As read_string, but it must be there. */
bool need_string(struct call *call, const char *key, const char **ret);

/* The files that go with a task, as Submit names them. inputs.c */
struct inputs {
    struct stage_source sources[TASK_FILES_MAX]; /* descriptors owned, names borrowed of the call */
    size_t count;
    bool has_stdin;
};
void inputs_done(struct inputs *inputs);
/* False: the call has been answered. */
bool read_inputs(struct call *call, struct inputs *inputs);
/* Answers with what tasks_stage() said. */
void fail_inputs(struct call *call, int r, const struct inputs *inputs, size_t bad);

/* A list of texts; false: the call has been answered. submit.c */
bool read_words(struct call *call, const char *key, struct task_words *words);
/* The arguments of a function are JSON; false: the call has been answered. submit.c */
bool check_json_args(struct call *call, const struct task_words *args);

/* The parameter `after`, as task_spec.after; false: the call has been answered. after.c */
bool read_after(struct node *node, struct call *call, struct task_words *words);
/* tasks.retry_on as flags of task.h; submit.c */
unsigned retry_on_of(const struct config *config);
/* Whether a node is called @name, be it one that only the last life of this node knew; false: the
 * call has been answered. submit.c */
bool need_node(const struct node *node, struct call *call, const char *name);
/* Whether the node that @spec names is one, and confidential work stays here; false: the call has
 * been answered. submit.c */
bool check_node_of(struct node *node, struct call *call, const struct task_spec *spec);
/* `no node handles task type "d"  (known types: a b c)`, or that none has so many CPUs;
 * no_handler.c */
void fail_no_handler(struct node *node, struct call *call, const struct task_spec *spec,
                     const char *hint);
/* Nobody runs it for its user; no_handler.c */
void fail_forbidden(struct call *call, const char *reason);
/* Answers with what tasks_submit() said; no_handler.c */
void fail_submit(struct node *node, struct call *call, const struct task_spec *spec, int r,
                 const char *reason);

/* Whether this node has keys and the call may change them; else it has been answered. keys.c */
bool keys_may_change(struct node *node, struct call *call);

/* read_usec() of how long old keys are kept, 30 days at most. *@ret has to hold the default. keys.c
 */
bool keys_read_grace(struct call *call, usec_t *ret);

/* The member called @name, if it can be asked; NULL: the call has been answered. methods.c */
const struct swim_member *find_live(struct node *node, struct call *call, const char *name);

/* Answers with Internal. */
void fail_memory(struct call *call);

/* Of a confidential task another node hears nothing, not even that there is one. task.c */
bool may_hear_of(const struct call *call, const struct task_spec *spec);
/* The tasks submitted here that the caller may hear of: the next one after @task, the first one
 * where that is NULL. task.c */
const struct task *next_task(const struct node *node, const struct call *call,
                             const struct task *task);
/* Only one's own tasks may be changed, unless one is an administrator. task.c */
bool may_change_task(const struct call *call, const struct task *task);

/* Whether that it has ended may be told: it is on the disk. task.c */
bool has_ended(const struct node *node, const struct task *task);
/* Why a task waits that has its node, but no slot there yet. queue.c */
const char *describe_queue(const struct node *node, const struct task *task,
                           char target[static TASK_REASON_MAX + 1]);
/* What is told until then: that it runs, or has not begun. task.c */
enum task_state shown_state(const struct node *node, const struct task *task);
/* The task as it stands in lists; task.c. */
void task_fill(const struct node *node, const struct task *task, cJSON *json);
/* A task of this node by the text of its id; NULL: the call has been answered. task.c */
const struct task *find_task(struct node *node, struct call *call, const char *id);
/* The same, of those that the caller may change. */
const struct task *find_own_task(struct node *node, struct call *call, const char *id);
/*
 * Whether @origin, where a task was submitted, is another node: then the call has been passed on to
 * it, or answered with why not. task.c
 */
bool pass_to_origin(struct node *node, struct call *call, const char *origin);
/*
 * Answers with @reply once what this turn did to tasks is on the disk, so that a kill the moment
 * after does not undo what has been told; or, where it cannot be written, with @failure, a constant
 * text, and why. Takes the call and @reply. settle.c
 */
void reply_settled(struct node *node, struct call *call, cJSON *reply, const char *failure);
/* The same of what this turn forgot. */
void reply_dropped(struct node *node, struct call *call, cJSON *reply);
/* "TERM" or "SIGTERM" to its number; -EINVAL. task.c */
int signal_of(const char *name);

#define RUN_ID_TEXT_MAX (TASK_ID_TEXT_MAX + 1)

struct run;
/* "w7@lab-01". Returns @target. workflow.c */
char *run_id_format(const struct node *node, const struct run *run,
                    char target[static RUN_ID_TEXT_MAX]);
/* Of its last start on, until it ended or until now. workflow.c */
usec_t run_elapsed(const struct node *node, const struct run *run);
/* As find_task(), for "w7". workflow.c */
struct run *find_run(struct node *node, struct call *call, const char *id);
/* The task of each step, NULL where there is none; an array for the caller to free. workflow.c */
const struct task **run_find_tasks(struct node *node, const struct run *run, size_t steps);
/* Whether the caller may look on, or take it up where it has ended; else it has been answered.
 * workflow.c */
bool run_may_resume(struct node *node, struct call *call, const struct run *run);

/* "alive"; cluster.c */
const char *member_state_name(const struct swim_member *member);
/* All members by name; an array for the caller to free, ended by NULL; NULL without memory.
 * cluster.c */
const struct swim_member **sort_members(const struct swim *swim);
/* Members by state; those that drain are in draining, and not in states. cluster.c */
struct member_counts {
    size_t nodes;
    size_t states[_SWIM_STATE_MAX];
    size_t draining;
    size_t others_alive;
};
void members_count(const struct swim *swim, struct member_counts *ret);
/* Adds a member's fields; cluster.c. */
void member_fill(const struct node *node, const struct swim_member *member, cJSON *json);

#define SILENCE_NAMES_MAX 5

/* Of those that were asked for one thing: who did not say whether it has it. */
struct silence {
    size_t count;
    size_t dead;                                         /* of those */
    char names[SILENCE_NAMES_MAX * (NODE_NAME_MAX + 2)]; /* the first of them: "lab-02, lab-03" */
};
void silence_add(struct silence *silence, const char *name);

/* @name: of the node that answered, or did not (r below 0). */
typedef void (*ask_reply_t)(const char *name, const struct remote_reply *reply, void *data);

/* Calls @method with @parameters (borrowed) at every other node that has not left, for @call's
 * caller; whom it cannot ask, as the dead, is added to @silence. @reply is called once for each
 * that is asked, and never from within. Return: how many are asked. gather.c */
size_t ask_others(struct node *node, struct call *call, const char *method, const cJSON *parameters,
                  struct silence *silence, ask_reply_t reply, void *data);

/* Ends a call for a @what ("file") that none had: not found, with @hint where nobody is dead, or,
 * where somebody who lives did not say so, unreachable. */
void fail_nowhere(struct call *call, const struct silence *silence, const char *hint,
                  const char *what, const char *name);
/* Asks all other nodes the same question and merges their arrays: @noun, and others that are in
 * @reply as well; who does not answer, or is dead, is in "unanswered". Takes the call and @reply,
 * whose arrays already have this node's entries. */
void gather(struct node *node, struct call *call, cJSON *reply, const char *noun);
