/* SPDX-License-Identifier: MIT */

/* Many files removed at once, whatever the disk does meanwhile. */

#include "store_upload_room.h"
#include <sys/stat.h>

#define COUNT 5

static const char *const names[COUNT] = {"f0", "f1", "f2", "f3", "f4"};

static void fill(struct files *files)
{
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(put_text(files, names[i], "12345"), 0);
}

/* How many of them could not be removed. */
static int remove_all(struct files *files, struct files_removal *removals)
{
    int failed = 0;

    for (size_t i = 0; i < COUNT; i++)
        removals[i] = (struct files_removal){.name = names[i]};
    files_remove_many(files, removals, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        failed += removals[i].r < 0;
    return failed;
}

static size_t count_listed(struct files *files)
{
    struct files_info *infos;
    size_t count;

    assert_int_equal(files_list(files, &(struct files_query){NULL, "", 100, false}, &infos, &count),
                     0);
    free(infos);
    return count;
}

static void many_are_removed_with_few_syncs(void **state)
{
    struct room *room = *state;
    struct files_removal removals[COUNT];

    fill(room->files);
    assert_int_equal(put_text(room->files, "other", "kept"), 0);
    fault_arm(0, 0);
    assert_int_equal(remove_all(room->files, removals), 0);
    assert_in_range(fault_syncs, 1, 3);
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(removals[i].size, 5);
    assert_int_equal(usage_of(room->files).count, 1);
    assert_int_equal(usage_of(room->files).used, 4);
    assert_int_equal(count_listed(room->files), 1);
    expect_content(room->files, "other", "kept");
}

static void one_that_cannot_be_removed_does_not_hinder_the_others(void **state)
{
    struct room *room = *state;
    struct files_removal removals[] = {{.name = "absent"},    {.name = "f0"},    {.name = "../f1"},
                                       {.name = "-index.db"}, {.name = "place"}, {.name = "f0"},
                                       {.name = ""},          {.name = "f4"}};
    static const int results[] = {-ENOENT, 0, -EINVAL, -EINVAL, -ELOOP, -ENOENT, -EINVAL, 0};
    char path[256];

    fill(room->files);
    snprintf(path, sizeof(path), "%s/place", room->directory);
    assert_int_equal(mkdir(path, 0700), 0);
    files_remove_many(room->files, removals, ARRAY_SIZE(removals));
    for (size_t i = 0; i < ARRAY_SIZE(removals); i++)
        assert_int_equal(removals[i].r, results[i]);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(usage_of(room->files).count, COUNT - 2);
    assert_int_equal(usage_of(room->files).used, 5 * (COUNT - 2));
}

static void one_that_was_taken_away_by_hand_stops_counting(void **state)
{
    struct room *room = *state;
    struct files_removal removals[COUNT];
    char path[256];

    fill(room->files);
    snprintf(path, sizeof(path), "%s/f2", room->directory);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(remove_all(room->files, removals), 1);
    assert_int_equal(removals[2].r, -ENOENT);
    assert_int_equal(usage_of(room->files).count, 0);
    assert_int_equal(usage_of(room->files).used, 0);
}

/* What is listed is there, what is gone is not listed, and the sums are right. */
static size_t expect_consistent(const struct room *room)
{
    size_t left = 0;

    for (size_t i = 0; i < COUNT; i++) {
        struct files_info info;
        int r = files_stat(room->files, names[i], &info);
        assert_true(r == 0 || r == -ENOENT);
        if (r == 0)
            expect_content(room->files, names[i], "12345");
        left += r == 0;
    }
    assert_int_equal(count_listed(room->files), left);
    assert_int_equal(usage_of(room->files).count, left);
    assert_int_equal(usage_of(room->files).used, 5 * left);
    return left;
}

static void a_disk_that_fails_leaves_the_sums_right(void **state)
{
    int failed = 1, at;

    (void)state;
    for (at = 1; failed > 0; at++) {
        _cleanup_(directory_freep) char *directory = directory_new();
        struct room room = {.directory = directory};
        struct files_removal removals[COUNT];
        room_open(&room);
        fill(room.files);
        assert_true(at < 100);
        fault_arm(at, EIO);
        failed = remove_all(room.files, removals);
        fault_disarm();
        size_t left = expect_consistent(&room);
        assert_true(failed > 0 || left == 0);
        assert_int_equal(remove_all(room.files, removals), COUNT - left);
        assert_int_equal(expect_consistent(&room), 0);
        files_free(room.files);
    }
    assert_true(at > 5);
}

static int remove_them(struct files *files)
{
    struct files_removal removals[COUNT];

    return remove_all(files, removals);
}

static void a_crash_leaves_each_file_whole_or_gone(void **state)
{
    static const struct crash_trial trial = {fill, remove_them, expect_consistent};
    size_t counts[COUNT + 1] = {0};

    (void)state;
    crash_everywhere(&trial, counts);
    for (size_t i = 0; i <= COUNT; i++)
        assert_true(counts[i] > 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(many_are_removed_with_few_syncs),
        test(one_that_cannot_be_removed_does_not_hinder_the_others),
        test(one_that_was_taken_away_by_hand_stops_counting),
        cmocka_unit_test(a_disk_that_fails_leaves_the_sums_right),
        cmocka_unit_test(a_crash_leaves_each_file_whole_or_gone),
    };

    return cmocka_run_group_tests_name("store/files_remove", tests, NULL, NULL);
}
