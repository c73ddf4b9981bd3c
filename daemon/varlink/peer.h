/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Who is at the other end of a connection to the control socket, as the kernel says: SO_PEERCRED
 * for the user, SO_PEERGROUPS for the groups beside its own.
 */

#include <sys/types.h>
#include "varlink/call.h"

struct peer {
    uid_t uid;
    struct caller caller; /* with is_admin; a user without a name is called by its number */
    bool may_call;
};

/* Root, the daemon's own user and those in @admin_group are administrators; they and those in
 * @user_group may call. "" or unknown = a group without members. Return: 0, negative errno. */
int peer_identify(int fd, const char *user_group, const char *admin_group, struct peer *ret);
