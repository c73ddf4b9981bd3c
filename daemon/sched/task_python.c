/* SPDX-License-Identifier: MIT */
#include "sched/task_python.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/text.h"

struct task_python *task_python_free(struct task_python *python)
{
    if (!python)
        return NULL;
    free(python->code);
    free(python);
    return NULL;
}

int task_python_new(const char *file, const char *function, const char *code,
                    struct task_python **ret)
{
    _cleanup_(task_python_freep) struct task_python *python = calloc(1, sizeof(*python));

    if (!python)
        return -ENOMEM;
    python->code = strdup(code);
    if (!python->code)
        return -ENOMEM;
    (void)snprintf(python->file, sizeof(python->file), "%s", file);
    (void)snprintf(python->function, sizeof(python->function), "%s", function);
    *ret = TAKE_PTR(python);
    return 0;
}

/* "mean", "Stats.mean". */
static bool is_function(const char *text)
{
    for (;;) {
        size_t size = text_name_size(text);
        if (size == 0)
            return false;
        text += size;
        if (*text == '\0')
            return true;
        if (*text++ != '.')
            return false;
    }
}

/* Control characters but those of a program's lines would grow sixfold as JSON. */
static bool is_code(const char *text)
{
    for (const char *c = text; *c; c++)
        if (((unsigned char)*c < 0x20 && !strchr("\t\n\r\f", *c)) || *c == 0x7f)
            return false;
    return text_is_utf8(text, strlen(text));
}

const char *task_python_check(const struct task_python *python)
{
    if (!is_function(python->function) || !text_is_printable(python->function))
        return "a function has a name such as mean or Stats.mean, of at most 127 bytes";
    if (!text_is_file_name(python->file))
        return "a file of Python code has a name of at most 255 bytes of printable text";
    if (strlen(python->code) > TASK_CODE_MAX)
        return "Python code is at most 256 KiB";
    if (!is_code(python->code))
        return "Python code is text in UTF-8";
    return NULL;
}

bool task_python_differs(const char *version, const char *other)
{
    return *version != '\0' && *other != '\0' && *version != '?' && *other != '?' &&
           strcmp(version, other) != 0;
}

cJSON *task_python_to_json(const struct task_python *python)
{
    cJSON *json = cJSON_CreateObject();

    if (!json)
        return NULL;
    json_add_string(json, "file", python->file);
    json_add_string(json, "function", python->function);
    json_add_string(json, "code", python->code);
    return json;
}

int task_python_from_json(const cJSON *json, struct task_python **ret)
{
    const char *file = NULL, *function = NULL, *code = NULL;

    if (json_get_string(json, "file", &file) <= 0 || strlen(file) > TASK_FILE_MAX ||
        json_get_string(json, "function", &function) <= 0 || strlen(function) > TASK_FUNCTION_MAX ||
        json_get_string(json, "code", &code) <= 0)
        return -EBADMSG;
    return task_python_new(file, function, code, ret);
}
