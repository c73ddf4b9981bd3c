/* SPDX-License-Identifier: MIT */
#include "store/state_room.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>
#include "base/macro.h"

#define RESERVE_FILE "state.reserve"
#define RESERVE_MIN  ((uint64_t)512 * 1024) /* beside the size of the log */
#define RESERVE_STEP ((uint64_t)256 * 1024)
#define RESTS        64   /* commits after one that had no room */
#define PAGE_SIZE    4096 /* SQLite's default, as well */
#define LOG_PAGES    1000 /* from so many on, the log is brought to the database: SQLite's default */

static int on_commit(void *data, sqlite3 *database, const char *name, int pages)
{
    struct state_room *room = data;

    room->log_size = (uint64_t)pages * PAGE_SIZE;
    if (pages >= LOG_PAGES)
        (void)sqlite3_wal_checkpoint(database, name);
    return SQLITE_OK;
}

int state_room_open(struct state_room *room, const char *directory)
{
    *room =
        (struct state_room){.directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (room->directory_fd < 0)
        return -errno;
    (void)unlinkat(room->directory_fd, RESERVE_FILE, 0);
    return 0;
}

void state_room_watch(struct state_room *room, sqlite3 *database)
{
    (void)sqlite3_wal_hook(database, on_commit, room);
}

void state_room_close(struct state_room *room)
{
    close_fd(room->directory_fd);
}

void state_room_reserve(struct state_room *room)
{
    uint64_t size = RESERVE_MIN + (room->log_size + RESERVE_STEP - 1) / RESERVE_STEP * RESERVE_STEP;

    if (room->reserved >= size || room->rests > 0) {
        room->rests -= room->rests > 0;
        return;
    }
    _cleanup_close_ int fd =
        openat(room->directory_fd, RESERVE_FILE, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && fallocate(fd, 0, 0, (off_t)size) == 0) {
        room->reserved = size;
        return;
    }
    /* A file system that cannot do it will not learn it. */
    room->rests = errno == EOPNOTSUPP ? UINT_MAX : RESTS;
    if (room->reserved == 0)
        (void)unlinkat(room->directory_fd, RESERVE_FILE, 0);
}

void state_room_give(struct state_room *room, sqlite3 *database)
{
    (void)unlinkat(room->directory_fd, RESERVE_FILE, 0);
    room->reserved = 0;
    /* A log that is in the database as a whole begins anew by itself. No reader is waited for. */
    (void)sqlite3_wal_checkpoint_v2(database, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
}
