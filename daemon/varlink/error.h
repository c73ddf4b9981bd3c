/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The closed list of error codes (cli.md §6), each with its Varlink name and p2pctl's exit code.
 * One table for the daemon and for p2pctl.
 */

#include <stddef.h>

enum error_code {
    ERROR_USAGE,
    ERROR_NOT_RUNNING,
    ERROR_NOT_FOUND,
    ERROR_DEGRADED,
    ERROR_NOT_PERMITTED,
    ERROR_UNREACHABLE,
    ERROR_TIMEOUT,
    ERROR_CONFLICT,
    ERROR_TOO_LARGE,
    ERROR_NO_SPACE,
    ERROR_BUSY,
    ERROR_CONFIDENTIAL,
    ERROR_NO_HANDLER,
    ERROR_BAD_CONFIG,
    ERROR_VERSION,
    ERROR_INTERNAL,
    _ERROR_CODE_MAX,
};

const char *error_get_code(enum error_code code);    /* "not-found" */
const char *error_get_varlink(enum error_code code); /* "org.p2pnode.NotFound" */
int error_get_exit(enum error_code code);            /* 4 */

/*
 * The code of a Varlink error name; the standard org.varlink.service errors are ERROR_USAGE (a
 * wrong parameter) or ERROR_VERSION (an unknown method), any other is ERROR_INTERNAL.
 */
enum error_code error_from_varlink(const char *name);

/* The code that tells a negative errno best. */
enum error_code error_from_errno(int error);

/* How @user, a name or the number of a user who has none, gets into @group. Returns @target. */
char *error_format_group_hint(const char *group, const char *user, char *target, size_t size);
