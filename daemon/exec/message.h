/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What p2pnode and p2pnode-exec say to each other: bytes (base/bytes) in one message of a
 * SOCK_SEQPACKET Unix socket, descriptors beside it. Neither end trusts the other: every number and
 * text is bounded and checked, unknown types and what is left over are errors, and descriptors that
 * do not belong to the message are closed.
 *
 *   p2pnode -> p2pnode-exec   configure, start (+ stdin, stdout, stderr, where the message says so
 *                             inputs: a bundle, where it has "outs" results: an empty file, and
 *                             for a function its job), signal
 *   p2pnode-exec -> p2pnode   hello (the answer to each configure), started, exited
 *
 * Times are usec_t; a limit of 0 means "none". Strings and arrays of a decoded message are its own.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"
#include "base/usec.h"

/* Bytes: words and variables as many as a task may have, 64 KiB each, and its patterns; and less
 * than a socket holds (net.core.wmem_default). */
#define EXEC_MESSAGE_MAX ((size_t)192 * 1024)
#define EXEC_WORDS_MAX   4096 /* of a command; also variables of an environment */
#define EXEC_PATHS_MAX   64   /* read or write paths of the configuration */
#define EXEC_MISSING_MAX 16
#define EXEC_FDS_MAX     6
#define EXEC_OUTS_MAX    64  /* patterns of results */
#define EXEC_WORKERS_MAX 256 /* warm helpers */
#define EXEC_CPUS_MAX    1024
#define EXEC_ID_MAX      (((uint64_t)1 << 53) - 1)
#define EXEC_DEMO        "@demo" /* first word of the built-in demo handler */

/* How a task is fenced in, weakest first. */
enum exec_level {
    EXEC_REFUSE,     /* no task may run here: what the configuration wants is not to be had */
    EXEC_NONE,       /* limits only; runs only where the configuration says "none" */
    EXEC_LANDLOCK,   /* Landlock, seccomp, rlimits, no new privileges */
    EXEC_NAMESPACES, /* and own user, pid, mount, ipc, uts, net namespaces and a private root */
    EXEC_FULL,       /* and an own cgroup */
    _EXEC_LEVEL_MAX,
};

/* "refuse", "none", "landlock", "namespaces", "full". */
const char *exec_level_name(enum exec_level level);

/* Return: 0, or -EINVAL for a text that is none of these names. */
int exec_level_from_name(const char *name, enum exec_level *ret);

struct exec_limits {
    uint64_t memory_bytes; /* of the whole task; below EXEC_FULL of each process, RLIMIT_DATA, and
                              for more than a moment of all of them */
    uint64_t file_size_bytes; /* of each file it writes, RLIMIT_FSIZE */
    uint64_t processes;       /* and threads of the whole task; held from level namespaces up */
    uint32_t cpus_milli; /* 1500 = one and a half; below EXEC_FULL whole ones, the next above */
    usec_t timeout_usec; /* then TERM, */
    usec_t grace_usec;   /* and so much later KILL */
};

enum exec_message_type {
    EXEC_CONFIGURE,
    EXEC_START,
    EXEC_SIGNAL,
    EXEC_HELLO,
    EXEC_STARTED,
    EXEC_EXITED,
    _EXEC_MESSAGE_TYPE_MAX,
};

/* How functions are run. */
struct exec_python {
    char *interpreter; /* absolute path */
    uint32_t workers;  /* warm helpers, 0..EXEC_WORKERS_MAX */
    uint32_t jobs_max; /* of one helper, 1.. */
    usec_t idle_usec;  /* without a function for so long they end */
    char **modules;    /* that helpers import; NULL-terminated, at most EXEC_PATHS_MAX */
};

struct exec_configure {
    struct exec_python python;
    bool is_auto;          /* the best level that this kernel allows ... */
    enum exec_level level; /* ... or this one and no weaker; EXEC_NONE and up */
    bool network;          /* tasks may use it */
    char **read; /* absolute paths, NULL-terminated; those that do not exist are skipped */
    char **write;
};

struct exec_start {
    bool is_python;        /* a function, which the last descriptor describes; it has no words */
    char **words;          /* the command, 1..EXEC_WORDS_MAX, NULL-terminated */
    char **environment;    /* "KEY=value", NULL-terminated; nothing else is set but the three
                              directories */
    bool network;          /* false = without, even where the configuration allows it */
    enum exec_level level; /* at least this one; EXEC_NONE = as configured */
    struct exec_limits limits;
    bool has_inputs;      /* a bundle of files for its work directory comes with the message */
    char **outs;          /* patterns of its results, NULL-terminated: exec/results.h */
    uint64_t results_max; /* bytes of all results; 0 = no limit */
    uint64_t reserve;     /* bytes that results leave free on the disk */
};

struct exec_signal {
    int number;
    usec_t grace_usec; /* then KILL, if it still runs; USEC_INFINITY = never */
};

struct exec_hello {
    char *version;
    enum exec_level level;     /* of a task that does not ask for more */
    enum exec_level available; /* the best one, EXEC_NONE at least */
    char **missing; /* what this level does not protect from, and why the next one failed */
};

/* What was packed of a task's results. */
struct exec_results {
    uint32_t count;
    uint64_t size;  /* of the bundle; 0 without files */
    uint64_t bytes; /* of the files */
    int error;      /* 0, or why there are none: -EFBIG above results_max, -ENOSPC, -E2BIG, ... */
    char note[160]; /* what was asked for and is not there; "" = nothing */
};

/* How a task ended: exactly one of exit code, signal, and not run at all. */
struct exec_status {
    int code;   /* 0..255; -1 = not by exit */
    int signal; /* 0 = not by signal */
    int error;  /* 0, or a negative errno: never ran (or -ECONNRESET: lost with p2pnode-exec, or
                    its supervisor) */
    char reason[128]; /* what failed, with error */
    bool timed_out;   /* ended for its time limit */
    bool is_oom;      /* or because it, or all the machine, was out of memory */
    uint64_t pid;     /* of the process that held it */
    usec_t wall_usec;
    usec_t user_usec;
    usec_t system_usec;
    uint64_t memory_peak_bytes; /* of the task at EXEC_FULL, else of its largest process */
    struct exec_results results;
};

/* A task that has run for a moment: of one that ended before, only that is told. */
struct exec_started {
    uint64_t pid;     /* of the process that holds it */
    usec_t wall_usec; /* for which it has run */
};

struct exec_message {
    enum exec_message_type type;
    uint64_t
        id; /* of the task, chosen by p2pnode, 0..EXEC_ID_MAX; start, signal, started, exited */
    union {
        struct exec_configure configure;
        struct exec_start start;
        struct exec_signal signal;
        struct exec_hello hello;
        struct exec_status exited;
        struct exec_started started;
    };
};

/* Wipes and frees what a decoded message owns; harmless on a zeroed one. */
void exec_message_done(struct exec_message *message);

/**
 * exec_message_encode() - the bytes of a message
 *
 * @message is only read. Return: 0 with *@ret to be freed by the caller; -EMSGSIZE above
 * EXEC_MESSAGE_MAX; -EINVAL for text that is not UTF-8, and what the reader would refuse; -ENOMEM.
 */
int exec_message_encode(const struct exec_message *message, void **ret, size_t *ret_size);

/**
 * exec_message_decode() - a message from hostile bytes
 *
 * Return: 0 with *@ret, to be given to exec_message_done(); -EBADMSG for anything that is not
 * exactly one known message with all that belongs to it in range; -EMSGSIZE; -ENOMEM.
 */
int exec_message_decode(const void *data, size_t size, struct exec_message *ret);

/* How many descriptors travel with @message, and with one that is EXEC_START. */
size_t exec_message_fds(const struct exec_message *message);
size_t exec_start_fds(const struct exec_start *start);
