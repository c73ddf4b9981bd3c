/* SPDX-License-Identifier: MIT */
#pragma once

/* What is pressed at a terminal in raw mode, for `p2pctl top`. */

#include <stdbool.h>
#include <stddef.h>

#define KEY_ESCAPE          '\033'
#define KEY_CONTROL(letter) ((letter)&0x1f)

/*
 * Of the *@size bytes that were pressed, at least one, the first key: arrows count as k and j, F2
 * as F, other keys of several bytes as 0. *@ret_is_sequence tells an arrow from a letter. Both go
 * on to what is behind it.
 */
char key_next(const char **pressed, size_t *size, bool *ret_is_sequence);

/* Edits @text, of @size bytes: the key is added, Backspace takes the last character, Ctrl-U all. */
void key_edit(char *text, size_t size, char key);
