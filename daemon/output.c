/* SPDX-License-Identifier: MIT */
#include "output.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include "config/events.h"

#define LINE_SIZE_MAX 4096

static struct output_sockets sockets = {"/run/systemd/journal/socket", "/dev/log"};

struct output {
    pthread_mutex_t lock;
    enum config_target target;
    struct output_trouble trouble;
    output_send_t send; /* NULL = sd_journal_sendv, and only for the journal */
    int facility;
    int file_fd;
    bool has_prefix; /* stderr is read by systemd: "<5>" before every line */
};

static struct output output = {
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .target = CONFIG_TARGET_STDERR,
    .facility = LOG_DAEMON,
    .file_fd = -EBADF,
};

/* What was asked for and is not there gives way to what is: no line gets lost. */
static enum config_target choose_target(enum config_target wanted)
{
    bool has_syslog = access(sockets.syslog, W_OK) == 0;

    if (wanted == CONFIG_TARGET_STDERR || (wanted == CONFIG_TARGET_AUTO && isatty(STDERR_FILENO)))
        return CONFIG_TARGET_STDERR;
    if (wanted == CONFIG_TARGET_SYSLOG && has_syslog)
        return CONFIG_TARGET_SYSLOG;
    if (access(sockets.journal, W_OK) == 0)
        return CONFIG_TARGET_JOURNAL;
    return has_syslog ? CONFIG_TARGET_SYSLOG : CONFIG_TARGET_STDERR;
}

static struct output_trouble compare_target(enum config_target wanted, enum config_target target)
{
    if (wanted == CONFIG_TARGET_AUTO || wanted == target)
        return (struct output_trouble){.missing = NULL};
    return (struct output_trouble){
        .missing = wanted == CONFIG_TARGET_JOURNAL ? sockets.journal : sockets.syslog,
        .instead = target == CONFIG_TARGET_JOURNAL  ? "the journal"
                   : target == CONFIG_TARGET_SYSLOG ? "syslog"
                                                    : "standard error",
    };
}

/* In the order of the configuration's words: daemon, user, local0 ... local7. */
static int facility_of(uint32_t index)
{
    static const int facilities[] = {LOG_DAEMON, LOG_USER,   LOG_LOCAL0, LOG_LOCAL1, LOG_LOCAL2,
                                     LOG_LOCAL3, LOG_LOCAL4, LOG_LOCAL5, LOG_LOCAL6, LOG_LOCAL7};

    return facilities[MIN(index, ARRAY_SIZE(facilities) - 1)];
}

int output_open(const struct config_log *log)
{
    int r = 0, fd = -EBADF;

    if (*log->file) {
        fd = open(log->file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
        if (fd < 0)
            r = -errno;
    }
    pthread_mutex_lock(&output.lock);
    output.file_fd = close_fd(output.file_fd);
    output.file_fd = fd;
    output.target = choose_target(log->target);
    output.trouble = compare_target(log->target, output.target);
    output.trouble.file_error = -r;
    output.facility = facility_of(log->facility);
    output.has_prefix = getenv("JOURNAL_STREAM") != NULL;
    if (output.target == CONFIG_TARGET_SYSLOG)
        openlog("p2pnode", LOG_PID | LOG_NDELAY, output.facility);
    pthread_mutex_unlock(&output.lock);
    return r;
}

void output_close(void)
{
    pthread_mutex_lock(&output.lock);
    if (output.target == CONFIG_TARGET_SYSLOG)
        closelog();
    output.file_fd = close_fd(output.file_fd);
    output.target = CONFIG_TARGET_STDERR;
    output.trouble = (struct output_trouble){.missing = NULL};
    pthread_mutex_unlock(&output.lock);
}

void output_get_trouble(struct output_trouble *ret)
{
    pthread_mutex_lock(&output.lock);
    *ret = output.trouble;
    pthread_mutex_unlock(&output.lock);
}

struct output_sockets output_set_sockets(struct output_sockets other)
{
    struct output_sockets former = sockets;

    sockets = other;
    return former;
}

void output_set_send(output_send_t send)
{
    pthread_mutex_lock(&output.lock);
    output.send = send;
    pthread_mutex_unlock(&output.lock);
}

/* One write, so that lines of several threads never mix. What a full disk refuses is lost. Return:
 * 0, or an errno. */
static int write_line(int fd, const char *prefix, const char *text)
{
    char line[LINE_SIZE_MAX];
    int size = snprintf(line, sizeof(line) - 1, "%s%s", prefix, text);
    size_t length = MIN((size_t)MAX(size, 0), sizeof(line) - 2);

    line[length++] = '\n';
    ssize_t written = write(fd, line, length);
    if (written < 0)
        return errno;
    return (size_t)written < length ? ENOSPC : 0;
}

static void write_file(const char *text)
{
    struct timespec now;
    struct tm parts;
    char date[32], prefix[64];

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(prefix, sizeof(prefix), "%s.%03ldZ ", date, now.tv_nsec / 1000000);
    output.trouble.file_error = write_line(output.file_fd, prefix, text);
}

static void write_stderr(int level, const char *text)
{
    char prefix[16];

    if (output.has_prefix)
        snprintf(prefix, sizeof(prefix), "<%d>", level);
    else
        snprintf(prefix, sizeof(prefix), "%s: ", level_name(level));
    (void)write_line(STDERR_FILENO, prefix, text);
}

bool output_wants_fields(void)
{
    pthread_mutex_lock(&output.lock);
    bool wants = output.send || output.target == CONFIG_TARGET_JOURNAL;
    pthread_mutex_unlock(&output.lock);
    return wants;
}

void output_write(int level, const char *text, const char *plain, const struct iovec *fields,
                  int count)
{
    int saved = errno;

    pthread_mutex_lock(&output.lock);
    if (output.send)
        (void)output.send(fields, count);
    else if (output.target == CONFIG_TARGET_JOURNAL)
        (void)sd_journal_sendv(fields, count);
    else if (output.target == CONFIG_TARGET_SYSLOG)
        syslog(output.facility | level, "%s", text);
    else
        write_stderr(level, text);
    if (output.file_fd >= 0)
        write_file(plain);
    pthread_mutex_unlock(&output.lock);
    errno = saved;
}
