/* SPDX-License-Identifier: MIT */
#include "store/bundles.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include "base/disk.h"
#include "store/attempt_files.h"
#include "store/removal.h"
#include "store/state_core.h"

#define DIRECTORY "taskfiles"
#define SUFFIX    ".out"
#define PART      "part."

struct bundles {
    struct state *state;
    int directory_fd;
    atomic_uint_fast64_t serial;
};

static void format_name(const struct bundles_key *key, char target[static ATTEMPT_NAME_SIZE])
{
    struct attempt_name name = {key->origin, key->number, key->attempt};

    if (key->kind == BUNDLES_IN)
        snprintf(target, ATTEMPT_NAME_SIZE, "%" PRIu64 ".in", key->number);
    else
        attempt_files_format(&name, SUFFIX, target);
}

static void format_part(uint64_t serial, char target[static ATTEMPT_NAME_SIZE])
{
    snprintf(target, ATTEMPT_NAME_SIZE, PART "%" PRIu64, serial);
}

/* The reverse of format_name(): whether @name is one that we would give. */
static bool parse_name(const char *name, struct bundles_key *ret)
{
    struct attempt_name attempt;
    char again[ATTEMPT_NAME_SIZE];

    *ret = (struct bundles_key){.kind = BUNDLES_OUT};
    if (attempt_files_parse(name, SUFFIX, &attempt)) {
        ret->origin = attempt.origin;
        ret->number = attempt.number;
        ret->attempt = attempt.attempt;
        return true;
    }
    ret->kind = BUNDLES_IN;
    if (sscanf(name, "%" SCNu64 ".in", &ret->number) != 1)
        return false;
    format_name(ret, again);
    return strcmp(name, again) == 0;
}

int bundles_new(const char *directory, struct state *state, struct bundles **ret)
{
    _cleanup_(bundles_freep) struct bundles *bundles = calloc(1, sizeof(*bundles));

    if (!bundles)
        return -ENOMEM;
    bundles->state = state;
    bundles->directory_fd = attempt_files_open(directory, DIRECTORY);
    if (bundles->directory_fd < 0)
        return bundles->directory_fd;
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

struct sweep {
    bundles_known_t is_known;
    void *data;
};

static bool is_garbage(const char *name, void *data)
{
    const struct sweep *sweep = data;
    struct bundles_key key;

    return strncmp(name, PART, strlen(PART)) == 0 ||
           (parse_name(name, &key) && !sweep->is_known(&key, sweep->data));
}

int bundles_sweep(struct bundles *bundles, bundles_known_t is_known, void *data)
{
    return attempt_files_sweep(bundles->directory_fd, is_garbage, &(struct sweep){is_known, data});
}

int bundles_create(struct bundles *bundles, struct bundles_part *ret)
{
    uint64_t serial = atomic_fetch_add(&bundles->serial, 1);
    char name[ATTEMPT_NAME_SIZE];

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
    char name[ATTEMPT_NAME_SIZE], part_name[ATTEMPT_NAME_SIZE];

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
    char name[ATTEMPT_NAME_SIZE];

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
    char name[ATTEMPT_NAME_SIZE];
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
    char name[ATTEMPT_NAME_SIZE];

    format_name(key, name);
    int fd = openat(bundles->directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

const char *bundles_explain(const struct bundles *bundles, int r)
{
    if (r == -EFBIG)
        return DISK_FILE_LIMIT_TEXT;
    return r == -ENOSPC && disk_has_no_inodes(bundles->directory_fd)
               ? "the disk has no inode left: remove small files there (df -i)"
               : strerror(-r);
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
    char name[ATTEMPT_NAME_SIZE];

    format_name(key, name);
    removal_after(bundles->state, batch, bundles->directory_fd, name);
}
