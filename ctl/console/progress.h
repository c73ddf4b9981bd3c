/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One line on stderr that says how far something is: redrawn at most four times a second on a
 * terminal, every ten seconds with --progress=plain, as JSON with --progress=json. Owned by the
 * command that works.
 */

#include <stdbool.h>
#include <stdint.h>
#include "base/usec.h"
#include "ctl.h"

struct progress {
    const struct ctl *ctl; /* borrowed */
    const char *name;      /* borrowed; what is being done: a file, a workflow */
    usec_t started_usec;
    usec_t shown_usec;
    bool shown;        /* a line stands there and must be wiped */
    usec_t rated_usec; /* when the rate was last looked at, */
    double rated_done; /* and what had been done by then */
    double rate;       /* per second, of late */
    bool has_waited;   /* and has said so */
};

void progress_init(struct progress *progress, const struct ctl *ctl, const char *name);

/* So much of it was done before: it counts, but not for the rate. */
void progress_skip(struct progress *progress, double done);

/* Begins anew, with the next of several things; how often a line comes does not change. */
void progress_rename(struct progress *progress, const struct ctl *ctl, const char *name);

/* "data.csv    21.5 MiB of 63.4 MiB   34%   13.8 MiB/s   ETA 3s"; @total 0 = not known. */
void progress_bytes(struct progress *progress, double done, double total);

/* "data.csv  waits: 4 transfers are under way", a line of its own, once, when that lasts. */
void progress_waits(struct progress *progress, const char *why);

/* "w7  ████░░░░  4/11  36%  b1 on lab-07  12s  ETA 21s"; @what may be "". */
void progress_steps(struct progress *progress, double done, double total, const char *what);

/* Wipes the line, before anything else is written. */
void progress_wipe(struct progress *progress);

/* Seconds since progress_init(). */
double progress_elapsed(const struct progress *progress);
