/* SPDX-License-Identifier: MIT */
#include "keys.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/log.h"
#include "paths.h"

#define COPY_NAME "keyring"

/* A key ring's text; wiped by whoever takes it. */
struct text {
    char data[KEYRING_TEXT_MAX + 1];
    size_t size;
};

static void text_wipe(struct text *text)
{
    explicit_bzero(text, sizeof(*text));
}

static int read_text(const char *path, struct text *ret)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat status;
    ssize_t got;

    ret->size = 0;
    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    if (status.st_mode & S_IROTH)
        log_warning("The key ring %s can be read by everyone: chmod 600 %s", path, path);
    while ((got = read(fd, ret->data + ret->size, sizeof(ret->data) - ret->size)) > 0)
        ret->size += (size_t)got;
    return got < 0 ? -errno : 0;
}

static int write_copy(const char *path, const struct text *text)
{
    _cleanup_free_ char *temporary = NULL;
    _cleanup_close_ int fd = -EBADF;

    if (asprintf(&temporary, "%s.new", path) < 0)
        return -ENOMEM;
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (write(fd, text->data, text->size) != (ssize_t)text->size || fsync(fd) < 0 ||
        rename(temporary, path) < 0)
        return errno > 0 ? -errno : -EIO;
    return 0;
}

static int parse(const char *path, const struct text *text, struct keyring **ret)
{
    char error[KEYRING_ERROR_MAX];
    int r = keyring_parse(text->data, text->size, error, ret);

    if (r != -EINVAL)
        return r;
    log_error("%s: %s", path, error);
    return -ENOKEY;
}

static bool is_equal(const struct text *a, const struct text *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

int keys_load(const struct config *config, const char *state_dir, struct keyring **ret,
              bool *ret_differs)
{
    _cleanup_free_ char *path = NULL, *copy_path = NULL;
    _cleanup_(text_wipe) struct text configured, copy;
    int r;

    *ret_differs = false;
    if (!config->security.encrypt && !config->security.tls) {
        *ret = NULL;
        return 0;
    }
    r = paths_get_keyring(config->security.keyring, state_dir, &path);
    if (r < 0 || asprintf(&copy_path, "%s/" COPY_NAME, state_dir) < 0)
        return -ENOMEM;
    int configured_r = read_text(path, &configured);
    int copy_r = read_text(copy_path, &copy);
    if (copy_r >= 0) {
        *ret_differs = configured_r >= 0 && !is_equal(&configured, &copy);
        return parse(copy_path, &copy, ret);
    }
    /* Falling back on the configured one would undo a change of keys that the copy has seen. */
    if (copy_r != -ENOENT) {
        log_error("no key ring: %s: %s", copy_path, strerror(-copy_r));
        return -ENOKEY;
    }
    if (configured_r < 0) {
        log_error("no key ring: %s: %s", path, strerror(-configured_r));
        log_error("hint: make one for the whole cluster: (umask 077; p2pctl keys gen > %s)", path);
        return -ENOKEY;
    }
    r = parse(path, &configured, ret);
    if (r < 0)
        return r;
    r = write_copy(copy_path, &configured);
    if (r < 0) {
        *ret = keyring_free(*ret);
        return log_error_errno(r, "Cannot keep the key ring in %s: %m", copy_path);
    }
    return 0;
}
