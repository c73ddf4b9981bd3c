/* SPDX-License-Identifier: MIT */
#include "exec/inputs.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "base/bundle.h"
#include "base/macro.h"

#define STDIN_NAME "stdin"

/* Makes the directories of @path below @fd. Return: that of its last name, for the caller to close
 * unless it is @fd, and that name in *@ret_name; or -errno. */
static int make_directories(int fd, char *path, const char **ret_name)
{
    int here = fd;

    for (char *slash; (slash = strchr(path, '/')); path = slash + 1) {
        *slash = '\0';
        int r = mkdirat(here, path, 0755) < 0 && errno != EEXIST ? -errno : 0;
        int next = r < 0 ? r : openat(here, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (r == 0 && next < 0)
            r = -errno;
        if (here != fd)
            close_fd(here);
        if (r < 0)
            return r;
        here = next;
    }
    *ret_name = path;
    return here;
}

static int write_file(int bundle_fd, const struct bundle_entry *entry, int directory_fd,
                      const char *name)
{
    _cleanup_close_ int fd =
        openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0 || fchmod(fd, entry->mode | S_IRUSR | S_IWUSR) < 0)
        return -errno;
    return bundle_copy(bundle_fd, entry->offset, fd, 0, entry->size);
}

static int unpack_file(int bundle_fd, struct bundle_entry *entry, int work_fd)
{
    const char *name = NULL;
    int fd = make_directories(work_fd, entry->name, &name);

    if (fd < 0)
        return fd;
    int r = write_file(bundle_fd, entry, fd, name);
    if (fd != work_fd)
        close_fd(fd);
    return r;
}

static int unpack_stdin(int bundle_fd, const struct bundle_entry *entry, int directory_fd, int *ret)
{
    int r = write_file(bundle_fd, entry, directory_fd, STDIN_NAME);
    int fd = r < 0 ? r : openat(directory_fd, STDIN_NAME, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (r == 0 && (fd < 0 || unlinkat(directory_fd, STDIN_NAME, 0) < 0))
        r = -errno;
    if (r < 0) {
        close_fd(fd);
        return r;
    }
    *ret = fd;
    return 0;
}

int inputs_unpack(int bundle_fd, int work_fd, int directory_fd, int *ret_stdin)
{
    struct bundle_content content;
    struct bundle_entry entry;
    uint64_t at = 0, next;
    int r = bundle_check(bundle_fd, &content);

    while (r >= 0 && (r = bundle_next(bundle_fd, at, &entry)) > 0) {
        next = entry.offset + entry.size;
        r = entry.name[0] == '\0' ? unpack_stdin(bundle_fd, &entry, directory_fd, ret_stdin)
                                  : unpack_file(bundle_fd, &entry, work_fd);
        at = next;
    }
    return r;
}
