/* SPDX-License-Identifier: MIT */
#include "store_node.h"

#include <sqlite3.h>

static int count_task(const struct state_task *task, void *data)
{
    (void)task;
    ++*(size_t *)data;
    return 0;
}

static void overwrite(struct node *node, off_t offset, const void *data, size_t size)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", node->directory, STATE_FILE);
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, data, size, offset), size);
}

static void expect_refusal(struct node *node, int error, const char *words)
{
    assert_int_equal(try_open(node), error);
    assert_null(node->state);
    assert_non_null(strstr(node->message, words));
    node->worker = worker_free(node->worker);
}

static void damaged_database_is_refused_with_the_way_to_salvage_it(void **state)
{
    struct node *node = *state;
    uint8_t garbage[6000];
    char before[sizeof(garbage)], after[sizeof(garbage)], path[256];

    node_close(node);
    memset(garbage, 0x5a, sizeof(garbage));
    overwrite(node, 5000, garbage, sizeof(garbage));
    snprintf(path, sizeof(path), "%s/%s", node->directory, STATE_FILE);
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, before, sizeof(before), 4096), sizeof(before));
    expect_refusal(node, -EUCLEAN, "sqlite3 ");
    assert_non_null(strstr(node->message, ".dump"));
    assert_int_equal(pread(fd, after, sizeof(after), 4096), sizeof(after));
    assert_memory_equal(before, after, sizeof(before));
}

static void database_with_a_foreign_head_is_refused(void **state)
{
    struct node *node = *state;

    node_close(node);
    overwrite(node, 0, "this is no database at all", 26);
    expect_refusal(node, -EUCLEAN, "left as it is");
}

static void emptied_database_is_not_taken_for_a_new_one(void **state)
{
    struct node *node = *state;
    char path[256];

    node_close(node);
    snprintf(path, sizeof(path), "%s/%s", node->directory, STATE_FILE);
    assert_int_equal(truncate(path, 0), 0);
    expect_refusal(node, -EUCLEAN, "empty or cut off");
}

static void missing_database_beside_its_journal_is_refused(void **state)
{
    struct node *node = *state;
    char path[256];

    node_close(node);
    snprintf(path, sizeof(path), "%s/%s-wal", node->directory, STATE_FILE);
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    snprintf(path, sizeof(path), "%s/%s", node->directory, STATE_FILE);
    assert_int_equal(remove(path), 0);
    expect_refusal(node, -EUCLEAN, "its journal is there");
}

static void database_of_a_newer_version_is_refused(void **state)
{
    struct node *node = *state;
    sqlite3 *database = NULL;
    char path[256];

    node_close(node);
    snprintf(path, sizeof(path), "%s/%s", node->directory, STATE_FILE);
    assert_int_equal(sqlite3_open(path, &database), SQLITE_OK);
    assert_int_equal(sqlite3_exec(database, "PRAGMA user_version = 99", NULL, NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(database);
    expect_refusal(node, -ENOTSUP, "newer p2pnode");
}

static void salvage_command_of_the_message_saves_what_is_readable(void **state)
{
    struct node *node = *state;
    struct state_batch *batch = new_batch();
    char garbage[4096], command[STATE_MESSAGE_MAX + 256];
    size_t count = 0;

    for (uint64_t i = 1; i <= 2000; i++)
        put_task(batch, i, "pending", 0);
    assert_int_equal(commit_and_wait(node, batch), 0);
    node_close(node);
    memset(garbage, 0x5a, sizeof(garbage));
    overwrite(node, (off_t)sizeof(garbage) * 16, garbage, sizeof(garbage));
    expect_refusal(node, -EUCLEAN, "save what is readable: ");
    char *start = strstr(node->message, "readable: ") + strlen("readable: ");
    *strstr(start, "; then remove both") = '\0';
    snprintf(command, sizeof(command),
             "cd %s && %s && chmod 600 saved.db && rm -f state.db-wal && mv saved.db state.db",
             node->directory, start);
    assert_int_equal(system(command), 0);
    uint64_t generation = node->start.generation;
    node_open(node);
    assert_int_equal(node->start.generation, generation + 1);
    assert_int_equal(node->start.next_task, 2001);
    assert_int_equal(state_load_tasks(node->state, 0, count_task, &count), 0);
    assert_in_range(count, 1500, 1999);
}

#define test(name) cmocka_unit_test_setup_teardown(name, node_setup, node_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(damaged_database_is_refused_with_the_way_to_salvage_it),
        test(database_with_a_foreign_head_is_refused),
        test(emptied_database_is_not_taken_for_a_new_one),
        test(missing_database_beside_its_journal_is_refused),
        test(database_of_a_newer_version_is_refused),
        test(salvage_command_of_the_message_saves_what_is_readable),
    };

    return cmocka_run_group_tests_name("store/database", tests, NULL, NULL);
}
