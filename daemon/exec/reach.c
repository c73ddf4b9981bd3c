/* SPDX-License-Identifier: MIT */
#include "exec/reach.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include "base/macro.h"

static bool may_enter(const struct stat *status, uid_t uid, gid_t gid)
{
    if (status->st_uid == uid)
        return status->st_mode & S_IXUSR;
    return status->st_mode & (status->st_gid == gid ? S_IXGRP : S_IXOTH);
}

/*
 * Cuts @path behind the first directory that keeps @uid out; the last one is not looked at, being
 * the user's own. Return: 1 and the rest of the path in *@ret_rest; 0 where there is none; or
 * -errno.
 */
static int find_barrier(char *path, uid_t uid, gid_t gid, char **ret_rest)
{
    struct stat status;

    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (stat(path, &status) < 0)
            return -errno;
        if (!may_enter(&status, uid, gid)) {
            *ret_rest = slash + 1;
            return 0;
        }
        *slash = '/';
    }
    *ret_rest = NULL;
    return 0;
}

/* Makes the directories of @path one by one, below @fd. */
static int make_way(int fd, char *path)
{
    for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int r = mkdirat(fd, path, 0755) < 0 ? -errno : 0;
        *slash = '/';
        if (r < 0)
            return r;
    }
    return mkdirat(fd, path, 0755) < 0 ? -errno : 0;
}

int reach_for(const char *path, uid_t uid, gid_t gid)
{
    _cleanup_free_ char *barrier = strdup(path);
    _cleanup_close_ int directory = -EBADF, cover = -EBADF;
    char source[32], *rest = NULL;
    int r;

    if (!barrier)
        return -ENOMEM;
    r = find_barrier(barrier, uid, gid, &rest);
    if (r < 0 || !rest)
        return r;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return -errno;
    directory = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0 || mount("tmpfs", barrier, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
                               "mode=0755,size=64k") < 0)
        return -errno;
    cover = open(barrier, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (cover < 0)
        return -errno;
    r = make_way(cover, rest);
    if (r < 0)
        return r;
    snprintf(source, sizeof(source), "/proc/self/fd/%d", directory);
    return mount(source, path, NULL, MS_BIND, NULL) < 0 ? -errno : 0;
}
