/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a task leaves behind and its user asked for: regular files of its work directory whose path
 * one of the patterns matches, packed into a bundle after all its processes have ended. A pattern
 * is matched name by name, with *, ? and [...]; a name that begins with a dot has to be asked for
 * by a dot. A directory that matches stands for all regular files below it. No link is followed.
 */

#include "exec/message.h"

/**
 * results_pack() - find and pack
 * @work_fd:   of a directory that may hold anything, but in which nothing runs any more
 * @bundle_fd: an empty file
 * @start:     its outs, results_max and reserve
 * @ret:       always filled; with an error the file is of no use
 */
void results_pack(int work_fd, int bundle_fd, const struct exec_start *start,
                  struct exec_results *ret);
