/* SPDX-License-Identifier: MIT */
#include "net/clear.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define GREETING "p2pnode/1"
#define WELCOME  "p2pnode/1 ok"

void clear_init_client(struct clear *clear, int fd, const char *cluster, const char *protocol,
                       const struct node_id *client, const struct node_id *server)
{
    char client_text[NODE_ID_TEXT_MAX], server_text[NODE_ID_TEXT_MAX];

    *clear = (struct clear){.fd = fd, .is_client = true};
    (void)snprintf(clear->line, sizeof(clear->line), GREETING " %s %s %s %s\n", protocol, cluster,
                   node_id_format(client, client_text), node_id_format(server, server_text));
}

void clear_init_server(struct clear *clear, int fd)
{
    *clear = (struct clear){.fd = fd};
}

static int translate(uint32_t events, uint32_t *ret_events)
{
    if (errno == EAGAIN || errno == EINTR) {
        *ret_events = events;
        return -EAGAIN;
    }
    return errno == EPIPE ? -EPIPE : -ECONNRESET;
}

/* The next line up to and with its end, and not a byte more. Return: 1, -EAGAIN, -EPROTO,
 * -ECONNRESET. */
static int read_line(struct clear *clear, char line[static CLEAR_LINE_MAX], uint32_t *ret_events)
{
    ssize_t size = recv(clear->fd, line, CLEAR_LINE_MAX - 1, MSG_PEEK | MSG_DONTWAIT);
    const char *end;

    if (size < 0)
        return translate(EPOLLIN, ret_events);
    if (size == 0)
        return -ECONNRESET;
    end = memchr(line, '\n', (size_t)size);
    if (!end) {
        /* Such a short line comes in one piece, or the peer is none of ours. */
        return -EPROTO;
    }
    size = recv(clear->fd, line, (size_t)(end - line) + 1, MSG_DONTWAIT);
    if (size != end - line + 1)
        return -ECONNRESET;
    line[size - 1] = '\0';
    return memchr(line, '\0', (size_t)size - 1) ? -EPROTO : 1;
}

static int greet_server(struct clear *clear, uint32_t *ret_events)
{
    char line[CLEAR_LINE_MAX];
    int r;

    if (!clear->has_sent) {
        size_t size = strlen(clear->line);
        ssize_t sent = send(clear->fd, clear->line, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent != (ssize_t)size)
            return sent < 0 ? translate(EPOLLOUT, ret_events) : -ECONNRESET;
        clear->has_sent = true;
    }
    r = read_line(clear, line, ret_events);
    if (r <= 0)
        return r;
    return strcmp(line, WELCOME) == 0 ? 1 : -EPROTO;
}

static int greet_client(struct clear *clear, uint32_t *ret_events)
{
    char line[CLEAR_LINE_MAX], client[NODE_ID_TEXT_MAX], server[NODE_ID_TEXT_MAX];
    int r, end = 0;

    r = read_line(clear, line, ret_events);
    if (r <= 0)
        return r;
    if (sscanf(line, GREETING " %32s %63s %36s %36s%n", clear->protocol, clear->cluster, client,
               server, &end) != 4 ||
        line[end] != '\0' || node_id_parse(client, &clear->client) < 0 ||
        node_id_parse(server, &clear->server) < 0 || node_id_is_null(&clear->client))
        return -EPROTO;
    return 1;
}

int clear_greet(struct clear *clear, uint32_t *ret_events)
{
    return clear->is_client ? greet_server(clear, ret_events) : greet_client(clear, ret_events);
}

int clear_welcome(struct clear *clear)
{
    static const char line[] = WELCOME "\n";
    const size_t size = sizeof(line) - 1;

    return send(clear->fd, line, size, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)size ? 1
                                                                                     : -ECONNRESET;
}

ssize_t clear_read(struct clear *clear, void *data, size_t size, uint32_t *ret_events)
{
    ssize_t done = recv(clear->fd, data, size, MSG_DONTWAIT);

    return done >= 0 ? done : translate(EPOLLIN, ret_events);
}

ssize_t clear_write(struct clear *clear, const void *data, size_t size, uint32_t *ret_events)
{
    ssize_t done = send(clear->fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);

    return done >= 0 ? done : translate(EPOLLOUT, ret_events);
}
