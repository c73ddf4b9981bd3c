/* SPDX-License-Identifier: MIT */

/* Links, pipes and directories that somebody put in the place of stored files. */

#include "store_upload_room.h"
#include <sys/stat.h>

/* Good until the next call. */
static const char *path_of(const struct room *room, const char *name)
{
    static char path[4096];

    snprintf(path, sizeof(path), "%s/%s", room->directory, name);
    return path;
}

/* What has taken the place of a stored file. */
static void plant(struct room *room, const char *kind, const char *name)
{
    (void)unlink(path_of(room, name));
    if (strcmp(kind, "link") == 0)
        assert_int_equal(symlink("/etc/passwd", path_of(room, name)), 0);
    else if (strcmp(kind, "pipe") == 0)
        assert_int_equal(mkfifo(path_of(room, name), 0600), 0);
    else
        assert_int_equal(mkdir(path_of(room, name), 0700), 0);
}

/* Also after a start. */
static void assert_taken(struct room *room, const char *name)
{
    struct files_info info, *listed = NULL;
    size_t count = 0;
    int fd = -EBADF;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(files_open_read(room->files, name, &fd, &info), -ESTALE);
        assert_int_equal(files_stat(room->files, name, &info), -ESTALE);
        assert_int_equal(
            files_list(room->files, &(struct files_query){name, "", 10, false}, &listed, &count),
            0);
        assert_int_equal(count, 1);
        assert_true(listed[0].is_changed);
        assert_string_equal(listed[0].owner, "user1");
        free(listed);
        room->files = files_free(room->files);
        room_open(room);
    }
    assert_int_equal(fd, -EBADF);
}

static void what_took_the_place_of_a_file_is_damage_and_goes(void **state)
{
    static const char *const kinds[] = {"link", "pipe"};
    struct room *room = *state;
    struct files_removal removal = {.name = "f"};
    struct files_info info;
    struct stat status;

    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        assert_int_equal(put_text(room->files, "f", "text"), 0);
        plant(room, kinds[i], "f");
        assert_taken(room, "f");
        assert_int_equal(put_text(room->files, "f", "text again"), 0);
        assert_int_equal(files_stat(room->files, "f", &info), 0);
        plant(room, kinds[i], "f");
        assert_int_equal(files_remove(room->files, "f", &info), 0);
        assert_string_equal(info.name, "f");
        assert_int_equal(info.size, strlen("text again"));
        assert_int_equal(put_text(room->files, "f", "text"), 0);
        plant(room, kinds[i], "f");
        files_remove_many(room->files, &removal, 1);
        assert_int_equal(removal.r, 0);
        assert_int_equal(removal.size, strlen("text"));
        assert_int_equal(lstat(path_of(room, "f"), &status), -1);
        assert_int_equal(usage_of(room->files).count, 0);
        assert_int_equal(usage_of(room->files).used, 0);
    }
}

static void a_directory_that_took_the_place_of_a_file_stays(void **state)
{
    struct upload_offer offer = {.name = "f", .size = 1, .overwrite = UPLOAD_ALWAYS};
    struct files_removal removal = {.name = "f"};
    struct upload *upload = NULL;
    struct room *room = *state;
    struct files_info info;

    assert_int_equal(put_text(room->files, "f", "text"), 0);
    plant(room, "directory", "f");
    assert_taken(room, "f");
    assert_int_equal(upload_new(room->files, &offer, NULL, &upload), -ELOOP);
    assert_int_equal(files_remove(room->files, "f", &info), -ELOOP);
    files_remove_many(room->files, &removal, 1);
    assert_int_equal(removal.r, -ELOOP);
    assert_taken(room, "f");
    assert_int_equal(rmdir(path_of(room, "f")), 0);
    assert_int_equal(files_stat(room->files, "f", &info), -ENOENT);
    assert_int_equal(usage_of(room->files).used, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, room_setup, room_teardown)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        test(what_took_the_place_of_a_file_is_damage_and_goes),
        test(a_directory_that_took_the_place_of_a_file_stays),
    };

    return cmocka_run_group_tests_name("store/taken", tests, NULL, NULL);
}
