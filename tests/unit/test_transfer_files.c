/* SPDX-License-Identifier: MIT */

/* Files put and got, here and to another node, and everything that can come in between. */

#include "transfer_lab.h"

static struct depot *const here = &depots[0], *const there = &depots[1];

/* Both places of every transfer. */
enum { HERE, THERE };

static void assert_content(int fd, size_t size)
{
    _cleanup_free_ uint8_t *content = malloc(size + 1);

    assert_int_equal(pread(fd, content, size + 1, 0), size);
    assert_memory_equal(content, some_bytes(size), size);
}

static void move_there_and_back(size_t place, size_t size)
{
    struct upload_offer offer = offer_of("file", size);
    struct moving moving;
    int target = new_memory("", 0);

    offer.is_executable = size % 2;
    assert_int_equal(put_fd(place, new_memory(some_bytes(size), size), &offer, &moving), 0);
    assert_string_equal(moving.end.info.name, "file");
    assert_string_equal(moving.end.info.owner, "user1");
    assert_int_equal(moving.end.info.size, size);
    assert_int_equal(moving.end.info.modified_wall_usec, WALL);
    assert_int_equal(moving.end.info.is_executable, size % 2);
    assert_true(moving.end.info.has_sha256);
    struct files_info put = moving.end.info;
    assert_int_equal(get_fd(place, "file", dup(target), &moving), 0);
    assert_content(target, size);
    assert_memory_equal(moving.end.info.sha256, put.sha256, FILES_HASH_SIZE);
    assert_int_equal(moving.end.info.size, size);
    (void)close(target);
}

static void files_of_all_sizes_go_and_come_back(void **state _unused_)
{
    static const size_t sizes[] = {
        0,       1, FILE_WIRE_CHUNK - 1, FILE_WIRE_CHUNK, FILE_WIRE_CHUNK + 1, 3 * FILE_WIRE_CHUNK,
        FILE_MAX};

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        move_there_and_back(HERE, sizes[i]);
        move_there_and_back(THERE, sizes[i]);
    }
    run_until(there->stored == ARRAY_SIZE(sizes));
    assert_int_equal(here->stored, 0);
}

static void a_file_of_unknown_size_comes_out_of_a_pipe(void **state _unused_)
{
    for (size_t place = HERE; place <= THERE; place++) {
        struct upload_offer offer = offer_of("file", FILES_SIZE_UNKNOWN);
        struct moving moving;
        const size_t size = 5 * FILE_WIRE_CHUNK / 2;
        size_t written = 0;
        int pipes[2];

        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        assert_int_equal(fcntl(pipes[1], F_SETFL, O_NONBLOCK), 0);
        assert_int_equal(begin_put(here, place, pipes[0], &offer, &moving), 0);
        while (written < size) {
            ssize_t n = write(pipes[1], some_bytes(size) + written, size - written);
            written += (size_t)MAX(n, (ssize_t)0);
            assert_true(sd_event_run(event, USEC_PER_MSEC) >= 0);
        }
        (void)close(pipes[1]);
        run_until(moving.is_ended);
        assert_int_equal(moving.end.r, 0);
        assert_int_equal(moving.end.info.size, size);
        int target = new_memory("", 0);
        assert_int_equal(get_fd(place, "file", dup(target), &moving), 0);
        assert_content(target, size);
        (void)close(target);
    }
}

static void a_pipe_that_never_ends_can_be_given_up(void **state _unused_)
{
    for (size_t place = HERE; place <= THERE; place++) {
        struct upload_offer offer = offer_of("file", FILES_SIZE_UNKNOWN);
        struct moving moving, next;
        int pipes[2];

        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        assert_int_equal(write(pipes[1], "some", 4), 4);
        assert_int_equal(begin_put(here, place, pipes[0], &offer, &moving), 0);
        run_until(count_parts(&depots[place].room) == 1);
        transfer_cancel(moving.transfer);
        run_until(count_parts(&depots[place].room) == 0);
        assert_empty(&depots[place]);
        offer = offer_of("next", 0);
        assert_int_equal(put_fd(place, new_memory("", 0), &offer, &next), 0);
        assert_false(moving.is_ended);
        (void)close(pipes[1]);
    }
}

static void the_end_of_a_pipe_whose_client_died_is_not_the_end(void **state _unused_)
{
    for (size_t place = HERE; place <= THERE; place++) {
        struct upload_offer offer = offer_of("file", FILES_SIZE_UNKNOWN);
        struct moving moving;
        int pipes[2], guards[2];

        for (int dies = 0; dies < 2; dies++) {
            assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
            assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, guards), 0);
            assert_int_equal(write(pipes[1], "some", 4), 4);
            assert_int_equal(begin_put(here, place, pipes[0], &offer, &moving), 0);
            transfer_set_guard(moving.transfer, guards[0]);
            run_until(count_parts(&depots[place].room) == 1);
            if (dies)
                (void)close(guards[1]);
            (void)close(pipes[1]);
            run_until(moving.is_ended);
            assert_int_equal(moving.end.r, dies ? -ECANCELED : 0);
            run_until(count_parts(&depots[place].room) == 0);
            if (!dies)
                (void)close(guards[1]);
            (void)close(guards[0]);
        }
        expect_content(depots[place].room.files, "file", "some");
    }
}

static void a_pipe_that_nobody_reads_can_be_given_up(void **state _unused_)
{
    for (size_t place = HERE; place <= THERE; place++) {
        struct upload_offer offer = offer_of("file", FILE_MAX);
        struct moving moving;
        int pipes[2];

        assert_int_equal(put_fd(place, new_memory(some_bytes(FILE_MAX), FILE_MAX), &offer, &moving),
                         0);
        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        assert_int_equal(begin_get(here, place, "file", pipes[1], &moving), 0);
        run_until(moving.progress > 0);
        transfer_cancel(moving.transfer);
        /* The other end of the pipe closes with the job. */
        struct pollfd pollfd = {.fd = pipes[0]};
        run_until(poll(&pollfd, 1, 0) == 1 && pollfd.revents & POLLHUP);
        assert_false(moving.is_ended);
        (void)close(pipes[0]);
    }
}

static void a_reader_that_goes_away_ends_the_transfer(void **state _unused_)
{
    for (size_t place = HERE; place <= THERE; place++) {
        struct upload_offer offer = offer_of("file", FILE_MAX);
        struct moving moving;
        int pipes[2];

        assert_int_equal(put_fd(place, new_memory(some_bytes(FILE_MAX), FILE_MAX), &offer, &moving),
                         0);
        assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
        (void)close(pipes[0]);
        assert_int_equal(get_fd(place, "file", pipes[1], &moving), -EPIPE);
    }
}

static void what_does_not_fit_is_refused_before_the_first_byte(void **state _unused_)
{
    for (size_t place = HERE; place <= THERE; place++) {
        struct moving moving;
        struct upload_offer offer = offer_of("large", FILE_MAX + 1);

        assert_int_equal(put_fd(place, new_memory("", 0), &offer, &moving), -EFBIG);
        assert_string_equal(moving.end.reason,
                            "\"large\" has 2097153 bytes, and files.file_max is 2097152 bytes");
        offer = offer_of("first", FILE_MAX);
        assert_int_equal(put_fd(place, new_memory(some_bytes(FILE_MAX), FILE_MAX), &offer, &moving),
                         0);
        offer.name = "second";
        assert_int_equal(put_fd(place, new_memory("", 0), &offer, &moving), -EDQUOT);
        assert_string_equal(
            moving.end.reason,
            "\"second\" has 2.0 MiB, and of files.quota (3.0 MiB) 1.0 MiB are left");
        assert_int_equal(count_parts(&depots[place].room), 0);
    }
}

static void what_cannot_be_stored_or_found_is_told(void **state _unused_)
{
    static const char *const names[] = {"", "..", "../file", "a/b", "-file", "a\nb"};

    for (size_t place = HERE; place <= THERE; place++) {
        struct moving moving;
        struct upload_offer offer;

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
            offer = offer_of(names[i], 0);
            assert_int_equal(put_fd(place, new_memory("", 0), &offer, &moving), -EINVAL);
            assert_int_equal(get_fd(place, names[i], new_memory("", 0), &moving), -EINVAL);
        }
        assert_int_equal(get_fd(place, "nothing", new_memory("", 0), &moving), -ENOENT);
        offer = offer_of("file", 4);
        assert_int_equal(put_fd(place, new_memory("four", 4), &offer, &moving), 0);
        offer.overwrite = UPLOAD_NEVER;
        assert_int_equal(put_fd(place, new_memory("fore", 4), &offer, &moving), -EEXIST);
        offer.overwrite = UPLOAD_NEWER;
        assert_int_equal(put_fd(place, new_memory("fore", 4), &offer, &moving), UPLOAD_KEPT);
        assert_string_equal(moving.end.info.name, "file");
        assert_int_equal(moving.end.info.size, 4);
        offer.modified_wall_usec++;
        offer.overwrite = UPLOAD_NEWER;
        assert_int_equal(put_fd(place, new_memory("fore", 4), &offer, &moving), 0);
        expect_content(depots[place].room.files, "file", "fore");
    }
}

static void a_refusal_of_a_long_name_can_be_read(void **state _unused_)
{
    char name[256];

    for (size_t i = 0; i < 84; i++)
        memcpy(name + 3 * i, "\xe2\x82\xac", 3);
    for (size_t shift = 0; shift < 3; shift++) {
        struct moving moving;
        memset(name + 252, 'x', shift);
        name[252 + shift] = '\0';
        memmove(name + shift, name, 252);
        memset(name, 'x', shift);
        for (size_t place = HERE; place <= THERE; place++) {
            struct upload_offer offer = offer_of(name, FILE_MAX + 1);
            assert_int_equal(put_fd(place, new_memory("", 0), &offer, &moving), -EFBIG);
            assert_non_null(strstr(moving.end.reason, "files.file_max is 2097152 bytes"));
        }
        memmove(name, name + shift, 252);
    }
}

static void content_that_is_not_as_long_as_offered_is_refused(void **state _unused_)
{
    for (size_t place = HERE; place <= THERE; place++) {
        struct moving moving;
        struct upload_offer offer = offer_of("file", 5);

        assert_int_equal(put_fd(place, new_memory("four", 4), &offer, &moving), -EMSGSIZE);
        offer.size = 3;
        assert_int_equal(put_fd(place, new_memory("four", 4), &offer, &moving), -EMSGSIZE);
        assert_non_null(strstr(moving.end.reason, "changed while it was read"));
        run_until(count_parts(&depots[place].room) == 0);
        assert_empty(&depots[place]);
    }
}

static void a_stream_that_grows_too_large_is_refused_with_its_sizes(void **state _unused_)
{
    for (size_t place = HERE; place <= THERE; place++) {
        struct moving moving;
        struct upload_offer offer = offer_of("file", FILES_SIZE_UNKNOWN);
        int fd = new_memory(some_bytes(FILE_MAX + 1), FILE_MAX + 1);

        assert_int_equal(put_fd(place, fd, &offer, &moving), -EFBIG);
        assert_non_null(strstr(moving.end.reason, "files.file_max is 2097152 bytes"));
        run_until(count_parts(&depots[place].room) == 0);
        assert_empty(&depots[place]);
    }
}

static void a_full_disk_is_told_and_leaves_nothing(void **state _unused_)
{
    struct moving moving;
    struct upload_offer offer = offer_of("file", FILE_MAX);

    /* Only the store writes with write() while its disk is full. */
    fault_arm(3, ENOSPC);
    int r = put_fd(HERE, new_memory(some_bytes(FILE_MAX), FILE_MAX), &offer, &moving);
    fault_disarm();
    assert_int_equal(r, -ENOSPC);
    assert_non_null(strstr(moving.end.reason, "disk"));
    assert_int_equal(usage_of(here->room.files).count, 0);
}

static void twenty_transfers_share_four_places(void **state _unused_)
{
    static struct moving movings[40];

    for (unsigned i = 0; i < 20; i++) {
        char name[16];
        snprintf(name, sizeof(name), "file-%u", i);
        struct upload_offer offer = offer_of(name, 20000 + i);
        for (size_t j = 0; j < 2; j++)
            assert_int_equal(begin_put(&depots[j], 1 - j,
                                       new_memory(some_bytes(20000 + i), 20000 + i), &offer,
                                       &movings[2 * i + j]),
                             0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(movings); i++) {
        run_until(movings[i].is_ended);
        assert_int_equal(movings[i].end.r, 0);
    }
    assert_int_equal(usage_of(here->room.files).count, 20);
    assert_int_equal(usage_of(there->room.files).count, 20);
    for (size_t i = 0; i < ARRAY_SIZE(movings); i++) {
        char name[16];
        snprintf(name, sizeof(name), "file-%zu", i / 2);
        assert_int_equal(begin_get(&depots[i % 2], 1 - i % 2, name, new_memory("", 0), &movings[i]),
                         0);
    }
    for (size_t i = 0; i < ARRAY_SIZE(movings); i++) {
        run_until(movings[i].is_ended);
        assert_int_equal(movings[i].end.r, 0);
    }
}

static void transfers_that_wait_have_a_bound(void **state _unused_)
{
    static struct moving movings[512];
    struct upload_offer offer = offer_of("file", FILES_SIZE_UNKNOWN);
    size_t count = 0;
    int pipes[2], r;

    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    while ((r = begin_put(here, HERE, dup(pipes[0]), &offer, &movings[count])) == 0)
        assert_true(++count < ARRAY_SIZE(movings));
    assert_int_equal(r, -EBUSY);
    assert_true(count >= LAB_TRANSFERS);
    for (size_t i = 0; i < count; i++)
        transfer_cancel(movings[i].transfer);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    offer.size = 0;
    assert_int_equal(put_fd(HERE, new_memory("", 0), &offer, &movings[0]), 0);
}

static void one_that_is_given_up_makes_room_at_once(void **state _unused_)
{
    struct moving movings[LAB_TRANSFERS], waiting;
    struct upload_offer offer = offer_of("file", FILES_SIZE_UNKNOWN);
    struct bind_sockets silent = lab_listen();
    struct address address = nodes[THERE].address;

    /* They connect for ever. */
    nodes[THERE].address = silent.address;
    for (size_t i = 0; i < LAB_TRANSFERS; i++)
        assert_int_equal(begin_put(here, THERE, new_memory("", 0), &offer, &movings[i]), 0);
    nodes[THERE].address = address;
    assert_int_equal(begin_get(here, THERE, "absent", new_memory("", 0), &waiting), 0);
    lab_run_for(20 * USEC_PER_MSEC);
    assert_false(waiting.is_ended);
    transfer_cancel(movings[1].transfer);
    run_until(waiting.is_ended);
    assert_int_equal(waiting.end.r, -ENOENT);
    (void)close_fd(silent.tcp_fd);
    (void)close_fd(silent.udp_fd);
}

static void a_node_that_cannot_be_reached_is_told(void **state _unused_)
{
    struct moving moving;
    struct upload_offer offer = offer_of("file", 0);

    lab_stop_listening(&nodes[THERE]);
    assert_int_equal(put_fd(THERE, new_memory("", 0), &offer, &moving), -ECONNREFUSED);
    assert_non_null(strstr(moving.end.reason, "cannot connect to the other node"));
    assert_int_equal(get_fd(THERE, "file", new_memory("", 0), &moving), -ECONNREFUSED);
}

static void a_slow_pace_is_kept_and_can_be_broken_off(void **state _unused_)
{
    const size_t size = 256 * 1024;
    struct moving moving;
    struct upload_offer offer = offer_of("file", size);

    depot_stop(here);
    depot_start(here, &nodes[HERE], 1024 * 1024, LAB_IDLE_USEC);
    assert_int_equal(put_fd(THERE, new_memory(some_bytes(size), size), &offer, &moving), 0);
    assert_in_range(moving.end.elapsed_usec, USEC_PER_SEC / 8, LAB_WAIT_USEC);
    assert_int_equal(get_fd(THERE, "file", new_memory("", 0), &moving), 0);
    assert_in_range(moving.end.elapsed_usec, USEC_PER_SEC / 8, LAB_WAIT_USEC);

    depot_stop(here);
    depot_start(here, &nodes[HERE], 1024, LAB_IDLE_USEC);
    assert_int_equal(begin_put(here, THERE, new_memory(some_bytes(size), size), &offer, &moving),
                     0);
    run_until(count_parts(&there->room) == 1);
    transfer_cancel(moving.transfer);
    run_until(count_parts(&there->room) == 0);
}

static void everything_may_stop_in_the_middle(void **state _unused_)
{
    static struct moving movings[12];
    struct upload_offer stream = offer_of("stream", FILES_SIZE_UNKNOWN);
    struct upload_offer file = offer_of("file", FILE_MAX);
    int pipes[2];

    assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(begin_put(here, THERE, dup(pipes[0]), &stream, &movings[2 * i]), 0);
        assert_int_equal(begin_put(there, HERE, new_memory(some_bytes(FILE_MAX), FILE_MAX), &file,
                                   &movings[2 * i + 1]),
                         0);
    }
    run_until(count_parts(&there->room) > 0);
    (void)close(pipes[0]);
    (void)close(pipes[1]);
}

#define test(name) cmocka_unit_test_setup_teardown(name, transfer_start, transfer_stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(files_of_all_sizes_go_and_come_back),
        test(a_file_of_unknown_size_comes_out_of_a_pipe),
        test(a_pipe_that_never_ends_can_be_given_up),
        test(the_end_of_a_pipe_whose_client_died_is_not_the_end),
        test(a_pipe_that_nobody_reads_can_be_given_up),
        test(a_reader_that_goes_away_ends_the_transfer),
        test(what_does_not_fit_is_refused_before_the_first_byte),
        test(what_cannot_be_stored_or_found_is_told),
        test(a_refusal_of_a_long_name_can_be_read),
        test(content_that_is_not_as_long_as_offered_is_refused),
        test(a_stream_that_grows_too_large_is_refused_with_its_sizes),
        test(a_full_disk_is_told_and_leaves_nothing),
        test(twenty_transfers_share_four_places),
        test(transfers_that_wait_have_a_bound),
        test(one_that_is_given_up_makes_room_at_once),
        test(a_node_that_cannot_be_reached_is_told),
        test(a_slow_pace_is_kept_and_can_be_broken_off),
        test(everything_may_stop_in_the_middle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
