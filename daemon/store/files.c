/* SPDX-License-Identifier: MIT */
#include "store/files_core.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include "base/text.h"
#include "base/usec.h"
#include "store/parts.h"

#define PARTS_NAME "-parts"
#define INDEX_NAME "-index.db"

static const char *const migrations[] = {
    /* Two rows of one name exist only while the second is about to replace the first. */
    ("CREATE TABLE file(name TEXT NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,"
     " modified INTEGER NOT NULL, executable INTEGER NOT NULL, owner TEXT NOT NULL, sha256 BLOB,"
     " PRIMARY KEY(name, inode)) WITHOUT ROWID;"),
    /* As of FILES_MODE_KNOWN. */
    "ALTER TABLE file ADD COLUMN mode INTEGER NOT NULL DEFAULT 0;",
    /* By how much more than was stored somebody made it, as of the last start. */
    "ALTER TABLE file ADD COLUMN grown INTEGER NOT NULL DEFAULT 0;",
    /* The hash of what waits for it is an empty one; of what was put here by hand it is NULL. */
    "CREATE INDEX file_awaits_hash ON file(name) WHERE sha256 = x'';",
    NULL,
};

/* --- Opening --- */

static int say(char *message, int error, const char *what, const char *path)
{
    snprintf(message, FILES_MESSAGE_MAX, "cannot %s %.900s: %s", what, path, strerror(-error));
    return error;
}

static int open_directories(struct files *files, const char *path, char *message)
{
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return say(message, -errno, "make", path);
    files->directory_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (files->directory_fd < 0)
        return say(message, -errno, "open", path);
    if (flock(files->directory_fd, LOCK_EX | LOCK_NB) < 0) {
        int r = errno == EWOULDBLOCK ? -EBUSY : -errno;
        snprintf(message, FILES_MESSAGE_MAX, "file store %.900s is in use by another p2pnode",
                 path);
        return r;
    }
    if (mkdirat(files->directory_fd, PARTS_NAME, 0700) < 0 && errno != EEXIST)
        return say(message, -errno, "make " PARTS_NAME " in", path);
    files->parts_fd =
        openat(files->directory_fd, PARTS_NAME, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return files->parts_fd < 0 ? say(message, -errno, "open " PARTS_NAME " in", path) : 0;
}

DIR *files_open_stream(int fd)
{
    _cleanup_close_ int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);

    if (stream)
        (void)TAKE_FD(copy);
    return stream;
}

void files_close_streamp(DIR **stream)
{
    if (*stream)
        (void)closedir(*stream);
}

int files_next_entry(DIR *stream, const char **ret)
{
    errno = 0;
    const struct dirent *entry = readdir(stream);

    if (!entry)
        return -errno;
    *ret = entry->d_name;
    return 1;
}

uint64_t files_modified_of(const struct stat *status)
{
    return usec_of_file(&status->st_mtim);
}

static int note_present(struct files *files, const char *name)
{
    struct stat status;
    int r = text_is_file_name(name) ? files_look(files, name, &status) : -ENOENT;

    /* Directories, links and the like are not ours: they stay, and are shown only where they have
     * taken a file's place, which keeps its row. */
    if (r == -ELOOP)
        return database_run(files->database,
                            "INSERT INTO temp.present SELECT name, inode, size, modified,"
                            " executable FROM file WHERE name = ?1 LIMIT 1",
                            "t", name);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    return database_run(files->database,
                        "INSERT INTO temp.present(name, inode, size, modified, executable) "
                        "VALUES(?1, ?2, ?3, ?4, ?5)",
                        "tiiii", name, (uint64_t)status.st_ino, (uint64_t)status.st_size,
                        files_modified_of(&status), (uint64_t)((status.st_mode & 0100) != 0));
}

/* Makes the index say what the directory has. */
static int reconcile(struct files *files)
{
    _cleanup_(files_close_streamp) DIR *stream = files_open_stream(files->directory_fd);
    const char *name = "";
    uint64_t unhashed = 0;

    if (!stream)
        return -errno;
    int r = database_execute(
        files->database,
        "CREATE TEMP TABLE present(name TEXT PRIMARY KEY, inode INTEGER, size INTEGER,"
        " modified INTEGER, executable INTEGER) WITHOUT ROWID; BEGIN IMMEDIATE");
    while (r == 0 && (r = files_next_entry(stream, &name)) > 0)
        r = note_present(files, name);
    if (r == 0)
        r = database_execute(
            files->database,
            /* Of the two rows that a crash may leave, the one that is about what is there. */
            "DELETE FROM file WHERE NOT EXISTS (SELECT 1 FROM present AS p"
            " WHERE p.name = file.name) OR inode <> (SELECT f.inode"
            " FROM file AS f JOIN present AS p ON p.name = f.name WHERE f.name = file.name"
            " ORDER BY f.inode <> p.inode, f.size <> p.size OR f.modified <> p.modified, f.inode"
            " LIMIT 1);"
            "UPDATE file SET inode = p.inode FROM present AS p WHERE p.name = file.name"
            " AND p.inode <> file.inode;"
            "UPDATE file SET size = p.size, modified = p.modified FROM present AS p"
            " WHERE p.name = file.name AND sha256 IS NULL"
            " AND (file.size <> p.size OR file.modified <> p.modified);"
            "UPDATE file SET grown = p.size - file.size FROM present AS p"
            " WHERE p.name = file.name AND file.size + file.grown <> p.size;"
            "INSERT INTO file(name, inode, size, modified, executable, owner, sha256)"
            " SELECT name, inode, size, modified, executable, '', NULL FROM present AS p"
            " WHERE NOT EXISTS (SELECT 1 FROM file AS f WHERE f.name = p.name);"
            "COMMIT; DROP TABLE temp.present");
    if (r == 0)
        r = database_get_u64(files->database, "SELECT count(*) FROM file", &files->count);
    if (r == 0)
        r = database_get_u64(files->database, "SELECT ifnull(sum(size + grown), 0) FROM file",
                             &files->used);
    if (r == 0)
        r = database_get_u64(files->database, "SELECT count(*) FROM file WHERE sha256 = x''",
                             &unhashed);
    files->has_unhashed = unhashed > 0;
    return r;
}

int files_open(const char *directory, const struct files_limits *limits,
               char message[static FILES_MESSAGE_MAX], struct files **ret)
{
    _cleanup_(files_freep) struct files *files = calloc(1, sizeof(*files));

    if (!files)
        return -ENOMEM;
    *files = (struct files){.directory_fd = -EBADF, .parts_fd = -EBADF, .limits = *limits};
    pthread_mutex_init(&files->change_mutex, NULL);
    pthread_mutex_init(&files->mutex, NULL);
    if (strlen(directory) > 3900)
        return say(message, -ENAMETOOLONG, "open", directory);
    int r = open_directories(files, directory, message);
    if (r < 0)
        return r;
    r = parts_recover(files);
    if (r < 0)
        return say(message, r, "clear " PARTS_NAME " in", directory);
    files->directory = strdup(directory);
    if (asprintf(&files->index_path, "%s/" INDEX_NAME, directory) < 0)
        files->index_path = NULL;
    if (!files->directory || !files->index_path)
        return say(message, -ENOMEM, "open", directory);
    r = database_open(files->index_path, migrations, message, &files->database);
    if (r < 0)
        return r;
    r = reconcile(files);
    if (r < 0)
        return say(message, r, "read", directory);
    database_close(files->database);
    files->database = NULL;
    *ret = TAKE_PTR(files);
    return 0;
}

struct files *files_free(struct files *files)
{
    if (!files)
        return NULL;
    (void)sqlite3_finalize(files->lookup);
    database_close(files->database);
    free(files->index_path);
    free(files->directory);
    close_fd(files->parts_fd);
    close_fd(files->directory_fd);
    pthread_mutex_destroy(&files->change_mutex);
    pthread_mutex_destroy(&files->mutex);
    free(files);
    return NULL;
}

void files_set_limits(struct files *files, const struct files_limits *limits)
{
    pthread_mutex_lock(&files->mutex);
    files->limits = *limits;
    pthread_mutex_unlock(&files->mutex);
}

void files_get_usage(struct files *files, struct files_usage *ret)
{
    pthread_mutex_lock(&files->mutex);
    *ret = (struct files_usage){
        .count = files->count,
        .used = files->used,
        .under_way = files->promised,
        .quota = files->limits.quota,
    };
    pthread_mutex_unlock(&files->mutex);
}

/* --- The index --- */

int files_get_index(struct files *files, sqlite3 **ret)
{
    if (!files->database) {
        int r = database_reopen(files->index_path, &files->database);
        /* The directory is locked: for each of thousands of files locks would be a tenth of it. */
        if (r == 0)
            r = database_execute(files->database, "PRAGMA locking_mode = EXCLUSIVE");
        if (r == -ENOENT) /* it is not the file that is missing, but maybe room for one beside it */
            return files_has_no_inodes(files) ? -ENOSPC : -EIO;
        if (r < 0)
            return r;
    }
    *ret = files->database;
    return 0;
}

int files_look(struct files *files, const char *name, struct stat *ret)
{
    struct stat status;

    if (!text_is_file_name(name))
        return -EINVAL;
    if (fstatat(files->directory_fd, name, &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? -ENOENT : -EIO;
    *ret = status;
    return S_ISREG(status.st_mode) ? 0 : -ELOOP;
}

int files_look_stored(struct files *files, const char *name, uint64_t but, struct stat *ret)
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;
    sqlite3 *index;
    int r = files_look(files, name, ret);

    if (r != -ELOOP)
        return r;
    r = files_get_index(files, &index);
    if (r == 0)
        r = database_prepare(index, &statement,
                             "SELECT 1 FROM file WHERE name = ?1 AND inode <> ?2", "ti", name, but);
    if (r == 0)
        r = database_step(statement);
    return r < 0 ? r : r > 0 ? -ESTALE : -ELOOP;
}

static void read_metadata(sqlite3_stmt *statement, int column, struct files_info *info)
{
    size_t size;
    const void *hash = database_column_bytes(statement, column + 1, &size);

    snprintf(info->owner, sizeof(info->owner), "%s", database_column_text(statement, column));
    info->has_sha256 = size == FILES_HASH_SIZE;
    info->awaits_hash = size == 0 && sqlite3_column_type(statement, column + 1) != SQLITE_NULL;
    if (info->has_sha256)
        memcpy(info->sha256, hash, size);
}

/* Whether what is there is not what was stored, with that size and time. Older versions noted 0 for
 * 1970. */
static bool is_changed(const struct stat *status, uint64_t size, uint64_t modified_wall_usec)
{
    return (uint64_t)status->st_size != size ||
           files_modified_of(status) != MAX(modified_wall_usec, (uint64_t)1);
}

int files_load_info(struct files *files, const char *name, const struct stat *status,
                    struct files_info *ret)
{
    struct files_info info = {
        .size = (uint64_t)status->st_size,
        .modified_wall_usec = files_modified_of(status),
        .is_executable = (status->st_mode & 0100) != 0,
    };
    sqlite3 *index;
    int r = files_get_index(files, &index);

    /* Prepared once: of many small files this would be most of the work. There are two rows of a
     * name while one file replaces another. */
    if (r == 0 && !files->lookup)
        r = database_prepare(index, &files->lookup,
                             "SELECT owner, sha256, size, modified, mode FROM file WHERE name = ?1"
                             " ORDER BY inode <> ?2 LIMIT 1",
                             "");
    if (r < 0)
        return r;
    (void)sqlite3_bind_text(files->lookup, 1, name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(files->lookup, 2, (sqlite3_int64)status->st_ino);
    r = database_step(files->lookup);
    snprintf(info.name, sizeof(info.name), "%s", name);
    if (r > 0) {
        read_metadata(files->lookup, 0, &info);
        info.mode = (uint16_t)database_column_u64(files->lookup, 4);
        info.is_changed = (info.has_sha256 || info.awaits_hash) &&
                          is_changed(status, database_column_u64(files->lookup, 2),
                                     database_column_u64(files->lookup, 3));
    }
    (void)sqlite3_reset(files->lookup);
    if (r < 0)
        return r;
    *ret = info;
    return 0;
}

int files_get_indexed_size(struct files *files, const char *name, uint64_t *ret)
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;
    sqlite3 *index;
    int r = files_get_index(files, &index);

    if (r == 0)
        r = database_prepare(index, &statement,
                             "SELECT ifnull(sum(size + grown), 0) FROM file WHERE name = ?1", "t",
                             name);

    if (r == 0)
        r = database_step(statement);
    if (r < 0)
        return r;
    *ret = database_column_u64(statement, 0);
    return 0;
}

void files_count(struct files *files, int64_t files_more, int64_t bytes_more)
{
    pthread_mutex_lock(&files->mutex);
    files->count += (uint64_t)files_more;
    files->used += (uint64_t)bytes_more;
    pthread_mutex_unlock(&files->mutex);
}

int files_enter(struct files *files, const struct files_info *info, uint64_t inode)
{
    sqlite3 *index;
    int r = files_get_index(files, &index);

    if (r == 0)
        r = database_run(
            index,
            "INSERT OR REPLACE INTO file(name, inode, size, modified, executable, owner, sha256, "
            "mode) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            "tiiiitbi", info->name, inode, info->size, info->modified_wall_usec,
            (uint64_t)info->is_executable, info->owner, info->sha256,
            (size_t)(info->awaits_hash ? 0 : FILES_HASH_SIZE), (uint64_t)info->mode);

    if (r == 0 && info->awaits_hash)
        files_set_unhashed(files, true);
    return r;
}

int files_expel_rows(struct files *files, sqlite3_stmt *statement)
{
    int64_t rows = 0, bytes = 0;
    int r;

    while ((r = database_step(statement)) > 0) {
        rows++;
        bytes += (int64_t)database_column_u64(statement, 0);
    }
    files_count(files, -rows, -bytes);
    return r;
}

/* Takes out the rows of @name whose inode is @inode, or whose is not. */
static int expel(struct files *files, const char *name, uint64_t inode, bool is_inverted)
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;
    sqlite3 *index;
    int r = files_get_index(files, &index);

    if (r == 0)
        r = database_prepare(
            index, &statement,
            "DELETE FROM file WHERE name = ?1 AND (inode = ?2) <> ?3 RETURNING size + grown", "tii",
            name, inode, (uint64_t)is_inverted);
    return r < 0 ? r : files_expel_rows(files, statement);
}

int files_expel(struct files *files, const char *name, uint64_t inode)
{
    return expel(files, name, inode, false);
}

int files_expel_others(struct files *files, const char *name, uint64_t inode)
{
    return expel(files, name, inode, true);
}

/* --- What users ask --- */

int files_stat_locked(struct files *files, const char *name, struct stat *status,
                      struct files_info *ret)
{
    int r = files_look_stored(files, name, 0, status);

    if (r == -ENOENT)
        (void)files_expel_others(files, name, 0);
    return r < 0 ? r : files_load_info(files, name, status, ret);
}

int files_stat(struct files *files, const char *name, struct files_info *ret)
{
    struct stat status;

    pthread_mutex_lock(&files->change_mutex);
    int r = files_stat_locked(files, name, &status, ret);
    pthread_mutex_unlock(&files->change_mutex);
    return r;
}

static int open_beneath(int directory_fd, const char *name)
{
    struct open_how how = {
        .flags = O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, directory_fd, name, &how, sizeof(how));

    /* RestrictSUIDSGID= of a unit forbids it. A name is one component, so that this is no less. */
    if (fd < 0 && errno == ENOSYS)
        fd = openat(directory_fd, name, (int)how.flags);
    return fd < 0 ? -errno : (int)fd;
}

int files_open_read(struct files *files, const char *name, int *ret_fd, struct files_info *ret)
{
    _cleanup_close_ int fd = -EBADF;
    struct files_info info;
    struct stat status;

    pthread_mutex_lock(&files->change_mutex);
    /* Looked at before it is opened: opening a device or a pipe may do something. */
    int r = files_look_stored(files, name, 0, &status);
    if (r == -ENOENT)
        (void)files_expel_others(files, name, 0);
    if (r == 0)
        r = fd = open_beneath(files->directory_fd, name);
    if (r >= 0)
        r = fstat(fd, &status) < 0 ? -errno : S_ISREG(status.st_mode) ? 0 : -ELOOP;
    if (r == 0)
        r = files_load_info(files, name, &status, &info);
    pthread_mutex_unlock(&files->change_mutex);
    if (r == 0 && info.is_changed)
        r = -ESTALE;
    if (r < 0)
        return r;
    *ret = info;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static void read_info(struct files *files, sqlite3_stmt *statement, bool is_brief,
                      struct files_info *ret)
{
    struct stat status;

    snprintf(ret->name, sizeof(ret->name), "%s", database_column_text(statement, 0));
    ret->size = database_column_u64(statement, 1);
    if (is_brief)
        return;
    ret->modified_wall_usec = database_column_u64(statement, 2);
    ret->is_executable = database_column_u64(statement, 3) != 0;
    read_metadata(statement, 4, ret);
    ret->mode = (uint16_t)database_column_u64(statement, 6);
    int r = files_look(files, ret->name, &status);
    ret->is_changed = r == -ELOOP || (r == 0 && (ret->has_sha256 || ret->awaits_hash) &&
                                      is_changed(&status, ret->size, ret->modified_wall_usec));
}

static int list_locked(struct files *files, const struct files_query *query,
                       struct files_info *infos, size_t *ret_count)
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;
    size_t n = 0;
    sqlite3 *index;
    int r = files_get_index(files, &index);

    if (r == 0)
        r = database_prepare(
            index, &statement,
            "SELECT name, size, modified, executable, owner, sha256, mode FROM file "
            "WHERE name > ?1 AND (?2 IS NULL OR name = ?2 OR name GLOB ?2) ORDER BY name LIMIT ?3",
            "tti", query->after, query->glob, (uint64_t)query->limit);

    while (r == 0 && (r = database_step(statement)) > 0) {
        read_info(files, statement, query->is_brief, &infos[n++]);
        r = 0;
    }
    *ret_count = n;
    return r;
}

int files_list(struct files *files, const struct files_query *query, struct files_info **ret,
               size_t *ret_count)
{
    size_t n = 0;

    if (query->limit == 0 || query->limit > FILES_LIST_MAX ||
        (query->glob && strlen(query->glob) > FILES_NAME_MAX))
        return -EINVAL;
    _cleanup_free_ struct files_info *infos = calloc(query->limit, sizeof(*infos));
    if (!infos)
        return -ENOMEM;
    pthread_mutex_lock(&files->change_mutex);
    int r = list_locked(files, query, infos, &n);
    pthread_mutex_unlock(&files->change_mutex);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(infos);
    *ret_count = n;
    return 0;
}
