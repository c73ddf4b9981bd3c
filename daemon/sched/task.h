/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a task is: what its user asked for (struct task_spec), how an attempt ended (struct
 * task_end), and the origin's record of it all (struct task), which is what the database keeps. A
 * task belongs to the node where it was submitted, its origin; "42@lab-01" is number 42 of lab-01.
 * Whoever holds a struct task, task_spec or task_end owns what it points to.
 *
 * Two counts of attempts: `attempt` grows with every offer to a node and is what travels, so that
 * an old offer can never be taken for a new one; `tries` grows only with offers that a node took,
 * and is what people see and what retries are counted in. The attempt under way is counted in both.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/id.h"
#include "base/macro.h"
#include "base/text.h"
#include "base/usec.h"
#include "sched/task_python.h"
#include "sched/task_words.h"

#define TASK_TYPE_MAX        32   /* letters */
#define TASK_NAME_MAX        63   /* bytes of a label */
#define TASK_USER_MAX        64   /* bytes */
#define TASK_SANDBOX_MAX     15   /* bytes of "namespaces" */
#define TASK_ON_DONE_MAX     4096 /* bytes */
#define TASK_SELECT_MAX      63   /* bytes of "gpu=1" */
#define TASK_REASON_MAX      191  /* bytes */
#define TASK_TIMELINE_MAX    64
#define TASK_RETRIES_MAX     1000
#define TASK_NUMBER_MAX      (UINT64_C(1) << 53)       /* all up to it are whole in JSON */
#define TASK_TYPE_NUMBER_MAX UINT64_C(999999999999999) /* of the "1" of "a1" */
#define TASK_FILES_MAX       64 /* files that go with a task; also patterns of results */
#define TASK_SLOTS_MAX       1024
#define TASK_TIMEOUT_NONE    TASK_NUMBER_MAX /* it may run for ever, as "0" says */
#define TASK_CPUS_MAX        1024
#define TASK_CPUS_MIN        10 /* thousandths of one */
#define TASK_AFTER_MAX       64 /* tasks that one waits for */
#define TASK_ID_TEXT_MAX     (20 + 1 + NODE_NAME_MAX + 1)
#define TASK_GLOB_MAX        1023     /* bytes of a pattern of results, and of its directory */
#define TASK_TYPE_COMMAND    "cmd"    /* the type that is shown for `submit -- CMD` */
#define TASK_TYPE_PYTHON     "python" /* and for `submit --python FILE:FUNC` */

enum task_state {
    TASK_PENDING,
    TASK_RUNNING,
    TASK_SUCCEEDED,
    TASK_FAILED,
    TASK_TIMED_OUT,
    TASK_CANCELLED,
    TASK_LOST,    /* its node died, and all retries are used up */
    TASK_UNKNOWN, /* its node died, and it must not run twice (retries 0) */
    _TASK_STATE_MAX,
};

const char *task_state_name(enum task_state state); /* "timed-out" */

/* Return: the state, or -EINVAL. */
int task_state_parse(const char *text);

/* Whether nothing can happen to it any more but `task retry`. */
bool task_state_is_final(enum task_state state);

/* When to try again, beside the retries that a user asks for by hand. */
enum task_retry_on {
    TASK_RETRY_NODE_LOST = 1 << 0,
    TASK_RETRY_NO_SPACE = 1 << 1,
    TASK_RETRY_UNREACHABLE = 1 << 2,
    TASK_RETRY_EXIT = 1 << 3,
};

/* "node-lost" "no-space" "unreachable" "exit". Return: the flag, or -EINVAL. */
int task_retry_on_parse(const char *text);

/* Files that go with a task, or came from it: a bundle (base/bundle.h). */
struct task_files {
    uint64_t bundle; /* of inputs: what the origin's store calls it; 0 = there is none */
    uint64_t size;   /* bytes of the bundle */
    uint64_t bytes;  /* of the files in it */
    uint32_t count;  /* of files in it, standard input not counted */
};

/* How a task has to end for one that waits for it. */
enum task_after_condition {
    TASK_AFTER_OK,
    TASK_AFTER_ANY,
    TASK_AFTER_FAILED, /* in any way but success */
};

/* "45", "45:ok", "45:any", "45:failed"; ok where nothing is said. Return: 0, -EINVAL. */
int task_after_parse(const char *text, uint64_t *ret_number, enum task_after_condition *ret);

/* What a user asked for. Durations in usec. */
struct task_spec {
    char type[TASK_TYPE_MAX +
              1]; /* letters; TASK_TYPE_COMMAND with is_command, …PYTHON with python */
    struct task_python *python; /* owned; a call of this function with args; NULL = none */
    bool is_command;      /* args are the whole command; otherwise the handler's further words */
    bool is_confidential; /* never leaves the origin */
    bool has_stdin;       /* the bundle of inputs has its standard input too */
    uint64_t type_number; /* 1 of "a1", at most TASK_TYPE_NUMBER_MAX; unused for a command */
    char name[TASK_NAME_MAX + 1];     /* label; "" = none, then "a1" is shown */
    char user[TASK_USER_MAX + 1];     /* who submitted it */
    char node[NODE_NAME_MAX + 1];     /* pinned there; "" = anywhere */
    char select[TASK_SELECT_MAX + 1]; /* a tag "gpu=1" the node must have; "" = none */
    struct task_words args;
    struct task_words env;   /* "K=V" */
    struct task_words outs;  /* results to be brought back: "GLOB" or "GLOB=DIR" */
    struct task_files in;    /* files it finds in its work directory */
    struct task_words after; /* tasks of this origin that it waits for: task_after_parse() */
    char *on_done; /* owned; a command, as base/words cuts it, that the origin runs when it has
                      ended; NULL = none */
    usec_t timeout_usec;  /* of one attempt's run; 0 = what the worker has configured */
    uint64_t memory_size; /* bytes; 0 = what the worker has configured */
    uint32_t cpus_milli;  /* 1500 = one and a half; 10..TASK_CPUS_MAX * 1000; 0 = no limit */
    char sandbox[TASK_SANDBOX_MAX +
                 1];         /* at least this level; "" = what the worker has configured */
    uint32_t slots;          /* it takes while it runs, 0..TASK_SLOTS_MAX; 0 = what its type has */
    uint32_t retries;        /* 0..TASK_RETRIES_MAX; 0 = at most once */
    usec_t retry_delay_usec; /* before the first retry; doubled for each further one */
    unsigned retry_on;       /* enum task_retry_on */
    uint64_t workflow;       /* number at this origin; 0 = none */
    uint32_t step;           /* index in that workflow */
};

void task_spec_done(struct task_spec *spec);

/* Return: 0, -ENOMEM (@ret untouched). */
int task_spec_copy(const struct task_spec *spec, struct task_spec *ret);

/*
 * Whether everything is within the limits above, types and names are well-formed, and nothing
 * contradicts. Return: 0; -EINVAL with a sentence for the user in @reason.
 */
int task_spec_check(const struct task_spec *spec, char reason[static TASK_REASON_MAX + 1]);

/*
 * The two parts of a pattern of results: "plots/x*.png=DIR" is the glob "plots/x*.png", which is
 * matched below the work directory, and "DIR", which only its user understands; "" where there is
 * none. *@ret_glob_size bytes of @out are the glob. Returns DIR.
 */
const char *task_out_split(const char *out, size_t *ret_glob_size);

/* What task_spec_check() asks of each pattern of results. */
bool task_is_out(const char *out);

/* Whether a user may name a task so: as text_is_name(), or "" for none; at most 63 bytes. */
bool task_is_label(const char *text);

enum task_kind {
    TASK_TYPED, /* of a type that nodes have handlers for */
    TASK_COMMAND,
    TASK_PYTHON,
    _TASK_KIND_MAX,
};

const char *task_kind_name(enum task_kind kind); /* "typed" */

/* Return: the kind, or -EINVAL. */
int task_kind_parse(const char *text);

enum task_kind task_spec_get_kind(const struct task_spec *spec);

/* "a1" for a1, "-" for a command without a label, the function's name, else the label. Returns
 * @target. */
char *task_spec_format_name(const struct task_spec *spec, char target[static TASK_NAME_MAX + 1]);

enum task_end_type {
    TASK_END_EXIT,       /* code */
    TASK_END_SIGNAL,     /* code = the signal nobody of us sent */
    TASK_END_TIMED_OUT,  /* code = the signal it ended by, 0 = none */
    TASK_END_CANCELLED,  /* the same */
    TASK_END_NOT_RUN,    /* could not be started: code = errno, 1.. */
    TASK_END_STOPPED,    /* killed by its node: its lease was over, or the node stops */
    TASK_END_NO_RESULTS, /* exit 0, but its results could not be kept: code = errno, 1.. */
    _TASK_END_MAX,
};

/* How an attempt ended, as its worker tells it. */
struct task_end {
    enum task_end_type type;
    int code;
    bool is_oom;
    usec_t run_usec;
    usec_t ago_usec; /* how long it was over when it was told; a word of the worker, not kept */
    uint64_t memory_peak_size;      /* bytes; 0 = not known */
    struct task_files out;          /* its results; bundle is unused */
    char text[TASK_REASON_MAX + 1]; /* of TASK_END_NOT_RUN and where there is more to say; of
                                       TASK_END_TIMED_OUT its limit */
};

/* How long something ran, for people: "12ms", "8.01s", "5min". Returns @target. */
char *task_format_run(usec_t run_usec, char target[static 32]);

/* The signal that ended it, whoever sent it; 0 = none. */
int task_end_get_signal(const struct task_end *end);

/* "exit 1", "signal 9", "out of memory (signal 9): limit 512MiB; …", "timed out after 5min",
 * "cannot start: …". Returns @target. */
char *task_end_format(const struct task_end *end, char target[static TASK_REASON_MAX + 1]);

/* What the end means for a task without retries. */
enum task_state task_end_get_state(const struct task_end *end);

struct task;

/* "no space left on lab-02"; "" where nothing is lost. Returns @target. */
char *task_format_loss(const struct task *task, const char *origin,
                       char target[static TASK_REASON_MAX + 1]);

struct task_timeline {
    uint64_t wall_usec;
    char *text; /* owned */
};

/* The origin's record. Wall-clock times; 0 = not yet. */
struct task {
    uint64_t number;
    struct task_spec spec;
    enum task_state state;
    uint64_t attempt;                  /* the last that was offered to a node; 0 = none */
    uint32_t tries;                    /* offers that a node took, or may have taken */
    uint32_t tries_max;                /* retries + 1, more after `task retry` */
    bool has_node;                     /* the current attempt is under way at `node` */
    struct node_id node;               /* of the current or last attempt */
    uint64_t node_generation;          /* of that node when the attempt went there */
    char node_name[NODE_NAME_MAX + 1]; /* "" = never placed */
    bool is_cancelled;                 /* a user asked for it, */
    bool is_withdrawn;                 /* and was told that it is: it was not known to run */
    int cancel_signal;
    usec_t cancel_grace_usec;
    uint64_t submitted_wall_usec;
    uint64_t started_wall_usec; /* of the last attempt that ran */
    uint64_t ended_wall_usec;
    bool has_end; /* `end` tells how the last attempt ended */
    struct task_end end;
    int cut_error;    /* why output of the last attempt is lost, an errno; 0 = none is, but for what
                         was above its limit */
    bool is_cut_here; /* it was lost at the origin, not at `node` */
    char reason[TASK_REASON_MAX + 1]; /* why it is pending, or what there is to know of its end */
    struct task_timeline *timeline;   /* owned; oldest first */
    size_t timeline_count;
};

/*
 * Formats into @target as text that is safe in a record, on a terminal and in a log: control
 * characters and bytes that are not UTF-8 become '?', and a cut falls between characters. Returns
 * @target.
 */
char *task_format_text(char *target, size_t size, const char *format, ...) _printf_(3, 4);

struct task *task_free(struct task *task);
DEFINE_CLEANUP(struct task *, task_free)

/*
 * A sentence for the timeline. With TASK_TIMELINE_MAX entries the ninth makes room: the beginning
 * and the newest are kept. Return: 0, -ENOMEM.
 */
int task_add_timeline(struct task *task, uint64_t wall_usec, const char *format, ...)
    _printf_(3, 4);

/* "42@lab-01". Returns @target. */
char *task_id_format(uint64_t number, const char *origin, char target[static TASK_ID_TEXT_MAX]);

/*
 * "42", "42@lab-01", with @prefix "w" "w7" or "w7@lab-01". *@ret_origin is "" where none is named.
 * Return: 0, -EINVAL.
 */
int task_id_parse(const char *text, const char *prefix, uint64_t *ret_number,
                  char ret_origin[static NODE_NAME_MAX + 1]);
