/* SPDX-License-Identifier: MIT */
#include "console/editor.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "console/failure.h"
#include "input.h"

#define COMMAND "exec ${VISUAL:-${EDITOR:-vi}} \"$1\""

static bool has_text(const char *value)
{
    return value && *value;
}

/* Return: the status of wait(2), or a negative errno. */
static int run(const char *path)
{
    void (*interrupt)(int) = signal(SIGINT, SIG_IGN);
    void (*quit)(int) = signal(SIGQUIT, SIG_IGN);
    int status = -ECHILD;
    pid_t child = fork(), ended;

    if (child == 0) {
        (void)signal(SIGINT, interrupt);
        (void)signal(SIGQUIT, quit);
        execl("/bin/sh", "sh", "-c", COMMAND, "sh", path, (char *)NULL);
        _exit(127);
    }
    if (child < 0)
        status = -errno;
    else
        do
            ended = waitpid(child, &status, 0);
        while (ended < 0 && errno == EINTR);
    (void)signal(SIGINT, interrupt);
    (void)signal(SIGQUIT, quit);
    return status;
}

static int edit(const char *path, char **ret)
{
    size_t size;
    int status = run(path);

    if (status < 0)
        return fail(error_from_errno(status), strerror(-status), NULL, "cannot start an editor");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return fail(ERROR_NOT_FOUND, NULL, "name one: EDITOR=nano p2pctl ...",
                    "the editor cannot be started");
    if (status != 0)
        return fail_with(1, ERROR_CONFLICT, NULL, NULL, "the editor failed, nothing was changed");
    return input_read(path, EDITOR_SIZE_MAX, NULL, (uint8_t **)ret, &size);
}

/* A new file, for this user alone. Return: 0, or the exit code. */
static int make_file(const char *text, char **ret_path)
{
    const char *directory = getenv("TMPDIR");
    _cleanup_free_ char *path = NULL;
    size_t size = strlen(text), done = 0;
    ssize_t count = 0;

    if (asprintf(&path, "%s/p2pctl-XXXXXX", has_text(directory) ? directory : "/tmp") < 0)
        return fail_memory();
    _cleanup_close_ int fd = mkstemp(path);
    if (fd < 0)
        return fail_to_write(path, errno);
    for (; done<size; done += count> 0 ? (size_t)count : 0) {
        count = write(fd, text + done, size - done);
        if (count < 0 && errno != EINTR) {
            int error = errno;
            (void)unlink(path);
            return fail_to_write(path, error);
        }
    }
    *ret_path = TAKE_PTR(path);
    return 0;
}

int editor_edit(const struct ctl *ctl, const char *text, char **ret)
{
    bool has_editor = has_text(getenv("VISUAL")) || has_text(getenv("EDITOR"));
    _cleanup_free_ char *path = NULL;

    /* Who names an editor may have one that needs no terminal. */
    if (options_has(&ctl->options, "no-input") || (!has_editor && ctl->globals.no_input))
        return fail_usage("an editor needs a terminal, or $EDITOR, and no --no-input");
    int r = make_file(text, &path);
    if (r != 0 || !path)
        return r;
    r = edit(path, ret);
    (void)unlink(path);
    return r;
}
