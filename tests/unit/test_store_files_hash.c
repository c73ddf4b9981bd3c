/* SPDX-License-Identifier: MIT */
#include "store_upload_room.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define SIZE  UPLOAD_HASHED_LATER_MIN
#define PIECE ((size_t)1024 * 1024)

static uint8_t piece[PIECE], hash_of_all[FILES_HASH_SIZE];
static const atomic_bool never;

static int setup(void **state)
{
    const struct files_limits wide = {.quota = 8 * SIZE, .file_max = 2 * SIZE};
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    memset(piece, 'p', sizeof(piece));
    assert_int_equal(EVP_DigestInit_ex(context, EVP_sha256(), NULL), 1);
    for (uint64_t i = 0; i < SIZE / PIECE; i++)
        assert_int_equal(EVP_DigestUpdate(context, piece, PIECE), 1);
    assert_int_equal(EVP_DigestFinal_ex(context, hash_of_all, NULL), 1);
    EVP_MD_CTX_free(context);
    int r = room_setup(state);
    files_set_limits(((struct room *)*state)->files, &wide);
    return r;
}

static struct upload_offer later(const char *name)
{
    struct upload_offer offer = offer_of(name, SIZE);

    offer.is_hashed_later = true;
    return offer;
}

static struct upload *begin(const struct room *room, const struct upload_offer *offer)
{
    struct upload *upload;

    assert_int_equal(upload_new(room->files, offer, NULL, &upload), 0);
    for (uint64_t i = 0; i < SIZE / PIECE; i++)
        assert_int_equal(upload_write(upload, piece, PIECE), 0);
    return upload;
}

static struct files_info put_large(const struct room *room, const struct upload_offer *offer)
{
    _cleanup_(upload_freep) struct upload *upload = begin(room, offer);
    struct files_info info;

    assert_int_equal(upload_commit(upload, NULL, &info), 0);
    return info;
}

static struct files_info look_at(const struct room *room, const char *name)
{
    struct files_info info;

    assert_int_equal(files_stat(room->files, name, &info), 0);
    return info;
}

static void expect_hash(const struct files_info *info)
{
    assert_true(info->has_sha256);
    assert_false(info->awaits_hash);
    assert_memory_equal(info->sha256, hash_of_all, sizeof(hash_of_all));
}

static void large_file_is_stored_first_and_hashed_later(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = later("large");
    struct files_info info = put_large(room, &offer), *list;
    char name[FILES_NAME_MAX + 1] = "";
    size_t count;

    assert_false(info.has_sha256);
    assert_true(info.awaits_hash);
    assert_true(files_awaits_hash(room->files));
    info = look_at(room, "large");
    assert_false(info.has_sha256);
    assert_true(info.awaits_hash);
    assert_int_equal(files_hash_next(room->files, name, &never), 1);
    assert_string_equal(name, "large");
    assert_int_equal(files_hash_next(room->files, name, &never), 0);
    assert_false(files_awaits_hash(room->files));
    info = look_at(room, "large");
    expect_hash(&info);
    assert_int_equal(
        files_list(room->files, &(struct files_query){NULL, "", 10, false}, &list, &count), 0);
    assert_int_equal(count, 1);
    expect_hash(&list[0]);
    free(list);
}

static void what_is_smaller_or_not_to_be_hashed_later_is_hashed_at_once(void **state)
{
    struct room *room = *state;
    struct upload_offer large = offer_of("large", SIZE), small = later("small");

    small.size = 1;
    assert_int_equal(put(room->files, &small, "s", 1), 0);
    assert_true(look_at(room, "small").has_sha256);
    struct files_info info = put_large(room, &large);
    expect_hash(&info);
    assert_false(files_awaits_hash(room->files));
}

static void who_starts_again_hashes_what_was_left(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = later("large");
    char name[FILES_NAME_MAX + 1] = "";

    put_large(room, &offer);
    files_free(room->files);
    room_open(room);
    assert_true(files_awaits_hash(room->files));
    assert_true(look_at(room, "large").awaits_hash);
    assert_int_equal(files_hash_next(room->files, name, &never), 1);
    struct files_info info = look_at(room, "large");
    expect_hash(&info);
    files_free(room->files);
    room_open(room);
    assert_false(files_awaits_hash(room->files));
}

/* Here as no descriptor is left; a disk that fails for a moment is the same. */
static void what_cannot_be_read_now_is_tried_again(void **state)
{
    struct room *room = *state;
    struct upload_offer first = later("a-large"), second = later("b-large");
    char name[FILES_NAME_MAX + 1] = "";
    struct rlimit before, none = {0};

    put_large(room, &first);
    put_large(room, &second);
    (void)look_at(room, "a-large"); /* the index is open */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none.rlim_max = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int r = files_hash_next(room->files, name, &never);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(r, FILES_UNREADABLE);
    assert_string_equal(name, "a-large");
    assert_int_equal(files_hash_next(room->files, name, &never), 1);
    assert_string_equal(name, "b-large");
    assert_int_equal(files_hash_next(room->files, name, &never), 0);
    assert_true(look_at(room, "a-large").awaits_hash);
    *name = '\0';
    assert_int_equal(files_hash_next(room->files, name, &never), 1);
    struct files_info info = look_at(room, "a-large");
    expect_hash(&info);
}

static void what_was_changed_before_is_damaged_and_gets_no_hash(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = later("large");
    char name[FILES_NAME_MAX + 1] = "";
    _cleanup_free_ char *path = NULL;

    put_large(room, &offer);
    assert_true(asprintf(&path, "%s/large", room->directory) > 0);
    assert_int_equal(truncate(path, 1), 0);
    assert_true(look_at(room, "large").is_changed);
    assert_int_equal(files_hash_next(room->files, name, &never), 1);
    assert_int_equal(files_hash_next(room->files, name, &never), 0);
    assert_false(look_at(room, "large").has_sha256);
    assert_true(look_at(room, "large").is_changed);
    /* It is not looked at for ever. */
    assert_false(files_awaits_hash(room->files));
}

/* As a backup does that brings it back: what only has another inode is the same. */
static void what_only_has_another_inode_is_hashed(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = later("large");
    char name[FILES_NAME_MAX + 1] = "";
    _cleanup_free_ char *command = NULL;

    put_large(room, &offer);
    assert_true(asprintf(&command, "cd %s && cp -p large copy && mv copy large", room->directory) >
                0);
    assert_int_equal(system(command), 0);
    assert_int_equal(files_hash_next(room->files, name, &never), 1);
    struct files_info info = look_at(room, "large");
    expect_hash(&info);
}

static void hashing_can_be_given_up(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = later("large");
    char name[FILES_NAME_MAX + 1] = "";
    const atomic_bool is_over = true;

    put_large(room, &offer);
    assert_int_equal(files_hash_next(room->files, name, &is_over), -ECANCELED);
    assert_true(look_at(room, "large").awaits_hash);
    /* Also by who waits for it to compare. */
    offer.is_over = &is_over;
    struct upload *upload = begin(room, &offer);
    assert_int_equal(upload_commit(upload, hash_of_all, NULL), -ECANCELED);
    upload_free(upload);
}

static void hash_that_is_said_is_compared_at_once(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = later("large");
    struct upload *upload = begin(room, &offer);
    uint8_t other[FILES_HASH_SIZE] = {1};
    struct files_info info;

    assert_int_equal(upload_commit(upload, other, &info), -EBADMSG);
    upload_free(upload);
    upload = begin(room, &offer);
    assert_int_equal(upload_commit(upload, hash_of_all, &info), 0);
    upload_free(upload);
    expect_hash(&info);
}

static void same_content_is_known_although_neither_was_hashed(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = later("large");

    offer.overwrite = UPLOAD_NEVER;
    struct upload *first = begin(room, &offer), *second = begin(room, &offer);
    assert_int_equal(upload_commit(first, NULL, NULL), 0);
    assert_int_equal(upload_commit(second, NULL, NULL), UPLOAD_KEPT);
    upload_free(first);
    upload_free(second);
    struct files_info info = look_at(room, "large");
    expect_hash(&info);
}

static void who_asks_for_the_hash_gets_it_at_once(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = later("large");
    struct files_info info;

    put_large(room, &offer);
    assert_int_equal(files_stat_hashed(room->files, "large", 1, NULL, &info), 0);
    assert_true(info.awaits_hash);
    assert_int_equal(files_stat_hashed(room->files, "large", SIZE, NULL, &info), 0);
    expect_hash(&info);
    assert_int_equal(files_stat_hashed(room->files, "none", SIZE, NULL, &info), -ENOENT);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, room_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(large_file_is_stored_first_and_hashed_later),
        test(what_is_smaller_or_not_to_be_hashed_later_is_hashed_at_once),
        test(who_starts_again_hashes_what_was_left),
        test(what_cannot_be_read_now_is_tried_again),
        test(what_was_changed_before_is_damaged_and_gets_no_hash),
        test(what_only_has_another_inode_is_hashed),
        test(hashing_can_be_given_up),
        test(hash_that_is_said_is_compared_at_once),
        test(same_content_is_known_although_neither_was_hashed),
        test(who_asks_for_the_hash_gets_it_at_once),
    };

    return cmocka_run_group_tests_name("store/files_hash", tests, NULL, NULL);
}
