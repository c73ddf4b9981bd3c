/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/bytes.h"
#include "store/output_core.h"

/*
 * A read takes one slice of a log: from memory while it is submitted, or on the lane from the blob
 * or the file. The answer never comes from within output_read: what was taken from memory waits for
 * the next turn of the loop.
 */
struct output_read {
    struct list link; /* in store.reads while it waits */
    struct output_store *store;
    struct output_key key;
    struct output_query query;
    output_done_t done; /* NULL = cancelled */
    void *data;
    uint8_t *slice; /* owned */
    size_t slice_size;
    uint64_t file_end; /* not stored: what is behind it in the file is not for readers */
    bool is_in_memory; /* the slice is here already, or the cursor is known to be wrong */
    bool is_stored;    /* not live: look into the blob and the file */
    bool is_last;      /* the log ends with this slice, for good */
    int result;
};

static void free_read(struct output_read *read)
{
    list_remove(&read->link);
    read->store->reads_count--;
    free(read->slice);
    free(read);
}

static void answer(struct output_read *read, int r, const struct output_chunk *chunk)
{
    if (read->done)
        read->done(r, chunk, read->data);
    free_read(read);
}

int output_cut_error(const struct output_piece *piece)
{
    struct reader reader = reader_from(piece->data, piece->size);
    uint32_t error = reader_u32(&reader);

    return reader_ok(&reader) && error <= INT_MAX ? (int)error : 0;
}

/* The next record. Return: 1; 0 where the slice ends within it; -EINVAL where there is none. */
static int next_piece(struct reader *reader, struct output_piece *ret)
{
    struct reader ahead = *reader;
    uint32_t size = reader_u32(&ahead);
    uint32_t mark = reader_u32(&ahead);
    uint64_t wall_usec = reader_u64(&ahead);

    if (!reader_ok(&ahead))
        return 0;
    if (size > OUTPUT_PIECE_MAX || (mark & 0xffffff) != OUTPUT_RECORD_MARK ||
        mark >> 24 < OUTPUT_STDOUT || mark >> 24 > OUTPUT_CUT)
        return -EINVAL;
    const uint8_t *data = reader_bytes(&ahead, size);
    if (!data)
        return 0;
    *ret = (struct output_piece){
        .stream = mark >> 24, .wall_usec = wall_usec, .data = data, .size = size};
    *reader = ahead;
    return 1;
}

/* Whether this is a whole record of a cut with its errno. */
static bool is_mark(const uint8_t bytes[static OUTPUT_CUT_SIZE])
{
    struct reader reader = reader_from(bytes, OUTPUT_CUT_SIZE);
    struct output_piece piece;

    return next_piece(&reader, &piece) > 0 && piece.stream == OUTPUT_CUT &&
           output_cut_error(&piece) > 0;
}

/* --- On the lane --- */

static int keep_slice(struct output_read *read, const uint8_t *log, size_t log_size)
{
    if (read->query.cursor > log_size)
        return -EINVAL;
    size_t left = log_size - (size_t)read->query.cursor;
    size_t size = MIN(left, OUTPUT_READ_MAX);

    read->slice = malloc(size + 1);
    if (!read->slice)
        return -ENOMEM;
    memcpy(read->slice, log + read->query.cursor, size);
    read->slice_size = size;
    read->is_last = read->is_stored && size == left;
    return 0;
}

/* The mark of what could not be written, for who has seen some of that, and so is behind it. */
static int seek_mark(struct output_read *read, int fd, uint64_t end)
{
    const uint64_t start = end - MIN(end, OUTPUT_CUT_SIZE);
    uint8_t mark[OUTPUT_CUT_SIZE];

    if (read->is_stored && read->query.cursor > start &&
        pread(fd, mark, sizeof(mark), (off_t)start) == (ssize_t)sizeof(mark) && is_mark(mark))
        read->query.cursor = start;
    return read->query.cursor > end ? -EINVAL : 0;
}

static int read_file(struct output_read *read)
{
    char name[ATTEMPT_NAME_SIZE];
    struct stat status;

    output_format_name(&read->key, name);
    _cleanup_close_ int fd =
        openat(read->store->directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? -ENOENT : -EIO;
    if (fstat(fd, &status) < 0)
        return -EIO;
    uint64_t end = (uint64_t)status.st_size;
    if (!read->is_stored)
        end = MIN(end, read->file_end);
    int r = seek_mark(read, fd, end);
    if (r < 0)
        return r;
    uint64_t left = end - read->query.cursor;
    read->slice = malloc(OUTPUT_READ_MAX);
    if (!read->slice)
        return -ENOMEM;
    ssize_t n = pread(fd, read->slice, (size_t)MIN(left, (uint64_t)OUTPUT_READ_MAX),
                      (off_t)read->query.cursor);
    if (n < 0)
        return -EIO;
    read->slice_size = (size_t)n;
    read->is_last = read->is_stored && (uint64_t)n == left;
    return 0;
}

static int read_stored(struct output_read *read)
{
    _cleanup_free_ uint8_t *blob = NULL;
    size_t size = 0;
    int r = state_read_output(read->store->state, &read->key.origin, read->key.number,
                              read->key.attempt, &blob, &size);

    if (r == -ENOENT)
        return read_file(read);
    return r < 0 ? r : keep_slice(read, blob, size);
}

static void on_run(void *data)
{
    struct output_read *read = data;

    if (read->is_in_memory)
        read->result = read->slice ? 0 : -EINVAL;
    else
        read->result = read->is_stored ? read_stored(read) : read_file(read);
}

/* --- In the loop --- */

size_t output_peek_tail(const struct output *output, enum output_stream stream, char *target,
                        size_t size)
{
    struct reader reader = reader_from(output->buffer, output->buffer_size);
    struct output_piece piece;
    size_t used = 0;

    while (next_piece(&reader, &piece) > 0) {
        if (piece.stream != stream)
            continue;
        size_t more = MIN(piece.size, size), kept = MIN(used, size - more);
        memmove(target, target + used - kept, kept);
        memcpy(target + kept, piece.data + piece.size - more, more);
        used = kept + more;
    }
    return used;
}

static void show(struct output_read *read)
{
    struct reader reader = reader_from(read->slice, read->slice_size);
    struct output_chunk chunk = {0};
    int r;

    _cleanup_free_ struct output_piece *pieces =
        calloc(read->slice_size / OUTPUT_HEAD_SIZE + 1, sizeof(*pieces));
    if (!pieces) {
        answer(read, -ENOMEM, NULL);
        return;
    }
    while ((r = next_piece(&reader, &pieces[chunk.count])) > 0) {
        enum output_stream stream = pieces[chunk.count].stream;
        if (stream == OUTPUT_CUT || read->query.streams[stream])
            chunk.count++;
    }
    /* A log that a crash or a full disk cut off ends before the damage; a cursor amid a record is
     * wrong. */
    if (reader.position == 0 && (r < 0 || !(read->is_in_memory || read->is_last))) {
        answer(read, -EINVAL, NULL);
        return;
    }
    chunk.pieces = pieces;
    chunk.next = read->query.cursor + reader.position;
    chunk.is_end = read->is_last;
    answer(read, 0, &chunk);
}

static void on_done(void *data)
{
    struct output_read *read = data;

    if (read->result == 0)
        show(read);
    else
        answer(read, read->result, NULL);
}

static const uint8_t *find_in_memory(const struct output *output, uint64_t cursor, size_t *ret_size)
{
    uint64_t start = output->file_size;

    if (output->size.error) {
        *ret_size = (size_t)(output_end(output) - cursor);
        return output->buffer ? output->buffer + (output->buffer_size - *ret_size)
                              : (const uint8_t *)"";
    }
    list_for_each (link, &output->writes) {
        const struct output_write *write = list_entry(link, struct output_write, link);
        if (cursor >= start && cursor < start + write->size) {
            *ret_size = write->size - (size_t)(cursor - start);
            return write->data + (cursor - start);
        }
        start += write->size;
    }
    *ret_size = output->buffer_size - (size_t)(cursor - start);
    return output->buffer ? output->buffer + (cursor - start) : (const uint8_t *)"";
}

static int take_from_memory(struct output_read *read, const struct output *output)
{
    size_t size = 0;
    const uint8_t *data = find_in_memory(output, read->query.cursor, &size);

    size = MIN(size, OUTPUT_READ_MAX);
    read->slice = malloc(size + 1);
    if (!read->slice)
        return -ENOMEM;
    if (size > 0)
        memcpy(read->slice, data, size);
    read->slice_size = size;
    read->is_in_memory = true;
    read->is_last = output->is_sealed && read->query.cursor + size == output_end(output);
    return 0;
}

/* What could not be written is gone, also for those who have seen it; who has not seen all of it is
 * to see the mark. */
static uint64_t place_of(const struct output *output, uint64_t cursor)
{
    if (!output->size.error || cursor < output->file_size || cursor > output->lost_end)
        return cursor;
    return cursor > output->file_size && cursor == output->lost_end ? output->lost_next
                                                                    : OUTPUT_LOST_MARK(output);
}

/* Sends a read on its way, or lets it wait. */
static int submit(struct output_read *read)
{
    struct output *output = output_find(read->store, &read->key);
    int r = 0;

    read->is_stored = !output;
    read->result = -ECANCELED;
    if (output) {
        uint64_t end = output_end(output);
        read->query.cursor = place_of(output, read->query.cursor);
        read->file_end = output->file_size;
        if (read->query.cursor > end)
            read->is_in_memory = true;
        else if (read->query.cursor == end && read->query.is_following && !output->is_sealed) {
            list_append(&read->store->reads, &read->link);
            return 0;
        } else if (read->query.cursor >= output->file_size) {
            r = take_from_memory(read, output);
        }
    }
    if (r < 0)
        return r;
    return read->is_in_memory ? output_post(read->store, on_run, on_done, read)
                              : output_submit(read->store, on_run, on_done, read);
}

int output_read(struct output_store *store, const struct output_key *key,
                const struct output_query *query, output_done_t done, void *data,
                struct output_read **ret)
{
    if (store->reads_count >= OUTPUT_WAITING_MAX)
        return -EBUSY;
    struct output_read *read = calloc(1, sizeof(*read));
    if (!read)
        return -ENOMEM;
    *read = (struct output_read){
        .store = store, .key = *key, .query = *query, .done = done, .data = data};
    list_init(&read->link);
    store->reads_count++;
    int r = submit(read);
    if (r < 0) {
        free_read(read);
        return r;
    }
    if (ret)
        *ret = read;
    return 0;
}

bool output_is_waiting(const struct output_read *read)
{
    return !list_is_empty(&read->link);
}

void output_cancel(struct output_read *read)
{
    read->done = NULL;
    if (!list_is_empty(&read->link))
        free_read(read);
}

static bool is_same_key(const struct output_key *a, const struct output_key *b)
{
    return node_id_is_equal(&a->origin, &b->origin) && a->number == b->number &&
           a->attempt == b->attempt;
}

/* Moves the reads that wait for @key, or all, to @target. */
static void collect(struct output_store *store, const struct output_key *key, struct list *target)
{
    list_init(target);
    list_for_each_safe (link, &store->reads) {
        if (key && !is_same_key(&list_entry(link, struct output_read, link)->key, key))
            continue;
        list_remove(link);
        list_append(target, link);
    }
}

void output_wake(struct output *output)
{
    struct list waiting;
    struct output_read *read;

    if (list_is_empty(&output->store->reads))
        return;
    collect(output->store, &output->key, &waiting);
    while ((read = list_first(&waiting, struct output_read, link))) {
        list_remove(&read->link);
        int r = submit(read);
        if (r < 0)
            answer(read, r, NULL);
    }
}

void output_reject(struct output_store *store, const struct output_key *key, int r)
{
    struct list waiting;
    struct output_read *read;

    collect(store, key, &waiting);
    while ((read = list_first(&waiting, struct output_read, link)))
        answer(read, r, NULL);
}
