/* SPDX-License-Identifier: MIT */
#include "exec/launch.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "base/macro.h"
#include "exec/spawn.h"

#define PROGRAM      "p2pnode-exec"
#define LIBEXEC_PATH P2PNODE_PREFIX "/libexec/p2pnode/" PROGRAM
#define CHILD_SOCKET 3

static int connect_to(const char *path, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    _cleanup_close_ int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* Beside our own binary, or where packages put it. */
static const char *find_program(char beside[static PATH_MAX])
{
    const size_t room = PATH_MAX - sizeof(PROGRAM);
    ssize_t size = readlink("/proc/self/exe", beside, room);
    char *slash;

    if (size > 0 && (size_t)size < room) {
        beside[size] = '\0';
        slash = strrchr(beside, '/');
        if (slash) {
            memcpy(slash + 1, PROGRAM, sizeof(PROGRAM));
            if (access(beside, X_OK) == 0)
                return beside;
        }
    }
    return LIBEXEC_PATH;
}

static int spawn(const char *program, const char *work_root, int socket_fd, pid_t *ret_pid)
{
    char name[] = PROGRAM, socket_option[] = "--socket-fd", root_option[] = "--work-root";
    _cleanup_free_ char *root = strdup(work_root);
    char number[16];
    char *const arguments[] = {name, socket_option, number, root_option, root, NULL};
    char *const environment[] = {NULL};

    if (!root)
        return -ENOMEM;
    snprintf(number, sizeof(number), "%d", CHILD_SOCKET);
    return spawn_program(program, arguments, environment, &socket_fd, 1, ret_pid);
}

int launch_exec(const char *socket_path, bool may_spawn, const char *program, const char *work_root,
                int *ret_fd, pid_t *ret_pid)
{
    _cleanup_close_ int ours = -EBADF, its = -EBADF;
    char beside[PATH_MAX];
    int pair[2], r;

    if (socket_path) {
        r = connect_to(socket_path, ret_fd);
        if (r == 0)
            *ret_pid = 0;
        if (!may_spawn || (r != -ENOENT && r != -ECONNREFUSED))
            return r;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    ours = pair[0];
    its = pair[1];
    r = spawn(program ? program : find_program(beside), work_root, its, ret_pid);
    if (r < 0)
        return r;
    *ret_fd = TAKE_FD(ours);
    return 0;
}
