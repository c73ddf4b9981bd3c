/* SPDX-License-Identifier: MIT */
#include "store_output_node.h"

static void pieces_come_back_in_order_with_stream_and_time(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, SIZE_MAX_HERE);
    struct output_query query = query_from(0);
    _cleanup_answer_ struct answer both = {0}, out = {0}, err = {0};

    append(output, OUTPUT_STDOUT, "one ");
    append(output, OUTPUT_STDERR, "two ");
    append(output, OUTPUT_STDOUT, "three");
    assert_int_equal(read_once(node, query, &both), 0);
    assert_string_equal(both.bytes, "one two three");
    assert_int_equal(both.pieces, 3);
    assert_true(both.wall_usec == WALL);
    assert_false(both.is_end);
    query.streams[OUTPUT_STDERR] = false;
    assert_int_equal(read_once(node, query, &out), 0);
    assert_string_equal(out.bytes, "one three");
    query = query_from(0);
    query.streams[OUTPUT_STDOUT] = false;
    assert_int_equal(read_once(node, query, &err), 0);
    assert_string_equal(err.bytes, "two ");
    assert_int_equal(err.next, both.next);
}

static void reading_goes_on_where_it_stopped(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, SIZE_MAX_HERE);
    _cleanup_answer_ struct answer answer = {0};

    append(output, OUTPUT_STDOUT, "first ");
    assert_int_equal(read_once(node, query_from(0), &answer), 0);
    append(output, OUTPUT_STDOUT, "second");
    assert_int_equal(read_once(node, query_from(answer.next), &answer), 0);
    assert_string_equal(answer.bytes, "first second");
    assert_int_equal(read_once(node, query_from(answer.next), &answer), 0);
    assert_int_equal(answer.pieces, 2);
}

static void follower_waits_for_more_and_sees_the_end(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, SIZE_MAX_HERE);
    struct output_query query = query_from(0);
    _cleanup_answer_ struct answer answer = {0};

    query.is_following = true;
    assert_int_equal(output_read(node->store, &key, &query, on_chunk, &answer, NULL), 0);
    assert_false(answer.is_done);
    append(output, OUTPUT_STDOUT, "more");
    assert_true(worker_wait(node->worker, &answer.is_done));
    assert_string_equal(answer.bytes, "more");
    assert_false(answer.is_end);
    query.cursor = answer.next;
    answer.is_done = false;
    assert_int_equal(output_read(node->store, &key, &query, on_chunk, &answer, NULL), 0);
    assert_int_equal(finish(node, output), 0);
    assert_true(worker_wait(node->worker, &answer.is_done));
    assert_true(answer.is_end);
    assert_string_equal(answer.bytes, "more");
    answer.is_done = false;
    assert_int_equal(read_once(node, query, &answer), 0);
    assert_true(answer.is_end);
}

/* A read that has seen all does; one that has an answer on its way does not. */
static void who_has_read_all_waits(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, SIZE_MAX_HERE);
    struct output_query query = query_from(0);
    struct output_read *read = NULL;
    _cleanup_answer_ struct answer answer = {0};

    query.is_following = true;
    assert_int_equal(output_read(node->store, &key, &query, on_chunk, &answer, &read), 0);
    assert_true(output_is_waiting(read));
    append(output, OUTPUT_STDOUT, "more");
    assert_false(output_is_waiting(read));
    assert_true(worker_wait(node->worker, &answer.is_done));
    query.cursor = answer.next;
    answer.is_done = false;
    assert_int_equal(output_read(node->store, &key, &query, on_chunk, &answer, &read), 0);
    assert_true(output_is_waiting(read));
    output_seal(output);
    assert_false(output_is_waiting(read));
    assert_true(worker_wait(node->worker, &answer.is_done));
    assert_true(answer.is_end);
}

static void cancelled_reads_are_not_answered(void **state)
{
    struct node *node = *state;
    struct output *output = new_output(node, SIZE_MAX_HERE);
    struct output_query query = query_from(0);
    struct output_read *waiting = NULL, *running = NULL;
    _cleanup_answer_ struct answer never = {0}, last = {0};

    query.is_following = true;
    assert_int_equal(output_read(node->store, &key, &query, on_chunk, &never, &waiting), 0);
    output_cancel(waiting);
    append(output, OUTPUT_STDOUT, "text");
    assert_int_equal(output_read(node->store, &key, &query, on_chunk, &never, &running), 0);
    output_cancel(running);
    assert_int_equal(read_once(node, query, &last), 0);
    assert_false(never.is_done);
}

static void waiting_reads_are_bounded(void **state)
{
    struct node *node = *state;
    struct output_query query = query_from(0);
    static struct answer answers[OUTPUT_WAITING_MAX + 1];

    memset(answers, 0, sizeof(answers));
    new_output(node, SIZE_MAX_HERE);
    query.is_following = true;
    for (size_t i = 0; i < OUTPUT_WAITING_MAX; i++)
        assert_int_equal(output_read(node->store, &key, &query, on_chunk, &answers[i], NULL), 0);
    assert_int_equal(
        output_read(node->store, &key, &query, on_chunk, &answers[OUTPUT_WAITING_MAX], NULL),
        -EBUSY);
    node_close(node);
    assert_int_equal(answers[0].result, -ECANCELED);
    assert_int_equal(answers[OUTPUT_WAITING_MAX - 1].result, -ECANCELED);
    node_open(node);
}

static void unknown_output_and_wrong_cursor_are_told(void **state)
{
    struct node *node = *state;
    _cleanup_answer_ struct answer answer = {0};

    assert_int_equal(read_once(node, query_from(0), &answer), -ENOENT);
    struct output *output = new_output(node, SIZE_MAX_HERE);
    append(output, OUTPUT_STDOUT, "some text that is longer than one head");
    assert_int_equal(read_once(node, query_from(3), &answer), -EINVAL);
    assert_int_equal(read_once(node, query_from(1000), &answer), -EINVAL);
    assert_int_equal(read_once(node, query_from(UINT64_MAX), &answer), -EINVAL);
    assert_int_equal(finish(node, output), 0);
    assert_int_equal(read_once(node, query_from(3), &answer), -EINVAL);
    assert_int_equal(read_once(node, query_from(UINT64_MAX), &answer), -EINVAL);
}

static void log_that_a_crash_cut_off_ends_before_the_damage(void **state)
{
    struct node *node = *state;
    _cleanup_free_ char *text = make_text(100000);
    _cleanup_answer_ struct answer answer = {0};
    char path[512];

    struct output *output = new_output(node, SIZE_MAX_HERE);
    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, 100000), 0);
    assert_int_equal(finish(node, output), 0);
    snprintf(path, sizeof(path), "%s/tasks/42.1.log", node->directory);
    assert_int_equal(truncate(path, 90000), 0);
    read_all(node, &answer);
    assert_true(answer.is_end);
    assert_in_range(answer.size, 60000, 90000);
    assert_memory_equal(answer.bytes, text, answer.size);
}

static void live_log_that_somebody_cut_off_is_no_end_to_wait_at(void **state)
{
    struct node *node = *state;
    _cleanup_free_ char *text = make_text(100000);
    _cleanup_answer_ struct answer answer = {0};
    char path[512];

    struct output *output = new_output(node, SIZE_MAX_HERE);
    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, 100000), 0);
    wait_for_lane(node);
    snprintf(path, sizeof(path), "%s/tasks/42.1.log", node->directory);
    for (off_t size = 0; size <= 20; size += 20) {
        assert_int_equal(truncate(path, size), 0);
        assert_int_equal(read_once(node, query_from(0), &answer), -EINVAL);
    }
}

static void later_run_of_the_same_attempt_replaces_the_earlier(void **state)
{
    struct node *node = *state;
    _cleanup_free_ char *text = make_text(100000);
    size_t sizes[] = {10, 100000, 20, 100};

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        _cleanup_answer_ struct answer answer = {0};
        struct output *output = new_output(node, SIZE_MAX_HERE);
        assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, sizes[i]), 0);
        assert_int_equal(finish(node, output), 0);
        read_all(node, &answer);
        assert_int_equal(answer.size, sizes[i]);
    }
}

/* Appends @size bytes, of which @seen hears, and more, of which it does not; the disk takes none of
 * it, but the mark. */
static struct output *lose(struct node *node, size_t size, struct answer *seen)
{
    _cleanup_free_ char *text = make_text(OUTPUT_MEMORY_MAX);
    struct output *output = new_output(node, SIZE_MAX_HERE);
    struct output_size lost;

    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, size), 0);
    read_all(node, seen);
    assert_int_equal(seen->size, size);
    fault_count_max = 1;
    fault_arm(1, ENOSPC);
    assert_int_equal(output_append(output, OUTPUT_STDOUT, WALL, text, OUTPUT_MEMORY_MAX), 0);
    wait_for_lane(node);
    fault_disarm();
    output_get_size(output, &lost);
    assert_int_equal(lost.error, -ENOSPC);
    return output;
}

static void forget(struct node *node)
{
    struct state_batch *batch = new_batch();

    output_remove(node->store, &key, batch);
    assert_int_equal(commit(node, batch), 0);
    wait_for_lane(node); /* removes the file */
}

/* Reads on from @cursor to the end of what is there, which comes in a few steps. */
static void read_on(struct node *node, uint64_t cursor, struct answer *answer)
{
    int steps = 0;

    *answer = (struct answer){.next = cursor};
    do {
        cursor = answer->next;
        assert_in_range(++steps, 1, 4);
        assert_int_equal(read_once(node, query_from(cursor), answer), 0);
    } while (!answer->is_end && answer->next != cursor);
}

static void who_saw_a_part_of_what_is_lost_sees_the_mark(void **state)
{
    struct node *node = *state;

    for (size_t size = 1; size <= 24; size++)
        for (int has_more = 0; has_more < 2; has_more++) {
            _cleanup_answer_ struct answer seen = {0}, live = {0}, sealed = {0}, none = {0};
            struct output *output = lose(node, size, &seen);
            if (has_more)
                append(output, OUTPUT_STDOUT, "more");
            read_on(node, seen.next, &live);
            assert_int_equal(live.cuts, 1 + has_more);
            output_seal(output);
            read_on(node, seen.next, &sealed);
            assert_int_equal(sealed.cuts, 1 + has_more);
            assert_true(sealed.is_end);
            read_on(node, 0, &none);
            assert_int_equal(none.cuts, 1 + has_more);
            forget(node);
        }
}

static void who_saw_what_is_lost_sees_the_mark_when_the_rest_is_stored(void **state)
{
    struct node *node = *state;

    for (size_t size = 1; size <= 24; size++) {
        _cleanup_answer_ struct answer seen = {0}, live = {0}, part = {0}, rest = {0}, none = {0};
        struct output *output = lose(node, size, &seen);
        read_on(node, seen.next, &live);
        assert_int_equal(finish(node, output), 0);
        read_on(node, seen.next, &part);
        read_on(node, live.next, &rest);
        read_on(node, 0, &none);
        assert_int_equal(part.cuts, 1);
        assert_int_equal(rest.cuts, 1);
        assert_int_equal(none.cuts, 1);
        assert_true(part.is_end && rest.is_end && none.is_end);
        forget(node);
    }
}

#define test(name) cmocka_unit_test_setup_teardown(name, node_setup, node_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(pieces_come_back_in_order_with_stream_and_time),
        test(reading_goes_on_where_it_stopped),
        test(follower_waits_for_more_and_sees_the_end),
        test(who_has_read_all_waits),
        test(cancelled_reads_are_not_answered),
        test(waiting_reads_are_bounded),
        test(unknown_output_and_wrong_cursor_are_told),
        test(log_that_a_crash_cut_off_ends_before_the_damage),
        test(who_saw_a_part_of_what_is_lost_sees_the_mark),
        test(who_saw_what_is_lost_sees_the_mark_when_the_rest_is_stored),
        test(live_log_that_somebody_cut_off_is_no_end_to_wait_at),
        test(later_run_of_the_same_attempt_replaces_the_earlier),
    };

    return cmocka_run_group_tests_name("store/output_read", tests, NULL, NULL);
}
