/* SPDX-License-Identifier: MIT */
#pragma once

/* What a scenario may wait for or expect, and the fields of the configuration that it may set. */

#include "sim.h"

/* Return: 0; -EINVAL where @words are no condition. */
int condition_test(const struct sim *sim, char **words, size_t count, bool *ret);

/* Return: 0; -EINVAL for an unknown @key or a malformed @value. */
int condition_set_config(struct swim_config *config, const char *key, const char *value);

void condition_help(void);
