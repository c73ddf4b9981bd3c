/* SPDX-License-Identifier: MIT */
#include "control/methods_internal.h"

#include <stdio.h>
#include <string.h>

/* Why a task is not taken, in the words of its user. */

#define HINT_MAX       512
#define TYPES_TOLD_MAX 64

/* The types that any node handles, each once, in order. Return: how many. */
static size_t list_types(const struct place *place, const char *types[static TYPES_TOLD_MAX])
{
    size_t count = 0, i = 0;

    for (const struct place_node *other; (other = place_next(place, &i));)
        for (size_t j = 0; j < other->facts.types_count && count < TYPES_TOLD_MAX; j++) {
            const char *type = other->facts.types[j];
            size_t at = 0;
            while (at < count && strcmp(types[at], type) < 0)
                at++;
            if (at < count && strcmp(types[at], type) == 0)
                continue;
            memmove(types + at + 1, types + at, (count - at) * sizeof(*types));
            types[at] = type;
            count++;
        }
    return count;
}

/* "no node handles task type "d"  (known types: a b c)", or that none has so many CPUs. */
void fail_no_handler(struct node *node, struct call *call, const struct task_spec *spec,
                     const char *hint)
{
    struct place *place = origin_get_place(tasks_get_origin(node->tasks));
    const char *types[TYPES_TOLD_MAX];
    char known[HINT_MAX] = "", reason[TASK_REASON_MAX + 1] = "";
    size_t count = list_types(place, types), used = 0;

    if (place_is_too_small(place, spec)) {
        (void)place_choose(place, spec, NULL, reason);
        call_fail(call, ERROR_NO_HANDLER, hint, "%s", reason);
        return;
    }
    if (spec->is_confidential && task_spec_get_kind(spec) == TASK_TYPED) {
        call_fail(call, ERROR_NO_HANDLER, "p2pctl types",
                  "%s does not handle task type \"%s\", and a confidential task never leaves it",
                  node->config->node.name, spec->type);
        return;
    }
    for (size_t i = 0; i < count && used + strlen(types[i]) + 2 < sizeof(known); i++)
        used += (size_t)snprintf(known + used, sizeof(known) - used, " %s", types[i]);
    call_fail(call, ERROR_NO_HANDLER, hint, "no node handles task type \"%s\"  (known types:%s)",
              spec->type, *known ? known : " none");
}

/* Whether there is a node that might run it, but for tasks.allow_commands or tasks.allow_python. */
static bool refuses(const struct record *record, const struct task_spec *spec)
{
    if (spec->python)
        return *record->python && !record->has_python;
    return spec->is_command && !record->has_commands;
}

static bool is_kind_refused(const struct node *node, const struct task_spec *spec)
{
    const struct swim *swim = cluster_get_swim(node->cluster);
    struct record record;

    for (size_t i = 0; i < swim_members_count(swim); i++) {
        const struct swim_member *member = swim_member_at(swim, i);
        if (member->state != SWIM_DEAD && member->state != SWIM_LEFT && !member->is_self &&
            (!*spec->node || strcmp(spec->node, member->name) == 0) &&
            node_get_record(member, &record) >= 0 && record.has_tasks && refuses(&record, spec))
            return true;
    }
    return false;
}

void fail_forbidden(struct call *call, const char *reason)
{
    call_fail(call, ERROR_NOT_PERMITTED,
              "who may is said by its users: p2pctl config show tasks.types     (on the node that "
              "is to run it)",
              "%s", reason);
}

void fail_submit(struct node *node, struct call *call, const struct task_spec *spec, int r,
                 const char *reason)
{
    switch (-r) {
    case ENOENT:
        if (place_is_too_small(origin_get_place(tasks_get_origin(node->tasks)), spec) ||
            (spec->is_confidential && task_spec_get_kind(spec) == TASK_TYPED))
            fail_no_handler(node, call, spec, NULL);
        else if (!spec->is_confidential && is_kind_refused(node, spec))
            call_fail(
                call, ERROR_NOT_PERMITTED,
                spec->python
                    ? "p2pctl config show tasks.allow_python     (on the node that is to run it)"
                    : "p2pctl config show tasks.allow_commands     (on the node that is to run it)",
                "not permitted: %s%s %s of other nodes", *spec->node ? spec->node : "",
                *spec->node ? " takes no" : "no node takes",
                spec->python ? "functions" : "commands");
        else if (task_spec_get_kind(spec) != TASK_TYPED || *spec->node || *spec->select)
            call_fail(call, ERROR_NO_HANDLER, "p2pctl types", "%s", reason);
        else
            fail_no_handler(node, call, spec, "see who does what: p2pctl types");
        break;
    case EACCES:
        fail_forbidden(call, reason);
        break;
    case EPERM:
        call_fail(call, ERROR_CONFIDENTIAL, NULL, "%s", reason);
        break;
    case ENOBUFS:
        call_fail(call, ERROR_BUSY, "p2pctl task list", "%s", reason);
        break;
    default:
        call_fail(call, error_from_errno(r), NULL, "%s", reason);
        break;
    }
}
