/* SPDX-License-Identifier: MIT */
#include "tasks/python.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include "base/json.h"
#include "tasks/internal.h"

#define NAME "python"

/* "3.11" of "/usr/bin/python3.11". */
static bool read_version(const char *path, char *target, size_t size)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    size_t length;

    if (strncmp(name, NAME, strlen(NAME)) != 0)
        return false;
    name += strlen(NAME);
    length = strspn(name, "0123456789.");
    if (length == 0 || length >= size || !memchr(name, '.', length))
        return false;
    memcpy(target, name, length);
    target[length] = '\0';
    return true;
}

char *python_find_version(const char *interpreter, char *target, size_t size)
{
    char path[PATH_MAX];

    if (!realpath(interpreter, path) || access(path, X_OK) < 0)
        (void)snprintf(target, size, "%s", "");
    else if (!read_version(path, target, size))
        (void)snprintf(target, size, "?");
    return target;
}

static char *format_job(const struct task_spec *spec)
{
    _cleanup_json_ cJSON *json = task_python_to_json(spec->python);
    cJSON *args = json ? cJSON_AddArrayToObject(json, "args") : NULL;

    for (size_t i = 0; args && i < spec->args.count; i++)
        if (!cJSON_AddItemToArray(args, cJSON_CreateString(spec->args.items[i])))
            return NULL;
    return args ? json_format(json) : NULL;
}

int python_make_job(const struct task_spec *spec)
{
    _cleanup_close_ int fd = memfd_create("p2pnode-job", MFD_CLOEXEC);
    _cleanup_free_ char *text = format_job(spec);

    if (fd < 0)
        return -errno;
    if (!text)
        return -ENOMEM;
    if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        return -EIO;
    return TAKE_FD(fd);
}

bool python_has_no_result(const struct job *job)
{
    struct output_size size;

    if (!job->attempt->spec.python || !job->output)
        return false;
    output_get_size(job->output, &size);
    return size.kept[OUTPUT_STDOUT - 1] == 0 && size.dropped == 0 && size.error == 0;
}
