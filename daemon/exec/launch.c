/* SPDX-License-Identifier: MIT */
#include "exec/launch.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "base/macro.h"

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

static int set_actions(posix_spawn_file_actions_t *actions, int socket_fd)
{
    int r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

    if (r == 0)
        r = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(actions, socket_fd, CHILD_SOCKET);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(actions, CHILD_SOCKET + 1);
    return -r;
}

static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    int r = posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                     POSIX_SPAWN_SETSID);
    if (r == 0)
        r = posix_spawnattr_setsigmask(attributes, &none);
    if (r == 0)
        r = posix_spawnattr_setsigdefault(attributes, &all);
    return -r;
}

static int spawn(const char *program, const char *work_root, int socket_fd, pid_t *ret_pid)
{
    char name[] = PROGRAM, socket_option[] = "--socket-fd", root_option[] = "--work-root";
    _cleanup_free_ char *root = strdup(work_root);
    char number[16];
    char *const arguments[] = {name, socket_option, number, root_option, root, NULL};
    char *const environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid;

    if (!root)
        return -ENOMEM;
    snprintf(number, sizeof(number), "%d", CHILD_SOCKET);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int r = set_actions(&actions, socket_fd);
    if (r == 0)
        r = set_attributes(&attributes);
    if (r == 0)
        r = -posix_spawn(&pid, program, &actions, &attributes, arguments, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (r == 0)
        *ret_pid = pid;
    return r;
}

int launch_exec(const char *socket_path, const char *program, const char *work_root, int *ret_fd,
                pid_t *ret_pid)
{
    _cleanup_close_ int ours = -EBADF, its = -EBADF;
    char beside[PATH_MAX];
    int pair[2], r;

    if (socket_path) {
        r = connect_to(socket_path, ret_fd);
        if (r == 0)
            *ret_pid = 0;
        if (r != -ENOENT && r != -ECONNREFUSED)
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
