/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A file that is there whole or not at all: written beside its place, then renamed over what was
 * there. For readers that come at any time, not against power cuts: nothing is synced. Blocks.
 */

#include <stddef.h>
#include <sys/types.h>

/*
 * @mode: of the new file, whatever the umask is. Return: 0, or a negative errno of what failed;
 * then nothing is left and the former file stays.
 */
int replace_file(const char *path, const void *data, size_t size, mode_t mode);
