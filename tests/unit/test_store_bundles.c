/* SPDX-License-Identifier: MIT */

/* Bundles on the disk: there whole or not at all, swept when nobody knows them, gone with a record.
 */

#include "store_output_node.h"

#include <dirent.h>
#include <fcntl.h>
#include "store/bundles.h"

struct room {
    struct node node;
    struct bundles *bundles;
};

static const struct bundles_key in = {.kind = BUNDLES_IN, .number = 77};
static const struct bundles_key out = {.kind = BUNDLES_OUT, .number = 42, .attempt = 3};

static int setup(void **state)
{
    struct room *room = calloc(1, sizeof(*room));

    room->node.directory = directory_new();
    node_open(&room->node);
    assert_int_equal(bundles_new(room->node.directory, room->node.state, &room->bundles), 0);
    *state = room;
    return 0;
}

static int teardown(void **state)
{
    struct room *room = *state;

    fault_disarm();
    node_close(&room->node);
    bundles_free(room->bundles);
    directory_free(room->node.directory);
    free(room);
    return 0;
}

static void keep(struct room *room, const struct bundles_key *which, const char *text)
{
    struct bundles_part part = BUNDLES_PART_NONE;

    assert_int_equal(bundles_create(room->bundles, &part), 0);
    assert_int_equal(pwrite(part.fd, text, strlen(text), 0), strlen(text));
    assert_int_equal(bundles_keep(&part, which), 0);
    bundles_part_done(&part);
}

static bool has(const struct room *room, const struct bundles_key *which, const char *text)
{
    char buffer[64] = "";
    _cleanup_close_ int fd = bundles_open_read(room->bundles, which);

    if (fd < 0) {
        assert_int_equal(fd, -ENOENT);
        return false;
    }
    assert_int_equal(pread(fd, buffer, sizeof(buffer), 0), strlen(text));
    assert_string_equal(buffer, text);
    return true;
}

static size_t count_files(const struct room *room)
{
    char path[300];
    size_t count = 0;

    snprintf(path, sizeof(path), "%s/taskfiles", room->node.directory);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count - 2;
}

static void what_was_kept_is_there_under_its_own_key(void **state)
{
    struct room *room = *state;
    struct bundles_key foreign = out, other = out;

    foreign.origin.bytes[0] = 9;
    other.attempt = 4;
    keep(room, &in, "inputs");
    keep(room, &out, "results");
    keep(room, &foreign, "theirs");
    assert_true(has(room, &in, "inputs"));
    assert_true(has(room, &out, "results"));
    assert_true(has(room, &foreign, "theirs"));
    assert_false(has(room, &other, ""));
    keep(room, &out, "again");
    assert_true(has(room, &out, "again"));
    assert_int_equal(count_files(room), 3);
}

static void part_that_is_not_kept_leaves_nothing(void **state)
{
    struct room *room = *state;
    struct bundles_part part = BUNDLES_PART_NONE;

    bundles_part_done(&part);
    assert_int_equal(bundles_create(room->bundles, &part), 0);
    assert_int_equal(count_files(room), 1);
    bundles_part_done(&part);
    bundles_part_done(&part);
    assert_int_equal(count_files(room), 0);
    _cleanup_close_ int fd = bundles_create_unnamed(room->bundles);
    assert_true(fd >= 0);
    assert_int_equal(count_files(room), 0);
}

/* A crash at each of the calls that keep a bundle leaves the old one or the new one, whole. */
static void every_failed_step_leaves_the_old_one(void **state)
{
    struct room *room = *state;
    bool is_kept = false;

    keep(room, &out, "old");
    for (int at = 1; !is_kept; at++) {
        struct bundles_part part = BUNDLES_PART_NONE;
        assert_int_equal(bundles_create(room->bundles, &part), 0);
        assert_int_equal(pwrite(part.fd, "new", 3, 0), 3);
        fault_arm(at, EIO);
        int r = bundles_keep(&part, &out);
        fault_disarm();
        bundles_part_done(&part);
        is_kept = r == 0;
        assert_true(at < 10 && (r == 0 || r == -EIO));
        _cleanup_close_ int fd = bundles_open_read(room->bundles, &out);
        char text[4] = "";
        assert_int_equal(read(fd, text, 3), 3);
        assert_true(strcmp(text, "old") == 0 || strcmp(text, "new") == 0);
        assert_int_equal(count_files(room), 1);
    }
    assert_true(has(room, &out, "new"));
}

static bool is_in(const struct bundles_key *which, void *data)
{
    (*(unsigned *)data)++;
    return which->kind == BUNDLES_IN;
}

static void sweep_drops_parts_and_what_nobody_knows(void **state)
{
    struct room *room = *state;
    struct bundles_part part;
    char path[300];
    unsigned asked = 0;

    keep(room, &in, "inputs");
    keep(room, &out, "results");
    assert_int_equal(bundles_create(room->bundles, &part), 0);
    snprintf(path, sizeof(path), "%s/taskfiles/not ours", room->node.directory);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(bundles_sweep(room->bundles, is_in, &asked), 0);
    assert_int_equal(asked, 2);
    assert_true(has(room, &in, "inputs"));
    assert_false(has(room, &out, ""));
    assert_int_equal(count_files(room), 2);
    close(part.fd);
}

static void bundle_goes_when_the_batch_is_durable(void **state)
{
    struct room *room = *state;
    struct state_batch *batch = new_batch();
    struct outcome outcome = {0};

    keep(room, &in, "inputs");
    bundles_remove(room->bundles, &in, batch);
    assert_true(has(room, &in, "inputs"));
    assert_int_equal(commit(&room->node, batch), 0);
    /* The lane is in order: behind another commit the file is gone. */
    batch = new_batch();
    state_delete_task(batch, 1);
    state_batch_after(batch, on_outcome, &outcome);
    assert_int_equal(state_commit(room->node.state, &batch), 0);
    assert_true(worker_wait(room->node.worker, &outcome.is_done));
    assert_false(has(room, &in, ""));
}

static void bundle_stays_when_the_batch_fails(void **state)
{
    struct room *room = *state;
    struct state_batch *batch = new_batch();

    keep(room, &in, "inputs");
    bundles_remove(room->bundles, &in, batch);
    state_batch_free(batch);
    assert_true(has(room, &in, "inputs"));
}

static void space_counts_without_the_reserve(void **state)
{
    struct room *room = *state;
    uint64_t all = bundles_get_space(room->bundles, 0);

    assert_true(all > 1024);
    assert_int_equal(bundles_get_space(room->bundles, UINT64_MAX), 0);
    assert_true(bundles_get_space(room->bundles, all / 2) < all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_kept_is_there_under_its_own_key, setup, teardown),
        cmocka_unit_test_setup_teardown(part_that_is_not_kept_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(every_failed_step_leaves_the_old_one, setup, teardown),
        cmocka_unit_test_setup_teardown(sweep_drops_parts_and_what_nobody_knows, setup, teardown),
        cmocka_unit_test_setup_teardown(bundle_goes_when_the_batch_is_durable, setup, teardown),
        cmocka_unit_test_setup_teardown(bundle_stays_when_the_batch_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(space_counts_without_the_reserve, setup, teardown),
    };

    return cmocka_run_group_tests_name("store/bundles", tests, NULL, NULL);
}
