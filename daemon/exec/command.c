/* SPDX-License-Identifier: MIT */
#include "exec/command.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include "exec/message.h"

#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND      127

static const char *get_variable(char *const *environment, const char *name)
{
    size_t size = strlen(name);

    for (; *environment; environment++)
        if (strncmp(*environment, name, size) == 0 && (*environment)[size] == '=')
            return *environment + size + 1;
    return NULL;
}

static void say(int fd, const char *text)
{
    size_t size = strlen(text);

    while (size > 0) {
        ssize_t n = write(fd, text, size);
        if (n < 0 && errno != EINTR)
            return;
        text += MAX(n, 0);
        size -= (size_t)MAX(n, 0);
    }
}

static int run_demo(char *const *environment)
{
    const char *type = get_variable(environment, "P2P_TASK_TYPE");
    const char *number = get_variable(environment, "P2P_TASK_NUM");
    char line[128];

    snprintf(line, sizeof(line), "Executing task: %.64s%.32s\n", type ? type : "",
             number ? number : "");
    say(STDOUT_FILENO, line);
    return 0;
}

/* Tries @name in each directory of @path. Return: the errno to tell. */
static int search(const char *path, char *const *words, char *const *environment)
{
    char file[PATH_MAX];
    int error = ENOENT;

    for (;;) {
        size_t size = strcspn(path, ":");
        int length = size == 0 ? snprintf(file, sizeof(file), "./%s", words[0])
                               : snprintf(file, sizeof(file), "%.*s/%s", (int)MIN(size, PATH_MAX),
                                          path, words[0]);
        if (length > 0 && (size_t)length < sizeof(file)) {
            execve(file, words, environment);
            if (errno != ENOENT && errno != ENOTDIR && errno != EACCES)
                return errno;
            if (errno == EACCES)
                error = EACCES; /* the answer, unless a later directory has it */
        }
        if (path[size] == '\0')
            return error;
        path += size + 1;
    }
}

int command_run(char *const *words, char *const *environment)
{
    const char *path = get_variable(environment, "PATH");
    int error;

    if (strcmp(words[0], EXEC_DEMO) == 0)
        return run_demo(environment);
    if (strchr(words[0], '/')) {
        execve(words[0], words, environment);
        error = errno;
    } else {
        error = search(path ? path : COMMAND_PATH, words, environment);
    }
    say(STDERR_FILENO, "p2pnode-exec: ");
    say(STDERR_FILENO, words[0]);
    say(STDERR_FILENO, ": ");
    say(STDERR_FILENO, error == ENOENT ? "command not found" : strerror(error));
    say(STDERR_FILENO, "\n");
    return error == ENOENT || error == ENOTDIR ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}
