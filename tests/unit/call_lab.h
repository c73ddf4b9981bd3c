/* SPDX-License-Identifier: MIT */
#pragma once

/* Calls of methods without a connection: what was answered is kept. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "varlink/call.h"

/* One caller; owns its answers. */
struct call_lab {
    struct call *call; /* borrowed; NULL after the last answer */
    struct list calls;
    char *last;          /* owned: the last answer's parameters as text */
    char error[64];      /* of the last answer; "" = none */
    unsigned notified;   /* answers before the last one */
    bool is_answered;    /* for good */
    size_t pending_size; /* what a slow reader has not read */
};

static void call_lab_send(struct call *call, const char *error, cJSON *parameters, bool continues,
                          const void *body _unused_, size_t body_size _unused_)
{
    struct call_lab *lab = call->connection;

    assert_false(lab->is_answered);
    free(lab->last);
    lab->last = json_format(parameters);
    cJSON_Delete(parameters);
    snprintf(lab->error, sizeof(lab->error), "%s", error ? error : "");
    lab->notified += continues;
    lab->is_answered = !continues;
    if (!continues)
        lab->call = NULL;
}

static size_t call_lab_pending(const struct call *call)
{
    const struct call_lab *lab = call->connection;

    return lab->pending_size;
}

static const struct call_transport call_lab_transport = {.send = call_lab_send,
                                                         .pending = call_lab_pending};

/* A call of @method with @parameters as JSON. The lab keeps no other call. */
static _unused_ struct call *call_lab_new(struct call_lab *lab, const char *method,
                                          const char *parameters, bool wants_more)
{
    char text[4096];
    struct call *call = calloc(1, sizeof(*call));
    cJSON *json = NULL;

    *lab = (struct call_lab){.call = call};
    list_init(&lab->calls);
    snprintf(text, sizeof(text), "{\"method\":\"%s\",\"parameters\":%s}", method, parameters);
    assert_int_equal(json_parse(text, strlen(text), &json), 0);
    *call = (struct call){.json = json,
                          .caller = {.user = "user1", .is_admin = true},
                          .wants_more = wants_more,
                          .transport = &call_lab_transport,
                          .connection = lab};
    assert_int_equal(json_get_string(json, "method", &call->method), 1);
    assert_int_equal(json_get_object(json, "parameters", &call->parameters), 1);
    list_append(&lab->calls, &call->link);
    return call;
}

/* The caller goes, whether it was answered or not. */
static _unused_ void call_lab_done(struct call_lab *lab)
{
    if (lab->call)
        call_abandon(lab->call);
    free(lab->last);
    *lab = (struct call_lab){0};
}

static _unused_ void call_lab_assert_invalid(const struct call_lab *lab, const char *parameter)
{
    char text[128];

    snprintf(text, sizeof(text), "{\"parameter\":\"%s\"}", parameter);
    assert_true(lab->is_answered);
    assert_string_equal(lab->error, "org.varlink.service.InvalidParameter");
    assert_string_equal(lab->last, text);
}
