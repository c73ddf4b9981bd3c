/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Globs as a shell has them, the same wherever somebody may write one: * ? [abc] [a-z] [!abc]
 * [^abc]
 * [[:digit:]], and "\" before what stands for itself, also between brackets. A sign is a character
 * of UTF-8, or a byte that is none; the named classes are those of ASCII. A bracket that nothing
 * closes and a "\" at the end stand for themselves; '/' and a leading '.' are signs like any other.
 */

#include <stdbool.h>

bool glob_matches(const char *glob, const char *text);
