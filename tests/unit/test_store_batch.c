/* SPDX-License-Identifier: MIT */
#include "store_upload_room.h"

#include <signal.h>
#include <sys/resource.h>
#include "store/batch.h"

static struct batch *batch_of(struct files *files, enum upload_overwrite overwrite)
{
    struct batch *batch = NULL;

    assert_int_equal(batch_new(files, "user1", overwrite, &batch), 0);
    return batch;
}

static int add(struct batch *batch, const char *name, const void *data, size_t size)
{
    const struct batch_file file = {.name = name, .modified_wall_usec = WALL};

    return batch_add(batch, &file, data, size);
}

static int add_text(struct batch *batch, const char *name, const char *text)
{
    return add(batch, name, text, strlen(text));
}

static int result_of(const struct batch *batch, size_t i)
{
    struct batch_result result;

    batch_get_result(batch, i, &result);
    return result.r;
}

static void files_are_stored_together_with_one_sync(void **state)
{
    struct room *room = *state;
    struct batch *batch = batch_of(room->files, UPLOAD_NEVER);
    const struct batch_file tool = {.name = "tool", .is_executable = true};
    struct files_info info;
    char name[16];

    fault_arm(0, 0);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        assert_int_equal(add_text(batch, name, name), 0);
    }
    assert_int_equal(batch_add(batch, &tool, "x", 1), 0);
    assert_int_equal(usage_of(room->files).count, 0);
    assert_int_equal(files_stat(room->files, "f7", &info), -ENOENT);
    assert_int_equal(fault_syncs, 0);
    batch_commit(batch);
    assert_in_range(fault_syncs, 2, 10);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        assert_int_equal(result_of(batch, i), 0);
        expect_content(room->files, name, name);
    }
    assert_int_equal(files_stat(room->files, "f7", &info), 0);
    assert_string_equal(info.owner, "user1");
    assert_int_equal(info.modified_wall_usec, WALL);
    assert_true(info.has_sha256 && !info.is_executable);
    assert_int_equal(files_stat(room->files, "tool", &info), 0);
    assert_true(info.is_executable && info.modified_wall_usec > WALL);
    assert_int_equal(usage_of(room->files).count, 101);
    assert_int_equal(usage_of(room->files).under_way, 0);
    assert_int_equal(count_parts(room), 0);
    batch_free(batch);
}

/* @parts: that have a name while they are under way. */
static void free_uncommitted(struct room *room, size_t parts)
{
    struct batch *batch = batch_of(room->files, UPLOAD_NEVER);

    assert_int_equal(add_text(batch, "f", "text"), 0);
    assert_int_equal(count_parts(room), parts);
    assert_int_equal(usage_of(room->files).under_way, 4);
    batch_free(batch);
    assert_int_equal(count_parts(room), 0);
    assert_int_equal(usage_of(room->files).under_way, 0);
    assert_int_equal(usage_of(room->files).count, 0);
}

static void nothing_is_left_without_a_commit(void **state)
{
    free_uncommitted(*state, 0);
}

static void nothing_is_left_where_files_need_names(void **state)
{
    fault_is_plain = true;
    free_uncommitted(*state, 1);
    fault_is_plain = false;
}

/* Beyond the share of the descriptors that the store has for it, parts have names. */
static void descriptors_are_left_for_others(void **state)
{
    struct room *room = *state;
    struct rlimit before, few = {.rlim_cur = 40};
    char name[8];

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    for (unsigned round = 0; round < 2; round++) {
        struct batch *batch = batch_of(room->files, UPLOAD_ALWAYS);
        for (unsigned i = 0; i < 13; i++) {
            snprintf(name, sizeof(name), "f%u", i);
            assert_int_equal(add_text(batch, name, name), 0);
        }
        assert_int_equal(count_parts(room), 3);
        batch_commit(batch);
        for (unsigned i = 0; i < 13; i++) {
            snprintf(name, sizeof(name), "f%u", i);
            assert_int_equal(result_of(batch, i), 0);
            expect_content(room->files, name, name);
        }
        batch_free(batch);
        assert_int_equal(count_parts(room), 0);
    }
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void one_that_is_refused_does_not_hinder_the_others(void **state)
{
    struct room *room = *state;
    struct batch *batch = batch_of(room->files, UPLOAD_NEVER);
    static const int expected[] = {0, -EEXIST, -EINVAL, -EEXIST, -EFBIG, 0, -EDQUOT, 0};

    assert_int_equal(put_text(room->files, "there", "old"), 0);
    assert_int_equal(add_text(batch, "first", "1"), 0);
    assert_int_equal(add_text(batch, "there", "new"), 0);
    assert_int_equal(add_text(batch, "../x", "new"), 0);
    assert_int_equal(add_text(batch, "first", "twice"), 0);
    assert_int_equal(add(batch, "large", zeros, FILE_MAX + 1), 0);
    assert_int_equal(add(batch, "two", zeros, FILE_MAX), 0);
    assert_int_equal(add(batch, "three", zeros, FILE_MAX), 0);
    assert_int_equal(add_text(batch, "last", "2"), 0);
    batch_commit(batch);
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++)
        assert_int_equal(result_of(batch, i), expected[i]);
    struct batch_result result;
    batch_get_result(batch, 6, &result);
    assert_int_equal(result.refusal.size, FILE_MAX);
    assert_int_equal(result.refusal.limit, QUOTA);
    assert_int_equal(result.refusal.available, QUOTA - FILE_MAX - 4);
    expect_content(room->files, "first", "1");
    expect_content(room->files, "there", "old");
    assert_int_equal(usage_of(room->files).count, 4);
    assert_int_equal(usage_of(room->files).used, FILE_MAX + 5);
    assert_int_equal(count_parts(room), 0);
    batch_free(batch);
}

static void overwrite_is_as_asked(void **state)
{
    struct room *room = *state;
    struct batch *batch = batch_of(room->files, UPLOAD_NEWER);
    const struct batch_file newer = {.name = "g", .modified_wall_usec = WALL + 1};

    assert_int_equal(put_text(room->files, "f", "old"), 0);
    assert_int_equal(put_text(room->files, "g", "old"), 0);
    assert_int_equal(add_text(batch, "f", "same age"), 0);
    assert_int_equal(batch_add(batch, &newer, "newer", 5), 0);
    batch_commit(batch);
    assert_int_equal(result_of(batch, 0), UPLOAD_KEPT);
    assert_int_equal(result_of(batch, 1), 0);
    expect_content(room->files, "f", "old");
    expect_content(room->files, "g", "newer");
    assert_int_equal(usage_of(room->files).count, 2);
    assert_int_equal(usage_of(room->files).used, 8);
    batch_free(batch);

    batch = batch_of(room->files, UPLOAD_ALWAYS);
    assert_int_equal(add_text(batch, "f", "replaced"), 0);
    batch_commit(batch);
    expect_content(room->files, "f", "replaced");
    assert_int_equal(usage_of(room->files).count, 2);
    assert_int_equal(usage_of(room->files).used, 13);
    batch_free(batch);
}

static void name_taken_meanwhile_is_seen_at_the_commit(void **state)
{
    struct room *room = *state;
    struct batch *batch = batch_of(room->files, UPLOAD_NEVER);

    assert_int_equal(add_text(batch, "f", "late"), 0);
    assert_int_equal(put_text(room->files, "f", "first"), 0);
    batch_commit(batch);
    assert_int_equal(result_of(batch, 0), -EEXIST);
    expect_content(room->files, "f", "first");
    batch_free(batch);
}

/* What came meanwhile counts as if it had been there; with @is_plain on a file system that cannot
 * rename without replacing. */
static void take_meanwhile(struct room *room, bool is_plain)
{
    static const struct {
        enum upload_overwrite overwrite;
        const char *name;
        const char *meanwhile; /* NULL = nothing */
        int expected;
        const char *content;
    } cases[] = {{UPLOAD_NEVER, "new", NULL, 0, "late"},
                 {UPLOAD_NEVER, "f", "first", -EEXIST, "first"},
                 {UPLOAD_NEWER, "g", "first", UPLOAD_KEPT, "first"},
                 {UPLOAD_ALWAYS, "h", "first", 0, "late"},
                 {UPLOAD_ALWAYS, "link", NULL, -ELOOP, NULL}};
    char path[256];

    snprintf(path, sizeof(path), "%s/link", room->directory);
    assert_int_equal(symlink("f", path), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        fault_is_plain = is_plain;
        struct batch *batch = batch_of(room->files, cases[i].overwrite);
        assert_int_equal(add_text(batch, cases[i].name, "late"), 0);
        if (cases[i].meanwhile)
            assert_int_equal(put_text(room->files, cases[i].name, cases[i].meanwhile), 0);
        batch_commit(batch);
        fault_is_plain = false;
        assert_int_equal(result_of(batch, 0), cases[i].expected);
        if (cases[i].content)
            expect_content(room->files, cases[i].name, cases[i].content);
        batch_free(batch);
    }
    assert_int_equal(usage_of(room->files).count, 4);
    assert_int_equal(usage_of(room->files).used, 18);
    assert_int_equal(count_parts(room), 0);
}

static void what_came_meanwhile_is_replaced_only_if_it_may_be(void **state)
{
    take_meanwhile(*state, false);
}

static void a_file_system_without_exclusive_renames_does(void **state)
{
    take_meanwhile(*state, true);
}

static void a_size_limit_of_the_system_is_not_that_of_the_store(void **state)
{
    struct room *room = *state;
    struct batch *batch = batch_of(room->files, UPLOAD_ALWAYS);
    struct batch_result result;
    struct rlimit before, tight;

    assert_int_equal(add(batch, "large", zeros, FILE_MAX + 1), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    tight = before;
    tight.rlim_cur = 50000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    int r = add(batch, "f", zeros, 100000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(r, 0);
    batch_commit(batch);
    batch_get_result(batch, 1, &result);
    assert_int_equal(result.r, -EFBIG);
    assert_int_equal(result.refusal.size, 100000);
    assert_int_equal(result.refusal.limit, 0);
    batch_free(batch);
}

/* Also by those before it, which were not looked at as long as there was room. */
static void what_is_replaced_makes_room(void **state)
{
    struct room *room = *state;
    struct batch *batch = batch_of(room->files, UPLOAD_ALWAYS);
    struct batch_result result;

    assert_int_equal(put_text(room->files, "other", "1"), 0);
    assert_int_equal(add(batch, "a", zeros, QUOTA / 2 - 1), 0);
    batch_commit(batch);
    assert_int_equal(result_of(batch, 0), 0);
    batch_clear(batch);
    assert_int_equal(add(batch, "a", zeros, QUOTA / 2), 0);
    assert_int_equal(add(batch, "b", zeros, QUOTA / 2 - 1), 0);
    assert_int_equal(add(batch, "c", zeros, 1), 0);
    assert_int_equal(add(batch, "other", zeros, 2), 0);
    batch_commit(batch);
    assert_int_equal(result_of(batch, 0), 0);
    assert_int_equal(result_of(batch, 1), 0);
    assert_int_equal(result_of(batch, 2), -EDQUOT);
    assert_int_equal(result_of(batch, 3), -EDQUOT);
    batch_get_result(batch, 2, &result);
    assert_int_equal(result.refusal.available, 0);
    batch_get_result(batch, 3, &result);
    assert_int_equal(result.refusal.available, 1);
    assert_int_equal(usage_of(room->files).count, 3);
    assert_int_equal(usage_of(room->files).used, QUOTA);
    batch_free(batch);
}

/* Of what is under way and what is stored, each byte counts once, and what is replaced not at all.
 */
static void what_is_being_stored_counts_once(void **state)
{
    struct room *room = *state;

    for (unsigned round = 0; round < 3; round++) {
        struct batch *batch = batch_of(room->files, round < 2 ? UPLOAD_ALWAYS : UPLOAD_NEWER);
        const struct batch_file files[] = {{.name = "a", .modified_wall_usec = WALL + round},
                                           {.name = "b", .modified_wall_usec = WALL + round}};
        for (size_t i = 0; i < ARRAY_SIZE(files); i++)
            assert_int_equal(batch_add(batch, &files[i], zeros, QUOTA / 3), 0);
        rival_begin(room->files, QUOTA / 3);
        batch_commit(batch);
        rival_end();
        assert_int_equal(result_of(batch, 0), 0);
        assert_int_equal(result_of(batch, 1), 0);
        batch_free(batch);
        assert_int_equal(usage_of(room->files).used, QUOTA / 3 * 2);
        assert_int_equal(usage_of(room->files).under_way, 0);
    }
}

/* Several at once that replace what fills the store. */
static void batches_at_once_replace_what_is_stored(void **state)
{
    struct room *room = *state;
    struct batch *batches[3];
    char name[] = "a";

    for (unsigned round = 0; round < 2; round++) {
        for (size_t i = 0; i < ARRAY_SIZE(batches); i++) {
            batches[i] = batch_of(room->files, UPLOAD_ALWAYS);
            name[0] = (char)('a' + i);
            assert_int_equal(add(batches[i], name, zeros, QUOTA / 3), 0);
        }
        for (size_t i = 0; i < ARRAY_SIZE(batches); i++) {
            batch_commit(batches[i]);
            assert_int_equal(result_of(batches[i], 0), 0);
            batch_free(batches[i]);
        }
        assert_int_equal(usage_of(room->files).used, QUOTA);
        assert_int_equal(usage_of(room->files).under_way, 0);
    }
}

static void a_batch_is_full_at_its_limit_and_goes_on_when_cleared(void **state)
{
    struct room *room = *state;
    struct batch *batch = batch_of(room->files, UPLOAD_NEVER);
    char name[16];

    for (unsigned i = 0; i < BATCH_FILES_MAX; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        assert_int_equal(add(batch, name, "", 0), 0);
    }
    assert_int_equal(add(batch, "more", "", 0), -ENOSPC);
    batch_commit(batch);
    assert_int_equal(result_of(batch, BATCH_FILES_MAX - 1), 0);
    batch_clear(batch);
    assert_int_equal(add(batch, "more", "", 0), 0);
    batch_commit(batch);
    assert_int_equal(result_of(batch, 0), 0);
    assert_int_equal(usage_of(room->files).count, BATCH_FILES_MAX + 1);
    batch_free(batch);
}

static void owner_is_a_line_of_bounded_length(void **state)
{
    struct room *room = *state;
    struct batch *batch = NULL;
    char owner[FILES_OWNER_MAX + 2];

    memset(owner, 'o', sizeof(owner));
    owner[FILES_OWNER_MAX + 1] = '\0';
    assert_int_equal(batch_new(room->files, owner, UPLOAD_NEVER, &batch), -EINVAL);
    assert_int_equal(batch_new(room->files, "a\nb", UPLOAD_NEVER, &batch), -EINVAL);
    owner[FILES_OWNER_MAX] = '\0';
    assert_int_equal(batch_new(room->files, owner, UPLOAD_NEVER, &batch), 0);
    batch_free(batch);
}

/* --- Faults --- */

static const char *const olds[] = {"old-0", "old-1", "old-2"};
static const char *const news[] = {"new-0!", "new-1!", "new-2!"};

static int replace_three(struct files *files, int *results)
{
    struct batch *batch = NULL;
    char name[8];
    int failed = 0;

    if (batch_new(files, "user2", UPLOAD_ALWAYS, &batch) < 0)
        return 1;
    for (unsigned i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        failed += add_text(batch, name, news[i]) != 0;
    }
    batch_commit(batch);
    for (unsigned i = 0; i < 3; i++) {
        results[i] = result_of(batch, i);
        failed += results[i] != 0;
    }
    batch_free(batch);
    return failed;
}

static void fill(struct files *files)
{
    char name[8];

    for (unsigned i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        assert_int_equal(put_text(files, name, olds[i]), 0);
    }
}

/* Each of the three is the old or the new one, whole, and counted. */
static size_t count_new(const struct room *room)
{
    size_t count = 0, used = 0;
    char name[8];

    for (unsigned i = 0; i < 3; i++) {
        struct files_info info;
        snprintf(name, sizeof(name), "f%u", i);
        assert_int_equal(files_stat(room->files, name, &info), 0);
        bool is_new = info.size == strlen(news[i]);
        expect_content(room->files, name, is_new ? news[i] : olds[i]);
        assert_string_equal(info.owner, is_new ? "user2" : "user1");
        assert_true(info.has_sha256);
        count += is_new;
        used += info.size;
    }
    assert_int_equal(usage_of(room->files).count, 3);
    assert_int_equal(usage_of(room->files).used, used);
    assert_int_equal(usage_of(room->files).under_way, 0);
    assert_int_equal(count_parts(room), 0);
    return count;
}

/* Each write takes but a part of what it is given. */
static void short_writes_are_gone_on_with(void **state)
{
    struct room *room = *state;
    int results[3];

    fill(room->files);
    fault_write_max = 1;
    int failed = replace_three(room->files, results);
    fault_disarm();
    assert_int_equal(failed, 0);
    assert_int_equal(count_new(room), 3);
}

static void a_disk_that_fails_leaves_each_file_whole(void **state)
{
    static const int errors[] = {ENOSPC, EIO};

    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_SIZE(errors); i++) {
        int at, failed = 1;
        fault_is_plain = i >= ARRAY_SIZE(errors);
        for (at = 1; failed > 0; at++) {
            _cleanup_(directory_freep) char *directory = directory_new();
            struct room room = {.directory = directory};
            int results[3];
            room_open(&room);
            fill(room.files);
            assert_true(at < 100);
            fault_arm(at, errors[i % ARRAY_SIZE(errors)]);
            failed = replace_three(room.files, results);
            fault_disarm();
            /* As the disk failed for good, the parts are left to the next start. */
            files_free(room.files);
            room_open(&room);
            size_t count = count_new(&room);
            assert_true(failed > 0 || count == 3);
            files_free(room.files);
        }
        assert_true(at > 8);
    }
    fault_is_plain = false;
}

static int replace(struct files *files)
{
    int results[3];

    return replace_three(files, results);
}

static void a_crash_leaves_each_file_old_or_new_with_its_own_metadata(void **state)
{
    static const struct crash_trial trial = {fill, replace, count_new};

    (void)state;
    for (int is_plain = 0; is_plain < 2; is_plain++) {
        size_t counts[4] = {0};
        fault_is_plain = is_plain;
        crash_everywhere(&trial, counts);
        assert_true(counts[0] > 0 && counts[1] > 0 && counts[2] > 0 && counts[3] > 0);
    }
    fault_is_plain = false;
}

#define test(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(files_are_stored_together_with_one_sync),
        test(nothing_is_left_without_a_commit),
        test(nothing_is_left_where_files_need_names),
        test(descriptors_are_left_for_others),
        test(one_that_is_refused_does_not_hinder_the_others),
        test(overwrite_is_as_asked),
        test(name_taken_meanwhile_is_seen_at_the_commit),
        test(what_came_meanwhile_is_replaced_only_if_it_may_be),
        test(a_file_system_without_exclusive_renames_does),
        test(a_size_limit_of_the_system_is_not_that_of_the_store),
        test(what_is_replaced_makes_room),
        test(what_is_being_stored_counts_once),
        test(batches_at_once_replace_what_is_stored),
        test(a_batch_is_full_at_its_limit_and_goes_on_when_cleared),
        test(short_writes_are_gone_on_with),
        test(owner_is_a_line_of_bounded_length),
        cmocka_unit_test(a_disk_that_fails_leaves_each_file_whole),
        cmocka_unit_test(a_crash_leaves_each_file_old_or_new_with_its_own_metadata),
    };

    return cmocka_run_group_tests_name("store/batch", tests, NULL, NULL);
}
