/* SPDX-License-Identifier: MIT */

/* Files in one file: what goes in comes out, and what is no bundle is told from one. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "base/bundle.h"
#include "base/macro.h"

static int new_file(void)
{
    int fd = memfd_create("bundle", MFD_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

/* Appends one file to the bundle. Return: where it ends. */
static uint64_t add(int fd, uint64_t at, const char *name, uint16_t mode, const char *text)
{
    struct bundle_entry entry = {.mode = mode, .tag = 3, .size = strlen(text)};

    snprintf(entry.name, sizeof(entry.name), "%s", name);
    int64_t offset = bundle_add_head(fd, at, &entry);
    assert_true(offset > 0);
    assert_int_equal(pwrite(fd, text, strlen(text), offset), strlen(text));
    return (uint64_t)offset + strlen(text);
}

static void assert_text(int fd, const struct bundle_entry *entry, const char *text)
{
    char buffer[64] = "";

    assert_int_equal(entry->size, strlen(text));
    assert_int_equal(pread(fd, buffer, entry->size, (off_t)entry->offset), strlen(text));
    assert_string_equal(buffer, text);
}

static void what_goes_in_comes_out(void **state _unused_)
{
    _cleanup_close_ int fd = new_file();
    struct bundle_entry entry;
    struct bundle_content content;
    uint64_t at = (uint64_t)bundle_begin(fd);

    at = add(fd, at, "", 0600, "from stdin");
    at = add(fd, at, "a.csv", 0644, "1,2,3");
    at = add(fd, at, "dir/run", 0755, "");
    assert_int_equal(bundle_check(fd, &content), 0);
    assert_int_equal(content.count, 2);
    assert_int_equal(content.size, 15);
    assert_true(content.has_stdin);
    assert_int_equal(bundle_next(fd, 0, &entry), 1);
    assert_string_equal(entry.name, "");
    assert_text(fd, &entry, "from stdin");
    assert_int_equal(bundle_next(fd, entry.offset + entry.size, &entry), 1);
    assert_string_equal(entry.name, "a.csv");
    assert_int_equal(entry.mode, 0644);
    assert_int_equal(entry.tag, 3);
    assert_text(fd, &entry, "1,2,3");
    assert_int_equal(bundle_find(fd, "dir/run", &entry), 1);
    assert_int_equal(entry.mode, 0755);
    assert_int_equal(bundle_next(fd, entry.offset + entry.size, &entry), 0);
    assert_int_equal(bundle_find(fd, "dir", &entry), 0);
}

static void empty_bundle_is_a_bundle_and_an_empty_file_is_none(void **state _unused_)
{
    _cleanup_close_ int fd = new_file();
    struct bundle_content content;

    assert_int_equal(bundle_check(fd, &content), -EBADMSG);
    assert_int_equal(bundle_begin(fd), BUNDLE_MARK_SIZE);
    assert_int_equal(bundle_check(fd, &content), 0);
    assert_int_equal(content.count, 0);
}

static void names_never_lead_out(void **state _unused_)
{
    static const char *const good[] = {"a", "a/b/c", "a b.txt", ".hidden", "\xc3\xa4/x", "a=b"};
    static const char *const bad[] = {"",     "/a",  "a/",   "a//b",  "..",       "a/../b",
                                      ".",    "./a", "-rf",  "a/-rf", "a\nb",     "a\x1b[0m",
                                      "\xff", "a/.", "../a", "/",     "a/b/\x7f", "\xe2\x80\xa8"};
    char deep[2 * BUNDLE_PARTS_MAX + 2] = "a", part[257 + 1] = "";
    struct bundle_entry entry = {.size = 0};
    _cleanup_close_ int fd = new_file();

    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_true(bundle_is_name(good[i]));
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(bundle_is_name(bad[i]));
        snprintf(entry.name, sizeof(entry.name), "%s", bad[i]);
        if (bad[i][0] != '\0')
            assert_int_equal(bundle_add_head(fd, BUNDLE_MARK_SIZE, &entry), -EINVAL);
    }
    for (size_t i = 1; i < BUNDLE_PARTS_MAX; i++)
        strcat(deep, "/a");
    assert_true(bundle_is_name(deep));
    assert_false(bundle_is_name(strcat(deep, "/a")));
    memset(part, 'n', 255);
    assert_true(bundle_is_name(part));
    memset(part, 'n', 256);
    assert_false(bundle_is_name(part));
}

static void names_are_at_most_as_long_as_they_may_be(void **state _unused_)
{
    char name[BUNDLE_NAME_MAX + 2] = "";

    for (size_t i = 0; i <= BUNDLE_NAME_MAX; i++)
        name[i] = i % 200 == 199 ? '/' : 'n';
    assert_false(bundle_is_name(name));
    name[BUNDLE_NAME_MAX] = '\0';
    assert_true(bundle_is_name(name));
}

/* Every byte of a small bundle changed, and every length cut: never a crash, and a head that is
 * damaged is found. */
static void damage_is_found(void **state _unused_)
{
    _cleanup_close_ int fd = new_file();
    struct bundle_content content;
    uint64_t end = add(fd, (uint64_t)bundle_begin(fd), "name", 0644, "x");
    uint64_t head = end - 1;

    for (uint64_t at = 0; at < head; at++) {
        uint8_t byte, changed;
        assert_int_equal(pread(fd, &byte, 1, (off_t)at), 1);
        for (unsigned bit = 0; bit < 8; bit++) {
            changed = (uint8_t)(byte ^ (1U << bit));
            assert_int_equal(pwrite(fd, &changed, 1, (off_t)at), 1);
            int r = bundle_check(fd, &content);
            /* Of mode, tag and name a change may make another one that is as good. */
            bool is_soft = at >= BUNDLE_MARK_SIZE + 4 && at < BUNDLE_MARK_SIZE + 8;
            is_soft = is_soft || at >= BUNDLE_MARK_SIZE + 18;
            assert_true(r == -EBADMSG || (is_soft && r == 0));
        }
        assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    }
    assert_int_equal(bundle_check(fd, &content), 0);
    for (uint64_t size = end - 1; size > BUNDLE_MARK_SIZE; size--) {
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        assert_int_equal(bundle_check(fd, &content), -EBADMSG);
    }
}

static void size_beyond_the_file_is_refused(void **state _unused_)
{
    _cleanup_close_ int fd = new_file();
    struct bundle_entry entry = {.name = "huge", .size = (uint64_t)1 << 61};
    struct bundle_content content;

    (void)bundle_begin(fd);
    assert_true(bundle_add_head(fd, BUNDLE_MARK_SIZE, &entry) > 0);
    assert_int_equal(bundle_check(fd, &content), -EBADMSG);
    entry.size = UINT64_MAX;
    assert_int_equal(bundle_add_head(fd, BUNDLE_MARK_SIZE, &entry), -EINVAL);
}

static void only_one_standard_input_and_so_many_files(void **state _unused_)
{
    _cleanup_close_ int fd = new_file(), many = new_file();
    struct bundle_content content;
    uint64_t at = (uint64_t)bundle_begin(fd);
    char name[16];

    at = add(fd, at, "", 0600, "a");
    (void)add(fd, at, "", 0600, "b");
    assert_int_equal(bundle_check(fd, &content), -EBADMSG);
    at = (uint64_t)bundle_begin(many);
    for (unsigned i = 0; i < BUNDLE_FILES_MAX; i++) {
        snprintf(name, sizeof(name), "f%u", i);
        at = add(many, at, name, 0644, "");
    }
    assert_int_equal(bundle_check(many, &content), 0);
    assert_int_equal(content.count, BUNDLE_FILES_MAX);
    (void)add(many, at, "one-more", 0644, "");
    assert_int_equal(bundle_check(many, &content), -EBADMSG);
}

/* Between two memory files the kernel copies itself, into a pipe's file system it cannot. */
static void copy_takes_exactly_what_it_is_told(void **state _unused_)
{
    _cleanup_close_ int from = new_file(), to = new_file();
    char directory[] = "/dev/shm/p2pnode-test-XXXXXX", buffer[16] = "";

    assert_int_equal(pwrite(from, "0123456789", 10, 0), 10);
    assert_int_equal(bundle_copy(from, 2, to, 5, 3), 0);
    assert_int_equal(pread(to, buffer, sizeof(buffer), 5), 3);
    assert_string_equal(buffer, "234");
    assert_int_equal(bundle_copy(from, 8, to, 0, 3), -ENODATA);
    _cleanup_close_ int other = mkostemp(directory, O_CLOEXEC);
    assert_true(other >= 0);
    assert_int_equal(unlink(directory), 0);
    assert_int_equal(bundle_copy(from, 0, other, 1, 10), 0);
    assert_int_equal(pread(other, buffer, sizeof(buffer), 1), 10);
    assert_memory_equal(buffer, "0123456789", 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_goes_in_comes_out),
        cmocka_unit_test(empty_bundle_is_a_bundle_and_an_empty_file_is_none),
        cmocka_unit_test(names_never_lead_out),
        cmocka_unit_test(names_are_at_most_as_long_as_they_may_be),
        cmocka_unit_test(damage_is_found),
        cmocka_unit_test(size_beyond_the_file_is_refused),
        cmocka_unit_test(only_one_standard_input_and_so_many_files),
        cmocka_unit_test(copy_takes_exactly_what_it_is_told),
    };

    return cmocka_run_group_tests_name("base/bundle", tests, NULL, NULL);
}
