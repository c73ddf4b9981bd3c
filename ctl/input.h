/* SPDX-License-Identifier: MIT */
#pragma once

/* Reading whole small inputs: a task list, a value. */

#include <stddef.h>
#include <stdint.h>

/**
 * input_read() - all of a file
 * @path:  "-" = stdin
 * @max:   bytes; more is a failure,
 * @hint:  and what to do then; NULL for none
 *
 * Return: 0 with *@ret, NUL-terminated beyond @ret_size and owned by the caller; or the exit code.
 */
int input_read(const char *path, size_t max, const char *hint, uint8_t **ret, size_t *ret_size);
