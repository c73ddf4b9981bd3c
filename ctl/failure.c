/* SPDX-License-Identifier: MIT */
#include "failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "render.h"

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

void fail_hand_on(void)
{
    settings.hand_on = true;
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

static void print_json(int exit_code, enum error_code code, const char *what, const char *why,
                       const char *hints)
{
    _cleanup_json_ cJSON *json = cJSON_CreateObject();
    _cleanup_free_ char *command = hints ? first_command(hints) : NULL;
    _cleanup_free_ char *text = NULL;
    cJSON *error = cJSON_AddObjectToObject(json, "error");

    json_add_string(error, "code", error_get_code(code));
    json_add_string(error, "message", what);
    if (why)
        json_add_string(error, "detail", why);
    json_add_string(error, "hint", command);
    json_add_i64(error, "exit", exit_code);
    text = json_format(json);
    fprintf(stderr, "%s\n", text ? text : "{}");
}

static _printf_(5, 0) int tell(int exit_code, enum error_code code, const char *why,
                               const char *hints, const char *format, va_list arguments)
{
    _cleanup_free_ char *what = NULL;

    if (vasprintf(&what, format, arguments) < 0)
        return fail_memory();
    if (settings.hand_on && exit_code != error_get_exit(ERROR_TIMEOUT))
        exit_code = EXIT_OWN_FAILURE;
    fflush(stdout);
    if (settings.json) {
        print_json(exit_code, code, what, why, hints);
        return exit_code;
    }
    fputs("p2pctl: ", stderr);
    render_text(stderr, what, strlen(what));
    if (why) {
        fputs(": ", stderr);
        render_text(stderr, why, strlen(why));
    }
    if (settings.verbose)
        fprintf(stderr, " [%s]", error_get_code(code));
    fputc('\n', stderr);
    if (hints)
        print_hints(hints);
    return exit_code;
}

int fail(enum error_code code, const char *why, const char *hints, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int exit_code = tell(error_get_exit(code), code, why, hints, format, arguments);
    va_end(arguments);
    return exit_code;
}

int fail_with(int exit_code, enum error_code code, const char *why, const char *hints,
              const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    exit_code = tell(exit_code, code, why, hints, format, arguments);
    va_end(arguments);
    return exit_code;
}

int fail_usage(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int exit_code = tell(error_get_exit(ERROR_USAGE), ERROR_USAGE, NULL, NULL, format, arguments);
    va_end(arguments);
    return exit_code;
}

int fail_memory(void)
{
    fputs("p2pctl: out of memory\n", stderr);
    return settings.hand_on ? EXIT_OWN_FAILURE : error_get_exit(ERROR_INTERNAL);
}
