/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "exec/confine.h"
#include "exec/inputs.h"
#include "exec/supervisor_core.h"

#define OWN_VARIABLES 3

static int open_directory(int parent, const char *name, int *ret)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    *ret = fd;
    return 0;
}

static int make_directories(struct supervisor *supervisor)
{
    const struct supervisor_job *job = supervisor->job;
    int r = 0;

    supervisor->step = "make the work directory";
    snprintf(supervisor->tmp_name, sizeof(supervisor->tmp_name), "%s" ROOT_TMP_SUFFIX, job->name);
    if (job->root_fd > 0)
        supervisor->root_fd = job->root_fd;
    else
        r = open_directory(AT_FDCWD, ".", &supervisor->root_fd);
    if (r < 0)
        return r;
    if (mkdirat(supervisor->root_fd, job->name, 0700) < 0 ||
        mkdirat(supervisor->root_fd, supervisor->tmp_name, 0700) < 0)
        return -errno;
    return 0;
}

/* The private root, of which a keeper has made all but what is the task's own. */
static int enter_root(struct supervisor *supervisor)
{
    const struct supervisor_job *job = supervisor->job;

    if (job->root_fd > 0)
        return root_take(job->name, &supervisor->step);
    if (chdir(supervisor->tmp_name) < 0 || mkdir(ROOT_STAGE, 0700) < 0)
        return -errno;
    return root_enter(job->fence, job->name, &supervisor->step);
}

static int enter_sandbox(struct supervisor *supervisor)
{
    const struct supervisor_job *job = supervisor->job;
    const bool is_private = job->level >= EXEC_NAMESPACES;
    int r = 0;

    if (is_private && job->root_fd == 0)
        r = root_map_user(job->uid, job->gid, &supervisor->step);
    if (r == 0)
        r = make_directories(supervisor);
    if (r == 0 && is_private)
        r = enter_root(supervisor);
    if (r < 0)
        return r;
    supervisor->step = "open the work directory";
    r = open_directory(supervisor->root_fd, is_private ? ROOT_WORK : job->name,
                       &supervisor->work_fd);
    if (r == 0)
        r = open_directory(supervisor->root_fd, is_private ? ROOT_TMP : supervisor->tmp_name,
                           &supervisor->tmp_fd);
    if (r == 0 && is_private && job->root_fd == 0)
        (void)unlinkat(supervisor->tmp_fd, ROOT_STAGE, AT_REMOVEDIR);
    if (r < 0 || job->level < EXEC_LANDLOCK)
        return r;
    supervisor->step = "make the Landlock rules";
    r = confine_prepare(job->fence, job->level, supervisor->work_fd, supervisor->tmp_fd);
    if (r < 0)
        return r;
    supervisor->ruleset = r;
    return 0;
}

static int format_variable(char **ret, const char *key, const struct supervisor_job *job,
                           const char *suffix, const char *inside)
{
    int r = job->level >= EXEC_NAMESPACES
                ? asprintf(ret, "%s=%s", key, inside)
                : asprintf(ret, "%s=%s/%s%s", key, job->work_root, job->name, suffix);

    if (r >= 0)
        return 0;
    *ret = NULL;
    return -ENOMEM;
}

static bool is_own_variable(const char *variable)
{
    return strncmp(variable, "P2P_INPUT_DIR=", 14) == 0 ||
           strncmp(variable, "P2P_OUTPUT_DIR=", 15) == 0 || strncmp(variable, "TMPDIR=", 7) == 0;
}

/* The task's environment: what it was sent, and its directories. */
static int make_environment(struct supervisor *supervisor)
{
    const struct supervisor_job *job = supervisor->job;
    size_t count = 0;
    int r;

    supervisor->step = "make the environment";
    for (char **variable = job->start->environment; *variable; variable++)
        count++;
    char **environment = calloc(count + OWN_VARIABLES + 1, sizeof(*environment));
    if (!environment)
        return -ENOMEM;
    supervisor->environment = environment;
    for (char **variable = job->start->environment; *variable; variable++)
        if (!is_own_variable(*variable))
            *environment++ = *variable;
    supervisor->own_variables = environment;
    r = format_variable(environment++, "P2P_INPUT_DIR", job, "", ROOT_WORK);
    if (r == 0)
        r = format_variable(environment++, "P2P_OUTPUT_DIR", job, "", ROOT_WORK);
    if (r == 0)
        r = format_variable(environment, "TMPDIR", job, ROOT_TMP_SUFFIX, ROOT_TMP);
    return r;
}

static int take_inputs(struct supervisor *supervisor)
{
    const int fd = supervisor->job->inputs_fd;

    if (fd < 0)
        return 0;
    supervisor->step = "put the input files into the work directory";
    int r = inputs_unpack(fd, supervisor->work_fd, supervisor->tmp_fd, &supervisor->stdin_fd);
    close_fd(fd);
    return r;
}

int supervisor_make_room(struct supervisor *supervisor)
{
    int r = make_environment(supervisor);

    if (r == 0)
        r = enter_sandbox(supervisor);
    return r < 0 ? r : take_inputs(supervisor);
}

void supervisor_free_environment(struct supervisor *supervisor)
{
    for (char **own = supervisor->own_variables; own && *own; own++)
        free(*own);
    free(supervisor->environment);
}
