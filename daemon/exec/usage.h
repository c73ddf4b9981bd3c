/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * How much memory the descendants of this process use, all together, as /proc tells: for tasks
 * whose memory no control group limits. It is a look now and then: between two of them a task may
 * use more. Memory that processes share counts once; what they only read of files does not count,
 * nor does what is in files in memory (memfd) that no process has mapped.
 */

#include <stdbool.h>
#include <stdint.h>

/* Whether that is more than @limit bytes. False also where /proc cannot be read. */
bool usage_is_above(uint64_t limit);
