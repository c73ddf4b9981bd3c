/* SPDX-License-Identifier: MIT */
#include "exec/root.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* struct mount_attr and its flags, which older C libraries lack (kernel 5.12). */
struct attributes {
    uint64_t set;
    uint64_t clear;
    uint64_t propagation;
    uint64_t userns_fd;
};
#define ATTRIBUTE_READ_ONLY 1U
#define ATTRIBUTE_NO_SUID   2U
#define ATTRIBUTE_NO_DEVICE 4U
#define PATH_RECURSIVE      0x8000U

#define STAGE ROOT_STAGE

static int write_text(const char *path, const char *text)
{
    _cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return -errno;
    return 0;
}

int root_map_user(uid_t uid, gid_t gid, const char **step)
{
    char line[64];
    int r;

    *step = "map the user";
    r = write_text("/proc/self/setgroups", "deny");
    if (r < 0)
        return r;
    snprintf(line, sizeof(line), "%u %u 1", uid, uid);
    r = write_text("/proc/self/uid_map", line);
    if (r < 0)
        return r;
    snprintf(line, sizeof(line), "%u %u 1", gid, gid);
    return write_text("/proc/self/gid_map", line);
}

static int set_attributes(const char *path, uint64_t set, unsigned flags)
{
    struct attributes attributes = {.set = set};

    if (syscall(SYS_mount_setattr, AT_FDCWD, path, flags, &attributes, sizeof(attributes)) < 0)
        return -errno;
    return 0;
}

/* Makes the directories above @target, which begins with STAGE. */
static int make_parents(char *target)
{
    for (char *slash = strchr(target + sizeof(STAGE), '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        int r = mkdir(target, 0755) < 0 && errno != EEXIST ? -errno : 0;
        *slash = '/';
        if (r < 0)
            return r;
    }
    return 0;
}

static int make_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0 && errno != EISDIR && errno != EROFS && errno != EACCES)
        return -errno;
    close_fd(fd);
    return 0;
}

/* Shows @source at the same place in the stage; a symbolic link stays one. */
static int show(const char *source, bool is_writable)
{
    char target[PATH_MAX + sizeof(STAGE)], link[PATH_MAX];
    struct stat status;
    int r;

    snprintf(target, sizeof(target), STAGE "%s", source);
    r = make_parents(target);
    if (r < 0)
        return r;
    ssize_t size = readlink(source, link, sizeof(link) - 1);
    if (size >= 0) {
        link[size] = '\0';
        return symlink(link, target) < 0 && errno != EEXIST ? -errno : 0;
    }
    if (stat(source, &status) < 0)
        return -errno;
    if (!S_ISDIR(status.st_mode))
        r = make_file(target);
    else if (mkdir(target, 0755) < 0 && errno != EEXIST)
        r = -errno;
    if (r < 0)
        return r;
    if (mount(source, target, NULL, MS_BIND | MS_REC, NULL) < 0)
        return -errno;
    if (S_ISCHR(status.st_mode))
        return 0;
    return set_attributes(
        target, ATTRIBUTE_NO_SUID | ATTRIBUTE_NO_DEVICE | (is_writable ? 0 : ATTRIBUTE_READ_ONLY),
        PATH_RECURSIVE);
}

static int show_own(const char *source, const char *target)
{
    if (mkdir(target, 0755) < 0 || mount(source, target, NULL, MS_BIND, NULL) < 0)
        return -errno;
    return set_attributes(target, ATTRIBUTE_NO_SUID | ATTRIBUTE_NO_DEVICE, 0);
}

static int make_stage(const char **step)
{
    *step = "make mounts private";
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return -errno;
    *step = "mount a private root";
    if (mount("tmpfs", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=256k") < 0)
        return -errno;
    return 0;
}

/* Read-only: what can be written there changes processes that are not the task's. Its supervisor,
 * 1, shares memory, and so the OOM score, with the keeper and every later task; all of them share
 * the priority of their session (autogroup). */
static int mount_proc(const char *path, const char **step)
{
    *step = "mount /proc";
    return mount("proc", path, "proc", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0
               ? -errno
               : 0;
}

/* All that is shown, whoever the task is. */
static int show_paths(const struct fence *fence, const char **step)
{
    *step = "bind the configured paths";
    for (size_t i = 0; i < fence->paths_count; i++) {
        const struct fence_path *path = &fence->paths[i];
        if (strncmp(path->path, "/proc/", 6) == 0)
            continue; /* it has one of its own */
        int r = show(path->path, path->right == LANDLOCK_WRITE);
        if (r < 0)
            return r;
    }
    return 0;
}

static int make_devices(const char **step)
{
    static const char *const links[][2] = {{"/proc/self/fd", STAGE "/dev/fd"},
                                           {"/proc/self/fd/0", STAGE "/dev/stdin"},
                                           {"/proc/self/fd/1", STAGE "/dev/stdout"},
                                           {"/proc/self/fd/2", STAGE "/dev/stderr"},
                                           {ROOT_TMP, STAGE "/dev/shm"}};

    *step = "link devices";
    for (size_t i = 0; i < ARRAY_SIZE(links); i++)
        if (symlink(links[i][0], links[i][1]) < 0)
            return -errno;
    return mkdir(STAGE "/proc", 0555) < 0 ? -errno : mount_proc(STAGE "/proc", step);
}

/* From here on the stage is all that there is. */
static int enter_stage(const char **step)
{
    *step = "pivot_root";
    if (chdir(STAGE) < 0)
        return -errno;
    if (syscall(SYS_pivot_root, ".", ".") < 0) {
        const int r = -errno;
        (void)!chdir("..");
        return r;
    }
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return -errno;
    *step = "make the root read-only";
    return set_attributes("/", ATTRIBUTE_READ_ONLY, 0);
}

/* Where the root could not be made: its directory is empty again, and can be removed. */
static int drop_stage(int error)
{
    (void)umount2(STAGE, MNT_DETACH);
    return error;
}

int root_enter(const struct fence *fence, const char *name, const char **step)
{
    char work[PATH_MAX];
    int r = make_stage(step);

    snprintf(work, sizeof(work), "../%s", name);
    if (r == 0)
        r = show_own(work, STAGE ROOT_WORK);
    if (r == 0)
        r = show_own(".", STAGE ROOT_TMP);
    if (r == 0)
        r = show_paths(fence, step);
    if (r == 0)
        r = make_devices(step);
    if (r == 0)
        r = enter_stage(step);
    return r < 0 ? drop_stage(r) : 0;
}

static bool is_below(const char *path, const char *directory)
{
    const size_t size = strlen(directory);

    return strncmp(path, directory, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

bool root_can_prepare(const struct fence *fence)
{
    for (size_t i = 0; i < fence->paths_count; i++)
        if (is_below(fence->paths[i].path, ROOT_WORK) || is_below(fence->paths[i].path, ROOT_TMP))
            return false;
    return true;
}

int root_prepare(const struct fence *fence, int root_fd, const char **step)
{
    char source[32];
    int r = make_stage(step);

    snprintf(source, sizeof(source), "/proc/self/fd/%d", root_fd);
    if (r == 0 && mkdir(STAGE ROOT_WORK, 0755) < 0)
        r = -errno;
    /* Where the task's own directory will be, and cover it. */
    if (r == 0)
        r = show_own(source, STAGE ROOT_TMP);
    if (r == 0)
        r = show_paths(fence, step);
    /* Another /proc can be mounted only while there is one to be seen. */
    if (r == 0)
        r = make_devices(step);
    if (r == 0)
        r = enter_stage(step);
    return r < 0 ? drop_stage(r) : 0;
}

int root_take(const char *name, const char **step)
{
    char source[PATH_MAX];

    *step = "mount the task's directories";
    snprintf(source, sizeof(source), ROOT_TMP "/%s", name);
    if (mount(source, ROOT_WORK, NULL, MS_BIND, NULL) < 0)
        return -errno;
    snprintf(source, sizeof(source), ROOT_TMP "/%s" ROOT_TMP_SUFFIX, name);
    if (mount(source, ROOT_TMP, NULL, MS_BIND, NULL) < 0)
        return -errno;
    return mount_proc("/proc", step);
}

void root_leave(void)
{
    (void)umount2(ROOT_WORK, MNT_DETACH);
    (void)umount2(ROOT_TMP, MNT_DETACH);
}
