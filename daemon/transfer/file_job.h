/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The blocking half of file transfers, run on threads of the files lane: copying between a
 * descriptor, the own store and a connection. Knows no loop. What the loop may touch meanwhile is
 * atomic or under the lock.
 */

#include <pthread.h>
#include <stdatomic.h>
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
};

struct file_job {
    struct files *files;      /* borrowed: outlives the worker's threads */
    struct file_paces *paces; /* borrowed */
    int fd;       /* owned: the client's descriptor; -EBADF where another node is served */
    int guard_fd; /* owned: hangs up when the client goes; -EBADF = none */
    struct upload_offer offer; /* of a put; strings owned by the job */
    char *name;                /* owned */
    char *owner;               /* owned */
    bool is_put;
    usec_t idle_usec;

    pthread_mutex_t lock;
    struct conn *conn; /* owned; under the lock; NULL = the own store */
    atomic_bool is_cancelled;
    atomic_uint_fast64_t done;
    atomic_uint_fast64_t total;

    struct transfer_end end; /* the outcome */
    /* A served connection: what was stored, for the journal. */
    struct files_info *stored; /* owned array */
    size_t stored_count;
};

/* Return: a job, or NULL without memory; @fd stays the caller's then. */
struct file_job *file_job_new(struct files *files, struct file_paces *paces, int fd,
                              usec_t idle_usec);
struct file_job *file_job_free(struct file_job *job);
DEFINE_CLEANUP(struct file_job *, file_job_free)

/* Makes a running job end soon. From the loop. */
void file_job_cancel(struct file_job *job);

/* On a thread: put or get between the descriptor and the store here or at the other end of conn. */
void file_job_run(struct file_job *job);

/* On a thread: answers what the node at the other end of conn asks for, until it ends or is idle.
 */
void file_job_serve(struct file_job *job);
