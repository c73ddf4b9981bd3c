/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Diagnostics: a level, a format-checked line, and one sink that floor 4 installs (the journal,
 * syslog or stderr). Named events do not come through here: they have typed functions in journal.h.
 * Floors 0 to 2 log at debug only; whoever takes the decision logs it, once.
 */

#include <syslog.h>
#include "base/macro.h"

/*
 * Or'ed to a level: the line is about a task, which may be confidential, so it is for eyes on this
 * node only. The sink sees it in its @level.
 */
#define LOG_STAYS 0x400

typedef void (*log_sink_t)(int level, const char *text, void *data);

/* @sink NULL = stderr. @data is borrowed for as long as the sink is installed. */
void log_set_sink(log_sink_t sink, void *data);

/* Lines above @level (LOG_ERR 3 ... LOG_DEBUG 7) are dropped before they are formatted. */
void log_set_level(int level);
int log_get_level(void);

/* Safe from any thread. Keeps errno. */
void log_line(int level, const char *format, ...) _printf_(2, 3);

/* The same with %m showing @error, a negative errno; returns @error, to be passed on. */
int log_line_errno(int level, int error, const char *format, ...) _printf_(3, 4);

#define log_at(level, ...) ((level) <= log_get_level() ? log_line(level, __VA_ARGS__) : (void)0)
#define log_error(...)     log_at(LOG_ERR, __VA_ARGS__)
#define log_warning(...)   log_at(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)    log_at(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)      log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...)     log_at(LOG_DEBUG, __VA_ARGS__)

#define log_error_errno(error, ...)   log_line_errno(LOG_ERR, error, __VA_ARGS__)
#define log_warning_errno(error, ...) log_line_errno(LOG_WARNING, error, __VA_ARGS__)
#define log_debug_errno(error, ...)   log_line_errno(LOG_DEBUG, error, __VA_ARGS__)
