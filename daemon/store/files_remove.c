/* SPDX-License-Identifier: MIT */
#include "store/files_core.h"

#include <fcntl.h>
#include <stdio.h>

/* Files that go: one, or many with one sync. The name goes first; what a crash leaves in the index
 * is dropped at the next start, or when somebody asks for it. */

/* Under change_mutex. */
static int unlink_one(struct files *files, const char *name)
{
    if (unlinkat(files->directory_fd, name, 0) < 0)
        return errno == EISDIR ? -ELOOP : -errno;
    return 0;
}

int files_remove(struct files *files, const char *name, struct files_info *ret)
{
    struct files_info info;
    struct stat status;

    pthread_mutex_lock(&files->change_mutex);
    int r = files_stat_locked(files, name, &status, &info);
    if (r == -ESTALE) {
        info = (struct files_info){.is_changed = true};
        snprintf(info.name, sizeof(info.name), "%s", name);
        r = files_get_indexed_size(files, name, &info.size);
    }
    if (r == 0)
        r = unlink_one(files, name);
    if (r == 0) {
        r = files_expel_others(files, name, 0);
        if (fsync(files->directory_fd) < 0)
            r = -errno;
    }
    pthread_mutex_unlock(&files->change_mutex);
    if (r < 0)
        return r;
    *ret = info;
    return 0;
}

static int remove_one(struct files *files, sqlite3_stmt *statement, struct files_removal *removal)
{
    struct stat status;
    int r = files_look_stored(files, removal->name, 0, &status);

    if (r == 0)
        removal->size = (uint64_t)status.st_size;
    else if (r == -ESTALE)
        (void)files_get_indexed_size(files, removal->name, &removal->size);
    if (r == 0 || r == -ESTALE)
        r = unlink_one(files, removal->name);
    if (r < 0 && r != -ENOENT)
        return r;
    (void)sqlite3_reset(statement);
    (void)sqlite3_bind_text(statement, 1, removal->name, -1, SQLITE_STATIC);
    int q = files_expel_rows(files, statement);
    return r < 0 ? r : q;
}

/* Under change_mutex, without which they do not change: what is counted. */
static void take_counts(struct files *files, uint64_t *ret_count, uint64_t *ret_used)
{
    pthread_mutex_lock(&files->mutex);
    *ret_count = files->count;
    *ret_used = files->used;
    pthread_mutex_unlock(&files->mutex);
}

/* Under change_mutex. */
static int remove_all(struct files *files, struct files_removal *removals, size_t count)
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;
    uint64_t count_before, used_before, count_after, used_after;
    sqlite3 *index;
    int r = files_get_index(files, &index);

    take_counts(files, &count_before, &used_before);
    if (r == 0)
        r = database_prepare(index, &statement,
                             "DELETE FROM file WHERE name = ?1 RETURNING size + grown", "");
    if (r == 0)
        r = database_execute(index, "BEGIN IMMEDIATE");
    if (r < 0)
        return r;
    for (size_t i = 0; i < count; i++)
        removals[i].r = remove_one(files, statement, &removals[i]);
    (void)sqlite3_reset(statement);
    r = database_execute(index, "COMMIT");
    if (r < 0) {
        /* The rows are there still, and count. */
        (void)database_execute(index, "ROLLBACK");
        take_counts(files, &count_after, &used_after);
        files_count(files, (int64_t)(count_before - count_after),
                    (int64_t)(used_before - used_after));
    }
    return fsync(files->directory_fd) < 0 ? -EIO : r;
}

void files_remove_many(struct files *files, struct files_removal *removals, size_t count)
{
    for (size_t i = 0; i < count; i++)
        removals[i] = (struct files_removal){.name = removals[i].name};
    pthread_mutex_lock(&files->change_mutex);
    int r = remove_all(files, removals, count);
    pthread_mutex_unlock(&files->change_mutex);
    for (size_t i = 0; r < 0 && i < count; i++)
        removals[i].r = removals[i].r < 0 ? removals[i].r : r;
}
