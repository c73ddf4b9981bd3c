/* SPDX-License-Identifier: MIT */
#pragma once

/* The files that go with a task, put into its work directory before it begins. */

#include <stdbool.h>

/**
 * inputs_unpack() - write the files of a bundle
 * @bundle_fd:    hostile: nothing is written outside of the directories, and over nothing
 * @work_fd:      where the files go
 * @directory_fd: where what is to be its standard input goes, out of its sight
 * @ret_stdin:    a descriptor for the caller, where the bundle has one; else untouched
 *
 * Return: 0; -EBADMSG for what is no bundle, -EEXIST for a name that comes twice; what writing
 * said.
 */
int inputs_unpack(int bundle_fd, int work_fd, int directory_fd, int *ret_stdin);
