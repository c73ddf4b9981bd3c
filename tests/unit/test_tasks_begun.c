/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "tasks/begun.h"

static char directory[] = "/tmp/p2pnode-begun-XXXXXX";
static char path[64];

static int make_directory(void **state _unused_)
{
    (void)snprintf(directory, sizeof(directory), "/tmp/p2pnode-begun-XXXXXX");
    if (!mkdtemp(directory))
        return -1;
    (void)snprintf(path, sizeof(path), "%s/" BEGUN_FILE, directory);
    return 0;
}

static int remove_directory(void **state _unused_)
{
    (void)unlink(path);
    return rmdir(directory);
}

static struct begun *start_as(uint8_t id, uint8_t former, uint64_t previous, uint64_t generation)
{
    struct state_start now = {
        .id = {{id}}, .previous_generation = previous, .generation = generation};
    struct node_id old = {{former}};
    struct begun *begun;

    assert_int_equal(begun_open(directory, &now, &old, &begun), 0);
    return begun;
}

static struct begun *start(uint64_t previous, uint64_t generation)
{
    return start_as(1, 0, previous, generation);
}

static struct slots_key key(uint64_t number)
{
    return (struct slots_key){.origin = {{7}}, .number = number, .attempt = 1};
}

static int add(struct begun *begun, uint64_t number)
{
    struct slots_key one = key(number);

    return begun_add(begun, &one);
}

static bool has_not(const struct begun *begun, uint64_t number, uint64_t generation)
{
    struct slots_key one = key(number);

    return begun_has_not(begun, &one, generation);
}

static void what_began_is_known_after_a_kill(void **state _unused_)
{
    struct begun *begun = start(0, 10);

    assert_false(has_not(begun, 1, 9)); /* of a time that nothing is known of */
    assert_int_equal(add(begun, 1), 0);
    assert_int_equal(add(begun, 2), 1);
    begun_free(begun);
    /* And after another one, before anybody asked. */
    for (uint64_t generation = 11; generation < 14; generation++) {
        begun = start(generation - 1, generation);
        assert_false(has_not(begun, 1, 10));
        assert_false(has_not(begun, 2, 10));
        assert_true(has_not(begun, 3, 10));
        assert_false(has_not(begun, 3, 9));
        begun_free(begun);
    }
}

static void a_place_is_used_again(void **state _unused_)
{
    struct begun *begun = start(0, 10);
    struct stat status;

    for (uint64_t i = 0; i < 100; i++) {
        int place = add(begun, i);
        assert_int_equal(place, 0);
        begun_release(begun, place);
    }
    begun_keep(begun, add(begun, 100)); /* asked for still */
    assert_int_equal(add(begun, 101), 1);
    assert_false(has_not(begun, 100, 10));
    begun_free(begun);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 160 + 2 * 32);
    begun = start(10, 11);
    assert_false(has_not(begun, 100, 10));
    assert_false(has_not(begun, 101, 10));
    begun_free(begun);
}

static bool is_wanted(const struct slots_key *one, void *data _unused_)
{
    return one->number == 2;
}

static void what_nobody_asks_for_is_forgotten(void **state _unused_)
{
    struct begun *begun = start(0, 10);

    (void)add(begun, 1);
    (void)add(begun, 2);
    begun_free(begun);
    begun = start(10, 11);
    begun_sweep(begun, is_wanted, NULL);
    assert_false(has_not(begun, 2, 10));
    assert_int_equal(add(begun, 3), 0);
    begun_free(begun);
}

static void a_file_that_misses_a_start_says_nothing(void **state _unused_)
{
    begun_free(start(0, 10));
    struct begun *begun = start(11, 12); /* another version ran as 11 */
    assert_false(has_not(begun, 1, 10));
    assert_false(has_not(begun, 1, 11));
    begun_free(begun);
}

static void a_file_of_another_boot_says_nothing(void **state _unused_)
{
    begun_free(start(0, 10));
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, 24), 1);
    (void)close(fd);
    struct begun *begun = start(10, 11);
    assert_false(has_not(begun, 1, 10));
    begun_free(begun);
}

/* Another node has run with the other of the two, maybe. */
static void a_copy_says_nothing(void **state _unused_)
{
    char copy[80], data[160];

    (void)snprintf(copy, sizeof(copy), "%s.copy", path);
    begun_free(start(0, 10));
    int from = open(path, O_RDONLY | O_CLOEXEC);
    int to = open(copy, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(read(from, data, sizeof(data)), sizeof(data));
    assert_int_equal(write(to, data, sizeof(data)), sizeof(data));
    (void)close(from);
    (void)close(to);
    assert_int_equal(rename(copy, path), 0);
    struct begun *begun = start(10, 11);
    assert_false(has_not(begun, 1, 10));
    begun_free(begun);
}

static void what_was_offered_to_a_copy_is_not_known(void **state _unused_)
{
    begun_free(start(0, 10));
    struct begun *begun = start(10, 14);
    assert_true(has_not(begun, 1, 10));
    assert_false(has_not(begun, 1, 12)); /* it ran as 12 while this one did not */
    begun_free(begun);
}

static void a_file_of_another_id_says_nothing_but_of_the_former(void **state _unused_)
{
    struct begun *begun = start(0, 10);

    assert_int_equal(add(begun, 1), 0);
    begun_free(begun);
    begun = start_as(2, 1, 10, 11);
    assert_false(has_not(begun, 1, 10));
    assert_true(has_not(begun, 2, 10));
    begun_free(begun);
    begun = start_as(3, 0, 11, 12);
    assert_false(has_not(begun, 2, 10));
    begun_free(begun);
}

/* As somebody who may not unlink there; the file is open by then. */
static void lock_directory(void)
{
    assert_int_equal(chmod(directory, 0500), 0);
    if (geteuid() == 0)
        assert_int_equal(seteuid(65534), 0);
}

static void unlock_directory(void)
{
    if (getuid() == 0)
        assert_int_equal(seteuid(0), 0);
    assert_int_equal(chmod(directory, 0700), 0);
}

static void a_file_that_cannot_be_removed_is_spoilt(void **state _unused_)
{
    const struct rlimit small = {.rlim_cur = 160, .rlim_max = RLIM_INFINITY};
    struct rlimit before;
    struct begun *begun = start(0, 10);

    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    lock_directory();
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(add(begun, 1), -EIO);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    unlock_directory();
    begun_free(begun);
    assert_int_equal(access(path, F_OK), 0);
    begun = start(10, 11);
    assert_false(has_not(begun, 1, 10));
    begun_free(begun);
}

static void nothing_begins_beside_a_file_that_would_be_believed(void **state _unused_)
{
    int full = open("/dev/full", O_RDWR | O_CLOEXEC), next = dup(full);

    (void)close(next);
    struct begun *begun = start(0, 10); /* its file is the next */
    lock_directory();
    assert_int_equal(dup2(full, next), next);
    assert_int_equal(add(begun, 1), -EUCLEAN);
    assert_int_equal(add(begun, 1), -EUCLEAN);
    assert_false(has_not(begun, 2, 10));
    unlock_directory();
    assert_int_equal(add(begun, 1), -EBADF); /* it can be removed now */
    assert_int_equal(access(path, F_OK), -1);
    begun_free(begun);
    (void)close(full);
}

static void what_cannot_be_kept_is_not_known(void **state _unused_)
{
    struct begun *begun;

    assert_int_equal(mkdir(path, 0700), 0);
    begun = start(9, 10);
    assert_true(add(begun, 1) < 0);
    assert_false(has_not(begun, 2, 10));
    begun_free(begun);
    (void)rmdir(path);
}

static void too_many_are_forgotten_and_so_nothing_is_known(void **state _unused_)
{
    struct begun *begun = start(0, 10);

    for (uint64_t i = 0; i < BEGUN_MAX; i++)
        begun_keep(begun, add(begun, i));
    assert_true(has_not(begun, BEGUN_MAX, 10));
    begun_keep(begun, add(begun, BEGUN_MAX));
    assert_false(has_not(begun, BEGUN_MAX + 1, 10));
    begun_free(begun);
    begun = start(10, 11);
    assert_false(has_not(begun, 1, 10));
    begun_free(begun);
    begun = start(11, 12); /* of what came since, all is */
    assert_true(has_not(begun, 1, 11));
    begun_free(begun);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)
        TEST(what_began_is_known_after_a_kill),
        TEST(a_place_is_used_again),
        TEST(what_nobody_asks_for_is_forgotten),
        TEST(a_file_that_misses_a_start_says_nothing),
        TEST(a_file_of_another_boot_says_nothing),
        TEST(a_copy_says_nothing),
        TEST(what_was_offered_to_a_copy_is_not_known),
        TEST(a_file_of_another_id_says_nothing_but_of_the_former),
        TEST(a_file_that_cannot_be_removed_is_spoilt),
        TEST(nothing_begins_beside_a_file_that_would_be_believed),
        TEST(what_cannot_be_kept_is_not_known),
        TEST(too_many_are_forgotten_and_so_nothing_is_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
