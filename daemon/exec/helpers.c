/* SPDX-License-Identifier: MIT */
#include "exec/helpers.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include "base/log.h"
#include "exec/request.h"
#include "exec/spawn.h"
#include "exec/warm.h"

#define LIBRARY             "p2pnode-warm.so"
#define RETRY_USEC          (60 * USEC_PER_SEC) /* after one that did not become ready */
#define TIMER_ACCURACY_USEC USEC_PER_MSEC
#define ANSWER_WAIT_MSEC    1000
#define WORDS_MAX           (8 + EXEC_PATHS_MAX)

/* The file python.py, which python_text.c embeds. */
extern const char exec_python_text[];

/* Runs that text by a name that is no file's, so that it can tell its frames from the task's. */
static char boot[] =
    "import os; t = os.pread(4, 1 << 20, 0); os.close(4); exec(compile(t, 'p2pnode', 'exec'))";

struct helper {
    struct helpers *helpers; /* borrowed: holds us */
    pid_t pid;               /* 0 = this place is free */
    int fd;                  /* owned; -EBADF once it is to end */
    sd_event_source *source;
    bool is_ready;
    uint32_t jobs;
};

struct helpers {
    sd_event *event;           /* owned reference */
    const struct fence *fence; /* borrowed */
    const struct exec_python *python;
    sd_event_source *idle;
    struct helper *items; /* owned; one is replaced while it still serves: twice as many */
    size_t items_count;
    size_t next;
    usec_t retry_usec; /* none is started before */
    int text_fd;       /* owned */
    char *library;     /* owned; NULL = there is none */
    char *words[WORDS_MAX];
};

/* --- One helper --- */

static void end_helper(struct helper *helper)
{
    helper->source = sd_event_source_disable_unref(helper->source);
    helper->fd = close_fd(helper->fd);
    helper->is_ready = false;
}

static bool is_used_up(const struct helper *helper)
{
    return helper->jobs >= helper->helpers->python->jobs_max;
}

static usec_t now_of(const struct helpers *helpers)
{
    usec_t now = 0;

    (void)sd_event_now(helpers->event, CLOCK_MONOTONIC, &now);
    return now;
}

/* The new one takes the place of one that has done its share. */
static void retire_one(struct helpers *helpers)
{
    for (size_t i = 0; i < helpers->items_count; i++)
        if (helpers->items[i].fd >= 0 && is_used_up(&helpers->items[i])) {
            end_helper(&helpers->items[i]);
            return;
        }
}

/* It ended, or says what it should not. */
static void lose(struct helper *helper)
{
    struct helpers *helpers = helper->helpers;

    if (!helper->is_ready) {
        log_warning("No warm Python helper: %s did not become one; functions start an interpreter",
                    helpers->python->interpreter);
        helpers->retry_usec = usec_add(now_of(helpers), RETRY_USEC);
    }
    end_helper(helper);
}

static int on_helper(sd_event_source *source _unused_, int fd, uint32_t events _unused_, void *data)
{
    struct helper *helper = data;
    struct helpers *helpers = helper->helpers;
    struct warm_answer answer;

    if (recv(fd, &answer, sizeof(answer), MSG_DONTWAIT) == sizeof(answer) && !helper->is_ready) {
        helper->is_ready = true;
        (void)sd_event_source_set_time_relative(helpers->idle, helpers->python->idle_usec);
        retire_one(helpers);
        return 0;
    }
    lose(helper);
    return 0;
}

static int spawn(const struct helpers *helpers, int socket_fd, pid_t *ret_pid)
{
    /* A library that starts threads when it is imported could not be forked; and what is bound when
     * it is first called would be so in each task. */
    static char blas[] = "OPENBLAS_NUM_THREADS=1", openmp[] = "OMP_NUM_THREADS=1",
                mkl[] = "MKL_NUM_THREADS=1", bind[] = "LD_BIND_NOW=1", socket_number[] = "3";
    char *const environment[] = {blas, openmp, mkl, bind, NULL};
    char *words[WORDS_MAX];
    const int fds[] = {socket_fd, helpers->text_fd};
    size_t count = 0;

    while (helpers->words[count]) {
        words[count] = helpers->words[count];
        count++;
    }
    words[count++] = socket_number;
    words[count++] = helpers->library;
    for (char **module = helpers->python->modules; *module; module++)
        words[count++] = *module;
    words[count] = NULL;
    return spawn_program(words[0], words, environment, fds, ARRAY_SIZE(fds), ret_pid);
}

/* The first message that a helper gets. */
static int send_configuration(const struct helpers *helpers, int fd)
{
    const struct exec_message message = {.type = EXEC_CONFIGURE,
                                         .configure = helpers->fence->configure};
    struct request_head head = {0};
    _cleanup_free_ void *data = NULL;
    size_t size;
    int r = exec_message_encode(&message, &data, &size);

    if (r < 0)
        return r;
    struct iovec parts[] = {{&head, sizeof(head)}, {data, size}};
    return writev(fd, parts, ARRAY_SIZE(parts)) < 0 ? -errno : 0;
}

static int launch(struct helpers *helpers, struct helper *helper)
{
    _cleanup_close_ int ours = -EBADF, its = -EBADF;
    int pair[2], r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    ours = pair[0];
    its = pair[1];
    r = send_configuration(helpers, ours);
    if (r == 0)
        r = sd_event_add_io(helpers->event, &helper->source, ours, EPOLLIN, on_helper, helper);
    if (r >= 0)
        r = spawn(helpers, its, &helper->pid);
    if (r < 0) {
        helper->source = sd_event_source_disable_unref(helper->source);
        helper->pid = 0;
        return r;
    }
    helper->fd = TAKE_FD(ours);
    helper->is_ready = false;
    helper->jobs = 0;
    return 0;
}

/* --- All of them --- */

static int on_idle(sd_event_source *source _unused_, uint64_t now_usec _unused_, void *data)
{
    struct helpers *helpers = data;

    for (size_t i = 0; i < helpers->items_count; i++)
        if (helpers->items[i].fd >= 0)
            end_helper(&helpers->items[i]);
    return 0;
}

/* As many as configured, not counting those that have done their share. */
static void fill(struct helpers *helpers)
{
    size_t fresh = 0;

    if (!helpers->library || now_of(helpers) < helpers->retry_usec)
        return;
    for (size_t i = 0; i < helpers->items_count; i++)
        fresh += helpers->items[i].fd >= 0 && !is_used_up(&helpers->items[i]);
    for (size_t i = 0; i < helpers->items_count && fresh < helpers->python->workers; i++) {
        struct helper *helper = &helpers->items[i];
        if (helper->pid > 0)
            continue;
        int r = launch(helpers, helper);
        if (r < 0) {
            log_warning_errno(r, "Cannot start a warm Python helper: %m");
            helpers->retry_usec = usec_add(now_of(helpers), RETRY_USEC);
            return;
        }
        fresh++;
    }
}

/* In turn; one that has done its share only where there is no other. */
static struct helper *choose(struct helpers *helpers)
{
    struct helper *last = NULL;

    for (size_t i = 0; i < helpers->items_count; i++) {
        struct helper *helper = &helpers->items[(helpers->next + i) % helpers->items_count];
        if (!helper->is_ready)
            continue;
        last = helper;
        if (is_used_up(helper))
            continue;
        helpers->next = (size_t)(helper - helpers->items) + 1;
        break;
    }
    return last;
}

static int ask(const struct helper *helper, const struct supervisor_job *job, const int *fds,
               pid_t *ret_pid)
{
    struct pollfd polled = {.fd = helper->fd, .events = POLLIN};
    struct warm_answer answer;
    int r = request_send(helper->fd, job, job->control, fds);

    if (r < 0)
        return r;
    if (poll(&polled, 1, ANSWER_WAIT_MSEC) <= 0 ||
        recv(helper->fd, &answer, sizeof(answer), MSG_DONTWAIT) != sizeof(answer))
        return -ETIMEDOUT;
    if (answer.pid < 0)
        return answer.pid;
    *ret_pid = answer.pid;
    return 0;
}

/* Somebody asks: those that are there stay, those that lack are started. */
static void wake(struct helpers *helpers)
{
    (void)sd_event_source_set_time_relative(helpers->idle, helpers->python->idle_usec);
    (void)sd_event_source_set_enabled(helpers->idle, SD_EVENT_ONESHOT);
    fill(helpers);
}

bool helpers_can_run(const struct exec_start *start)
{
    for (char **variable = start->environment; *variable; variable++)
        if (strncmp(*variable, "PYTHON", strlen("PYTHON")) == 0)
            return false;
    return true;
}

bool helpers_use(struct helpers *helpers, pid_t pid)
{
    wake(helpers);
    for (size_t i = 0; i < helpers->items_count; i++) {
        struct helper *helper = &helpers->items[i];
        if (helper->pid == pid && helper->is_ready && !is_used_up(helper)) {
            helper->jobs++;
            return true;
        }
    }
    return false;
}

int helpers_start(struct helpers *helpers, const struct supervisor_job *job, const int *fds,
                  pid_t *ret_helper, pid_t *ret_pid)
{
    struct helper *helper;
    int r;

    wake(helpers);
    helper = choose(helpers);
    if (!helper)
        return -EAGAIN;
    r = ask(helper, job, fds, ret_pid);
    if (r == 0) {
        helper->jobs++;
        *ret_helper = helper->pid;
        return 0;
    }
    /* It may have forked all the same: then that supervisor finds its socket closed. */
    log_debug_errno(r, "A warm Python helper failed: %m");
    (void)kill(helper->pid, SIGKILL);
    end_helper(helper);
    return -EAGAIN;
}

bool helpers_has(const struct helpers *helpers, pid_t pid)
{
    for (size_t i = 0; helpers && i < helpers->items_count; i++)
        if (helpers->items[i].pid == pid)
            return true;
    return false;
}

bool helpers_forget(struct helpers *helpers, pid_t pid)
{
    for (size_t i = 0; helpers && i < helpers->items_count; i++)
        if (helpers->items[i].pid == pid) {
            helpers->items[i].pid = 0;
            if (helpers->items[i].fd >= 0)
                lose(&helpers->items[i]);
            return true;
        }
    return false;
}

char *const *helpers_get_words(const struct helpers *helpers, bool reads_environment)
{
    /* The second word is the option that shuts it off from the environment. */
    static char *open_words[WORDS_MAX];

    if (!reads_environment)
        return helpers->words;
    open_words[0] = helpers->words[0];
    memcpy(open_words + 1, helpers->words + 2, sizeof(open_words) - 2 * sizeof(open_words[0]));
    return open_words;
}

int helpers_get_text_fd(const struct helpers *helpers)
{
    return helpers->text_fd;
}

static int make_text(int *ret_fd)
{
    const size_t size = strlen(exec_python_text);
    _cleanup_close_ int fd = memfd_create("p2pnode-python", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -errno;
    if (write(fd, exec_python_text, size) != (ssize_t)size)
        return -EIO;
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
        return -errno;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

/* Beside our own binary, or where packages put both. */
static char *find_library(void)
{
    char beside[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", beside, sizeof(beside) - sizeof(LIBRARY));
    char *slash;

    if (size <= 0)
        return NULL;
    beside[size] = '\0';
    slash = strrchr(beside, '/');
    if (!slash)
        return NULL;
    memcpy(slash + 1, LIBRARY, sizeof(LIBRARY));
    return access(beside, R_OK) == 0 ? strdup(beside) : NULL;
}

int helpers_new(sd_event *event, const struct fence *fence, struct helpers **ret)
{
    static char isolated[] = "-I", extra[] = "-X", utf8[] = "utf8", command[] = "-c";
    _cleanup_(helpers_freep) struct helpers *helpers = calloc(1, sizeof(*helpers));
    int r;

    if (!helpers)
        return -ENOMEM;
    helpers->event = sd_event_ref(event);
    helpers->fence = fence;
    helpers->python = &fence->configure.python;
    helpers->text_fd = -EBADF;
    helpers->library = find_library();
    helpers->items_count = (size_t)2 * helpers->python->workers;
    helpers->items = calloc(helpers->items_count + 1, sizeof(*helpers->items));
    if (!helpers->items)
        return -ENOMEM;
    for (size_t i = 0; i < helpers->items_count; i++)
        helpers->items[i] = (struct helper){.helpers = helpers, .fd = -EBADF};
    char *const words[] = {helpers->python->interpreter, isolated, extra, utf8, command, boot};
    memcpy(helpers->words, words, sizeof(words));
    r = make_text(&helpers->text_fd);
    if (r == 0)
        r = sd_event_add_time_relative(event, &helpers->idle, CLOCK_MONOTONIC, 0,
                                       TIMER_ACCURACY_USEC, on_idle, helpers);
    if (r >= 0)
        r = sd_event_source_set_enabled(helpers->idle, SD_EVENT_OFF);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(helpers);
    return 0;
}

struct helpers *helpers_free(struct helpers *helpers)
{
    if (!helpers)
        return NULL;
    for (size_t i = 0; helpers->items && i < helpers->items_count; i++)
        end_helper(&helpers->items[i]);
    free(helpers->items);
    sd_event_source_disable_unref(helpers->idle);
    close_fd(helpers->text_fd);
    free(helpers->library);
    sd_event_unref(helpers->event);
    free(helpers);
    return NULL;
}
