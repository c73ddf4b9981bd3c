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

#define DESCRIPTORS_PER_PART 4 /* as base/unnamed shares them out */

static void name_part(const struct fetch_parts *parts, size_t i,
                      char target[static FETCH_PARTS_NAME_MAX])
{
    snprintf(target, FETCH_PARTS_NAME_MAX, ".p2pctl.%08x-%zu", parts->mark, parts->first + i);
}

/* As many descriptors as the system allows, up to @count. */
static void allow_descriptors(rlim_t count)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= count)
        return;
    limit.rlim_cur = MIN(count, limit.rlim_max);
    (void)setrlimit(RLIMIT_NOFILE, &limit);
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
    allow_descriptors((rlim_t)max * DESCRIPTORS_PER_PART);
    parts->unnamed_left = unnamed_count_max(directory_fd, name, max);
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

/* The part is no longer one where that went well. Return: @r. */
static int end_part(struct fetch_parts *parts, struct fetch_part *part, int r)
{
    if (r < 0)
        return r;
    close_part(parts, part);
    part->has_name = false;
    return 0;
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
    return end_part(parts, part, r);
}

int fetch_parts_hide(struct fetch_parts *parts, size_t i, char name[static FETCH_PARTS_NAME_MAX])
{
    struct fetch_part *part = &parts->parts[i];

    name_part(parts, i, name);
    return end_part(parts, part,
                    part->has_name ? 0 : unnamed_link(part->fd, parts->directory_fd, name));
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
