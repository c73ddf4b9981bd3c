/* SPDX-License-Identifier: MIT */
#include "tasks/tally.h"

#include <stdlib.h>
#include <string.h>

/* What is found or made, or NULL without memory. */
static struct tally_type *find(struct tally *tally, const char *name)
{
    for (size_t i = 0; i < tally->count; i++)
        if (strcmp(tally->types[i].name, name) == 0)
            return &tally->types[i];
    if (tally->count == TALLY_TYPES_MAX)
        return &tally->types[TALLY_TYPES_MAX - 1];
    struct tally_type *types = reallocarray(tally->types, tally->count + 1, sizeof(*types));
    if (!types)
        return NULL;
    tally->types = types;
    struct tally_type *type = &types[tally->count++];
    *type = (struct tally_type){0};
    strcpy(type->name, tally->count == TALLY_TYPES_MAX ? TALLY_OTHER : name);
    return type;
}

void tally_done(struct tally *tally)
{
    free(tally->types);
    *tally = (struct tally){0};
}

void tally_start(struct tally *tally, const struct task *task)
{
    /* Whoever ran elsewhere before did not only wait. */
    struct tally_type *type = task->tries == 1 ? find(tally, task->spec.type) : NULL;

    if (type)
        histogram_add(&type->wait, &histogram_work,
                      usec_sub(task->started_wall_usec, task->submitted_wall_usec));
}

void tally_end(struct tally *tally, const struct task *task)
{
    struct tally_type *type = find(tally, task->spec.type);

    if (!type)
        return;
    type->results[task->state]++;
    if (task->has_end && task->end.type != TASK_END_NOT_RUN)
        histogram_add(&type->run, &histogram_work, task->end.run_usec);
}
