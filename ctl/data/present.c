/* SPDX-License-Identifier: MIT */
#include "data/present.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void present_done(struct present *present)
{
    table_for_each (&present->names, char *, name)
        free(name);
    table_done(&present->names);
    present->is_known = false;
}

static bool add(struct present *present, const char *name)
{
    char *copy = strdup(name);
    int r = copy ? table_insert(&present->names, copy, copy) : -ENOMEM;

    if (r < 0)
        free(copy);
    return r == 0 || r == -EEXIST; /* of one that came meanwhile readdir() may tell twice */
}

void present_find(struct present *present, const char *directory, size_t max)
{
    DIR *stream = opendir(directory);
    const struct dirent *entry;

    table_init(&present->names, 0, (uint64_t)(uintptr_t)present);
    present->is_known = stream != NULL;
    while (present->is_known && (errno = 0, entry = readdir(stream)))
        present->is_known = present->names.count < max && add(present, entry->d_name);
    if (!present->is_known || errno != 0)
        present_done(present);
    if (stream)
        (void)closedir(stream);
}

bool present_may_have(const struct present *present, const char *name)
{
    return !present->is_known || table_find(&present->names, name);
}
