/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The command line of p2pctl: options anywhere, exact names only (a prefix that works today breaks
 * when a new option comes), a suggestion for every unknown word. getopt_long is not used because it
 * takes prefixes. Which options exist is said by tables: one for all commands, one per command.
 */

#include <stdbool.h>
#include <stddef.h>
#include "base/macro.h"

struct command;

/* One row of an options table; a table ends with name NULL. */
struct option {
    const char *name; /* without the dashes */
    char letter;      /* or 0 */
    /* What to call its argument in help: "DUR"; "[WHEN]" where only --name=WHEN gives one; NULL:
     * none. */
    const char *argument;
    const char *help;
};

/* One option as it stood there. */
struct option_value {
    const struct option *option;
    const char *text; /* borrowed from argv; NULL where there was none */
};

/* The parsed command line. Borrows all text from argv. */
struct options {
    const struct command *command; /* NULL where there was no word at all */
    const char *noun;              /* the word that names a noun, where no verb followed */
    struct option_value *values;   /* owned; in order */
    size_t values_count;
    const char **words; /* owned; without the command's own */
    size_t words_count;
    size_t dashes; /* how many words stood before "--"; SIZE_MAX without one */
};

/* The options every command takes. */
extern const struct option global_options[];

/*
 * Return: 0, or the exit code after the mistake was told. *@ret is valid either way, for what it
 * says of
 * --json, and freed by options_done().
 */
int options_parse(int argc, char *const *argv, struct options *ret);
void options_done(struct options *options);
#define _cleanup_options_ _cleanup_(options_done)

/* Whether it was given; @name must be in a table of the command. */
bool options_has(const struct options *options, const char *name);

/* Its argument, the last one where it was repeated; NULL where it was not given. */
const char *options_get(const struct options *options, const char *name);

/* Whether its argument, where it was given, is one of @words (up to NULL). Return: 0, or the exit
 * code after the mistake was told. */
int options_check_word(const struct options *options, const char *name, const char *const *words);
/* --signal: a name, with or without SIG. Return: as above. */
int options_check_signal(const struct options *options);

/*
 * Whether each of @names (up to NULL) was given once at most, and not with two arguments of which
 * one would be left out silently. Return: 0, or the exit code after the mistake was told.
 */
int options_check_once(const struct options *options, const char *const *names);

/*
 * Whether every argument that is a duration ("DUR") is one. Return: 0, or the exit code after the
 * mistake was told.
 */
int options_check_durations(const struct options *options);

/* The @index'th argument of a repeated one, or NULL. */
const char *options_get_nth(const struct options *options, const char *name, size_t index);
