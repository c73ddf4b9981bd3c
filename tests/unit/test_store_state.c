/* SPDX-License-Identifier: MIT */
#include "store/state_core.h"

#include <signal.h>
#include "store_node.h"

static void first_start_makes_an_id_and_counts_from_one(void **state)
{
    struct node *node = *state;
    struct node_id id = node->start.id;

    assert_false(node_id_is_null(&id));
    assert_int_equal(id.bytes[6] >> 4, 4);
    assert_int_equal(node->start.next_task, 1);
    assert_int_equal(node->start.next_workflow, 1);
    assert_int_equal(node->start.next_event, 1);
    node_reopen(node);
    assert_true(node_id_is_equal(&id, &node->start.id));
}

static void generation_rises_even_where_the_clock_stands_or_goes_back(void **state)
{
    struct node *node = *state;
    struct state_start start = {0};

    assert_int_equal(node->start.generation, 1795244870);
    node_reopen(node);
    assert_int_equal(node->start.generation, 1795244871);
    assert_int_equal(state_start(node->state, 0, &start), 0);
    assert_int_equal(start.generation, 1795244872);
    assert_int_equal(state_start(node->state, WALL_USEC + UINT64_C(60000000), &start), 0);
    assert_int_equal(start.generation, 1795244930);
}

static void another_id_is_in_force_from_the_next_start(void **state)
{
    struct node *node = *state;
    struct node_id id = {{1, 2, 3}};
    struct state_batch *batch = new_batch();

    state_put_id(batch, &id);
    assert_int_equal(commit_and_wait(node, batch), 0);
    node_reopen(node);
    assert_true(node_id_is_equal(&id, &node->start.id));
}

static void numbers_are_never_given_twice_even_when_deleted(void **state)
{
    struct node *node = *state;
    struct state_batch *batch = new_batch();
    struct state_workflow workflow = {.number = 7, .record = "{}"};

    put_task(batch, 11, "pending", 0);
    put_task(batch, 41, "pending", 0);
    put_task(batch, 12, "pending", 0);
    state_delete_task(batch, 41);
    state_put_workflow(batch, &workflow);
    state_delete_workflow(batch, 7);
    assert_int_equal(commit_and_wait(node, batch), 0);
    node_reopen(node);
    assert_int_equal(node->start.next_task, 42);
    assert_int_equal(node->start.next_workflow, 8);
}

static void tasks_come_back_in_order_with_their_results(void **state)
{
    struct node *node = *state;
    char text[256] = "";
    struct state_batch *batch = new_batch();

    put_task(batch, 2, "pending", 0);
    put_task(batch, 1, "pending", 0);
    state_update_task(batch, 2, "succeeded", WALL_USEC, "{\"exit\":0}");
    assert_int_equal(commit_and_wait(node, batch), 0);
    node_reopen(node);
    assert_int_equal(state_load_tasks(node->state, 0, append_number, text), 0);
    assert_string_equal(text,
                        "1:pending:{\"type\":\"a\"}: 2:succeeded:{\"type\":\"a\"}:{\"exit\":0} ");
}

static void tasks_that_ended_before_the_limit_are_not_loaded(void **state)
{
    struct node *node = *state;
    char text[256] = "";
    struct state_batch *batch = new_batch();

    put_task(batch, 1, "failed", 999);
    put_task(batch, 2, "failed", 1000);
    put_task(batch, 3, "running", 0);
    assert_int_equal(commit_and_wait(node, batch), 0);
    node_reopen(node);
    assert_int_equal(state_load_tasks(node->state, 1000, append_number, text), 0);
    assert_string_equal(text, "2:failed:{\"type\":\"a\"}: 3:running:{\"type\":\"a\"}: ");
}

static int fail_with_four(const struct state_task *task, void *data)
{
    (void)task;
    (void)data;
    return -4;
}

static void callback_ends_a_load(void **state)
{
    struct node *node = *state;

    assert_int_equal(put_one_task(node, 1), 0);
    node_reopen(node);
    assert_int_equal(state_load_tasks(node->state, 0, fail_with_four, NULL), -4);
}

static int check_workflow(const struct state_workflow *workflow, void *data)
{
    assert_int_equal(workflow->number, 7);
    assert_int_equal(workflow->ended_wall_usec, 5);
    assert_string_equal(workflow->record, "{\"w\":1}");
    ++*(int *)data;
    return 0;
}

static int check_result(const struct state_result *result, void *data)
{
    assert_int_equal(result->origin.bytes[0], 9);
    assert_int_equal(result->number, 3);
    assert_int_equal(result->attempt, 2);
    assert_string_equal(result->record, "{\"r\":1}");
    ++*(int *)data;
    return 0;
}

static int check_member(const struct state_member *member, void *data)
{
    assert_int_equal(member->id.bytes[0], 8);
    assert_string_equal(member->name, "lab-08");
    assert_string_equal(member->address, "10.0.0.8:7717");
    assert_int_equal(member->gone_wall_usec, 55);
    assert_int_equal(member->slots, 4);
    assert_int_equal(member->meta_size, 5);
    assert_memory_equal(member->meta, "me\0ta", 5);
    ++*(int *)data;
    return 0;
}

static int check_value(const struct state_value *value, void *data)
{
    assert_string_equal(value->key, "greeting");
    assert_int_equal(value->size, 6);
    assert_memory_equal(value->data, "hel\0lo", 6);
    assert_int_equal(value->version, 3);
    assert_int_equal(value->expires_wall_usec, 44);
    assert_int_equal(value->modified_wall_usec, 33);
    assert_string_equal(value->owner, "user1");
    ++*(int *)data;
    return 0;
}

static int check_drain(const char *reason, void *data)
{
    assert_string_equal(reason, "kernel update");
    ++*(int *)data;
    return 0;
}

static int refuse_drain(const char *reason _unused_, void *data _unused_)
{
    return -EEXIST;
}

/* Whoever reads while the lane writes makes holes in the log: everything after them is lost. */
static void load_after_a_commit(void *data)
{
    struct node *node = data;
    struct state_batch *batch = new_batch();
    int count = 0;

    node_open(node);
    state_put_drain(batch, "");
    if (state_commit(node->state, &batch) == 0)
        (void)state_load_members(node->state, check_member, &count);
}

static void nothing_is_loaded_after_the_first_commit(void **state)
{
    struct node *node = *state;

    node_close(node);
    assert_int_equal(in_child(load_after_a_commit, node), 1000 + SIGABRT);
    node_open(node);
}

static void what_is_undrained_is_forgotten(void **state)
{
    struct node *node = *state;
    struct state_batch *batch = new_batch();

    state_put_drain(batch, "");
    state_put_drain(batch, NULL);
    assert_int_equal(commit_and_wait(node, batch), 0);
    node_reopen(node);
    assert_int_equal(state_load_drain(node->state, refuse_drain, NULL), 0);
}

static void everything_else_comes_back_too(void **state)
{
    struct node *node = *state;
    struct state_batch *batch = new_batch();
    struct state_workflow workflow = {7, 5, "{\"w\":1}"};
    struct state_result result = {{{9}}, 3, 2, "{\"r\":1}"}, acknowledged = {{{9}}, 3, 1, "{}"};
    struct state_member members[] = {{{{7}}, "gone", "10.0.0.7:7717", 0, 0, NULL, 0},
                                     {{{8}}, "lab-08", "10.0.0.8:7717", 55, 4, "me\0ta", 5}};
    struct state_value value = {"greeting", "hel\0lo", 6, 3, 44, 33, "user1", false}, other = value;
    int count = 0;

    other.key = "other";
    state_put_workflow(batch, &workflow);
    state_put_result(batch, &acknowledged);
    state_put_result(batch, &result);
    state_delete_result(batch, &result.origin, 3, 1);
    state_put_members(batch, members, 2);
    state_put_members(batch, members + 1, 1);
    state_put_value(batch, &other);
    state_clear_values(batch);
    state_put_value(batch, &value);
    state_put_value(batch, &other);
    state_delete_value(batch, "other", UINT64_MAX >> 1);
    state_put_drain(batch, "first reason");
    state_put_drain(batch, "kernel update");
    assert_int_equal(commit_and_wait(node, batch), 0);
    node_reopen(node);
    assert_int_equal(state_load_workflows(node->state, check_workflow, &count), 0);
    assert_int_equal(state_load_results(node->state, check_result, &count), 0);
    assert_int_equal(state_load_members(node->state, check_member, &count), 0);
    assert_int_equal(state_load_values(node->state, check_value, &count), 0);
    assert_int_equal(state_load_drain(node->state, check_drain, &count), 0);
    assert_int_equal(count, 5);
}

static void run_sql(const struct node *node, const char *sql)
{
    char path[256];
    sqlite3 *database = NULL;

    snprintf(path, sizeof(path), "%s/%s", node->directory, STATE_FILE);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(database), SQLITE_OK);
}

static int check_older_member(const struct state_member *member, void *data)
{
    assert_string_equal(member->name, "old");
    assert_string_equal(member->address, "10.0.0.8:7717");
    assert_int_equal(member->gone_wall_usec, 0);
    assert_int_equal(member->slots, 0);
    assert_int_equal(member->meta_size, 0);
    ++*(int *)data;
    return 0;
}

static void what_an_older_version_wrote_is_read(void **state)
{
    struct node *node = *state;
    struct state_member member = {{{8}}, "lab-08", "10.0.0.8:7717", 55, 4, "me\0ta", 5};
    struct state_batch *batch = new_batch();
    int count = 0;

    node_close(node);
    run_sql(node, "ALTER TABLE value DROP COLUMN sum; ALTER TABLE member DROP COLUMN gone;"
                  "ALTER TABLE member DROP COLUMN slots; ALTER TABLE member DROP COLUMN meta;"
                  "INSERT INTO member VALUES(zeroblob(16), 'old', '10.0.0.8:7717');"
                  "PRAGMA user_version = 1;");
    node_open(node);
    assert_int_equal(state_load_members(node->state, check_older_member, &count), 0);
    state_put_members(batch, &member, 1);
    assert_int_equal(commit_and_wait(node, batch), 0);
    node_reopen(node);
    assert_int_equal(state_load_members(node->state, check_member, &count), 0);
    assert_int_equal(count, 2);
}

static void after_functions_come_in_the_order_of_the_commits(void **state)
{
    struct node *node = *state;
    struct outcome outcomes[40] = {0};
    int order = 0;

    for (size_t i = 0; i < ARRAY_SIZE(outcomes); i += 2) {
        struct state_batch *batch = new_batch();
        put_task(batch, i + 1, "pending", 0);
        outcomes[i].order = outcomes[i + 1].order = &order;
        state_batch_after(batch, on_outcome, &outcomes[i]);
        state_batch_after(batch, on_outcome, &outcomes[i + 1]);
        assert_int_equal(state_commit(node->state, &batch), 0);
    }
    assert_int_equal(state_pending_count(node->state), 20);
    assert_true(worker_wait(node->worker, &outcomes[39].is_done));
    for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
        assert_int_equal(outcomes[i].place, i + 1);
        assert_int_equal(outcomes[i].result, 0);
    }
    assert_int_equal(state_pending_count(node->state), 0);
}

static void batches_that_wait_share_one_transaction(void **state)
{
    struct node *node = *state;
    struct outcome last = {0};

    fault_disarm(); /* counts from here */
    for (uint64_t i = 1; i <= 200; i++) {
        struct state_batch *batch = new_batch();
        put_task(batch, i, "pending", 0);
        if (i == 200)
            state_batch_after(batch, on_outcome, &last);
        assert_int_equal(state_commit(node->state, &batch), 0);
    }
    assert_true(worker_wait(node->worker, &last.is_done));
    assert_in_range(fault_syncs, 1, 20);
}

static void waiting_batches_are_bounded(void **state)
{
    struct node *node = *state;
    _cleanup_free_ char *data = calloc(1, STATE_PENDING_MAX);
    struct state_value value = {.key = "k", .data = data, .size = STATE_PENDING_MAX, .owner = ""};
    struct outcome outcome = {0};
    struct state_batch *batch = new_batch(), *refused = new_batch();

    put_task(batch, 1, "pending", 0);
    state_batch_after(batch, on_outcome, &outcome);
    state_put_value(refused, &value);
    assert_int_equal(state_commit(node->state, &batch), 0);
    assert_int_equal(state_commit(node->state, &refused), -EBUSY);
    assert_non_null(refused);
    state_batch_free(refused);
    assert_true(worker_wait(node->worker, &outcome.is_done));
    assert_int_equal(outcome.result, 0);
}

static void full_disk_refuses_and_stores_nothing_of_the_batch(void **state)
{
    struct node *node = *state;
    char text[256] = "";

    assert_int_equal(put_one_task(node, 1), 0);
    fault_arm(1, ENOSPC);
    assert_int_equal(put_one_task(node, 2), -ENOSPC);
    fault_disarm();
    assert_int_equal(put_one_task(node, 3), 0);
    node_reopen(node);
    assert_int_equal(state_load_tasks(node->state, 0, append_number, text), 0);
    assert_string_equal(text, "1:pending:{\"type\":\"a\"}: 3:pending:{\"type\":\"a\"}: ");
}

static void used_up_quota_reads_like_a_full_disk(void **state)
{
    struct node *node = *state;

    fault_arm(1, EDQUOT);
    assert_int_equal(put_one_task(node, 1), -ENOSPC);
    fault_disarm();
    assert_int_equal(put_one_task(node, 1), 0);
}

static void broken_disk_is_fatal_for_every_later_commit(void **state)
{
    struct node *node = *state;
    struct state_batch *batch = new_batch();

    fault_arm(1, EIO);
    assert_int_equal(put_one_task(node, 1), -EIO);
    fault_disarm();
    put_task(batch, 2, "pending", 0);
    assert_int_equal(state_commit(node->state, &batch), -EIO);
    state_batch_free(batch);
}

static void failed_sync_is_fatal(void **state)
{
    struct node *node = *state;

    for (int at = 1; at < 20; at++) {
        fault_arm(at, EIO);
        int r = put_one_task(node, (uint64_t)at);
        int calls = fault_calls;
        fault_disarm();
        if (r == 0) {
            assert_true(calls < at);
            return;
        }
        assert_int_equal(r, -EIO);
        node_reopen(node);
    }
    fail();
}

static void what_waits_at_the_end_is_written(void **state)
{
    struct node *node = *state;
    char text[256] = "";
    struct outcome outcomes[3] = {0};

    for (uint64_t i = 0; i < 3; i++) {
        struct state_batch *batch = new_batch();
        put_task(batch, i + 1, "lost", 0);
        state_batch_after(batch, on_outcome, &outcomes[i]);
        assert_int_equal(state_commit(node->state, &batch), 0);
    }
    node_reopen(node);
    for (size_t i = 0; i < 3; i++) {
        assert_true(outcomes[i].is_done);
        assert_int_equal(outcomes[i].result, 0);
    }
    assert_int_equal(state_load_tasks(node->state, 0, append_number, text), 0);
    assert_non_null(strstr(text, "3:lost"));
}

static void database_is_for_our_eyes_only(void **state)
{
    static const char *const names[] = {"state.db", "state.db-wal", "state.db-shm", "state.lock"};
    struct node *node = *state;
    struct stat status;
    char path[256];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", node->directory, names[i]);
        assert_int_equal(stat(path, &status), 0);
        assert_int_equal(status.st_mode & 0777, 0600);
    }
}

static void second_process_is_refused(void **state)
{
    struct node *node = *state;
    struct state *other = NULL;
    char message[STATE_MESSAGE_MAX];

    assert_int_equal(state_open(node->directory, node->worker, 1, message, &other), -EBUSY);
    assert_non_null(strstr(message, "in use by another p2pnode"));
    assert_null(other);
}

/* --- Crashes at every write boundary --- */

struct crash {
    char *directory;
    int at;
    int acknowledged; /* pipe: one byte for each task that was accepted */
};

static void accept_tasks_until_it_crashes(void *data)
{
    struct crash *crash = data;
    struct node node = {.directory = crash->directory};

    fault_arm(crash->at, FAULT_CRASH);
    if (try_open(&node) < 0 || state_start(node.state, WALL_USEC, &node.start) < 0)
        _exit(3);
    for (uint64_t i = 0; i < 3; i++) {
        struct state_batch *batch = new_batch();
        put_task(batch, node.start.next_task + i, "pending", 0);
        struct outcome outcome = {0};
        state_batch_after(batch, on_outcome, &outcome);
        if (state_commit(node.state, &batch) < 0 || !worker_wait(node.worker, &outcome.is_done) ||
            outcome.result < 0 || syscall(SYS_write, crash->acknowledged, "", 1) != 1)
            _exit(4);
    }
    node_close(&node);
}

static int count_task(const struct state_task *task, void *data)
{
    (void)task;
    ++*(size_t *)data;
    return 0;
}

static void no_accepted_task_is_lost_wherever_it_crashes(void **state)
{
    (void)state;
    _cleanup_(directory_freep) char *directory = directory_new();
    struct node node = {.directory = directory};
    uint64_t generation = 0;
    size_t accepted = 0, stored = 0;
    int code = FAULT_CRASH_CODE, pipe_fds[2];
    char byte[8];

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC | O_NONBLOCK), 0);
    struct crash crash = {.directory = directory, .acknowledged = pipe_fds[1]};
    for (crash.at = 1; code == FAULT_CRASH_CODE; crash.at++) {
        code = in_child(accept_tasks_until_it_crashes, &crash);
        assert_true(code == FAULT_CRASH_CODE || code == 0);
        ssize_t n = read(pipe_fds[0], byte, sizeof(byte));
        accepted += n > 0 ? (size_t)n : 0;
        stored = 0;
        node_open(&node);
        assert_true(node.start.generation > generation);
        generation = node.start.generation;
        assert_int_equal(state_load_tasks(node.state, 0, count_task, &stored), 0);
        assert_true(stored >= accepted);
        assert_int_equal(node.start.next_task, stored + 1);
        node_close(&node);
    }
    assert_true(crash.at > 10);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void open_and_start(void *data)
{
    struct crash *crash = data;
    struct node node = {.directory = crash->directory};

    fault_arm(crash->at, FAULT_CRASH);
    if (try_open(&node) < 0 || state_start(node.state, WALL_USEC, &node.start) < 0)
        _exit(3);
}

static void crash_while_it_is_made_leaves_nothing_in_the_way(void **state)
{
    (void)state;
    int code = FAULT_CRASH_CODE;

    for (int at = 1; code == FAULT_CRASH_CODE; at++) {
        _cleanup_(directory_freep) char *directory = directory_new();
        struct crash crash = {.directory = directory, .at = at};
        struct node node = {.directory = directory};
        code = in_child(open_and_start, &crash);
        assert_true(code == FAULT_CRASH_CODE || code == 0);
        node_open(&node);
        node_close(&node);
    }
}

static int cached_size(struct node *node)
{
    int current = 0, highest = 0;

    assert_int_equal(sqlite3_db_status(state_get_database(node->state), SQLITE_DBSTATUS_CACHE_USED,
                                       &current, &highest, 0),
                     SQLITE_OK);
    return current;
}

static void do_nothing(void *data _unused_)
{
}

static void set_done(void *data)
{
    *(bool *)data = true;
}

static void rest_gives_the_pages_back_and_what_follows_works(void **state)
{
    struct node *node = *state;
    bool is_done = false;

    assert_int_equal(put_one_task(node, 1), 0);
    int before = cached_size(node);
    assert_int_equal(state_rest(node->state), 0);
    assert_int_equal(worker_submit(node->worker, WORKER_COMMITS, do_nothing, set_done, &is_done),
                     0);
    assert_true(worker_wait(node->worker, &is_done));
    assert_true(cached_size(node) < before / 2);
    assert_int_equal(put_one_task(node, 2), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, node_setup, node_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(first_start_makes_an_id_and_counts_from_one),
        test(generation_rises_even_where_the_clock_stands_or_goes_back),
        test(another_id_is_in_force_from_the_next_start),
        test(numbers_are_never_given_twice_even_when_deleted),
        test(tasks_come_back_in_order_with_their_results),
        test(tasks_that_ended_before_the_limit_are_not_loaded),
        test(callback_ends_a_load),
        test(everything_else_comes_back_too),
        test(what_an_older_version_wrote_is_read),
        test(what_is_undrained_is_forgotten),
        test(nothing_is_loaded_after_the_first_commit),
        test(after_functions_come_in_the_order_of_the_commits),
        test(batches_that_wait_share_one_transaction),
        test(waiting_batches_are_bounded),
        test(full_disk_refuses_and_stores_nothing_of_the_batch),
        test(used_up_quota_reads_like_a_full_disk),
        test(broken_disk_is_fatal_for_every_later_commit),
        test(failed_sync_is_fatal),
        test(what_waits_at_the_end_is_written),
        test(database_is_for_our_eyes_only),
        test(second_process_is_refused),
        test(rest_gives_the_pages_back_and_what_follows_works),
        cmocka_unit_test(no_accepted_task_is_lost_wherever_it_crashes),
        cmocka_unit_test(crash_while_it_is_made_leaves_nothing_in_the_way),
    };

    return cmocka_run_group_tests_name("store/state", tests, NULL, NULL);
}
