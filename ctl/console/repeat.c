/* SPDX-License-Identifier: MIT */
#include "console/repeat.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct repeat {
    char *name; /* owned; the key */
    char *text; /* owned; the last about it */
};

static void repeat_free(struct repeat *repeat)
{
    free(repeat->name);
    free(repeat->text);
    free(repeat);
}

void repeats_init(struct repeats *repeats)
{
    table_init(&repeats->table, 0, 0);
}

void repeats_done(struct repeats *repeats)
{
    table_for_each (&repeats->table, struct repeat *, repeat)
        repeat_free(repeat);
    table_done(&repeats->table);
}

static int add_first(struct repeats *repeats, const char *name, const char *text)
{
    struct repeat *repeat = calloc(1, sizeof(*repeat));

    if (!repeat)
        return -ENOMEM;
    repeat->name = strdup(name);
    repeat->text = strdup(text);
    if (!repeat->name || !repeat->text || table_insert(&repeats->table, repeat->name, repeat) < 0) {
        repeat_free(repeat);
        return -ENOMEM;
    }
    return 1;
}

int repeats_add(struct repeats *repeats, const char *name, const char *text)
{
    struct repeat *repeat = table_find(&repeats->table, name);
    char *copy;

    if (!repeat)
        return add_first(repeats, name, text);
    if (strcmp(repeat->text, text) == 0)
        return 0;
    copy = strdup(text);
    if (!copy)
        return -ENOMEM;
    free(repeat->text);
    repeat->text = copy;
    return 1;
}
