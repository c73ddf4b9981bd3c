/* SPDX-License-Identifier: MIT */
#include "store/batch.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/table.h"
#include "base/text.h"
#include "base/unnamed.h"
#include "base/usec.h"
#include "store/hasher.h"
#include "store/parts.h"
#include "store/promise.h"

/* One file; r is UNSETTLED until its commit is decided. */
#define UNSETTLED INT32_MIN

struct entry {
    char *name;     /* owned; key in the table */
    int unnamed_fd; /* owned: the part while it has no name, or -EBADF */
    char part[PARTS_NAME_MAX];
    uint64_t size;
    uint64_t modified_wall_usec;
    uint64_t inode;
    uint64_t replaced; /* bytes of the index that go when this is stored, as far as known */
    uint8_t sha256[FILES_HASH_SIZE];
    struct upload_refusal refusal;
    bool is_executable;
    uint16_t mode;
    bool has_part;
    bool is_entered; /* into the index */
    int r;
};

struct batch {
    struct files *files;   /* borrowed */
    struct hasher *hasher; /* owned */
    int sync_fd; /* owned; its own: each open file is told once of what could not be written */
    enum upload_overwrite overwrite;
    char owner[FILES_OWNER_MAX + 1];
    struct entry *entries; /* owned array of BATCH_FILES_MAX */
    size_t count;
    bool is_looking; /* each name is looked at before its bytes are written */
    struct promise promise;
    struct table by_name;
};

int batch_new(struct files *files, const char *owner, enum upload_overwrite overwrite,
              struct batch **ret)
{
    _cleanup_(batch_freep) struct batch *batch = NULL;

    if (strlen(owner) > FILES_OWNER_MAX || !text_is_printable(owner))
        return -EINVAL;
    batch = calloc(1, sizeof(*batch));
    if (!batch)
        return -ENOMEM;
    batch->files = batch->promise.files = files;
    batch->overwrite = overwrite;
    batch->is_looking = overwrite != UPLOAD_ALWAYS;
    strcpy(batch->owner, owner);
    table_init(&batch->by_name, 0, (uint64_t)(uintptr_t)batch);
    batch->entries = calloc(BATCH_FILES_MAX, sizeof(*batch->entries));
    int r = batch->entries ? hasher_new(&batch->hasher) : -ENOMEM;
    batch->sync_fd = openat(files->parts_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (r == 0 && batch->sync_fd < 0)
        r = -errno;
    if (r < 0)
        return r;
    *ret = TAKE_PTR(batch);
    return 0;
}

static void drop_part(const struct batch *batch, struct entry *entry)
{
    if (entry->has_part)
        (void)unlinkat(batch->files->parts_fd, entry->part, 0);
    entry->has_part = false;
    if (entry->unnamed_fd >= 0)
        parts_end_unnamed(batch->files, TAKE_FD(entry->unnamed_fd));
}

void batch_clear(struct batch *batch)
{
    promise_settle(&batch->promise);
    table_done(&batch->by_name);
    table_init(&batch->by_name, 0, (uint64_t)(uintptr_t)batch);
    for (size_t i = 0; i < batch->count; i++) {
        drop_part(batch, &batch->entries[i]);
        free(batch->entries[i].name);
        batch->entries[i] = (struct entry){.name = NULL};
    }
    batch->count = 0;
}

struct batch *batch_free(struct batch *batch)
{
    if (!batch)
        return NULL;
    batch_clear(batch);
    table_done(&batch->by_name);
    hasher_free(batch->hasher);
    close_fd(batch->sync_fd);
    free(batch->entries);
    free(batch);
    return NULL;
}

/* --- Adding --- */

static int fill_part(struct entry *entry, int fd, const void *data)
{
    const struct timespec times[2] = {
        {.tv_nsec = UTIME_OMIT},
        {.tv_sec = (time_t)(entry->modified_wall_usec / USEC_PER_SEC),
         .tv_nsec = (long)(entry->modified_wall_usec % USEC_PER_SEC) * 1000},
    };
    const uint8_t *rest = data;
    struct stat status;

    for (size_t left = entry->size; left > 0;) {
        ssize_t n = write(fd, rest, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == ENOSPC || errno == EDQUOT ? -ENOSPC : errno == EFBIG ? -EFBIG : -EIO;
        rest += n;
        left -= (size_t)n;
    }
    if ((entry->is_executable && fchmod(fd, 0700) < 0) || futimens(fd, times) < 0 ||
        fstat(fd, &status) < 0)
        return errno == ENOSPC || errno == EDQUOT ? -ENOSPC : -EIO;
    entry->inode = status.st_ino;
    entry->modified_wall_usec = files_modified_of(&status);
    return 0;
}

static int write_part(struct batch *batch, struct entry *entry, const void *data)
{
    _cleanup_close_ int fd = -EBADF;
    uint64_t arrived;
    bool is_kept;

    if (parts_begin_unnamed(batch->files, &entry->unnamed_fd) == 0)
        return fill_part(entry, entry->unnamed_fd, data);
    int r = parts_begin(batch->files, NULL, entry->part, &fd, &arrived, &is_kept);
    if (r < 0)
        return promise_note_error(&batch->promise, r);
    entry->has_part = true;
    return fill_part(entry, fd, data);
}

/* Whether the name is taken by that very content: an earlier answer may have been lost. */
static bool is_stored(struct batch *batch, const struct entry *entry, const void *data)
{
    uint8_t sum[FILES_HASH_SIZE];
    struct files_info info;

    return files_stat(batch->files, entry->name, &info) == 0 && info.has_sha256 &&
           !info.is_changed && info.size == entry->size &&
           hasher_once(batch->hasher, data, entry->size, sum) == 0 &&
           memcmp(sum, info.sha256, sizeof(sum)) == 0;
}

static void set_replaced(struct batch *batch, struct entry *entry, uint64_t replaced)
{
    promise_set_replaced(&batch->promise, batch->promise.replaced - entry->replaced + replaced);
    entry->replaced = replaced;
}

/* Whether the name may be taken, and what that gives back. */
static int look(struct batch *batch, struct entry *entry)
{
    uint64_t replaced;
    int r = promise_look_name(batch->files, entry->name, entry->modified_wall_usec,
                              batch->overwrite, &replaced);

    set_replaced(batch, entry, r == 0 ? replaced : 0);
    return r;
}

/* Room for @entry, the last one. What is to be overwritten anyway is looked at only where the quota
 * counts on what that gives back: then by all of them. */
static int make_room(struct batch *batch, const struct entry *entry)
{
    batch->promise.before = batch->promise.size;
    int r = promise_extend(&batch->promise, entry->size);

    if (r != -EDQUOT || batch->is_looking)
        return r;
    batch->is_looking = true;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->entries[i].r == UNSETTLED)
            (void)look(batch, &batch->entries[i]);
    return promise_extend(&batch->promise, entry->size);
}

static int store(struct batch *batch, struct entry *entry, const void *data)
{
    if (!text_is_file_name(entry->name) || !text_is_visible(entry->name))
        return -EINVAL;
    int r = batch->is_looking ? look(batch, entry) : 0;
    if (r == -EEXIST && is_stored(batch, entry, data))
        return UPLOAD_KEPT;
    if (r != 0)
        return r;
    batch->promise.refusal = (struct upload_refusal){0};
    r = make_room(batch, entry);
    entry->refusal = batch->promise.refusal;
    if (r == 0)
        r = hasher_once(batch->hasher, data, entry->size, entry->sha256);
    if (r == 0) {
        r = write_part(batch, entry, data);
        if (r == -ENOSPC)
            promise_note_full(&batch->promise, entry->size, 0);
        if (r < 0)
            entry->refusal = batch->promise.refusal;
    }
    if (r == -EFBIG && (entry->has_part || entry->unnamed_fd >= 0))
        entry->refusal = (struct upload_refusal){.size = entry->size};
    if (r == 0)
        promise_arrive(&batch->promise, entry->size);
    return r;
}

static uint64_t wall_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

int batch_add(struct batch *batch, const struct batch_file *file, const void *data, size_t size)
{
    if (batch->count == BATCH_FILES_MAX || size > BATCH_BYTES_MAX - batch->promise.size)
        return -ENOSPC;
    struct entry *entry = &batch->entries[batch->count];
    *entry = (struct entry){.name = strdup(file->name),
                            .unnamed_fd = -EBADF,
                            .size = size,
                            .modified_wall_usec =
                                file->modified_wall_usec ? file->modified_wall_usec : wall_now(),
                            .is_executable = file->is_executable,
                            .mode = file->mode,
                            .r = UNSETTLED};
    int r = entry->name ? table_insert(&batch->by_name, entry->name, entry) : -ENOMEM;
    if (r == -ENOMEM) {
        free(entry->name);
        return r;
    }
    batch->count++;
    if (r == 0)
        r = store(batch, entry, data);
    if (r != 0) {
        drop_part(batch, entry);
        set_replaced(batch, entry, 0);
        entry->r = r;
    }
    return 0;
}

/* --- Committing --- */

/* Statements of one commit, prepared once. */
struct statements {
    sqlite3_stmt *enter;
    sqlite3_stmt *expel; /* of a name all but one inode; gives the sizes that go */
    sqlite3_stmt *expel_one;
};

static void statements_done(struct statements *statements)
{
    sqlite3_finalize(statements->enter);
    sqlite3_finalize(statements->expel);
    sqlite3_finalize(statements->expel_one);
}

static int prepare(sqlite3 *index, struct statements *ret)
{
    int r = database_prepare(index, &ret->enter,
                             "INSERT OR REPLACE INTO file(name, inode, size, modified, executable, "
                             "owner, sha256, mode) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                             "");

    if (r == 0)
        r = database_prepare(
            index, &ret->expel,
            "DELETE FROM file WHERE name = ?1 AND inode <> ?2 RETURNING size + grown", "");
    if (r == 0)
        r = database_prepare(
            index, &ret->expel_one,
            "DELETE FROM file WHERE name = ?1 AND inode = ?2 RETURNING size + grown", "");
    return r;
}

static int enter(struct batch *batch, sqlite3_stmt *statement, struct entry *entry)
{
    (void)sqlite3_reset(statement);
    (void)sqlite3_bind_text(statement, 1, entry->name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)entry->inode);
    (void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)entry->size);
    (void)sqlite3_bind_int64(statement, 4, (sqlite3_int64)entry->modified_wall_usec);
    (void)sqlite3_bind_int64(statement, 5, entry->is_executable);
    (void)sqlite3_bind_text(statement, 6, batch->owner, -1, SQLITE_STATIC);
    (void)sqlite3_bind_blob(statement, 7, entry->sha256, FILES_HASH_SIZE, SQLITE_STATIC);
    (void)sqlite3_bind_int64(statement, 8, entry->mode);
    int r = database_step(statement);
    if (r == 0) {
        entry->is_entered = true;
        promise_enter(&batch->promise, entry->size);
    }
    return r;
}

static int expel(struct files *files, sqlite3_stmt *statement, const struct entry *entry)
{
    (void)sqlite3_reset(statement);
    (void)sqlite3_bind_text(statement, 1, entry->name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)entry->inode);
    return files_expel_rows(files, statement);
}

/* Refuses all that are not decided yet. */
static void refuse_rest(struct batch *batch, int r)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->entries[i].r == UNSETTLED)
            batch->entries[i].r = r;
}

/* Whether all of them fit even if they replace nothing: then each name is looked at when it is
 * taken, and only where somebody has it. */
static bool is_roomy(const struct batch *batch)
{
    struct upload_refusal refusal;
    uint64_t size = 0;

    for (size_t i = 0; i < batch->count; i++)
        size += batch->entries[i].r == UNSETTLED ? batch->entries[i].size : 0;
    return promise_check_quota(batch->files, size, 0, &refusal) == 0;
}

/* Whether it may be stored after all, where @gone bytes go for those before it. */
static int check_entry(struct batch *batch, struct entry *entry, uint64_t gone)
{
    uint64_t replaced;
    int r = promise_check_name(batch->files, entry->name, entry->modified_wall_usec, 0,
                               batch->overwrite, &replaced);

    set_replaced(batch, entry, r == 0 ? replaced : 0);
    return r != 0 ? r
                  : promise_check_quota(batch->files, entry->size, gone + entry->replaced,
                                        &entry->refusal);
}

/* Index first: a start in between finds the names, and drops the rows that have none. */
static int enter_all(struct batch *batch, const struct statements *statements, sqlite3 *index)
{
    uint64_t gone = 0; /* bytes that go when the names are taken */
    const bool is_checked = !is_roomy(batch);
    int r = database_execute(index, "BEGIN IMMEDIATE");

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < batch->count; i++) {
        struct entry *entry = &batch->entries[i];
        if (entry->r != UNSETTLED)
            continue;
        int refusal = is_checked ? check_entry(batch, entry, gone) : 0;
        if (refusal != 0) {
            entry->r = refusal;
            set_replaced(batch, entry, 0);
            continue;
        }
        gone += entry->replaced;
        r = enter(batch, statements->enter, entry);
    }
    (void)sqlite3_reset(statements->enter);
    if (r == 0)
        r = database_execute(index, "COMMIT");
    if (r == 0)
        return 0;
    (void)database_execute(index, "ROLLBACK");
    for (size_t i = 0; i < batch->count; i++)
        if (batch->entries[i].is_entered)
            files_count(batch->files, -1, -(int64_t)batch->entries[i].size);
    return r;
}

/* Whether the index may have other rows of the names that were entered: one look at all that lies
 * between the first and the last of them. */
static bool has_others(const struct batch *batch, sqlite3 *index)
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;
    const char *first = NULL, *last = NULL;
    uint64_t entered = 0;

    for (size_t i = 0; i < batch->count; i++) {
        const struct entry *entry = &batch->entries[i];
        if (!entry->is_entered)
            continue;
        first = first && strcmp(first, entry->name) <= 0 ? first : entry->name;
        last = last && strcmp(last, entry->name) >= 0 ? last : entry->name;
        entered++;
    }
    if (entered == 0)
        return false;
    int r = database_prepare(
        index, &statement,
        "SELECT count(*) FROM (SELECT 1 FROM file WHERE name BETWEEN ?1 AND ?2 LIMIT ?3)", "tti",
        first, last, entered + 1);
    return r < 0 || database_step(statement) <= 0 || database_column_u64(statement, 0) != entered;
}

/* Takes the name, unless somebody has it. Return: 0, -1 with errno. */
static int take_name(const struct batch *batch, const struct entry *entry)
{
    const struct files *files = batch->files;

    if (entry->has_part)
        return renameat2(files->parts_fd, entry->part, files->directory_fd, entry->name,
                         RENAME_NOREPLACE);
    int r = unnamed_link(entry->unnamed_fd, files->directory_fd, entry->name);
    errno = -r;
    return r < 0 ? -1 : 0;
}

/* Gives the part its name. Return: 0; why not, as of batch_result. */
static int rename_one(const struct batch *batch, struct entry *entry)
{
    struct files *files = batch->files;
    uint64_t replaced;
    int r = take_name(batch, entry);

    /* Somebody has it; or the file system cannot tell. */
    if (r < 0 && (errno == EEXIST || errno == EINVAL)) {
        r = promise_check_name(batch->files, entry->name, entry->modified_wall_usec, entry->inode,
                               batch->overwrite, &replaced);
        if (r == 0 && !entry->has_part) {
            r = parts_name(files, entry->unnamed_fd, entry->part);
            entry->has_part = r == 0;
            r = r == -ENOSPC || r == -EDQUOT ? -ENOSPC : r < 0 ? -EIO : 0;
        }
        if (r != 0)
            return r;
        r = renameat2(files->parts_fd, entry->part, files->directory_fd, entry->name, 0);
    }
    if (r == 0)
        return 0;
    return errno == ENOSPC || errno == EDQUOT ? -ENOSPC : errno == EISDIR ? -ELOOP : -EIO;
}

/* The names; and what they had before goes out of the index. Return: 0, -EIO. */
static int rename_all(struct batch *batch, const struct statements *statements, sqlite3 *index)
{
    struct files *files = batch->files;
    bool may_replace = has_others(batch, index);
    int r = database_execute(index, "BEGIN IMMEDIATE"), q = 0;

    for (size_t i = 0; i < batch->count; i++) {
        struct entry *entry = &batch->entries[i];
        if (entry->r != UNSETTLED)
            continue;
        int refusal = rename_one(batch, entry);
        if (refusal != 0) {
            entry->r = refusal;
            (void)expel(files, statements->expel_one, entry);
            set_replaced(batch, entry, 0);
            continue;
        }
        entry->has_part = false;
        if (may_replace && expel(files, statements->expel, entry) < 0)
            q = -EIO;
        set_replaced(batch, entry, 0);
    }
    (void)sqlite3_reset(statements->expel);
    (void)sqlite3_reset(statements->expel_one);
    if (r == 0)
        r = database_execute(index, "COMMIT");
    return r < 0 || q < 0 ? -EIO : 0;
}

static int publish(struct batch *batch)
{
    _cleanup_(statements_done) struct statements statements = {0};
    sqlite3 *index;
    int r = files_get_index(batch->files, &index);

    if (r == 0)
        r = prepare(index, &statements);
    if (r == 0)
        r = enter_all(batch, &statements, index);
    return r < 0 ? r : rename_all(batch, &statements, index);
}

void batch_commit(struct batch *batch)
{
    struct files *files = batch->files;

    /* One sync for all of them; it tells of every write that failed since the batch was made. */
    int r = syncfs(batch->sync_fd) < 0 ? -errno : 0;
    if (r == 0) {
        pthread_mutex_lock(&files->change_mutex);
        r = publish(batch);
        pthread_mutex_unlock(&files->change_mutex);
    }
    /* The new files are there; what fails now costs no more than their certainty. That they have a
     * name is noted in some of them, too. */
    if (r == 0)
        r = syncfs(batch->sync_fd) < 0 ? -EIO : 0;
    refuse_rest(batch, r == -ENOSPC || r == -EDQUOT ? -ENOSPC : r < 0 ? -EIO : 0);
    for (size_t i = 0; i < batch->count; i++)
        drop_part(batch, &batch->entries[i]);
    promise_settle(&batch->promise);
}

size_t batch_count(const struct batch *batch)
{
    return batch->count;
}

void batch_get_result(const struct batch *batch, size_t i, struct batch_result *ret)
{
    const struct entry *entry = &batch->entries[i];

    *ret = (struct batch_result){
        .r = entry->r, .name = entry->name, .size = entry->size, .refusal = entry->refusal};
    memcpy(ret->sha256, entry->sha256, sizeof(ret->sha256));
}
