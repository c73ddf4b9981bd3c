/* SPDX-License-Identifier: MIT */
#include "exec/request.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

union ancillary {
    struct cmsghdr header;
    char space[CMSG_SPACE(REQUEST_FDS_MAX * sizeof(int))];
};

int request_send(int socket, const struct supervisor_job *job, int control, const int *fds)
{
    const struct exec_message message = {.type = EXEC_START, .start = *job->start};
    struct request_head head = {
        .level = job->level, .network = job->network, .has_group = job->group_fd > 0};
    size_t size, count = 0, fds_count = exec_message_fds(&message);
    union ancillary ancillary = {0};
    _cleanup_free_ char *text = NULL;
    int all[REQUEST_FDS_MAX];
    int r = exec_message_encode(&message, &text, &size);

    if (r < 0)
        return r;
    snprintf(head.name, sizeof(head.name), "%s", job->name);
    if (control >= 0)
        all[count++] = control;
    memcpy(all + count, fds, fds_count * sizeof(int));
    count += fds_count;
    if (head.has_group)
        all[count++] = job->group_fd;
    ancillary.header = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                        .cmsg_type = SCM_RIGHTS,
                                        .cmsg_len = CMSG_LEN(count * sizeof(int))};
    memcpy(CMSG_DATA(&ancillary.header), all, count * sizeof(int));
    struct iovec parts[] = {{&head, sizeof(head)}, {text, size}};
    struct msghdr header = {.msg_iov = parts,
                            .msg_iovlen = ARRAY_SIZE(parts),
                            .msg_control = &ancillary,
                            .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    return sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static void take_fds(struct msghdr *header, struct request *request)
{
    const struct cmsghdr *item = CMSG_FIRSTHDR(header);

    if (!item || item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
        return;
    request->fds_count = (item->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(request->fds, CMSG_DATA(item), request->fds_count * sizeof(int));
}

int request_receive(int socket, struct request *ret)
{
    union ancillary ancillary;
    struct iovec parts[] = {{&ret->head, sizeof(ret->head)}, {ret->text, sizeof(ret->text) - 1}};
    struct msghdr header = {.msg_iov = parts,
                            .msg_iovlen = ARRAY_SIZE(parts),
                            .msg_control = &ancillary,
                            .msg_controllen = sizeof(ancillary)};
    ssize_t size;

    ret->size = ret->fds_count = 0;
    do
        size = recvmsg(socket, &header, MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    if (size <= 0 || header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        return -ENOTCONN;
    if (size < (ssize_t)sizeof(ret->head))
        return 0;
    ret->size = (size_t)size - sizeof(ret->head);
    take_fds(&header, ret);
    return 1;
}

void request_forget(struct request *request)
{
    /* Not the whole of it: each page that is touched here is one that the next process copies. */
    explicit_bzero(request->text, request->size);
    request->head = (struct request_head){0};
    request->size = request->fds_count = 0;
}
