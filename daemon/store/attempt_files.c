/* SPDX-License-Identifier: MIT */
#include "store/attempt_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/macro.h"

int attempt_files_open(const char *directory, const char *name)
{
    _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0 || (mkdirat(fd, name, 0700) < 0 && errno != EEXIST))
        return -errno;
    int folder_fd = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return folder_fd < 0 ? -errno : folder_fd;
}

void attempt_files_format(const struct attempt_name *name, const char *suffix,
                          char target[static ATTEMPT_NAME_SIZE])
{
    char origin[NODE_ID_TEXT_MAX] = "";

    if (!node_id_is_null(&name->origin))
        node_id_format(&name->origin, origin);
    snprintf(target, ATTEMPT_NAME_SIZE, "%s%s%" PRIu64 ".%" PRIu32 "%s", origin, *origin ? "." : "",
             name->number, name->attempt, suffix);
}

bool attempt_files_parse(const char *text, const char *suffix, struct attempt_name *ret)
{
    struct attempt_name name = {.origin = NODE_ID_NULL};
    char origin[NODE_ID_TEXT_MAX], again[ATTEMPT_NAME_SIZE];
    const char *rest = text;

    if (strlen(text) > NODE_ID_TEXT_MAX && text[NODE_ID_TEXT_MAX - 1] == '.') {
        memcpy(origin, text, NODE_ID_TEXT_MAX - 1);
        origin[NODE_ID_TEXT_MAX - 1] = '\0';
        if (node_id_parse(origin, &name.origin) < 0)
            return false;
        rest = text + NODE_ID_TEXT_MAX;
    }
    if (sscanf(rest, "%" SCNu64 ".%" SCNu32, &name.number, &name.attempt) != 2)
        return false;
    attempt_files_format(&name, suffix, again);
    *ret = name;
    return strcmp(text, again) == 0;
}

static void close_stream(DIR **stream)
{
    if (*stream)
        (void)closedir(*stream);
}

int attempt_files_sweep(int directory_fd, attempt_files_is_garbage_t is_garbage, void *data)
{
    _cleanup_close_ int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(close_stream) DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;

    if (!stream)
        return -errno;
    (void)TAKE_FD(fd);
    while (errno = 0, (entry = readdir(stream)))
        if (is_garbage(entry->d_name, data) && unlinkat(directory_fd, entry->d_name, 0) < 0)
            return -errno;
    return -errno;
}
