/* SPDX-License-Identifier: MIT */

/* Directories of tasks that the next task gets: what counts as left as they were made. */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>
#include "base/macro.h"
#include "exec/place.h"
#include "exec/tree.h"

struct fixture {
    char path[64];
    int root_fd;
    int fds[_PLACE_PART_MAX];
    struct place place;
};

static int open_directory(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    strcpy(fixture->path, "/tmp/p2pnode-test-place-XXXXXX");
    assert_non_null(mkdtemp(fixture->path));
    fixture->root_fd = open_directory(AT_FDCWD, fixture->path);
    assert_int_equal(fchdir(fixture->root_fd), 0);
    assert_int_equal(mkdir("task-7", 0700), 0);
    fixture->fds[PLACE_TOP] = open_directory(fixture->root_fd, "task-7");
    assert_int_equal(mkdir("task-7/work", 0700), 0);
    assert_int_equal(mkdir("task-7/tmp", 0700), 0);
    fixture->fds[PLACE_WORK] = open_directory(fixture->root_fd, "task-7/work");
    fixture->fds[PLACE_TMP] = open_directory(fixture->root_fd, "task-7/tmp");
    place_keep(&fixture->place, "task-7", fixture->fds);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    place_forget(&fixture->place);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(tree_remove(AT_FDCWD, fixture->path), 0);
    for (size_t i = 0; i < _PLACE_PART_MAX; i++)
        close_fd(fixture->fds[i]);
    close_fd(fixture->root_fd);
    free(fixture);
    return 0;
}

static bool is_as_made(const struct fixture *fixture)
{
    return place_is_as_made(&fixture->place, fixture->root_fd);
}

static void make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    close_fd(fd);
}

static void what_was_only_used_is_as_made(void **state)
{
    const struct timespec old[] = {{.tv_sec = 1}, {.tv_sec = 1}};
    struct fixture *fixture = *state;

    assert_true(is_as_made(fixture));
    for (unsigned i = 0; i < 3; i++) {
        make_file("task-7/work/a");
        assert_int_equal(mkdir("task-7/tmp/b", 0700), 0);
        assert_int_equal(utimensat(AT_FDCWD, "task-7/work", old, 0), 0);
        assert_false(is_as_made(fixture));
        assert_int_equal(unlink("task-7/work/a"), 0);
        assert_false(is_as_made(fixture));
        assert_int_equal(rmdir("task-7/tmp/b"), 0);
        assert_true(is_as_made(fixture));
    }
}

static void other_rights_are_seen(void **state)
{
    static const char *const paths[] = {"task-7", "task-7/work", "task-7/tmp"};
    static const mode_t modes[] = {0, 0500, 0711, 01700, 02700};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        for (size_t j = 0; j < ARRAY_SIZE(modes); j++) {
            assert_int_equal(chmod(paths[i], modes[j]), 0);
            assert_false(is_as_made(fixture));
        }
        assert_int_equal(chmod(paths[i], 0700), 0);
        assert_true(is_as_made(fixture));
    }
}

static void another_owner_is_seen(void **state)
{
    if (geteuid() != 0)
        skip();
    assert_int_equal(chown("task-7/work", (uid_t)-1, 65534), 0);
    assert_false(is_as_made(*state));
    assert_int_equal(chown("task-7/work", 65534, getegid()), 0);
    assert_false(is_as_made(*state));
    assert_int_equal(chown("task-7/work", geteuid(), getegid()), 0);
    assert_true(is_as_made(*state));
}

static void whatever_lies_there_is_seen(void **state)
{
    static const char *const names[] = {"task-7/x", "task-7/work/.x", "task-7/tmp/\n",
                                        "task-7/work/ ", "task-7/tmp/..."};
    char longest[NAME_MAX + 16];
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        make_file(names[i]);
        assert_false(is_as_made(fixture));
        assert_int_equal(unlink(names[i]), 0);
        assert_int_equal(symlink("/", names[i]), 0);
        assert_false(is_as_made(fixture));
        assert_int_equal(unlink(names[i]), 0);
        assert_int_equal(mkfifo(names[i], 0), 0);
        assert_false(is_as_made(fixture));
        assert_int_equal(unlink(names[i]), 0);
        assert_true(is_as_made(fixture));
    }
    strcpy(longest, "task-7/tmp/");
    memset(longest + strlen("task-7/tmp/"), 'x', NAME_MAX);
    longest[strlen("task-7/tmp/") + NAME_MAX] = '\0';
    for (unsigned i = 0; i < 10; i++) {
        longest[strlen("task-7/tmp/")] = (char)('0' + i);
        make_file(longest);
    }
    assert_false(is_as_made(fixture));
}

static void a_directory_in_its_place_is_seen(void **state)
{
    static const char *const paths[] = {"task-7", "task-7/work", "task-7/tmp"};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        assert_int_equal(rename(paths[i], "away"), 0);
        assert_false(is_as_made(fixture));
        assert_int_equal(symlink("../away", paths[i]), 0);
        assert_false(is_as_made(fixture));
        assert_int_equal(unlink(paths[i]), 0);
        assert_int_equal(mkdir(paths[i], 0700), 0);
        assert_false(is_as_made(fixture));
        assert_int_equal(rmdir(paths[i]), 0);
        assert_int_equal(rename("away", paths[i]), 0);
        assert_true(is_as_made(fixture));
    }
    assert_int_equal(rename("task-7/tmp", "task-7/t"), 0);
    assert_int_equal(rename("task-7/work", "task-7/tmp"), 0);
    assert_int_equal(rename("task-7/t", "task-7/work"), 0);
    assert_false(is_as_made(fixture));
}

static void what_is_gone_is_seen(void **state)
{
    assert_int_equal(rmdir("task-7/work"), 0);
    assert_false(is_as_made(*state));
    assert_int_equal(rmdir("task-7/tmp"), 0);
    assert_false(is_as_made(*state));
    assert_int_equal(rmdir("task-7"), 0);
    assert_false(is_as_made(*state));
}

/* Where the file system has such things at all. */
static void attributes_are_seen(void **state)
{
    struct fixture *fixture = *state;
    int flags;

    for (size_t i = 0; i < _PLACE_PART_MAX; i++) {
        const int fd = fixture->fds[i];
        if (fsetxattr(fd, "user.left", "", 0, 0) == 0) {
            assert_false(is_as_made(fixture));
            assert_int_equal(fremovexattr(fd, "user.left"), 0);
        }
        assert_true(is_as_made(fixture));
        if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
            continue;
        flags ^= FS_NODUMP_FL;
        assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
        assert_false(is_as_made(fixture));
        flags ^= FS_NODUMP_FL;
        assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
        assert_true(is_as_made(fixture));
    }
}

static void nothing_is_left_of_it(void **state)
{
    struct fixture *fixture = *state;

    place_remove(&fixture->place, fixture->root_fd);
    assert_null(fixture->place.name);
    assert_int_equal(faccessat(fixture->root_fd, "task-7", F_OK, 0), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(mkdir("task-7", 0700), 0);
    place_remove(&fixture->place, fixture->root_fd);
    assert_int_equal(faccessat(fixture->root_fd, "task-7", F_OK, 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_only_used_is_as_made),
        TEST(other_rights_are_seen),
        TEST(another_owner_is_seen),
        TEST(whatever_lies_there_is_seen),
        TEST(a_directory_in_its_place_is_seen),
        TEST(what_is_gone_is_seen),
        TEST(attributes_are_seen),
        TEST(nothing_is_left_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
