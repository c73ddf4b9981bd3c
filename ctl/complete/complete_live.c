/* SPDX-License-Identifier: MIT */
#include "complete/complete.h"

#include <stdio.h>
#include <string.h>
#include "client.h"
#include "config/config.h"
#include "config/events.h"
#include "find.h"
#include "console/render.h"

/* Names for the completion, from the daemon and from tables. */

static void print_word(const char *word, const char *behind, const char *help)
{
    /* A name that a shell would read as something else is left for the user to type. */
    if (!*word || strpbrk(word, " \t\n'\"\\$`;&|<>()*?[]{}~#!"))
        return;
    printf("%s%s", word, behind);
    if (help && *help && !strpbrk(help, "\t\n"))
        printf("\t%s", help);
    putchar('\n');
}

/* The strings @key of the list @list that @method answers; with @help beside them. */
static void print_list(struct ctl *ctl, const char *method, const char *list, const char *key,
                       const char *behind, const char *help)
{
    _cleanup_json_ cJSON *answer = NULL;
    int r = client_list(ctl, (struct call){method, client_parameters(ctl), -1, false, NULL}, list,
                        &answer);

    json_for_each (row, r == 0 ? json_member(answer, list) : NULL)
        print_word(json_text(row, key, ""), behind, help ? json_text(row, help, "") : NULL);
}

/* Nodes that are dead or have left, and their ids, for two may have had one name. */
static void print_gone(struct ctl *ctl)
{
    static const char *const keys[] = {"name", "uuid"};
    _cleanup_json_ cJSON *answer = NULL;
    int r = client_list(ctl, (struct call){"Members", client_parameters(ctl), -1, false, NULL},
                        "members", &answer);

    json_for_each (member, r == 0 ? json_member(answer, "members") : NULL) {
        const char *state = json_text(member, "state", "");
        if (strcmp(state, "dead") != 0 && strcmp(state, "left") != 0)
            continue;
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
            print_word(json_text(member, keys[i], ""), "", json_text(member, keys[!i], ""));
    }
}

static void print_instances(void)
{
    struct instances instances;

    find_running(&instances);
    for (size_t i = 0; i < instances.count; i++)
        print_word(instances.items[i].name, "", NULL);
}

static void print_commands(void)
{
    const char *last = "";

    for (const struct command *command = commands; command->noun; command++) {
        if (strcmp(last, command->noun) != 0)
            print_word(command->noun, "", command->verb ? NULL : command->help);
        last = command->noun;
    }
}

static void print_config(void)
{
    for (size_t i = 0; i < config_keys_count(); i++)
        print_word(config_key_path(i), "", NULL);
}

static void print_events(void)
{
    for (int i = 0; i < _EVENT_MAX; i++)
        print_word(event_get_info((enum event)i)->name, "", NULL);
}

/* Words that a method's list gives: the text at @key of each, @behind it, and what @help tells. */
static const struct {
    enum complete_kind kind;
    const char *method, *list, *key, *behind, *help;
} lists[] = {
    {COMPLETE_NODES, "Members", "members", "name", "", "state"},
    {COMPLETE_PLACES, "Members", "members", "name", ":", "state"},
    {COMPLETE_SELECTORS, "Members", "members", "name", "", "state"},
    {COMPLETE_TASKS, "ListTasks", "tasks", "id", "", "state"},
    {COMPLETE_WORKFLOWS, "ListWorkflows", "workflows", "id", "", "state"},
    {COMPLETE_TYPES, "Types", "types", "name", "", "handler"},
    {COMPLETE_STORED, "ListFiles", "files", "name", "", NULL},
    {COMPLETE_STORED, "Members", "members", "name", ":", "state"},
    {COMPLETE_VALUES, "ListMemory", "keys", "key", "", NULL},
    {COMPLETE_VALUES, "Members", "members", "name", ":", "state"},
    {COMPLETE_KEYS, "ListKeys", "keyring", "fingerprint", "", NULL},
};

void complete_print(struct ctl *ctl, enum complete_kind kind)
{
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        if (lists[i].kind == kind)
            print_list(ctl, lists[i].method, lists[i].list, lists[i].key, lists[i].behind,
                       lists[i].help);
    switch (kind) {
    case COMPLETE_FILES:
        puts(":files");
        break;
    case COMPLETE_GONE:
        print_gone(ctl);
        break;
    case COMPLETE_SELECTORS:
        puts("tag:\ntype:\nall");
        break;
    case COMPLETE_INSTANCES:
        print_instances();
        break;
    case COMPLETE_CONFIG:
        print_config();
        break;
    case COMPLETE_EVENTS:
        print_events();
        break;
    case COMPLETE_COMMANDS:
        print_commands();
        break;
    default:
        break;
    }
}
