/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The blocking half of file transfers, run on threads of the files lane: copying between a
 * descriptor, the own store and a connection. Knows no loop. What the loop may touch meanwhile is
 * atomic or under the lock.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include "base/json.h"
#include "net/conn.h"
#include "store/files.h"
#include "store/upload.h"
#include "transfer/transfers.h"

/* One direction's share of net.rate_limit, over all its transfers. */
struct file_pace {
    atomic_uint_fast64_t rate; /* bytes per second; 0 = no limit; a reload may change it */
    pthread_mutex_t lock;
    usec_t next_usec; /* when the next byte may go */
};

struct file_paces {
    struct file_pace in;
    struct file_pace out;
    usec_t patience_usec; /* with another node that neither sends nor takes anything */
};

struct file_job {
    struct files *files;      /* borrowed: outlives the worker's threads */
    struct file_paces *paces; /* borrowed */
    int fd;       /* owned: the client's descriptor; -EBADF where another node is served */
    int guard_fd; /* owned: hangs up when the client goes; -EBADF = none */
    struct upload_offer offer; /* of a put; strings owned by the job */
    char *name;                /* owned */
    char *owner;               /* owned */
    char *stored;              /* owned: the file of the own store that is put; or NULL */
    bool is_put;
    bool is_regular;            /* what fd is; by the thread */
    struct stat source;         /* of fd, at the start */
    struct file_pace pace;      /* its own limit, beside the node's */
    struct transfer_item *list; /* owned: many files whose contents follow each other in fd */
    size_t count;

    pthread_mutex_t lock;
    struct conn *conn; /* owned; under the lock; NULL = the own store */
    bool is_working;  /* under the lock: its thread leaves conn alone, while the other side waits */
    usec_t told_usec; /* and when it heard of that last */
    atomic_bool is_cancelled;
    usec_t
        still_usec;   /* for the other side of a connection that was used to say that it is there */
    bool is_reused;   /* conn was used before */
    bool is_stale;    /* and the other side has closed it: nothing was done */
    bool is_reusable; /* conn may be used again */
    atomic_uint_fast64_t done;
    atomic_uint_fast64_t resumed; /* of that, what was there before */
    atomic_uint_fast64_t total;
    atomic_uint_fast64_t moved; /* bytes of content over conn, in either direction */
    atomic_bool is_put_off;     /* the other node says that it has to wait there */

    bool has_told;       /* the other side heard amid a content that it has to wait */
    usec_t stalled_usec; /* how long it took nothing until the connection broke; 0 = it did not */
    usec_t waited_usec;  /* for content, since the last that counts as progress */
    size_t waited_size;  /* of it, what came meanwhile */

    struct transfer_end end; /* the outcome */
    /* On a served connection: what other nodes stored, and the last that could not be given. */
    struct transfers_stored served;
    char changed[FILES_NAME_MAX + 1];

    /* A put of a stored file: what it has to be at the other end. */
    uint8_t sha256[FILES_HASH_SIZE];
    bool has_sha256;
};

/* Return: a job, or NULL without memory; @fd stays the caller's then. */
struct file_job *file_job_new(struct files *files, struct file_paces *paces, int fd);
struct file_job *file_job_free(struct file_job *job);
DEFINE_CLEANUP(struct file_job *, file_job_free)

/* Says to the other side of one that works that it has to wait, every @interval_usec. From the
 * loop. */
void file_job_tell(struct file_job *job, usec_t interval_usec);

/* Makes a running job end soon. From the loop. */
void file_job_cancel(struct file_job *job);

/* On a thread: put or get between the descriptor and the store here or at the other end of conn. */
void file_job_run(struct file_job *job);

/* The job's end. They return @r, or what the other node said. */
int file_job_fail(struct file_job *job, int r, const char *what);
int file_job_fail_connection(struct file_job *job, int r);
int file_job_take_refusal(struct file_job *job, const cJSON *frame);

/* The stored file of that name is damaged: it is not what was stored. Returns -ESTALE. */
int file_job_fail_changed(struct file_job *job, const char *name);

/* Whether bytes that are not what was stored were so where they are stored, not since then. */
bool file_job_is_exact(const struct file_job *job);

/* For the journal: a file of the own store that was refused, or one more that was stored. */
void file_job_note_refused(struct file_job *job, int r, const char *name);
void file_job_note_stored(struct file_job *job, const char *name, const char *owner, uint64_t size);

/*
 * On a thread: answers what the node at the other end of conn asks for. It comes back when that
 * asks nothing for a moment, or has stored something that the journal wants to know; the connection
 * is then reusable, or gone.
 */
void file_job_serve(struct file_job *job);
