/* SPDX-License-Identifier: MIT */
#include "transfer/file_pack.h"

#include <stdio.h>
#include <string.h>
#include "net/frame.h"
#include "store/batch.h"
#include "transfer/file_content.h"
#include "transfer/file_fd.h"
#include "transfer/refusal.h"

void transfer_list_free(struct transfer_item *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(list[i].name);
        free(list[i].owner);
        free(list[i].reason);
    }
    free(list);
}

void transfer_item_settle(struct transfer_item *item, int r, const char *reason)
{
    item->r = r;
    free(item->reason);
    item->reason = r < 0 ? strdup(reason ? reason : strerror(-r)) : NULL;
}

static void explain(struct transfer_item *item, int r, const struct upload_refusal *refusal)
{
    char reason[FILE_WIRE_REASON_MAX];

    transfer_item_settle(item, r, r < 0 ? refusal_explain(r, item->name, refusal, reason) : NULL);
}

/* --- Asking --- */

#define FULL_SIZE   ((size_t)256 * 1024) /* of a pack with more than one file */
#define BUFFER_SIZE (FULL_SIZE + (size_t)TRANSFERS_ITEM_MAX)

/* What of the list is on its way. */
struct pass {
    struct file_job *job;
    uint8_t *buffer; /* of BUFFER_SIZE */
    off_t offset;    /* in the source, of what comes next */
    size_t first;    /* of the batch */
    size_t next;     /* to be read */
};

/* How many files after pass->next go into one pack, as far as the batch has room. One always fits.
 */
static size_t count_fitting(const struct pass *pass, uint64_t batch_bytes, size_t *ret_table,
                            size_t *ret_content)
{
    const struct file_job *job = pass->job;
    size_t i = pass->next, table = 0, content = 0;

    for (; i < job->count && i - pass->first < BATCH_FILES_MAX; i++) {
        size_t row = FILE_WIRE_ROW_SIZE(job->list[i].name), size = (size_t)job->list[i].size;
        if ((i > pass->next && table + row + content + size > FULL_SIZE) ||
            batch_bytes + content + size > BATCH_BYTES_MAX)
            break;
        table += row;
        content += size;
    }
    *ret_table = table;
    *ret_content = content;
    return i - pass->next;
}

static int read_content(struct pass *pass, uint8_t *target, size_t size)
{
    while (size > 0) {
        ssize_t got = pread(pass->job->fd, target, size, pass->offset);
        if (got <= 0)
            return file_job_fail(pass->job, got < 0 ? file_fd_errno() : -EMSGSIZE,
                                 "cannot read the contents");
        target += got;
        size -= (size_t)got;
        pass->offset += got;
    }
    return file_job_is_cancelled(pass->job) ? -ECANCELED : 0;
}

static int send_pack(struct pass *pass, size_t count, size_t table, size_t content, bool is_last)
{
    struct file_job *job = pass->job;
    struct writer writer = writer_into(pass->buffer, table);
    _cleanup_free_ char *modes = calloc(count + 1, FILE_WIRE_MODE_SIZE);

    for (size_t i = 0; modes && i < count; i++)
        file_wire_write_mode(modes + i * FILE_WIRE_MODE_SIZE, job->list[pass->next + i].mode);
    _cleanup_json_ cJSON *frame =
        file_wire_pack(&(struct file_wire_pack){.owner = job->owner,
                                                .overwrite = job->offer.overwrite,
                                                .count = count,
                                                .modes = modes,
                                                .is_last = is_last});

    for (size_t i = pass->next; i < pass->next + count; i++) {
        const struct transfer_item *item = &job->list[i];
        file_wire_write_row(&writer, item->name, (uint32_t)item->size, item->modified_wall_usec,
                            item->is_executable);
    }
    int r = read_content(pass, pass->buffer + table, content);
    if (r >= 0)
        r = frame ? frame_send(job->conn, frame, table + content, content_deadline(job)) : -ENOMEM;
    if (r >= 0)
        r = content_send_body(job, pass->buffer, table + content);
    pass->next += count;
    atomic_fetch_add(&job->done, content);
    return r;
}

static int take_result(size_t i, int r, const char *reason, const struct upload_refusal *refusal,
                       void *data)
{
    const struct pass *pass = data;
    struct transfer_item *item = &pass->job->list[pass->first + i];

    struct upload_refusal numbers = *refusal;

    /* Of very many the other node says only what it is. */
    numbers.size = item->size;
    if (r < 0 && !reason)
        explain(item, r, &numbers);
    else
        transfer_item_settle(item, r, reason);
    return 0;
}

static int receive_results(struct pass *pass)
{
    struct file_job *job = pass->job;
    _cleanup_json_ cJSON *answer = NULL;
    size_t count = pass->next - pass->first, size;
    int r = content_receive_answer(job, CONTENT_LAST_ANSWER, &answer, &size);

    if (r < 0)
        return file_job_fail_connection(job, r);
    if (!file_wire_is(answer, "packed"))
        return file_job_take_refusal(job, answer);
    /* What is not named there is stored. */
    for (size_t i = pass->first; i < pass->next; i++)
        transfer_item_settle(&job->list[i], 0, NULL);
    r = file_wire_read_packed(answer, count, take_result, pass);
    if (r >= 0 && size != count * FILES_HASH_SIZE)
        r = -EBADMSG;
    if (r < 0)
        return file_job_fail(job, r, "the other node broke the protocol");
    r = content_receive_body(job, pass->buffer, size);
    if (r < 0)
        return file_job_fail_connection(job, r);
    for (size_t i = 0; i < count; i++)
        memcpy(job->list[pass->first + i].sha256, pass->buffer + i * FILES_HASH_SIZE,
               FILES_HASH_SIZE);
    return 0;
}

/* One batch: its packs, and their one answer. */
static int put_batch_there(struct pass *pass)
{
    uint64_t bytes = 0;
    bool is_last = false;
    int r = 0;

    pass->first = pass->next;
    while (r >= 0 && !is_last) {
        struct pass after = *pass;
        size_t table, content, next_table, next_content;
        size_t count = count_fitting(pass, bytes, &table, &content);
        bytes += content;
        after.next += count;
        is_last = count_fitting(&after, bytes, &next_table, &next_content) == 0;
        r = send_pack(pass, count, table, content, is_last);
    }
    if (pass->job->end.r < 0)
        return pass->job->end.r;
    if (r == -ECANCELED)
        return file_job_fail(pass->job, r, "cannot send the contents");
    if (r == -ETIMEDOUT)
        return file_job_fail_connection(pass->job, r);
    /* Where sending failed the other node may have said why before it closed. */
    int q = receive_results(pass);
    return r < 0 && q >= 0 ? file_job_fail_connection(pass->job, r) : q;
}

static void collect(struct pass *pass, struct batch *batch)
{
    for (size_t i = 0; i < batch_count(batch); i++) {
        struct transfer_item *item = &pass->job->list[pass->first + i];
        struct batch_result result;
        batch_get_result(batch, i, &result);
        explain(item, result.r, &result.refusal);
        memcpy(item->sha256, result.sha256, sizeof(item->sha256));
    }
    pass->first = pass->next;
    batch_clear(batch);
}

static int put_all_here(struct pass *pass)
{
    struct file_job *job = pass->job;
    _cleanup_(batch_freep) struct batch *batch = NULL;
    int r = batch_new(job->files, job->owner, job->offer.overwrite, &batch);

    while (r >= 0 && pass->next < job->count) {
        const struct transfer_item *item = &job->list[pass->next];
        r = read_content(pass, pass->buffer, (size_t)item->size);
        if (r < 0)
            return job->end.r < 0 ? r : file_job_fail(job, r, "cannot store the contents");
        const struct batch_file file = {.name = item->name,
                                        .modified_wall_usec = item->modified_wall_usec,
                                        .is_executable = item->is_executable,
                                        .mode = item->mode};
        r = batch_add(batch, &file, pass->buffer, (size_t)item->size);
        if (r == -ENOSPC) {
            batch_commit(batch);
            collect(pass, batch);
            r = batch_add(batch, &file, pass->buffer, (size_t)item->size);
        }
        pass->next++;
        atomic_fetch_add(&job->done, item->size);
    }
    if (r < 0)
        return file_job_fail(job, r, "cannot store the contents");
    batch_commit(batch);
    collect(pass, batch);
    return 0;
}

void file_pack_put(struct file_job *job)
{
    _cleanup_free_ uint8_t *buffer = malloc(BUFFER_SIZE);
    struct pass pass = {.job = job, .buffer = buffer};
    int r = buffer ? 0 : file_job_fail(job, -ENOMEM, "cannot transfer");

    for (size_t i = 0; i < job->count; i++)
        job->list[i].r = -ECANCELED;
    if (r >= 0 && !job->conn)
        r = put_all_here(&pass);
    while (r >= 0 && job->conn && pass.next < job->count)
        r = put_batch_there(&pass);
    job->is_reusable = r >= 0;
}

/* --- Serving --- */

static int answer(struct file_job *job, struct batch *batch)
{
    size_t count = batch_count(batch);
    _cleanup_json_ cJSON *frame = file_wire_packed(count);
    _cleanup_free_ uint8_t *hashes = calloc(count + 1, FILES_HASH_SIZE);

    if (!frame || !hashes)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        char reason[FILE_WIRE_REASON_MAX];
        struct batch_result result;
        batch_get_result(batch, i, &result);
        if (result.r == 0) {
            memcpy(hashes + i * FILES_HASH_SIZE, result.sha256, FILES_HASH_SIZE);
            file_job_note_stored(job, result.name, job->owner, result.size);
        } else {
            file_wire_add_result(
                frame, i, result.r,
                result.r < 0 ? refusal_explain(result.r, result.name, &result.refusal, reason)
                             : NULL,
                &result.refusal);
        }
    }
    int r = frame_send(job->conn, frame, count * FILES_HASH_SIZE, content_deadline(job));
    return r < 0 ? r : content_send_body(job, hashes, count * FILES_HASH_SIZE);
}

/* The files of one body. Return: 0, -EBADMSG, or as batch_add. */
static int add_files(struct batch *batch, const struct file_wire_pack *pack, const uint8_t *body,
                     size_t size)
{
    size_t count = pack->count;
    struct reader table = reader_from(body, size), contents = table;
    struct file_wire_row row;

    for (size_t i = 0; i < count; i++)
        if (!file_wire_read_row(&contents, &row))
            return -EBADMSG;
    for (size_t i = 0; i < count; i++) {
        if (!file_wire_read_row(&table, &row) || row.size > TRANSFERS_ITEM_MAX)
            return -EBADMSG;
        const uint8_t *data = reader_bytes(&contents, row.size);
        if (!data)
            return -EBADMSG;
        const struct batch_file file = {.name = row.name,
                                        .modified_wall_usec = row.modified_wall_usec,
                                        .is_executable = row.is_executable,
                                        .mode = file_wire_get_mode(pack->modes, i)};
        int r = batch_add(batch, &file, data, row.size);
        if (r < 0)
            return r;
    }
    return reader_done(&contents) ? 0 : -EBADMSG;
}

int file_pack_serve(struct file_job *job, const cJSON *frame, size_t size, struct batch **batch)
{
    _cleanup_free_ uint8_t *body = malloc(size + 1);
    struct file_wire_pack pack;
    int r = file_wire_read_pack(frame, &pack);

    if (r >= 0 && !*batch)
        r = batch_new(job->files, pack.owner, pack.overwrite, batch);
    if (r >= 0 && !job->owner && !(job->owner = strdup(pack.owner)))
        r = -ENOMEM;
    if (r >= 0)
        r = body ? content_receive_body(job, body, size) : -ENOMEM;
    if (r >= 0)
        r = add_files(*batch, &pack, body, size);
    if (r < 0 || !pack.is_last)
        return r;
    content_begin_work(job);
    batch_commit(*batch);
    content_end_work(job);
    r = answer(job, *batch);
    *batch = batch_free(*batch);
    free(job->owner);
    job->owner = NULL;
    return r;
}
