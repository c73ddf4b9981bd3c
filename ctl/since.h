/* SPDX-License-Identifier: MIT */
#pragma once

/* --since of lists: a duration back from now, or a point in time as people and our own JSON write
 * one. */

#include "ctl.h"

/* Adds since to @parameters, where it was given. Return: 0, or the exit code. */
int since_add(const struct ctl *ctl, cJSON *parameters);
