/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "store/files_core.h"
#include "store/hasher.h"

/* Files that were stored without their hash. */

void files_set_unhashed(struct files *files, bool has_unhashed)
{
    pthread_mutex_lock(&files->mutex);
    files->has_unhashed = has_unhashed;
    pthread_mutex_unlock(&files->mutex);
}

bool files_awaits_hash(struct files *files)
{
    pthread_mutex_lock(&files->mutex);
    bool has_unhashed = files->has_unhashed;
    pthread_mutex_unlock(&files->mutex);
    return has_unhashed;
}

/* Return: 1, 0, or what SQLite said. */
static int find_next(struct files *files, char name[static FILES_NAME_MAX + 1])
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;
    sqlite3 *index;

    pthread_mutex_lock(&files->change_mutex);
    if (!*name)
        files_set_unhashed(files, false);
    int r = files_get_index(files, &index);
    if (r == 0)
        r = database_prepare(index, &statement,
                             "SELECT name FROM file WHERE sha256 = x'' AND name > ?1"
                             " ORDER BY name LIMIT 1",
                             "t", name);
    if (r == 0)
        r = database_step(statement);
    if (r > 0)
        snprintf(name, FILES_NAME_MAX + 1, "%s", database_column_text(statement, 0));
    pthread_mutex_unlock(&files->change_mutex);
    return r;
}

/* Only of the file that has the name still, as long as it is what was stored. */
static int enter_hash(struct files *files, const char *name, const struct stat *status,
                      const uint8_t hash[static FILES_HASH_SIZE])
{
    struct stat now;
    sqlite3 *index;

    pthread_mutex_lock(&files->change_mutex);
    int r = files_get_index(files, &index);
    if (r == 0 && files_look(files, name, &now) == 0 && now.st_ino == status->st_ino)
        r = database_run(index,
                         "UPDATE file SET sha256 = ?1 WHERE name = ?2 AND size = ?3"
                         " AND modified = ?4 AND sha256 = x''",
                         "btii", hash, (size_t)FILES_HASH_SIZE, name, (uint64_t)status->st_size,
                         files_modified_of(status));
    pthread_mutex_unlock(&files->change_mutex);
    return r;
}

/* Return: 0, also where there is nothing to be hashed; FILES_UNREADABLE; -ECANCELED, -ENOMEM, -EIO.
 */
static int hash(struct files *files, const char *name, const atomic_bool *is_over)
{
    _cleanup_(hasher_freep) struct hasher *hasher = NULL;
    _cleanup_close_ int fd = -EBADF;
    uint8_t sum[FILES_HASH_SIZE];
    struct files_info info;
    struct stat status;

    int r = files_open_read(files, name, &fd, &info);
    if (r < 0)
        return r == -ENOENT || r == -ESTALE || r == -ELOOP ? 0 : FILES_UNREADABLE;
    if (!info.awaits_hash)
        return 0;
    r = hasher_new(&hasher);
    if (r == 0)
        r = hasher_add_file(hasher, fd, info.size, is_over);
    if (r == 0)
        r = hasher_get(hasher, sum);
    if (r < 0)
        return r == -EIO ? FILES_UNREADABLE : r;
    return fstat(fd, &status) < 0 ? -EIO : enter_hash(files, name, &status, sum);
}

int files_hash_next(struct files *files, char name[static FILES_NAME_MAX + 1],
                    const atomic_bool *is_over)
{
    int r = find_next(files, name);

    if (r <= 0)
        return r;
    r = hash(files, name, is_over);
    return r == 0 ? 1 : r;
}

int files_stat_hashed(struct files *files, const char *name, uint64_t size,
                      const atomic_bool *is_over, struct files_info *ret)
{
    int r = files_stat(files, name, ret);

    if (r < 0 || !ret->awaits_hash || ret->is_changed || ret->size != size)
        return r;
    r = hash(files, name, is_over);
    return r < 0 ? r : files_stat(files, name, ret);
}
