/* SPDX-License-Identifier: MIT */
#include "help.h"

#include <cjson/cJSON.h>
#include <libsmartcols/libsmartcols.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "client.h"
#include "commands.h"
#include "console/failure.h"
#include "find.h"
#include "console/render.h"

/* `p2pctl help`, `-h` and `p2pctl version`. */

static const char *const topic_names[] = {"examples", "tasks.txt", "exit-codes", NULL};

static const char tasks_text[] =
    "A task list (p2pctl run, ./tasks.txt by default): every word is a task, a type letter and a "
    "number.\n"
    "They run in this order, one after the other; line breaks do not matter; # starts a comment.\n"
    "\n"
    "  a1 a2 c1 b1 c2\n"
    "  { a3 b2 b3 }            # these may run at the same time; the next waits for all\n"
    "  a4 c3 b4\n"
    "\n"
    "Optional details, TASK: first on a line:\n"
    "\n"
    "  a1: in=raw.csv out=clean.csv args=\"--rows 10\"\n"
    "  c1: in=@a1/clean.csv timeout=30s retries=2 confidential=yes\n"
    "  b1: run=\"python3 plot.py\" node=lab-05\n"
    "  b4: needs=a3,b2 on_fail=continue\n"
    "\n"
    "Mistakes are told as FILE:LINE:COLUMN, all of them, and then nothing is started.\n"
    "p2pctl run --dry-run shows the plan. All details: man 5 p2pnode-tasks\n";

static const char exit_text[] =
    "0    done (an empty list is also 0)\n"
    "1    failed; also: one or more tasks of a run, or of a wait for several, failed\n"
    "2    wrong usage: unknown option, bad tasks.txt, contradictory options\n"
    "3    no daemon: socket absent or nobody listening\n"
    "4    no such task, node, file, key, type\n"
    "5    degraded (status --check, doctor)\n"
    "6    not permitted\n"
    "7    other node unreachable or died meanwhile\n"
    "124  time limit reached: --timeout of a wait, or the task's own\n"
    "125  p2pctl or p2pnode itself failed while a task's own code was to be handed on\n"
    "126  command not executable on the node\n"
    "127  command not found on the node\n"
    "128+N  task killed by signal N (137 = KILL)\n"
    "130  interrupted; the work goes on detached\n"
    "else the task's own code: submit --wait, submit -f, task wait with one ID\n";

static void print_examples(const char *examples)
{
    while (*examples) {
        size_t size = strcspn(examples, "\n");
        printf("  %.*s\n", (int)size, examples);
        examples += size + (examples[size] == '\n');
    }
}

static void print_options(const struct option *options)
{
    char left[64];

    for (; options->name; options++) {
        char letter[4] = {'-', options->letter, ',', '\0'};
        /* "[MODE]" is given as --json=MODE only. */
        bool optional = options->argument && *options->argument == '[';
        snprintf(left, sizeof(left), "%-3s --%s%s%s", options->letter ? letter : "", options->name,
                 optional            ? "[="
                 : options->argument ? " "
                                     : "",
                 options->argument ? options->argument + optional : "");
        printf("  %-30s %s\n", left, options->help);
    }
}

static void print_row(const struct command *command)
{
    char left[96];

    snprintf(left, sizeof(left), "%s%s%s", command->noun, command->verb ? " " : "",
             command->verb ? command->verb : "");
    printf("  %-20s %s\n", left, command->help);
}

void help_show_overview(void)
{
    puts("usage: p2pctl [OPTIONS] COMMAND [ARGUMENTS]\n\n"
         "  p2pctl                 is p2pctl status\n"
         "  p2pctl COMMAND -h      examples and options of a command\n\ncommands:");
    for (const struct command *command = commands; command->noun; command++)
        print_row(command);
    puts("\noptions of all commands:");
    print_options(global_options);
}

void help_show_command(const struct command *command)
{
    puts("examples:");
    print_examples(command->examples);
    printf("\nusage: p2pctl %s%s%s [OPTIONS] %s\n\n  %s\n", command->noun, command->verb ? " " : "",
           command->verb ? command->verb : "", command->synopsis, command->help);
    if (command->options) {
        puts("\noptions:");
        print_options(command->options);
    }
    puts("\nOptions of all commands: p2pctl help");
}

void help_show_noun(const char *noun)
{
    printf("usage: p2pctl %s VERB ...\n\n", noun);
    for (const struct command *command = commands; command->noun; command++)
        if (strcmp(command->noun, noun) == 0)
            print_row(command);
}

static int show_topic(const char *word)
{
    char hint[96] = "see all commands: p2pctl help";
    const char *names[80];
    size_t count = 0;

    if (strcmp(word, "tasks.txt") == 0) {
        fputs(tasks_text, stdout);
        return 0;
    }
    if (strcmp(word, "exit-codes") == 0) {
        fputs(exit_text, stdout);
        return 0;
    }
    if (strcmp(word, "examples") == 0) {
        for (const struct command *command = commands; command->noun; command++)
            print_examples(command->examples);
        return 0;
    }
    for (size_t i = 0; topic_names[i]; i++)
        names[count++] = topic_names[i];
    for (const struct command *command = commands; command->noun && count + 1 < ARRAY_SIZE(names);
         command++)
        names[count++] = command->noun;
    names[count] = NULL;
    const char *closest = text_closest(word, names);
    if (closest)
        snprintf(hint, sizeof(hint), "did you mean \"%s\"?", closest);
    return fail(ERROR_USAGE, NULL, hint, "no help about \"%s\"", word);
}

int help_run(struct ctl *ctl)
{
    const struct options *options = &ctl->options;
    const char *noun = options->words_count > 0 ? options->words[0] : NULL;
    const char *verb = options->words_count > 1 ? options->words[1] : NULL;
    const struct command *command = noun ? command_find(noun, verb) : NULL;

    if (!noun)
        help_show_overview();
    else if (command)
        help_show_command(command);
    else if (!verb && command_is_noun(noun))
        help_show_noun(noun);
    else
        return show_topic(verb ? verb : noun);
    return 0;
}

/* Whether a daemon runs that could be asked; `version` works without one. */
static bool daemon_is_there(const struct ctl *ctl)
{
    struct instances instances;
    char path[FIND_PATH_MAX];
    int fd = -EBADF;

    if (ctl->globals.socket) {
        fd = find_connect(ctl->globals.socket);
    } else if (ctl->globals.instance) {
        if (find_path(ctl->globals.instance, path) == 0)
            fd = find_connect(path);
    } else {
        find_running(&instances);
        fd = instances.count == 1 ? find_connect(instances.items[0].path) : -ENOENT;
    }
    close_fd(fd);
    return fd >= 0;
}

int version_run(struct ctl *ctl)
{
    _cleanup_json_ cJSON *info = NULL, *answer = cJSON_CreateObject();
    const char *smartcols = NULL;
    char text[32];
    int r = 0;

    if (daemon_is_there(ctl))
        r = client_call(ctl, (struct call){"org.varlink.service.GetInfo", NULL, -1, false, NULL},
                        &info);
    if (r != 0)
        return r;
    if (ctl->globals.json == JSON_OFF) {
        puts("p2pctl " P2PNODE_VERSION);
        if (info)
            printf("p2pnode %s\n", json_text(info, "version", "?"));
        return 0;
    }
    json_add_string(answer, "schema", "p2pctl.version/1");
    json_add_string(answer, "p2pctl", P2PNODE_VERSION);
    json_add_string(answer, "p2pnode", info ? json_text(info, "version", NULL) : NULL);
    cJSON *libraries = cJSON_AddObjectToObject(answer, "libraries");
    scols_get_library_version(&smartcols);
    json_add_string(libraries, "cjson", cJSON_Version());
    json_add_string(libraries, "smartcols", smartcols);
    snprintf(text, sizeof(text), "%s", OpenSSL_version(OPENSSL_VERSION_STRING));
    json_add_string(libraries, "openssl", text);
    return render_json(ctl, answer, NULL);
}
