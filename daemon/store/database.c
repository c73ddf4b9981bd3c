/* SPDX-License-Identifier: MIT */
#include "store/database.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/glob.h"

#define PATH_SIZE       4096
#define BUSY_MSEC       60000 /* an operator's `sqlite3 state.db` may hold the lock for a while */
#define HEADER_SIZE_MIN 512   /* the smallest page: a database is never shorter */

/* SQLite tells of ENOSPC by itself; other causes only errno knows, where it was 0 before the call.
 */
int database_errno(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EUCLEAN;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_CANTOPEN:
        return errno > 0 ? -errno : -EACCES;
    default:
        /* A quota that is used up and a limit of the size of files read like a full disk, not like
         * a broken one; and SQLite tells of a file that it cannot make as of one that it cannot
         * read. */
        return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? -ENOSPC : -EIO;
    }
}

int database_execute(sqlite3 *database, const char *sql)
{
    errno = 0;
    return database_errno(sqlite3_exec(database, sql, NULL, NULL, NULL));
}

static int prepare(sqlite3 *database, sqlite3_stmt **ret, const char *sql, const char *format,
                   va_list arguments)
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;

    errno = 0;
    int code = sqlite3_prepare_v2(database, sql, -1, &statement, NULL);

    for (int i = 1; code == SQLITE_OK && *format; i++, format++)
        if (*format == 'i') {
            code = sqlite3_bind_int64(statement, i, (sqlite3_int64)va_arg(arguments, uint64_t));
        } else if (*format == 't') {
            code =
                sqlite3_bind_text(statement, i, va_arg(arguments, const char *), -1, SQLITE_STATIC);
        } else {
            const void *data = va_arg(arguments, const void *);
            size_t size = va_arg(arguments, size_t);
            /* NULL data would bind NULL; an empty blob is not one. */
            code = sqlite3_bind_blob64(statement, i, data ? data : "", size, SQLITE_STATIC);
        }
    if (code != SQLITE_OK)
        return database_errno(code);
    *ret = TAKE_PTR(statement);
    return 0;
}

int database_prepare(sqlite3 *database, sqlite3_stmt **ret, const char *sql, const char *format,
                     ...)
{
    va_list arguments;

    va_start(arguments, format);
    int r = prepare(database, ret, sql, format, arguments);
    va_end(arguments);
    return r;
}

int database_step(sqlite3_stmt *statement)
{
    errno = 0;
    int code = sqlite3_step(statement);

    return code == SQLITE_ROW ? 1 : database_errno(code);
}

int database_run(sqlite3 *database, const char *sql, const char *format, ...)
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;
    va_list arguments;

    va_start(arguments, format);
    int r = prepare(database, &statement, sql, format, arguments);
    va_end(arguments);
    while (r == 0 && (r = database_step(statement)) > 0)
        r = 0;
    return r;
}

int database_get_u64(sqlite3 *database, const char *sql, uint64_t *ret)
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;
    int r = database_prepare(database, &statement, sql, "");

    if (r == 0)
        r = database_step(statement);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    *ret = database_column_u64(statement, 0);
    return 0;
}

uint64_t database_column_u64(sqlite3_stmt *statement, int column)
{
    return (uint64_t)sqlite3_column_int64(statement, column);
}

const char *database_column_text(sqlite3_stmt *statement, int column)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);

    return text ? text : "";
}

const void *database_column_bytes(sqlite3_stmt *statement, int column, size_t *ret_size)
{
    const void *data = sqlite3_column_blob(statement, column);

    *ret_size = data ? (size_t)sqlite3_column_bytes(statement, column) : 0;
    return data ? data : "";
}

void database_close(sqlite3 *database)
{
    (void)sqlite3_close(database);
}

static int say(char *message, int r, const char *format, ...) _printf_(3, 4);
static int say(char *message, int r, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(message, DATABASE_MESSAGE_MAX, format, arguments);
    va_end(arguments);
    return r;
}

/*
 * `.recover` would save more, but the sqlite3 of Debian is built without what it needs. `.dump`
 * ends with a ROLLBACK after damage, and leaves out the schema's number.
 */
static int say_damaged(char *message, const char *path, const char *why)
{
    say(message, -EUCLEAN,
        "%s is damaged (%.200s) and is left as it is. Copy it and %s-wal away. To save what is "
        "readable: "
        "{ sqlite3 %s .dump | sed 's/^ROLLBACK.*/COMMIT;/'; sqlite3 %s \"SELECT 'PRAGMA "
        "user_version=' || "
        "user_version FROM pragma_user_version\"; } | sqlite3 saved.db; then remove both, and put "
        "saved.db in "
        "their place. To begin with nothing, only remove both",
        path, why, path, path, path);
    /* SQLite's verdict may be of several lines. */
    for (char *c = message; *c; c++)
        if (*c == '\n')
            *c = ' ';
    return -EUCLEAN;
}

static int say_failed(char *message, int r, sqlite3 *database, const char *path, const char *what)
{
    if (r == -EUCLEAN)
        return say_damaged(message, path, sqlite3_errmsg(database));
    return say(message, r, "cannot %s %s: %s (%s)%s", what, path, strerror(-r),
               sqlite3_errmsg(database),
               r == -ENOSPC ? "; make room on its disk, some 100 KiB" : "");
}

/* The cache, in KiB, holds what is written again and again; the kernel has the rest in its own. */
static const char set_up_connection[] =
    "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -768;"
    "PRAGMA journal_size_limit = 4194304; PRAGMA foreign_keys = OFF";

/*
 * Most nodes hardly ever ask their databases anything, so nothing is set aside for the case: pages
 * of the cache are allocated one by one, as they are used, instead of 20 for each file at once.
 */
static void set_up_library(void)
{
    (void)sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0);
    (void)sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

/* "text GLOB glob": of one meaning with all other globs. */
static void match(sqlite3_context *context, int count _unused_, sqlite3_value **values)
{
    const char *glob = (const char *)sqlite3_value_text(values[0]);
    const char *text = (const char *)sqlite3_value_text(values[1]);

    if (glob && text)
        sqlite3_result_int(context, glob_matches(glob, text));
}

static int connect(const char *path, sqlite3 **ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    _cleanup_(database_closep) sqlite3 *database = NULL;

    (void)pthread_once(&once, set_up_library);
    errno = 0;
    int code = sqlite3_open_v2(path, &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(database, BUSY_MSEC);
    if (code == SQLITE_OK)
        code = sqlite3_create_function(database, "glob", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC,
                                       NULL, match, NULL, NULL);
    if (code != SQLITE_OK)
        return database_errno(code);
    *ret = TAKE_PTR(database);
    return 0;
}

static int migrate(sqlite3 *database, const char *const *migrations, uint64_t version)
{
    char pragma[64];
    int r = 0;

    for (; migrations[version] && r == 0; version++) {
        snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %u; COMMIT", (unsigned)version + 1);
        r = database_execute(database, "BEGIN IMMEDIATE");
        if (r == 0)
            r = database_execute(database, migrations[version]);
        if (r == 0)
            r = database_execute(database, pragma);
    }
    if (r < 0)
        (void)sqlite3_exec(database, "ROLLBACK", NULL, NULL, NULL);
    return r;
}

static int sync_directory_of(const char *path)
{
    char directory[PATH_SIZE];
    const char *slash = strrchr(path, '/');

    snprintf(directory, sizeof(directory), "%.*s", slash ? (int)(slash - path) + 1 : 1,
             slash ? path : ".");
    _cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* A complete database with its schema, under its name only when it is on the disk. */
static int create(const char *path, const char *const *migrations)
{
    char fresh[PATH_SIZE + 8];
    _cleanup_(database_closep) sqlite3 *database = NULL;

    snprintf(fresh, sizeof(fresh), "%s.new", path);
    if (unlink(fresh) < 0 && errno != ENOENT)
        return -errno;
    /* SQLite gives its companions the mode of the file. */
    _cleanup_close_ int fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = connect(fresh, &database);
    /* A half-made one is thrown away: nothing has to be on the disk before the one fsync below. */
    if (r == 0)
        r = database_execute(database, "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF");
    if (r == 0)
        r = migrate(database, migrations, 0);
    if (r < 0)
        return r;
    if (fsync(fd) < 0 || rename(fresh, path) < 0)
        return -errno;
    return sync_directory_of(path);
}

/* Whether there is a database to open: 1, or 0 where a new one has to be made. */
static int look(const char *path, char *message)
{
    char journal[PATH_SIZE + 8];
    struct stat status;

    snprintf(journal, sizeof(journal), "%s-wal", path);
    if (stat(path, &status) < 0) {
        if (errno != ENOENT)
            return say(message, -errno, "cannot look at %s: %s", path, strerror(errno));
        return access(journal, F_OK) == 0
                   ? say_damaged(message, path, "it is gone, its journal is there")
                   : 0;
    }
    if (!S_ISREG(status.st_mode))
        return say_damaged(message, path, "it is no regular file");
    if (status.st_size < HEADER_SIZE_MIN)
        return say_damaged(message, path, "it is empty or cut off");
    return 1;
}

static int check(sqlite3 *database, const char *path, char *message)
{
    _cleanup_statement_ sqlite3_stmt *statement = NULL;
    /* Of the one file: without a name, SQLite opens its database of temporary tables, too. */
    int r = database_prepare(database, &statement, "PRAGMA main.quick_check(1)", "");

    if (r == 0)
        r = database_step(statement);
    if (r < 0)
        return say_failed(message, r, database, path, "check");
    const char *verdict = database_column_text(statement, 0);
    return r == 1 && strcmp(verdict, "ok") == 0 ? 0 : say_damaged(message, path, verdict);
}

static int upgrade(sqlite3 *database, const char *const *migrations, const char *path,
                   char *message)
{
    uint64_t version = 0, newest = 0;
    int r = database_get_u64(database, "PRAGMA user_version", &version);

    if (r < 0)
        return say_failed(message, r, database, path, "read");
    while (migrations[newest])
        newest++;
    if (version == 0)
        return say_damaged(message, path, "it has no schema of ours");
    if (version > newest)
        return say(
            message, -ENOTSUP,
            "%s was written by a newer p2pnode (schema %u, this one knows %u): install that one",
            path, (unsigned)version, (unsigned)newest);
    r = migrate(database, migrations, version);
    return r < 0 ? say_failed(message, r, database, path, "upgrade") : 0;
}

int database_open(const char *path, const char *const *migrations,
                  char message[static DATABASE_MESSAGE_MAX], sqlite3 **ret)
{
    _cleanup_(database_closep) sqlite3 *database = NULL;

    if (strlen(path) > PATH_SIZE - 96)
        return say(message, -ENAMETOOLONG, "the path of the database is too long");
    int r = look(path, message);
    if (r < 0)
        return r;
    if (r == 0 && (r = create(path, migrations)) < 0)
        return say(message, r, "cannot make %s: %s", path, strerror(-r));
    r = connect(path, &database);
    if (r < 0)
        return say(message, r, "cannot open %s: %s", path, strerror(-r));
    r = check(database, path, message);
    if (r < 0)
        return r;
    r = database_execute(database, set_up_connection);
    if (r < 0)
        return say_failed(message, r, database, path, "set up");
    r = upgrade(database, migrations, path, message);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(database);
    return 0;
}

int database_reopen(const char *path, sqlite3 **ret)
{
    _cleanup_(database_closep) sqlite3 *database = NULL;
    int r = connect(path, &database);

    if (r == 0)
        r = database_execute(database, set_up_connection);
    if (r < 0)
        return r;
    *ret = TAKE_PTR(database);
    return 0;
}
