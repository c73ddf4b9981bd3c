/* SPDX-License-Identifier: MIT */
#include "store_node.h"

struct answer {
    bool is_done;
    int result;
    size_t count;
    char text[256];
};

static void on_events(int r, const struct state_event *events, size_t count, void *data)
{
    struct answer *answer = data;

    answer->is_done = true;
    answer->result = r;
    answer->count = count;
    for (size_t i = 0; i < count; i++)
        snprintf(answer->text + strlen(answer->text), sizeof(answer->text) - strlen(answer->text),
                 "%u:%s:%s ", (unsigned)events[i].sequence, events[i].type, events[i].record);
}

static void on_tasks(int r, const struct state_task *tasks, size_t count, void *data)
{
    struct answer *answer = data;

    answer->is_done = true;
    answer->result = r;
    for (size_t i = 0; i < count; i++)
        append_number(&tasks[i], answer->text);
}

static const char *ask_events(struct node *node, struct state_event_query query,
                              struct answer *answer)
{
    *answer = (struct answer){0};
    assert_int_equal(state_query_events(node->state, &query, on_events, answer), 0);
    assert_true(worker_wait(node->worker, &answer->is_done));
    assert_int_equal(answer->result, 0);
    return answer->text;
}

static void put_events(struct node *node, uint64_t first, uint64_t last)
{
    struct state_batch *batch = new_batch();

    for (uint64_t i = first; i <= last; i++) {
        struct state_event event = {i, 1000 * i, i % 2 ? "member-dead" : "gossip", "{}"};
        state_put_event(batch, &event);
    }
    assert_int_equal(commit_and_wait(node, batch), 0);
}

static void event_history_is_bounded(void **state)
{
    struct node *node = *state;
    struct answer answer;
    struct state_event_query all = {.limit = 100};

    put_events(node, 1, EVENTS_MAX);
    assert_string_equal(
        ask_events(node, all, &answer),
        "1:member-dead:{} 2:gossip:{} 3:member-dead:{} 4:gossip:{} 5:member-dead:{} ");
    put_events(node, EVENTS_MAX + 1, EVENTS_MAX + 1);
    assert_string_equal(ask_events(node, all, &answer),
                        "2:gossip:{} 3:member-dead:{} 4:gossip:{} 5:member-dead:{} 6:gossip:{} ");
    node_reopen(node);
    assert_int_equal(node->start.next_event, EVENTS_MAX + 2);
    put_events(node, 100, 101); /* what was never put takes no place */
    assert_string_equal(
        ask_events(node, all, &answer),
        "4:gossip:{} 5:member-dead:{} 6:gossip:{} 100:gossip:{} 101:member-dead:{} ");
}

/* The oldest are dropped now and then; never one too many, and soon enough. */
static void history_that_grows_is_bounded(void **state)
{
    enum { KEPT = 80, MORE = KEPT / 8 };
    struct node *node = *state;
    struct state_event_query all = {.limit = 1000};

    node_close(node);
    assert_int_equal(worker_new(1, 64, &node->worker), 0);
    assert_int_equal(state_open(node->directory, node->worker, KEPT, node->message, &node->state),
                     0);
    assert_int_equal(state_start(node->state, WALL_USEC, &node->start), 0);
    for (uint64_t last = 1; last <= 5 * KEPT; last++) {
        struct answer answer;
        put_events(node, last, last);
        ask_events(node, all, &answer);
        assert_true(answer.count >= MIN(last, (uint64_t)KEPT) && answer.count <= KEPT + MORE);
    }
}

static void events_are_chosen_by_type_time_sequence_and_number(void **state)
{
    static const char *const dead[] = {"task-*", "member-*", NULL}, *const none[] = {NULL};
    struct node *node = *state;
    struct answer answer;

    put_events(node, 1, 5);
    assert_string_equal(
        ask_events(node, (struct state_event_query){.types = dead, .limit = 9}, &answer),
        "1:member-dead:{} 3:member-dead:{} 5:member-dead:{} ");
    assert_string_equal(
        ask_events(node, (struct state_event_query){.types = dead, .limit = 2}, &answer),
        "3:member-dead:{} 5:member-dead:{} ");
    assert_string_equal(
        ask_events(node, (struct state_event_query){.since_wall_usec = 4000, .limit = 9}, &answer),
        "4:gossip:{} 5:member-dead:{} ");
    assert_string_equal(
        ask_events(node, (struct state_event_query){.after_sequence = 4, .limit = 9}, &answer),
        "5:member-dead:{} ");
    assert_string_equal(
        ask_events(node, (struct state_event_query){.types = none, .limit = 1, .after_sequence = 0},
                   &answer),
        "5:member-dead:{} ");
}

static void query_out_of_range_is_refused(void **state)
{
    struct node *node = *state;
    const char *types[STATE_GLOBS_MAX + 2] = {NULL};
    struct state_event_query query = {.types = types, .limit = STATE_ROWS_MAX};
    struct answer answer;

    for (size_t i = 0; i < STATE_GLOBS_MAX; i++)
        types[i] = "*";
    ask_events(node, query, &answer);
    types[STATE_GLOBS_MAX] = "*";
    assert_int_equal(state_query_events(node->state, &query, on_events, NULL), -EINVAL);
    query = (struct state_event_query){.limit = 0};
    assert_int_equal(state_query_events(node->state, &query, on_events, NULL), -EINVAL);
    query.limit = STATE_ROWS_MAX + 1;
    assert_int_equal(state_query_events(node->state, &query, on_events, NULL), -EINVAL);
    struct state_task_query tasks = {.limit = 0};
    assert_int_equal(state_query_tasks(node->state, &tasks, on_tasks, NULL), -EINVAL);
}

static void task_history_is_queried_by_end_and_state(void **state)
{
    struct node *node = *state;
    struct answer answer = {0};
    struct state_batch *batch = new_batch();
    struct state_task_query query = {1000, 3000, "failed", 10};

    put_task(batch, 1, "failed", 999);
    put_task(batch, 2, "failed", 1000);
    put_task(batch, 3, "succeeded", 2000);
    put_task(batch, 4, "failed", 2999);
    put_task(batch, 5, "failed", 3000);
    put_task(batch, 6, "running", 0);
    assert_int_equal(commit_and_wait(node, batch), 0);
    assert_int_equal(state_query_tasks(node->state, &query, on_tasks, &answer), 0);
    assert_true(worker_wait(node->worker, &answer.is_done));
    assert_string_equal(answer.text, "2:failed:{\"type\":\"a\"}: 4:failed:{\"type\":\"a\"}: ");
    answer = (struct answer){0};
    query = (struct state_task_query){0, UINT64_MAX, NULL, 2};
    assert_int_equal(state_query_tasks(node->state, &query, on_tasks, &answer), 0);
    assert_true(worker_wait(node->worker, &answer.is_done));
    assert_string_equal(answer.text, "4:failed:{\"type\":\"a\"}: 5:failed:{\"type\":\"a\"}: ");
}

#define test(name) cmocka_unit_test_setup_teardown(name, node_setup, node_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(event_history_is_bounded),
        test(history_that_grows_is_bounded),
        test(events_are_chosen_by_type_time_sequence_and_number),
        test(query_out_of_range_is_refused),
        test(task_history_is_queried_by_end_and_state),
    };

    return cmocka_run_group_tests_name("store/state_query", tests, NULL, NULL);
}
