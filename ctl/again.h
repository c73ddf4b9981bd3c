/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What was submitted goes on without us. So a daemon that is gone while we look on is waited for,
 * and where it does not come back, the user hears how to.
 */

#include "ctl.h"

/* How often in a row the connection was lost. */
struct again {
    unsigned losses;
};

/* Something was heard: the next loss is the first one again. */
static inline void again_heard(struct again *again)
{
    again->losses = 0;
}

/**
 * again_connect() - after CLIENT_LOST: wait until the daemon runs again, and connect
 * @what:     that goes on, for the user: "w7@lab-01"
 * @command:  how to look on later, without "p2pctl ": "task wait 42"
 *
 * Return: 0; CLIENT_INTERRUPTED; or the exit code after telling, where nobody listens within
 * --request-timeout.
 */
int again_connect(struct ctl *ctl, struct again *again, const char *what, const char *command);
