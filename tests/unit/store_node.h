/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A node's state database for tests: made in a directory of its own, opened and started, closed and
 * opened again, and a commit that waits for its outcome.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "store/state.h"
#include "store_fault.h"

#define EVENTS_MAX 5
#define WALL_USEC  (UINT64_C(1795244870) * 1000000)

struct node {
    char *directory;
    struct worker *worker;
    struct state *state;
    struct state_start start;
    char message[STATE_MESSAGE_MAX];
};

_unused_ static int try_open(struct node *node)
{
    assert_int_equal(worker_new(1, 64, &node->worker), 0);
    return state_open(node->directory, node->worker, EVENTS_MAX, node->message, &node->state);
}

_unused_ static void node_open(struct node *node)
{
    assert_int_equal(try_open(node), 0);
    assert_int_equal(state_start(node->state, WALL_USEC, &node->start), 0);
}

_unused_ static void node_close(struct node *node)
{
    node->worker = worker_free(node->worker);
    node->state = state_free(node->state);
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

struct outcome {
    bool is_done;
    int result;
    int *order; /* counts up over several outcomes */
    int place;
};

_unused_ static void on_outcome(int r, void *data)
{
    struct outcome *outcome = data;

    outcome->is_done = true;
    outcome->result = r;
    if (outcome->order)
        outcome->place = ++*outcome->order;
}

_unused_ static struct state_batch *new_batch(void)
{
    struct state_batch *batch = NULL;

    assert_int_equal(state_batch_new(&batch), 0);
    return batch;
}

_unused_ static int commit_and_wait(struct node *node, struct state_batch *batch)
{
    struct outcome outcome = {0};

    state_batch_after(batch, on_outcome, &outcome);
    assert_int_equal(state_commit(node->state, &batch), 0);
    assert_null(batch);
    assert_true(worker_wait(node->worker, &outcome.is_done));
    return outcome.result;
}

_unused_ static void put_task(struct state_batch *batch, uint64_t number, const char *state,
                              uint64_t ended)
{
    struct state_task task = {number, state, ended, "{\"type\":\"a\"}", ""};

    state_put_task(batch, &task);
}

_unused_ static int put_one_task(struct node *node, uint64_t number)
{
    struct state_batch *batch = new_batch();

    put_task(batch, number, "pending", 0);
    return commit_and_wait(node, batch);
}

_unused_ static int append_number(const struct state_task *task, void *data)
{
    char *text = data;

    snprintf(text + strlen(text), 256 - strlen(text), "%u:%s:%s:%s ", (unsigned)task->number,
             task->state, task->record, task->result);
    return 0;
}
