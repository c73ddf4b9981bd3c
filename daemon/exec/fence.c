/* SPDX-License-Identifier: MIT */
#include "exec/fence.h"

#include <assert.h>
#include <fcntl.h>

/* What every program may expect, at every level. */
static const struct {
    const char *path;
    enum landlock_right right;
} always[] = {
    {"/dev/null", LANDLOCK_DEVICE},   {"/dev/zero", LANDLOCK_DEVICE},
    {"/dev/full", LANDLOCK_DEVICE},   {"/dev/random", LANDLOCK_READ},
    {"/dev/urandom", LANDLOCK_READ},  {"/etc/ld.so.cache", LANDLOCK_READ},
    {"/proc/cpuinfo", LANDLOCK_READ}, {"/proc/meminfo", LANDLOCK_READ},
};

static_assert(ARRAY_SIZE(always) + 2 * EXEC_PATHS_MAX <= FENCE_PATHS_MAX, "too many paths");

/* A path that is not there is passed over: systems differ in what they have. */
static int add_path(struct fence *fence, const char *path, enum landlock_right right)
{
    int fd = open(path, O_PATH | O_CLOEXEC);

    if (fd < 0)
        return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : 0;
    fence->paths[fence->paths_count++] = (struct fence_path){path, fd, right};
    return 0;
}

static int add_paths(struct fence *fence, char **paths, enum landlock_right right)
{
    int r = 0;

    for (; *paths && r == 0; paths++)
        r = add_path(fence, *paths, right);
    return r;
}

int fence_new(struct exec_configure *configure, struct fence **ret)
{
    _cleanup_(fence_freep) struct fence *fence = calloc(1, sizeof(*fence));
    int r = 0;

    if (!fence)
        return -ENOMEM;
    fence->paths = calloc(FENCE_PATHS_MAX, sizeof(*fence->paths));
    if (!fence->paths)
        return -ENOMEM;
    fence->landlock_abi = landlock_get_abi();
    for (size_t i = 0; i < _FILTER_KIND_MAX && r == 0; i++)
        r = filter_init((enum filter_kind)i, &fence->filters[i]);
    for (size_t i = 0; i < ARRAY_SIZE(always) && r == 0; i++)
        r = add_path(fence, always[i].path, always[i].right);
    if (r == 0)
        r = add_paths(fence, configure->read, LANDLOCK_READ);
    if (r == 0)
        r = add_paths(fence, configure->write, LANDLOCK_WRITE);
    if (r < 0)
        return r;
    fence->configure = *configure;
    *configure = (struct exec_configure){0};
    *ret = TAKE_PTR(fence);
    return 0;
}

struct fence *fence_free(struct fence *fence)
{
    if (!fence)
        return NULL;
    struct exec_message message = {.type = EXEC_CONFIGURE, .configure = fence->configure};
    exec_message_done(&message);
    for (size_t i = 0; i < fence->paths_count; i++)
        close_fd(fence->paths[i].fd);
    for (size_t i = 0; i < _FILTER_KIND_MAX; i++)
        filter_done(&fence->filters[i]);
    free(fence->paths);
    free(fence);
    return NULL;
}

const struct filter *fence_get_filter(const struct fence *fence, enum exec_level level,
                                      bool network)
{
    if (level >= EXEC_NAMESPACES)
        return &fence->filters[FILTER_NAMESPACES];
    return &fence->filters[network ? FILTER_INTERNET : FILTER_NO_SOCKETS];
}
