/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "ctl.h"
#include "console/failure.h"

/* The options that every command shares, with their environment variables and their defaults. */

#define REQUEST_TIMEOUT_USEC (10 * USEC_PER_SEC)

static const char *from_environment(const char *name)
{
    const char *text = getenv(name);
    return text && *text ? text : NULL;
}

/* The index of @text among @words, or -1 after telling that it is none. */
static int choose(const char *option, const char *text, const char *const *words)
{
    char list[128] = "";

    for (int i = 0; words[i]; i++)
        if (strcmp(words[i], text) == 0)
            return i;
    for (int i = 0; words[i]; i++) {
        strncat(list, i > 0 ? ", " : "", sizeof(list) - strlen(list) - 1);
        strncat(list, words[i], sizeof(list) - strlen(list) - 1);
    }
    fail_usage("%s is one of %s, not \"%s\"", option, list, text);
    return -1;
}

static int read_json(const struct options *options, struct globals *globals)
{
    static const char *const words[] = {"off", "short", "pretty", "lines", NULL};
    const char *text = options_get(options, "json");

    if (!options_has(options, "json"))
        return 0;
    if (!text) {
        globals->json = globals->stdout_is_tty ? JSON_PRETTY : JSON_SHORT;
        return 0;
    }
    int mode = choose("--json", text, words);
    if (mode < 0)
        return error_get_exit(ERROR_USAGE);
    globals->json = (enum json_mode)mode;
    return 0;
}

static bool terminal_has_color(void)
{
    const char *term = getenv("TERM");
    return term && strcmp(term, "dumb") != 0;
}

static int read_color(const struct options *options, struct globals *globals)
{
    static const char *const words[] = {"auto", "always", "never", NULL};
    const char *text = options_get(options, "color");

    globals->color = globals->stdout_is_tty && terminal_has_color();
    if (from_environment("CLICOLOR_FORCE") || from_environment("FORCE_COLOR"))
        globals->color = true;
    if (from_environment("NO_COLOR"))
        globals->color = false;
    if (text) {
        int when = choose("--color", text, words);
        if (when < 0)
            return error_get_exit(ERROR_USAGE);
        if (when > 0)
            globals->color = when == 1;
    }
    if (options_has(options, "no-color"))
        globals->color = false;
    return 0;
}

static int read_time(const struct options *options, struct globals *globals)
{
    static const char *const words[] = {"relative", "iso", "unix", NULL};
    const char *text = options_get(options, "time");

    if (!text)
        text = from_environment("P2PCTL_TIME");
    if (!text)
        return 0;
    int mode = choose("--time", text, words);
    if (mode < 0)
        return error_get_exit(ERROR_USAGE);
    globals->time = (enum time_mode)mode;
    return 0;
}

static int read_progress(const struct options *options, struct globals *globals)
{
    static const char *const words[] = {"none", "bar", "plain", "json", "auto", NULL};
    const char *text = options_get(options, "progress");

    if (!text)
        text = from_environment("P2PCTL_PROGRESS");
    int mode = text ? choose("--progress", text, words) : 4;
    if (mode < 0)
        return error_get_exit(ERROR_USAGE);
    globals->progress = (enum progress_mode)mode;
    if (mode == 4)
        globals->progress =
            globals->stderr_is_tty && !globals->quiet ? PROGRESS_BAR : PROGRESS_NONE;
    return 0;
}

static int read_request_timeout(const struct options *options, struct globals *globals)
{
    const char *text = options_get(options, "request-timeout");

    if (!text)
        text = from_environment("P2PCTL_REQUEST_TIMEOUT");
    globals->request_timeout_usec = REQUEST_TIMEOUT_USEC;
    if (text && (text_parse_usec(text, &globals->request_timeout_usec) < 0 ||
                 globals->request_timeout_usec == 0))
        return fail_usage("--request-timeout is a duration such as 10s, not \"%s\"", text);
    return 0;
}

/* The socket and the instance: an option of either kind wins over the environment of both. */
static void read_daemon(const struct options *options, struct globals *globals)
{
    globals->socket = options_get(options, "socket");
    globals->instance = options_get(options, "instance");
    if (globals->socket || globals->instance)
        return;
    globals->socket = from_environment("P2PNODE_SOCKET");
    globals->instance = from_environment("P2PNODE_INSTANCE");
}

int globals_read(const struct options *options, struct globals *ret)
{
    struct globals globals = {0};
    int r;

    globals.stdout_is_tty = isatty(STDOUT_FILENO);
    globals.stderr_is_tty = isatty(STDERR_FILENO);
    globals.quiet = options_has(options, "quiet");
    globals.verbose = options_has(options, "verbose");
    r = read_json(options, &globals);
    *ret = globals;
    fail_configure(globals.json != JSON_OFF, globals.verbose);
    if (r != 0)
        return r;
    read_daemon(options, &globals);
    globals.node = options_get(options, "node");
    globals.output = options_get(options, "output");
    globals.is_sorted = options_has(options, "sort");
    for (size_t i = 0; options_get_nth(options, "filter", i); i++) {
        if (i == FILTERS_MAX)
            return fail_usage("at most %d filters", FILTERS_MAX);
        globals.filters[globals.filters_count++] = options_get_nth(options, "filter", i);
    }
    globals.no_header = options_has(options, "no-legend");
    globals.legend =
        !globals.no_header && (globals.stdout_is_tty || options_has(options, "legend"));
    globals.full = options_has(options, "full") || !globals.stdout_is_tty;
    globals.utc = options_has(options, "utc");
    globals.yes = options_has(options, "yes");
    globals.no_input = options_has(options, "no-input") || !isatty(STDIN_FILENO);
    if (globals.node && !text_is_node_name(globals.node))
        return fail_usage("\"%s\" is no name of a node", globals.node);
    if ((r = read_color(options, &globals)) != 0 || (r = read_time(options, &globals)) != 0 ||
        (r = read_progress(options, &globals)) != 0 ||
        (r = read_request_timeout(options, &globals)) != 0)
        return r;
    *ret = globals;
    return 0;
}

bool ctl_is_chatty(const struct ctl *ctl)
{
    return ctl->globals.stderr_is_tty && !ctl->globals.quiet && ctl->globals.json == JSON_OFF;
}

int ctl_confirm(const struct ctl *ctl, const char *question)
{
    char answer[16] = "";

    if (ctl->globals.yes)
        return 0;
    if (ctl->globals.no_input)
        return fail(ERROR_USAGE, NULL, "to do it all the same: repeat the command with --yes",
                    "nobody can be asked whether to %s", question);
    fprintf(stderr, "%s? [y/N] ", question);
    if (fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y'))
        return 0;
    return fail(ERROR_CONFLICT, NULL, NULL, "nothing was changed");
}
