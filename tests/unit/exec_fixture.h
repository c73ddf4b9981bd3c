/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the tests of exec/ share: a real p2pnode-exec beside the test programs, a loop to drive it,
 * and tasks whose output and end are collected. Every wait is for a condition and has a deadline.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "exec/client.h"
#include "exec/tree.h"

#define FIXTURE_DEADLINE_USEC (60 * USEC_PER_SEC)
#define FIXTURE_TASKS_MAX     64

struct collected {
    char *bytes[_EXEC_STREAM_MAX];
    size_t sizes[_EXEC_STREAM_MAX];
    bool has_started;
    bool has_ended;
    pid_t pid; /* of its supervisor */
    struct exec_status status;
};

struct fixture {
    sd_event *event;
    struct exec *exec;
    struct exec_config config;
    char directory[64]; /* made for this test */
    char work_root[96];
    char program[PATH_MAX];
    unsigned ready_count, failed_count;
    struct collected tasks[FIXTURE_TASKS_MAX]; /* by id */
};

static const char *const fixture_read[] = {
    "/usr", "/lib", "/lib64", "/bin", "/etc/ssl", "/etc/alternatives", NULL};

static void fixture_on_ready(void *data)
{
    ((struct fixture *)data)->ready_count++;
}

static void fixture_on_failed(void *data)
{
    ((struct fixture *)data)->failed_count++;
}

static void fixture_on_started(uint64_t id, const struct exec_started *started, void *data)
{
    struct collected *task = &((struct fixture *)data)->tasks[id];

    assert_false(task->has_started || task->has_ended);
    task->has_started = true;
    task->pid = (pid_t)started->pid;
}

static void fixture_on_output(uint64_t id, enum exec_stream stream, const void *bytes, size_t size,
                              void *data)
{
    struct collected *task = &((struct fixture *)data)->tasks[id];
    char *grown = realloc(task->bytes[stream], task->sizes[stream] + size + 1);

    assert_non_null(grown);
    assert_true(size > 0 && size <= 65536);
    assert_false(task->has_ended);
    memcpy(grown + task->sizes[stream], bytes, size);
    task->sizes[stream] += size;
    grown[task->sizes[stream]] = '\0';
    task->bytes[stream] = grown;
}

static void fixture_on_exit(uint64_t id, const struct exec_status *status, void *data)
{
    struct collected *task = &((struct fixture *)data)->tasks[id];

    assert_false(task->has_ended);
    task->has_ended = true;
    task->status = *status;
}

static const struct exec_handler fixture_handler = {
    fixture_on_ready, fixture_on_failed, fixture_on_started, fixture_on_output, fixture_on_exit};

static usec_t fixture_now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (usec_t)time.tv_sec * USEC_PER_SEC + (usec_t)time.tv_nsec / 1000;
}

/* Runs the loop until @condition is true. It is looked at after each event, and every few
 * milliseconds. */
#define WAIT_FOR(fixture, condition)                                                               \
    do {                                                                                           \
        const usec_t deadline = fixture_now() + FIXTURE_DEADLINE_USEC;                             \
        while (!(condition)) {                                                                     \
            assert_true(fixture_now() < deadline);                                                 \
            assert_true(sd_event_run((fixture)->event, 5 * USEC_PER_MSEC) >= 0);                   \
        }                                                                                          \
    } while (0)

static void fixture_connect(struct fixture *fixture)
{
    const unsigned before = fixture->ready_count;

    assert_int_equal(
        exec_new(fixture->event, &fixture->config, &fixture_handler, fixture, &fixture->exec), 0);
    WAIT_FOR(fixture, fixture->ready_count > before);
}

static void fixture_forget(struct collected *task)
{
    for (size_t i = 0; i < _EXEC_STREAM_MAX; i++)
        free(task->bytes[i]);
    *task = (struct collected){0};
}

static void fixture_find_program(char path[static PATH_MAX])
{
    ssize_t size = readlink("/proc/self/exe", path, PATH_MAX - 32);

    assert_true(size > 0);
    path[size] = '\0';
    for (int i = 0; i < 2; i++)
        *strrchr(path, '/') = '\0';
    strcat(path, "/p2pnode-exec");
}

/* Makes the fixture, without p2pnode-exec: that is fixture_connect(). */
static int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    assert_true(sd_event_new(&fixture->event) >= 0);
    strcpy(fixture->directory, "/tmp/p2pnode-test-exec-XXXXXX");
    assert_non_null(mkdtemp(fixture->directory));
    assert_int_equal(chmod(fixture->directory, 0711), 0);
    snprintf(fixture->work_root, sizeof(fixture->work_root), "%s/work", fixture->directory);
    fixture_find_program(fixture->program);
    fixture->config = (struct exec_config){.program = fixture->program,
                                           .work_root = fixture->work_root,
                                           .is_auto = true,
                                           .read = fixture_read,
                                           .interpreter = "/usr/bin/python3",
                                           .jobs_max = 100,
                                           .helper_idle_usec = 60 * USEC_PER_SEC};
    *state = fixture;
    return 0;
}

static _unused_ int connected_setup(void **state)
{
    (void)fixture_setup(state);
    fixture_connect(*state);
    return 0;
}

/* Set up with p2pnode-exec at one level, where need_level() says whether it is to be had. */
static _unused_ int fixture_setup_at(void **state, enum exec_level level)
{
    (void)fixture_setup(state);
    struct fixture *fixture = *state;

    fixture->config.is_auto = false;
    fixture->config.level = level;
    fixture_connect(fixture);
    return 0;
}

static _unused_ int none_setup(void **state)
{
    return fixture_setup_at(state, EXEC_NONE);
}

static _unused_ int landlock_setup(void **state)
{
    return fixture_setup_at(state, EXEC_LANDLOCK);
}

static _unused_ int namespaces_setup(void **state)
{
    return fixture_setup_at(state, EXEC_NAMESPACES);
}

/* Skips the test where this kernel or its administrator does not allow the level. */
static _unused_ void need_level(const struct fixture *fixture)
{
    if (exec_get_level(fixture->exec) == EXEC_REFUSE) {
        print_message("%s\n", exec_get_missing(fixture->exec)[0]);
        skip();
    }
}

static int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;

    exec_free(fixture->exec);
    sd_event_unref(fixture->event);
    for (size_t i = 0; i < FIXTURE_TASKS_MAX; i++)
        fixture_forget(&fixture->tasks[i]);
    assert_int_equal(tree_remove(AT_FDCWD, fixture->directory), 0);
    free(fixture);
    return 0;
}

static _unused_ void start_shell(struct fixture *fixture, uint64_t id, const char *script,
                                 struct exec_task task)
{
    const char *const words[] = {"/bin/sh", "-c", script, NULL};

    task.words = words;
    fixture_forget(&fixture->tasks[id]);
    assert_int_equal(exec_start(fixture->exec, id, &task), 0);
}

#define PLAIN_TASK                                                                                 \
    (struct exec_task)                                                                             \
    {                                                                                              \
        .stdin_fd = -1, .job_fd = -1, .level = EXEC_NONE                                           \
    }

/* Runs @task to its end, as task @id. */
static _unused_ const struct collected *run_task(struct fixture *fixture, uint64_t id,
                                                 const struct exec_task *task)
{
    fixture_forget(&fixture->tasks[id]);
    assert_int_equal(exec_start(fixture->exec, id, task), 0);
    WAIT_FOR(fixture, fixture->tasks[id].has_ended);
    return &fixture->tasks[id];
}

static _unused_ const struct collected *run_shell(struct fixture *fixture, const char *script)
{
    start_shell(fixture, 0, script, PLAIN_TASK);
    WAIT_FOR(fixture, fixture->tasks[0].has_ended);
    return &fixture->tasks[0];
}

static _unused_ const char *text_of(const struct collected *task, enum exec_stream stream)
{
    return task->bytes[stream] ? task->bytes[stream] : "";
}

/* A file of a process as text. Return: its size; 0 where the process is gone. */
static size_t read_process(const char *number, const char *file, char *text, size_t size_max)
{
    char path[300];

    snprintf(path, sizeof(path), "/proc/%s/%s", number, file);
    int fd = number[0] >= '1' && number[0] <= '9' ? open(path, O_RDONLY) : -1;
    ssize_t size = fd < 0 ? 0 : read(fd, text, size_max - 1);
    close_fd(fd);
    text[MAX(size, (ssize_t)0)] = '\0';
    return (size_t)MAX(size, (ssize_t)0);
}

static bool has_word(const char *line, size_t size, const char *word)
{
    for (const char *part = line; part < line + size; part += strlen(part) + 1)
        if (strcmp(part, word) == 0)
            return true;
    return false;
}

/* Signals the processes that have @word as a word of their command line, but not those of the name
 * @but. Return: how many. */
static unsigned signal_processes(const char *word, const char *but, int number)
{
    DIR *proc = opendir("/proc");
    unsigned count = 0;
    struct dirent *entry;

    assert_non_null(proc);
    while ((entry = readdir(proc))) {
        char line[4096], name[32];
        size_t size = read_process(entry->d_name, "cmdline", line, sizeof(line));
        if (!has_word(line, size, word) ||
            read_process(entry->d_name, "comm", name, sizeof(name)) == 0)
            continue;
        name[strcspn(name, "\n")] = '\0';
        if (strcmp(name, but) != 0 && kill((pid_t)strtol(entry->d_name, NULL, 10), number) == 0)
            count++;
    }
    closedir(proc);
    return count;
}

/* How many processes have @word as a word of their command line. */
static _unused_ unsigned count_processes(const char *word)
{
    return signal_processes(word, "", 0);
}

static _unused_ unsigned count_entries(const char *path)
{
    DIR *dir = opendir(path);
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2;
}
