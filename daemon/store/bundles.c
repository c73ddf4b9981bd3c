/* SPDX-License-Identifier: MIT */
#include "store/bundles.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include "store/removal.h"
#include "store/state_core.h"

#define DIRECTORY "taskfiles"
#define PART      "part."

struct bundles {
    struct state *state;
    int directory_fd;
    atomic_uint_fast64_t serial;
};

static void format_name(const struct bundles_key *key, char target[static BUNDLES_NAME_SIZE])
{
    char origin[NODE_ID_TEXT_MAX] = "";

    if (key->kind == BUNDLES_IN) {
        snprintf(target, BUNDLES_NAME_SIZE, "%" PRIu64 ".in", key->number);
        return;
    }
    if (!node_id_is_null(&key->origin))
        node_id_format(&key->origin, origin);
    snprintf(target, BUNDLES_NAME_SIZE, "%s%s%" PRIu64 ".%" PRIu32 ".out", origin,
             *origin ? "." : "", key->number, key->attempt);
}

static void format_part(uint64_t serial, char target[static BUNDLES_NAME_SIZE])
{
    snprintf(target, BUNDLES_NAME_SIZE, PART "%" PRIu64, serial);
}

/* The reverse of format_name(): whether @name is one that we would give. */
static bool parse_name(const char *name, struct bundles_key *ret)
{
    struct bundles_key key = {.kind = BUNDLES_OUT};
    char origin[NODE_ID_TEXT_MAX], again[BUNDLES_NAME_SIZE];
    const char *rest = name, *dot = strrchr(name, '.');

    if (dot && strcmp(dot, ".in") == 0) {
        key.kind = BUNDLES_IN;
        if (sscanf(rest, "%" SCNu64 ".in", &key.number) != 1)
            return false;
    } else {
        if (strlen(name) > NODE_ID_TEXT_MAX && name[NODE_ID_TEXT_MAX - 1] == '.') {
            memcpy(origin, name, NODE_ID_TEXT_MAX - 1);
            origin[NODE_ID_TEXT_MAX - 1] = '\0';
            if (node_id_parse(origin, &key.origin) < 0)
                return false;
            rest = name + NODE_ID_TEXT_MAX;
        }
        if (sscanf(rest, "%" SCNu64 ".%" SCNu32 ".out", &key.number, &key.attempt) != 2)
            return false;
    }
    format_name(&key, again);
    *ret = key;
    return strcmp(name, again) == 0;
}

int bundles_new(const char *directory, struct state *state, struct bundles **ret)
{
    _cleanup_(bundles_freep) struct bundles *bundles = calloc(1, sizeof(*bundles));
    _cleanup_close_ int fd = -EBADF;

    if (!bundles)
        return -ENOMEM;
    bundles->state = state;
    bundles->directory_fd = -EBADF;
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || (mkdirat(fd, DIRECTORY, 0700) < 0 && errno != EEXIST))
        return -errno;
    bundles->directory_fd = openat(fd, DIRECTORY, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (bundles->directory_fd < 0)
        return -errno;
    *ret = TAKE_PTR(bundles);
    return 0;
}

struct bundles *bundles_free(struct bundles *bundles)
{
    if (!bundles)
        return NULL;
    close_fd(bundles->directory_fd);
    free(bundles);
    return NULL;
}

static void close_stream(DIR **stream)
{
    if (*stream)
        (void)closedir(*stream);
}

int bundles_sweep(struct bundles *bundles, bundles_known_t is_known, void *data)
{
    _cleanup_close_ int fd = openat(bundles->directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    _cleanup_(close_stream) DIR *stream = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    struct bundles_key key;

    if (!stream)
        return -errno;
    (void)TAKE_FD(fd);
    while (errno = 0, (entry = readdir(stream))) {
        bool is_part = strncmp(entry->d_name, PART, strlen(PART)) == 0;
        if ((is_part || (parse_name(entry->d_name, &key) && !is_known(&key, data))) &&
            unlinkat(bundles->directory_fd, entry->d_name, 0) < 0)
            return -errno;
    }
    return -errno;
}

int bundles_create(struct bundles *bundles, struct bundles_part *ret)
{
    uint64_t serial = atomic_fetch_add(&bundles->serial, 1);
    char name[BUNDLES_NAME_SIZE];

    format_part(serial, name);
    int fd = openat(bundles->directory_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                    0600);
    if (fd < 0)
        return -errno;
    *ret = (struct bundles_part){.bundles = bundles, .fd = fd, .serial = serial};
    return 0;
}

int bundles_keep(struct bundles_part *part, const struct bundles_key *key)
{
    int directory_fd = part->bundles->directory_fd;
    char name[BUNDLES_NAME_SIZE], part_name[BUNDLES_NAME_SIZE];

    format_part(part->serial, part_name);
    format_name(key, name);
    if (fsync(part->fd) < 0 || renameat(directory_fd, part_name, directory_fd, name) < 0)
        return -errno;
    part->bundles = NULL;
    part->fd = close_fd(part->fd);
    return fsync(directory_fd) < 0 ? -errno : 0;
}

void bundles_part_done(struct bundles_part *part)
{
    char name[BUNDLES_NAME_SIZE];

    if (part->bundles) {
        format_part(part->serial, name);
        (void)unlinkat(part->bundles->directory_fd, name, 0);
        close_fd(part->fd);
    }
    *part = BUNDLES_PART_NONE;
}

int bundles_create_unnamed(struct bundles *bundles)
{
    struct bundles_part part = BUNDLES_PART_NONE;
    char name[BUNDLES_NAME_SIZE];
    int r = bundles_create(bundles, &part);

    if (r < 0)
        return r;
    format_part(part.serial, name);
    if (unlinkat(bundles->directory_fd, name, 0) < 0) {
        r = -errno;
        close_fd(part.fd);
        return r;
    }
    return part.fd;
}

int bundles_open_read(const struct bundles *bundles, const struct bundles_key *key)
{
    char name[BUNDLES_NAME_SIZE];

    format_name(key, name);
    int fd = openat(bundles->directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

uint64_t bundles_get_space(const struct bundles *bundles, uint64_t reserve)
{
    struct statvfs status;

    if (fstatvfs(bundles->directory_fd, &status) < 0)
        return 0;
    uint64_t available = (uint64_t)status.f_bavail * status.f_frsize;
    return available - MIN(available, reserve);
}

void bundles_remove(struct bundles *bundles, const struct bundles_key *key,
                    struct state_batch *batch)
{
    char name[BUNDLES_NAME_SIZE];

    format_name(key, name);
    removal_after(bundles->state, batch, bundles->directory_fd, name);
}
