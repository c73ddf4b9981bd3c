/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <stdlib.h>
#include <string.h>

/* An answer, until what it tells is on the disk. */
struct settled {
    struct call *call; /* borrowed; NULL = nobody waits for the answer any more */
    cJSON *reply;      /* owned */
    const char *failure;
    const char *hint;
};

static void on_settled(int r, void *data)
{
    struct settled *settled = data;
    struct call *call = settled->call;
    const char *failure = settled->failure, *hint = settled->hint;
    _cleanup_json_ cJSON *reply = settled->reply;

    free(settled);
    if (!call)
        return;
    if (r < 0)
        call_fail(call, error_from_errno(r), hint, "%s: %s", failure, strerror(-r));
    else
        call_reply(call, TAKE_PTR(reply));
}

static void reply_later(struct node *node, struct call *call, cJSON *reply, const char *failure,
                        const char *hint,
                        void (*settle)(struct tasks *tasks, state_done_t done, void *data))
{
    struct settled *settled = malloc(sizeof(*settled));

    if (!settled) {
        cJSON_Delete(reply);
        fail_memory(call);
        return;
    }
    *settled = (struct settled){.call = call, .reply = reply, .failure = failure, .hint = hint};
    call_hold(call, &settled->call);
    settle(node->tasks, on_settled, settled);
}

void reply_settled(struct node *node, struct call *call, cJSON *reply, const char *failure)
{
    reply_later(node, call, reply, failure,
                "p2pctl task list     (after the next start of p2pnode)", tasks_settle);
}

void reply_dropped(struct node *node, struct call *call, cJSON *reply)
{
    reply_later(node, call, reply, "dropped, but not from the disk yet",
                "p2pctl status     (it is tried again until it succeeds)", tasks_settle_drops);
}
