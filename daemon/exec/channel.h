/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One end of the socket between p2pnode and p2pnode-exec, in an sd-event loop: messages with their
 * descriptors go out in order, waiting in a bounded queue while the other end is slow, and come in
 * decoded. The first malformed message ends the channel: there is no way to trust what follows.
 */

#include <systemd/sd-event.h>
#include "exec/message.h"

#define EXEC_CHANNEL_QUEUE_MAX 4096 /* messages waiting to be sent */

struct exec_channel;

struct exec_channel_handler {
    /*
     * @message and @fds are borrowed: what the handler keeps, it takes out (TAKE_PTR, TAKE_FD); the
     * rest is freed and closed after it. @fds has exec_message_fds() descriptors.
     */
    void (*on_message)(struct exec_message *message, int *fds, void *data);
    /*
     * The other end closed (@error 0), or a negative errno. Nothing more comes, and it may free the
     * channel.
     */
    void (*on_closed)(int error, void *data);
};

/*
 * @fd is a connected SOCK_SEQPACKET socket and is taken over on success. @handler and @data are
 * borrowed. Return: 0, -ENOMEM, or what sd-event said.
 */
int exec_channel_new(sd_event *event, int fd, const struct exec_channel_handler *handler,
                     void *data, struct exec_channel **ret);

/* Closes the socket. Accepts NULL, returns NULL. Not to be called from on_message. */
struct exec_channel *exec_channel_free(struct exec_channel *channel);
DEFINE_CLEANUP(struct exec_channel *, exec_channel_free)

/**
 * exec_channel_send() - a message on its way
 * @fds: exec_message_fds() descriptors, duplicated where they have to wait; they stay the caller's
 *
 * Return: 0; -ENOBUFS where the queue is full; -EMSGSIZE, -EINVAL (see exec_message_encode());
 * -ENOMEM; -EMFILE. A broken connection is no failure here: on_closed says so later.
 */
int exec_channel_send(struct exec_channel *channel, const struct exec_message *message,
                      const int *fds);
