/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What every command of p2pctl gets: its options, how the user wants to see the answer, and a
 * connection to the daemon made at the first question. One struct for one run of the program, owned
 * by main().
 *
 * Convention of this folder: int functions return 0, or the exit code of the program after the
 * failure was told to the user (failure.h).
 */

#include <cjson/cJSON.h>
#include <stdbool.h>
#include "base/usec.h"
#include "options.h"

enum json_mode { JSON_OFF, JSON_SHORT, JSON_PRETTY, JSON_LINES };
enum time_mode { TIME_RELATIVE, TIME_ISO, TIME_UNIX };
enum progress_mode { PROGRESS_NONE, PROGRESS_BAR, PROGRESS_PLAIN, PROGRESS_JSON };

#define FILTERS_MAX 16

/* The options of all commands, read. */
struct globals {
    const char *instance; /* or NULL */
    const char *socket;   /* or NULL */
    const char *node;     /* or NULL */
    const char *output;   /* of -o, or NULL */
    bool is_sorted;       /* by --sort */
    const char *filters[FILTERS_MAX];
    size_t filters_count;
    enum json_mode json;
    enum time_mode time;
    enum progress_mode progress;
    usec_t request_timeout_usec;
    bool no_header;
    bool legend;
    bool full;
    bool utc;
    bool color;
    bool quiet;
    bool verbose;
    bool yes;
    bool no_input;
    bool stdout_is_tty;
    bool stderr_is_tty;
};

struct client;

struct ctl {
    const struct command *command;
    struct options options;
    struct globals globals;
    struct client *client; /* owned; NULL before the first question */
    cJSON *shown;          /* owned; with --watch the rows of the last time, else NULL */
    cJSON *several;        /* owned; of render_several(), else NULL */
};

#define COMMAND_WORDS_MAX SIZE_MAX

/* One row of the command table, which feeds the dispatcher, help and the check of the manual. */
struct command {
    const char *noun;  /* "task", or the plain verb */
    const char *verb;  /* "list", or NULL */
    const char *alias; /* another verb, or NULL */
    const char *synopsis;
    const char *help;     /* one line */
    const char *examples; /* lines */
    const struct option *options;
    size_t words_min;
    size_t words_max;
    int (*run)(struct ctl *ctl);
};

/* Ends with noun NULL. */
extern const struct command commands[];

/* The row of @noun and @verb (NULL for plain verbs; aliases count), or NULL. */
const struct command *command_find(const char *noun, const char *verb);

/* Whether @command only looks, so that --watch may repeat it. */
bool command_is_watchable(const struct command *command);

/* Whether @command may show a list, for -o, --sort and --filter. */
bool command_has_list(const struct command *command);

/* Whether @command asks no daemon and prints a text that is no answer: for neither --json nor -N.
 */
bool command_is_local_text(const struct command *command);

/* Whether @word begins commands of two words. */
bool command_is_noun(const char *word);

/* Reads the options all commands share, and the environment. */
int globals_read(const struct options *options, struct globals *ret);

/* Whether hints and progress may be shown: somebody sits there and did not ask for silence. */
bool ctl_is_chatty(const struct ctl *ctl);

/*
 * Asks "@question [y/N]" on the terminal. Return: 0 for yes or with --yes; else the exit code,
 * told.
 */
int ctl_confirm(const struct ctl *ctl, const char *question);
