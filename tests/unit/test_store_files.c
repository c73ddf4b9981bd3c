/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "store/database.h"
#include "store/upload.h"
#include "store_fault.h"

#define WALL (UINT64_C(1795244870) * 1000000)

struct room {
    char *directory;
    struct files *files;
    char message[FILES_MESSAGE_MAX];
};

static const struct files_limits limits = {.quota = 1000000, .file_max = 1000000};

static void room_open(struct room *room)
{
    assert_int_equal(files_open(room->directory, &limits, room->message, &room->files), 0);
}

static void room_reopen(struct room *room)
{
    room->files = files_free(room->files);
    room_open(room);
}

static int room_setup(void **state)
{
    struct room *room = calloc(1, sizeof(*room));

    room->directory = directory_new();
    room_open(room);
    *state = room;
    return 0;
}

static int room_teardown(void **state)
{
    struct room *room = *state;

    fault_disarm();
    files_free(room->files);
    directory_free(room->directory);
    free(room);
    return 0;
}

static void put(struct room *room, const char *name, const char *text)
{
    _cleanup_(upload_freep) struct upload *upload = NULL;
    struct upload_offer offer = {
        .name = name,
        .owner = "user1",
        .size = strlen(text),
        .modified_wall_usec = WALL,
        .overwrite = UPLOAD_ALWAYS,
    };

    assert_int_equal(upload_new(room->files, &offer, NULL, &upload), 0);
    assert_int_equal(upload_write(upload, text, strlen(text)), 0);
    assert_int_equal(upload_commit(upload, NULL, NULL), 0);
}

static const char *path_of(const struct room *room, const char *name)
{
    static char path[512];

    snprintf(path, sizeof(path), "%s/%s", room->directory, name);
    return path;
}

static void write_by_hand(const struct room *room, const char *name, const char *text)
{
    _cleanup_close_ int fd =
        open(path_of(room, name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static struct files_usage usage_of(struct room *room)
{
    struct files_usage usage;

    files_get_usage(room->files, &usage);
    return usage;
}

static const char *list(struct room *room, const char *glob, const char *after, size_t limit)
{
    static char text[512];
    _cleanup_free_ struct files_info *infos = NULL;
    size_t count = 0;

    assert_int_equal(
        files_list(room->files, &(struct files_query){glob, after, limit, false}, &infos, &count),
        0);
    *text = '\0';
    for (size_t i = 0; i < count; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", infos[i].name);
    return text;
}

static void files_and_their_metadata_survive_a_restart(void **state)
{
    struct room *room = *state;
    struct files_info before, after;

    put(room, "data.csv", "1,2,3");
    assert_int_equal(files_stat(room->files, "data.csv", &before), 0);
    room_reopen(room);
    assert_int_equal(files_stat(room->files, "data.csv", &after), 0);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_int_equal(usage_of(room).count, 1);
    assert_int_equal(usage_of(room).used, 5);
}

static void list_is_ordered_matched_and_paged(void **state)
{
    struct room *room = *state;

    put(room, "b.h5", "");
    put(room, "a.csv", "");
    put(room, "a.h5", "");
    put(room, "[x]", "");
    assert_string_equal(list(room, NULL, "", 100), "[x] a.csv a.h5 b.h5 ");
    assert_string_equal(list(room, "*.h5", "", 100), "a.h5 b.h5 ");
    assert_string_equal(list(room, "a.?5", "", 100), "a.h5 ");
    assert_string_equal(list(room, "nothing*", "", 100), "");
    assert_string_equal(list(room, NULL, "", 2), "[x] a.csv ");
    assert_string_equal(list(room, NULL, "a.csv", 2), "a.h5 b.h5 ");
    assert_string_equal(list(room, NULL, "b.h5", 2), "");
}

static void list_has_the_metadata(void **state)
{
    struct room *room = *state;
    _cleanup_free_ struct files_info *infos = NULL;
    struct files_info info;
    size_t count = 0;

    put(room, "data.csv", "1,2,3");
    assert_int_equal(files_stat(room->files, "data.csv", &info), 0);
    assert_int_equal(
        files_list(room->files, &(struct files_query){NULL, "", 1, false}, &infos, &count), 0);
    assert_int_equal(count, 1);
    assert_memory_equal(&infos[0], &info, sizeof(info));
}

static void list_out_of_range_is_refused(void **state)
{
    struct room *room = *state;
    _cleanup_free_ struct files_info *infos = NULL;
    size_t count = 0;
    char glob[257];

    assert_int_equal(
        files_list(room->files, &(struct files_query){NULL, "", 0, false}, &infos, &count),
        -EINVAL);
    assert_int_equal(files_list(room->files,
                                &(struct files_query){NULL, "", FILES_LIST_MAX + 1, false}, &infos,
                                &count),
                     -EINVAL);
    assert_int_equal(files_list(room->files, &(struct files_query){NULL, "", FILES_LIST_MAX, false},
                                &infos, &count),
                     0);
    memset(glob, '*', sizeof(glob));
    glob[256] = '\0';
    assert_int_equal(
        files_list(room->files, &(struct files_query){glob, "", 1, false}, &infos, &count),
        -EINVAL);
}

static void glob_means_what_it_means_to_a_shell(void **state)
{
    struct room *room = *state;

    put(room, "foo", "");
    put(room, "gnu", "");
    put(room, "\xc3\xa9", "");
    assert_string_equal(list(room, "[!f]*", "", 10), "gnu \xc3\xa9 ");
    assert_string_equal(list(room, "[^f]*", "", 10), "gnu \xc3\xa9 ");
    assert_string_equal(list(room, "[!\\]g]*", "", 10), "foo \xc3\xa9 ");
    assert_string_equal(list(room, "?", "", 10), "\xc3\xa9 ");
    assert_string_equal(list(room, "\\fo[[:alpha:]]", "", 10), "foo ");
}

static void pattern_of_many_stars_ends_soon(void **state)
{
    struct room *room = *state;
    char glob[256], name[256];

    memset(name, 'a', sizeof(name));
    name[255] = '\0';
    put(room, name, "");
    for (size_t i = 0; i < 254; i += 2)
        memcpy(glob + i, "*a", 2);
    memcpy(glob + 253, "b", 2);
    assert_string_equal(list(room, glob, "", 10), "");
}

static void removed_file_is_gone_and_its_readers_keep_it(void **state)
{
    struct room *room = *state;
    struct files_info info;
    _cleanup_close_ int fd = -EBADF;
    char text[8] = "";

    put(room, "f", "text");
    assert_int_equal(files_open_read(room->files, "f", &fd, &info), 0);
    assert_int_equal(files_remove(room->files, "f", &info), 0);
    assert_int_equal(info.size, 4);
    assert_string_equal(info.owner, "user1");
    assert_int_equal(files_remove(room->files, "f", &info), -ENOENT);
    assert_int_equal(files_stat(room->files, "f", &info), -ENOENT);
    assert_int_equal(read(fd, text, 4), 4);
    assert_string_equal(text, "text");
    assert_int_equal(usage_of(room).count, 0);
    assert_int_equal(usage_of(room).used, 0);
}

static void bad_names_reach_nothing(void **state)
{
    static const char *const bad[] = {"",          ".",      "..",  "../x", "a/b", "/etc/passwd",
                                      "-index.db", "-parts", "a\tb"};
    struct room *room = *state;
    struct files_info info;
    int fd = -EBADF;

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(files_stat(room->files, bad[i], &info), -EINVAL);
        assert_int_equal(files_remove(room->files, bad[i], &info), -EINVAL);
        assert_int_equal(files_open_read(room->files, bad[i], &fd, &info), -EINVAL);
    }
    assert_int_equal(fd, -EBADF);
}

static void planted_links_pipes_and_directories_are_not_opened(void **state)
{
    static const char *const names[] = {"link", "pipe", "sub"};
    struct room *room = *state;
    struct files_info info;
    int fd = -EBADF;

    assert_int_equal(symlink("/etc/passwd", path_of(room, "link")), 0);
    assert_int_equal(mkfifo(path_of(room, "pipe"), 0600), 0);
    assert_int_equal(mkdir(path_of(room, "sub"), 0700), 0);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(files_open_read(room->files, names[i], &fd, &info), -ELOOP);
        assert_int_equal(files_stat(room->files, names[i], &info), -ELOOP);
        assert_int_equal(files_remove(room->files, names[i], &info), -ELOOP);
    }
    room_reopen(room);
    assert_string_equal(list(room, NULL, "", 10), "");
    assert_int_equal(access(path_of(room, "sub"), F_OK), 0);
}

static void file_put_there_by_hand_is_taken_up_without_a_hash(void **state)
{
    struct room *room = *state;
    struct files_info info;

    write_by_hand(room, "dropped", "12345");
    room_reopen(room);
    assert_string_equal(list(room, NULL, "", 10), "dropped ");
    assert_int_equal(files_stat(room->files, "dropped", &info), 0);
    assert_false(info.has_sha256);
    assert_string_equal(info.owner, "");
    assert_int_equal(usage_of(room).used, 5);
}

/* Now and after a start: the file is seen to be changed, and is not given. */
static void assert_changed(struct room *room, const char *name)
{
    struct files_info info, *listed = NULL;
    size_t count = 0;
    int fd = -EBADF;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(files_stat(room->files, name, &info), 0);
        assert_true(info.is_changed);
        assert_string_equal(info.owner, "user1");
        assert_int_equal(files_open_read(room->files, name, &fd, &info), -ESTALE);
        assert_int_equal(
            files_list(room->files, &(struct files_query){name, "", 10, false}, &listed, &count),
            0);
        assert_int_equal(count, 1);
        assert_true(listed[0].is_changed);
        free(listed);
        room_reopen(room);
    }
    assert_int_equal(fd, -EBADF);
}

/* What somebody writes below another name, and renames. */
static void replace_by_hand(struct room *room, const char *name, const char *text)
{
    char path[4096];

    write_by_hand(room, "new", text);
    strcpy(path, path_of(room, name));
    assert_int_equal(rename(path_of(room, "new"), path), 0);
}

static void file_changed_by_hand_is_damaged_and_not_given(void **state)
{
    struct room *room = *state;
    struct files_info info;

    put(room, "f", "text");
    write_by_hand(room, "f", "other text");
    assert_changed(room, "f");
    /* Of the same size, but later. */
    put(room, "g", "text");
    write_by_hand(room, "g", "TEXT");
    assert_changed(room, "g");
    put(room, "h", "text");
    replace_by_hand(room, "h", "TEXT");
    assert_changed(room, "h");
    assert_int_equal(usage_of(room).count, 3);
    assert_int_equal(files_remove(room->files, "f", &info), 0);
    assert_int_equal(usage_of(room).used, 8);
}

/* From the next start on; until then nobody looks. */
static void file_counts_as_large_as_it_was_made(void **state)
{
    struct room *room = *state;
    struct files_removal removals[] = {{.name = "less"}};
    struct files_info info;

    put(room, "more", "text");
    put(room, "less", "some text");
    put(room, "other", "text");
    write_by_hand(room, "more", "much more text");
    write_by_hand(room, "less", "some");
    write_by_hand(room, "other", "text and more");
    for (int i = 0; i < 2; i++) {
        room_reopen(room);
        assert_int_equal(usage_of(room).used, 14 + 4 + 13);
    }
    write_by_hand(room, "less", "");
    room_reopen(room);
    assert_int_equal(usage_of(room).used, 14 + 13);
    put(room, "other", "text");
    assert_int_equal(usage_of(room).used, 14 + 4);
    files_remove_many(room->files, removals, 1);
    assert_int_equal(files_remove(room->files, "more", &info), 0);
    assert_int_equal(usage_of(room).used, 4);
    room_reopen(room);
    assert_int_equal(usage_of(room).used, 4);
}

static void file_that_was_changed_can_be_put_again(void **state)
{
    struct room *room = *state;
    struct files_info info;
    int fd = -EBADF;

    put(room, "f", "text");
    write_by_hand(room, "f", "other text");
    put(room, "f", "new text");
    assert_int_equal(files_open_read(room->files, "f", &fd, &info), 0);
    close(fd);
    assert_true(info.has_sha256 && !info.is_changed);
    assert_int_equal(usage_of(room).used, 8);
}

static void file_out_of_a_backup_is_what_was_stored(void **state)
{
    struct room *room = *state;
    struct files_info before, info;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
    int fd = -EBADF;

    put(room, "f", "text");
    assert_int_equal(files_stat(room->files, "f", &before), 0);
    times[1] = (struct timespec){.tv_sec = (time_t)(before.modified_wall_usec / 1000000),
                                 .tv_nsec = (long)(before.modified_wall_usec % 1000000) * 1000};
    replace_by_hand(room, "f", "text");
    assert_int_equal(utimensat(AT_FDCWD, path_of(room, "f"), times, 0), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(files_open_read(room->files, "f", &fd, &info), 0);
        close(fd);
        assert_memory_equal(info.sha256, before.sha256, sizeof(info.sha256));
        assert_string_equal(info.owner, "user1");
        room_reopen(room);
    }
    assert_int_equal(usage_of(room).used, 4);
}

static void store_of_an_older_version_is_taken_over(void **state)
{
    static const char *const older[] = {
        "CREATE TABLE file(name TEXT NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,"
        " modified INTEGER NOT NULL, executable INTEGER NOT NULL, owner TEXT NOT NULL, sha256 BLOB,"
        " PRIMARY KEY(name, inode)) WITHOUT ROWID;",
        "INSERT INTO file VALUES('f', 1, 4, 0, 1, 'user2', zeroblob(32))", NULL};
    struct room *room = *state;
    struct files_info info;
    sqlite3 *database;

    room->files = files_free(room->files);
    assert_int_equal(remove(path_of(room, "-index.db")), 0);
    assert_int_equal(database_open(path_of(room, "-index.db"), (const char *[]){older[0], NULL},
                                   room->message, &database),
                     0);
    assert_int_equal(database_execute(database, older[1]), 0);
    database_close(database);
    write_by_hand(room, "f", "text");
    assert_int_equal(chmod(path_of(room, "f"), 0700), 0);
    assert_int_equal(utimensat(AT_FDCWD, path_of(room, "f"),
                               (struct timespec[]){{.tv_nsec = UTIME_OMIT}, {.tv_sec = 0}}, 0),
                     0);
    room_open(room);
    assert_int_equal(files_stat(room->files, "f", &info), 0);
    assert_true(info.has_sha256 && !info.is_changed && info.is_executable);
    assert_string_equal(info.owner, "user2");
    assert_int_equal(info.mode, 0);
    assert_int_equal(files_get_permissions(info.mode, info.is_executable), 0755);
    put(room, "g", "text");
    room_reopen(room);
    assert_string_equal(list(room, NULL, "", 10), "f g ");
}

static void file_removed_by_hand_stops_counting(void **state)
{
    struct room *room = *state;
    struct files_info info;

    put(room, "f", "text");
    put(room, "g", "text");
    assert_int_equal(remove(path_of(room, "f")), 0);
    assert_int_equal(files_stat(room->files, "f", &info), -ENOENT);
    assert_int_equal(usage_of(room).used, 4);
    assert_int_equal(remove(path_of(room, "g")), 0);
    room_reopen(room);
    assert_int_equal(usage_of(room).used, 0);
}

static void parts_of_a_crash_are_removed_at_the_start(void **state)
{
    struct room *room = *state;

    write_by_hand(room, "-parts/7.part", "half");
    room_reopen(room);
    assert_int_equal(access(path_of(room, "-parts/7.part"), F_OK), -1);
    put(room, "f", "text");
}

static void store_belongs_to_one_process(void **state)
{
    struct room *room = *state;
    struct files *other = NULL;

    assert_int_equal(files_open(room->directory, &limits, room->message, &other), -EBUSY);
    assert_non_null(strstr(room->message, "in use by another p2pnode"));
}

static void damaged_index_is_refused_and_no_file_is_touched(void **state)
{
    struct room *room = *state;

    put(room, "f", "text");
    room->files = files_free(room->files);
    write_by_hand(room, "-index.db", "this is no database, whatever its name says");
    assert_int_equal(files_open(room->directory, &limits, room->message, &room->files), -EUCLEAN);
    assert_non_null(strstr(room->message, "-index.db is damaged"));
    assert_int_equal(access(path_of(room, "f"), F_OK), 0);
}

static void directory_that_cannot_be_made_is_named(void **state)
{
    struct room *room = *state;
    struct files *other = NULL;

    assert_int_equal(files_open("/proc/none/peer_storage", &limits, room->message, &other),
                     -ENOENT);
    assert_non_null(strstr(room->message, "/proc/none/peer_storage"));
}

static void index_is_opened_for_the_first_question(void **state)
{
    struct room *room = *state;
    struct files_info info;

    assert_int_equal(access(path_of(room, "-index.db-shm"), F_OK), -1);
    put(room, "one", "text");
    assert_int_equal(access(path_of(room, "-index.db-shm"), F_OK), 0);
    room_reopen(room);
    assert_int_equal(access(path_of(room, "-index.db-shm"), F_OK), -1);
    assert_int_equal(files_stat(room->files, "one", &info), 0);
    assert_string_equal(info.owner, "user1");
}

static void index_that_was_taken_away_is_no_missing_file(void **state)
{
    struct room *room = *state;
    struct files_info info;

    write_by_hand(room, "one", "text");
    assert_int_equal(unlink(path_of(room, "-index.db")), 0);
    assert_int_equal(files_stat(room->files, "one", &info), -EIO);
}

#define test(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(files_and_their_metadata_survive_a_restart),
        test(list_is_ordered_matched_and_paged),
        test(list_has_the_metadata),
        test(list_out_of_range_is_refused),
        test(glob_means_what_it_means_to_a_shell),
        test(pattern_of_many_stars_ends_soon),
        test(removed_file_is_gone_and_its_readers_keep_it),
        test(bad_names_reach_nothing),
        test(planted_links_pipes_and_directories_are_not_opened),
        test(file_put_there_by_hand_is_taken_up_without_a_hash),
        test(file_changed_by_hand_is_damaged_and_not_given),
        test(file_counts_as_large_as_it_was_made),
        test(file_that_was_changed_can_be_put_again),
        test(file_out_of_a_backup_is_what_was_stored),
        test(store_of_an_older_version_is_taken_over),
        test(file_removed_by_hand_stops_counting),
        test(parts_of_a_crash_are_removed_at_the_start),
        test(store_belongs_to_one_process),
        test(damaged_index_is_refused_and_no_file_is_touched),
        test(directory_that_cannot_be_made_is_named),
        test(index_is_opened_for_the_first_question),
        test(index_that_was_taken_away_is_no_missing_file),
    };

    return cmocka_run_group_tests_name("store/files", tests, NULL, NULL);
}
