/* SPDX-License-Identifier: MIT */
#pragma once

/* The user's editor: $VISUAL, else $EDITOR, else vi, as a shell takes that word. */

#include "ctl.h"

#define EDITOR_SIZE_MAX ((size_t)1024 * 1024) /* bytes of what comes back */

/**
 * editor_edit() - lets the user change a text
 * @text: what they find in a file of their own, which is gone afterwards
 * @ret:  the file as they left it, NUL-terminated, for the caller to free
 *
 * Ctrl-C is the editor's meanwhile. Where nobody can be asked (--no-input, or stdin is no terminal
 * and no editor is set) that is wrong usage. Return: 0, or the exit code after the failure was
 * told.
 */
int editor_edit(const struct ctl *ctl, const char *text, char **ret);
