/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Landlock by its system calls: what of the file system a task may touch, and (from ABI 6 on) that
 * it cannot signal or reach by abstract socket what is outside of its sandbox. Rules are opened
 * once, as descriptors; each task's ruleset adds its own directories. What an older kernel does not
 * know is left out.
 */

#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"

#define LANDLOCK_SCOPE_ABI 6 /* the first that keeps signals inside */

enum landlock_right {
    LANDLOCK_READ,    /* and execute */
    LANDLOCK_WRITE,   /* everything but device nodes */
    LANDLOCK_DEVICE,  /* read and write a device, no more */
    LANDLOCK_LIST,    /* list directories */
    LANDLOCK_PROCESS, /* read and write files, list directories: for a private /proc */
};

/* The ABI of this kernel, 1 and up. Return: -ENOSYS or -EOPNOTSUPP where there is none. */
int landlock_get_abi(void);

/* A ruleset that forbids what @abi can forbid. Return: a descriptor, or -errno. */
int landlock_new_ruleset(int abi);

/* Allows @right for @path_fd (O_PATH) and what is beneath. Return: 0 or -errno. */
int landlock_allow(int ruleset, int abi, int path_fd, enum landlock_right right);

/* Puts this thread under @ruleset for good. Needs no_new_privs. Return: 0 or -errno. */
int landlock_enter(int ruleset);
