/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A line of text as the words of a command, without a shell: `run=` of task lists, handlers of
 * types and commands of hooks are all cut by this, so that quotes mean the same everywhere.
 */

#include <stddef.h>

/**
 * words_split() - words between blanks; quotes of both kinds hold words together and vanish
 * @ret:  NULL-terminated, in one piece of memory with the words, for the caller to free
 *
 * Nothing else is special: no backslashes, no variables. '' and "" are empty words.
 *
 * Return: how many; -EINVAL where a quote is never closed; -ENOMEM.
 */
int words_split(const char *text, char ***ret);
