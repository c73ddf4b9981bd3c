/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "store/memory.h"
#include "store_fault.h"

#define NOW       ((usec_t)1000 * USEC_PER_SEC)
#define WALL      (UINT64_C(1795244870) * USEC_PER_SEC)
#define KEY_MAX   255
#define VALUE_MAX 1000
#define TOTAL_MAX 4000

static const struct memory_limits limits = {
    .total_max = TOTAL_MAX, .value_max = VALUE_MAX, .key_max = KEY_MAX};

static int memory_setup(void **state)
{
    return memory_new(&limits, 42, (struct memory **)state);
}

static int memory_teardown(void **state)
{
    *state = memory_free(*state);
    return 0;
}

static struct memory_change change_of(const char *key, const char *text)
{
    return (struct memory_change){
        .key = key, .data = text, .size = strlen(text), .ttl_usec = USEC_INFINITY};
}

static int set(struct memory *memory, const struct memory_change *change)
{
    uint64_t version = 0;

    return memory_set(memory, change, NOW, WALL, &version);
}

static int set_text(struct memory *memory, const char *key, const char *text)
{
    struct memory_change change = change_of(key, text);

    return set(memory, &change);
}

static void value_is_any_bytes_and_comes_back(void **state)
{
    struct memory *memory = *state;
    struct memory_value value;
    struct memory_change change = {
        .key = "k", .data = "a\0\xff", .size = 3, .ttl_usec = USEC_INFINITY, .owner = "user1"};

    assert_int_equal(set(memory, &change), 0);
    assert_int_equal(memory_get(memory, "k", NOW, &value), 0);
    assert_int_equal(value.size, 3);
    assert_memory_equal(value.data, "a\0\xff", 4);
    assert_string_equal(value.owner, "user1");
    assert_true(value.ttl_usec == USEC_INFINITY);
    assert_true(value.modified_wall_usec == WALL);
    assert_int_equal(memory_get(memory, "other", NOW, &value), -ENOENT);
}

static void empty_value_is_a_value(void **state)
{
    struct memory *memory = *state;
    struct memory_value value;

    assert_int_equal(set_text(memory, "k", ""), 0);
    assert_int_equal(memory_get(memory, "k", NOW, &value), 0);
    assert_int_equal(value.size, 0);
}

static void version_counts_the_changes_of_a_key(void **state)
{
    struct memory *memory = *state;
    uint64_t version = 0;
    struct memory_change change = change_of("k", "v");

    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(memory_set(memory, &change, NOW, WALL, &version), 0);
        assert_int_equal(version, i);
    }
}

static uint64_t version_of_set(struct memory *memory, const char *key, usec_t now)
{
    struct memory_change change = change_of(key, "v");
    uint64_t version = 0;

    assert_int_equal(memory_set(memory, &change, now, WALL, &version), 0);
    return version;
}

static void removed_key_never_has_a_version_again(void **state)
{
    struct memory *memory = *state;
    struct memory_change mortal = change_of("m", "v");
    uint64_t version = 0;

    assert_int_equal(version_of_set(memory, "k", NOW), 1);
    assert_int_equal(version_of_set(memory, "k", NOW), 2);
    assert_int_equal(memory_remove(memory, "k", NOW), 0);
    assert_int_equal(version_of_set(memory, "k", NOW), 3);
    assert_int_equal(memory_remove(memory, "k", NOW), 0);
    /* Another key does not know whether it was there before. */
    assert_int_equal(version_of_set(memory, "new", NOW), 4);
    mortal.ttl_usec = 10;
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(memory_set(memory, &mortal, NOW, WALL, &version), 0);
    assert_int_equal(version, 8);
    /* Its time is over: once it is seen when it is set, once it was found before. */
    assert_int_equal(version_of_set(memory, "m", NOW + 10), 9);
    assert_int_equal(memory_set(memory, &mortal, NOW, WALL, &version), 0);
    memory_tick(memory, NOW + 10);
    assert_int_equal(version_of_set(memory, "m", NOW + 10), version + 1);
}

static void removed_key_is_absent_to_if_version(void **state)
{
    struct memory *memory = *state;
    struct memory_change change = change_of("k", "v");

    assert_int_equal(version_of_set(memory, "k", NOW), 1);
    assert_int_equal(memory_remove(memory, "k", NOW), 0);
    change.has_if_version = true;
    change.if_version = 1;
    assert_int_equal(set(memory, &change), -ESTALE);
    change.if_version = 0;
    assert_int_equal(set(memory, &change), 0);
    /* Whoever read the first one and comes late does not overwrite the second. */
    change.if_version = 1;
    assert_int_equal(set(memory, &change), -ESTALE);
}

static void key_is_1_to_255_bytes_of_printable_text(void **state)
{
    struct memory *memory = *state;
    char key[KEY_MAX + 2];

    memset(key, 'x', sizeof(key));
    key[KEY_MAX] = '\0';
    assert_int_equal(set_text(memory, key, "v"), 0);
    key[KEY_MAX] = 'x';
    key[KEY_MAX + 1] = '\0';
    assert_int_equal(set_text(memory, key, "v"), -ENAMETOOLONG);
    assert_int_equal(set_text(memory, "", "v"), -EINVAL);
    assert_int_equal(set_text(memory, "a\nb", "v"), -EINVAL);
    assert_int_equal(set_text(memory, "a\x7f", "v"), -EINVAL);
    assert_int_equal(set_text(memory, "\xc2\x85", "v"), -EINVAL);
    assert_int_equal(set_text(memory, "\xff", "v"), -EINVAL);
    assert_int_equal(set_text(memory, "Grüße/an:alle -x", "v"), 0);
}

static void value_above_its_limit_is_refused(void **state)
{
    struct memory *memory = *state;
    char data[VALUE_MAX + 1] = {0};
    struct memory_change change = {
        .key = "k", .data = data, .size = VALUE_MAX, .ttl_usec = USEC_INFINITY};

    assert_int_equal(set(memory, &change), 0);
    change.size++;
    assert_int_equal(set(memory, &change), -EMSGSIZE);
}

static void total_is_bounded_and_replacing_counts_once(void **state)
{
    struct memory *memory = *state;
    char data[VALUE_MAX] = {0};
    struct memory_change change = {
        .data = data, .size = VALUE_MAX - MEMORY_ENTRY_SIZE - 1, .ttl_usec = USEC_INFINITY};
    static const char *const keys[] = {"a", "b", "c", "d"};

    for (size_t i = 0; i < 4; i++) {
        change.key = keys[i];
        assert_int_equal(set(memory, &change), 0);
    }
    assert_int_equal(memory_used(memory), TOTAL_MAX);
    assert_int_equal(set(memory, &change), 0);
    assert_int_equal(memory_used(memory), TOTAL_MAX);
    change.size++;
    assert_int_equal(set(memory, &change), -ENOSPC);
    assert_int_equal(set_text(memory, "e", ""), -ENOSPC);
    assert_int_equal(memory_count(memory), 4);
}

static void expired_values_make_room(void **state)
{
    struct memory *memory = *state;
    char data[VALUE_MAX] = {0};
    struct memory_change change = {
        .data = data, .size = VALUE_MAX - MEMORY_ENTRY_SIZE - 1, .ttl_usec = USEC_PER_SEC};
    static const char *const keys[] = {"a", "b", "c", "d"};
    uint64_t version;

    for (size_t i = 0; i < 4; i++) {
        change.key = keys[i];
        assert_int_equal(set(memory, &change), 0);
    }
    change.key = "e";
    change.size = 100;
    assert_int_equal(set(memory, &change), -ENOSPC);
    assert_int_equal(memory_set(memory, &change, NOW + USEC_PER_SEC, WALL, &version), 0);
    assert_int_equal(memory_count(memory), 1);
}

static void if_absent_refuses_a_key_that_is_there(void **state)
{
    struct memory *memory = *state;
    struct memory_change change = change_of("k", "v");

    change.if_absent = true;
    assert_int_equal(set(memory, &change), 0);
    assert_int_equal(set(memory, &change), -EEXIST);
    assert_int_equal(memory_remove(memory, "k", NOW), 0);
    assert_int_equal(set(memory, &change), 0);
}

static void if_version_lets_one_of_two_writers_win(void **state)
{
    struct memory *memory = *state;
    struct memory_change change = change_of("k", "v");

    change.has_if_version = true;
    change.if_version = 1;
    assert_int_equal(set(memory, &change), -ESTALE);
    change.if_version = 0;
    assert_int_equal(set(memory, &change), 0);
    assert_int_equal(set(memory, &change), -ESTALE);
    change.if_version = 1;
    assert_int_equal(set(memory, &change), 0);
    assert_int_equal(set(memory, &change), -ESTALE);
}

static void value_ends_with_its_time(void **state)
{
    struct memory *memory = *state;
    struct memory_value value;
    struct memory_change change = change_of("k", "v");
    uint64_t version;

    assert_true(memory_deadline(memory) == USEC_INFINITY);
    change.ttl_usec = 10;
    assert_int_equal(set(memory, &change), 0);
    assert_true(memory_deadline(memory) == NOW + 10);
    assert_int_equal(memory_get(memory, "k", NOW + 9, &value), 0);
    assert_int_equal(value.ttl_usec, 1);
    assert_int_equal(memory_get(memory, "k", NOW + 10, &value), -ENOENT);
    assert_int_equal(memory_remove(memory, "k", NOW + 10), -ENOENT);
    memory_tick(memory, NOW + 9);
    assert_int_equal(memory_count(memory), 1);
    memory_tick(memory, NOW + 10);
    assert_int_equal(memory_count(memory), 0);
    assert_true(memory_deadline(memory) == USEC_INFINITY);
    change.ttl_usec = 0;
    assert_int_equal(memory_set(memory, &change, NOW, WALL, &version), -EINVAL);
}

static void setting_again_renews_or_lifts_the_end(void **state)
{
    struct memory *memory = *state;
    struct memory_value value;
    struct memory_change change = change_of("k", "v");

    change.ttl_usec = 10;
    assert_int_equal(set(memory, &change), 0);
    assert_int_equal(set_text(memory, "k", "w"), 0);
    memory_tick(memory, NOW + 10);
    assert_int_equal(memory_get(memory, "k", NOW + 10, &value), 0);
}

static void list_is_sorted_and_limited_to_its_prefix(void **state)
{
    struct memory *memory = *state;
    _cleanup_free_ struct memory_value *values = NULL;
    struct memory_change mortal = change_of("ab-gone", "v");
    size_t count = 0;

    mortal.ttl_usec = 5;
    assert_int_equal(set(memory, &mortal), 0);
    assert_int_equal(set_text(memory, "b", "1"), 0);
    assert_int_equal(set_text(memory, "abc", "2"), 0);
    assert_int_equal(set_text(memory, "ab", "3"), 0);
    assert_int_equal(memory_list(memory, "ab", NOW + 5, &values, &count), 0);
    assert_int_equal(count, 2);
    assert_string_equal(values[0].key, "ab");
    assert_string_equal(values[1].key, "abc");
    free(TAKE_PTR(values));
    assert_int_equal(memory_list(memory, "", NOW + 5, &values, &count), 0);
    assert_int_equal(count, 3);
    assert_string_equal(values[2].key, "b");
}

/* --- With the state database --- */

struct node {
    char *directory;
    struct worker *worker;
    struct state *state;
    struct memory *memory;
    bool keeps_values;
};

static int load_one(const struct state_value *value, void *data)
{
    struct node *node = data;

    if (node->keeps_values)
        return memory_load(node->memory, value, NOW, WALL);
    memory_skip(node->memory, value);
    return 0;
}

static void node_open(struct node *node)
{
    char message[STATE_MESSAGE_MAX];
    struct state_start start;

    assert_int_equal(worker_new(1, 16, &node->worker), 0);
    assert_int_equal(state_open(node->directory, node->worker, 1, message, &node->state), 0);
    assert_int_equal(state_start(node->state, WALL, &start), 0);
    assert_int_equal(memory_new(&limits, 1, &node->memory), 0);
    memory_begin(node->memory, start.versions, start.versions_reserved);
    assert_int_equal(state_load_values(node->state, load_one, node), 0);
}

/* As after a kill: what was not saved is not saved. */
static void node_close(struct node *node)
{
    node->worker = worker_free(node->worker);
    node->state = state_free(node->state);
    node->memory = memory_free(node->memory);
}

static int node_setup(void **state)
{
    struct node *node = calloc(1, sizeof(*node));

    node->directory = directory_new();
    node->keeps_values = true;
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

static void on_saved(int r, void *data)
{
    (void)r;
    *(bool *)data = true;
}

static void save_with(struct node *node, bool (*put)(struct memory *, struct state_batch *, bool))
{
    struct state_batch *batch = NULL;
    bool is_done = false;

    assert_int_equal(state_batch_new(&batch), 0);
    assert_false(put(node->memory, batch, node->keeps_values));
    state_batch_after(batch, on_saved, &is_done);
    assert_int_equal(state_commit(node->state, &batch), 0);
    assert_true(worker_wait(node->worker, &is_done));
}

static void save(struct node *node)
{
    save_with(node, memory_save);
}

static void save_removals(struct node *node)
{
    struct state_batch *drops = NULL;
    bool is_done = false;

    assert_int_equal(state_drops_new(&drops), 0);
    memory_save_removals(node->memory, drops);
    state_batch_after(drops, on_saved, &is_done);
    assert_int_equal(state_commit(node->state, &drops), 0);
    assert_true(worker_wait(node->worker, &is_done));
}

static void stop(struct node *node)
{
    save_with(node, memory_save_last);
    node_close(node);
}

static void values_survive_a_restart_with_version_owner_and_rest_of_their_time(void **state)
{
    struct node *node = *state;
    struct memory_value value;
    struct memory_change change = change_of("k", "v"), mortal = change_of("m", "w"),
                         short_lived = change_of("s", "x");

    change.owner = "user2";
    mortal.ttl_usec = 60 * USEC_PER_SEC;
    short_lived.ttl_usec = 1;
    assert_int_equal(set(node->memory, &change), 0);
    assert_int_equal(set(node->memory, &change), 0);
    assert_int_equal(set_text(node->memory, "gone", "z"), 0);
    assert_true(memory_is_dirty(node->memory, true));
    save(node);
    assert_false(memory_is_dirty(node->memory, true));
    uint64_t version;
    /* Set a second before "now" in wall time: a second of their time is over at the restart. */
    assert_int_equal(memory_set(node->memory, &mortal, NOW, WALL - USEC_PER_SEC, &version), 0);
    assert_int_equal(memory_set(node->memory, &short_lived, NOW, WALL - USEC_PER_SEC, &version), 0);
    assert_int_equal(memory_remove(node->memory, "gone", NOW), 0);
    save(node);
    node_close(node);
    node_open(node);
    assert_int_equal(memory_count(node->memory), 2);
    assert_int_equal(memory_get(node->memory, "k", NOW, &value), 0);
    assert_int_equal(value.version, 2);
    assert_string_equal(value.owner, "user2");
    assert_true(value.ttl_usec == USEC_INFINITY);
    assert_int_equal(memory_get(node->memory, "m", NOW, &value), 0);
    assert_true(value.ttl_usec == 59 * USEC_PER_SEC);
    /* The row of what was over is deleted with the next save. */
    assert_true(memory_is_dirty(node->memory, true));
    save(node);
    node_close(node);
    node_open(node);
    assert_false(memory_is_dirty(node->memory, true));
}

static void versions_go_on_after_a_stop(void **state)
{
    struct node *node = *state;

    assert_int_equal(version_of_set(node->memory, "kept", NOW), 1);
    for (uint64_t i = 1; i <= 5; i++)
        assert_int_equal(version_of_set(node->memory, "gone", NOW), i);
    assert_int_equal(version_of_set(node->memory, "often", NOW), 1);
    assert_int_equal(memory_remove(node->memory, "often", NOW), 0);
    stop(node);
    node_open(node);
    assert_int_equal(version_of_set(node->memory, "kept", NOW), 2);
    assert_int_equal(memory_remove(node->memory, "gone", NOW), 0);
    stop(node);
    node_open(node);
    assert_int_equal(version_of_set(node->memory, "gone", NOW), 6);
}

static void versions_of_what_a_crash_forgot_are_not_given_again(void **state)
{
    struct node *node = *state;
    uint64_t saved = version_of_set(node->memory, "k", NOW), lost = 0;

    save(node);
    for (size_t crashes = 0; crashes < 3; crashes++) {
        for (size_t i = 0; i < 10; i++)
            lost = version_of_set(node->memory, "k", NOW);
        assert_true(lost > saved);
        node_close(node);
        node_open(node);
        saved = version_of_set(node->memory, "k", NOW);
        assert_true(saved > lost);
    }
    lost = version_of_set(node->memory, "never-saved", NOW);
    node_close(node);
    node_open(node);
    assert_true(version_of_set(node->memory, "never-saved", NOW) > lost);
}

static void versions_without_saved_values_are_not_given_again(void **state)
{
    struct node *node = *state;

    for (uint64_t i = 1; i <= 5; i++)
        assert_int_equal(version_of_set(node->memory, "k", NOW), i);
    stop(node);
    node->keeps_values = false;
    node_open(node);
    assert_int_equal(memory_count(node->memory), 0);
    assert_int_equal(version_of_set(node->memory, "k", NOW), 6);
    stop(node);
    node_open(node);
    assert_int_equal(version_of_set(node->memory, "k", NOW), 7);
    /* What is removed leaves nothing behind. */
    assert_int_equal(memory_remove(node->memory, "k", NOW), 0);
    save(node);
    assert_int_equal(memory_used(node->memory), 0);
    assert_false(memory_is_dirty(node->memory, false));
    /* And the disk has what it is to have as soon as it keeps values again. */
    node->keeps_values = true;
    assert_true(memory_is_dirty(node->memory, true));
    assert_int_equal(version_of_set(node->memory, "other", NOW), 8);
    stop(node);
    node_open(node);
    assert_int_equal(memory_count(node->memory), 1);
}

static void disk_that_is_behind_for_long_stops_the_versions(void **state)
{
    struct node *node = *state;
    struct memory_change change = change_of("k", "v");
    uint64_t version = 0;
    int r = 0;

    assert_false(memory_is_dirty(node->memory, true));
    while ((r = memory_set(node->memory, &change, NOW, WALL, &version)) == 0)
        ;
    assert_int_equal(r, -EBUSY);
    assert_int_equal(version, STATE_VERSIONS_AHEAD);
    fault_arm(1, ENOSPC);
    save(node);
    fault_disarm();
    assert_int_equal(set(node->memory, &change), -EBUSY);
    save(node);
    assert_int_equal(version_of_set(node->memory, "k", NOW), STATE_VERSIONS_AHEAD + 1);
    node_close(node);
    node_open(node);
    assert_int_equal(version_of_set(node->memory, "k", NOW), 2 * STATE_VERSIONS_AHEAD + 1);
}

static void value_of_a_high_version_can_be_set_before_the_first_save(void **state)
{
    struct node *node = *state;
    struct state_batch *batch = NULL;
    struct state_value value = {
        .key = "k", .data = "v", .size = 1, .version = 5 * STATE_VERSIONS_AHEAD, .owner = ""};
    bool is_done = false;

    assert_int_equal(state_batch_new(&batch), 0);
    state_put_value(batch, &value);
    state_put_versions(batch, 3);
    state_batch_after(batch, on_saved, &is_done);
    assert_int_equal(state_commit(node->state, &batch), 0);
    assert_true(worker_wait(node->worker, &is_done));
    node_close(node);
    node_open(node);
    assert_int_equal(version_of_set(node->memory, "k", NOW), value.version + 1);
    assert_int_equal(version_of_set(node->memory, "new", NOW), 4);
    stop(node);
    node_open(node);
    assert_int_equal(version_of_set(node->memory, "k", NOW), value.version + 2);
    /* What a kill forgets is not given again. */
    node_close(node);
    node_open(node);
    assert_int_equal(version_of_set(node->memory, "k", NOW),
                     value.version + 2 + STATE_VERSIONS_AHEAD);
}

static void last_save_beside_one_that_fails_keeps_versions_apart(void **state)
{
    struct node *node = *state;
    struct state_batch *first = NULL;

    assert_int_equal(version_of_set(node->memory, "k", NOW), 1);
    assert_int_equal(state_batch_new(&first), 0);
    memory_save(node->memory, first, true);
    save_with(node, memory_save_last);
    state_batch_free(first);
    node_close(node);
    node_open(node);
    assert_int_equal(memory_count(node->memory), 0);
    assert_true(version_of_set(node->memory, "k", NOW) > 1);
}

static void save_that_failed_is_made_up_for(void **state)
{
    struct node *node = *state;

    assert_int_equal(set_text(node->memory, "old", "1"), 0);
    assert_int_equal(set_text(node->memory, "removed", "1"), 0);
    save(node);
    assert_int_equal(set_text(node->memory, "new", "2"), 0);
    assert_int_equal(memory_remove(node->memory, "removed", NOW), 0);
    fault_arm(1, ENOSPC);
    save(node);
    fault_disarm();
    assert_true(memory_is_dirty(node->memory, true));
    save(node);
    assert_false(memory_is_dirty(node->memory, true));
    node_close(node);
    node_open(node);
    struct memory_value value;
    assert_int_equal(memory_count(node->memory), 2);
    assert_int_equal(memory_get(node->memory, "old", NOW, &value), 0);
    assert_int_equal(memory_get(node->memory, "new", NOW, &value), 0);
}

static void batch_that_was_freed_counts_as_failed(void **state)
{
    struct node *node = *state;
    struct state_batch *batch = NULL;

    assert_int_equal(set_text(node->memory, "k", "1"), 0);
    assert_int_equal(state_batch_new(&batch), 0);
    memory_save(node->memory, batch, true);
    assert_false(memory_is_dirty(node->memory, true));
    state_batch_free(batch);
    assert_true(memory_is_dirty(node->memory, true));
}

/* A disk that is behind is no disk that has room again. */
static void batch_that_was_freed_ends_no_failure(void **state)
{
    struct node *node = *state;
    struct state_batch *batch = NULL, *drops = NULL;

    assert_int_equal(set_text(node->memory, "k", "1"), 0);
    assert_int_equal(set_text(node->memory, "gone", "1"), 0);
    assert_int_equal(memory_remove(node->memory, "gone", NOW), 0);
    fault_arm(1, ENOSPC);
    save(node);
    fault_disarm();
    assert_int_equal(state_batch_new(&batch), 0);
    assert_int_equal(state_drops_new(&drops), 0);
    memory_save_removals(node->memory, drops);
    state_batch_free(drops);
    memory_save(node->memory, batch, true);
    state_batch_free(batch);
    assert_int_equal(memory_get_failure(node->memory), -ENOSPC);
    save_removals(node);
    save(node);
    assert_int_equal(memory_get_failure(node->memory), 0);
    assert_true(memory_is_saved(node->memory, true));
}

static void small_value_is_taken_that_failed_beside_a_large_one(void **state)
{
    struct node *node = *state;
    char text[101] = "";

    memset(text, 'x', sizeof(text) - 1);
    assert_int_equal(set_text(node->memory, "small", "1"), 0);
    assert_int_equal(set_text(node->memory, "large", text), 0);
    fault_arm(1, ENOSPC);
    save(node);
    fault_disarm();
    assert_int_equal(set_text(node->memory, "small", "2"), 0);
}

static void removed_keys_are_bounded_until_they_are_saved(void **state)
{
    struct node *node = *state;
    char key[32];
    int r = 0, i;

    for (i = 0; i < TOTAL_MAX && r == 0; i++) {
        snprintf(key, sizeof(key), "%d", i);
        r = set_text(node->memory, key, "");
        if (r == 0)
            assert_int_equal(memory_remove(node->memory, key, NOW), 0);
    }
    assert_int_equal(r, -ENOSPC);
    assert_in_range(i, 10, TOTAL_MAX / MEMORY_ENTRY_SIZE);
    assert_int_equal(memory_count(node->memory), 0);
    save(node);
    assert_int_equal(memory_used(node->memory), 0);
    assert_int_equal(set_text(node->memory, "k", ""), 0);
}

/* A delete that comes late finds another value. */
static void removal_that_had_no_room_spares_what_was_set_since(void **state)
{
    struct node *node = *state;
    struct memory_value value;

    assert_int_equal(set_text(node->memory, "k", "1"), 0);
    assert_int_equal(set_text(node->memory, "gone", "1"), 0);
    save(node);
    assert_int_equal(memory_remove(node->memory, "k", NOW), 0);
    assert_int_equal(memory_remove(node->memory, "gone", NOW), 0);
    fault_arm(1, ENOSPC);
    save(node);
    assert_int_equal(memory_get_failure(node->memory), -ENOSPC);
    save_removals(node);
    fault_disarm();
    assert_false(memory_is_saved(node->memory, true));
    assert_int_equal(set_text(node->memory, "k", "2"), 0);
    save_removals(node);
    save(node);
    assert_true(memory_is_saved(node->memory, true));
    assert_int_equal(memory_get_failure(node->memory), 0);
    node_close(node);
    node_open(node);
    assert_int_equal(memory_get(node->memory, "k", NOW, &value), 0);
    assert_string_equal((const char *)value.data, "2");
    assert_int_equal(memory_get(node->memory, "gone", NOW, &value), -ENOENT);
}

/* Until one save went well; what is smaller than all that had no room is taken. */
static void value_as_large_as_one_that_had_no_room_is_refused(void **state)
{
    struct node *node = *state;
    char text[101] = "";

    memset(text, 'x', sizeof(text) - 1);
    assert_int_equal(set_text(node->memory, "large", text), 0);
    fault_arm(1, ENOSPC);
    save(node);
    fault_disarm();
    assert_int_equal(set_text(node->memory, "other", text), -EROFS);
    assert_int_equal(set_text(node->memory, "small", "x"), 0);
    assert_int_equal(memory_remove(node->memory, "large", NOW), 0);
    assert_int_equal(set_text(node->memory, "large", text), -EROFS);
    save_removals(node);
    save(node);
    assert_int_equal(set_text(node->memory, "large", text), 0);
}

static void part_that_is_large_goes_alone(void **state)
{
    static const struct memory_limits large_limits = {
        .total_max = 10 << 20, .value_max = 1 << 20, .key_max = KEY_MAX};
    struct node *node = *state;
    struct state_batch *first = NULL;
    _cleanup_free_ char *text = calloc(1, 1 << 20);

    memory_set_limits(node->memory, &large_limits);
    memset(text, 'x', (1 << 20) - 1);
    assert_int_equal(set_text(node->memory, "large", text), 0);
    assert_int_equal(set_text(node->memory, "small", "1"), 0);
    assert_int_equal(set_text(node->memory, "other", "2"), 0);
    fault_arm(1, ENOSPC);
    save(node);
    fault_disarm();
    assert_int_equal(state_batch_new(&first), 0);
    assert_true(memory_save(node->memory, first, true));
    save(node);
    state_batch_free(first);
    node_close(node);
    node_open(node);
    assert_int_equal(memory_count(node->memory), 2);
}

static void damaged_row_is_refused(void **state)
{
    struct memory *memory = *state;
    struct state_value value = {.key = "", .data = "", .version = 1, .owner = ""};

    assert_int_equal(memory_load(memory, &value, NOW, WALL), -EINVAL);
    value = (struct state_value){.key = "k", .data = "", .version = 0, .owner = ""};
    assert_int_equal(memory_load(memory, &value, NOW, WALL), -EINVAL);
    assert_int_equal(memory_count(memory), 0);
}

static void lowered_limits_keep_what_is_there(void **state)
{
    struct memory *memory = *state;
    struct memory_limits low = {.total_max = 10, .value_max = 1, .key_max = 1};
    struct memory_value value;

    assert_int_equal(set_text(memory, "key", "value"), 0);
    memory_set_limits(memory, &low);
    assert_int_equal(memory_get(memory, "key", NOW, &value), 0);
    assert_int_equal(set_text(memory, "k", "v"), -ENOSPC);
}

#define test(name)      cmocka_unit_test_setup_teardown(name, memory_setup, memory_teardown)
#define test_node(name) cmocka_unit_test_setup_teardown(name, node_setup, node_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(value_is_any_bytes_and_comes_back),
        test(empty_value_is_a_value),
        test(version_counts_the_changes_of_a_key),
        test(removed_key_never_has_a_version_again),
        test(removed_key_is_absent_to_if_version),
        test(key_is_1_to_255_bytes_of_printable_text),
        test(value_above_its_limit_is_refused),
        test(total_is_bounded_and_replacing_counts_once),
        test(expired_values_make_room),
        test(if_absent_refuses_a_key_that_is_there),
        test(if_version_lets_one_of_two_writers_win),
        test(value_ends_with_its_time),
        test(setting_again_renews_or_lifts_the_end),
        test(list_is_sorted_and_limited_to_its_prefix),
        test_node(values_survive_a_restart_with_version_owner_and_rest_of_their_time),
        test_node(versions_go_on_after_a_stop),
        test_node(versions_of_what_a_crash_forgot_are_not_given_again),
        test_node(versions_without_saved_values_are_not_given_again),
        test_node(disk_that_is_behind_for_long_stops_the_versions),
        test_node(value_of_a_high_version_can_be_set_before_the_first_save),
        test_node(last_save_beside_one_that_fails_keeps_versions_apart),
        test_node(save_that_failed_is_made_up_for),
        test_node(batch_that_was_freed_counts_as_failed),
        test_node(batch_that_was_freed_ends_no_failure),
        test_node(small_value_is_taken_that_failed_beside_a_large_one),
        test_node(removed_keys_are_bounded_until_they_are_saved),
        test_node(removal_that_had_no_room_spares_what_was_set_since),
        test_node(value_as_large_as_one_that_had_no_room_is_refused),
        test_node(part_that_is_large_goes_alone),
        test(damaged_row_is_refused),
        test(lowered_limits_keep_what_is_there),
    };

    return cmocka_run_group_tests_name("store/memory", tests, NULL, NULL);
}
