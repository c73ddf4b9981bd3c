/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The system calls that a task may not make, as seccomp programs that are built once and installed
 * in each task: what changes mounts, namespaces, keys, clocks or the kernel, what looks into other
 * processes, what goes around the filter (io_uring), and sockets as far as its level says.
 */

#include <linux/filter.h>
#include <stddef.h>
#include "base/macro.h"

enum filter_kind {
    FILTER_NO_SOCKETS, /* no sockets but pairs: level landlock without network */
    FILTER_INTERNET, /* no Unix sockets, so that nobody on this machine is reached: landlock with it
                      */
    FILTER_NAMESPACES, /* in a private root and a private network, or a network that is allowed */
    _FILTER_KIND_MAX,
};

struct filter {
    struct sock_filter *code; /* owned */
    size_t count;
};

/* Return: 0; -ENOMEM; or what libseccomp said. */
int filter_init(enum filter_kind kind, struct filter *filter);
void filter_done(struct filter *filter);

/* Makes @filter that of this thread and all it starts. Needs no_new_privs. Return: 0 or -errno. */
int filter_install(const struct filter *filter);
