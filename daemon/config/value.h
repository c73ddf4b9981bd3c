/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Inside of config/: one value of one key, between its text and its field. @object is the struct
 * that the key's offset counts from: a struct config, config_type or config_hook.
 */

#include <stdio.h>
#include "config/table.h"

/* Appends a copy. Return: 0, -ENOMEM. */
int strings_add(struct config_strings *strings, const char *text);

/*
 * Sets a scalar field from @text, or clears a KEY_LIST and fills it with the parts between commas.
 * Return: 0; -EINVAL and -ERANGE where it does not fit (the field is untouched); -ENOMEM.
 */
int value_set(const struct key *key, void *object, const char *text);

/* Adds one entry to a KEY_LIST. Return: 0; -EINVAL; -E2BIG above the key's max; -ENOMEM. */
int value_add(const struct key *key, void *object, const char *text);

/* Exchanges the values of two objects of one kind; nothing is copied. */
void value_swap(const struct key *key, void *one, void *other);

/* Frees what the field owns and zeroes it. */
void value_clear(const struct key *key, void *object);

bool value_is_equal(const struct key *key, const void *one, const void *other);

/* As in a file. Return: 0 with a text owned by the caller, -ENOMEM. */
int value_format(const struct key *key, const void *object, char **ret);

/* "expected a number from 1 to 10": what value_set would have taken. Return: 0, -ENOMEM. */
int value_describe(const struct key *key, char **ret);

/* Writes @text in the quotes and escapes of libconfig. */
void value_quote(FILE *stream, const char *text);
