/* SPDX-License-Identifier: MIT */
#include "varlink/call.h"

#include <fcntl.h>
#include <grp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include "base/text.h"

#define LIST_PART_MAX   500  /* entries of one answer, */
#define LIST_WHOLE_MAX  2000 /* or of the only one */
#define CONGESTED_BYTES ((size_t)256 * 1024)

static void call_free(struct call *call)
{
    for (size_t i = 0; i < call->fds_count; i++)
        close_fd(call->fds[i]);
    free(call->fds);
    list_remove(&call->link);
    cJSON_Delete(call->json);
    free(call->body);
    free(call->detail);
    free(call);
}

static void finish(struct call *call, const char *error, cJSON *parameters, const void *body,
                   size_t body_size)
{
    if (call->tally)
        (*(error ? &call->tally->failed[error_from_varlink(error)] : &call->tally->answered))++;
    /* The last answer may end the connection, which then has nothing to tell about this call. */
    list_remove(&call->link);
    call->gone = NULL;
    call->transport->send(call, error, parameters, false, body, body_size);
    call_free(call);
}

void call_reply(struct call *call, cJSON *parameters)
{
    if (!parameters)
        call_fail(call, ERROR_INTERNAL, NULL, "out of memory");
    else
        finish(call, NULL, parameters, NULL, 0);
}

/* The first LIST_PART_MAX entries of @list, as an answer of their own. */
static cJSON *take_part(const cJSON *parameters, cJSON *list, const char *noun)
{
    cJSON *part = cJSON_CreateObject();
    cJSON *entries = NULL;

    json_for_each (item, parameters)
        if (item == list)
            entries = cJSON_AddArrayToObject(part, noun);
        else if (cJSON_IsArray(item)) /* all of it is in the last part */
            cJSON_AddArrayToObject(part, item->string);
        else
            cJSON_AddItemToObject(part, item->string, cJSON_Duplicate(item, true));
    for (size_t i = 0; i < LIST_PART_MAX && list->child; i++)
        cJSON_AddItemToArray(entries, cJSON_DetachItemViaPointer(list, list->child));
    return part;
}

void call_reply_list(struct call *call, cJSON *parameters, const char *noun)
{
    cJSON *list = cJSON_GetObjectItemCaseSensitive(parameters, noun);
    int count = list ? cJSON_GetArraySize(list) : 0;

    for (; call->wants_more && count > LIST_PART_MAX; count -= LIST_PART_MAX)
        call_notify(call, take_part(parameters, list, noun));
    for (; count > LIST_WHOLE_MAX; count--)
        cJSON_Delete(cJSON_DetachItemViaPointer(list, list->child->prev));
    call_reply(call, parameters);
}

/* A file in memory, which nobody waits for: a pipe, or a file on another machine's disk, could hold
 * up the loop. */
static bool is_in_memory(int fd)
{
    return fcntl(fd, F_GET_SEALS) >= 0;
}

/* Return: whether all of it is in the client's descriptor. */
static bool write_descriptor(const struct call *call, const void *data, size_t size)
{
    return is_in_memory(call->fds[0]) && pwrite(call->fds[0], data, size, 0) == (ssize_t)size;
}

void call_reply_bytes(struct call *call, cJSON *parameters, const char *key, const void *data,
                      size_t size)
{
    if (!parameters) {
        call_fail(call, ERROR_INTERNAL, NULL, "out of memory");
    } else if (call->caller.is_remote && size > 0) {
        finish(call, NULL, parameters, data, size);
    } else if (call->caller.is_remote || call->fds_count == 0) {
        json_add_text_or_base64(parameters, key, data, size);
        finish(call, NULL, parameters, NULL, 0);
    } else if (write_descriptor(call, data, size)) {
        finish(call, NULL, parameters, NULL, 0);
    } else {
        cJSON_Delete(parameters);
        call_fail(call, ERROR_USAGE, NULL,
                  "the descriptor for the value is no file in memory (memfd) with room");
    }
}

int call_load_body(struct call *call, size_t max)
{
    _cleanup_free_ uint8_t *data = NULL;
    struct stat status;
    size_t size = 0;

    if (call->body || call->fds_count == 0)
        return 0;
    if (!is_in_memory(call->fds[0]) || fstat(call->fds[0], &status) < 0)
        return -EINVAL;
    if (status.st_size > (off_t)max) {
        call->body_size = (size_t)status.st_size;
        return -EFBIG;
    }
    data = malloc((size_t)status.st_size + 1);
    if (!data)
        return -ENOMEM;
    while (size < (size_t)status.st_size) {
        ssize_t got = pread(call->fds[0], data + size, (size_t)status.st_size - size, (off_t)size);
        if (got <= 0)
            return -EIO;
        size += (size_t)got;
    }
    data[size] = 0;
    call->body = TAKE_PTR(data);
    call->body_size = size;
    return 0;
}

void call_notify(struct call *call, cJSON *parameters)
{
    if (parameters)
        call->transport->send(call, NULL, parameters, true, NULL, 0);
}

void call_fail(struct call *call, enum error_code code, const char *hint, const char *format, ...)
{
    cJSON *parameters = cJSON_CreateObject();
    char text[1024];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    json_add_string(parameters, "message", text_mend_end(text));
    json_add_string(parameters, "hint", hint);
    if (call->detail)
        cJSON_AddItemToArray(cJSON_AddArrayToObject(parameters, "details"),
                             cJSON_CreateString(call->detail));
    finish(call, error_get_varlink(code), parameters, NULL, 0);
}

void call_fail_group(struct call *call, const char *group)
{
    const char *user = call->caller.user;
    char hint[256];

    if (*group && getgrnam(group))
        error_format_group_hint(group, user, hint, sizeof(hint));
    else if (*group)
        snprintf(hint, sizeof(hint),
                 "there is no such group yet: groupadd --system %.64s && usermod -aG %.64s %.64s",
                 group, group, user);
    else
        snprintf(hint, sizeof(hint), "as root, or as who runs p2pnode: sudo p2pctl");
    call_fail(call, ERROR_NOT_PERMITTED, hint, "not permitted: user \"%s\" is not in group %s",
              user, *group ? group : "root");
}

void call_set_detail(struct call *call, const char *format, ...)
{
    char *text = NULL;
    va_list arguments;

    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0)
        text = NULL;
    va_end(arguments);
    free(call->detail);
    call->detail = text && *text ? TAKE_PTR(text) : NULL;
    free(text);
}

void call_fail_as(struct call *call, const char *error, cJSON *parameters)
{
    finish(call, error, parameters, NULL, 0);
}

void call_invalid(struct call *call, const char *parameter)
{
    cJSON *parameters = cJSON_CreateObject();

    json_add_string(parameters, "parameter", parameter);
    finish(call, "org.varlink.service.InvalidParameter", parameters, NULL, 0);
}

void call_on_gone(struct call *call, void (*gone)(struct call *call, void *data), void *data)
{
    call->gone = gone;
    call->gone_data = data;
}

static void forget(struct call *call _unused_, void *data)
{
    struct call **holder = data;

    *holder = NULL;
}

void call_hold(struct call *call, struct call **holder)
{
    *holder = call;
    call_on_gone(call, forget, holder);
}

bool call_is_congested(const struct call *call)
{
    return call->transport->pending(call) > CONGESTED_BYTES;
}

int call_get_guard(const struct call *call)
{
    return call->transport->guard ? call->transport->guard(call) : -EBADF;
}

void call_abandon(struct call *call)
{
    if (call->gone)
        call->gone(call, call->gone_data);
    call_free(call);
}

cJSON *call_new_reply(const char *schema)
{
    cJSON *reply = cJSON_CreateObject();

    json_add_string(reply, "schema", schema);
    return reply;
}
