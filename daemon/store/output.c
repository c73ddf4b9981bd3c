/* SPDX-License-Identifier: MIT */
#include "store/output.h"

#include <assert.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include "base/bytes.h"
#include "base/disk.h"
#include "store/output_core.h"
#include "store/removal.h"

#define DIRECTORY     "tasks"
#define SUFFIX        ".log"
#define ROOM_MIN      ((size_t)4096)
#define OVERHEAD_MIN  ((uint64_t)4096)
#define SPILL_MIN     ((size_t)4096)
#define BUFFER_SIZE_1 ((size_t)512)

void output_format_name(const struct output_key *key, char target[static ATTEMPT_NAME_SIZE])
{
    struct attempt_name name = {key->origin, key->number, key->attempt};

    attempt_files_format(&name, SUFFIX, target);
}

int output_store_new(const char *directory, struct state *state, struct worker *worker,
                     struct output_store **ret)
{
    _cleanup_(output_store_freep) struct output_store *store = calloc(1, sizeof(*store));

    if (!store)
        return -ENOMEM;
    *store = (struct output_store){.state = state, .worker = worker, .directory_fd = -EBADF};
    table_init(&store->outputs, sizeof(struct output_key), 0);
    list_init(&store->reads);
    store->directory_fd = attempt_files_open(directory, DIRECTORY);
    if (store->directory_fd < 0)
        return store->directory_fd;
    *ret = TAKE_PTR(store);
    return 0;
}

int output_submit(struct output_store *store, worker_run_t run, worker_done_t done, void *data)
{
    if (!state_has_lane(store->state))
        return -ECANCELED;
    return worker_submit(store->worker, WORKER_COMMITS, run, done, data);
}

int output_post(struct output_store *store, worker_run_t run, worker_done_t done, void *data)
{
    return state_has_lane(store->state) ? worker_post(store->worker, run, done, data) : -ECANCELED;
}

static struct output *output_free(struct output *output)
{
    if (!output)
        return NULL;
    assert(list_is_empty(&output->writes));
    output->store->memory_size -= output->buffer_size;
    free(output->buffer);
    free(output);
    return NULL;
}

static void free_if_unused(struct output *output)
{
    if (output->is_removed && !output->is_storing && list_is_empty(&output->writes))
        output_free(output);
}

struct output_store *output_store_free(struct output_store *store)
{
    if (!store)
        return NULL;
    output_reject(store, NULL, -ECANCELED);
    table_for_each (&store->outputs, struct output *, output)
        output_free(output);
    table_done(&store->outputs);
    close_fd(store->directory_fd);
    free(store);
    return NULL;
}

struct sweep {
    output_known_t is_known;
    void *data;
};

static bool is_garbage(const char *text, void *data)
{
    const struct sweep *sweep = data;
    struct attempt_name name;
    struct output_key key;

    if (!attempt_files_parse(text, SUFFIX, &name))
        return false;
    memset(&key, 0, sizeof(key));
    key.origin = name.origin;
    key.number = name.number;
    key.attempt = name.attempt;
    return !sweep->is_known(&key, sweep->data);
}

int output_store_sweep(struct output_store *store, output_known_t is_known, void *data)
{
    return attempt_files_sweep(store->directory_fd, is_garbage, &(struct sweep){is_known, data});
}

/* Keys are compared as bytes: what lies between the fields has to be the same too. */
static void copy_key(const struct output_key *key, struct output_key *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->origin = key->origin;
    ret->number = key->number;
    ret->attempt = key->attempt;
}

int output_new(struct output_store *store, const struct output_key *key, uint64_t size_max,
               void (*on_room)(void *data), void *data, struct output **ret)
{
    struct output *output = calloc(1, sizeof(*output));

    if (!output)
        return -ENOMEM;
    output->store = store;
    copy_key(key, &output->key);
    output->size_max = size_max;
    output->on_room = on_room;
    output->data = data;
    list_init(&output->writes);
    int r = table_insert(&store->outputs, &output->key, output);
    if (r < 0) {
        free(output);
        return r;
    }
    *ret = output;
    return 0;
}

void output_store_watch(struct output_store *store, output_cut_t on_cut, void *data)
{
    store->on_cut = on_cut;
    store->on_cut_data = data;
}

struct output *output_find(const struct output_store *store, const struct output_key *key)
{
    struct output_key clean;

    copy_key(key, &clean);
    return table_find(&store->outputs, &clean);
}

uint64_t output_end(const struct output *output)
{
    uint64_t start =
        output->size.error ? OUTPUT_LOST_MARK(output) : output->file_size + output->writes_size;

    return start + output->buffer_size;
}

static size_t room_of(const struct output *output)
{
    size_t used = output->buffer_size + output->writes_size;

    return used < OUTPUT_PENDING_MAX ? OUTPUT_PENDING_MAX - used : 0;
}

size_t output_room(struct output *output)
{
    size_t room = room_of(output);

    /* With nothing under way nobody would tell of new room: what comes is dropped at the latest at
     * twice this. */
    if (room < ROOM_MIN && list_is_empty(&output->writes))
        room = ROOM_MIN;
    output->is_short = room == 0;
    return room;
}

/* --- Writing: on the lane --- */

/* Output never takes the last of the disk: how its task ended has to be written, too. */
static bool has_space(int fd, size_t size)
{
    struct statvfs status;

    return fstatvfs(fd, &status) < 0 ||
           (uint64_t)status.f_bavail * status.f_frsize >= size + OUTPUT_DISK_RESERVE;
}

static int write_at(int fd, const uint8_t *data, size_t size, uint64_t offset)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = pwrite(fd, data + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno != EINTR)
            return errno == EFBIG ? -DISK_FILE_LIMIT : -errno;
        if (n > 0)
            done += (size_t)n;
    }
    return 0;
}

static size_t format_cut(uint8_t target[static OUTPUT_CUT_SIZE], uint64_t wall_usec, int error)
{
    struct writer writer = writer_into(target, OUTPUT_CUT_SIZE);
    size_t size = error > 0 ? sizeof(uint32_t) : 0;

    writer_u32(&writer, (uint32_t)size);
    writer_u32(&writer, (uint32_t)OUTPUT_CUT << 24 | OUTPUT_RECORD_MARK);
    writer_u64(&writer, wall_usec);
    if (error > 0)
        writer_u32(&writer, (uint32_t)error);
    return OUTPUT_HEAD_SIZE + size;
}

/* It goes into the space that output leaves; without any, only memory has the mark. */
static void write_mark(int fd, uint64_t offset, int error)
{
    uint8_t mark[OUTPUT_CUT_SIZE];
    size_t size = format_cut(mark, 0, error);

    if (ftruncate(fd, (off_t)offset) == 0 && write_at(fd, mark, size, offset) == 0)
        (void)fsync(fd);
}

static int write_log(const struct output_write *write_job)
{
    const struct output_store *store = write_job->output->store;
    char name[ATTEMPT_NAME_SIZE];
    int truncate = write_job->offset == 0 ? O_TRUNC : 0;

    output_format_name(&write_job->output->key, name);
    _cleanup_close_ int fd = openat(store->directory_fd, name,
                                    O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | truncate, 0600);
    if (fd < 0)
        return -errno;
    int r = has_space(fd, write_job->size)
                ? write_at(fd, write_job->data, write_job->size, write_job->offset)
                : -ENOSPC;
    if (r >= 0 && write_job->is_last && (fsync(fd) < 0 || fsync(store->directory_fd) < 0))
        r = -errno;
    if (r < 0)
        write_mark(fd, write_job->offset, -r);
    return r;
}

static void on_write_run(void *data)
{
    struct output_write *job = data;
    struct output *output = job->output;

    /* Nothing is written behind a gap. */
    job->result = output->lane_error ? output->lane_error : write_log(job);
    output->lane_error = job->result;
    job->has_run = true;
}

static void on_write_done(void *data);

/* Hands the whole buffer to the lane. On failure nothing has changed. */
static int spill(struct output *output, bool is_last)
{
    struct output_write *job = malloc(sizeof(*job));

    if (!job)
        return -ENOMEM;
    *job = (struct output_write){
        .output = output,
        .data = output->buffer,
        .size = output->buffer_size,
        .offset = output->file_size + output->writes_size,
        .is_last = is_last,
    };
    int r = output_submit(output->store, on_write_run, on_write_done, job);
    if (r < 0) {
        free(job);
        return r;
    }
    list_append(&output->writes, &job->link);
    output->writes_size += job->size;
    output->buffer = NULL;
    output->buffer_size = output->buffer_allocated = 0;
    output->has_file = true;
    return 0;
}

static void spill_if_due(struct output *output)
{
    size_t limit = output->store->memory_size > OUTPUT_TOTAL_MAX ? SPILL_MIN : OUTPUT_MEMORY_MAX;

    /* Where the lane is full, the next piece tries again. */
    if (output->buffer_size >= limit && list_is_empty(&output->writes) && !output->size.error)
        (void)spill(output, false);
}

/* --- Keeping --- */

static int reserve(struct output *output, size_t size)
{
    size_t wanted = output->buffer_size + size,
           allocated = MAX(output->buffer_allocated, BUFFER_SIZE_1);

    while (allocated < wanted)
        allocated *= 2;
    if (allocated == output->buffer_allocated)
        return 0;
    uint8_t *buffer = realloc(output->buffer, allocated);
    if (!buffer)
        return -ENOMEM;
    output->buffer = buffer;
    output->buffer_allocated = allocated;
    return 0;
}

/* There is room for it in the buffer. */
static void add_record(struct output *output, enum output_stream stream, uint64_t wall_usec,
                       const void *data, size_t size)
{
    struct writer writer = writer_into(output->buffer + output->buffer_size,
                                       output->buffer_allocated - output->buffer_size);

    writer_u32(&writer, (uint32_t)size);
    writer_u32(&writer, (uint32_t)stream << 24 | OUTPUT_RECORD_MARK);
    writer_u64(&writer, wall_usec);
    writer_bytes(&writer, data, size);
    assert(writer_ok(&writer));
    output->buffer_size += OUTPUT_HEAD_SIZE + size;
    output->store->memory_size += OUTPUT_HEAD_SIZE + size;
    output->overhead += OUTPUT_HEAD_SIZE;
    output->size.kept[stream - 1] += size;
}

/* There is room for the mark in the buffer. */
static void add_cut(struct output *output, uint64_t wall_usec, int error)
{
    size_t size = format_cut(output->buffer + output->buffer_size, wall_usec, error);

    output->buffer_size += size;
    output->store->memory_size += size;
    output->is_cut = true;
}

static void tell_cut(const struct output *output, int error)
{
    const struct output_store *store = output->store;

    if (store->on_cut)
        store->on_cut(&output->key, error, store->on_cut_data);
}

/* How much of the next @size bytes may be kept. */
static size_t allowance(const struct output *output, size_t size)
{
    uint64_t kept = output->size.kept[0] + output->size.kept[1];

    if (output->is_cut || output->size.error ||
        output->overhead >= MAX(output->size_max, OVERHEAD_MIN) ||
        output->buffer_size + output->writes_size > 2 * OUTPUT_PENDING_MAX)
        return 0;
    return (size_t)MIN((uint64_t)size, output->size_max - MIN(kept, output->size_max));
}

int output_append(struct output *output, enum output_stream stream, uint64_t wall_usec,
                  const void *data, size_t size)
{
    const uint8_t *bytes = data;
    size_t kept = allowance(output, size);
    size_t records = (kept + OUTPUT_PIECE_MAX - 1) / OUTPUT_PIECE_MAX;

    assert(stream == OUTPUT_STDOUT || stream == OUTPUT_STDERR);
    if (output->is_sealed)
        return -ESHUTDOWN;
    if (size == 0)
        return 0;
    /* One more for the mark of a cut. */
    int r = reserve(output, kept + records * OUTPUT_HEAD_SIZE + OUTPUT_CUT_SIZE);
    if (r < 0)
        return r;
    for (size_t done = 0; done < kept;) {
        size_t n = MIN(kept - done, OUTPUT_PIECE_MAX);
        add_record(output, stream, wall_usec, bytes + done, n);
        done += n;
    }
    if (kept < size && !output->is_cut) {
        add_cut(output, wall_usec, -output->size.error);
        tell_cut(output, -output->size.error);
    }
    output->size.dropped += size - kept;
    spill_if_due(output);
    output_wake(output);
    return 0;
}

int output_cut(struct output *output, uint64_t wall_usec, int error)
{
    if (output->is_sealed)
        return -ESHUTDOWN;
    if (output->is_cut)
        return 0;
    int r = reserve(output, OUTPUT_CUT_SIZE);
    if (r < 0)
        return r;
    add_cut(output, wall_usec, error);
    tell_cut(output, error);
    spill_if_due(output);
    output_wake(output);
    return 0;
}

/*
 * The file cannot be written: what has not reached it is lost, and a mark in the buffer stands for
 * it. Writes behind the failed one fail the same way when they come back. Who has seen all of that
 * misses nothing yet: the next that is dropped has a mark of its own.
 */
static void give_up(struct output *output, int r)
{
    output->lost_end = output_end(output);
    output->size.error = r;
    output->size.dropped += output->writes_size + output->buffer_size;
    output->store->memory_size -= output->buffer_size;
    output->buffer_size = 0;
    if (reserve(output, OUTPUT_CUT_SIZE) == 0)
        add_cut(output, 0, -r);
    output->lost_next = output_end(output);
    output->is_cut = false;
    tell_cut(output, -r);
}

static void on_write_done(void *data)
{
    struct output_write *job = data;
    struct output *output = job->output;
    size_t room = room_of(output);

    /* The worker is being freed: the last chance to write is now. */
    if (!job->has_run)
        on_write_run(job);
    list_remove(&job->link);
    output->store->memory_size -= job->size;
    if (job->result < 0 && !output->size.error)
        give_up(output, job->result);
    else if (!output->size.error)
        output->file_size += job->size;
    output->writes_size -= job->size;
    free(job->data);
    free(job);
    if (output->is_removed) {
        free_if_unused(output);
        return;
    }
    if (!output->is_sealed)
        spill_if_due(output);
    output_wake(output);
    if (output->is_short && !output->is_sealed && room_of(output) > room) {
        output->is_short = false;
        if (output->on_room)
            output->on_room(output->data);
    }
}

void output_get_size(const struct output *output, struct output_size *ret)
{
    *ret = output->size;
}

/* --- The end --- */

static void on_stored(int r, void *data)
{
    struct output *output = data;

    output->is_storing = false;
    if (r == 0 && !output->is_removed) {
        table_remove(&output->store->outputs, &output->key);
        output->is_removed = true;
    }
    free_if_unused(output);
}

void output_seal(struct output *output)
{
    if (output->is_sealed)
        return;
    output->is_sealed = true;
    output_wake(output);
}

int output_finish(struct output *output, struct state_batch *batch)
{
    if (output->is_storing)
        return -EALREADY;
    /* Behind what could not be written there are marks only, and readers of memory need them. */
    if (output->has_file && !output->has_last && !output->size.error) {
        int r = spill(output, true);
        if (r < 0)
            return r;
        output->has_last = true;
    }
    /* An earlier run under the same key may have left the other kind; the blob is looked for first.
     */
    if (output->has_file)
        state_delete_output(batch, &output->key.origin, output->key.number, output->key.attempt);
    else
        state_put_output(batch, &output->key.origin, output->key.number, output->key.attempt,
                         output->buffer, output->buffer_size);
    output->is_storing = true;
    state_batch_after(batch, on_stored, output);
    output_seal(output);
    return 0;
}

void output_remove(struct output_store *store, const struct output_key *key,
                   struct state_batch *batch)
{
    struct output *output = output_find(store, key);
    /* All of it is in memory, and was never on its way to the disk. */
    const bool is_only_here = output && !output->has_file && !output->is_storing;
    char name[ATTEMPT_NAME_SIZE];

    if (output) {
        table_remove(&store->outputs, &output->key);
        output->is_removed = true;
        free_if_unused(output);
    }
    output_reject(store, key, -ENOENT);
    if (is_only_here)
        return;
    state_delete_output(batch, &key->origin, key->number, key->attempt);
    output_format_name(key, name);
    removal_after(store->state, batch, store->directory_fd, name);
}
