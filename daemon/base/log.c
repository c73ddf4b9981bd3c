/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#define LINE_MAX_BYTES 2048

static atomic_int log_level = LOG_INFO;
static log_sink_t log_sink;
static void *log_sink_data;

void log_set_sink(log_sink_t sink, void *data)
{
    log_sink = sink;
    log_sink_data = data;
}

void log_set_level(int level)
{
    atomic_store(&log_level, level);
}

int log_get_level(void)
{
    return atomic_load_explicit(&log_level, memory_order_relaxed);
}

static void emit(int level, const char *format, va_list arguments) _printf_(2, 0);
static void emit(int level, const char *format, va_list arguments)
{
    char text[LINE_MAX_BYTES];

    vsnprintf(text, sizeof(text), format, arguments);
    if (log_sink)
        log_sink(level, text, log_sink_data);
    else
        fprintf(stderr, "%s\n", text);
}

void log_line(int level, const char *format, ...)
{
    int saved = errno;
    va_list arguments;

    if (LOG_PRI(level) > log_get_level())
        return;
    va_start(arguments, format);
    emit(level, format, arguments);
    va_end(arguments);
    errno = saved;
}

int log_line_errno(int level, int error, const char *format, ...)
{
    int saved = errno;
    va_list arguments;

    if (LOG_PRI(level) > log_get_level())
        return error;
    errno = -error;
    va_start(arguments, format);
    emit(level, format, arguments);
    va_end(arguments);
    errno = saved;
    return error;
}
