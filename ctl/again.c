/* SPDX-License-Identifier: MIT */
#include "again.h"

#include <stdio.h>
#include "client.h"
#include "console/failure.h"

/* A daemon that ends whenever it is asked will not get better by asking. */
#define LOSSES_MAX 20

int again_connect(struct ctl *ctl, struct again *again, const char *what, const char *command)
{
    _cleanup_free_ char *hints = NULL;
    int r = CLIENT_LOST;

    if (ctl_is_chatty(ctl) && again->losses == 0)
        fputs("lost the connection to p2pnode; waiting for it to run again\n", stderr);
    if (again->losses++ < LOSSES_MAX)
        r = client_reconnect(ctl, ctl->globals.request_timeout_usec);
    if (r != CLIENT_LOST)
        return r;
    if (asprintf(&hints, "%s goes on as soon as p2pnode runs again; look on with: p2pctl %s", what,
                 command) < 0) {
        hints = NULL;
        return fail_memory();
    }
    return fail(ERROR_INTERNAL, NULL, hints, "lost the connection to p2pnode");
}
