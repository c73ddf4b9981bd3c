/* SPDX-License-Identifier: MIT */
#include "tasks/internal.h"

#include "base/log.h"

/*
 * Output of attempts that run here for other nodes, on its way to them: read from the store by a
 * cursor, so that a broken connection goes on where the origin stopped. The origin's end of it is
 * inflow.c.
 */
#define SENDING_MAX                                                                                \
    ((size_t)1024 * 1024) /* bytes on their way to one origin before reading stops */

static void read_on(struct job *job);

/* No room to the origin, or no memory: what is missing is asked for when there is. */
static void wait_for_query(struct job *job)
{
    job->is_sending = false;
    job->needs_resync = true;
}

/* Sends what the origin does not have of one piece. */
static void send_piece(struct job *job, const struct output_piece *piece)
{
    if (piece->stream == OUTPUT_CUT) {
        if (wire_send_cut(job, piece->wall_usec, output_cut_error(piece)) < 0)
            wait_for_query(job);
        return;
    }
    if (piece->size == 0)
        return;
    size_t stream = piece->stream - OUTPUT_STDOUT;
    uint64_t offset = job->sent[stream];
    uint64_t known = CLAMP(job->skip[stream], offset, offset + piece->size);

    job->sent[stream] += piece->size;
    if (known == offset + piece->size)
        return;
    struct output_piece rest = *piece;
    rest.data += known - offset;
    rest.size -= (size_t)(known - offset);
    job->under_way += rest.size;
    if (wire_send_output(job, &rest, known) < 0)
        wait_for_query(job);
}

/*
 * The log cannot be read. Where it is damaged, what was sent is all that there is, and the origin
 * is to know that it is not all that there was; where only something is short, it is to ask again,
 * when there is room or with the next report.
 */
static void give_up(struct job *job, int r)
{
    bool is_short = r == -EBUSY || r == -EAGAIN || r == -ENOMEM;

    log_debug_errno(r, "Cannot read the output of a task of another node: %m");
    if (is_short || wire_send_cut(job, tasks_wall(job->tasks), EIO) < 0)
        wait_for_query(job);
    else
        job->is_all_sent = true;
}

static void on_chunk(int r, const struct output_chunk *chunk, void *data)
{
    struct job *job = data;
    struct tasks *tasks = job->tasks;

    job->read = NULL;
    if (r < 0) {
        if (r == -ECANCELED)
            return;
        give_up(job, r);
    } else {
        for (size_t i = 0; i < chunk->count && job->is_sending; i++)
            send_piece(job, &chunk->pieces[i]);
        job->cursor = chunk->next;
        job->is_all_sent = job->is_sending && chunk->is_end;
    }
    if (!job->is_all_sent && job->is_sending)
        read_on(job);
    else if (job->is_all_sent && job->attempt->state == SLOTS_ENDED)
        wire_send_ended(tasks, job->attempt);
    tasks_pump(tasks);
}

/* The next piece, unless the origin or the way to it is behind: then outflow_take_got() or
 * outflow_go_on() comes here again. */
static void read_on(struct job *job)
{
    struct output_key key = worker_output_key(job->tasks, &job->attempt->key);
    struct output_query query = {.cursor = job->cursor,
                                 .streams = {[OUTPUT_STDOUT] = true, [OUTPUT_STDERR] = true},
                                 .is_following = true};

    if (job->read || job->under_way >= INFLOW_WINDOW ||
        peers_pending(job->tasks->peers, &job->attempt->key.origin) > SENDING_MAX)
        return;
    int r = output_read(job->tasks->outputs, &key, &query, on_chunk, job, &job->read);
    if (r < 0 && r != -ECANCELED)
        give_up(job, r);
}

void outflow_start(struct job *job, const uint64_t have[static 2])
{
    if (job->read) {
        output_cancel(job->read);
        job->read = NULL;
    }
    job->cursor = 0;
    job->sent[0] = job->sent[1] = 0;
    job->under_way = 0;
    job->needs_resync = false;
    job->skip[0] = have[0];
    job->skip[1] = have[1];
    job->is_sending = true;
    job->is_all_sent = false;
    read_on(job);
}

void outflow_end(struct job *job)
{
    if (!job->read || !output_is_waiting(job->read))
        return;
    output_cancel(TAKE_PTR(job->read));
    job->is_all_sent = true;
}

void outflow_take_got(struct job *job, uint64_t size)
{
    job->under_way -= (size_t)MIN(size, (uint64_t)job->under_way);
    if (job->is_sending && !job->is_all_sent)
        read_on(job);
}

/* The jobs of one origin: @i begins at 0. Return: the next, or NULL. */
static struct job *next_of(const struct tasks *tasks, const struct node_id *origin, size_t *i)
{
    struct slots_attempt *attempt;

    while ((attempt = slots_next(tasks->slots, i)))
        if (attempt->userdata && node_id_is_equal(&attempt->key.origin, origin))
            return attempt->userdata;
    return NULL;
}

void outflow_go_on(struct tasks *tasks, const struct node_id *origin)
{
    struct job *job;
    size_t i = 0;

    while ((job = next_of(tasks, origin, &i))) {
        bool needs_resync = job->needs_resync;
        job->needs_resync = false;
        if (needs_resync)
            wire_send_resync(job);
        else if (job->is_sending && !job->is_all_sent)
            read_on(job);
    }
}

/* The connection is gone: what was sent may not have arrived. The origin asks again. */
void outflow_stop(struct tasks *tasks, const struct node_id *origin)
{
    struct job *job;
    size_t i = 0;

    while ((job = next_of(tasks, origin, &i))) {
        if (job->read) {
            output_cancel(job->read);
            job->read = NULL;
        }
        job->is_sending = job->is_all_sent = false;
    }
}
