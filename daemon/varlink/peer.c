/* SPDX-License-Identifier: MIT */
#include "varlink/peer.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GROUPS_MAX 1024

static bool is_in_group(const char *name, gid_t gid, const gid_t *groups, size_t count)
{
    struct group *group = *name ? getgrnam(name) : NULL;

    if (!group)
        return false;
    for (size_t i = 0; i < count; i++)
        if (groups[i] == group->gr_gid)
            return true;
    return gid == group->gr_gid;
}

int peer_identify(int fd, const char *user_group, const char *admin_group, struct peer *ret)
{
    gid_t groups[GROUPS_MAX];
    socklen_t size = sizeof(groups);
    struct ucred who;
    socklen_t who_size = sizeof(who);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &who_size) < 0)
        return -errno;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
        size = 0;
    size_t count = size / sizeof(groups[0]);
    struct peer peer = {.uid = who.uid};
    struct caller *caller = &peer.caller;
    const struct passwd *user = getpwuid(who.uid);
    if (user && strlen(user->pw_name) < 64)
        strcpy(caller->user, user->pw_name);
    else
        snprintf(caller->user, sizeof(caller->user), "%u", (unsigned)who.uid);
    caller->is_admin =
        who.uid == 0 || who.uid == geteuid() || is_in_group(admin_group, who.gid, groups, count);
    peer.may_call = caller->is_admin || is_in_group(user_group, who.gid, groups, count);
    *ret = peer;
    return 0;
}
