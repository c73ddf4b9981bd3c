/* SPDX-License-Identifier: MIT */
#include "exec/warm.h"

#include <limits.h>
#include <string.h>
#include <sys/socket.h>

/* A message with its descriptors. */
struct received {
    struct warm_request request;
    char text[EXEC_MESSAGE_MAX + 1];
    size_t size; /* of the text */
    int fds[WARM_FDS_MAX];
    size_t fds_count;
};

struct warm {
    int socket;
    struct fence *fence;
    char work_root[PATH_MAX];
    uid_t uid;
    gid_t gid;
};

static void take_fds(struct msghdr *header, struct received *received)
{
    const struct cmsghdr *item = CMSG_FIRSTHDR(header);

    if (!item || item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
        return;
    received->fds_count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(received->fds, CMSG_DATA(item), received->fds_count * sizeof(int));
}

/* Return: false at the end. */
static bool receive(const struct warm *warm, struct received *received)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(WARM_FDS_MAX * sizeof(int))];
    } ancillary;
    struct iovec parts[] = {{&received->request, sizeof(received->request)},
                            {received->text, sizeof(received->text) - 1}};
    struct msghdr header = {.msg_iov = parts,
                            .msg_iovlen = ARRAY_SIZE(parts),
                            .msg_control = &ancillary,
                            .msg_controllen = sizeof(ancillary)};
    ssize_t size;

    do
        size = recvmsg(warm->socket, &header, MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    if (size < (ssize_t)sizeof(received->request) || header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        return false;
    received->size = (size_t)size - sizeof(received->request);
    received->fds_count = 0;
    take_fds(&header, received);
    return true;
}

static bool answer(const struct warm *warm, pid_t pid)
{
    const struct warm_answer text = {.pid = pid};

    return send(warm->socket, &text, sizeof(text), MSG_NOSIGNAL) == sizeof(text);
}

/* Nothing of a task may be left in the memory that the next one gets a copy of. */
static void forget(struct received *received)
{
    for (size_t i = 0; i < received->fds_count; i++)
        close_fd(received->fds[i]);
    explicit_bzero(received, sizeof(*received));
}

static bool make_fence(struct warm *warm, struct received *received)
{
    struct exec_message message;

    if (!receive(warm, received) ||
        exec_message_decode(received->text, received->size, &message) < 0)
        return false;
    return message.type == EXEC_CONFIGURE && fence_new(&message.configure, &warm->fence) == 0;
}

/* In the supervisor's process; what it cannot read, p2pnode-exec has not sent. */
static char **run(const struct warm *warm, const struct received *received)
{
    struct exec_message message;

    if (exec_message_decode(received->text, received->size, &message) < 0 ||
        message.type != EXEC_START || received->fds_count != 1 + exec_message_fds(&message))
        _exit(EXIT_FAILURE);
    struct supervisor_job job = {.fence = warm->fence,
                                 .start = &message.start,
                                 .level = received->request.level,
                                 .network = received->request.network,
                                 .control = received->fds[0],
                                 .uid = warm->uid,
                                 .gid = warm->gid,
                                 .work_root = warm->work_root,
                                 .name = received->request.name};
    supervisor_set_fds(&job, received->fds + 1);
    return supervisor_run(&job);
}

char **warm_serve(int socket_fd, const struct warm_hooks *hooks)
{
    static struct received received;
    struct warm warm = {.socket = socket_fd, .uid = geteuid(), .gid = getegid()};

    if (!getcwd(warm.work_root, sizeof(warm.work_root)) || !make_fence(&warm, &received))
        _exit(EXIT_FAILURE);
    for (pid_t pid = 0; answer(&warm, pid) && receive(&warm, &received); forget(&received)) {
        hooks->before();
        pid = supervisor_fork(received.request.level, received.request.network, true);
        if (pid == 0) {
            char **environment = run(&warm, &received);
            hooks->after_in_child();
            return environment;
        }
        hooks->after_in_parent();
    }
    _exit(EXIT_SUCCESS);
}
