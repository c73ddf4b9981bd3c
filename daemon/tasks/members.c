/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include "base/log.h"
#include "record.h"
#include "tasks/command.h"
#include "tasks/internal.h"

/* What the placement is told of the members. */

static enum place_state place_state_of(const struct swim_member *member)
{
    static const enum place_state states[_SWIM_STATE_MAX] = {
        [SWIM_ALIVE] = PLACE_ALIVE,
        [SWIM_SUSPECT] = PLACE_SUSPECT,
        [SWIM_DEAD] = PLACE_DEAD,
        [SWIM_LEFT] = PLACE_LEFT,
    };
    return states[member->state];
}

void tasks_set_member(struct tasks *tasks, const struct swim_member *member,
                      const struct record *record)
{
    const char *types[RECORD_TYPES_MAX], *tags[RECORD_TAGS_MAX];
    struct place_limits limits[RECORD_TYPES_MAX];
    struct place_facts facts = {.id = member->id,
                                .generation = member->incarnation.generation,
                                .state = place_state_of(member),
                                .is_self = member->is_self,
                                .check = member->is_self ? command_check_spec : NULL,
                                .check_data = tasks,
                                .is_draining = member->load.draining,
                                .is_unstable = member->is_unstable,
                                .load_permille = member->load.load_permille,
                                .slots = member->load.slots,
                                .running = member->load.running,
                                .queued = member->load.queued,
                                .rtt_usec = member->rtt_usec,
                                .types = types,
                                .limits = limits,
                                .tags = tags};

    snprintf(facts.name, sizeof(facts.name), "%s", member->name);
    if (record) {
        facts.has_tasks = record->has_tasks;
        facts.has_commands = record->has_commands;
        facts.has_python = record->has_python;
        facts.cpus = record->cpus;
        snprintf(facts.python, sizeof(facts.python), "%s", record->python);
        facts.rules = record->rules;
        for (size_t i = 0; i < record->types_count; i++) {
            types[facts.types_count] = record->types[i];
            limits[facts.types_count++] = (struct place_limits){
                .is_for_some = record->limits[i].is_for_some, .max = record->limits[i].max};
        }
        for (size_t i = 0; i < record->tags_count; i++)
            tags[facts.tags_count++] = record->tags[i];
    }
    int r = origin_set_node(tasks->origin, &facts, tasks_now(tasks));
    if (r < 0)
        log_warning_errno(r, "Cannot take note of member %s: %m", member->name);
    tasks_pump(tasks);
}

void tasks_remove_member(struct tasks *tasks, const struct node_id *id)
{
    origin_remove_node(tasks->origin, id, tasks_now(tasks));
    tasks_pump(tasks);
}
