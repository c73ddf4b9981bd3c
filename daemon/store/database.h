/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * SQLite with the house's rules: WAL and synchronous=FULL, schemas by user_version, errors as
 * errno, and a database that is damaged, emptied or newer than us is refused with a sentence that
 * says what to do. A new one is made under another name and renamed, so an empty file is never
 * taken for a new database.
 *
 * For the rooms of this folder. A connection is used by one thread at a time.
 */

#include <sqlite3.h>
#include <stdint.h>
#include "base/macro.h"

#define DATABASE_MESSAGE_MAX 2048

/*
 * @path: absolute or relative, at most 4000 bytes. @migrations: NULL-terminated scripts; number i
 * brings user_version i to i + 1, so the first one makes the schema. They are never changed once
 * released. Return: 0; -EUCLEAN, -ENOTSUP, -EBUSY, -ENOSPC, -EIO, -ENOMEM, or what opening said,
 * with @message.
 */
int database_open(const char *path, const char *const *migrations,
                  char message[static DATABASE_MESSAGE_MAX], sqlite3 **ret);

/* The same once more, after a database_close() of this process, without looking whether it is
 * whole. Return: 0, or what SQLite said. */
int database_reopen(const char *path, sqlite3 **ret);

/* Closes; NULL is allowed. */
void database_close(sqlite3 *database);

static inline void database_closep(sqlite3 **database)
{
    database_close(*database);
}

static inline void database_finalizep(sqlite3_stmt **statement)
{
    (void)sqlite3_finalize(*statement);
}
#define _cleanup_statement_ _cleanup_(database_finalizep)

/* The negative errno of a result code, right after the call; 0 for OK, ROW and DONE. */
int database_errno(int code);

/* One or more statements without rows. */
int database_execute(sqlite3 *database, const char *sql);

/*
 * Prepares @sql and binds @format: 'i' uint64_t, 't' const char * (NULL is allowed), 'b' const void
 * * with size_t. Texts and bytes are borrowed until the statement is stepped or finalised.
 */
int database_prepare(sqlite3 *database, sqlite3_stmt **ret, const char *sql, const char *format,
                     ...);

/* 1 = a row, 0 = done, negative = error. */
int database_step(sqlite3_stmt *statement);

/* Prepares, steps to the end, finalises. */
int database_run(sqlite3 *database, const char *sql, const char *format, ...);

/* The first column of the first row. Return: 0, -ENOENT without a row, or an error. */
int database_get_u64(sqlite3 *database, const char *sql, uint64_t *ret);

/* A column as unsigned number, as text that is never NULL, and as bytes that are never NULL. */
uint64_t database_column_u64(sqlite3_stmt *statement, int column);
const char *database_column_text(sqlite3_stmt *statement, int column);
const void *database_column_bytes(sqlite3_stmt *statement, int column, size_t *ret_size);
