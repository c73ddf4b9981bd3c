/* SPDX-License-Identifier: MIT */
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

static void node_open(struct node *node)
{
    char message[STATE_MESSAGE_MAX];

    assert_int_equal(worker_new(1, 2000, &node->worker), 0);
    assert_int_equal(state_open(node->directory, node->worker, 1, message, &node->state), 0);
    assert_int_equal(output_store_new(node->directory, node->state, node->worker, &node->store), 0);
}

static void node_close(struct node *node)
{
    node->worker = worker_free(node->worker);
    node->state = state_free(node->state);
    node->store = output_store_free(node->store);
}

static void node_reopen(struct node *node)
{
    node_close(node);
    node_open(node);
}

static int node_setup(void **state)
{
    struct node *node = calloc(1, sizeof(*node));

    node->directory = directory_new();
    node_open(node);
    *state = node;
    return 0;
}

static int node_teardown(void **state)
{
    struct node *node = *state;

    fault_disarm();
    node_close(node);
    directory_free(node->directory);
    free(node);
    return 0;
}

static struct output *new_output(struct node *node, uint64_t size_max)
{
    struct output *output = NULL;

    assert_int_equal(output_new(node->store, &key, size_max, NULL, NULL, &output), 0);
    return output;
}

static void append(struct output *output, enum output_stream stream, const char *text)
{
    assert_int_equal(output_append(output, stream, WALL, text, strlen(text)), 0);
}

struct outcome {
    bool is_done;
    int result;
};

static void on_outcome(int r, void *data)
{
    *(struct outcome *)data = (struct outcome){true, r};
}

static int commit(struct node *node, struct state_batch *batch)
{
    struct outcome outcome = {0};

    state_batch_after(batch, on_outcome, &outcome);
    assert_int_equal(state_commit(node->state, &batch), 0);
    assert_true(worker_wait(node->worker, &outcome.is_done));
    return outcome.result;
}

static struct state_batch *new_batch(void)
{
    struct state_batch *batch = NULL;

    assert_int_equal(state_batch_new(&batch), 0);
    return batch;
}

static int finish(struct node *node, struct output *output)
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

static void answer_done(struct answer *answer)
{
    free(answer->bytes);
}
#define _cleanup_answer_ __attribute__((cleanup(answer_done)))

static void on_chunk(int r, const struct output_chunk *chunk, void *data)
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

static struct output_query query_from(uint64_t cursor)
{
    return (struct output_query){.cursor = cursor,
                                 .streams = {[OUTPUT_STDOUT] = true, [OUTPUT_STDERR] = true}};
}

static int read_once(struct node *node, struct output_query query, struct answer *answer)
{
    answer->is_done = false;
    assert_int_equal(output_read(node->store, &key, &query, on_chunk, answer, NULL), 0);
    assert_false(answer->is_done);
    assert_true(worker_wait(node->worker, &answer->is_done));
    return answer->result;
}

/* Reads on until the log has no more for now. */
static void read_all(struct node *node, struct answer *answer)
{
    uint64_t cursor;

    *answer = (struct answer){0};
    do {
        cursor = answer->next;
        assert_int_equal(read_once(node, query_from(cursor), answer), 0);
    } while (!answer->is_end && answer->next > cursor);
}

static char *make_text(size_t size)
{
    char *text = malloc(size + 1);

    for (size_t i = 0; i < size; i++)
        text[i] = (char)('a' + (i * 7 + i / 1000) % 26);
    text[size] = '\0';
    return text;
}

static bool has_file(const struct node *node, const char *name)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/tasks/%s", node->directory, name);
    return access(path, F_OK) == 0;
}

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
    assert_int_equal(output_finish(output, second), -EBUSY);
    state_batch_free(second);
    assert_int_equal(commit(node, batch), 0);
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
        test(pieces_come_back_in_order_with_stream_and_time),
        test(reading_goes_on_where_it_stopped),
        test(small_output_is_stored_with_the_result_and_without_a_file),
        test(empty_output_is_stored_too),
        test(large_output_goes_to_a_file_and_survives),
        test(memory_holds_64_kib_and_not_more),
        test(output_above_its_limit_is_cut_and_marked),
        test(piece_across_the_limit_is_kept_up_to_it),
        test(single_bytes_cannot_fill_the_disk_with_their_heads),
        test(follower_waits_for_more_and_sees_the_end),
        test(cancelled_reads_are_not_answered),
        test(waiting_reads_are_bounded),
        test(unknown_output_and_wrong_cursor_are_told),
        test(key_is_taken_once),
        test(nothing_is_kept_after_the_end),
        test(output_whose_batch_failed_is_finished_again),
        test(full_disk_keeps_what_is_there_and_says_so),
        test(removed_output_is_gone_wherever_it_was),
        test(output_of_another_node_has_its_own_key),
        test(sweep_removes_the_logs_of_nobody),
        test(what_was_not_yet_written_is_written_at_the_end_of_the_program),
        test(whoever_outruns_the_disk_is_told_to_wait),
        test(log_that_a_crash_cut_off_ends_before_the_damage),
        test(later_run_of_the_same_attempt_replaces_the_earlier),
        cmocka_unit_test(stored_result_has_all_its_output_wherever_it_crashes),
    };

    return cmocka_run_group_tests_name("store/output", tests, NULL, NULL);
}
