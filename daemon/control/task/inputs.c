/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <string.h>

/* Submit's parameters "in", "stdin" and "out": the files that go with a task, and come back. */

/* Takes descriptor number @index of the call. False: the call has been answered. */
static bool take_descriptor(struct call *call, const char *key, uint64_t index, int *ret)
{
    if (index >= call->fds_count || call->fds[index] < 0) {
        call_invalid(call, key);
        return false;
    }
    *ret = TAKE_FD(call->fds[index]);
    return true;
}

static bool read_input(struct call *call, const cJSON *item, struct stage_source *ret)
{
    uint64_t index = UINT64_MAX;
    struct stage_source source = {.fd = -EBADF};

    if (!cJSON_IsObject(item) || json_get_string(item, "name", &source.name) <= 0 ||
        json_get_string(item, "stored", &source.stored) < 0 ||
        json_get_u64(item, "descriptor", VARLINK_FDS_MAX, &index) < 0 || !*source.name ||
        (source.stored != NULL) == (index != UINT64_MAX) ||
        (source.stored && !text_is_file_name(source.stored))) {
        call_invalid(call, "in");
        return false;
    }
    if (!source.stored && !take_descriptor(call, "in", index, &source.fd))
        return false;
    *ret = source;
    return true;
}

void inputs_done(struct inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++)
        close_fd(inputs->sources[i].fd);
}

bool read_inputs(struct call *call, struct inputs *inputs)
{
    const cJSON *array = NULL;
    uint64_t index = UINT64_MAX;

    if (json_get_array(call->parameters, "in", &array) < 0) {
        call_invalid(call, "in");
        return false;
    }
    if (!read_u64(call, "stdin", VARLINK_FDS_MAX, &index))
        return false;
    if (cJSON_GetArraySize(array) + (index != UINT64_MAX) > TASK_FILES_MAX) {
        call_fail(call, ERROR_TOO_LARGE, "pack them into one: tar -cf files.tar ...",
                  "at most %d files go with a task", TASK_FILES_MAX);
        return false;
    }
    json_for_each (item, array) {
        if (!read_input(call, item, &inputs->sources[inputs->count]))
            return false;
        inputs->count++;
    }
    if (index == UINT64_MAX)
        return true;
    struct stage_source *source = &inputs->sources[inputs->count];
    *source = (struct stage_source){.name = "", .fd = -EBADF};
    if (!take_descriptor(call, "stdin", index, &source->fd))
        return false;
    inputs->count++;
    inputs->has_stdin = true;
    return true;
}

void fail_inputs(struct call *call, int r, const struct inputs *inputs, size_t bad)
{
    if (r == -EINVAL)
        call_fail(call, ERROR_USAGE, "p2pctl submit -h",
                  "\"%s\" cannot be the name of an input file: a path below the work directory, "
                  "and each only once",
                  inputs->sources[bad].name);
    else if (r == -EBUSY)
        call_fail(call, ERROR_BUSY, NULL, "the files of too many tasks are being taken in");
    else
        call_fail(call, error_from_errno(r), NULL, "cannot take the files of the task: %s",
                  strerror(-r));
}
