/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>
#include "base/stdfd.h"
#include "client.h"
#include "interrupt.h"
#include "commands.h"
#include "console/failure.h"
#include "help.h"
#include "console/pager.h"
#include "console/render.h"
#include "console/watch.h"

/* p2pctl: reads the command line, runs one command, ends with its exit code. */

static void ctl_done(struct ctl *ctl)
{
    client_free(ctl->client);
    cJSON_Delete(ctl->shown);
    options_done(&ctl->options);
}

static int check_words(const struct ctl *ctl)
{
    const struct command *command = ctl->command;
    size_t count = ctl->options.words_count;
    char hint[128];

    if (count >= command->words_min && count <= command->words_max)
        return 0;
    snprintf(hint, sizeof(hint), "usage: p2pctl %s%s%s%s%s", command->noun,
             command->verb ? " " : "", command->verb ? command->verb : "",
             *command->synopsis ? " " : "", command->synopsis);
    if (count < command->words_min)
        return fail(ERROR_USAGE, NULL, hint, "%s%s%s needs %s", command->noun,
                    command->verb ? " " : "", command->verb ? command->verb : "",
                    command->synopsis);
    return fail(ERROR_USAGE, NULL, hint, "\"%s\" is one argument too many",
                ctl->options.words[command->words_max]);
}

/* -h and -V, wherever they stand; and a noun without its verb. Return: whether that was all. */
static bool show_help(const struct ctl *ctl, int *ret)
{
    const struct options *options = &ctl->options;

    *ret = 0;
    if (options_has(options, "help")) {
        if (options->command)
            help_show_command(options->command);
        else if (options->noun)
            help_show_noun(options->noun);
        else
            help_show_overview();
        return true;
    }
    if (options_has(options, "version")) {
        puts("p2pctl " P2PNODE_VERSION);
        return true;
    }
    if (!options->command && options->noun) {
        char hint[96];
        snprintf(hint, sizeof(hint), "see what there is: p2pctl %s -h", options->noun);
        *ret = fail(ERROR_USAGE, NULL, hint, "%s needs a verb", options->noun);
        return true;
    }
    return false;
}

/* Looked for by itself, since a mistake anywhere in the command line is told as JSON too. */
static bool asks_for_json(int argc, char *const *argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "-j") == 0 ||
            (strncmp(argv[i], "--json", 6) == 0 && strcmp(argv[i], "--json=off") != 0))
            return true;
    return false;
}

/* Whether the exit code is to be that of a task: then every failure of our own is 125. */
static bool hands_code_on(const struct options *options)
{
    const struct command *command = options->command;

    if (command && strcmp(command->noun, "submit") == 0)
        return (options_has(options, "wait") || options_has(options, "follow")) &&
               !options_has(options, "dry-run");
    return command && strcmp(command->noun, "task") == 0 && strcmp(command->verb, "wait") == 0 &&
           options->words_count == 1;
}

/* "-f", also among others: "-qf". */
static bool has_letter(const char *argument, char letter)
{
    return argument[0] == '-' && argument[1] != '-' && strchr(argument, letter);
}

/*
 * The same as far as the words tell, before a mistake in them is told. What follows an option may
 * be its value: of `task wait` it is taken for no id, and with one id or none the code is handed
 * on.
 */
static bool seems_to_hand_code_on(int argc, char *const *argv)
{
    const struct command *submit = command_find("submit", NULL),
                         *wait = command_find("task", "wait");
    const struct command *found = NULL;
    bool stays = false, is_dry = false;
    int ids = 0;

    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (!found)
            found = command_find(argv[i], NULL);
        else if (found == wait)
            ids += *argv[i] != '-' && *argv[i - 1] != '-';
        if (!found && command_is_noun(argv[i]) && i + 1 < argc) {
            found = command_find(argv[i], argv[i + 1]);
            i++;
        }
        stays = stays || strcmp(argv[i], "--wait") == 0 || strcmp(argv[i], "--follow") == 0 ||
                has_letter(argv[i], 'f');
        is_dry = is_dry || strcmp(argv[i], "--dry-run") == 0;
    }
    return found && ((found == submit && stays && !is_dry) || (found == wait && ids <= 1));
}

/* An option of all commands that this one cannot heed is not left out silently. */
static int check_globals(const struct ctl *ctl)
{
    static const char *const of_lists[] = {"output", "sort", "filter"};
    const struct command *command = ctl->command;
    const char *space = command->verb ? " " : "", *verb = command->verb ? command->verb : "";

    for (size_t i = 0; i < ARRAY_SIZE(of_lists) && !command_has_list(command); i++)
        if (options_has(&ctl->options, of_lists[i]))
            return fail_usage("--%s is for lists, and %s%s%s shows none", of_lists[i],
                              command->noun, space, verb);
    if (!command_is_local_text(command))
        return 0;
    if (ctl->globals.json != JSON_OFF)
        return fail_usage("%s%s%s prints a text, which is no JSON", command->noun, space, verb);
    if (ctl->globals.node)
        return fail_usage("%s%s%s asks no node: leave out -N", command->noun, space, verb);
    return 0;
}

static int dispatch(struct ctl *ctl, int argc, char *const *argv)
{
    int helped = 0;

    fail_configure(asks_for_json(argc, argv), false);
    fail_hand_on(seems_to_hand_code_on(argc, argv));
    int r = options_parse(argc, argv, &ctl->options);
    if (r == 0)
        fail_hand_on(hands_code_on(&ctl->options));
    if (r == 0)
        r = globals_read(&ctl->options, &ctl->globals);
    if (r != 0 || show_help(ctl, &helped))
        return r != 0 ? r : helped;
    ctl->command = ctl->options.command ? ctl->options.command : command_find("status", NULL);
    ctl->options.command = ctl->command;
    r = check_words(ctl);
    if (r == 0)
        r = options_check_durations(&ctl->options);
    if (r == 0)
        r = check_globals(ctl);
    if (r != 0)
        return r;
    pager_open(ctl);
    if (!options_has(&ctl->options, "watch"))
        return render_several_end(ctl, ctl->command->run(ctl));
    if (!command_is_watchable(ctl->command))
        return fail_usage("only what just looks can be repeated by --watch");
    return watch_run(ctl);
}

/* An answer that did not arrive whole is none. */
static int end_output(int r)
{
    if (pager_close() || (fflush(stdout) == 0 && !ferror(stdout)) || r != 0)
        return r;
    return fail_output(NULL);
}

int main(int argc, char **argv)
{
    struct ctl ctl = {0};
    int r = stdfd_hold();

    if (r < 0)
        return error_get_exit(ERROR_INTERNAL);
    render_init();
    r = dispatch(&ctl, argc, argv);
    ctl_done(&ctl);
    r = end_output(r);
    interrupt_end_as_told();
    return r < 0 ? EXIT_INTERRUPTED : r;
}
