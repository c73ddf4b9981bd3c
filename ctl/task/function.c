/* SPDX-License-Identifier: MIT */
#include "task/function.h"

#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/text.h"
#include "console/failure.h"
#include "input.h"

#define CODE_MAX ((size_t)256 * 1024) /* bytes, as the daemon takes them */

bool function_is_asked(const struct options *options)
{
    return options_has(options, "python") || options_has(options, "code") ||
           options_has(options, "function");
}

static int add_code(cJSON *python, const char *file, const char *function, const char *code,
                    size_t size)
{
    if (size > CODE_MAX)
        return fail(ERROR_TOO_LARGE, NULL, NULL, "%s is larger than %zu KiB", file,
                    CODE_MAX / 1024);
    if (memchr(code, '\0', size) || !text_is_utf8(code, size))
        return fail_usage("%s is not text in UTF-8", file);
    json_add_string(python, "file", file);
    json_add_string(python, "function", function);
    json_add_string(python, "code", code);
    return 0;
}

/* "dir/stats.py:mean": the last colon counts. */
static int read_file(const char *argument, cJSON *python)
{
    const char *colon = strrchr(argument, ':');
    _cleanup_free_ char *path = NULL;
    _cleanup_free_ uint8_t *code = NULL;
    size_t size;

    path = strndup(argument, (size_t)(colon - argument));
    if (!path)
        return fail_memory();
    int r = input_read(path, CODE_MAX, NULL, &code, &size);
    if (r != 0)
        return r;
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    return add_code(python, strcmp(path, "-") == 0 ? "<stdin>" : name, colon + 1,
                    (const char *)code, size);
}

static int check_function(const struct options *options)
{
    const char *file = options_get(options, "python"), *code = options_get(options, "code");
    const char *function = options_get(options, "function");

    if (file && (code || function))
        return fail_usage("give --python FILE:FUNCTION, or --code and --function, but not both");
    if (file) {
        const char *colon = strrchr(file, ':');
        if (!colon || colon == file || colon[1] == '\0')
            return fail_usage("--python is FILE:FUNCTION, for example stats.py:mean, not \"%s\"",
                              file);
        return 0;
    }
    if (!code)
        return fail_usage("--function needs the code it is in: --code STR");
    return function ? 0 : fail_usage("--code needs the name of a function in it: --function F");
}

int function_check(const struct options *options)
{
    for (size_t i = 0; i < options->words_count; i++) {
        const char *word = options->words[i];
        if (!text_is_utf8(word, strlen(word)))
            return fail_usage("argument %zu is not UTF-8", i + 1);
        if (!json_is_value(text_skip_name(word)))
            return fail(ERROR_USAGE, NULL, "a text stands in quotes of its own: '\"text\"'",
                        "argument %zu is no JSON: %.64s", i + 1, word);
    }
    return check_function(options);
}

int function_add(const struct options *options, cJSON *parameters)
{
    const char *file = options_get(options, "python"), *code = options_get(options, "code");
    cJSON *python = cJSON_AddObjectToObject(parameters, "python");
    cJSON *args = cJSON_AddArrayToObject(parameters, "args");

    if (!python || !args)
        return fail_memory();
    for (size_t i = 0; i < options->words_count; i++)
        cJSON_AddItemToArray(args, cJSON_CreateString(options->words[i]));
    if (file)
        return read_file(file, python);
    return add_code(python, "<code>", options_get(options, "function"), code, strlen(code));
}
