/* SPDX-License-Identifier: MIT */
#include "store_output_node.h"

static void small_output_is_stored_with_the_result_and_without_a_file(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, SIZE_MAX_HERE);
    _cleanup_answer_ struct answer answer = {0};

    append(output, OUTPUT_STDOUT, "42\n");
    assert_int_equal(finish(node, output), 0);
    assert_null(output_find(node->store, &key));
    assert_false(has_file(node, "42.1.log"));
    node_reopen(node);
    read_all(node, &answer);
    assert_string_equal(answer.bytes, "42\n");
    assert_true(answer.is_end);
}

static void empty_output_is_stored_too(void **state)
{
    struct node *node = *state;
    _cleanup_answer_ struct answer answer = {0};

    assert_int_equal(finish(node, new_output(node, SIZE_MAX_HERE)), 0);
    read_all(node, &answer);
    assert_int_equal(answer.size, 0);
    assert_true(answer.is_end);
}

static void large_output_goes_to_a_file_and_survives(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, SIZE_MAX_HERE);
    size_t size = 700000, step = 9973;
    _cleanup_free_ char *text = make_text(size);
    _cleanup_answer_ struct answer live = {0}, stored = {0}, reopened = {0};

    for (size_t i = 0; i < size; i += step)
        assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text + i, MIN(step, size - i)),
                         0);
    read_all(node, &live);
    assert_int_equal(live.size, size);
    assert_memory_equal(live.bytes, text, size);
    assert_int_equal(finish(node, output), 0);
    assert_true(has_file(node, "42.1.log"));
    read_all(node, &stored);
    assert_int_equal(stored.size, size);
    assert_memory_equal(stored.bytes, text, size);
    assert_true(stored.is_end);
    node_reopen(node);
    read_all(node, &reopened);
    assert_memory_equal(reopened.bytes, text, size);
    assert_int_equal(reopened.cuts, 0);
}

static void memory_holds_64_kib_and_not_more(void **state)
{
    struct node *node = *state;
    size_t head = 16, size = OUTPUT_MEMORY_MAX - 3 * head;
    _cleanup_free_ char *text = make_text(size);
    struct output *output = new_output(node, SIZE_MAX_HERE);

    /* Three records: two of 32 KiB less a little, and the rest. */
    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, size - 1), 0);
    assert_int_equal(finish(node, output), 0);
    assert_false(has_file(node, "42.1.log"));
    output = new_output(node, SIZE_MAX_HERE);
    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, size), 0);
    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, "x", 1), 0);
    assert_int_equal(finish(node, output), 0);
    assert_true(has_file(node, "42.1.log"));
}

static void output_above_its_limit_is_cut_and_marked(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, 10000);
    _cleanup_free_ char *text = make_text(10001);
    _cleanup_answer_ struct answer whole = {0}, cut = {0};
    struct output_size size;

    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, 9000), 0);
    assert_int_equal(output_append(output, OUTPUT_STDERR, WALL, text, 1000), 0);
    output_get_size(output, &size);
    assert_int_equal(size.dropped, 0);
    read_all(node, &whole);
    assert_int_equal(whole.cuts, 0);
    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, "x", 1), 0);
    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, 500), 0);
    output_get_size(output, &size);
    assert_int_equal(size.kept[0], 9000);
    assert_int_equal(size.kept[1], 1000);
    assert_int_equal(size.dropped, 501);
    assert_int_equal(finish(node, output), 0);
    read_all(node, &cut);
    assert_int_equal(cut.size, 10000);
    assert_int_equal(cut.cuts, 1);
}

static void piece_across_the_limit_is_kept_up_to_it(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, 5);
    _cleanup_answer_ struct answer answer = {0};

    append(output, OUTPUT_STDOUT, "1234567");
    read_all(node, &answer);
    assert_string_equal(answer.bytes, "12345");
    assert_int_equal(answer.cuts, 1);
}

static void cut_elsewhere_is_marked_once_and_ends_what_is_kept(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, 10000);
    _cleanup_answer_ struct answer answer = {0};

    append(output, OUTPUT_STDOUT, "12345");
    assert_int_equal(output_cut(output, WALL, 0), 0);
    assert_int_equal(output_cut(output, WALL, 0), 0);
    append(output, OUTPUT_STDERR, "6");
    assert_int_equal(finish(node, output), 0);
    read_all(node, &answer);
    assert_string_equal(answer.bytes, "12345");
    assert_int_equal(answer.cuts, 1);
}

static void single_bytes_cannot_fill_the_disk_with_their_heads(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, 8192);
    struct output_size size;

    for (int i = 0; i < 8192; i++)
        assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, "x", 1), 0);
    output_get_size(output, &size);
    assert_int_equal(size.kept[0], 8192 / 16);
    assert_int_equal(size.kept[0] + size.dropped, 8192);
}

static void key_is_taken_once(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, 1), *other = NULL;

    assert_int_equal(output_new(node->store, &key, 1, NULL, NULL, &other), -EEXIST);
    assert_ptr_equal(output_find(node->store, &key), output);
}

static void nothing_is_kept_after_the_end(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, SIZE_MAX_HERE);
    struct state_batch *batch = new_batch(), *second = new_batch();

    assert_int_equal(output_finish(output, batch), 0);
    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, "x", 1), -ESHUTDOWN);
    assert_int_equal(output_finish(output, second), -EALREADY);
    state_batch_free(second);
    assert_int_equal(commit(node, batch), 0);
}

static void sealed_output_is_complete_before_it_is_on_the_disk(void **state)
{
    struct node *node = *state;
    _cleanup_free_ char *text = make_text(100000);
    size_t sizes[] = {0, 10, 100000};

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        _cleanup_answer_ struct answer sealed = {0}, stored = {0};
        struct output *output = new_output(node, SIZE_MAX_HERE);
        assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, sizes[i]), 0);
        output_seal(output);
        assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, "x", 1), -ESHUTDOWN);
        read_all(node, &sealed);
        assert_true(sealed.is_end);
        assert_int_equal(sealed.size, sizes[i]);
        assert_int_equal(finish(node, output), 0);
        node_reopen(node);
        read_all(node, &stored);
        assert_true(stored.is_end);
        assert_int_equal(stored.size, sizes[i]);
        struct state_batch *batch = new_batch();
        output_remove(node->store, &key, batch);
        assert_int_equal(commit(node, batch), 0);
    }
}

static void output_that_never_left_memory_costs_the_disk_nothing_when_it_is_removed(void **state)
{
    struct node *node = *state;
    struct state_batch *batch = new_batch();
    struct output *output = new_output(node, SIZE_MAX_HERE);

    append(output, OUTPUT_STDOUT, "text");
    output_seal(output);
    output_remove(node->store, &key, batch);
    assert_true(state_batch_is_empty(batch));
    assert_null(output_find(node->store, &key));
    state_batch_free(batch);
}

static void output_whose_batch_failed_is_finished_again(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, SIZE_MAX_HERE);
    struct state_batch *freed = new_batch();
    _cleanup_answer_ struct answer kept = {0}, stored = {0};

    append(output, OUTPUT_STDOUT, "text");
    fault_arm(1, ENOSPC);
    assert_int_equal(finish(node, output), -ENOSPC);
    fault_disarm();
    assert_ptr_equal(output_find(node->store, &key), output);
    read_all(node, &kept);
    assert_string_equal(kept.bytes, "text");
    assert_true(kept.is_end);
    assert_int_equal(output_finish(output, freed), 0);
    state_batch_free(freed);
    assert_int_equal(finish(node, output), 0);
    node_reopen(node);
    read_all(node, &stored);
    assert_string_equal(stored.bytes, "text");
}

static void full_disk_keeps_what_is_there_and_says_so(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, SIZE_MAX_HERE);
    _cleanup_free_ char *text = make_text(200000);
    _cleanup_answer_ struct answer before = {0}, live = {0}, stored = {0};
    struct output_size size;

    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, 100000), 0);
    read_all(node, &before);
    wait_for_lane(node);
    fault_arm(1, ENOSPC);
    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, 70000), 0);
    read_all(node, &live);
    do
        worker_dispatch(node->worker);
    while (output_get_size(output, &size), size.error == 0);
    fault_disarm();
    assert_int_equal(size.error, -ENOSPC);
    assert_true(size.dropped >= 70000);
    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, 10), 0);
    assert_int_equal(finish(node, output), 0);
    read_all(node, &stored);
    assert_int_equal(stored.size, 100000);
    assert_memory_equal(stored.bytes, text, 100000);
    assert_true(stored.is_end);
}

static void note_cut(const struct output_key *cut, int error, void *data)
{
    assert_int_equal(cut->number, key.number);
    *(int *)data = error;
}

static void who_has_seen_all_that_a_full_disk_took_hears_when_more_is_dropped(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, SIZE_MAX_HERE);
    _cleanup_free_ char *text = make_text(70000);
    _cleanup_answer_ struct answer ahead = {0}, behind = {0}, later = {0};
    struct output_query query;
    struct output_size size;
    int told = -1;

    output_store_watch(node->store, note_cut, &told);
    fault_arm(1, ENOSPC);
    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, 70000), 0);
    read_all(node, &ahead);
    assert_int_equal(ahead.size, 70000);
    do
        worker_dispatch(node->worker);
    while (output_get_size(output, &size), size.error == 0);
    assert_int_equal(told, ENOSPC);
    query = query_from(ahead.next);
    assert_int_equal(read_once(node, query, &later), 0);
    assert_int_equal(later.cuts, 0);
    query.cursor = later.next;
    assert_int_equal(read_once(node, query_from(1000), &behind), 0);
    assert_int_equal(behind.cuts, 1);
    append(output, OUTPUT_STDOUT, "x");
    assert_int_equal(read_once(node, query, &later), 0);
    assert_int_equal(later.cuts, 1);
    fault_disarm();
}

static void removed_output_is_gone_wherever_it_was(void **state)
{
    struct node *node = *state;
    _cleanup_free_ char *text = make_text(100000);
    struct output_query query = query_from(0);
    size_t sizes[] = {0, 10, 100000};

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
        for (int is_finished = 0; is_finished < 2; is_finished++) {
            _cleanup_answer_ struct answer answer = {0}, waiting = {0};
            struct output *output = new_output(node, SIZE_MAX_HERE);
            assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, sizes[i]), 0);
            if (is_finished) {
                assert_int_equal(finish(node, output), 0);
            } else {
                read_all(node, &waiting);
                query.cursor = waiting.next;
                query.is_following = true;
                assert_int_equal(output_read(node->store, &key, &query, on_chunk, &waiting, NULL),
                                 0);
            }
            struct state_batch *batch = new_batch();
            output_remove(node->store, &key, batch);
            if (!is_finished)
                assert_int_equal(waiting.result, -ENOENT);
            assert_int_equal(commit(node, batch), 0);
            assert_int_equal(read_once(node, query_from(0), &answer), -ENOENT);
            assert_false(has_file(node, "42.1.log"));
        }
}

static void output_of_another_node_has_its_own_key(void **state)
{
    struct node *node = *state;
    struct output_key other = key;
    struct output *own = new_output(node, SIZE_MAX_HERE), *output = NULL;
    _cleanup_free_ char *text = make_text(100000);

    memset(other.origin.bytes, 0xab, sizeof(other.origin.bytes));
    assert_int_equal(output_new(node->store, &other, SIZE_MAX_HERE, NULL, NULL, &output), 0);
    assert_ptr_not_equal(own, output);
    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, 100000), 0);
    assert_int_equal(finish(node, output), 0);
    assert_true(has_file(node, "abababab-abab-abab-abab-abababababab.42.1.log"));
    assert_false(has_file(node, "42.1.log"));
}

static bool is_of_task_43(const struct output_key *candidate, void *data)
{
    (void)data;
    return candidate->number == 43;
}

static void sweep_removes_the_logs_of_nobody(void **state)
{
    static const char *const names[] = {"42.1.log", "43.1.log",
                                        "abababab-abab-abab-abab-abababababab.42.1.log",
                                        "notes.txt", "042.1.log"};
    static const bool stays[] = {false, true, false, true, true};
    struct node *node = *state;
    char path[512];

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(path, sizeof(path), "%s/tasks/%s", node->directory, names[i]);
        close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    }
    assert_int_equal(output_store_sweep(node->store, is_of_task_43, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        assert_int_equal(has_file(node, names[i]), stays[i]);
}

static void what_was_not_yet_written_is_written_at_the_end_of_the_program(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, SIZE_MAX_HERE);
    struct state_batch *batch = new_batch();
    _cleanup_free_ char *text = make_text(500000);
    _cleanup_answer_ struct answer answer = {0};

    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, 250000), 0);
    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text + 250000, 250000), 0);
    assert_int_equal(output_finish(output, batch), 0);
    assert_int_equal(state_commit(node->state, &batch), 0);
    node_reopen(node);
    read_all(node, &answer);
    assert_int_equal(answer.size, 500000);
    assert_memory_equal(answer.bytes, text, 500000);
}

static void on_room(void *data)
{
    *(bool *)data = true;
}

static void whoever_outruns_the_disk_is_told_to_wait(void **state)
{
    struct node *node = *state;
    struct output *output = NULL;
    bool has_room = false;
    _cleanup_free_ char *text = make_text(OUTPUT_MEMORY_MAX);
    struct output_size size;
    size_t sent = 0;

    assert_int_equal(output_new(node->store, &key, 16 * SIZE_MAX_HERE, on_room, &has_room, &output),
                     0);
    /* Nothing is dispatched, so nothing comes back from the disk. */
    for (int i = 0; i < 64 && output_room(output) > 0; i++) {
        assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, OUTPUT_MEMORY_MAX), 0);
        sent += OUTPUT_MEMORY_MAX;
    }
    assert_int_equal(output_room(output), 0);
    assert_true(worker_wait(node->worker, &has_room));
    assert_true(output_room(output) > 0);
    output_get_size(output, &size);
    assert_int_equal(size.kept[0], sent);
    assert_int_equal(size.dropped, 0);
}

/* --- Crashes at every write boundary --- */

struct crash {
    char *directory;
    const char *text;
    int at;
};

#define CRASH_SIZE 150000

static void finish_until_it_crashes(void *data)
{
    struct crash *crash = data;
    struct node node = {.directory = crash->directory};
    struct state_task task = {1, "succeeded", WALL, "{}", "{}"};

    node_open(&node);
    fault_arm(crash->at, FAULT_CRASH);
    struct output *output = new_output(&node, SIZE_MAX_HERE);
    struct state_batch *batch = new_batch();
    if (output_append(output, OUTPUT_STDOUT, WALL, crash->text, CRASH_SIZE) < 0 ||
        output_finish(output, batch) < 0)
        _exit(3);
    state_put_task(batch, &task);
    if (commit(&node, batch) < 0)
        _exit(4);
    fault_disarm();
    node_close(&node);
}

static int count_task(const struct state_task *task, void *data)
{
    (void)task;
    ++*(size_t *)data;
    return 0;
}

static void stored_result_has_all_its_output_wherever_it_crashes(void **state)
{
    (void)state;
    _cleanup_free_ char *text = make_text(CRASH_SIZE);
    int code = FAULT_CRASH_CODE, at;

    for (at = 1; code == FAULT_CRASH_CODE; at++) {
        _cleanup_(directory_freep) char *directory = directory_new();
        struct node node = {.directory = directory};
        struct crash crash = {.directory = directory, .text = text, .at = at};
        size_t tasks = 0;
        code = in_child(finish_until_it_crashes, &crash);
        assert_true(code == FAULT_CRASH_CODE || code == 0);
        node_open(&node);
        assert_int_equal(state_load_tasks(node.state, 0, count_task, &tasks), 0);
        assert_true(tasks == 1 || code != 0);
        if (tasks > 0) {
            _cleanup_answer_ struct answer answer = {0};
            read_all(&node, &answer);
            assert_int_equal(answer.size, CRASH_SIZE);
            assert_memory_equal(answer.bytes, text, CRASH_SIZE);
        }
        node_close(&node);
    }
    assert_true(at > 4);
}

#define test(name) cmocka_unit_test_setup_teardown(name, node_setup, node_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(small_output_is_stored_with_the_result_and_without_a_file),
        test(empty_output_is_stored_too),
        test(large_output_goes_to_a_file_and_survives),
        test(memory_holds_64_kib_and_not_more),
        test(output_above_its_limit_is_cut_and_marked),
        test(cut_elsewhere_is_marked_once_and_ends_what_is_kept),
        test(piece_across_the_limit_is_kept_up_to_it),
        test(single_bytes_cannot_fill_the_disk_with_their_heads),
        test(key_is_taken_once),
        test(nothing_is_kept_after_the_end),
        test(sealed_output_is_complete_before_it_is_on_the_disk),
        test(output_that_never_left_memory_costs_the_disk_nothing_when_it_is_removed),
        test(output_whose_batch_failed_is_finished_again),
        test(full_disk_keeps_what_is_there_and_says_so),
        test(who_has_seen_all_that_a_full_disk_took_hears_when_more_is_dropped),
        test(removed_output_is_gone_wherever_it_was),
        test(output_of_another_node_has_its_own_key),
        test(sweep_removes_the_logs_of_nobody),
        test(what_was_not_yet_written_is_written_at_the_end_of_the_program),
        test(whoever_outruns_the_disk_is_told_to_wait),
        cmocka_unit_test(stored_result_has_all_its_output_wherever_it_crashes),
    };

    return cmocka_run_group_tests_name("store/output", tests, NULL, NULL);
}
