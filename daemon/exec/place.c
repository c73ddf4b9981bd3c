/* SPDX-License-Identifier: MIT */
#include "exec/place.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ENTRIES_SIZE 1024

/* Each with "." and "..". */
static const struct {
    const char *name;
    size_t entries;
} parts[_PLACE_PART_MAX] = {
    [PLACE_TOP] = {NULL, 4}, [PLACE_WORK] = {"work", 2}, [PLACE_TMP] = {"tmp", 2}};

/* 0 where the file system has none. */
static int get_flags(int fd)
{
    int flags = 0;

    return ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 ? 0 : flags;
}

void place_keep(struct place *place, const char *name, const int fds[static _PLACE_PART_MAX])
{
    struct place kept = {.name = strdup(name)};

    for (size_t i = 0; kept.name && i < _PLACE_PART_MAX; i++) {
        kept.fds[i] = fds[i];
        kept.flags[i] = get_flags(fds[i]);
        if (fstat(fds[i], &kept.made[i]) < 0)
            place_forget(&kept);
    }
    *place = kept;
}

void place_forget(struct place *place)
{
    free(place->name);
    place->name = NULL;
}

/* Whether the directory has as many entries as that. */
static bool has_entries(int fd, size_t wanted)
{
    _Alignas(struct dirent64) char entries[ENTRIES_SIZE];
    size_t count = 0;
    ssize_t size = lseek(fd, 0, SEEK_SET);

    while (size >= 0 && count <= wanted && (size = getdents64(fd, entries, sizeof(entries))) > 0)
        for (ssize_t at = 0; at < size; count++)
            at += ((const struct dirent64 *)(const void *)(entries + at))->d_reclen;
    return size == 0 && count == wanted;
}

/* A size that is another one is that of a directory which had many entries. */
static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_mode == b->st_mode &&
           a->st_uid == b->st_uid && a->st_gid == b->st_gid && a->st_size == b->st_size;
}

bool place_is_as_made(const struct place *place, int root_fd)
{
    for (size_t i = 0; i < _PLACE_PART_MAX; i++) {
        const int fd = place->fds[i], parent = i == PLACE_TOP ? root_fd : place->fds[PLACE_TOP];
        struct stat now;
        if (fstatat(parent, i == PLACE_TOP ? place->name : parts[i].name, &now,
                    AT_SYMLINK_NOFOLLOW) < 0 ||
            !is_same(&now, &place->made[i]) || get_flags(fd) != place->flags[i] ||
            flistxattr(fd, NULL, 0) > 0 || !has_entries(fd, parts[i].entries))
            return false;
    }
    return true;
}

void place_remove(struct place *place, int root_fd)
{
    if (!place->name)
        return;
    (void)unlinkat(place->fds[PLACE_TOP], parts[PLACE_WORK].name, AT_REMOVEDIR);
    (void)unlinkat(place->fds[PLACE_TOP], parts[PLACE_TMP].name, AT_REMOVEDIR);
    (void)unlinkat(root_fd, place->name, AT_REMOVEDIR);
    place_forget(place);
}
