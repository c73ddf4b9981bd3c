/* SPDX-License-Identifier: MIT */
#include "exec/channel.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include "base/list.h"

#define MESSAGES_PER_DISPATCH 32

union ancillary {
    struct cmsghdr header;
    char space[CMSG_SPACE(EXEC_FDS_MAX * sizeof(int))];
};

struct waiting {
    struct list link;
    void *data; /* owned */
    size_t size;
    int fds[EXEC_FDS_MAX]; /* owned */
    size_t fds_count;
};

struct exec_channel {
    const struct exec_channel_handler *handler; /* borrowed */
    void *data;                                 /* borrowed */
    sd_event_source *source;                    /* owned */
    struct list queue;                          /* of struct waiting, owned */
    size_t queue_count;
    int fd;      /* owned */
    char *space; /* owned, EXEC_MESSAGE_MAX + 1 bytes to receive into */
};

static struct waiting *waiting_free(struct waiting *waiting)
{
    if (!waiting)
        return NULL;
    for (size_t i = 0; i < waiting->fds_count; i++)
        close_fd(waiting->fds[i]);
    free(waiting->data);
    free(waiting);
    return NULL;
}
DEFINE_CLEANUP(struct waiting *, waiting_free)

/* Return: 1 sent, 0 would block or interrupted, or a negative errno. */
static int transmit(int fd, const void *data, size_t size, const int *fds, size_t fds_count)
{
    union ancillary ancillary = {0};
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

    if (fds_count > 0) {
        header.msg_control = &ancillary;
        header.msg_controllen = CMSG_SPACE(fds_count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        *rights = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                   .cmsg_type = SCM_RIGHTS,
                                   .cmsg_len = CMSG_LEN(fds_count * sizeof(int))};
        memcpy(CMSG_DATA(rights), fds, fds_count * sizeof(int));
    }
    if (sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return 1;
    return errno == EAGAIN || errno == EINTR || errno == ETOOMANYREFS ? 0 : -errno;
}

static void watch(struct exec_channel *channel)
{
    uint32_t events = list_is_empty(&channel->queue) ? EPOLLIN : EPOLLIN | EPOLLOUT;

    (void)sd_event_source_set_io_events(channel->source, events);
}

/* A failure is not told: the reading side finds the same broken connection, with what came before
 * it. */
static void flush_queue(struct exec_channel *channel)
{
    list_for_each_safe (link, &channel->queue) {
        struct waiting *waiting = list_entry(link, struct waiting, link);
        if (transmit(channel->fd, waiting->data, waiting->size, waiting->fds, waiting->fds_count) ==
            0)
            break;
        list_remove(&waiting->link);
        channel->queue_count--;
        waiting_free(waiting);
    }
    watch(channel);
}

/* Moves the descriptors of @header to @fds; those beyond EXEC_FDS_MAX are closed. Return: how many
 * there were. */
static size_t take_fds(struct msghdr *header, int fds[static EXEC_FDS_MAX])
{
    size_t count = 0;

    for (struct cmsghdr *item = CMSG_FIRSTHDR(header); item; item = CMSG_NXTHDR(header, item)) {
        if (item->cmsg_level != SOL_SOCKET || item->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; CMSG_LEN((i + 1) * sizeof(int)) <= item->cmsg_len; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(item) + i * sizeof(int), sizeof(fd));
            if (count < EXEC_FDS_MAX)
                fds[count] = fd;
            else
                close_fd(fd);
            count++;
        }
    }
    return count;
}

/* Return: 1 a message was handled, 0 none is there, -ECONNRESET at the end, or a negative errno. */
static int receive(struct exec_channel *channel)
{
    union ancillary ancillary = {0};
    struct iovec part = {.iov_base = channel->space, .iov_len = EXEC_MESSAGE_MAX + 1};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = &ancillary,
                            .msg_controllen = sizeof(ancillary)};
    int fds[EXEC_FDS_MAX] = {-EBADF, -EBADF, -EBADF, -EBADF, -EBADF, -EBADF};
    struct exec_message message;
    int r;

    ssize_t size = recvmsg(channel->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    size_t fds_count = take_fds(&header, fds);
    if (size == 0)
        r = -ECONNRESET;
    else if (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
        r = -EMSGSIZE;
    else
        r = exec_message_decode(channel->space, (size_t)size, &message);
    if (r == 0) {
        if (fds_count == exec_message_fds(&message)) {
            channel->handler->on_message(&message, fds, channel->data);
            r = 1;
        } else {
            r = -EBADMSG;
        }
        exec_message_done(&message);
    }
    for (size_t i = 0; i < EXEC_FDS_MAX; i++)
        close_fd(fds[i]);
    return r;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *data)
{
    struct exec_channel *channel = data;
    int r = 1;

    (void)fd;
    if (events & EPOLLOUT)
        flush_queue(channel);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
        return 0;
    for (int i = 0; i < MESSAGES_PER_DISPATCH && r > 0; i++)
        r = receive(channel);
    if (r < 0) {
        (void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
        channel->handler->on_closed(r == -ECONNRESET ? 0 : r, channel->data);
    }
    return 0;
}

int exec_channel_new(sd_event *event, int fd, const struct exec_channel_handler *handler,
                     void *data, struct exec_channel **ret)
{
    _cleanup_(exec_channel_freep) struct exec_channel *channel = calloc(1, sizeof(*channel));
    int r;

    if (!channel)
        return -ENOMEM;
    *channel = (struct exec_channel){.handler = handler, .data = data, .fd = -EBADF};
    list_init(&channel->queue);
    channel->space = malloc(EXEC_MESSAGE_MAX + 1);
    if (!channel->space)
        return -ENOMEM;
    r = sd_event_add_io(event, &channel->source, fd, EPOLLIN, on_io, channel);
    if (r < 0)
        return r;
    (void)sd_event_source_set_description(channel->source, "exec-channel");
    channel->fd = fd;
    *ret = TAKE_PTR(channel);
    return 0;
}

struct exec_channel *exec_channel_free(struct exec_channel *channel)
{
    if (!channel)
        return NULL;
    sd_event_source_disable_unref(channel->source);
    close_fd(channel->fd);
    list_for_each_safe (link, &channel->queue)
        waiting_free(list_entry(link, struct waiting, link));
    free(channel->space);
    free(channel);
    return NULL;
}

int exec_channel_send(struct exec_channel *channel, const struct exec_message *message,
                      const int *fds)
{
    _cleanup_(waiting_freep) struct waiting *waiting = NULL;
    _cleanup_free_ void *data = NULL;
    size_t size, fds_count = exec_message_fds(message);
    int r;

    r = exec_message_encode(message, &data, &size);
    if (r < 0)
        return r;
    if (list_is_empty(&channel->queue) && transmit(channel->fd, data, size, fds, fds_count) != 0)
        return 0;
    if (channel->queue_count >= EXEC_CHANNEL_QUEUE_MAX)
        return -ENOBUFS;
    waiting = calloc(1, sizeof(*waiting));
    if (!waiting)
        return -ENOMEM;
    waiting->data = TAKE_PTR(data);
    waiting->size = size;
    for (; waiting->fds_count < fds_count; waiting->fds_count++) {
        int copy = fcntl(fds[waiting->fds_count], F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
            return -errno;
        waiting->fds[waiting->fds_count] = copy;
    }
    list_append(&channel->queue, &waiting->link);
    channel->queue_count++;
    waiting = NULL;
    watch(channel);
    return 0;
}
