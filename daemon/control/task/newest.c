/* SPDX-License-Identifier: MIT */
#include "control/task/newest.h"

#include <errno.h>
#include <stdlib.h>
#include "base/macro.h"

int newest_init(struct newest *newest, size_t max)
{
    *newest = (struct newest){.numbers = calloc(max, sizeof(*newest->numbers)), .max = max};
    return newest->numbers ? 0 : -ENOMEM;
}

void newest_done(struct newest *newest)
{
    free(TAKE_PTR(newest->numbers));
}

void newest_add(struct newest *newest, uint64_t number)
{
    newest->numbers[newest->count++ % newest->max] = number;
}

uint64_t newest_find_first(const struct newest *newest, size_t wanted)
{
    wanted = MIN(wanted, newest->max);
    if (wanted >= newest->count)
        return 0;
    return wanted == 0 ? UINT64_MAX : newest->numbers[(newest->count - wanted) % newest->max];
}
