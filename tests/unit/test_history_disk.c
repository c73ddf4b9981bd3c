/* SPDX-License-Identifier: MIT */

/* Events that outlive the daemon. */

#include "call_lab.h"
#include "history.h"
#include "store_node.h"

static struct history *history;

/* A daemon's life: a history on what the disk has. */
static void live(struct node *node)
{
    assert_int_equal(history_new(3, &history), 0);
    history_attach(history, node->state, node->start.next_event);
}

static void die(struct node *node)
{
    history_save(history);
    node_close(node);
    history = history_free(history);
    node_open(node);
}

static int begin(void **state)
{
    int r = node_setup(state);

    live(*state);
    return r;
}

static int end(void **state)
{
    int r = node_teardown(state);

    history = history_free(history);
    return r;
}

static void add(const char *type, const char *message)
{
    history_add_event(
        &(struct journal_event){.type = type, .wall_usec = WALL_USEC, .message = message}, history);
}

static struct call *ask(struct call_lab *lab, const char *parameters)
{
    struct call *call = call_lab_new(lab, "Events", parameters, true);

    history_serve_events(history, call, WALL_USEC);
    return call;
}

/* The messages of the events listed, "a b ". */
static void assert_events_for(struct node *node, bool is_remote, const char *parameters,
                              const char *expected)
{
    struct call_lab lab;
    const cJSON *list = NULL;
    char text[256] = "";

    struct call *call = call_lab_new(&lab, "Events", parameters, true);
    call->caller.is_remote = is_remote;
    history_serve_events(history, call, WALL_USEC);
    assert_true(lab.is_answered || worker_wait(node->worker, &lab.is_answered));
    assert_string_equal(lab.error, "");
    _cleanup_json_ cJSON *reply = cJSON_Parse(lab.last);
    assert_int_equal(json_get_array(reply, "events", &list), 1);
    json_for_each (item, list)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ",
                 cJSON_GetStringValue(cJSON_GetObjectItem(item, "message")));
    assert_string_equal(text, expected);
    call_lab_done(&lab);
}

static void assert_events(struct node *node, const char *parameters, const char *expected)
{
    assert_events_for(node, false, parameters, expected);
}

/* As a former version wrote it, which did not say whether the task was confidential. */
static void put_old_event(struct node *node)
{
    _cleanup_(state_batch_freep) struct state_batch *batch = NULL;

    assert_int_equal(state_batch_new(&batch), 0);
    state_put_event(batch,
                    &(struct state_event){
                        .sequence = 1,
                        .wall_usec = WALL_USEC,
                        .type = "task-ended",
                        .record = "{\"message\":\"old\",\"task\":\"\\\"confidential\\\":false\"}"});
    assert_int_equal(state_commit(node->state, &batch), 0);
}

static void what_was_confidential_is_so_after_a_restart(void **state)
{
    struct node *node = *state;

    put_old_event(node);
    die(node);
    live(node);
    history_add_event(&(struct journal_event){.type = "task-ended",
                                              .wall_usec = WALL_USEC,
                                              .message = "\"confidential\":false",
                                              .is_confidential = true},
                      history);
    add("task-ended", "open");
    add("member-dead", "b");
    die(node);
    live(node);
    assert_events_for(node, true, "{}", "open b ");
    assert_events_for(node, true, "{\"lines\":1,\"types\":[\"task-*\"]}", "open ");
    assert_events(node, "{}", "old \"confidential\":false open b ");
}

static void events_survive_a_restart(void **state)
{
    struct node *node = *state;

    add("member-joined", "a");
    add("member-dead", "b");
    die(node);
    live(node);
    add("member-alive", "c");
    assert_events(node, "{}", "a b c ");
    assert_events(node, "{\"lines\":2}", "b c ");
    assert_events(node, "{\"types\":[\"member-dead\",\"member-a*\"]}", "b c ");
    assert_events(node, "{\"lines\":0}", "");
}

static void what_is_in_memory_and_on_disk_is_told_once(void **state)
{
    struct node *node = *state;

    add("member-joined", "a");
    history_save(history);
    add("member-dead", "b");
    assert_events(node, "{}", "a b ");
    assert_int_equal(state_pending_count(node->state), 0);
    assert_events(node, "{}", "a b ");
}

static void gossip_liveness_and_values_are_not_written(void **state)
{
    struct node *node = *state;

    add("gossip", "a");
    add("liveness", "b");
    for (int i = 0; i < HISTORY_EVENTS_MAX; i++)
        add("mem-changed", "v");
    history_save(history);
    assert_int_equal(state_pending_count(node->state), 0);
    add("member-dead", "c");
    assert_events(node, "{\"lines\":2}", "v c ");
    assert_events(node, "{\"types\":[\"gossip\",\"liveness\",\"member-dead\"]}", "a b c ");
    die(node);
    live(node);
    assert_events(node, "{}", "c ");
}

static void a_burst_is_written_before_it_is_forgotten(void **state)
{
    struct node *node = *state;

    for (int i = 0; i < HISTORY_EVENTS_MAX / 2; i++)
        add("member-joined", "a");
    assert_int_equal(state_pending_count(node->state), 1);
    for (int i = 0; i < HISTORY_EVENTS_MAX; i++)
        add("member-joined", "b");
    die(node);
    live(node);
    assert_events(node, "{}", "b b b b b "); /* the disk's own limit */
}

static void what_was_told_before_the_disk_is_there_is_kept_too(void **state)
{
    struct node *node = *state;

    add("member-joined", "a");
    die(node);
    assert_int_equal(history_new(3, &history), 0);
    add("member-dead", "b");
    history_attach(history, node->state, node->start.next_event);
    add("member-alive", "c");
    die(node);
    live(node);
    assert_events(node, "{}", "a b c ");
}

static void a_follower_sees_the_disk_first(void **state)
{
    struct node *node = *state;
    struct call_lab lab;

    add("member-joined", "a");
    die(node);
    live(node);
    (void)ask(&lab, "{\"follow\":true}");
    add("member-dead", "b");
    while (lab.notified < 2)
        worker_dispatch(node->worker);
    add("member-alive", "c");
    assert_int_equal(lab.notified, 3);
    assert_false(lab.is_answered);
    call_lab_done(&lab);
}

static void who_goes_while_the_disk_is_asked_is_forgotten(void **state)
{
    struct call_lab lab;

    add("member-joined", "a");
    (void)ask(&lab, "{}");
    assert_false(lab.is_answered);
    call_lab_done(&lab);
    node_reopen(*state);
}

#define test(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(events_survive_a_restart),
        test(what_was_confidential_is_so_after_a_restart),
        test(what_is_in_memory_and_on_disk_is_told_once),
        test(gossip_liveness_and_values_are_not_written),
        test(a_burst_is_written_before_it_is_forgotten),
        test(what_was_told_before_the_disk_is_there_is_kept_too),
        test(a_follower_sees_the_disk_first),
        test(who_goes_while_the_disk_is_asked_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
