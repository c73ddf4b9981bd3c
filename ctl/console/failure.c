/* SPDX-License-Identifier: MIT */
#include "console/failure.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/disk.h"
#include "base/json.h"
#include "base/text.h"
#include "console/render.h"

static struct {
    bool json;
    bool verbose;
    bool hand_on;
} settings;

void fail_configure(bool json, bool verbose)
{
    settings.json = json;
    settings.verbose = verbose;
}

void fail_hand_on(bool hand_on)
{
    settings.hand_on = hand_on;
}

static void print_hints(const char *hints)
{
    while (*hints) {
        size_t size = strcspn(hints, "\n");
        fputs("hint: ", stderr);
        render_text(stderr, hints, size);
        fputc('\n', stderr);
        hints += size + (hints[size] == '\n');
    }
}

/* The command of the first hint, as a program wants it: what stands between ": " and a wide gap. */
static char *first_command(const char *hints)
{
    size_t size = strcspn(hints, "\n");
    const char *colon = memmem(hints, size, ": ", 2);

    if (colon) {
        size -= (size_t)(colon - hints) + 1;
        hints = colon + 1;
        size_t spaces = MIN(strspn(hints, " "), size);
        hints += spaces;
        size -= spaces;
        const char *gap = memmem(hints, size, "  ", 2);
        if (gap)
            size = (size_t)(gap - hints);
    }
    return strndup(hints, size);
}

/* What a failure consists of, beside its text. */
struct failure {
    int exit_code;
    enum error_code code;
    const char *why;      /* or NULL */
    const char *hints;    /* or NULL */
    const cJSON *details; /* or NULL */
};

/* @text, which may have come from a file or a command line, as JSON can hold it. */
static cJSON *new_text(const char *text)
{
    _cleanup_free_ char *escaped = NULL;
    size_t size = 0;

    if (text_is_utf8(text, strlen(text)))
        return cJSON_CreateString(text);
    FILE *stream = open_memstream(&escaped, &size);
    if (!stream)
        return NULL;
    render_text(stream, text, strlen(text));
    return fclose(stream) == 0 ? cJSON_CreateString(escaped) : NULL;
}

static void add_details(const cJSON *details, cJSON *error)
{
    cJSON *list = NULL;

    json_for_each (line, details) {
        if (!cJSON_IsString(line))
            continue;
        if (!list)
            list = cJSON_AddArrayToObject(error, "details");
        cJSON_AddItemToArray(list, new_text(line->valuestring));
    }
}

static void print_json(const struct failure *failure, const char *what)
{
    _cleanup_json_ cJSON *json = cJSON_CreateObject();
    _cleanup_free_ char *command = failure->hints ? first_command(failure->hints) : NULL;
    _cleanup_free_ char *text = NULL;
    cJSON *error = cJSON_AddObjectToObject(json, "error");

    json_add_string(error, "code", error_get_code(failure->code));
    cJSON_AddItemToObject(error, "message", new_text(what));
    if (failure->why)
        cJSON_AddItemToObject(error, "detail", new_text(failure->why));
    add_details(failure->details, error);
    json_add_string(error, "hint", command);
    json_add_i64(error, "exit", failure->exit_code);
    text = json_format(json);
    fprintf(stderr, "%s\n", text ? text : "{}");
}

static void print_details(const cJSON *details)
{
    json_for_each (line, details) {
        if (!cJSON_IsString(line))
            continue;
        render_text(stderr, line->valuestring, strlen(line->valuestring));
        fputc('\n', stderr);
    }
}

static _printf_(2, 0) int tell(struct failure failure, const char *format, va_list arguments)
{
    _cleanup_free_ char *what = NULL;

    if (vasprintf(&what, format, arguments) < 0)
        return fail_memory();
    if (settings.hand_on && failure.exit_code != error_get_exit(ERROR_TIMEOUT))
        failure.exit_code = EXIT_OWN_FAILURE;
    fflush(stdout);
    if (settings.json) {
        print_json(&failure, what);
        return failure.exit_code;
    }
    print_details(failure.details);
    fputs("p2pctl: ", stderr);
    render_text(stderr, what, strlen(what));
    if (failure.why) {
        fputs(": ", stderr);
        render_text(stderr, failure.why, strlen(failure.why));
    }
    if (settings.verbose)
        fprintf(stderr, " [%s]", error_get_code(failure.code));
    fputc('\n', stderr);
    if (failure.hints)
        print_hints(failure.hints);
    return failure.exit_code;
}

int fail(enum error_code code, const char *why, const char *hints, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int exit_code =
        tell((struct failure){error_get_exit(code), code, why, hints, NULL}, format, arguments);
    va_end(arguments);
    return exit_code;
}

int fail_with(int exit_code, enum error_code code, const char *why, const char *hints,
              const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    exit_code = tell((struct failure){exit_code, code, why, hints, NULL}, format, arguments);
    va_end(arguments);
    return exit_code;
}

int fail_in_detail(enum error_code code, const cJSON *details, const char *hints,
                   const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int exit_code =
        tell((struct failure){error_get_exit(code), code, NULL, hints, details}, format, arguments);
    va_end(arguments);
    return exit_code;
}

int fail_interrupted(const char *hints, const char *format, ...)
{
    const struct failure failure = {EXIT_INTERRUPTED, ERROR_INTERNAL, NULL, hints, NULL};
    _cleanup_free_ char *what = NULL;
    va_list arguments;

    va_start(arguments, format);
    if (vasprintf(&what, format, arguments) < 0)
        what = NULL;
    va_end(arguments);
    if (!what) {
        (void)fail_memory();
        return EXIT_INTERRUPTED;
    }
    fflush(stdout);
    if (settings.json) {
        print_json(&failure, what);
        return EXIT_INTERRUPTED;
    }
    fputc('\n', stderr);
    render_text(stderr, what, strlen(what));
    for (size_t size; *hints; hints += size + (hints[size] == '\n')) {
        size = strcspn(hints, "\n");
        fputs("; ", stderr);
        render_text(stderr, hints, size);
    }
    fputc('\n', stderr);
    return EXIT_INTERRUPTED;
}

int fail_usage(const char *format, ...)
{
    struct failure failure = {error_get_exit(ERROR_USAGE), ERROR_USAGE, NULL, NULL, NULL};
    va_list arguments;

    va_start(arguments, format);
    int exit_code = tell(failure, format, arguments);
    va_end(arguments);
    return exit_code;
}

/* @path need not be there. */
static bool has_no_inodes(const char *path)
{
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *directory = strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
    _cleanup_close_ int fd =
        directory ? open(*directory ? directory : ".", O_PATH | O_DIRECTORY | O_CLOEXEC) : -EBADF;

    return fd >= 0 && disk_has_no_inodes(fd);
}

/* "Not permitted" says what the daemon does not allow, and wrong usage is what was typed. */
static enum error_code code_of_local(int error)
{
    enum error_code code = error_from_errno(-error);

    return code == ERROR_NOT_PERMITTED || code == ERROR_USAGE ? ERROR_INTERNAL : code;
}

int fail_to_read(const char *path, int error)
{
    return fail(code_of_local(error), strerror(error), NULL, "cannot read %s", path);
}

int fail_to_write(const char *path, int error)
{
    enum error_code code = error_from_errno(-error);
    const char *hint = error == ENOSPC && has_no_inodes(path)
                           ? "the disk has no inode left: remove small files there (df -i)"
                           : NULL;

    if (error_get_exit(code) != error_get_exit(ERROR_INTERNAL))
        code = ERROR_INTERNAL;
    return fail(code, strerror(error), hint, "cannot write %s", path);
}

int fail_output(const char *hints)
{
    errno = 0;
    (void)fflush(stdout);
    return fail(ERROR_INTERNAL, errno ? strerror(errno) : NULL, hints,
                "cannot write to standard output");
}

int fail_memory(void)
{
    int exit_code = settings.hand_on ? EXIT_OWN_FAILURE : error_get_exit(ERROR_INTERNAL);

    if (settings.json)
        fprintf(stderr,
                "{\"error\":{\"code\":\"internal\",\"message\":\"out of memory\",\"hint\":null,"
                "\"exit\":%d}}\n",
                exit_code);
    else
        fputs("p2pctl: out of memory\n", stderr);
    return exit_code;
}
