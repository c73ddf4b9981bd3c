/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Globs as a shell has them, the same wherever somebody may write one: * ? [abc] [a-z] [!abc]
 * [^abc] [[:digit:]], and "\" before what stands for itself, also between brackets. A sign is a
 * character of UTF-8, or a byte that is none; the named classes are those of ASCII. A bracket that
 * nothing closes and a "\" at the end stand for themselves; '/' and a leading '.' are signs like
 * any other. fnmatch(3) is not asked: what it means follows the locale, and it also matches the
 * bytes of a character one by one, so that "??" would match "é", and `file rm '??'` remove it.
 */

#include <stdbool.h>

bool glob_matches(const char *glob, const char *text);

/* A glob that only @name matches, also where a peer of an earlier version asks SQLite's GLOB, to
 * which "\" is a sign like any other. @target: 4 * strlen(@name) + 1 bytes. */
void glob_quote(const char *name, char *target);
