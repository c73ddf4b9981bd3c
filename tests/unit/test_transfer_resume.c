/* SPDX-License-Identifier: MIT */

/* Transfers that were broken off and go on from what had arrived; and sources that change. */

#include "transfer_lab.h"

#define RATE ((uint64_t)2 * 1024 * 1024)

static struct depot *const here = &depots[0];

enum { HERE, THERE };

static int source_of(size_t size)
{
    return new_memory(some_bytes(size), size);
}

/* A put or get that is given up when some of it has arrived. */
static void break_off(struct moving *moving)
{
    transfer_set_rate(moving->transfer, RATE);
    run_until(moving->done > 0);
    transfer_cancel(moving->transfer);
}

static bool has_kept(const struct depot *depot)
{
    struct upload_offer offer = offer_of("file", FILE_MAX);
    struct upload *upload = NULL;

    offer.is_resumable = true;
    if (upload_new(depot->room.files, &offer, NULL, &upload) == -EDQUOT)
        return false; /* it is under way still */
    assert_non_null(upload);
    bool is_kept = upload_get_resumed(upload) > 0;
    upload_free(upload);
    return is_kept;
}

static void break_off_put(size_t place)
{
    struct upload_offer offer = offer_of("file", FILE_MAX);
    struct moving moving;

    offer.is_resumable = true;
    if (place == HERE) { /* nothing slows it */
        struct upload *upload = NULL;
        assert_int_equal(upload_new(here->room.files, &offer, NULL, &upload), 0);
        assert_int_equal(upload_write(upload, some_bytes(FILE_MAX), FILE_MAX / 2), 0);
        upload_free(upload);
    } else {
        assert_int_equal(begin_put(here, place, source_of(FILE_MAX), &offer, &moving), 0);
        break_off(&moving);
    }
    run_until(has_kept(&depots[place]));
    assert_int_equal(usage_of(depots[place].room.files).count, 0);
}

static void assert_stored(size_t place, const uint8_t *content)
{
    _cleanup_free_ uint8_t *stored = malloc(FILE_MAX);
    _cleanup_close_ int fd = -EBADF;
    struct files_info info;

    assert_int_equal(files_open_read(depots[place].room.files, "file", &fd, &info), 0);
    assert_int_equal(read(fd, stored, FILE_MAX), FILE_MAX);
    assert_memory_equal(stored, content, FILE_MAX);
}

static void a_put_goes_on_from_what_had_arrived(void **state _unused_)
{
    for (size_t place = HERE; place <= THERE; place++) {
        struct upload_offer offer = offer_of("file", FILE_MAX);
        struct moving moving;

        offer.is_resumable = true;
        break_off_put(place);
        assert_int_equal(put_fd(place, source_of(FILE_MAX), &offer, &moving), 0);
        assert_in_range(moving.end.resumed, 1, FILE_MAX - 1);
        assert_stored(place, some_bytes(FILE_MAX));
    }
}

static void a_source_that_is_another_now_is_put_from_its_beginning(void **state _unused_)
{
    _cleanup_free_ uint8_t *other = malloc(FILE_MAX);

    memcpy(other, some_bytes(FILE_MAX), FILE_MAX);
    other[5] ^= 1;
    for (size_t place = HERE; place <= THERE; place++) {
        struct upload_offer offer = offer_of("file", FILE_MAX);
        struct moving moving;

        offer.is_resumable = true;
        break_off_put(place);
        assert_int_equal(put_fd(place, new_memory(other, FILE_MAX), &offer, &moving), 0);
        assert_int_equal(moving.end.resumed, 0);
        assert_stored(place, other);
    }
}

static int get_on(size_t place, int target, struct moving *moving)
{
    assert_int_equal(lseek(target, 0, SEEK_SET), 0);
    assert_int_equal(begin_get(here, place, "file", dup(target), moving), 0);
    transfer_set_resumable(moving->transfer);
    run_until(moving->is_ended);
    return moving->end.r;
}

static void assert_content(int fd)
{
    _cleanup_free_ uint8_t *content = malloc(FILE_MAX + 1);

    assert_int_equal(pread(fd, content, FILE_MAX + 1, 0), FILE_MAX);
    assert_memory_equal(content, some_bytes(FILE_MAX), FILE_MAX);
}

static void a_get_goes_on_from_what_had_arrived(void **state _unused_)
{
    for (size_t place = HERE; place <= THERE; place++) {
        struct upload_offer offer = offer_of("file", FILE_MAX);
        _cleanup_close_ int target = new_memory("", 0);
        struct moving moving;

        assert_int_equal(put_fd(place, source_of(FILE_MAX), &offer, &moving), 0);
        if (place == HERE) {
            assert_int_equal(write(target, some_bytes(FILE_MAX), FILE_MAX / 2), FILE_MAX / 2);
        } else {
            assert_int_equal(begin_get(here, place, "file", dup(target), &moving), 0);
            break_off(&moving);
            lab_run_for(50 * USEC_PER_MSEC);
        }
        assert_int_equal(get_on(place, target, &moving), 0);
        assert_in_range(moving.end.resumed, 1, FILE_MAX - 1);
        assert_content(target);
        /* All of it is there. */
        assert_int_equal(get_on(place, target, &moving), 0);
        assert_int_equal(moving.end.resumed, FILE_MAX);
        assert_content(target);
    }
}

static void what_is_not_its_beginning_is_got_anew(void **state _unused_)
{
    for (size_t place = HERE; place <= THERE; place++) {
        struct upload_offer offer = offer_of("file", FILE_MAX);
        _cleanup_close_ int other = new_memory("other", 5), longer = source_of(FILE_MAX);
        struct moving moving;

        assert_int_equal(put_fd(place, source_of(FILE_MAX), &offer, &moving), 0);
        assert_int_equal(get_on(place, other, &moving), 0);
        assert_int_equal(moving.end.resumed, 0);
        assert_content(other);
        assert_int_equal(pwrite(longer, "more", 4, FILE_MAX), 4);
        assert_int_equal(get_on(place, longer, &moving), 0);
        assert_int_equal(moving.end.resumed, 0);
        assert_content(longer);
    }
}

static void a_source_that_changes_while_it_is_read_is_not_stored(void **state _unused_)
{
    struct upload_offer offer = offer_of("file", FILE_MAX);
    _cleanup_close_ int source = source_of(FILE_MAX);
    struct moving moving;

    assert_int_equal(begin_put(here, THERE, dup(source), &offer, &moving), 0);
    transfer_set_rate(moving.transfer, 4 * RATE);
    run_until(count_parts(&depots[THERE].room) == 1);
    assert_int_equal(pwrite(source, "other", 5, FILE_MAX - 5), 5);
    run_until(moving.is_ended);
    assert_int_equal(moving.end.r, -EMSGSIZE);
    assert_non_null(strstr(moving.end.reason, "changed while it was read"));
    run_until(count_parts(&depots[THERE].room) == 0);
    assert_int_equal(usage_of(depots[THERE].room.files).count, 0);
}

static void a_stored_file_is_put_to_another_node_with_its_metadata(void **state _unused_)
{
    struct upload_offer offer = offer_of("file", FILE_MAX);
    struct moving moving;
    struct transfer_place place = place_of(here, THERE);
    struct files_info info;

    offer.is_executable = true;
    assert_int_equal(put_fd(HERE, source_of(FILE_MAX), &offer, &moving), 0);
    offer = (struct upload_offer){.name = "copy", .owner = "user2", .size = FILES_SIZE_UNKNOWN};
    for (int i = 0; i < 2; i++) {
        moving = (struct moving){0};
        assert_int_equal(transfers_put(here->transfers, &place, -EBADF, &offer, &moving_handler,
                                       &moving, &moving.transfer),
                         0);
        assert_int_equal(transfer_set_source(moving.transfer, i == 0 ? "file" : "absent"), 0);
        run_until(moving.is_ended);
        assert_int_equal(moving.end.r, i == 0 ? 0 : -ENOENT);
    }
    assert_int_equal(files_stat(depots[THERE].room.files, "copy", &info), 0);
    assert_int_equal(info.modified_wall_usec, WALL);
    assert_true(info.is_executable);
    assert_int_equal(info.size, FILE_MAX);
}

#define test(name) cmocka_unit_test_setup_teardown(name, transfer_start, transfer_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_put_goes_on_from_what_had_arrived),
        test(a_source_that_is_another_now_is_put_from_its_beginning),
        test(a_get_goes_on_from_what_had_arrived),
        test(what_is_not_its_beginning_is_got_anew),
        test(a_source_that_changes_while_it_is_read_is_not_stored),
        test(a_stored_file_is_put_to_another_node_with_its_metadata),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
