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

void complete_print(struct ctl *ctl, enum complete_kind kind)
{
    switch (kind) {
    case COMPLETE_NOTHING:
        break;
    case COMPLETE_FILES:
        puts(":files");
        break;
    case COMPLETE_NODES:
        print_list(ctl, "Members", "members", "name", "", "state");
        break;
    case COMPLETE_PLACES:
        print_list(ctl, "Members", "members", "name", ":", "state");
        break;
    case COMPLETE_SELECTORS:
        print_list(ctl, "Members", "members", "name", "", "state");
        puts("tag:\ntype:\nall");
        break;
    case COMPLETE_TASKS:
        print_list(ctl, "ListTasks", "tasks", "id", "", "state");
        break;
    case COMPLETE_WORKFLOWS:
        print_list(ctl, "ListWorkflows", "workflows", "id", "", "state");
        break;
    case COMPLETE_TYPES:
        print_list(ctl, "Types", "types", "name", "", "handler");
        break;
    case COMPLETE_STORED:
        print_list(ctl, "ListFiles", "files", "name", "", NULL);
        print_list(ctl, "Members", "members", "name", ":", "state");
        break;
    case COMPLETE_VALUES:
        print_list(ctl, "ListMemory", "keys", "key", "", NULL);
        print_list(ctl, "Members", "members", "name", ":", "state");
        break;
    case COMPLETE_KEYS:
        print_list(ctl, "ListKeys", "keyring", "fingerprint", "", NULL);
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
        puts("examples\ntasks.txt\nexit-codes");
        break;
    }
}
