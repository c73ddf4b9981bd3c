/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What output.c (keeping) and output_read.c (showing) share: the log of an output, and where it is.
 *
 * A log is a row of records: u32 size, u8 stream, u24 mark, u64 time, then the bytes; the same in
 * memory, in the blob and in the file. A cursor is an offset into it. From the front, a live log
 * lies in its file, then in writes under way, then in the buffer; records are never split between
 * them. What could not be written keeps its place, and the buffer begins behind it; in the file its
 * mark is the last record. The bytes of a cut are the errno for which it is, as u32, or none.
 */

#include <sys/types.h>
#include "base/list.h"
#include "base/table.h"
#include "store/attempt_files.h"
#include "store/output.h"
#include "store/state_core.h"

#define OUTPUT_HEAD_SIZE   ((size_t)16)
#define OUTPUT_RECORD_MARK 0x707571
#define OUTPUT_CUT_SIZE    (OUTPUT_HEAD_SIZE + sizeof(uint32_t))
#define OUTPUT_PIECE_MAX   ((size_t)32 * 1024) /* bytes of one record */

struct output_store {
    struct state *state;   /* borrowed */
    struct worker *worker; /* borrowed */
    int directory_fd;      /* owned: tasks/ */
    struct table outputs;  /* owns them, by key */
    struct list reads;     /* those that wait for more */
    size_t reads_count;    /* of all that were not answered */
    size_t memory_size;    /* bytes of all buffers and writes under way */
    output_cut_t on_cut;
    void *on_cut_data; /* borrowed */
};

/* A piece of log on its way to the file. The bytes do not change any more. */
struct output_write {
    struct list link;      /* in output.writes */
    struct output *output; /* borrowed: lives until all its writes are done */
    uint8_t *data;         /* owned */
    size_t size;
    uint64_t offset;
    bool is_last; /* to be synced */
    bool has_run;
    int result;
};

struct output {
    struct output_store *store; /* borrowed */
    struct output_key key;
    void (*on_room)(void *data);
    void *data;
    uint64_t size_max;
    uint8_t *buffer; /* owned */
    size_t buffer_size;
    size_t buffer_allocated;
    uint64_t file_size; /* of the log, on the disk */
    struct list writes;
    size_t writes_size;
    int lane_error; /* of the first write that failed: the lane's */
    size_t overhead;
    struct output_size size;
    uint64_t lost_end;  /* where what could not be written ended, for those who have seen it */
    uint64_t lost_next; /* and where they go on: behind its mark */
    bool has_file;
    bool is_cut;
    bool is_short;   /* output_room said 0 */
    bool is_sealed;  /* nothing more comes */
    bool has_last;   /* the last of it is on its way to the file */
    bool is_storing; /* a batch has it */
    bool is_removed; /* out of the table; freed when nobody uses it */
};

/* "42.1.log", or with the origin before it. */
void output_format_name(const struct output_key *key, char target[static ATTEMPT_NAME_SIZE]);

/* A job of the commits lane: worker_submit, or -ECANCELED where the worker is gone or going. */
int output_submit(struct output_store *store, worker_run_t run, worker_done_t done, void *data);

/* A job of the loop's next turn: worker_post(), or as above. */
int output_post(struct output_store *store, worker_run_t run, worker_done_t done, void *data);

/* Where the mark of what could not be written is: no cursor from before that means this place. */
#define OUTPUT_LOST_MARK(output) ((output)->lost_end + 1)

/* Where the log ends. */
uint64_t output_end(const struct output *output);

/* Answers the reads that wait for @output, as far as they can be. */
void output_wake(struct output *output);

/* Answers them with @r. */
void output_reject(struct output_store *store, const struct output_key *key, int r);
