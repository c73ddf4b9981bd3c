/* SPDX-License-Identifier: MIT */
#include "input.h"

#include <fcntl.h>
#include <string.h>
#include "base/text.h"
#include "console/failure.h"

#define STEP_SIZE ((size_t)64 * 1024)

static int tell(const char *path, int error)
{
    return fail(error_from_errno(-error), strerror(error), NULL, "cannot read %s", path);
}

int input_read(const char *path, size_t max, const char *hint, uint8_t **ret, size_t *ret_size)
{
    _cleanup_free_ uint8_t *data = NULL;
    _cleanup_close_ int fd = -EBADF;
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    size_t size = 0, allocated = 0;
    char limit[32];
    ssize_t count;

    fd = strcmp(path, "-") == 0 ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return tell(name, errno);
    do {
        if (allocated - size < STEP_SIZE) {
            allocated = allocated * 2 + STEP_SIZE + 1;
            uint8_t *more = realloc(data, allocated);
            if (!more)
                return fail_memory();
            data = more;
        }
        count = read(fd, data + size, allocated - size - 1);
        if (count < 0 && errno != EINTR)
            return tell(name, errno);
        size += count > 0 ? (size_t)count : 0;
        if (size > max)
            return fail(ERROR_TOO_LARGE, NULL, hint, "%s is larger than %s", name,
                        text_format_size(max, limit));
    } while (count != 0);
    data[size] = '\0';
    *ret = TAKE_PTR(data);
    *ret_size = size;
    return 0;
}
