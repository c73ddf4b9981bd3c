/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Files on their way: between this machine's descriptors, the own file store and other nodes'
 * stores (p2p-file/1). Every transfer runs on a thread of the files lane, blocking and in bounded
 * memory, so that neither disk nor hashing nor a slow peer is ever felt in the loop. Here are both
 * ends: what a client at the control socket asks for, and what other nodes ask for.
 */

#include <systemd/sd-event.h>
#include "base/worker.h"
#include "net/stream.h"
#include "store/files.h"
#include "store/upload.h"

#define TRANSFERS_REASON_MAX 256
#define TRANSFERS_ITEM_MAX   ((uint64_t)256 * 1024) /* bytes of a file in a list */
#define TRANSFERS_PATIENCE   (30 * USEC_PER_SEC)
#define TRANSFERS_RATE_MIN   ((uint64_t)1024) /* with less who is slow on purpose seems to stall */
/* At once in each direction, with those that make no progress and thus have no place any more. */
#define TRANSFERS_THREADS_MAX ((size_t)32)

struct transfers;

/* What other nodes stored here in one go. */
struct transfers_stored {
    size_t count;
    uint64_t size;                   /* of all */
    char name[FILES_NAME_MAX + 1];   /* of the first */
    char owner[FILES_OWNER_MAX + 1]; /* of all */
};

struct transfers_config {
    struct worker *worker; /* borrowed, as the two below */
    struct tls *tls;
    struct files *files;
    struct address source; /* to connect from, as of struct stream_config */
    usec_t connect_timeout_usec;
    usec_t idle_usec; /* a connection on which nothing is asked for so long is closed */
    usec_t
        patience_usec; /* with a node that neither sends nor takes anything; TRANSFERS_PATIENCE */
    size_t transfers_max; /* that make progress at once, in each direction; more wait, or are
                             refused as busy */
    uint64_t rate_limit;  /* bytes per second and direction; 0 = none */
    /* Files were stored here by another node; called in the loop. */
    void (*on_stored)(const struct transfers_stored *stored, void *data);
    /* Another node was refused a file of the own store, as it was changed there; in the loop. */
    void (*on_changed)(const char *name, void *data);
    void *data;
};

/* Return: 0, -ENOMEM. */
int transfers_new(sd_event *event, const struct transfers_config *config, struct transfers **ret);
/* Limits for what begins from now on; the rate also for what is under way. */
struct transfers_limits {
    usec_t connect_timeout_usec;
    usec_t idle_usec;
    size_t transfers_max;
    uint64_t rate_limit;
};
void transfers_set_limits(struct transfers *transfers, const struct transfers_limits *limits);

/* That node does not answer any more: what goes there or comes from there ends with @reason. */
void transfers_lose(struct transfers *transfers, const struct node_id *id, const char *reason);

/* Threads that the worker should have for each direction. */
size_t transfers_get_threads(size_t transfers_max);

/* Breaks off what is under way, without a word to who waits. Before the worker is freed. */
void transfers_stop(struct transfers *transfers);
/* After the worker was freed. Returns NULL. */
struct transfers *transfers_free(struct transfers *transfers);
DEFINE_CLEANUP(struct transfers *, transfers_free)

/* Connections that carry files now: @ret_own begun here, @ret_served by others. */
void transfers_count(const struct transfers *transfers, size_t *ret_own, size_t *ret_served);

/* Whether what was stored without its hash is getting it. */
bool transfers_are_hashing(const struct transfers *transfers);

/* Takes over an accepted connection whose handshake named p2p-file/1. */
void transfers_adopt(struct transfers *transfers, struct stream *stream);

/* Where the other end of a transfer is. */
struct transfer_place {
    bool is_self; /* the own store; else: */
    struct node_id id;
    struct address address;
};

/* One of many small files that are put, or got, at once. */
struct transfer_item {
    char *name; /* owned */
    /* Of a put; of a get they are filled where r is 0: */
    uint64_t size;
    uint64_t modified_wall_usec; /* 0 = now */
    bool is_executable;
    uint16_t mode; /* as of FILES_MODE_KNOWN */
    char *owner;   /* owned; of a get */
    /* The outcome: */
    int r;                           /* as of struct transfer_end */
    char *reason;                    /* owned; NULL, or a sentence where r is negative */
    uint8_t sha256[FILES_HASH_SIZE]; /* where r is 0 */
};
struct transfer_list {
    struct transfer_item *items;
    size_t count;
};

void transfer_list_free(struct transfer_item *list, size_t count);

struct transfer_end {
    int r; /* 0, UPLOAD_KEPT, or a negative errno as of upload.h and files.h; -EHOSTUNREACH,
              -ECONNRESET, -ETIMEDOUT for the other node; -EBUSY; -EBADMSG where the bytes are not
              what was promised; -ESTALE where the stored file is not what was stored */
    char reason[TRANSFERS_REASON_MAX]; /* a sentence where r is negative */
    struct files_info info;            /* of what is stored, or was got */
    const char *owner;                 /* of a put; borrowed for on_end */
    uint64_t resumed;                  /* bytes that were there from an earlier transfer */
    usec_t elapsed_usec;
    const struct transfer_item *list; /* of transfers_put_list, _get_list; borrowed for on_end */
    size_t count;
};

struct transfer_progress {
    uint64_t done;
    uint64_t total;   /* FILES_SIZE_UNKNOWN for a pipe */
    uint64_t resumed; /* of done, what was there from an earlier transfer */
    size_t ahead;     /* it waits for its turn, as so many are under way; 0 = it has begun */
    bool is_put_off;  /* the other node says that it has to wait there */
};

struct transfer_handler {
    /* In the loop, at most 4 times a second; may be NULL. */
    void (*on_progress)(const struct transfer_progress *progress, void *data);
    /* In the loop, once, last; never from within transfers_put or _get. */
    void (*on_end)(const struct transfer_end *end, void *data);
};

struct transfer;

/* Stores what @fd holds (taken over, also on failure). Return: 0, -EBUSY, -ENOMEM, -EAGAIN. */
int transfers_put(struct transfers *transfers, const struct transfer_place *place, int fd,
                  const struct upload_offer *offer, const struct transfer_handler *handler,
                  void *data, struct transfer **ret);

/*
 * The same for many small files, whose contents follow each other in @fd, a regular file. Each has
 * an outcome of its own in the list; the end fails where none has. @list is taken over, also on
 * failure; of @offer only owner and overwrite count. Names longer than FILES_NAME_MAX and sizes
 * above TRANSFERS_ITEM_MAX are -EINVAL.
 */
int transfers_put_list(struct transfers *transfers, const struct transfer_place *place, int fd,
                       const struct upload_offer *offer, struct transfer_list list,
                       const struct transfer_handler *handler, void *data, struct transfer **ret);

/* Writes the file @name into @fd (taken over, also on failure). Return: 0, -EBUSY, -ENOMEM,
 * -EAGAIN. */
int transfers_get(struct transfers *transfers, const struct transfer_place *place, const char *name,
                  int fd, const struct transfer_handler *handler, void *data,
                  struct transfer **ret);

/*
 * The same for many small files: the contents of those whose r is 0 follow each other in @fd, a
 * regular file. -EFBIG is one above TRANSFERS_ITEM_MAX, or beyond BATCH_BYTES_MAX of all. @list as
 * above, at most BATCH_FILES_MAX.
 */
int transfers_get_list(struct transfers *transfers, const struct transfer_place *place, int fd,
                       struct transfer_list list, const struct transfer_handler *handler,
                       void *data, struct transfer **ret);

/*
 * Right after transfers_put: where @guard_fd (duplicated; -EBADF = none) has hung up, the end of a
 * pipe is not the end of the content. Who is killed in the middle often takes his source with him,
 * and what he had put so far would pass for all of it.
 */
void transfer_set_guard(struct transfer *transfer, int guard_fd);

/* Right after transfers_put, _get or their lists: who asked, since nobody gets all the places.
 * Return: 0, -ENOMEM (cancel it then). */
int transfer_set_user(struct transfer *transfer, const char *user);

/* Right after transfers_put or _get: bytes per second of this one, beside rate_limit; 0 = none,
 * else at least TRANSFERS_RATE_MIN. */
void transfer_set_rate(struct transfer *transfer, uint64_t rate);

/*
 * Right after transfers_put without a descriptor (-EBADF): what is put is the file @name of the own
 * store, with its size, time and mode. Return: 0, -ENOMEM (cancel it then).
 */
int transfer_set_source(struct transfer *transfer, const char *name);

/* Right after transfers_get: a regular @fd may hold what an earlier get of the file left. */
void transfer_set_resumable(struct transfer *transfer);

/* Nobody waits any more: no handler is called, the transfer is broken off. */
void transfer_cancel(struct transfer *transfer);
