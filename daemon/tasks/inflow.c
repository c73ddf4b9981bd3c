/* SPDX-License-Identifier: MIT */
#include "tasks/internal.h"

#include <string.h>
#include "base/log.h"

/*
 * Output of our tasks that run elsewhere comes as fast as the network is, and goes to a disk that
 * may be slower. So a worker sends INFLOW_WINDOW bytes of an attempt at most before it hears "got";
 * and it hears that only while there is room for as much again.
 */
#define STEP_SIZE (INFLOW_WINDOW / 2) /* a "got" for so many bytes, not for every frame */

struct inflow_key {
    uint64_t number;
    uint64_t attempt;
};

struct inflow {
    struct inflow_key key; /* of the table */
    struct tasks *tasks;   /* borrowed */
    struct node_id node;
    size_t unsaid; /* bytes that came and were not told to have come */
};

static struct inflow *find(struct tasks *tasks, uint64_t number, uint64_t attempt)
{
    struct inflow_key key = {.number = number, .attempt = attempt};

    return table_find(&tasks->inflows, &key);
}

static void say(struct inflow *inflow)
{
    struct output_key key = {.number = inflow->key.number,
                             .attempt = (uint32_t)inflow->key.attempt};
    struct output *output = output_find(inflow->tasks->outputs, &key);

    if (inflow->unsaid < STEP_SIZE || !output || output_room(output) == 0)
        return;
    wire_send_got(inflow->tasks, &inflow->node, inflow->key.number, inflow->key.attempt,
                  inflow->unsaid);
    inflow->unsaid = 0;
}

static void on_room(void *data)
{
    say(data);
}

struct output *inflow_open(struct tasks *tasks, uint64_t number, uint64_t attempt,
                           const struct node_id *node)
{
    struct output_key key = {.number = number, .attempt = (uint32_t)attempt};
    struct output *output = output_find(tasks->outputs, &key);
    struct inflow *inflow;

    if (output)
        return output;
    inflow = calloc(1, sizeof(*inflow));
    if (!inflow)
        return NULL;
    *inflow = (struct inflow){
        .key = {.number = number, .attempt = attempt}, .tasks = tasks, .node = *node};
    int r = table_insert(&tasks->inflows, &inflow->key, inflow);
    if (r >= 0)
        r = output_new(tasks->outputs, &key, tasks->config->tasks.output_size_max, on_room, inflow,
                       &output);
    if (r < 0) {
        if (r != -EEXIST)
            (void)table_remove(&tasks->inflows, &inflow->key);
        free(inflow);
        return NULL;
    }
    return output;
}

void inflow_add(struct tasks *tasks, uint64_t number, uint64_t attempt, size_t size)
{
    struct inflow *inflow = find(tasks, number, attempt);

    if (!inflow)
        return;
    inflow->unsaid += size;
    say(inflow);
}

void inflow_restart(struct tasks *tasks, uint64_t number, uint64_t attempt)
{
    struct inflow *inflow = find(tasks, number, attempt);

    if (inflow)
        inflow->unsaid = 0;
}

static void on_stored(int r, void *data)
{
    struct inflow *inflow = data;

    if (r < 0)
        return; /* the output stays, and is finished again */
    (void)table_remove(&inflow->tasks->inflows, &inflow->key);
    free(inflow);
}

void inflow_close(struct tasks *tasks, uint64_t number, uint64_t attempt, struct state_batch *batch)
{
    struct inflow *inflow = find(tasks, number, attempt);

    if (inflow)
        state_batch_after(batch, on_stored, inflow);
}

void inflows_free(struct tasks *tasks)
{
    for (size_t i = 0; tasks->inflows.count > 0; i = 0) {
        struct inflow *inflow = table_next(&tasks->inflows, &i);
        (void)table_remove(&tasks->inflows, &inflow->key);
        free(inflow);
    }
    table_done(&tasks->inflows);
}
