/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where lines go: the journal, syslog or stderr, and a plain file beside. Knows levels and bytes,
 * not events: journal.c makes those. One per process; safe from any thread once opened.
 */

#include <sys/uio.h>
#include "config/config.h"

/* As sd_journal_sendv. */
typedef int (*output_send_t)(const struct iovec *fields, int count);

/*
 * "auto" takes stderr where it is a terminal, the journal where there is one, then syslog, then
 * stderr; a target whose socket is not there gives way in the same order. Return: 0; negative errno
 * where log.file cannot be opened (the rest is in place then).
 */
int output_open(const struct config_log *log);

/* What of the configured log is not to be had. */
struct output_trouble {
    const char *missing; /* static: the socket of log.target; NULL = nothing */
    const char *instead; /* static: what is used for it */
    int file_error;      /* errno of log.file; 0 = none */
};

/* As of the last output_open(), and of the last line for log.file. */
void output_get_trouble(struct output_trouble *ret);

/* Where the two loggers listen; the texts are borrowed. */
struct output_sockets {
    const char *journal;
    const char *syslog;
};

/* Looks for the loggers elsewhere, before output_open(): for tests. Return: the former places. */
struct output_sockets output_set_sockets(struct output_sockets other);

/* Back to plain lines on stderr. */
void output_close(void);

/* Sends all lines to @send instead of journald, whatever the target: for tests. NULL = back. */
void output_set_send(output_send_t send);

/* Whether output_write() has a use for fields now. */
bool output_wants_fields(void);

/*
 * One line with its journal fields, MESSAGE among them. @text is the same message for the other
 * targets, and @plain what log.file gets. All of them without a newline at the end.
 */
void output_write(int level, const char *text, const char *plain, const struct iovec *fields,
                  int count);
