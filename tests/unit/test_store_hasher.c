/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <malloc.h>
#include <openssl/sha.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "store/hasher.h"

#define LONG ((size_t)3 * 1024 * 1024)

static uint8_t bytes[LONG];

static int setup(void **state)
{
    struct hasher *hasher = NULL;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 31 + i / 251);
    assert_int_equal(hasher_new(&hasher), 0);
    *state = hasher;
    return 0;
}

static int teardown(void **state)
{
    hasher_free(*state);
    return 0;
}

static void expect(struct hasher *hasher, size_t size)
{
    uint8_t sum[HASHER_SIZE], expected[HASHER_SIZE];

    assert_int_equal(hasher_get(hasher, sum), 0);
    SHA256(bytes, size, expected);
    assert_memory_equal(sum, expected, sizeof(sum));
}

static void pieces_of_any_size_give_the_hash_of_all(void **state)
{
    static const size_t steps[] = {1000, 4096, 262144, LONG};

    expect(*state, 0);
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        assert_int_equal(hasher_reset(*state), 0);
        for (size_t done = 0; done < LONG; done += steps[i])
            assert_int_equal(hasher_add(*state, bytes + done, MIN(steps[i], LONG - done)), 0);
        expect(*state, LONG);
    }
}

static void more_may_follow_a_hash(void **state)
{
    for (size_t done = 0; done < LONG; done += LONG / 4) {
        expect(*state, done);
        assert_int_equal(hasher_add(*state, bytes + done, LONG / 4), 0);
    }
    expect(*state, LONG);
}

static void buffers_may_take_turns(void **state)
{
    static uint8_t buffers[HASHER_BUFFERS][65536];
    size_t i = 0;

    for (size_t done = 0; done < LONG; done += sizeof(*buffers), i = hasher_next(i)) {
        memcpy(buffers[i], bytes + done, sizeof(*buffers));
        assert_int_equal(hasher_add(*state, buffers[i], sizeof(*buffers)), 0);
        memset(buffers[hasher_next(i)], 0, sizeof(*buffers));
    }
    expect(*state, LONG);
}

static size_t count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    size_t count = 0;

    while (readdir(tasks))
        count++;
    closedir(tasks);
    return count;
}

/* With so many processors left by those that move bytes: how many threads it starts. */
static size_t threads_of(struct hasher *hasher, int left)
{
    cpu_set_t processors;
    size_t before = count_threads();

    assert_int_equal(sched_getaffinity(0, sizeof(processors), &processors), 0);
    hasher_set_movers(hasher, CPU_COUNT(&processors) - left);
    for (size_t done = 0; done < LONG; done += LONG / 4)
        assert_int_equal(hasher_add(hasher, bytes + done, LONG / 4), 0);
    expect(hasher, LONG);
    return count_threads() - before;
}

static void a_thread_is_started_where_a_processor_is_left(void **state)
{
    assert_int_equal(threads_of(*state, 1), 1);
}

static void no_thread_is_started_where_none_is(void **state)
{
    assert_int_equal(threads_of(*state, 0), 0);
}

static void what_is_all_there_is_hashed_by_itself(void **state)
{
    uint8_t sum[HASHER_SIZE], expected[HASHER_SIZE];

    assert_int_equal(hasher_add(*state, bytes, 77), 0);
    assert_int_equal(hasher_once(*state, bytes, 4096, sum), 0);
    SHA256(bytes, 4096, expected);
    assert_memory_equal(sum, expected, sizeof(sum));
}

static void one_that_is_at_work_can_be_freed(void **state)
{
    struct hasher *hasher = NULL;

    (void)state;
    assert_int_equal(hasher_new(&hasher), 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(hasher_add(hasher, bytes, LONG), 0);
    assert_null(hasher_free(hasher));
}

/* Its pieces are hashed before their memory goes, which from then on holds something else. */
static void a_file_is_hashed_as_far_as_it_goes(void **state)
{
    const atomic_bool is_over = true;
    int fd = memfd_create("content", MFD_CLOEXEC);

    (void)mallopt(M_PERTURB, 1); /* sanitizers do the same by themselves */
    assert_int_equal(write(fd, bytes, LONG), LONG);
    assert_int_equal(hasher_add_file(*state, fd, LONG - 1, NULL), 0);
    expect(*state, LONG - 1);
    assert_int_equal(hasher_reset(*state), 0);
    assert_int_equal(hasher_add_file(*state, fd, LONG + 1, NULL), -EIO);
    expect(*state, LONG);
    assert_int_equal(hasher_add_file(*state, fd, LONG, &is_over), -ECANCELED);
    (void)mallopt(M_PERTURB, 0);
    close(fd);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(pieces_of_any_size_give_the_hash_of_all),
        test(more_may_follow_a_hash),
        test(buffers_may_take_turns),
        test(a_thread_is_started_where_a_processor_is_left),
        test(no_thread_is_started_where_none_is),
        test(what_is_all_there_is_hashed_by_itself),
        test(one_that_is_at_work_can_be_freed),
        test(a_file_is_hashed_as_far_as_it_goes),
    };

    return cmocka_run_group_tests_name("store/hasher", tests, NULL, NULL);
}
