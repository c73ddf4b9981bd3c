/* SPDX-License-Identifier: MIT */
#include "complete/complete.h"

#include <stdio.h>
#include <string.h>
#include "console/failure.h"

#define LIMIT_USEC (200 * USEC_PER_MSEC) /* of a question to the daemon */

/* What an option's argument may be; by the option's name, and the noun where that decides. */
static const struct {
    const char *option;
    const char *noun;  /* NULL = of any command */
    const char *words; /* NULL: @kind */
    enum complete_kind kind;
} arguments[] = {
    {"state", "members", "alive draining unstable suspect dead left", COMPLETE_NOTHING},
    {"state", NULL, "pending running succeeded failed timed-out cancelled lost unknown",
     COMPLETE_NOTHING},
    {"type", "events", NULL, COMPLETE_EVENTS},
    {"type", NULL, NULL, COMPLETE_TYPES},
    {"node", NULL, NULL, COMPLETE_NODES},
    {"instance", NULL, NULL, COMPLETE_INSTANCES},
    {"select", NULL, "tag:", COMPLETE_NOTHING},
    {"order", NULL, "strict type free", COMPLETE_NOTHING},
    {"overwrite", NULL, "never newer always", COMPLETE_NOTHING},
    {"color", NULL, "auto always never", COMPLETE_NOTHING},
    {"time", NULL, "relative iso unix", COMPLETE_NOTHING},
    {"progress", NULL, "auto bar plain json none", COMPLETE_NOTHING},
    {"format", NULL, "text seed", COMPLETE_NOTHING},
    {"log-level", NULL, "err warning notice info debug", COMPLETE_NOTHING},
    {"subsystem", NULL, "node membership liveness gossip messages net tasks files mem",
     COMPLETE_NOTHING},
    {"signal", NULL, "TERM INT HUP KILL USR1 USR2 QUIT", COMPLETE_NOTHING},
    {"workflow", NULL, NULL, COMPLETE_WORKFLOWS},
    {"resume", NULL, NULL, COMPLETE_WORKFLOWS},
    {"resume-failed", NULL, NULL, COMPLETE_WORKFLOWS},
    {"after", NULL, NULL, COMPLETE_TASKS},
    {"socket", NULL, NULL, COMPLETE_FILES},
    {"textfile", NULL, NULL, COMPLETE_FILES},
    {"report", NULL, NULL, COMPLETE_FILES},
    {"joblog", NULL, NULL, COMPLETE_FILES},
    {"results", NULL, NULL, COMPLETE_FILES},
    {"stdin", NULL, NULL, COMPLETE_FILES},
    {"output-file", NULL, NULL, COMPLETE_FILES},
    {"in", NULL, NULL, COMPLETE_FILES},
};

/* What the words of a command may be; @verb NULL = of all verbs. */
static const struct {
    const char *noun;
    const char *verb;
    const char *words; /* and @kind */
    enum complete_kind kind;
} operands[] = {
    {"node", "show", NULL, COMPLETE_NODES},
    {"ping", NULL, NULL, COMPLETE_NODES},
    {"forget", NULL, NULL, COMPLETE_GONE},
    {"drain", NULL, NULL, COMPLETE_NODES},
    {"undrain", NULL, NULL, COMPLETE_NODES},
    {"submit", NULL, NULL, COMPLETE_TYPES},
    {"run", NULL, NULL, COMPLETE_FILES},
    {"task", NULL, NULL, COMPLETE_TASKS},
    {"workflow", NULL, NULL, COMPLETE_WORKFLOWS},
    {"file", "put", NULL, COMPLETE_FILES},
    {"file", NULL, NULL, COMPLETE_STORED},
    {"mem", NULL, NULL, COMPLETE_VALUES},
    {"message", NULL, NULL, COMPLETE_SELECTORS},
    {"keys", "install", NULL, COMPLETE_FILES},
    {"keys", NULL, NULL, COMPLETE_KEYS},
    {"config", "show", NULL, COMPLETE_CONFIG},
    {"config", "check", NULL, COMPLETE_FILES},
    {"doctor", NULL, "ports clock key sandbox disk cluster python", COMPLETE_NOTHING},
    {"completion", NULL, "bash zsh fish", COMPLETE_NOTHING},
    {"help", NULL, "examples tasks.txt exit-codes", COMPLETE_COMMANDS},
};

static void print_words(const char *words)
{
    while (*words) {
        size_t size = strcspn(words, " ");
        printf("%.*s\n", (int)size, words);
        words += size + (words[size] == ' ');
    }
}

/* --- The line so far --- */

struct line {
    const char *noun; /* or NULL */
    const struct command *command;
    const struct option *pending; /* whose argument is to be completed; or NULL */
    bool is_unknown;              /* there is no such command */
    bool is_over;                 /* "--" stood there: the rest is somebody else's */
};

static const struct option *find_option(const struct line *line, const char *word)
{
    const struct option *tables[] = {line->command ? line->command->options : NULL, global_options};
    bool is_long = word[1] == '-';
    const char *name = word + 1 + is_long;

    for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
        for (const struct option *option = tables[i]; option && option->name; option++)
            if (is_long ? strcmp(option->name, name) == 0
                        : option->letter && option->letter == name[0] && !name[1])
                return option;
    return NULL;
}

/* Which daemon is meant decides whose names there are. */
static void take_global(struct ctl *ctl, const struct option *option, const char *text)
{
    if (strcmp(option->name, "instance") == 0)
        ctl->globals.instance = text;
    else if (strcmp(option->name, "socket") == 0)
        ctl->globals.socket = text;
    else if (strcmp(option->name, "node") == 0)
        ctl->globals.node = text;
}

static void take_word(struct line *line, const char *word)
{
    if (!line->noun) {
        line->noun = word;
        line->command = command_find(word, NULL);
    } else if (!line->command && command_is_noun(line->noun)) {
        line->command = command_find(line->noun, word);
        line->is_unknown = !line->command;
    }
}

/* All words but the last, which is the one to be completed. */
static struct line read_line(struct ctl *ctl, const char *const *words, size_t count)
{
    struct line line = {.noun = NULL};

    for (size_t i = 0; i + 1 < count && !line.is_over; i++) {
        const char *word = words[i];
        line.pending = NULL;
        if (strcmp(word, "--") == 0) {
            line.is_over = true;
        } else if (word[0] == '-' && word[1] && !strchr(word, '=')) {
            const struct option *option = find_option(&line, word);
            if (!option || !option->argument || *option->argument == '[')
                continue;
            if (i + 2 < count)
                take_global(ctl, option, words[++i]);
            else
                line.pending = option;
        } else if (word[0] != '-') {
            take_word(&line, word);
        }
    }
    return line;
}

/* --- What fits --- */

static void print_options(const struct option *options)
{
    for (; options && options->name; options++)
        printf("--%s\t%s\n", options->name, options->help);
}

static void print_verbs(const char *noun)
{
    for (const struct command *command = commands; command->noun; command++)
        if (strcmp(command->noun, noun) == 0)
            printf("%s\t%s\n", command->verb, command->help);
}

static void print_argument(struct ctl *ctl, const struct line *line)
{
    for (size_t i = 0; i < ARRAY_SIZE(arguments); i++) {
        if (strcmp(arguments[i].option, line->pending->name) != 0 ||
            (arguments[i].noun && (!line->noun || strcmp(arguments[i].noun, line->noun) != 0)))
            continue;
        if (arguments[i].words)
            print_words(arguments[i].words);
        else
            complete_print(ctl, arguments[i].kind);
        return;
    }
}

static void print_operand(struct ctl *ctl, const struct command *command, const char *last)
{
    for (size_t i = 0; i < ARRAY_SIZE(operands); i++) {
        if (strcmp(operands[i].noun, command->noun) != 0 ||
            (operands[i].verb && (!command->verb || strcmp(operands[i].verb, command->verb) != 0)))
            continue;
        if (operands[i].words)
            print_words(operands[i].words);
        complete_print(ctl, operands[i].kind);
        /* The last word of a put may be a node. */
        if (operands[i].kind == COMPLETE_FILES && strcmp(command->noun, "file") == 0 &&
            !strchr(last, '/'))
            complete_print(ctl, COMPLETE_PLACES);
        return;
    }
}

int complete_words(struct ctl *ctl, const char *const *words, size_t count)
{
    const char *last = count > 0 ? words[count - 1] : "";

    /* What goes wrong here is not for the eyes of whoever pressed a key. */
    if (!freopen("/dev/null", "w", stderr))
        return error_get_exit(ERROR_INTERNAL);
    ctl->globals.request_timeout_usec = LIMIT_USEC;
    struct line line = read_line(ctl, words, count);
    if (line.is_over) {
        puts(":files");
    } else if (line.is_unknown) {
        return 0;
    } else if (line.pending) {
        print_argument(ctl, &line);
    } else if (*last == '-') {
        print_options(line.command ? line.command->options : NULL);
        print_options(global_options);
    } else if (!line.noun) {
        complete_print(ctl, COMPLETE_COMMANDS);
    } else if (!line.command && command_is_noun(line.noun)) {
        print_verbs(line.noun);
    } else if (line.command) {
        print_operand(ctl, line.command, last);
    }
    return 0;
}
