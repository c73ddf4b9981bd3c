/* SPDX-License-Identifier: MIT */
#include "store_upload_room.h"

#include <dirent.h>
#include <openssl/sha.h>
#include <sys/time.h>
#include <time.h>

/* Uploads that are broken off, and go on from what had arrived. */

#define SIZE    (UPLOAD_RESUME_MIN + 300000)
#define ARRIVED ((size_t)700000)

static uint8_t content[SIZE];

static struct upload_offer resumable(const char *name)
{
    struct upload_offer offer = offer_of(name, SIZE);

    offer.is_resumable = true;
    for (size_t i = 0; i < SIZE; i++)
        content[i] = (uint8_t)(i * 31 + i / 251);
    return offer;
}

static struct upload *begin(struct files *files, const struct upload_offer *offer)
{
    struct upload *upload = NULL;

    assert_int_equal(upload_new(files, offer, NULL, &upload), 0);
    return upload;
}

/* Broken off after ARRIVED bytes. */
static void begin_and_break_off(struct files *files, const char *name)
{
    struct upload_offer offer = resumable(name);
    struct upload *upload = begin(files, &offer);

    assert_int_equal(upload_get_resumed(upload), 0);
    assert_int_equal(upload_write(upload, content, ARRIVED), 0);
    upload_free(upload);
}

/* How much of it the next one finds; nothing of that is kept. */
static uint64_t found(struct files *files, const struct upload_offer *offer)
{
    struct upload *upload = begin(files, offer);
    uint64_t size = upload_get_resumed(upload);

    assert_int_equal(upload_restart(upload), 0);
    upload_free(upload);
    return size;
}

static size_t count_entries(const struct room *room)
{
    char path[256];
    size_t count = 0;

    snprintf(path, sizeof(path), "%s/-parts", room->directory);
    DIR *stream = opendir(path);
    assert_non_null(stream);
    while (readdir(stream))
        count++;
    closedir(stream);
    return count - 2;
}

static void go_on(struct room *room)
{
    struct upload_offer offer = resumable("f");
    struct upload *upload = begin(room->files, &offer);
    uint8_t hash[FILES_HASH_SIZE], expected[FILES_HASH_SIZE];
    struct files_info info;

    assert_int_equal(upload_get_resumed(upload), ARRIVED);
    assert_int_equal(upload_get_hash(upload, hash), 0);
    SHA256(content, ARRIVED, expected);
    assert_memory_equal(hash, expected, sizeof(hash));
    assert_int_equal(upload_write(upload, content + ARRIVED, SIZE - ARRIVED), 0);
    SHA256(content, SIZE, expected);
    assert_int_equal(upload_commit(upload, expected, &info), 0);
    upload_free(upload);
    assert_int_equal(info.size, SIZE);
    assert_int_equal(usage_of(room->files).used, SIZE);
    assert_int_equal(usage_of(room->files).under_way, 0);
    assert_int_equal(count_entries(room), 0);
}

static void an_upload_goes_on_from_what_had_arrived(void **state)
{
    struct room *room = *state;

    begin_and_break_off(room->files, "f");
    assert_int_equal(usage_of(room->files).under_way, 0);
    assert_int_equal(usage_of(room->files).count, 0);
    assert_int_equal(count_entries(room), 1);
    go_on(room);
}

static void break_off_and_crash(void *data)
{
    struct room room = {.directory = data};
    struct upload_offer offer = resumable("f");

    room_open(&room);
    struct upload *upload = begin(room.files, &offer);
    if (upload_write(upload, content, ARRIVED) != 0)
        _exit(3);
    _exit(0); /* nothing is freed */
}

static void it_does_after_a_crash(void **state)
{
    struct room *room = *state;

    room->files = files_free(room->files);
    assert_int_equal(in_child(break_off_and_crash, room->directory), 0);
    room_open(room);
    go_on(room);
}

static void other_content_begins_anew(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = resumable("f");

    begin_and_break_off(room->files, "f");
    struct upload *upload = begin(room->files, &offer);
    assert_int_equal(upload_restart(upload), 0);
    assert_int_equal(upload_get_resumed(upload), 0);
    content[0] ^= 1;
    assert_int_equal(upload_write(upload, content, SIZE), 0);
    uint8_t expected[FILES_HASH_SIZE];
    SHA256(content, SIZE, expected);
    assert_int_equal(upload_commit(upload, expected, NULL), 0);
    upload_free(upload);
    assert_int_equal(usage_of(room->files).under_way, 0);
}

static void another_offer_finds_nothing_of_it(void **state)
{
    struct room *room = *state;
    struct upload_offer offers[5];

    begin_and_break_off(room->files, "f");
    for (size_t i = 0; i < ARRAY_SIZE(offers); i++)
        offers[i] = resumable("f");
    offers[0].name = "g";
    offers[1].owner = "user2";
    offers[2].size--;
    offers[3].modified_wall_usec++;
    offers[4].is_resumable = false;
    for (size_t i = 0; i < ARRAY_SIZE(offers); i++)
        assert_int_equal(found(room->files, &offers[i]), 0);
    offers[4].is_resumable = true;
    assert_int_equal(found(room->files, &offers[4]), ARRIVED);
}

static void a_small_one_is_not_kept(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = resumable("f");

    offer.size = UPLOAD_RESUME_MIN - 1;
    struct upload *upload = begin(room->files, &offer);
    assert_int_equal(upload_write(upload, content, ARRIVED), 0);
    upload_free(upload);
    assert_int_equal(count_entries(room), 0);
}

static void two_at_once_have_parts_of_their_own(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = resumable("f");

    begin_and_break_off(room->files, "f");
    struct upload *first = begin(room->files, &offer), *second = begin(room->files, &offer);
    assert_int_equal(upload_get_resumed(first), ARRIVED);
    assert_int_equal(upload_get_resumed(second), 0);
    assert_int_equal(upload_write(second, content, 1000), 0);
    upload_free(second);
    assert_int_equal(count_entries(room), 1);
    upload_free(first);
    assert_int_equal(found(room->files, &offer), ARRIVED);
}

static void what_failed_is_not_kept(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = resumable("f");
    static const uint8_t wrong[FILES_HASH_SIZE];

    struct upload *upload = begin(room->files, &offer);
    assert_int_equal(upload_write(upload, content, SIZE), 0);
    assert_int_equal(upload_commit(upload, wrong, NULL), -EBADMSG);
    upload_free(upload);
    assert_int_equal(count_entries(room), 0);
    upload = begin(room->files, &offer);
    assert_int_equal(upload_write(upload, content, ARRIVED), 0);
    fault_arm(1, ENOSPC);
    assert_int_equal(upload_write(upload, content + ARRIVED, 1000), -ENOSPC);
    fault_disarm();
    struct upload_refusal refusal;
    upload_get_refusal(upload, &refusal);
    assert_int_equal(refusal.size, SIZE);
    assert_in_range(refusal.available, ARRIVED, SIZE - 1);
    upload_free(upload);
    assert_int_equal(count_entries(room), 0);
}

/* Makes the one part that waits as old as @age_s. */
static void age(const struct room *room, time_t age_s)
{
    char path[256], file[600] = "";
    const struct dirent *entry;

    snprintf(path, sizeof(path), "%s/-parts", room->directory);
    DIR *stream = opendir(path);
    assert_non_null(stream);
    while ((entry = readdir(stream)))
        if (entry->d_name[0] != '.')
            snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
    closedir(stream);
    time_t then = time(NULL) - age_s;
    assert_int_equal(utimes(file, (struct timeval[2]){{.tv_sec = then}, {.tv_sec = then}}), 0);
}

static void it_waits_for_part_keep_and_no_longer(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = resumable("f");
    uint64_t now = (uint64_t)time(NULL) * 1000000;

    begin_and_break_off(room->files, "f");
    age(room, 3500);
    files_expire_parts(room->files, now);
    assert_int_equal(count_entries(room), 1);
    room->files = files_free(room->files);
    room_open(room);
    assert_int_equal(count_entries(room), 1);
    age(room, 3700);
    files_expire_parts(room->files, now);
    assert_int_equal(count_entries(room), 0);

    begin_and_break_off(room->files, "f");
    age(room, 3700);
    room->files = files_free(room->files);
    room_open(room);
    assert_int_equal(count_entries(room), 0);
    assert_int_equal(found(room->files, &offer), 0);
}

static void what_waits_makes_room_for_what_comes(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = offer_of("large", FILE_MAX), first = resumable("f"),
                        second = resumable("g");

    begin_and_break_off(room->files, "f");
    age(room, 100);
    begin_and_break_off(room->files, "g");
    assert_int_equal(count_entries(room), 2);
    /* 2 MiB of 3: one of 700 kB can stay, the younger one. */
    struct upload *upload = begin(room->files, &offer);
    assert_int_equal(count_entries(room), 2);
    upload_free(upload);
    assert_int_equal(found(room->files, &second), ARRIVED);
    assert_int_equal(found(room->files, &first), 0);
}

static void someone_elses_thing_in_its_place_is_not_followed(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = resumable("f");
    char path[256], file[600] = "";
    const struct dirent *entry;

    begin_and_break_off(room->files, "f");
    snprintf(path, sizeof(path), "%s/-parts", room->directory);
    DIR *stream = opendir(path);
    while ((entry = readdir(stream)))
        if (entry->d_name[0] != '.')
            snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
    closedir(stream);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(symlink("/etc/passwd", file), 0);
    assert_int_equal(found(room->files, &offer), 0);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkdir(file, 0700), 0);
    assert_int_equal(found(room->files, &offer), 0);
    assert_int_equal(rmdir(file), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(an_upload_goes_on_from_what_had_arrived),
        test(it_does_after_a_crash),
        test(other_content_begins_anew),
        test(another_offer_finds_nothing_of_it),
        test(a_small_one_is_not_kept),
        test(two_at_once_have_parts_of_their_own),
        test(what_failed_is_not_kept),
        test(it_waits_for_part_keep_and_no_longer),
        test(what_waits_makes_room_for_what_comes),
        test(someone_elses_thing_in_its_place_is_not_followed),
    };

    return cmocka_run_group_tests_name("store/upload, resumed", tests, NULL, NULL);
}
