/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The heart of p2pnode-exec: one client at a time, its tasks, and an orderly end. Each task is a
 * supervisor process; what it reports goes to the client. When the client is gone, so are its
 * tasks.
 */

#include <systemd/sd-event.h>
#include "base/macro.h"

#define SERVER_TASK_PREFIX "task-" /* of the directories in the work root */

struct exec_server;

/**
 * exec_server_new() - a server in @event
 * @work_root: absolute, and the current directory; borrowed
 * @socket_fd: of the one client whose end is the end of the loop, or a listening socket that is
 * served for ever; SOCK_SEQPACKET, taken over on success
 *
 * SIGCHLD, SIGTERM and SIGINT must be blocked. Return: 0, -ENOMEM, or what sd-event said.
 */
int exec_server_new(sd_event *event, const char *work_root, int socket_fd, bool is_listening,
                    struct exec_server **ret);

/* Ends what runs without waiting for it. Accepts NULL, returns NULL. */
struct exec_server *exec_server_free(struct exec_server *server);
DEFINE_CLEANUP(struct exec_server *, exec_server_free)
