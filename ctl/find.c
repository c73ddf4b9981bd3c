/* SPDX-License-Identifier: MIT */
#include "find.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "base/macro.h"
#include "base/text.h"

#define SUFFIX ".sock"

/* /run/p2pnode, where systemd's daemons are; then the user's own. */
static bool run_directory(size_t index, char *target, size_t size)
{
    const char *user = getenv("XDG_RUNTIME_DIR");
    int length;

    if (index == 0)
        length = snprintf(target, size, "/run/p2pnode");
    else if (index == 1 && user && *user == '/')
        length = snprintf(target, size, "%s/p2pnode", user);
    else
        return false;
    return length > 0 && (size_t)length < size;
}

int find_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = -EBADF;

    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return TAKE_FD(fd);
}

static int compare_instances(const void *a, const void *b)
{
    const struct instance *left = a, *right = b;
    return strcmp(left->name, right->name);
}

/* A second name of a socket that is listed itself. */
static bool is_second(const char *directory, const char *path)
{
    char target[FIND_PATH_MAX];
    ssize_t size = readlink(path, target, sizeof(target) - 1);
    size_t length = strlen(directory);

    if (size < 0)
        return false;
    target[size] = '\0';
    return strncmp(target, directory, length) == 0 && target[length] == '/';
}

/* Adds DIRECTORY/NAME.sock where somebody listens. */
static void consider(const char *directory, const char *file, struct instances *ret)
{
    struct instance *instance = &ret->items[ret->count];
    size_t size = strlen(file);

    if (ret->count == FIND_INSTANCES_MAX || size <= strlen(SUFFIX) ||
        size - strlen(SUFFIX) >= sizeof(instance->name) ||
        strcmp(file + size - strlen(SUFFIX), SUFFIX) != 0)
        return;
    int length = snprintf(instance->path, sizeof(instance->path), "%s/%s", directory, file);
    if (length < 0 || (size_t)length >= sizeof(instance->path) ||
        is_second(directory, instance->path))
        return;
    memcpy(instance->name, file, size - strlen(SUFFIX));
    instance->name[size - strlen(SUFFIX)] = '\0';
    int fd = find_connect(instance->path);
    close_fd(fd);
    /* One that we may not talk to is running all the same, and so is one that is busy. */
    if (fd >= 0 || fd == -EACCES || fd == -EAGAIN)
        ret->count++;
}

void find_running(struct instances *ret)
{
    char directory[FIND_PATH_MAX];

    ret->count = 0;
    for (size_t i = 0; i < 2; i++) {
        DIR *stream = run_directory(i, directory, sizeof(directory)) ? opendir(directory) : NULL;
        if (!stream)
            continue;
        for (struct dirent *entry = readdir(stream); entry; entry = readdir(stream))
            consider(directory, entry->d_name, ret);
        closedir(stream);
    }
    qsort(ret->items, ret->count, sizeof(ret->items[0]), compare_instances);
}

int find_path(const char *name, char target[static FIND_PATH_MAX])
{
    char directory[FIND_PATH_MAX], path[2 * FIND_PATH_MAX];
    bool found = false;

    if (!text_is_node_name(name))
        return -EINVAL;
    for (size_t i = 0; i < 2 && !found; i++) {
        struct stat status;
        if (!run_directory(i, directory, sizeof(directory)))
            continue;
        snprintf(path, sizeof(path), "%s/%s" SUFFIX, directory, name);
        if (strlen(path) >= FIND_PATH_MAX)
            return -ENAMETOOLONG;
        found = stat(path, &status) == 0;
        /* Where there is none yet, an ordinary user's would be in the last one. */
        if (found || i == 0 || geteuid() != 0)
            strcpy(target, path);
    }
    return 0;
}

void find_list(const struct instances *instances, const char *except, char *target, size_t size)
{
    size_t used = 0;

    *target = '\0';
    for (size_t i = 0; i < instances->count; i++) {
        if (except && strcmp(instances->items[i].name, except) == 0)
            continue;
        int length = snprintf(target + used, size - used, "%s%s", used > 0 ? ", " : "",
                              instances->items[i].name);
        if (length < 0 || (size_t)length >= size - used)
            return;
        used += (size_t)length;
    }
}
