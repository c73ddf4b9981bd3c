/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/text.h"
#include "console/failure.h"
#include "input.h"
#include "task/run.h"

/* What the command line of `run` says: which list, and how it is to be run. */

#define TEXT_MAX ((size_t)900 * 1024) /* so that the call stays below 1 MiB */

/* Where the text stops being UTF-8 without NUL, as line and column; 0 where it never does. */
static size_t find_garbage(const uint8_t *text, size_t size, size_t *ret_column)
{
    size_t line = 1, column = 1;

    for (size_t i = 0; i < size;) {
        size_t length = 1;
        while (length <= 4 && length <= size - i && !text_is_utf8(text + i, length))
            length++;
        if (length > 4 || length > size - i || text[i] == '\0') {
            *ret_column = column;
            return line;
        }
        column++;
        if (text[i] == '\n') {
            line++;
            column = 1;
        }
        i += length;
    }
    return 0;
}

static int tell_garbage(const char *path, size_t line, size_t column)
{
    _cleanup_json_ cJSON *details = cJSON_CreateArray();
    _cleanup_free_ char *text = NULL;

    if (asprintf(&text, "%s:%zu:%zu: this is not text in UTF-8", path, line, column) < 0)
        return fail_memory();
    cJSON_AddItemToArray(details, cJSON_CreateString(text));
    return fail_in_detail(ERROR_USAGE, details, NULL, "%s: 1 error, nothing was started", path);
}

static int read_list(const char *path, cJSON *parameters)
{
    _cleanup_free_ uint8_t *text = NULL;
    size_t size = 0, column = 0;
    int r = input_read(path, TEXT_MAX,
                       "cut it outside of { }, and run one part after the other: p2pctl run PART",
                       &text, &size);

    if (r != 0)
        return r;
    size_t line = find_garbage(text, size, &column);
    if (line > 0)
        return tell_garbage(path, line, column);
    json_add_string(parameters, "text", (const char *)text);
    json_add_string(parameters, "file", path);
    return 0;
}

static int add_vars(const struct options *options, cJSON *parameters)
{
    cJSON *vars = options_has(options, "var") ? cJSON_AddArrayToObject(parameters, "vars") : NULL;
    const char *var;

    for (size_t i = 0; vars && (var = options_get_nth(options, "var", i)); i++) {
        if (*var == '=' || !strchr(var, '=') || !text_is_utf8(var, strlen(var)))
            return fail_usage("--var is K=V, not \"%s\"", var);
        cJSON_AddItemToArray(vars, cJSON_CreateString(var));
    }
    return 0;
}

static int add_flags(const struct options *options, cJSON *parameters)
{
    static const char *const flags[][2] = {{"keep-going", "keep_going"},
                                           {"wait-types", "wait_types"},
                                           {"detach", "detach"},
                                           {"dry-run", "dry_run"}};

    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (options_has(options, flags[i][0]))
            json_add_bool(parameters, flags[i][1], true);
    static const char *const watched[] = {"joblog", "results"};
    for (size_t i = 0; i < ARRAY_SIZE(watched); i++)
        if (options_has(options, watched[i]) &&
            (options_has(options, "detach") || options_has(options, "dry-run")))
            return fail_usage("--%s is for who looks on until the end: not with --detach or "
                              "--dry-run",
                              watched[i]);
    return 0;
}

static int add_options(const struct options *options, cJSON *parameters)
{
    static const char *const orders[] = {"strict", "type", "free", NULL};
    const char *order = options_get(options, "order"), *retries = options_get(options, "retries");
    char *end = NULL;
    int r = options_check_word(options, "order", orders);

    if (r != 0)
        return r;
    if (order)
        json_add_string(parameters, "order", order);
    if (retries) {
        unsigned long count = strtoul(retries, &end, 10);
        if (*retries < '0' || *retries > '9' || *end != '\0' || count > 1000)
            return fail_usage("--retries is a number from 0 to 1000, not \"%s\"", retries);
        json_add_u64(parameters, "retries", count);
    }
    return add_vars(options, parameters);
}

/* A list that is taken up keeps its file and how it was to be run. */
static int add_resume(const struct options *options, cJSON *parameters)
{
    static const char *const fixed[] = {"order",      "keep-going", "retries",
                                        "wait-types", "dry-run",    "var"};
    const char *failed = options_get(options, "resume-failed");
    const char *id = failed ? failed : options_get(options, "resume");

    if (failed && options_has(options, "resume"))
        return fail_usage("--resume or --resume-failed, but not both");
    if (options->words_count > 0)
        return fail_usage("%s has its list already: give no file", id);
    for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
        if (options_has(options, fixed[i]))
            return fail_usage("%s is run as it was begun: not with --%s", id, fixed[i]);
    json_add_string(parameters, "resume", id);
    if (failed)
        json_add_bool(parameters, "failed", true);
    return 0;
}

int run_read_options(const struct options *options, cJSON *parameters)
{
    int r = add_flags(options, parameters);

    if (r != 0)
        return r;
    if (options_has(options, "resume") || options_has(options, "resume-failed"))
        return add_resume(options, parameters);
    r = read_list(options->words_count > 0 ? options->words[0] : "tasks.txt", parameters);
    return r != 0 ? r : add_options(options, parameters);
}
