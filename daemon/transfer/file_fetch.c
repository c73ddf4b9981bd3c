/* SPDX-License-Identifier: MIT */
#include "transfer/file_fetch.h"

#include <string.h>
#include "net/frame.h"
#include "store/batch.h"
#include "store/hasher.h"
#include "transfer/file_content.h"
#include "transfer/file_fd.h"
#include "transfer/file_pack.h"
#include "transfer/refusal.h"

#define ITEM_MAX    ((size_t)TRANSFERS_ITEM_MAX)
#define FULL_SIZE   ((size_t)256 * 1024) /* of an answer: then it goes */
#define BUFFER_SIZE (FULL_SIZE + FILE_WIRE_HEAD_MAX + ITEM_MAX)

/* --- Stored files --- */

struct stored {
    int fd; /* owned */
    struct files_info info;
};

/* Return: 0; -EFBIG for one that is not small, or not in @room; as files_open_read. */
static int open_small(struct files *files, const char *name, uint64_t room, struct stored *ret)
{
    int r = files_open_read(files, name, &ret->fd, &ret->info);

    if (r < 0)
        return r;
    if (ret->info.size <= MIN(TRANSFERS_ITEM_MAX, room))
        return 0;
    ret->fd = close_fd(ret->fd);
    return -EFBIG;
}

/* All of it, and closes it. Return: 0; -EMSGSIZE where there is less; -EIO. */
static int read_small(struct stored *stored, uint8_t *target)
{
    ssize_t got = 1;
    size_t done = 0, size = (size_t)stored->info.size;

    for (; done < size && got > 0; done += (size_t)MAX(got, (ssize_t)0))
        got = pread(stored->fd, target + done, size - done, (off_t)done);
    stored->fd = close_fd(stored->fd);
    return got < 0 ? -EIO : done < size ? -EMSGSIZE : 0;
}

static const char *explain(int r, const char *name, char target[static FILE_WIRE_REASON_MAX])
{
    return r == -EFBIG ? "it is too large to come with others"
                       : refusal_explain(r, name, &(struct upload_refusal){0}, target);
}

/* --- Asking --- */

#define PIECES_MAX 64 /* that are written at once */

/* What of the list is on its way. */
struct pass {
    struct file_job *job;
    struct iovec pieces[PIECES_MAX]; /* of the buffer, which are to be written */
    size_t pieces_count;
    struct hasher *hasher; /* owned */
    uint8_t *buffer;       /* owned: of FILE_WIRE_PACK_MAX */
    size_t first;          /* of those that are asked for */
    size_t next;           /* to be answered */
    size_t end;            /* behind those that are asked for */
};

static int write_pieces(struct pass *pass)
{
    int r = file_fd_write_pieces(pass->job, pass->pieces, pass->pieces_count);

    pass->pieces_count = 0;
    return r < 0 ? file_job_fail(pass->job, r, "cannot write the contents") : 0;
}

/* One that has come; write_pieces() follows while @data is there. Return: 0, or as file_job_fail.
 */
static int take_content(struct pass *pass, struct transfer_item *item,
                        const struct files_info *info, uint8_t *data)
{
    struct file_job *job = pass->job;
    char reason[FILE_WIRE_REASON_MAX];
    int r = hasher_once(pass->hasher, data, (size_t)info->size, item->sha256);

    if (r < 0)
        return file_job_fail(job, r, "cannot hash");
    /* A disk may have changed it since it was stored. */
    if (info->has_sha256 && memcmp(item->sha256, info->sha256, FILES_HASH_SIZE) != 0) {
        r = file_job_is_exact(job) ? -ESTALE : -EBADMSG;
        transfer_item_settle(item, r, explain(r, item->name, reason));
        return 0;
    }
    free(item->owner);
    item->owner = strdup(info->owner);
    if (!item->owner)
        return file_job_fail(job, -ENOMEM, "cannot transfer");
    item->size = info->size;
    item->modified_wall_usec = info->modified_wall_usec;
    item->is_executable = info->is_executable;
    item->mode = info->mode;
    transfer_item_settle(item, 0, NULL);
    pass->pieces[pass->pieces_count++] = (struct iovec){data, (size_t)info->size};
    atomic_fetch_add(&job->done, info->size);
    return pass->pieces_count == PIECES_MAX ? write_pieces(pass) : 0;
}

static int get_all_here(struct pass *pass)
{
    struct file_job *job = pass->job;
    uint64_t room = BATCH_BYTES_MAX;
    int q = 0;

    for (size_t i = 0; q >= 0 && i < job->count; i++) {
        struct transfer_item *item = &job->list[i];
        struct stored stored = {.fd = -EBADF};
        char reason[FILE_WIRE_REASON_MAX];
        if (file_job_is_cancelled(job))
            return file_job_fail(job, -ECANCELED, "cannot write the contents");
        int r = open_small(job->files, item->name, room, &stored);
        if (r == 0)
            r = read_small(&stored, pass->buffer);
        if (r == 0) {
            room -= stored.info.size;
            q = take_content(pass, item, &stored.info, pass->buffer);
            if (q >= 0)
                q = write_pieces(pass);
        } else {
            transfer_item_settle(item, r, explain(r, item->name, reason));
        }
    }
    return q;
}

/* Asks for as many as one frame takes. */
static int send_names(struct pass *pass)
{
    struct file_job *job = pass->job;
    struct writer writer = writer_into(pass->buffer, FILE_WIRE_PACK_MAX);

    pass->first = pass->next;
    for (pass->end = pass->first; pass->end < job->count; pass->end++) {
        const char *name = job->list[pass->end].name;
        if (writer_left(&writer) < strlen(name) + 1)
            break;
        writer_string8(&writer, name);
    }
    _cleanup_json_ cJSON *frame = file_wire_fetch(pass->end - pass->first);
    int r = frame ? frame_send(job->conn, frame, writer.position, content_deadline(job)) : -ENOMEM;
    return r < 0 ? r : content_send_body(job, pass->buffer, writer.position);
}

static int take_refused(size_t i, int r, const char *reason,
                        const struct upload_refusal *refusal _unused_, void *data)
{
    const struct pass *pass = data;
    struct transfer_item *item = &pass->job->list[pass->next + i];
    char text[FILE_WIRE_REASON_MAX];

    transfer_item_settle(item, r, reason ? reason : explain(r, item->name, text));
    return r < 0 ? 0 : -EBADMSG;
}

/* The files of one body. Return: 0, -EBADMSG, or as file_job_fail. */
static int take_body(struct pass *pass, size_t count, const cJSON *answer, size_t size)
{
    struct file_job *job = pass->job;
    struct reader reader = reader_from(pass->buffer, size);
    size_t coming = 0, come = 0;
    const char *modes;

    for (size_t i = pass->next; i < pass->next + count; i++)
        coming += job->list[i].r >= 0;
    if (file_wire_read_modes(answer, coming, &modes) < 0)
        return -EBADMSG;
    for (size_t i = pass->next; i < pass->next + count; i++) {
        struct files_info info = {0};
        if (job->list[i].r < 0)
            continue;
        info.mode = file_wire_get_mode(modes, come++);
        if (!file_wire_read_head(&reader, &info) || info.size > TRANSFERS_ITEM_MAX)
            return -EBADMSG;
        size_t at = reader.position;
        int r = reader_bytes(&reader, (size_t)info.size)
                    ? take_content(pass, &job->list[i], &info, pass->buffer + at)
                    : -EBADMSG;
        if (r < 0)
            return r;
    }
    return reader_done(&reader) ? write_pieces(pass) : -EBADMSG;
}

/* One answer: what became of the next ones. */
static int receive_some(struct pass *pass)
{
    struct file_job *job = pass->job;
    _cleanup_json_ cJSON *answer = NULL;
    size_t size, count = 0;
    bool is_last;
    int r = content_receive_answer(job, CONTENT_FIRST_ANSWER, &answer, &size);

    if (r < 0)
        return file_job_fail_connection(job, r);
    if (!file_wire_is(answer, "fetched"))
        return file_job_take_refusal(job, answer);
    for (size_t i = pass->next; i < pass->end; i++)
        job->list[i].r = 0;
    r = file_wire_read_fetched(answer, pass->end - pass->next, &count, &is_last, take_refused,
                               pass);
    if (r >= 0) {
        r = content_receive_body(job, pass->buffer, size);
        if (r < 0)
            return file_job_fail_connection(job, r);
        r = take_body(pass, count, answer, size);
    }
    pass->next += count;
    if (r == -EBADMSG)
        return file_job_fail(job, r, "the other node broke the protocol");
    return r;
}

static int get_all_there(struct pass *pass)
{
    struct file_job *job = pass->job;
    int r = 0;

    while (r >= 0 && pass->next < job->count) {
        int q = send_names(pass);
        if (q == -ETIMEDOUT)
            return file_job_fail_connection(job, q);
        /* Where sending failed the other node may have said why before it closed. */
        do
            r = receive_some(pass);
        while (r >= 0 && pass->next < pass->end);
        if (q < 0 && r >= 0)
            r = file_job_fail_connection(job, q);
    }
    return r;
}

void file_fetch_get(struct file_job *job)
{
    _cleanup_free_ uint8_t *buffer = malloc(FILE_WIRE_PACK_MAX);
    _cleanup_(hasher_freep) struct hasher *hasher = NULL;
    struct pass pass = {.job = job, .buffer = buffer};
    int r = buffer ? hasher_new(&hasher) : -ENOMEM;

    for (size_t i = 0; i < job->count; i++)
        job->list[i].r = -ECANCELED;
    if (r < 0) {
        (void)file_job_fail(job, r, "cannot transfer");
        return;
    }
    pass.hasher = hasher;
    r = job->conn ? get_all_there(&pass) : get_all_here(&pass);
    job->is_reusable = r >= 0;
}

/* --- Serving --- */

/* An answer that is being filled. */
struct answer {
    struct file_job *job;
    uint8_t *buffer; /* borrowed: of BUFFER_SIZE */
    cJSON *frame;    /* owned */
    size_t used;
    size_t count;
    char *modes; /* borrowed: of those that come */
    size_t coming;
};

static int send_answer(struct answer *answer, bool is_last)
{
    struct file_job *job = answer->job;

    answer->modes[answer->coming * FILE_WIRE_MODE_SIZE] = '\0';
    json_add_string(answer->frame, "modes", answer->modes);
    file_wire_end_fetched(answer->frame, answer->count, is_last);
    int r = answer->frame
                ? frame_send(job->conn, answer->frame, answer->used, content_deadline(job))
                : -ENOMEM;
    if (r >= 0)
        r = content_send_body(job, answer->buffer, answer->used);
    cJSON_Delete(answer->frame);
    answer->frame = file_wire_fetched();
    answer->used = answer->count = answer->coming = 0;
    return r;
}

/* Return: bytes of its content; or why it does not come. */
static int64_t add_content(struct answer *answer, const char *name, uint64_t room)
{
    struct stored stored = {.fd = -EBADF};
    struct writer writer = writer_into(answer->buffer + answer->used, FILE_WIRE_HEAD_MAX);
    int r = open_small(answer->job->files, name, room, &stored);

    if (r < 0)
        return r;
    file_wire_write_head(&writer, &stored.info);
    r = read_small(&stored, answer->buffer + answer->used + writer.position);
    if (r < 0)
        return r;
    answer->used += writer.position + (size_t)stored.info.size;
    file_wire_write_mode(answer->modes + answer->coming++ * FILE_WIRE_MODE_SIZE, stored.info.mode);
    return (int64_t)stored.info.size;
}

static int answer_all(struct answer *answer, struct reader *names, size_t count)
{
    uint64_t room = BATCH_BYTES_MAX;
    int r = 0;

    for (size_t i = 0; r >= 0 && i < count; i++) {
        char name[FILES_NAME_MAX + 1], reason[FILE_WIRE_REASON_MAX];
        reader_string8(names, name, sizeof(name));
        int64_t size = add_content(answer, name, room);
        if (size < 0) {
            file_job_note_refused(answer->job, (int)size, name);
            file_wire_add_result(answer->frame, answer->count, (int)size,
                                 explain((int)size, name, reason), NULL);
        } else {
            room -= (uint64_t)size;
        }
        answer->count++;
        if (file_job_is_cancelled(answer->job))
            r = -ECANCELED;
        else if (answer->used >= FULL_SIZE || i + 1 == count)
            r = send_answer(answer, i + 1 == count);
    }
    return r;
}

static bool are_names(struct reader reader, size_t count)
{
    char name[FILES_NAME_MAX + 1];

    for (size_t i = 0; i < count; i++)
        reader_string8(&reader, name, sizeof(name));
    return reader_done(&reader);
}

int file_fetch_serve(struct file_job *job, const cJSON *frame, size_t size)
{
    _cleanup_free_ uint8_t *body = malloc(size + 1), *buffer = malloc(BUFFER_SIZE);
    _cleanup_free_ char *modes = malloc(BATCH_FILES_MAX * FILE_WIRE_MODE_SIZE + 1);
    struct answer answer = {.job = job, .buffer = buffer, .modes = modes};
    size_t count;
    int r = file_wire_read_fetch(frame, &count);

    if (r >= 0)
        r = body && buffer && modes ? content_receive_body(job, body, size) : -ENOMEM;
    if (r < 0)
        return r;
    struct reader names = reader_from(body, size);
    if (!are_names(names, count))
        return -EBADMSG;
    answer.frame = file_wire_fetched();
    r = answer_all(&answer, &names, count);
    cJSON_Delete(answer.frame);
    return r;
}
