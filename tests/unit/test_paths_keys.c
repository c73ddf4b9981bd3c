/* SPDX-License-Identifier: MIT */
#include "store_fault.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/log.h"
#include "keys.h"
#include "paths.h"

#define KEY_A "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
#define KEY_B "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n"

static const char *const variables[] = {
    "STATE_DIRECTORY",      "RUNTIME_DIRECTORY", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "HOME",
    "CREDENTIALS_DIRECTORY"};

static char *directory;
static char last_log[512];

static void on_log(int level _unused_, const char *text, void *data _unused_)
{
    snprintf(last_log, sizeof(last_log), "%s", text);
}

static int begin(void **state _unused_)
{
    for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
        (void)unsetenv(variables[i]);
    directory = directory_new();
    log_set_sink(on_log, NULL);
    last_log[0] = '\0';
    return 0;
}

static int end(void **state _unused_)
{
    fault_disarm();
    log_set_sink(NULL, NULL);
    directory = directory_free(directory);
    return 0;
}

/* The last result of these two is kept for the caller's comparison. */
static const char *in_directory(const char *name)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    return path;
}

static mode_t mode_of(const char *path)
{
    struct stat status;

    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static void put_text(const char *name, const char *text, mode_t mode)
{
    _cleanup_close_ int fd =
        open(in_directory(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void assert_text(const char *name, const char *text)
{
    _cleanup_close_ int fd = open(in_directory(name), O_RDONLY | O_CLOEXEC);
    char content[256] = "";

    assert_true(fd >= 0);
    assert_true(read(fd, content, sizeof(content) - 1) >= 0);
    assert_string_equal(content, text);
}

/* --- Paths --- */

static void a_configured_state_directory_is_made_whatever_the_umask(void **state _unused_)
{
    _cleanup_free_ char *path = NULL;
    mode_t mask = umask(0777);

    setenv("STATE_DIRECTORY", "/nowhere", 1);
    assert_int_equal(paths_get_state_dir(in_directory("a/b/c"), "lab", &path), 0);
    umask(mask);
    assert_string_equal(path, in_directory("a/b/c"));
    assert_int_equal(mode_of(path), 0711);
    assert_int_equal(mode_of(in_directory("a/b")), 0755);
}

static void a_state_directory_that_is_there_keeps_its_mode(void **state _unused_)
{
    _cleanup_free_ char *path = NULL;

    assert_int_equal(mkdir(in_directory("mine"), 0700), 0);
    assert_int_equal(paths_get_state_dir(in_directory("mine"), "lab", &path), 0);
    assert_int_equal(mode_of(path), 0700);
}

static void the_first_state_directory_of_systemd_is_taken(void **state _unused_)
{
    _cleanup_free_ char *path = NULL, *value = NULL;

    assert_true(asprintf(&value, "%s/one:%s/two", directory, directory) > 0);
    setenv("STATE_DIRECTORY", value, 1);
    assert_int_equal(paths_get_state_dir("", "lab", &path), 0);
    assert_string_equal(path, in_directory("one"));
}

static void no_place_for_the_state_is_an_error(void **state _unused_)
{
    char *path = NULL;

    setenv("STATE_DIRECTORY", ":/tmp", 1);
    assert_int_equal(paths_get_state_dir("", "lab", &path), -ENOENT);
    put_text("file", "", 0600);
    assert_int_equal(paths_get_state_dir(in_directory("file/state"), "lab", &path), -ENOTDIR);
    assert_null(path);
}

static void the_socket_is_named_after_the_instance(void **state _unused_)
{
    _cleanup_free_ char *path = NULL, *configured = NULL;

    setenv("RUNTIME_DIRECTORY", in_directory("run"), 1);
    assert_int_equal(paths_get_socket("", "lab", &path), 0);
    assert_string_equal(path, in_directory("run/lab.sock"));
    assert_int_equal(mode_of(in_directory("run")), 0755);
    assert_int_equal(paths_get_socket("/tmp/mine.sock", "lab", &configured), 0);
    assert_string_equal(configured, "/tmp/mine.sock");
}

static void another_socket_is_found_at_the_standard_place(void **state _unused_)
{
    _cleanup_free_ char *path = NULL, *link = NULL;
    char target[256] = "";

    assert_int_equal(paths_link_socket("/tmp/other.sock", "lab", &link), 0); /* not under systemd */
    setenv("RUNTIME_DIRECTORY", in_directory("run"), 1);
    assert_int_equal(paths_get_socket("", "lab", &path), 0);
    assert_int_equal(paths_link_socket(path, "lab", &link), 0);
    assert_null(link);
    assert_int_equal(symlink("/former", path), 0);
    assert_int_equal(paths_link_socket("/tmp/other.sock", "lab", &link), 1);
    assert_string_equal(link, path);
    assert_true(readlink(path, target, sizeof(target) - 1) > 0);
    assert_string_equal(target, "/tmp/other.sock");
    /* What is no link is another's. */
    assert_int_equal(unlink(path), 0);
    put_text("run/lab.sock", "", 0600);
    char *none = NULL;
    assert_int_equal(paths_link_socket("/tmp/other.sock", "lab", &none), -EEXIST);
    assert_null(none);
}

/* Runs as an ordinary user, in a child of its own. */
static void as_user(void *data _unused_)
{
    char *path = NULL;

    if (geteuid() == 0 && setuid(65534) < 0)
        _exit(1);
    if (paths_get_socket("", "lab", &path) != -ENOENT)
        _exit(2);
    if (paths_get_state_dir("", "lab", &path) != -ENOENT)
        _exit(3);
    setenv("XDG_RUNTIME_DIR", in_directory("run"), 1);
    if (paths_get_socket("", "lab", &path) < 0 ||
        strcmp(path, in_directory("run/p2pnode/lab.sock")))
        _exit(4);
    free(path);
    setenv("HOME", in_directory("home"), 1);
    if (paths_get_state_dir("", "lab", &path) < 0 ||
        strcmp(path, in_directory("home/.local/state/p2pnode/lab")))
        _exit(5);
    free(path);
    setenv("XDG_STATE_HOME", in_directory("xdg"), 1);
    if (paths_get_state_dir("", "lab", &path) < 0 || strcmp(path, in_directory("xdg/p2pnode/lab")))
        _exit(6);
    free(path);
}

static void an_ordinary_user_keeps_things_at_home(void **state _unused_)
{
    assert_int_equal(chmod(directory, 0777), 0);
    assert_int_equal(in_child(as_user, NULL), 0);
}

static void a_key_ring_is_a_path_a_credential_or_in_the_state(void **state _unused_)
{
    _cleanup_free_ char *absolute = NULL, *credential = NULL, *plain = NULL;

    setenv("CREDENTIALS_DIRECTORY", directory, 1);
    put_text("keys", KEY_A, 0600);
    assert_int_equal(paths_get_keyring("/etc/p2pnode/keys", "/state", &absolute), 0);
    assert_string_equal(absolute, "/etc/p2pnode/keys");
    assert_int_equal(paths_get_keyring("keys", "/state", &credential), 0);
    assert_string_equal(credential, in_directory("keys"));
    assert_int_equal(paths_get_keyring("other", "/state", &plain), 0);
    assert_string_equal(plain, "/state/other");
}

static void an_empty_credential_is_none(void **state _unused_)
{
    _cleanup_free_ char *path = NULL;

    setenv("CREDENTIALS_DIRECTORY", directory, 1);
    put_text("keys", "\n", 0600);
    assert_int_equal(paths_get_keyring("keys", "/state", &path), 0);
    assert_string_equal(path, "/state/keys");
    assert_string_equal(paths_get_keyring_origin("keys", path), "/etc/p2pnode/keys");
    assert_string_equal(paths_get_keyring_origin("other", path), path);
    unsetenv("CREDENTIALS_DIRECTORY");
    assert_string_equal(paths_get_keyring_origin("keys", path), path);
}

/* --- Keys --- */

struct loaded {
    int r;
    bool has_keyring;
    uint8_t first; /* byte of the first secret */
    bool differs;
};

static struct loaded load_as(bool is_encrypted)
{
    _cleanup_free_ struct config *config = calloc(1, sizeof(*config));
    _cleanup_(keyring_freep) struct keyring *keyring = NULL;
    char name[] = "keys";
    struct loaded loaded = {.differs = true};

    assert_non_null(config);
    config->security.encrypt = is_encrypted;
    config->security.keyring = name;
    loaded.r = keys_load(config, directory, &keyring, &loaded.differs);
    loaded.has_keyring = keyring != NULL;
    if (keyring)
        loaded.first = keyring->keys[0].secret[0];
    return loaded;
}

static struct loaded load(void)
{
    struct loaded loaded = load_as(true);

    assert_int_equal(loaded.r == 0, loaded.has_keyring);
    return loaded;
}

static void without_encryption_there_is_no_key_ring(void **state _unused_)
{
    struct loaded loaded = load_as(false);

    assert_int_equal(loaded.r, 0);
    assert_false(loaded.has_keyring);
    assert_false(loaded.differs);
    assert_int_not_equal(access(in_directory("keyring"), F_OK), 0);
}

static void a_key_ring_is_copied_for_the_owner_alone(void **state _unused_)
{
    mode_t mask = umask(0);

    put_text("keys", KEY_A, 0600);
    struct loaded loaded = load();
    umask(mask);
    assert_int_equal(loaded.r, 0);
    assert_false(loaded.differs);
    assert_text("keyring", KEY_A);
    assert_int_equal(mode_of(in_directory("keyring")), 0600);
    assert_int_not_equal(access(in_directory("keyring.new"), F_OK), 0);
}

static void the_copy_wins_and_a_difference_is_told(void **state _unused_)
{
    put_text("keys", KEY_A, 0600);
    assert_int_equal(load().r, 0);
    put_text("keys", KEY_B, 0600);
    struct loaded loaded = load();
    assert_int_equal(loaded.r, 0);
    assert_int_equal(loaded.first, 0);
    assert_true(loaded.differs);
    assert_text("keyring", KEY_A);
    assert_int_equal(unlink(in_directory("keys")), 0);
    loaded = load();
    assert_int_equal(loaded.r, 0);
    assert_false(loaded.differs);
}

static void a_missing_key_ring_is_no_key(void **state _unused_)
{
    assert_int_equal(load().r, -ENOKEY);
    assert_non_null(strstr(last_log, "p2pctl keys gen"));
}

static void a_broken_key_ring_is_no_key_and_is_not_copied(void **state _unused_)
{
    static char large[KEYRING_TEXT_MAX + 2];

    put_text("keys", "not a key\n", 0600);
    assert_int_equal(load().r, -ENOKEY);
    assert_non_null(strstr(last_log, "line 1"));
    memset(large, '#', sizeof(large) - 1);
    put_text("keys", large, 0600);
    assert_int_equal(load().r, -ENOKEY);
    assert_int_not_equal(access(in_directory("keyring"), F_OK), 0);
}

static void a_broken_copy_is_not_replaced_by_the_configured_one(void **state _unused_)
{
    put_text("keys", KEY_A, 0600);
    put_text("keyring", "broken\n", 0600);
    assert_int_equal(load().r, -ENOKEY);
    assert_text("keyring", "broken\n");
    assert_int_equal(unlink(in_directory("keyring")), 0);
    assert_int_equal(mkdir(in_directory("keyring"), 0700), 0);
    assert_int_equal(load().r, -ENOKEY);
}

static void a_key_ring_that_all_can_read_is_complained_about(void **state _unused_)
{
    put_text("keys", KEY_A, 0604);
    assert_int_equal(load().r, 0);
    assert_non_null(strstr(last_log, "chmod 600"));
}

static void a_copy_that_cannot_be_kept_is_an_error(void **state _unused_)
{
    static const int errors[] = {ENOSPC, EIO};

    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        for (int at = 1; at <= 3; at++) {
            put_text("keys", KEY_A, 0600);
            fault_arm(at, errors[i]);
            assert_int_equal(load().r, -errors[i]);
            fault_disarm();
            assert_int_not_equal(access(in_directory("keyring"), F_OK), 0);
        }
    assert_int_equal(load().r, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        test(a_configured_state_directory_is_made_whatever_the_umask),
        test(a_state_directory_that_is_there_keeps_its_mode),
        test(the_first_state_directory_of_systemd_is_taken),
        test(no_place_for_the_state_is_an_error),
        test(the_socket_is_named_after_the_instance),
        test(another_socket_is_found_at_the_standard_place),
        test(an_ordinary_user_keeps_things_at_home),
        test(a_key_ring_is_a_path_a_credential_or_in_the_state),
        test(an_empty_credential_is_none),
        test(without_encryption_there_is_no_key_ring),
        test(a_key_ring_is_copied_for_the_owner_alone),
        test(the_copy_wins_and_a_difference_is_told),
        test(a_missing_key_ring_is_no_key),
        test(a_broken_key_ring_is_no_key_and_is_not_copied),
        test(a_broken_copy_is_not_replaced_by_the_configured_one),
        test(a_key_ring_that_all_can_read_is_complained_about),
        test(a_copy_that_cannot_be_kept_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
