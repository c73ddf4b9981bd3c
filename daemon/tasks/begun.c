/* SPDX-License-Identifier: MIT */
#include "tasks/begun.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/log.h"
#include "base/table.h"

#define BOOT_ID_PATH "/proc/sys/kernel/random/boot_id"
#define BOOT_ID_SIZE 36
#define PLACES_MAX   65536 /* a file with more is not ours */
#define STARTS_MAX   9

/* Not the same of a copy, nor of what is restored from one. */
struct identity {
    uint64_t device;
    uint64_t inode;
    int64_t born_nsec; /* an inode is used again; 0 = the file system does not say */
};

/* As large as five attempts, so that none of these lies in two pages. */
struct header {
    char magic[8];
    char boot[BOOT_ID_SIZE];
    uint8_t unused[4];
    struct node_id id;
    struct identity file;
    uint64_t starts[STARTS_MAX]; /* the last first; of attempts offered to these, all are here */
};

_Static_assert(sizeof(struct header) == 5 * sizeof(struct slots_key), "places are aligned");

struct place {
    struct slots_key key;
    bool is_kept;  /* in `kept` */
    uint32_t next; /* of those that are free; plus one */
};

struct begun {
    int fd;          /* negative: nothing is known, and nothing is written */
    bool is_written; /* so the next start would believe the file */
    bool is_stuck;   /* it is wrong and cannot be removed */
    char *path;
    struct header header;
    struct place **places; /* owned, with what they point to: `kept` borrows the keys */
    uint32_t count;
    uint32_t free;     /* the first that is free, plus one; 0 = none is */
    struct table kept; /* those that are over, and those of former daemons */
};

static const char magic[8] = "p2pbeg2";

static bool read_boot(char ret[static BOOT_ID_SIZE])
{
    _cleanup_close_ int fd = open(BOOT_ID_PATH, O_RDONLY | O_CLOEXEC);

    return fd >= 0 && read(fd, ret, BOOT_ID_SIZE) == BOOT_ID_SIZE;
}

/* Without the file, or its header, the next start knows nothing. Return: whether that is so. */
static bool spoil(struct begun *begun)
{
    static const struct header none;

    begun->is_stuck = unlink(begun->path) < 0 && errno != ENOENT && begun->is_written &&
                      pwrite(begun->fd, &none, sizeof(none), 0) != (ssize_t)sizeof(none) &&
                      ftruncate(begun->fd, 0) < 0;
    if (!begun->is_stuck)
        begun->fd = close_fd(begun->fd);
    return !begun->is_stuck;
}

static void give_up(struct begun *begun, int error)
{
    log_warning_errno(error, "Cannot keep which tasks began here in %s: %m", begun->path);
    memset(begun->header.starts, 0, sizeof(begun->header.starts));
    if (!spoil(begun))
        log_error_errno(-errno, "Cannot remove %s: no task begins here until it can: %m",
                        begun->path);
}

static bool write_all(struct begun *begun, const void *data, size_t size, size_t offset)
{
    ssize_t n = pwrite(begun->fd, data, size, (off_t)offset);

    if (n == (ssize_t)size)
        return true;
    give_up(begun, n < 0 ? -errno : -ENOSPC);
    return false;
}

static void write_header(struct begun *begun)
{
    const struct header header = begun->header;

    begun->is_written = true;
    (void)write_all(begun, &header, sizeof(header), 0);
}

static size_t offset_of(uint32_t place)
{
    return sizeof(struct header) + place * sizeof(struct slots_key);
}

/* Return: the new place, or negative. */
static int make_place(struct begun *begun)
{
    struct place **places = reallocarray(begun->places, begun->count + 1, sizeof(struct place *));

    if (!places)
        return -ENOMEM;
    begun->places = places;
    places[begun->count] = calloc(1, sizeof(struct place));
    return places[begun->count] ? (int)begun->count++ : -ENOMEM;
}

void begun_release(struct begun *begun, int number)
{
    if (number < 0)
        return;
    struct place *place = begun->places[number];
    if (place->is_kept)
        (void)table_remove(&begun->kept, &place->key);
    place->is_kept = false;
    place->next = begun->free;
    begun->free = (uint32_t)number + 1;
}

/* What was offered up to now is not known any more. */
static void forget(struct begun *begun)
{
    memset(begun->header.starts, 0, sizeof(begun->header.starts));
    write_header(begun);
    for (uint32_t i = 0; i < begun->count; i++)
        if (begun->places[i]->is_kept)
            begun_release(begun, (int)i);
}

void begun_keep(struct begun *begun, int number)
{
    if (number < 0 || begun->fd < 0 || begun->is_stuck)
        return;
    struct place *place = begun->places[number];
    int r = table_insert(&begun->kept, &place->key, place);
    place->is_kept = r >= 0;
    if (r == -EEXIST)
        begun_release(begun, number);
    else if (r < 0 || begun->kept.count > BEGUN_MAX)
        forget(begun);
}

/* Return: 0, or -ENOMEM. */
static int read_places(struct begun *begun, size_t size)
{
    size_t count = (size - sizeof(struct header)) / sizeof(struct slots_key);

    for (uint32_t i = 0; i < count; i++) {
        struct slots_key key;
        if (pread(begun->fd, &key, sizeof(key), (off_t)offset_of(i)) != (ssize_t)sizeof(key))
            return -EIO;
        int r = make_place(begun);
        if (r < 0)
            return r;
        begun->places[i]->key = key;
        r = table_insert(&begun->kept, &begun->places[i]->key, begun->places[i]);
        if (r == -ENOMEM)
            return r;
        begun->places[i]->is_kept = r >= 0;
        if (r < 0)
            begun_release(begun, (int)i);
    }
    return 0;
}

/* Return: whether the file says what the daemon before did. */
static bool is_valid(const struct begun *begun, uint64_t previous, const struct node_id *former,
                     struct header *ret)
{
    const struct header *now = &begun->header;

    return pread(begun->fd, ret, sizeof(*ret), 0) == (ssize_t)sizeof(*ret) &&
           memcmp(ret->magic, now->magic, sizeof(magic)) == 0 &&
           memcmp(ret->boot, now->boot, sizeof(now->boot)) == 0 &&
           memcmp(&ret->file, &now->file, sizeof(now->file)) == 0 &&
           (node_id_is_equal(&ret->id, &now->id) || node_id_is_equal(&ret->id, former)) &&
           ret->starts[0] == previous;
}

static int identify(int fd, const struct stat *status, struct identity *ret)
{
    struct statx more;

    if (statx(fd, "", AT_EMPTY_PATH, STATX_BTIME, &more) < 0)
        return -errno;
    *ret = (struct identity){.device = status->st_dev, .inode = status->st_ino};
    if (more.stx_mask & STATX_BTIME)
        ret->born_nsec =
            (int64_t)more.stx_btime.tv_sec * 1000000000 + (int64_t)more.stx_btime.tv_nsec;
    return 0;
}

/* Return: 0, or why nothing is known. */
static int take_up(struct begun *begun, uint64_t previous, const struct node_id *former)
{
    struct header old;
    struct stat status;
    int r;

    if (!read_boot(begun->header.boot))
        return -EOPNOTSUPP;
    begun->fd = open(begun->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (begun->fd < 0 || fstat(begun->fd, &status) < 0)
        return -errno;
    if (!S_ISREG(status.st_mode))
        return -EINVAL;
    r = identify(begun->fd, &status, &begun->header.file);
    if (r < 0)
        return r;
    size_t size = (size_t)status.st_size;
    if (size >= sizeof(old) && size <= offset_of(PLACES_MAX) &&
        is_valid(begun, previous, former, &old)) {
        memcpy(begun->header.starts + 1, old.starts, sizeof(old.starts) - sizeof(old.starts[0]));
        return read_places(begun, size);
    }
    return ftruncate(begun->fd, 0) < 0 ? -errno : 0;
}

int begun_open(const char *directory, const struct state_start *start, const struct node_id *former,
               struct begun **ret)
{
    _cleanup_(begun_freep) struct begun *begun = calloc(1, sizeof(*begun));

    if (!begun)
        return -ENOMEM;
    begun->fd = -EBADF;
    table_init(&begun->kept, sizeof(struct slots_key), start->generation);
    if (asprintf(&begun->path, "%s/" BEGUN_FILE, directory) < 0) {
        begun->path = NULL;
        return -ENOMEM;
    }
    begun->header = (struct header){.id = start->id, .starts = {start->generation}};
    memcpy(begun->header.magic, magic, sizeof(magic));
    int r = take_up(begun, start->previous_generation, former);
    if (r < 0)
        give_up(begun, r);
    else
        write_header(begun);
    *ret = TAKE_PTR(begun);
    return 0;
}

struct begun *begun_free(struct begun *begun)
{
    if (!begun)
        return NULL;
    for (uint32_t i = 0; i < begun->count; i++)
        free(begun->places[i]);
    free(begun->places);
    table_done(&begun->kept);
    (void)close_fd(begun->fd);
    free(begun->path);
    free(begun);
    return NULL;
}

int begun_add(struct begun *begun, const struct slots_key *key)
{
    int number;

    if (begun->is_stuck && !spoil(begun))
        return -EUCLEAN;
    if (begun->fd < 0)
        return -EBADF;
    if (begun->free > 0) {
        number = (int)begun->free - 1;
        begun->free = begun->places[number]->next;
    } else if ((number = make_place(begun)) < 0 || number >= PLACES_MAX) {
        give_up(begun, number < 0 ? number : -E2BIG);
        return begun->is_stuck ? -EUCLEAN : -ENOMEM;
    }
    begun->places[number]->key = *key;
    if (write_all(begun, key, sizeof(*key), offset_of((uint32_t)number)))
        return number;
    return begun->is_stuck ? -EUCLEAN : -EIO;
}

/* A copy of this node may have run under other starts, and under its id. */
static bool is_known(const struct begun *begun, uint64_t generation)
{
    for (size_t i = 0; i < STARTS_MAX; i++)
        if (generation != 0 && begun->header.starts[i] == generation)
            return true;
    return false;
}

bool begun_has_not(const struct begun *begun, const struct slots_key *key, uint64_t generation)
{
    return begun->fd >= 0 && is_known(begun, generation) && !table_find(&begun->kept, key);
}

void begun_sweep(struct begun *begun, bool (*is_wanted)(const struct slots_key *key, void *data),
                 void *data)
{
    for (uint32_t i = 0; i < begun->count; i++)
        if (begun->places[i]->is_kept && !is_wanted(&begun->places[i]->key, data))
            begun_release(begun, (int)i);
}
