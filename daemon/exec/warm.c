/* SPDX-License-Identifier: MIT */
#include "exec/warm.h"

#include <limits.h>
#include <malloc.h>
#include <string.h>
#include <sys/socket.h>
#include "exec/keeper.h"

struct warm {
    int socket;
    struct fence *fence;
    char work_root[PATH_MAX];
    uid_t uid;
    gid_t gid;
};

static bool answer(const struct warm *warm, pid_t pid)
{
    const struct warm_answer text = {.pid = pid};

    return send(warm->socket, &text, sizeof(text), MSG_NOSIGNAL) == sizeof(text);
}

static void forget(struct request *request)
{
    for (size_t i = 0; i < request->fds_count; i++)
        close_fd(request->fds[i]);
    request_forget(request);
}

static bool make_fence(struct warm *warm, struct request *request)
{
    struct exec_message message;

    if (request_receive(warm->socket, request) <= 0 ||
        exec_message_decode(request->text, request->size, &message) < 0)
        return false;
    return message.type == EXEC_CONFIGURE && fence_new(&message.configure, &warm->fence) == 0;
}

/* In the new process, a keeper or a supervisor; what it cannot read, p2pnode-exec has not sent. */
static char **run(const struct warm *warm, struct request *request)
{
    const bool has_group = request->head.has_group;

    if (request_read_start(request, has_group ? 2 : 1) < 0)
        _exit(EXIT_FAILURE);
    struct supervisor_job job = {.fence = warm->fence,
                                 .start = &request->head.start,
                                 .level = request->head.level,
                                 .network = request->head.network,
                                 .control = request->fds[0],
                                 .group_fd = has_group ? request->fds[request->fds_count - 1] : 0,
                                 .uid = warm->uid,
                                 .gid = warm->gid,
                                 .work_root = warm->work_root,
                                 .name = request->head.name};
    supervisor_set_fds(&job, request->fds + 1);
    return keeper_can_hold(&job) ? keeper_run(&job, request) : supervisor_run(&job);
}

char **warm_serve(int socket_fd, const struct warm_hooks *hooks)
{
    static struct request request;
    struct warm warm = {.socket = socket_fd, .uid = geteuid(), .gid = getegid()};

    if (!getcwd(warm.work_root, sizeof(warm.work_root)) || !make_fence(&warm, &request))
        _exit(EXIT_FAILURE);
    /* Else the first larger allocation of each task puts all in order that was freed before it. */
    (void)mallopt(M_MXFAST, 0);
    (void)malloc_trim(0);
    for (pid_t pid = 0; answer(&warm, pid) && request_receive(warm.socket, &request) > 0;
         forget(&request)) {
        hooks->before();
        pid = supervisor_fork(request.head.level, request.head.network, true);
        if (pid == 0) {
            char **environment = run(&warm, &request);
            hooks->after_in_child();
            return environment;
        }
        hooks->after_in_parent();
    }
    _exit(EXIT_SUCCESS);
}
