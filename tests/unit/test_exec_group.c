/* SPDX-License-Identifier: MIT */

/*
 * Control groups as far as they are files: what is written and read, and which groups are left
 * alone. A directory stands for the group; real ones are in tests/boot/vm_job.sh.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "exec/group.h"
#include "exec/tree.h"

struct fixture {
    char path[64];
    int fd;
};

static void set_file(const struct fixture *fixture, const char *name, const char *text)
{
    int fd = openat(fixture->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close_fd(fd);
}

static void expect_file(const struct fixture *fixture, const char *name, const char *text)
{
    char read_text[128];
    int fd = openat(fixture->fd, name, O_RDONLY | O_CLOEXEC);
    ssize_t size = read(fd, read_text, sizeof(read_text) - 1);

    close_fd(fd);
    assert_true(size >= 0);
    read_text[size] = '\0';
    assert_string_equal(read_text, text);
}

/* A group with all its files, in which this process is alone. */
static int setup(void **state)
{
    static const char *const empty[] = {
        "memory.max", "memory.swap.max", "memory.oom.group", "pids.max",
        "cpu.max",    "cgroup.freeze",   "cgroup.kill",      "cgroup.subtree_control"};
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    char own[16];

    assert_non_null(fixture);
    strcpy(fixture->path, "/tmp/p2pnode-test-group-XXXXXX");
    assert_non_null(mkdtemp(fixture->path));
    fixture->fd = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fixture->fd >= 0);
    for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
        set_file(fixture, empty[i], "");
    set_file(fixture, "cgroup.controllers", "cpuset cpu io memory pids\n");
    snprintf(own, sizeof(own), "%d\n", getpid());
    set_file(fixture, "cgroup.procs", own);
    assert_int_equal(mkdirat(fixture->fd, "exec", 0700), 0);
    int fd = openat(fixture->fd, "exec/cgroup.procs", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close_fd(fd);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    close_fd(fixture->fd);
    assert_int_equal(tree_remove(AT_FDCWD, fixture->path), 0);
    free(fixture);
    return 0;
}

static void a_delegated_group_is_shared_out(void **state)
{
    struct fixture *fixture = *state;
    struct groups groups;

    groups_open_at(&groups, fixture->path);
    assert_true(groups.fd >= 0);
    expect_file(fixture, "exec/cgroup.procs", "0");
    expect_file(fixture, "cgroup.subtree_control", "+cpu +memory +pids");
    groups_done(&groups);
}

static void expect_none(const struct fixture *fixture, const char *reason)
{
    struct groups groups;

    groups_open_at(&groups, fixture->path);
    assert_true(groups.fd < 0);
    assert_string_equal(groups.reason, reason);
    expect_file(fixture, "exec/cgroup.procs", "");
    expect_file(fixture, "cgroup.subtree_control", "");
}

static void a_group_that_is_not_for_us_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    char procs[64];

    set_file(fixture, "cgroup.controllers", "cpu memory\n");
    expect_none(fixture, "its control group has no controller pids");
    set_file(fixture, "cgroup.controllers", "cpuset memory.x memory pids\n");
    expect_none(fixture, "its control group has no controller cpu");
    set_file(fixture, "cgroup.controllers", "cpu memory pids\n");
    snprintf(procs, sizeof(procs), "%d\n%d\n", getppid(), getpid());
    set_file(fixture, "cgroup.procs", procs);
    expect_none(fixture, "other processes are in its control group");
    assert_int_equal(unlinkat(fixture->fd, "cgroup.controllers", 0), 0);
    expect_none(fixture, "no control groups of version 2");
}

static void limits_are_written_as_the_kernel_wants_them(void **state)
{
    struct fixture *fixture = *state;
    struct exec_limits limits = {
        .memory_bytes = (uint64_t)64 << 20, .processes = 1024, .cpus_milli = 1500};

    assert_int_equal(group_limit(fixture->fd, &limits), 0);
    expect_file(fixture, "memory.max", "67108864");
    expect_file(fixture, "memory.swap.max", "0");
    expect_file(fixture, "memory.oom.group", "1");
    expect_file(fixture, "pids.max", "1024");
    expect_file(fixture, "cpu.max", "150000 100000");
}

static void what_is_not_limited_is_not_written(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(group_limit(fixture->fd, &(struct exec_limits){0}), 0);
    expect_file(fixture, "memory.max", "");
    expect_file(fixture, "pids.max", "");
    expect_file(fixture, "cpu.max", "");
    expect_file(fixture, "memory.oom.group", "1");
}

static void a_kernel_without_swap_accounting_will_do(void **state)
{
    struct fixture *fixture = *state;
    struct exec_limits limits = {.memory_bytes = 1};

    assert_int_equal(unlinkat(fixture->fd, "memory.swap.max", 0), 0);
    assert_int_equal(group_limit(fixture->fd, &limits), 0);
    assert_int_equal(unlinkat(fixture->fd, "memory.max", 0), 0);
    assert_int_equal(group_limit(fixture->fd, &limits), -ENOENT);
}

static void freezing_and_killing_are_one_write(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(group_freeze(fixture->fd, true), 0);
    expect_file(fixture, "cgroup.freeze", "1");
    assert_int_equal(group_freeze(fixture->fd, false), 0);
    expect_file(fixture, "cgroup.freeze", "0");
    assert_int_equal(group_kill(fixture->fd), 0);
    expect_file(fixture, "cgroup.kill", "1");
}

static void running_out_is_seen(void **state)
{
    struct fixture *fixture = *state;

    assert_false(group_has_run_out(fixture->fd));
    set_file(fixture, "memory.events",
             "low 0\nhigh 0\nmax 17\noom 3\noom_kill 0\noom_group_kill 0\n");
    assert_false(group_has_run_out(fixture->fd));
    set_file(fixture, "memory.events",
             "low 0\nhigh 0\nmax 17\noom 3\noom_kill 2\noom_group_kill 1\n");
    assert_true(group_has_run_out(fixture->fd));
    assert_int_equal(group_get_peak(fixture->fd), 0);
    set_file(fixture, "memory.peak", "8192\n");
    assert_int_equal(group_get_peak(fixture->fd), 8192);
}

static void a_group_that_cannot_be_limited_is_not_left_behind(void **state)
{
    struct fixture *fixture = *state;
    const struct groups groups = {.fd = fixture->fd};
    const struct exec_limits limits = {.memory_bytes = 1};

    /* A directory that the kernel made no files in. */
    assert_int_equal(group_new(&groups, "task-1", &limits), -ENOENT);
    assert_int_equal(faccessat(fixture->fd, "task-1", F_OK, 0), -1);
    assert_int_equal(mkdirat(fixture->fd, "task-1", 0700), 0);
    assert_int_equal(group_new(&groups, "task-1", &limits), -EEXIST);
    assert_int_equal(mkdirat(fixture->fd, "task-2", 0700), 0);
    groups_sweep(&groups);
    assert_int_equal(faccessat(fixture->fd, "task-1", F_OK, 0), -1);
    assert_int_equal(faccessat(fixture->fd, "task-2", F_OK, 0), -1);
    assert_int_equal(faccessat(fixture->fd, "exec", F_OK, 0), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_delegated_group_is_shared_out),
        TEST(a_group_that_is_not_for_us_is_left_alone),
        TEST(limits_are_written_as_the_kernel_wants_them),
        TEST(what_is_not_limited_is_not_written),
        TEST(a_kernel_without_swap_accounting_will_do),
        TEST(freezing_and_killing_are_one_write),
        TEST(running_out_is_seen),
        TEST(a_group_that_cannot_be_limited_is_not_left_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
