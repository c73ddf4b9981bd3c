/* SPDX-License-Identifier: MIT */
#include "store/glob.h"

#include <stdbool.h>
#include <string.h>

/* Bytes of the class that begins here, "[!-]" or "[]a]"; 0 for a bracket that nothing closes. */
static size_t get_class_size(const char *glob)
{
    size_t start = glob[1] == '^' ? 2 : 1;
    const char *end = glob[start] ? strchr(glob + start + 1, ']') : NULL;

    return *glob == '[' && end ? (size_t)(end - glob) + 1 : 0;
}

void glob_translate(const char *glob, char target[static 3 * GLOB_SIZE_MAX + 1])
{
    while (*glob) {
        size_t size = get_class_size(glob);
        if (size > 0) {
            memcpy(target, glob, size);
            target += size;
            glob += size;
            continue;
        }
        bool is_escaped = *glob == '\\' && glob[1] != '\0';
        glob += is_escaped;
        if (is_escaped && strchr("*?[", *glob)) {
            *target++ = '[';
            *target++ = *glob++;
            *target++ = ']';
        } else {
            *target++ = *glob++;
        }
    }
    *target = '\0';
}
