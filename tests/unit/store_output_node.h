/* SPDX-License-Identifier: MIT */
#pragma once

/* A node with task output, for tests: what is appended, finished, stored, and read again. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "store/output.h"
#include "store_fault.h"

#define SIZE_MAX_HERE ((uint64_t)1024 * 1024)
#define WALL          (UINT64_C(1795244870) * 1000000)

struct node {
    char *directory;
    struct worker *worker;
    struct state *state;
    struct output_store *store;
};

static const struct output_key key = {.number = 42, .attempt = 1};

_unused_ static void node_open(struct node *node)
{
    char message[STATE_MESSAGE_MAX];

    assert_int_equal(worker_new(1, 2000, &node->worker), 0);
    assert_int_equal(state_open(node->directory, node->worker, 1, message, &node->state), 0);
    assert_int_equal(output_store_new(node->directory, node->state, node->worker, &node->store), 0);
}

_unused_ static void node_close(struct node *node)
{
    node->worker = worker_free(node->worker);
    node->state = state_free(node->state);
    node->store = output_store_free(node->store);
}

_unused_ static void node_reopen(struct node *node)
{
    node_close(node);
    node_open(node);
}

_unused_ static int node_setup(void **state)
{
    struct node *node = calloc(1, sizeof(*node));

    node->directory = directory_new();
    node_open(node);
    *state = node;
    return 0;
}

_unused_ static int node_teardown(void **state)
{
    struct node *node = *state;

    fault_disarm();
    node_close(node);
    directory_free(node->directory);
    free(node);
    return 0;
}

_unused_ static struct output *new_output(struct node *node, uint64_t size_max)
{
    struct output *output = NULL;

    assert_int_equal(output_new(node->store, &key, size_max, NULL, NULL, &output), 0);
    return output;
}

_unused_ static void append(struct output *output, enum output_stream stream, const char *text)
{
    assert_int_equal(output_append(output, stream, WALL, text, strlen(text)), 0);
}

struct outcome {
    bool is_done;
    int result;
};

_unused_ static void on_outcome(int r, void *data)
{
    *(struct outcome *)data = (struct outcome){true, r};
}

_unused_ static int commit(struct node *node, struct state_batch *batch)
{
    struct outcome outcome = {0};

    state_batch_after(batch, on_outcome, &outcome);
    assert_int_equal(state_commit(node->state, &batch), 0);
    assert_true(worker_wait(node->worker, &outcome.is_done));
    return outcome.result;
}

_unused_ static struct state_batch *new_batch(void)
{
    struct state_batch *batch = NULL;

    assert_int_equal(state_batch_new(&batch), 0);
    return batch;
}

_unused_ static int finish(struct node *node, struct output *output)
{
    struct state_batch *batch = new_batch();

    assert_int_equal(output_finish(output, batch), 0);
    return commit(node, batch);
}

/* What one or more reads gave: the bytes, and a word for what else there was. */
struct answer {
    bool is_done;
    int result;
    uint64_t next;
    bool is_end;
    size_t size;
    size_t cuts;
    size_t pieces;
    uint64_t wall_usec;
    char *bytes; /* owned */
};

_unused_ static void answer_done(struct answer *answer)
{
    free(answer->bytes);
}
#define _cleanup_answer_ __attribute__((cleanup(answer_done)))

_unused_ static void on_chunk(int r, const struct output_chunk *chunk, void *data)
{
    struct answer *answer = data;

    answer->is_done = true;
    answer->result = r;
    if (r < 0)
        return;
    answer->next = chunk->next;
    answer->is_end = chunk->is_end;
    for (size_t i = 0; i < chunk->count; i++) {
        const struct output_piece *piece = &chunk->pieces[i];
        answer->cuts += piece->stream == OUTPUT_CUT;
        answer->bytes = realloc(answer->bytes, answer->size + piece->size + 1);
        memcpy(answer->bytes + answer->size, piece->data, piece->size);
        answer->size += piece->size;
        answer->bytes[answer->size] = '\0';
        answer->pieces++;
        answer->wall_usec = piece->wall_usec;
    }
}

_unused_ static struct output_query query_from(uint64_t cursor)
{
    return (struct output_query){.cursor = cursor,
                                 .streams = {[OUTPUT_STDOUT] = true, [OUTPUT_STDERR] = true}};
}

_unused_ static int read_once(struct node *node, struct output_query query, struct answer *answer)
{
    answer->is_done = false;
    assert_int_equal(output_read(node->store, &key, &query, on_chunk, answer, NULL), 0);
    assert_false(answer->is_done);
    assert_true(worker_wait(node->worker, &answer->is_done));
    return answer->result;
}

_unused_ static void do_nothing(void *data _unused_)
{
}

_unused_ static void on_settled(void *data)
{
    *(bool *)data = true;
}

/* What the lane has been asked for is done. */
_unused_ static void wait_for_lane(struct node *node)
{
    bool is_done = false;

    assert_int_equal(worker_submit(node->worker, WORKER_COMMITS, do_nothing, on_settled, &is_done),
                     0);
    assert_true(worker_wait(node->worker, &is_done));
}

/* Reads on until the log has no more for now. */
_unused_ static void read_all(struct node *node, struct answer *answer)
{
    uint64_t cursor;

    *answer = (struct answer){0};
    do {
        cursor = answer->next;
        assert_int_equal(read_once(node, query_from(cursor), answer), 0);
    } while (!answer->is_end && answer->next > cursor);
}

_unused_ static char *make_text(size_t size)
{
    char *text = malloc(size + 1);

    for (size_t i = 0; i < size; i++)
        text[i] = (char)('a' + (i * 7 + i / 1000) % 26);
    text[size] = '\0';
    return text;
}

_unused_ static bool has_file(const struct node *node, const char *name)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/tasks/%s", node->directory, name);
    return access(path, F_OK) == 0;
}
