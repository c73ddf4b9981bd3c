/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The programs that a configuration names: of task types, hooks, tasks.on_done and
 * messages.handler. What is wrong with one of them is heard only when it is to run, in the log;
 * this tells it before. A bare word is found by the PATH of who runs it, and not looked at.
 */

#include <stdbool.h>
#include "config/config.h"

#define PROGRAM_TEXT_MAX 512

struct program_trouble {
    const char *key;                /* "tasks.types" */
    char message[PROGRAM_TEXT_MAX]; /* "type "a": there is no /opt/a.sh"; without the key */
    char fix[PROGRAM_TEXT_MAX];     /* what to do about it */
};

/**
 * programs_check() - look for each of them
 * @is_unit: whether p2pnode-exec@ runs them, which shows them no /home and a /tmp of its own
 * @each:    is called for each one that cannot run, with what is the first to be mended; what it
 *           gets is borrowed for the call
 *
 * Looks with the rights of the caller: what it may not see is taken for right. Return: 0, -ENOMEM.
 */
int programs_check(const struct config *config, bool is_unit,
                   void (*each)(const struct program_trouble *trouble, void *data), void *data);
