/* SPDX-License-Identifier: MIT */

/*
 * beanstalkd as a peer of bench-tasks: COUNT jobs go to a tube, IN_FLIGHT worker processes take
 * them, start and reap /bin/true for each, and put an answer into a second tube, where the client
 * waits for it. usage: task_beanstalk PORT COUNT IN_FLIGHT. Prints {"rate": per second, "p50_us":
 * ..., "p99_us": ...}. A job's body is the index of its slot.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT_MAX 256
#define LINE_MAX_SIZE 256

static char *const words[] = {(char[]){"true"}, NULL};
static char *const nothing[] = {NULL};

/* One connection; what was read beyond a line waits in @text. */
struct line {
    int fd;
    char text[4096];
    size_t size;
};

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec * 1e6 + (double)time.tv_nsec / 1e3;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static void connect_to(struct line *line, long port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const int on = 1;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *line = (struct line){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (line->fd < 0 || connect(line->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail("cannot connect");
    (void)setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* The next line without its end. */
static void take_line(struct line *line, char target[static LINE_MAX_SIZE])
{
    char *end;

    while (!(end = memmem(line->text, line->size, "\r\n", 2))) {
        ssize_t size = read(line->fd, line->text + line->size, sizeof(line->text) - line->size);
        if (size <= 0)
            fail("beanstalkd is gone");
        line->size += (size_t)size;
    }
    size_t size = (size_t)(end - line->text);
    (void)snprintf(target, LINE_MAX_SIZE, "%.*s", (int)size, line->text);
    line->size -= size + 2;
    memmove(line->text, end + 2, line->size);
}

/* Says @text, and takes the answer, which has to begin with @expected. */
static void ask(struct line *line, const char *text, const char *expected,
                char answer[static LINE_MAX_SIZE])
{
    if (write(line->fd, text, strlen(text)) < 0)
        fail("cannot ask beanstalkd");
    take_line(line, answer);
    if (strncmp(answer, expected, strlen(expected)) != 0) {
        (void)fprintf(stderr, "beanstalkd answers \"%s\" to \"%s\"\n", answer, text);
        exit(1);
    }
}

static void use(struct line *line, const char *put_to, const char *take_from)
{
    char text[LINE_MAX_SIZE], answer[LINE_MAX_SIZE];

    (void)snprintf(text, sizeof(text), "use %s\r\n", put_to);
    ask(line, text, "USING", answer);
    (void)snprintf(text, sizeof(text), "watch %s\r\n", take_from);
    ask(line, text, "WATCHING", answer);
    ask(line, "ignore default\r\n", "WATCHING", answer);
}

static void put(struct line *line, long slot)
{
    char text[LINE_MAX_SIZE], body[32], answer[LINE_MAX_SIZE];
    int size = snprintf(body, sizeof(body), "%ld", slot);

    (void)snprintf(text, sizeof(text), "put 0 0 60 %d\r\n%s\r\n", size, body);
    ask(line, text, "INSERTED", answer);
}

/* Return: the slot of the next job. */
static long reserve(struct line *line, char id[static LINE_MAX_SIZE])
{
    char answer[LINE_MAX_SIZE], body[LINE_MAX_SIZE];

    ask(line, "reserve\r\n", "RESERVED ", answer);
    take_line(line, body);
    const char *number = answer + strlen("RESERVED ");
    (void)snprintf(id, LINE_MAX_SIZE, "%.*s", (int)strcspn(number, " "), number);
    return strtol(body, NULL, 10);
}

static void forget(struct line *line, const char *id)
{
    char text[LINE_MAX_SIZE], answer[LINE_MAX_SIZE];

    (void)snprintf(text, sizeof(text), "delete %.64s\r\n", id);
    ask(line, text, "DELETED", answer);
}

static void work(long port)
{
    static struct line line;
    char id[LINE_MAX_SIZE];
    int status;
    pid_t pid;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    connect_to(&line, port);
    use(&line, "answers", "jobs");
    for (;;) {
        long slot = reserve(&line, id);
        if (posix_spawn(&pid, "/bin/true", NULL, NULL, words, nothing) != 0 ||
            waitpid(pid, &status, 0) != pid)
            fail("cannot start a process");
        put(&line, slot);
        forget(&line, id);
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void serve(struct line *line, double *times, long count, long in_flight)
{
    static double begins[IN_FLIGHT_MAX];
    char id[LINE_MAX_SIZE];
    long begun = 0;

    for (; begun < in_flight && begun < count; begun++) {
        begins[begun] = now();
        put(line, begun);
    }
    for (long ended = 0; ended < count; ended++) {
        long slot = reserve(line, id);
        times[ended] = now() - begins[slot];
        forget(line, id);
        if (begun++ < count) {
            begins[slot] = now();
            put(line, slot);
        }
    }
}

int main(int argc, char **argv)
{
    static struct line line;
    long port = argc == 4 ? strtol(argv[1], NULL, 10) : 0;
    long count = argc == 4 ? strtol(argv[2], NULL, 10) : 0;
    long in_flight = argc == 4 ? strtol(argv[3], NULL, 10) : 0;
    double *times = calloc((size_t)(count > 0 ? count : 1), sizeof(*times));

    if (!times || port < 1 || count < 1 || in_flight < 1 || in_flight > IN_FLIGHT_MAX)
        return 2;
    for (long i = 0; i < in_flight; i++)
        if (fork() == 0)
            work(port);
    connect_to(&line, port);
    use(&line, "jobs", "answers");
    double begin = now();
    serve(&line, times, count, in_flight);
    double whole = now() - begin;
    qsort(times, (size_t)count, sizeof(*times), compare);
    printf("{\"rate\":%.1f,\"p50_us\":%.1f,\"p99_us\":%.1f}\n", (double)count / whole * 1e6,
           times[count / 2], times[count * 99 / 100]);
    free(times);
    return 0;
}
