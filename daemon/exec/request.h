/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How p2pnode-exec hands a job to a process that it started before: a keeper or a warm helper. Both
 * ends are of one build, so a start message goes on as it is in memory. A request is one message of
 * a SOCK_SEQPACKET socket: struct request_head, a text, and descriptors.
 */

#include <stdbool.h>
#include "exec/supervisor.h"

#define REQUEST_NAME_MAX 32
#define REQUEST_FDS_MAX  (2 + EXEC_FDS_MAX)

/* The lists of a start message, in the order in which their strings stand in the text. */
enum request_list {
    REQUEST_WORDS,
    REQUEST_ENVIRONMENT,
    REQUEST_OUTS,
    _REQUEST_LIST_MAX,
};

#define REQUEST_STRINGS_MAX (2 * EXEC_WORDS_MAX + EXEC_OUTS_MAX + _REQUEST_LIST_MAX)

struct request_head {
    enum exec_level level;
    bool network;
    bool has_group;                     /* the last descriptor is its control group's */
    char name[REQUEST_NAME_MAX];        /* of the task's directories */
    struct exec_start start;            /* without its lists, */
    uint32_t counts[_REQUEST_LIST_MAX]; /* which have so many strings */
};

/* One that came. */
struct request {
    struct request_head head;
    char text[EXEC_MESSAGE_MAX + 1]; /* the strings, each with its NUL; or a message */
    size_t size;
    char *strings[REQUEST_STRINGS_MAX]; /* in the text: the lists, each with its NULL */
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

/*
 * Puts the lists of a start message back: @request->head.start is as it was sent, and lasts as long
 * as @request. Return: 0; -EBADMSG where they are not what the text has, or the descriptors behind
 * the first @others are not those of the message.
 */
int request_read_start(struct request *request, size_t others);

/* Nothing of a task may be left in the memory that the next one gets a copy of. */
void request_forget(struct request *request);
