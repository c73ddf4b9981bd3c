/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Writes what the node counts to metrics.textfile now and then, for the textfile collector of
 * node_exporter. The text is made in the loop and written on a thread; a disk that is slow makes it
 * rarer, nothing else. Owned by the node.
 */

#include "base/macro.h"

struct node;
struct textfile;

/* Return: 0, -ENOMEM, what sd-event said. */
int textfile_new(struct node *node, struct textfile **ret);
/* After the worker was freed. Returns NULL. */
struct textfile *textfile_free(struct textfile *textfile);
DEFINE_CLEANUP(struct textfile *, textfile_free)

/* The configuration says something else now. */
void textfile_reload(struct textfile *textfile);

/* Why it could not be written the last time: an errno; 0 = it was, or never yet tried. */
int textfile_get_error(const struct textfile *textfile);
