/* SPDX-License-Identifier: MIT */
#include "data/present.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/macro.h"

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void present_done(struct present *present)
{
    for (size_t i = 0; i < present->count; i++)
        free(present->names[i]);
    free(present->names);
    *present = (struct present){.names = NULL};
}

static bool add_present(struct present *present, const char *name)
{
    if (present->count == present->allocated) {
        size_t allocated = MAX((size_t)64, 2 * present->allocated);
        char **names = reallocarray(present->names, allocated, sizeof(*names));
        if (!names)
            return false;
        present->names = names;
        present->allocated = allocated;
    }
    present->names[present->count] = strdup(name);
    return present->names[present->count++] != NULL;
}

void present_find(struct present *present, const char *directory, size_t max)
{
    DIR *stream = opendir(directory);
    const struct dirent *entry;
    bool is_whole = stream != NULL;

    *present = (struct present){.names = NULL};
    while (is_whole && (errno = 0, entry = readdir(stream)))
        is_whole = present->count < max && add_present(present, entry->d_name);
    if (!is_whole || errno != 0)
        present_done(present);
    else
        qsort(present->names, present->count, sizeof(char *), compare_names);
    if (stream)
        (void)closedir(stream);
}

bool present_may_have(const struct present *present, const char *name)
{
    return !present->names ||
           bsearch(&name, present->names, present->count, sizeof(char *), compare_names);
}
