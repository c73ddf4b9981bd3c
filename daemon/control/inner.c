/* SPDX-License-Identifier: MIT */
#include "control/inner.h"

#include "control/methods.h"

struct inner {
    struct call *call; /* borrowed: its own once it is made */
    inner_done_t done;
    void *data;
    bool is_answered;
    bool is_dispatching;
};

static void send(struct call *call, const char *error, cJSON *parameters, bool continues,
                 const void *body _unused_, size_t body_size _unused_)
{
    struct inner *inner = call->connection;

    if (!continues) {
        inner->is_answered = true;
        inner->done(error ? NULL : parameters, inner->data);
    }
    cJSON_Delete(parameters);
    /* Whoever dispatches it still looks at it. */
    if (!continues && !inner->is_dispatching)
        free(inner);
}

static size_t pending(const struct call *call _unused_)
{
    return 0;
}

static const struct call_transport transport = {.send = send, .pending = pending};

int inner_call(struct node *node, const char *method, cJSON *parameters,
               const struct caller *caller, inner_done_t done, void *data, struct inner **ret)
{
    struct inner *inner = calloc(1, sizeof(*inner));
    struct call *call = calloc(1, sizeof(*call));

    if (!inner || !call || !parameters) {
        free(inner);
        free(call);
        cJSON_Delete(parameters);
        return -ENOMEM;
    }
    *call = (struct call){.json = parameters,
                          .method = method,
                          .parameters = parameters,
                          .caller = *caller,
                          .transport = &transport,
                          .connection = inner};
    call->caller.is_remote = false;
    list_init(&call->link);
    *inner = (struct inner){.call = call, .done = done, .data = data, .is_dispatching = true};
    methods_dispatch(call, node);
    inner->is_dispatching = false;
    *ret = inner->is_answered ? NULL : inner;
    if (inner->is_answered)
        free(inner);
    return 0;
}

void inner_cancel(struct inner *inner)
{
    call_abandon(inner->call);
    free(inner);
}
