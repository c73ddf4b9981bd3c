/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Records, specifications and ends as JSON: what the database keeps and what travels to a worker.
 * Reading is strict: a field of the wrong type or out of its range is an error, a missing one has
 * its default, unknown ones are left to later versions. Numbers beyond 2^53 do not occur
 * (task_json_read refuses them).
 */

#include "base/json.h"
#include "sched/task.h"

/* Return: an object of the caller's, or NULL without memory. */
cJSON *task_to_json(const struct task *task);
cJSON *task_spec_to_json(const struct task_spec *spec);
cJSON *task_end_to_json(const struct task_end *end);

/* Return: 0; -EBADMSG; -ENOMEM. */
int task_from_json(const cJSON *json, struct task **ret);
int task_spec_from_json(const cJSON *json, struct task_spec *ret);
int task_end_from_json(const cJSON *json, struct task_end *ret);
