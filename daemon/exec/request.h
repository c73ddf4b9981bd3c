/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How p2pnode-exec hands a job to a process that it started before: a keeper or a warm helper. Both
 * ends are of one build. A request is one message of a SOCK_SEQPACKET socket: struct request_head,
 * the text of a message of the task's protocol, and descriptors.
 */

#include <stdbool.h>
#include "exec/supervisor.h"

#define REQUEST_NAME_MAX 32
#define REQUEST_FDS_MAX  (2 + EXEC_FDS_MAX)

struct request_head {
    enum exec_level level;
    bool network;
    bool has_group;              /* the last descriptor is its control group's */
    char name[REQUEST_NAME_MAX]; /* of the task's directory */
};

/* One that came. */
struct request {
    struct request_head head;
    char text[EXEC_MESSAGE_MAX + 1];
    size_t size; /* of the text */
    int fds[REQUEST_FDS_MAX];
    size_t fds_count;
};

/*
 * Sends @job, of which its start message, level, network, group and name count.
 * @control: sent before @fds; or negative
 * @fds: those of the start message
 *
 * Never waits. Return: 0; -EAGAIN, -EPIPE, -EMSGSIZE and what else sendmsg() says; -ENOMEM.
 */
int request_send(int socket, const struct supervisor_job *job, int control, const int *fds);

/*
 * Waits for the next message. Return: 1 with its descriptors, which are the caller's; 0 for one
 * that is no request; -ENOTCONN at the end of the connection.
 */
int request_receive(int socket, struct request *ret);

/* Nothing of a task may be left in the memory that the next one gets a copy of. */
void request_forget(struct request *request);
