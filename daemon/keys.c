/* SPDX-License-Identifier: MIT */
#include "keys.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/log.h"
#include "paths.h"

#define COPY_NAME "keyring"
#define TEXT_SIZE (KEYRING_TEXT_MAX + 1) /* so that one too many is seen */

/* A key ring's text; on the heap, which gets it back, unlike the stack. */
struct text {
    char *data; /* owned, or NULL; wiped when freed */
    size_t size;
};

static void text_done(struct text *text)
{
    if (text->data)
        explicit_bzero(text->data, text->size);
    free(text->data);
}

static int read_text(const char *path, struct text *ret)
{
    _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    struct stat status;
    ssize_t got;

    if (fd < 0 || fstat(fd, &status) < 0)
        return -errno;
    ret->data = malloc(TEXT_SIZE);
    if (!ret->data)
        return -ENOMEM;
    if (status.st_mode & S_IROTH)
        log_warning("The key ring %s can be read by everyone: chmod 600 %s", path, path);
    while ((got = read(fd, ret->data + ret->size, TEXT_SIZE - ret->size)) > 0)
        ret->size += (size_t)got;
    return got < 0 ? -errno : 0;
}

/* Makes a rename in @directory last. */
static int sync_directory(const char *directory)
{
    _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int write_copy(const char *state_dir, const char *text, size_t size)
{
    _cleanup_free_ char *path = NULL, *temporary = NULL;
    _cleanup_close_ int fd = -EBADF;

    if (asprintf(&path, "%s/" COPY_NAME, state_dir) < 0 || asprintf(&temporary, "%s.new", path) < 0)
        return -ENOMEM;
    fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    errno = 0; /* a short write sets none */
    if (write(fd, text, size) != (ssize_t)size || fsync(fd) < 0 || rename(temporary, path) < 0)
        return errno > 0 ? -errno : -EIO;
    return sync_directory(state_dir);
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

int keys_save(const char *state_dir, const struct keyring *keyring)
{
    _cleanup_(keyring_free_textp) char *text = keyring_format(keyring);

    return text ? write_copy(state_dir, text, strlen(text)) : -ENOMEM;
}

bool keys_differ(const struct config *config, const char *state_dir, const struct keyring *keyring)
{
    _cleanup_(keyring_freep) struct keyring *other = NULL;
    _cleanup_(text_done) struct text configured = {0};
    _cleanup_free_ char *path = NULL;
    char error[KEYRING_ERROR_MAX];

    if (paths_get_keyring(config->security.keyring, state_dir, &path) < 0 ||
        read_text(path, &configured) < 0)
        return false;
    return keyring_parse(configured.data, configured.size, error, &other) < 0 ||
           !keyring_is_equal(keyring, other);
}

int keys_load(const struct config *config, const char *state_dir, struct keyring **ret,
              bool *ret_differs)
{
    _cleanup_free_ char *path = NULL, *copy_path = NULL;
    _cleanup_(text_done) struct text text = {0};
    int r;

    *ret_differs = false;
    if (!config->security.encrypt && !config->security.tls) {
        *ret = NULL;
        return 0;
    }
    r = paths_get_keyring(config->security.keyring, state_dir, &path);
    if (r < 0 || asprintf(&copy_path, "%s/" COPY_NAME, state_dir) < 0)
        return -ENOMEM;
    r = read_text(copy_path, &text);
    if (r >= 0) {
        r = parse(copy_path, &text, ret);
        *ret_differs = r == 0 && keys_differ(config, state_dir, *ret);
        return r;
    }
    /* Falling back on the configured one would undo a change of keys that the copy has seen. */
    if (r != -ENOENT) {
        log_error("no key ring: %s: %s", copy_path, strerror(-r));
        return -ENOKEY;
    }
    r = read_text(path, &text);
    if (r < 0) {
        const char *origin = paths_get_keyring_origin(config->security.keyring, path);

        log_error("no key ring: %s: %s", origin, strerror(-r));
        log_error("hint: copy that of the cluster there, or, once for a new cluster: "
                  "(umask 077; p2pctl keys gen > %s)",
                  origin);
        return -ENOKEY;
    }
    r = parse(path, &text, ret);
    if (r < 0)
        return r;
    r = write_copy(state_dir, text.data, text.size);
    if (r < 0) {
        *ret = keyring_free(*ret);
        return log_error_errno(r, "Cannot keep the key ring in %s: %m", copy_path);
    }
    return 0;
}
