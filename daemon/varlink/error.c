/* SPDX-License-Identifier: MIT */
#include "varlink/error.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include "base/macro.h"

static const struct {
    const char *code;
    const char *varlink;
    int exit;
} errors[] = {
    [ERROR_USAGE] = {"usage", "org.p2pnode.Usage", 2},
    [ERROR_NOT_RUNNING] = {"not-running", "org.p2pnode.NotRunning", 3},
    [ERROR_NOT_FOUND] = {"not-found", "org.p2pnode.NotFound", 4},
    [ERROR_DEGRADED] = {"degraded", "org.p2pnode.Degraded", 5},
    [ERROR_NOT_PERMITTED] = {"not-permitted", "org.p2pnode.NotPermitted", 6},
    [ERROR_UNREACHABLE] = {"unreachable", "org.p2pnode.Unreachable", 7},
    [ERROR_TIMEOUT] = {"timeout", "org.p2pnode.Timeout", 124},
    [ERROR_CONFLICT] = {"conflict", "org.p2pnode.Conflict", 1},
    [ERROR_TOO_LARGE] = {"too-large", "org.p2pnode.TooLarge", 1},
    [ERROR_NO_SPACE] = {"no-space", "org.p2pnode.NoSpace", 1},
    [ERROR_BUSY] = {"busy", "org.p2pnode.Busy", 1},
    [ERROR_CONFIDENTIAL] = {"confidential", "org.p2pnode.Confidential", 2},
    [ERROR_NO_HANDLER] = {"no-handler", "org.p2pnode.NoHandler", 4},
    [ERROR_BAD_CONFIG] = {"bad-config", "org.p2pnode.BadConfig", 2},
    [ERROR_VERSION] = {"version", "org.p2pnode.Version", 1},
    [ERROR_INTERNAL] = {"internal", "org.p2pnode.Internal", 1},
};
_Static_assert(ARRAY_SIZE(errors) == _ERROR_CODE_MAX, "one row per code");

const char *error_get_code(enum error_code code)
{
    return errors[code].code;
}

const char *error_get_varlink(enum error_code code)
{
    return errors[code].varlink;
}

int error_get_exit(enum error_code code)
{
    return errors[code].exit;
}

enum error_code error_from_varlink(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(errors); i++)
        if (strcmp(errors[i].varlink, name) == 0)
            return (enum error_code)i;
    if (strcmp(name, "org.varlink.service.InvalidParameter") == 0)
        return ERROR_USAGE;
    if (strncmp(name, "org.varlink.service.", 20) == 0)
        return ERROR_VERSION;
    return ERROR_INTERNAL;
}

enum error_code error_from_errno(int error)
{
    switch (-error) {
    case ENOENT:
        return ERROR_NOT_FOUND;
    case EACCES:
    case EPERM:
        return ERROR_NOT_PERMITTED;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ECONNREFUSED:
    case ECONNRESET:
    case ENOTCONN:
    case EPIPE:
        return ERROR_UNREACHABLE;
    case ETIMEDOUT:
        return ERROR_TIMEOUT;
    case EEXIST:
    case ESTALE:
    case ELOOP:
        return ERROR_CONFLICT;
    case EMSGSIZE:
    case EFBIG:
        return ERROR_TOO_LARGE;
    case ENOSPC:
    case EDQUOT:
        return ERROR_NO_SPACE;
    case EBUSY:
    case ENOBUFS:
        return ERROR_BUSY;
    case EINVAL:
        return ERROR_USAGE;
    default:
        return ERROR_INTERNAL;
    }
}

char *error_format_group_hint(const char *group, const char *user, char *target, size_t size)
{
    if (getpwnam(user))
        snprintf(target, size,
                 "ask an administrator: usermod -aG %.64s %.64s     (then log in again)", group,
                 user);
    else
        snprintf(target, size,
                 "ask an administrator: useradd --no-create-home --uid %.64s --groups %.64s NAME"
                 "     (then log in as NAME)",
                 user, group);
    return target;
}
