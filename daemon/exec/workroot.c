/* SPDX-License-Identifier: MIT */
#include "exec/workroot.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include "exec/reach.h"
#include "exec/server.h"
#include "exec/tree.h"

#define TASK_USER     "p2pnode-task"
#define FALLBACK_USER "nobody"

static void closedirp(DIR **dir)
{
    if (*dir)
        (void)closedir(*dir);
}

static int find_user(uid_t *ret_uid, gid_t *ret_gid)
{
    const struct passwd *user;

    *ret_uid = geteuid();
    *ret_gid = getegid();
    if (*ret_uid != 0)
        return 0;
    user = getpwnam(TASK_USER);
    if (!user)
        user = getpwnam(FALLBACK_USER);
    if (!user || user->pw_uid == 0)
        return -ESRCH;
    *ret_uid = user->pw_uid;
    *ret_gid = user->pw_gid;
    return 0;
}

static DIR *open_stream(int fd)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy < 0 ? NULL : fdopendir(copy);

    if (!dir)
        close_fd(copy);
    return dir;
}

static bool is_empty(int fd)
{
    _cleanup_(closedirp) DIR *dir = open_stream(fd);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            return false;
    return dir;
}

/* Only what this program makes: the option may name a directory that holds more. */
static void remove_leftovers(int fd)
{
    _cleanup_(closedirp) DIR *dir = open_stream(fd);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (strncmp(entry->d_name, SERVER_TASK_PREFIX, strlen(SERVER_TASK_PREFIX)) == 0)
            (void)tree_remove(fd, entry->d_name);
}

/* Hands the directory to @uid, if it is one that may be handed over. */
static int take_directory(int fd, uid_t uid, gid_t gid)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return -errno;
    if (status.st_uid == uid)
        return 0;
    if (status.st_uid != 0 || geteuid() != 0 || !is_empty(fd))
        return -EPERM;
    return fchown(fd, uid, gid) < 0 || fchmod(fd, 0700) < 0 ? -errno : 0;
}

static int become(uid_t uid, gid_t gid)
{
    if (geteuid() != 0)
        return 0;
    if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
        return -errno;
    /* Else /proc/self would be root's, and a supervisor could not map its user. */
    return prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0 ? -errno : 0;
}

/* Makes the directory, and hands it to @uid. Return: 0 with its absolute path, or -errno. */
static int make_directory(const char *path, uid_t uid, gid_t gid, char **ret)
{
    _cleanup_close_ int fd = -EBADF;
    int r;

    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    r = take_directory(fd, uid, gid);
    if (r < 0)
        return r;
    char *absolute = realpath(path, NULL);
    if (!absolute)
        return -errno;
    *ret = absolute;
    return 0;
}

int workroot_enter(const char *path, char **ret)
{
    _cleanup_free_ char *absolute = NULL;
    uid_t uid;
    gid_t gid;
    int r = find_user(&uid, &gid);

    if (r == 0)
        r = make_directory(path, uid, gid, &absolute);
    if (r == 0 && geteuid() == 0)
        r = reach_for(absolute, uid, gid);
    if (r == 0)
        r = become(uid, gid);
    if (r < 0 || !absolute)
        return r;
    /* Never closed: its lock is held for the life of the process. */
    int fd = open(absolute, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fchdir(fd) < 0 || access(".", W_OK) < 0) {
        r = -errno;
        close_fd(fd);
        return r;
    }
    remove_leftovers(fd);
    *ret = TAKE_PTR(absolute);
    return 0;
}
