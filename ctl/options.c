/* SPDX-License-Identifier: MIT */
#include "options.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "ctl.h"
#include "console/failure.h"

#define SUGGESTIONS_MAX 128

const struct option global_options[] = {
    {"instance", 'i', "NAME", "which daemon of this machine"},
    {"socket", 0, "PATH", "its control socket"},
    {"node", 'N', "NODE", "ask about, or act on, another node"},
    {"json", 'j', "[MODE]", "answer as JSON: short, pretty, lines, off"},
    {"output", 'o', "COL,...", "choose columns, +COL adds one; help lists them"},
    {"sort", 0, "COL[:desc]", "sort a list, perhaps by several"},
    {"filter", 0, "KEY=VAL", "only matching rows; also KEY!=VAL and KEY~GLOB"},
    {"no-legend", 0, NULL, "no header and no footer"},
    {"legend", 0, NULL, "a footer also where stdout is no terminal"},
    {"full", 'l', NULL, "never shorten values"},
    {"time", 0, "MODE", "times as relative, iso or unix"},
    {"utc", 0, NULL, "times in UTC"},
    {"watch", 0, "[SEC]", "again every two seconds; redraw, or print what changed"},
    {"color", 0, "WHEN", "auto, always or never"},
    {"no-color", 0, NULL, "as --color=never"},
    {"progress", 0, "MODE", "auto, bar, plain, json or none"},
    {"no-pager", 0, NULL, "never through a pager"},
    {"quiet", 'q', NULL, "say less on stderr"},
    {"verbose", 'v', NULL, "say more on stderr"},
    {"yes", 'y', NULL, "do not ask"},
    {"no-input", 0, NULL, "never ask: fail instead"},
    {"request-timeout", 0, "DUR", "how long the daemon may take to answer (10s)"},
    {"help", 'h', NULL, "show help"},
    {"version", 'V', NULL, "show the version"},
    {NULL, 0, NULL, NULL},
};

static const struct option no_options[] = {{NULL, 0, NULL, NULL}};

static const struct option *options_of(const struct options *options)
{
    return options->command && options->command->options ? options->command->options : no_options;
}

static const struct option *find_in(const struct option *table, const char *name, size_t size,
                                    char letter)
{
    for (; table->name; table++)
        if (name ? strlen(table->name) == size && strncmp(table->name, name, size) == 0
                 : table->letter == letter && letter != 0)
            return table;
    return NULL;
}

static const struct option *find(const struct options *options, const char *name, size_t size,
                                 char letter)
{
    const struct option *option = find_in(options_of(options), name, size, letter);
    return option ? option : find_in(global_options, name, size, letter);
}

static int unknown_option(const struct options *options, const char *name)
{
    const char *names[SUGGESTIONS_MAX + 1];
    size_t count = 0;
    char hint[128];

    for (const struct option *o = options_of(options); o->name && count < SUGGESTIONS_MAX; o++)
        names[count++] = o->name;
    for (const struct option *o = global_options; o->name && count < SUGGESTIONS_MAX; o++)
        names[count++] = o->name;
    names[count] = NULL;
    const char *closest = text_closest(name, names);
    if (closest)
        snprintf(hint, sizeof(hint), "did you mean \"--%s\"?", closest);
    return fail(ERROR_USAGE, NULL, closest ? hint : NULL, "unknown option \"--%s\"", name);
}

static int unknown_letter(char letter)
{
    return fail(ERROR_USAGE, NULL, "to pass it as a word, put -- before it",
                "unknown option \"-%c\"", letter);
}

static int unknown_command(const char *noun, const char *verb)
{
    const char *names[SUGGESTIONS_MAX + 1];
    size_t count = 0;
    char hint[128];

    for (const struct command *c = commands; c->noun && count < SUGGESTIONS_MAX; c++) {
        if (!noun)
            names[count++] = c->noun;
        else if (c->verb && strcmp(c->noun, noun) == 0)
            names[count++] = c->verb;
        /* "task" stands there once for each of its verbs. */
        if (!noun && count > 1 && strcmp(names[count - 2], names[count - 1]) == 0)
            count--;
    }
    names[count] = NULL;
    const char *closest = text_closest(verb, names);
    if (closest)
        snprintf(hint, sizeof(hint), "did you mean \"%s%s%s\"?", noun ? noun : "", noun ? " " : "",
                 closest);
    else
        snprintf(hint, sizeof(hint), "see all commands: p2pctl help");
    return fail(ERROR_USAGE, NULL, hint, "unknown command \"%s%s%s\"", noun ? noun : "",
                noun ? " " : "", verb);
}

static void add_value(struct options *options, const struct option *option, const char *text)
{
    options->values[options->values_count++] = (struct option_value){option, text};
}

/* @argument is "name" or "name=text"; @next is the word after it. *@used tells whether that was
 * eaten. */
static int parse_long(struct options *options, const char *argument, const char *next, bool *used)
{
    size_t size = strcspn(argument, "=");
    const struct option *option = find(options, argument, size, 0);
    const char *text = argument[size] == '=' ? argument + size + 1 : NULL;

    if (!option) {
        _cleanup_free_ char *name = strndup(argument, size);
        return name ? unknown_option(options, name) : fail_memory();
    }
    if (!option->argument && text)
        return fail_usage("option \"--%s\" takes no argument", option->name);
    if (option->argument && *option->argument != '[' && !text) {
        if (!next)
            return fail_usage("option \"--%s\" needs an argument: %s", option->name,
                              option->argument);
        text = next;
        *used = true;
    }
    add_value(options, option, text);
    return 0;
}

/* "-qf", "-n5", "-n 5", "-j=short". */
static int parse_letters(struct options *options, const char *letters, const char *next, bool *used)
{
    for (; *letters; letters++) {
        const struct option *option = find(options, NULL, 0, *letters);
        if (!option)
            return unknown_letter(*letters);
        if (option->argument && letters[1] == '=') {
            add_value(options, option, letters + 2);
            return 0;
        }
        if (!option->argument || *option->argument == '[') {
            add_value(options, option, NULL);
            continue;
        }
        if (letters[1] == '\0' && !next)
            return fail_usage("option \"-%c\" needs an argument: %s", *letters, option->argument);
        *used = letters[1] == '\0';
        add_value(options, option, *used ? next : letters + 1);
        return 0;
    }
    return 0;
}

static int parse_word(struct options *options, const char *word)
{
    if (options->command) {
        options->words[options->words_count++] = word;
        return 0;
    }
    options->command =
        command_find(options->noun ? options->noun : word, options->noun ? word : NULL);
    if (options->command)
        return 0;
    if (options->noun || !command_is_noun(word))
        return unknown_command(options->noun, word);
    options->noun = word;
    return 0;
}

int options_parse(int argc, char *const *argv, struct options *ret)
{
    size_t count = argc > 0 ? (size_t)argc : 1;
    int r = 0;

    *ret = (struct options){.dashes = SIZE_MAX};
    /* "-qf" holds several options in one word. */
    size_t values_max = 0;
    for (int i = 1; i < argc; i++)
        values_max += strlen(argv[i]) + 1;
    ret->values = calloc(values_max + 1, sizeof(*ret->values));
    ret->words = calloc(count, sizeof(*ret->words));
    if (!ret->values || !ret->words)
        return fail_memory();
    for (int i = 1; i < argc && r == 0; i++) {
        const char *word = argv[i], *next = i + 1 < argc ? argv[i + 1] : NULL;
        bool used = false;
        if (ret->dashes != SIZE_MAX || *word != '-' || word[1] == '\0')
            r = parse_word(ret, word);
        else if (strcmp(word, "--") == 0)
            ret->dashes = ret->words_count;
        else if (word[1] == '-')
            r = parse_long(ret, word + 2, next, &used);
        else
            r = parse_letters(ret, word + 1, next, &used);
        i += used;
    }
    return r;
}

void options_done(struct options *options)
{
    free(options->values);
    free(options->words);
    *options = (struct options){0};
}

const char *options_get_nth(const struct options *options, const char *name, size_t index)
{
    for (size_t i = 0; i < options->values_count; i++)
        if (strcmp(options->values[i].option->name, name) == 0 && index-- == 0)
            return options->values[i].text;
    return NULL;
}

static const struct option_value *last(const struct options *options, const char *name)
{
    /* A name that is in no table is a mistake in this program, not of the user. */
    assert(find(options, name, strlen(name), 0));
    for (size_t i = options->values_count; i > 0; i--)
        if (strcmp(options->values[i - 1].option->name, name) == 0)
            return &options->values[i - 1];
    return NULL;
}

bool options_has(const struct options *options, const char *name)
{
    return last(options, name) != NULL;
}

const char *options_get(const struct options *options, const char *name)
{
    const struct option_value *value = last(options, name);
    return value ? value->text : NULL;
}

int options_check_word(const struct options *options, const char *name, const char *const *words)
{
    const char *text = options_get(options, name);
    char list[128] = "";

    for (size_t i = 0; text && words[i]; i++) {
        if (strcmp(words[i], text) == 0)
            return 0;
        strncat(list, i > 0 ? ", " : "", sizeof(list) - strlen(list) - 1);
        strncat(list, words[i], sizeof(list) - strlen(list) - 1);
    }
    return text ? fail_usage("--%s is one of %s, not \"%s\"", name, list, text) : 0;
}

int options_check_signal(const struct options *options)
{
    static const char *const names[] = {"TERM", "KILL", "INT",  "HUP", "QUIT",
                                        "USR1", "USR2", "CONT", NULL};
    const char *text = options_get(options, "signal");

    for (size_t i = 0; text && strncmp(text, "SIG", 3) == 0 && names[i]; i++)
        if (strcmp(text + 3, names[i]) == 0)
            return 0;
    return options_check_word(options, "signal", names);
}

int options_check_once(const struct options *options, const char *const *names)
{
    for (; *names; names++) {
        const char *first = options_get_nth(options, *names, 0);
        for (size_t i = 1; first && options_get_nth(options, *names, i); i++)
            if (strcmp(first, options_get_nth(options, *names, i)) != 0)
                return fail_usage("--%s is either \"%s\" or \"%s\"", *names, first,
                                  options_get_nth(options, *names, i));
    }
    return 0;
}

int options_check_durations(const struct options *options)
{
    usec_t usec;

    for (size_t i = 0; i < options->values_count; i++) {
        const struct option *option = options->values[i].option;
        const char *text = options->values[i].text;
        if (option->argument && strcmp(option->argument, "DUR") == 0 &&
            text_parse_usec(text, &usec) < 0)
            return fail_usage("--%s is a duration such as 10s or 5min, not \"%s\"", option->name,
                              text);
    }
    return 0;
}
