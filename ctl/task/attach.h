/* SPDX-License-Identifier: MIT */
#pragma once

/* The files that `submit` sends with a task (--in, --stdin, and the patterns of --out), and `run`
 * with a list. */

#include <cjson/cJSON.h>
#include "ctl.h"

#define ATTACH_MAX 64 /* of them */

struct attachments {
    int fds[ATTACH_MAX]; /* owned; descriptors of the call, in this order */
    size_t fds_count;
};

/* Opens what the options name, and adds it to the parameters of Submit. Return: 0, or the exit code
 * after telling. */
int attach_files(struct ctl *ctl, cJSON *parameters, struct attachments *ret);

/* One regular file more. Return: 0, or the exit code after telling. */
int attachments_add_file(struct ctl *ctl, struct attachments *attachments, const char *path);
void attachments_done(struct attachments *attachments);
