/* SPDX-License-Identifier: MIT */
#include "exec/request.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

union ancillary {
    struct cmsghdr header;
    char space[CMSG_SPACE(REQUEST_FDS_MAX * sizeof(int))];
};

static char ***get_list(struct exec_start *start, enum request_list list)
{
    char ***const lists[] = {[REQUEST_WORDS] = &start->words,
                             [REQUEST_ENVIRONMENT] = &start->environment,
                             [REQUEST_OUTS] = &start->outs};

    return lists[list];
}

/* Moves the lists of @head->start to a text of their own. */
static int write_lists(struct request_head *head, char **ret, size_t *ret_size)
{
    char **lists[_REQUEST_LIST_MAX];
    size_t size = 0;

    for (enum request_list i = 0; i < _REQUEST_LIST_MAX; i++) {
        lists[i] = TAKE_PTR(*get_list(&head->start, i));
        for (char **string = lists[i]; string && *string; string++, head->counts[i]++)
            size += strlen(*string) + 1;
    }
    if (size > EXEC_MESSAGE_MAX)
        return -EMSGSIZE;
    char *text = malloc(size + 1), *end = text;
    if (!text)
        return -ENOMEM;
    for (enum request_list i = 0; i < _REQUEST_LIST_MAX; i++)
        for (uint32_t j = 0; j < head->counts[i]; j++)
            end = stpcpy(end, lists[i][j]) + 1;
    *ret = text;
    *ret_size = size;
    return 0;
}

int request_send(int socket, const struct supervisor_job *job, int control, const int *fds)
{
    struct request_head head = {.level = job->level,
                                .network = job->network,
                                .has_group = job->group_fd > 0,
                                .start = *job->start};
    size_t size, count = 0, fds_count = exec_start_fds(job->start);
    union ancillary ancillary = {0};
    _cleanup_free_ char *text = NULL;
    int all[REQUEST_FDS_MAX];
    int r = write_lists(&head, &text, &size);

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

int request_read_start(struct request *request, size_t others)
{
    struct request_head *head = &request->head;
    char *text = request->text, *end = text + request->size, **string = request->strings;

    for (enum request_list i = 0; i < _REQUEST_LIST_MAX; i++) {
        *get_list(&head->start, i) = string;
        if (head->counts[i] > (i == REQUEST_OUTS ? EXEC_OUTS_MAX : EXEC_WORDS_MAX))
            return -EBADMSG;
        for (uint32_t j = 0; j < head->counts[i]; j++) {
            char *last = memchr(text, '\0', (size_t)(end - text));
            if (!last)
                return -EBADMSG;
            *string++ = text;
            text = last + 1;
        }
        *string++ = NULL;
    }
    return text == end && request->fds_count == others + exec_start_fds(&head->start) ? 0
                                                                                      : -EBADMSG;
}

void request_forget(struct request *request)
{
    /* Not the whole of it: each page that is touched here is one that the next process copies. */
    explicit_bzero(request->text, request->size);
    request->head = (struct request_head){0};
    request->size = request->fds_count = 0;
}
