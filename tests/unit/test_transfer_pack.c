/* SPDX-License-Identifier: MIT */

/* Many small files in one go, here and to another node, and the connections that they share. */

#include "transfer_lab.h"
#include <openssl/sha.h>
#include "store/batch.h"

static struct depot *const here = &depots[0], *const there = &depots[1];

enum { HERE, THERE };

/* @count files "PREFIX0"... of @size bytes, each with other ones. The descriptor has them all. */
static struct transfer_item *make_list(const char *prefix, size_t count, size_t size, int *ret_fd)
{
    struct transfer_item *list = calloc(count, sizeof(*list));
    int fd = memfd_create("test", MFD_CLOEXEC);

    for (size_t i = 0; i < count; i++) {
        assert_true(asprintf(&list[i].name, "%s%zu", prefix, i) > 0);
        list[i].size = size;
        list[i].modified_wall_usec = WALL;
        assert_int_equal(write(fd, some_bytes(FILE_MAX) + i, size), size);
    }
    *ret_fd = fd;
    return list;
}

static int put_made(size_t place, struct transfer_item *list, size_t count, int fd,
                    enum upload_overwrite overwrite, struct moving *moving)
{
    struct transfer_place at = place_of(here, place);
    struct upload_offer offer = {.owner = "user1", .overwrite = overwrite};

    *moving = (struct moving){0};
    int r =
        transfers_put_list(here->transfers, &at, fd, &offer, (struct transfer_list){list, count},
                           &moving_handler, moving, &moving->transfer);
    if (r < 0)
        return r;
    run_until(moving->is_ended);
    return moving->end.r;
}

static int put_list(size_t place, const char *prefix, size_t count, size_t size,
                    struct moving *moving)
{
    int fd;
    struct transfer_item *list = make_list(prefix, count, size, &fd);

    return put_made(place, list, count, fd, UPLOAD_NEVER, moving);
}

static void expect_file(struct depot *depot, const char *name, size_t i, size_t size)
{
    _cleanup_free_ uint8_t *content = malloc(size + 1);
    _cleanup_close_ int fd = -EBADF;
    struct files_info info;
    uint8_t sum[FILES_HASH_SIZE];

    assert_int_equal(files_open_read(depot->room.files, name, &fd, &info), 0);
    assert_int_equal(read(fd, content, size + 1), size);
    assert_memory_equal(content, some_bytes(FILE_MAX) + i, size);
    SHA256(content, size, sum);
    assert_memory_equal(info.sha256, sum, sizeof(sum));
    assert_string_equal(info.owner, "user1");
    assert_int_equal(info.modified_wall_usec, WALL);
}

static void a_list_of_small_files_is_stored(void **state _unused_)
{
    static const struct {
        size_t count, size;
    } lists[] = {{1, 0}, {1, 100}, {300, 100}, {10, 200000}, {BATCH_FILES_MAX + 5, 1}};

    for (size_t place = HERE; place <= THERE; place++)
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
            size_t count = lists[i].count, size = lists[i].size;
            struct moving moving;
            char prefix[16], name[64];
            snprintf(prefix, sizeof(prefix), "list-%zu-", i);
            assert_int_equal(put_list(place, prefix, count, size, &moving), 0);
            assert_int_equal(moving.stored, count);
            for (size_t j = 0; j < count; j += count / 5 + 1) {
                snprintf(name, sizeof(name), "%s%zu", prefix, j);
                expect_file(&depots[place], name, j, size);
            }
            if (place == THERE)
                run_until(there->stored == count);
            there->stored = 0;
        }
    assert_int_equal(there->connections, 1);
    assert_int_equal(count_parts(&there->room), 0);
}

static void one_that_is_refused_does_not_hinder_the_others(void **state _unused_)
{
    for (size_t place = HERE; place <= THERE; place++) {
        struct moving moving;
        int fd;
        struct transfer_item *list = make_list("f", 5, 100, &fd);

        assert_int_equal(put_text(depots[place].room.files, "f1", "old"), 0);
        free(list[3].name);
        list[3].name = strdup("../f3");
        free(list[4].name);
        list[4].name = strdup("f2");
        assert_int_equal(put_made(place, list, 5, fd, UPLOAD_NEVER, &moving), 0);
        assert_int_equal(moving.stored, 2);
        assert_string_equal(moving.failures, "f1:17 ../f3:22 f2:17 ");
        expect_content(depots[place].room.files, "f1", "old");
        expect_file(&depots[place], "f0", 0, 100);
        expect_file(&depots[place], "f2", 2, 100);

        list = make_list("f", 2, 100, &fd);
        assert_int_equal(put_made(place, list, 2, fd, UPLOAD_NEWER, &moving), 0);
        assert_int_equal(moving.stored, 0);
        assert_int_equal(moving.kept, 2);
        list = make_list("f", 2, 100, &fd);
        assert_int_equal(put_made(place, list, 2, fd, UPLOAD_ALWAYS, &moving), 0);
        assert_int_equal(moving.stored, 2);
        expect_file(&depots[place], "f1", 1, 100);
    }
}

static void a_quota_refuses_with_the_sizes_and_stores_what_fits(void **state _unused_)
{
    for (size_t place = HERE; place <= THERE; place++) {
        struct moving moving;
        size_t fitting = QUOTA / 200000;

        assert_int_equal(put_list(place, "f", 20, 200000, &moving), 0);
        assert_int_equal(moving.stored, fitting);
        assert_int_equal(usage_of(depots[place].room.files).used, fitting * 200000);
        assert_int_equal(count_parts(&depots[place].room), 0);
    }
}

static void very_many_refusals_say_which_file_and_why(void **state _unused_)
{
    for (size_t place = HERE; place <= THERE; place++) {
        struct moving moving;

        assert_int_equal(put_list(place, "f", 1000, 10000, &moving), 0);
        assert_int_equal(moving.stored, QUOTA / 10000);
        assert_non_null(strstr(moving.reason, "\"f999\" has 9.8 KiB, and of files.quota "));
    }
}

static void a_time_that_does_not_fit_is_the_last_that_does(void **state _unused_)
{
    struct moving moving;
    struct files_info info;
    int fd;
    struct transfer_item *list = make_list("f", 3, 100, &fd);

    list[1].modified_wall_usec = (uint64_t)1 << 60;
    assert_int_equal(put_made(THERE, list, 3, fd, UPLOAD_NEVER, &moving), 0);
    assert_int_equal(moving.stored, 3);
    assert_int_equal(files_stat(there->room.files, "f1", &info), 0);
    assert_int_equal(info.modified_wall_usec, (uint64_t)1 << 53);
}

static void a_source_that_is_too_short_is_told_and_nothing_is_stored(void **state _unused_)
{
    for (size_t place = HERE; place <= THERE; place++) {
        struct moving moving;
        int fd;
        struct transfer_item *list = make_list("f", 50, 1000, &fd);

        assert_int_equal(ftruncate(fd, 49999), 0);
        assert_int_equal(put_made(place, list, 50, fd, UPLOAD_NEVER, &moving), -EMSGSIZE);
        run_until(count_parts(&depots[place].room) == 0);
        assert_int_equal(usage_of(depots[place].room.files).count, 0);
    }
}

static void what_is_no_list_is_refused(void **state _unused_)
{
    struct moving moving;
    int fd;
    struct transfer_item *list = make_list("f", 1, 1, &fd);

    list[0].size = TRANSFERS_ITEM_MAX + 1;
    assert_int_equal(put_made(HERE, list, 1, fd, UPLOAD_NEVER, &moving), -EINVAL);
    list = make_list("f", 1, 1, &fd);
    free(list[0].name);
    list[0].name = calloc(1, FILES_NAME_MAX + 2);
    memset(list[0].name, 'a', FILES_NAME_MAX + 1);
    assert_int_equal(put_made(HERE, list, 1, fd, UPLOAD_NEVER, &moving), -EINVAL);
    assert_int_equal(put_made(HERE, calloc(1, 1), 0, new_memory("", 0), UPLOAD_NEVER, &moving),
                     -EINVAL);
}

static void transfers_in_a_row_share_a_connection(void **state _unused_)
{
    struct moving moving;
    struct upload_offer offer = offer_of("file", 100);

    for (int i = 0; i < 3; i++) {
        assert_int_equal(put_fd(THERE, new_memory(some_bytes(100), 100), &offer, &moving), 0);
        assert_int_equal(get_fd(THERE, "file", new_memory("", 0), &moving), 0);
        lab_run_for(30 * USEC_PER_MSEC); /* it rests in the loop meanwhile */
    }
    assert_int_equal(there->connections, 1);
}

static void a_connection_that_the_other_side_has_ended_is_made_anew(void **state _unused_)
{
    struct moving moving;
    struct upload_offer offer = offer_of("file", 100);

    assert_int_equal(put_fd(THERE, new_memory(some_bytes(100), 100), &offer, &moving), 0);
    run_until(there->stored == 1);
    lab_run_for(30 * USEC_PER_MSEC);
    transfers_stop(there->transfers);
    offer.name = "other";
    assert_int_equal(put_fd(THERE, new_memory(some_bytes(100), 100), &offer, &moving), 0);
    assert_int_equal(there->connections, 2);
}

static void an_idle_connection_is_ended(void **state _unused_)
{
    struct moving moving;
    usec_t idle_usec = 20 * USEC_PER_MSEC, end = conn_now() + LAB_WAIT_USEC;

    depot_stop(here);
    depot_start(here, &nodes[HERE], 0, idle_usec);
    /* The loop may have been held up for all of a pause: then the next one shows it. */
    for (unsigned i = 0; there->connections < 2; i++) {
        char name[16];
        snprintf(name, sizeof(name), "file-%u", i);
        struct upload_offer offer = offer_of(name, 100);
        assert_true(conn_now() < end);
        assert_int_equal(put_fd(THERE, new_memory(some_bytes(100), 100), &offer, &moving), 0);
        lab_run_for(2 * idle_usec);
    }
}

#define test(name) cmocka_unit_test_setup_teardown(name, transfer_start, transfer_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_list_of_small_files_is_stored),
        test(one_that_is_refused_does_not_hinder_the_others),
        test(a_quota_refuses_with_the_sizes_and_stores_what_fits),
        test(very_many_refusals_say_which_file_and_why),
        test(a_time_that_does_not_fit_is_the_last_that_does),
        test(a_source_that_is_too_short_is_told_and_nothing_is_stored),
        test(what_is_no_list_is_refused),
        test(transfers_in_a_row_share_a_connection),
        test(a_connection_that_the_other_side_has_ended_is_made_anew),
        test(an_idle_connection_is_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
