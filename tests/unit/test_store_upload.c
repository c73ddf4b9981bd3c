/* SPDX-License-Identifier: MIT */
#include "store_upload_room.h"

#include <openssl/sha.h>
#include <sys/statvfs.h>

static void file_is_stored_with_its_hash_owner_time_and_mode(void **state)
{
    struct room *room = *state;
    _cleanup_(upload_freep) struct upload *upload = NULL;
    struct upload_offer offer = offer_of("run1.h5", 6);
    struct files_info info, stored;
    uint8_t hash[FILES_HASH_SIZE];

    offer.is_executable = true;
    SHA256((const uint8_t *)"abcdef", 6, hash);
    assert_int_equal(upload_new(room->files, &offer, NULL, &upload), 0);
    assert_int_equal(upload_write(upload, "abc", 3), 0);
    assert_int_equal(upload_write(upload, "def", 3), 0);
    assert_int_equal(files_stat(room->files, "run1.h5", &stored), -ENOENT);
    assert_int_equal(upload_commit(upload, hash, &info), 0);
    assert_int_equal(files_stat(room->files, "run1.h5", &stored), 0);
    assert_string_equal(stored.name, "run1.h5");
    assert_string_equal(stored.owner, "user1");
    assert_int_equal(stored.size, 6);
    assert_true(stored.modified_wall_usec == WALL);
    assert_true(stored.has_sha256);
    assert_true(stored.is_executable);
    assert_memory_equal(stored.sha256, hash, sizeof(hash));
    assert_memory_equal(&stored, &info, sizeof(info));
    expect_content(room->files, "run1.h5", "abcdef");
    assert_int_equal(count_parts(room), 0);
}

static void empty_file_is_a_file(void **state)
{
    struct room *room = *state;

    assert_int_equal(put_text(room->files, "empty", ""), 0);
    expect_content(room->files, "empty", "");
    assert_int_equal(usage_of(room->files).count, 1);
}

static void nothing_is_left_of_an_upload_that_was_dropped(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = offer_of("f", 100);
    struct upload *upload = NULL;
    struct files_info info;

    assert_int_equal(upload_new(room->files, &offer, NULL, &upload), 0);
    assert_int_equal(upload_write(upload, zeros, 50), 0);
    assert_int_equal(count_parts(room), 1);
    assert_int_equal(usage_of(room->files).under_way, 100);
    upload_free(upload);
    assert_int_equal(count_parts(room), 0);
    assert_int_equal(usage_of(room->files).under_way, 0);
    assert_int_equal(usage_of(room->files).used, 0);
    assert_int_equal(files_stat(room->files, "f", &info), -ENOENT);
}

static void missing_or_surplus_bytes_are_refused(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = offer_of("f", 100);
    _cleanup_(upload_freep) struct upload *upload = NULL;
    struct files_info info;

    assert_int_equal(upload_new(room->files, &offer, NULL, &upload), 0);
    assert_int_equal(upload_write(upload, zeros, 99), 0);
    assert_int_equal(upload_commit(upload, NULL, &info), -EMSGSIZE);
    assert_int_equal(upload_write(upload, zeros, 2), -EMSGSIZE);
    assert_int_equal(files_stat(room->files, "f", &info), -ENOENT);
}

static void wrong_hash_leaves_the_old_file(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = offer_of("f", 3);
    _cleanup_(upload_freep) struct upload *upload = NULL;
    uint8_t hash[FILES_HASH_SIZE] = {0};

    assert_int_equal(put_text(room->files, "f", "old"), 0);
    assert_int_equal(upload_new(room->files, &offer, NULL, &upload), 0);
    assert_int_equal(upload_write(upload, "new", 3), 0);
    assert_int_equal(upload_commit(upload, hash, NULL), -EBADMSG);
    expect_content(room->files, "f", "old");
}

static void name_is_1_to_255_bytes_and_cannot_escape(void **state)
{
    static const char *const bad[] = {"",   ".",      "..",        "../x", "a/b", "/etc/passwd",
                                      "-x", "-parts", "-index.db", "a\nb", "\xff"};
    struct room *room = *state;
    char name[257];

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(put_text(room->files, bad[i], "x"), -EINVAL);
    memset(name, 'n', sizeof(name));
    name[256] = '\0';
    assert_int_equal(put_text(room->files, name, "x"), -EINVAL);
    name[255] = '\0';
    assert_int_equal(put_text(room->files, name, "long"), 0);
    expect_content(room->files, name, "long");
    assert_int_equal(put_text(room->files, "Größe 数据 .txt", "text"), 0);
    expect_content(room->files, "Größe 数据 .txt", "text");
    assert_int_equal(put_text(room->files, ".hidden", "x"), 0);
}

static void owner_is_a_line_of_bounded_length(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = offer_of("f", 0);
    char owner[FILES_OWNER_MAX + 2];

    memset(owner, 'o', sizeof(owner));
    owner[FILES_OWNER_MAX + 1] = '\0';
    offer.owner = owner;
    assert_int_equal(put(room->files, &offer, "", 0), -EINVAL);
    owner[FILES_OWNER_MAX] = '\0';
    assert_int_equal(put(room->files, &offer, "", 0), 0);
    offer.owner = "a\nb";
    assert_int_equal(put(room->files, &offer, "", 0), -EINVAL);
}

static void file_above_the_largest_is_refused_before_the_first_byte(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = offer_of("f", FILE_MAX + 1);
    struct upload_refusal refusal = {0};
    struct upload *upload = NULL;

    assert_int_equal(upload_new(room->files, &offer, &refusal, &upload), -EFBIG);
    assert_null(upload);
    assert_int_equal(refusal.size, FILE_MAX + 1);
    assert_int_equal(refusal.limit, FILE_MAX);
    offer.size = FILE_MAX;
    assert_int_equal(put(room->files, &offer, zeros, FILE_MAX), 0);
}

static void quota_counts_files_and_uploads_under_way(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = offer_of("a", FILE_MAX);
    struct upload_refusal refusal = {0};
    _cleanup_(upload_freep) struct upload *first = NULL, *second = NULL, *third = NULL;

    assert_int_equal(put(room->files, &offer, zeros, FILE_MAX), 0);
    offer = offer_of("b", 1000);
    assert_int_equal(upload_new(room->files, &offer, NULL, &first), 0);
    offer = offer_of("c", QUOTA - FILE_MAX - 1000 + 1);
    assert_int_equal(upload_new(room->files, &offer, &refusal, &second), -EDQUOT);
    assert_int_equal(refusal.size, offer.size);
    assert_int_equal(refusal.limit, QUOTA);
    assert_int_equal(refusal.available, offer.size - 1);
    offer.size--;
    assert_int_equal(upload_new(room->files, &offer, NULL, &second), 0);
    offer = offer_of("d", 1);
    assert_int_equal(upload_new(room->files, &offer, &refusal, &third), -EDQUOT);
    first = upload_free(first);
    assert_int_equal(upload_new(room->files, &offer, NULL, &third), 0);
}

static void replacing_a_file_needs_room_for_the_difference_only(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = offer_of("a", FILE_MAX);

    assert_int_equal(put(room->files, &offer, zeros, FILE_MAX), 0);
    offer = offer_of("b", QUOTA - FILE_MAX);
    assert_int_equal(put(room->files, &offer, zeros, QUOTA - FILE_MAX), 0);
    assert_int_equal(usage_of(room->files).used, QUOTA);
    assert_int_equal(put(room->files, &offer, zeros, QUOTA - FILE_MAX), 0);
    assert_int_equal(usage_of(room->files).used, QUOTA);
    offer.size++;
    assert_int_equal(put(room->files, &offer, zeros, QUOTA - FILE_MAX + 1), -EDQUOT);
}

static void two_replacements_cannot_both_use_the_same_room(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = offer_of("a", FILE_MAX);
    _cleanup_(upload_freep) struct upload *upload = NULL;
    struct files_info info;

    assert_int_equal(put(room->files, &offer, zeros, FILE_MAX), 0);
    assert_int_equal(upload_new(room->files, &offer, NULL, &upload), 0);
    assert_int_equal(upload_write(upload, zeros, FILE_MAX), 0);
    assert_int_equal(files_remove(room->files, "a", &info), 0);
    offer = offer_of("b", QUOTA - FILE_MAX + 1);
    assert_int_equal(put(room->files, &offer, zeros, QUOTA - FILE_MAX + 1), -EDQUOT);
    assert_int_equal(upload_commit(upload, NULL, NULL), 0);
    assert_int_equal(usage_of(room->files).used, FILE_MAX);
}

static void what_is_being_stored_counts_once(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = offer_of("a", FILE_MAX);

    for (unsigned round = 0; round < 2; round++) {
        rival_begin(room->files, QUOTA - FILE_MAX);
        assert_int_equal(put(room->files, &offer, zeros, FILE_MAX), 0);
        rival_end();
        assert_int_equal(usage_of(room->files).used, FILE_MAX);
        assert_int_equal(usage_of(room->files).under_way, 0);
    }
}

static void disk_keeps_its_reserve(void **state)
{
    struct room *room = *state;
    struct statvfs status;
    struct upload_offer offer = offer_of("f", 1000);
    struct upload_refusal refusal = {0};
    struct upload *upload = NULL;
    struct files_limits tight = limits;

    assert_int_equal(statvfs(room->directory, &status), 0);
    tight.reserve = UINT64_MAX / 2;
    files_set_limits(room->files, &tight);
    assert_int_equal(upload_new(room->files, &offer, &refusal, &upload), -ENOSPC);
    assert_int_equal(refusal.size, 1000);
    assert_true(refusal.limit == UINT64_MAX / 2);
    assert_int_equal(refusal.available, 0);
    assert_true(files_get_disk_free(room->files) > 0); /* though none of it is theirs */
    files_set_limits(room->files, &limits);

    assert_int_equal(put(room->files, &offer, zeros, 1000), 0);
}

static void stream_of_unknown_size_meets_the_same_limits(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = offer_of("s", FILES_SIZE_UNKNOWN);
    struct upload_refusal refusal = {0};
    struct upload *upload = NULL;

    assert_int_equal(upload_new(room->files, &offer, NULL, &upload), 0);
    assert_int_equal(upload_write(upload, zeros, FILE_MAX), 0);
    assert_int_equal(upload_write(upload, zeros, 1), -EFBIG);
    upload_get_refusal(upload, &refusal);
    assert_int_equal(refusal.size, FILE_MAX + 1);
    upload_free(upload);

    assert_int_equal(put(room->files, &offer, zeros, FILE_MAX), 0);
    offer.name = "t";
    assert_int_equal(put(room->files, &offer, zeros, QUOTA - FILE_MAX + 1), -EDQUOT);
    assert_int_equal(put(room->files, &offer, zeros, QUOTA - FILE_MAX), 0);
    assert_int_equal(usage_of(room->files).under_way, 0);
    assert_int_equal(usage_of(room->files).used, QUOTA);
}

static void overwrite_is_as_asked(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = offer_of("f", 3);

    assert_int_equal(put_text(room->files, "f", "one"), 0);
    offer.overwrite = UPLOAD_NEVER;
    assert_int_equal(put(room->files, &offer, "two", 3), -EEXIST);
    offer.overwrite = UPLOAD_NEWER;
    assert_int_equal(put(room->files, &offer, "two", 3), UPLOAD_KEPT);
    offer.modified_wall_usec = WALL - 1;
    assert_int_equal(put(room->files, &offer, "two", 3), UPLOAD_KEPT);
    expect_content(room->files, "f", "one");
    offer.modified_wall_usec = WALL + 1;
    assert_int_equal(put(room->files, &offer, "two", 3), 0);
    expect_content(room->files, "f", "two");
    offer.modified_wall_usec = 1;
    offer.overwrite = UPLOAD_ALWAYS;
    assert_int_equal(put(room->files, &offer, "six", 3), 0);
    expect_content(room->files, "f", "six");
    assert_int_equal(usage_of(room->files).count, 1);
    assert_int_equal(usage_of(room->files).used, 3);
}

static void stream_may_be_what_is_stored_already(void **state)
{
    struct room *room = *state;
    static const struct {
        const char *text;
        int written, committed;
    } cases[] = {
        {"one", 0, UPLOAD_KEPT}, {"two", 0, -EEXIST}, {"on", 0, -EEXIST}, {"ones", -EEXIST, 0}};

    assert_int_equal(put_text(room->files, "f", "one"), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct upload_offer offer = offer_of("f", FILES_SIZE_UNKNOWN);
        _cleanup_(upload_freep) struct upload *upload = NULL;
        offer.overwrite = UPLOAD_NEVER;
        assert_int_equal(upload_new(room->files, &offer, NULL, &upload), 0);
        assert_int_equal(upload_write(upload, cases[i].text, strlen(cases[i].text)),
                         cases[i].written);
        if (cases[i].written == 0)
            assert_int_equal(upload_commit(upload, NULL, NULL), cases[i].committed);
        expect_content(room->files, "f", "one");
    }
}

/* What another is about to replace is there until it is replaced. */
static void room_that_another_may_give_is_not_promised(void **state)
{
    struct room *room = *state;
    struct upload_offer large = offer_of("x", FILE_MAX), small = offer_of("x", 10),
                        other = offer_of("z", FILE_MAX);
    struct upload_refusal refusal = {0};
    _cleanup_(upload_freep) struct upload *first = NULL, *second = NULL;

    assert_int_equal(put(room->files, &large, zeros, FILE_MAX), 0);
    assert_int_equal(upload_new(room->files, &small, NULL, &first), 0);
    assert_int_equal(upload_new(room->files, &other, &refusal, &second), -EDQUOT);
    assert_int_equal(refusal.available, QUOTA - FILE_MAX);
    assert_int_equal(upload_write(first, zeros, 10), 0);
    assert_int_equal(upload_commit(first, NULL, NULL), 0);
    assert_int_equal(upload_new(room->files, &other, &refusal, &second), 0);
}

static void name_taken_meanwhile_is_seen_at_the_commit(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = offer_of("f", 3);
    _cleanup_(upload_freep) struct upload *never = NULL, *same = NULL, *newer = NULL;

    offer.overwrite = UPLOAD_NEVER;
    assert_int_equal(upload_new(room->files, &offer, NULL, &never), 0);
    assert_int_equal(upload_new(room->files, &offer, NULL, &same), 0);
    offer.overwrite = UPLOAD_NEWER;
    assert_int_equal(upload_new(room->files, &offer, NULL, &newer), 0);
    assert_int_equal(upload_write(never, "nev", 3), 0);
    assert_int_equal(upload_write(same, "won", 3), 0);
    assert_int_equal(upload_write(newer, "new", 3), 0);
    assert_int_equal(put_text(room->files, "f", "won"), 0);
    assert_int_equal(upload_commit(never, NULL, NULL), -EEXIST);
    assert_int_equal(upload_commit(same, NULL, NULL), UPLOAD_KEPT);
    assert_int_equal(upload_commit(newer, NULL, NULL), UPLOAD_KEPT);
    expect_content(room->files, "f", "won");
}

static void planted_link_or_directory_is_never_followed(void **state)
{
    struct room *room = *state;
    char path[256], target[256];

    snprintf(target, sizeof(target), "%s.outside", room->directory);
    snprintf(path, sizeof(path), "%s/link", room->directory);
    assert_int_equal(symlink(target, path), 0);
    snprintf(path, sizeof(path), "%s/sub", room->directory);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(put_text(room->files, "link", "x"), -ELOOP);
    assert_int_equal(put_text(room->files, "sub", "x"), -ELOOP);
    assert_int_equal(access(target, F_OK), -1);
}

static void link_planted_at_the_last_moment_is_not_followed(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = offer_of("f", 1);
    _cleanup_(upload_freep) struct upload *upload = NULL;
    char path[256], target[256];

    assert_int_equal(upload_new(room->files, &offer, NULL, &upload), 0);
    assert_int_equal(upload_write(upload, "x", 1), 0);
    snprintf(target, sizeof(target), "%s.outside", room->directory);
    snprintf(path, sizeof(path), "%s/f", room->directory);
    assert_int_equal(symlink(target, path), 0);
    assert_int_equal(upload_commit(upload, NULL, NULL), -ELOOP);
    assert_int_equal(access(target, F_OK), -1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(file_is_stored_with_its_hash_owner_time_and_mode),
        test(empty_file_is_a_file),
        test(nothing_is_left_of_an_upload_that_was_dropped),
        test(missing_or_surplus_bytes_are_refused),
        test(wrong_hash_leaves_the_old_file),
        test(name_is_1_to_255_bytes_and_cannot_escape),
        test(owner_is_a_line_of_bounded_length),
        test(file_above_the_largest_is_refused_before_the_first_byte),
        test(quota_counts_files_and_uploads_under_way),
        test(replacing_a_file_needs_room_for_the_difference_only),
        test(two_replacements_cannot_both_use_the_same_room),
        test(what_is_being_stored_counts_once),
        test(disk_keeps_its_reserve),
        test(stream_of_unknown_size_meets_the_same_limits),
        test(overwrite_is_as_asked),
        test(room_that_another_may_give_is_not_promised),
        test(name_taken_meanwhile_is_seen_at_the_commit),
        test(stream_may_be_what_is_stored_already),
        test(planted_link_or_directory_is_never_followed),
        test(link_planted_at_the_last_moment_is_not_followed),
    };

    return cmocka_run_group_tests_name("store/upload", tests, NULL, NULL);
}
