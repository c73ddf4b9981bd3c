/* SPDX-License-Identifier: MIT */
#include "store_upload_room.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

static void full_disk_leaves_the_store_as_before(void **state)
{
    struct room *room = *state;
    int r = -ENOSPC, at;

    assert_int_equal(put_text(room->files, "f", "old"), 0);
    for (at = 1; r != 0; at++) {
        assert_true(at < 50);
        fault_arm(at, ENOSPC);
        r = put_text(room->files, "f", "new!");
        fault_disarm();
        /* A directory that cannot be synced leaves either file, whole. */
        if (r == 0 || r == -EIO)
            break;
        assert_int_equal(r, -ENOSPC);
        expect_content(room->files, "f", "old");
        assert_int_equal(usage_of(room->files).used, 3);
        assert_int_equal(usage_of(room->files).under_way, 0);
    }
    assert_true(at > 3);
    assert_int_equal(put_text(room->files, "f", "newest"), 0);
    expect_content(room->files, "f", "newest");
}

static void write_that_stops_short_of_a_size_limit_of_the_system_is_an_error(void **state)
{
    struct room *room = *state;
    struct rlimit before, tight;
    struct upload_offer offer = offer_of("f", 100000);
    struct upload_refusal refusal = {0};
    struct upload *upload = NULL;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_IGN);
    tight = before;
    tight.rlim_cur = 50000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    assert_int_equal(upload_new(room->files, &offer, NULL, &upload), 0);
    int r = upload_write(upload, zeros, 100000);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(r, -EFBIG);
    upload_get_refusal(upload, &refusal);
    assert_int_equal(refusal.size, 100000);
    assert_int_equal(refusal.limit, 0);
    upload_free(upload);
    assert_int_equal(count_parts(room), 0);
}

/* Each write takes but a part of what it is given. */
static void short_writes_are_gone_on_with(void **state)
{
    struct room *room = *state;
    struct upload_offer offer = offer_of("f", 10000);
    _cleanup_free_ uint8_t *content = malloc(10001);
    _cleanup_close_ int fd = -EBADF;
    struct files_info info;
    uint8_t data[10000];

    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7);
    fault_write_max = 777;
    int r = put(room->files, &offer, data, sizeof(data));
    fault_disarm();
    assert_int_equal(r, 0);
    assert_int_equal(files_open_read(room->files, "f", &fd, &info), 0);
    assert_int_equal(read(fd, content, 10001), sizeof(data));
    assert_memory_equal(content, data, sizeof(data));
}

/* --- Crashes at every write boundary --- */

static void put_old(struct files *files)
{
    assert_int_equal(put_text(files, "f", "old"), 0);
}

static int put_newer(struct files *files)
{
    struct upload_offer offer = offer_of("f", 5);

    offer.owner = "user2";
    return put(files, &offer, "newer", 5);
}

/* Whether it is the newer one, which is as it should be, like the old one. */
static size_t is_newer(const struct room *room)
{
    struct files_info info;

    assert_int_equal(files_stat(room->files, "f", &info), 0);
    bool is_old = info.size == 3;
    expect_content(room->files, "f", is_old ? "old" : "newer");
    assert_string_equal(info.owner, is_old ? "user1" : "user2");
    assert_true(info.has_sha256);
    assert_int_equal(usage_of(room->files).count, 1);
    assert_int_equal(usage_of(room->files).used, info.size);
    assert_int_equal(count_parts(room), 0);
    return !is_old;
}

static void crash_leaves_the_old_or_the_new_file_with_its_own_metadata(void **state)
{
    static const struct crash_trial trial = {put_old, put_newer, is_newer};
    size_t counts[2] = {0};

    (void)state;
    crash_everywhere(&trial, counts);
    assert_true(counts[0] > 0 && counts[1] > 0 && counts[0] + counts[1] > 4);
}

/* --- Several threads --- */

#define THREADS 4
#define ROUNDS  10

struct putter {
    struct files *files;
    unsigned number;
    int result;
};

static void *put_many(void *data)
{
    struct putter *putter = data;
    char name[32], text[32];

    for (unsigned i = 0; i < ROUNDS && putter->result == 0; i++) {
        snprintf(name, sizeof(name), "own-%u-%u", putter->number, i);
        snprintf(text, sizeof(text), "%u", putter->number);
        putter->result = put_text(putter->files, name, text);
        if (putter->result == 0)
            putter->result = put_text(putter->files, "shared", text);
    }
    return NULL;
}

static void threads_put_at_once(void **state)
{
    struct room *room = *state;
    pthread_t threads[THREADS];
    struct putter putters[THREADS];
    struct files_info info;

    for (unsigned i = 0; i < THREADS; i++) {
        putters[i] = (struct putter){.files = room->files, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, &putters[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(putters[i].result, 0);
    }
    assert_int_equal(usage_of(room->files).count, THREADS * ROUNDS + 1);
    assert_int_equal(usage_of(room->files).used, THREADS * ROUNDS + 1);
    assert_int_equal(usage_of(room->files).under_way, 0);
    assert_int_equal(files_stat(room->files, "shared", &info), 0);
    assert_true(info.has_sha256);
    assert_int_equal(count_parts(room), 0);
}

static void *put_over_quota(void *data)
{
    struct putter *putter = data;
    char name[32];

    snprintf(name, sizeof(name), "big-%u", putter->number);
    struct upload_offer offer = offer_of(name, FILE_MAX / 2);
    putter->result = put(putter->files, &offer, zeros, FILE_MAX / 2);
    return NULL;
}

static void threads_share_the_quota(void **state)
{
    struct room *room = *state;
    pthread_t threads[THREADS + 1];
    struct putter putters[THREADS + 1];
    size_t stored = 0;

    for (unsigned i = 0; i <= THREADS; i++) {
        putters[i] = (struct putter){.files = room->files, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, put_over_quota, &putters[i]), 0);
    }
    for (unsigned i = 0; i <= THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_true(putters[i].result == 0 || putters[i].result == -EDQUOT);
        stored += putters[i].result == 0;
    }
    assert_in_range(stored, 1, QUOTA / (FILE_MAX / 2));
    assert_int_equal(usage_of(room->files).used, stored * (FILE_MAX / 2));
}

#define test(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(full_disk_leaves_the_store_as_before),
        test(short_writes_are_gone_on_with),
        test(write_that_stops_short_of_a_size_limit_of_the_system_is_an_error),
        cmocka_unit_test(crash_leaves_the_old_or_the_new_file_with_its_own_metadata),
        test(threads_put_at_once),
        test(threads_share_the_quota),
    };

    return cmocka_run_group_tests_name("store/upload under faults", tests, NULL, NULL);
}
