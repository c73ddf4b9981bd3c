/* SPDX-License-Identifier: MIT */
#include "script.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "command.h"

#define SEPARATOR   "----\n"
#define LINES_SHOWN 12 /* of the trace of a scenario that failed */

/* Runs the lines above the separator. Return: 0, or 1 with the reason on stderr. */
static int run_lines(struct script *script, char *text)
{
    while (*text && strncmp(text, SEPARATOR, strlen(SEPARATOR)) != 0) {
        size_t length = strcspn(text, "\n");
        _cleanup_free_ char *line = strndup(text, length);
        if (!line)
            return -ENOMEM;
        script->line++;
        int r = command_run(script, line);
        if (script->sim && script->sim->failure) {
            fprintf(stderr, "%s:%zu: %s\n", script->path, script->line, script->sim->failure);
            return 1;
        }
        if (r < 0) {
            fprintf(stderr, "%s:%zu: at %.3f s: %s\n", script->path, script->line,
                    script->sim ? (double)script->sim->now / USEC_PER_SEC : 0.0, script->problem);
            return 1;
        }
        text += length + (text[length] == '\n');
    }
    return 0;
}

/* Where two traces part, with the line that was expected and the one that came. */
static int compare_traces(const struct script *script, const char *expected, const char *actual)
{
    size_t line = script->line + 2;

    while (*expected && *actual) {
        size_t a = strcspn(expected, "\n"), b = strcspn(actual, "\n");
        if (a != b || memcmp(expected, actual, a) != 0)
            break;
        expected += a + (expected[a] == '\n');
        actual += b + (actual[b] == '\n');
        line++;
    }
    if (!*expected && !*actual)
        return 0;
    fprintf(stderr, "%s:%zu: trace: the trace differs\n  expected: %.*s\n  happened: %.*s\n",
            script->path, line, (int)strcspn(expected, "\n"), expected, (int)strcspn(actual, "\n"),
            actual);
    return 1;
}

static int read_file(const char *path, char **ret)
{
    _cleanup_free_ char *text = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "re");
    ssize_t length;

    if (!file)
        return -errno;
    length = getdelim(&text, &size, '\0', file);
    (void)fclose(file);
    if (length < 0)
        return -ENODATA;
    *ret = TAKE_PTR(text);
    return 0;
}

static int write_file(const char *path, const char *text, size_t commands_size, const char *trace)
{
    FILE *file = fopen(path, "we");

    if (!file)
        return -errno;
    fwrite(text, 1, commands_size, file);
    fprintf(file, "%s%s", SEPARATOR, trace);
    return fclose(file) == 0 ? 0 : -errno;
}

/* The last lines of a trace, for whoever has to find out why. */
static void print_end(const char *trace)
{
    const char *start = trace + strlen(trace);

    for (int lines = 0; start > trace; start--)
        if (start[-1] == '\n' && ++lines > LINES_SHOWN)
            break;
    fprintf(stderr, "%s", start);
}

int script_run(const char *path, bool rewrite)
{
    _cleanup_free_ char *text = NULL, *trace = NULL;
    struct script script = {.path = path, .seed = 1};
    size_t trace_size;
    int r = read_file(path, &text);

    if (r < 0)
        return r;
    swim_config_default(&script.config);
    script.config.message_interval_usec = 0; /* heartbeats only where a scenario is about them */
    script.trace = open_memstream(&trace, &trace_size);
    if (!script.trace)
        return -errno;
    char *separator = strstr(text, "\n" SEPARATOR);
    size_t commands_size = separator ? (size_t)(separator - text) + 1 : strlen(text);
    r = run_lines(&script, text);
    (void)sim_free(script.sim);
    if (fclose(script.trace) != 0)
        return -errno;
    if (r > 0)
        print_end(trace);
    if (r != 0)
        return r;
    if (rewrite)
        return write_file(path, text, commands_size, trace);
    return compare_traces(&script, separator ? separator + 1 + strlen(SEPARATOR) : "", trace);
}
