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
    free(TAKE_PTR(newest->open));
    newest->open_count = newest->open_allocated = 0;
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

int newest_add_open(struct newest *newest, uint64_t number)
{
    if (newest->open_count == newest->open_allocated) {
        size_t allocated = MAX((size_t)64, newest->open_allocated * 2);
        uint64_t *open = reallocarray(newest->open, allocated, sizeof(*open));
        if (!open)
            return -ENOMEM;
        newest->open = open;
        newest->open_allocated = allocated;
    }
    newest->open[newest->open_count++] = number;
    return 0;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

bool newest_was_open(const struct newest *newest, uint64_t number)
{
    return newest->open_count > 0 &&
           bsearch(&number, newest->open, newest->open_count, sizeof(number), compare);
}

void newest_keep_open(struct newest *newest, uint64_t first)
{
    free(TAKE_PTR(newest->numbers));
    while (newest->open_count > 0 && newest->open[newest->open_count - 1] >= first)
        newest->open_count--;
    if (newest->open_count == 0) {
        free(TAKE_PTR(newest->open));
        newest->open_allocated = 0;
    }
}
