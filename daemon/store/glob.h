/* SPDX-License-Identifier: MIT */
#pragma once

/* Globs as users write them, with "\" before what stands for itself, as SQLite takes them. */

#include <stddef.h>

#define GLOB_SIZE_MAX 255

/* @glob: at most GLOB_SIZE_MAX bytes. */
void glob_translate(const char *glob, char target[static 3 * GLOB_SIZE_MAX + 1]);
