/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <sys/resource.h>
#include "data/fetch_parts.h"
#include "store_fault.h"

#define MAX_AT_ONCE 8

struct room {
    char *path; /* owned */
    int fd;
    struct fetch_parts parts;
};

static void begin(struct room *room)
{
    room->path = directory_new();
    room->fd = open(room->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(fetch_parts_init(&room->parts, room->fd, MAX_AT_ONCE), 0);
}

static void end(struct room *room)
{
    fetch_parts_done(&room->parts);
    close_fd(room->fd);
    directory_free(room->path);
}

/* Names in the directory. */
static size_t count(const struct room *room)
{
    DIR *stream = opendir(room->path);
    const struct dirent *entry;
    size_t found = 0;

    while ((entry = readdir(stream)))
        found += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(stream);
    return found;
}

static void write_part(struct room *room, size_t i, mode_t mode)
{
    int fd = fetch_parts_open(&room->parts, i, mode);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "text", 4), 4);
    fetch_parts_written(&room->parts, i);
}

static void assert_file(const struct room *room, const char *name, mode_t mode)
{
    struct stat status;

    assert_int_equal(fstatat(room->fd, name, &status, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(status.st_size, 4);
    assert_int_equal(status.st_nlink, 1);
    assert_int_equal(status.st_mode & 07777, mode);
}

/* All that may become of a part; @hidden: of four how many have a name before. */
static void use(struct room *room, size_t hidden)
{
    char name[FETCH_PARTS_NAME_MAX];

    for (size_t i = 0; i < 4; i++)
        write_part(room, i, i == 0 ? 0777 : 0666);
    assert_int_equal(count(room), hidden);
    assert_int_equal(fetch_parts_take_name(&room->parts, 0, "a"), 0);
    assert_int_equal(fetch_parts_take_name(&room->parts, 1, "a"), -EEXIST);
    assert_int_equal(fetch_parts_take_name(&room->parts, 1, "b"), 0);
    assert_int_equal(fetch_parts_hide(&room->parts, 2, name), 0);
    fetch_parts_drop(&room->parts, 2);
    fetch_parts_drop(&room->parts, 3);
    fetch_parts_drop(&room->parts, 3);
    assert_int_equal(count(room), 3);
    assert_file(room, "a", 0750);
    assert_file(room, "b", 0640);
    assert_file(room, name, 0640);
}

static void a_part_has_no_name_until_it_is_whole(void **state)
{
    struct room room;

    (void)state;
    begin(&room);
    for (size_t i = 0; i < 3; i++) {
        use(&room, 0);
        assert_int_equal(room.parts.unnamed_left, MAX_AT_ONCE);
        assert_int_equal(unlinkat(room.fd, "a", 0) | unlinkat(room.fd, "b", 0), 0);
        char name[FETCH_PARTS_NAME_MAX];
        snprintf(name, sizeof(name), ".p2pctl.%08x-%zu", room.parts.mark, room.parts.first + 2);
        assert_int_equal(unlinkat(room.fd, name, 0), 0);
        room.parts.first += 4;
    }
    end(&room);
}

static void a_file_system_that_wants_names_does(void **state)
{
    struct room room;

    (void)state;
    fault_is_plain = true;
    begin(&room);
    fault_is_plain = false;
    assert_int_equal(room.parts.unnamed_left, 0);
    use(&room, 4);
    end(&room);
}

static void run_with_few_descriptors(void *data)
{
    struct rlimit few = {24, 24};
    struct room *room = data;

    if (setrlimit(RLIMIT_NOFILE, &few) < 0)
        _exit(1);
    begin(room);
    for (size_t i = 0; i < MAX_AT_ONCE; i++)
        write_part(room, i, 0666);
    bool is_good = count(room) == 2;
    for (size_t i = 0; i < MAX_AT_ONCE; i++) {
        const char name[] = {(char)('a' + i), '\0'};
        is_good = is_good && fetch_parts_take_name(&room->parts, i, name) == 0;
    }
    is_good = is_good && count(room) == MAX_AT_ONCE;
    end(room);
    _exit(is_good ? 0 : 2);
}

static void descriptors_may_be_few(void **state)
{
    struct room room;

    (void)state;
    assert_int_equal(in_child(run_with_few_descriptors, &room), 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_has_no_name_until_it_is_whole),
        cmocka_unit_test(a_file_system_that_wants_names_does),
        cmocka_unit_test(descriptors_may_be_few),
    };

    umask(027);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
