/* SPDX-License-Identifier: MIT */
#include "console/pager.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include "commands.h"

/* Ends where one screen is enough, keeps colours, leaves what was shown on the screen; and Ctrl-C
 * ends it. */
#define LESS_OPTIONS "FRSXMK"

static pid_t pager; /* 0 = none */

static bool is_pageable(const struct command *command)
{
    static int (*const shown[])(struct ctl *) = {
        status_run,    members_run,   peers_run,       types_run,     node_show_run,
        task_list_run, task_show_run, task_logs_run,   file_list_run, memory_list_run,
        inbox_run,     events_run,    config_show_run, doctor_run,    config_dump_default_run,
        keys_list_run, metrics_run,   help_run,
    };

    for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
        if (shown[i] == command->run)
            return true;
    return false;
}

static bool is_following(const struct ctl *ctl)
{
    for (const struct option *option = ctl->command->options; option && option->name; option++)
        if (strcmp(option->name, "follow") == 0)
            return options_has(&ctl->options, "follow");
    return false;
}

/* The command, NULL = the usual ones in turn, or "" = none is wanted, or none would be of use: a
 * pager on a dumb terminal asks first whether it really is to go on. */
static const char *choose_pager(const struct ctl *ctl)
{
    const char *text = getenv("P2PCTL_PAGER"), *term = getenv("TERM");

    if (!term || strcmp(term, "dumb") == 0 || options_has(&ctl->options, "no-pager") ||
        ctl->globals.quiet || !ctl->globals.stdout_is_tty || !is_pageable(ctl->command) ||
        is_following(ctl) || options_has(&ctl->options, "watch"))
        return "";
    if (!text)
        text = getenv("PAGER");
    return text && strcmp(text, "cat") == 0 ? "" : text;
}

static void run_pager(const char *command, int input_fd)
{
    (void)dup2(input_fd, STDIN_FILENO);
    close_fd(input_fd);
    (void)signal(SIGINT, SIG_DFL);
    (void)signal(SIGPIPE, SIG_DFL);
    (void)setenv("LESS", LESS_OPTIONS, 0);
    if (command) {
        (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    (void)execlp("less", "less", (char *)NULL);
    (void)execlp("cat", "cat", (char *)NULL);
    _exit(127);
}

/* What is as wide as the terminal has to know how wide that is. */
static void keep_width(void)
{
    struct winsize size;
    char text[16];

    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return;
    snprintf(text, sizeof(text), "%u", size.ws_col);
    (void)setenv("COLUMNS", text, 0);
}

void pager_open(const struct ctl *ctl)
{
    const char *command = choose_pager(ctl);
    int fds[2];

    if ((command && !*command) || pipe(fds) < 0)
        return;
    keep_width();
    fflush(stdout);
    pager = fork();
    if (pager == 0) {
        close_fd(fds[1]);
        run_pager(command, fds[0]);
    }
    close_fd(fds[0]);
    if (pager > 0) {
        (void)dup2(fds[1], STDOUT_FILENO);
        /* Ctrl-C is the pager's, and whoever has read enough just ends it. */
        (void)signal(SIGINT, SIG_IGN);
        (void)signal(SIGPIPE, SIG_IGN);
    } else {
        pager = 0;
    }
    close_fd(fds[1]);
}

bool pager_close(void)
{
    if (pager == 0)
        return false;
    (void)fclose(stdout);
    while (waitpid(pager, NULL, 0) < 0 && errno == EINTR)
        continue;
    pager = 0;
    return true;
}
