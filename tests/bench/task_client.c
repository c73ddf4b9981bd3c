/* SPDX-License-Identifier: MIT */

/*
 * Submits COUNT tasks at a control socket and waits for each, IN_FLIGHT at a time, every one on an
 * open connection of its own: Submit, then WaitTask. usage: task_client SOCKET COUNT IN_FLIGHT
 * [NODE]; NODE "" leaves the placement to the daemon. Of the environment: TASK, what is submitted,
 * as members of a JSON object (default: true as a command); with WAIT=0 nothing is waited for.
 * Prints {"rate": per second, "p50_us": ..., "p99_us": ..., "failed": ...}.
 */

#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT_MAX 256
#define REPLY_MAX     16384
#define TASK_MAX      4096

struct client {
    int fd;
    bool is_waiting; /* for the end; else for the id */
    bool is_done;
    double begin;
    char reply[REPLY_MAX];
    size_t size;
};

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        perror(path);
        exit(1);
    }
    return fd;
}

static void say(const struct client *client, const char *text)
{
    if (write(client->fd, text, strlen(text) + 1) < 0) {
        perror("cannot ask");
        exit(1);
    }
}

static void submit(struct client *client, const char *node)
{
    const char *task = getenv("TASK");
    char text[TASK_MAX + 512], where[128] = "";

    if (*node)
        (void)snprintf(where, sizeof(where), ",\"run_on\":\"%.64s\"", node);
    (void)snprintf(text, sizeof(text),
                   "{\"method\":\"org.p2pnode.Submit\",\"parameters\":{%.*s%s}}", TASK_MAX,
                   task ? task : "\"argv\":[\"true\"]", where);
    client->is_waiting = false;
    client->begin = now();
    say(client, text);
}

/* The id of a submission, for a wait; false where there is none. */
static bool wait_for(struct client *client)
{
    const char *id = strstr(client->reply, "\"id\":\"");
    char text[256];

    if (!id || strstr(client->reply, "\"error\""))
        return false;
    id += strlen("\"id\":\"");
    (void)snprintf(text, sizeof(text),
                   "{\"method\":\"org.p2pnode.WaitTask\",\"parameters\":{\"ids\":[\"%.*s\"]}}",
                   (int)strcspn(id, "\""), id);
    client->is_waiting = true;
    say(client, text);
    return true;
}

/* Whether a whole reply is there. */
static bool take(struct client *client)
{
    ssize_t size =
        read(client->fd, client->reply + client->size, sizeof(client->reply) - client->size - 1);

    if (size <= 0) {
        (void)fprintf(stderr, "the daemon closed the connection\n");
        exit(1);
    }
    client->size += (size_t)size;
    if (client->reply[client->size - 1] != '\0')
        return false;
    client->size = 0;
    return true;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static struct client clients[IN_FLIGHT_MAX];
    struct pollfd polled[IN_FLIGHT_MAX];
    long count = argc >= 4 ? strtol(argv[2], NULL, 10) : 0;
    long in_flight = argc >= 4 ? strtol(argv[3], NULL, 10) : 0;
    const char *node = argc >= 5 ? argv[4] : "", *wait = getenv("WAIT");
    long begun = 0, ended = 0, failed = 0;
    bool waits = !wait || strcmp(wait, "0") != 0;

    if (count < 1 || in_flight < 1 || in_flight > IN_FLIGHT_MAX)
        return 2;
    double *times = calloc((size_t)count, sizeof(*times)), begin = now();
    for (long i = 0; i < in_flight; i++) {
        clients[i].fd = connect_to(argv[1]);
        polled[i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
        if (begun < count && ++begun)
            submit(&clients[i], node);
    }
    while (times && ended < count) {
        if (poll(polled, (nfds_t)in_flight, -1) < 0)
            return 1;
        for (long i = 0; i < in_flight; i++) {
            struct client *client = &clients[i];
            if (!polled[i].revents || !take(client))
                continue;
            if (waits && !client->is_waiting && wait_for(client))
                continue;
            failed += !strstr(client->reply, waits ? "\"succeeded\"" : "\"id\":\"");
            times[ended++] = now() - client->begin;
            if (begun < count && ++begun)
                submit(client, node);
        }
    }
    double whole = now() - begin;
    qsort(times, (size_t)count, sizeof(*times), compare);
    printf("{\"rate\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f,\"failed\":%ld}\n",
           (double)count / whole * 1e6, times[count / 2], times[count * 99 / 100], failed);
    free(times);
    return 0;
}
