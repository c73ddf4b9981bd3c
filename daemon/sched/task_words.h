/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A list of words, as tasks have several: bounded, and each word its own.
 */

#include <stddef.h>
#include <stdint.h>
#include "base/macro.h"

#define TASK_WORDS_MAX  1024  /* args and env, each */
#define TASK_WORDS_SIZE 65536 /* bytes of all args, and of all env, NULs included */

/* A list of words: args, argv, env. */
struct task_words {
    char **items; /* owned, with what they point to; NULL-terminated where count is above 0 */
    size_t count;
};

void task_words_done(struct task_words *words);

/* Bytes of all words, NULs included. */
size_t task_words_size(const struct task_words *words);

/* Return: 0; -E2BIG above TASK_WORDS_MAX or TASK_WORDS_SIZE; -ENOMEM. */
int task_words_add(struct task_words *words, const char *word);
int task_words_copy(const struct task_words *words, struct task_words *ret);

/* "K=V", with a key that a shell takes. */
bool task_word_is_variable(const char *word);

/* The first word that begins with a name of its own, NAME=…, which a word before it gave; SIZE_MAX
 * where there is none. */
size_t task_words_find_repeated(const struct task_words *words);

/*
 * The words as a shell would take them, at most @size_max bytes of them: cut between characters,
 * safe in a log. Owned by the caller; NULL without memory.
 */
char *task_words_format(const struct task_words *words, size_t size_max);
