/* SPDX-License-Identifier: MIT */
#include "exec/spawn.h"

#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include "base/macro.h"

#define FIRST_FD (STDERR_FILENO + 1)

static int set_actions(posix_spawn_file_actions_t *actions, const int *fds, size_t count)
{
    int r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);

    if (r == 0)
        r = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    for (size_t i = 0; i < count && r == 0; i++)
        r = posix_spawn_file_actions_adddup2(actions, fds[i], FIRST_FD + (int)i);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(actions, FIRST_FD + (int)count);
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

static int spawn(const char *path, char *const *words, char *const *environment, const int *fds,
                 size_t fds_count, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    pid_t pid;

    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    int r = set_actions(&actions, fds, fds_count);
    if (r == 0)
        r = set_attributes(&attributes);
    if (r == 0)
        r = -posix_spawn(&pid, path, &actions, &attributes, words, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (r == 0)
        *ret_pid = pid;
    return r;
}

int spawn_program(const char *path, char *const *words, char *const *environment, const int *fds,
                  size_t fds_count, pid_t *ret_pid)
{
    int raised[SPAWN_FDS_MAX] = {0}, r = 0;
    size_t count = 0;

    assert(fds_count <= SPAWN_FDS_MAX);
    /* Out of the way of where they go. */
    for (; count < fds_count && r == 0; count++) {
        raised[count] = fcntl(fds[count], F_DUPFD_CLOEXEC, FIRST_FD + SPAWN_FDS_MAX);
        r = raised[count] < 0 ? -errno : 0;
    }
    if (r == 0)
        r = spawn(path, words, environment, raised, fds_count, ret_pid);
    for (size_t i = 0; i < count; i++)
        close_fd(raised[i]);
    return r;
}
