/* SPDX-License-Identifier: MIT */
#include "clocks.h"

#include <stdlib.h>
#include "base/macro.h"

void clocks_hear(struct clocks *clocks, const struct node_id *id, uint64_t wall_usec,
                 uint64_t own_wall_usec, usec_t now)
{
    size_t i = 0;

    while (i < clocks->count && !node_id_is_equal(&clocks->items[i].id, id))
        i++;
    if (i == clocks->count) {
        i = clocks->next++ % CLOCKS_MAX;
        clocks->count = MIN(clocks->count + 1, (size_t)CLOCKS_MAX);
    }
    clocks->items[i].id = *id;
    clocks->items[i].ahead_usec = (int64_t)(wall_usec - own_wall_usec);
    clocks->items[i].heard_usec = now;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

size_t clocks_compare(const struct clocks *clocks, usec_t now, int64_t *ret_ahead_usec)
{
    int64_t fresh[CLOCKS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < clocks->count; i++)
        if (usec_sub(now, clocks->items[i].heard_usec) <= CLOCKS_FRESH_USEC)
            fresh[count++] = clocks->items[i].ahead_usec;
    if (count == 0)
        return 0;
    qsort(fresh, count, sizeof(fresh[0]), compare);
    *ret_ahead_usec = fresh[count / 2];
    return count;
}
