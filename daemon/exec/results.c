/* SPDX-License-Identifier: MIT */
#include "exec/results.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include "base/bundle.h"
#include "base/disk.h"
#include "base/glob.h"
#include "base/table.h"
#include "base/text.h"

#define VISITS_MAX 1000000 /* entries looked at, whatever the task has made */

struct packer {
    const struct exec_start *start; /* borrowed */
    struct exec_results *results;   /* borrowed */
    int bundle_fd;
    uint64_t end;       /* of the bundle so far */
    uint64_t size;      /* of the files' bytes */
    struct table names; /* owned strings: a file is packed once */
    uint16_t tag;       /* the pattern that is at work */
    bool has_matched;
    unsigned visits;
    unsigned notes;
    char path[BUNDLE_NAME_MAX + 1]; /* below the work directory */
};

/* The first thing to say is said; of others only that there are. */
static void _printf_(2, 3) note(struct packer *packer, const char *format, ...)
{
    char *text = packer->results->note;
    va_list arguments;

    if (packer->notes++ > 0)
        return;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(packer->results->note), format, arguments);
    va_end(arguments);
    (void)text_mend_end(text);
    bool is_text = text_is_utf8(text, strlen(text));
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f || (!is_text && (unsigned char)*c > 0x7f))
            *c = '?';
}

static int check_room(const struct packer *packer, uint64_t size)
{
    struct statvfs status;

    if (packer->start->results_max > 0 &&
        (size > packer->start->results_max || packer->size > packer->start->results_max - size))
        return -EFBIG;
    if (packer->results->count >= BUNDLE_FILES_MAX)
        return -E2BIG;
    if (fstatvfs(packer->bundle_fd, &status) == 0) {
        uint64_t available = (uint64_t)status.f_bavail * status.f_frsize;
        if (available < packer->start->reserve || available - packer->start->reserve < size)
            return -ENOSPC;
    }
    return 0;
}

static int pack(struct packer *packer, int fd, const struct stat *status)
{
    struct bundle_entry entry = {
        .mode = status->st_mode & 0777, .tag = packer->tag, .size = (uint64_t)status->st_size};
    _cleanup_free_ char *name = strdup(packer->path);
    int r = check_room(packer, entry.size);

    if (!name)
        return -ENOMEM;
    snprintf(entry.name, sizeof(entry.name), "%s", packer->path);
    if (r < 0)
        return r;
    int64_t offset = bundle_add_head(packer->bundle_fd, packer->end, &entry);
    r = offset < 0 ? (int)offset
                   : bundle_copy(fd, 0, packer->bundle_fd, (uint64_t)offset, entry.size);
    if (r == -EFBIG)
        return -DISK_FILE_LIMIT;
    if (r >= 0)
        r = table_insert(&packer->names, name, name);
    if (r < 0)
        return r;
    (void)TAKE_PTR(name);
    packer->end = (uint64_t)offset + entry.size;
    packer->size += entry.size;
    packer->results->count++;
    return 0;
}

/* A file that a pattern means. Return: 0, or why nothing more can be packed. */
static int take_file(struct packer *packer, int directory_fd, const char *name)
{
    struct stat status;

    if (table_find(&packer->names, packer->path)) {
        packer->has_matched = true;
        return 0;
    }
    _cleanup_close_ int fd =
        openat(directory_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &status) < 0) {
        note(packer, "%s cannot be read: %s", packer->path, strerror(errno));
        return 0;
    }
    if (!S_ISREG(status.st_mode)) {
        note(packer, "%s is no regular file, and was left", packer->path);
        return 0;
    }
    packer->has_matched = true;
    return pack(packer, fd, &status);
}

static int walk(struct packer *packer, int directory_fd, size_t path_size, const char *pattern);

/* An entry whose name matches; @rest is what is left of the pattern, NULL = nothing. */
static int visit(struct packer *packer, int directory_fd, size_t path_size, const char *name,
                 const char *rest)
{
    struct stat status;
    int size = snprintf(packer->path + path_size, sizeof(packer->path) - path_size, "%s%s",
                        path_size > 0 ? "/" : "", name);

    if (++packer->visits > VISITS_MAX)
        return -E2BIG;
    if (size < 0 || path_size + (size_t)size >= sizeof(packer->path) ||
        !bundle_is_name(packer->path)) {
        note(packer,
             "%s has a name that cannot be sent, or is below more than %d directories, "
             "and was left",
             packer->path, BUNDLE_PARTS_MAX - 1);
        return 0;
    }
    if (fstatat(directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return 0;
    if (S_ISDIR(status.st_mode)) {
        _cleanup_close_ int fd =
            openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        return fd < 0 ? 0 : walk(packer, fd, path_size + (size_t)size, rest);
    }
    if (rest)
        return 0;
    if (S_ISLNK(status.st_mode)) {
        note(packer, "%s is a symbolic link, and was left", packer->path);
        return 0;
    }
    return S_ISREG(status.st_mode)
               ? take_file(packer, directory_fd, name)
               : (note(packer, "%s is no regular file, and was left", packer->path), 0);
}

static void close_stream(DIR **stream)
{
    if (*stream)
        (void)closedir(*stream);
}

/* A leading '.' is only matched by one. */
static bool is_meant(const char *pattern, const char *name)
{
    return (*name != '.' || *pattern == '.' || strncmp(pattern, "\\.", 2) == 0) &&
           glob_matches(pattern, name);
}

/* What is in a directory and matches @pattern; NULL = everything, with all that is below. */
static int walk(struct packer *packer, int directory_fd, size_t path_size, const char *pattern)
{
    int copy = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(close_stream) DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    char part[BUNDLE_NAME_MAX + 1] = "";
    const char *slash = pattern ? strchr(pattern, '/') : NULL;
    const struct dirent *entry;
    int r = 0;

    if (!stream) {
        close_fd(copy);
        return 0;
    }
    if (pattern)
        snprintf(part, sizeof(part), "%.*s", slash ? (int)(slash - pattern) : (int)sizeof(part) - 1,
                 pattern);
    while (r == 0 && (entry = readdir(stream))) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || (pattern && !is_meant(part, name)))
            continue;
        r = visit(packer, directory_fd, path_size, name, slash ? slash + 1 : NULL);
        packer->path[path_size] = '\0';
    }
    return r;
}

static int pack_all(struct packer *packer, int work_fd)
{
    int64_t begun = bundle_begin(packer->bundle_fd);
    int r = begun < 0 ? (int)begun : 0;

    packer->end = BUNDLE_MARK_SIZE;
    for (char **glob = packer->start->outs; *glob && r == 0; glob++) {
        packer->has_matched = false;
        packer->path[0] = '\0';
        r = walk(packer, work_fd, 0, *glob);
        if (r == 0 && !packer->has_matched)
            note(packer, "no file matches %s", *glob);
        packer->tag++;
    }
    return r;
}

void results_pack(int work_fd, int bundle_fd, const struct exec_start *start,
                  struct exec_results *ret)
{
    struct packer packer = {.start = start, .results = ret, .bundle_fd = bundle_fd};

    *ret = (struct exec_results){0};
    table_init(&packer.names, 0, 0);
    int r = pack_all(&packer, work_fd);
    if (r < 0) {
        ret->count = 0;
        ret->note[0] = '\0';
    } else if (packer.notes > 1) {
        size_t used = strlen(ret->note);
        snprintf(ret->note + used, sizeof(ret->note) - used, "; and %u more", packer.notes - 1);
    }
    ret->error = r;
    ret->size = r < 0 || ret->count == 0 ? 0 : packer.end;
    ret->bytes = ret->size > 0 ? packer.size : 0;
    table_for_each (&packer.names, char *, name)
        free(name);
    table_done(&packer.names);
}
