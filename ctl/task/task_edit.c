/* SPDX-License-Identifier: MIT */
#include "task/task_edit.h"

#include <stdio.h>
#include <string.h>
#include "base/json.h"
#include "base/words.h"
#include "client.h"
#include "console/editor.h"
#include "console/failure.h"
#include "console/render.h"

/*
 * The file that is edited: lines of "#" that explain it, then the words, in quotes where they need
 * them. Line breaks outside of quotes are blanks.
 */

/* What words_split() reads as this word. */
static void write_word(FILE *file, const char *word)
{
    if (*word && !strpbrk(word, " \t\r\n\v\f'\"") && *word != '#') {
        fputs(word, file);
        return;
    }
    fputc('\'', file);
    for (; *word; word++)
        if (*word == '\'')
            fputs("'\"'\"'", file);
        else
            fputc(*word, file);
    fputc('\'', file);
}

static char *format(const cJSON *task)
{
    const char *separator = "";
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);

    if (!file)
        return NULL;
    fprintf(file,
            "# What task %s runs when this file is saved: %s.\n"
            "# Quotes of both kinds hold words together; nothing else is special.\n",
            json_text(task, "id", "?"),
            strcmp(json_text(task, "type", ""), "cmd") == 0 ? "a command and its arguments"
                                                            : "the arguments");
    json_for_each (word, json_member(task, "args")) {
        fputs(separator, file);
        write_word(file, word->valuestring);
        separator = " ";
    }
    fputc('\n', file);
    if (fclose(file) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

/* The text behind the lines that explain it, in one line but for what quotes hold together. */
static const char *straighten(char *text)
{
    char quote = '\0';

    while (*text == '#') {
        text += strcspn(text, "\n");
        text += *text == '\n';
    }
    for (char *c = text; *c; c++)
        if (quote)
            quote = *c == quote ? '\0' : quote;
        else if (*c == '"' || *c == '\'')
            quote = *c;
        else if (*c == '\n')
            *c = ' ';
    return text;
}

/* Return: 0, or the exit code. */
static int read_words(char *text, cJSON **ret)
{
    _cleanup_free_ char **words = NULL;
    int count = words_split(straighten(text), &words);

    if (count == -EINVAL)
        return fail_usage("a quote is not closed, nothing was changed");
    cJSON *array = count < 0 ? NULL : cJSON_CreateArray();
    if (!array)
        return fail_memory();
    for (int i = 0; i < count; i++)
        cJSON_AddItemToArray(array, cJSON_CreateString(words[i]));
    *ret = array;
    return 0;
}

int task_edit_words(struct ctl *ctl, const char *id, cJSON **ret)
{
    cJSON *parameters = cJSON_CreateObject();
    _cleanup_json_ cJSON *task = NULL;
    _cleanup_free_ char *before = NULL, *after = NULL;

    json_add_string(parameters, "id", id);
    int r = client_call(ctl, (struct call){"ShowTask", parameters, -1, false, NULL}, &task);
    if (r != 0)
        return r;
    if (!json_is_set(task, "ended")) {
        char hint[256];
        snprintf(hint, sizeof(hint), "wait for it: p2pctl task wait %s", id);
        return fail(ERROR_CONFLICT, NULL, hint, "task %s has not ended", id);
    }
    before = format(task);
    if (!before)
        return fail_memory();
    r = editor_edit(ctl, before, &after);
    return r != 0 ? r : read_words(after, ret);
}
