/* SPDX-License-Identifier: MIT */
#include "control/call.h"

#include <stdarg.h>
#include <stdio.h>

#define CONGESTED_BYTES ((size_t)256 * 1024)

static void call_free(struct call *call)
{
    for (size_t i = 0; i < call->fds_count; i++)
        close_fd(call->fds[i]);
    list_remove(&call->link);
    cJSON_Delete(call->json);
    free(call);
}

static void finish(struct call *call, const char *error, cJSON *parameters, const void *body,
                   size_t body_size)
{
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

void call_reply_bytes(struct call *call, cJSON *parameters, const char *key, const void *data,
                      size_t size)
{
    if (!parameters) {
        call_fail(call, ERROR_INTERNAL, NULL, "out of memory");
        return;
    }
    if (!call->caller.is_remote) {
        json_add_text_or_base64(parameters, key, data, size);
        finish(call, NULL, parameters, NULL, 0);
        return;
    }
    finish(call, NULL, parameters, data, size);
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
    json_add_string(parameters, "message", text);
    json_add_string(parameters, "hint", hint);
    finish(call, error_get_varlink(code), parameters, NULL, 0);
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

bool call_is_congested(const struct call *call)
{
    return call->transport->pending(call) > CONGESTED_BYTES;
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
