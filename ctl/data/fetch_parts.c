/* SPDX-License-Identifier: MIT */
#include "data/fetch_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/macro.h"
#include "base/unnamed.h"
#include "data/part.h"

#define OTHER_FILES_MAX 64 /* descriptors for all else */

static void name_part(const struct fetch_parts *parts, size_t i,
                      char target[static FETCH_PARTS_NAME_MAX])
{
    snprintf(target, FETCH_PARTS_NAME_MAX, ".p2pctl.%08x-%zu", parts->mark, parts->first + i);
}

/* Descriptors that may stay open for files, of which there are as many as the system allows. */
static size_t take_descriptors(size_t max)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    const rlim_t wanted = MIN((rlim_t)max + OTHER_FILES_MAX, limit.rlim_max);
    const struct rlimit more = {MAX(limit.rlim_cur, wanted), limit.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &more) == 0)
        limit = more;
    return limit.rlim_cur > OTHER_FILES_MAX
               ? (size_t)MIN(limit.rlim_cur - OTHER_FILES_MAX, (rlim_t)max)
               : 0;
}

int fetch_parts_init(struct fetch_parts *parts, int directory_fd, size_t max)
{
    char name[FETCH_PARTS_NAME_MAX];

    *parts = (struct fetch_parts){.directory_fd = directory_fd};
    if (getrandom(&parts->mark, sizeof(parts->mark), 0) != sizeof(parts->mark))
        return -errno;
    parts->parts = calloc(max, sizeof(*parts->parts));
    if (!parts->parts)
        return -ENOMEM;
    for (size_t i = 0; i < max; i++)
        parts->parts[i].fd = -EBADF;
    name_part(parts, 0, name);
    if (unnamed_is_possible(directory_fd, name))
        parts->unnamed_left = take_descriptors(max);
    return 0;
}

void fetch_parts_done(struct fetch_parts *parts)
{
    free(parts->parts);
    parts->parts = NULL;
}

static void close_part(struct fetch_parts *parts, struct fetch_part *part)
{
    if (part->fd >= 0 && !part->has_name)
        parts->unnamed_left++;
    part->fd = close_fd(part->fd);
}

int fetch_parts_open(struct fetch_parts *parts, size_t i, mode_t mode)
{
    struct fetch_part *part = &parts->parts[i];
    char name[FETCH_PARTS_NAME_MAX];

    /* Not every file system looks at the umask where there is no name. */
    mode &= ~part_get_umask();
    part->fd = parts->unnamed_left > 0 ? unnamed_open(parts->directory_fd, O_RDWR, mode) : -EMFILE;
    if (part->fd >= 0) {
        parts->unnamed_left--;
        return part->fd;
    }
    name_part(parts, i, name);
    part->fd =
        openat(parts->directory_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    part->has_name = part->fd >= 0;
    return part->fd < 0 ? -errno : part->fd;
}

void fetch_parts_written(struct fetch_parts *parts, size_t i)
{
    if (parts->parts[i].has_name)
        close_part(parts, &parts->parts[i]);
}

int fetch_parts_take_name(struct fetch_parts *parts, size_t i, const char *name)
{
    struct fetch_part *part = &parts->parts[i];
    char hidden[FETCH_PARTS_NAME_MAX];
    int r;

    if (part->has_name) {
        name_part(parts, i, hidden);
        r = renameat2(parts->directory_fd, hidden, parts->directory_fd, name, RENAME_NOREPLACE) < 0
                ? -errno
                : 0;
    } else {
        r = unnamed_link(part->fd, parts->directory_fd, name);
    }
    if (r < 0)
        return r;
    close_part(parts, part);
    part->has_name = false;
    return 0;
}

int fetch_parts_hide(struct fetch_parts *parts, size_t i, char name[static FETCH_PARTS_NAME_MAX])
{
    struct fetch_part *part = &parts->parts[i];

    name_part(parts, i, name);
    int r = part->has_name ? 0 : unnamed_link(part->fd, parts->directory_fd, name);
    if (r < 0)
        return r;
    close_part(parts, part);
    part->has_name = false;
    return 0;
}

void fetch_parts_drop(struct fetch_parts *parts, size_t i)
{
    struct fetch_part *part = &parts->parts[i];
    char name[FETCH_PARTS_NAME_MAX];

    close_part(parts, part);
    name_part(parts, i, name);
    if (part->has_name)
        (void)unlinkat(parts->directory_fd, name, 0);
    part->has_name = false;
}
