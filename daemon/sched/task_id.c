/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "sched/task.h"

char *task_id_format(uint64_t number, const char *origin, char target[static TASK_ID_TEXT_MAX])
{
    (void)snprintf(target, TASK_ID_TEXT_MAX, "%" PRIu64 "@%s", number, origin);
    return target;
}

int task_id_parse(const char *text, const char *prefix, uint64_t *ret_number,
                  char ret_origin[static NODE_NAME_MAX + 1])
{
    uint64_t number = 0;
    const char *c = text;

    if (strncmp(text, prefix, strlen(prefix)) != 0)
        return -EINVAL;
    c += strlen(prefix);
    if (*c < '1' || *c > '9')
        return -EINVAL;
    for (; *c >= '0' && *c <= '9'; c++) {
        number = number * 10 + (uint64_t)(*c - '0');
        if (number > TASK_NUMBER_MAX)
            return -EINVAL;
    }
    if (*c == '@' && !text_is_node_name(c + 1))
        return -EINVAL;
    if (*c != '\0' && *c != '@')
        return -EINVAL;
    (void)snprintf(ret_origin, NODE_NAME_MAX + 1, "%s", *c == '@' ? c + 1 : "");
    *ret_number = number;
    return 0;
}
