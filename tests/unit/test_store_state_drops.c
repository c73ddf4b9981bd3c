/* SPDX-License-Identifier: MIT */
#include <sqlite3.h>
#include "store_node.h"

/* Deletes while somebody else has the database open, who is not waited for here, only counted. */

static atomic_int waits;

static int on_busy(void *data _unused_, int count _unused_)
{
    waits++;
    return 0;
}

int sqlite3_busy_timeout(sqlite3 *database, int msec _unused_)
{
    return sqlite3_busy_handler(database, on_busy, NULL);
}

static sqlite3 *open_other(const struct node *node, const char *sql)
{
    char path[512];
    sqlite3 *database = NULL;

    snprintf(path, sizeof(path), "%s/state.db", node->directory);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, sql, NULL, NULL, NULL), SQLITE_OK);
    return database;
}

static struct state_batch *new_drops(uint64_t number)
{
    struct state_batch *batch = NULL;

    assert_int_equal(state_drops_new(&batch), 0);
    if (number > 0)
        state_delete_task(batch, number);
    return batch;
}

static void assert_left(struct node *node, const char *expected)
{
    char text[256] = "";

    node_reopen(node);
    assert_int_equal(state_load_tasks(node->state, 0, append_number, text), 0);
    assert_string_equal(text, expected);
}

static void deletes_that_a_lock_held_up_are_done_with_the_next(void **state)
{
    struct node *node = *state;

    assert_int_equal(put_one_task(node, 1), 0);
    assert_int_equal(put_one_task(node, 2), 0);
    sqlite3 *other = open_other(node, "BEGIN IMMEDIATE");
    assert_int_equal(commit_and_wait(node, new_drops(1)), -EBUSY);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_int_equal(commit_and_wait(node, new_drops(0)), 0);
    assert_left(node, "2:pending:{\"type\":\"a\"}: ");
}

static void deletes_that_a_lock_held_up_are_done_at_the_end(void **state)
{
    struct node *node = *state;

    assert_int_equal(put_one_task(node, 1), 0);
    sqlite3 *other = open_other(node, "BEGIN IMMEDIATE");
    assert_int_equal(commit_and_wait(node, new_drops(1)), -EBUSY);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_left(node, "");
}

static void deletes_on_a_full_disk_wait_for_no_reader(void **state)
{
    struct node *node = *state;

    assert_int_equal(put_one_task(node, 1), 0);
    sqlite3 *other = open_other(node, "BEGIN; SELECT count(*) FROM task");
    assert_int_equal(put_one_task(node, 2), 0);
    waits = 0;
    fault_arm(1, ENOSPC);
    assert_int_equal(commit_and_wait(node, new_drops(1)), -ENOSPC);
    fault_disarm();
    assert_int_equal(waits, 0);
    assert_int_equal(commit_and_wait(node, new_drops(0)), 0);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_left(node, "2:pending:{\"type\":\"a\"}: ");
}

#define test(name) cmocka_unit_test_setup_teardown(name, node_setup, node_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(deletes_that_a_lock_held_up_are_done_with_the_next),
        test(deletes_that_a_lock_held_up_are_done_at_the_end),
        test(deletes_on_a_full_disk_wait_for_no_reader),
    };

    return cmocka_run_group_tests_name("store/state_drops", tests, NULL, NULL);
}
