/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* `submit --after`: which tasks one waits for, and whether that can come true. */

#define AFTER_TEXT_MAX 64

/* "42@lab-01:ok" into the number of a task of this node and its condition. False: answered. */
static bool parse(struct node *node, struct call *call, const char *text, uint64_t *ret_number,
                  const char **ret_condition)
{
    const char *colon = strchr(text, ':');
    char id[TASK_ID_TEXT_MAX], origin[NODE_NAME_MAX + 1];
    size_t size = colon ? (size_t)(colon - text) : strlen(text);

    snprintf(id, sizeof(id), "%.*s", (int)MIN(size, sizeof(id) - 1), text);
    if (size >= sizeof(id) || task_id_parse(id, "", ret_number, origin) < 0) {
        call_fail(call, ERROR_USAGE, "p2pctl task list",
                  "after: \"%.64s\" is no task; write ID, ID:ok, ID:any or ID:failed", text);
        return false;
    }
    if (*origin && strcmp(origin, node->config->node.name) != 0) {
        call_fail(call, ERROR_USAGE, NULL,
                  "after: %s was submitted at %s; a task waits for tasks of its own node", id,
                  origin);
        return false;
    }
    *ret_condition = colon ? colon : "";
    return true;
}

static bool check(struct node *node, struct call *call, uint64_t number,
                  enum task_after_condition condition)
{
    const struct origin *origin = tasks_get_origin(node->tasks);
    const struct task *task = origin_find(origin, number);

    if (!task || !may_hear_of(call, &task->spec)) {
        call_fail(call, ERROR_NOT_FOUND, "p2pctl task list", "no task %" PRIu64 " on %s", number,
                  node->config->node.name);
        return false;
    }
    if (origin_judge_after(origin, task, condition) != TASK_AFTER_NEVER)
        return true;
    call_fail(call, ERROR_CONFLICT, "p2pctl task list",
              "task %" PRIu64 " has ended already: %s, so the new one would never run", number,
              task_state_name(task->state));
    return false;
}

bool read_after(struct node *node, struct call *call, struct task_words *words)
{
    const cJSON *array = NULL;

    if (!read_array(call, "after", &array))
        return false;
    if (cJSON_GetArraySize(array) > TASK_AFTER_MAX) {
        call_fail(call, ERROR_TOO_LARGE, NULL, "after: more than %d tasks", TASK_AFTER_MAX);
        return false;
    }
    json_for_each (item, array) {
        enum task_after_condition condition;
        const char *word = NULL;
        char text[AFTER_TEXT_MAX];
        uint64_t number;
        if (!parse(node, call, item->valuestring, &number, &word))
            return false;
        snprintf(text, sizeof(text), "%" PRIu64 "%.16s", number, word);
        if (task_after_parse(text, &number, &condition) < 0) {
            call_fail(call, ERROR_USAGE, NULL,
                      "after: \"%.64s\" does not end in :ok, :any or :failed", item->valuestring);
            return false;
        }
        if (!check(node, call, number, condition))
            return false;
        if (task_words_add(words, text) < 0) {
            fail_memory(call);
            return false;
        }
    }
    return true;
}
