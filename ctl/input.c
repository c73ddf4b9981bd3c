/* SPDX-License-Identifier: MIT */
#include "input.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/text.h"
#include "console/failure.h"

#define STEP_SIZE ((size_t)64 * 1024)

static int tell_size(const char *name, off_t size, size_t max, const char *hint)
{
    char limit[32], all[48] = "";

    if (size > 0)
        snprintf(all, sizeof(all), " (%jd bytes)", (intmax_t)size);
    return fail(ERROR_TOO_LARGE, NULL, hint, "%s%s is larger than %s", name, all,
                text_format_size(max, limit));
}

static int open_input(const char *path, const char *name, int *ret_fd, off_t *ret_size)
{
    struct stat status;
    int fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                    : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return fail_to_read(name, errno);
    /* What a pipe or a terminal will give is not known. */
    *ret_size = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? status.st_size : 0;
    *ret_fd = fd;
    return 0;
}

int input_has_true_size(int fd, const struct stat *status)
{
    off_t size = status->st_size;
    char byte;

    if (!S_ISREG(status->st_mode))
        return 0;
    ssize_t got = pread(fd, &byte, 1, MAX(size - 1, (off_t)0));
    return got < 0 ? -errno : got == (size > 0);
}

int input_read_asking(const char *path, size_t max, const struct input_limit *limit, uint8_t **ret,
                      size_t *ret_size)
{
    _cleanup_free_ uint8_t *data = NULL;
    _cleanup_close_ int fd = -EBADF;
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    bool may_ask = limit->ask;
    size_t size = 0, allocated = 0;
    off_t whole = 0;
    ssize_t count;
    int r = open_input(path, name, &fd, &whole);

    if (r != 0)
        return r;
    do {
        if (allocated - size < STEP_SIZE) {
            allocated = allocated * 2 + STEP_SIZE + 1;
            uint8_t *more = realloc(data, allocated);
            if (!more)
                return fail_memory();
            data = more;
        }
        /* One byte more than may be tells that there is more. */
        count = read(fd, data + size, MIN(allocated - size - 1, max - size + 1));
        if (count < 0 && errno != EINTR)
            return fail_to_read(name, errno);
        size += count > 0 ? (size_t)count : 0;
        if (size > max && may_ask) {
            may_ask = false;
            r = limit->ask(limit->data, &max);
            if (r != 0)
                return r;
        }
        if (size > max)
            return tell_size(name, whole, max, limit->hint);
    } while (count != 0);
    data[size] = '\0';
    *ret = TAKE_PTR(data);
    *ret_size = size;
    return 0;
}

int input_read(const char *path, size_t max, const char *hint, uint8_t **ret, size_t *ret_size)
{
    return input_read_asking(path, max, &(struct input_limit){.hint = hint}, ret, ret_size);
}
